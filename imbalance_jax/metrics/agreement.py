"""How much members that differ by a seed or an arm agree on single images: churn, kappa, ambiguity, instability.

NumPy float64 on the host. Decisions [S, N, K] of S members are 0 or 1, probabilities [S, N, K]; weights [R, N] say how
often each image counts in each round of a bootstrap; an entry of mask [N, K] that is 0 counts nowhere.
"""

from collections.abc import Callable
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics.decision import share
from imbalance_jax.system.shapes import Anything, fitting, takes

FEWEST = 3  # members, whose figures may vary over them


class Pairs(NamedTuple):
    """Pairs of members, first [M] and second [M]."""

    first: np.ndarray
    second: np.ndarray


def pairs_within(number: int) -> Pairs:
    """All pairs of `number` members."""
    return Pairs(*np.array(list(combinations(range(number), 2)), int).reshape(-1, 2).T)


@takes(seeds=Anything('S'), others=Anything('T'))
def pairs_between(seeds: np.ndarray, others: np.ndarray) -> Pairs:
    """All pairs of one member and another of a different seed."""
    found = [(i, j) for i, j in product(range(len(seeds)), range(len(others))) if seeds[i] != others[j]]
    return Pairs(*np.array(found, int).reshape(-1, 2).T)


@takes(first='... N K', second='... N K', mask='N K', weights='R N')
def churn(first: np.ndarray, second: np.ndarray, mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share [R, M, K] of images on which decisions [M, N, K] differ (Milani Fard et al. 2016)."""
    return share(np.abs(np.subtract(first, second, dtype=np.float64)), mask, weights)


@takes(first='... N K', second='... N K', mask='N K', weights='R N')
def kappa(first: np.ndarray, second: np.ndarray, mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cohen's kappa [R, M, K] of decisions [M, N, K]: agreement above chance; NaN where nothing is called."""
    one, other = share(first, mask, weights), share(second, mask, weights)
    agreed, chance = 1 - churn(first, second, mask, weights), one * other + (1 - one) * (1 - other)
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(chance < 1, (agreed - chance) / (1 - chance), np.nan)


@takes(decisions='S+ N K', mask='N K', weights='R N')
def ambiguity(decisions: np.ndarray, mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share [R, K] of images on which not all members decide alike (Marx et al. 2020). It grows with their number."""
    return share((decisions != decisions[:1]).any(0) * 1.0, mask, weights)


@takes(probabilities='S+ ...')
def spread(probabilities: np.ndarray) -> np.ndarray:
    """What each member [S, N, K] is away from the members' mean, as if that were over many: |p - mean| sqrt(S/(S-1)).

    Its mean over members is MAPE_i, mean_b |p_b(i) - p(i)| (Riley and Collins 2023, "Stability of clinical prediction
    models"). The factor is exact for normal p_b and makes populations of different S comparable. NaN of one member.
    """
    number = len(probabilities)
    factor = np.sqrt(number / (number - 1)) if number > 1 else np.nan
    return np.abs(probabilities - probabilities.mean(0)) * factor


def left_out(measure: Callable[[np.ndarray], np.ndarray], number: int) -> np.ndarray:
    """Values [..., S, K] whose mean is what `measure` [..., K] gives of all S members, and whose variance over members
    is that of a jackknife (Miller 1974): pseudo-values, moved to that mean. measure: of the positions of some members.
    Below `FEWEST` members what it gives of all, S times.
    """
    whole, pseudo = _pseudo_values(measure, number)
    return pseudo + (whole - pseudo.mean(-2, keepdims=True))


def _pseudo_values(measure: Callable[[np.ndarray], np.ndarray], number: int) -> tuple[np.ndarray, np.ndarray]:
    """What `measure` gives of all S members [..., 1, K], and S of it less S - 1 of what it gives without each one
    [..., S, K]."""
    everyone = np.arange(number)
    whole = measure(everyone)[..., None, :]
    if number < FEWEST:
        return whole, np.repeat(whole, number, -2)
    without = np.stack([measure(np.delete(everyone, one)) for one in range(number)], -2)
    return whole, number * whole - (number - 1) * without


@takes(of_pairs='... M K')
def jackknifed(of_pairs: np.ndarray, pairs: Pairs, number: int) -> np.ndarray:
    """Pseudo-values [..., S, K] whose mean is the mean over pairs within S members, [..., M, K].

    T_s = S U - (S - 1) U_-s, with U the mean over all pairs and U_-s that over those without s: their variance over
    seeds is that of U, though pairs share members (Arvesen 1969). Below three members U itself, S times.
    """
    fitting({'pairs': pairs.first, 'of_pairs': of_pairs}, {'pairs': 'M', 'of_pairs': '... M K'})

    def within(members: np.ndarray) -> np.ndarray:
        return of_pairs[..., np.isin(pairs.first, members) & np.isin(pairs.second, members), :].mean(-2)

    return _pseudo_values(within, number)[1]
