"""Recalibration lines, bins and calibration error against scikit-learn, SciPy and planted probabilities."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from imbalance_jax.metrics import calibration, scores
from imbalance_jax.metrics.statistics import cluster_weights


@pytest.fixture(scope='module')
def planted():
    """Right probabilities of 600 images, two classes, and labels drawn by them."""
    rng = np.random.default_rng(0)
    p = expit(rng.normal([-1.0, -2.0], 1.2, (600, 2)))
    return p, (rng.random(p.shape) < p).astype(np.uint8), np.ones(p.shape, np.uint8)


def fitted(x, y):
    """Intercept and slope with Jeffreys' prior, by a general minimiser."""
    design = np.stack([np.ones_like(x), x], 1)

    def loss(beta):
        z = design @ beta
        p = expit(z)
        determinant = np.linalg.slogdet(design.T @ (design * (p * (1 - p))[:, None]))[1]
        return (np.logaddexp(0, z) - y * z).sum() - determinant / 2

    return minimize(loss, np.zeros(2), method='BFGS', options={'gtol': 1e-6}).x


def test_slope_and_intercept_are_those_of_a_regression(planted):
    p, y, mask = planted
    mask = mask.copy()
    mask[:50, 0] = 0
    moved = expit(2 * logit(p) + 0.7)[None]
    line = calibration.recalibration(moved, y, mask)
    for k in range(2):
        kept = mask[:, k] > 0
        np.testing.assert_allclose(line.slope[0, k], fitted(logit(moved[0, kept, k]), y[kept, k])[1], rtol=1e-3)
        shifted = expit(logit(moved[0, kept, k]) + line.intercept[0, k])
        np.testing.assert_allclose(shifted.mean(), y[kept, k].mean(), rtol=1e-9)  # the score equation of an offset
    # One round of equal weights is the estimate itself.
    np.testing.assert_allclose(line.slope_rounds[0], line.slope, atol=1e-7)
    np.testing.assert_allclose(line.intercept_rounds[0], line.intercept, atol=1e-7)


def test_right_probabilities_have_slope_1_and_twice_the_log_odds_half():
    rng = np.random.default_rng(1)
    p = expit(rng.normal(-1, 1.5, (40000, 1)))
    y = rng.random(p.shape) < p
    for factor, shift in ((1, 0.0), (2, 0.0), (1, 1.0)):
        line = calibration.recalibration(expit(factor * logit(p) + shift), y, np.ones(p.shape))
        np.testing.assert_allclose(line.slope, 1 / factor, atol=0.03)
        if factor == 1:
            np.testing.assert_allclose(line.intercept, -shift, atol=0.05)


def test_rounds_follow_full_fits(planted):
    p, y, mask = planted
    weights = cluster_weights(np.arange(600) // 2, 60, np.random.default_rng(2))
    line = calibration.recalibration(p, y, mask, weights)
    full = [fitted(np.repeat(logit(p[:, 0]), w), np.repeat(y[:, 0], w))[1] for w in weights]
    assert np.corrcoef(full, line.slope_rounds[:, 0])[0, 1] > 0.99
    np.testing.assert_allclose(np.std(full), np.std(line.slope_rounds[:, 0]), rtol=0.1)


def test_lines_through_separable_and_constant_labels():
    p = np.array([[0.1, 0.3, 0.2], [0.2, 0.3, 0.2], [0.8, 0.3, 0.4], [0.9, 0.3, 0.7]])
    y = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]])
    line = calibration.recalibration(p, y, np.ones(p.shape))
    assert np.isfinite(line.slope).tolist() == [
        True,
        False,
        False,
    ]  # one probability, one kind of label
    assert 0 < line.slope[0] < 5
    plain = calibration.logistic(logit(p.T), y.T * 1.0, np.ones((3, 4)))
    assert np.isnan(plain.slope).all()
    assert np.isfinite(line.intercept).tolist() == [True, True, False]


def test_platt_of_scores_of_any_scale(planted):
    p, y, mask = planted
    x = 0.01 * logit(p) + 5
    line = calibration.platt(x[None], y, mask)
    found = expit(line.intercept[0] + line.slope[0] * x)
    for k in range(2):
        n, m = y[:, k].sum(), (1 - y[:, k]).sum()
        target = np.where(y[:, k] > 0, (n + 1) / (n + 2), 1 / (m + 2))
        np.testing.assert_allclose(
            ((target - found[:, k]) * [[1], [0]] + (target - found[:, k]) * x[:, k]).sum(1), 0, atol=1e-4
        )
    np.testing.assert_allclose(found, p, atol=0.1)
    turned = calibration.platt(-x[None], y, mask)
    np.testing.assert_array_equal(turned.slope, 0)
    separable = calibration.platt(
        np.array([[-1.0], [-0.5], [0.5], [1.0]]), np.array([[0], [0], [1], [1]]), np.ones((4, 1))
    )
    assert np.isfinite(separable.slope).all()


def test_calibration_error_is_that_of_scores_and_its_null_that_of_right_probabilities(planted):
    p, y, mask = planted
    bins = calibration.quantile_bins(p, mask, 15)
    assert (bins.membership.sum(-1) == 40).all()
    tied = calibration.quantile_bins(np.where(p < 0.2, 0.0, p), mask, 15).membership
    assert (tied[:, 0].sum(-1) == (p < 0.2).sum(0)).all()
    ones = np.ones((1, 600))
    error = calibration.calibration_error(bins, p.T, y.T * 1.0, ones)[0]
    np.testing.assert_allclose(error, scores.expected_calibration_error(p, y, mask), atol=1e-12)
    rng = np.random.default_rng(3)
    null = calibration.calibration_error_null(bins, p.T, rounds=200, rng=rng)
    drawn = [scores.expected_calibration_error(p, rng.random(p.shape) < p, mask) for _ in range(200)]
    np.testing.assert_allclose(null, np.mean(drawn, 0), rtol=0.05)
    assert (error > null / 2).all()
    assert (calibration.calibration_error(bins, p.T**3, y.T * 1.0, ones)[0] > 2 * null).all()
    means = calibration.bin_means(bins, y.T * 1.0, ones)[0]
    np.testing.assert_allclose(means[0, 0], y[np.argsort(p[:, 0], kind='stable')[:40], 0].mean())
