"""Files of networks that were trained elsewhere, as variables of the config's model with an output for each class."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import serialization
from ml_collections import ConfigDict

from imbalance_jax import weights
from imbalance_jax.data import label_map
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.losses import SIGMOID, SOFTMAX
from imbalance_jax.training import start_files
from imbalance_jax.training.adopt_members import Adopted
from imbalance_jax.training.network import abstract_variables, make_model
from imbalance_jax.training.start import PARTS, Start
from imbalance_jax.training.start_images import preprocessing_of

FLAX = {'.npz': 'npz', '.msgpack': 'msgpack'}  # containers of variables by their paths in Flax


class Fitted(NamedTuple):
    """A network that fits: its variables {'params', 'batch_stats'} with K outputs, the link of these, and what is kept
    of its file in members.json."""

    variables: dict[str, Any]
    link: str
    facts: dict[str, Any]


def read(config: ConfigDict, adopted: Sequence[Adopted]) -> dict[str, Start]:
    """The files of networks, each with its own head, by their paths; ValueError naming the first key that misfits."""
    with_head = ConfigDict(config.to_dict())
    with_head.model.keep_head = True
    starts: dict[str, Start] = {}
    plain: list[dict[str, str]] = []
    for one in adopted:
        path = Path(one.weights)
        if not path.is_file():
            raise ValueError(f'{one.where}: there is no file {path}.')
        if tree := _flax_tree(path):
            starts[one.weights] = _of_flax(config, path, tree, one.preprocessing)
        else:
            plain.append({'arm': one.arm, 'weights': one.weights, 'preprocessing': one.preprocessing})
    read_others = start_files.read(with_head, plain) if plain else {}
    every = {**starts, **read_others}
    widths = {name: one.preprocessing['channels'] for name, one in every.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f'Networks of one population must want as many channels, and these want {widths}.')
    return every


def _flax_tree(path: Path) -> dict[str, Any] | None:
    """Variables by their paths in Flax, {'params': ...}, of a file that holds such; None for any other."""
    if path.suffix == '.npz':
        try:
            with np.load(path, allow_pickle=False) as arrays:
                flat = dict(arrays)
        except Exception as error:
            raise ValueError(f'{path} could not be read as .npz ({error}); it must hold plain arrays.') from error
    elif path.suffix == '.msgpack':
        try:
            tree = serialization.msgpack_restore(path.read_bytes())
        except Exception as error:
            raise ValueError(f'{path} could not be read as msgpack of Flax: {error}.') from error
        flat = {'/'.join(map(str, p)): np.asarray(leaf) for p, leaf in weights.flat(tree)} if tree else {}
    elif path.suffix == '.safetensors':
        flat = dict(weights.read(path).tensors)
    else:
        return None
    named = {name.replace('.', '/') if '/' not in name else name: leaf for name, leaf in flat.items()}
    named = {name.removeprefix('variables/'): leaf for name, leaf in named.items()}
    if not any(name.startswith('params/') for name in named):
        if path.suffix in FLAX:
            first = next(iter(flat), 'nothing')
            raise ValueError(f"{path} holds {first!r}; variables of Flax are named 'params/MODULE/kernel'.")
        return None
    for name in named:
        if name.partition('/')[0] not in PARTS:
            raise ValueError(f'{path} holds {name!r}; a variable of Flax is in one of {", ".join(PARTS)}.')
    return weights.nested({tuple(name.split('/')): leaf for name, leaf in named.items()})


def _of_flax(config: ConfigDict, path: Path, tree: dict[str, Any], preprocessing: str) -> Start:
    """Variables named as in Flax, held against the model's; preprocessing is the config's, or the data set's own."""
    setting = config.model.preprocessing
    wanted = preprocessing_of(setting, preprocessing or setting['name'] or 'own', None, path)
    head = tree['params'].get('head', {}).get('bias')
    if head is None:
        raise ValueError(f"{path} has no 'params/head/bias', the last layer.")
    problems = []
    for channels in (wanted['channels'],) if wanted['channels'] else (1, 3):
        side = wanted['crop'] or wanted['resize'] or config.data.image_size
        shapes = abstract_variables(make_model(config, len(head)), (side, side, channels))
        problem = _misfit({name: shapes.get(name, {}) for name in PARTS}, tree)
        if not problem:
            facts = {
                'file': str(path),
                'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
                'container': FLAX.get(path.suffix, 'safetensors'),
                'name': '',
                'trained_on': [],
                'classes': [],
                'trained_size': 0,
                'preprocessing': {**wanted, 'channels': channels},
                'head': start_files.KEPT,
            }
            return Start(facts, tree)
        problems.append(problem)
    raise ValueError(f'{path} does not fit config.model.name = {config.model.name!r}: {problems[0]}')


def _misfit(shapes: Mapping[str, Any], tree: Mapping[str, Any]) -> str:
    """What is the matter with the first variable that does not fit; '' if all do."""
    wanted = {'/'.join(path): tuple(leaf.shape) for path, leaf in weights.flat(dict(shapes))}
    given = {'/'.join(path): np.shape(leaf) for path, leaf in weights.flat(dict(tree))}
    for name, shape in wanted.items():
        if name not in given:
            return f'{name} {list(shape)} is not in it.'
        if given[name] != shape:
            return f'{name} is {list(given[name])}, and the model has {list(shape)}.'
    more = [name for name in given if name not in wanted]
    return f'{more[0]} {list(given[more[0]])} is none of the model.' if more else ''


def fit(one: Adopted, file: Start, dataset: Dataset, *, link: str) -> Fitted:
    """A network with an output for each class of the data set, by the names of its outputs.

    link: of the network. Outputs of sigmoids stand for themselves, so that others can be left out; those of a softmax
    are needed whole, but for two of them that become one class's log-odds. Raises ValueError for classes that a network
    has no output for, and for numbers that do not fit.
    """
    head, classes = file.variables['params']['head'], dataset.classes
    names = list(one.classes or file.facts['classes'])
    outputs = len(head['bias'])
    facts = {name: file.facts[name] for name in _TOLD}
    if names and len(names) != outputs:
        raise ValueError(f'{one.where}: classes names {len(names)} outputs, and the head of its file has {outputs}.')
    if not names and outputs != len(classes):
        raise ValueError(
            f'{one.where}: the head of {one.weights} has {outputs} outputs, and {dataset.info["name"]} '
            f'{len(classes)} classes: say what they are, classes=NAME{"|NAME"}... in their order.'
        )
    order = _order(one, names, classes) if names else list(range(outputs))
    if link == SOFTMAX and outputs == 2 and len(classes) == 1 and names:
        no, yes = 1 - order[0], order[0]
        made = {name: leaf[..., yes : yes + 1] - leaf[..., no : no + 1] for name, leaf in head.items()}
        return Fitted(_with_head(file, made), SIGMOID, {**facts, 'classes': names, 'outputs': [yes, no]})
    if link == SOFTMAX and len(order) != outputs:
        left = [name for i, name in enumerate(names) if i not in order]
        raise ValueError(
            f'{one.where}: its softmax also has the outputs {", ".join(left)}, which {dataset.info["name"]} has no '
            'class for: without them its probabilities would be others. link=sigmoid can leave outputs out.'
        )
    chosen = {name: np.asarray(leaf)[..., order] for name, leaf in head.items()}
    return Fitted(_with_head(file, chosen), link, {**facts, 'classes': names, 'outputs': order})


_TOLD = ('file', 'sha256', 'container', 'name', 'trained_on', 'trained_size', 'preprocessing')


def _order(one: Adopted, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Which output each class is."""
    known = [name for name in names if name]
    found = label_map.match(classes, classes, known, where=one.where).classes
    missing = [name for name, output in found.items() if output is None]
    if missing:
        raise ValueError(f'{one.where}: no output is called {", ".join(missing)}; its outputs are {", ".join(known)}.')
    return [list(names).index(str(found[name])) for name in classes]


def _with_head(file: Start, head: Mapping[str, Any]) -> dict[str, Any]:
    params = {**file.variables['params'], 'head': dict(head)}
    return {'params': params, 'batch_stats': file.variables.get('batch_stats', {})}
