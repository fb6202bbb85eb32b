"""Checks of a config: every field known, of the right type and in range, before anything else happens."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from imbalance_jax.config.fields import (
    ARM_FIELDS,
    MAPS,
    NAMED_BY_USER,
    POLICIES,
    PREPROCESSING,
    SHARES,
    WITHIN,
    OptionsOf,
    arm_options,
    below_one,
    check_kind,
    flatten_fields,
    is_option,
    kind_of,
    of_arm,
    option_default,
    survives,
)
from imbalance_jax.names import lookup, repeated
from imbalance_jax.system.files import flatten

MOST = 2**31  # whole numbers are below it: they are counted in 32 bits

Rule = tuple[Callable[[Any], bool], str]
POSITIVE: Rule = (lambda v: 0 < v < math.inf, 'more than 0, and finite')
COUNT: Rule = (lambda v: v >= 1, '1 or more')
NOT_NEGATIVE: Rule = (lambda v: 0 <= v < math.inf, '0 or more, and finite')
SHARE: Rule = (lambda v: v > 0 and below_one(v), 'between 0 and 1')
FROM_ZERO: Rule = (lambda v: v >= 0 and below_one(v), '0 or more, and below 1')
WORDS: Rule = (
    lambda v: all(isinstance(one, str) and one for one in v) and not repeated(v),
    'words, each a name, and none twice',
)


def one_of(*names: str) -> Rule:
    """The rule that a value is one of these."""
    return lambda v: v in names, ' or '.join(map(repr, names))


REGIONS = one_of('box', 'exact')
MATMUL = one_of('default', 'float32', 'tensorfloat32', 'bfloat16')
NORM, DTYPE, STEM = one_of('batch', 'group'), one_of('float32', 'bfloat16'), one_of('imagenet', 'small')


def _are_finite(values: Any) -> bool:
    return all(isinstance(one, (int, float)) and math.isfinite(one) for one in values)


RULES: dict[str, Rule] = {
    'data.image_size': (lambda v: v >= 16, '16 or more'),
    'data.test_on': WORDS,
    'plugins': WORDS,
    'attribution.metrics': WORDS,
    'concepts.layers': WORDS,
    'data.task': one_of('', 'multi_label', 'multi_class'),
    'data.order': one_of('own', 'shared'),
    'data.stream': one_of('auto', 'always', 'never'),
    'data.imbalance_seed': NOT_NEGATIVE,
    'augment.shift': (lambda v: 0 <= v < 0.5, '0 or more, and below 0.5'),
    'augment.rotation': (lambda v: 0 <= v <= 180, 'in 0..180'),
    'augment.scale': FROM_ZERO,
    'augment.brightness': (lambda v: 0 <= v <= 1, 'in 0..1, of the range from black to white'),
    'augment.contrast': FROM_ZERO,
    'augment.flip': one_of('auto', 'none', 'horizontal', 'both'),
    'augment.colour': one_of('auto', 'none', 'jitter'),
    'augment.saturation': (lambda v: 0 <= v <= 1, 'in 0..1'),
    'augment.hue': (lambda v: 0 <= v <= 0.5, 'in 0..0.5'),
    'model.preprocessing.name': one_of('', *PREPROCESSING),
    'model.preprocessing.size': one_of('set', 'weights'),
    'model.preprocessing.resize': NOT_NEGATIVE,
    'model.preprocessing.crop': NOT_NEGATIVE,
    'model.preprocessing.interpolation': one_of('bilinear', 'bicubic', 'lanczos'),
    'train.epochs': COUNT,
    'train.batch_size': COUNT,
    'train.learning_rate': POSITIVE,
    'train.weight_decay': NOT_NEGATIVE,
    'train.warmup_steps': NOT_NEGATIVE,
    'train.rate_floor': (lambda v: 0 <= v <= 1, 'in 0..1'),
    'train.steps_per_dispatch': COUNT,
    'train.save_seconds': POSITIVE,
    'train.patience': NOT_NEGATIVE,
    'train.features': one_of('recompute', 'cached'),
    'train.kept_shares': (
        lambda v: all(0 < one <= 1 for one in v) and not repeated(v),
        'different shares of training, above 0 and at most 1',
    ),
    'population.memory_gib': NOT_NEGATIVE,
    'evaluate.batch_size': COUNT,
    'evaluate.bootstrap_rounds': (lambda v: v >= 2, '2 or more'),
    'evaluate.bootstrap_seed': NOT_NEGATIVE,
    'evaluate.margin.auroc': SHARE,
    'evaluate.margin.average_precision': SHARE,
    'evaluate.tail': (lambda v: len(v) == 2 and 0 < v[0] <= v[1], 'two numbers above 0, the smaller one first'),
    'evaluate.smallest_effect': FROM_ZERO,
    'evaluate.smallest_count': NOT_NEGATIVE,
    'model.preprocessing.low': (math.isfinite, 'a finite number'),
    'model.preprocessing.high': (math.isfinite, 'a finite number'),
    'model.preprocessing.mean': (_are_finite, 'finite numbers, one per channel'),
    'model.preprocessing.std': (
        lambda v: _are_finite(v) and all(one > 0 for one in v),
        'positive numbers, one per channel',
    ),
    'attribution.methods': (lambda v: v and not repeated(v), 'at least one method, such as saliency, and none twice'),
    'precision.train': MATMUL,
    'precision.explain': MATMUL,
    'attribution.regions': REGIONS,
    'concepts.regions': REGIONS,
    'attribution.anatomy_margin': (lambda v: 0 <= v < 1, '0 or more, and below 1, in image heights'),
    'attribution.batch_size': COUNT,
    'attribution.memory_mib': NOT_NEGATIVE,
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
    'concepts.tcav_directions': (lambda v: v >= 3, '3 or more'),  # each is held against the spread of the others
    'concepts.logit_steps': COUNT,
    'twins.patients': (lambda v: v >= 2, '2 or more'),
    'twins.pairs': COUNT,
    'data.folder': (bool, 'the name of a folder'),
    'data.nih_chest_xray14.validation_fraction': SHARE,
    'data.nih_chest_xray14.split': one_of('official', 'by_patient', 'chexnet'),
    **{
        f'model.{model}.{option}': rule
        for model in ('cnn', 'resnet18', 'resnet34', 'resnet50', 'densenet121', 'densenet121_truncated', 'mobilenet_v2')
        for option, rule in {'pools': NOT_NEGATIVE, 'width': COUNT, 'stem': STEM, 'norm': NORM, 'dtype': DTYPE}.items()
    },
}


def check(config: ConfigDict, base: ConfigDict, options: OptionsOf | None = None) -> None:
    """Raises ValueError naming the first field that `base` does not have, or whose type or value is wrong.

    options: says what data sets, models, methods, losses and samplers take; without it their options are any numbers
    and words, to be checked by whoever uses them. It is asked only for what `base` does not list.
    """
    tree, base_tree = config.to_dict(), base.to_dict()
    _check_arms(tree.get('arms'), options)
    name = tree['data'].get('name')
    if isinstance(name, str) and _is_field_of_data(name, base_tree['data']):
        raise ValueError(
            f'config.data.name is {name!r}, but config.data.{name} is a field of its own; take another name.'
        )
    _check_whole(tree, base_tree)
    known = flatten(base_tree)
    for name, value in flatten_fields(tree).items():
        if name in known:
            check_kind(name, value, known[name])
        elif not is_option(name):
            lookup(known, name, 'config field')
        elif options is None:
            _check_plain(name, value)
        else:
            check_kind(name, value, option_default(tree, name, options))
        _check_range(name, value)
    if odd := [one for one in tree.get('plugin_folders', ()) if not isinstance(one, str)]:
        raise ValueError(f'config.plugin_folders has {odd[0]!r}; expected folders, as texts.')
    _check_shares(tree['data'].get('imbalance', {}))
    for field, example in ((POLICIES, "{'uncertain': 'ones'}"), (MAPS, "{'Effusion': 'Pleural Effusion'}")):
        _check_blocks(tree['data'].get(field.removeprefix('data.'), {}), field, example)


def check_ranges(config: ConfigDict) -> None:
    """Raises ValueError naming the first field that is out of range, also for a config that came without a file."""
    for name, value in flatten_fields(config.to_dict()).items():
        _check_range(name, value)


def _is_field_of_data(name: str, data: Mapping[str, Any]) -> bool:
    """Whether config.data.NAME is no block of a data set's options, but a field, or a block of the user's own names."""
    return f'data.{name}' in NAMED_BY_USER or (name in data and not isinstance(data[name], Mapping))


def _check_whole(tree: dict, base_tree: dict) -> None:
    """Every field of the base is there, and none is a block that is none; options may be left out."""
    fields = flatten(tree)
    for name, expected in flatten(base_tree).items():
        if name.startswith('arms.') or isinstance(expected, dict):
            continue
        if isinstance(value := _get(tree, name), dict):
            raise ValueError(f'config.{name} is a block, {value!r}; it must be {kind_of(expected)}.')
        if not is_option(name) and name not in fields:
            raise ValueError(f'config.{name} is missing; start from configs/base.py, which has every field.')


def _check_range(name: str, value: Any) -> None:
    valid, text = RULES.get(name, (lambda v: True, ''))
    try:
        in_range = valid(value)
    except TypeError:
        in_range = False
    if not in_range:
        raise ValueError(f'config.{name} is {value!r}; it must be {text}.')
    if not all(map(survives, value if isinstance(value, (tuple, list)) else [value])):
        raise ValueError(f'config.{name} is {value!r}; it must be {WITHIN}.')
    if isinstance(value, int) and not isinstance(value, bool) and value >= MOST:
        raise ValueError(f'config.{name} is {value!r}; it must be less than {MOST}.')


def _check_plain(name: str, value: Any) -> None:
    """What a new data set, model or method brings: a number, a word, or several."""
    if isinstance(value, dict) and name.startswith('data.'):
        return  # a block that the data set's source checks
    values = value if isinstance(value, (tuple, list)) and value else [value]
    if not all(one is None or isinstance(one, (bool, int, float, str)) for one in values):
        raise ValueError(f'config.{name} is {value!r}; an option is a number, a word, or a tuple of them.')


def _check_arms(arms: Any, options: OptionsOf | None) -> None:
    """An arm is a block of its own fields and of the options of its loss and its sampler."""
    if not isinstance(arms, dict) or not arms:
        raise ValueError(f"config.arms is {arms!r}; it must have at least one arm, such as {{'bce': {{}}}}.")
    for name, arm in arms.items():
        if not isinstance(arm, dict):
            raise ValueError(f'config.arms.{name} is {arm!r}; it must be a block such as {{}} or {{"gamma": 2.0}}.')
        for key in arm.keys() & ARM_FIELDS.keys():
            check_kind(f'arms.{name}.{key}', arm[key], ARM_FIELDS[key])
        brought = {key: value for key, value in arm.items() if key not in ARM_FIELDS}
        known = arm_options(name, arm, options) if options and brought else None
        for key, value in brought.items():
            field = f'arms.{name}.{key}'
            if known is None:
                _check_plain(field, value)
            else:
                of_arm(name, key, known)
                check_kind(field, value, known[key])


def _check_shares(shares: Any) -> None:
    if not isinstance(shares, dict):
        raise ValueError(f'config.{SHARES} is {shares!r}; it must be a block of shares by class, such as {{}}.')
    for name, value in shares.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value <= 1:
            raise ValueError(f'config.{SHARES}.{name} is {value!r}; it must be a share above 0, at most 1.')


def _check_blocks(own: Any, field: str, example: str) -> None:
    """A field whose names are the user's own holds blocks; what they say is checked where they are read."""
    for name, block in own.items() if isinstance(own, dict) else [('', own)]:
        if not isinstance(block, dict):
            named = f'{field}.{name}'.rstrip('.')
            raise ValueError(f'config.{named} is {block!r}; it must be a block, such as {example}.')


def _get(tree: dict, name: str) -> Any:
    value: Any = tree
    for key in name.split('.'):
        value = value.get(key) if isinstance(value, dict) else None
    return value
