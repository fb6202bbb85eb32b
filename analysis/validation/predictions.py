"""Planted calibration, groups and churn: do intervals hold the truth, and does a gap of chance pass for a gap?"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from imbalance_jax.analysis.validation.simulation import Measured
from imbalance_jax.metrics import agreement, calibration, decision, intervals
from imbalance_jax.metrics.statistics import cluster_weights
from imbalance_jax.results import groups
from imbalance_jax.results.calibration import Predicted
from imbalance_jax.results.comparison import Truth

ROUNDS = 200
BINS = 15
NOMINAL = {'lowest': 0.93, 'highest': 0.97}
LEVEL = {'lowest': 0.0, 'highest': 0.05}


class Films(NamedTuple):
    """Patients [N] with one to five films each, and a log-odds [N] of each film that is partly the patient's."""

    patients: np.ndarray
    log_odds: np.ndarray


def draw_films(rng: np.random.Generator, patients: int, *, centre: float) -> Films:
    """Films whose log-odds have standard deviation 1.5, half of the variance being the patient's."""
    which = np.repeat(np.arange(patients), rng.choice(np.arange(1, 6), patients, p=(0.48, 0.24, 0.14, 0.08, 0.06)))
    own, shared = rng.standard_normal(len(which)), rng.standard_normal(patients)[which]
    return Films(which, centre + 1.5 * (own + shared) / np.sqrt(2))


def slopes(runs: int, *, seed: int) -> list[Measured]:
    """Members whose log-odds are the true ones times a factor of their own: the slope is its inverse."""
    result = []
    for name, centre, patients in (('20 % positives', -1.8, 300), ('4 % positives', -4.2, 400)):
        for seeds in (3, 5):
            rng, hits = np.random.default_rng([seed, seeds]), 0
            for _ in range(runs):
                films = draw_films(rng, patients, centre=centre)
                labels = (rng.random(len(films.patients)) < expit(films.log_odds))[:, None]
                factor = 1 / rng.normal(1.0, 0.1, seeds)  # the slopes have mean 1
                p = expit(factor[:, None, None] * films.log_odds[:, None])
                weights = cluster_weights(films.patients, ROUNDS, rng)
                line = calibration.recalibration(p, labels, np.ones(labels.shape), weights)
                clusters = intervals.effective_clusters(labels, np.ones(labels.shape), films.patients)
                found = intervals.seed_interval(line.slope, line.slope_rounds, clusters=clusters)
                hits += found.low[0] <= 1 <= found.high[0]
            result.append(Measured('coverage of a slope', f'{name}, {seeds} seeds', hits / runs, **NOMINAL, runs=runs))
    return result


def errors_of_right_probabilities(runs: int, *, seed: int) -> list[Measured]:
    """Right probabilities: how often the calibration error is shown to be above its null."""
    rng, above = np.random.default_rng([seed, 1]), 0
    for _ in range(runs):
        films = draw_films(rng, 300, centre=-1.8)
        p = expit(films.log_odds)[None, :]
        labels = 1.0 * (rng.random(p.shape) < p)
        rounds = np.concatenate([np.ones((1, p.shape[1])), cluster_weights(films.patients, ROUNDS, rng)])
        bins = calibration.quantile_bins(p.T, np.ones(p.T.shape), BINS)
        error = calibration.calibration_error(bins, p, labels, rounds)
        excess = error - calibration.calibration_error_null(bins, p, rounds=30, rng=rng)
        above += intervals.seed_interval(excess[:1], excess[1:, None]).low[0] > 0
    what = 'calibration error above its null'
    return [Measured(what, 'right probabilities', above / runs, **LEVEL, runs=runs)]


def gaps(runs: int, *, seed: int) -> list[Measured]:
    """Two groups of patients that a model serves alike, or one of them with scores that say little."""
    result = []
    for name, worse, valid in (('no gap', 0.0, LEVEL), ('AUROC lower by .1', 1.2, {'lowest': 0.5, 'highest': 1.0})):
        rng, small = np.random.default_rng([seed, 2]), 0
        for _ in range(runs):
            films = draw_films(rng, 300, centre=-1.8)
            labels = (rng.random(len(films.patients)) < expit(films.log_odds)).astype(np.uint8)[:, None]
            group = (rng.random(300) < 0.4).astype(int)[films.patients]
            noise = rng.standard_normal((3, len(group))) * (0.7 + worse * group)
            small += _gap_p(rng, films, labels, group, films.log_odds + noise) <= 0.05
        result.append(Measured('gap shown', name, small / runs, **valid, runs=runs))
    return result


def _gap_p(rng: np.random.Generator, films: Films, labels: np.ndarray, group: np.ndarray, scores: np.ndarray) -> float:
    truth = Truth(labels, np.ones_like(labels), films.patients)
    logits = scores[..., None]
    predicted = Predicted(logits, expit(logits), {}, np.zeros((len(logits), 1)))
    exchanged = np.stack([groups.exchanged(films.patients, group, rng) for _ in range(99)])
    every = np.concatenate([group[None], exchanged])
    auroc = groups.figures(predicted, truth, [(every == g) * 1.0 for g in (0, 1)]).auroc[..., 0]
    gap = np.ptp(auroc, axis=-1).mean(1)
    return float((gap >= gap[0]).mean())


def churns(runs: int, *, seed: int) -> list[Measured]:
    """Members whose scores are the truth and noise of their own: the churn of seeds, beside that of very many films."""
    rng, result = np.random.default_rng([seed, 3]), []
    threshold = 0.8416 * np.sqrt(1.5**2 + 1)  # a fifth is called
    truth = _expected_churn(rng, threshold)
    for seeds in (3, 5):
        hits = 0
        for _ in range(runs):
            films = draw_films(rng, 300, centre=0.0)
            scores = films.log_odds + rng.standard_normal((seeds, len(films.patients)))
            decisions = decision.called(scores[..., None], np.full((seeds, 1), threshold))
            weights = np.concatenate([np.ones((1, scores.shape[1])), cluster_weights(films.patients, ROUNDS, rng)])
            pairs = agreement.pairs_within(seeds)
            mask = np.ones((scores.shape[1], 1))
            of_pairs = agreement.churn(decisions[pairs.first], decisions[pairs.second], mask, weights)
            pseudo = agreement.jackknifed(of_pairs, pairs, seeds)
            found = intervals.seed_interval(pseudo[0], pseudo[1:])
            hits += found.low[0] <= truth <= found.high[0]
        result.append(Measured('coverage of churn', f'{seeds} seeds', hits / runs, **NOMINAL, runs=runs))
    return result


def _expected_churn(rng: np.random.Generator, threshold: float) -> float:
    """Share of films on which two members differ, from a million films."""
    signal = 1.5 * rng.standard_normal(1_000_000)
    one, other = (signal + rng.standard_normal(len(signal)) >= threshold for _ in range(2))
    return float((one != other).mean())


SIMULATIONS = {
    'slopes': slopes,
    'errors_of_right_probabilities': errors_of_right_probabilities,
    'gaps': gaps,
    'churns': churns,
}
