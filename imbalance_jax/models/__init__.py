"""Models by name: `logits, out = model.apply(variables, image)`, with `out` a flat dict of named activations."""

import inspect
from functools import partial

import flax.linen as nn
import numpy as np

from imbalance_jax.models.cnn import CNN
from imbalance_jax.models.resnet import BasicBlock, Bottleneck, ResNet
from imbalance_jax.names import lookup

MODELS = {
    'cnn': CNN,
    'resnet18': partial(ResNet, block=BasicBlock, depths=(2, 2, 2, 2)),
    'resnet34': partial(ResNet, block=BasicBlock, depths=(3, 4, 6, 3)),
    'resnet50': partial(ResNet, block=Bottleneck, depths=(3, 4, 6, 3)),
}


def make(name: str, num_classes: int, **options) -> nn.Module:
    """The model `name` with K = `num_classes` outputs.

    `model.init(key, image, mutable=['params', 'batch_stats'])` gives the variables (no 'batch_stats' with group
    normalisation), `model.apply(variables, image [B,H,W,C] float, train=False)` the logits [B,K] and `out`.
    The gradient of a score with respect to zeros given as `variables['perturbations'][layer]`, shaped like
    `out[layer]`, is the score's gradient at that layer; any number of layers may be given.
    Every model has the options `norm` ('batch' or 'group'), `dtype` of computation ('float32' or 'bfloat16') and `relu`
    (a function, for attribution by guided ReLUs). Raises ValueError for an unknown name or option.
    """
    model = lookup(MODELS, name, 'model')
    fixed = ('num_classes', 'block', 'depths', 'parent', 'name')
    known = {option: p for option, p in inspect.signature(model).parameters.items() if option not in fixed}
    for option in options:
        lookup(known, option, f'option of model {name!r}:')
    for option in ('widths', 'width', 'stem_stride'):
        if option in options and not np.all(np.asarray(options[option]) >= 1):
            raise ValueError(f'Option {option} of model {name!r} is {options[option]!r}; it must be 1 or more.')
    return model(num_classes, **options)
