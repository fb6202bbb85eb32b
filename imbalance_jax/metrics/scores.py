"""What a classifier's scores are worth, class by class: ranking, decisions, calibration.

NumPy float64 on the host. Scores are `[..., N, K]` with any leading axes, such as P members; labels and mask are
`[N, K]`, and an entry with mask 0 counts nowhere. A class that a metric cannot judge gets NaN, and so does a member
in every class for which it has a score that is not finite: the others go on.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.metrics.bootstrap_ranking import weighted_ranking
from imbalance_jax.names import lookup
from imbalance_jax.system.shapes import fitting, numbers, takes

ENTRIES = {'scores': '... N K', 'labels': 'N K', 'mask': 'N K'}


def _entries(scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [M, N, K] float64, labels and mask [N, K] bool; ValueError if they do not fit."""
    scores, labels, mask = _arrays(scores, labels, mask)
    scores, mask = scores.astype(np.float64, copy=False), np.ones(labels.shape, bool) if mask is None else mask > 0
    wrong = labels[mask & (labels != 0) & (labels != 1)]
    if wrong.size:
        raise ValueError(f'labels hold {wrong[0]} where the mask is 1; valid are 0 and 1.')
    return scores.reshape(-1, *labels.shape), labels == 1, mask


def _arrays(
    scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """As arrays of NumPy; ValueError if they do not fit."""
    found = fitting({'scores': scores, 'labels': labels, 'mask': mask}, ENTRIES, ['mask'])
    arrays = {name: np.asarray(array) for name, array in found.items()}
    return arrays['scores'], arrays['labels'], arrays.get('mask')


def _probabilities(
    probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_entries`, for scores that must lie in 0..1 where they are finite."""
    entries = _entries(probabilities, labels, mask)
    wrong = entries[0][(entries[0] < 0) | (entries[0] > 1)]
    wrong = wrong[np.isfinite(wrong)]
    if wrong.size:
        raise ValueError(f'probabilities hold {wrong[0]}; valid are 0..1 (the sigmoid of the logits).')
    return entries


def _by_class(
    measure: Callable[[np.ndarray, np.ndarray], Any],
    probabilities: ArrayLike,
    labels: ArrayLike,
    mask: ArrayLike | None,
) -> np.ndarray:
    """`measure(probabilities [n], labels [n]) -> number` of every member and class: [..., K]."""
    scores, labels, kept = _probabilities(probabilities, labels, mask)
    values = np.full((len(scores), labels.shape[1]), np.nan)
    for k in range(labels.shape[1]):
        positive, columns = labels[kept[:, k], k], scores[:, kept[:, k], k]
        for m, column in enumerate(columns):
            if column.size and np.isfinite(column).all():
                values[m, k] = measure(column, positive)
    return values.reshape(*np.shape(probabilities)[:-2], labels.shape[1])


def ranking(
    scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None, weights: ArrayLike | None = None
) -> dict[str, np.ndarray]:
    """{'auroc', 'average_precision'} of scores [..., N, K], each [..., K], from one pass over each class.

    `weights` count an example so many times: [N], or one row per bootstrap round [R, N], which makes the results
    [R, ..., K]. Both metrics are NaN for a class without positives or without negatives (of positive weight, in that
    round), so that both are defined for the same classes. Ties are exact, as in `auroc` and `average_precision`.
    """
    members, positive, kept = _entries(scores, labels, mask)
    weights = None if weights is None else numbers(weights, 'weights', '[N] or [R, N]')
    rounds = np.ones((1, len(positive))) if weights is None else np.atleast_2d(weights)
    if rounds.shape[1:] != (len(positive),) or not (rounds >= 0).all():
        raise ValueError(f'weights {rounds.shape} must be non-negative, [N] or [R, N] with N = {len(positive)}.')
    values = weighted_ranking(members, positive, kept, rounds)
    lead = np.shape(scores)[:-2] if weights is None or np.ndim(weights) < 2 else (len(rounds), *np.shape(scores)[:-2])
    auroc, average_precision = values.reshape(2, *lead, positive.shape[1])
    return {'auroc': auroc, 'average_precision': average_precision}


def auroc(
    scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None, weights: ArrayLike | None = None
) -> np.ndarray:
    """Probability that a positive scores above a negative, ties counting half: [..., K], or [R, ..., K] as `ranking`.

    AUROC = U / (mn), with U of Mann and Whitney (1947): Hanley and McNeil 1982.
    """
    return ranking(scores, labels, mask, weights)['auroc']


def average_precision(
    scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None, weights: ArrayLike | None = None
) -> np.ndarray:
    """Mean precision over the positives, `sum_t (R_t - R_t-1) P_t`: [..., K], or [R, ..., K] as `ranking`.

    Steps without interpolation; tied scores are one threshold t. A random ranking scores the prevalence.
    """
    return ranking(scores, labels, mask, weights)['average_precision']


def accuracy(
    probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None, *, threshold: float = 0.5
) -> np.ndarray:
    """Share of right decisions, `probability > threshold` meaning present: [..., K]."""
    return _by_class(lambda p, y: ((p > threshold) == y).mean(), probabilities, labels, mask)


def subset_accuracy(
    probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None, *, threshold: float = 0.5
) -> np.ndarray:
    """Share of images with all labels right [...]: masked labels never wrong, wholly masked images not counted."""
    scores, positive, kept = _probabilities(probabilities, labels, mask)
    right = ((scores > threshold) == positive) | ~kept
    counted = kept.any(axis=1)
    alive = np.isfinite(scores[:, kept]).all(axis=1) & counted.any()
    shares = right.all(axis=2)[:, counted].sum(axis=1) / max(1, counted.sum())
    return np.where(alive, shares, np.nan).reshape(np.shape(probabilities)[:-2])


def prevalence(labels: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Share of positives among the labels that count [K], NaN where none does: the AP of a random ranking."""
    return accuracy(np.ones(np.shape(labels)), labels, mask)


def all_negative_accuracy(labels: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Accuracy [K] of always answering no, which any accuracy on rare classes has to be read against."""
    return accuracy(np.zeros(np.shape(labels)), labels, mask)


def brier(probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Mean squared error of the probability, `mean (p - y)^2`: [..., K] (Brier 1950, for one binary event)."""
    return _by_class(lambda p, y: ((p - y) ** 2).mean(), probabilities, labels, mask)


# Edges between bins, of probabilities [n] and the shares [b] of the way at which they lie.
EDGES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    'mass': lambda probabilities, shares: np.quantile(probabilities, shares),
    'width': lambda probabilities, shares: shares,
}


def expected_calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    bins: int = 15,
    spacing: str = 'mass',
) -> np.ndarray:
    """Mean gap between predicted probability and observed frequency, `sum_b n_b / n |mean p - mean y|`: [..., K].

    Bins are closed on the right. They hold equally many examples by default ('mass', Nguyen and O'Connor 2015): of
    the equally wide bins ('width', Guo 2017) a rare class fills hardly more than the first. Equal probabilities share
    a bin. The probability is that of the finding, not that of the more likely answer.
    """
    edges = lookup(EDGES, spacing, 'bin spacing')
    grid = np.linspace(0, 1, bins + 1)[1:-1]

    def gap(p, y):
        return np.abs(np.bincount(np.searchsorted(edges(p, grid), p), p - y)).sum() / len(p)

    return _by_class(gap, probabilities, labels, mask)


@takes(values='... K')
def macro(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the defined classes and their number, [...] each, of values [..., K]; NaN where none is defined."""
    defined = np.isfinite(values)
    number = defined.sum(axis=-1)
    with np.errstate(invalid='ignore'):
        return np.where(defined, values, 0).sum(axis=-1) / number, number


def _pooled(
    scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """All classes as one: scores [..., N * K, 1], labels and mask [N * K, 1]."""
    scores, labels, mask = _arrays(scores, labels, mask)
    flat_mask = None if mask is None else np.reshape(mask, (-1, 1))
    return scores.reshape(*scores.shape[:-2], -1, 1), np.reshape(labels, (-1, 1)), flat_mask


def micro(
    metric: Callable[..., np.ndarray],
    scores: ArrayLike,
    labels: ArrayLike,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> np.ndarray:
    """One value [...] of a metric of this module over the entries of all classes together, weights as in `ranking`."""
    options = {} if weights is None else {'weights': np.repeat(weights, np.shape(labels)[1], axis=-1)}
    return metric(*_pooled(scores, labels, mask), **options)[..., 0]


def per_class(probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None) -> dict[str, np.ndarray]:
    """{metric: [..., K]} of every metric by class."""
    return {
        **ranking(probabilities, labels, mask),
        'accuracy': accuracy(probabilities, labels, mask),
        'brier': brier(probabilities, labels, mask),
        'expected_calibration_error': expected_calibration_error(probabilities, labels, mask),
    }


def evaluate(
    probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """All metrics of probabilities [P, N, K], as {level: {metric: array}}.

    Levels: 'class' [P, K]; 'macro' [P], the mean over the defined classes; 'defined' [P], how many those are;
    'micro' [P], over the entries of all classes together; 'image' [P], the subset accuracy.
    """
    by_class = per_class(probabilities, labels, mask)
    means = {name: macro(values) for name, values in by_class.items()}
    pooled = per_class(*_pooled(probabilities, labels, mask))
    return {
        'class': by_class,
        'macro': {name: mean for name, (mean, _) in means.items()},
        'defined': {name: number for name, (_, number) in means.items()},
        'micro': {name: values[..., 0] for name, values in pooled.items()},
        'image': {'subset_accuracy': subset_accuracy(probabilities, labels, mask)},
    }


@takes(probabilities='P N K')
def seed_ensemble(probabilities: ArrayLike, groups: Iterable[Hashable]) -> tuple[list[Any], np.ndarray]:
    """Names of the G groups, in order of appearance, and their mean probability [G, N, K].

    `groups` [P] names each member's group (its arm). A member with a probability that is not finite is left out; a
    group without any other is NaN.
    """
    probabilities = np.asarray(probabilities, np.float64)
    groups = list(groups) if isinstance(groups, Iterable) else []
    if len(groups) != len(probabilities):
        raise ValueError(f'groups has {len(groups)} names for {len(probabilities)} members.')
    alive = np.isfinite(probabilities).all(axis=(1, 2))
    names = list(dict.fromkeys(groups))
    member = np.array([[group == name for group in groups] for name in names]) & alive
    with np.errstate(invalid='ignore'):
        share = member / member.sum(axis=1, keepdims=True)
    return names, np.tensordot(share, np.where(alive[:, None, None], probabilities, 0), axes=1)
