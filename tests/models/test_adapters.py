"""Modules of Flax, Linen and NNX, as models of the contract without being rewritten."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from imbalance_jax import models
from imbalance_jax.models import adapters

SHAPE = (8, 8, 1)
IMAGES = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)


class Block(nnx.Module):
    def __init__(self, inner, outer, rate, rngs):
        self.conv = nnx.Conv(inner, outer, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(outer, rngs=rngs)
        self.drop = nnx.Dropout(rate, rngs=rngs)

    def __call__(self, x):
        return self.drop(jnp.tanh(self.norm(self.conv(x))))


class Net(nnx.Module):
    """With its layers in a list and its last layer inside a part named 'head', as a trap."""

    def __init__(self, num_classes, rngs, rate=0.0):
        self.blocks = nnx.List([Block(1, 4, rate, rngs), Block(4, 6, rate, rngs)])
        self.head = nnx.Dict(fc=nnx.Linear(6, num_classes, rngs=rngs))

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head['fc'](x.mean((1, 2)))


class Plain(nn.Module):
    num_classes: int
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, *, deterministic):
        x = jnp.tanh(nn.BatchNorm(deterministic)(nn.Conv(4, (3, 3))(x)))
        x = jnp.tanh(nn.Conv(6, (3, 3), 2)(x))
        x = nn.Dropout(self.rate, deterministic=deterministic)(x)
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


def of_nnx(num_classes, rate=0.0):
    layers = {'first': 'blocks.0', 'second': 'blocks/1'}
    return adapters.of_nnx(lambda rngs: Net(num_classes, rngs, rate), layers, head='head.fc')


def of_linen(num_classes, rate=0.0):
    layers = {'first': 'BatchNorm_0', 'second': 'Conv_1'}
    return adapters.of_linen(Plain(num_classes, rate), layers, head='Dense_0')


def variables_of(model, seed=0):
    return jax.jit(lambda key: model.init(key, IMAGES[:1], mutable=['params', 'batch_stats']))(jax.random.key(seed))


@pytest.mark.parametrize('make', [of_nnx, of_linen])
def test_an_adapted_module_keeps_the_contract(make):
    models.check(make(3), SHAPE)
    assert list(make(3).apply(variables_of(make(3)), IMAGES)[1]) == ['first', 'second', 'pooled']


@pytest.mark.parametrize('train', [False, True])
def test_an_adapted_nnx_module_equals_its_own_call(train):
    module = Net(3, nnx.Rngs(jax.random.key(5)))
    (module.train if train else module.eval)()
    model, variables = of_nnx(3), variables_of(of_nnx(3), 5)
    (logits, out), updates = model.apply(variables, IMAGES, train=train, mutable=['batch_stats'])
    np.testing.assert_allclose(logits, module(IMAGES), atol=1e-6)
    mean = updates['batch_stats']['blocks']['1']['norm']['mean']
    np.testing.assert_allclose(mean, module.blocks[1].norm.mean[...], atol=1e-6)
    assert np.any(np.asarray(mean) != 0) == train
    np.testing.assert_allclose(out['pooled'], out['second'].mean((1, 2)), atol=1e-6)


@pytest.mark.parametrize('train', [False, True])
def test_an_adapted_linen_module_equals_its_own_call(train):
    variables = Plain(3).init(jax.random.key(5), IMAGES[:1], deterministic=True)
    want, updates = Plain(3).apply(variables, IMAGES, deterministic=not train, mutable=['batch_stats'])
    (logits, _), own = of_linen(3).apply(variables_of(of_linen(3), 5), IMAGES, train=train, mutable=['batch_stats'])
    np.testing.assert_allclose(logits, want, atol=1e-6)
    means = [tree['batch_stats']['BatchNorm_0']['mean'] for tree in (own, updates)]
    np.testing.assert_allclose(*means, atol=1e-6)


@pytest.mark.parametrize('make', [of_nnx, of_linen])
def test_the_gradient_at_a_named_layer_is_that_of_finite_differences(make):
    with jax.enable_x64(True):
        model, direction = make(3), np.random.default_rng(1)
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables_of(model))
        images = jnp.asarray(IMAGES, jnp.float64)
        shapes = {name: one.shape for name, one in jax.eval_shape(model.apply, variables, images)[1].items()}
        score = jax.jit(lambda added: model.apply({**variables, 'perturbations': added}, images)[0][:, 1].sum())
        gradients = jax.jit(jax.grad(score))({name: jnp.zeros(shape) for name, shape in shapes.items()})
        for name, shape in shapes.items():
            step = jnp.asarray(1e-4 * direction.standard_normal(shape))
            numeric = score({name: step}) - score({name: -step})
            np.testing.assert_allclose((gradients[name] * 2 * step).sum(), numeric, rtol=1e-5)
            assert abs(numeric) > 1e-7


@pytest.mark.parametrize('make', [of_nnx, of_linen])
def test_a_head_of_cosines_and_frozen_statistics(make):
    model = make(3)
    variables = variables_of(model)
    logits, out = model.apply({**variables, 'link': {'cosine': jnp.ones(())}}, IMAGES)
    kernel, pooled = np.asarray(variables['params']['head']['kernel']), np.asarray(out['pooled'])
    lengths = np.linalg.norm(pooled, axis=1)[:, None] * np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(logits, pooled @ kernel / lengths, atol=1e-5)
    frozen = {**variables, 'frozen': {'statistics': jnp.ones(())}}
    (logits, _), updates = model.apply(frozen, IMAGES, train=True, mutable=['batch_stats'])
    np.testing.assert_allclose(logits, model.apply(variables, IMAGES)[0], atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, updates['batch_stats'], variables['batch_stats'])


def test_a_population_equals_its_members():
    model = of_nnx(3)
    each = [variables_of(model, seed) for seed in (0, 1)]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    logits = jax.jit(jax.vmap(lambda one: model.apply(one, IMAGES)[0]))(both)
    mapped = jax.lax.map(lambda one: model.apply(one, IMAGES)[0], both)
    for i, variables in enumerate(each):
        np.testing.assert_allclose(logits[i], model.apply(variables, IMAGES)[0], atol=1e-5)
        np.testing.assert_allclose(mapped[i], model.apply(variables, IMAGES)[0], atol=1e-5)


class Odd(nnx.Module):
    def __init__(self, kind, rngs):
        self.conv, self.fc = nnx.Conv(1, 1, (3, 3), rngs=rngs), nnx.Linear(1, 3, rngs=rngs)
        self.kind = kind
        if kind == 'cache':
            self.seen = nnx.Cache(jnp.zeros(()))

    def __call__(self, x):
        x = self.conv(x)
        x = self.conv(x) if self.kind == 'twice' else x
        logits = self.fc(x.mean((1, 2)))
        return (logits, x) if self.kind == 'pair' else logits


def odd(kind, path='conv', head='fc'):
    return adapters.of_nnx(lambda rngs: Odd(kind, rngs), {'layer': path}, head=head)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: of_nnx(3, 0.5), "'blocks/0/drop' draws random numbers in training, .* set its rate to 0"),
        (lambda: of_linen(3, 0.5), 'Plain draws random numbers in training, .* set its rate to 0'),
        (lambda: odd('cache'), "'seen' is a Cache; a model here has Param and BatchStat alone"),
        (lambda: odd('', 'cnov'), "Unknown submodule of 'layer': 'cnov'. Did you mean 'conv'"),
        (lambda: odd('', head='fcc'), "Unknown submodule of 'head': 'fcc'. Did you mean 'fc'"),
        (lambda: odd('twice'), "submodule of layer 'layer' is called more than once"),
        (lambda: odd('pair'), r'must return logits \[B,K\] alone, not a tuple'),
        (lambda: adapters.of_linen(Plain(3), {'a': 'Conv_7'}, head='Dense_0'), "Unknown submodule of 'a': 'Conv_7'"),
        (lambda: adapters.of_linen(Plain(3), {'a': 'Conv_1'}, head='fc'), "no parameters of the head 'fc' beside"),
        (lambda: adapters.of_linen(Plain(3), {}, head='Dense_0'), 'name at least one'),
    ],
)
def test_what_cannot_be_adapted_is_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        models.check(make(), SHAPE)
    assert '\n' not in str(error.value)
