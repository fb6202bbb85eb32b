"""Residual networks (He et al. 2016, arXiv 1512.03385) with torchvision's structure, strides and padding."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import flax.linen as nn
from jax import Array

from imbalance_jax.models import naming
from imbalance_jax.models.layers import classify, perturb
from imbalance_jax.models.stems import begin, stem


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, as in ResNet-18 and -34."""

    width: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    relu: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = self.conv(self.width, 3, self.stride, name='conv1')(x)
        y = self.relu(self.norm(name='norm1')(y))
        y = self.conv(self.width, 3, name='conv2')(y)
        y = self.norm(name='norm2')(y)
        return self.relu(y + shortcut(self, x, self.width))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, as in ResNet-50; the 3x3 has the stride (torchvision's v1.5)."""

    width: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    relu: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = self.conv(self.width, 1, name='conv1')(x)
        y = self.relu(self.norm(name='norm1')(y))
        y = self.conv(self.width, 3, self.stride, name='conv2')(y)
        y = self.relu(self.norm(name='norm2')(y))
        y = self.conv(4 * self.width, 1, name='conv3')(y)
        y = self.norm(name='norm3')(y)
        return self.relu(y + shortcut(self, x, 4 * self.width))


def shortcut(block: nn.Module, x: Array, features: int) -> Array:
    """x itself, or its 1x1 projection where the block changes the size or the number of channels."""
    if block.stride == 1 and x.shape[-1] == features:
        return x
    x = block.conv(features, 1, block.stride, name='shortcut_conv')(x)
    return block.norm(name='shortcut_norm')(x)


TOP = {'stem_conv': 'conv1', 'stem_norm': 'bn1', 'head': 'fc'}
SHORTCUT = {'shortcut_conv': 'downsample.0', 'shortcut_norm': 'downsample.1'}
INSIDE = {'norm1': 'bn1', 'norm2': 'bn2', 'norm3': 'bn3', **SHORTCUT}
# RadImageNet's files hold an `nn.Sequential` of torchvision's modules before the head, counted from 0.
COUNTED = {'conv1': 0, 'bn1': 1, 'layer1': 4, 'layer2': 5, 'layer3': 6, 'layer4': 7}


def torchvision_name(path: naming.Path) -> str:
    """'layer2.0.conv1.weight' of ('stage2_block1', 'conv1', 'kernel'); timm's names are the same."""
    if path[0] in TOP:
        return naming.key(TOP[path[0]], path)
    stage, block = path[0].removeprefix('stage').split('_block')
    return naming.key(f'layer{stage}.{int(block) - 1}.{INSIDE.get(path[1], path[1])}', path)


class ResNet(nn.Module):
    """A stem, four stages of residual blocks that double the width and halve the size, global average, linear head.

    `out` has 'stem' (before the max pooling), 'stage1' .. 'stage4' [B,h,w,U], all after the ReLU, and 'pooled' [B,U].
    The stem 'imagenet' makes the last maps 1/32 of the image; 'small', for images of up to 64 pixels, 1/8.
    """

    torch_names: ClassVar[Mapping[str, naming.Name]] = {
        'torchvision': torchvision_name,
        'timm': torchvision_name,
        'radimagenet': naming.renamed(torchvision_name, {name: f'backbone.{n}' for name, n in COUNTED.items()}),
    }

    num_classes: int
    block: Callable[..., nn.Module]
    depths: tuple[int, ...]
    width: int = 64
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
            for n in range(depth):
                stride = 2 if number > 1 and n == 0 else 1
                width = self.width * 2 ** (number - 1)
                x = self.block(width, stride, conv, norm, self.relu, name=f'{stage}_block{n + 1}')(x)
            x = out[stage] = perturb(self, stage, x)
        return classify(self, x, out)
