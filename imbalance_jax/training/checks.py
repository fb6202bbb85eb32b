"""From a config to a trained population in a working directory: `config -> objects -> loop -> predictions, tables`."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imbalance_jax import alignment, attribution, models
from imbalance_jax.attribution import layers as activations
from imbalance_jax.concepts.nulls import NULLS
from imbalance_jax.data import sources as datasets
from imbalance_jax.names import lookup


def check_explanation(config: ConfigDict, model, image_shape: tuple[int, int, int], num_images: int) -> None:
    """Raises ValueError for whatever `explain` would trip over after training: methods, their options, layers."""
    image = jnp.zeros((1, *image_shape))
    for method in config.attribution.methods:
        attribution.options.check(method, dict(config.attribution.get(method, {})), image)
    for metric in config.attribution.metrics:
        lookup(alignment.METRICS, metric, 'alignment metric')
    try:
        variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
    except (TypeError, AttributeError, OverflowError) as error:
        options = dict(config.model.get(config.model.name, {}))
        reason = ' '.join(str(error).split())
        raise ValueError(f'config.model.{config.model.name} is {options}: {reason}') from error
    activations.last_stage(model, variables, image_shape, config.attribution.layer)
    main = activations.last_stage(model, variables, image_shape, config.concepts.layer)
    shapes = activations.layer_shapes(model, variables, image_shape)
    check(config.concepts, shapes, main, min(num_images, config.concepts.max_images))


def check_blocks(config: ConfigDict) -> None:
    """Raises ValueError for a block of options of a data set, model or attribution method that there is not.

    So it does for an option that the function of that name does not take, in use or not.
    """
    tables: dict[str, tuple[Mapping[str, Any], str]] = {
        'data': (datasets.DATASETS, 'data set'),
        'model': (models.MODELS, 'model'),
        'attribution': (attribution.METHODS, 'attribution method'),
    }
    for block, (table, what) in tables.items():
        for name, options in config[block].items():
            if not isinstance(options, ConfigDict) or (block, name) == ('data', 'imbalance'):
                continue
            function = lookup(table, name, f'{what} in config.{block}:')
            if block == 'data':
                datasets.check_options(name, options)
                continue
            for option in options:
                lookup(inspect.signature(function).parameters, option, f'option of {what} {name!r}:')


LEAST = {'rounds': 2, 'greedy_steps': 0, 'probe_folds': 2, 'probe_controls': 1, 'tcav_directions': 1, 'logit_steps': 1}


def check(settings: Mapping, shapes: Mapping[str, tuple[int, ...]], main: str, images: int) -> None:
    """Raises ValueError for a field of `config.concepts` that would fail after training.

    shapes: the layers that the model has, name -> (h, w, U); main: the one most is asked of; images: of the probe set.
    """
    asked = [name for name in (*settings['layers'], settings['tcav_layer']) if name not in ('', 'all')]
    for name in asked:
        lookup(shapes, name, 'layer in config.concepts:')
    lookup(dict.fromkeys(NULLS), settings['null'], 'null model in config.concepts.null:')
    for field, number in LEAST.items():
        if settings[field] < number:
            raise ValueError(f'config.concepts.{field} is {settings[field]!r}; it must be {number} or more.')
    for field in ('quantile', 'count_quantile', 'carrying_share'):
        if not 0 < settings[field] < 1:
            raise ValueError(f'config.concepts.{field} is {settings[field]!r}; it must lie between 0 and 1.')
    for name in shapes if 'all' in settings['layers'] else [main, *asked]:
        positions = math.prod(shapes[name][:2]) * images
        if settings['quantile'] * positions < 1:
            share = f'{settings["quantile"]} of the {positions} positions of {name} in the test images'
            raise ValueError(f'config.concepts.quantile: {share} is less than one; take a larger share or more images.')
