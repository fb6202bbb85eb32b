"""Softmax losses against formulas written out in float64, PyTorch, each other, and the probabilities behind them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from imbalance_jax import losses
from imbalance_jax.losses import recalibration
from imbalance_jax.losses.switch import switch
from imbalance_jax.models.odds import against_others

COUNTS = np.array([900, 40, 7, 300, 0])
REST = COUNTS.sum() - COUNTS
SOFTMAX = sorted(name for name in losses.LOSSES if losses.link_of(name) == losses.SOFTMAX)
RANDOM = np.random.default_rng(1)
LOGITS = RANDOM.normal(0, 2, (7, 5))
LABELS = np.eye(5)[[0, 1, 2, 3, 4, 0, 1]]


def made(name, **hyper):
    return losses.make(name, COUNTS, REST, **hyper)


def inverse(counts):
    return np.where(counts > 0, counts.sum() / 4 / np.maximum(counts, 1), 1.0)


def effective(counts, beta=0.9999):
    weight = np.array([(1 - beta) / (1 - beta**n) if n else np.nan for n in counts.tolist()])
    return np.where(counts > 0, weight / np.nanmean(weight), 1.0)


def formula(name, z, y):
    """The loss [B] of each image as its paper writes it, one image at a time; y: class numbers."""
    out = []
    for row, k in zip(z, y, strict=True):
        weight, gamma, a = 1.0, 0.0, row.copy()
        if 'focal' in name:
            gamma = 2.0
        if name.startswith('weighted'):
            weight = inverse(COUNTS)[k]
        if name.startswith('class_balanced'):
            weight = effective(COUNTS)[k]
        if 'ldam' in name:
            margin = 0.5 / (1 / 7**0.25) / COUNTS[k] ** 0.25 if COUNTS[k] else 0.0
            a[k] -= margin
            a *= 30.0
        if name == 'softmax_logit_adjusted':
            a += np.log(np.maximum(COUNTS, 1) / COUNTS.sum())
        if name == 'balanced_softmax':
            p = np.maximum(COUNTS, 1) * np.exp(a)
            out.append(-np.log(p[k] / p.sum()))
            continue
        p = np.exp(a - a.max())
        p /= p.sum()
        out.append(weight * (1 - p[k]) ** gamma * -(a[k] - logsumexp(a)))
    return np.array(out)


def test_nine_losses_have_a_softmax():
    assert len(SOFTMAX) == 9


@pytest.mark.parametrize('name', SOFTMAX)
def test_the_formula_of_the_paper(name):
    expected = formula(name, LOGITS, LABELS.argmax(1))
    loss = made(name)
    np.testing.assert_allclose(loss({}, LOGITS, LABELS), expected.mean(), rtol=2e-6)
    mask = np.ones_like(LABELS)
    mask[3:, 0] = 0  # an image whose class is uncertain
    np.testing.assert_allclose(loss({}, LOGITS, LABELS, mask), expected[:3].mean(), rtol=2e-6)
    with jax.enable_x64(True):
        gradient = np.asarray(jax.grad(lambda z: loss({}, z, LABELS))(jnp.asarray(LOGITS)))
        step = 1e-6 * RANDOM.normal(size=LOGITS.shape)
        difference = loss({}, LOGITS + step, LABELS) - loss({}, LOGITS - step, LABELS)
    np.testing.assert_allclose((gradient * step).sum() * 2, difference, rtol=1e-6)
    np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-8)  # blind to what all logits share


@pytest.mark.parametrize('name', SOFTMAX)
def test_extreme_logits_are_finite(name):
    row = np.array([1e4, 300.0, 88.0, 0.0, -1e4])
    logits = np.stack([np.roll(row, i) for i in range(5)] + [np.zeros(5)]).astype(np.float32)
    for label in np.eye(5, dtype=np.float32):
        value, gradient = jax.value_and_grad(made(name), 1)({}, logits, np.tile(label, (6, 1)))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_against_pytorch():
    torch = pytest.importorskip('torch')
    z, y = torch.tensor(LOGITS), torch.tensor(LABELS.argmax(1))
    weights = {'weighted_cross_entropy': inverse(COUNTS), 'class_balanced_cross_entropy': effective(COUNTS)}
    for name, weight in weights.items():
        each = torch.nn.functional.cross_entropy(z, y, weight=torch.tensor(weight), reduction='none')
        np.testing.assert_allclose(made(name)({}, LOGITS, LABELS), float(each.mean()), rtol=2e-6)
    prior = torch.log(torch.tensor(np.maximum(COUNTS, 1) / COUNTS.sum()))
    adjusted = torch.nn.functional.cross_entropy(z + prior, y)
    np.testing.assert_allclose(made('softmax_logit_adjusted')({}, LOGITS, LABELS), float(adjusted), rtol=2e-6)


def test_losses_that_are_each_other():
    def value(name, **hyper):
        return float(made(name, **hyper)({}, LOGITS, LABELS))

    plain = value('cross_entropy')
    for name, hyper in (
        ('weighted_cross_entropy', {'power': 0}),
        ('class_balanced_cross_entropy', {'beta': 0}),
        ('softmax_focal', {'gamma': 0}),
        ('class_balanced_softmax_focal', {'gamma': 0, 'beta': 0}),
        ('softmax_ldam', {'margin': 0, 'logit_scale': 1}),
        ('softmax_logit_adjusted', {'tau': 0}),
    ):
        np.testing.assert_allclose(value(name, **hyper), plain, rtol=1e-6)
    np.testing.assert_allclose(value('balanced_softmax'), value('softmax_logit_adjusted'), rtol=1e-6)
    assert value('weighted_cross_entropy', cap=1.5) < value('weighted_cross_entropy')


def test_two_classes_are_a_sigmoid():
    """The softmax of two logits is the sigmoid of their difference: weighted, focal and adjusted alike."""
    counts, z = np.array([30, 10]), RANDOM.normal(size=(6, 2))
    y = np.eye(2)[[0, 1, 1, 0, 0, 1]]
    one_logit, label = (z[:, 1:] - z[:, :1]), y[:, 1:]
    of_softmax = losses.make('softmax_logit_adjusted', counts, counts[::-1])({}, z, y)
    of_sigmoid = losses.make('logit_adjusted', counts[1:], counts[:1])({}, one_logit, label)
    np.testing.assert_allclose(of_softmax, of_sigmoid, rtol=1e-5)
    focal = losses.make('focal', counts[1:], counts[:1], alpha=0.5, scale=2.0)({}, one_logit, label)
    np.testing.assert_allclose(losses.make('softmax_focal', counts, counts[::-1])({}, z, y), focal, rtol=1e-5)


def test_the_largest_logit_against_others_keeps_its_digits():
    z = np.concatenate([RANDOM.normal(0, 5, (50, 6)), [[60, 0, 0, 0, 0, -60]], np.zeros((1, 6))])
    p = softmax(z, axis=-1)
    exact = np.stack([z[:, k] - logsumexp(np.delete(z, k, 1), axis=1) for k in range(6)], 1)
    found = jax.jit(against_others)(jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.nn.sigmoid(found), p, rtol=2e-4, atol=1e-6)
    slope = jax.jit(jax.vmap(jax.jacobian(against_others)))(jnp.asarray(z, jnp.float32))
    for k in range(6):  # 1 at the class itself, minus the share of each other among the others
        shares = -np.exp(z - logsumexp(np.delete(z, k, 1), axis=1, keepdims=True))
        shares[:, k] = 1
        np.testing.assert_allclose(slope[:, k], shares, atol=2e-5)


def expected_slope(loss, z, eta):
    """Gradient [K] at logits z of the mean loss of images of which a share eta [K] is of each class, in float64."""
    with jax.enable_x64(True):

        def mean(z):
            each = [loss({}, z[None], y[None], None, None, 1.0) for y in np.eye(len(eta))]
            return sum(share * one for share, one in zip(eta, each, strict=True))

        return np.asarray(jax.grad(mean)(jnp.asarray(z)))


@pytest.mark.parametrize('name', SOFTMAX)
def test_logits_are_best_for_the_probabilities_that_they_are_said_to_have(name):
    """The mean loss of images with those probabilities has no slope there, and has one at other probabilities."""
    counts, z = np.array([90, 40, 7]), np.array([0.7, -0.4, 0.2])
    hyper = {'logit_scale': 2.0} if 'ldam' in name else {}
    loss = losses.make(name, counts, counts.sum() - counts, **hyper)
    odds = np.array([[z[k] - logsumexp(np.delete(z, k)) for k in range(3)]])
    eta = 1 / (1 + np.exp(-recalibration.softmax_log_odds(loss, odds)[0]))
    np.testing.assert_allclose(eta.sum(), 1, atol=1e-9)
    slope, other = expected_slope(loss, z, eta), expected_slope(loss, z, np.roll(eta, 1))
    np.testing.assert_allclose(slope, 0, atol=1e-6 * np.abs(other).max())
    assert np.abs(other).max() > 1e-2


def test_what_draws_moved_is_taken_back():
    loss = losses.make('cross_entropy', [90, 40, 7], [47, 97, 130])
    p, ratio = np.array([[0.5, 0.3, 0.2]]), np.array([0.5, 2.0, 4.0])
    drawn = p * ratio / (p * ratio).sum()
    odds = recalibration.softmax_log_odds(loss, np.log(drawn / (1 - drawn)), moved=np.log(ratio))
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), p, atol=1e-9)
    far = recalibration.softmax_log_odds(loss, np.array([[1e4, -1e4, -1e4]]))
    assert np.isfinite(far).all()


def test_one_program_for_a_grid_of_softmax_losses():
    functions = [made(name) for name in SOFTMAX if name != 'softmax_ldam_deferred']
    arms = switch(functions)
    program = str(jax.make_jaxpr(arms.apply)(*arms.init(), 3, LOGITS, LABELS, None, None, 0.0))
    assert 'cond[' not in program
    for arm, loss in enumerate(functions):
        value, _ = arms.apply(*arms.init(), arm, LOGITS, LABELS, None, None, 0.0)
        np.testing.assert_allclose(value, loss({}, LOGITS, LABELS), rtol=1e-6)


def test_deferred_weights_begin_where_they_should():
    deferred, plain = made('softmax_ldam_deferred', logit_scale=1.0), made('softmax_ldam', logit_scale=1.0)
    early, late = (float(deferred({}, LOGITS, LABELS, None, None, at)) for at in (0.7, 0.8))
    np.testing.assert_allclose(early, plain({}, LOGITS, LABELS), rtol=1e-6)
    a = LOGITS - LABELS * np.where(COUNTS > 0, 0.5 * (7 / np.maximum(COUNTS, 1)) ** 0.25, 0)
    each = -(log_softmax(a, axis=1) * LABELS).sum(1) * effective(COUNTS)[LABELS.argmax(1)]
    np.testing.assert_allclose(late, each.mean(), rtol=2e-6)
