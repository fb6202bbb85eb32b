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
    """The data set config.data.NAME, by default the one that is trained on, prepared first if it is not there yet.

    The training split of that one is thinned as the config says.
    """
    chosen = name or config.data.name
    block = config.data.to_dict().get(chosen, {})
    if not isinstance(block, dict):
        raise ValueError(
            f'config.data.name is {chosen!r}, and config.data.{chosen} is {block!r}, no block of options; give your '
            "data set a name of its own: config.data.mine = {'reader': 'folder', 'path': 'my_folder', ...}."
        )
    with progress.show(f'prepare {chosen}') as update:
        options = {**block, 'image_size': config.data.image_size}
        dataset = sources.load(chosen, Path(config.data.folder), options, update)
    return thinning.thin(dataset, config.data.imbalance, config.data.imbalance_seed)


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
