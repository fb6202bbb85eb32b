"""Memory from a trace: exact where it can be counted by hand, and near XLA's own count for a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import models
from imbalance_jax.system.liveness import Held, held, tree_bytes
from imbalance_jax.training.network import abstract_variables

ONE = jax.ShapeDtypeStruct((16, 16), np.float32)
BYTES = 4 * 16 * 16


def test_values_are_there_until_they_are_read_for_the_last_time():
    chain = lambda a: a @ a @ a @ a @ a  # noqa: E731  one product is read while the next is made
    assert held(chain, ONE) == Held(BYTES, BYTES, BYTES)

    def kept(a):
        first, second = a @ a, a @ (a + 1)
        third = first @ second
        return third @ first  # the first is there until the last

    assert held(kept, ONE).beside == 2 * BYTES


def test_what_is_read_once_where_it_is_made_lies_nowhere():
    assert held(lambda a: (jnp.sin(a * 2 + 1) @ a) * 3, ONE).beside == BYTES  # the product alone
    assert held(lambda a: jnp.broadcast_to(a, (50, 16, 16)).sum(0), ONE).beside == 0
    assert held(lambda a: jnp.sort(a, 0) @ a, ONE).beside == BYTES


def test_a_loop_holds_one_turn_at_a_time():
    def turns(a):
        return jax.lax.map(lambda one: ((a * one) @ a @ a).sum(), jnp.arange(100.0))

    def at_once(a):
        return jax.vmap(lambda one: ((a * one) @ a @ a).sum())(jnp.arange(100.0))

    assert held(turns, ONE).beside < 4 * BYTES
    assert held(at_once, ONE).beside >= 100 * BYTES


def test_trees_and_shapes_count_alike():
    tree = {'a': np.zeros((3, 4), np.uint8), 'b': (jax.ShapeDtypeStruct((5,), np.float32),)}
    assert tree_bytes(tree) == 12 + 20


@pytest.mark.parametrize('gradient', [False, True])
def test_a_network_needs_about_what_xla_counts(gradient):
    model = models.make('cnn', 5, widths=(8, 16))
    variables = abstract_variables(model, (32, 32, 1))
    images = jax.ShapeDtypeStruct((32, 32, 32, 1), np.float32)

    def logits(variables, images):
        return model.apply(variables, images)[0]

    of_input = jax.grad(lambda variables, images: logits(variables, images).sum(), argnums=1)
    function = of_input if gradient else logits
    counted = jax.jit(function).lower(variables, images).compile().memory_analysis().temp_size_in_bytes
    assert 0.4 < held(function, variables, images).beside / counted < 2.5
