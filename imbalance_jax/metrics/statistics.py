"""Which differences are real: patient bootstrap, paired tests over seeds, DeLong, corrections for many tests.

NumPy float64 on the host. A value that is not finite (an undefined class, a dead member, an image without a score) is
left out and counted; where nothing is left the result is NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from imbalance_jax.metrics.intervals import Interval


class DeLong(NamedTuple):
    """Two AUROCs of the same examples, and z and the two-sided p of their difference."""

    auc_a: float
    auc_b: float
    z: float
    p: float


def cluster_weights(clusters: ArrayLike, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """How often each example counts in each round of a cluster bootstrap: clusters [N] -> [R, N] int16.

    Whole clusters (patients) are drawn with replacement, as many as there are, because the images of a patient are not
    independent. Example-wise bootstrap: `clusters = arange(N)`.
    """
    names, which = np.unique(clusters, return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rounds)
    return draws.astype(np.int16)[:, which]


def weighted_mean(values: np.ndarray, weights: ArrayLike) -> np.ndarray:
    """Mean [R, ...] of the finite values [..., N] under each row of weights [R, N]; NaN where none has weight."""
    finite = np.isfinite(values)
    weights = np.asarray(weights, np.float64)
    total = np.tensordot(weights, np.where(finite, values, 0.0), axes=(1, -1))
    with np.errstate(invalid='ignore'):
        return total / np.tensordot(weights, finite.astype(np.float64), axes=(1, -1))


def _percentile_interval(estimate: np.ndarray, samples: np.ndarray, confidence: float) -> Interval:
    """Interval [...] from bootstrap samples [R, ...]; rounds that are NaN are dropped, cell by cell."""
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    columns = [column[np.isfinite(column)] for column in samples.reshape(len(samples), -1).T]
    bounds = [np.quantile(column, tails) if column.size else (np.nan, np.nan) for column in columns]
    low, high = np.moveaxis(np.reshape(bounds, (*samples.shape[1:], 2)), -1, 0)
    return Interval(estimate, low, high, np.isfinite(samples).sum(axis=0))


def cluster_mean_interval(
    values: ArrayLike, clusters: ArrayLike, rounds: int = 1000, *, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Mean over images of values [..., N] with NaN left out, and its patient-bootstrap interval [...].

    For two arms on the same images pass the difference of their values: an image that either lacks drops out of both.
    """
    values = np.asarray(values, np.float64)
    estimate = weighted_mean(values, np.ones((1, values.shape[-1])))[0]
    samples = weighted_mean(values, cluster_weights(clusters, rounds, np.random.default_rng(seed)))
    return _percentile_interval(estimate, samples, confidence)


class Moments(NamedTuple):
    """Number, mean and standard deviation (n - 1) of what is finite."""

    number: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def moments(values: ArrayLike) -> Moments:
    """Moments [...] over axis 0 of the finite values [S, ...]; NaN for the mean of none and the deviation of one."""
    values = np.asarray(values)
    finite = np.isfinite(values)
    number = finite.sum(axis=0)
    with np.errstate(invalid='ignore', divide='ignore'):
        mean = np.where(finite, values, 0).sum(axis=0) / number
        squares = np.where(finite, (values - mean) ** 2, 0).sum(axis=0)
        return Moments(number, mean, np.sqrt(squares / np.where(number > 1, number - 1, np.nan)))


def finite_mean(values: np.ndarray) -> float:
    """Mean of the finite ones of some values; NaN without any."""
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float('nan')


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """Quotient in which nothing over nothing is nothing: no difference at all is no evidence, not an unknown."""
    with np.errstate(invalid='ignore', divide='ignore'):
        nothing = (np.asarray(numerator) == 0) & (np.asarray(denominator) == 0)
        return np.where(nothing, 0.0, np.divide(numerator, denominator))


def paired_t(differences: ArrayLike) -> np.ndarray:
    """Two-sided p [...] of Student's paired t test on the seeds' differences [S, ...]; NaN below two pairs."""
    number, mean, deviation = moments(differences)
    return 2 * stats.t.sf(np.abs(_ratio(mean * np.sqrt(number), deviation)), number - 1)


def paired_effect_size(differences: ArrayLike) -> np.ndarray:
    """Cohen's d_z [...]: mean over standard deviation of the paired differences [S, ...]."""
    _, mean, deviation = moments(differences)
    return _ratio(mean, deviation)


def tost(differences: ArrayLike, margin: float) -> np.ndarray:
    """p [...] of the claim that the mean difference lies within +-margin: the larger of two one-sided paired t tests.

    `differences` [S, ...] over paired seeds (Schuirmann 1987); the margin is in the metric's own units.
    """
    if not margin > 0:
        raise ValueError(f'margin is {margin}; valid is a positive number, such as 0.005 for AUROC.')
    number, mean, deviation = moments(differences)
    above = stats.t.sf(_ratio((mean + margin) * np.sqrt(number), deviation), number - 1)
    below = stats.t.cdf(_ratio((mean - margin) * np.sqrt(number), deviation), number - 1)
    return np.maximum(above, below)


def probability_of_improvement(arm: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """P(arm > reference) [...] over all pairs of runs, ties half, of values [S, ...] and [T, ...]; chance is 0.5.

    U / (ST) of Mann and Whitney, as in Agarwal et al. 2021 (arXiv 2108.13264). It compares distributions: no pairing.
    """
    differences = np.subtract(np.asarray(arm, np.float64)[:, None], np.asarray(reference, np.float64)[None])
    finite = np.isfinite(differences)
    wins = np.where(finite, (np.sign(differences) + 1) / 2, 0).sum(axis=(0, 1))
    with np.errstate(invalid='ignore'):
        return wins / finite.sum(axis=(0, 1))


def _placements(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives below each positive [m], and of positives above each negative [n], ties half."""
    ranks = stats.rankdata(scores)
    number = positive.sum()
    above = (ranks[positive] - stats.rankdata(scores[positive])) / (len(scores) - number)
    below = 1 - (ranks[~positive] - stats.rankdata(scores[~positive])) / number
    return above, below


def delong(scores_a: ArrayLike, scores_b: ArrayLike, labels: ArrayLike) -> DeLong:
    """DeLong's test that two scores [N] of the same examples have the same AUROC: two AUROCs, z and two-sided p.

    Var(A - B) = var(V10_a - V10_b) / m + var(V01_a - V01_b) / n, with the placements V from midranks in O(N log N)
    (Sun and Xu 2014). NaN for scores that are not finite or fewer than two positives or negatives. Examples are taken
    as independent: with several images a patient p is too small, and the patient bootstrap is to be preferred.
    """
    scores, positive = np.array([scores_a, scores_b], np.float64), np.asarray(labels) == 1
    if not np.isfinite(scores).all() or min(positive.sum(), (~positive).sum()) < 2:
        return DeLong(np.nan, np.nan, np.nan, np.nan)
    above_a, below_a = _placements(scores[0], positive)
    above_b, below_b = _placements(scores[1], positive)
    difference = above_a.mean() - above_b.mean()
    variances = [np.var(a - b, ddof=1) / len(a) for a, b in ((above_a, above_b), (below_a, below_b))]
    z = _ratio(difference, np.sqrt(sum(variances)))
    return DeLong(float(above_a.mean()), float(above_b.mean()), float(z), float(2 * stats.norm.sf(abs(z))))


def hanley_mcneil_se(auc: ArrayLike, positives: ArrayLike, negatives: ArrayLike) -> np.ndarray:
    """Standard error [...] of an AUROC from the class counts alone (Hanley and McNeil 1982), for planning."""
    auc, positives, negatives = (np.asarray(value, np.float64) for value in (auc, positives, negatives))
    two_positives, two_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (two_positives - auc**2) + (negatives - 1) * (two_negatives - auc**2)
    return np.sqrt(variance / (positives * negatives))


def _in_order(p: ArrayLike, rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`rule` applied to the sorted finite p values, each put back where it was; NaN stays and is no test."""
    p = np.asarray(p, np.float64)
    wrong = p[(p < 0) | (p > 1)]
    if wrong.size:
        raise ValueError(f'p holds {wrong[0]}; valid are 0..1, and NaN for a test that could not be made.')
    order = np.argsort(p, axis=None)[: np.isfinite(p).sum()]
    adjusted = np.full(p.size, np.nan)
    adjusted[order] = np.minimum(rule(p.ravel()[order]), 1)
    return adjusted.reshape(p.shape)


def holm(p: ArrayLike) -> np.ndarray:
    """p values adjusted for family-wise error over all finite entries of any shape, `max_{j<=i} (n - j + 1) p_j`."""
    return _in_order(p, lambda p: np.maximum.accumulate(np.arange(len(p), 0, -1) * p))


def benjamini_hochberg(p: ArrayLike) -> np.ndarray:
    """p values adjusted for false discovery rate over all finite entries of any shape, `min_{j>=i} n p_j / j`."""
    return _in_order(p, stats.false_discovery_control)
