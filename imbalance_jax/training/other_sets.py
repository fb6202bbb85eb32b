"""The data sets of `config.data.test_on`: loaded, matched to the training set, and predicted by a trained population.

An entry is the name of a data set, as in `config.data.name`, alone or with the split that is tested: 'chexpert',
'my_folder:all'. Each has a folder of its own, `WORKDIR/on/NAME`, which is a working directory like that of kept
weights: it can be explained and reported.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data import other_set, overlap, sources
from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.data.other_set import ALL, TESTED_ON, Other
from imbalance_jax.data.soundness import SHOWN
from imbalance_jax.names import lookup, some
from imbalance_jax.system import layout, processes, records
from imbalance_jax.system.workdir import check_same_data, read_arrays
from imbalance_jax.training.network import load_dataset

USED = (*SPLITS, ALL)


def entry(text: str) -> tuple[str, str]:
    """Name and split of an entry of `config.data.test_on`: 'my_folder:all' is ('my_folder', 'all')."""
    name, _, split = text.rpartition(':')
    return (name, split) if name and split in USED else (text, 'test')


def check(config: ConfigDict) -> None:
    """Raises ValueError for an entry of `config.data.test_on` that is no data set or there twice, and for a map of
    none of them."""
    texts = tuple(config.data.test_on)
    names = [entry(text)[0] for text in texts]
    for name in names:
        before, colon, split = name.rpartition(':')
        if colon and (before != sources.TFDS or difflib.get_close_matches(split, USED)):
            lookup(dict.fromkeys(USED), split, f'split of {before!r} in config.data.test_on:')
        block = config.data.get(name, {})
        sources.find(block.get('reader', name) if isinstance(block, (dict, ConfigDict)) else name)
    folders = [layout.tested_name(name) for name in names]
    if len(set(folders)) < len(folders):
        raise ValueError(f'config.data.test_on has a data set twice: {", ".join(texts)}.')
    for name, own in config.data.label_maps.items():
        if name not in names:
            raise ValueError(f'config.data.label_maps.{name}: it is not in config.data.test_on ({", ".join(texts)}).')
        if not isinstance(own, (dict, ConfigDict)):
            raise ValueError(f'config.data.label_maps.{name} is {own!r}; it must be a block of names by class.')


def load(config: ConfigDict, text: str, training: Dataset) -> Other:
    """The data set of an entry of `config.data.test_on` by the classes of the training set (`other_set.matched`)."""
    name, split = entry(text)
    own = dict(config.data.label_maps.get(name, {}))
    return other_set.matched(load_dataset(config, name), training, own=own, split=split, name=name)


def load_all(config: ConfigDict, training: Dataset) -> list[Other]:
    """All of them, described as they come."""
    result = []
    for text in config.data.test_on:
        other = load(config, text, training)
        processes.say(other_set.describe(other))
        result.append(other)
    return result


def warn_of_likeness(training: Dataset) -> Dataset:
    """Says which images of validation and test are nearly equal to one of training, by name: here and in the notes of
    the data set that comes back."""
    pairs = overlap.across_splits(training)
    if not pairs:
        return training
    said = _likeness(pairs)
    processes.say(f'{training.info["name"]}: {said}')
    return dataclasses.replace(training, info={**training.info, 'notes': [*training.info.get('notes', []), said]})


def _likeness(pairs: Sequence[tuple[str, str]]) -> str:
    shown = some([f'{one} and {other}' for one, other in pairs], SHOWN)
    return f'{len(pairs)} images of validation or test are nearly equal to one of training: {shown}.'


def folders(workdir: Path, config: Mapping[str, Any]) -> list[Path]:
    """The folders of the data sets that were tested on, in the order of the config."""
    return [path for path in _asked(workdir, config) if (path / layout.PREDICTIONS).exists()]


def lost(workdir: Path, config: Mapping[str, Any]) -> str:
    """What to say of data sets of the config that a finished population should have been tested on, and that are not
    there; '' where all are."""
    if layout.maker(workdir) != workdir:  # kept weights are asked of the set that they were trained on alone
        return ''
    asked, there = _asked(workdir, config), folders(workdir, config)
    gone = [f'{path.relative_to(workdir)}' for path in asked if path not in there]
    if not gone:
        return ''
    what = 'data sets of config.data.test_on have no predictions there and are left out'
    return f'{workdir}: {what}: {some(gone, SHOWN)}. `train`, or `adopt`, makes them again.'


def _asked(workdir: Path, config: Mapping[str, Any]) -> list[Path]:
    if TESTED_ON in records.data(workdir):
        return []
    return [layout.tested(workdir, entry(text)[0]) for text in config.get('data', {}).get('test_on', ())]


def refuse_of_other(workdir: Path, verb: str) -> None:
    """ValueError for a folder of `WORKDIR/on`: what its networks were trained on is known to WORKDIR alone."""
    if TESTED_ON in records.data(workdir):
        home = workdir.absolute().parents[1]
        raise ValueError(f'{workdir} is of a data set that was tested on; {verb} is for the one trained on: {home}.')


def kept(config: ConfigDict, workdir: Path, training: Dataset) -> Other | None:
    """The data set that `workdir`, a folder of `WORKDIR/on`, was tested on; None for another working directory.

    Raises ValueError if it holds other images now than were predicted.
    """
    record = records.data(workdir).get(TESTED_ON)
    if record is None:
        return None
    name = record['name']
    text = next((one for one in config.data.test_on if entry(one)[0] == name), name)
    other = load(config, text, training)
    check_same_data(other.dataset.info, workdir)
    if not np.array_equal(rows_of(other), read_arrays(workdir / layout.PREDICTIONS)['rows']):
        raise ValueError(f'{workdir} was predicted on other images than {name} holds now: run train again.')
    return other


def rows_of(other: Other) -> np.ndarray:
    """The rows [n] of a data set that are tested."""
    return other.dataset.rows('test').astype(np.int64)


def same(before: Mapping[str, np.ndarray], facts: Mapping[str, np.ndarray]) -> bool:
    """Whether predictions were made by the same weights, of the same images, as `facts` says."""
    return all(name in before and np.array_equal(before[name], value, equal_nan=True) for name, value in facts.items())


def free_fields(config: ConfigDict) -> tuple[str, ...]:
    """The fields of a config that may change after training: what is tested on, and the blocks of those data sets."""
    blocks = [name for name, block in config.data.items() if isinstance(block, (dict, ConfigDict))]
    others = {entry(text)[0] for text in config.data.test_on} & set(blocks) - {config.data.name}
    return ('data.test_on', 'data.label_maps', *(f'data.{name}' for name in sorted(others)))
