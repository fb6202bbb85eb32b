"""Do arms differ by more than seeds do?"""

import numpy as np
import pytest

from imbalance_jax.explain import matching
from imbalance_jax.metrics import statistics

MEMBERS = [
    {'member': i, 'arm': a, 'loss': a, 'sampler': 'natural', 'seed': s}
    for i, (a, s) in enumerate((a, s) for a in ('x', 'y') for s in range(6))
]


def distances(of_arm, of_seed, noise, seed=0):
    random = np.random.default_rng(seed)
    arms, seeds = ([row[key] for row in MEMBERS] for key in ('arm', 'seed'))
    place = np.array([[of_arm * (a == 'y'), 10 * of_seed * s] for a, s in zip(arms, seeds, strict=True)], float)
    return matching.euclidean(place + noise * random.normal(size=place.shape)), arms, seeds


def test_arms_beyond_seeds():
    real = statistics.arms_beyond_seeds(*distances(3, 0, 0.5))
    assert real.p == pytest.approx(2 / 64, abs=0.01)  # 2 of 2^6 exchanges are as extreme
    assert real.difference > 1.5
    assert real.pairs == 60
    p = [statistics.arms_beyond_seeds(*distances(0, 1, 1, seed), rounds=199).p for seed in range(40)]
    assert 0.3 < np.mean(p) < 0.7
    assert min(p) > 0.01
    assert real == statistics.arms_beyond_seeds(*distances(3, 0, 0.5))


def test_arms_beyond_seeds_where_nothing_can_be_said():
    matrix, arms, seeds = distances(1, 0, 0.1)
    assert np.isnan(statistics.arms_beyond_seeds(matrix, ['x'] * 12, seeds).p)
    assert np.isnan(statistics.arms_beyond_seeds(matrix, arms, [0] * 12).p)
