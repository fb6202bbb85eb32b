"""What is lost without units, as rows: of members, and of arms with intervals over patients and seeds."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.concepts import ablation
from imbalance_jax.metrics.intervals import p_value
from imbalance_jax.results.comparison import with_macro
from imbalance_jax.results.contrasts import end_rows, level, reference_contrasts, value_rows
from imbalance_jax.results.rows import MACRO, Population, Row, Sample, class_cells, interval_rows, of_arm, of_member

RANDOM_SETS = 'random sets'  # the null of greedy sets: as many units, at random


class Ablated(NamedTuple):
    """AUROC of all members on the probe set, and under R resamples of its patients.

    intact: [P,K], resampled_intact: [R,P,K]; held_out: [P,K,1+T], without the 0 .. T first units that were chosen on
    other patients, resampled: [R,P,K,1+T]; at_random: [P,T,K], without as many at random, on average; few: [K] bool, a
    class with too few patients for an interval; images: their number
    """

    intact: np.ndarray
    resampled_intact: np.ndarray
    held_out: np.ndarray
    resampled: np.ndarray
    at_random: np.ndarray
    few: np.ndarray
    images: int

    @property
    def steps(self) -> int:
        """T."""
        return self.held_out.shape[-1] - 1

    @property
    def sizes(self) -> list[int]:
        """The numbers of units of which rows are made: 1, 2, 4, .. and T."""
        return sorted({*(2**i for i in range(self.steps.bit_length())), self.steps})

    def shares(self, values: np.ndarray) -> np.ndarray:
        """What is left [..., T] of AUROC above 0.5, of values [..., 1+T]."""
        return ablation.share_left(values[..., 0], values[..., 1:])


def member_rows(
    member: Row, ablated: Ablated, classes: Sequence[str], *, layer: str, carrying_share: float
) -> list[Row]:
    """By class: AUROC intact, what one unit takes away, what is left without more, and how many carry the class.

    `largest_drop` is of the unit that was chosen on other patients. `carrying_units` is empty where more than T units
    carry the class, which `carrying_censored` says, or where there is nothing to lose.
    """
    number, names = member['member'], [*classes, MACRO]
    held_out, row = ablated.held_out[number], partial(of_member, member, n=ablated.images, layer=layer)
    share = ablated.shares(held_out)
    by_chance = ablation.share_left(ablated.intact[number], ablated.at_random[number].T)
    rows = [row('auroc_intact', v, name=c) for c, v in zip(names, with_macro(ablated.intact[number]), strict=True)]
    drop = with_macro(held_out[:, 0] - held_out[:, 1])
    rows += [row('largest_drop', value, name=name) for name, value in zip(names, drop, strict=True)]
    for size in ablated.sizes:
        where: dict[str, Any] = {'removed': size}
        for name, value in zip(names, with_macro(share[:, size - 1]), strict=True):
            rows.append(row('auroc_share_left', value, name=name, **where))
        for name, value in zip(names, with_macro(by_chance[:, size - 1]), strict=True):
            rows.append(row('auroc_share_left', value, name=name, kind='null level', against=RANDOM_SETS, **where))
    for name, size in zip(classes, ablation.carrying(share, carrying_share), strict=True):
        rows.append(row('carrying_units', size if np.isfinite(size) else np.nan, name=name))
        if not np.isnan(size):
            rows.append(row('carrying_censored', np.isinf(size), name=name))
    return rows


def arm_rows(
    population: Population, ablated: Ablated, classes: Sequence[str], *, layer: str, carrying_share: float
) -> list[Row]:
    """By arm: intervals over seeds and patients of AUROC intact and of what is left, their differences to the
    reference, and the median number of units that carry a class."""
    few = np.append(ablated.few, False)
    measures: dict[tuple[str, int | None], tuple[np.ndarray, ...]] = {
        ('auroc_intact', None): (ablated.intact, ablated.resampled_intact),
        ('largest_drop', None): tuple(v[..., 0] - v[..., 1] for v in (ablated.held_out, ablated.resampled)),
    }
    shares = [ablated.shares(values) for values in (ablated.held_out, ablated.resampled)]
    measures |= {('auroc_share_left', size): tuple(v[..., size - 1] for v in shares) for size in ablated.sizes}
    rows = []
    for (metric, removed), (values, resampled) in measures.items():
        where: dict[str, Any] = {'layer': layer} | ({'removed': removed} if removed else {})
        rows += _interval_rows(population, values, resampled, metric, names=[*classes, MACRO], few=few, **where)
    for arm, of in population.arms.items():
        living = [number for number in of if population.alive[number]]
        sizes = ablation.carrying(shares[0][living], carrying_share)
        for k, name in enumerate(classes):
            what = {'name': name, 'layer': layer}
            known, median = (~np.isnan(sizes[:, k])).sum(), ablation.censored_median(sizes[:, k])
            median = median if np.isfinite(median) else np.nan
            member, censored = population.first[arm], np.isinf(sizes[:, k]).sum()
            rows.append(of_arm(member, 'carrying_units', median, known, statistic='median', **what))
            rows.append(of_arm(member, 'carrying_units', censored, known, statistic='censored', **what))
    return rows


def _interval_rows(
    population: Population,
    values: np.ndarray,
    resampled: np.ndarray,
    metric: str,
    *,
    names: Sequence[str],
    few: np.ndarray,
    **where,
) -> list[Row]:
    """Ends of the mean of values [P,K] (resampled [R,P,K]) and of its difference to the reference, with p; `few` have
    none."""
    sample = Sample(with_macro(population.living(values)), with_macro(resampled))
    cells, samples, rows = class_cells(names), sample.by_arm(population.arms), []
    for arm, one in samples.items():
        interval = level(one, too_few=few)
        if metric == 'auroc_intact':
            interval = interval._replace(low=np.clip(interval.low, 0, 1), high=np.clip(interval.high, 0, 1))
        rows += end_rows(population.first[arm], interval, cells, metric, one.seeds, **where)
    seeds, against = len(population.arms[population.reference]), {**where, 'against': population.reference}
    whole = {arm: one for arm, one in samples.items() if not population.paired or len(one.values) == seeds}
    for member, interval, pairs in reference_contrasts(population, whole, too_few=few):
        rows += interval_rows(member, interval, cells, metric, pairs, **against)
        rows += value_rows(member, p_value(interval), cells, metric, pairs, statistic='p', **against)
    return rows
