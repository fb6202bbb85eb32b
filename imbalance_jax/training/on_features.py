"""The experiment of a population of heads: that of `build`, with features in the place of images."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.training import features, heads, start
from imbalance_jax.training.build import build
from imbalance_jax.training.members import backbones
from imbalance_jax.training.network import Network
from imbalance_jax.training.program import Experiment


def build_heads(config: ConfigDict, dataset: Dataset, members: list[dict], *, untrained: Network) -> Experiment:
    """`build.build` of the heads, on features that are yet to be put in (`with_features`)."""
    several = len(backbones(members)[0])
    shape = (several,) * (several > 1) + (features.width(untrained, dataset.images.shape[1:]),)
    blank = np.broadcast_to(np.float32(0), (len(dataset.images), *shape))
    network = heads.heads_of(untrained, members, len(dataset.classes))
    experiment = build(config, dataclasses.replace(dataset, images=blank), members, untrained=network)
    kept = {name: start.Start(one.facts, _head_of(one.variables)) for name, one in untrained.starts.items()}

    def begin(state: Any, rows: list[dict]) -> Any:
        return start.begin_state(state, rows, kept, {}) if kept else state

    per_epoch = max(config.train.steps_per_dispatch, experiment.steps_per_epoch)  # which takes no longer than one step
    return experiment._replace(begin=begin, steps_per_dispatch=per_epoch)


def _head_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {'params': {name: one for name, one in variables['params'].items() if name == 'head'}, 'batch_stats': {}}


def with_features(
    experiment: Experiment,
    config: ConfigDict,
    dataset: Dataset,
    *,
    untrained: Network,
    workdir: Path,
) -> tuple[Experiment, Dataset, dict[str, Any]]:
    """The experiment and the data set with features in the place of images, and what is told of these.

    The networks that they come from are kept in `workdir`, each once.
    """
    size = config.evaluate.batch_size
    heads.keep_backbones(workdir, untrained, experiment.members)
    array, facts = features.load(Path(config.data.folder), untrained, experiment.members, dataset, batch_size=size)
    seen = dataclasses.replace(dataset, images=array)
    train, validation = seen.images_of('train'), seen.images_of('validation')
    filled = experiment._replace(
        train=experiment.train._replace(images=train), validation=experiment.validation._replace(images=validation)
    )
    return filled, seen, {**facts, 'augmentation': 'none'}
