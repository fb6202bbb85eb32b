"""Probabilities whose prior was moved by a loss or a sampler, moved back."""

import numpy as np
import pytest

from imbalance_jax import losses
from imbalance_jax.data.arrays import Arrays
from imbalance_jax.metrics import scores as metrics
from imbalance_jax.training import calibration, members

POSITIVE, NEGATIVE = np.array([30, 5]), np.array([70, 95])


@pytest.mark.parametrize(
    ('name', 'hyper', 'moved'),
    [
        ('bce', {}, [0, 0]),
        ('weighted_bce', {}, np.log(NEGATIVE / POSITIVE)),
        ('weighted_bce', {'power': 0.5, 'cap': 3}, np.log(np.minimum((NEGATIVE / POSITIVE) ** 0.5, 3))),
        ('focal', {'gamma': 0, 'alpha': 0.25}, np.full(2, np.log(1 / 3))),
        ('logit_adjusted', {}, np.log(NEGATIVE / POSITIVE)),
        ('inter_class_weighted_bce', {}, [0, 0]),
    ],
)
def test_the_best_logit_is_corrected_to_the_true_odds(name, hyper, moved):
    """Where the loss over a population of known odds is least, the corrected probability is the true one."""
    loss, truth = losses.make(name, POSITIVE, NEGATIVE, **hyper), np.array([0.2, 0.6])
    best = np.log(truth / (1 - truth)) + moved
    number = 1000
    labels = (np.arange(number)[:, None] < truth * number).astype(np.float32)

    def value(logits):
        return float(loss(loss.init(), np.broadcast_to(logits, labels.shape).astype(np.float32), labels))

    for step in (-0.05, 0.05):
        for k in range(2):
            assert value(best + step * np.eye(2)[k]) > value(best)
    np.testing.assert_allclose(calibration.probabilities(loss.corrected(best)), truth, rtol=1e-5)


def test_draws_move_the_odds():
    labels = np.zeros((100, 2), np.float32)
    labels[:30, 0], labels[30:35, 1] = 1, 1
    arrays = Arrays(np.zeros((100, 1)), labels, np.ones_like(labels))
    arms = {'bce': {}, 'balanced': {'loss': 'bce', 'sampler': 'class_aware'}}
    rows = members.make_members(arms, (0, 1), 'bce', learning_rate=1.0, weight_decay=0.0)
    shifts = calibration.prior_shifts(rows, arrays)
    np.testing.assert_allclose(shifts[:2], 0, atol=1e-12)
    # A third of the draws each for class 0, class 1 and none of them.
    expected = np.log(0.5 / (np.array([30, 5]) / np.array([70, 95])))
    np.testing.assert_allclose(shifts[2:], [expected] * 2, rtol=1e-6)
    functions = [losses.make('bce', POSITIVE, NEGATIVE)] * 2
    logits = np.random.default_rng(0).normal(size=(4, 100, 2))
    corrected = calibration.corrected(rows, functions, arrays, logits)
    np.testing.assert_allclose(logits - corrected, np.broadcast_to(shifts[:, None], logits.shape), atol=1e-12)
    before, after = (metrics.ranking(scores, labels) for scores in (logits, corrected))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
