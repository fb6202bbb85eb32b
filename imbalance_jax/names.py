"""Look a name up in a plain dict, with an error a user can act on; read a function's options from its signature."""

import difflib
import functools
import inspect
import math
import numbers
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar('T')
MOST, NEAREST = 24, 10  # names that an error lists in full; of a longer list, those most like what was written


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """Returns `table[name]`; otherwise a ValueError that lists the known names and suggests the nearest.

    `what` says which kind of name it is, for the message: 'loss', 'config field', 'data set'.
    """
    if name in table:
        return table[name]
    in_another_case = [one for one in table if one.casefold() == str(name).casefold()]
    near = in_another_case or difflib.get_close_matches(str(name), list(table))
    near.sort(key=lambda one: sorted(one) != sorted(str(name)))  # letters in another order come first
    alike = (
        ', which looks alike and is written with other characters' if near and look_alike(near[0], str(name)) else ''
    )
    hint = f' Did you mean {near[0]!r}{alike}?' if near else ''
    raise ValueError(f'Unknown {what} {name!r}.{hint} {_known(table, str(name))}')


def options_of(function: Callable[..., Any], skip: Collection[str] = (), *, required: bool = False) -> dict[str, Any]:
    """The options of a function or class, name -> default: the keyword parameters that have a default.

    What a `functools.partial` has settled already is no option of it, nor is a name in `skip`. required: also those
    that can only be given by their name and have no default, as None.
    """
    settled = function.keywords if isinstance(function, functools.partial) else {}
    return {
        name: None if parameter.default is parameter.empty else parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and (parameter.default is not parameter.empty or (required and parameter.kind is parameter.KEYWORD_ONLY))
        and name not in settled
        and name not in skip
    }


def check_option(what: str, value: object, default: object) -> None:
    """ValueError, of what it is, unless an option of a loss or a sampler is a finite number, or None, a text or a bool
    where the default is one, too."""
    if value is None or isinstance(value, (bool, str)):
        fits = type(value) is type(default)
    else:
        fits = isinstance(value, numbers.Real) and math.isfinite(value) and not isinstance(default, (bool, str))
    if not fits:
        kind = f'{type(default).__name__}, as {default!r}' if isinstance(default, (bool, str)) else 'finite number'
        raise ValueError(f'{what} must be a {kind}.')


def is_ours(function: Callable[..., Any]) -> bool:
    """Whether a function or class, or the one that a partial is of, is this package's and no user's own."""
    home = getattr(getattr(function, 'func', function), '__module__', '')
    return str(home).startswith(f'{__name__.partition(".")[0]}.')


def look_alike(one: str, other: str) -> bool:
    """Whether two different texts are one but for how their letters are composed, or how wide they are."""
    return one != other and unicodedata.normalize('NFKC', one) == unicodedata.normalize('NFKC', other)


def some(names: Sequence[str], most: int) -> str:
    """The first of many names, and how many more there are: 'a, b and 3 more'."""
    return ', '.join(names[:most]) + (f' and {len(names) - most:,} more' if len(names) > most else '')


def repeated(names: Iterable[Any]) -> list[Any]:
    """The names that are there more than once, each once, in their order."""
    return [name for name, number in Counter(names).items() if number > 1]


def _known(table: Mapping[str, Any], name: str) -> str:
    if len(table) <= MOST:
        return f'Known: {", ".join(sorted(table))}.' if table else 'There is none.'
    nearest = difflib.get_close_matches(name, list(table), n=NEAREST, cutoff=0.0)
    return f'Of {len(table)} known ones the nearest: {", ".join(nearest)}.'
