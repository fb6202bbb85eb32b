"""The nulls of maps: the constant map that is best for its measure, and how far apart members are by their maps."""

import numpy as np
from scipy import stats

from imbalance_jax import alignment
from imbalance_jax.data.regions import Pairs
from imbalance_jax.explain import map_distance, map_nulls
from imbalance_jax.explain.maps import Signed
from imbalance_jax.training import placement

SIDE = 16


def pairs_of(count, patients, seed):
    """Pairs of two findings, squares about a place of their own."""
    random = np.random.default_rng(seed)
    finding, mask = np.arange(count) % 2, np.zeros((count, SIDE, SIDE), bool)
    for k, one in zip(finding, mask, strict=True):
        row, column = np.clip(random.normal((4, 9)[k], 2, 2).astype(int), 0, 11)
        one[row : row + 4, column : column + 4] = True
    return Pairs(np.arange(count), finding, np.arange(count) % patients, mask)


def test_each_measure_has_the_constant_map_that_is_best_for_it_on_training_regions():
    train, test = pairs_of(96, 96, 0), pairs_of(20, 20, 1)
    metrics = {name: alignment.METRICS[name] for name in ('pixel_auroc', 'relevance_rank')}
    nulls, mean = map_nulls.null_figures(test, train, {**metrics}, grid=(4, 4))
    constant = nulls[map_nulls.CONSTANT]
    for k in (0, 1):
        masks, rows = train.mask[train.finding == k], test.finding == k
        np.testing.assert_allclose(mean[rows][0], masks.mean(0), atol=1e-6)
        maps = alignment.constant_maps(masks, alignment.TOLERANCE * SIDE)
        of_train = [alignment.measure(np.broadcast_to(m, masks.shape), masks, metrics) for m in maps]
        for name in ('iou', 'ior', 'pixel_auroc'):
            best = maps[int(np.argmax([one[name].mean() for one in of_train]))]
            expected = alignment.measure(np.broadcast_to(best, test.mask[rows].shape), test.mask[rows], metrics)[name]
            np.testing.assert_allclose(constant[name][rows], expected, rtol=1e-5)
        names = {name: int(np.argmax([one[name].mean() for one in of_train])) for name in ('iou', 'ior')}
        assert names['iou'] in (2, 3, 4)  # a mean mask that is cut, not the mean mask
        assert names['ior'] in (5, 6)  # a point
    assert np.isnan(nulls[map_nulls.CHANCE]['iobb']).all()  # a map of ones always scores 1
    np.testing.assert_allclose(nulls[map_nulls.CHANCE]['signed_pixel_auroc'], 0.5)


def test_without_training_regions_no_test_pair_is_fitted_on_its_own_patient():
    test = pairs_of(24, 8, 2)
    nothing = Pairs(*(array[:0] for array in test))
    seen = np.zeros(24, bool)
    for masks, rows in map_nulls.fits(nothing, test):
        seen[rows] = True
        strangers = np.isin(test.finding, test.finding[rows]) & ~np.isin(test.patient, test.patient[rows])
        assert len(masks) <= strangers.sum()
    assert seen.all()


def test_where_no_constant_map_can_be_fitted_it_scores_nothing():
    alone = pairs_of(1, 1, 3)
    nulls, mean = map_nulls.null_figures(alone, Pairs(*(array[:0] for array in alone)), {}, grid=(4, 4))
    assert nulls[map_nulls.CONSTANT].keys() == nulls[map_nulls.CENTRE].keys()
    assert all(np.isnan(value).all() for value in nulls[map_nulls.CONSTANT].values())
    assert np.isnan(mean).all()


def test_distance_is_one_minus_the_mean_spearman_correlation_slab_by_slab():
    maps = np.random.default_rng(0).normal(size=(3, 6, 7, 5)).astype(np.float32)
    maps[1, 2], maps[2, 3, 0, 0] = 4, np.nan  # a map without order, and one that is not finite
    place = placement.place(3, 'map')

    def signed(some):
        return Signed(place.members(np.zeros_like(some)), place.members(some))

    correlation = map_distance.RankCorrelation(place, memory_mib=64.0)
    correlation.add(signed(maps[:, :4]), 4)
    correlation.add(signed(maps[:, [4, 5, 0, 1]]), 2)  # the last slab is filled up by starting again
    expected = np.ones((3, 3))
    for p in range(3):
        for q in range(3):
            with np.errstate(invalid='ignore'):
                defined = [i for i in range(6) if not {(p, i), (q, i)} & {(1, 2), (2, 3)}]
            rho = [stats.spearmanr(maps[p, i].ravel(), maps[q, i].ravel()).statistic for i in defined]
            expected[p, q] = 1 - np.mean(rho)
    np.testing.assert_allclose(correlation.distance(), expected, atol=2e-3)
    correlation.reset()
    assert np.isnan(correlation.distance()).all()
