"""What the models share: the convolution layer, and the ways in and out."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.ad_checkpoint import checkpoint_name

from imbalance_jax.models.convolution import conv
from imbalance_jax.models.pooling import global_average
from imbalance_jax.names import lookup

TINY = 1e-16  # added to a squared norm, so that the gradient is finite where all is 0
DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def normal(variance: float) -> Callable[..., Array]:
    """Initialiser: independent normal numbers of mean 0.

    They are drawn flat, which gives the same numbers as drawing an array of `shape`, while XLA's CPU back end may take
    many seconds to compile random bits of a small array with four axes.
    """

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return (math.sqrt(variance) * jax.random.normal(key, (math.prod(shape),), dtype)).reshape(shape)

    return init


class Conv(nn.Module):
    """Convolves x [B,H,W,C] with a square kernel, giving [B,h,w,U] in `dtype`; parameters are float32.

    The padding is that of PyTorch's models: half the kernel, rounded down, on all four sides, or the number given. So
    is the start, by the number of outputs (He et al. 2015, arXiv 1502.01852).
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = False
    dtype: Any = jnp.float32
    padding: int | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param('kernel', normal(2 / (self.kernel_size**2 * self.features)), shape)
        padding = self.kernel_size // 2 if self.padding is None else self.padding
        y = conv(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
        if self.use_bias:
            y = y + self.param('bias', nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return y


def enter(image: Array, dtype: Any) -> Array:
    """The image in the dtype of computation; ValueError unless it is [B,H,W,C] float."""
    if image.ndim != 4 or not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f'image must be [B,H,W,C] float, got {image.dtype}{list(image.shape)}.')
    return image.astype(dtype)


def perturb(model: nn.Module, name: str, x: Array) -> Array:
    """x plus the variable `name` of the collection 'perturbations', if the caller gave one; the gradient with respect
    to zeros there is the gradient at x.

    `flax.linen.Module.perturb` alone wants either none of a model's layers or all.
    """
    x = checkpoint_name(x, name)  # what rematerialisation keeps; nothing is computed
    wanted = model.is_mutable_collection('perturbations') or model.has_variable('perturbations', name)
    return model.perturb(name, x) if wanted else x


def classify(model: nn.Module, x: Array, out: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Ends a model: logits [B,K] from the global average of x [B,h,w,U], and `out` with that average as 'pooled'.

    x may be a vector [B,U] that the model has pooled itself, too. Logits and 'pooled' are float32. If the caller gives
    the variable 'cosine' of the collection 'link', and it is not 0, logits are the cosines of that vector and each
    class's weights, in -1..1, without bias (as LDAM wants them). Raises ValueError if the caller perturbs a layer that
    is not in `out`.
    """
    x = global_average(x) if x.ndim == 4 else x.astype(jnp.promote_types(x.dtype, jnp.float32))
    x = out['pooled'] = perturb(model, 'pooled', x)
    for name in model.variables.get('perturbations', {}):
        lookup(out, name, 'layer')
    head = nn.Dense(model.num_classes, kernel_init=normal(1 / x.shape[-1]), name='head')
    logits = head(x)
    if model.has_variable('link', 'cosine'):
        kernel = head.variables['params']['kernel']
        logits = jnp.where(model.get_variable('link', 'cosine') > 0, cosines(x, kernel), logits)
    return logits, out


def cosines(x: Array, kernel: Array) -> Array:
    """Cosines [B,K] of vectors x [B,U] and the columns of a kernel [U,K]; 0 where one of the two is 0."""
    return _unit(x, axis=-1) @ _unit(kernel, axis=0)


def _unit(x: Array, axis: int) -> Array:
    """x at length 1 along an axis; 0 stays 0."""
    return x * jax.lax.rsqrt((x * x).sum(axis, keepdims=True) + TINY)
