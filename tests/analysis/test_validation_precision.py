"""Rounding of factors is emulated in whole programs, loops and gradients too."""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import models
from imbalance_jax.analysis.validation.precision import line, rounded


def test_factors_are_rounded_in_loops_branches_and_gradients():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 5)).astype(np.float32)
    narrow = lambda a: np.asarray(jnp.asarray(a).astype(jnp.bfloat16).astype(jnp.float32))  # noqa: E731
    one = narrow(x) @ narrow(y)
    np.testing.assert_allclose(rounded(lambda x, y: x @ y, 7)(x, y), one, rtol=1e-5, atol=1e-6)

    def looped(x, y):
        total = jax.lax.scan(lambda c, _: (c + x @ y, None), jnp.zeros((5, 5)), None, length=3)[0]
        total = jax.lax.fori_loop(0, 2, lambda _, c: c + x @ y, total)
        return jax.lax.cond(x[0, 0] > 99, lambda: total, lambda: total + x @ y)

    np.testing.assert_allclose(rounded(jax.jit(looped), 7)(x, y), 6 * one, rtol=1e-5, atol=1e-5)
    gradient = jax.grad(lambda x, y: (x @ y).sum())
    np.testing.assert_allclose(rounded(gradient, 7)(x, y), np.ones((5, 5)) @ narrow(y).T, rtol=1e-5)


def test_a_network_is_rounded_a_little_and_with_all_bits_not_at_all():
    model, images = models.make('cnn', 2, widths=(4, 5)), jnp.ones((2, 16, 16, 1)).at[:, 3:9].set(-1)
    variables = model.init(jax.random.key(0), images, mutable=['params', 'batch_stats'])
    maps = jax.grad(lambda x, v: model.apply(v, x)[0].sum())
    exact = np.asarray(jax.jit(maps)(images, variables))
    error = {bits: np.abs(jax.jit(rounded(maps, bits))(images, variables) - exact).max() for bits in (23, 10, 7)}
    assert error[23] <= 1e-6 * np.abs(exact).max()
    assert error[23] < error[10] < error[7] < np.abs(exact).max()


def test_a_row_says_how_far_maps_are_off():
    exact = np.random.default_rng(0).normal(size=(2, 3, 8, 8))
    exact[0, 0] = 0  # without direction: left out
    same = line('saliency', 'float32', exact, exact)
    assert same == '| saliency | float32 | 0.0e+00 | 0.0e+00 | 1.0000 | 0.000 |'
    assert line('a', 'b', -exact, exact) == '| a | b | 2.0e+00 | 2.0e+00 | -1.0000 | 1.000 |'
