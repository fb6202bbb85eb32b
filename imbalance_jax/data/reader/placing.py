"""One region in pixels of the prepared image: from a box, a shape or a mask file of the image as it was."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader import images, shapes

LOSSY = ('.jpg', '.jpeg', '.webp')
OUTSIDE = 1.0  # pixels of the file by which a box may leave it, as rounding makes it


class Size(NamedTuple):
    """What a region is made for: height and width of the image's file, the square's size, and how it became one."""

    height: int
    width: int
    square: int
    resize: str


class Region(NamedTuple):
    """concept: its number; box: x0 y0 x1 y1 in pixels of the square; mask: [H,ceil(W/8)] uint8 packed along x, or None;
    reader: a name or ''"""

    concept: int
    box: tuple[float, ...]
    mask: np.ndarray | None
    reader: str


class Planned(NamedTuple):
    """A region that is not read yet. make: size -> its box, or its mask packed, or None if there is nothing of it."""

    concept: int
    reader: str
    make: Callable[[Size], tuple[tuple[float, ...], np.ndarray | None] | None]


class Left(ValueError):
    """A region that cannot be used. kind: of problem; the message names it."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(name)
        self.kind = kind


def place_box(
    size: Size, *, box: tuple[float, ...], unit: str, frame: Sequence[float], name: str
) -> tuple[tuple[float, ...], None] | None:
    """A box in pixels of the square."""
    height, width = (1.0, 1.0) if unit == 'fraction' else tuple(frame) or (float(size.height), float(size.width))
    own = np.array(box) * np.array([size.width / width, size.height / height] * 2)
    inside = np.clip(own, 0, [size.width, size.height] * 2)
    if np.abs(own - inside).max() > OUTSIDE:
        raise Left('box_outside_image', f'{name} {[round(float(value), 1) for value in own]}')
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise Left('box_without_area', name)
    placed = images.geometry(size.height, size.width, size.square, size.resize).boxes(inside[None])[0]
    placed = np.clip(placed, 0, size.square).astype(np.float32)
    if placed[0] >= placed[2] or placed[1] >= placed[3]:
        raise Left('region_cropped_away', name)
    return tuple(placed.tolist()), None


def draw(size: Size, *, shape: Any, kind: str, frame: Sequence[float], name: str, where: str) -> tuple | None:
    """What a column draws, as a mask."""
    height, width = (int(one) for one in frame) if frame else (size.height, size.width)
    try:
        mask = shapes.decode(kind, shape, (height, width))
    except ValueError as error:
        raise Left('shape_not_understood', f'{name} ({where}: {error})') from error
    if not mask.any():
        raise Left('shape_without_area', f'{name} ({where})')
    return _packed(mask, size, name)


def _packed(mask: np.ndarray, size: Size, name: str) -> tuple[tuple[float, ...], np.ndarray] | None:
    """The box and the mask, packed, of the whole image's mask [h,w]; None of an empty one."""
    if not mask.any():
        return None
    place = images.geometry(mask.shape[0], mask.shape[1], size.square, size.resize)
    window = (
        -place.left / place.scale_x,
        -place.top / place.scale_y,
        (size.square - place.left) / place.scale_x,
        (size.square - place.top) / place.scale_y,
    )
    fitted = shapes.to_size(mask, (size.square, size.square), window)
    if not fitted.any():
        raise Left('region_cropped_away', name)
    rows, columns = np.flatnonzero(fitted.any(1)), np.flatnonzero(fitted.any(0))
    box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return tuple(float(one) for one in box), np.packbits(fitted, axis=-1)


def mask_file(
    size: Size, *, path: Path, values: tuple[float, ...], crop: tuple[float, ...] | None, name: str
) -> tuple | None:
    """What a mask file holds: pixels of those grey values, or without any what is inside; crop: the part it covers."""
    try:
        grey = images.decode(path)
    except images.Unreadable as error:
        raise Left('mask_unreadable', f'{name} ({error})') from error
    grey = grey.max(-1) if grey.ndim == 3 else grey
    above = int(grey.max()) // 2 if path.suffix.lower() in LOSSY else 0
    mask = np.isin(grey, values) if values else grey > above
    if crop is not None:
        mask = _uncropped(mask, crop, size, name)
    elif abs(mask.shape[0] * size.width - mask.shape[1] * size.height) > max(mask.shape) * max(size[:2]) * 0.02:
        raise Left('mask_of_another_shape', f'{name} {list(mask.shape)}, its image {[size.height, size.width]}')
    return _packed(mask, size, name)


def _uncropped(mask: np.ndarray, crop: tuple[float, ...], size: Size, name: str) -> np.ndarray:
    """The whole image's mask of one that covers a part of it, whatever size it has itself."""
    x0, y0, x1, y1 = (round(one) for one in crop)
    whole = np.zeros((size.height, size.width), bool)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, size.width), min(y1, size.height)
    if left >= right or top >= bottom:
        raise Left('mask_outside_image', f'{name} {list(crop)}')
    rows = ((np.arange(top, bottom) - y0 + 0.5) * mask.shape[0] / (y1 - y0)).astype(int)
    columns = ((np.arange(left, right) - x0 + 0.5) * mask.shape[1] / (x1 - x0)).astype(int)
    whole[top:bottom, left:right] = mask[np.ix_(rows, columns)]
    return whole
