import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from imbalance_jax import models
from imbalance_jax.models import convolution, layers, normalisation, pooling, resnet

LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def plain_conv(x, kernel, stride, padding):
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT)


def collections(model, image, seed=0):
    """What a trainer keeps of `init`; compiled, as op by op a deep model takes long."""
    return jax.jit(lambda key, x: model.init(key, x, mutable=['params', 'batch_stats']))(jax.random.key(seed), image)


# convolution


@pytest.mark.parametrize(
    ('size', 'kernel', 'stride', 'padding', 'channels'),
    [
        ((8, 7), (1, 1), 1, 0, (3, 16)),
        ((8, 7), (1, 1), 2, 'VALID', (16, 32)),  # with stride, the last row is unused
        ((6, 5), (1, 1), 1, 0, (16, 4)),
        ((6, 5), (1, 1), 1, 0, (4, 16)),
        ((4, 5), (1, 1), 1, 1, (3, 3)),  # padding beyond the kernel
        ((9, 8), (3, 3), 1, 1, (1, 16)),
        ((9, 8), (3, 3), 2, 1, (3, 3)),
        ((8, 8), (3, 3), 2, 1, (16, 16)),
        ((9, 10), (3, 3), 2, 'VALID', (17, 32)),
        ((6, 5), (3, 3), 1, ((0, 2), (2, 0)), (16, 16)),
        ((12, 11), (7, 7), 2, 3, (1, 16)),
        ((7, 6), (2, 2), 1, 0, (16, 1)),
        ((7, 6), (2, 2), 3, 'VALID', (16, 3)),  # the stride steps over pixels
        ((7, 7), (4, 4), 2, 1, (3, 17)),
        ((6, 9), (3, 2), 1, 0, (32, 16)),
        ((6, 5), (3, 2), 1, ((0, 2), (1, 0)), (128, 130)),  # by rows of the kernel
        ((5, 4), (3, 3), 1, 1, (129, 128)),
    ],
)
def test_conv_equals_lax_in_value_and_both_gradients(size, kernel, stride, padding, channels):
    padded = 0 if padding == 'VALID' else padding
    sides = padded if isinstance(padded, tuple) else ((padded, padded), (padded, padded))

    def value_and_gradients(f):
        y, gradients = jax.vjp(f, x, k)
        return y, gradients(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    with jax.enable_x64(True):
        x, k = jnp.asarray(draw((2, *size, channels[0]))), jnp.asarray(draw((*kernel, *channels), 1))
        ours, reference = jax.jit(
            lambda: (
                value_and_gradients(lambda x, k: convolution.conv(x, k, stride, padding)),
                value_and_gradients(lambda x, k: plain_conv(x, k, stride, sides)),
            )
        )()
        assert ours[0].dtype == jnp.float64
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), ours, reference)


@pytest.mark.parametrize(
    ('size', 'stride', 'padding'), [(1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 2, 1), (2, 1, 3), (1, 2, 2)]
)
def test_a_kernel_larger_than_its_input_is_a_product(size, stride, padding):
    """XLA would exchange them, and has no fast convolution for that."""
    x, k = jnp.asarray(draw((4, size, size, 24))), jnp.asarray(draw((3, 3, 24, 40), 1))
    ours = jax.jit(kernel_gradient(lambda x, k: convolution.conv(x, k, stride, padding))).lower(x, k).compile()
    reference = kernel_gradient(lambda x, k: plain_conv(x, k, stride, ((padding, padding),) * 2))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours(x, k), reference(x, k))
    if stride == 1:
        assert '01fb_o01i->f01b' not in ours.as_text()


def kernel_gradient(f):
    """Gradient of a scalar of f(x, kernel) with respect to both."""
    return jax.grad(lambda x, kernel: jnp.sin(f(x, kernel)).sum(), argnums=(0, 1))


@pytest.mark.parametrize('channels', [(3, 8), (8, 24)])
def test_conv_of_a_population_equals_member_by_member(channels):
    x, kernels = jnp.asarray(draw((3, 6, 7, channels[0]))), jnp.asarray(draw((2, 3, 3, *channels), 1))
    ours = kernel_gradient(lambda x, k: convolution.conv(x, k, 2, 1))
    reference = kernel_gradient(lambda x, k: plain_conv(x, k, 2, ((1, 1), (1, 1))))
    expected = jax.tree.map(lambda *a: jnp.stack(a), *[reference(x, k) for k in kernels])
    mesh = Mesh(np.array(jax.devices()[:1]), ('members',))
    members = PartitionSpec('members')

    def mapped(x, kernels):
        return lax.map(lambda k: ours(x, k), kernels)

    sharded = jax.shard_map(mapped, mesh=mesh, in_specs=(PartitionSpec(), members), out_specs=members, check_vma=False)
    for over_members in (jax.vmap(ours, (None, 0)), mapped, sharded):
        result = jax.jit(over_members)(x, kernels)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), result, expected)


def layouts(f):
    """The layouts of a compiled loop over members of f's gradients, on which their speed depends."""
    x, kernels = jnp.ones((4, 8, 8, 24)), jnp.ones((2, 3, 3, 24, 40))
    program = jax.jit(lambda x, kernels: lax.map(lambda k: kernel_gradient(f)(x, k), kernels))
    return set(re.findall(r'dim_labels=([^\s,]+)', program.lower(x, kernels).compile().as_text()))


@pytest.mark.skipif(jax.default_backend() != 'cpu', reason='about XLA on CPU')
def test_gradients_in_a_loop_have_the_fast_layout_which_those_of_lax_lack():
    assert layouts(lambda x, k: convolution.conv(x, k, 1, 1)) == {'b01f_01io->b01f'}
    assert layouts(lambda x, k: plain_conv(x, k, 1, ((1, 1), (1, 1)))) != {'b01f_01io->b01f'}


def test_the_gradient_that_nobody_reads_is_not_computed():
    x, k = jnp.ones((2, 8, 8, 20)), jnp.ones((3, 3, 20, 20))
    gradient = kernel_gradient(lambda x, k: convolution.conv(x, k, 1, 1))
    parts = (lambda x, k: gradient(x, k)[0], lambda x, k: gradient(x, k)[1], gradient)
    image, kernel, both = (jax.jit(f).lower(x, k).compile().as_text().count('dim_labels=') for f in parts)
    assert image == kernel == both - 1 > 0


def test_conv_is_the_same_on_other_platforms(monkeypatch):
    x, k = jnp.asarray(draw((2, 9, 9, 3))), jnp.asarray(draw((3, 3, 3, 4), 1))
    here = convolution.conv(x, k, 2, 1), pooling.max_pool(x)
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    there = convolution.conv(x, k, 2, 1), pooling.max_pool(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), here, there)


@pytest.mark.parametrize('padding', ['SAME', 'valid'])
def test_conv_refuses_an_unknown_padding(padding):
    with pytest.raises(ValueError, match=f"{padding}.*'VALID'"):
        convolution.conv(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), 1, padding)


def test_conv_refuses_a_window_larger_than_the_image():
    with pytest.raises(ValueError, match='window of 3 does not fit into 2 pixels'):
        convolution.conv(jnp.ones((1, 5, 2, 1)), jnp.ones((3, 3, 1, 1)))


# pooling and normalisation


POOLS = [
    ((6, 8), 2, 2, 0),
    ((7, 5), 2, 2, 0),
    ((7, 9), 3, 3, 0),
    ((8, 7), 3, 2, 1),
    ((9, 9), 3, 1, 1),
    ((9, 8), 2, 3, 0),
]


@pytest.mark.parametrize(('size', 'window', 'stride', 'padding'), POOLS)
def test_max_pool_equals_flax_with_ties_too(size, window, stride, padding):
    """Also where squares overlap, as in the ImageNet stem, or leave pixels between them."""
    x = jnp.asarray(np.random.default_rng(0).integers(-3, 3, (2, *size, 4)), jnp.float32)
    sides = ((padding, padding),) * 2
    pools = (
        lambda x: pooling.max_pool(x, window, stride, padding),
        lambda x: nn.max_pool(x, (window, window), (stride, stride), sides),
    )
    dy = jnp.asarray(draw(pools[1](x).shape), jnp.float32)

    def value_and_gradient(pool):
        y, gradient = jax.vjp(pool, x)
        return y, gradient(dy)

    result, expected = jax.jit(lambda: [value_and_gradient(pool) for pool in pools])()
    np.testing.assert_array_equal(result[0], expected[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), result[1], expected[1])


def test_global_average_of_bfloat16_is_float32():
    x = jnp.asarray(draw((2, 16, 16, 3)), jnp.bfloat16)
    average = pooling.global_average(x)
    assert average.dtype == jnp.float32
    np.testing.assert_allclose(average, np.asarray(x, np.float64).mean((1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('train', [False, True])
def test_batch_norm_equals_flax(train):
    x = jnp.asarray(3 + 2 * draw((4, 5, 5, 6)), jnp.float32)
    ours = normalisation.BatchNorm(train)
    flax = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)
    variables = {
        'params': {'scale': jnp.asarray(draw(6, 1)), 'bias': jnp.asarray(draw(6, 2))},
        'batch_stats': {'mean': jnp.asarray(draw(6, 3)), 'var': jnp.asarray(np.exp(draw(6, 4)))},
    }

    def run(norm, x):
        y, updates = norm.apply(variables, x, mutable=['batch_stats'])
        return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum(), (y, updates)

    gradients = [jax.grad(lambda x, norm=norm: run(norm, x), has_aux=True) for norm in (ours, flax)]
    result, expected = jax.jit(lambda x: [gradient(x) for gradient in gradients])(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), result, expected)


@pytest.mark.parametrize(('channels', 'groups'), [(24, 3), (20, 2)])
def test_group_norm_equals_flax(channels, groups):
    x = jnp.asarray(3 + 2 * draw((4, 5, 5, channels)), jnp.float32)
    params = {'params': {'scale': jnp.asarray(draw(channels, 1)), 'bias': jnp.asarray(draw(channels, 2))}}
    norms = normalisation.GroupNorm(), nn.GroupNorm(num_groups=groups, epsilon=1e-5)
    result, expected = jax.jit(lambda x: [norm.apply(params, x) for norm in norms])(x)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_group_norm_keeps_no_statistics_and_computes_in_bfloat16():
    model = models.make('cnn', 2, widths=(3,), norm='group', dtype='bfloat16')
    image = jax.ShapeDtypeStruct((1, 4, 4, 1), jnp.float32)
    variables = jax.eval_shape(lambda x: collections(model, x), image)
    assert set(variables) == {'params'}
    assert jax.eval_shape(model.apply, variables, image)[1]['stage1'].dtype == jnp.bfloat16


# models


class PlainCNN(nn.Module):
    """The small CNN of Flax's own layers; from `start` on, with that stage's activation in place of the image."""

    start: int = 0

    @nn.compact
    def __call__(self, x):
        for number, width in enumerate((8, 12, 20), 1):
            if number > self.start:
                x = nn.max_pool(x, (2, 2), (2, 2)) if number > 1 else x
                x = nn.Conv(width, (3, 3), padding=1, use_bias=False, name=f'stage{number}_conv')(x)
                x = nn.BatchNorm(use_running_average=True, epsilon=1e-5, name=f'stage{number}_norm')(x)
                x = nn.relu(x)
        return nn.Dense(5, name='head')(x.mean((1, 2)))


@pytest.fixture(scope='module')
def small():
    """A small CNN, its variables and images; running statistics are not those of an untrained model."""
    model = models.make('cnn', 5, widths=(8, 12, 20))
    image = jnp.asarray(draw((3, 12, 15, 1)), jnp.float32)
    variables = collections(model, image)
    train = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=['batch_stats'])[1])
    return model, {**variables, **train(variables, image)}, image


def test_cnn_equals_the_same_of_flax_layers_in_logits_and_parameter_gradients(small):
    model, variables, image = small

    def score(params, apply):
        logits = apply({**variables, 'params': params}, image)
        return jnp.sin(logits).sum(), logits

    @jax.jit
    def both(params):
        ours = jax.grad(score, has_aux=True)(params, lambda *a: model.apply(*a)[0])
        return ours, jax.grad(score, has_aux=True)(params, PlainCNN().apply)

    result, expected = both(variables['params'])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), result, expected)


def layer_gradients(model, variables, image, shapes):
    """The gradient of the second class's logits at the layers of `shapes`, in one backward pass."""

    def score(perturbations):
        logits, out = model.apply({**variables, 'perturbations': perturbations}, image)
        return logits[:, 1].sum(), out

    return jax.grad(score, has_aux=True)(jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes))


def test_perturbations_give_the_gradient_at_every_layer_or_at_some(small):
    model, variables, image = small
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)['perturbations']

    @jax.jit
    def run(variables, image):
        every, out = layer_gradients(model, variables, image, shapes)
        some, _ = layer_gradients(model, variables, image, {'stage2': shapes['stage2']})
        tails = {
            f'stage{start}': jax.grad(lambda x, start=start: PlainCNN(start).apply(variables, x)[:, 1].sum())
            for start in (1, 2, 3)
        }
        return every, some, {stage: tail(out[stage]) for stage, tail in tails.items()}, out

    every, some, expected, out = run(variables, image)
    assert set(every) == set(out) == {*expected, 'pooled'}
    for stage in expected:
        np.testing.assert_allclose(every[stage], expected[stage], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(every['pooled'], np.tile(variables['params']['head']['kernel'][:, 1], (3, 1)), rtol=1e-6)
    assert set(some) == {'stage2'}
    np.testing.assert_allclose(some['stage2'], every['stage2'], rtol=1e-5, atol=1e-7)


def test_without_perturbations_a_layer_costs_nothing(small):
    model, variables, image = small
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)['perturbations']
    perturbed = {**variables, 'perturbations': shapes}
    without, with_zeros = (len(jax.make_jaxpr(model.apply)(v, image).eqns) for v in (variables, perturbed))
    assert with_zeros - without == len(shapes)


def test_a_perturbed_layer_that_does_not_exist_is_an_error(small):
    model, variables, image = small
    with pytest.raises(ValueError, match="Unknown layer 'stage4'"):
        jax.eval_shape(model.apply, {**variables, 'perturbations': {'stage4': jnp.zeros(())}}, image)


@pytest.mark.parametrize(
    'model',
    [
        models.make('cnn', 3, widths=(4, 6)),
        resnet.ResNet(3, resnet.BasicBlock, depths=(1,), width=4, stem='small', norm='group'),
    ],
)
def test_a_population_equals_solo_runs(model):
    image = jnp.asarray(draw((2, 8, 8, 1)), jnp.float32)

    def run(variables):
        return model.apply(variables, image, train=True, mutable=['batch_stats'])[0][0]

    members = jax.vmap(lambda seed: collections(model, image, seed))(jnp.arange(2))
    looped, mapped = jax.jit(lambda members: (lax.map(run, members), jax.vmap(run)(members)))(members)
    solo = jax.jit(run)
    expected = np.stack([solo(jax.tree.map(lambda a, i=i: a[i], members)) for i in range(2)])
    assert not np.allclose(expected[0], expected[1])
    np.testing.assert_allclose(looped, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(mapped, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ('name', 'options', 'image', 'count', 'last'),
    [
        # the figures of torchvision's models
        ('resnet18', {}, (64, 64, 3), 11_689_512, (2, 2, 512)),
        ('resnet34', {}, (64, 64, 3), 21_797_672, (2, 2, 512)),
        ('resnet50', {}, (224, 224, 3), 25_557_032, (7, 7, 2048)),
        ('densenet121', {}, (64, 64, 3), 7_978_856, (2, 2, 1024)),
        ('mobilenet_v2', {}, (224, 224, 3), 3_504_872, (7, 7, 1280)),
        ('resnet18', {'stem': 'small'}, (28, 28, 3), 11_689_512 - (49 - 9) * 3 * 64, (4, 4, 512)),
        # convolutions, normalisation, head
        ('cnn', {}, (64, 64, 1), 9 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64) + 65 * 1000, (16, 16, 64)),
        ('cnn', {'stem_stride': 2, 'widths': (16, 32)}, (64, 64, 1), 9 * 16 * 33 + 2 * 48 + 33 * 1000, (16, 16, 32)),
        ('cnn', {'widths': (4, 4, 4), 'pools': 1}, (28, 28, 1), 9 * 4 * 9 + 2 * 12 + 5 * 1000, (14, 14, 4)),
    ],
)
def test_parameters_and_maps_have_the_known_sizes(name, options, image, count, last):
    model = models.make(name, 1000, **options)
    image = jax.ShapeDtypeStruct((2, *image), jnp.float32)
    variables = jax.eval_shape(lambda x: collections(model, x), image)
    assert set(variables) == {'params', 'batch_stats'}
    assert sum(a.size for a in jax.tree.leaves(variables['params'])) == count
    logits, out = jax.eval_shape(model.apply, variables, image)
    assert logits.shape == (2, 1000)
    assert out[max(name for name in out if name.startswith('stage'))].shape == (2, *last)
    assert out['pooled'].shape == (2, last[-1])


def test_bfloat16_computes_almost_the_same_from_the_same_float32_parameters():
    image = jnp.asarray(draw((2, 12, 12, 1)), jnp.float32)
    full, half = (models.make('cnn', 4, widths=(8, 8), dtype=dtype) for dtype in ('float32', 'bfloat16'))
    variables = collections(half, image)
    assert {a.dtype for a in jax.tree.leaves(variables)} == {np.dtype('float32')}

    def run(model):
        def score(params):
            (logits, out), _ = model.apply({**variables, 'params': params}, image, train=True, mutable=['batch_stats'])
            return jnp.square(logits).sum(), (logits, out['stage1'])

        return jax.jit(jax.grad(score, has_aux=True))(variables['params'])

    (gradient, (logits, _)), (rough_gradient, (rough, stage)) = run(full), run(half)
    assert (rough.dtype, stage.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(rough, logits, atol=0.03 * np.abs(logits).max())
    # What Flax's own layers lose in bfloat16 is the same, up to 0.15 of the norm; a wrong gradient loses all of it.
    errors = jax.tree.map(lambda a, b: jnp.linalg.norm(a - b) / jnp.linalg.norm(b), rough_gradient, gradient)
    assert max(jax.tree.leaves(errors)) < 0.3


@pytest.mark.parametrize(('name', 'count'), [('cnn', 3), ('resnet18', 17), ('resnet50', 49), ('mobilenet_v2', 35)])
def test_every_relu_can_be_replaced(name, count):
    calls = []
    model = models.make(name, 2, relu=lambda x: calls.append(x.shape) or nn.relu(x))
    jax.eval_shape(lambda x: collections(model, x), jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32))
    assert len(calls) == count


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('resnet81', {}, "Unknown model 'resnet81'. Did you mean 'resnet18'"),
        ('cnn', {'width': 3}, "option of model 'cnn': 'width'. Did you mean 'widths'"),
        ('resnet18', {'depths': (1,)}, "'depths'"),
        ('cnn', {'norm': 'bach'}, "Unknown norm 'bach'. Did you mean 'batch'"),
        ('cnn', {'dtype': 'float8'}, "Unknown dtype 'float8'"),
        ('resnet18', {'stem': 'smal'}, "Unknown stem 'smal'. Did you mean 'small'"),
    ],
)
def test_an_unknown_name_is_an_error_that_suggests_the_nearest(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        collections(models.make(name, 2, **options), jnp.ones((1, 32, 32, 1)))


@pytest.mark.parametrize('image', [np.ones((1, 16, 16, 1), np.uint8), np.ones((16, 16, 1), np.float32)])
def test_an_image_must_be_a_batch_of_floats(image):
    with pytest.raises(ValueError, match=r'image must be \[B,H,W,C\] float'):
        collections(models.make('cnn', 2), image)


def test_images_too_small_for_the_pooling_are_an_error():
    with pytest.raises(ValueError, match='window of 2 does not fit into 1 pixels'):
        collections(models.make('cnn', 2), jnp.ones((1, 3, 3, 1)))


def test_conv_layer_adds_its_bias():
    x = jnp.asarray(draw((1, 4, 4, 2)), jnp.float32)
    layer = layers.Conv(3, use_bias=True)
    kernel, bias = jnp.asarray(draw((3, 3, 2, 3), 1), jnp.float32), jnp.array([1.0, 2.0, 3.0])
    result = layer.apply({'params': {'kernel': kernel, 'bias': bias}}, x)
    np.testing.assert_allclose(result, convolution.conv(x, kernel, 1, 1) + bias, rtol=1e-5)
