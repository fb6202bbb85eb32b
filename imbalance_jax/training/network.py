"""What training and explaining have in common: the config's data set, its model, and how images reach it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imbalance_jax import models
from imbalance_jax.config.fields import OF_THE_MACHINE
from imbalance_jax.data import arrays, policies, sources, tasks, thinning
from imbalance_jax.data.batches import Augmentation, augmentation
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.losses import SOFTMAX
from imbalance_jax.models.odds import LINK, AgainstOthers
from imbalance_jax.system import progress
from imbalance_jax.training import start
from imbalance_jax.training.member import State, make_network_init
from imbalance_jax.training.members import Member, link_of_member

RECOMPUTE, CACHED = 'recompute', 'cached'  # config.train.features


def load_dataset(config: ConfigDict, name: str = '', *, again: bool = False) -> Dataset:
    """The data set config.data.NAME, by default the one that is trained on, prepared first if it is not there yet.

    The one that is trained on is of `config.data.task`, and its training split is thinned as the config says. Labels
    are those that everything is judged by; another set that has no cells to choose from keeps its own. again: it is
    prepared in any case.
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
        dataset = sources.load(chosen, Path(config.data.folder), options, update, again=again)
    own = chosen == config.data.name
    if own or dataset.cells is not None:
        dataset = policies.relabelled(dataset, config.data.labels, config.data.policies.to_dict())
    if not own:
        return dataset
    dataset = tasks.with_task(dataset, config.data.get('task', ''))
    return thinning.thin(dataset, config.data.imbalance, config.data.imbalance_seed)


def machine_fields(config: ConfigDict) -> tuple[str, ...]:
    """The fields of a config that say how and where a population is run, not what it is: they may differ where it goes
    on. Whether data that lie elsewhere are the same, their content says (`check_same_data`)."""
    name, block = config.data.name, config.data.to_dict().get(config.data.name, {})
    paths = sources.path_options(name, block) if isinstance(block, dict) else ()
    return (*OF_THE_MACHINE, *(f'data.{name}.{option}' for option in paths))


class Network(NamedTuple):
    """A model that is not trained yet.

    model: `model.apply(variables, images) -> logits [B,K], out`, but in training the logits of a class against all
    others where a member's loss has a softmax; normalise: images [...,H,W,C] uint8 -> float32 with the training split's
    mean 0 and standard deviation 1 in each channel; init: (the arrays of one member) -> its variables before training,
    of which equal seeds have equal weights; grey: that mean and standard deviation of the training split, in 0..1: two
    numbers, or two arrays [C] of more than one channel; augmentation: how training images are changed; starts: the
    weights that members begin with. Where there are any, the model takes images by way of `models.entrance`, and what
    `init` gives is what `begin` has yet to put them into. on_features: it is a head, and features of images take their
    place (`features`).
    """

    model: nn.Module
    normalise: Callable[[jax.Array], jax.Array]
    init: Callable[[Member], dict[str, Any]]
    grey: tuple[Any, Any] = (0.0, 1.0)
    augmentation: Augmentation = Augmentation()
    starts: start.Starts = MappingProxyType({})
    on_features: bool = False

    def links(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What each of `rows` of members.json [Q] has of its own in the collection 'link', NumPy arrays [Q,...]."""
        return start.links_of(rows, self.starts, self.grey)

    def begin_state(self, state: State, rows: Sequence[Mapping[str, Any]]) -> State:
        """The states [Q,...] that training begins with, of those drawn by their seeds, on the host."""
        if not self.starts:
            return state
        return start.begin_state(state, rows, self.starts, self.links(rows))


def network(config: ConfigDict, dataset: Dataset, starts: start.Starts = MappingProxyType({})) -> Network:
    """The network that a config trains on a data set; ValueError for an unknown model or option.

    starts: the weights that its members begin with, if any.
    """
    images = dataset.images_of('train')
    model = make_model(config, len(dataset.classes))
    mean, std = arrays.grey_statistics(images)
    used = links(config)
    model = start.entered(model, starts, images.shape[-1])
    init = start.with_links(make_network_init(model, images.shape[1:], links=used), starts, (mean, std))
    answering: Any = AgainstOthers(model) if LINK in used else model
    cached = config.train.get('features', RECOMPUTE) == CACHED  # of images as they are
    setting = {} if cached else config.augment
    changed = augmentation(setting, dataset.info.get('modality', ''), images.shape[-1])
    return Network(answering, partial(arrays.normalise, mean=mean, std=std), init, (mean, std), changed, starts)


def links(config: ConfigDict) -> list[str]:
    """Of the fields 'cosine' and 'softmax' of a member those that tell any of the config's arms from the usual."""
    arms = [{'loss': name, **arm} for name, arm in config.arms.items()]
    cosine = any(arm.get('head', 'linear') != 'linear' for arm in arms)
    softmax = any(link_of_member(arm) == SOFTMAX for arm in arms)
    return [name for name, used in (('cosine', cosine), (LINK, softmax)) if used]


def make_model(config: ConfigDict, num_classes: int) -> nn.Module:
    """The config's model."""
    return models.make(config.model.name, num_classes, **config.model.get(config.model.name, {}))


def abstract_variables(model: nn.Module, image_shape: tuple[int, int, int]) -> Any:
    """The shapes of a model's variables; nothing is computed."""
    image = jnp.zeros((1, *image_shape))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
