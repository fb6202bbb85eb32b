"""What training and explaining have in common: the config's model, how images reach it, and where it starts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from imbalance_jax import models
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.training.member import make_network_init
from imbalance_jax.training.members import Member


class Network(NamedTuple):
    """A model that is not trained yet.

    model: `model.apply(variables, images) -> logits [B,K], out`; normalise: images [...,H,W,C] uint8 -> float32 with
    the training split's mean 0 and standard deviation 1; init: (the arrays of one member) -> its variables before
    training, of which equal seeds have equal weights.
    """

    model: nn.Module
    normalise: Callable[[jax.Array], jax.Array]
    init: Callable[[Member], dict[str, Any]]


def network(config: ConfigDict, dataset: Dataset) -> Network:
    """The network that a config trains on a data set; ValueError for an unknown model or option."""
    images = dataset.images[dataset.rows('train')]
    model = make_model(config, len(dataset.classes))
    mean, std = data_arrays.grey_statistics(images)
    linked = any(arm.get('head', 'linear') != 'linear' for arm in config.arms.values())
    init = make_network_init(model, images.shape[1:], linked=linked)
    return Network(model, partial(data_arrays.normalise, mean=mean, std=std), init)


def make_model(config: ConfigDict, num_classes: int) -> nn.Module:
    """The config's model."""
    return models.make(config.model.name, num_classes, **config.model.get(config.model.name, {}))
