"""Do the questions of a design find what was planted, and only that? Trend, features x head, at equal AUROC, ranks.

Every simulated study has seeds, patients, and seeds that err on patients of their own; its rounds draw the patients
anew and nothing else, as those of the tables do.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import special

from imbalance_jax.analysis.validation.simulation import Measured, Simulation
from imbalance_jax.metrics.statistics import cluster_weights
from imbalance_jax.results import conditional, mediation, rank_agreement, trend
from imbalance_jax.results.outcomes import Outcome, with_macro
from imbalance_jax.results.paired import Estimate
from imbalance_jax.results.rows import MACRO

PATIENTS, ROUNDS = 60, 200
DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
NOMINAL = 0.95, 0.93, 0.97  # coverage, and what counts as it

# Standard deviations: of a seed's value, of a patient's, of a seed on a patient.
REGIMES = {'seeds': (0.03, 0.02, 0.02), 'patients': (0.005, 0.2, 0.02), 'interaction': (0.005, 0.02, 0.25)}


def measure(
    truth: np.ndarray, sd: Sequence[float], rng: np.random.Generator, *, patients: int = PATIENTS, rounds: int = ROUNDS
) -> tuple[np.ndarray, np.ndarray]:
    """Values [S,...] and rounds [R,S,...] about the truth [...] of every seed, of noise that arms do not share."""
    seeds, of_patients, both = sd
    shape = truth.shape
    of_seed = truth + seeds * rng.normal(size=shape)
    contributions = of_patients * rng.normal(size=(patients, 1, *shape[1:])) + both * rng.normal(
        size=(patients, *shape)
    )
    weights = cluster_weights(np.arange(patients), rounds, rng) / patients
    return of_seed + contributions.mean(0), of_seed + np.tensordot(weights, contributions, 1)


def outcome(values: np.ndarray, resampled: np.ndarray, *, metric: str = 'iou', patients: int = PATIENTS) -> Outcome:
    """Values [S,A] or [S,A,K] as an outcome of S x A members, numbered seed by seed."""
    wide = [one if one.ndim == axes else one[..., None] for one, axes in ((values, 3), (resampled, 4))]
    flat = [with_macro(one.reshape(*one.shape[: one.ndim - 3], -1, one.shape[-1])) for one in wide]
    names = (*(f'class {k}' for k in range(wide[0].shape[-1])), MACRO)
    return Outcome(metric, '', '', names, *flat, np.full(len(names), float(patients)))


def grid(seeds: int, arms: int) -> np.ndarray:
    """The member numbers [S,A] of `outcome`."""
    return np.arange(seeds * arms).reshape(seeds, arms)


def covers(one: Estimate, truth: float) -> bool:
    """Whether an interval holds the truth."""
    return bool(one.interval.low <= truth <= one.interval.high)


def coverage_of_trend(runs: int, *, seed: int) -> Iterator[Measured]:
    """A slope of 0.04 over five doses, from 3, 5 and 12 seeds."""
    for regime, sd in REGIMES.items():
        for seeds in (3, 5, 12):
            rng, held = np.random.default_rng(seed), 0
            truth = np.tile(0.04 * np.array(DOSES), (seeds, 1))
            for _ in range(runs):
                one = outcome(*measure(truth, sd, rng))
                held += covers(trend.slope(one, MACRO, grid(seeds, len(DOSES)), DOSES), 0.04)
            yield Measured('coverage', f'{regime}, {seeds} seeds', held / runs, *NOMINAL[1:], runs)


def coverage_of_mediation(runs: int, *, seed: int) -> Iterator[Measured]:
    """An effect of 0.05 through the features and none through the head, without interaction."""
    planted = {'features': 0.05, 'head': 0.0, 'interaction': 0.0, 'total': 0.05}
    for regime, sd in REGIMES.items():
        for seeds in (3, 12):
            rng, held = np.random.default_rng(seed), dict.fromkeys(planted, 0)
            truth = np.tile([0.0, 0.0, 0.05, 0.05], (seeds, 1))
            for _ in range(runs):
                one = outcome(*measure(truth, sd, rng))
                for through, value in planted.items():
                    held[through] += covers(mediation.effect(one, MACRO, grid(seeds, 4), through), value)
            for through, count in held.items():
                yield Measured('coverage', f'{through}, {regime}, {seeds} seeds', count / runs, *NOMINAL[1:], runs)


def at_equal_auroc(runs: int, *, seed: int, seeds: int = 6, classes: int = 8) -> Iterator[Measured]:
    """Three arms whose AUROC differs by class. Their maps follow AUROC, and differ by 0.05 beyond it or do not."""
    for beyond in (0.0, 0.05):
        rng, found = np.random.default_rng(seed), {'given AUROC': 0, 'not given': 0}
        for _ in range(runs):
            rejected = one_study(rng, beyond, seeds=seeds, classes=classes)
            for condition, one in zip(found, rejected, strict=True):
                found[condition] += one
        text = f'maps differ by {beyond} beyond AUROC'
        lowest, highest = (0.0, 0.07) if not beyond else (0.8, 1.0)
        yield Measured('p < 0.05, given AUROC', text, found['given AUROC'] / runs, lowest, highest, runs)
        yield Measured('p < 0.05, not given', text, found['not given'] / runs, 0.8, 1.0, runs)


def one_study(rng: np.random.Generator, beyond: float, *, seeds: int, classes: int) -> tuple[bool, bool]:
    """Whether p is below 0.05 for arm 1, given AUROC and not. AUROC of arm 1 is higher, by 0.6 on the logit scale."""
    shift = np.array([0.0, 0.6, 0.2])[:, None] + 0.3 * rng.normal(size=(3, classes))
    ability = 1.5 + 0.5 * rng.normal(size=classes) + shift + 0.15 * rng.normal(size=(seeds, 3, classes))
    maps = 0.15 * ability + np.array([0.0, beyond, 0.0])[:, None]
    auroc = [special.expit(one) for one in measure(ability, (0.0, 0.0, 0.4), rng)]
    alignment = measure(maps, (0.02, 0.05, 0.1), rng)
    fits = [conditional.fit(*both) for both in zip(alignment, auroc, strict=True)]
    given, plain = (conditional.arm_effect(*fits, 0, given=one, clusters=PATIENTS) for one in (True, False))
    return given.p < 0.05, plain.p < 0.05


def ranks(runs: int, *, seed: int, seeds: int = 5, arms: int = 6) -> Iterator[Measured]:
    """Arms whose ranks by two outcomes have nothing to do with each other, and arms that are ranked alike."""
    expected = _expected_tau(np.random.default_rng(seed + 1), arms)
    for related, lowest, highest in ((False, 0.0, 0.05), (True, 0.8, 1.0)):
        rng, rejected, held = np.random.default_rng(seed), 0, 0
        for _ in range(runs):
            one = rng.normal(size=arms) if not related else np.arange(arms) / 2
            other = rng.normal(size=arms) if not related else one
            measured = [outcome(*measure(np.tile(truth, (seeds, 1)), SPREAD, rng)) for truth in (one, other)]
            members = grid(seeds, arms)
            rejected += rank_agreement.of_means(*measured, members)[1] < 0.05
            held += covers(rank_agreement.of_single_seeds(*measured, members), expected)
        text = 'ranked alike' if related else 'ranks unrelated'
        yield Measured('p < 0.05', text, rejected / runs, lowest, highest, runs)
        if related:
            yield Measured('coverage of the mean tau of single seeds', text, held / runs, *NOMINAL[1:], runs)


SPREAD = (0.3, 0.3, 0.3)  # of `ranks`, where arms that are ranked alike are 0.5 apart


def _expected_tau(rng: np.random.Generator, arms: int, draws: int = 20000) -> float:
    """Mean tau of single seeds that are measured on PATIENTS patients, of arms that are 0.5 apart."""
    level = np.arange(arms) / 2
    error = np.sqrt(SPREAD[0] ** 2 + (SPREAD[1] ** 2 + SPREAD[2] ** 2) / PATIENTS)
    one, other = level + error * rng.normal(size=(2, draws, arms))
    return float(rank_agreement.tau_b(one, other).mean())


SIMULATIONS: dict[str, Simulation] = {
    'trend': lambda runs, *, seed: list(coverage_of_trend(runs, seed=seed)),
    'features and head': lambda runs, *, seed: list(coverage_of_mediation(runs, seed=seed)),
    'at equal AUROC': lambda runs, *, seed: list(at_equal_auroc(runs, seed=seed)),
    'ranks': lambda runs, *, seed: list(ranks(runs, seed=seed)),
}
