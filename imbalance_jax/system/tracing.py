"""What tracing a function says of it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

ANOTHER = 'is another function each time it is traced: it draws numbers without a key, counts calls or asks the time'
ADDRESS = re.compile(' at 0x[0-9a-f]+')  # of functions that a program names


def is_another_each_time(function: Callable[..., Any], *given: Any) -> bool:
    """Whether a function, traced again, becomes another program: it draws numbers without a key, counts its calls, or
    asks the time. given: arrays, or their shapes."""
    # Functions of their own, as a trace is remembered by its function.
    once, again = (jax.make_jaxpr(lambda *arguments: function(*arguments))(*given) for _ in range(2))
    if ADDRESS.sub('', str(once.jaxpr)) != ADDRESS.sub('', str(again.jaxpr)):
        return True
    return any(map(_differ, _numbers(once), _numbers(again)))


def _numbers(program: ClosedJaxpr) -> Iterator[Any]:
    """The numbers that stand in a program, and in those within it."""
    yield from program.consts
    for equation in program.jaxpr.eqns:
        yield from (one.val for one in equation.invars if isinstance(one, Literal))
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(inner, Jaxpr):
                    inner = ClosedJaxpr(inner, ())
                if isinstance(inner, ClosedJaxpr):
                    yield from _numbers(inner)


def _differ(one: Any, other: Any) -> bool:
    if any(
        isinstance(number, jax.Array) and jax.dtypes.issubdtype(number.dtype, jax.dtypes.prng_key)
        for number in (one, other)
    ):
        one, other = jax.random.key_data(one), jax.random.key_data(other)
    pair = np.asarray(one), np.asarray(other)
    return not np.array_equal(*pair, equal_nan=np.issubdtype(pair[0].dtype, np.inexact))
