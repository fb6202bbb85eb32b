"""Depthwise convolution, one kernel per channel, as a sum of shifted products with gradients written by hand.

On a CPU the grouped convolution of XLA takes 15-60 times as long (`analysis/bench/benchmarks.md`). The k * k shifted
copies of an image are read where they are summed: none is kept, and the gradient keeps only image and kernel.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from imbalance_jax.models.convolution import output_size
from imbalance_jax.models.layers import normal
from imbalance_jax.models.product import LAYOUT


class Depthwise(nn.Module):
    """Convolves every channel of x [B,H,W,C] with a kernel of its own, giving [B,h,w,C] in `dtype`.

    The parameter is 'kernel' [k,k,1,C], as of a grouped convolution; it starts with variance 2 / k^2, as k^2 products
    make a value (He et al. 2015, arXiv 1502.01852). The padding is half the kernel, rounded down, on all four sides.
    """

    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size, channels = self.kernel_size, x.shape[-1]
        kernel = self.param('kernel', normal(2 / size**2), (size, size, 1, channels))
        y = depthwise(x.astype(self.dtype), kernel[:, :, 0].astype(self.dtype), self.stride, self.kernel_size // 2)
        if self.use_bias:
            y = y + self.param('bias', nn.initializers.zeros, (channels,)).astype(self.dtype)
        return y


def depthwise(x: Array, kernel: Array, stride: int = 1, padding: int = 0) -> Array:
    """Cross-correlates each channel of x [B,H,W,C] with its own of kernel [k,k,C], giving [B,h,w,C].

    `padding` is a number of zero pixels for all four sides. The value and the gradients equal those of
    `lax.conv_general_dilated` with C groups, which is taken off the CPU; the gradient is a `custom_vjp`, as that of
    `convolution.conv`. Sums are float32 or better whatever the dtype. Raises ValueError if the kernel does not fit.
    """
    if kernel.ndim != 3 or kernel.shape[2] != x.shape[-1]:
        raise ValueError(f'kernel must be [k,k,C] with C = {x.shape[-1]} channels of x, got {list(kernel.shape)}.')
    for size, window in zip(x.shape[1:3], kernel.shape, strict=False):
        output_size(size, window, stride, (padding, padding))
    if jax.default_backend() == 'cpu':
        return _depthwise_on_cpu(x, kernel, stride, padding)
    sides = ((padding, padding),) * 2
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), sides, dimension_numbers=LAYOUT, feature_group_count=x.shape[-1]
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise_on_cpu(x, kernel, stride, padding):
    height, width, _ = kernel.shape
    h, w = (output_size(n, k, stride, (padding, padding)) for n, k in zip(x.shape[1:3], kernel.shape, strict=False))
    x, wide = _padded(x, (padding, padding), (padding, padding)), _wide(kernel)
    taps = (_tap(x, i, j, (h, w), stride) * wide[i, j] for i in range(height) for j in range(width))
    return functools.reduce(jnp.add, taps).astype(x.dtype)


def _forward(x, kernel, stride, padding):
    return _depthwise_on_cpu(x, kernel, stride, padding), (x, kernel)


def _backward(stride, padding, residuals, dy):
    """Both gradients; under `jit` the one that nobody reads is dropped."""
    x, kernel = residuals
    dx = _input_gradient(dy, kernel, x.shape[1:3], stride, padding)
    return dx.astype(x.dtype), _kernel_gradient(dy, x, kernel, stride, padding)


_depthwise_on_cpu.defvjp(_forward, _backward)


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _padded(x, rows, columns):
    return jnp.pad(x, ((0, 0), rows, columns, (0, 0)))


def _tap(x, i, j, size, stride):
    """What position (i, j) of the kernel meets in x [B,H,W,C], for each of the [h,w] outputs."""
    down, right = ((count - 1) * stride + 1 for count in size)
    return x[:, i : i + down : stride, j : j + right : stride]


def _input_gradient(dy, kernel, size, stride, padding):
    """Pixels of x that are equal modulo the stride form a phase, which meets every stride-th tap of the kernel.

    Position i of the kernel in row o of dy is row o + i // stride of phase i % stride. Phases are laid side by side.
    """
    b, h, w, c = dy.shape
    rows, columns = (-(-(length + 2 * padding) // stride) for length in size)
    before = [-(-window // stride) - 1 for window in kernel.shape[:2]]
    dy, wide = _padded(dy, (before[0], rows - h), (before[1], columns - w)), _wide(kernel)

    def phase(first, second):
        positions = [
            (i, j) for i in range(first, kernel.shape[0], stride) for j in range(second, kernel.shape[1], stride)
        ]
        nothing = jnp.zeros((b, rows, columns, c), wide.dtype)
        starts = ((before[0] - i // stride, before[1] - j // stride) for i, j in positions)
        taps = (
            _tap(dy, *start, (rows, columns), 1) * wide[place] for start, place in zip(starts, positions, strict=True)
        )
        return functools.reduce(jnp.add, taps) if positions else nothing

    if stride == 1:
        gradient = phase(0, 0)
    else:
        phases = [jnp.stack([phase(i, j) for j in range(stride)], axis=3) for i in range(stride)]
        gradient = jnp.stack(phases, axis=2).reshape(b, rows * stride, columns * stride, c)
    return gradient[:, padding : padding + size[0], padding : padding + size[1]]


def _kernel_gradient(dy, x, kernel, stride, padding):
    """Sums dy times what each tap meets, image by image and row by row of the kernel, so that both stay in the cache.

    The sum is a product with ones: XLA's reduction along with the multiplication is 2-6 times slower on CPU, and the
    barrier keeps the two apart.
    """
    height, width, c = kernel.shape
    h, w = dy.shape[1:3]
    x = _padded(x, (padding, padding), (padding, padding))

    def of_image(total, pair):
        image, upstream = (_wide(part) for part in pair)
        ones = jnp.ones((1, h * w), upstream.dtype)

        def of_row(i):
            rows = lax.dynamic_slice_in_dim(image, i, (h - 1) * stride + 1)
            products = (_tap(rows[None], 0, j, (h, w), stride)[0] * upstream for j in range(width))
            return jnp.concatenate([ones @ lax.optimization_barrier(p).reshape(-1, c) for p in products])

        return total + lax.map(of_row, jnp.arange(height)), None

    zeros = jnp.zeros(kernel.shape, _wide(dy[:0, 0, 0, 0]).dtype)
    return lax.scan(of_image, zeros, (x, dy))[0].astype(kernel.dtype)
