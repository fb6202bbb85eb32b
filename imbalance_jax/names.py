"""Look a name up in a plain dict, with an error a user can act on; and what a function can be told."""

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

T = TypeVar('T')
MOST, NEAREST = 24, 10  # names that an error lists in full; of a longer list, those most like what was written


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """Returns `table[name]`; otherwise a ValueError that lists the known names and suggests the nearest.

    `what` says which kind of name it is, for the message: 'loss', 'config field', 'data set'.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), list(table), n=1)
    hint = f' Did you mean {near[0]!r}?' if near else ''
    raise ValueError(f'Unknown {what} {name!r}.{hint} {_known(table, str(name))}')


def options_of(function: Callable, skip: Collection[str] = ()) -> dict[str, Any]:
    """The keyword parameters of a function, but for those in `skip`, with their defaults; None where there is none."""
    options = {}
    for name, parameter in inspect.signature(function).parameters.items():
        has_default = parameter.default is not parameter.empty
        if name not in skip and (has_default or parameter.kind is parameter.KEYWORD_ONLY):
            options[name] = parameter.default if has_default else None
    return options


def _known(table: Mapping[str, Any], name: str) -> str:
    if len(table) <= MOST:
        return f'Known: {", ".join(sorted(table))}.'
    nearest = difflib.get_close_matches(name, list(table), n=NEAREST, cutoff=0.0)
    return f'Of {len(table)} known ones the nearest: {", ".join(nearest)}.'
