"""One region in pixels of the prepared image: from a box, a shape or a mask file of the image as it was."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader import geometry, images, shapes
from imbalance_jax.data.reader.picture import UPRIGHT, Unreadable

SHOWN = 8  # grey values of a mask in a message
JPEG, WEBP = b'\xff\xd8', b'RIFF'  # how files begin, whatever they are called
CORNERS = 3  # of a polygon, at least
LOSSLESS = b'VP8L'  # the part of a WebP file that keeps pixels as they are
FEW = 8  # grey values beside black that a mask of one concept may have, as where it numbers what it shows
EDGE = 2  # pixels that grey edges are wide, at most
OUTSIDE = 1.0  # pixels of the file by which a box may leave it, as rounding makes it
LEAST = 1 - 1e-6  # pixels that a box is wide and high, at least; a share of the image among pixels is less
ALIKE = 0.02  # by which the shapes of two rectangles may differ that are one, as rounding makes them


class Size(NamedTuple):
    """What a region is made for: height and width of the image's file, the square's size, how it became one, and from
    which of EXIF's orientations the file was turned upright."""

    height: int
    width: int
    square: int
    resize: str
    orientation: int = UPRIGHT


class Placed(NamedTuple):
    """A region in the square. box: x0 y0 x1 y1 in its pixels; mask: [H,ceil(W/8)] uint8 packed along x, or None; share:
    of the image's area; has_rim: whether it is a mask that holds all pixels of its file's rim; is_soft: whether its
    file has grey values between black and the region's brightest; values: the grey values of its file but black, where
    several of a few count as one; of_crop: height and width of its file, and of the crop that it covers, () without;
    digest: of the mask that its file holds, before it is resized, '' without a file; colours: of its file but black,
    where several count as one; value: the one grey value of its file but black, 0 where there are others"""

    box: tuple[float, ...]
    mask: np.ndarray | None
    share: float
    has_rim: bool = False
    is_soft: bool = False
    values: tuple[int, ...] = ()
    of_crop: tuple[int, ...] = ()
    digest: str = ''
    colours: int = 0
    value: int = 0


class Region(NamedTuple):
    """concept: its number; placed: where it is; reader: a name or ''"""

    concept: int
    placed: Placed
    reader: str


class Frame(NamedTuple):
    """The (height, width) that a region's pixels are counted in, () for the file's: as the layout declares it, or as
    its table states it of the image, such as COCO's."""

    declared: tuple[float, ...] = ()
    stated: tuple[float, ...] = ()

    def of(self, size: Size) -> tuple[float, ...]:
        """The frame of an image; what is stated is not believed where the file is of another shape."""
        believed = self.stated and (are_alike(self.stated, size[:2]) or as_stored(size, self.stated))
        return self.declared or (self.stated if believed else ()) or tuple(map(float, size[:2]))


class Planned(NamedTuple):
    """A region that is not read yet. make: size -> where it is, or None if there is nothing of it; file: that holds it,
    '' of a table's row."""

    concept: int
    reader: str
    make: Callable[[Size], Placed | None]
    frame: Frame = Frame()
    file: str = ''


class GreyValues(NamedTuple):
    """Of a mask file with several concepts: those of one, and all that are known. None: what is not 0 is inside."""

    own: tuple[float, ...] = ()
    known: tuple[float, ...] = ()


class Left(ValueError):
    """A region that cannot be used. kind: of problem; the message names it."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(name)
        self.kind = kind


def are_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sizes (height, width) are of one shape, to rounding."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(one) * max(other) * ALIKE


def as_stored(size: Size, shape: Sequence[float]) -> bool:
    """Whether a region of that (height, width) was drawn on the stored pixels of an image that is turned upright."""
    on_its_side = size.orientation in geometry.ON_ITS_SIDE and not are_alike(shape, (size.height, size.width))
    return on_its_side and are_alike(shape, (size.width, size.height))


def place_box(size: Size, *, box: tuple[float, ...], unit: str, frame: Frame, name: str) -> Placed | None:
    """A box in pixels of the square."""
    of_image = frame.of(size)
    height, width = (1.0, 1.0) if unit == 'fraction' else of_image
    if as_stored(size, of_image):
        box, height, width = geometry.turned_box(box, size.orientation, (height, width)), width, height
    own = np.array(box) * np.array([size.width / width, size.height / height] * 2)
    inside = np.clip(own, 0, [size.width, size.height] * 2)
    if np.abs(own - inside).max() > OUTSIDE:
        raise Left('box_outside_image', f'{name} {[round(float(value), 1) for value in own]}')
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise Left('box_without_area', name)
    drawn = own if unit == 'fraction' else np.array(box)
    if min(drawn[2] - drawn[0], drawn[3] - drawn[1]) < LEAST:
        raise Left('box_below_one_pixel', f'{name} [{", ".join(f"{value:g}" for value in box)}]')
    placed = geometry.into_square(size.height, size.width, size.square, size.resize).boxes(inside[None])[0]
    placed = np.clip(placed, 0, size.square).astype(np.float32)
    if placed[0] >= placed[2] or placed[1] >= placed[3]:
        raise Left('region_cropped_away', name)
    share = (inside[2] - inside[0]) * (inside[3] - inside[1]) / (size.height * size.width)
    return Placed(tuple(placed.tolist()), None, float(share))


def draw(size: Size, *, shape: Any, kind: str, unit: str, frame: Frame, name: str, where: str) -> Placed | None:
    """What a column draws, as a mask."""
    height, width = (int(one) for one in frame.of(size))
    try:
        shape = shapes.parsed(kind, shape)  # a text once, and not for all that is asked of it
        shape = shapes.scaled(kind, shape, (height, width)) if unit == 'fraction' else shape
        mask = shapes.decode(kind, shape, (height, width))
        reach = shapes.extent(kind, shape)
    except ValueError as error:
        raise Left('shape_not_understood', f'{name} ({where}: {error})') from error
    if reach and kind in shapes.POINTS and max(map(len, shapes.points(kind, shape))) < CORNERS:
        raise Left('shape_of_few_points', f'{name} ({where}): expected {CORNERS} points or more')
    if reach and 0 < max(reach[2] - reach[0], reach[3] - reach[1]) < LEAST:  # such as a share of the image
        raise Left('shape_below_one_pixel', f'{name} ({where}) [{", ".join(f"{value:g}" for value in reach)}]')
    beyond = max(-reach[0], -reach[1], reach[2] - width, reach[3] - height) if reach else 0.0
    if reach and beyond > max(OUTSIDE, ALIKE * max(height, width)):
        raise Left('shape_outside_image', f'{name} ({where}) {[round(value, 1) for value in reach]}')
    if not mask.any():
        raise Left('shape_without_area', f'{name} ({where})')
    return _packed(_upright(mask, size), size, name)


def _upright(mask: np.ndarray, size: Size) -> np.ndarray:
    """A mask, turned with its image if it is one of the stored pixels."""
    return geometry.turned(mask, size.orientation) if as_stored(size, mask.shape) else mask


def _packed(mask: np.ndarray, size: Size, name: str) -> Placed | None:
    """Where the whole image's mask [h,w] is; None of an empty one."""
    if not mask.any():
        return None
    place = geometry.into_square(mask.shape[0], mask.shape[1], size.square, size.resize)
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
    return Placed(tuple(map(float, box)), np.packbits(fitted, axis=-1), float(mask.mean()), _has_rim(mask))


def mask_file(
    size: Size,
    *,
    path: Path,
    grey_values: GreyValues,
    crop: tuple[float, ...] | None,
    unit: str = 'pixel',
    name: str,
    needed: bool,
) -> Placed | None:
    """What a mask file holds: pixels of some grey values, or without any what is inside; crop: the part it covers, in
    a unit as of boxes; needed: whether its image has what it shows, by a label or as all do, so that an empty one lacks
    something."""
    grey, lossy, colours = _decoded(path, name)
    indices = images.palette_indices(path)
    if indices is not None and np.isin(indices, grey_values.known).any():
        grey = indices
    mask = _inside(grey, lossy, grey_values, name)
    if needed and not mask.any():
        raise Left('mask_without_area', name)
    rim = _has_rim(mask)
    of_crop: tuple[int, ...] = ()
    if crop is not None:
        sides = (size.width, size.height) * 2 if unit == 'fraction' else (1, 1) * 2
        x0, y0, x1, y1 = part = tuple(round(one * side) for one, side in zip(crop, sides, strict=True))
        of_crop = (*mask.shape, y1 - y0, x1 - x0)
        mask = _uncropped(mask, part, size, name)
    elif not are_alike(mask.shape, (size.height, size.width)) and not as_stored(size, mask.shape):
        raise Left('mask_of_another_shape', f'{name} {list(mask.shape)}, its image {[size.height, size.width]}')
    placed = _packed(_upright(mask, size), size, name)
    if placed is None:
        return None
    told = grey if indices is None else indices  # two colours of a palette may be one grey value
    values = np.unique(told[grey > 0]) if not lossy and not grey_values.known else grey[:0]
    soft = len(values) > 1 and indices is None and _is_soft(grey)
    several = tuple(values.tolist()) if len(values) > 1 and not soft else ()
    few = 1 < colours <= FEW and indices is None and not lossy and not grey_values.known
    digest = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
    has_rim = (rim and crop is not None) or placed.has_rim
    placed = placed._replace(has_rim=has_rim, is_soft=soft, values=several, of_crop=of_crop, digest=digest)
    value = int(values[0]) if len(values) == 1 and indices is None else 0
    return placed._replace(colours=colours if few else 0, value=value)


def _has_rim(mask: np.ndarray) -> bool:
    return bool(mask[[0, -1]].all() and mask[:, [0, -1]].all())


def _is_soft(grey: np.ndarray) -> bool:
    """Whether a mask [h,w] has many grey values, or some that are nowhere but between black and its brightest."""
    values = np.unique(grey[grey > 0])
    edge = (grey > 0) & (grey < grey.max())
    return len(values) > FEW or (edge.any() and all(_near(one)[edge].all() for one in (grey == 0, grey == values[-1])))


def _near(mask: np.ndarray) -> np.ndarray:
    """[h,w] of those: which pixels are in the mask or at most `EDGE` from it, along both axes."""
    padded = np.pad(mask, EDGE)
    height, width = mask.shape
    shifts = np.ndindex(2 * EDGE + 1, 2 * EDGE + 1)
    return np.logical_or.reduce([padded[y : y + height, x : x + width] for y, x in shifts])


def mask_of_none(size: Size, *, path: Path, name: str) -> None:
    """Leaves out what a mask file shows of an image of which nothing says what it is; an empty one shows nothing."""
    grey, lossy, _ = _decoded(path, name)
    if _inside(grey, lossy, GreyValues(), name).any():
        raise Left('region_of_no_one_class', name)


def _decoded(path: Path, name: str) -> tuple[np.ndarray, bool, int]:
    """The grey values [h,w] of a mask file, whether it was compressed with loss, and how many colours but black it has,
    0 of a grey one."""
    try:
        grey = images.decode(path)
    except Unreadable as error:
        raise Left('mask_unreadable', f'{name} ({error})') from error
    if grey.ndim == 2:
        return grey, _is_lossy(path), 0
    return grey.max(-1), _is_lossy(path), len(np.unique(grey[grey.any(-1)], axis=0))


def _is_lossy(path: Path) -> bool:
    """Whether a file was compressed with loss, as JPEG is, and WebP may be."""
    with path.open('rb') as file:
        begin = file.read(4)
        return begin.startswith(JPEG) or (begin == WEBP and LOSSLESS not in file.read())


def _inside(grey: np.ndarray, lossy: bool, grey_values: GreyValues, name: str) -> np.ndarray:
    """The mask [h,w] of grey values: pixels of those of one concept, or without any what is not 0; more than half of
    the range after lossy compression, which also makes any value of another."""
    if not grey_values.known:
        return grey > (int(grey.max()) // 2 if lossy else 0)
    if grey.any() and not np.isin(grey, grey_values.known).any():
        shown = ' '.join(map(str, np.unique(grey)[:SHOWN].tolist()))
        raise Left('mask_of_other_values', f'{name} (has {shown}; regions.values has {_listed(grey_values.known)})')
    if lossy:
        why = f'its file was compressed with loss, and has {len(np.unique(grey))} values'
        raise Left('mask_of_other_values', f'{name} ({why}; regions.values has {_listed(grey_values.known)})')
    return np.isin(grey, grey_values.own)


def _listed(values: Sequence[float]) -> str:
    return ' '.join(f'{value:g}' for value in values)


def _uncropped(mask: np.ndarray, crop: tuple[int, ...], size: Size, name: str) -> np.ndarray:
    """The whole image's mask of one that covers a part of it, whatever size it has itself."""
    x0, y0, x1, y1 = crop
    whole = np.zeros((size.height, size.width), bool)
    left, top, right, bottom = x0, y0, min(x1, size.width), min(y1, size.height)
    if left >= right or top >= bottom or min(x0, y0) < 0 or max(x1 - right, y1 - bottom) > OUTSIDE:
        raise Left('mask_outside_image', f'{name} {list(crop)}')
    rows = ((np.arange(top, bottom) - y0 + 0.5) * mask.shape[0] / (y1 - y0)).astype(int)
    columns = ((np.arange(left, right) - x0 + 0.5) * mask.shape[1] / (x1 - x0)).astype(int)
    whole[top:bottom, left:right] = mask[np.ix_(rows, columns)]
    return whole
