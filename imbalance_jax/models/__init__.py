"""Models by name: `logits, out = model.apply(variables, image)`, with `out` a flat dict of named activations."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import numpy as np

from imbalance_jax.models.cnn import CNN
from imbalance_jax.models.contract import check
from imbalance_jax.models.convnext import ConvNeXt
from imbalance_jax.models.densenet import DenseNet
from imbalance_jax.models.mobilenet import MobileNetV2
from imbalance_jax.models.resnet import BasicBlock, Bottleneck, ResNet
from imbalance_jax.models.vit import ViT
from imbalance_jax.names import lookup, options_of

__all__ = ['MODELS', 'NOT_OPTIONS', 'check', 'make']

MODELS: dict[str, Callable[..., nn.Module]] = {
    'cnn': CNN,
    'resnet18': partial(ResNet, block=BasicBlock, depths=(2, 2, 2, 2)),
    'resnet34': partial(ResNet, block=BasicBlock, depths=(3, 4, 6, 3)),
    'resnet50': partial(ResNet, block=Bottleneck, depths=(3, 4, 6, 3)),
    'densenet121': DenseNet,
    'densenet121_truncated': partial(DenseNet, depths=(6, 12)),
    'mobilenet_v2': MobileNetV2,
    'convnext_tiny': ConvNeXt,
    'convnext_nano': partial(ConvNeXt, depths=(2, 2, 8, 2), width=80, convolutional=True),
    'vit_tiny': ViT,
}
NOT_OPTIONS = ('parent', 'name')  # what Flax adds to the signature of every module


def make(name: str, num_classes: int, **options: Any) -> nn.Module:
    """The model `name` with K = `num_classes` outputs; `check` says whether a model keeps this contract:

    * `model.init(key, image, mutable=['params', 'batch_stats'])` gives the variables; no 'batch_stats' is fine.
    * `logits, out = model.apply(variables, image [B,H,W,C] float32, train=False)`: logits [B,K], and `out` a flat dict
      of named activations: maps [B,h,w,U] from front to back, the last of which is explained unless another is named,
      and 'pooled' [B,U]. With `train=True` and `mutable=['batch_stats']` the statistics are updated.
    * `params['head']` is the last layer, of out['pooled']: 'kernel' [U,K] and 'bias' [K].
    * Every activation of `out` goes through `layers.perturb`, so that the gradient of a score with respect to zeros
      given as `variables['perturbations'][layer]` is the score's gradient at that layer; any number may be given.

    The models here have the options `norm` ('batch' or 'group'), `dtype` of computation ('float32' or 'bfloat16') and
    `relu` (a function). Raises ValueError for an unknown name or option.
    """
    model = lookup(MODELS, name, 'model')
    known = options_of(model, skip=NOT_OPTIONS)
    if num_classes < 1:
        raise ValueError(f'num_classes must be at least 1, not {num_classes}.')
    for option in options:
        lookup(known, option, f'option of model {name!r}:')
    for option in ('widths', 'width', 'stem_stride', 'growth', 'bottleneck'):
        if option in options and not np.all(np.asarray(options[option]) >= 1):
            raise ValueError(f'Option {option} of model {name!r} is {options[option]!r}; it must be 1 or more.')
    try:
        inspect.signature(model).bind(num_classes, **options)
    except TypeError as error:
        called = 'it is called with the number of classes, and with its options by their names'
        raise ValueError(f'Model {name!r}: {error}; {called}.') from error
    # A list, as of a config that was kept as JSON, makes a model without a hash, which is checked time and again.
    return model(num_classes, **{name: tuple(of) if isinstance(of, list) else of for name, of in options.items()})
