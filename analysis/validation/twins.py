"""Effects between twins on planted truth: intervals over seeds and patients, and the correlation of maps with effects.

An effect of seed s on patient g is mu + seed + patient + both, normal, with standard deviations that a regime names.
Patients are those of the quickstart and of a full study.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from imbalance_jax.analysis.validation.simulation import Measured, Simulation
from imbalance_jax.metrics.intervals import Interval, p_value, paired_difference, seed_interval
from imbalance_jax.metrics.statistics import weighted_mean
from imbalance_jax.results import twin_maps
from imbalance_jax.results.rows import Bootstrap, Population, Sample

ROUNDS, TRUTH, LEVEL = 400, 1.0, 0.05
CLASSES = 8


class Regime(NamedTuple):
    """Standard deviations of what seeds, patients and their interaction add to an effect, and how many there are."""

    name: str
    seed: float
    patient: float
    both: float
    seeds: int
    patients: int


REGIMES = (
    Regime('seeds dominate', 0.4, 0.3, 0.2, 3, 32),
    Regime('patients dominate', 0.05, 1.0, 0.2, 3, 32),
    Regime('interaction dominates', 0.05, 0.2, 1.0, 3, 32),
    Regime('all alike', 0.2, 1.0, 1.0, 3, 32),
    Regime('all alike, 5 seeds, 64 patients', 0.2, 1.0, 1.0, 5, 64),
)


def effects(runs: int, *, seed: int) -> list[Measured]:
    """Coverage of the mean effect, and of the difference of two arms that are equal on average but err on patients of
    their own."""
    measured = []
    for regime in REGIMES:
        rng = np.random.default_rng(seed)
        pairs = [_simulated(regime, rng) for _ in range(runs)]
        level = np.mean([one.low <= TRUTH <= one.high for one, _ in pairs])
        difference = np.mean([other.low <= 0 <= other.high for _, other in pairs])
        what = f'{regime.seeds} seeds, {regime.patients} patients: {regime.name}'
        measured.append(Measured('coverage of an effect', what, float(level), 0.93, 0.97, runs))
        measured.append(Measured('coverage of a difference', what, float(difference), 0.93, 0.97, runs))
    return measured


def _simulated(regime: Regime, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """The interval of one arm's effect, and of its difference to another arm's."""
    S, G = regime.seeds, regime.patients
    shared = TRUTH + regime.patient * rng.standard_normal(G)
    own = regime.both * rng.standard_normal((2, S, G)) + 0.5 * regime.patient * rng.standard_normal((2, 1, G))
    values = shared + regime.seed * rng.standard_normal((2, S, 1)) + own
    weights = Bootstrap(ROUNDS, int(rng.integers(2**31))).weights(np.arange(G))
    first, second = (_sample(one, weights) for one in values)
    level = seed_interval(first.values, first.resampled, clusters=G)
    return level, paired_difference(first.values, second.values, first.resampled, second.resampled, clusters=G)


def _sample(values: np.ndarray, weights: np.ndarray) -> Sample:
    """Of effects [S,G], as the stage makes it."""
    point, rounds = weighted_mean(values, np.ones((1, values.shape[1])))[0], weighted_mean(values, weights)
    population = Population([], np.ones(len(values), bool), '')
    return twin_maps.living_sample(population, point[:, None], rounds[..., None], clusters=values.shape[1])


def correlations(runs: int, *, seed: int) -> list[Measured]:
    """Type I error and power of a map's correlation with the effects, 3 seeds that share what their maps are like."""
    measured = []
    for slope, what, lowest, highest in ((0.0, 'type I error', 0.0, LEVEL), (1.0, 'power', 0.8, 1.0)):
        for pairs in (4, 8):
            rng = np.random.default_rng(seed)
            found = [p <= LEVEL for p in _correlated(runs, slope, pairs, rng)]
            regime = f'{pairs} pairs per finding, maps follow effects with slope {slope:g}'
            measured.append(Measured(f'{what} of a correlation', regime, float(np.mean(found)), lowest, highest, runs))
    return measured


def _correlated(runs: int, slope: float, pairs: int, rng: np.random.Generator) -> Iterator[float]:
    finding = np.repeat(np.arange(CLASSES), pairs)
    for _ in range(runs):
        delta = rng.standard_normal(len(finding)) + 0.3 * rng.standard_normal((3, len(finding)))
        inside = slope * delta + rng.standard_normal(len(finding)) + 0.5 * rng.standard_normal((3, len(finding)))
        weights = Bootstrap(ROUNDS, int(rng.integers(2**31))).weights(np.arange(len(finding)))
        point, rounds = (twin_maps.correlation(inside, delta, finding, some) for some in (None, weights))
        counts: dict[str, int] = {'clusters': len(finding), 'means': CLASSES}
        sample = twin_maps.living_sample(Population([], np.ones(3, bool), ''), point, rounds, **counts)
        yield float(p_value(seed_interval(sample.values, sample.resampled, clusters=len(finding)))[0])


SIMULATIONS: dict[str, Simulation] = {'twins: effects': effects, 'twins: correlations': correlations}
