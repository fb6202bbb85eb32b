"""Files of weights that training begins with: read, fitted to the network, and held against the data."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import models, weights
from imbalance_jax.config.fields import PREPROCESSING
from imbalance_jax.data import overlap
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.models.naming import torch_names_of
from imbalance_jax.names import lookup, some
from imbalance_jax.training import exported, start
from imbalance_jax.training.network import abstract_variables, make_model
from imbalance_jax.training.start import SHA256, Start, Starts
from imbalance_jax.training.start_images import preprocessing_of
from imbalance_jax.weights.mapping import OtherShape

log = logging.getLogger(__name__)

TRUNCATED = '_truncated'  # the end of the name of a model that is the front of another one
NEW, KEPT = 'new', 'kept'  # what becomes of the head
# Families of images by other names than `data.overlap` has for them.
FAMILIES = {'rsna': 'nih', 'kaggle': 'nih', 'siim': 'nih'}


def read(config: ConfigDict, rows: Sequence[Mapping[str, Any]], workdir: Path | None = None) -> dict[str, Start]:
    """The weights that rows of members.json begin with, by what these call them.

    A file that is not there any more is taken from what `workdir` kept of it. Raises ValueError, before anything is
    compiled, for a file that is missing, damaged, of another architecture, or of unknown preprocessing.
    """
    before = start.kept(workdir) if workdir else {}
    starts: dict[str, Start] = {}
    for name, preprocessing in _wanted(rows).items():
        gone = name in before and not Path(name).exists()
        starts[name] = before[name] if gone else _read(config, Path(name), preprocessing)
    return _of_one_width(config, starts)


def check(config: ConfigDict, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError for weights that training would refuse, as far as that is seen without the data set."""
    starts = read(config, rows)
    set_info = {'name': config.data.get(config.data.name, {}).get('reader') or config.data.name}
    for one in starts.values():
        seen = seen_families(one, [set_info])
        if seen and not config.model.allow_seen_patients:
            raise ValueError(said_of_patients(one, seen))


def noted(rows: Sequence[Mapping[str, Any]], starts: Starts) -> list[dict[str, Any]]:
    """Rows of members.json, with the sha256 of the weights that each begins with."""
    of_file = {name: {SHA256: one.facts['sha256']} for name, one in starts.items()}
    return [{**row, **of_file.get(start.weights_of(row), {})} for row in rows]


def _wanted(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Weights -> what their preprocessing is called; ValueError if two arms call that differently."""
    wanted: dict[str, str] = {}
    for row in rows:
        name, preprocessing = start.weights_of(row), row.get('preprocessing', '')
        if preprocessing:
            lookup(dict.fromkeys(PREPROCESSING), preprocessing, f'preprocessing of config.arms.{row["arm"]}:')
        if name != start.RANDOM and wanted.setdefault(name, preprocessing) != preprocessing:
            both = f'{wanted[name]!r} and {preprocessing!r}'
            raise ValueError(f'config.arms: preprocessing of {name} is {both}; it must be the same for all arms.')
    return wanted


def _read(config: ConfigDict, path: Path, preprocessing: str) -> Start:
    if not path.is_file():
        raise ValueError(f'Weights {path}, of config.model.weights or of an arm: there is no such file.')
    stored = weights.read(path)
    known = weights.known(stored)
    if known is not None and known.architecture != config.model.name.removesuffix(TRUNCATED):
        what = f'{path} holds weights of {known.architecture} ({known.name})'
        raise ValueError(f'{what}, and config.model.name is {config.model.name!r}.')
    network = exported.network(stored.metadata)
    if what := exported.lost(stored.metadata):
        print(f'{path}: {what}.', flush=True)
    facts = {
        'file': str(path),
        'sha256': stored.sha256,
        'container': stored.container,
        'name': known.name if known else '',
        'trained_on': list(known.trained_on) if known else [],
        'classes': list(known.classes) if known else json.loads(network.get('classes', '[]')),
        'trained_size': known.preprocessing.crop if known and known.preprocessing else 0,
        'preprocessing': preprocessing_of(config.model.preprocessing, preprocessing, known, path, stored.metadata),
        'head': KEPT if config.model.keep_head else NEW,
        'exported': network,
    }
    if other := exported.says_other(config.model, network):
        what = f'{path} was exported from {other}'
        if facts['head'] == KEPT:
            raise ValueError(f'{what}: with its head (config.model.keep_head) its numbers would be others.')
        print(f'{what}: its features begin as others than they were.', flush=True)
    return _fitted(config, stored, facts)


def _fitted(config: ConfigDict, stored: Any, facts: dict[str, Any]) -> Start:
    """The weights in the shapes of the network; ValueError, with the first key that does not fit, for others."""
    kept, wanted = facts['head'] == KEPT, facts['preprocessing']
    names = torch_names_of(make_model(config, 1))
    outputs = _outputs(stored, names, facts['file']) if kept else 1
    possible, faults = (wanted['channels'],) if wanted['channels'] else (1, 3), []
    for channels in possible:
        shapes = _shapes(config, wanted, outputs, channels)
        try:
            variables = weights.to_flax(
                _front(config, stored.tensors, shapes, names), shapes, names, head='exact' if kept else 'new'
            )
        except ValueError as error:
            faults.append(error)
            if channels != possible[-1]:
                continue
            no_shape = [one for one in faults if not isinstance(one, OtherShape)]
            told = ' Or: '.join(dict.fromkeys(map(str, no_shape[:1] or faults)))
            raise ValueError(
                f'{facts["file"]} does not fit config.model.name = {config.model.name!r}: {told}'
            ) from error
        facts = {**facts, 'preprocessing': {**wanted, 'channels': channels}}
        break
    return Start(facts, {part: variables.get(part, {}) for part in start.PARTS})


def _front(
    config: ConfigDict, tensors: Mapping[str, np.ndarray], shapes: Any, names: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Tensors without those of stages that a network has cut off: of the whole of which it is the front."""
    options = {**config.model.get(config.model.name, {})}
    if not config.model.name.endswith(TRUNCATED) and 'depths' not in options:
        return dict(tensors)
    options.pop('depths', None)
    whole = models.make(config.model.name.removesuffix(TRUNCATED), 1, **options)
    size = config.data.image_size
    own, all_there = (
        {name(path) for name in names.values() for part in start.PARTS for path, _ in weights.flat(tree.get(part, {}))}
        for tree in (shapes, abstract_variables(whole, (size, size, 1)))
    )
    cut_off = tuple(all_there - own)
    return {key: tensor for key, tensor in tensors.items() if not key.endswith(cut_off)}


def _outputs(stored: Any, names: Mapping[str, Any], file: str) -> int:
    """How many outputs the head of stored weights has; ValueError naming what its file has in place of a head."""
    keys = {'params/head/bias', *(name(('head', 'bias')) for name in names.values())}
    heads = {key: tensor for key, tensor in stored.tensors.items() if key.endswith(tuple(keys))}
    sizes = [len(tensor) for tensor in heads.values() if tensor.ndim == 1]
    if 0 in sizes:
        raise ValueError(f'{file} has a head without outputs: {next(iter(heads))} is [0]; expected one per class.')
    if not sizes:
        last = some([f'{key} {list(tensor.shape)}' for key, tensor in reversed(stored.tensors.items())], 3)
        names_of = some(sorted(keys), 6)
        raise ValueError(f'{file} has no tensor of a head by any of these names: {names_of}. Its last tensors: {last}.')
    return sizes[0]


def _shapes(config: ConfigDict, wanted: Mapping[str, Any], outputs: int, channels: int) -> Any:
    """The shapes of the network's variables, for images as the weights want them."""
    side = wanted['crop'] or wanted['resize'] or config.data.image_size
    return abstract_variables(make_model(config, outputs), (side, side, channels))


def _of_one_width(config: ConfigDict, starts: Starts) -> dict[str, Start]:
    """All of them for as many channels as the widest wants.

    Weights of one channel meet it in each of D channels, with the D-th part of their first kernel: the sum is the same.
    """
    width = start.wanted_channels(starts, 0)
    return {name: _widened(config, one, width) for name, one in starts.items()}


def _widened(config: ConfigDict, one: Start, width: int) -> Start:
    channels, wanted = one.preprocessing['channels'], one.preprocessing
    if channels == width:
        return one
    narrow, wide = (_shapes(config, wanted, 1, count)['params'] for count in (channels, width))

    def repeated(path: tuple[str, ...], leaf: np.ndarray) -> np.ndarray:
        before, after = (_at(tree, path).shape for tree in (narrow, wide))
        if before == after or path[0] == 'head':
            return leaf
        [axis] = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        return np.repeat(leaf, width // channels, axis) / np.float32(width // channels)

    params = weights.nested({path: repeated(path, leaf) for path, leaf in weights.flat(one.variables['params'])})
    return one._replace(variables={**one.variables, 'params': params})


def _at(tree: Any, path: Sequence[str]) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def with_data(config: ConfigDict, starts: Starts, dataset: Dataset, others: Sequence[Dataset] = ()) -> dict[str, Start]:
    """The weights with what the data say of them: the head by the classes, and whose patients they may know.

    others: the data sets that are tested on. Raises ValueError for a head that does not fit, for images that cannot be
    brought to the weights' channels, and for weights that may know patients of a test split, unless that is allowed.
    """
    result = {name: _with_classes(one, dataset.classes) for name, one in starts.items()}
    for name, one in result.items():
        seen = seen_families(one, [dataset.info, *(other.info for other in others)])
        if seen and not config.model.allow_seen_patients:
            raise ValueError(said_of_patients(one, seen))
        result[name] = one._replace(facts={**one.facts, 'seen': seen})
        _warn_of_size(one, dataset.images.shape[1:3])
    start.links_of([{}], result, (np.zeros(dataset.images.shape[-1]), np.ones(dataset.images.shape[-1])))
    return result


def seen_families(one: Start, infos: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of data sets, by their `info`, those whose patients the weights may know: name -> family."""
    trained_on = {FAMILIES.get(family, family) for family in one.facts['trained_on']}
    families = {str(info['name']): overlap.family(dict(info)) for info in infos}
    return {name: family for name, family in families.items() if family in trained_on}


def said_of_patients(one: Start, seen: Mapping[str, str]) -> str:
    """Why these weights are refused."""
    sets = ' and '.join(f'{name} (images of {family})' for name, family in seen.items())
    families = ', '.join(one.facts['trained_on'])
    return (
        f'{one.facts["file"]} ({one.facts["name"]}) was trained on images of {families}, and may know patients of the'
        f' test split of {sets}: what it scores there is no test. Take other weights, or set'
        ' config.model.allow_seen_patients = True, and the report says so.'
    )


def _with_classes(one: Start, classes: Sequence[str]) -> Start:
    """The head's outputs in the order of the classes: by name where those of the weights are known."""
    if one.facts['head'] != KEPT:
        return one
    head, own = one.variables['params']['head'], [_plain(name) for name in one.facts['classes']]
    where = f'config.model.keep_head: the head of {one.facts["file"]}'
    if any(own):
        missing = [name for name in classes if _plain(name) not in own]
        if missing:
            known = ', '.join(filter(None, one.facts['classes']))
            raise ValueError(f'{where} has no output for {", ".join(missing)}; it has {known}.')
        order = np.array([own.index(_plain(name)) for name in classes])
        head = jax.tree.map(lambda leaf: leaf[..., order], head)
    elif len(head['bias']) != len(classes):
        raise ValueError(f'{where} has {len(head["bias"])} outputs, and the data set {len(classes)} classes.')
    params = {**one.variables['params'], 'head': head}
    return one._replace(variables={**one.variables, 'params': params})


def _plain(name: str) -> str:
    """A class's name without case, underscores and spaces."""
    return name.casefold().replace('_', '').replace(' ', '')


def _warn_of_size(one: Start, size: tuple[int, int]) -> None:
    trained, wanted = one.facts['trained_size'], one.preprocessing
    if trained and not wanted['resize'] and not wanted['crop'] and tuple(size) != (trained, trained):
        log.warning(
            "%s was trained on images of %d pixels, and these have %d x %d; with config.model.preprocessing.size = "
            "'weights' they are resized to it.", one.facts['file'], trained, *size,
        )  # fmt: skip
