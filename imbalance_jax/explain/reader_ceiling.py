"""What readers score against each other: the level that no map can be expected to pass."""

from collections.abc import Callable, Iterator

import numpy as np
import scipy

from imbalance_jax.data import readers
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import Pairs, drawn_of_pairs

Figures = dict[str, np.ndarray]
Measure = Callable[..., Figures]  # maps [n,H,W], masks [n,H,W] -> figures [n]

# Measures of where a map points, which a reader does with one pixel, the innermost of the region.
POINTING = (
    'hits',
    'points',
    'signed_hit_share',
    'pointing_game',
    'pointing_game_torchray',
    'pointing_game_quantus',
    'pointing_game_chexlocalize',
)
AT_ONCE = 256  # masks that are measured together


def reader_figures(dataset: Dataset, pairs: Pairs, measure: Measure, *, kind: str, rule: str) -> Figures:
    """Figures [M] of readers as if what each drew were a map: held against what the others drew, mean over readers.

    The others' region is by the same rule (`readers.left_out`). Measures that point take the reader's own points, or
    else the pixel of the region that is farthest from its edge. A reader who saw the image and drew nothing is an empty
    map; NaN where fewer than two readers saw it, or the others have no region.
    """
    rows, figures = [], []
    for pair, drawn, points, against in _batches(dataset, pairs, kind=kind, rule=rule):
        of_region, of_point = (measure(one.astype(np.float32), against) for one in (drawn, points))
        rows.append(pair)
        figures.append({name: of_point[name] if name in POINTING else of_region[name] for name in of_region})
    if not rows:
        return {}
    row, asked = np.concatenate(rows), {name: np.concatenate([one[name] for one in figures]) for name in figures[0]}
    asks = np.isfinite(asked['iou'])
    return {name: mean_by(row, np.where(asks, values, np.nan), len(pairs.image)) for name, values in asked.items()}


def _batches(dataset: Dataset, pairs: Pairs, *, kind: str, rule: str) -> Iterator[list[np.ndarray]]:
    """[row of the pair [n], a reader's mask [n,H,W], the reader's points, what both are held against], about `AT_ONCE`
    at a time."""
    names, rule = readers.names_of(dataset), readers.chosen_rule(dataset, rule)
    held: list[tuple[np.ndarray, ...]] = []
    for pair, drawn in drawn_of_pairs(dataset, pairs, kind):
        who, against = readers.left_out(drawn, rule, names)
        masks, points = drawn.masks[who], drawn.points[who]
        if len(who):
            pointed = [point if point.any() else innermost(mask) for point, mask in zip(points, masks, strict=True)]
            held.append((np.full(len(who), pair), masks, np.stack(pointed), against))
        if sum(len(one[0]) for one in held) >= AT_ONCE:
            yield [np.concatenate(arrays) for arrays in zip(*held, strict=True)]
            held = []
    if held:
        yield [np.concatenate(arrays) for arrays in zip(*held, strict=True)]


def mean_by(row: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Mean [count] of the finite values [n] of every row [n]; NaN of none."""
    known = np.isfinite(values)
    total = np.bincount(row[known], values[known], count)
    number = np.bincount(row[known], minlength=count)
    return np.divide(total, number, out=np.full(count, np.nan), where=number > 0)


def innermost(mask: np.ndarray) -> np.ndarray:
    """The pixel of a mask [H,W] that is farthest from its edge, the first of several, as a mask."""
    depth = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return (np.arange(mask.size) == depth.argmax()).reshape(mask.shape) & mask.any()
