"""A program takes what fits, with fewer members at a time if need be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.explain import budget as explain_budget
from imbalance_jax.explain.budget import budget, chunked, compile_within
from imbalance_jax.system import limits
from imbalance_jax.training import placement

MEMBERS, SIDE = 6, 256


def sums(member, images):
    """Of an image, with a square of it in between that has to be held."""
    square = jnp.sin(images[:, :, None] * jnp.arange(SIDE) * member)
    return jnp.sort(square, axis=1).sum((1, 2))


@pytest.fixture(scope='module')
def arrays():
    return np.arange(MEMBERS, dtype=np.float32), np.random.default_rng(0).random((5, SIDE)).astype(np.float32)


def needed(place, members, images, size):
    compiled = chunked(sums)(place.map, size, len(images)).lower(members, images).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_members_are_taken_in_smaller_groups_before_anything_fails(arrays):
    place = placement.place(MEMBERS, 'vmap')
    members, images = place.members(arrays[0]), place.shared(arrays[1])
    expected = np.stack([np.asarray(sums(one, arrays[1])) for one in arrays[0]])
    together, *_, alone = places = list(place.narrower())
    assert [one.strategy for one in places] == ['vmap', 'vmap:4', 'map']
    whole, one_of_each = (needed(together, members, images, size) for size in (5, 1))
    one = needed(alone, members, images, 1)
    assert whole > one_of_each > one
    for bytes_ in (1.1 * whole, 1.1 * one_of_each, 1.1 * one):
        program = compile_within(chunked(sums), place, members, (images,), memory_mib=bytes_ / 2**20)
        assert program.memory_analysis().temp_size_in_bytes <= bytes_
        np.testing.assert_allclose(place.fetch(program(members, images)), expected, rtol=1e-4, atol=1e-2)
    with pytest.raises(ValueError, match=r'One image needs .* budget is .*config.attribution.memory_mib'):
        compile_within(chunked(sums), place, members, (images,), memory_mib=0.5 * one / 2**20)


def test_of_an_automatic_budget_a_single_image_may_take_more(arrays, monkeypatch):
    place = placement.place(MEMBERS, 'map')
    members, images = place.members(arrays[0]), place.shared(arrays[1])
    one = needed(place, members, images, 1)
    monkeypatch.setattr(explain_budget, 'ON_CPU', one // 2)
    monkeypatch.setattr(explain_budget.autotune, 'available', lambda: 2 * one)
    program = compile_within(chunked(sums), place, members, (images,), memory_mib=0)
    assert program.memory_analysis().temp_size_in_bytes == one
    monkeypatch.setattr(explain_budget.autotune, 'available', lambda: one - 1)
    with pytest.raises(ValueError, match='One image needs'):
        compile_within(chunked(sums), place, members, (images,), memory_mib=0)


def test_what_the_host_has_makes_few_different_budgets(monkeypatch):
    assert budget(3.0) == (3 * 2**20, 3 * 2**20)
    devices = len(jax.local_devices())
    wanted = {}
    for gib in (0.01, 0.9, 1.0, 1.1, 100):
        monkeypatch.setattr(limits, 'free_memory', lambda gib=gib: int(gib * 2**30))
        wanted[gib] = budget(0).wanted
        assert wanted[gib] <= max(gib * 2**30 / 4 / devices, 2**20)
    assert wanted[1.0] == wanted[1.1]
    assert wanted[100] == 512 * 2**20


@pytest.mark.parametrize(
    ('strategy', 'narrower'),
    [
        ('map', []),
        ('shard:map', []),
        ('unroll', ['map']),
        ('data:2:shard:vmap', ['data:2:shard:vmap:16', 'data:2:shard:vmap:4', 'data:2:shard:map']),
        ('vmap:16', ['vmap:4', 'map']),
        ('vmap:3', ['map']),
    ],
)
def test_narrower_placements_have_the_same_devices(strategy, narrower):
    place = placement.place(40, strategy)
    first, *others = place.narrower()
    assert first is place
    assert [one.strategy for one in others] == narrower
    assert all(one.mesh is place.mesh for one in others)
