"""Means over pairs: which findings a macro mean is of, and what counts as too few patients."""

import numpy as np

from imbalance_jax.results.pair_means import Grouping, Means

FINDING = np.array([0, 0, 1, 1, 2, 2])
PATIENT = np.array([0, 1, 2, 3, 4, 4])


def figures(hits, points):
    hits, points = np.array(hits, float), np.array(points, float)
    ones = np.ones_like(hits)
    return {'hits': hits, 'points': points, 'empty': 1 - np.minimum(points, 1), 'iobb': ones, 'ior': ones, 'iou': ones}


def test_members_are_compared_over_the_findings_that_all_of_them_have():
    """Member 1 has no point in finding 1: nobody's macro pointing game is of it, while an empty map misses."""
    grouping = Grouping(FINDING, PATIENT, 3)
    hits, points = [[1, 0, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0]], [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1]]
    weights = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 1, 1, 1]])
    means = Means.of(figures(hits, points), grouping, weights)
    assert means.in_macro == {**dict.fromkeys(means.values, 3), 'pointing_game': 2}
    np.testing.assert_allclose(means.values['pointing_game'][:, 3], [(0.5 + 0) / 2, (1 + 0.5) / 2])
    np.testing.assert_allclose(means.values['hit_share'][:, 3], [(0.5 + 1 + 0) / 3, (1 + 0 + 0.5) / 3])
    np.testing.assert_allclose(means.resampled['pointing_game'][1, :, 3], [(1 + 0) / 2, (1 + 0.5) / 2])
    alone = Means.of(figures(hits, points), grouping, weights, members=[0])
    assert alone.in_macro['pointing_game'] == 3
    assert grouping.counts(2) == [2, 2, 2, 2, 6]


def test_a_finding_of_one_patient_is_too_few_and_the_macro_mean_is_not():
    grouping = Grouping(FINDING, PATIENT, 3, {'first': np.arange(6) < 2})
    assert grouping.patients == [2, 2, 1, 5, 2]
    np.testing.assert_array_equal(grouping.too_few(2), [False, False, True, False, False, False])
    np.testing.assert_allclose(grouping.clusters[[0, 2, 4]], [2, 1, 36 / 8])
