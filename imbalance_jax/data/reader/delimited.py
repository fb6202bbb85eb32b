"""Tables of delimited text: CSV, TSV and their kin, with whatever separator, quotes and line breaks in cells."""

import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imbalance_jax.data.reader.layout import Table
from imbalance_jax.data.reader.rows import Found, Rows, as_rows
from imbalance_jax.data.reader.text_files import content, lines_of
from imbalance_jax.names import repeated

SEPARATORS = (',', ';', '\t', '|')
STATED = re.compile('"?sep=(.)"?$', re.I)  # a first line by which programs say what separates columns
MOST_LINES = 200  # of one row, whose cells may hold line breaks
csv.field_size_limit(1 << 27)


def read(path: Path, table: Table, found: Found, name: str) -> Rows:
    lines = lines_of(content(path, table.encoding, found))
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise ValueError(f'{path} is empty; expected a table.')
    stated = STATED.match(lines[first].strip())
    if stated:
        first = next((number for number, line in enumerate(lines) if number > first and line.strip()), first)
    if lines[first].lstrip()[:1] in ('[', '{') and '":' in lines[first]:
        raise ValueError(f"{path} looks like JSON: kind = 'json' of its table reads it, or 'jsonl' a line per row.")
    likely = stated[1] if stated else max(SEPARATORS, key=lambda one: _split(lines[first], one)[1])
    separator = table.separator or likely
    if separator == ' ':  # as many as there are between two columns
        lines = [re.sub(r'\s+', ' ', line.strip()) for line in lines]
    header = [cell.strip() for cell in _split(lines[first], separator)[0]]
    if table.columns and table.header and {*table.columns} == {*header} and [*table.columns] != header:
        what = 'tables.columns has the names of the first line in another order, and counts'
        found.doubts.append(f'{name}: {what}; there they are {", ".join(header)}.')
    if table.header and not table.columns and separator != ' ':
        _check_title(lines, first, separator, name)
    names = list(table.columns) or (header if table.header else [f'column {k + 1}' for k in range(len(header))])
    strays: list[str] = []
    least, of = (len(names), 'tables.columns') if table.columns else (named(header), 'the first line')
    numbered = list(
        csv_rows(lines, first + bool(table.header), separator, range(least, max(least, len(header)) + 1), strays, name)
    )
    found.add('stray_quote', strays)
    cells, width = [row for _, row in numbered], least if table.columns else max(len(names), len(header))
    for line, row in numbered:
        if len(row) < least or any(row[width:]):
            raise ValueError(f'{name}, line {line}: {len(row)} columns; expected {least} as in {of}.')
    rows = as_rows(_columns(names, cells), name, np.array([line for line, _ in numbered], np.int64))
    return dataclasses.replace(rows, twice=dict.fromkeys(repeated(filter(None, names)), name))


def _check_title(lines: list[str], first: int, separator: str, name: str) -> None:
    """ValueError for a first line of one cell where the next two have as many as one another, and more."""
    following = [line for line in lines[first + 1 :] if line.strip()][:2]
    counts = [sum(bool(cell.strip()) for cell in _split(line, separator)[0]) for line in (lines[first], *following)]
    comment = lines[first].startswith('# ') and counts[0] < min(counts[1:], default=0)
    if len(counts) == 3 and (comment or counts[0] == 1 < counts[1] == counts[2]):
        raise ValueError(
            f'{name} begins with the line {lines[first].strip(separator)!r}, and {counts[1]} cells follow in the next: '
            'delete it if it is a title; the first line has the names of columns.'
        )


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
