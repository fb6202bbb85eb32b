"""Members of several arms side by side, seed by seed, and rows of estimates over seeds with their p."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics.intervals import MANY, Interval, p_value, seed_interval
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.rows import Population


class Estimate(NamedTuple):
    """An estimate over seeds: its interval, its p and the number of seeds."""

    interval: Interval
    p: float
    seeds: int


def grid(population: Population, arms: Sequence[str]) -> np.ndarray:
    """Member numbers [S,A] of the seeds that live in all of these arms; none where seeds make no pairs."""
    if not population.paired:
        return np.zeros((0, len(arms)), int)
    of_arm = [{population.members[i]['seed']: i for i in population.arms[arm] if population.alive[i]} for arm in arms]
    seeds = [seed for seed in of_arm[0] if all(seed in one for one in of_arm)] if of_arm else []
    return np.array([[one[seed] for one in of_arm] for seed in seeds], int).reshape(len(seeds), len(arms))


def estimate(values: np.ndarray, resampled: np.ndarray, clusters: float = MANY) -> Estimate:
    """The mean over seeds of values [S], with rounds [R,S] of patients; clusters: effective number of patients."""
    interval = seed_interval(values[:, None], resampled[..., None], clusters=clusters)
    first = Interval(*(np.asarray(part).reshape(-1)[0] for part in interval))
    return Estimate(first, float(p_value(first)), int(np.isfinite(values).sum()))


def figures(estimates: Sequence[Estimate]) -> list[dict[str, float]]:
    """{statistic: value} of each of the estimates that are one family: p_adjusted is Holm's over them."""
    adjusted = holm([one.p for one in estimates])
    return [
        {
            'mean': float(one.interval.estimate),
            'low': float(one.interval.low),
            'high': float(one.interval.high),
            'p': one.p,
            'p_adjusted': float(p),
        }
        for one, p in zip(estimates, adjusted, strict=True)
    ]
