"""Pooling: maximum with a gradient that is fast and the same in every run, and averages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from imbalance_jax.models.convolution import output_size


def max_pool(x: Array, window: int = 2, stride: int | None = None, padding: int = 0) -> Array:
    """Maximum of x [B,H,W,C] over squares of `window` pixels, `stride` apart (by default disjoint), giving [B,h,w,C].

    Rows and columns that fill no square are left out; `padding` pixels on all four sides are below everything. The
    gradient goes to the first maximum of a square in row-major order, as in PyTorch and in `flax.linen.max_pool`.
    That of the latter (select-and-scatter) takes up to half of a small CNN's step on CPU, and on a GPU its sums differ
    from run to run. Raises ValueError if no square fits.
    """
    stride = stride or window
    for size in x.shape[1:3]:
        output_size(size, window, stride, (padding, padding))
    return _max_pool(x, window, stride, padding, x.shape[1:3])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _max_pool(x, window, stride, padding, size):
    return functools.reduce(jnp.maximum, _taps(x, window, stride, padding))


def _taps(x, window, stride, padding):
    """The pixels of every square as `window ** 2` arrays [B,h,w,C], in row-major order."""
    if padding:
        none, sides = (0, 0, 0), (padding, padding, 0)
        x = jax.lax.pad(x, np.array(-np.inf, x.dtype), (none, sides, sides, none))
    h, w = (output_size(size, window, stride) for size in x.shape[1:3])
    rows, columns = (range(0, (count - 1) * stride + 1, stride) for count in (h, w))
    return [
        x[:, i : i + rows.stop : stride, j : j + columns.stop : stride] for i in range(window) for j in range(window)
    ]


def _forward(x, window, stride, padding, size):
    taps = _taps(x, window, stride, padding)
    y = functools.reduce(jnp.maximum, taps)
    winner = jnp.full(y.shape, len(taps) - 1, jnp.int8)
    for position in reversed(range(len(taps) - 1)):
        winner = jnp.where(taps[position] == y, jnp.int8(position), winner)
    return y, winner


def _backward(window, stride, padding, size, winner, dy):
    if stride == window and not padding:
        return (_disjoint(window, size, winner, dy),)
    return (_overlapping(window, stride, padding, size, winner, dy),)


def _disjoint(window, size, winner, dy):
    b, h, w, c = dy.shape
    position = jnp.arange(window**2, dtype=jnp.int8).reshape(window, 1, window, 1)
    won = winner[:, :, None, :, None] == position
    gradient = jnp.where(won, dy[:, :, None, :, None], 0).reshape(b, h * window, w * window, c)
    return jnp.pad(gradient, ((0, 0), (0, size[0] - h * window), (0, size[1] - w * window), (0, 0)))


def _overlapping(window, stride, padding, size, winner, dy):
    """Input pixels that are equal modulo the stride form a phase; each phase sums what the squares over it send.

    Position i of the square in row o of dy is row o + i // stride of phase i % stride. Phases are laid side by side at
    the end.
    """
    b, h, w, c = dy.shape
    rows, columns = (-(-(length + 2 * padding) // stride) for length in size)

    def sent(i, j):
        part = jnp.where(winner == i * window + j, dy, 0)
        down, right = i // stride, j // stride
        return jnp.pad(part, ((0, 0), (down, rows - h - down), (right, columns - w - right), (0, 0)))

    def phase(first, second):
        positions = [(i, j) for i in range(first, window, stride) for j in range(second, window, stride)]
        nothing = jnp.zeros((b, rows, columns, c), dy.dtype)
        return functools.reduce(jnp.add, (sent(i, j) for i, j in positions)) if positions else nothing

    phases = [jnp.stack([phase(first, second) for second in range(stride)], axis=3) for first in range(stride)]
    gradient = jnp.stack(phases, axis=2).reshape(b, rows * stride, columns * stride, c)
    return gradient[:, padding : padding + size[0], padding : padding + size[1]]


_max_pool.defvjp(_forward, _backward)


def halved(x: Array) -> Array:
    """Means of x [B,H,W,C] over disjoint squares of 2 x 2 pixels, giving [B,H//2,W//2,C].

    A last row or column of an odd number is left out, as in PyTorch. Raises ValueError if no square fits.
    """
    b, _, _, c = x.shape
    h, w = (output_size(size, 2, 2) for size in x.shape[1:3])
    squares = x[:, : 2 * h, : 2 * w].reshape(b, h, 2, w, 2, c)
    return squares.mean((2, 4), dtype=jnp.promote_types(x.dtype, jnp.float32)).astype(x.dtype)


def global_average(x: Array) -> Array:
    """Mean of x [B,h,w,U] over space, giving [B,U], in float32 or better."""
    return x.mean((1, 2), dtype=jnp.promote_types(x.dtype, jnp.float32))
