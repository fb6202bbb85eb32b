"""Head, medium and tail: means over the classes with many, some and few training images, as rows.

Long-tailed recognition reports them beside the mean of all classes (Liu et al. 2019, "Large-scale long-tailed
recognition in an open world": many above 100 training images, few below 20).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.metrics import intervals, multi_class, scores
from imbalance_jax.results.calibration import rounds_of
from imbalance_jax.results.comparison import RANKED, Claims, Evidence, Truth, evidence_of
from imbalance_jax.results.levels import both
from imbalance_jax.results.rows import MACRO, Bootstrap, Population, Row, Sample, of_kind, of_member, seed_statistics

HEAD, MEDIUM, TAIL = 'head', 'medium', 'tail'


def bands(positives: np.ndarray, limits: Sequence[float]) -> dict[str, np.ndarray]:
    """Band -> its classes [n], those that have any: head above the larger limit, tail below the smaller one.

    positives: [K], training images of each class.
    """
    few, many = limits
    of_band = {HEAD: positives > many, MEDIUM: (positives >= few) & (positives <= many), TAIL: positives < few}
    return {name: np.flatnonzero(chosen) for name, chosen in of_band.items() if chosen.any()}


def rows(
    population: Population,
    probabilities: np.ndarray,
    truth: Truth,
    *,
    positives: np.ndarray,
    limits: Sequence[float],
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims,
    decided: bool = False,
) -> list[Row]:
    """Rows of results/bands for one split; [] where all classes are in one band.

    Of each band the mean AUROC and average precision, and, where a single class is decided for, the mean recall, over
    the classes in which they are defined: by member, by arm with interval, and as differences to the reference.
    probabilities: [P,N,K], NaN for frozen members.
    """
    chosen = bands(positives, limits)
    if len(chosen) < 2:
        return []
    result = [
        of_kind('data', 'training_positives', positives[k], positives[k], name=classes[k], band=name)
        for name, index in chosen.items()
        for k in index
    ]
    rounds = rounds_of(truth, bootstrap)
    ranked = scores.ranking(probabilities, truth.labels, truth.label_mask, rounds)
    figures: dict[str, np.ndarray] = {metric: ranked[metric] for metric in RANKED}
    if decided:
        decisions, shown = multi_class.decide(probabilities), truth.labels.argmax(1)
        counted = multi_class.count(decisions, shown, rounds, classes=len(classes))
        figures['recall'] = multi_class.by_class(counted)['recall']
    evidence, cells = _evidence(truth, claims, chosen), [{'class': MACRO, 'band': name} for name in chosen]
    for metric, values in figures.items():
        means = np.stack([scores.macro(values[..., index])[0] for index in chosen.values()], axis=-1)
        result += _rows_of(population, means, metric, cells, evidence, sizes=[len(one) for one in chosen.values()])
    return result


def _evidence(truth: Truth, claims: Claims, chosen: Mapping[str, np.ndarray]) -> Evidence:
    """How many patients the mean of each band hangs on, and where no class has enough of them for an interval."""
    by_class = evidence_of(truth, claims)
    clusters, few = [], []
    for index in chosen.values():
        defined = by_class.clusters[index][by_class.clusters[index] > 0]
        clusters.append(intervals.clusters_of_mean(defined) if len(defined) else 0.0)
        few.append(bool(by_class.too_few[index].all()))
    return Evidence(np.array(clusters), np.array(few))


def _rows_of(
    population: Population,
    means: np.ndarray,
    metric: str,
    cells: list[dict[str, Any]],
    evidence: Evidence,
    *,
    sizes: Sequence[int],
) -> list[Row]:
    """Of means [1 + R,P,C], whose first is no round; n of a member's is the number of classes of the band."""
    result = [
        {**of_member(member, metric, value, size), **cell}
        for member in population.members
        for cell, value, size in zip(cells, means[0, member['member']], sizes, strict=True)
    ]
    for arm, index in population.arms.items():
        spread = seed_statistics(population.first[arm], means[0][index], cells, metric)
        result += [row for row in spread if row['statistic'] == 'sd']
    sample = Sample(means[0], means[1:])
    return result + both(population, sample, cells=cells, metric=metric, evidence=evidence, within_unit=True)
