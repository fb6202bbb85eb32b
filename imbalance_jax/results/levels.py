"""What each arm scores and how it differs from the reference, with intervals over patients and seeds, as rows."""

from typing import Any

import numpy as np

from imbalance_jax.metrics import intervals
from imbalance_jax.results.comparison import Evidence
from imbalance_jax.results.contrasts import contrast_rows, paired_contrast
from imbalance_jax.results.rows import Cells, Population, Row, Sample, interval_rows


def level_rows(
    population: Population,
    sample: Sample,
    *,
    cells: Cells,
    metric: str,
    evidence: Evidence,
    within_unit: bool = False,
    **columns: Any,
) -> list[Row]:
    """Mean and interval of every arm in every cell; sample: values [P,C] of the members and the same in rounds [R,P,C].

    evidence: of the C cells; within_unit: of a share, whose interval must lie in 0..1.
    """
    result = []
    for arm, index in population.arms.items():
        values, rounds = sample.values[index], sample.resampled[:, index]
        interval = intervals.seed_interval(values, rounds, clusters=evidence.clusters)
        interval = intervals.within_unit(interval) if within_unit else interval
        interval = intervals.withheld(interval, evidence.too_few)
        seeds = int(np.isfinite(values).any(1).sum())
        result += interval_rows(population.first[arm], interval, cells, metric, seeds, **columns)
    return result


def difference_rows(
    population: Population, sample: Sample, *, cells: Cells, metric: str, evidence: Evidence, **columns: Any
) -> list[Row]:
    """Every compared arm minus the reference over paired seeds, with interval, p and p adjusted over arms and cells."""
    index, against = population.compared, population.reference
    by_arm = {arm: Sample(sample.values[of], sample.resampled[:, of]) for arm, of in index.items()}
    clusters, too_few = evidence
    contrasts = [
        paired_contrast(population.first[arm], one, by_arm[against], clusters=clusters, too_few=too_few)
        for arm, one in by_arm.items()
        if arm != against
    ]
    return contrast_rows(contrasts, cells=cells, metric=metric, against=against, **columns)


def both(population: Population, sample: Sample, *, within_unit: bool = False, **what: Any) -> list[Row]:
    """`level_rows` and `difference_rows`."""
    levels = level_rows(population, sample, within_unit=within_unit, **what)
    return levels + difference_rows(population, sample, **what)
