"""Rows of tables as columns of text, each with its file and line for error messages: joined, stacked, taken apart."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.data.reader import paths
from imbalance_jax.data.reader.spelling import names_in, plain_key
from imbalance_jax.names import lookup

FILES = 'the files'  # where rows are files themselves
SPLIT = '(split)'  # the column of `Table.split`
PATH, STEM, PARENT = 'path', 'stem', 'parent'  # columns that every row of a file has
NONE = np.zeros(0, np.int64)
SHOWN = 8  # values of a column in a note
NAMED = 5  # images or files in a note


@dataclasses.dataclass(frozen=True)
class Rows:
    """n rows. columns: {name: [n] of text, or of what JSON has}; file: [n] index into files; line: [n], 1 the first;
    twice: {a name that two columns of a file have: the file}, of which `columns` has the first; absent: {a column: the
    first file that lacks it}, whose cells are empty there; joined: {a column of a table that was joined: its files,
    file [n] and line [n], line 0 where it has no row}."""

    columns: dict[str, np.ndarray]
    file: np.ndarray
    line: np.ndarray
    files: tuple[str, ...]
    twice: Mapping[str, str] = dataclasses.field(default_factory=dict)
    absent: Mapping[str, str] = dataclasses.field(default_factory=dict)
    joined: Mapping[str, tuple[tuple[str, ...], np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """How many rows."""
        return len(self.line)

    def where(self, row: int, column: str = '') -> str:
        """'FILE, line N' of a row, or of its cell in a column, which may be of a table that was joined."""
        files, file, line = self.joined.get(column, (self.files, self.file, self.line))
        if not line[row]:
            files, file, line = self.files, self.file, self.line
        return f'{files[file[row]]}, line {line[row]}'

    def column(self, name: str, what: str) -> np.ndarray:
        """A column; ValueError, with the nearest, if there is none of that name, and if there are two. `what` says who
        asks for it."""
        if name in self.twice:
            raise ValueError(f'{self.twice[name]} has two columns {name!r} ({what}); name one of them otherwise.')
        return lookup(self.columns, name, f'column ({what}, {self.files[0] if self.files else "no table"})')

    def column_of_all(self, name: str, what: str) -> np.ndarray:
        """`column`; ValueError, too, if one of the files under one another lacks it: its cells would be empty."""
        values = self.column(name, what)
        if name in self.absent:
            raise ValueError(
                f'{self.absent[name]} has no column {name!r} ({what}), which other files of its table have.'
            )
        return values

    def take(self, index: np.ndarray) -> 'Rows':
        """These rows only."""
        columns = {name: values[index] for name, values in self.columns.items()}
        places = {id(place): place for place in self.joined.values()}  # one of all columns of a table
        taken = {key: (files, file[index], line[index]) for key, (files, file, line) in places.items()}
        joined = {name: taken[id(place)] for name, place in self.joined.items()}
        return dataclasses.replace(self, columns=columns, file=self.file[index], line=self.line[index], joined=joined)

    def with_columns(self, **columns: np.ndarray) -> 'Rows':
        """The same with more columns."""
        return dataclasses.replace(self, columns={**self.columns, **columns})


@dataclasses.dataclass(frozen=True)
class Found:
    """What was met while reading. problems: {kind: names} of what is left out; notes: sentences about what was done;
    doubts: sentences about what files, labels and regions say against one another, and that is kept as it is."""

    problems: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    doubts: list[str] = dataclasses.field(default_factory=list)

    def add(self, kind: str, names: Sequence[str]) -> None:
        """Notes what is left out; of nothing, nothing."""
        if len(names):
            self.problems.setdefault(kind, []).extend(map(str, names))


def as_rows(columns: dict[str, np.ndarray], name: str, line: np.ndarray | None = None) -> Rows:
    count = len(next(iter(columns.values()), ()))
    line = np.arange(1, count + 1) if line is None else line
    return Rows(columns, np.zeros(count, np.int64), line, (name,))


def path_columns(listed: Sequence[str]) -> dict[str, np.ndarray]:
    """What the paths of files say: the columns `path`, `stem` and `parent`."""
    columns = {name: np.empty(len(listed), object) for name in (PATH, STEM, PARENT)}
    columns[PATH][:] = listed
    columns[STEM][:] = [paths.stem(path) for path in listed]
    columns[PARENT][:] = [path.split('/')[-2] if '/' in path else '' for path in listed]
    return columns


def objects(values: Sequence[Any]) -> np.ndarray:
    """Values as text; lists and objects stay."""
    column = np.empty(len(values), object)
    column[:] = [_text(value) for value in values]
    return column


def _text(value: Any) -> Any:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ''
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, dict, tuple)):
        return value
    return str(value).strip()


def join(rows: Rows, other: Rows, on: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """The rows with the columns of `other`, and which of them [n] have a row there; what is missing is empty text.

    ValueError for two rows of `other` with one key that say different things.
    """
    index = _matched(rows, other, on)
    columns, joined = dict(rows.columns), dict(rows.joined)
    where = (other.files, other.file[index], np.where(index >= 0, other.line[index], 0)) if len(other) else None
    for name, values in other.columns.items():
        if name not in columns:
            columns[name] = np.where(index >= 0, values[index], '') if len(values) else np.full(len(rows), '', object)
            joined |= {name: where} if where else {}
    added = {name: file for name, file in other.twice.items() if name not in rows.columns}
    absent = {**{name: file for name, file in other.absent.items() if name not in rows.columns}, **rows.absent}
    twice = {**rows.twice, **added}
    return dataclasses.replace(rows, columns=columns, twice=twice, absent=absent, joined=joined), index >= 0


def _matched(rows: Rows, other: Rows, on: Sequence[str]) -> np.ndarray:
    """The row [n] of `other` that has the key of each row, -1 of none."""
    place = _unique_keys(other, on)
    return np.array([place.get(key, -1) for key in keys(rows, my_names(on))], np.int64)


def contradictions(rows: Rows, other: Rows, on: Sequence[str], names: Collection[str]) -> list[str]:
    """Sentences about those of the named columns that both tables have, and say differently of one key."""
    both = sorted((set(names) & rows.columns.keys() & other.columns.keys()) - {*on, *their_names(on)})
    if not both:
        return []
    index = _matched(rows, other, on)
    joined, said = np.flatnonzero(index >= 0).tolist(), []
    for name in both:
        texts = ((row, str(rows.columns[name][row]), str(other.columns[name][index[row]])) for row in joined)
        pairs = [(row, one, two) for row, one, two in texts if one.strip() and two.strip()]
        if odd := [pair for pair in pairs if plain_key(pair[1]) != plain_key(pair[2])]:
            row, one, two = odd[0]
            what = f'{other.files[0]} says another {name} than {rows.files[0]}, whose own is kept'
            said.append(
                f'{what}, in {len(odd)} of {len(pairs)} rows: {rows.where(row)} has {one!r}, and there {two!r}.'
            )
    return said


def keys(rows: Rows, names: Sequence[str]) -> list[tuple[str, ...]]:
    """What a join compares: the texts of some columns, per row."""
    what = 'on, or made of paths by images.derive' if rows.files == (FILES,) else 'on'
    columns = [[plain_key(text) for text in rows.column(name, what)] for name in names]
    return list(zip(*columns, strict=True))


def my_names(on: Sequence[str]) -> list[str]:
    """How the table that is joined to calls its columns: a of 'a=b'."""
    return [pair.split('=')[0] for pair in on]


def their_names(on: Sequence[str]) -> list[str]:
    """How the table that is joined calls its columns: b of 'a=b'."""
    return [pair.split('=')[-1] for pair in on]


def _unique_keys(other: Rows, on: Sequence[str]) -> dict[tuple[str, ...], int]:
    place: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(keys(other, their_names(on))):
        first = place.setdefault(key, row)
        if first != row and any(values[first] != values[row] for values in other.columns.values()):
            named = ', '.join(key) if any(key) else f'an empty {" and ".join(their_names(on))}'
            raise ValueError(
                f'{other.where(row)}: {named} is in {other.where(first)} with other values; a table that is '
                'joined has one row each.'
            )
    return place


def stacked(parts: list[Rows]) -> Rows:
    """Tables one under another; a column that one lacks is empty there."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns = {
        name: np.concatenate([part.columns.get(name, np.full(len(part), '', object)) for part in parts])
        for name in names
    }
    before = np.cumsum([0, *(len(part.files) for part in parts)])
    file = np.concatenate([part.file + start for part, start in zip(parts, before[:-1], strict=True)] or [NONE])
    line = np.concatenate([part.line for part in parts] or [NONE])
    twice = {name: file for part in reversed(parts) for name, file in part.twice.items()}
    named = [(part, part.files[0] if part.files else '') for part in reversed(parts) if len(part)]
    absent = {name: file for part, file in named for name in names if name not in part.columns}
    return Rows(columns, file, line, tuple(name for part in parts for name in part.files), twice, absent)


def _listed(value: Any, where: str) -> Any:
    """A list, also from the text of it that a table has; '' is an empty one."""
    if isinstance(value, (list, tuple)):
        return value
    text = str(value).strip()
    return names_in(text, 'list', f'{where} (explode)') if text else []


def exploded(rows: Rows, names: Sequence[str]) -> Rows:
    """One row per element of lists of equal length; of empty ones, one row with empty text."""
    lists = [
        [_listed(value, rows.where(row, name)) for row, value in enumerate(rows.column(name, 'explode'))]
        for name in names
    ]
    index: list[int] = []
    values: list[list[Any]] = [[] for _ in names]
    for row, of_row in enumerate(zip(*lists, strict=True)):
        sizes = {len(one) if isinstance(one, (list, tuple)) else 0 for one in of_row}
        if len(sizes) > 1:
            raise ValueError(f'{rows.where(row)}: {", ".join(names)} have {sorted(sizes)} elements; expected as many.')
        count = sizes.pop()
        index += [row] * max(count, 1)
        for column, one in zip(values, of_row, strict=True):
            column += list(one) if count else ['']
    result = rows.take(np.array(index, np.int64))
    for name, column in zip(names, values, strict=True):
        result.columns[name] = objects(column)
    return result
