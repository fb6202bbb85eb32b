"""From a config and the points of a sweep to populations: what differs by a number is trained together.

Arms, losses, their hyper-parameters, learning rates, weight decay and seeds are data of a member; every other field is
a shape, a program or a data stream, and makes another population.
"""

import copy
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from imbalance_jax.config import fields, file, overrides
from imbalance_jax.config.fields import OptionsOf
from imbalance_jax.system.files import dumps, flatten

RATES = ('learning_rate', 'weight_decay')
NUMBERS = ('arms', 'seeds', *(f'train.{rate}' for rate in RATES))


def populations(
    config: ConfigDict, points: Iterable[Mapping[str, Any]], options: OptionsOf | None = None
) -> list[dict]:
    """The configs, as plain data, of the populations that cover every point of a sweep, in the order of the points.

    Points that differ by numbers only are one population. An arm that several of them give different numbers becomes
    several, named after what differs: `focal@gamma=5`; of a reference, the first remains it. Numbers that come with
    different seeds are different populations.
    Raises ValueError for a field that there is not, or that none of them reads, or a value of the wrong type.
    """
    groups: dict[str, list[dict]] = {}
    read: set[str] = set()
    unread: dict[str, str] = {}
    for point in points:
        plain = _plain(override(config, point, options))
        names = [name.removeprefix('config.') for name in point]
        without = fields.unread(plain, names)
        read |= set(names) - set(without)
        unread |= without
        shapes = {name: value for name, value in flatten(plain).items() if not _is_number(name)}
        groups.setdefault(dumps(shapes), []).append(plain)
    for name in unread.keys() - read:
        raise ValueError(f'config.{name} is swept, and no population reads it: {unread[name]}.')
    return [population for group in groups.values() for population in _join(group)]


def override(config: ConfigDict, point: Mapping[str, Any], options: OptionsOf | None = None) -> ConfigDict:
    """A copy of `config` with the fields of a point; their names may begin with `config.`."""
    changed = copy.deepcopy(config)
    overrides.apply_point(changed, point, options)
    file.expand_home(changed)
    if any(name.rpartition('.')[2] == 'weights' or name.endswith('arms') for name in point):
        file.find_weights(changed, (Path.cwd(),))
    return changed


def identity(plain: dict) -> str:
    """Twelve hexadecimal digits that name a population: equal configs are the same one, on every machine."""
    return hashlib.sha256(dumps(plain).encode()).hexdigest()[:12]


def differing(configs: list[dict]) -> list[dict]:
    """The fields of each config that not all have the same; of the members' numbers only the seeds."""
    flat = [{k: v for k, v in flatten(plain).items() if k == 'seeds' or not _is_number(k)} for plain in configs]
    names = sorted(set().union(*flat))
    names = [name for name in names if len({dumps(one.get(name)) for one in flat}) > 1]
    return [{name: one.get(name) for name in names} for one in flat]


def _is_number(name: str) -> bool:
    return name.startswith('arms.') or name in NUMBERS


def _plain(config: ConfigDict) -> dict:
    """The config as JSON has it: lists for tuples."""
    return json.loads(dumps(config.to_dict()))


def _join(group: list[dict]) -> list[dict]:
    """The populations of points that differ by numbers only: one for each choice of seeds."""
    first = group[0]
    variants: dict[tuple[str, str], list[int]] = {}
    for plain in group:
        for name in plain['arms']:
            seeds = variants.setdefault((name, dumps(_whole(plain, name))), [])
            seeds += [seed for seed in plain['seeds'] if seed not in seeds]
    labels = _labels([(name, json.loads(arm)) for name, arm in variants])
    references = [label for (name, _), label in labels.items() if name == first['reference']]
    populations_of: dict[str, dict] = {}
    for (name, arm), seeds in variants.items():
        label = labels[name, arm]
        members = populations_of.setdefault(dumps(sorted(seeds)), {'arms': {}, 'seeds': seeds})
        members['arms'][label] = _brief(first, name, label, json.loads(arm))
    return [_with_members(first, members, references) for members in populations_of.values()]


def _with_members(first: dict, members: dict, references: list[str]) -> dict:
    """A population of those arms and seeds; its reference is the first of `references` there, or its first arm."""
    present = [label for label in references if label in members['arms']]
    reference = (present or [min(members['arms'])])[0] if references else first['reference']
    return {**copy.deepcopy(first), **members, 'reference': reference}


def _whole(plain: dict, name: str) -> dict:
    """An arm with all that makes it what it is: its own fields, its loss and its rates."""
    rates = {rate: plain['train'][rate] for rate in RATES}
    return {'loss': name, **rates, **plain['arms'][name]}


def _brief(first: dict, name: str, label: str, arm: dict) -> dict:
    """The arm without what it would have anyway in the first point's config."""
    usual = {'loss': label, **{rate: first['train'][rate] for rate in RATES}}
    written = first['arms'].get(name, {})
    return {key: value for key, value in arm.items() if key in written or key not in usual or value != usual[key]}


def _labels(variants: list[tuple[str, dict]]) -> dict[tuple[str, str], str]:
    """(arm, its fields as JSON) -> a name of its own, the arm's if there is only one of it."""
    labels = {}
    for name, arm in variants:
        same = [other for other_name, other in variants if other_name == name]
        varied = [key for key in sorted(set().union(*same)) if len({dumps(other.get(key)) for other in same}) > 1]
        special = ','.join(f'{key}={_as_label(arm[key])}' for key in varied if key in arm)
        labels[name, dumps(arm)] = f'{name}@{special}' if special else name
    return labels


def _as_label(value: Any) -> str:
    """A value as part of an arm's name, which cannot have dots: 0.004 is 4e-3."""
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value).replace('.', '_')
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    number, power = ''.join(map(str, digits)), int(exponent)
    number = f'{number}e{power}' if power < 0 else number + '0' * power
    return f'-{number}' if sign else number
