"""The probability behind a logit, against numerical minima of every loss at planted probabilities."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from imbalance_jax import losses
from imbalance_jax.losses import recalibration

POSITIVE, NEGATIVE = np.array([300, 40, 7]), np.array([700, 960, 993])
TRUTH = np.array([0.02, 0.2, 0.7])  # of the three classes
ENTRYWISE = [
    ('bce', {}),
    ('weighted_bce', {}),
    ('weighted_bce', {'power': 0.5, 'cap': 3.0}),
    ('inter_class_weighted_bce', {}),
    ('inverse_class_weighted_bce', {}),
    ('focal', {}),
    ('focal', {'gamma': 0.0, 'alpha': 0.25}),
    ('focal', {'gamma': 5.0, 'alpha': 0.9}),
    ('class_balanced_focal', {}),
    ('class_balanced_focal', {'beta': 0.99, 'gamma': 1.0}),
    ('asymmetric', {}),
    ('asymmetric', {'gamma_pos': 0.0, 'gamma_neg': 2.0, 'margin': 0.2}),
    ('asymmetric', {'gamma_pos': 0.0, 'gamma_neg': 0.0, 'margin': 0.0}),
    ('ral', {}),
    ('ral', {'gamma_pos': 1.0, 'hill': 2.0}),
    ('ldam', {'logit_scale': 1.0}),
    ('ldam', {}),
    ('ldam_deferred', {}),
    ('logit_adjusted', {}),
    ('logit_adjusted', {'tau': 0.5}),
    ('multi_task', {}),
    ('multi_task_consistent', {}),
]
WEIGHED_BY_OTHERS = {
    'auc_margin',
    'average_precision',
    'distribution_balanced',
    'intra_class_weighted_bce',
    'w_cel',
}


def best_logits(loss):
    """The minima [1, 3] over z of the mean loss of images with a finding of these probabilities, from values alone."""
    best, width = np.zeros(3), 12.0
    with jax.enable_x64(True):
        for _ in range(3):  # ever finer grids, the last with steps below 1e-6
            z = best + np.linspace(-width, width, 2001)[:, None]
            one, none = (np.asarray(loss.entries(z, np.full(z.shape, y), np.ones((len(z), 1)))) for y in (1.0, 0.0))
            best = z[np.argmin(TRUTH * one + (1 - TRUTH) * none, axis=0), range(3)]
            width *= 2e-3
    return best[None]


def rises_between(loss, low, high):
    return recalibration.rises(recalibration.log_odds(loss, recalibration.grid(np.array([[low] * 3, [high] * 3]))))


def test_every_loss_is_here():
    assert {name for name, _ in ENTRYWISE} | WEIGHED_BY_OTHERS >= {
        name
        for name, loss in losses.LOSSES.items()
        if 'scale' in inspect.signature(loss).parameters and losses.link_of(name) == losses.SIGMOID
    }


@pytest.mark.parametrize(('name', 'hyper'), ENTRYWISE)
def test_the_best_logit_has_the_true_probability(name, hyper):
    loss = losses.make(name, POSITIVE, NEGATIVE, **hyper)
    found = expit(recalibration.log_odds(loss, best_logits(loss)))
    np.testing.assert_allclose(found[0], TRUTH, atol=2e-6)
    assert rises_between(loss, -12.0, 12.0)


def test_closed_forms():
    z = np.linspace(-8, 8, 30).reshape(10, 3)
    weighted = losses.make('weighted_bce', POSITIVE, NEGATIVE)
    expected = z - np.log(NEGATIVE / POSITIVE)
    np.testing.assert_allclose(recalibration.log_odds(weighted, z), expected, atol=1e-6)  # weights are float32
    p = 1 / (1 + np.exp(-z))  # Charoenphakdee et al. 2021, with gamma 2 and alpha 1/2
    one = (1 - p) ** 2 / p - 2 * (1 - p) * np.log(p)
    other = p**2 / (1 - p) - 2 * p * np.log(1 - p)
    focal = losses.make('focal', POSITIVE, NEGATIVE, alpha=0.5)
    np.testing.assert_allclose(recalibration.log_odds(focal, z), np.log(other / one), atol=1e-8)


def test_within_the_margin_nothing_is_told_from_zero():
    loss = losses.make('asymmetric', POSITIVE, NEGATIVE)
    edge = np.log(0.05 / 0.95)
    z = np.stack([np.full(3, edge - 0.1), np.full(3, edge + 0.1), np.full(3, -30.0)])
    odds = recalibration.log_odds(loss, z)
    assert (odds[[0, 2]] == -np.inf).all()
    assert np.isfinite(odds[1]).all()


def test_a_deferred_loss_before_and_after_it_changes():
    loss = losses.make('ldam_deferred', POSITIVE, NEGATIVE, logit_scale=1.0)
    plain = losses.make('ldam', POSITIVE, NEGATIVE, logit_scale=1.0)
    z = np.linspace(-3, 3, 12).reshape(4, 3)
    np.testing.assert_array_equal(recalibration.log_odds(loss, z, 0.7), recalibration.log_odds(plain, z))
    moved = recalibration.log_odds(loss, z, 0.9) - recalibration.log_odds(plain, z)
    assert (np.abs(moved) > 0.1).all()
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-6)


@pytest.mark.parametrize('name', sorted(losses.LOSSES))
def test_entrywise_losses_are_what_they_say(name):
    """The gradient at one entry does not depend on the rest of the batch, or there is no formula."""
    loss = losses.make(name, POSITIVE, NEGATIVE)
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(6, 3)), (random.random((6, 3)) < 0.5).astype(np.float32)
    labels[0] = [1, 0, 0]
    others = labels.copy()
    others[1:], others[0, 1:] = 1 - labels[1:], 1
    slope = [jax.grad(lambda z, y=y: loss(loss.init(), z, y))(jnp.asarray(logits))[0, 0] for y in (labels, others)]
    alone = np.isclose(*slope, rtol=1e-5)
    duals = name == 'auc_margin'  # its entries depend on a, b and alpha, which are trained and not known afterwards
    assert alone == (loss.entries is not None or duals)
    if loss.entries is None:
        with pytest.raises(ValueError, match='not entrywise'):
            recalibration.log_odds(loss, logits)
    else:
        odds = recalibration.log_odds(loss, np.array([[1e4] * 3, [-1e4] * 3, [0.3] * 3]))
        assert not np.isnan(odds).any()
        assert np.isfinite(odds[2]).all()


def test_a_map_that_falls_is_no_recalibration():
    loss = losses.make('asymmetric', POSITIVE, NEGATIVE, gamma_pos=0.0, gamma_neg=0.0, margin=0.0, floor=0.1)
    assert not rises_between(loss, -8.0, 8.0)  # a lost negative costs nothing more
    assert rises_between(loss, -2.0, 2.0)
    assert recalibration.grid(np.full((4, 3), np.nan)).tolist() == np.zeros((recalibration.GRID, 3)).tolist()
