"""How many concepts a layer shows in an image: regions of high activation, as the study counts them and corrected.

The study (Khakzar et al. 2022, arXiv 2204.01729) up-samples a unit's map to the image, keeps the pixels at or above
the unit's quantile, cuts out the annotated boxes and counts contours. Four traits of that count are worth knowing:
a unit that is silent almost everywhere has threshold 0 and so counts as one region in every image; a ring counts
twice, once for its hole; every unit has the same share of active pixels by construction, so that the count measures
fragmentation and box area rather than selectivity; and a quantile taken over a batch depends on the batch.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from imbalance_jax.names import lookup
from imbalance_jax.system.shapes import takes

# (what is active at a threshold, whether holes count as regions, whether silent units count)
CONVENTIONS = {
    'study': (np.greater_equal, True, True),
    'corrected': (np.greater, False, False),
}


@takes(features='N h w U')
def count(
    features: np.ndarray,
    image_size: int | Sequence[int],
    quantile: float,
    masks: np.ndarray | None = None,
    disjoint: bool = True,
    convention: str = 'study',
    threshold: np.ndarray | None = None,
) -> np.ndarray:
    """Counts the concepts of each image over all units.

    `study` is the published count: active where the up-sampled map `>=` the unit's quantile, regions are 8-connected
    components plus their holes (what OpenCV's RETR_TREE finds). `corrected` uses `>`, counts no holes, and leaves out
    every unit that is never negative and whose threshold is not above 0: it is dead, or too sparse for the quantile.

    features:   [N, h, w, U] unit activations
    image_size: side, or (H, W), in pixels: maps are up-sampled bilinearly with half-pixel centres
    quantile:   in (0, 1), of each unit over all pixels of all `N` up-sampled maps, masked or not; linear interpolation
    masks:      [N, H, W] bool, where to look (the union of an image's boxes in the study), or None for everywhere;
                or [N, H, W, S], one layer per class: `corrected` looks into each class's own boxes, `study` gives every
                class of an image the count in the union of all, as published
    disjoint:   True counts regions, False counts units that are active anywhere inside the mask
    convention: 'study' or 'corrected'
    threshold:  [U], used instead of the quantile of these images, so that a count does not depend on the batch

    Returns [N] int64, or [N, S] for masks with classes, 0 for a class without a box. Raises ValueError for a shape,
    quantile or convention that does not fit.
    """
    above, holes, keep_silent = lookup(CONVENTIONS, convention, 'counting convention')
    height, width = (image_size, image_size) if isinstance(image_size, (int, np.integer)) else image_size
    size = int(height), int(width)
    maps = np.ascontiguousarray(np.moveaxis(np.asarray(features, np.float32), -1, 0))
    masks = None if masks is None else np.asarray(masks, bool)
    threshold = None if threshold is None else np.asarray(threshold, np.float32)
    _check(maps, size, quantile, masks=masks, threshold=threshold)
    by_class = masks is not None and masks.ndim == 4
    images, where = _places(masks, convention)

    total = np.zeros(len(maps[0]) if images is None else len(images), np.int64)
    for unit, unit_maps in enumerate(maps):
        pixels = upsample(unit_maps, size)
        level = _quantile(pixels.ravel(), quantile) if threshold is None else threshold[unit]
        if not keep_silent and level <= 0 and unit_maps.min() >= 0:
            continue
        active = above(pixels, level)
        if images is not None:
            active = active[images] & where
        total += regions(active, holes) if disjoint else active.any((1, 2))
    if masks is None or not by_class:
        return total
    return _by_class(total, masks, convention)


def _places(masks: np.ndarray | None, convention: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Where to look: image numbers [M] and masks [M, H, W], one for each image and class that has one; None for all."""
    if masks is None or masks.ndim == 3:
        return (None, None) if masks is None else (np.arange(len(masks)), masks)
    if convention == 'study':
        return np.arange(len(masks)), np.any(masks, axis=-1)
    image, layer = np.nonzero(masks.any((1, 2)))
    return image, masks[image, :, :, layer]


def _by_class(total: np.ndarray, masks: np.ndarray, convention: str) -> np.ndarray:
    """Counts [N, S] from those of `_places`; a class without a box in an image has 0."""
    present = masks.any((1, 2))
    if convention == 'study':
        return total[:, None] * present
    counts = np.zeros(present.shape, np.int64)
    counts[present] = total
    return counts


def regions(active: np.ndarray, holes: bool = False) -> np.ndarray:
    """Counts the 8-connected regions of each plane, with `holes` also the holes inside them.

    A hole is a 4-connected region of background that does not reach the border. Pixels are gathered into horizontal
    runs, and runs of neighbouring rows that touch are joined by an edge. The active area is then homotopy equivalent
    to this graph of V runs and E edges: its C components are the regions, its E - V + C independent cycles the holes.

    active: [N, H, W] bool. Returns [N] int64.
    """
    active = np.asarray(active)
    if active.ndim != 3:
        raise ValueError(f'active must be [N, H, W] bool, not {active.shape}.')
    planes = len(active)
    plane, start, stop, stride = _runs(active)
    # A run [start, stop) touches the pixels [start - 1, stop] of the next row; a blank column keeps rows apart.
    first = np.searchsorted(stop, start + stride, side='left')
    degree = np.searchsorted(start, stop + stride, side='right') - first
    parts, label = _components(first, degree)
    representative = np.empty(parts, np.int64)
    representative[label] = np.arange(len(label))
    components = np.bincount(plane[representative], minlength=planes)
    if not holes:
        return components
    edges = np.bincount(plane, weights=degree, minlength=planes).astype(np.int64)
    return 2 * components + edges - np.bincount(plane, minlength=planes)


@takes(maps='... h w')
def upsample(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarges maps [..., h, w] to [..., H, W], bilinear with half-pixel centres and constant beyond the outer ones.

    The same as PyTorch's `align_corners=False`, which goes along x first, then y; no smoothing where `size` is smaller.
    """
    down, across = (_interpolation(old, new) for old, new in zip(maps.shape[-2:], size, strict=True))
    return down @ (maps @ across.T)


class Cells(NamedTuple):
    """The `old` cells of an axis, from a position to its `other` neighbour, and the `most` pixels or fewer in each.

    other: [old]; first: [old] the first pixel of a cell; inside: [old, most] whether there is a pixel; share: [old,
    most] float32, how much of the other position is in it
    """

    other: np.ndarray
    first: np.ndarray
    inside: np.ndarray
    share: np.ndarray


@functools.cache
def cells(old: int, new: int) -> Cells:
    """What `upsample` does along an axis, cell by cell."""
    low, share = _between(old, new)
    number = np.bincount(low, minlength=old)
    first = np.cumsum(number) - number
    inside = np.arange(number.max()) < number[:, None]
    pixel = np.minimum(first[:, None] + np.arange(number.max()), new - 1)
    return Cells(np.minimum(np.arange(old) + 1, old - 1), first, inside, share[pixel])


def _between(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """The position [new] before each pixel's centre, and how far [new] the centre is on the way to the next."""
    centre = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * np.float32(old / new) - np.float32(0.5)
    centre = np.clip(centre, 0, old - 1)
    low = centre.astype(int)
    return low, (centre - low).astype(np.float32)


@functools.cache
def _interpolation(old: int, new: int) -> np.ndarray:
    """The matrix [new, old] of linear interpolation between half-pixel centres."""
    low, share = _between(old, new)
    weight = np.zeros((new, old), np.float32)
    weight[np.arange(new), low] = 1 - share
    weight[np.arange(new), np.minimum(low + 1, old - 1)] += share
    weight.flags.writeable = False
    return weight


def _quantile(values: np.ndarray, quantile: float) -> np.floating:
    """The quantile of `values` [n] by linear interpolation, in float32 throughout.

    A pixel equal to its threshold is active under `>=`, so the last bit matters: rank and interpolation are computed
    in the precision of the maps, as the study's are, and two equal neighbours give exactly their value.
    """
    rank = np.float32(quantile) * np.float32(len(values) - 1)
    tail = max(len(values) - int(rank), 1)
    top = _largest(values, tail)
    below, above = len(top) - tail, min(len(top) - tail + 1, len(top) - 1)
    top.partition((below, above))
    low, high = top[below], top[above]
    part = rank - np.floor(rank)
    return low + part * (high - low) if part < 0.5 else high - (high - low) * (1 - part)


def _largest(values: np.ndarray, number: int) -> np.ndarray:
    """A copy of at least the `number` largest values: all above a bound guessed from a sample, or simply all."""
    sample = values[::37]
    rank = len(sample) - 3 * number // (2 * 37) - 16
    if rank > 0:
        top = values[values >= np.partition(sample, rank)[rank]]
        if len(top) >= number:
            return top
    return values.copy()


def _runs(active: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The horizontal runs of active pixels: plane, first and one past the last position, and the step to the next row.

    Positions count through all planes in reading order, with a blank column after each row and a blank row after each
    plane, so that `start` and `stop` ascend and runs of different rows or planes never meet by accident.
    """
    _, height, width = active.shape
    pixel = np.flatnonzero(active)
    row = pixel // width
    position = pixel + row + row // height * (width + 1)
    new = np.flatnonzero(np.diff(position, prepend=-2) > 1)
    last = np.append(new[1:], len(position)) - 1 if len(new) else new
    return row[new] // height, position[new], position[last] + 1, width + 1


def _components(first: np.ndarray, degree: np.ndarray) -> tuple[int, np.ndarray]:
    """The components of the graph that joins run `i` to the runs `first[i] ... first[i] + degree[i] - 1`."""
    runs, edges = len(first), int(degree.sum())
    offset = np.cumsum(degree)
    target = np.arange(edges) + np.repeat(first - (offset - degree), degree)
    graph = scipy.sparse.csr_array((np.ones(edges, np.int8), target, np.append(0, offset)), shape=(runs, runs))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)


def _check(maps, size, quantile, *, masks, threshold) -> None:
    if not 0 < quantile < 1:
        raise ValueError(f'quantile must lie between 0 and 1, got {quantile}.')
    if masks is not None and (masks.ndim not in (3, 4) or masks.shape[:3] != (maps.shape[1], *size)):
        raise ValueError(f'masks must be [N, H, W] = {(maps.shape[1], *size)}, or this and S, got {masks.shape}.')
    if threshold is not None and threshold.shape != maps.shape[:1]:
        raise ValueError(f'threshold must be [U] = {maps.shape[:1]}, got {threshold.shape}.')
