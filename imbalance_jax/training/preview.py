"""What a config alone shows to be wrong, said before there are data: for a plan, whose jobs begin hours later."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data import label_map, policies, samplers, sources, tasks, thinning
from imbalance_jax.training import arm_losses, build, checks, heads, other_sets, start_files
from imbalance_jax.training.member import make_network_init
from imbalance_jax.training.network import Network, links, make_model
from imbalance_jax.training.trained import Stage

TASKS = {'folder': tasks.MULTI_LABEL, 'phantom': tasks.MULTI_LABEL}  # of sources, if `task` says no other
LABELS_ONLY = ('phantom', 'medmnist')  # sources whose cells say nothing but a label
CLASSES = 2  # of the network that stands for the one that the data will want
MANY = 2**31  # test images: a share of them is too small only if it is of any number


def check(config: ConfigDict, stages: Mapping[str, Stage] = MappingProxyType({})) -> None:
    """Raises ValueError for what `run.run` would refuse whatever the data are: fields, arms, losses and samplers with
    their options, the data set's own options, the model, and what `explain` will ask. Nothing is compiled."""
    checks.check_config(config)
    rows = build.make_members(config)
    for row in rows:
        _check_row(row)
    block = config.data.to_dict().get(config.data.name, {})
    if isinstance(block, dict):
        _check_labels(config, rows, block.get(sources.READER, config.data.name))
        classes = _classes(config, config.data.name)
        if classes:
            thinning.check_names(config.data.imbalance, classes)
        for name in (other_sets.entry(text)[0] for text in config.data.test_on):
            _check_other(config, name, classes)
        of_source = block.get('task') or TASKS.get(block.get(sources.READER, config.data.name), '')
        if task := config.data.get('task', '') or of_source:
            checks.check_links(config, task)
    heads.check(config, rows)
    start_files.check(config, rows)
    _check_model(config, stages)


def _check_labels(config: ConfigDict, rows: Sequence[dict], reader: str) -> None:
    """ValueError for a label policy of a set that has labels only."""
    if reader not in LABELS_ONLY:
        return
    asked = {'config.data.labels': config.data.labels}
    asked |= {f'config.arms.{row["arm"]}.labels': row.get('labels', policies.OWN) for row in rows}
    for where, name in asked.items():
        if name not in (policies.OWN, policies.PERMUTED):
            raise ValueError(f'{where} is {name!r}: {policies.LABELS_ALONE.format(reader)}')


def _classes(config: ConfigDict, name: str) -> Sequence[str]:
    """The classes that a data set of the config will have, () if nobody knows yet; ValueError for its options."""
    return sources.check(name, {**_block(config, name), 'image_size': config.data.image_size})


def _block(config: ConfigDict, name: str) -> dict:
    block = config.data.to_dict().get(name, {})
    return block if isinstance(block, dict) else {}


def _check_other(config: ConfigDict, name: str, classes: Sequence[str]) -> None:
    """ValueError for the options of a data set that is tested on, or for what its classes are said to be called; of
    sets with regions concepts may be meant, too, which nobody knows yet."""
    theirs, own = _classes(config, name), config.data.label_maps.to_dict().get(name, {})
    with_regions = any('regions' in _block(config, one) for one in (name, config.data.name))
    if classes and theirs and own and not with_regions:
        label_map.match(classes, classes, theirs, own=own, where=f'data.label_maps.{name}')


def _check_row(row: dict) -> None:
    """A row of members.json: its loss and sampler, with few classes and examples; a user's own may want more."""
    counts, options = np.full(CLASSES, 10.0), row.get('sampler_options', {})
    try:
        arm_losses.build_loss(row, counts, counts, head=bool(row.get('head_loss')))
        samplers.make(row['sampler'], **options)(np.eye(CLASSES, dtype=np.float32), 0.0)
    except (IndexError, ValueError) as error:
        if not isinstance(error.__cause__ or error, IndexError):
            raise


class Checker:
    """`check` of many configs, of which those that differ by their seeds alone are looked at once."""

    def __init__(self, stages: Mapping[str, Stage]) -> None:
        self.stages = stages
        self.seen: set[str] = set()

    def __call__(self, config: ConfigDict) -> None:
        plain = {name: value for name, value in config.to_dict().items() if name not in ('seeds', 'question')}
        text = json.dumps(plain, sort_keys=True, default=str)
        if text not in self.seen:
            check(config, self.stages)
            self.seen.add(text)


def _check_model(config: ConfigDict, stages: Mapping[str, Stage]) -> None:
    """The model and the stages' own checks, with images of one channel."""
    size = config.data.image_size
    image_shape = (size, size, 1)
    model = make_model(config, CLASSES)
    untrained = Network(model, lambda images: images, make_network_init(model, image_shape, links=links(config)))
    checks.check_questions(config, untrained, image_shape, MANY, stages=stages, num_classes=CLASSES)
