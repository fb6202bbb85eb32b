"""A study before it is run: what each stage will need, from its config and, at most, the number of its images."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data import arrays, policies
from imbalance_jax.data.batches import augmentation
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.sources import nih_tables, phantom
from imbalance_jax.sweep import estimate
from imbalance_jax.training import build, needs
from imbalance_jax.training.autotune import GIB
from imbalance_jax.training.member import make_network_init
from imbalance_jax.training.needs import Devices, Need
from imbalance_jax.training.network import Network, links, load_dataset, make_model, network
from imbalance_jax.training.trained import SPLIT, Stage

# Of the data sets whose size is known (`sweep.estimate`): concepts, and how many of them are classes.
CONCEPTS = {
    'phantom': (phantom.CONCEPTS, len(phantom.CLASSES)),
    'nih_chest_xray14': (nih_tables.CLASSES, len(nih_tables.CLASSES)),
}
GREY = (0.5, 0.25)  # mean and deviation of images that nobody has seen


def describe(config: ConfigDict, stages: Mapping[str, Stage], memory: str) -> str:
    """What the config's study needs, as a table; memory: of the devices, as of `needs.devices_of`.

    Data sets whose size is known without them (`sweep.estimate`) are not loaded, any other is prepared if need be.
    Raises ValueError for a config that could not be trained, and for a memory that is none.
    """
    devices = needs.devices_of(memory)
    rows = build.make_members(config)
    counts = estimate.of_splits(config.to_dict())
    labels = {row.get('labels', policies.OWN) for row in rows}
    known = counts is not None and labels <= {policies.OWN, policies.PERMUTED}
    dataset = stand_in(config, [int(count) for count in counts or ()]) if known else load_dataset(config)
    untrained = stand_in_network(config, dataset) if known else network(config, dataset)
    population = needs.shapes_of(config, dataset, rows, untrained)
    experiment = build.build(config, dataset, rows, untrained=untrained)
    pairs = number_of_pairs(config, dataset)
    found = needs.of_study(config, experiment, population, stages=stages, devices=devices, pairs=pairs)
    return table(found, devices)


def stand_in(config: ConfigDict, counts: Sequence[int]) -> Dataset:
    """A data set of so many images in train, validation and test that takes no memory: all are black, with a tenth of
    the labels at random, and each is of a patient of its own."""
    number, size = sum(counts), config.data.image_size
    concepts, classes = CONCEPTS[config.data.name]
    labels = (np.random.default_rng(0).random((number, classes)) < 0.1).astype(np.uint8)
    nothing: dict[str, Any] = {
        'region_image': np.zeros(0, np.int32),
        'region_concept': np.zeros(0, np.int32),
        'region_box': np.zeros((0, 4), np.float32),
        'region_mask': np.zeros((0, size, -(-size // 8)), np.uint8),
    }
    return Dataset(
        images=np.broadcast_to(np.zeros((), np.uint8), (number, size, size, 1)),
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.repeat(np.arange(len(counts), dtype=np.uint8), counts),
        patient=np.arange(number),
        image_id=np.arange(number).astype(str),
        info={'name': config.data.name, 'classes': list(concepts[:classes]), 'concepts': list(concepts)},
        **nothing,
    )


def stand_in_network(config: ConfigDict, dataset: Dataset) -> Network:
    """The config's network, of images that nobody has seen."""
    shape, model = dataset.images.shape[1:], make_model(config, len(dataset.classes))
    init = make_network_init(model, shape, links=links(config))
    changed = augmentation(config.augment, '', shape[-1])
    return Network(model, partial(arrays.normalise, mean=GREY[0], std=GREY[1]), init, GREY, changed)


def number_of_pairs(config: ConfigDict, dataset: Dataset) -> int:
    """(Image, finding) pairs of the test split that have a region, as many as maps are made of."""
    tested = np.isin(dataset.region_image, dataset.rows(SPLIT)) & (dataset.region_concept < len(dataset.classes))
    found = len(np.unique(np.stack([dataset.region_image[tested], dataset.region_concept[tested]]), axis=1).T)
    found = found or estimate.BOXED.get(config.data.name, len(dataset.rows(SPLIT)))
    return min(found, config.attribution.max_pairs or found)


def table(found: Sequence[Need], devices: Devices) -> str:
    """What stages need, a line each, and whether it is there."""
    head = f'{"stage":<20}{"device GiB":>12}{"at least":>10}{"host GiB":>10}{"disk GiB":>10}{"programs":>10}  the most'
    lines = [
        f'{one.stage:<20}{one.device / GIB:>12.2f}{one.least / GIB:>10.2f}{one.host / GIB:>10.2f}'
        f'{one.disk / GIB:>10.2f}{one.programs:>10}  {one.most}'
        for one in found
    ]
    number = f'{devices.number} device{"s" * (devices.number > 1)}'
    disk = sum(one.disk for one in found) / GIB
    whole = f'{number} with {devices.bytes / GIB:.2f} GiB to give; {disk:.2f} GiB of disk, beside the data set.'
    lacking = [one for one in found if one.least > devices.bytes]
    said = [f'{one.stage} does not fit: {one.most} needs {one.least / GIB:.2f} GiB.' for one in lacking]
    return '\n'.join([head, *lines, whole, *(said or ['All stages fit.'])])
