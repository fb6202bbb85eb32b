"""What maps are held against: maps that know no model, and what stands in for each member's."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from imbalance_jax import alignment, attribution
from imbalance_jax.alignment.nulls import constant_map
from imbalance_jax.data.arrays import in_batches
from imbalance_jax.data.regions import Pairs
from imbalance_jax.results.alignment import CEILING, CENTRE, CHANCE, CONSTANT

BATCH = 64  # maps at a time

Metrics = Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]]
Figures = dict[str, np.ndarray]


def null_figures(pairs: Pairs, constant: np.ndarray, metrics: Metrics, *, grid: tuple[int, int]) -> dict[str, Figures]:
    """Figures [M] of maps that know no model: one everywhere, the image centre, the best constant map (of
    `constant_maps`); and the resolution ceiling of maps of h x w cells."""
    masks, size = pairs.mask, pairs.mask.shape[1:]
    measure = compiled(lambda maps, masks: alignment.measure(maps, masks, metrics))
    flat = compiled(lambda ones, masks: alignment.measure_flat(masks, metrics, ones))
    centre = np.broadcast_to(alignment.centre_map(size), masks.shape)
    fitted = np.isfinite(constant).all((1, 2))
    of_constant = measure(np.nan_to_num(constant), masks)
    return {
        CHANCE: flat(np.ones(masks.shape, np.float32), masks),
        CENTRE: measure(centre, masks),
        CONSTANT: {name: np.where(fitted, value, np.nan) for name, value in of_constant.items()},
        CEILING: ceiling(masks, measure, grid),
    }


def compiled(measure: Callable[..., dict[str, jax.Array]]) -> Callable[..., Figures]:
    """`measure` of arrays [M,...] of any length, compiled once for batches of one size."""
    program = jax.jit(measure)
    return lambda *arrays: in_batches(program, arrays, BATCH)


def ceiling(masks: np.ndarray, measure: Callable[..., Figures], grid: tuple[int, int]) -> Figures:
    """The best figures [M] of maps of h x w cells that know the region (`alignment.grid_maps`), measure by measure."""
    upsample: Any = jax.jit(attribution.upsample, static_argnums=1)
    maps = (upsample(one.astype(np.float32), masks.shape[1:]) for one in alignment.grid_maps(masks, grid))
    figures = [measure(one, masks) for one in maps]
    best = {name: np.max([one[name] for one in figures], axis=0) for name in figures[0]}
    # A share of points has to come from one map.
    pointing = np.argmax([one['hits'] / np.maximum(one['points'], 1) for one in figures], axis=0)
    for name in ('hits', 'points', 'empty'):
        best[name] = np.take_along_axis(np.stack([one[name] for one in figures]), pointing[None], 0)[0]
    return best


def constant_maps(train: Pairs, test: Pairs) -> np.ndarray:
    """The best map that looks at no image, for every test pair: [M,H,W], NaN where there is nothing to fit it on.

    It is the mean mask of the pair's finding over the training pairs. A source that boxes test images only (NIH's
    official split) leaves no training pairs: then it is fitted on the other patients' test pairs of that finding.
    """
    maps = np.full(test.mask.shape, np.nan, np.float32)
    for finding in np.unique(test.finding):
        fitted = train.mask[train.finding == finding]
        rows = np.flatnonzero(test.finding == finding)
        if len(fitted):
            maps[rows] = constant_map(fitted)
            continue
        for row in rows:
            others = test.mask[rows[test.patient[rows] != test.patient[row]]]
            if len(others):
                maps[row] = constant_map(others)
    return maps
