"""Do arms differ by more than seeds do? Tests on squared distances, against coordinates and all exchanges."""

import itertools

import numpy as np
import pytest

from imbalance_jax.metrics import exchange

ARMS, SEEDS = np.repeat(['x', 'y'], 6), np.tile(np.arange(6), 2)


def places(shift, noise, *, of_seed=0.0, spread=1.0, seed=0):
    """Members [12,2] in a plane: arm y shifted and more or less spread, seeds apart."""
    random = np.random.default_rng(seed)
    of_arm = (ARMS == 'y')[:, None]
    place = shift * of_arm * [1.0, 0] + of_seed * SEEDS[:, None] * [0, 1.0]
    return place + noise * np.where(of_arm, spread, 1) * random.normal(size=place.shape)


def test_arms_apart_are_found_and_the_difference_is_that_of_their_centres():
    place = places(3, 0.5)
    distance = exchange.squared_distances(place)
    real = exchange.arms_beyond_seeds(distance, ARMS, SEEDS)
    assert real.p == exchange.smallest_p(6) == 2 / 64  # 2 of 2^6 exchanges are as extreme
    assert real.pairs == 60
    steps = place[6:] - place[:6]  # of the arms, seed by seed
    products = [a @ b for a, b in itertools.permutations(steps, 2)]
    assert real.difference == pytest.approx(np.mean(products))
    assert real == exchange.arms_beyond_seeds(distance, ARMS, SEEDS)


def test_p_is_that_of_all_exchanges():
    distance = exchange.squared_distances(places(0.7, 1, seed=3))

    def difference(swapped):
        arms = np.where(np.tile(swapped, 2), np.roll(ARMS == 'y', 6), ARMS == 'y')
        other, apart = arms[:, None] != arms, SEEDS[:, None] != SEEDS
        return distance[other & apart].mean() - distance[~other & apart].mean()

    every = [difference(np.array(swapped)) for swapped in itertools.product([False, True], repeat=6)]
    p = np.mean(np.array(every) >= every[0] - 1e-12)
    assert exchange.arms_beyond_seeds(distance, ARMS, SEEDS).p == p
    drawn = exchange.Members.of(ARMS, SEEDS).exchanged(50, 0)
    assert drawn.arm.shape == (50, 12)
    assert (drawn.arm[:, :6] + drawn.arm[:, 6:] == 1).all()
    assert len(np.unique(drawn.arm, axis=0)) > 30
    assert np.mean([exchange.arms_beyond_seeds(distance, ARMS, SEEDS, 60, seed=s).p for s in range(20)]) == (
        pytest.approx((60 * p + 1) / 61, abs=0.04)
    )


def test_where_nothing_can_be_said():
    distance = exchange.squared_distances(places(1, 0.1))
    assert np.isnan(exchange.arms_beyond_seeds(distance, ['x'] * 12, SEEDS).p)
    assert np.isnan(exchange.arms_beyond_seeds(distance, ARMS, [0] * 12).p)
    assert np.isnan(exchange.shares(np.full((12, 12), np.nan), ARMS, SEEDS).arms)
    assert np.isnan(exchange.spread(distance, ['x'] * 12, SEEDS).p)


def test_shares_are_those_of_an_analysis_of_variance():
    place = places(1, 0.5, of_seed=0.3)
    share = exchange.shares(exchange.squared_distances(place), ARMS, SEEDS)
    total = ((place - place.mean(0)) ** 2).sum()
    for values, labels in ((share.arms, ARMS), (share.seeds, SEEDS)):
        centres = np.array([place[labels == label].mean(0) for label in labels])
        assert values == pytest.approx(((centres - place.mean(0)) ** 2).sum() / total)
    assert 0 < share.by_chance < share.arms


def test_spread_is_the_variance_of_each_arm_and_no_shift():
    place = places(5, 1, spread=4)
    result = exchange.spread(exchange.squared_distances(place), ARMS, SEEDS)
    np.testing.assert_allclose(result.arms, [place[arm == ARMS].var(0, ddof=1).sum() for arm in 'xy'])
    assert result.p < 0.15
    alike = exchange.spread(exchange.squared_distances(places(50, 1)), ARMS, SEEDS)
    assert alike.p > 0.1


def test_what_other_distances_explain_is_taken_off():
    random = np.random.default_rng(0)
    other = np.stack([exchange.squared_distances(random.normal(size=(12, 1))) for _ in range(3)])
    left = exchange.unexplained(2 + 3 * np.sqrt(other.sum(0)), other, SEEDS)
    apart = SEEDS[:, None] != SEEDS
    assert np.abs(left[apart]).mean() < 0.15 * (3 * np.sqrt(other.sum(0)))[apart].std()
    assert np.isnan(left[~apart]).all()
    alone = exchange.unexplained(2 + 3 * np.sqrt(other[0]), other[:1], SEEDS)
    np.testing.assert_allclose(alone[apart], 0, atol=1e-9)
    against = exchange.unexplained(-other[0], other[:1], SEEDS)  # more alike where more distant: no explanation
    np.testing.assert_allclose(against[apart], -other[0][apart] + other[0][apart].mean())
    nothing = exchange.unexplained(other[0], np.zeros((2, 12, 12)), SEEDS)
    np.testing.assert_allclose(nothing[apart], other[0][apart] - other[0][apart].mean())
    assert exchange.squared_distances([[0, np.nan], [3, 1]])[0, 1] == 9


def test_without_seeds_all_members_are_exchanged():
    arms = ['a'] * 3 + ['b'] * 3
    place = np.array([0.0, 0.1, 0.2, 9.0, 9.1, 9.2])[:, None]
    distance = exchange.squared_distances(place)
    apart = exchange.arms_beyond_seeds(distance, arms, None)
    assert apart.p == exchange.smallest_p_of(arms, None) == 2 * 6 * 6 / 720
    assert apart.pairs == 15
    assert exchange.smallest_p_of(['a', 'a', 'b'], None) == 2 / 6
    assert np.isnan(exchange.shares(distance, arms, None).seeds)
