"""Whether arms differ, and whether units match: tests on members and units whose truth is planted."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from imbalance_jax.analysis.validation.simulation import Measured, Simulation
from imbalance_jax.concepts import rotation
from imbalance_jax.metrics import exchange

LEVEL, ROUNDS, DIMENSIONS, CLASSES = 0.05, 199, 20, 8
NULL, FOUND = (0.0, LEVEL), (0.5, 1.0)  # the shares that should be


class Plan(NamedTuple):
    """A simulated study: arms, seeds, and of arm 1 the shift of its centre and its spread, in standard deviations."""

    arms: int
    seeds: int
    shift: float = 0.0
    spread: float = 1.0

    @property
    def regime(self) -> str:
        """In words."""
        planted = f'centre moved by {self.shift}' if self.shift else 'same centre'
        return f'{self.arms} arms, {self.seeds} seeds, {planted}, spread × {self.spread:g}'

    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Arm and seed [P]."""
        return np.repeat(np.arange(self.arms), self.seeds), np.tile(np.arange(self.seeds), self.arms)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Members [P,D], each the sum of its arm, its seed and a rest."""
        arm, seed = self.labels
        rest = random.normal(size=(len(arm), DIMENSIONS)) * np.where(arm == 1, self.spread, 1)[:, None]
        return rest + random.normal(size=(self.seeds, DIMENSIONS))[seed] + self.shift * (arm == 1)[:, None]


def share_found(runs: int, seed: int, find: Callable[[np.random.Generator], float]) -> float:
    """Share of runs whose p is at most the level."""
    random = np.random.default_rng(seed)
    return float(np.mean([find(random) <= LEVEL for _ in range(runs)]))


def centres(runs: int, *, seed: int) -> list[Measured]:
    """The test that arms differ: 5 % where they do not, also where one of two is more variable."""
    plans = [(Plan(a, s), NULL) for a, s in ((2, 5), (2, 10), (8, 3), (8, 5))]
    plans += [(Plan(2, s, spread=2), NULL) for s in (5, 10)] + [(Plan(8, 5, spread=2), (0.0, 0.1))]
    plans += [(Plan(2, 10, shift=0.7), FOUND), (Plan(8, 5, shift=0.7), FOUND), (Plan(8, 3, shift=1.0), FOUND)]

    def tested(plan: Plan) -> Callable[[np.random.Generator], float]:
        def find(random: np.random.Generator) -> float:
            distance = exchange.squared_distances(plan.draw(random))
            return exchange.arms_beyond_seeds(distance, *plan.labels, ROUNDS).p

        return find

    return [
        Measured('arms differ', plan.regime, share_found(runs, seed, tested(plan)), *valid, runs)
        for plan, valid in plans
    ]


def spreads(runs: int, *, seed: int) -> list[Measured]:
    """The test that arms are unequally spread: 5 % where they are not, also where centres differ."""
    plans = [(Plan(a, s, shift), NULL) for a, s, shift in ((2, 10, 0.0), (2, 10, 1.5), (5, 3, 1.5), (8, 3, 0.0))]
    plans += [(Plan(2, 10, spread=2), FOUND), (Plan(8, 5, spread=2), FOUND)]

    def tested(plan: Plan) -> Callable[[np.random.Generator], float]:
        def find(random: np.random.Generator) -> float:
            return exchange.spread(exchange.squared_distances(plan.draw(random)), *plan.labels, ROUNDS).p

        return find

    return [
        Measured('spread differs', plan.regime, share_found(runs, seed, tested(plan)), *valid, runs)
        for plan, valid in plans
    ]


# How features [P,D] follow from performance [P,K], where they do.
LINKS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    'each class alike': lambda x, random: x @ np.eye(CLASSES, DIMENSIONS),
    'the mean': lambda x, random: 4.5 * x.mean(1, keepdims=True) * np.full(DIMENSIONS, DIMENSIONS**-0.5),
    'a random map': lambda x, random: x @ random.normal(size=(CLASSES, DIMENSIONS)) / CLASSES**0.5,
    'saturating': lambda x, random: 2 * np.tanh(x) @ np.eye(CLASSES, DIMENSIONS),
}


def conditional(runs: int, *, seed: int) -> list[Measured]:
    """The test given performance: approximate, it may find up to 15 % where performance explains all."""
    result = []
    for plan in (Plan(5, 3), Plan(2, 8)):
        arm, of_seed = plan.labels
        for link, features in LINKS.items():
            for beyond, valid in ((0.0, (0.0, 0.15)), (0.5, FOUND)):

                def find(random: np.random.Generator, features=features, beyond=beyond) -> float:
                    performance = 0.5 * random.normal(size=(plan.arms, CLASSES))[arm]  # noqa: B023
                    performance += 0.5 * random.normal(size=performance.shape)
                    moved = beyond * random.normal(size=(plan.arms, DIMENSIONS))[arm]  # noqa: B023
                    x = features(performance, random) + moved + 0.5 * random.normal(size=moved.shape)
                    by = np.stack([exchange.squared_distances(column[:, None]) for column in performance.T])
                    left = exchange.unexplained(exchange.squared_distances(x), by, of_seed)  # noqa: B023
                    return exchange.arms_beyond_seeds(left, arm, of_seed, ROUNDS).p  # noqa: B023

                regime = f'{plan.arms} arms, {plan.seeds} seeds, by {link}, {beyond:g} beyond'
                share = share_found(runs, seed, find)
                result.append(Measured('arms differ given performance', regime, share, *valid, runs))
    return result


def matching(runs: int, *, seed: int, units: int = 24, images: int = 2000) -> list[Measured]:
    """Share of runs in which units match better than rotated ones: half for unrelated units, all for copies."""
    result = []
    for regime, weight, valid in (('unrelated units', 0.0, (0.4, 0.6)), ('copies with noise', 1.0, (0.99, 1.0))):
        random, above = np.random.default_rng(seed), []
        for _ in range(runs):
            one = random.normal(size=(images, units))
            other = weight * one[:, random.permutation(units)] + random.normal(size=(images, units))
            every = np.cov(one.T, other.T)
            within = [every[:units, :units], every[units:, units:]]
            r = every[:units, units:] / np.sqrt(np.outer(*(np.diag(a) for a in within)))
            chance = rotation.rotated(every[:units, units:], *within)
            above.append(rotation.likeness(r).nearest > chance.nearest)
        result.append(Measured('highest r above that of rotated units', regime, float(np.mean(above)), *valid, runs))
    return result


SIMULATIONS: dict[str, Simulation] = {
    'centres of arms': centres,
    'spread of arms': spreads,
    'arms given performance': conditional,
    'matching units': matching,
}
