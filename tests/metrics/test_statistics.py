"""The bootstrap of patients, paired tests, corrections for many tests: against naive and hand-worked ones."""

import numpy as np
import pytest
from scipy import stats

from imbalance_jax.metrics import statistics


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_cluster_weights_draw_whole_patients():
    patients = np.array([7, 7, 3, 9, 3, 7])
    weights = statistics.cluster_weights(patients, 2000, np.random.default_rng(0))
    assert weights.shape == (2000, 6)
    for patient in (3, 7, 9):
        of_one = weights[:, patients == patient]
        assert (of_one == of_one[:, :1]).all()
    first = weights[:, [0, 2, 3]]
    np.testing.assert_array_equal(first.sum(axis=1), 3)
    np.testing.assert_allclose(first.mean(axis=0), 1, atol=0.06)
    np.testing.assert_array_equal(weights, statistics.cluster_weights(patients, 2000, np.random.default_rng(0)))


def test_weighted_mean_repeats_and_leaves_nan_out():
    values = draw(0, 2, 3, 20)
    values[0, 1, :5] = np.nan
    values[1, 2] = np.nan
    weights = np.random.default_rng(1).poisson(1.0, (4, 20))
    got = statistics.weighted_mean(values, weights)
    assert got.shape == (4, 2, 3)
    assert np.isnan(got[:, 1, 2]).all()
    for row, means in zip(weights, got, strict=True):
        repeated = np.repeat(values, row, axis=-1)
        np.testing.assert_allclose(means[0], np.nanmean(repeated[0], axis=-1))


def test_holm_and_benjamini_hochberg_by_hand():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(statistics.holm(p), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(statistics.benjamini_hochberg(p), [0.02, 0.04, 0.04, 0.02])
    np.testing.assert_allclose(statistics.holm([0.5, 0.6]), [1, 1])
    many = np.random.default_rng(10).random(50) ** 2
    np.testing.assert_allclose(statistics.benjamini_hochberg(many), stats.false_discovery_control(many))


@pytest.mark.parametrize('adjust', [statistics.holm, statistics.benjamini_hochberg])
def test_a_test_that_could_not_be_made_is_not_counted(adjust):
    p = np.array([[0.01, np.nan, 0.04], [0.03, 0.005, np.nan]])
    got = adjust(p)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(p))
    np.testing.assert_allclose(got[np.isfinite(p)], adjust([0.01, 0.04, 0.03, 0.005]))
    with pytest.raises(ValueError, match=r'p holds 1\.5'):
        adjust([0.1, 1.5])


@pytest.mark.filterwarnings('error')
def test_the_paired_test_is_scipys_and_leaves_dead_pairs_out():
    differences = draw(11, 8, 3) * 0.004 + [0, 0.002, 0.02]
    want = stats.ttest_1samp(differences, 0).pvalue
    np.testing.assert_allclose(statistics.paired_t(differences), want)
    np.testing.assert_allclose(statistics.paired_t(np.insert(differences, 3, np.nan, axis=0)), want)
    assert np.isnan(statistics.paired_t(differences[:1])).all()


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('value', [0, 3])
def test_equal_counts_are_no_proof(value):
    assert np.isnan(statistics.paired_t(np.full((3, 1), value))).all()
