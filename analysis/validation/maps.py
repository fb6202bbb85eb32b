"""Maps on planted truth: is an arm's alignment, and its difference to another arm's, what its interval says?

A planted map is a bump on a small grid. With a probability that depends on arm, seed and patient it is at the pair's own
region, else at a place where the finding usually is; the arm's bias lifts or sinks the whole map before a ReLU, which
changes how much of it is hot and not where its maximum is. What figures should be is computed apart, from many patients.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.alignment.nulls import other_patients
from imbalance_jax.analysis.validation.simulation import Measured
from imbalance_jax.metrics.intervals import Interval, effective_number, p_value
from imbalance_jax.metrics.statistics import cluster_weights, weighted_mean
from imbalance_jax.results.contrasts import paired_contrast
from imbalance_jax.results.rows import Sample

SIGNED_HIT, IOU = 'signed_hit_share', 'iou'
SIDE, WIDTH, ROUNDS = 12, 1.5, 300  # of the grid; of a bump, in cells; of the bootstrap
SMALLEST = 5  # patients
SIZES = {6: 6, 119: 60, 476: 240}  # pairs of the finding: its patients
SEEDS = (3, 5, 10)


class Arm(NamedTuple):
    """skill: log-odds that a map is at its own region; bias: what is added to its maps before the ReLU."""

    skill: float = 0.0
    bias: float = -0.5


class Noise(NamedTuple):
    """Standard deviations of the skill, on its log-odds: over seeds, patients, and patients of one seed."""

    seed: float = 0.4
    patient: float = 0.8
    both: float = 0.8


SAME, HOTTER, BETTER = Arm(), Arm(bias=-0.1), Arm(skill=1.0)
NOISE = Noise()


class Regions(NamedTuple):
    """Patient [n], centre [n,2] and mask [n,cells] of each pair's region."""

    patient: np.ndarray
    centre: np.ndarray
    mask: np.ndarray


def usual_places(count: int, rng: np.random.Generator) -> np.ndarray:
    """Where the finding is, [count,2]: around a place beside the middle."""
    return np.clip(rng.normal((4.5, 6.5), 2.2, (count, 2)), 1, SIDE - 2)


def planted_regions(count: int, patients: int, rng: np.random.Generator) -> Regions:
    """Squares of 3 or 5 cells; a patient's are at about one place."""
    patient = np.sort(np.concatenate([np.arange(patients), rng.integers(0, patients, count - patients)]))
    centre = np.clip(usual_places(patients, rng)[patient] + rng.normal(0, 0.5, (count, 2)), 1, SIDE - 2).round()
    half = rng.integers(1, 3, patients)[patient]
    cells = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing='ij'), -1).reshape(-1, 2)
    mask = (np.abs(cells - centre[:, None]) <= half[:, None, None]).all(-1)
    return Regions(patient, centre, mask)


def planted_maps(arm: Arm, regions: Regions, log_odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Signed maps [n,cells] of one member; log_odds [n]: its skill on each pair beside the arm's."""
    n = len(regions.centre)
    own = rng.random(n) < 1 / (1 + np.exp(-(arm.skill + log_odds)))
    place = np.where(own[:, None], regions.centre, usual_places(n, rng)).round()
    cells = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing='ij'), -1).reshape(-1, 2)
    distance = ((cells - place[:, None]) ** 2).sum(-1)
    return np.exp(-distance / (2 * WIDTH**2)) + arm.bias


def figures(maps: np.ndarray, masks: np.ndarray, measure: str) -> np.ndarray:
    """A measure of every map with every mask, [n,J]: SIGNED_HIT or IOU, of the heat scaled to a maximum of 1."""
    if measure == SIGNED_HIT:
        return masks.T[maps.argmax(1)]
    heat = np.maximum(maps, 0)
    heat = heat / heat.max(1, keepdims=True)
    inside = heat @ masks.T.astype(float)
    return inside / (masks.sum(1) + heat.sum(1)[:, None] - inside)


class Study(NamedTuple):
    """A simulated study: what two arms' maps [S,n] score at their own regions, and above other patients'; patients."""

    own: tuple[np.ndarray, np.ndarray]
    above: tuple[np.ndarray, np.ndarray]
    patient: np.ndarray
    rng: np.random.Generator

    def samples(self, values: tuple[np.ndarray, np.ndarray]) -> list[Sample]:
        """The arms' means over pairs, and the same in rounds of the bootstrap."""
        weights, once = cluster_weights(self.patient, ROUNDS, self.rng), np.ones((1, len(self.patient)))
        return [Sample(weighted_mean(one, once)[0][:, None], weighted_mean(one, weights)[..., None]) for one in values]

    @property
    def evidence(self) -> dict[str, Any]:
        """Effective number of patients, and whether they are too few."""
        few = len(np.unique(self.patient)) < SMALLEST
        return {'clusters': effective_number(self.patient), 'too_few': few}

    def contrast(self, values: tuple[np.ndarray, np.ndarray]) -> Interval:
        """The second arm minus the first."""
        first, second = self.samples(values)
        return paired_contrast({}, second, first, **self.evidence).interval

    def level(self) -> Interval:
        """The first arm above other patients' regions."""
        sample = self.samples(self.above)[0]
        nothing = Sample(*(np.zeros_like(part) for part in sample))
        return paired_contrast({}, sample, nothing, **self.evidence).interval


def study(arms: tuple[Arm, Arm], pairs: int, seeds: int, measure: str, rng: np.random.Generator) -> Study:
    """One study: both arms on the same regions, each with seeds of its own."""
    regions, number = planted_regions(pairs, SIZES[pairs], rng), SIZES[pairs]
    patient = regions.patient
    shares = other_patients(np.zeros(pairs), patient, of_finding=np.zeros(pairs), of_patient=patient)
    easy, own, above = rng.normal(0, NOISE.patient, number)[patient], [], []
    for arm in arms:
        for _ in range(seeds):
            log_odds = rng.normal(0, NOISE.seed) + easy + rng.normal(0, NOISE.both, number)[patient]
            values = figures(planted_maps(arm, regions, log_odds, rng), regions.mask, measure)
            own.append(values.diagonal().astype(float))
            above.append(own[-1] - (values * shares).sum(1))
    both = [(np.stack(of[:seeds]), np.stack(of[seeds:])) for of in (own, above)]
    return Study(both[0], both[1], patient, rng)


def truth(arm: Arm, measure: str, count: int = 20000) -> float:
    """What a measure is above other patients' regions on the average over seeds and patients, by many draws: each pair
    is a patient of its own, seen by a seed of its own, and held against its own and against the next ones' regions."""
    rng = np.random.default_rng(7)
    regions = planted_regions(count, count, rng)
    spread = np.sqrt(NOISE.seed**2 + NOISE.patient**2 + NOISE.both**2)
    maps = planted_maps(arm, regions, rng.normal(0, spread, count), rng)
    differences = []
    for start in range(0, count, 50):
        values = figures(maps[start : start + 50], regions.mask[start : start + 50], measure)
        others = (values.sum(1) - values.diagonal()) / (len(values) - 1)
        differences.append(values.diagonal() - others)
    return float(np.mean(differences))


def coverage(runs: int, *, seed: int = 0, sizes: Sequence[int] = tuple(SIZES)) -> Sequence[Measured]:
    """Intervals of a level and of a difference, both above other patients' regions, of the signed hit share."""
    planted = {arm: truth(arm, SIGNED_HIT) for arm in (SAME, BETTER)}
    expected = {'level': planted[SAME], 'difference': planted[BETTER] - planted[SAME]}
    result = []
    for pairs in sizes:
        for seeds in SEEDS:
            rng, held = np.random.default_rng((seed, pairs, seeds)), {name: 0 for name in expected}
            for _ in range(runs):
                one = study((SAME, BETTER), pairs, seeds, SIGNED_HIT, rng)
                for name, interval in (('level', one.level()), ('difference', one.contrast(one.above))):
                    held[name] += bool(interval.low[0] <= expected[name] <= interval.high[0])
            for name, number in held.items():
                regime = f'signed hit share, {name} above other patients, {pairs} pairs, {seeds} seeds'
                result.append(Measured('coverage', regime, number / runs, 0.93, 0.99, runs))
    return result


def found(
    arms: tuple[Arm, Arm], measure: str, *, above: bool, runs: int, rng: np.random.Generator, pairs: int = 119
) -> float:
    """Share of studies with 5 seeds in which p of the difference is at most 0.05."""
    studies = (study(arms, pairs, 5, measure, rng) for _ in range(runs))
    p = [float(p_value(one.contrast(one.above if above else one.own))[0]) for one in studies]
    return float(np.mean(np.array(p) <= 0.05))


def differences(runs: int, *, seed: int = 0) -> Sequence[Measured]:
    """What is found between equal arms, an arm that is hotter in the same places, and one that looks better.

    IoU, even above other patients' regions, is larger for the hotter arm: only the order of pixels does not know heat.
    """
    cases = [
        ('type I', 'signed hit share above other patients, equal arms', (SAME, SAME), SIGNED_HIT, True, 0.0, 0.05),
        ('type I', 'the same, one arm hotter in the same places', (SAME, HOTTER), SIGNED_HIT, True, 0.0, 0.05),
        ('found', 'IoU as it is, one arm hotter in the same places', (SAME, HOTTER), IOU, False, 0.7, 1.0),
        ('found', 'IoU above other patients, one arm hotter in the same places', (SAME, HOTTER), IOU, True, 0.0, 1.0),
        (
            'power',
            'signed hit share above other patients, one arm right .14 more often',
            (SAME, BETTER),
            SIGNED_HIT,
            True,
            0.6,
            1.0,
        ),
    ]
    return [
        Measured(what, regime, found(arms, measure, above=above, runs=runs, rng=rng), low, high, runs)
        for k, (what, regime, arms, measure, above, low, high) in enumerate(cases)
        for rng in [np.random.default_rng((seed, k))]
    ]


SIMULATIONS = {'alignment_coverage': coverage, 'alignment_differences': differences}
