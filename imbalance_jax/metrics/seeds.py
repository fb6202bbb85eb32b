"""What a number of seeds is worth: the interval of their spread, and how many seeds a difference needs."""

import numpy as np
import scipy


def deviation_interval(deviation: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a standard deviation estimated from `count` normal values, by the chi-squared distribution."""
    if count < 2 or not np.isfinite(deviation):
        return np.nan, np.nan
    tails = scipy.stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], count - 1)
    low, high = deviation * np.sqrt((count - 1) / tails)
    return float(low), float(high)


def seeds_needed(deviation: float, difference: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """Seeds per arm with which Student's two-sample t-test finds a true difference; NaN without a spread.

    deviation: between seeds, the same in both arms, whose seeds are independent. Pairing by seed needs fewer where the
    arms' values go together. Exact, by the noncentral t distribution; at least 2.
    """
    if not (np.isfinite(deviation) and deviation > 0 and difference > 0):
        return np.nan
    low, high = 1, 2
    while _power(high, difference / deviation, level) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, difference / deviation, level) >= power else (middle, high)
    return float(high)


def _power(count: int, effect: float, level: float) -> float:
    """Of the two-sided two-sample t-test with `count` values per group."""
    freedom, shift = 2 * count - 2, effect * np.sqrt(count / 2)
    bar = scipy.stats.t.ppf(1 - level / 2, freedom)
    if shift > 35:  # certain; scipy's noncentral t is not made for it
        return 1.0
    return float(scipy.stats.nct.sf(bar, freedom, shift) + scipy.stats.nct.cdf(-bar, freedom, shift))
