"""ConvNeXt (Liu et al. 2022, arXiv 2201.03545) with the structure, strides and padding of torchvision and timm."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
from jax import Array

from imbalance_jax.models import naming
from imbalance_jax.models.depthwise import Depthwise
from imbalance_jax.models.layers import DTYPES, Conv, classify, enter, perturb
from imbalance_jax.models.pooling import global_average
from imbalance_jax.names import lookup

EPSILON = 1e-6  # of every layer norm
SCALE = 1e-6  # of every block when training begins
LAST = 'stage4_norm'  # of the pooled vector, which belongs to the head in timm and to the classifier in torchvision
TORCHVISION = {
    'stem_conv': 'features.0.0',
    'stem_norm': 'features.0.1',
    LAST: 'classifier.0',
    'head': 'classifier.2',
}
TIMM = {'stem_conv': 'stem.0', 'stem_norm': 'stem.1', LAST: 'head.norm', 'head': 'head.fc'}
IN_TORCHVISION = {
    'depth_conv': 'block.0',
    'norm': 'block.2',
    'expand': 'block.3',
    'project': 'block.5',
    'layer_scale': 'layer_scale',
}
IN_TIMM = {
    'depth_conv': 'conv_dw',
    'norm': 'norm',
    'expand': 'mlp.fc1',
    'project': 'mlp.fc2',
    'layer_scale': 'gamma',
}
BETWEEN = {'before': 0, 'conv': 1}  # norm and convolution before the first block of a stage


def _scheme(top: Mapping[str, str], between: str, block: str, inside: Mapping[str, str]) -> naming.Name:
    """The names of a library.

    between, block: what comes before a stage is called, and its blocks, where s counts stages from 0, even and odd the
    places of both in a row; inside: the parts of a block, of which layer_scale is a tensor and no module.
    """

    def name(path: naming.Path) -> str:
        if path[0] in top:
            return naming.key(top[path[0]], path)
        stage, part = path[0].removeprefix('stage').split('_')
        number = {'s': int(stage) - 1, 'even': 2 * int(stage) - 2, 'odd': 2 * int(stage) - 1}
        if part in BETWEEN:
            return naming.key(f'{between.format(**number)}.{BETWEEN[part]}', path)
        of_block = f'{block.format(**number)}.{int(part.removeprefix("block")) - 1}.{inside[path[1]]}'
        return of_block if path[1] == 'layer_scale' else naming.key(of_block, path)

    return name


torchvision_name = _scheme(TORCHVISION, 'features.{even}', 'features.{odd}', IN_TORCHVISION)
timm_name = _scheme(TIMM, 'stages.{s}.downsample', 'stages.{s}.blocks', IN_TIMM)


def layer_norm(name: str, dtype: Any) -> nn.Module:
    """Normalises each pixel over its channels (Ba et al. 2016, arXiv 1607.06450)."""
    return nn.LayerNorm(epsilon=EPSILON, use_fast_variance=False, dtype=dtype, name=name)


def gelu(x: Array) -> Array:
    """x times the normal distribution function at x (Hendrycks & Gimpel 2016, arXiv 1606.08415), not approximated."""
    return jax.nn.gelu(x, approximate=False)


class Block(nn.Module):
    """x plus, times a number per channel: depthwise 7x7, norm, four times the channels, GELU, and back."""

    convolutional: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        channels = x.shape[-1]

        def linear(features: int, name: str) -> nn.Module:
            if self.convolutional:
                return Conv(features, 1, use_bias=True, dtype=self.dtype, name=name)
            return nn.Dense(features, kernel_init=nn.initializers.truncated_normal(0.02), dtype=self.dtype, name=name)

        y = Depthwise(7, use_bias=True, dtype=self.dtype, name='depth_conv')(x)
        y = layer_norm('norm', self.dtype)(y)
        y = linear(channels, 'project')(gelu(linear(4 * channels, 'expand')(y)))
        scale = self.param('layer_scale', nn.initializers.constant(SCALE), (channels,))
        return x + scale.astype(self.dtype) * y


class ConvNeXt(nn.Module):
    """A stem of patches of 4 x 4, four stages of blocks, global average, layer norm, linear head.

    `out` has 'stem', 'stage1' .. 'stage4' [B,h,w,U], sums with both signs of 1/4, 1/4, 1/8, 1/16 and 1/32 of the image,
    and 'pooled' [B,U], the normalised average. There are no running statistics, no drop path, and training computes
    what evaluation does. `convolutional`: whether the linear layers of a block are 1x1 convolutions, as in timm's
    smaller forms; the numbers are the same, the shapes of the weights are not. Images below 32 pixels are too small.
    """

    torch_names: ClassVar[Mapping[str, naming.Name]] = {'torchvision': torchvision_name, 'timm': timm_name}

    num_classes: int
    depths: tuple[int, ...] = (3, 3, 9, 3)
    width: int = 96
    convolutional: bool = False
    dtype: str = 'float32'

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        dtype = lookup(DTYPES, self.dtype, 'dtype')
        conv = partial(Conv, use_bias=True, dtype=dtype, padding=0)
        x, out = conv(self.width, 4, 4, name='stem_conv')(enter(image, dtype)), {}
        x = out['stem'] = perturb(self, 'stem', layer_norm('stem_norm', dtype)(x))
        for number, depth in enumerate(self.depths, 1):
            stage = f'stage{number}'
            if number > 1:
                x = conv(2 * x.shape[-1], 2, 2, name=f'{stage}_conv')(layer_norm(f'{stage}_before', dtype)(x))
            for n in range(depth):
                x = Block(self.convolutional, dtype, name=f'{stage}_block{n + 1}')(x)
            x = out[stage] = perturb(self, stage, x)
        return classify(self, layer_norm(LAST, None)(global_average(x)), out)
