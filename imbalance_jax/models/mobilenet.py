"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) with torchvision's structure, strides and padding."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from imbalance_jax.models import naming
from imbalance_jax.models.depthwise import Depthwise
from imbalance_jax.models.layers import classify, perturb
from imbalance_jax.models.stems import begin

STEM, LAST = 32, 1280  # channels of the first and of the last convolution
EXPANSION = 6  # of all blocks but the first
# Of each stage: channels, number of blocks, and stride of the first block, row by row of the paper's table 2.
STAGES = (((16, 1, 1),), ((24, 2, 2),), ((32, 3, 2),), ((64, 4, 2), (96, 3, 1)), ((160, 3, 2), (320, 1, 1)))
PARTS = ('expand', 'depth', 'project')  # the three convolutions of a block, each with a norm; the first has two


def _places() -> dict[str, tuple[int, int, int]]:
    """Block -> its number in torchvision's `features`, and row and number in the row of timm's `blocks`."""
    places, feature, row = {}, 1, 0
    for stage, rows in enumerate(STAGES, 1):
        number = 1
        for _, blocks, _ in rows:
            for n in range(blocks):
                places[f'stage{stage}_block{number}'] = (feature, row, n)
                feature, number = feature + 1, number + 1
            row += 1
    return places


PLACES = _places()
FIRST, *_ = PLACES  # the block without expansion
TORCHVISION = {
    'stem_conv': 'features.0.0',
    'stem_norm': 'features.0.1',
    'stage6_conv': 'features.18.0',
    'stage6_norm': 'features.18.1',
    'head': 'classifier.1',
}
TIMM = {
    'stem_conv': 'conv_stem',
    'stem_norm': 'bn1',
    'stage6_conv': 'conv_head',
    'stage6_norm': 'bn2',
    'head': 'classifier',
}


def torchvision_name(path: naming.Path) -> str:
    """'features.2.conv.1.0.weight' of ('stage2_block1', 'depth_conv', 'kernel')."""
    if path[0] in TORCHVISION:
        return naming.key(TORCHVISION[path[0]], path)
    part, kind = path[1].split('_')
    index, last = PARTS.index(part) - (path[0] == FIRST), part == PARTS[-1]
    norm = kind == 'norm'
    inside = f'{index + norm}' if last else f'{index}.{int(norm)}'  # only the last is no module of its own
    return naming.key(f'features.{PLACES[path[0]][0]}.conv.{inside}', path)


def timm_name(path: naming.Path) -> str:
    """'blocks.1.0.conv_dw.weight' of ('stage2_block1', 'depth_conv', 'kernel')."""
    if path[0] in TIMM:
        return naming.key(TIMM[path[0]], path)
    part, kind = path[1].split('_')
    first = path[0] == FIRST
    names = ('', 'conv_dw', 'conv_pw') if first else ('conv_pw', 'conv_dw', 'conv_pwl')
    index = PARTS.index(part)
    inside = f'bn{index + 1 - first}' if kind == 'norm' else names[index]
    _, row, number = PLACES[path[0]]
    return naming.key(f'blocks.{row}.{number}.{inside}', path)


def divisible(channels: float, by: int = 8) -> int:
    """The multiple of `by` nearest to a number of channels, but no less than 9/10 of it."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


class InvertedResidual(nn.Module):
    """1x1 convolution to `expansion` times the channels, depthwise 3x3, and 1x1 back, linear; beside x if it fits."""

    features: int
    stride: int
    expansion: int
    conv: Callable[..., nn.Module]
    depthwise: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = x
        if self.expansion > 1:
            y = self.conv(self.expansion * x.shape[-1], 1, name='expand_conv')(y)
            y = self.activation(self.norm(name='expand_norm')(y))
        y = self.depthwise(3, self.stride, name='depth_conv')(y)
        y = self.activation(self.norm(name='depth_norm')(y))
        y = self.norm(name='project_norm')(self.conv(self.features, 1, name='project_conv')(y))
        return x + y if self.stride == 1 and x.shape[-1] == self.features else y


class MobileNetV2(nn.Module):
    """A stem, five stages of inverted residuals, a 1x1 convolution, global average, linear head.

    `out` has 'stem', 'stage1' .. 'stage5' [B,h,w,U] and 'stage6', the last convolution, which the head reads; the maps
    of stages 1 to 5 are sums of linear projections, with both signs, and the others come after the ReLU6. Stages 1 to 5
    are 1/2 to 1/32 of the image, with `stem_stride=1` twice that. `width_mult` multiplies the channels, as in
    torchvision. The activation is min(relu(x), 6), with `relu` an option as elsewhere. There is no dropout.
    """

    torch_names: ClassVar[Mapping[str, naming.Name]] = {'torchvision': torchvision_name, 'timm': timm_name}

    num_classes: int
    width_mult: float = 1.0
    stem_stride: int = 2
    norm: str = 'batch'
    dtype: str = 'float32'
    relu: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        x, conv, norm = begin(self, image, train)
        out: dict[str, Array] = {}

        def relu6(x: Array) -> Array:
            return jnp.minimum(self.relu(x), 6)

        x = conv(divisible(STEM * self.width_mult), 3, self.stem_stride, name='stem_conv')(x)
        x = out['stem'] = perturb(self, 'stem', relu6(norm(name='stem_norm')(x)))
        block = partial(InvertedResidual, conv=conv, depthwise=partial(Depthwise, dtype=x.dtype), norm=norm)
        for number, rows in enumerate(STAGES, 1):
            stage = f'stage{number}'
            plan = [(c, stride if n == 0 else 1) for c, blocks, stride in rows for n in range(blocks)]
            for n, (channels, stride) in enumerate(plan, 1):
                features, expansion = divisible(channels * self.width_mult), 1 if number == 1 else EXPANSION
                x = block(features, stride, expansion, activation=relu6, name=f'{stage}_block{n}')(x)
            x = out[stage] = perturb(self, stage, x)
        x = conv(divisible(LAST * max(1.0, self.width_mult)), 1, name='stage6_conv')(x)
        x = out['stage6'] = perturb(self, 'stage6', relu6(norm(name='stage6_norm')(x)))
        return classify(self, x, out)
