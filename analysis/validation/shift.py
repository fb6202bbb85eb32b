"""Coverage of intervals of a shift between two data sets, and errors of its tests, in planted regimes of variance.

Both sets are drawn as in `intervals.planted_scores`: each has patients of its own, the networks, and so the part of a
score's separation that varies with the seed, are the same up to what the other set changes of it. Two arms lose a
planted amount of separation there; the true AUROC on both sides is a formula.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from imbalance_jax.analysis.validation.intervals import COVERED, LEVEL, ROUNDS, untied_auroc
from imbalance_jax.analysis.validation.simulation import Measured
from imbalance_jax.metrics import intervals
from imbalance_jax.metrics.statistics import cluster_weights

SEEDS = (3, 5, 10)
SEPARATION = 1.4


class Regime(NamedTuple):
    """Patients of each set, one film each, and prevalence there; what separation both arms lose, and the second more;
    standard deviation over seeds of the separation that both sets share and of what each has of its own; shares of arm
    and member in the noise."""

    patients: tuple[int, int] = (400, 250)
    prevalence: tuple[float, float] = (0.2, 0.3)
    loss: float = 0.4
    difference: float = 0.0
    shared: float = 0.15
    own: float = 0.1
    arm: float = 0.2
    member: float = 0.15


REGIMES = {
    'both sets': Regime(),
    'seeds dominate': Regime((800, 800), shared=0.3, own=0.25),
    'a small other set': Regime((800, 60), (0.15, 0.4)),
    'rare there': Regime((600, 600), (0.2, 0.03)),
    'patients alone': Regime(shared=0.0, own=0.0),
    'arms transfer differently': Regime(difference=0.3),
    'no shift': Regime(loss=0.0),
}


def true_auroc(regime: Regime) -> np.ndarray:
    """AUROC [2 arms, 2 sets]: mean over seeds of Phi((d + sd e) / sqrt 2)."""
    separation = SEPARATION - np.array([[0.0, regime.loss], [0.0, regime.loss + regime.difference]])
    variance = regime.shared**2 + regime.own**2
    return stats.norm.cdf(separation / np.sqrt(2 + variance))


def shift(runs: int, *, seed: int = 0) -> list[Measured]:
    """Coverage of an arm's shift and of two arms' difference in it; p where no shift or no difference is planted."""
    result = []
    for number, (name, regime) in enumerate(REGIMES.items()):
        rng = np.random.default_rng([seed, number])
        answers = [_study(rng, regime) for _ in range(runs)]
        for what in answers[0]:
            share = float(np.mean([one[what] for one in answers]))
            lowest, highest = (0.0, LEVEL) if what.startswith('type I') else COVERED
            result.append(Measured(what, name, share, lowest, highest, runs))
    return result


def _study(rng: np.random.Generator, regime: Regime) -> dict[str, bool]:
    """What one study answers, by question."""
    most, values, rounds, clusters = max(SEEDS), [], [], []
    shared = regime.shared * rng.normal(size=(2, most, 1))
    for number in range(2):
        count = regime.patients[number]
        sick = rng.random(count) < regime.prevalence[number]
        lost = number * (regime.loss + regime.difference * np.arange(2))[:, None, None]
        separation = SEPARATION - lost + shared + regime.own * rng.normal(size=(2, most, 1))
        shares = {(1, 1): 1 - regime.arm - regime.member, (2, 1): regime.arm, (2, most): regime.member}
        noise = sum(np.sqrt(share) * rng.normal(size=(*lead, count)) for lead, share in shares.items())
        one = (noise + separation * sick)[..., None]
        weights = cluster_weights(np.arange(count), ROUNDS, rng)
        both = np.concatenate([np.ones((1, count)), weights])
        auroc = untied_auroc(one, sick[:, None].astype(float), both)
        values.append(auroc[0])
        rounds.append(auroc[1:])
        clusters.append(min(sick.sum(), (~sick).sum()))
    true, result = true_auroc(regime), {}
    for seeds in SEEDS:
        at_home, away = ((of[:, :seeds], many[:, :, :seeds]) for of, many in zip(values, rounds, strict=True))
        moved = _interval(away[0][0], at_home[0][0], away[1][:, 0], at_home[1][:, 0], clusters)
        other = _interval(
            away[0][1] - away[0][0],
            at_home[0][1] - at_home[0][0],
            away[1][:, 1] - away[1][:, 0],
            at_home[1][:, 1] - at_home[1][:, 0],
            clusters,
        )
        of_arm, of_arms = true[0, 1] - true[0, 0], true[1, 1] - true[1, 0] - (true[0, 1] - true[0, 0])
        for what, interval, truth in (('a shift', moved, of_arm), ('the difference of two shifts', other, of_arms)):
            result[f'coverage, {what}, {seeds} seeds'] = bool(interval.low[0] <= truth <= interval.high[0])
            if abs(truth) < 1e-12:
                result[f'type I, {what}, {seeds} seeds'] = bool(intervals.p_value(interval)[0] < LEVEL)
    return result


def _interval(
    values: np.ndarray, others: np.ndarray, rounds: np.ndarray, other_rounds: np.ndarray, clusters: list[int]
) -> intervals.Interval:
    """Of values [S, 1] of two samples of patients, the second sample's `values` first."""
    return intervals.independent_difference(
        values, others, rounds, other_rounds, clusters=clusters[1], other_clusters=clusters[0]
    )


SIMULATIONS = {'shift': shift}
