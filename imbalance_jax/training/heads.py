"""Heads on cached features: what can be wrong with them, what network they are, and whole networks made of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import weights
from imbalance_jax.models.head import BACKBONE, Head
from imbalance_jax.models.odds import AgainstOthers
from imbalance_jax.system import layout, limits
from imbalance_jax.system.workdir import read_arrays, write_arrays
from imbalance_jax.training import features, start
from imbalance_jax.training.members import Member, backbones
from imbalance_jax.training.network import CACHED, RECOMPUTE, Network

# What `config.augment` may be beside nothing at all: the defaults of configs/base.py, which nobody asked for.
AUGMENT = {'shift': 0.04, 'rotation': 5.0, 'scale': 0.06, 'brightness': 0.05, 'contrast': 0.1}
NONE = {'flip': ('auto', 'none'), 'colour': ('auto', 'none')}
GIB = 2**30


def are_cached(config: ConfigDict) -> bool:
    """Whether heads are trained on features that are computed once."""
    return config.train.get('features', RECOMPUTE) == CACHED


def check(config: ConfigDict, members: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError for cached features of networks that are trained, or of images that are augmented."""
    if not are_cached(config):
        return
    field = "config.train.features is 'cached'"
    for row in members:
        if row.get('frozen', 0.0) != 1:
            only = (
                f'which needs frozen = 1.0 in every arm; config.arms.{row["arm"]}.frozen is {row.get("frozen", 0.0)!r}'
            )
            raise ValueError(f"{field}, {only}. Set it, or train.features = 'recompute'.")
    for name, default in AUGMENT.items():
        if config.augment.get(name, 0.0) not in (0, default):
            raise ValueError(_of_augmentation(field, name, config.augment[name], 0.0))
    for name, valid in NONE.items():
        if config.augment.get(name, 'none') not in valid:
            raise ValueError(_of_augmentation(field, name, config.augment[name], 'none'))
    if config.train.get('remat', False):
        raise ValueError(f'{field}, and config.train.remat is True: no gradient passes the network; set it to False.')


def _of_augmentation(field: str, name: str, value: Any, none: Any) -> str:
    why = 'which are of images as they are, without augmentation'
    return f"{field}, {why}, but config.augment.{name} is {value!r}; set it to {none!r}, or features = 'recompute'."


def heads_of(untrained: Network, members: Sequence[Mapping[str, Any]], num_classes: int) -> Network:
    """The network that is trained: the head alone, which members of equal seed begin with as in the whole network."""
    several = len(backbones(members)[0]) > 1

    def init(member: Member) -> dict[str, Any]:
        variables = untrained.init(member)  # of which nothing but the head is computed
        link = {name: value for name, value in variables.get('link', {}).items() if name not in start.ENTRANCE}
        link |= {BACKBONE: member.backbone} if several else {}
        head = {'params': {'head': variables['params']['head']}, 'batch_stats': {}}
        return {**head, 'link': link} if link else head

    model: Any = Head(num_classes)
    model = AgainstOthers(model) if isinstance(untrained.model, AgainstOthers) else model
    return Network(model, lambda x: x, init, on_features=True)


def keep_backbones(workdir: Path, untrained: Network, members: Sequence[Mapping[str, Any]]) -> None:
    """Keeps every network without its head in the working directory, which then needs nothing else to be explained."""
    first, _ = backbones(members)
    draw = features.make_draw(untrained)
    for number, i in enumerate(first):
        path = layout.backbone(workdir, number)
        if not path.exists():
            variables = features.variables_of(untrained, [members[i]], draw)
            write_arrays(path, **{'/'.join(names): leaf[0] for names, leaf in weights.flat(variables)})


def kept_backbones(workdir: Path, count: int) -> list[dict[str, Any]]:
    """What `keep_backbones` kept; ValueError for a file that is missing or damaged."""
    kept = []
    for number in range(count):
        path = layout.backbone(workdir, number)
        if not path.exists():
            raise ValueError(f'{path} is missing: train {workdir} anew, in another folder.')
        kept.append(start.of_paths(read_arrays(path)))
    return kept


def whole(workdir: Path, heads: Any, members: Sequence[Mapping[str, Any]], *, untrained: Network) -> Any:
    """Variables [P,...] of whole networks, NumPy arrays, from heads [P,...] and the networks that they stand on.

    Raises ValueError if so many copies do not fit the memory.
    """
    first, of_member = backbones(members)
    kept = kept_backbones(workdir, len(first))
    check_memory(sum(leaf.nbytes for leaf in jax.tree.leaves(kept[0])), len(members))
    stacked = jax.tree.map(lambda *a: np.stack(a)[of_member], *kept)
    link = {name: value for name, value in heads.get('link', {}).items() if name != BACKBONE}
    link |= untrained.links(members)
    variables = {
        'params': {**stacked['params'], 'head': heads['params']['head']},
        'batch_stats': stacked['batch_stats'],
    }
    return {**variables, 'link': link} if link else variables


def check_memory(network: int, members: int) -> None:
    """Raises ValueError where whole networks of so many bytes do not fit the memory, one for each member and one on its
    way to the devices."""
    needed, free = 2 * network * members, limits.free_memory()
    if needed > free:
        say = 'They share their networks, so train the arms and seeds to be explained as a population of their own'
        text = f'{members:,} heads as whole networks take {needed / GIB:.1f} GiB, and {free / GIB:.1f} are free.'
        raise ValueError(f'{text} {say}: their features are there already.')
