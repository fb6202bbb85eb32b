"""Where members and batches lie, and that it changes no number."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.training import grid, placement, strategies


def test_padding_members_appear_in_no_result():
    place = placement.place(3, 'shard:map')
    assert (place.padded, place.queue) == (4, 2)
    values = place.members(np.arange(3.0))
    np.testing.assert_array_equal(np.asarray(values), [0, 1, 2, 0])
    doubled = place.map(lambda one, factor: one * factor)(values, place.shared(jnp.float32(2)))
    np.testing.assert_array_equal(place.fetch(doubled), [0, 2, 4])


def test_no_device_waits_idle():
    assert placement.place(1, 'shard:map').mesh.size == 1
    assert placement.place(5, 'shard:map').padded == 6
    assert placement.place(5, 'map').mesh.size == 1
    assert dict(placement.place(1, 'data:2:shard:map').mesh.shape) == {'member': 1, 'data': 2}


def test_more_devices_than_there_are():
    with pytest.raises(ValueError, match='needs 64 devices; there are 2'):
        placement.place(1, 'data:64:shard:map')


def test_a_strategy_of_another_machine_runs_on_this_one():
    two, one = jax.devices()[:2], jax.devices()[:1]
    for strategy in ('shard:vmap:4', 'map', 'data:2:shard:map'):
        assert placement.runnable(strategy, two) == strategy
    assert placement.runnable('data:2:shard:vmap:4', one) == 'shard:vmap:4'
    assert placement.runnable('data:6:shard:map', [*two, *two, two[0]]) == 'data:3:shard:map'
    several = [SimpleNamespace(process_index=k) for k in range(2)]
    assert placement.runnable('unroll', several) == 'shard:unroll'
    for name in ('data:2:shard:map', 'data:64:shard:vmap'):
        assert placement.place(3, placement.runnable(name, one), one).mesh.size == 1


@pytest.mark.parametrize(
    'strategy', ['vmpa', 'vmap:', 'vmap:0', 'map:2', 'shard:', 'shard:x', 'shard', 'data:2:map', 'data:0:shard:map']
)
def test_unknown_strategies_are_refused(strategy):
    for refuse in (strategies.parse, lambda name: placement.place(2, name)):
        with pytest.raises(ValueError, match='Unknown population strategy'):
            refuse(strategy)


def test_every_candidate_is_a_strategy_that_fits_here():
    for count in (1, 2, 3, 7, 24):
        for name in grid.candidates(count, 16):
            assert placement.place(count, name).num_members == count
    assert 'data:2:shard:map' in grid.candidates(1, 16)
    assert 'data:2:shard:map' in grid.candidates(3, 16)
    assert 'data:2:shard:map' not in grid.candidates(1, 15)


def test_devices_share_a_batch_where_a_step_takes_less_for_it():
    assert grid.sharings(3, 16, 8) == [2, 8]  # 3 x 2, and all of them: 3 members with 2 images of 16 each
    assert grid.sharings(1, 12, 8) == [2, 3, 4, 6]
    assert grid.sharings(1, 7, 8) == [7]
    assert grid.sharings(8, 16, 8) == grid.sharings(16, 16, 8) == []


def test_devices_that_members_leave_idle_share_examples():
    one = {(3, 8): (2, 8), (1, 2): (2, 2), (3, 2): (1, 2), (9, 8): (1, 4), (24, 8): (1, 1), (24, 64): (2, 5)}
    for (members, devices), (spare, best) in one.items():
        assert grid.spare_sharing(members, devices) == spare
        assert grid.best_sharing(members, devices) == best
    for members in range(1, 70):
        for devices in (1, 2, 3, 8, 16):
            plain = -(-members // devices)
            spare = -(-members // (devices // grid.spare_sharing(members, devices)))
            assert spare == plain  # no device has more members than without sharing
            share = grid.best_sharing(members, devices)
            assert -(-members // (devices // share)) / share <= plain


@pytest.mark.parametrize('count', [2, 5, 40])
@pytest.mark.parametrize('strategy', ['data:2:shard:map', 'shard:map'])
def test_examples_that_devices_share_are_the_same_examples(strategy, count):
    place = placement.place(1, strategy)
    values, factors = np.random.default_rng(0).random((count, 3)).astype(np.float32), np.array([2.0], np.float32)
    mapped = place.map_examples(lambda one, x: {'sum': (one * x).sum(1), 'all': x})
    result = place.fetch(mapped(place.members(factors), place.shared(values)))
    np.testing.assert_array_equal(result['all'], values[None])
    np.testing.assert_allclose(result['sum'], 2 * values.sum(1)[None], rtol=1e-6)
    sizes = [place.evenly(size) for size in (1, 2, 5)]
    assert sizes == ([1, 2, 5] if place.shares == 1 else [1, 2, 4])


def test_devices_that_share_a_batch_hold_half_of_it_each():
    place = placement.place(1, 'data:2:shard:map')
    batches = place.batches(np.zeros((3, 8, 2)))
    order = place.spread(place.members(np.zeros((1, 3, 8))))
    assert {shard.data.shape for shard in batches.addressable_shards} == {(3, 4, 2)}
    assert {shard.data.shape for shard in order.addressable_shards} == {(1, 3, 4)}


def test_donated_memory_is_used_again():
    place = placement.place(2, 'shard:map')
    add = place.map(lambda one, shared: one[0] + one[1] * shared, donate=True)
    state, rest = place.members(np.ones((2, 3), np.float32)), place.members(np.arange(2, dtype=np.float32))
    result = add((state,), (rest,), place.shared(jnp.float32(3)))
    np.testing.assert_array_equal(place.fetch(result), [[1, 1, 1], [4, 4, 4]])
    assert state.is_deleted()
    assert not rest.is_deleted()


def test_cores_become_devices():
    placement.use_all_cores()  # JAX runs already, with the two devices of these tests
    assert len(jax.devices()) == 2


def test_parts_of_a_strategy():
    assert strategies.parse('data:2:shard:vmap:3') == (2, True, 'vmap', 3)
    assert strategies.parse('map') == (1, False, 'map', 0)
