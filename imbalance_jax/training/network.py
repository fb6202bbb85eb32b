"""What training and explaining have in common: the config's data set, its model, and how images reach it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imbalance_jax import models
from imbalance_jax.data import arrays, sources, thinning
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.system import progress
from imbalance_jax.training.member import make_network_init
from imbalance_jax.training.members import Member


def load_dataset(config: ConfigDict, name: str = '') -> Dataset:
    """The config's data set, prepared first if it is not there yet, its training split thinned as the config says.

    With a name: that data set of the config, as it is.
    """
    own = not name or name == config.data.name
    name = name or config.data.name
    options = {**config.data.get(name, {}), 'image_size': config.data.image_size}
    with progress.show(f'prepare {name}') as update:
        dataset = sources.load(name, Path(config.data.folder), options, update)
    return dataset if not own else thinning.thin(dataset, config.data.imbalance, config.data.imbalance_seed)


class Network(NamedTuple):
    """A model that is not trained yet.

    model: `model.apply(variables, images) -> logits [B,K], out`; normalise: images [...,H,W,C] uint8 -> float32 with
    the training split's mean 0 and standard deviation 1; init: (the arrays of one member) -> its variables before
    training, of which equal seeds have equal weights; grey: that mean and standard deviation of the training split, of
    grey values in 0..1.
    """

    model: nn.Module
    normalise: Callable[[jax.Array], jax.Array]
    init: Callable[[Member], dict[str, Any]]
    grey: tuple[float, float] = (0.0, 1.0)


def network(config: ConfigDict, dataset: Dataset) -> Network:
    """The network that a config trains on a data set; ValueError for an unknown model or option."""
    images = dataset.images[dataset.rows('train')]
    model = make_model(config, len(dataset.classes))
    mean, std = arrays.grey_statistics(images)
    linked = any(arm.get('head', 'linear') != 'linear' for arm in config.arms.values())
    init = make_network_init(model, images.shape[1:], linked=linked)
    return Network(model, partial(arrays.normalise, mean=mean, std=std), init, (mean, std))


def make_model(config: ConfigDict, num_classes: int) -> nn.Module:
    """The config's model."""
    return models.make(config.model.name, num_classes, **config.model.get(config.model.name, {}))


def abstract_variables(model: nn.Module, image_shape: tuple[int, int, int]) -> Any:
    """The shapes of a model's variables; nothing is computed."""
    image = jnp.zeros((1, *image_shape))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
