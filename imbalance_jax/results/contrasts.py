"""Differences of arms to one reference as rows: estimate, interval, p, and p adjusted for the number of tests."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.metrics import intervals
from imbalance_jax.metrics.intervals import MANY, Interval
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.rows import MACRO, Cells, Population, Row, Sample, interval_rows, of_arm

FINDINGS = 'findings'  # the family of tests that all cells of single findings are in


class Contrast(NamedTuple):
    """What an arm is above the reference by: a member of the arm, the interval [K], over how many pairs of seeds, or of
    how many networks of the arm and the reference where none are pairs."""

    member: Mapping[str, Any]
    interval: Interval
    pairs: int


def paired_contrast(
    member: Mapping[str, Any], sample: Sample, other: Sample, *, clusters: ArrayLike = MANY, too_few: ArrayLike = False
) -> Contrast:
    """An arm's values minus those of another over paired seeds, over patients and seeds.

    clusters: effective number [K] of patients behind each value; too_few [K]: where an interval is withheld. `pairs`
    counts the seeds in which both have a value.
    """
    samples = sample.resampled, other.resampled
    interval = intervals.paired_difference(sample.values, other.values, *samples, clusters=clusters)
    pairs = int(np.isfinite(sample.values + other.values).any(1).sum())
    return Contrast(member, intervals.withheld(interval, np.broadcast_to(too_few, interval.estimate.shape)), pairs)


def unpaired_contrast(
    member: Mapping[str, Any], sample: Sample, other: Sample, *, clusters: ArrayLike = MANY, too_few: ArrayLike = False
) -> Contrast:
    """An arm's values [S,K] minus those of another [S',K], of networks with nothing in common, on the same patients."""
    samples = sample.resampled, other.resampled
    interval = intervals.unpaired_difference(sample.values, other.values, *samples, clusters=clusters)
    few = np.broadcast_to(too_few, interval.estimate.shape)
    return Contrast(member, intervals.withheld(interval, few), sample.seeds + other.seeds)


def reference_contrasts(
    population: Population, samples: Mapping[str, Sample], *, clusters: ArrayLike = MANY, too_few: ArrayLike = False
) -> list[Contrast]:
    """What every compared arm in `samples`, arm -> its values, is above the reference by; nothing without that.

    Seed by seed, or between two groups where members with one seed are no pairs.
    """
    reference = samples.get(population.reference)
    if reference is None:
        return []
    contrast = paired_contrast if population.paired else unpaired_contrast
    return [
        contrast(population.first[arm], samples[arm], reference, clusters=clusters, too_few=too_few)
        for arm in population.compared
        if arm != population.reference and arm in samples
    ]


def level(
    sample: Sample, *, clusters: ArrayLike = MANY, too_few: ArrayLike = False, within_unit: bool = False
) -> Interval:
    """The interval [K] of an arm's mean over its seeds; within_unit: of a share, symmetric on the logit scale."""
    interval = intervals.seed_interval(*sample, clusters=clusters)
    interval = intervals.within_unit(interval) if within_unit else interval
    return intervals.withheld(interval, np.broadcast_to(too_few, interval.estimate.shape))


def contrast_rows(
    contrasts: Sequence[Contrast],
    *,
    cells: Cells,
    metric: str,
    against: str,
    families: Sequence[Hashable] | None = None,
    **columns: Any,
) -> list[Row]:
    """Rows mean, low, high, p, p_adjusted of contrasts of several arms against one.

    p is two-sided that there is no difference; p_adjusted is Holm's over the arms and over all cells of one family.
    families: one name per cell; `families_of(cells)` if None.
    """
    names = list(families_of(cells) if families is None else families)
    p = np.array([intervals.p_value(one.interval) for one in contrasts]).reshape(len(contrasts), len(cells))
    adjusted, result = np.full_like(p, np.nan), []
    for name in dict.fromkeys(names):
        of_family = [k for k, other in enumerate(names) if other == name]
        adjusted[:, of_family] = holm(p[:, of_family])
    for one, p_one, adjusted_one in zip(contrasts, p, adjusted, strict=True):
        what = {'against': against, **columns}
        result += interval_rows(one.member, one.interval, cells, metric, one.pairs, **what)
        for statistic, values in (('p', p_one), ('p_adjusted', adjusted_one)):
            result += value_rows(one.member, values, cells, metric, one.pairs, statistic=statistic, **what)
    return result


def value_rows(
    member: Mapping, values: np.ndarray, cells: Cells, metric: str, n: int, *, statistic: str, **columns: Any
) -> list[Row]:
    """One statistic of an arm in every cell; values: [K]."""
    of_cells = zip(cells, values, strict=True)
    return [{**of_arm(member, metric, value, n, statistic=statistic, **columns), **cell} for cell, value in of_cells]


def end_rows(member: Mapping, interval: Interval, cells: Cells, metric: str, n: int, **columns: Any) -> list[Row]:
    """Both ends of an interval [K] of an arm whose mean has a row of its own."""
    return [
        row
        for statistic, ends in (('low', interval.low), ('high', interval.high))
        for row in value_rows(member, ends, cells, metric, n, statistic=statistic, **columns)
    ]


def families_of(cells: Cells) -> list[Hashable]:
    """The family of every cell: single findings are one, the macro mean and everything else one each."""
    single = [_is_finding(cell) for cell in cells]
    return [FINDINGS if one else tuple(sorted(cell.items())) for one, cell in zip(single, cells, strict=True)]


def _is_finding(cell: Mapping[str, Any]) -> bool:
    name = cell.get('class', '')
    return bool(name) and name != MACRO and not name.startswith('all ') and not cell.get('subset')
