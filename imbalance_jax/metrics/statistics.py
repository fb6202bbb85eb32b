"""Which differences are real: patient bootstrap, paired tests over seeds, tests of arms, corrections for many tests.

NumPy float64 on the host. A value that is not finite (an undefined class, a dead member, an image without a score) is
left out and counted; where nothing is left the result is NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from imbalance_jax.metrics.intervals import over_seeds, p_value
from imbalance_jax.system.shapes import Anything, takes


@takes(clusters=Anything('N+'))
def cluster_weights(clusters: ArrayLike, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """How often each example counts in each round of a cluster bootstrap: clusters [N] -> [R, N] int16.

    Whole clusters (patients) are drawn with replacement, as many as there are, because the images of a patient are not
    independent. Example-wise bootstrap: `clusters = arange(N)`.
    """
    names, which = np.unique(clusters, return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rounds)
    return draws.astype(np.int16)[:, which]


@takes(values='... N', weights='R N')
def weighted_mean(values: np.ndarray, weights: ArrayLike) -> np.ndarray:
    """Mean [R, ...] of the finite values [..., N] under each row of weights [R, N]; NaN where none has weight."""
    finite = np.isfinite(values)
    weights = np.asarray(weights, np.float64)
    total = np.tensordot(weights, np.where(finite, values, 0.0), axes=(1, -1))
    if finite.all():
        number = weights.sum(1).reshape(-1, *[1] * (values.ndim - 1))
    else:
        number = np.tensordot(weights, finite.astype(np.float64), axes=(1, -1))
    with np.errstate(invalid='ignore'):
        return total / number


class Moments(NamedTuple):
    """Number, mean and standard deviation (n - 1) of what is finite."""

    number: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


@takes(values='S ...')
def moments(values: ArrayLike) -> Moments:
    """Moments [...] over axis 0 of the finite values [S, ...]; NaN for the mean of none and the deviation of one."""
    values = np.asarray(values)
    finite = np.isfinite(values)
    number = finite.sum(axis=0)
    with np.errstate(invalid='ignore', divide='ignore'):
        mean = np.where(finite, values, 0).sum(axis=0) / number
        squares = np.where(finite, (values - mean) ** 2, 0).sum(axis=0)
        return Moments(number, mean, np.sqrt(squares / np.where(number > 1, number - 1, np.nan)))


@takes(values='...')
def finite_mean(values: np.ndarray) -> float:
    """Mean of the finite ones of some values; NaN without any."""
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float('nan')


def paired_t(differences: ArrayLike) -> np.ndarray:
    """Two-sided p [...] of Student's paired t test on the seeds' differences [S, ...], as of `over_seeds`.

    NaN below two pairs and where all differences are equal: three times the same count is no proof.
    """
    return p_value(over_seeds(differences))


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


@takes(p='...')
def holm(p: ArrayLike) -> np.ndarray:
    """p values adjusted for family-wise error over all finite entries of any shape, `max_{j<=i} (n - j + 1) p_j`."""
    return _in_order(p, lambda p: np.maximum.accumulate(np.arange(len(p), 0, -1) * p))


@takes(p='...')
def benjamini_hochberg(p: ArrayLike) -> np.ndarray:
    """p values adjusted for false discovery rate over all finite entries of any shape, `min_{j>=i} n p_j / j`."""
    return _in_order(p, scipy.stats.false_discovery_control)
