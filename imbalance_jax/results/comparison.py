"""How arms rank images, compared: levels, differences to the reference, and which arms are shown to be equal to it.

Differences are over paired seeds, or between groups of networks that have nothing in common (`Population.paired`), with
intervals over patients and seeds (`metrics.intervals`). A macro mean, of the
data or of a round of the bootstrap, is over the classes that are defined there: a round that has lost all positives of
a class is a mean over the others.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics import intervals, scores
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.contrasts import contrast_rows, end_rows, level, reference_contrasts, value_rows
from imbalance_jax.results.rows import (
    MACRO,
    Bootstrap,
    Population,
    Row,
    Sample,
    class_cells,
    of_arm,
    of_kind,
)

RANKED = ('auroc', 'average_precision')  # the metrics that arms are compared by
EQUIVALENT, EVERYWHERE = 'equivalent', 'macro and every class'  # metric and class of the verdict
LEVEL = 0.05


class Truth(NamedTuple):
    """What the images of a split show: labels and label_mask [N,K] of 0 and 1, patients [N]."""

    labels: np.ndarray
    label_mask: np.ndarray
    patients: np.ndarray


class Claims(NamedTuple):
    """What may be claimed: an arm is equal within `margin` (of each metric, in its units), and a class with fewer than
    `smallest_count` positive patients gets no interval. The defaults are those of configs/base.py."""

    margin: Mapping[str, float] = {'auroc': 0.01, 'average_precision': 0.02}
    smallest_count: int = 5


USUAL = Claims()


class Evidence(NamedTuple):
    """What a class's figures hang on, macro last: effective number of patients [K + 1], and where those are too few."""

    clusters: np.ndarray
    too_few: np.ndarray


def rows(
    population: Population,
    living: np.ndarray,
    truth: Truth,
    *,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims,
) -> list[Row]:
    """Ends of the intervals of every arm's level; of every compared arm against the reference the difference, its
    interval, p (adjusted by Holm over arms, for classes over arms and classes), the test of equivalence, and the parts
    of the variance; the verdict of equivalence; positives by class.

    living: [P,N,K], NaN for frozen members. Intervals of levels are symmetric on the logit scale.
    """
    weights = bootstrap.weights(truth.patients)
    values = scores.ranking(living, truth.labels, truth.label_mask)
    resampled = scores.ranking(living, truth.labels, truth.label_mask, weights)
    evidence, result = evidence_of(truth, claims), count_rows(truth, classes)
    against, cells = population.reference, class_cells([*classes, MACRO])
    verdicts: dict[str, list[np.ndarray]] = {}
    for metric in RANKED:
        whole, rounds = with_macro(values[metric]), with_macro(resampled[metric])
        samples = Sample(whole, rounds).by_arm(population.arms)
        for arm, sample in samples.items():
            interval = level(sample, within_unit=True, **evidence._asdict())
            result += end_rows(population.first[arm], interval, cells, metric, sample.seeds)
        contrasts = reference_contrasts(population, samples, **evidence._asdict())
        result += contrast_rows(contrasts, cells=cells, metric=metric, against=against)
        for contrast in contrasts:
            arm = contrast.member['arm']
            p = intervals.equivalence(contrast.interval, claims.margin[metric])
            if population.paired and _identical(living, population.arms[arm], population.arms[against]):
                p = np.where(evidence.too_few | ~np.isfinite(contrast.interval.estimate), np.nan, 0.0)
            verdicts.setdefault(arm, []).append(holm(p))
            further = {'p_equivalent': p, 'p_equivalent_adjusted': holm(p)}
            if population.paired:
                differences = Sample(*(np.subtract(*of) for of in zip(samples[arm], samples[against], strict=True)))
                further |= _parts(differences, evidence)
            for statistic, of_cells in further.items():
                what = {'statistic': statistic, 'against': against}
                result += value_rows(contrast.member, of_cells, cells, metric, contrast.pairs, **what)
    return result + _verdict_rows(population, verdicts)


def with_macro(values: np.ndarray) -> np.ndarray:
    """Values [...,K] with the mean over the defined classes behind them."""
    return np.concatenate([values, scores.macro(values)[0][..., None]], axis=-1)


def evidence_of(truth: Truth, claims: Claims) -> Evidence:
    """Effective numbers of patients, and which classes too few have, or too few have not, for an interval."""
    clusters = intervals.effective_clusters(truth.labels, truth.label_mask, truth.patients)
    defined = clusters[clusters > 0]
    few = np.minimum(*patients_by_side(truth)) < claims.smallest_count
    return Evidence(np.append(clusters, intervals.clusters_of_mean(defined)), np.append(few, False))


def patients_by_side(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [K] of patients with an image of each class, and of patients with an image without it."""
    known, positive = np.asarray(truth.label_mask) > 0, np.asarray(truth.labels) == 1
    sides = [[len(np.unique(truth.patients[one])) for one in (known & which).T] for which in (positive, ~positive)]
    return np.array(sides[0]), np.array(sides[1])


def count_rows(truth: Truth, classes: Sequence[str]) -> list[Row]:
    """Positive images and patients by class; n counts the images and the patients whose label is known."""
    known = np.asarray(truth.label_mask) > 0
    images = ((np.asarray(truth.labels) == 1) & known).sum(0)
    result = []
    for k, (name, patients) in enumerate(zip(classes, patients_by_side(truth)[0], strict=True)):
        result.append(of_kind('data', 'positives', images[k], known[:, k].sum(), name=name))
        everyone = len(np.unique(truth.patients[known[:, k]]))
        result.append(of_kind('data', 'positive_patients', patients, everyone, name=name))
    return result


def _identical(living: np.ndarray, arm: Sequence[int], other: Sequence[int]) -> bool:
    """Whether every image has the same score of both members of every pair: an arm beside itself, which is equal."""
    pairs = living[arm], living[other]
    both = np.isfinite(pairs[0] + pairs[1])
    return bool(both.any() and (pairs[0] == pairs[1])[both].all())


def _parts(differences: Sample, evidence: Evidence) -> dict[str, np.ndarray]:
    """Statistic -> what seeds, patients and their interaction add to the variance [K + 1] of the mean difference."""
    parts = intervals.variances(*differences)._asdict()
    return {f'variance_{part}': np.where(evidence.too_few, np.nan, values) for part, values in parts.items()}


def _verdict_rows(population: Population, verdicts: Mapping[str, Sequence[np.ndarray]]) -> list[Row]:
    """1 for an arm that is shown to be equal to the reference by every metric, in the macro mean and in every class.

    A class too small to be judged is not shown to be equal. n: the classes that could be judged by every metric.
    """
    result = []
    for arm, adjusted in verdicts.items():
        by_metric = np.stack(adjusted)  # [metrics, K + 1]
        judged = np.isfinite(by_metric).all(axis=0)[:-1].sum()
        shown = bool((np.nan_to_num(by_metric, nan=1.0) <= LEVEL).all())
        where = {'name': EVERYWHERE, 'against': population.reference}
        result.append(of_arm(population.first[arm], EQUIVALENT, shown, judged, **where))
    return result
