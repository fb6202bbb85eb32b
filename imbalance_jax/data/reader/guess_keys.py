"""The columns by which a table whose rows name no image goes with the one that does, or what stands in the way."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from imbalance_jax.data.reader.columns import PATIENT
from imbalance_jax.data.reader.guess_owners import OF_OWNERS
from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import plain_key

OF_KEYS = 0.7  # share of keys that must be there, where columns are called alike
OF_OTHERS = 0.9  # where they are called otherwise
SHORT = 3  # letters of a name that may stand for another
LEAST = 2  # keys that must be there for anything to be said


class Keys(NamedTuple):
    """on: as `Table.on` has it, () without any; why: what stands in the way, '' where nothing is in common."""

    on: tuple[str, ...] = ()
    why: str = ''


def keys_of(mine: Rows, their: Rows) -> Keys:
    """The columns, one or two, by which each row of mine has one of theirs: those of one name first, then those that
    are called as patients or studies are and have the same in them."""
    why = ''
    for pairs, needed in _pairs(mine, their):
        wanted = dict.fromkeys(key for key in _cells(mine, [own for own, _ in pairs]) if all(key))
        there: dict[tuple[str, ...], int] = {}
        twice = -1
        for row, key in enumerate(_cells(their, [name for _, name in pairs])):
            first = there.setdefault(key, row)
            if twice < 0 and first != row and any(column[first] != column[row] for column in their.columns.values()):
                twice = row
        met = [key for key in wanted if key in there]
        if len(wanted) > LEAST and twice < 0 and len(met) >= needed * len(wanted):
            return Keys(tuple(own if own == name else f'{own}={name}' for own, name in pairs))
        why = why or _why(mine, their, pairs, (len(met), len(wanted)), twice)
    return Keys((), why)


def _pairs(mine: Rows, their: Rows) -> Iterator[tuple[Sequence[tuple[str, str]], float]]:
    """Pairs of columns that may be a key, in turn, and the share of keys that must be there."""
    named = {_letters(name): name for name in mine.columns}
    shared = [(named[_letters(name)], name) for name in their.columns if _letters(name) in named]
    owned = [pair for pair in shared if OF_OWNERS.search(pair[0])]
    yield from (((pair,), OF_KEYS) for pair in shared)
    yield from (((one, other), OF_KEYS) for one in owned for other in shared if other != one)
    yield from ((((own, name),), OF_KEYS) for own in mine.columns for name in their.columns if _is_short_for(own, name))
    for own in mine.columns:
        for name in their.columns:
            called = [_is_owner(one) for one in (own, name)]
            counted = all(text.isdigit() for text in _texts(their, name))
            if (own, name) not in shared and not _is_short_for(own, name) and (all(called) if counted else any(called)):
                yield ((own, name),), OF_OTHERS


def _why(mine: Rows, their: Rows, pairs: Sequence[tuple[str, str]], counts: tuple[int, int], twice: int) -> str:
    """Why columns are no key, '' where hardly anything is in common. counts: of keys that are there, and of all."""
    if not all(OF_OWNERS.search(one) for one in pairs[0]) and not _is_short_for(*pairs[0]):
        return ''
    own, name = (' and '.join(dict.fromkeys(map(repr, names))) for names in zip(*pairs, strict=True))
    met, every = counts
    if met >= LEAST and twice >= 0:
        key = ', '.join(_cells(their, [name for _, name in pairs])[twice])
        return f'{name} {key!r} is in several rows of it that differ, such as that of line {their.line[twice]}'
    if LEAST <= met < every:
        return f'it has a row for {met} of {every} in {own}'
    ours, theirs = _texts(mine, pairs[0][0]), _texts(their, pairs[0][1])
    if not met and len({text.lstrip('0') for text in ours} & {text.lstrip('0') for text in theirs}) > LEAST:
        return f'{name} has no zeros before its numbers, or others, as {min(theirs)!r} beside {min(ours)!r} of {own}'
    return ''


def _cells(rows: Rows, names: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*([plain_key(text) for text in rows.columns[name]] for name in names), strict=True))


def _texts(rows: Rows, name: str) -> set[str]:
    return {plain_key(text) for text in rows.columns[name]} - {''}


def _is_owner(name: str) -> bool:
    """Whether a column is called as patients or studies are."""
    return bool(OF_OWNERS.search(name)) or any(pattern.match(name.strip()) for pattern in PATIENT)


def _is_short_for(one: str, other: str) -> bool:
    """Whether of two different names one begins as the other: slide and slide_id, acc and AccessionNumber."""
    short, long = sorted((_letters(one), _letters(other)), key=len)
    return SHORT <= len(short) < len(long) and long.startswith(short)


def _letters(name: str) -> str:
    return re.sub('[^a-z0-9]', '', name.lower())
