"""Data sets by name. One is a `make(image_size=..., **options) -> Dataset` and one line here."""

import dataclasses
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from imbalance_jax.datasets import nih_chest_xray14, phantom, store
from imbalance_jax.datasets.store import SPLITS, Dataset
from imbalance_jax.names import lookup

__all__ = ['DATASETS', 'SPLITS', 'Dataset', 'Source', 'load']
log = logging.getLogger(__name__)


class Source(NamedTuple):
    """make: options -> Dataset. inputs: options -> what the result depends on besides them, as JSON; files, say."""

    make: Callable[..., Dataset]
    inputs: Callable[..., dict] = lambda **options: {}


DATASETS = {
    'phantom': Source(phantom.make),
    'nih_chest_xray14': Source(nih_chest_xray14.make, nih_chest_xray14.inputs),
}


def load(name: str, folder: Path, options: dict, progress: Callable | None = None) -> Dataset:
    """The data set of that name and options: read from `folder`, or made and kept there if it is not there or damaged.

    `progress(done, total)` is called while it is made. Raises ValueError for an unknown name or option, and whatever
    the data set's own `make` says of its input.
    """
    source = lookup(DATASETS, name, 'data set')
    known = inspect.signature(source.make).parameters
    for option in options:
        lookup(known, option, f'option of data set {name}, config.data.{name}.')
    fingerprint = store.fingerprint({'name': name, **options, **source.inputs(**options)})
    place = Path(folder) / name / fingerprint
    try:
        return store.load(place)
    except FileNotFoundError:
        pass
    except ValueError as error:
        log.warning('%s It is made again.', error)
    intermediate = {'tfds_dir': Path(folder) / 'tfds'} if 'tfds_dir' in known else {}
    dataset = source.make(**options, **intermediate, progress=progress)
    dataset = dataclasses.replace(dataset, info={**dataset.info, 'fingerprint': fingerprint})
    store.save(dataset, place)
    return dataset
