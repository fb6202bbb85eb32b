"""Pooling: maximum with a gradient that is fast on CPU, and the global average."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from imbalance_jax.models.convolution import output_size


def max_pool(x: Array, window: int = 2) -> Array:
    """Maximum of x [B,H,W,C] over disjoint squares of `window` pixels, giving [B,H//window,W//window,C].

    Rows and columns that fill no square are left out. The gradient goes to the first maximum of a square in row-major
    order, as in PyTorch and in `flax.linen.max_pool`, whose gradient takes up to half of a small CNN's step on CPU.
    """
    h, w = (output_size(size, window, window) for size in x.shape[1:3])
    if jax.default_backend() != 'cpu':
        return nn.max_pool(x, (window, window), (window, window))
    return _max_pool_on_cpu(x[:, : h * window, : w * window], window)


def _corners(x, window):
    """The pixels of every square as `window ** 2` arrays [B,h,w,C], in row-major order."""
    return [x[:, i::window, j::window] for i in range(window) for j in range(window)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool_on_cpu(x, window):
    return functools.reduce(jnp.maximum, _corners(x, window))


def _forward(x, window):
    corners = _corners(x, window)
    y = functools.reduce(jnp.maximum, corners)
    winner = jnp.full(y.shape, len(corners) - 1, jnp.int8)
    for position in reversed(range(len(corners) - 1)):
        winner = jnp.where(corners[position] == y, jnp.int8(position), winner)
    return y, winner


def _backward(window, winner, dy):
    b, h, w, c = dy.shape
    position = jnp.arange(window**2, dtype=jnp.int8).reshape(window, 1, window, 1)
    won = winner[:, :, None, :, None] == position
    return (jnp.where(won, dy[:, :, None, :, None], 0).reshape(b, h * window, w * window, c),)


_max_pool_on_cpu.defvjp(_forward, _backward)


def global_average(x: Array) -> Array:
    """Mean of x [B,h,w,U] over space, giving [B,U], in float32 or better."""
    return x.mean((1, 2), dtype=jnp.promote_types(x.dtype, jnp.float32))
