"""What the mean over seeds of a figure of resampled patients varies by, and how well that is known.

The formulas are those of `metrics.intervals`. NumPy float64 on the host; what is not finite (a dead member, a class
that a round has lost) is left out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.system.shapes import takes

FEW = 1.5  # how much a part's few degrees of freedom take off the exponent of its share
LOWEST = 0.5  # the lowest such exponent


class Variances(NamedTuple):
    """What a mean over seeds varies by: variance [...] of the mean that seeds, patients and their interaction give.

    Estimates of variances that are 0 can be below 0 and are cut there.
    """

    seeds: np.ndarray
    patients: np.ndarray
    interaction: np.ndarray


def finite_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the finite ones; NaN of none."""
    finite = np.isfinite(values)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(finite, values, 0.0).sum(axis) / finite.sum(axis)


def finite_variance(values: np.ndarray, axis: int) -> np.ndarray:
    """Variance, n - 1, of the finite ones; NaN below two."""
    number = np.isfinite(values).sum(axis)
    squares = (values - np.expand_dims(finite_mean(values, axis), axis)) ** 2
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(np.isfinite(squares), squares, 0.0).sum(axis) / np.where(number > 1, number - 1, np.nan)


@takes(values='S ...', resampled='R S ...')
def variances(values: ArrayLike, resampled: ArrayLike) -> Variances:
    """What the mean over seeds of values [S, ...] varies by; resampled: [R, S, ...] the same in rounds of patients."""
    values, resampled = np.asarray(values, np.float64), np.asarray(resampled, np.float64)
    number = np.isfinite(values).sum(0)
    of_mean, of_one = finite_variance(finite_mean(resampled, 1), 0), finite_mean(finite_variance(resampled, 0), 0)
    interaction = np.where(number > 1, np.maximum(of_one - of_mean, 0) / np.maximum(number - 1, 1), 0.0)
    over_seeds = finite_variance(values, 0) / np.maximum(number, 1)
    return Variances(np.maximum(over_seeds - interaction, 0), np.maximum(of_mean - interaction, 0), interaction)


def inverse_df(share: np.ndarray, df: np.ndarray, lowest: float = LOWEST) -> np.ndarray:
    """What a part of the variance adds to 1 / df, by its share [...] and its own degrees of freedom [...]."""
    return share ** np.maximum(2 - FEW / df, lowest) / df


def of_interaction(values: np.ndarray, resampled: np.ndarray) -> np.ndarray:
    """The variance [K] of one network's figure by the interaction of networks and patients."""
    number = np.isfinite(values).sum(0)
    return variances(values, resampled).interaction * np.maximum(number, 1)
