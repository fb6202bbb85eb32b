"""One member's step against optax, torch's convention for L2, and members that die."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from imbalance_jax import losses, models
from imbalance_jax.training import member as train
from imbalance_jax.training import members as training_members
from imbalance_jax.training import strategies

ROWS = training_members.make_members({'bce': {}, 'multi_task': {}}, (1,), 'bce', learning_rate=1e-2, weight_decay=0.1)
RANDOM = np.random.default_rng(1)
BATCH = {
    'image': jnp.asarray(RANDOM.normal(size=(8, 8, 8, 1)), jnp.float32),
    'labels': jnp.asarray(RANDOM.random((8, 2)) < 0.5, jnp.float32),
    'label_mask': jnp.ones((8, 2)),
}


@pytest.fixture(scope='module')
def parts():
    model = models.make('cnn', 2, widths=(4,))
    functions = [losses.make(row['loss'], [3, 4], [5, 4]) for row in ROWS]
    members = training_members.member_arrays(ROWS, own_order=True)
    init = train.make_init(train.make_network_init(model, (8, 8, 1)), functions)
    step = jax.jit(train.make_train_step(model, functions, train.schedule(0, 10, 0.01)))
    one, other = (jax.tree.map(lambda a, i=i: a[i], members) for i in (0, 1))
    return model, functions, init, step, one, other


def test_step_is_adam_with_l2(parts):
    model, functions, init, step, member, _ = parts
    state = init(member)
    optimizer = optax.chain(optax.add_decayed_weights(0.1), optax.adam(1e-2 * train.schedule(0, 10, 0.01)(0)))

    def objective(params):
        variables = {'params': params, 'batch_stats': state.batch_stats}
        (logits, _), _ = model.apply(variables, BATCH['image'], train=True, mutable=['batch_stats'])
        return functions[0]({}, logits, BATCH['labels'])

    params = state.params['model']
    updates, _ = optimizer.update(jax.grad(objective)(params), optimizer.init(params), params)
    expected = optax.apply_updates(params, updates)
    result = step(state, member, BATCH, 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), result.params['model'], expected)
    np.testing.assert_allclose(result.loss_sum, objective(params), rtol=1e-6)


def test_learned_log_variances_move_without_decay(parts):
    _, _, init, step, _, member = parts
    start = init(member)
    moved = step(start, member, BATCH, 0).params['loss'][1]['log_variance']
    assert (np.abs(np.asarray(moved)) > 1e-3).all()
    heavy = step(start, member._replace(weight_decay=jnp.float32(100)), BATCH, 0).params['loss'][1]['log_variance']
    np.testing.assert_array_equal(moved, heavy)


def test_a_member_that_is_not_finite_is_frozen_as_it_was(parts):
    _, _, init, step, member, _ = parts
    sound = step(init(member), member, BATCH, 0)
    dead = step(sound, member, {**BATCH, 'image': BATCH['image'].at[0].set(jnp.nan)}, 1)
    later = step(dead, member, BATCH, 2)
    assert bool(sound.alive)
    assert not bool(dead.alive)
    for a, b, c in zip(*(jax.tree.leaves(s._replace(alive=0)) for s in (sound, dead, later)), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_a_dead_member_leaves_the_others_alone(parts):
    _, _, init, step, member, _ = parts
    members = jax.tree.map(lambda a: jnp.stack([a, a]), member)
    members = members._replace(learning_rate=jnp.array([1e-2, jnp.inf], jnp.float32))

    def run(member):
        return jax.lax.fori_loop(0, 3, lambda t, state: step(state, member, BATCH, t), init(member))

    both = jax.jit(strategies.map_members(run, 'vmap'))(members)
    np.testing.assert_array_equal(both.alive, [True, False])
    alone = jax.jit(strategies.map_members(run, 'vmap'))(members._replace(learning_rate=jnp.full(2, 1e-2)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b[0], rtol=1e-6), both.params, alone.params)


def test_schedule_warms_up_and_decays():
    factor = train.schedule(10, 100, 0.01)
    np.testing.assert_allclose([factor(0), factor(10), factor(100)], [0.01, 1, 0.01], rtol=1e-6)
    np.testing.assert_allclose(factor(55), 0.505, rtol=1e-5)
    assert np.isfinite(train.schedule(1000, 10, 0.01)(9))  # a run shorter than its warm-up
