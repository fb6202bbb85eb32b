"""Look a name up in a plain dict, with an error a user can act on."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar('T')


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """Returns `table[name]`; otherwise a ValueError that lists the known names and suggests the nearest.

    `what` says which kind of name it is, for the message: 'loss', 'config field', 'data set'.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), list(table), n=1)
    hint = f' Did you mean {near[0]!r}?' if near else ''
    raise ValueError(f'Unknown {what} {name!r}.{hint} Known: {", ".join(sorted(table))}.')
