"""Parts of a user's own that give something else each time that they are asked the same are refused in one line."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import alignment, attribution, losses, models
from imbalance_jax.concepts import nulls
from imbalance_jax.data import samplers
from imbalance_jax.explain import own_parts
from imbalance_jax.losses.loss import Loss
from imbalance_jax.models.layers import perturb
from imbalance_jax.system import tracing

RANDOM = np.random.default_rng(0)
CALLS = itertools.count()
IMAGES = jnp.asarray(RANDOM.random((1, 8, 8, 1)), jnp.float32)
ANOTHER = 'is another function each time it is traced'


def bce(logits, labels):
    return losses.entrywise.cross_entropy(logits, labels).mean()


@pytest.mark.parametrize(
    'draw',
    [
        lambda x: x * RANDOM.random(),
        lambda x: x + RANDOM.random(x.shape).astype('f4'),
        lambda x: x + jax.random.normal(jax.random.key(RANDOM.integers(1 << 30)), x.shape),
        lambda x: x * next(CALLS),
        lambda x: jax.lax.scan(lambda carry, row: (carry, row * RANDOM.random()), 0.0, x)[1],
        lambda x: jax.grad(lambda y: (y**2 * RANDOM.random(y.shape)).sum())(x),
    ],
)
def test_a_program_with_numbers_of_its_own_is_another_each_time(draw):
    assert tracing.is_another_each_time(draw, jax.ShapeDtypeStruct((4, 3), jnp.float32))


@pytest.mark.parametrize(
    'fixed',
    [
        lambda x: jax.nn.relu(x) + np.array([np.nan, 1, 2], np.float32),
        lambda x: x + jax.random.normal(jax.random.key(3), x.shape),
        lambda x: jax.checkpoint(lambda y: jnp.sin(y))(jax.jit(lambda y: y * 2)(x)),
        lambda x: jax.lax.map(lambda row: row[::-1], x),
    ],
)
def test_a_program_that_is_always_the_same_is_none(fixed):
    assert not tracing.is_another_each_time(fixed, jax.ShapeDtypeStruct((4, 3), jnp.float32))


@pytest.mark.parametrize('name', sorted(losses.LOSSES))
def test_our_losses_are_the_same_each_time(name):
    losses.own._of_types(name, losses.make(name, np.full(3, 4), np.full(3, 6)), 3)


@pytest.mark.parametrize(
    ('own', 'said'),
    [
        (Loss(lambda params, z, y, *rest: bce(z + 0.1 * RANDOM.normal(size=z.shape), y)), f"Loss 'own' {ANOTHER}"),
        (
            Loss(
                lambda params, z, y, *rest: bce(z * params['w'], y),
                init=lambda: {'w': jnp.float32(RANDOM.random() + 1)},
            ),
            "Loss 'own': `init` gives other parameters each time",
        ),
    ],
)
def test_losses(monkeypatch, own, said):
    monkeypatch.setitem(losses.LOSSES, 'own', lambda positive, negative: own)
    with pytest.raises(ValueError, match=said):
        losses.make('own', np.full(3, 4), np.full(3, 6))


def test_samplers(monkeypatch):
    labels = np.eye(4, dtype=np.uint8)
    monkeypatch.setitem(samplers.SAMPLERS, 'own', lambda labels, progress: RANDOM.random(len(labels)))
    with pytest.raises(ValueError, match="Sampler 'own' gives other weights each time"):
        samplers.make('own')(labels, 0.0)
    seeded = lambda labels, progress: np.random.default_rng(int(100 * progress)).random(len(labels))  # noqa: E731
    monkeypatch.setitem(samplers.SAMPLERS, 'own', seeded)
    assert samplers.make('own')(labels, 0.5).any()


def test_alignment_metrics(monkeypatch):
    monkeypatch.setitem(alignment.METRICS, 'own', lambda maps, masks: maps.mean((1, 2)) * RANDOM.random())
    with pytest.raises(ValueError, match=f"alignment metric 'own' {ANOTHER}"):
        own_parts.check_metric('own', (8, 8))


def smoothed(score, images, *, seeded=False):
    noise = np.random.default_rng(0 if seeded else None).normal(size=images.shape[1:])
    return jnp.abs(jax.grad(lambda x: score(x + noise).sum())(images)).sum(-1)


def test_attribution_methods(monkeypatch):
    monkeypatch.setitem(attribution.METHODS, 'own', smoothed)
    attribution.options.check('own', {'seeded': True}, IMAGES)
    with pytest.raises(ValueError, match=f"attribution method 'own': it {ANOTHER}"):
        attribution.options.check('own', {}, IMAGES)


class Noisy(nn.Module):
    noise: float

    @nn.compact
    def __call__(self, x, *, train=False):
        x = x + self.noise * RANDOM.normal(size=x.shape[1:])
        x = nn.relu(nn.Conv(4, (3, 3))(x.astype(jnp.float32)))
        out = {'block': perturb(self, 'block', x)}
        out['pooled'] = perturb(self, 'pooled', out['block'].mean((1, 2)))
        return nn.Dense(3, name='head')(out['pooled']), out


def test_networks():
    with pytest.raises(ValueError, match=f'it {ANOTHER}'):
        models.check(Noisy(1.0), (8, 8, 1))


def shifted(key, rounds, block):
    """The same for a key."""
    offset = jax.random.randint(key, (rounds, len(block.images)), 1, block.size[0] * block.size[1])
    return nulls.Displacement(np.tile(np.arange(len(block.images)), (rounds, 1)), np.asarray(offset))


def unseeded(key, rounds, block):
    return nulls.Displacement(RANDOM.permuted(np.tile(np.arange(len(block.images)), (rounds, 1)), axis=1), None)


def writing(key, rounds, block):
    block.images[:] = 0
    return shifted(key, rounds, block)


def nothing(key, rounds, block):
    source = np.tile(np.arange(len(block.images)), (rounds, 1))
    return nulls.Displacement(source, np.zeros_like(source))


@pytest.mark.parametrize(
    ('own', 'said'),
    [
        (lambda *given: unseeded(*given)._replace(offset=nothing(*given).offset), 'gives other places each time'),
        (writing, 'changes the block that it is given: take a copy'),
        (nothing, 'displaces nothing'),
        (lambda *given: shifted(*given)._replace(offset=nothing(*given).offset + 3), 'gives the same places in every'),
    ],
)
def test_null_models(monkeypatch, own, said):
    monkeypatch.setitem(nulls.NULLS, 'own', shifted)
    own_parts.check_null('own', (8, 8))
    monkeypatch.setitem(nulls.NULLS, 'own', own)
    with pytest.raises(ValueError, match=rf"config\.concepts\.null: 'own' {said}"):
        own_parts.check_null('own', (8, 8))


def test_a_metric_that_is_turned_or_of_another_unit_is_said(monkeypatch, caplog):
    share = lambda maps, masks: jnp.where(masks.any((1, 2)), (maps * masks).sum((1, 2)) / masks.sum((1, 2)), jnp.nan)  # noqa: E731
    for own, said in ((share, ''), (lambda *given: 100 * share(*given), 'gives 100 for a map that equals its mask; 1')):
        monkeypatch.setitem(alignment.METRICS, 'own', own)
        own_parts.check_metric('own', (8, 8))
        assert said in caplog.text
        assert bool(caplog.text) == bool(said)
