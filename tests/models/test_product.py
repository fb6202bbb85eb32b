"""A convolution that `vmap` over kernels makes a matrix product: the same numbers, and no grouped convolution."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.models import product

P = 3
SHAPES = [(3, 1, 1), (3, 2, 1), (1, 2, 0), (7, 2, 3), (2, 2, 0)]  # window, stride, padding


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return jnp.asarray(random.normal(size=(P, 2, 9, 8, 3)), jnp.float32)


def cubed(conv: Callable) -> Callable:
    return lambda x, kernel: (conv(x, kernel) ** 3).sum()


def both_gradients(conv: Callable) -> Callable:
    return jax.value_and_grad(cubed(conv), (0, 1))


@pytest.mark.parametrize(('window', 'stride', 'padding'), SHAPES)
@pytest.mark.parametrize('shared', [False, True], ids=['own images', 'shared images'])
def test_members_have_the_gradients_of_the_plain_convolution(arrays, window, stride, padding, shared):
    sides = ((padding, padding),) * 2
    kernels = jnp.asarray(np.random.default_rng(1).normal(size=(P, window, window, 3, 4)), jnp.float32)
    images, axis = (arrays[0], None) if shared else (arrays, 0)
    conv = product.make_conv(stride, sides)
    result = jax.jit(jax.vmap(both_gradients(conv), (axis, 0)))(images, kernels)
    alone = jax.jit(both_gradients(lambda x, k: product.plain(x, k, stride, sides)))
    for member in range(P):
        expected = alone(images if shared else images[member], kernels[member])
        one = jax.tree.map(lambda leaf, i=member: leaf[i], result)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max()), one, expected)
    program = str(jax.make_jaxpr(jax.vmap(both_gradients(conv), (axis, 0)))(images, kernels))
    assert 'conv_general_dilated' not in program
    assert 'dot_general' in program


def test_one_kernel_stays_a_convolution(arrays):
    kernel = jnp.ones((3, 3, 3, 4))
    conv = product.make_conv(1, ((1, 1), (1, 1)))
    program = str(jax.make_jaxpr(jax.vmap(both_gradients(conv), (0, None)))(arrays, kernel))
    assert 'dot_general' not in program
    alone = jax.grad(cubed(conv))(arrays[0], kernel)
    np.testing.assert_allclose(jax.vmap(jax.grad(cubed(conv)), (0, None))(arrays, kernel)[0], alone, rtol=1e-4)
