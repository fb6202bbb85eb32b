"""A small plain CNN, cheap enough to train by the dozen on two CPU cores."""

from collections.abc import Callable

import flax.linen as nn
from jax import Array

from imbalance_jax.models.layers import classify, perturb
from imbalance_jax.models.pooling import max_pool
from imbalance_jax.models.stems import begin


class CNN(nn.Module):
    """One 3x3 convolution, normalisation and ReLU per stage, global average, linear head.

    The first convolution has a stride of `stem_stride`, and max pooling halves the maps after each of the first `pools`
    stages but the last. `out` has 'stage1' .. 'stageN' [B,h,w,U] after the ReLU and before the pooling, and 'pooled'
    [B,U]. At 64 pixels the last maps are 16 x 16, for 10.0 M multiply-adds per image (three times that in
    training); with `stem_stride=2` they have 8, for 2.5 M, and a field of view of 33 pixels in place of 18.
    """

    num_classes: int
    widths: tuple[int, ...] = (16, 32, 64)
    stem_stride: int = 1
    pools: int = 2
    norm: str = 'batch'
    dtype: str = 'float32'
    relu: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(self, image: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        if self.pools > max(CNN.pools, len(self.widths) - 1):
            most = len(self.widths) - 1
            raise ValueError(
                f'pools of the model cnn is {self.pools}; {len(self.widths)} stages have {most} between them.'
            )
        x, conv, norm = begin(self, image, train)
        out: dict[str, Array] = {}
        for number, width in enumerate(self.widths, 1):
            stage = f'stage{number}'
            x = max_pool(x) if 1 < number <= self.pools + 1 else x
            x = conv(width, stride=self.stem_stride if number == 1 else 1, name=f'{stage}_conv')(x)
            x = self.relu(norm(name=f'{stage}_norm')(x))
            x = out[stage] = perturb(self, stage, x)
        return classify(self, x, out)
