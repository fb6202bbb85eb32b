"""Probabilities whose prior was moved by a loss or a sampler, moved back."""

import numpy as np

from imbalance_jax import losses
from imbalance_jax.data.arrays import Arrays
from imbalance_jax.metrics import scores as metrics
from imbalance_jax.training import calibration, members

POSITIVE, NEGATIVE = np.array([30, 5]), np.array([70, 95])


def test_draws_move_the_odds():
    labels = np.zeros((100, 2), np.float32)
    labels[:30, 0], labels[30:35, 1] = 1, 1
    arrays = Arrays(np.zeros((100, 1)), labels, np.ones_like(labels))
    arms = {'bce': {}, 'balanced': {'loss': 'bce', 'sampler': 'class_aware'}}
    rows = members.make_members(arms, (0, 1), 'bce', learning_rate=1.0, weight_decay=0.0)
    shifts = calibration.prior_shifts(rows, {'own': arrays})
    np.testing.assert_allclose(shifts[:2], 0, atol=1e-12)
    # A third of the draws each for class 0, class 1 and none of them.
    expected = np.log(0.5 / (np.array([30, 5]) / np.array([70, 95])))
    np.testing.assert_allclose(shifts[2:], [expected] * 2, rtol=1e-6)
    found = recalibrated(rows, ['bce', 'bce'], arrays, np.random.default_rng(0).normal(size=(4, 100, 2)))
    assert found.method == {'bce': 'exact', 'balanced': 'exact and draws'}


def recalibrated(rows, names, arrays, logits, done=1.0):
    functions = [losses.make(name, POSITIVE, NEGATIVE) for name in names]
    given = {'validation': logits[:, :60], 'test': logits[:, 60:]}
    validation = Arrays(arrays.images[:60], arrays.labels[:60], arrays.label_mask[:60])
    return calibration.recalibrated(
        rows, functions, {'own': arrays}, logits=given, validation=validation, done=np.full(len(rows), done)
    )


def test_each_arm_is_recalibrated_by_what_its_loss_allows():
    """By the formula, after the draws; by Platt where the batch sets the weights; the order of images stays."""
    random = np.random.default_rng(0)
    labels = (random.random((100, 2)) < [0.3, 0.2]).astype(np.float32)
    arrays = Arrays(np.zeros((100, 1)), labels, np.ones_like(labels))
    arms = {
        'weighted_bce': {},
        'balanced': {'loss': 'bce', 'sampler': 'class_aware'},
        'asymmetric': {},
        'w_cel': {},
    }
    rows = members.make_members(arms, (0,), 'weighted_bce', learning_rate=1.0, weight_decay=0.0)
    logits = random.normal(2 * labels - 1, 1.0, size=(4, 100, 2))
    logits[2, 3] = np.nan  # of a frozen member
    names = [row['loss'] for row in rows]
    found = recalibrated(rows, names, arrays, logits)
    by_arm = {row['arm']: row['member'] for row in rows}
    assert found.method == {
        'weighted_bce': 'exact',
        'balanced': 'exact and draws',
        'asymmetric': 'exact',
        'w_cel': 'Platt',
    }
    odds = np.concatenate([found.log_odds['validation'], found.log_odds['test']], axis=1)
    weighted, balanced, platt = (by_arm[arm] for arm in ('weighted_bce', 'balanced', 'w_cel'))
    np.testing.assert_allclose(odds[weighted], logits[weighted] - np.log(NEGATIVE / POSITIVE), atol=1e-5)
    shift = calibration.prior_shifts(rows, {'own': arrays})[balanced]
    np.testing.assert_allclose(odds[balanced], logits[balanced] - shift, atol=1e-5)
    mean = calibration.probabilities(odds[platt, :60]).mean(0)
    np.testing.assert_allclose(mean, labels[:60].mean(0), atol=0.02)  # Platt's targets lean a little inwards
    assert np.isnan(odds[2, 3]).all()
    for member in (weighted, balanced, platt):
        before, after = (metrics.ranking(one[member], labels) for one in (logits, odds))
        for name in before:
            np.testing.assert_allclose(before[name], after[name], atol=1e-12)


def test_the_fraction_done_is_that_of_the_last_step_of_the_best_epoch():
    assert (calibration.done(np.array([4, 5]), 5) < [0.8, 1.0]).all()
    np.testing.assert_allclose(calibration.done(np.array([4, 5]), 5), [0.8, 1.0])
