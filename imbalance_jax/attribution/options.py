"""The options of a method, checked by tracing it on a score of no consequence, before any network is there."""

import inspect
from collections.abc import Callable
from functools import partial

import jax

from imbalance_jax.attribution.noise import METHODS, NEEDS_KEY
from imbalance_jax.names import lookup

NOT_OPTIONS = ('score', 'images', 'key', 'layer', 'mean', 'deviation')  # what whoever calls the method gives it


def check(name: str, options: dict, images: jax.Array) -> None:
    """Raises ValueError for an unknown method, an option that it does not have, or a value it cannot work with.

    images: [1,H,W,C], as large as those that will be explained.
    """
    method = lookup(METHODS, name, 'attribution method')
    for option in options:
        lookup(known(method, options), option, f'option of attribution method {name!r}:')
    given = {**options, **({'baseline': 'zero'} if options.get('baseline') == 'black' else {})}
    given |= {'key': jax.random.key(0)} if name in NEEDS_KEY else {}
    try:
        jax.eval_shape(partial(method, lambda x: x.mean((1, 2, 3)), **given), images)
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'config.attribution.{name} is {options}: {reason}') from error


def known(method: Callable, given: dict) -> dict[str, inspect.Parameter]:
    """The options of a method, and of the one that it wraps."""
    parameters = inspect.signature(method).parameters
    own = {name: p for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD and name not in NOT_OPTIONS}
    wrapped = METHODS.get(given.get('method', 'gradient')) if 'options' in parameters else None
    return own | (known(wrapped, {}) if wrapped else {})
