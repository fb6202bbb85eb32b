"""Do metrics rank arms alike? Kendall's tau_b of arms by two outcomes: rows of results/rank_agreement.

    tau_b = (concordant - discordant pairs of arms) / sqrt(pairs not tied in one x pairs not tied in the other)

Of every seed's own arms, and its mean over seeds with the interval over seeds and patients: how far one run of every
arm would agree. Seed noise draws that towards 0, so the tau of the arms' means over seeds stands beside it, with the
exact p of the hypothesis that ranks have nothing to do with each other (Kendall 1938; arms exchanged).
"""

from collections.abc import Sequence

import numpy as np
import scipy

from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.outcomes import Outcome
from imbalance_jax.results.paired import Estimate, estimate, figures, grid
from imbalance_jax.results.rows import MACRO, Population, Row, of_kind

FEWEST = 3  # arms; two can only be ranked alike or not
OF_MEANS, OF_SEEDS = 'arm_means', 'single_seeds'


def rows(population: Population, outcomes: Sequence[Outcome], ranked: Sequence[str]) -> list[Row]:
    """tau of each metric of `ranked` (of performance) with every other outcome, of macro means.

    statistic value, p and p_adjusted (Holm over all) of the arms' means (`ranks` 'arm_means'; n is the number of arms),
    mean, low and high of single seeds (n of seeds), the ends cut at -1 and 1. Arms are those that are compared.
    """
    arms = list(population.compared)
    members = grid(population, arms)
    if len(arms) < FEWEST or not len(members):
        return []
    first = [one for one in outcomes if one.metric in ranked and not one.above and not one.method]
    pairs = [(one, other) for i, one in enumerate(first) for other in (*first[i + 1 :], *_others(outcomes, first))]
    tests = [of_means(one, other, members) for one, other in pairs]
    adjusted, result = holm([p for _, p in tests]), []
    for (one, other), (tau, p), p_adjusted in zip(pairs, tests, adjusted, strict=True):
        where = {'name': MACRO, 'other_metric': other.metric, 'other_method': other.method, 'above': other.above}
        for statistic, value in {'value': tau, 'p': p, 'p_adjusted': p_adjusted}.items():
            what = {'statistic': statistic, 'ranks': OF_MEANS, **where}
            result.append(of_kind('population', one.metric, value, len(arms), **what))
        of_seeds = of_single_seeds(one, other, members)
        [numbers] = figures([of_seeds])
        for statistic in ('mean', 'low', 'high'):
            what = {'statistic': statistic, 'ranks': OF_SEEDS, **where}
            result.append(of_kind('population', one.metric, np.clip(numbers[statistic], -1, 1), of_seeds.seeds, **what))
    return result


def tau_b(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Kendall's tau_b [...] between values [..., A]; NaN where one side has no order."""
    i, j = np.triu_indices(one.shape[-1], 1)
    x, y = (np.sign(values[..., i] - values[..., j]) for values in (one, other))
    with np.errstate(invalid='ignore', divide='ignore'):
        return (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))


def _others(outcomes: Sequence[Outcome], first: Sequence[Outcome]) -> list[Outcome]:
    return [one for one in outcomes if not any(one is other for other in first)]


def _arms(outcome: Outcome, members: np.ndarray) -> np.ndarray:
    """Macro values [S,A]."""
    return outcome.of(MACRO)[0][members]


def _arm_rounds(outcome: Outcome, members: np.ndarray) -> np.ndarray:
    """The same in rounds [R,S,A]."""
    return outcome.of(MACRO)[1][:, members]


def _same_rounds(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with as many rounds: a count of units is the same in all."""
    rounds = max(len(one), len(other))
    one, other = (np.broadcast_to(a[:1], (rounds, *a.shape[1:])) if len(a) < rounds else a for a in (one, other))
    return one, other


def of_single_seeds(one: Outcome, other: Outcome, members: np.ndarray) -> Estimate:
    """The mean over seeds of tau_b between the arms of one seed; members: [S,A] numbers."""
    values = [_arms(outcome, members) for outcome in (one, other)]
    rounds = _same_rounds(*(_arm_rounds(outcome, members) for outcome in (one, other)))
    return estimate(tau_b(*values), tau_b(*rounds))


def of_means(one: Outcome, other: Outcome, members: np.ndarray) -> tuple[float, float]:
    """tau_b of the arms' means over seeds, and its two-sided p (exact without ties)."""
    test = scipy.stats.kendalltau(*(_arms(outcome, members).mean(0) for outcome in (one, other)))
    return float(test.statistic), float(test.pvalue)
