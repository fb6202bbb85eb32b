"""Rows of arms against seeds: who is compared, what is corrected, and what performance explains."""

import numpy as np
import pytest

from imbalance_jax.metrics import exchange
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results import arm_effect
from imbalance_jax.results.rows import Population

ARMS, SEEDS = ('bce', 'focal', 'shuffled'), 6
MEMBERS = [
    {
        'member': SEEDS * i + s,
        'arm': arm,
        'loss': arm,
        'sampler': 'natural',
        'seed': s,
        'labels': 'permuted' if arm == 'shuffled' else 'own',
    }
    for i, arm in enumerate(ARMS)
    for s in range(SEEDS)
]


@pytest.fixture(scope='module')
def rows():
    random = np.random.default_rng(0)
    place = random.normal(size=(3 * SEEDS, 12))
    place[SEEDS:] += 1.5
    place[2 * SEEDS :] += 100
    population = Population(MEMBERS, np.arange(3 * SEEDS) != 2, 'bce')  # one is dead
    moved = exchange.squared_distances(place)
    noise = exchange.squared_distances(random.normal(size=(3 * SEEDS, 12)))
    auroc = 0.8 + 0.1 * place[:, :4] / 10
    auroc[2] = np.nan
    distances = [arm_effect.Distance('moved', 'a', moved), arm_effect.Distance('noise', '', noise, method='grad_cam')]
    return arm_effect.rows(population, distances, auroc=auroc, rounds=999)


def value(rows, **where):
    chosen = [row for row in rows if all(row.get(name, '') == wanted for name, wanted in where.items())]
    assert len(chosen) == 1, chosen
    return chosen[0]['value']


def test_permuted_labels_and_the_dead_take_no_part(rows):
    assert {row.get('arm', '') for row in rows} == {'', 'bce', 'focal'}
    where = {'metric': 'moved', 'given': '', 'pairs': arm_effect.BETWEEN, 'against': arm_effect.WITHIN}
    assert value(rows, kind='population', statistic='p', **where) == value(
        rows, kind='arm', arm='focal', statistic='p', **where
    )
    assert value(rows, kind='population', statistic='p', **where) < 0.07
    assert value(rows, kind='population', statistic='mean', **where) < 100  # the permuted are 100 away
    pairs = {row['n'] for row in rows if row.get('pairs') == arm_effect.BETWEEN}
    assert pairs == {10 + 15 + 25}


def test_tests_are_corrected_over_distances_and_say_what_seeds_allow(rows):
    where = {'kind': 'population', 'given': '', 'pairs': arm_effect.BETWEEN, 'against': arm_effect.WITHIN}
    p, adjusted, smallest = (
        [value(rows, metric=metric, statistic=statistic, **where) for metric in ('moved', 'noise')]
        for statistic in ('p', 'p_adjusted', 'p_smallest')
    )
    np.testing.assert_allclose(adjusted, holm(p))
    assert smallest == [pytest.approx(2 / 32)] * 2
    assert {row['method'] for row in rows if row['metric'] == 'noise'} == {'grad_cam'}


def test_shares_and_spread_stand_beside_the_test(rows):
    r2, chance = (value(rows, metric='moved', statistic=name) for name in ('r2', 'r2_chance'))
    assert r2 > chance > 0
    centre = {'metric': 'moved', 'pairs': arm_effect.CENTRE}
    assert value(rows, statistic='p', **centre) > 0.05
    assert value(rows, arm='bce', statistic='mean', **centre) == pytest.approx(12, abs=6)
    between, within = ('between arms', 'within arms')
    parts = {'kind': 'population', 'metric': 'moved', 'given': '', 'statistic': 'mean'}
    gap = value(rows, pairs=between, against='', **parts) - value(rows, pairs=within, against='', **parts)
    assert value(rows, pairs=between, against=within, **parts) == pytest.approx(gap)
    of_within = value(rows, **{**parts, 'statistic': 'relative'}, pairs=between, against=within)
    assert of_within == pytest.approx(gap / value(rows, pairs=within, against='', **parts))


def test_what_auroc_explains_is_less_than_the_whole(rows):
    where = {'kind': 'population', 'metric': 'moved', 'statistic': 'mean', 'against': arm_effect.WITHIN}
    given, whole = (value(rows, given=name, **where) for name in (arm_effect.GIVEN_AUROC, ''))
    assert given < 0.5 * whole
