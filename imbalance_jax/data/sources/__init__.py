"""Data sets by name. A new one is a function `make(*, image_size, option=default) -> Dataset` and one line here."""

import dataclasses
import inspect
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data import dataset as dataset_module
from imbalance_jax.data import soundness
from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.data.sources import nih_chest_xray14, phantom, phantom_twins
from imbalance_jax.data.twins import Twins
from imbalance_jax.names import lookup
from imbalance_jax.system import locks

__all__ = ['DATASETS', 'NOT_OPTIONS', 'SPLITS', 'Dataset', 'Source', 'Twins', 'check_options', 'find', 'load']
log = logging.getLogger(__name__)


class Source(NamedTuple):
    """Where a data set comes from.

    make: (image_size=..., **options) -> Dataset. Its signature is its contract: options are its keyword parameters, and
    it is given `progress`, called as progress(done, total), and `tfds_dir`, a folder for TFDS, if it has a parameter of
    that name. With `**` in its signature it is given any option.
    inputs: options -> what the result depends on besides them, such as the state of files, as JSON.
    leftovers: options -> folders that a `make` of the same options has left if it was killed, and that no other uses.
    twins: (data set, rows [M], concept) -> those images with and without the concept and else the same (`twins.Twins`),
    or None for a concept that it cannot take away; None for a source that has no twins.
    """

    make: Callable[..., Dataset]
    inputs: Callable[..., dict] = lambda **options: {}
    leftovers: Callable[..., list[Path]] = lambda **options: []
    twins: Callable[[Dataset, np.ndarray, str], Twins | None] | None = None


DATASETS: dict[str, Source | Callable[..., Dataset]] = {
    'phantom': Source(phantom.make, twins=phantom_twins.twins),
    'nih_chest_xray14': Source(nih_chest_xray14.make, nih_chest_xray14.inputs, nih_chest_xray14.leftovers),
}
NOT_OPTIONS = ('image_size', 'progress', 'tfds_dir')  # what `load` gives, or a config says for all data sets


def find(name: str) -> Source:
    """The source of the data set `name`; ValueError for an unknown name."""
    source = lookup(DATASETS, name, 'data set')
    return source if isinstance(source, Source) else Source(source)


def check_options(name: str, options: Iterable[str]) -> None:
    """ValueError for an unknown data set, or an option that its `make` does not take."""
    known = inspect.signature(find(name).make).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        for option in options:
            lookup(known, option, f'option of data set {name}, config.data.{name}.')


def load(name: str, folder: Path, options: dict, progress: Callable[[int, int], Any] | None = None) -> Dataset:
    """The data set of that name and options: read from `folder`, or made and kept there if it is not there or damaged.

    `progress(done, total)` is called while it is made. Of several processes one makes it, and the others wait; what a
    killed one left is removed. Raises ValueError for an unknown name or option, and whatever the data set's own `make`,
    and `soundness.check`, say of its input.
    """
    source = find(name)
    known = inspect.signature(source.make).parameters
    check_options(name, options)
    fingerprint = dataset_module.fingerprint({'name': name, **options, **source.inputs(**options)})
    prepared = Path(folder) / name / fingerprint
    if dataset := _kept(prepared):
        return dataset
    intermediate = {'tfds_dir': Path(folder) / 'tfds'} if 'tfds_dir' in known else {}
    display = {'progress': progress} if 'progress' in known else {}
    with locks.wait(prepared.with_name(f'{fingerprint}.lock'), str(prepared)):
        if dataset := _kept(prepared):  # by the process that had its turn before
            return dataset
        for left in (*dataset_module.leftovers(prepared), *source.leftovers(**options, **intermediate)):
            shutil.rmtree(left, ignore_errors=True)
        dataset = source.make(**options, **intermediate, **display)
        soundness.check(dataset, options.get('image_size'))
        dataset = soundness.leave_out_duplicates(dataset)
        dataset = dataclasses.replace(dataset, info={**dataset.info, 'fingerprint': fingerprint})
        dataset_module.save(dataset, prepared)
    return dataset


def _kept(prepared: Path) -> Dataset | None:
    """What was prepared before, None if it was not, or if it is damaged."""
    try:
        return dataset_module.load(prepared)
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning('%s It is made again.', error)
        return None
