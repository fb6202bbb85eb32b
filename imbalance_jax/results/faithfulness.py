"""Faithfulness and sanity of the maps of a trained population, as rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.metrics.intervals import effective_number
from imbalance_jax.metrics.statistics import weighted_mean
from imbalance_jax.results.contrasts import Contrast, contrast_rows, paired_contrast
from imbalance_jax.results.pair_means import ALL_PAIRS
from imbalance_jax.results.rows import (
    Bootstrap,
    Population,
    Row,
    Sample,
    class_cells,
    of_kind,
    of_member,
    seed_statistics,
)

SANITY = 'rank_correlation'  # of a map with that of the network with some of it randomised
NOISE = 'noise maps'

Figures = Mapping[str, np.ndarray]  # metric -> [P,M]


def rows(
    population: Population,
    figures: Mapping[str, Figures],
    *,
    sanity: Mapping[str, np.ndarray],
    parts: Sequence[str],
    patients: np.ndarray,
    noise: str,
    bootstrap: Bootstrap,
    smallest_count: int = 5,
) -> list[Row]:
    """Each member's mean over the pairs, mean and sd over an arm's living seeds, and each arm's difference to noise.

    figures: method -> metric -> [P,M]; sanity: method -> rank correlations [D,P,M] of maps with those of the network
    with the first, the first two ... of `parts` [D] randomised; patients [M] of the pairs; noise: the method that is
    noise. Differences are pair by pair, with intervals over patients and seeds unless there are fewer than
    `smallest_count` patients, and p adjusted over arms (Holm).
    """
    result = [
        of_kind('data', name, number, number, name=ALL_PAIRS)
        for name, number in (('pairs', len(patients)), ('patients', len(np.unique(patients))))
    ]
    for method, by_metric in figures.items():
        for metric, values in by_metric.items():
            result += _metric_rows(population, values, metric, method=method)
    for method, by_depth in sanity.items():
        for depth, (part, values) in enumerate(zip(parts, by_depth, strict=True), 1):
            result += _metric_rows(population, values, SANITY, method=method, part=part, depth=depth)
    too_few = len(np.unique(patients)) < smallest_count
    evidence = {'clusters': effective_number(patients), 'too_few': too_few}
    weights = bootstrap.weights(patients)
    for method in [name for name in figures if name != noise and noise in figures]:
        for metric, values in figures[method].items():
            above = population.living(values) - figures[noise][metric]
            contrasts = _above_noise(population, above, weights, evidence)
            what: dict[str, Any] = {'metric': metric, 'against': NOISE, 'method': method}
            result += contrast_rows(contrasts, cells=class_cells([ALL_PAIRS]), **what)
    return result


def _above_noise(
    population: Population, above: np.ndarray, weights: np.ndarray, evidence: Mapping[str, Any]
) -> list[Contrast]:
    """Every arm's mean difference to noise; above: [P,M]."""
    result, once = [], np.ones((1, above.shape[1]))
    for arm, indices in population.arms.items():
        sample = Sample(*(weighted_mean(above[indices], rounds)[..., None] for rounds in (once, weights)))
        whole = sample._replace(values=sample.values[0])
        nothing = Sample(*(np.zeros_like(values) for values in whole))
        result.append(paired_contrast(population.first[arm], whole, nothing, **evidence))
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
