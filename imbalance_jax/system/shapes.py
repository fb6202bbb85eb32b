"""What a function of arrays is given, checked in one place: numbers, the number of axes, and axes that must be equal.

Shapes and types are known of whatever `jit`, `vmap` and `grad` trace, so that every check holds under them too; values
are looked at only of arrays that are there.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

INSIDE = (1, 255)  # what whole numbers and floats mean by a pixel of a region; 0 is outside
Function = TypeVar('Function', bound=Callable[..., Any])


class Anything(str):
    """Axes of what need not be numbers: names of patients, say."""


def takes(**axes: str) -> Callable[[Function], Function]:
    """A decorator that checks what a function is given, in one line per fault, a ValueError.

    axes: by argument its axes as in docstrings, 'N K': axes of one name are equal in all arguments, one that ends in
    '+' has one entry at least, and a number is the size itself. '...' in front stands for any further axes, to which
    those of other arguments must broadcast, and at the end for axes that are the same in all arguments that end so.
    `Anything('N')` need not be numbers. Lists become NumPy arrays; None stays where it may.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        may_lack = {name for name in axes if _optional(signature.parameters[name])}

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.arguments.update(fitting(bound.arguments, axes, may_lack))
            return function(*bound.args, **bound.kwargs)

        return checked  # type: ignore[return-value]

    return decorate


def _optional(parameter: inspect.Parameter) -> bool:
    return parameter.default is None or 'None' in str(parameter.annotation)


def fitting(given: Mapping[str, Any], axes: Mapping[str, str], may_lack: Iterable[str] = ()) -> dict[str, Any]:
    """Those of the arguments that have axes, as arrays; ValueError for the first that does not fit."""
    sizes: dict[str, tuple[int, str]] = {}
    tails: dict[str, tuple[int, ...]] = {}
    leads: dict[str, tuple[int, ...]] = {}
    result = {}
    for name, spec in axes.items():
        if name not in given or (given[name] is None and name in may_lack):
            continue
        wanted = _wanted(spec)
        array = as_array(given[name]) if isinstance(spec, Anything) else numbers(given[name], name, wanted)
        _fit(name, array.shape, spec, wanted, sizes=sizes, tails=tails)
        if spec.startswith('...'):
            leads[name] = array.shape[: array.ndim - spec.count(' ')]
        result[name] = array
    if len(leads) > 1:
        _require_alike(leads)
    return result


@functools.cache
def _wanted(spec: str) -> str:
    """The axes as they are said: '[N, K]'."""
    return f'[{", ".join(spec.replace("+", "").split())}]'


def _require_alike(leads: Mapping[str, tuple[int, ...]]) -> None:
    """ValueError unless the axes in front of those with names, by argument, broadcast."""
    try:
        np.broadcast_shapes(*leads.values())
    except ValueError:
        said = ', '.join(f'{axes} of {name}' for name, axes in leads.items())
        raise ValueError(f'The axes in front must be alike, or 1, or not there; they are {said}.') from None


def _fit(
    name: str,
    shape: tuple[int, ...],
    spec: str,
    wanted: str,
    *,
    sizes: dict[str, tuple[int, str]],
    tails: dict[str, tuple[int, ...]],
) -> None:
    """ValueError unless a shape is what `spec` says; notes the sizes of its axes, and who had them first."""
    named, front, back = [one for one in spec.split() if one != '...'], spec.startswith('...'), spec.endswith('...')
    if len(shape) < len(named) or (len(shape) > len(named) and not (front or back)):
        raise ValueError(f'{name} must be {wanted}, not {shape}.')
    own = shape[len(shape) - len(named) :] if front else shape[: len(named)]
    for axis, size in zip(named, own, strict=True):
        first, who = sizes.setdefault(axis.rstrip('+'), (size, name))
        if size != first:
            raise ValueError(f'{name} must be {wanted} with {axis.rstrip("+")} = {first}, as {who}, not {shape}.')
        if axis.isdigit() and size != int(axis):
            raise ValueError(f'{name} must be {wanted}, not {shape}.')
        if axis.endswith('+') and size == 0:
            raise ValueError(f'{name} must be {wanted} with one {axis.rstrip("+")} at least, not {shape}.')
    if back and not front:
        tail = shape[len(named) :]
        if (first_tail := tails.setdefault('...', tail)) != tail:
            raise ValueError(f'{name} must be {wanted} with ... = {first_tail}, as the arguments before, not {shape}.')


def as_array(values: Any) -> Any:
    """An array of NumPy or JAX, also one that is traced, as it is; anything else as a NumPy array."""
    if isinstance(values, (np.ndarray, jax.Array)):
        return values
    try:
        return np.asarray(values)
    except (TypeError, ValueError):  # of lists of unequal lengths
        return np.asarray(None)


def numbers(values: Any, name: str, wanted: str) -> Any:
    """`as_array`; ValueError for what holds no real numbers. wanted: its axes, such as '[N, K]'."""
    array = as_array(values)
    if not is_real(array.dtype):
        what = type(values).__name__ if not isinstance(values, (np.ndarray, jax.Array)) else str(array.dtype)
        raise ValueError(f'{name} must be numbers {wanted}, not {what}.')
    return array


def on_device(values: Any, name: str, wanted: str) -> jax.Array:
    """`numbers` as an array of JAX."""
    return jnp.asarray(numbers(values, name, wanted))


@functools.cache
def is_real(dtype: Any) -> bool:
    """Whether a type is of truth values, whole numbers or real floats, bfloat16 included."""
    real = (np.bool_, np.integer, np.floating)
    return any(jnp.issubdtype(dtype, kind) for kind in real)


def require_region(masks: Any, name: str = 'masks') -> None:
    """ValueError unless masks hold True and False, 0 and 1, or 0 and 255; of a traced array nobody knows.

    A label map or a mask that was enlarged has to say itself where its region begins.
    """
    if masks.dtype == bool or isinstance(masks, jax.core.Tracer):
        return
    values = np.asarray(masks)
    most = values.max(initial=0)
    other = values[(values != 0) & (values != most)]
    if other.size or most not in (0, *INSIDE):
        wrong = other[0] if other.size else most
        hint = f'{name} == {wrong}' if jnp.issubdtype(masks.dtype, jnp.integer) else f'{name} > 0.5'
        raise ValueError(f'{name} hold {wrong:g}; valid are 0 and 1, or bool: give {hint}, say.')
