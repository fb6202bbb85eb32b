"""Losses against the study's own values, naive float64 formulas, identities between them, and extreme input."""

import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import losses
from imbalance_jax.losses.loss import Loss, from_entries

GOLDEN = Path(__file__).parents[1] / 'golden'
PUBLISHED = (
    'bce',
    'intra_class_weighted_bce',
    'inter_class_weighted_bce',
    'focal',
    'class_balanced_focal',
    'asymmetric',
    'multi_task',
)

# Training split of ChestMNIST: Atelectasis, Cardiomegaly, Effusion, Infiltration, Mass, Nodule, Pneumonia,
# Pneumothorax, Consolidation, Edema, Emphysema, Fibrosis, Pleural thickening, Hernia.
CHEST = np.array([7996, 1950, 9261, 13914, 3988, 4375, 978, 3705, 3263, 1690, 1799, 1158, 2279, 144])
CHEST_REST = 78468 - CHEST

POSITIVE, NEGATIVE = np.array([900, 40, 7, 300]), np.array([100, 960, 993, 700])
OF_SIGMOIDS = sorted(name for name in losses.LOSSES if losses.link_of(name) == losses.SIGMOID)


@pytest.fixture(scope='module')
def batch():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6, 4)).astype(np.float32)
    labels = (rng.random((6, 4)) < 0.4).astype(np.float32)
    labels[0] = 0  # an image without a finding
    labels[1] = [0, 1, 0, 1]
    labels[:, 2] = 0  # a class without a positive in the batch
    return logits, labels


def value_and_gradients(loss, params, logits, labels, label_mask=None):
    return jax.value_and_grad(loss, argnums=(0, 1))(params, logits, labels, label_mask)


def mean_of(name, logits, labels, label_mask=None, num_positive=POSITIVE, num_negative=NEGATIVE, **hyper):
    loss = losses.make(name, num_positive, num_negative, **hyper)
    return loss(loss.init(), logits, labels, label_mask)


# The study's own code


@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('name', PUBLISHED)
def test_published_value_and_gradient(name, case):
    golden = np.load(GOLDEN / f'losses_{case}.npz')
    loss = losses.make(name, golden['num_positive'], golden['num_negative'])
    params = loss.init()
    if name == 'multi_task':
        params = {'log_variance': golden['multi_task/log_variance']}
    value, (of_params, of_logits) = value_and_gradients(loss, params, golden['logits'], golden['labels'])
    np.testing.assert_allclose(value, golden[f'{name}/value'], rtol=1e-5)
    # The published code subtracts rounded probabilities from 1, so its smallest gradients are rounded away.
    scale = np.abs(golden[f'{name}/grad']).max()
    np.testing.assert_allclose(of_logits, golden[f'{name}/grad'], rtol=1e-5, atol=2e-6 * scale)
    if name == 'multi_task':
        np.testing.assert_allclose(of_params['log_variance'], golden['multi_task/grad_log_variance'], rtol=1e-5)


# Naive formulas in float64


def cross_entropy(z, y, positive=1.0, negative=1.0):
    p = 1 / (1 + np.exp(-z))
    return -positive * y * np.log(p) - negative * (1 - y) * np.log(1 - p)


def naive_focal(z, y, alpha, gamma):
    p = 1 / (1 + np.exp(-z))
    return -alpha * y * (1 - p) ** gamma * np.log(p) - (1 - alpha) * (1 - y) * p**gamma * np.log(1 - p)


def naive_class_balanced(z, y):
    of_positives, of_negatives = (1 / (1 - 0.9999 ** count.astype(float)) for count in (POSITIVE, NEGATIVE))
    return 50 * naive_focal(z, y, of_positives / (of_positives + of_negatives), 2)


def naive_asymmetric(z, y):
    p = 1 / (1 + np.exp(-z))
    q = np.maximum(p - 0.05, 0)
    return -y * (1 - p) * np.log(p) - (1 - y) * q**4 * np.log(1 - q)


def naive_ral(z, y):
    p = 1 / (1 + np.exp(-z))
    shifted = np.minimum(1 - p + 0.05, 1)
    positive = np.log(p) + (1 - p) - 1.25 * (1 - p) ** 2
    negative = np.log(shifted) * (1.5 - p) * p**2 * (1.5 - shifted) * (1 - shifted) ** 4
    return -y * positive - (1 - y) * negative


def naive_distribution_balanced(z, y):
    with np.errstate(divide='ignore'):
        r = (1 / POSITIVE) / (y / POSITIVE).sum(axis=1, keepdims=True)
    weight = 0.1 + 1 / (1 + np.exp(-10 * (r - 0.2)))
    total = POSITIVE + NEGATIVE
    z = z - np.log(total / POSITIVE - 1) * 0.05 / 2
    z = np.where(y == 1, z, 2 * z)
    entropy = cross_entropy(z, y)
    return 2 * weight * np.where(y == 1, 1, 0.5) * (1 - np.exp(-entropy)) ** 2 * entropy


def naive_intra(z, y):
    positive, negative = y.sum(0), (1 - y).sum(0)
    fallback = (NEGATIVE / POSITIVE).min()
    mixed = (positive > 0) & (negative > 0)
    return cross_entropy(z, y, np.where(mixed, negative / np.maximum(positive, 1), fallback))


NAIVE = {
    'asymmetric': naive_asymmetric,
    'bce': cross_entropy,
    'class_balanced_focal': naive_class_balanced,
    'distribution_balanced': naive_distribution_balanced,
    'focal': lambda z, y: 10 * naive_focal(z, y, 0.25, 2),
    'inter_class_weighted_bce': lambda z, y: 15 * np.sqrt(POSITIVE) / np.sqrt(POSITIVE).sum() * cross_entropy(z, y),
    'intra_class_weighted_bce': naive_intra,
    'inverse_class_weighted_bce': lambda z, y: 15 * POSITIVE**-0.5 / (POSITIVE**-0.5).sum() * cross_entropy(z, y),
    'ldam': lambda z, y: cross_entropy(30 * (z - y * 0.5 * (7 / POSITIVE) ** 0.25), y),
    'ldam_deferred': lambda z, y: cross_entropy(30 * (z - y * 0.5 * (7 / POSITIVE) ** 0.25), y),  # until it is late
    'logit_adjusted': lambda z, y: cross_entropy(z + np.log(POSITIVE / NEGATIVE), y),
    'multi_task': cross_entropy,
    'multi_task_consistent': cross_entropy,
    'ral': naive_ral,
    'w_cel': lambda z, y: cross_entropy(z, y, y.size / y.sum(), y.size / (1 - y).sum()),
    'weighted_bce': lambda z, y: cross_entropy(z, y, NEGATIVE / POSITIVE),
}


def finite_difference(function, z, step=1e-6):
    gradient = np.zeros_like(z)
    for index in np.ndindex(z.shape):
        shift = np.zeros_like(z)
        shift[index] = step
        gradient[index] = (function(z + shift) - function(z - shift)) / (2 * step)
    return gradient


OWN = sorted([*NAIVE, 'auc_margin', 'average_precision'])  # the last two are in test_order_losses


def test_every_loss_of_the_suite_has_a_naive_formula():
    """A loss of the suite has a hyper-parameter `scale`; a user's own need not, and has the tests of all losses."""
    scaled = {name for name in OF_SIGMOIDS if 'scale' in inspect.signature(losses.LOSSES[name]).parameters}
    assert scaled == set(OWN)


@pytest.mark.parametrize('name', sorted(NAIVE))
@pytest.mark.parametrize('masked', [False, True])
def test_naive_formula_of_counted_rows(name, masked, batch):
    logits, labels = batch
    logits = logits / 30 if name.startswith('ldam') else logits  # naive probabilities saturate beyond 36 in float64
    kept = np.arange(6) != (2 if masked else 6)
    mask = np.repeat(kept[:, None], 4, axis=1) if masked else None
    loss = losses.make(name, POSITIVE, NEGATIVE)
    poisoned = np.where(kept[:, None], labels, np.nan)
    value, (_, gradient) = value_and_gradients(loss, loss.init(), logits, poisoned, mask)
    z, y = logits[kept].astype(np.float64), labels[kept].astype(np.float64)
    expected = finite_difference(lambda z: NAIVE[name](z, y).mean(), z)
    # 1e-4: the published rounding of beta to float32, which `naive_class_balanced` does not copy.
    rtol = 1e-4 if name == 'class_balanced_focal' else 1e-5
    np.testing.assert_allclose(value, NAIVE[name](z, y).mean(), rtol=rtol)
    np.testing.assert_allclose(gradient[kept], expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    np.testing.assert_array_equal(gradient[~kept], 0)


def test_gradient_of_log_variance(batch):
    logits, labels = batch
    s = np.array([0.3, -0.4, 0.0, 1.1])
    entropy = cross_entropy(logits.astype(np.float64), labels.astype(np.float64)).mean(axis=0)
    for name, penalty in (('multi_task', 1 / 2), ('multi_task_consistent', 1 / 2 / 4)):
        loss = losses.make(name, POSITIVE, NEGATIVE)
        value, (gradient, _) = value_and_gradients(loss, {'log_variance': jnp.asarray(s)}, logits, labels)
        np.testing.assert_allclose(value, np.mean(np.exp(-s) * entropy) + penalty * s.sum(), rtol=1e-5)
        np.testing.assert_allclose(gradient['log_variance'], -np.exp(-s) * entropy / 4 + penalty, rtol=1e-5)


def test_weight_at_the_optimum_of_multi_task(batch):
    logits, labels = batch
    entropy = cross_entropy(logits.astype(np.float64), labels.astype(np.float64)).mean(axis=0)
    for name, weight in (('multi_task', 4 / (2 * entropy)), ('multi_task_consistent', 1 / (2 * entropy))):
        loss = losses.make(name, POSITIVE, NEGATIVE)
        gradient = jax.grad(loss)({'log_variance': jnp.asarray(-np.log(weight))}, logits, labels)
        np.testing.assert_allclose(gradient['log_variance'], 0, atol=1e-6)


# Identities


@pytest.mark.parametrize(
    ('name', 'hyper', 'times'),
    [
        ('asymmetric', {'gamma_pos': 0, 'gamma_neg': 0, 'margin': 0, 'floor': 0}, 1),
        ('class_balanced_focal', {'beta': 0, 'gamma': 0, 'scale': 1}, 0.5),
        ('distribution_balanced',
         {'alpha': 0.5, 'beta': 0, 'kappa': 0, 'negative_scale': 1, 'gamma': 0, 'scale': 1}, 1),
        ('focal', {'gamma': 0, 'alpha': 0.5, 'scale': 1}, 0.5),
        ('ldam', {'margin': 0, 'logit_scale': 1}, 1),
        ('logit_adjusted', {'tau': 0}, 1),
        ('multi_task', {}, 1),
        ('multi_task_consistent', {}, 1),
        ('weighted_bce', {'power': 0}, 1),
    ],
)  # fmt: skip
def test_special_case_is_bce(name, hyper, times, batch):
    value = mean_of(name, 4 * batch[0], batch[1], **hyper)
    np.testing.assert_allclose(value, times * mean_of('bce', 4 * batch[0], batch[1]), rtol=1e-6)


def test_asymmetric_with_equal_gammas_is_focal(batch):
    hyper = {'gamma_pos': 2, 'gamma_neg': 2, 'margin': 0, 'floor': 0}
    value = mean_of('asymmetric', *batch, **hyper, scale=5)
    np.testing.assert_allclose(value, mean_of('focal', *batch, alpha=0.5, scale=10), rtol=1e-6)


def test_equal_counts_balance_nothing(batch):
    half = np.full(4, 500)
    reference = mean_of('bce', *batch)
    for name in ('weighted_bce', 'logit_adjusted'):
        np.testing.assert_allclose(mean_of(name, *batch, None, half, half), reference, rtol=1e-6)
    for name in ('inter_class_weighted_bce', 'inverse_class_weighted_bce'):
        np.testing.assert_allclose(mean_of(name, *batch, None, half, half, scale=4), reference, rtol=1e-6)


def test_balanced_batch_makes_batch_weights_bce(batch):
    labels = np.tile([[1, 1, 1, 1], [0, 0, 0, 0]], (3, 1))
    reference = mean_of('bce', batch[0], labels)
    np.testing.assert_allclose(mean_of('intra_class_weighted_bce', batch[0], labels), reference, rtol=1e-6)
    np.testing.assert_allclose(mean_of('w_cel', batch[0], labels), 2 * reference, rtol=1e-6)


def test_robust_asymmetric_without_polynomial_has_the_positives_of_asymmetric(batch):
    ones = np.ones_like(batch[1])
    np.testing.assert_allclose(
        mean_of('ral', batch[0], ones, linear=0, quadratic=0, gamma_pos=1), mean_of('asymmetric', batch[0], ones)
    )


@pytest.mark.parametrize('name', OWN)
def test_scale_multiplies(name, batch):
    np.testing.assert_allclose(mean_of(name, *batch, scale=6), 3 * mean_of(name, *batch, scale=2), rtol=1e-6)


# Class weights on the counts of ChestMNIST


def test_class_balanced_alpha_of_chestmnist():
    positive = losses.make('class_balanced_focal', CHEST, CHEST_REST, scale=1).coefficients.positive_weight
    expected = [0.645, 0.849, 0.623, 0.571, 0.752, 0.738, 0.915, 0.763, 0.782, 0.865, 0.859, 0.901, 0.831, 0.986]
    np.testing.assert_allclose(positive, expected, atol=5.1e-4)


def test_positive_weight_of_chestmnist():
    weight = losses.make('weighted_bce', CHEST, CHEST_REST).coefficients.positive_weight
    np.testing.assert_allclose(weight[[13, 6, 11, 3]], [543.9, 79.2, 66.8, 4.6], atol=0.05)
    root = losses.make('weighted_bce', CHEST, CHEST_REST, power=0.5).coefficients.positive_weight
    np.testing.assert_allclose(root**2, weight, rtol=1e-5)
    capped = losses.make('weighted_bce', CHEST, CHEST_REST, cap=10).coefficients.positive_weight
    np.testing.assert_allclose(capped, np.minimum(weight, 10))


def test_margins_of_chestmnist():
    margins = -losses.make('ldam', CHEST, CHEST_REST).coefficients.positive_shift
    np.testing.assert_allclose(margins[[3, 13]], [0.159, 0.5], atol=5e-4)
    np.testing.assert_allclose(margins * CHEST**0.25, margins[0] * CHEST[0] ** 0.25, rtol=1e-6)


def test_published_inter_class_weight_grows_with_the_class():
    rising = losses.make('inter_class_weighted_bce', CHEST, CHEST_REST).coefficients.positive_weight
    falling = losses.make('inverse_class_weighted_bce', CHEST, CHEST_REST).coefficients.positive_weight
    assert rising[13] == rising.min()
    assert falling[13] == falling.max()
    np.testing.assert_allclose([rising.sum(), falling.sum()], 15, rtol=1e-6)
    np.testing.assert_allclose(rising * falling, rising[0] * falling[0], rtol=1e-6)


# Classes that training lacks


@pytest.mark.parametrize('name', sorted(losses.LOSSES))
def test_class_without_positives_or_negatives_is_finite(name, batch):
    for num_positive in ([0, 40, 1000, 300], [0, 0, 0, 0], [1000, 1000, 1000, 1000]):
        loss = losses.make(name, num_positive, 1000 - np.array(num_positive))
        gradients = value_and_gradients(loss, loss.init(), *batch)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients)), num_positive


def test_class_without_positives_has_the_neutral_weight():
    counts = [0, 40, 1000, 300], [1000, 960, 0, 700]
    neutral = {'weighted_bce': 1, 'class_balanced_focal': 0.5, 'inverse_class_weighted_bce': 1 / 4}
    for name, weight in neutral.items():
        coefficients = losses.make(name, *counts, scale=1).coefficients
        np.testing.assert_allclose(coefficients.positive_weight[0], weight, rtol=1e-6)
    assert losses.make('ldam', *counts).coefficients.positive_shift[0] == 0
    np.testing.assert_array_equal(losses.make('logit_adjusted', *counts).coefficients.positive_shift[[0, 2]], 0)
    assert losses.make('inter_class_weighted_bce', *counts).coefficients.positive_weight[0] == 0


# Numerics


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize('name', OF_SIGMOIDS)
def test_extreme_logits(name, dtype):
    logits = np.array([1e4, 1e3, 300, 104, 103, 90, 88, 87, 20, 17, 3, 0])
    logits = jnp.asarray(np.concatenate([logits, -logits]).reshape(6, 4), dtype)
    loss = losses.make(name, POSITIVE, NEGATIVE)
    for label in (0, 1):
        value, (_, gradient) = value_and_gradients(loss, loss.init(), logits, np.full((6, 4), label))
        assert value.dtype == jnp.float32
        assert gradient.dtype == dtype
        assert np.isfinite(value)
        assert np.isfinite(np.asarray(gradient, np.float32)).all()


@pytest.mark.parametrize('hyper', [
    {'gamma_pos': 0, 'gamma_neg': 0, 'margin': 0},
    {'gamma_pos': 0, 'gamma_neg': 0, 'margin': 0.2},
    {'gamma_pos': 0.1, 'gamma_neg': 0.1, 'margin': 0},
    {'gamma_pos': 1, 'gamma_neg': 1, 'margin': 0.999},
])  # fmt: skip
def test_gradient_at_the_edges_of_hyper_parameters(hyper):
    extremes = [[-1e4, -104, -90, -20], [20, 90, 104, 1e4]]
    moderate = [[-10, -9, -8, -7], [-6, -5, -1.5, -1], [0, 0.5, 1, 1.5], [3, 5, 7, 10]]
    logits = np.array(extremes + moderate, np.float32)
    loss = losses.make('asymmetric', POSITIVE, NEGATIVE, floor=0, **hyper)
    _, (_, gradient) = value_and_gradients(loss, {}, logits, np.zeros_like(logits))
    assert np.isfinite(gradient).all()
    p = 1 / (1 + np.exp(-logits[2:].astype(np.float64)))
    power, q = hyper['gamma_neg'], p - hyper['margin']
    q = np.where(q > 0, q, np.nan)
    slope = p * (1 - p) * (q**power / (1 - q) - power * q ** (power - 1) * np.log(1 - q))
    # Nothing is learned from a negative within the margin. A probability close to the margin loses digits.
    np.testing.assert_allclose(24 * gradient[2:], np.nan_to_num(slope), rtol=1e-4, atol=1e-6)


def test_bfloat16_logits_are_computed_in_float32(batch):
    logits = jnp.asarray(batch[0], jnp.bfloat16)
    assert mean_of('focal', logits, batch[1]) == mean_of('focal', logits.astype(jnp.float32), batch[1])


def test_published_floor_stops_the_gradient_of_a_lost_positive():
    logits, labels = np.full((6, 4), -25, np.float32), np.ones((6, 4))
    for floor, expected in ((1e-8, 0), (0, -1 / 24)):
        loss = losses.make('asymmetric', POSITIVE, NEGATIVE, floor=floor)
        _, (_, gradient) = value_and_gradients(loss, {}, logits, labels)
        np.testing.assert_allclose(gradient, expected, atol=1e-8)


# Masks


@pytest.mark.parametrize('name', sorted(losses.LOSSES))
def test_nothing_counted_is_zero(name, batch):
    loss = losses.make(name, POSITIVE, NEGATIVE)
    params = jax.tree.map(lambda leaf: leaf + 1, loss.init())
    value, gradients = value_and_gradients(loss, params, *batch, np.zeros_like(batch[1]))
    assert value == 0
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradients))


def test_masked_class_is_no_task(batch):
    mask = np.ones_like(batch[1])
    mask[:, 1] = 0
    for name in ('multi_task', 'multi_task_consistent'):
        loss = losses.make(name, POSITIVE, NEGATIVE)
        gradient = jax.grad(loss)(loss.init(), *batch, mask)
        assert gradient['log_variance'][1] == 0


# The shared kernel


def test_kernel_maps_over_a_grid_of_coefficients(batch):
    members = [
        losses.make(name, POSITIVE, NEGATIVE, **hyper)
        for name, hyper in (
            ('bce', {}),
            ('weighted_bce', {'power': 0.5}),
            ('focal', {'gamma': 0}),
            ('focal', {'gamma': 3, 'alpha': 0.75}),
            ('class_balanced_focal', {}),
            ('asymmetric', {}),
            ('ldam', {'logit_scale': 2}),
            ('logit_adjusted', {}),
        )
    ]
    grid = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[loss.coefficients for loss in members])
    mapped = jax.jit(jax.vmap(jax.value_and_grad(losses.kernel, argnums=1), (0, None, None)))
    values, gradients = mapped(grid, *batch)
    for i, loss in enumerate(members):
        value, (_, gradient) = value_and_gradients(loss, {}, *batch)
        np.testing.assert_allclose(values[i], value, rtol=1e-6)
        np.testing.assert_allclose(gradients[i], gradient, rtol=1e-5, atol=1e-7 * np.abs(gradient).max())


def test_coefficients_exist_where_the_loss_is_the_kernel(batch):
    for name in losses.LOSSES:
        loss = losses.make(name, POSITIVE, NEGATIVE)
        if isinstance(loss.coefficients, losses.Coefficients):
            assert {leaf.shape for leaf in loss.coefficients} == {(4,)}
            np.testing.assert_allclose(losses.kernel(loss.coefficients, *batch), loss({}, *batch), rtol=1e-6)


def test_scalar_coefficients_broadcast(batch):
    np.testing.assert_allclose(losses.kernel(losses.Coefficients(), *batch), mean_of('bce', *batch), rtol=1e-6)


def test_gradient_of_traced_gamma_is_finite():
    logits = np.tile(np.array([[-1e4, -90, -3, 3, 90, 1e4]], np.float32), (2, 1))
    labels = np.repeat([[0], [1]], 6, axis=1)

    @jax.jit
    @jax.grad
    def gradient(gamma):
        return losses.kernel(losses.Coefficients(gamma_pos=gamma, gamma_neg=gamma), logits, labels)

    assert np.isfinite(gradient(0.0))


# Errors


def test_coefficients_of_another_number_of_classes_are_named(monkeypatch):
    def mine(num_positive, num_negative):
        return losses.loss.from_coefficients(losses.Coefficients(positive_weight=np.ones(3)))

    monkeypatch.setitem(losses.LOSSES, 'mine', mine)
    with pytest.raises(ValueError, match=r"'mine' has coefficients \[3\]; expected one for each of 4 classes"):
        losses.make('mine', POSITIVE, NEGATIVE)


@pytest.mark.parametrize(
    ('name', 'hyper', 'message'),
    [
        ('focall', {}, "Unknown loss 'focall'. Did you mean 'focal'"),
        ('focal', {'gama': 1}, "hyper-parameter of loss 'focal' 'gama'. Did you mean 'gamma'.*alpha, gamma, scale"),
        ('bce', {'gamma': 2}, 'Known: scale'),
        ('focal', {'gamma': -1}, r'gamma = -1 .* at least 0'),
        ('focal', {'alpha': 1.5}, r'alpha = 1.5 .* in \[0, 1\]'),
        ('focal', {'scale': 0}, r'scale = 0 .* positive'),
        ('focal', {'gamma': float('nan')}, 'gamma = nan .* finite number'),
        ('focal', {'gamma': float('inf')}, 'gamma = inf .* finite number'),
        ('focal', {'gamma': '2'}, "gamma = '2' .* finite number"),
        ('focal', {'gamma': None}, 'gamma = None .* finite number'),
        ('class_balanced_focal', {'beta': 1}, r'beta = 1.0 .* in \[0, 1\)'),
        ('asymmetric', {'margin': 1}, r'margin = 1 .* in \[0, 1\)'),
        ('asymmetric', {'gamma_neg': -0.1}, 'gamma_neg = -0.1'),
        ('weighted_bce', {'cap': 0}, 'cap = 0 .* positive, or None'),
        ('ral', {'hill': 0.5}, 'hill = 0.5'),
    ],
)
def test_wrong_name_or_value(name, hyper, message):
    with pytest.raises(ValueError, match=message):
        losses.make(name, POSITIVE, NEGATIVE, **hyper)


@pytest.mark.parametrize(
    ('num_positive', 'num_negative', 'message'),
    [
        ([1, 2], [1, 2, 3], 'num_positive has 2 classes and num_negative 3'),
        ([1, -2], [1, 2], r'num_positive = \[1.0, -2.0\]'),
        ([1, 2], [1, float('nan')], 'num_negative = '),
        (5, 6, r'num_positive has shape \(\)'),
    ],
)
def test_wrong_counts(num_positive, num_negative, message):
    with pytest.raises(ValueError, match=message):
        losses.make('bce', num_positive, num_negative)


def test_wrong_shapes(batch):
    with pytest.raises(ValueError, match=r'shapes \(6, 4\), \(4,\) and \(6, 4\)'):
        mean_of('bce', batch[0], batch[1][0])


@pytest.mark.parametrize(
    'name', ['bce', 'focal', 'class_balanced_focal', 'weighted_bce', 'logit_adjusted', 'asymmetric']
)
def test_second_derivatives_are_finite_at_any_logit_and_those_of_bce_are_the_variance(name):
    logits = jnp.array([[-200.0], [-75.0], [-60.0], [-46.0], [-20.0], [-3.0], [0.0], [3.0], [46.0], [200.0]])
    loss = losses.make(name, np.array([30.0]), np.array([70.0]))
    for label in (0.0, 1.0):
        slope = jax.grad(lambda x, label=label: loss({}, x, jnp.full(x.shape, label)) * len(x))
        second = jax.jvp(slope, (logits,), (jnp.ones_like(logits),))[1]
        assert np.isfinite(second).all()
        if name == 'bce':
            wanted = jax.nn.sigmoid(logits) * jax.nn.sigmoid(-logits)
            np.testing.assert_allclose(second, wanted, rtol=1e-4, atol=1e-7)


def entries_of_images(positive, negative):
    return from_entries(lambda logits, labels, mask: logits.sum(1), entrywise=True)


def of_loss(apply, **fields):
    return lambda p, n: Loss(apply, **fields)


def bce_of(logits, labels):
    return losses.entrywise.cross_entropy(logits, labels).mean()


def plain(params, logits, labels, *rest):
    return bce_of(logits, labels)


REMEMBERS = {'init': lambda: {'running': {'a': jnp.zeros(())}}}


@pytest.mark.parametrize(
    ('own', 'said'),
    [
        (lambda p, n: Loss(lambda params, logits, labels, mask: logits.mean()), 'TypeError: .*positional arguments'),
        (lambda p, n: Loss(lambda params, logits, *rest: logits.mean(1)), r'gives float32 \[5\]; expected one number'),
        (entries_of_images, r"'own' for 5 images of 3 classes: ValueError: entries are \[5\]; expected \[5, 3\]"),
        (of_loss(plain, entries=lambda z, y, f: z[:1]), r'gives entries float32 \[1, 3\]; expected \[5, 3\]'),
        (of_loss(lambda *given: plain(*given).astype(jnp.bfloat16)), r'gives bfloat16 \[\]; expected one num'),
        (of_loss(plain, init=lambda: {'a': 1}), r"`init` gives \['a'\] of int32; expected float32"),
        (of_loss(plain, init=lambda: [1.0]), r'`init` gives \[1.0\]; expected a dict of parameters'),
        (of_loss(plain, init=lambda: None), '`init` gives None; expected a dict'),
        (of_loss(plain, **REMEMBERS, advance=lambda q, z, *rest: {'b': z.mean()}), "`advance` gives {'b': 'float32 "),
        (of_loss(plain, **REMEMBERS, advance=lambda q, z, *rest: {'a': z[0]}), r"gives {'a': 'float32 \[3\]'}"),
        (of_loss(plain, advance=lambda q, z, *rest: {'a': z.mean()}), r"expected params\['running'\] as before, {}"),
        (of_loss(plain, link='Softmax'), "link of a loss is 'sigmoid' or 'softmax', not 'Softmax'"),
        (of_loss(lambda params, z, y, *rest: 0 * z.mean()), 'does not depend on the logits'),
        (of_loss(lambda params, z, y, *rest: bce_of(jax.lax.stop_gradient(z), y)), 'does not depend on the logits'),
        (of_loss(lambda params, z, y, *rest: (jax.nn.softplus(-z) * y).mean()), 'of class 0 for any image without it'),
        (of_loss(lambda params, z, y, *rest: (jax.nn.softplus(z) * (1 - y)).mean()), 'class 0 for any image with it'),
        (of_loss(lambda params, z, y, *rest: jnp.log(z).mean()), 'is nan, with gradients'),
        (of_loss(plain, coefficients=losses.entrywise.coefficients(3, positive_weight=5.0)), 'give another loss'),
    ],
)  # fmt: skip
def test_a_loss_of_one_s_own_is_asked_of_a_batch(monkeypatch, own, said):
    monkeypatch.setitem(losses.LOSSES, 'own', own)
    with pytest.raises(ValueError, match=said):
        losses.make('own', np.full(3, 4), np.full(3, 6))


def of_entries(weigh):
    return lambda p, n: from_entries(lambda z, y, m: weigh(z, y) * losses.entrywise.cross_entropy(z, y), entrywise=True)


@pytest.mark.parametrize(
    'own',
    [
        of_entries(lambda z, y: 1 + 5 * y.mean(0)),
        of_entries(lambda z, y: 1 + 5 * y.sum(1, keepdims=True)),
        of_loss(plain, entries=lambda z, y, f: losses.entrywise.cross_entropy(z, y, positive_weight=9.0)),
    ],
    ids=['weights of the batch', 'of the image', 'another loss'],
)
def test_entries_that_are_not_those_of_the_loss_are_refused(monkeypatch, own):
    monkeypatch.setitem(losses.LOSSES, 'own', own)
    with pytest.raises(ValueError, match=r'entries say log-odds of .* and by the loss of a batch they are'):
        losses.make('own', np.full(3, 4), np.full(3, 6))


def test_entries_of_one_s_own_that_are_those_of_the_loss_pass(monkeypatch):
    for right in (of_entries(lambda z, y: 1 + 8 * y), of_entries(lambda z, y: jax.nn.sigmoid((1 - 2 * y) * z) ** 2)):
        monkeypatch.setitem(losses.LOSSES, 'own', right)
        assert losses.make('own', np.full(3, 4), np.full(3, 6)).entries


@pytest.mark.parametrize('name', sorted(losses.LOSSES))
def test_every_loss_is_what_it_says(name):
    """Right answers cost less than wrong ones; entries say the log-odds of the loss; what is not known counts not."""
    loss = losses.make(name, np.array([4, 30, 7]), np.array([60, 34, 57]), num_examples=64)
    losses.own.check(name, loss, 3)
    assert not losses.own.needs_all_labels(loss, 3)


def test_a_loss_that_reads_labels_that_are_not_known_is_recognised():
    assert losses.own.needs_all_labels(of_loss(plain)(0, 0), 3)


def stopped(values):
    return jax.lax.stop_gradient(values)


def warm_up(params, z, y, mask, moment):
    return bce_of(z, y) * jnp.minimum(1, 10 * moment.fraction)


def self_paced(params, z, y, mask, moment):
    entries = losses.entrywise.cross_entropy(z, y)
    return (entries * (stopped(entries) < 0.3 + 5 * moment.fraction)).mean()


def small_losses(params, z, y, *rest):
    entries = losses.entrywise.cross_entropy(z, y)
    return (entries * (stopped(entries) <= jnp.quantile(stopped(entries), 0.8))).mean()


def soft_ordinal(params, z, y, *rest):
    apart = jnp.abs(jnp.arange(z.shape[1]) - y.argmax(1)[:, None])
    return -(jax.nn.softmax(-0.5 * apart, 1) * jax.nn.log_softmax(z, 1)).sum(1).mean()


def clipped(z, y, mask):
    return losses.entrywise.cross_entropy(jnp.clip(z, -2, 2), y)


@pytest.mark.parametrize('num_classes', [1, 2, 14])
@pytest.mark.parametrize(
    'own',
    [
        of_loss(warm_up),
        of_loss(self_paced),
        of_loss(small_losses),
        of_loss(soft_ordinal, link='softmax'),
        of_loss(lambda q, z, y, *rest: (-y * jax.nn.log_sigmoid(z) - (1 - y) * jax.nn.log_sigmoid(-z)).mean()),
        of_loss(lambda q, z, y, *rest: jnp.maximum(0, 1 - (2 * y - 1) * z).mean()),
        lambda p, n: from_entries(clipped, entrywise=True),
        of_entries(lambda z, y: jnp.arange(z.shape[1]) == 0),
    ],
    ids=['warm-up', 'self-paced', 'small losses', 'soft ordinal', 'signed bce', 'hinge', 'clipped', 'one class'],
)
def test_losses_as_people_publish_them_pass(monkeypatch, own, num_classes):
    if num_classes == 1 and own(0, 0).link == 'softmax':
        pytest.skip('A softmax needs two classes.')
    monkeypatch.setitem(losses.LOSSES, 'own', own)
    assert losses.make('own', np.full(num_classes, 4), np.full(num_classes, 6))


def test_a_class_that_a_loss_leaves_out_is_said(monkeypatch, caplog):
    monkeypatch.setitem(losses.LOSSES, 'own', of_loss(lambda params, z, y, *rest: bce_of(z[:, :1], y[:, :1])))
    losses.make('own', np.full(3, 4), np.full(3, 6))
    assert "Loss 'own' does not depend on the logits of class 1, which it does not train." in caplog.text


SCALED = {'init': lambda: {'s': jnp.zeros(())}}


def scaled(params, z, y, *rest):
    return bce_of(stopped(z), y) * jnp.exp(-params['s']) + params['s']


def nine(z, y, where=True):
    return losses.entrywise.cross_entropy(z, y) * (1 + 8 * y * where)


@pytest.mark.parametrize(
    'own',
    [
        of_loss(scaled, **SCALED),
        of_loss(plain, **SCALED, entries=lambda z, y, f: nine(z, y)),
        of_loss(plain, entries=lambda z, y, f: nine(z, y, jnp.arange(14) > 5)),
        of_loss(plain, entries=lambda z, y, f: nine(z, y, z > 1)),
        of_loss(plain, entries=lambda z, y, f: nine(z, y, (f > 0.1) & (f < 0.9))),
    ],
    ids=['constant with a parameter', 'with a parameter', 'of some classes', 'of some logits', 'half way'],
)
def test_what_is_wrong_in_a_part_is_refused(monkeypatch, own):
    monkeypatch.setitem(losses.LOSSES, 'own', own)
    with pytest.raises(ValueError, match=r'does not depend on the logits|entries say log-odds'):
        losses.make('own', np.full(14, 4), np.full(14, 6))


def test_options_of_one_s_own_loss_are_numbers_or_what_their_defaults_are(monkeypatch):
    def own(p, n, *, weight, how='a', on=False):
        return losses.loss.from_coefficients(losses.entrywise.coefficients(p.size, positive_weight=weight))

    monkeypatch.setitem(losses.LOSSES, 'own', own)
    make = lambda **hyper: losses.make('own', np.full(3, 4), np.full(3, 6), **hyper)  # noqa: E731
    assert make(weight=2.0, how='b', on=True).coefficients.positive_weight.tolist() == [2, 2, 2]
    for hyper, said in (
        ({'weight': 'much'}, 'finite number'),
        ({'weight': 1.0, 'how': 3}, "a str, as 'a'"),
        ({'weight': 1.0, 'on': 1}, 'a bool, as False'),
        ({}, "missing 1 required keyword-only argument: 'weight'"),
    ):
        with pytest.raises((ValueError, TypeError), match=said):
            make(**hyper)


def weighted_by(weights, sign=1.0):
    def apply(params, logits, labels, *rest):
        return (jnp.array(weights) * jax.nn.softplus(-sign * (2.0 * labels - 1) * logits)).mean()

    return lambda p, n: Loss(apply)


@pytest.mark.parametrize(
    ('own', 'where'),
    [(weighted_by((1.0, -0.2, 1.0)), 'class 1'), (weighted_by((1.0, 1.0, 1.0), sign=-1.0), 'class 0')],
)
def test_a_loss_of_one_s_own_that_prefers_wrong_answers_is_refused(monkeypatch, own, where):
    monkeypatch.setitem(losses.LOSSES, 'own', own)
    with pytest.raises(ValueError, match=f'makes answers of {where} worse: .* Is a weight below 0, or a sign turned'):
        losses.make('own', np.full(3, 4), np.full(3, 6))
    monkeypatch.setitem(losses.LOSSES, 'own', weighted_by((1.0, 0.2, 1.0)))
    assert losses.make('own', np.full(3, 4), np.full(3, 6))
