"""The columns by which a table whose rows name no image goes with the one that does, or what stands in the way."""

import itertools
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


class Cells:
    """The cells of a table as keys are compared, those of each column made once."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._texts: dict[str, list[str]] = {}
        self._whole: dict[tuple[str, ...], frozenset[tuple[str, ...]]] = {}

    def texts(self, name: str) -> list[str]:
        """Those of a column."""
        if name not in self._texts:
            self._texts[name] = [plain_key(text) for text in self.rows.columns[name]]
        return self._texts[name]

    def different(self, name: str) -> frozenset[str]:
        """What there is in a column, but for blanks."""
        return frozenset(text for (text,) in self.whole([name]))

    def keys(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Those of some columns, by row."""
        return list(zip(*map(self.texts, names), strict=True))

    def whole(self, names: Sequence[str]) -> frozenset[tuple[str, ...]]:
        """What there is in some columns together, but for keys with a blank."""
        if tuple(names) not in self._whole:
            self._whole[tuple(names)] = frozenset(key for key in self.keys(names) if all(key))
        return self._whole[tuple(names)]

    def differing(self, names: Sequence[str]) -> int:
        """The first row that has the key of another one, and says something else; -1 without one."""
        first: dict[tuple[str, ...], int] = {}
        columns = self.rows.columns.values()
        rows = ((row, first.setdefault(key, row)) for row, key in enumerate(self.keys(names)))
        return next((row for row, one in rows if one != row and any(c[one] != c[row] for c in columns)), -1)


def keys_of(mine: Rows, their: Rows) -> Keys:
    """The columns, one or two, by which each row of mine has one of theirs: those of one name first, then those that
    are called as patients or studies are and have the same in them."""
    ours, theirs, why = Cells(mine), Cells(their), ''
    for pairs, needed in _pairs(ours, theirs):
        own, name = ([pair[side] for pair in pairs] for side in (0, 1))
        wanted = ours.whole(own)
        met = len(wanted & theirs.whole(name))
        twice = theirs.differing(name) if met >= LEAST else -1
        if len(wanted) > LEAST and twice < 0 and met >= needed * len(wanted):
            return Keys(tuple(one if one == other else f'{one}={other}' for one, other in pairs))
        why = why or _why(ours, theirs, pairs, (met, len(wanted)), twice)
    return Keys((), why)


def _pairs(mine: Cells, their: Cells) -> Iterator[tuple[Sequence[tuple[str, str]], float]]:
    """Pairs of columns that may be a key, in turn, and the share of keys that must be there."""
    ours, theirs = mine.rows.columns, their.rows.columns
    named = {_letters(name): name for name in ours}
    shared = [(named[_letters(name)], name) for name in theirs if _letters(name) in named]
    owned = [pair for pair in shared if OF_OWNERS.search(pair[0])]
    yield from (((pair,), OF_KEYS) for pair in shared)
    yield from (((one, other), OF_KEYS) for one in owned for other in shared if other != one)
    yield from ((((own, name),), OF_KEYS) for own in ours for name in theirs if _is_short_for(own, name))
    counted = {name for name in theirs if all(map(str.isdigit, their.different(name)))}
    for own, name in itertools.product(ours, theirs):
        called = [_is_owner(one) for one in (own, name)]
        if (own, name) in shared or _is_short_for(own, name) or not any(called):
            continue
        if all(called) or name not in counted:
            yield ((own, name),), OF_OTHERS


def _why(mine: Cells, their: Cells, pairs: Sequence[tuple[str, str]], counts: tuple[int, int], twice: int) -> str:
    """Why columns are no key, '' where hardly anything is in common. counts: of keys that are there, and of all."""
    if not all(OF_OWNERS.search(one) for one in pairs[0]) and not _is_short_for(*pairs[0]):
        return ''
    own, name = (' and '.join(dict.fromkeys(map(repr, names))) for names in zip(*pairs, strict=True))
    met, every = counts
    if met >= LEAST and twice >= 0:
        key = ', '.join(their.texts(of)[twice] for _, of in pairs)
        return f'{name} {key!r} is in several rows of it that differ, such as that of line {their.rows.line[twice]}'
    if LEAST <= met < every:
        return f'it has a row for {met} of {every} in {own}'
    ours, theirs = mine.different(pairs[0][0]), their.different(pairs[0][1])
    if not met and len({text.lstrip('0') for text in ours} & {text.lstrip('0') for text in theirs}) > LEAST:
        return f'{name} has no zeros before its numbers, or others, as {min(theirs)!r} beside {min(ours)!r} of {own}'
    if not met and len({*map(_numbers, ours)} & {*map(_numbers, theirs)} - {''}) > LEAST:
        return f'{name} is written otherwise, as {min(theirs)!r} beside {min(ours)!r} of {own}'
    return ''


def _numbers(text: str) -> str:
    return re.sub('[^0-9]', '', text).lstrip('0')


def _is_owner(name: str) -> bool:
    """Whether a column is called as patients or studies are."""
    return bool(OF_OWNERS.search(name)) or any(pattern.match(name.strip()) for pattern in PATIENT)


def _is_short_for(one: str, other: str) -> bool:
    """Whether of two different names one begins as the other: slide and slide_id, acc and AccessionNumber."""
    short, long = sorted((_letters(one), _letters(other)), key=len)
    return SHORT <= len(short) < len(long) and long.startswith(short)


def _letters(name: str) -> str:
    return re.sub('[^a-z0-9]', '', name.lower())
