"""Decisions for one of K classes: accuracy, balanced accuracy, F1, correlation and kappa, by round of a bootstrap.

NumPy float64 on the host. Decisions are [P, N] class numbers, -1 for a member that has none; truth is [N]; weights
[R, N] say how often each image counts in each round. All figures come from a few counts, so that no confusion matrix of
every round has to be kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.system.shapes import takes


class Counts(NamedTuple):
    """Of every round and member.

    hits: [R, P, K], images of a class that were called so; called: [R, P, K], images that were called so; squares:
    [R, P], the sum of squared differences of class numbers; shown: [R, K], images of a class.
    """

    hits: np.ndarray
    called: np.ndarray
    squares: np.ndarray
    shown: np.ndarray


@takes(scores='... K+')
def decide(scores: ArrayLike) -> np.ndarray:
    """The class of the largest score [P, N] of scores [P, N, K], the first of equals; -1 where one is NaN."""
    scores = np.asarray(scores)
    return np.where(np.isnan(scores).any(-1), -1, np.argmax(scores, axis=-1))


@takes(decisions='P+ N', truth='N', weights='R N')
def count(decisions: np.ndarray, truth: np.ndarray, weights: ArrayLike, *, classes: int) -> Counts:
    """The counts of decisions [P, N] on images of classes `truth` [N]; members with a decision of -1 are NaN."""
    _check_numbers(decisions, 'decisions', classes, lowest=-1)
    _check_numbers(truth, 'truth', classes)
    weights, of_class = np.asarray(weights, np.float64), np.eye(classes)
    hits, called, squares = [], [], []
    for one in decisions:
        if (one < 0).any():
            hits.append(np.full((len(weights), classes), np.nan))
            called.append(hits[-1])
            squares.append(np.full(len(weights), np.nan))
            continue
        hits.append(weights @ (of_class[one] * (one == truth)[:, None]))
        called.append(weights @ of_class[one])
        squares.append(weights @ (one - truth) ** 2.0)
    return Counts(np.stack(hits, 1), np.stack(called, 1), np.stack(squares, 1), weights @ of_class[truth])


def by_class(counts: Counts) -> dict[str, np.ndarray]:
    """{'recall', 'precision', 'f1'}, each [R, P, K]: NaN for a class that is nowhere shown, called, or either."""
    shown = counts.shown[:, None]
    return {
        'recall': _share(counts.hits, shown),
        'precision': _share(counts.hits, counts.called),
        'f1': _share(2 * counts.hits, shown + counts.called),
    }


def overall(counts: Counts, *, ordinal: bool = False) -> dict[str, np.ndarray]:
    """Figures [R, P] of all classes together; `quadratic_kappa` only where the order of the classes means something.

    top1: share of right decisions; balanced_accuracy: mean recall of the classes that are shown; macro_f1: mean F1 of
    the classes that are shown or called; mcc: the correlation of Gorodkin 2004, 0 where all images or all decisions are
    of one class; kappa: Cohen 1960; quadratic_kappa: Cohen 1968, disagreement growing with the square of the distance.
    """
    shown, called = counts.shown[:, None], counts.called
    total, right = shown.sum(-1), counts.hits.sum(-1)
    of_class = by_class(counts)
    agreed = (shown * called).sum(-1)
    spread = (total**2 - (called**2).sum(-1)) * (total**2 - (shown**2).sum(-1))
    figures = {
        'top1': _share(right, total),
        'balanced_accuracy': _mean(of_class['recall']),
        'macro_f1': _mean(of_class['f1']),
        'mcc': np.where(spread == 0, 0.0, _share(right * total - agreed, np.sqrt(spread))),
        'kappa': _share(right * total - agreed, total**2 - agreed),
    }
    if ordinal:
        number = np.arange(shown.shape[-1])
        squares, sums = (shown + called) @ number**2.0, (shown @ number) * (called @ number)
        figures['quadratic_kappa'] = 1 - _share(counts.squares, squares - 2 * sums / total)
    return figures


@takes(decisions='N', truth='N')
def confusion(decisions: np.ndarray, truth: np.ndarray, *, classes: int) -> np.ndarray:
    """Images [K, K] of each class (rows) that one member called each class (columns); decisions, truth: [N]."""
    _check_numbers(decisions, 'decisions', classes)
    _check_numbers(truth, 'truth', classes)
    return np.bincount(truth * classes + decisions, minlength=classes**2).reshape(classes, classes)


def _check_numbers(values: np.ndarray, name: str, classes: int, lowest: int = 0) -> None:
    """ValueError for what is no number of a class."""
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f'{name} must be whole numbers of classes, not {values.dtype}.')
    wrong = values[(values < lowest) | (values >= classes)]
    if wrong.size:
        raise ValueError(f'{name} hold {wrong[0]}; numbers of {classes} classes are {lowest} to {classes - 1}.')


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(whole == 0, np.nan, part / whole)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the defined classes; NaN where none is."""
    defined = np.isfinite(values)
    return _share(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))
