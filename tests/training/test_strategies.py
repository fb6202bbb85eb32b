"""Members of a population against the same members alone, under every strategy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import losses, models
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data import batches
from imbalance_jax.training import checks, placement, strategies
from imbalance_jax.training import member as train
from imbalance_jax.training import members as training_members

STRATEGIES = ['vmap', 'map', 'unroll', 'vmap:2', 'shard:vmap', 'shard:map', 'shard:unroll', 'data:2:shard:map']
ARMS = {'focal': {'gamma': 1.0}, 'multi_task': {'learning_rate': 3e-3}}
ROWS = training_members.make_members(ARMS, (0, 3), 'focal', learning_rate=1e-3, weight_decay=1e-4)
STEPS = 20


@pytest.fixture(scope='module')
def member_steps():
    """`steps(one, arrays)`: twenty steps of one member on random images, and its arrays and initial population."""
    random = np.random.default_rng(0)
    arrays = data_arrays.Arrays(
        jnp.asarray(random.integers(0, 256, (48, 8, 8, 1)), jnp.uint8),
        jnp.asarray(random.random((48, 3)) < 0.4, jnp.float32),
        jnp.ones((48, 3)),
    )
    model = models.make('cnn', 3, widths=(6,))  # unrolled it is compiled once per member
    functions = [losses.make(row['loss'], [20, 9, 3], [28, 39, 45], **row['hyper']) for row in ROWS[::2]]
    step = train.make_train_step(model, functions, train.schedule(3, STEPS, 0.01))
    batch = batches.make_batch(0.5, 0.25, batches.Augmentation(shift=0.1, rotation=5, brightness=0.1))
    steps = train.make_train_steps(step, batch)
    init = train.make_init(train.make_network_init(model, (8, 8, 1)), functions)
    members = training_members.member_arrays(ROWS, own_order=True)

    def run(member, arrays):
        order = batches.sample_order(member.order_seed, jnp.zeros(48, jnp.uint32), 0, steps=3, batch_size=16)
        order = jnp.tile(order, (7, 1))[:STEPS]
        return steps((init(member), member, order), arrays, 0, 0, STEPS)[0]

    solo = [jax.jit(run)(jax.tree.map(lambda a, i=i: a[i], members), arrays) for i in range(len(ROWS))]
    return run, arrays, members, jax.tree.map(lambda *a: np.stack(a), *solo)


def assert_close(tree, expected, tolerance):
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(expected), strict=True):
        scale = np.abs(np.asarray(b, np.float64)).max()
        np.testing.assert_allclose(np.asarray(a, np.float64), b, atol=tolerance * scale, rtol=0, err_msg=str(path))


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_every_member_is_its_solo_run(member_steps, strategy):
    run, arrays, members, solo = member_steps
    place = placement.place(len(ROWS), strategy)
    state = place.map(run)(place.members(members), place.shared(arrays))
    fetched = place.fetch(state)
    assert_close(fetched.loss_sum, solo.loss_sum, 1e-5)
    # Adam divides by the root of a gradient's mean square: where that is near zero, the order of a sum shows.
    assert_close(fetched.variables, solo.variables, 1e-4)
    assert fetched.alive.all()


def test_permuted_members_give_permuted_results(member_steps):
    run, arrays, members, _ = member_steps
    order = np.array([2, 0, 3, 1])
    mapped = jax.jit(strategies.map_members(run, 'map'))
    straight = mapped(members, arrays)
    permuted = mapped(jax.tree.map(lambda a: a[order], members), arrays)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a)[order], b), straight, permuted)


def test_same_seed_same_start_and_order_whatever_the_arm(member_steps):
    _, _, members, _ = member_steps
    model = models.make('cnn', 3, widths=(4, 8))
    functions = [losses.make(row['loss'], [20, 9, 3], [28, 39, 45], **row['hyper']) for row in ROWS[::2]]
    state = jax.jit(jax.vmap(train.make_init(train.make_network_init(model, (8, 8, 1)), functions)))(members)
    kernel = np.asarray(state.variables['params']['stage1_conv']['kernel'])
    for i, row in enumerate(ROWS):
        for j, other in enumerate(ROWS):
            assert (row['seed'] == other['seed']) == np.array_equal(kernel[i], kernel[j])
    assert [row['arm'] for row in ROWS] == ['focal', 'focal', 'multi_task', 'multi_task']
    np.testing.assert_array_equal(members.order_seed, [0, 3, 0, 3])
    np.testing.assert_array_equal(training_members.member_arrays(ROWS, own_order=False).order_seed, 0)
    np.testing.assert_allclose(members.learning_rate, [1e-3, 1e-3, 3e-3, 3e-3])


@pytest.mark.parametrize(
    ('arms', 'seeds', 'reference', 'said'),
    [
        (ARMS, (0, 0), 'focal', 'seeds'),
        (ARMS, (), 'focal', 'seeds'),
        (ARMS, (-1,), 'focal', 'seeds'),
        (ARMS, (0,), 'bec', "'bec'.*focal"),
    ],
)
def test_wrong_populations_are_refused(arms, seeds, reference, said):
    with pytest.raises(ValueError, match=said):
        checks.check_population(arms, seeds, reference)
