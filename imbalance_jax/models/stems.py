"""The ways into a network: precision, convolutions and norms; the stem of a residual or densely connected one."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
from jax import Array

from imbalance_jax.models.layers import DTYPES, Conv, enter, perturb
from imbalance_jax.models.normalisation import make_norm
from imbalance_jax.models.pooling import max_pool
from imbalance_jax.names import lookup

# kernel size and stride of the first convolution, and whether 3x3 max pooling of stride 2 follows
STEMS = {'imagenet': (7, 2, True), 'small': (3, 1, False)}


def begin(model: Any, image: Array, train: bool) -> tuple[Array, Callable[..., nn.Module], Callable[..., nn.Module]]:
    """The image [B,H,W,C] in the precision of a model, and what makes its convolutions and its norms.

    model: with the fields dtype and norm. Raises ValueError for an unknown one of either, and for no such image.
    """
    dtype = lookup(DTYPES, model.dtype, 'dtype')
    return enter(image, dtype), partial(Conv, dtype=dtype), make_norm(model.norm, train, dtype)


def stem(model: nn.Module, x: Array, out: dict[str, Array], *, conv: Callable, norm: Callable) -> Array:
    """The first convolution of `model.width` channels, in `out` as 'stem' after the ReLU, and the pooling behind it.

    model: with the fields width, stem (a name in STEMS) and relu. To be called in its `__call__`, whose modules
    'stem_conv' and 'stem_norm' become its own.
    """
    kernel_size, stride, pool = lookup(STEMS, model.stem, 'stem')
    x = conv(model.width, kernel_size, stride, name='stem_conv')(x)
    x = model.relu(norm(name='stem_norm')(x))
    x = out['stem'] = perturb(model, 'stem', x)
    return max_pool(x, 3, 2, 1) if pool else x
