"""The options of a method, checked by tracing it on a score of no consequence, before any network is there."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp

from imbalance_jax.attribution.cam import input_layer
from imbalance_jax.attribution.methods import METHODS, needs_key, needs_layer, wrapped
from imbalance_jax.names import is_ours, lookup, options_of
from imbalance_jax.system import environment, provenance, tracing

SCALES = 1.0, 4.0, 0.25  # of the images that a method is tried on, so that none is like another
NOT_OPTIONS = ('key', 'layer', 'mean', 'deviation', 'active')  # what whoever calls a method gives it


def check(name: str, options: Mapping[str, Any], images: jax.Array) -> None:
    """Raises ValueError for an unknown method, an option that it does not have, or a value it cannot work with.

    images: [1,H,W,C], as large as those that will be explained.
    """
    method = lookup(METHODS, name, 'attribution method')
    for option in options:
        lookup(known(name, options), option, f'option of attribution method {name!r}:')
    arguments = dict(options)
    if options.get('baseline') == 'black':
        arguments['baseline'] = 'zero'
    if needs_key(name):
        arguments['key'] = environment.key(0)
    if needs_layer(name, options):
        arguments['layer'] = input_layer(_score)
    try:
        maps = jax.eval_shape(partial(method, _score, **arguments), images)
        _check_maps(maps, images.shape[:3])
        if not is_ours(method) and tracing.is_another_each_time(partial(method, _score, **arguments), images):
            raise ValueError(f'it {tracing.ANOTHER}')
        if not is_ours(method) and not needs_key(name):
            _check_alone(partial(method, _score, **arguments), images.shape[1:])
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        reason = provenance.of_plugin(error) or ' '.join(str(error).split())
        what = f'config.attribution.{name} is {dict(options)}' if options else f'attribution method {name!r}'
        raise ValueError(f'{what}: {reason}') from error


def _check_alone(method: Callable, shape: tuple[int, ...]) -> None:
    """ValueError for a method whose map of an image depends on the others of its batch."""
    scale = jnp.asarray(SCALES).reshape(-1, *(1,) * len(shape))
    images = jax.random.normal(environment.key(0), (len(SCALES), *shape)) * scale
    together, alone = (
        jnp.asarray(maps, jnp.float32)
        for maps in (method(images), jnp.concatenate([method(image[None]) for image in images]))
    )
    if not jnp.isfinite(alone).all((1, 2)).any():
        raise ValueError('each of its maps has values that are not finite, and such a map counts as one without heat')
    largest = jnp.nanmax(jnp.abs(alone), axis=(1, 2), keepdims=True)
    near = jnp.abs(together - alone) <= 1e-2 * jnp.abs(alone) + 1e-3 * largest
    if not (near | (jnp.isnan(together) & jnp.isnan(alone))).all():
        raise ValueError('its map of an image depends on the other images of a batch, which are any')


def _check_maps(maps: Any, shape: tuple[int, ...]) -> None:
    """ValueError unless these are real numbers [B,H,W], `shape`."""
    given = jax.tree.map(lambda one: f'{one.dtype} {list(one.shape)}', maps)
    real = isinstance(maps, jax.ShapeDtypeStruct) and not jnp.issubdtype(maps.dtype, jnp.complexfloating)
    if not real or maps.shape != shape:
        raise ValueError(f'it gives {given}; expected maps [B, H, W] = {list(shape)} of real numbers')


def _score(images: jax.Array) -> jax.Array:
    """Of each image, with another slope at every pixel and for every image."""
    weights = jax.random.normal(environment.key(1), images.shape[1:])
    return (weights * images**2).mean((1, 2, 3))


def kinds(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """`known`, with None for an option that may also be a text or an array, of which its default is no example."""
    parameters = inspect.signature(METHODS[name]).parameters
    inner = wrapped(name, options)
    of_wrapped = inspect.signature(METHODS[inner]).parameters if inner in METHODS else {}
    either = {
        key
        for key, parameter in {**of_wrapped, **parameters}.items()
        if str in get_args(parameter.annotation) and not isinstance(parameter.default, str)
    }
    return {key: None if key in either else default for key, default in known(name, options).items()}


def known(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the method `name`, with their defaults, and those of the method that it wraps with `options`."""
    inner = wrapped(name, options)
    of_wrapped = options_of(METHODS[inner], skip=NOT_OPTIONS) if inner in METHODS else {}
    return of_wrapped | options_of(METHODS[name], skip=NOT_OPTIONS)
