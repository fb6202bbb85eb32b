"""Densely connected networks (Huang et al. 2017, arXiv 1608.06993) with torchvision's structure and padding."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from imbalance_jax.models import naming
from imbalance_jax.models.layers import classify, perturb
from imbalance_jax.models.pooling import halved
from imbalance_jax.models.stems import begin, stem

TOP = {
    'stem_conv': 'features.conv0',
    'stem_norm': 'features.norm0',
    'stage4_norm': 'features.norm5',
    'head': 'classifier',
}


def torchvision_name(path: naming.Path) -> str:
    """'features.denseblock2.denselayer1.conv1.weight' of ('stage2_layer1', 'conv1', 'kernel'); timm's are the same.

    The norm of a stage and the convolution that opens the next are torchvision's transition. That goes for the last
    norm of the truncated form too, which has the place, and the weights, of the norm in transition 2.
    """
    if path[0] in TOP:
        return naming.key(TOP[path[0]], path)
    stage, part = path[0].removeprefix('stage').split('_')
    if part == 'norm':
        return naming.key(f'features.transition{stage}.norm', path)
    if part == 'conv':
        return naming.key(f'features.transition{int(stage) - 1}.conv', path)
    return naming.key(f'features.denseblock{stage}.dense{part}.{path[1]}', path)


class DenseLayer(nn.Module):
    """The `growth` new channels of a layer: norm, ReLU and 1x1 convolution to `bottleneck` times as many, and 3x3."""

    growth: int
    bottleneck: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    relu: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = self.relu(self.norm(name='norm1')(x))
        y = self.conv(self.bottleneck * self.growth, 1, name='conv1')(y)
        y = self.relu(self.norm(name='norm2')(y))
        return self.conv(self.growth, 3, name='conv2')(y)


class DenseNet(nn.Module):
    """A stem, stages of layers that each add `growth` channels to all before, global average, linear head.

    Between two stages a 1x1 convolution halves the channels and an average the size. `out` has 'stem' (before the max
    pooling), 'stage1' .. 'stageN' [B,h,w,U], each after the norm and the ReLU that read what the stage has gathered (of
    torchvision's model `features.transitionN.relu`, and ReLU of `features.norm5`), and 'pooled' [B,U]. With the stem
    'imagenet' the maps of stage n are 1/2^(n+1) of the image; with 'small' 1/2^(n-1).

    `depths=(6, 12)` is the truncated form of the study: of an image of 224 pixels the last maps are 28 x 28.
    """

    torch_names: ClassVar[Mapping[str, naming.Name]] = {
        'torchvision': torchvision_name,
        'timm': torchvision_name,
        'radimagenet': naming.renamed(torchvision_name, {'features': 'backbone.0'}),
    }

    num_classes: int
    depths: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = 32
    width: int = 64
    bottleneck: int = 4
    stem: str = 'imagenet'
    norm: str = 'batch'
    dtype: str = 'float32'
    relu: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        out: dict[str, Array] = {}
        x, conv, norm = begin(self, image, train)
        x = stem(self, x, out, conv=conv, norm=norm)
        for number, depth in enumerate(self.depths, 1):
            stage = f'stage{number}'
            if number > 1:
                x = halved(conv(x.shape[-1] // 2, 1, name=f'{stage}_conv')(x))
            for n in range(depth):
                layer = DenseLayer(self.growth, self.bottleneck, conv, norm, self.relu, name=f'{stage}_layer{n + 1}')
                x = jnp.concatenate([x, layer(x)], axis=-1)
            x = self.relu(norm(name=f'{stage}_norm')(x))
            x = out[stage] = perturb(self, stage, x)
        return classify(self, x, out)
