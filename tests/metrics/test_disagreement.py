"""Decisions that differ, against Cohen's kappa from its definition."""

import numpy as np
import pytest

from imbalance_jax.metrics import disagreement


def test_distance_is_one_less_kappa_of_decisions_with_the_true_number_of_positives():
    random = np.random.default_rng(0)
    labels, mask = (random.random((60, 3)) < 0.3).astype(int), (random.random((60, 3)) < 0.9).astype(int)
    scores = labels + random.normal(size=(4, 60, 3))
    decisions = disagreement.matched_decisions(scores, labels, mask)
    assert (decisions.sum(1) == (labels * mask).sum(0)).all()
    assert not (decisions & (mask == 0)).any()
    kappas = []
    for k in range(3):
        one, other = (decisions[p, mask[:, k] > 0, k] for p in (0, 2))
        threshold = scores[0, (mask[:, k] > 0) & decisions[0, :, k], k].min()
        np.testing.assert_array_equal(one, scores[0, mask[:, k] > 0, k] >= threshold)
        observed, chance = (one == other).mean(), one.mean() * other.mean() + (~one).mean() * (~other).mean()
        kappas.append((observed - chance) / (1 - chance))
    distance = disagreement.kappa_distances(scores, labels, mask)
    assert distance[0, 2] == pytest.approx(1 - np.mean(kappas))
    np.testing.assert_allclose(np.diag(distance), 0, atol=1e-12)
    np.testing.assert_allclose(disagreement.kappa_distances(np.exp(scores), labels, mask), distance)
    assert np.isnan(disagreement.kappa_distances(scores, 0 * labels, mask)).all()
