"""Decisions for one of K classes as rows: what they are worth by arm, and which classes are taken for which.

Two kinds of decisions: by the largest probability as the network gives it (method ''), and by the largest probability
under the prior of the training set (method `RECALIBRATED`), which is the best answer if all errors weigh the same. A
loss that re-weights or adjusts for classes leaves the prior out: its own decisions are those for balanced errors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.metrics import multi_class, scores
from imbalance_jax.results.calibration import RECALIBRATED, rounds_of
from imbalance_jax.results.comparison import Claims, Evidence, Truth, evidence_of
from imbalance_jax.results.levels import both, difference_rows, level_rows
from imbalance_jax.results.rows import (
    Bootstrap,
    Population,
    Row,
    Sample,
    class_cells,
    of_arm,
    of_member,
    seed_statistics,
)

ALL = 'all classes'
SIGNED = ('mcc', 'kappa', 'quadratic_kappa')  # in -1..1, all others in 0..1


def rows(
    population: Population,
    probabilities: np.ndarray,
    recalibrated: np.ndarray,
    truth: Truth,
    *,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims,
    ordinal: bool = False,
) -> list[Row]:
    """Rows of results/multi_class for one split: members, ensembles, arms with intervals, differences.

    probabilities, recalibrated: [P,N,K], NaN for frozen members.
    """
    shown, rounds, evidence = truth.labels.argmax(1), rounds_of(truth, bootstrap), evidence_of(truth, claims)
    result = []
    for method, values in (('', probabilities), (RECALIBRATED, recalibrated)):
        counted = multi_class.count(multi_class.decide(values), shown, rounds, classes=len(classes))
        what: dict[str, Any] = {'method': method}
        for metric, figures in multi_class.overall(counted, ordinal=ordinal).items():
            alone = Evidence(evidence.clusters[-1:], evidence.too_few[-1:])
            result += _rows_of(population, figures[..., None], metric, [ALL], alone, n=len(shown), **what)
        for metric, figures in multi_class.by_class(counted).items():
            each = Evidence(evidence.clusters[:-1], evidence.too_few[:-1])
            result += _rows_of(population, figures, metric, classes, each, n=len(shown), **what)
        result += _ensemble_rows(population, values, shown, ordinal=ordinal, **what)
    return result


def _rows_of(
    population: Population,
    figures: np.ndarray,
    metric: str,
    names: Sequence[str],
    evidence: Evidence,
    *,
    n: int,
    **what: Any,
) -> list[Row]:
    """Members, the spread over seeds, levels and differences of figures [1 + R,P,C], whose first is no round."""
    cells, whole = class_cells(names), figures[0]
    result = [
        of_member(member, metric, value, n, name=name, **what)
        for member in population.members
        for name, value in zip(names, whole[member['member']], strict=True)
    ]
    for arm, index in population.arms.items():
        spread = seed_statistics(population.first[arm], whole[index], cells, metric, **what)
        result += [row for row in spread if row['statistic'] == 'sd']  # the mean stands beside its interval
    sample, how = Sample(whole, figures[1:]), {'cells': cells, 'metric': metric, 'evidence': evidence, **what}
    if metric not in SIGNED:
        return result + both(population, sample, within_unit=True, **how)
    as_share = Sample((sample.values + 1) / 2, (sample.resampled + 1) / 2)  # whose interval lies in 0..1
    shares = level_rows(population, as_share, within_unit=True, **how)
    result += [{**row, 'value': 2 * row['value'] - 1} for row in shares]
    return result + difference_rows(population, sample, **how)


def _ensemble_rows(
    population: Population, probabilities: np.ndarray, shown: np.ndarray, *, ordinal: bool, **what: Any
) -> list[Row]:
    """The decisions by the mean probability of an arm's living seeds."""
    arms, ensembles = scores.seed_ensemble(probabilities, [member['arm'] for member in population.members])
    once = np.ones((1, len(shown)))
    counted = multi_class.count(multi_class.decide(ensembles), shown, once, classes=ensembles.shape[-1])
    return [
        of_arm(population.first[arm], metric, values[0, number], len(shown), kind='ensemble', name=ALL, **what)
        for metric, values in multi_class.overall(counted, ordinal=ordinal).items()
        for number, arm in enumerate(arms)
    ]


def confusion_rows(
    population: Population, probabilities: np.ndarray, truth: Truth, *, classes: Sequence[str]
) -> list[Row]:
    """Rows of results/confusion: by member how many images of a class were called which, where any were; by arm the
    share of the images of a class, mean over living seeds. n: images of the class."""
    shown = truth.labels.argmax(1)
    decisions, images = multi_class.decide(probabilities), np.bincount(shown, minlength=len(classes))
    matrices = {
        member['member']: multi_class.confusion(decisions[member['member']], shown, classes=len(classes))
        for member in population.living_members
    }
    result = [
        of_member(population.members[number], 'images', matrix[k, j], images[k], name=classes[k], predicted=classes[j])
        for number, matrix in matrices.items()
        for k, j in zip(*np.nonzero(matrix), strict=True)
    ]
    for arm, index in population.arms.items():
        living = [matrices[number] for number in index if number in matrices]
        if living:
            result += _mean_rows(population.first[arm], np.mean(living, 0), images, classes)
    return result


def _mean_rows(member: Mapping, matrix: np.ndarray, images: np.ndarray, classes: Sequence[str]) -> list[Row]:
    return [
        of_arm(member, 'share', matrix[k, j] / images[k], images[k], statistic='mean', name=name, predicted=other)
        for k, name in enumerate(classes)
        for j, other in enumerate(classes)
        if images[k]
    ]
