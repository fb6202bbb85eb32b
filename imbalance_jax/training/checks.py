"""What can be wrong with a config or its data is said here, with what would be valid, before anything is compiled."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imbalance_jax import alignment, attribution, models
from imbalance_jax.attribution import layers as activations
from imbalance_jax.concepts.nulls import NULLS
from imbalance_jax.data import samplers, sources
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.names import lookup
from imbalance_jax.training import strategies
from imbalance_jax.training.members import HEADS, LABELS
from imbalance_jax.training.network import Network
from imbalance_jax.training.trained import Stage


def check_config(config: ConfigDict) -> None:
    """Raises ValueError for what the config alone shows to be wrong; `build.make_members` checks its arms and seeds."""
    check_blocks(config)
    if config.population.strategy != 'auto':
        strategies.parse(config.population.strategy)


def check_before_compiling(
    config: ConfigDict, dataset: Dataset, untrained: Network, *, stages: Mapping[str, Stage]
) -> None:
    """Raises ValueError for what the config and its data show to be wrong, also for what `explain` will ask later."""
    check_batch_size(config.train.batch_size, len(dataset.rows('train')))
    height, width, channels = dataset.images.shape[1:]
    image_shape, num_images = (height, width, channels), len(dataset.rows('test'))
    check_network(config, untrained, image_shape)
    check_explanation(config, untrained, image_shape, num_images)
    for stage in stages.values():
        if stage.check is not None:
            stage.check(config, untrained, image_shape, num_images)


def check_population(arms: Mapping[str, Any], seeds: Sequence[Any], reference: str) -> None:
    """Raises ValueError without seeds, for seeds that are no different whole numbers, or a reference that is no arm."""
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise ValueError(f'config.seeds must be one or more different whole numbers below 2^32, not {tuple(seeds)}.')
    if reference not in arms:
        raise ValueError(f'config.reference is {reference!r}, which is no arm. Arms: {", ".join(sorted(arms))}.')


def check_members(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError for the first field of a row of members.json that cannot be; the loss checks its own."""
    for row in rows:
        name = f'config.arms.{row["arm"]}'
        for field, least in (('learning_rate', 'more than 0'), ('weight_decay', '0 or more')):
            value = row[field]
            number = isinstance(value, (int, float)) and math.isfinite(value)
            if not number or value < 0 or (value == 0 and field == 'learning_rate'):
                raise ValueError(f'{name}.{field} is {value!r}; it must be a finite number, {least}.')
        lookup(HEADS, row['head'], f'head of {name}:')
        lookup(LABELS, row['labels'], f'labels of {name}:')
        lookup(samplers.SAMPLERS, row['sampler'], 'sampler')
        start = row['retrain_head_from']
        if not isinstance(start, (int, float)) or not 0 < start <= 1:
            raise ValueError(f'{name}.retrain_head_from is {start!r}; it must be more than 0 and at most 1.')


def check_batch_size(batch_size: int, num_images: int) -> None:
    """Raises ValueError for a batch that the training images cannot fill."""
    if num_images < batch_size:
        raise ValueError(f'config.train.batch_size {batch_size} is more than the {num_images} training images.')


def check_network(config: ConfigDict, untrained: Network, image_shape: tuple[int, int, int]) -> None:
    """Raises ValueError for options that the model cannot be built with."""
    try:
        _variables(untrained, image_shape)
    except (TypeError, AttributeError, OverflowError) as error:
        options = dict(config.model.get(config.model.name, {}))
        reason = ' '.join(str(error).split())
        raise ValueError(f'config.model.{config.model.name} is {options}: {reason}') from error


def _variables(untrained: Network, image_shape: tuple[int, int, int]) -> Any:
    """The shapes of a network's variables."""
    image = jnp.zeros((1, *image_shape))
    return jax.eval_shape(lambda: untrained.model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))


def check_explanation(
    config: ConfigDict, untrained: Network, image_shape: tuple[int, int, int], num_images: int
) -> None:
    """Raises ValueError for whatever `explain` would trip over after training: methods, their options, layers."""
    image = jnp.zeros((1, *image_shape))
    for method in config.attribution.methods:
        attribution.options.check(method, dict(config.attribution.get(method, {})), image)
    for metric in config.attribution.metrics:
        lookup(alignment.METRICS, metric, 'alignment metric')
    variables = _variables(untrained, image_shape)
    activations.last_stage(untrained.model, variables, image_shape, config.attribution.layer)
    main = activations.last_stage(untrained.model, variables, image_shape, config.concepts.layer)
    shapes = activations.layer_shapes(untrained.model, variables, image_shape)
    check(config.concepts, shapes, main, min(num_images, config.concepts.max_images))


def check_blocks(config: ConfigDict) -> None:
    """Raises ValueError for a block of options of a data set, model or attribution method that there is not.

    So it does for an option that the function of that name does not take, in use or not.
    """
    known: dict[str, tuple[Mapping[str, Any], str]] = {
        'data': (sources.DATASETS, 'data set'),
        'model': (models.MODELS, 'model'),
        'attribution': (attribution.METHODS, 'attribution method'),
    }
    for block, (table, kind) in known.items():
        for name, value in config[block].items():
            if isinstance(value, ConfigDict) and (block, name) != ('data', 'imbalance'):
                entry = lookup(table, name, f'{kind} in config.{block}:')
                options = inspect.signature(entry.make if block == 'data' else entry).parameters
                for option in value:
                    lookup(options, option, f'option of {kind} {name!r}:')


LEAST = {'rounds': 2, 'greedy_steps': 0, 'probe_folds': 2, 'probe_controls': 1, 'tcav_directions': 1, 'logit_steps': 1}


def check(settings: Mapping, shapes: Mapping[str, tuple[int, ...]], main: str, images: int) -> None:
    """Raises ValueError for a field of `config.concepts` that would fail after training.

    shapes: the layers that the model has, name -> (h, w, U); main: the one most is asked of; images: of the probe set.
    """
    named = [name for name in (*settings['layers'], settings['tcav_layer']) if name not in ('', 'all')]
    for name in named:
        lookup(shapes, name, 'layer in config.concepts:')
    lookup(dict.fromkeys(NULLS), settings['null'], 'null model in config.concepts.null:')
    for field, number in LEAST.items():
        if settings[field] < number:
            raise ValueError(f'config.concepts.{field} is {settings[field]!r}; it must be {number} or more.')
    for field in ('quantile', 'count_quantile', 'carrying_share'):
        if not 0 < settings[field] < 1:
            raise ValueError(f'config.concepts.{field} is {settings[field]!r}; it must lie between 0 and 1.')
    for name in shapes if 'all' in settings['layers'] else [main, *named]:
        positions = math.prod(shapes[name][:2]) * images
        if settings['quantile'] * positions < 1:
            share = f'{settings["quantile"]} of the {positions} positions of {name} in the test images'
            raise ValueError(f'config.concepts.quantile: {share} is less than one; take a larger share or more images.')
