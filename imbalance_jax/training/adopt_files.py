"""Files of networks that were trained elsewhere, as variables of the config's model with an output for each class."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data import label_map
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.losses import SIGMOID, SOFTMAX, UNKNOWN
from imbalance_jax.training import exported, start_files
from imbalance_jax.training.adopt_members import BETWEEN, Adopted
from imbalance_jax.training.start import Start

TOLD = ('file', 'sha256', 'container', 'name', 'trained_on', 'trained_size', 'preprocessing')  # of a file, in its rows


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
    for one in adopted:
        if not Path(one.weights).is_file():
            raise ValueError(f'{one.where}: there is no file {one.weights}.')
    usual = config.model.preprocessing.name
    rows = [{**one._asdict(), 'preprocessing': one.preprocessing or usual} for one in adopted]
    return start_files.read(with_head, rows)


def check_exports(
    config: ConfigDict, adopted: Sequence[Adopted], files: Mapping[str, Start], image: Sequence[int]
) -> None:
    """Raises ValueError for a file that `export` wrote of another network than the config's, with tensors of like
    shapes, or whose outputs stand in another order; says which was trained on images of another size, with another
    loss or option of it, for another link or in another arm. image: (height, width, channels)."""
    for one in adopted:
        facts = files[one.weights].facts
        network, classes = facts['exported'], facts.get('classes') or []
        if other := exported.says_other(config.model, network):
            raise ValueError(f'{one.where}: {one.weights} was exported from {other}: its numbers would be others.')
        if network and one.classes and list(one.classes) != list(classes):
            given, known = BETWEEN.join(one.classes), BETWEEN.join(classes)
            said = f'classes={given}, and {one.weights} says that its outputs are {known}'
            if set(one.classes) == set(classes):
                raise ValueError(f'{one.where}: {said}: leave classes out.')
            print(f'{one.where}: {said}.')
        if network and one.loss not in ('', UNKNOWN, network['loss']):
            print(f'{one.where}: loss={one.loss}, and {one.weights} says that it was trained with {network["loss"]}.')
        if network.get('arm', one.arm) != one.arm:
            print(f'{one.where}: arm={one.arm}, and {one.weights} says that it is of arm {network["arm"]}.')
        of_file = json.loads(network.get('hyper', '{}'))
        if one.loss == network.get('loss') and (changed := [k for k, v in one.hyper.items() if of_file.get(k, v) != v]):
            said = f'{changed[0]}={one.hyper[changed[0]]}, and {one.weights} says that it is {of_file[changed[0]]}'
            print(f'{one.where}: {said}.')
        if network and one.link not in ('', network['link']):
            print(f'{one.where}: link={one.link}, and {one.weights} says that it is {network["link"]}.')
        if network and (trained := json.loads(network['image'])) != list(image):
            print(f'{one.where}: {one.weights} was trained on images {trained}, and here they are {list(image)}.')


def check_different(adopted: Sequence[Adopted], files: Mapping[str, Start]) -> None:
    """Raises ValueError for a network that is there twice: it has no spread over seeds, and no difference to itself.

    The same weights behind another entrance, link or loss are another member of another arm, which is said.
    """
    digests = {name: digest(file.variables) for name, file in files.items()}
    known: dict[str, list[Adopted]] = {}
    for one in adopted:
        alike = known.setdefault(digests[one.weights], [])
        for other in alike:
            both = f'{other.where} and {one.where} are one network: all its parameters are the same to the bit'
            if one.arm == other.arm or _asks_alike(one, other):
                raise ValueError(f'{both}; give every member a file of its own.')
            print(f'{both}; arms {other.arm} and {one.arm} differ in what is made of it only.', flush=True)
        alike.append(one)


def digest(variables: Any) -> str:
    """Sixty-four hexadecimal digits of all variables: names, types, shapes and every bit."""
    result = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        array = np.ascontiguousarray(leaf)
        result.update(f'{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n'.encode())
        result.update(array.reshape(-1).view(np.uint8).data)
    return result.hexdigest()


def _asks_alike(one: Adopted, other: Adopted) -> bool:
    """Whether two members make the same of their networks, as far as it was said."""
    fields = ('link', 'preprocessing', 'classes', 'loss', 'hyper')
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def fit(one: Adopted, file: Start, dataset: Dataset, *, link: str) -> Fitted:
    """A network with an output for each class of the data set, by the names of its outputs.

    link: of the network. Outputs of sigmoids stand for themselves, so that others can be left out; those of a softmax
    are needed whole, but for two of them that become one class's log-odds. Raises ValueError for classes that a network
    has no output for, and for numbers that do not fit.
    """
    head, classes = file.variables['params']['head'], dataset.classes
    names = list(one.classes or file.facts['classes'])
    outputs = len(head['bias'])
    facts = {name: file.facts[name] for name in TOLD}
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
