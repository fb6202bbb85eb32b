"""What a config may hold: which fields, of which kind, and where the options of a data set, model, method or arm stand.

config.FIELD, config.BLOCK.FIELD         a field of configs/base.py
config.data.NAME.OPTION                  an option of a data set; so `model` and `attribution`
config.data.imbalance.CLASS              a share
config.data.policies.POLICY.FIELD        a field of a label policy, or of its rule for a class
config.data.label_maps.NAME.CLASS        what a class is called in another data set
config.arms.ARM.FIELD                    a field of an arm, or an option of its loss or its sampler
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from imbalance_jax.names import lookup
from imbalance_jax.system.files import flatten

SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # numbers of 32 bits
WITHIN = f'0 or between {SMALLEST:.2g} and {LARGEST:.2g}, with either sign: networks compute in 32 bits'
BLOCKS = ('data', 'model', 'attribution')
# How and where a population is run, not what it is.
OF_THE_MACHINE = ('population', 'plugin_folders', 'data.folder', 'data.stream')
SHARES = 'data.imbalance'  # class -> prevalence
POLICIES = 'data.policies'  # name -> label policy
MAPS = 'data.label_maps'  # data set -> class -> the same class there
NAMED_BY_USER = (SHARES, POLICIES, MAPS)  # fields whose names are the user's own
NO_OPTIONS = (*NAMED_BY_USER, 'model.preprocessing')  # blocks that are no data set's and no model's
_INSIDE = tuple(f'{name}.' for name in NAMED_BY_USER)
# What an arm has beside the options of its loss and its sampler, with values of the kind that each must be; those of
# `members.DEFAULTS` are also what an arm has that does not set them.
WEIGHTS = ('pos_weight', 'pos_weights', 'class_weight', 'class_weights', 'weight')  # of classes, as elsewhere
ARM_FIELDS = {
    'loss': 'bce',
    'sampler': 'natural',
    'learning_rate': 4e-4,
    'weight_decay': 1e-6,
    'head': 'linear',
    'retrain_head_from': 1.0,
    'head_loss': '',
    'labels': 'own',
    'weights': '',
    'preprocessing': '',
    'frozen': 0.0,
    'unfreeze': 'at_once',
    'unfreeze_at': (),
    'layer_decay': 1.0,
    'optimizer': 'adam',
    'decay_norms': True,
    'ema': 0.0,
    'label_smoothing': 0.0,
    'clip_norm': 0.0,
}
PREPROCESSING = ('imagenet', 'xrv', 'own', 'given')  # what weights may want of an image
KINDS = {bool: 'True or False', int: 'a whole number', float: 'a number', str: 'a word', tuple: 'a tuple'}

# options(kind, name, block) -> what `name` takes, with defaults. kind: 'data', 'model', 'attribution', 'loss' or
# 'sampler'; block: what is set already. ValueError for a name that there is not.
OptionsOf = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]


def is_option(name: str) -> bool:
    """Whether a field is an option of a data set, a model or an attribution method."""
    parts = name.split('.')
    block = name.rpartition('.')[0]
    return len(parts) == 3 and parts[0] in BLOCKS and all(parts) and block not in NO_OPTIONS


def unread(tree: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Of the fields of these names, those that this config does not read -> why: options of a data set, a model or a
    method that it does not use."""
    sets = [text.partition(':')[0] for text in tree['data'].get('test_on', ())]
    used = {
        'data': ('config.data.name', [tree['data']['name'], *sets]),
        'model': ('config.model.name', [tree['model']['name']]),
        'attribution': ('config.attribution.methods', list(tree['attribution']['methods'])),
    }
    found = {}
    for name in names:
        block, _, kind = name.rpartition('.')[0].partition('.')
        if is_option(name) and kind not in used[block][1]:
            field, here = used[block]
            found[name] = f'{field} is {", ".join(here)}'
    return found


def flatten_fields(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config by their full names, but for those whose names are the user's own.

    An option of a data set that is a block itself stays whole: its source checks it.
    """
    fields: dict[str, Any] = {}
    for name, value in flatten(dict(tree)).items():
        block, *inner = name.split('.')
        if name in NAMED_BY_USER or _is_named_by_user(name):
            continue
        if block == 'data' and len(inner) > 2:
            fields['.'.join((block, *inner[:2]))] = tree[block][inner[0]][inner[1]]
        else:
            fields[name] = value
    return fields


def default_of(tree: Mapping[str, Any], name: str, options: OptionsOf | None) -> Any:
    """A value of the kind that a field must have: what is there, or the default of an option; of a block, itself.

    Raises ValueError, with the nearest name, for a field that there is not.
    """
    known = flatten(dict(tree))
    if name == 'arms':
        return tree['arms']
    if name.startswith('arms.'):
        return _arm_default(tree['arms'], name, options)
    if name.startswith(f'{SHARES}.'):
        return 1.0
    if name.startswith((f'{POLICIES}.', f'{MAPS}.')):
        return ''
    if name not in known and name.startswith('data.') and name.count('.') > 2:
        return None  # within a block that the data set's source checks
    if name not in known and is_option(name) and options:
        return option_default(tree, name, options)
    block = _at(tree, name)
    return block if isinstance(block, Mapping) else lookup(known, name, 'config field')


def _at(tree: Mapping[str, Any], name: str) -> Any:
    """What stands at config.BLOCK.FIELD; None where nothing does."""
    value: Any = tree
    for part in name.split('.'):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def option_default(tree: Mapping[str, Any], name: str, options: OptionsOf) -> Any:
    """The default of config.BLOCK.NAME.OPTION; None where any value will do."""
    block, kind, option = name.split('.')
    present = tree[block].get(kind) or {}
    return lookup(options(block, kind, present), option, f'option in config.{block}.{kind}:')


def arm_options(name: str, arm: Mapping[str, Any], options: OptionsOf) -> dict[str, Any]:
    """What an arm's loss, its head's loss and its sampler take, with defaults."""
    loss = options('loss', arm.get('loss', name), arm)
    of_head = options('loss', arm['head_loss'], arm) if arm.get('head_loss') else {}
    return {**of_head, **loss, **options('sampler', arm.get('sampler', 'natural'), arm)}


def check_kind(name: str, value: Any, expected: Any) -> None:
    """Raises ValueError unless a field's value is of the kind of another; with None, any number, word or tuple is."""
    if expected is None:
        return
    if not _is_same_kind(value, expected):
        raise ValueError(f'config.{name} is {value!r}; it must be {kind_of(expected)}.')
    if isinstance(expected, (tuple, list)) and expected:
        for one in value:
            if not _is_same_kind(one, expected[0]):
                raise ValueError(f'config.{name} has {one!r}; each of its values must be {kind_of(expected[0])}.')


def below_one(value: Any) -> bool:
    """Whether a number is still below 1 in the 32 bits that networks compute with."""
    return value < 1 - 2.0**-25  # what is nearer to 1 than to the number of 32 bits below it becomes 1


def survives(value: Any) -> bool:
    """Whether a number is still itself, neither infinite nor 0, in the 32 bits that networks compute with."""
    if not isinstance(value, (int, float)) or value == 0 or (isinstance(value, float) and not math.isfinite(value)):
        return True
    return SMALLEST <= abs(value) <= LARGEST


def kind_of(expected: Any) -> str:
    """What a value like `expected` is, in words."""
    if isinstance(expected, (tuple, list)):
        return f'a tuple, such as {tuple(expected)}'
    return KINDS.get(type(expected), f'a {type(expected).__name__}')


def _arm_default(arms: Mapping[str, Any], name: str, options: OptionsOf | None) -> Any:
    _, arm, *field = name.split('.')
    present = lookup(arms, arm, 'arm')
    if not field:
        return present
    option = '.'.join(field)
    if option in ARM_FIELDS or options is None:
        return ARM_FIELDS.get(option, present.get(option))
    return of_arm(arm, option, arm_options(arm, present, options))


def of_arm(arm: str, option: str, options: Mapping[str, Any]) -> Any:
    """The default of a field or option of an arm; ValueError for another. options: of its loss and sampler."""
    known = {**ARM_FIELDS, **options}
    if option in WEIGHTS and option not in known:
        ways = 'a loss weighs classes, such as weighted_bce or class_balanced_focal, or a sampler does'
        raise ValueError(f'config.arms.{arm} has {option!r}: {ways}.')
    return lookup(known, option, f'field or option in config.arms.{arm}:')


def _is_named_by_user(name: str) -> bool:
    return name == 'arms' or name.startswith(('arms.', *_INSIDE))


def _is_same_kind(value: Any, expected: Any) -> bool:
    if isinstance(value, bool) or isinstance(expected, bool):
        return isinstance(value, bool) and isinstance(expected, bool)
    if isinstance(expected, float):
        return isinstance(value, (int, float))
    if isinstance(expected, (tuple, list)):
        return isinstance(value, (tuple, list))
    return isinstance(value, type(expected))
