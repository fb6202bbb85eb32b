"""Tables of any kind as columns of text, each row with its file and line for error messages."""

import csv
import dataclasses
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader.layout import Table
from imbalance_jax.data.reader.spelling import matches, plain_key
from imbalance_jax.names import lookup, repeated
from imbalance_jax.system.files import regular

SPLIT = '(split)'  # the column of `Table.split`
PATH, STEM, PARENT = 'path', 'stem', 'parent'  # columns that every row of a file has
SEPARATORS = (',', ';', '\t', '|')
NONE = np.zeros(0, np.int64)
SHOWN = 8  # values of a column in a note
MOST_LINES = 200  # of one row, whose cells may hold line breaks
csv.field_size_limit(1 << 27)


@dataclasses.dataclass(frozen=True)
class Rows:
    """n rows. columns: {name: [n] of text, or of what JSON has}; file: [n] index into files; line: [n], 1 the first;
    twice: {a name that two columns of a file have: the file}, of which `columns` has the first."""

    columns: dict[str, np.ndarray]
    file: np.ndarray
    line: np.ndarray
    files: tuple[str, ...]
    twice: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """How many rows."""
        return len(self.line)

    def where(self, row: int) -> str:
        """'FILE, line N' of a row."""
        return f'{self.files[self.file[row]]}, line {self.line[row]}'

    def column(self, name: str, what: str) -> np.ndarray:
        """A column; ValueError, with the nearest, if there is none of that name, and if there are two. `what` says who
        asks for it."""
        if name in self.twice:
            raise ValueError(f'{self.twice[name]} has two columns {name!r} ({what}); name one of them otherwise.')
        return lookup(self.columns, name, f'column ({what}, {self.files[0] if self.files else "no table"})')

    def take(self, index: np.ndarray) -> 'Rows':
        """These rows only."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return dataclasses.replace(self, columns=columns, file=self.file[index], line=self.line[index])

    def with_columns(self, **columns: np.ndarray) -> 'Rows':
        """The same with more columns."""
        return dataclasses.replace(self, columns={**self.columns, **columns})


class Found(NamedTuple):
    """What was met while reading. problems: {kind: names}; notes: sentences."""

    problems: dict[str, list[str]]
    notes: list[str]

    def add(self, kind: str, names: Sequence[str]) -> None:
        """Notes what is left out; of nothing, nothing."""
        if len(names):
            self.problems.setdefault(kind, []).extend(map(str, names))


def table_files(folder: Path, table: Table) -> list[Path]:
    """The files of a table, also gzipped; FileNotFoundError if there are none and it is not optional."""
    try:
        base, pattern = below(folder, table.file)
        found = {path for suffix in ('', '.gz') for path in base.glob(pattern + suffix)}
    except (ValueError, NotImplementedError) as error:
        raise ValueError(f'{table.file!r} is no pattern of a file below {folder} ({error}).') from error
    paths = sorted(path for path in found if path.is_file() and not path.name.startswith('.'))
    if not paths and not table.optional:
        raise FileNotFoundError(f'{base} has no {pattern}; it is the table that says which images there are.')
    return paths


def below(folder: Path, pattern: str) -> tuple[Path, str]:
    """The folder to look in, and the pattern there: of an absolute path the last part."""
    path = Path(pattern).expanduser()
    return (path.parent, path.name) if path.is_absolute() else (Path(folder), pattern)


def read_table(folder: Path, table: Table, found: Found) -> Rows:
    """The rows of a table that count. ValueError for one that cannot be read, naming file and line."""
    parts = [_read(path, table, found, _shown(path, folder)) for path in table_files(folder, table)]
    rows = stacked(parts)
    for name, own in table.rename.items():
        rows.columns[name] = rows.column(own, 'rename')
    for name, (column, pattern, template) in table.derive.items():
        compiled = re.compile(pattern)
        matched = [compiled.search(str(text)) for text in rows.column(column, 'derive')]
        rows.columns[name] = _objects([compiled.sub(template, one[0]) if one else '' for one in matched])
    for column, values in table.where.items():
        kept = np.array([matches(text, values) for text in rows.column(column, 'where')], bool)
        if not kept.all():
            left = Counter(str(text) or 'empty' for text in rows.columns[column][~kept]).most_common(SHOWN)
            what = ', '.join(f'{text} {count}' for text, count in left)
            found.notes.append(
                f'{(~kept).sum()} of {len(kept)} rows of {table.file} are not used, by {column}: {what}.'
            )
        rows = rows.take(np.flatnonzero(kept))
    if table.explode:
        rows = _exploded(rows, table.explode)
    if table.split:
        rows.columns[SPLIT] = np.full(len(rows), table.split, object)
    return rows


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def join(rows: Rows, other: Rows, on: Sequence[str]) -> tuple[Rows, np.ndarray]:
    """The rows with the columns of `other`, and which of them [n] have a row there; what is missing is empty text.

    ValueError for two rows of `other` with one key that say different things.
    """
    place = _unique_keys(other, on)
    mine = keys(rows, [pair.split('=')[0] for pair in on])
    index = np.array([place.get(key, -1) for key in mine], np.int64)
    columns = dict(rows.columns)
    for name, values in other.columns.items():
        if name not in columns:
            columns[name] = np.where(index >= 0, values[index], '') if len(values) else np.full(len(rows), '', object)
    added = {name: file for name, file in other.twice.items() if name not in rows.columns}
    return dataclasses.replace(rows, columns=columns, twice={**rows.twice, **added}), index >= 0


def keys(rows: Rows, names: Sequence[str]) -> list[tuple[str, ...]]:
    """What a join compares: the texts of some columns, per row."""
    columns = [[plain_key(text) for text in rows.column(name, 'on')] for name in names]
    return list(zip(*columns, strict=True))


def their_names(on: Sequence[str]) -> list[str]:
    """How the table that is joined calls its columns: b of 'a=b'."""
    return [pair.split('=')[-1] for pair in on]


def _unique_keys(other: Rows, on: Sequence[str]) -> dict[tuple[str, ...], int]:
    place: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(keys(other, their_names(on))):
        first = place.setdefault(key, row)
        if first != row and any(values[first] != values[row] for values in other.columns.values()):
            raise ValueError(
                f'{other.where(row)}: {", ".join(key)} is in {other.where(first)} with other values; a table that is '
                'joined has one row each.'
            )
    return place


def _read(path: Path, table: Table, found: Found, name: str) -> Rows:
    if table.read:
        columns = dict(table.read(path))
        return _rows({key: _objects(values) for key, values in columns.items()}, name)
    kind = table.kind or path.name.removesuffix('.gz').rpartition('.')[2].lower()
    kinds = {'csv': _csv, 'tsv': _csv, 'txt': _csv, 'json': _json, 'jsonl': _json, 'parquet': _parquet, 'coco': _json}
    return lookup(kinds, kind, f'kind of table ({path})')(path, table, found, name)


def content(path: Path, encoding: str = 'utf-8', found: Found | None = None) -> str:
    """The text of a file, perhaps gzipped, without a byte order mark; ValueError if it is none."""
    try:
        data = regular(path).read_bytes()
        data = gzip.decompress(data) if path.suffix == '.gz' else data
    except (gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f'{path} cannot be read ({error}).') from error
    if b'\0' in data[:4096] and data[:2] not in (b'\xff\xfe', b'\xfe\xff'):
        raise ValueError(f'{path} is not a readable text table: it has zero bytes; expected text.')
    marked = 'utf-16' if data[:2] in (b'\xff\xfe', b'\xfe\xff') else encoding
    try:
        return data.decode('utf-8-sig' if marked.lower() in ('utf-8', 'utf8') else marked)
    except (UnicodeDecodeError, LookupError) as error:
        if encoding.lower() not in ('utf-8', 'utf8'):
            raise ValueError(f'{path} is not text in the encoding {encoding!r} ({error}).') from error
    if found:
        found.notes.append(f'{path.name} is not UTF-8 and was read as Windows-1252; `encoding` says otherwise.')
    return data.decode('cp1252', errors='replace')


def lines_of(text: str) -> list[str]:
    """The lines of a text. Other characters at which Python's `splitlines` breaks may stand in a cell."""
    return text.replace('\r\n', '\n').replace('\r', '\n').split('\n')


def _csv(path: Path, table: Table, found: Found, name: str) -> Rows:
    lines = lines_of(content(path, table.encoding, found))
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise ValueError(f'{path} is empty; expected a table.')
    separator = table.separator or max(SEPARATORS, key=lambda one: _split(lines[first], one)[1])
    header = [cell.strip() for cell in _split(lines[first], separator)[0]]
    names = list(table.columns) or (header if table.header else [f'column {k + 1}' for k in range(len(header))])
    strays: list[str] = []
    least = named(header)
    numbered = list(csv_rows(lines, first + bool(table.header), separator, range(least, len(header) + 1), strays, name))
    found.add('stray_quote', strays)
    cells, width = [row for _, row in numbered], max(len(names), len(header))
    for line, row in numbered:
        if len(row) < least or any(row[width:]):
            raise ValueError(f'{name}, line {line}: {len(row)} columns; expected {least} as in the first line.')
    rows = _rows(_columns(names, cells), name, np.array([line for line, _ in numbered], np.int64))
    return dataclasses.replace(rows, twice=dict.fromkeys(repeated(filter(None, names)), name))


def named(header: list[str]) -> int:
    """How many columns a row has at least: a header may end in names that are empty, which rows may leave away."""
    return max((k for k, name in enumerate(header, 1) if name), default=len(header))


def _columns(names: list[str], cells: list[list[str]]) -> dict[str, np.ndarray]:
    """Columns by name; of two with one name the first. Equal texts are one object."""
    columns: dict[str, np.ndarray] = {}
    known: dict[str, str] = {}
    for k, name in enumerate(names):
        if name not in columns and (name or k == 0):
            values = np.empty(len(cells), object)
            values[:] = [known.setdefault(row[k], row[k]) if k < len(row) else '' for row in cells]
            columns[name] = values
    return columns


def _split(line: str, separator: str) -> tuple[list[str], int]:
    """The cells of a line, and how many."""
    cells = next(csv.reader([line], delimiter=separator), [])
    return cells, len(cells)


def csv_rows(
    lines: list[str], start: int, separator: str, widths: range, strays: list[str], name: str
) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers. A quote that nothing closes is taken as it stands, and named in `strays`."""
    number = start
    while number < len(lines):
        line, begin = lines[number], number
        number += 1
        if not line.strip():
            continue
        if line.count('"') % 2:
            end = _closing(lines, begin, separator, widths)
            if end is None:
                strays.append(f'{name}, line {begin + 1}')
                yield begin + 1, [cell.strip() for cell in line.split(separator)]
                continue
            line, number = '\n'.join(lines[begin:end]), end
        row = next(csv.reader([f'{part}\n' for part in line.split('\n')], delimiter=separator), [])
        yield begin + 1, [cell.strip() for cell in row]


def _closing(lines: list[str], begin: int, separator: str, widths: range) -> int | None:
    """Behind which line the quote that line `begin` opens is closed; None if that quote is a stray one.

    It is one if the line has all its cells without it, and the next line does, too, or there is none.
    """
    following = next((line for line in lines[begin + 1 :] if line.strip()), None)
    whole = len(lines[begin].split(separator)) in widths
    if whole and (following is None or _split(following, separator)[1] in widths):
        return None
    quotes = lines[begin].count('"')
    for end in range(begin + 1, min(begin + MOST_LINES, len(lines))):
        quotes += lines[end].count('"')
        if quotes % 2 == 0:
            row = next(csv.reader([f'{line}\n' for line in lines[begin : end + 1]], delimiter=separator))
            return end + 1 if len(row) >= widths[0] else None
    return None


def _json(path: Path, table: Table, found: Found, name: str) -> Rows:
    text = content(path, table.encoding, found)
    lines = path.name.removesuffix('.gz').endswith('.jsonl') or table.kind == 'jsonl'
    if lines:
        numbered = [(k, line) for k, line in enumerate(lines_of(text), 1) if line.strip()]
        data: Any = [_parsed(line, f'{path}, line {number}') for number, line in numbered]
        return _rows(_of_records(records(data, path)), name, np.array([k for k, _ in numbered], np.int64))
    data = _parsed(text, str(path))
    if isinstance(data, dict) and {'images', 'annotations'} <= data.keys():
        return _rows(coco_columns(data, path), name)
    return _rows(_of_records(records(data, path)), name)


def _parsed(text: str, where: str) -> Any:
    """The value of JSON; ValueError for what is none, or has an object with one key twice."""
    twice: list[str] = []

    def built(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        one = dict(pairs)
        if len(one) < len(pairs):
            twice.extend(repeated(key for key, _ in pairs))
        return one

    try:
        data = json.loads(text, object_pairs_hook=built)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{where} is not JSON: {error}.') from error
    if twice:
        raise ValueError(f'{where}: an object has the key {twice[0]!r} twice; expected one value of each key.')
    return data


def records(data: Any, path: Path) -> list[Mapping[str, Any]]:
    """The rows of JSON: a list of objects, objects by name (the column 'key'), lists by column, or one such inside."""
    if isinstance(data, list) and all(isinstance(one, dict) for one in data):
        return data
    if isinstance(data, dict):
        values = list(data.values())
        lists = [value for value in values if isinstance(value, list)]
        if values and all(isinstance(value, dict) for value in values):
            return [{'key': key, **value} for key, value in data.items()]
        inside = [value for value in lists if value and all(isinstance(one, dict) for one in value)]
        if len(inside) == 1:
            return inside[0]
        if len(lists) == len(values) and len({len(value) for value in lists}) == 1:
            return [dict(zip(data, row, strict=True)) for row in zip(*lists, strict=True)]
    raise ValueError(f'{path} holds no table: expected a list of objects, one per row.')


def coco_columns(data: Mapping[str, Any], path: Path) -> dict[str, np.ndarray]:
    """COCO's images and annotations as rows, one per annotation, and one per image that has none.

    Columns: file_name, height, width, category, bbox, segmentation, iscrowd, image_id.
    """
    try:
        names = {one['id']: one['name'] for one in data.get('categories', [])}
        by_image: dict[Any, list[Mapping[str, Any]]] = {}
        for one in data['annotations']:
            by_image.setdefault(one['image_id'], []).append(one)
        rows = []
        for image in data['images']:
            of_image = {key: image.get(key, '') for key in ('file_name', 'height', 'width')}
            of_image |= {key: value for key, value in image.items() if not isinstance(value, (dict, list))}
            for one in by_image.get(image['id'], [{}]):
                category = names[one['category_id']] if one else ''
                of_shape = {key: one.get(key, '') for key in ('bbox', 'segmentation', 'iscrowd')}
                rows.append({**of_image, 'image_id': image['id'], 'category': category, **of_shape})
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path} is not whole COCO: {error} is missing or of another kind.') from error
    return _of_records(rows)


def _parquet(path: Path, table: Table, found: Found, name: str) -> Rows:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # whatever its reader trips over
        raise ValueError(f'{path} is no readable Parquet file ({" ".join(str(error).split())}).') from error
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f'{path} has two columns {str(twice)!r}; expected one of each name.')
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return _rows({str(column): _objects(frame[column].tolist()) for column in frame.columns}, name)


def _of_records(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    names = dict.fromkeys(key for row in rows for key in row)
    return {str(name): _objects([row.get(name, '') for row in rows]) for name in names}


def _objects(values: Sequence[Any]) -> np.ndarray:
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


def _rows(columns: dict[str, np.ndarray], name: str, line: np.ndarray | None = None) -> Rows:
    count = len(next(iter(columns.values()), ()))
    line = np.arange(1, count + 1) if line is None else line
    return Rows(columns, np.zeros(count, np.int64), line, (name,))


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
    return Rows(columns, file, line, tuple(name for part in parts for name in part.files), twice)


def _exploded(rows: Rows, names: Sequence[str]) -> Rows:
    """One row per element of lists of equal length; of empty ones, one row with empty text."""
    lists = [rows.column(name, 'explode') for name in names]
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
        result.columns[name] = _objects(column)
    return result
