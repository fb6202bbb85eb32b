"""What maps are held against: maps that know no model, and the regions of other patients."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import alignment, attribution
from imbalance_jax.alignment.measure import Metrics
from imbalance_jax.alignment.nulls import few_of_each, other_patients
from imbalance_jax.data.arrays import in_batches
from imbalance_jax.data.regions import Pairs
from imbalance_jax.results.alignment import CEILING, CENTRE, CHANCE, CONSTANT

BATCH = 64  # maps at a time
CHOSEN_ON = 48  # training regions per finding on which the constant map of a measure is chosen
FOLDS = 5  # of patients, where there are no training regions
OF_ONE_MAP = ('hits', 'points', 'empty')  # a share of points has to come from one map
ALWAYS_ONE = ('iobb', 'pointing_game_quantus')  # what a map of ones scores: no level to be above

Figures = dict[str, np.ndarray]
Measure = Callable[..., Figures]  # maps [M,H,W], masks [M,H,W] -> figures [M]


class Constant(NamedTuple):
    """Maps that look at no image: the mean mask of each pair's finding [M,H,W], NaN where there is nothing to fit it
    on; and figures [M], each of the constant map that is the best for its measure on training regions."""

    mean: np.ndarray
    figures: Figures


def null_figures(
    pairs: Pairs, train: Pairs, metrics: Metrics, *, grid: tuple[int, int]
) -> tuple[dict[str, Figures], np.ndarray]:
    """Figures [M] of maps that know no model: one everywhere, the image centre, the best constant map of each measure;
    and the resolution ceiling of maps of h x w cells. And the mean masks [M,H,W] (`Constant`)."""
    masks, size, every = pairs.mask, pairs.mask.shape[1:], {**metrics, **alignment.UNSIGNED}
    measure = region_measure(metrics)
    flat = compiled(lambda ones, masks: alignment.measure_flat(masks, every, ones))
    chance = flat(np.ones(masks.shape, np.float32), masks)
    centre = np.broadcast_to(alignment.centre_map(size), masks.shape)
    constant = constant_nulls(train, pairs, measure)
    return {
        CHANCE: {name: np.full(len(v), np.nan) if name in ALWAYS_ONE else v for name, v in chance.items()},
        CENTRE: measure(centre, masks),
        CONSTANT: {name: constant.figures.get(name, np.full(len(v), np.nan)) for name, v in chance.items()},
        CEILING: ceiling(masks, measure, grid),
    }, constant.mean


def region_measure(metrics: Metrics) -> Measure:
    """The study's figures [M], and those of `metrics`, of maps without a sign and masks [M,H,W]."""
    every = {**metrics, **alignment.UNSIGNED}
    return compiled(lambda maps, masks: alignment.measure(maps, masks, every))


def compiled(measure: Callable[..., dict[str, jax.Array]]) -> Measure:
    """`measure` of arrays [M,...] of any length, compiled once for batches of one size."""
    program = jax.jit(measure)

    def padded(*arrays):
        short = BATCH - len(arrays[0])
        whole = [np.concatenate([a, np.repeat(a[:1], short, 0)]) if short > 0 else a for a in arrays]
        return {name: value[: len(arrays[0])] for name, value in in_batches(program, tuple(whole), BATCH).items()}

    return padded


def ceiling(masks: np.ndarray, measure: Measure, grid: tuple[int, int]) -> Figures:
    """The best figures [M] of maps of h x w cells that know the region (`alignment.grid_maps`), measure by measure."""
    upsample: Any = jax.jit(attribution.upsample, static_argnums=1)
    maps = (upsample(one.astype(np.float32), masks.shape[1:]) for one in alignment.grid_maps(masks, grid))
    figures = [measure(one, masks) for one in maps]
    best = {name: np.max([one[name] for one in figures], axis=0) for name in figures[0]}
    pointing = np.argmax([one['hits'] / np.maximum(one['points'], 1) for one in figures], axis=0)
    for name in OF_ONE_MAP:
        best[name] = np.take_along_axis(np.stack([one[name] for one in figures]), pointing[None], 0)[0]
    return best


def constant_nulls(train: Pairs, test: Pairs, measure: Measure) -> Constant:
    """The best map that looks at no image, measure by measure, for every test pair, of `alignment.constant_maps`.

    Maps are fitted, and each measure's is chosen, on the training pairs of the finding. A source that boxes test images
    only (NIH's official split) leaves none: then on the test pairs of the other folds of patients.
    """
    mean = np.full(test.mask.shape, np.nan, np.float32)
    figures: Figures = {}
    fit: Any = jax.jit(alignment.constant_maps, static_argnums=1)
    tolerance = alignment.TOLERANCE * test.mask.shape[1]
    for masks, rows in fits(train, test):
        chosen_on = spread(masks, CHOSEN_ON)
        maps = np.array(fit(chosen_on, tolerance))
        maps[0] = alignment.constant_map(jnp.asarray(masks))
        mean[rows] = maps[0]
        for name, values in best_of(maps, chosen_on, test.mask[rows], measure).items():
            figures.setdefault(name, np.full(len(test.image), np.nan))[rows] = values
    return Constant(mean, figures)


def spread(masks: np.ndarray, most: int) -> np.ndarray:
    """So many of the masks [n,H,W], spread evenly; fewer masks repeat, so that programs have one shape."""
    return masks[np.linspace(0, len(masks) - 1, most).round().astype(int)]


def best_of(maps: np.ndarray, train: np.ndarray, test: np.ndarray, measure: Measure) -> Figures:
    """Figures [n] on the masks `test` [n,H,W] of that of the maps [C,H,W] which has the highest mean on `train`."""
    count = len(maps)
    on_train = measure(np.repeat(maps, len(train), 0), np.tile(train, (count, 1, 1)))
    means = {name: np.nanmean(value.reshape(count, -1), axis=1) for name, value in on_train.items()}
    means |= dict.fromkeys(OF_ONE_MAP, means['hits'] / means['points'])
    best = {name: int(np.argmax(value)) for name, value in means.items()}
    figures = {c: measure(np.broadcast_to(maps[c], test.shape), test) for c in sorted(set(best.values()))}
    return {name: figures[c][name] for name, c in best.items()}


def fits(train: Pairs, test: Pairs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Masks that a finding's constant maps are fitted on, and the rows of the test pairs that they are for."""
    for finding in np.unique(test.finding):
        masks, rows = train.mask[train.finding == finding], np.flatnonzero(test.finding == finding)
        if len(masks):
            yield masks, rows
            continue
        _, number = np.unique(test.patient[rows], return_inverse=True)
        for fold in np.unique(number % FOLDS):
            here = number % FOLDS == fold
            if not here.all():
                yield test.mask[rows[~here]], rows[here]


class Strangers(NamedTuple):
    """Regions of other patients for M pairs: as arrays per pair (shares [M,M], few_shares [M,F]), and the regions that
    all share (masks [M,H,W], few [F,H,W]); see `alignment.Others`."""

    shares: np.ndarray
    few_shares: np.ndarray
    masks: np.ndarray
    few: np.ndarray


def strangers(pairs: Pairs) -> Strangers:
    """All other patients' regions of the same finding, and some of them for metrics that cost more."""
    few = few_of_each(pairs.finding, pairs.patient)

    def shares(rows: np.ndarray) -> np.ndarray:
        of = {'of_finding': pairs.finding[rows], 'of_patient': pairs.patient[rows]}
        return other_patients(pairs.finding, pairs.patient, **of)

    return Strangers(shares(np.arange(len(pairs.image))), shares(few), pairs.mask, pairs.mask[few])
