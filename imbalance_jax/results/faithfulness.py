"""Faithfulness and sanity of the maps of a trained population, as rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.results.alignment import ALL_PAIRS
from imbalance_jax.results.rows import Population, Row, class_cells, of_member, seed_statistics

SANITY = 'rank_correlation'  # of a map with that of the network with some of it randomised


def rows(
    population: Population,
    figures: Mapping[str, Mapping[str, np.ndarray]],
    *,
    sanity: Mapping[str, np.ndarray],
    parts: Sequence[str],
) -> list[Row]:
    """Each member's mean over the pairs, and mean and sd over an arm's living seeds.

    figures: method -> metric -> [P,M]; sanity: method -> rank correlations [D,P,M] of maps with those of the network
    with the first, the first two ... of `parts` [D] randomised.
    """
    result = []
    for method, by_metric in figures.items():
        for metric, values in by_metric.items():
            result += _metric_rows(population, values, metric, method=method)
    for method, by_depth in sanity.items():
        for depth, (part, values) in enumerate(zip(parts, by_depth, strict=True), 1):
            result += _metric_rows(population, values, SANITY, method=method, part=part, depth=depth)
    return result


def _metric_rows(population: Population, values: np.ndarray, metric: str, **columns) -> list[Row]:
    """Rows of one figure [P,M] of every pair."""
    number = np.isfinite(values).sum(1)
    with np.errstate(invalid='ignore'):
        mean = np.nansum(values, 1) / np.where(number, number, np.nan)
    result = [
        of_member(member, metric, mean[member['member']], number[member['member']], name=ALL_PAIRS, **columns)
        for member in population.members
    ]
    living, cells = population.living(mean), class_cells([ALL_PAIRS])
    for arm, indices in population.arms.items():
        result += seed_statistics(population.first[arm], living[indices][:, None], cells, metric, **columns)
    return result
