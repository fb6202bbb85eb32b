"""Convolution whose gradients stay fast on CPU, inside loops as well as outside.

XLA's CPU back end has a fast convolution for the layout NHWC/HWIO/NHWC only. The gradients that JAX derives have other
layouts, which XLA puts right at the top level of a program but not in the body of a `lax.map` or `lax.scan`, where they
run 10-20 times slower. Here the gradients are written by hand as convolutions of the fast layout, transposes explicit.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from imbalance_jax.models.product import LAYOUT, by_product, make_conv

# XLA's fast CPU convolution is not taken when neither channel count exceeds this.
FEW_CHANNELS = 16
# From so many on, matrix products of the kernel's rows are faster than its gradient as a convolution.
MANY_CHANNELS = 128
NONE = (0, 0), (0, 0)  # padding


def output_size(size: int, window: int, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> int:
    """Number of window positions along an axis of `size`; ValueError if there is none."""
    count = (size + sum(padding) - window) // stride + 1
    if count < 1:
        raise ValueError(f'A window of {window} does not fit into {size} pixels padded by {padding}.')
    return count


def conv(x: Array, kernel: Array, stride: int = 1, padding: int | str | tuple = 0) -> Array:
    """Cross-correlates x [B,H,W,C] with kernel [kh,kw,C,U], giving [B,h,w,U].

    `padding` is a number of zero pixels for all four sides, 'VALID' for none, or ((top, bottom), (left, right)).
    The value and the gradients equal those of `lax.conv_general_dilated`. The gradient is a `custom_vjp`, so forward
    mode (`jvp`, `jacfwd`) raises TypeError, and a `shard_map` around it needs `check_vma=False`. Off the CPU, `vmap`
    over kernels makes it one matrix product (`models.product`). The platform is JAX's default when tracing: as both
    forms are exact, a program placed elsewhere loses time and never correctness, and there is no branch on the platform
    to differentiate, as with `lax.platform_dependent`.
    """
    padding = _sides(padding)
    for size, window, sides in zip(x.shape[1:3], kernel.shape[:2], padding, strict=True):
        output_size(size, window, stride, sides)
    if jax.default_backend() == 'cpu':
        if _is_of_one_pixel(kernel) and padding == NONE:
            x, stride = x[:, ::stride, ::stride], 1  # nobody need look at what the stride leaves out
        return _conv_on_cpu(x, kernel, stride, padding)
    return make_conv(stride, padding)(x, kernel)


def _sides(padding: int | str | tuple) -> tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, str):
        if padding != 'VALID':
            raise ValueError(f"Unknown padding {padding!r}: give 'VALID', a number of pixels or a pair for each axis.")
        padding = 0
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    (top, bottom), (left, right) = padding
    return (top, bottom), (left, right)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_on_cpu(x, kernel, stride, padding):
    return _conv_by_columns(x, kernel, stride, padding)


def _forward(x, kernel, stride, padding):
    return _conv_by_columns(x, kernel, stride, padding), (x, kernel)


def _backward(stride, padding, residuals, dy):
    """Both gradients; under `jit` the one that nobody reads is dropped."""
    x, kernel = residuals
    return _input_gradient(dy, kernel, x.shape, stride, padding), _kernel_gradient(dy, x, kernel.shape, stride, padding)


_conv_on_cpu.defvjp(_forward, _backward)


def _input_gradient(dy, kernel, x_shape, stride, padding):
    """Convolves dy with the reversed kernel, whose channels have changed places: once for every phase of the stride.

    Pixel i of x meets the taps t of the kernel with t = i + padding modulo the stride. The kernels of all phases are
    channels of one convolution of stride 1, whose output pixels are then laid side by side: no zero is multiplied.
    """
    height, width, c, u = kernel.shape
    taps = tuple(-(-size // stride) for size in (height, width))
    fill = [(0, n * stride - size) for n, size in zip(taps, (height, width), strict=True)]
    phases = jnp.pad(kernel, (*fill, (0, 0), (0, 0))).reshape(taps[0], stride, taps[1], stride, c, u)
    turned = phases[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4).reshape(*taps, u, stride * stride * c)
    sides, crops = [], []
    for size, n, count, (before, _) in zip(x_shape[1:3], taps, dy.shape[1:3], padding, strict=True):
        first, last = before // stride, (size - 1 + before) // stride
        sides.append((n - 1 - first, last - count + 1))
        crops.append(slice(before - stride * first, before - stride * first + size))
    gradient = _conv_by_columns(dy, turned, 1, tuple(sides))
    if stride == 1:
        return gradient
    b, h, w, _ = gradient.shape
    pixels = gradient.reshape(b, h, w, stride, stride, c).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(b, h * stride, w * stride, c)[:, *crops]


def _kernel_gradient(dy, x, kernel_shape, stride, padding):
    """Convolves x with dy, spread out by the stride, where the examples are summed over as channels are elsewhere."""
    if kernel_shape[:2] == (1, 1) and stride == 1 and padding == NONE:
        return _products(x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1]))[None, None]
    if stride == 1 and min(kernel_shape[2:]) >= MANY_CHANNELS:
        return _kernel_gradient_by_rows(dy, x, kernel_shape, padding)
    sides = []
    for size, window, count, (before, _) in zip(x.shape[1:3], kernel_shape, dy.shape[1:3], padding, strict=False):
        # Less than the padding after x, and perhaps negative, where the stride leaves the last rows unused.
        sides.append((before, window - 1 + (count - 1) * stride + 1 - size - before))
    window = dy.transpose(1, 2, 0, 3)
    if stride == 1 and _is_larger(window, x):  # by the padding
        gradient = by_product(_channels_first(x, dy), window, 1, (sides[0], sides[1]))
    else:
        gradient = lax.conv_general_dilated(
            _channels_first(x, dy), window, (1, 1), sides, rhs_dilation=(stride, stride), dimension_numbers=LAYOUT
        )
    return gradient.transpose(1, 2, 0, 3)


def _products(x, dy):
    """Of x [N,C] and dy [N,U] the sums [C,U] of products; the narrower one is transposed."""
    if x.shape[1] > dy.shape[1]:
        return _products(dy, x).T
    return _transposed(x, dy) @ dy


def _kernel_gradient_by_rows(dy, x, kernel_shape, padding):
    """One matrix product per row of the kernel, of dy with what the row's columns see side by side."""
    height, width, c, u = kernel_shape
    h, w = dy.shape[1:3]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    seen = jnp.concatenate([x[:, :, j : j + w] for j in range(width)], axis=-1)
    of_dy = _transposed(dy.reshape(-1, u), x)
    rows = [of_dy @ seen[:, i : i + h].reshape(-1, width * c) for i in range(height)]
    return jnp.stack(rows).reshape(height, u, width, c).transpose(0, 2, 3, 1)


def _is_of_one_pixel(kernel):
    """Whether a convolution is a matrix product as it stands, which XLA computes 1.3 times as fast on CPU, and the
    gradient of its kernel 3-10 times."""
    return kernel.shape[:2] == (1, 1)


def _is_larger(kernel, x):
    """Whether a kernel [kh,kw,...] has more entries than x [B,H,W,C] has pixels, as in the last stage of a ResNet at 64
    pixels: XLA makes them change places then, into a layout for which it has no fast convolution (100 times slower)."""
    return kernel.shape[0] * kernel.shape[1] > x.shape[1] * x.shape[2]


def _transposed(x, other):
    """x [N,C] as [C,N]."""
    return _apart(x, other, lambda x: x.T, lambda x: x[:, :, None].transpose(1, 2, 0)[:, 0])


def _channels_first(x, other):
    """x [B,H,W,C] as [C,H,W,B]."""
    return _apart(x, other, lambda x: x.transpose(3, 1, 2, 0), lambda x: x.transpose(1, 2, 3, 0).transpose(2, 0, 1, 3))


def _apart(x, other, *two_ways):
    """A pure transposition of x, by either of two equal ways.

    XLA would fuse it with the arithmetic that made x and do that again in the order of the result, at 3-6 times the
    cost. It does not reach into a branch; which of the two equal ones is taken matters to nobody.
    """
    return lax.cond(other.ravel()[0] > 0, *two_ways, x)


def _conv_by_columns(x, kernel, stride, padding):
    """Convolves x; a kernel of one pixel, or larger than x, as a matrix product; with few channels, `f` neighbouring
    output columns at a time.

    `f` copies of the kernel, each a stride further right, make one wider kernel with `f` times the channels: enough for
    XLA's fast convolution, and its output [h, w/f, f*U] is in memory what is wanted, [h, w, U].
    """
    if (_is_of_one_pixel(kernel) and padding == NONE) or _is_larger(kernel, x):
        return by_product(x, kernel, stride, padding)
    height, width, c, u = kernel.shape
    columns = output_size(x.shape[2], width, stride, padding[1])
    f = min(2 * FEW_CHANNELS // u, columns) if max(c, u) <= FEW_CHANNELS else 1
    groups = -(-columns // f)
    wide = width + (f - 1) * stride
    if f > 1:
        copies = [jnp.pad(kernel, ((0, 0), (j * stride, wide - width - j * stride), (0, 0), (0, 0))) for j in range(f)]
        kernel = jnp.stack(copies, axis=3).reshape(height, wide, c, f * u)
        left = padding[1][0]
        padding = padding[0], (left, (groups - 1) * f * stride + wide - x.shape[2] - left)
    y = lax.conv_general_dilated(x, kernel, (stride, f * stride), padding, dimension_numbers=LAYOUT)
    return y.reshape(*y.shape[:2], groups * f, u)[:, :, :columns]
