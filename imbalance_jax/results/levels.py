"""What each arm scores and how it differs from the reference, with intervals over patients and seeds, as rows."""

from typing import Any

from imbalance_jax.results.comparison import Evidence
from imbalance_jax.results.contrasts import contrast_rows, level, reference_contrasts
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
    for arm, one in sample.by_arm(population.arms).items():
        interval = level(one, within_unit=within_unit, **evidence._asdict())
        result += interval_rows(population.first[arm], interval, cells, metric, one.seeds, **columns)
    return result


def difference_rows(
    population: Population, sample: Sample, *, cells: Cells, metric: str, evidence: Evidence, **columns: Any
) -> list[Row]:
    """Every compared arm minus the reference over paired seeds, with interval, p and p adjusted over arms and cells."""
    contrasts = reference_contrasts(population, sample.by_arm(population.compared), **evidence._asdict())
    return contrast_rows(contrasts, cells=cells, metric=metric, against=population.reference, **columns)


def both(population: Population, sample: Sample, *, within_unit: bool = False, **what: Any) -> list[Row]:
    """`level_rows` and `difference_rows`."""
    levels = level_rows(population, sample, within_unit=within_unit, **what)
    return levels + difference_rows(population, sample, **what)
