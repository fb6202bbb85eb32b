"""Data sets by name. One is a `make(image_size=..., **options) -> Dataset` and one line here."""

import dataclasses
import inspect
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from imbalance_jax.data import dataset as store
from imbalance_jax.data import soundness
from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.data.sources import nih_chest_xray14, phantom
from imbalance_jax.names import lookup
from imbalance_jax.system import locks

__all__ = ['DATASETS', 'SPLITS', 'Dataset', 'Source', 'load']
log = logging.getLogger(__name__)


class Source(NamedTuple):
    """make: options -> Dataset. inputs: options -> what the result depends on besides them, as JSON; files, say.

    leftovers: options -> folders that a `make` of the same options has left if it was killed, and that no other uses.
    """

    make: Callable[..., Dataset]
    inputs: Callable[..., dict] = lambda **options: {}
    leftovers: Callable[..., list[Path]] = lambda **options: []


DATASETS = {
    'phantom': Source(phantom.make),
    'nih_chest_xray14': Source(nih_chest_xray14.make, nih_chest_xray14.inputs, nih_chest_xray14.leftovers),
}


def load(name: str, folder: Path, options: dict, progress: Callable | None = None) -> Dataset:
    """The data set of that name and options: read from `folder`, or made and kept there if it is not there or damaged.

    `progress(done, total)` is called while it is made. Of several processes one makes it, and the others wait; what a
    killed one left is removed. Raises ValueError for an unknown name or option, and whatever
    the data set's own `make`, and `soundness.check`, say of its input.
    """
    source = lookup(DATASETS, name, 'data set')
    known = inspect.signature(source.make).parameters
    for option in options:
        lookup(known, option, f'option of data set {name}, config.data.{name}.')
    fingerprint = store.fingerprint({'name': name, **options, **source.inputs(**options)})
    place = Path(folder) / name / fingerprint
    if dataset := _kept(place):
        return dataset
    intermediate = {'tfds_dir': Path(folder) / 'tfds'} if 'tfds_dir' in known else {}
    with locks.wait(place.with_name(f'{fingerprint}.lock'), str(place)):
        if dataset := _kept(place):  # by the process that had its turn before
            return dataset
        for left in (*store.leftovers(place), *source.leftovers(**options, **intermediate)):
            shutil.rmtree(left, ignore_errors=True)
        shown = {'progress': progress} if 'progress' in known else {}
        dataset = source.make(**options, **intermediate, **shown)
        soundness.check(dataset)
        dataset = soundness.leave_out_twins(dataset)
        dataset = dataclasses.replace(dataset, info={**dataset.info, 'fingerprint': fingerprint})
        store.save(dataset, place)
    return dataset


def _kept(place: Path) -> Dataset | None:
    """What was prepared before, None if it was not, or if it is damaged."""
    try:
        return store.load(place)
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning('%s It is made again.', error)
        return None
