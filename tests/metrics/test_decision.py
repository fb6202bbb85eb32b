"""Thresholds, rates and net benefit by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import recall_score

from imbalance_jax.metrics import agreement, decision


@pytest.fixture(scope='module')
def planted():
    rng = np.random.default_rng(0)
    y = (rng.random((300, 2)) < [0.3, 0.1]).astype(np.uint8)
    mask = (rng.random(y.shape) < 0.9).astype(np.uint8)
    return rng.normal(y, 1.0, (3, 300, 2)), y, mask


def test_thresholds_give_what_they_promise(planted):
    scores, y, mask = planted
    threshold = decision.threshold_of_sensitivity(scores, y, mask, 0.8)
    found = decision.rates(decision.called(scores, threshold), y, mask, np.ones((1, 300))).sensitivity[0]
    positives = (y * mask).sum(0)
    np.testing.assert_allclose(found, np.broadcast_to(np.ceil(0.8 * positives - 1e-9) / positives, found.shape))
    share = np.array([0.3, 0.1])
    called = decision.called(scores, decision.threshold_of_share(scores, mask, share))
    np.testing.assert_allclose((called * mask).sum(1), np.broadcast_to(np.rint(share * mask.sum(0)), (3, 2)))
    none = decision.threshold_of_sensitivity(scores, np.zeros_like(y), mask, 0.8)
    assert np.isnan(none).all()
    assert np.isnan(decision.called(scores, none)).all()


def test_rates_are_those_of_scikit_learn_under_weights(planted):
    scores, y, mask = planted
    called = (scores > 0.5) * 1.0
    weights = np.random.default_rng(1).integers(0, 3, (4, 300))
    rates = decision.rates(called, y, mask, weights)
    for k in range(2):
        kept = mask[:, k] > 0
        for r in range(4):
            what = {'sample_weight': weights[r, kept]}
            for positive, of in ((1, rates.sensitivity), (0, rates.specificity)):
                expected = recall_score(y[kept, k], called[2, kept, k], pos_label=positive, **what)
                np.testing.assert_allclose(of[r, 2, k], expected)


def test_net_benefit_by_hand():
    p, y = np.array([[0.9], [0.3], [0.2], [0.05]]), np.array([[1], [0], [1], [0]])
    for threshold, expected in ((0.25, (1 - 1 / 3) / 4), (0.1, (2 - 1 / 9) / 4), (0.95, 0)):
        found = decision.net_benefit(p, y, np.ones(p.shape), np.ones((1, 4)), threshold=threshold)
        np.testing.assert_allclose(found, [[expected]])


def test_agreement_by_hand_and_jackknife():
    a, b, c = (np.array(row, float)[:, None] for row in ([1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 0, 0, 1]))
    decisions, mask, ones = np.stack([a, b, c]), np.ones((5, 1)), np.ones((1, 5))
    pairs = agreement.pairs_within(3)
    churn = agreement.churn(decisions[pairs.first], decisions[pairs.second], mask, ones)
    np.testing.assert_allclose(churn[0, :, 0], [0.4, 0.2, 0.6])
    kappa = agreement.kappa(decisions[pairs.first], decisions[pairs.second], mask, ones)
    np.testing.assert_allclose(kappa[0, 0, 0], (0.6 - 0.52) / 0.48)
    np.testing.assert_allclose(agreement.ambiguity(decisions, mask, ones), [[0.6]])
    pseudo = agreement.jackknifed(churn, pairs, 3)
    np.testing.assert_allclose(pseudo.mean(1), churn.mean(1))
    np.testing.assert_allclose(pseudo[0, 0, 0], 3 * 0.4 - 2 * 0.6)  # without a: b and c alone
    assert agreement.pairs_between(np.array([0, 1]), np.array([0, 1, 2])).first.tolist() == [0, 0, 1, 1]


def test_spread_does_not_depend_on_the_number_of_seeds():
    rng = np.random.default_rng(0)
    for number in (2, 3, 10):
        p = 0.5 + 0.01 * rng.standard_normal((number, 20000, 1))
        np.testing.assert_allclose(agreement.spread(p).mean(), 0.01 * np.sqrt(2 / np.pi), rtol=0.03)
