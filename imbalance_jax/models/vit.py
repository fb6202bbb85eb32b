"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929) with the structure and the names of timm."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from imbalance_jax.models import naming
from imbalance_jax.models.convnext import gelu, layer_norm
from imbalance_jax.models.layers import DTYPES, Conv, classify, enter, perturb
from imbalance_jax.names import lookup

TOP = {'stem_conv': 'patch_embed.proj', 'stage4_norm': 'norm', 'head': 'head'}
TOKENS = {'class_token': 'cls_token', 'position': 'pos_embed'}
INSIDE = {'qkv': 'attn.qkv', 'mix': 'attn.proj', 'expand': 'mlp.fc1', 'project': 'mlp.fc2'}
START = nn.initializers.truncated_normal(0.02)


def timm_name(path: naming.Path) -> str:
    """'blocks.3.attn.qkv.weight' of ('stage2_block4', 'qkv', 'kernel'): blocks are counted through, from 1."""
    if path[0] in TOKENS:
        return TOKENS[path[0]]
    if path[0] in TOP:
        return naming.key(TOP[path[0]], path)
    number = int(path[0].partition('_block')[2]) - 1
    return naming.key(f'blocks.{number}.{INSIDE.get(path[1], path[1])}', path)


class Block(nn.Module):
    """x [B,T,U] plus attention between its tokens, plus four times the channels, GELU, and back, each after a norm."""

    heads: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width, dense = x.shape[-1], partial(nn.Dense, kernel_init=START, dtype=self.dtype)
        y = dense(3 * width, name='qkv')(layer_norm('norm1', self.dtype)(x))
        query, key, value = jnp.moveaxis(y.reshape(*x.shape[:2], 3, self.heads, width // self.heads), 2, 0)
        y = jax.nn.dot_product_attention(query, key, value, implementation='xla')
        x = x + dense(width, name='mix')(y.reshape(x.shape))
        y = gelu(dense(4 * width, name='expand')(layer_norm('norm2', self.dtype)(x)))
        return x + dense(width, name='project')(y)


class ViT(nn.Module):
    """Patches as tokens beside a class token, `depth` blocks, layer norm, and a linear head on the class token.

    `out` has 'stem', the patches with their positions, and 'stage1' .. 'stage4': the patches' tokens as a grid
    [B,h,w,U] after each quarter of the blocks, the class token beside them, and the last grid one block earlier. For
    what the last block makes of the patches is read by nobody, and every gradient there is 0: stage 4 is the input of
    the last attention, which is where class activation maps of these networks are taken. 'pooled' [B,U] is the class
    token after the norm. Training computes what evaluation does; there is no dropout.

    `grid` x `grid` positions are learned, 14 x 14 for images of 224 pixels; for other sizes they are interpolated, as
    timm does it. An image that is no multiple of `patch` is refused.
    """

    torch_names: ClassVar[Mapping[str, naming.Name]] = {'timm': timm_name}

    num_classes: int
    width: int = 192
    depth: int = 12
    heads: int = 3
    patch: int = 16
    grid: int = 14
    dtype: str = 'float32'

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        dtype = lookup(DTYPES, self.dtype, 'dtype')
        x = enter(image, dtype)
        self._check(image.shape)
        x = Conv(self.width, self.patch, self.patch, use_bias=True, dtype=dtype, padding=0, name='stem_conv')(x)
        first = self.param('class_token', nn.initializers.normal(1e-6), (1, 1, self.width))
        position = self.param('position', START, (1, 1 + self.grid**2, self.width))
        x = x + resampled(position[:, 1:], self.grid, (x.shape[1], x.shape[2])).astype(dtype)
        first = jnp.broadcast_to((first + position[:, :1]).astype(dtype), (len(x), 1, self.width))
        out = {}
        x = out['stem'] = perturb(self, 'stem', x)
        shape, tokens = x.shape, jnp.concatenate([first, x.reshape(len(x), -1, self.width)], axis=1)
        ends = stage_ends(self.depth)
        for number in range(1, self.depth + 1):
            stage = f'stage{min(sum(end < number for end in ends) + 1, len(ends))}'
            tokens = Block(self.heads, dtype, name=f'{stage}_block{number}')(tokens)
            if number in ends:
                x = out[stage] = perturb(self, stage, tokens[:, 1:].reshape(shape))
                tokens = jnp.concatenate([tokens[:, :1], x.reshape(len(x), -1, self.width)], axis=1)
        return classify(self, layer_norm('stage4_norm', dtype)(tokens[:, 0]), out)

    def _check(self, shape: tuple[int, ...]) -> None:
        """ValueError for a size that has no whole number of patches, or options that do not go together."""
        if self.width % self.heads or self.depth < 5:
            sizes = f'width {self.width}, heads {self.heads} and depth {self.depth}'
            raise ValueError(f'A ViT has a width that its heads divide and at least 5 blocks, not {sizes}.')
        if any(size % self.patch for size in shape[1:3]):
            raise ValueError(f'An image of {shape[1]} x {shape[2]} has no whole number of {self.patch}-pixel patches.')


def stage_ends(depth: int) -> tuple[int, ...]:
    """The numbers of the blocks, from 1, whose grids are 'stage1' .. 'stage4': quarters, and the last but one block."""
    return (*(round(depth * quarter / 4) for quarter in (1, 2, 3)), depth - 1)


def resampled(position: Array, grid: int, size: tuple[int, ...]) -> Array:
    """Positions [1, grid * grid, U] as [1,h,w,U] of another size, bicubic and without aliasing, as timm has it."""
    square = position.reshape(1, grid, grid, position.shape[-1])
    return square if size == (grid, grid) else jax.image.resize(square, (1, *size, square.shape[-1]), 'bicubic')
