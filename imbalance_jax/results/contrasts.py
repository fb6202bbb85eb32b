"""An arm's mean with its interval, and its difference to the reference with p, as rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imbalance_jax.metrics.intervals import p_value, paired_difference, seed_interval
from imbalance_jax.metrics.statistics import cluster_weights, holm
from imbalance_jax.results.rows import Bootstrap, Cells, Population, Row, Sample, interval_rows, of_arm


def weights_of(patient: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    """Rounds [R,M] of a bootstrap over patients."""
    return cluster_weights(patient, bootstrap.rounds, np.random.default_rng(bootstrap.seed))


def widened(values: np.ndarray, resampled: np.ndarray, patients: int) -> np.ndarray:
    """Rounds [R,...] about values [...], further apart by sqrt(n / (n - 1)): a bootstrap over n patients is that much
    too narrow, which for few of them is seen."""
    return values + (resampled - values) * np.sqrt(patients / max(patients - 1, 1))


def contrast_rows(
    population: Population,
    sample: Sample,
    cells: Cells,
    metric: str,
    *,
    families: Sequence[Sequence[bool]] = (),
    **columns: Any,
) -> list[Row]:
    """Every arm's mean with its interval, and differences to the reference with p, of the cells of each family.

    sample: of the living members [P,K] and [R,P,K]. p is corrected (Holm) over all arms and cells of a family.
    """
    result: list[Row] = []
    for arm, of in population.arms.items():
        interval = seed_interval(sample.values[of], sample.resampled[:, of])
        result += interval_rows(population.first[arm], interval, cells, metric, _seeds(sample, of), **columns)
    reference, others = population.arms[population.reference], dict(population.compared)
    others.pop(population.reference, None)
    for family in families if others else ():
        chosen = np.flatnonzero(family).tolist()
        of_family = [cells[i] for i in chosen]
        intervals = {
            arm: paired_difference(
                sample.values[of][:, chosen],
                sample.values[reference][:, chosen],
                sample.resampled[:, of][..., chosen],
                sample.resampled[:, reference][..., chosen],
            )
            for arm, of in others.items()
        }
        adjusted = holm(np.stack([p_value(one) for one in intervals.values()]))
        for (arm, interval), corrected in zip(intervals.items(), adjusted, strict=True):
            first, n = population.first[arm], _seeds(sample, others[arm])
            where = {'against': population.reference, **columns}
            result += interval_rows(first, interval, of_family, metric, n, **where)
            for statistic, values in (('p', p_value(interval)), ('p_adjusted', corrected)):
                result += [
                    {**of_arm(first, metric, value, n, statistic=statistic, **where), **cell}
                    for value, cell in zip(values, of_family, strict=True)
                ]
    return result


def _seeds(sample: Sample, of: Sequence[int]) -> int:
    """How many of some members have a value."""
    return int(np.isfinite(sample.values[of]).any(1).sum())
