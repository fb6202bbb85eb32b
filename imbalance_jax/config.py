"""Checks of a config: every field known, of the right type and in range, before anything else happens."""

import math
from collections.abc import Callable

from ml_collections import ConfigDict

from imbalance_jax.names import lookup
from imbalance_jax.system.files import flatten

# Blocks of options, which are checked by what they are options of.
BLOCKS = ('data.', 'model.', 'attribution.')
SHARES = 'data.imbalance'  # class -> prevalence
WORDS = ('loss', 'sampler', 'head', 'labels')  # the fields of an arm that are no numbers

Rule = tuple[Callable, str]
POSITIVE: Rule = (lambda v: 0 < v < math.inf, 'more than 0, and finite')
COUNT: Rule = (lambda v: v >= 1, '1 or more')
MOST = 2**31  # whole numbers are below it: they are counted in 32 bits
NOT_NEGATIVE: Rule = (lambda v: 0 <= v < math.inf, '0 or more, and finite')
SHARE: Rule = (lambda v: 0 < v < 1, 'between 0 and 1')


def one_of(*names: str) -> Rule:
    return lambda v: v in names, ' or '.join(map(repr, names))


REGIONS = one_of('box', 'exact')
NORM, DTYPE = one_of('batch', 'group'), one_of('float32', 'bfloat16')
RULES: dict[str, Rule] = {
    'data.image_size': (lambda v: v >= 16, '16 or more'),
    'data.order': one_of('own', 'shared'),
    'data.imbalance_seed': NOT_NEGATIVE,
    'augment.shift': (lambda v: 0 <= v < 0.5, 'in 0..0.5'),
    'augment.rotation': (lambda v: 0 <= v <= 180, 'in 0..180'),
    'augment.scale': (lambda v: 0 <= v < 1, 'in 0..1'),
    'augment.brightness': NOT_NEGATIVE,
    'augment.contrast': NOT_NEGATIVE,
    'train.epochs': COUNT,
    'train.batch_size': COUNT,
    'train.learning_rate': POSITIVE,
    'train.weight_decay': NOT_NEGATIVE,
    'train.warmup_steps': NOT_NEGATIVE,
    'train.rate_floor': (lambda v: 0 <= v <= 1, 'in 0..1'),
    'train.steps_per_dispatch': COUNT,
    'train.save_seconds': POSITIVE,
    'train.patience': NOT_NEGATIVE,
    'population.memory_gib': NOT_NEGATIVE,
    'evaluate.batch_size': COUNT,
    'evaluate.bootstrap_rounds': COUNT,
    'evaluate.bootstrap_seed': NOT_NEGATIVE,
    'attribution.regions': REGIONS,
    'concepts.regions': REGIONS,
    'attribution.batch_size': COUNT,
    'attribution.memory_mib': POSITIVE,
    'attribution.max_pairs': NOT_NEGATIVE,
    'attribution.faithfulness_pairs': NOT_NEGATIVE,
    'concepts.max_images': (lambda v: v >= 16, '16 or more'),
    'concepts.quantile': SHARE,
    'concepts.count_quantile': SHARE,
    'concepts.rounds': (lambda v: v >= 2, '2 or more'),
    'concepts.greedy_steps': NOT_NEGATIVE,
    'concepts.carrying_share': SHARE,
    'concepts.probe_folds': (lambda v: v >= 2, '2 or more'),
    'concepts.probe_controls': COUNT,
    'concepts.tcav_directions': COUNT,
    'concepts.logit_steps': COUNT,
    'data.folder': (bool, 'the name of a folder'),
    'data.nih_chest_xray14.validation_fraction': SHARE,
    'data.nih_chest_xray14.split': one_of('official', 'by_patient', 'chexnet'),
    'model.cnn.pools': NOT_NEGATIVE,
    'model.cnn.norm': NORM,
    'model.cnn.dtype': DTYPE,
    'model.resnet18.width': COUNT,
    'model.resnet18.stem': one_of('imagenet', 'small'),
    'model.resnet18.norm': NORM,
    'model.resnet18.dtype': DTYPE,
}


def check(config: ConfigDict, base: ConfigDict) -> None:
    """Raises ValueError naming the first field that `base` does not have, or whose type or value is wrong."""
    tree, base_tree = config.to_dict(), base.to_dict()
    _check_arms(tree.get('arms'))
    known, fields = flatten(base_tree), flatten(tree)
    for name, expected in known.items():
        if name.startswith('arms.') or isinstance(expected, dict):
            continue
        if isinstance(value := _get(tree, name), dict):
            raise ValueError(f'config.{name} is a block, {value!r}; it must be a {type(expected).__name__}.')
        if not name.startswith(BLOCKS) and name not in fields:
            raise ValueError(f'config.{name} is missing; start from configs/base.py, which has every field.')
    for name, value in fields.items():
        if name.startswith(('arms.', f'{SHARES}.')) or name == SHARES:
            continue
        if name not in known and _is_option(name):
            _check_plain(name, value)
        else:
            _check_field(name, value, lookup(known, name, 'config field'))
    _check_shares(tree['data'].get('imbalance', {}))


def _check_field(name: str, value, expected) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not _same_kind(value, expected):
        kind = type(expected).__name__
        raise ValueError(f'config.{name} is {value!r}, a {type(value).__name__}; it must be a {kind}.')
    if isinstance(expected, (tuple, list)) and expected:
        for one in value:
            if not _same_kind(one, expected[0]):
                kind = type(expected[0]).__name__
                raise ValueError(f'config.{name} has {one!r}, a {type(one).__name__}; it must have {kind} only.')
    valid, text = RULES.get(name, (lambda v: True, ''))
    if not valid(value):
        raise ValueError(f'config.{name} is {value!r}; it must be {text}.')
    if whole and isinstance(expected, int) and value >= MOST:
        raise ValueError(f'config.{name} is {value!r}; it must be less than {MOST}.')


def _check_plain(name: str, value) -> None:
    """What a new data set, model or method brings: a number, a word, or several."""
    values = value if isinstance(value, (tuple, list)) and value else [value]
    if not all(one is None or isinstance(one, (bool, int, float, str)) for one in values):
        raise ValueError(f'config.{name} is {value!r}; an option is a number, a word, or a tuple of them.')


def _check_arms(arms) -> None:
    """An arm is a block of numbers and words; which ones, its loss and its sampler say."""
    if not isinstance(arms, dict) or not arms:
        raise ValueError(f"config.arms is {arms!r}; it must have at least one arm, such as {{'bce': {{}}}}.")
    for name, arm in arms.items():
        if not isinstance(arm, dict):
            raise ValueError(f'config.arms.{name} is {arm!r}; it must be a block such as {{}} or {{"gamma": 2.0}}.')
        for key, value in arm.items():
            if key in WORDS and not isinstance(value, str):
                raise ValueError(f'config.arms.{name}.{key} is {value!r}; it must be a name.')
            if key not in WORDS and (isinstance(value, (bool, str)) or not isinstance(value, (int, float, type(None)))):
                raise ValueError(f'config.arms.{name}.{key} is {value!r}; it must be a number.')


def _check_shares(shares) -> None:
    if not isinstance(shares, dict):
        raise ValueError(f'config.{SHARES} is {shares!r}; it must be a block of shares by class, such as {{}}.')
    for name, value in shares.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value <= 1:
            raise ValueError(f'config.data.imbalance.{name} is {value!r}; it must be a share above 0, at most 1.')


def _get(tree: dict, name: str):
    for key in name.split('.'):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _is_option(name: str) -> bool:
    """Whether a field is an option of a data set, a model or an attribution method."""
    block, _, option = name.rpartition('.')
    return block.startswith(BLOCKS) and block.count('.') == 1 and bool(option)


def _same_kind(value, expected) -> bool:
    if isinstance(value, bool) or isinstance(expected, bool):
        return isinstance(value, bool) and isinstance(expected, bool)
    if isinstance(expected, float):
        return isinstance(value, (int, float))
    if isinstance(expected, (tuple, list)):
        return isinstance(value, (tuple, list))
    return isinstance(value, type(expected))
