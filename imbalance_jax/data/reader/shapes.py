"""Shapes that annotators draw (rectangle, ellipse, polygon, runs) as masks of the frame, and those at image size."""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from imbalance_jax.data.reader import runs
from imbalance_jax.names import lookup


def decode(kind: str, shape: Any, size: Sequence[int]) -> np.ndarray:
    """The mask bool [h, w] of one shape; `size` is (h, w) of the frame in whose pixels the shape is given.

    'rectangle', 'ellipse': x0 y0 x1 y1 (an ellipse by its bounding box); a pixel belongs to it if its centre does, and
    one without any gets the pixel that holds its own centre. 'polygon': x0 y0 x1 y1 ... or [[x, y], ...], or a list of
    the latter, filled, with its outline. 'coco_segmentation': a list of polygons, or runs, one or a list of objects.
    Any kind of `runs.KINDS`. Numbers may be text. Raises ValueError for an unknown kind, for numbers that are no such
    shape, and as `runs.decode` does.
    """
    height, width = (int(side) for side in size)
    return lookup(KINDS, kind, 'kind of shape')(parsed(kind, shape), height, width)


def extent(kind: str, shape: Any) -> tuple[float, float, float, float] | None:
    """Smallest and largest x and y, x0 y0 x1 y1, of a shape given by coordinates; None of one of runs."""
    shape = parsed(kind, shape)
    if kind not in COORDINATES or (kind == 'coco_segmentation' and _depth(shape) < 2):
        return None
    corners = np.concatenate(points(kind, shape))
    return *corners.min(0).tolist(), *corners.max(0).tolist()


def scaled(kind: str, shape: Any, size: Sequence[int]) -> Any:
    """A shape whose coordinates are shares of the image, in pixels of a frame (h, w); ValueError as `decode` has it."""
    height, width = size
    in_pixels = [(part * (width, height)).tolist() for part in points(kind, shape)]
    return in_pixels if kind in POINTS else in_pixels[0]


def points(kind: str, shape: Any) -> list[np.ndarray]:
    """The points [n,2] of each part of a shape of coordinates; of a rectangle or an ellipse its corners."""
    shape = parsed(kind, shape)
    if kind not in POINTS:
        return [numbers(shape).reshape(-1, 2)]
    several = _depth(shape) > (2 if kind == 'polygon' else 1)
    return [_points(part) for part in (shape if several else [shape])]


def parsed(kind: str, shape: Any) -> Any:
    """Polygons, or what COCO calls a segmentation, from the text of it that a table may have."""
    if kind in POINTS and isinstance(shape, str) and shape.strip()[:1] in ('[', '{'):
        opened, closed = (sum(shape.count(one) for one in signs) for signs in ('[({', '])}'))
        if opened != closed:
            raise ValueError(f'{shape[:60]!r} has {opened} opening brackets and {closed} closing ones: is it cut?')
        with contextlib.suppress(ValueError, RecursionError):
            shape = json.loads(shape)
    if kind == 'coco_segmentation' and _depth(shape) == 2 and all(len(numbers(part)) == 2 for part in shape):
        return [shape]  # one polygon of pairs, and not as many of a point each
    return shape


def _depth(shape: Any) -> int:
    """How deep lists lie in one another, by their first elements; 0 of what is none."""
    return 1 + _depth(next(iter(shape), None)) if isinstance(shape, (list, tuple)) else 0


def to_size(mask: np.ndarray, size: Sequence[int], window: Sequence[float] | None = None) -> np.ndarray:
    """The mask at image size: bool `size`, True where at least half of a pixel's area is, and at least one pixel.

    mask: bool [h, w]; window: x0 y0 x1 y1 in its pixels, what becomes the image (the whole mask without one); it may
    reach beyond the mask, where nothing is. A mask with area in the window gets its fullest pixel if none is half full.
    """
    mask = np.asarray(mask, bool)
    x0, y0, x1, y1 = window if window is not None else (0, 0, mask.shape[1], mask.shape[0])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.zeros(tuple(size), bool)
    top, left = rows[0], columns[0]
    inside = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    area = _areas(inside.astype(np.float64), np.linspace(y0, y1, size[0] + 1) - top)
    area = _areas(area.T, np.linspace(x0, x1, size[1] + 1) - left).T
    share = area / ((y1 - y0) / size[0] * (x1 - x0) / size[1])
    full = share >= 0.5 - 1e-9
    if not full.any() and share.max() > 1e-9:
        full[np.unravel_index(share.argmax(), share.shape)] = True
    return full


def _areas(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Integrals of rows [n, m], each one pixel high and zero beyond, between successive edges: [len(edges) - 1, m]."""
    integral = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0)])
    edges = np.clip(edges, 0, len(values))
    below = np.minimum(edges.astype(int), len(values) - 1)
    at_edges = integral[below] + (edges - below)[:, None] * values[below]
    return np.diff(at_edges, axis=0)


def numbers(shape: Any) -> np.ndarray:
    """Coordinates as a flat float array, from text or from nested lists; ValueError for what is no number."""
    words = re.sub(r'[\[\](),]', ' ', shape).split() if isinstance(shape, str) else shape
    try:
        flat = np.array(words, np.float64).ravel()
    except (ValueError, TypeError) as error:
        raise ValueError(f'{str(shape)[:60]!r} are no coordinates ({error}).') from error
    if not np.isfinite(flat).all():
        raise ValueError(f'{str(shape)[:60]!r} holds a coordinate that is not finite.')
    return flat


def with_decimal_commas(texts: Iterable[str]) -> str:
    """The first of the texts of coordinates whose commas are decimal, which part coordinates elsewhere: others of its
    numbers have none, or other texts have points and no comma, or nothing but zeros follows. '' if there is none."""
    plain = [text for text in texts if not any(one in text for one in '[(')]
    have_points = any('.' in text and ',' not in text for text in plain)
    for text in plain:
        words = text.split()
        pairs = [word for word in words if PAIR.fullmatch(word)]
        whole = len(pairs) == len(words) >= LEAST
        zeros = whole and not any(word.partition(',')[2].strip('0') for word in words)
        if (pairs and any(ALONE.fullmatch(word) for word in words)) or (whole and (zeros or have_points)):
            return text
    return ''


def _points(shape: Any) -> np.ndarray:
    """Corners [n,2] from x0 y0 x1 y1 ... or [[x, y], ...], or the text of either; ValueError for points of another
    number of coordinates."""
    apart = [one for one in re.findall(r'[\[(]([^\[\]()]*)[\])]', shape)] if isinstance(shape, str) else list(shape)
    if len(apart) > 1 and (isinstance(shape, str) or isinstance(apart[0], (list, tuple, np.ndarray))):
        counts = {len(numbers(one)) for one in apart}
        if counts != {2}:
            raise ValueError(f'a point of a polygon has {max(counts - {2})} numbers; expected x y.')
    points = numbers(shape)
    if len(points) % 2 or len(points) < 2:
        raise ValueError(f'a polygon has {len(points)} numbers; expected pairs x y.')
    return points.reshape(-1, 2)


def _corners(shape: Any) -> tuple[float, float, float, float]:
    corners = numbers(shape)
    if len(corners) != 4:
        raise ValueError(f'{str(shape)[:60]!r} has {len(corners)} numbers; expected x0 y0 x1 y1.')
    x0, y0, x1, y1 = corners.tolist()
    if x1 < x0 or y1 < y0:
        raise ValueError(f'{str(shape)[:60]!r} ends before it begins; expected x0 y0 x1 y1.')
    return x0, y0, x1, y1


def _or_centre(mask: np.ndarray, corners: tuple[float, float, float, float]) -> np.ndarray:
    """The mask, or the pixel that holds the centre of the corners if it has none and the centre is in the frame."""
    x, y = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
    if not mask.any() and 0 <= x <= mask.shape[1] and 0 <= y <= mask.shape[0]:
        mask[min(int(y), mask.shape[0] - 1), min(int(x), mask.shape[1] - 1)] = True
    return mask


def _rectangle(shape: Any, height: int, width: int) -> np.ndarray:
    x0, y0, x1, y1 = corners = _corners(shape)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    return _or_centre(((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))[None], corners)


def _ellipse(shape: Any, height: int, width: int) -> np.ndarray:
    x0, y0, x1, y1 = corners = _corners(shape)
    x = (np.arange(width) + 0.5 - (x0 + x1) / 2) / max((x1 - x0) / 2, 1e-9)
    y = (np.arange(height) + 0.5 - (y0 + y1) / 2) / max((y1 - y0) / 2, 1e-9)
    return _or_centre(np.square(y)[:, None] + np.square(x)[None] <= 1, corners)


def _polygon(shape: Any, height: int, width: int) -> np.ndarray:
    if _depth(shape) > 2:
        return np.logical_or.reduce([_polygon(part, height, width) for part in shape])
    corners = [(x, y) for x, y in _points(shape).tolist()]
    image = Image.new('1', (width, height))
    draw = ImageDraw.Draw(image)
    if len(corners) > 2:
        draw.polygon(corners, fill=1, outline=1)
    else:
        draw.line(corners * (3 - len(corners)), fill=1)
    return np.array(image, bool)


def _coco_segmentation(shape: Any, height: int, width: int) -> np.ndarray:
    if isinstance(shape, (list, tuple)) and shape and isinstance(shape[0], (list, tuple)):
        return np.logical_or.reduce([_polygon(part, height, width) for part in shape])
    if isinstance(shape, (list, tuple)) and shape and isinstance(shape[0], dict):
        return np.logical_or.reduce([runs.decode('coco', part, (height, width)) for part in shape])
    return runs.decode('coco', shape or None, (height, width))


def _runs(kind: str, shape: Any, height: int, width: int) -> np.ndarray:
    return runs.decode(kind, shape, (height, width))


PAIR = re.compile('-?[0-9]+,[0-9]+')  # x,y or a number
ALONE = re.compile(r'-?[0-9]+(\.[0-9]+)?')
LEAST = 4  # coordinates of a shape, at least
POINTS = ('polygon', 'coco_segmentation')  # kinds of which coordinates are corners
COORDINATES = ('rectangle', 'ellipse', *POINTS)
KINDS: dict[str, Callable[[Any, int, int], np.ndarray]] = {
    'rectangle': _rectangle,
    'ellipse': _ellipse,
    'polygon': _polygon,
    'coco_segmentation': _coco_segmentation,
    **{kind: partial(_runs, kind) for kind in runs.KINDS},
}
