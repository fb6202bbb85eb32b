"""Checks of a config: every field known, of the right type and in range, before anything else happens."""

import math
from collections.abc import Callable

from ml_collections import ConfigDict

from imbalance_jax.files import flatten
from imbalance_jax.names import lookup

# Blocks of options, which are checked by what they are options of.
BLOCKS = ('arms', 'data.', 'model.', 'attribution.')

Rule = tuple[Callable, str]
POSITIVE: Rule = (lambda v: 0 < v < math.inf, 'more than 0, and finite')
COUNT: Rule = (lambda v: v >= 1, '1 or more')
NOT_NEGATIVE: Rule = (lambda v: 0 <= v < math.inf, '0 or more, and finite')
SHARE: Rule = (lambda v: 0 < v < 1, 'between 0 and 1')
REGIONS: Rule = (lambda v: v in ('box', 'exact'), "'box' or 'exact'")
NULLS = ('image_permutation', 'circular_shift')
RULES: dict[str, Rule] = {
    'data.image_size': (lambda v: v >= 16, '16 or more'),
    'data.order': (lambda v: v in ('own', 'shared'), "'own' or 'shared'"),
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
    'attribution.max_pairs': NOT_NEGATIVE,
    'concepts.max_images': (lambda v: v >= 16, '16 or more'),
    'concepts.quantile': SHARE,
    'concepts.count_quantile': SHARE,
    'concepts.rounds': (lambda v: v >= 2, '2 or more'),
    'concepts.null': (lambda v: v in NULLS, ' or '.join(map(repr, NULLS))),
}


def check(config: ConfigDict, base: ConfigDict) -> None:
    """Raises ValueError naming the first field that `base` does not have, or whose type or value is wrong."""
    known, fields = flatten(base.to_dict()), flatten(config.to_dict())
    for name in known:
        if not name.startswith(BLOCKS) and name not in fields:
            raise ValueError(f'config.{name} is missing; start from configs/base.py, which has every field.')
    for name, value in fields.items():
        if name not in known and _is_option(name):
            continue
        expected = lookup(known, name, 'config field')
        if not _same_kind(value, expected):
            kind = type(expected).__name__
            raise ValueError(f'config.{name} is {value!r}, a {type(value).__name__}; it must be a {kind}.')
        valid, text = RULES.get(name, (lambda v: True, ''))
        if not valid(value):
            raise ValueError(f'config.{name} is {value!r}; it must be {text}.')


def _is_option(name: str) -> bool:
    """Whether a field is an option of an arm, a data set, a model or an attribution method."""
    block = name.rpartition('.')[0]
    return block.startswith(BLOCKS)


def _same_kind(value, expected) -> bool:
    if isinstance(value, bool) or isinstance(expected, bool):
        return isinstance(value, bool) and isinstance(expected, bool)
    if isinstance(expected, float):
        return isinstance(value, (int, float))
    if isinstance(expected, (tuple, list)):
        return isinstance(value, (tuple, list))
    return isinstance(value, type(expected))
