"""Coverage of intervals of performance and of hit shares, and errors of their tests, in planted regimes of variance.

A score is a class's separation, which varies with the seed, and noise in four parts: of the image, of arm and image (an
arm errs on images of its own), of member and image (so does a seed), each half of it shared by a patient's films. The
true AUROC of such normal scores is a formula.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from imbalance_jax.analysis.validation.simulation import Measured
from imbalance_jax.metrics import intervals, scores
from imbalance_jax.metrics.intervals import Interval
from imbalance_jax.metrics.statistics import cluster_weights, weighted_mean

SEEDS = (3, 5, 10)
ROUNDS = 200  # of a bootstrap
LEVEL = 0.05
COVERED = (0.93, 0.97)  # where the coverage of a 95 % interval should lie
WITHIN_PATIENT = 0.5  # share of the noise that the films of a patient have in common
STAYS = 0.8  # probability that a patient's further film shows the finding too


class Regime(NamedTuple):
    """What is planted: patients with 1..films films; by class prevalence, separation in standard deviations and the
    arms' difference in it; standard deviation of the separation over seeds; shares of arm and member in the noise.

    heavy: seeds differ by Student's t with 3 degrees of freedom; positives: exactly so many patients have the finding.
    """

    patients: int = 375
    films: int = 2
    prevalence: tuple[float, ...] = (0.16,)
    separation: tuple[float, ...] = (1.3,)
    difference: tuple[float, ...] = (0.1,)
    seed_deviation: float = 0.08
    arm: float = 0.1
    member: float = 0.15
    heavy: bool = False
    positives: int = 0


REGIMES = {
    'seeds dominate': Regime(500, 1, (0.3,), (1.2,), seed_deviation=0.25, arm=0.02, member=0.02),
    'near the ceiling, heavy tails': Regime(separation=(2.9,), seed_deviation=0.35, heavy=True),
    'common class': Regime(),
    'rare class, about 20 patients': Regime(prevalence=(0.055,)),
    '7 positive patients': Regime(positives=7),
    '5 positive patients': Regime(positives=5, arm=0.2),
    'interaction only': Regime(difference=(0.0,), seed_deviation=0.0, arm=0.0, member=0.4),
    'arms err on other patients': Regime(difference=(0.0,), seed_deviation=0.02, arm=0.35, member=0.05),
    '1 to 9 films per patient': Regime(120, 9, (0.2,), (1.3,), (0.05,), seed_deviation=0.05, arm=0.3),
    'macro of 4 classes': Regime(
        prevalence=(0.16, 0.08, 0.04, 0.02),
        separation=(1.2, 1.8, 1.0, 2.2),
        difference=(0.1, -0.1, 0.2, 0.0),
        seed_deviation=0.15,
    ),
    'a large difference': Regime(500, 1, (0.3,), (1.2,), (0.4,), seed_deviation=0.05, arm=0.02, member=0.02),
}


def performance(runs: int, *, seed: int = 0) -> list[Measured]:
    """Coverage of a paired difference of AUROC and of an arm's level, by regime and number of seeds; of the macro mean
    where there are several classes. Tests: p where nothing was planted, equivalence where the margin is the truth."""
    result = []
    for number, (name, regime) in enumerate(REGIMES.items()):
        rng, answers = np.random.default_rng([seed, number]), []
        truth = true_auroc(regime)
        for _ in range(runs):
            answers.append(_study(rng, regime, truth))
        for what, share in _shares(answers).items():
            lowest, highest = (0.0, LEVEL) if what.startswith('type I') else COVERED
            result.append(Measured(what, name, share, lowest, highest, runs))
    return result


def _shares(answers: Sequence[dict[str, bool]]) -> dict[str, float]:
    return {what: float(np.mean([one[what] for one in answers])) for what in answers[0]}


def true_auroc(regime: Regime) -> np.ndarray:
    """AUROC [2] of both arms, macro: mean over seeds of Phi((d + sd e) / sqrt 2), the arms d +- difference / 2."""
    heavy = stats.t.ppf((np.arange(20000) + 0.5) / 20000, 3) / np.sqrt(3)
    effects = heavy if regime.heavy else stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    half = np.array(regime.difference) / 2
    separations = np.array(regime.separation) + np.stack([half, -half])
    shifted = separations[..., None] + regime.seed_deviation * effects
    return stats.norm.cdf(shifted / np.sqrt(2)).mean(-1).mean(-1)


def planted_scores(rng: np.random.Generator, regime: Regime) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [2,S,N,K] of two arms, labels [N,K] and patients [N] of one study with the most seeds."""
    count, most = len(regime.prevalence), max(SEEDS)
    patients = np.repeat(np.arange(regime.patients), rng.integers(1, regime.films + 1, regime.patients))
    sick = rng.random((regime.patients, count)) < regime.prevalence
    if regime.positives:
        sick = np.argsort(rng.random(sick.shape), axis=0) < regime.positives
    first = np.append(True, patients[1:] != patients[:-1])
    labels = sick[patients] & (first[:, None] | (rng.random((len(patients), count)) < STAYS))
    shares = {(1, 1): 1 - regime.arm - regime.member, (2, 1): regime.arm, (2, most): regime.member}
    values = np.zeros((2, most, len(patients), count))
    for lead, share in shares.items():
        of_patient = rng.normal(size=(*lead, regime.patients, count))[..., patients, :]
        of_film = rng.normal(size=(*lead, len(patients), count))
        noise = np.sqrt(WITHIN_PATIENT) * of_patient + np.sqrt(1 - WITHIN_PATIENT) * of_film
        values = values + np.sqrt(share) * noise
    effects = rng.standard_t(3, (2, most, count)) / np.sqrt(3) if regime.heavy else rng.normal(size=(2, most, count))
    half = np.array(regime.difference) / 2
    separation = np.array(regime.separation) + np.stack([half, -half])[:, None] + regime.seed_deviation * effects
    return values + separation[:, :, None] * labels, labels.astype(float), patients


def _study(rng: np.random.Generator, regime: Regime, truth: np.ndarray) -> dict[str, bool]:
    """What one study answers, by question."""
    values, labels, patients = planted_scores(rng, regime)
    weights = cluster_weights(patients, ROUNDS, rng)
    once, true, result = np.ones((1, len(patients))), truth[0] - truth[1], {}
    auroc, auroc_rounds = (scores.macro(untied_auroc(values, labels, one))[0] for one in (once, weights))
    auroc, planted = auroc[0], abs(true) > 1e-12  # [2,S]; rounds [R,2,S]
    if not planted:
        rankings = scores.ranking(values, labels), scores.ranking(values, labels, weights=weights)
        precision, precision_rounds = (scores.macro(one['average_precision'])[0] for one in rankings)
    by_class = intervals.effective_clusters(labels, np.ones_like(labels), patients)
    clusters = intervals.clusters_of_mean(by_class)
    for seeds in SEEDS:
        got = _difference(auroc[:, :seeds], auroc_rounds[:, :, :seeds], clusters)
        result[f'coverage, difference of AUROC, {seeds} seeds'] = _covers(got, true)
        level = intervals.seed_interval(auroc[0, :seeds, None], auroc_rounds[:, 0, :seeds, None], clusters=clusters)
        result[f'coverage, AUROC, {seeds} seeds'] = _covers(intervals.within_unit(level), truth[0])
        if planted:
            equal = intervals.equivalence(got, abs(true))[0] < LEVEL
            result[f'type I, equivalence at the margin, {seeds} seeds'] = bool(equal)
        else:
            result[f'type I, AUROC, {seeds} seeds'] = bool(intervals.p_value(got)[0] < LEVEL)
            of_precision = _difference(precision[:, :seeds], precision_rounds[:, :, :seeds], clusters)
            result[f'type I, average precision, {seeds} seeds'] = bool(intervals.p_value(of_precision)[0] < LEVEL)
    return result


def untied_auroc(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`scores.auroc` [R,2,S,K] of scores [2,S,N,K] without ties, in a fifth of its time; NaN as there."""
    result = np.empty((len(weights), *values.shape[:2], values.shape[-1]))
    for k, positive in enumerate(labels.T == 1):
        hits, others = (weights[:, side].astype(float) for side in (positive, ~positive))
        for arm, s in np.ndindex(values.shape[:2]):
            one, other = (values[arm, s, side, k] for side in (positive, ~positive))
            order = np.argsort(other)
            below = np.cumsum(np.pad(others[:, order], ((0, 0), (1, 0))), axis=1)
            won = (hits * below[:, np.searchsorted(other[order], one)]).sum(1)
            with np.errstate(invalid='ignore'):
                result[:, arm, s, k] = won / (hits.sum(1) * others.sum(1))
    return result


def _difference(values: np.ndarray, rounds: np.ndarray, clusters: float) -> Interval:
    """Of two arms [2,S] and their rounds [R,2,S], of one figure."""
    arm, other = values[..., None]
    arm_rounds, other_rounds = rounds[:, 0, :, None], rounds[:, 1, :, None]
    return intervals.paired_difference(arm, other, arm_rounds, other_rounds, clusters=clusters)


def _covers(interval: Interval, truth: float) -> bool:
    return bool(interval.low[0] <= truth <= interval.high[0])


PAIRS = {'6 pairs': 6, '119 pairs': 119, '476 pairs': 476}
MARGINAL = 0.9  # the threshold of a hit, in standard deviations; what varies has variance 1 in all
SHARES = {'seed': 0.02, 'patient': 0.3, 'arm and patient': 0.1, 'pair': 0.38, 'member and pair': 0.2}


def hit_share(runs: int, *, seed: int = 0) -> list[Measured]:
    """Coverage of a hit share and of the difference of two equal arms, by the number of a finding's pairs.

    A study in which nothing varies has no interval and does not count.
    """
    result = []
    for number, (name, pairs) in enumerate(PAIRS.items()):
        rng = np.random.default_rng([seed, number])
        counted: dict[str, list[bool]] = {}
        for _ in range(runs):
            for what, covered in _pointing(rng, pairs).items():
                counted.setdefault(what, []).append(covered)
        for what, answers in counted.items():
            result.append(Measured(what, name, float(np.mean(answers)), *COVERED, len(answers)))
    return result


def _pointing(rng: np.random.Generator, pairs: int) -> dict[str, bool]:
    """Whether the intervals of one study hold the truth, those that there are."""
    patients, most = np.arange(pairs) // 2 if pairs > 10 else np.arange(pairs), max(SEEDS)
    axes = {
        'seed': (2, most, 1),
        'patient': (1, 1, pairs),
        'arm and patient': (2, 1, pairs),
        'pair': (1, 1, pairs),
        'member and pair': (2, most, pairs),
    }
    latent = np.zeros((2, most, pairs))
    for name, shape in axes.items():
        noise = rng.normal(size=shape)
        latent = latent + np.sqrt(SHARES[name]) * (noise[..., patients] if name.endswith('patient') else noise)
    hits = (latent < MARGINAL - 1).astype(float)
    truth = stats.norm.cdf(MARGINAL - 1)
    # Other findings' patients are drawn along with this one's, so that its share of a round varies.
    weights = cluster_weights(np.arange(8 * pairs), ROUNDS, rng)[:, patients]
    values, rounds = hits.mean(-1), weighted_mean(hits, weights)
    clusters, result = intervals.effective_number(patients), {}
    for seeds in SEEDS:
        level = intervals.seed_interval(values[0, :seeds, None], rounds[:, 0, :seeds, None], clusters=clusters)
        difference = _difference(values[:, :seeds], rounds[:, :, :seeds], clusters)
        level = intervals.within_unit(level)
        for what, interval, true in (('hit share', level, truth), ('difference of hit shares', difference, 0.0)):
            if np.isfinite(interval.low[0]):
                result[f'coverage, {what}, {seeds} seeds'] = _covers(interval, true)
    return result


SIMULATIONS = {'performance': performance, 'hit share': hit_share}
