"""Performance of a population as rows: every member, seed ensembles, means over seeds, paired differences."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics import scores
from imbalance_jax.results import comparison
from imbalance_jax.results.calibration import RECALIBRATED
from imbalance_jax.results.comparison import RANKED as RANKED
from imbalance_jax.results.comparison import USUAL, Claims, Truth, with_macro
from imbalance_jax.results.rows import (
    MACRO,
    MICRO,
    Bootstrap,
    Population,
    Row,
    class_cells,
    of_arm,
    of_kind,
    of_member,
    seed_statistics,
)

IMAGE = 'all classes'
CORRECTED = RECALIBRATED  # the method: probabilities under the prior of the training set
ABNORMAL = 'images with a finding'
ALWAYS_NEGATIVE = 'always negative'  # the null of an accuracy


class Measured(NamedTuple):
    """A metric of every member or arm: values [P, K + 2] of the classes, macro and micro, and the number [P] of
    classes that the macro mean is over."""

    values: np.ndarray
    defined: np.ndarray


Figures = Mapping[tuple[str, str], Measured]  # (metric, method) -> measured


def rows(
    population: Population,
    probabilities: np.ndarray,
    truth: Truth,
    *,
    corrected: np.ndarray,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    claims: Claims = USUAL,
) -> list[Row]:
    """All rows of one split.

    probabilities: [P,N,K]; corrected: the same under the prior of the training set, for calibration alone, as that
    moves all images of a class alike. A frozen member has its own rows, from the weights it had, and no part in the
    ensemble, the means and the differences.
    """
    names = [*classes, MACRO, MICRO]
    living = population.living(probabilities)
    figures = {**_evaluated(probabilities, truth), **_calibration(corrected, truth)}
    return [
        *_data_rows(truth, names[:-1]),
        *_member_rows(population.members, figures, names, truth),
        *_image_rows(population, probabilities, truth),
        *_ensemble_rows(population, living, names, truth),
        *_mean_rows(population, figures, names),
        *comparison.rows(population, living, truth, classes=classes, bootstrap=bootstrap, claims=claims),
    ]


def _evaluated(probabilities: np.ndarray, truth: Truth) -> Figures:
    by_level = scores.evaluate(probabilities, truth.labels, truth.label_mask)
    return {
        (metric, ''): _measured(
            values, by_level['macro'][metric], by_level['micro'][metric], by_level['defined'][metric]
        )
        for metric, values in by_level['class'].items()
    }


def _calibration(corrected: np.ndarray, truth: Truth) -> Figures:
    """Brier score and expected calibration error of corrected probabilities."""
    result = {}
    for metric in (scores.brier, scores.expected_calibration_error):
        values = metric(corrected, truth.labels, truth.label_mask)
        pooled = scores.micro(metric, corrected, truth.labels, truth.label_mask)
        macro, defined = scores.macro(values)
        result[metric.__name__, CORRECTED] = _measured(values, macro, pooled, defined)
    return result


def _measured(values: np.ndarray, macro: np.ndarray, micro: np.ndarray, defined: np.ndarray) -> Measured:
    return Measured(np.concatenate([values, macro[:, None], micro[:, None]], axis=1), defined)


def _member_rows(members: Sequence[Row], figures: Figures, names: Sequence[str], truth: Truth) -> list[Row]:
    counts = _counts(names, truth)
    return [
        of_member(member, metric, value, n, name=name, method=method)
        for member in members
        for (metric, method), measured in figures.items()
        for name, value, n in _cells(measured, member['member'], names, counts)
    ]


def _ensemble_rows(population: Population, living: np.ndarray, names: Sequence[str], truth: Truth) -> list[Row]:
    """The mean probability of an arm's living seeds."""
    arms, ensembles = scores.seed_ensemble(living, [member['arm'] for member in population.members])
    figures, counts, first = _evaluated(ensembles, truth), _counts(names, truth), population.first
    return [
        of_arm(first[arm], metric, value, n, kind='ensemble', name=name, method=method)
        for number, arm in enumerate(arms)
        for (metric, method), measured in figures.items()
        for name, value, n in _cells(measured, number, names, counts)
    ]


def _counts(names: Sequence[str], truth: Truth) -> dict[str, int]:
    """Class or micro -> entries that count."""
    by_class = truth.label_mask.sum(0).astype(int)
    return {**dict(zip(names, by_class, strict=False)), MICRO: int(truth.label_mask.sum())}


def _cells(measured: Measured, number: int, names: Sequence[str], counts: Mapping[str, int]):
    """(class, value, n) of one member or arm; n of the macro mean is the number of classes in it."""
    for name, value in zip(names, measured.values[number], strict=True):
        yield name, value, measured.defined[number] if name == MACRO else counts[name]


def _image_rows(population: Population, probabilities: np.ndarray, truth: Truth) -> list[Row]:
    """By member: whether it lives, the share of images with all labels right, macro AUROC among images with a finding.

    The study's test across data sets left images without a finding out.
    """
    labels, mask = truth.labels, truth.label_mask
    right = scores.subset_accuracy(probabilities, labels, mask)
    abnormal = (labels * mask > 0).any(1)
    among = scores.macro(scores.auroc(probabilities[:, abnormal], labels[abnormal], mask[abnormal]))[0]
    result = []
    for member in population.members:
        i = member['member']
        result += [
            of_member(member, 'auroc', among[i], abnormal.sum(), name=MACRO, subset=ABNORMAL),
            of_member(member, 'subset_accuracy', right[i], len(labels), name=IMAGE),
            alive_row(population, member, len(labels)),
        ]
    return result


def alive_row(population: Population, member: Row, images: int) -> Row:
    """Whether a member lives; all that is said of one whose predictions are not known."""
    return of_member(member, 'alive', population.alive[member['member']], images, name=IMAGE)


def _mean_rows(population: Population, figures: Figures, names: Sequence[str]) -> list[Row]:
    """Mean and standard deviation over an arm's living seeds."""
    cells, first, result = class_cells(names), population.first, []
    for (metric, method), measured in figures.items():
        living = population.living(measured.values)
        for arm, indices in population.arms.items():
            result += seed_statistics(first[arm], living[indices], cells, metric, method=method)
    return result


def _data_rows(truth: Truth, names: Sequence[str]) -> list[Row]:
    """Prevalence, and the accuracy of always answering no, which an accuracy has to be read against.

    A random ranking has the prevalence for an average precision: its macro mean is over the classes that have one.
    """
    prevalence = scores.prevalence(truth.labels, truth.label_mask)
    ranked = np.isfinite(scores.average_precision(np.asarray(truth.labels, float), truth.labels, truth.label_mask))
    shares = np.append(prevalence, scores.macro(np.where(ranked, prevalence, np.nan))[0])
    accuracy = scores.all_negative_accuracy(truth.labels, truth.label_mask)
    n, result = len(truth.labels), []
    for name, share, right in zip(names, shares, with_macro(accuracy), strict=True):
        result.append(of_kind('data', 'prevalence', share, n, name=name))
        result.append(of_kind('null level', 'accuracy', right, n, name=name, against=ALWAYS_NEGATIVE))
    return result
