"""Convolution as one matrix product per layer, of all members at once, for accelerators.

`vmap` over members turns a convolution with a kernel per member into a grouped convolution, which GPUs run at a
fraction of their speed. Written as patches times kernel, `vmap` makes it a batched matrix product. Without `vmap` over
kernels, nothing changes: the ordinary convolution is taken.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap

LAYOUT = ('NHWC', 'HWIO', 'NHWC')
Sides = tuple[tuple[int, int], tuple[int, int]]


def plain(x: Array, kernel: Array, stride: int, padding: Sides) -> Array:
    """x [B,H,W,C] and kernel [kh,kw,C,U] to [B,h,w,U] by the convolution of the platform."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT)


def patches(x: Array, window: tuple[int, int], stride: int, padding: Sides) -> Array:
    """x [B,H,W,C] to [B,h,w,kh*kw*C]: what each output position sees, in the order of a kernel's entries."""
    height, width = window
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    h, w = ((size - k) // stride + 1 for size, k in zip(x.shape[1:3], window, strict=True))
    taps = [
        x[:, i : i + (h - 1) * stride + 1 : stride, j : j + (w - 1) * stride + 1 : stride]
        for i in range(height)
        for j in range(width)
    ]
    return jnp.concatenate(taps, axis=-1)


def by_product(x: Array, kernel: Array, stride: int, padding: Sides) -> Array:
    """The same numbers as `plain`, up to rounding."""
    height, width = kernel.shape[:2]
    seen = patches(x, (height, width), stride, padding)
    rows = seen.reshape(-1, seen.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return rows.reshape(*seen.shape[:3], kernel.shape[-1])


def gradients(conv: Callable, x: Array, kernel: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients of `conv(x, kernel)` with respect to both."""
    return jax.vjp(conv, x, kernel)[1](dy)


@cache
def make_conv(stride: int, padding: Sides) -> Callable[[Array, Array], Array]:
    """Returns `conv(x, kernel)`, differentiable in reverse mode, whose `vmap` over kernels is a batched product."""
    alone = partial(plain, stride=stride, padding=padding)
    batched_form = partial(by_product, stride=stride, padding=padding)
    forward = _with_rule(alone, batched_form)
    backward = _with_rule(partial(gradients, alone), partial(gradients, batched_form))

    @jax.custom_vjp
    def conv(x: Array, kernel: Array) -> Array:
        return forward(x, kernel)

    conv.defvjp(lambda x, kernel: (forward(x, kernel), (x, kernel)), lambda residuals, dy: backward(*residuals, dy))
    return conv


def _with_rule(alone: Callable, batched_form: Callable) -> Callable:
    """`alone`, and where its second argument, the kernel, has a member axis, `batched_form` of all members.

    Images with an axis of their own and one kernel for all of them are one larger batch: left to JAX.
    """

    @custom_vmap
    def function(*arguments: Array):
        return alone(*arguments)

    @function.def_vmap
    def rule(axis_size: int, batched: Sequence[bool], *arguments: Array):
        del axis_size
        chosen = batched_form if batched[1] else alone
        result = jax.vmap(chosen, in_axes=tuple(0 if one else None for one in batched))(*arguments)
        return result, jax.tree.map(lambda _: True, result)

    return function
