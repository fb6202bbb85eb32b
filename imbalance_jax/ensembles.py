"""What a number of seeds is worth: their spread, the gain of ensembles by size, and how many a difference needs."""

import numpy as np
from scipy import stats

from imbalance_jax import metrics, tables

FEWEST = 8  # seeds of an arm, below which a spread says little
DRAWS = 200  # ensembles of a size, where there are more than that
RANKING = ('auroc', 'average_precision')


def rows(members: list[dict], probabilities, labels, mask, alive, seed: int = 0) -> list[dict]:
    """Rows of results/seeds for one split, of every arm with at least `FEWEST` living seeds; [] without one.

    probabilities: [P,N,K]; labels, mask: [N,K]; alive: [P] bool. For every size k the macro AUROC and average precision
    of the mean probability of k seeds, drawn without replacement: mean and sd over draws, n their number.
    """
    made = []
    for numbers in tables.by_arm(members).values():
        living = [number for number in numbers if alive[number]]
        if len(living) < FEWEST:
            continue
        for size, subsets in drawn(len(living), seed).items():
            together = np.stack([probabilities[living][subset].mean(0) for subset in subsets])
            found = metrics.ranking(together, labels, mask)
            for metric in RANKING:
                macro = metrics.macro(found[metric])[0]
                spread = {'': macro.mean(), '_sd': macro.std(ddof=1) if len(macro) > 1 else np.nan}
                fields = {'class': 'macro', 'method': f'ensemble of {size}', 'n': len(subsets)}
                row = members[living[0]]
                made += [tables.of_arm(row, metric=f'{metric}{end}', value=v, **fields) for end, v in spread.items()]
    return made


def drawn(count: int, seed: int = 0) -> dict[int, np.ndarray]:
    """Size -> subsets [draws,size] of `count` seeds: 1, 2, 4 .. and all; every seed alone, and all once."""
    rng, sizes = np.random.default_rng(seed), [2**i for i in range(count.bit_length()) if 2**i < count]
    subsets = {size: np.stack([rng.permutation(count)[:size] for _ in range(DRAWS)]) for size in sizes[1:]}
    return {1: np.arange(count)[:, None], **subsets, count: np.arange(count)[None]}


def deviation_interval(deviation: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a standard deviation estimated from `count` normal values, by the chi-squared distribution."""
    if count < 2 or not np.isfinite(deviation):
        return np.nan, np.nan
    tails = stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], count - 1)
    low, high = deviation * np.sqrt((count - 1) / tails)
    return float(low), float(high)


def seeds_needed(deviation: float, difference: float, power: float = 0.8, level: float = 0.05) -> float:
    """Seeds an arm with which Student's two-sample t-test finds a true difference; NaN without a spread.

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
    """Of the two-sided two-sample t-test with `count` values a group."""
    freedom, shift = 2 * count - 2, effect * np.sqrt(count / 2)
    bar = stats.t.ppf(1 - level / 2, freedom)
    if shift > 35:  # certain; scipy's noncentral t is not made for it
        return 1.0
    return float(stats.nct.sf(bar, freedom, shift) + stats.nct.cdf(-bar, freedom, shift))
