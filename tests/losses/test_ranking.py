"""The losses that stand for AUROC and average precision, against loops in float64; and what losses keep over time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import losses

POSITIVE, NEGATIVE = np.array([12, 3, 30]), np.array([28, 37, 10])
EXAMPLES = 40


@pytest.fixture(scope='module')
def batch():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (10, 3)).astype(np.float32)
    labels = (rng.random((10, 3)) < 0.4).astype(np.float32)
    labels[:, 1] = [1] + [0] * 9
    mask = (rng.random((10, 3)) < 0.8).astype(np.float32)
    mask[0] = 1
    return logits, labels, mask


def sigmoid(z):
    return 1 / (1 + np.exp(-np.float64(z)))


def naive_auc_margin(h, y, a, b, alpha, pi, margin=1.0):
    total = 0.0
    for score, label in zip(h, y, strict=True):
        total += (1 - pi) * (score - a) ** 2 * label + pi * (score - b) ** 2 * (1 - label)
        total += 2 * alpha * (pi * score * (1 - label) - (1 - pi) * score * label)
    return total / len(h) + 2 * alpha * pi * (1 - pi) * margin - pi * (1 - pi) * alpha**2


def of_classes(naive, logits, labels, mask):
    """Mean over classes of `naive(h, y, class)` of the entries that count."""
    kept = [mask[:, k] > 0 for k in range(logits.shape[1])]
    values = [naive(sigmoid(logits[kept[k], k]), labels[kept[k], k], k) for k in range(logits.shape[1])]
    return np.mean([value for value in values if value is not None])


def differences(function, z, step=1e-5):
    gradient = np.zeros(z.shape)
    for index in np.ndindex(z.shape):
        shift = np.zeros(z.shape)
        shift[index] = step
        gradient[index] = (function(z + shift) - function(z - shift)) / (2 * step)
    return gradient


def test_auc_margin_and_its_gradients(batch):
    logits, labels, mask = batch
    loss, pi = losses.make('auc_margin', POSITIVE, NEGATIVE), POSITIVE / EXAMPLES
    params = {'a': np.array([0.7, 0.2, 0.9]), 'b': np.array([0.1, 0.3, 0.4]), 'alpha': np.array([0.5, 1.0, 0.2])}

    def naive(params, z):
        parts = lambda h, y, k: naive_auc_margin(h, y, *(params[n][k] for n in ('a', 'b', 'alpha')), pi[k])  # noqa: E731
        return of_classes(parts, z, labels, mask)

    value, (of_params, of_logits) = jax.value_and_grad(loss, (0, 1))(params, *batch)
    np.testing.assert_allclose(value, naive(params, logits), rtol=1e-5)
    np.testing.assert_allclose(of_logits, differences(lambda z: naive(params, z), np.float64(logits)), atol=1e-6)
    for name, sign in (('a', 1), ('b', 1), ('alpha', -1)):  # alpha ascends
        expected = differences(lambda p, name=name: naive({**params, name: p}, logits), params[name])
        np.testing.assert_allclose(of_params[name], sign * expected, atol=1e-6)


def test_auc_margin_ends_at_its_saddle(batch):
    """Descent along the given gradients finds the means of the scores, and alpha = margin - their distance."""
    logits, labels, _ = batch
    loss = losses.make('auc_margin', labels.sum(0), (1 - labels).sum(0))
    params, gradient = loss.init(), jax.jit(jax.grad(loss))
    for _ in range(4000):
        params = jax.tree.map(lambda p, g: p - 0.3 * g, params, gradient(params, logits, labels))
    h = sigmoid(logits)
    of_positives, of_negatives = ((h * w).sum(0) / w.sum(0) for w in (labels, 1 - labels))
    np.testing.assert_allclose(params['a'], of_positives, atol=1e-3)
    np.testing.assert_allclose(params['b'], of_negatives, atol=1e-3)
    np.testing.assert_allclose(params['alpha'], np.maximum(1 + of_negatives - of_positives, 0), atol=1e-3)


def test_auc_margin_alpha_is_never_below_zero_and_comes_back(batch):
    loss = losses.make('auc_margin', POSITIVE, NEGATIVE)
    below = {**loss.init(), 'alpha': jnp.full(3, -0.5)}
    assert loss(below, *batch) == loss(loss.init(), *batch)
    at_zero = jax.grad(loss)(loss.init(), *batch)['alpha']
    assert (at_zero < 0).any()  # a step of descent raises it
    np.testing.assert_array_equal(jax.grad(loss)(below, *batch)['alpha'], np.minimum(at_zero, 0))


def test_average_precision_and_its_gradient(batch):
    """Against a loop; the second visit of the same examples uses what the first left."""
    logits, labels, mask = batch
    loss, rows = losses.make('average_precision', POSITIVE, NEGATIVE, num_examples=EXAMPLES), np.arange(10) * 3
    params = loss.init()
    assert params['running']['all'].shape == (EXAMPLES, 3)
    memory = {}

    def naive(h, y, k):
        if not y.any():
            return None
        total = []
        numbers = np.flatnonzero(mask[:, k] > 0)
        for i in np.flatnonzero(y):
            pairs = np.maximum(1 - (frozen[k][i] - frozen[k]), 0) ** 2
            u, v = memory.get((numbers[i], k), (0.0, 0.0))
            u, v = 0.1 * u + 0.9 * pairs.mean(), 0.1 * v + 0.9 * (pairs * y).mean()
            after[numbers[i], k] = u, v
            moving = np.maximum(1 - (h[i] - h), 0) ** 2
            total.append(((v - y * u) / u**2 * moving).mean())
        return np.mean(total)

    frozen = {k: sigmoid(logits[mask[:, k] > 0, k]) for k in range(3)}
    for _ in range(2):
        after = {}
        value, gradient = jax.value_and_grad(loss, 1)(params, *batch, rows)
        expected = differences(lambda z: of_classes(naive, z, labels, mask), np.float64(logits))
        np.testing.assert_allclose(value, of_classes(naive, logits, labels, mask), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(gradient, expected, atol=1e-5)
        params, memory = loss.carry(params, *batch, rows), after
        for (i, k), (u, v) in after.items():
            np.testing.assert_allclose(params['running']['all'][rows[i], k], u, rtol=1e-5)
            np.testing.assert_allclose(params['running']['positive'][rows[i], k], v, rtol=1e-5)
    assert np.count_nonzero(params['running']['all']) == len(memory)


def test_average_precision_gradient_is_that_of_smoothed_average_precision(batch):
    """Without memory, the gradient is that of minus the mean of u+ / u."""
    logits, labels, mask = batch
    loss = losses.make('average_precision', POSITIVE, NEGATIVE, gamma=1.0)

    def smoothed(h, y, k):
        pairs = np.maximum(1 - (h[:, None] - h), 0) ** 2
        return -np.mean(((pairs * y).sum(1) / pairs.sum(1))[y > 0]) if y.any() else None

    expected = differences(lambda z: of_classes(smoothed, z, labels, mask), np.float64(logits))
    np.testing.assert_allclose(jax.grad(loss, 1)(loss.init(), *batch), expected, atol=1e-5)


def test_deferred_weights_come_late(batch):
    counts = POSITIVE, NEGATIVE
    plain = losses.make('ldam', *counts, logit_scale=2)
    late = losses.make('ldam_deferred', *counts, logit_scale=2, beta=0.99, deferred_from=0.5)
    np.testing.assert_allclose(late({}, *batch, None, 0.49), plain({}, *batch), rtol=1e-6)
    alpha = losses.make('class_balanced_focal', *counts, beta=0.99, scale=1).coefficients.positive_weight
    weighted = plain.coefficients._replace(positive_weight=2 * alpha, negative_weight=2 * (1 - alpha))
    np.testing.assert_allclose(late({}, *batch, None, 0.5), losses.kernel(weighted, *batch), rtol=1e-5)


def test_most_losses_keep_nothing(batch):
    for name in set(losses.LOSSES) - {'average_precision'}:
        loss = losses.make(name, POSITIVE, NEGATIVE)
        assert loss.carry(loss.init(), *batch) == {}


@pytest.mark.parametrize(('num_examples', 'kept'), [(100, [72, 90]), (0, [72, 90]), (80, [72])])
def test_every_training_example_is_remembered_also_where_labels_are_masked(num_examples, kept):
    """No class has a label for all 100 examples; a row that there is no memory for changes no other."""
    mask = np.zeros((100, 2))
    mask[:60, 0] = mask[40:, 1] = 1
    labels = (np.arange(100)[:, None] % 3 == 0) * mask
    counts = labels.sum(0), (mask - labels).sum(0)
    loss, rows = losses.make('average_precision', *counts, num_examples=num_examples), np.array([72, 90, 95, 98])
    batch = np.array([[0.0, 1.0], [0.0, -1.0], [0.0, 2.0], [0.0, 0.5]]), labels[rows], mask[rows], rows
    params = loss.init()
    for _ in range(2):
        value = loss(params, *batch)
        params |= loss.carry(params, *batch)
    assert np.isfinite(value)
    np.testing.assert_array_equal(np.flatnonzero(np.asarray(params['running']['all']).any(1)), kept)
