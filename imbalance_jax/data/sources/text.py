"""Rows of text tables, each with its file and line for error messages, and names that cannot lead out of a folder."""

import csv
import gzip
import zlib
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from imbalance_jax.data.reader import delimited, text_files
from imbalance_jax.system.files import regular

Key = TypeVar('Key', bound=Hashable)


def single_file(folder: Path, pattern: str, layout: str) -> Path:
    """The one file of that pattern, perhaps gzipped; FileNotFoundError or ValueError unless there is exactly one."""
    paths = sorted(path for suffix in ('', '.gz') for path in Path(folder).glob(pattern + suffix))
    if not paths:
        raise FileNotFoundError(f'{folder} has no {pattern}. {layout}')
    if len(paths) > 1:
        raise ValueError(f'{folder} has {len(paths)} files for {pattern}; keep one: {[path.name for path in paths]}.')
    return regular(paths[0])


def text_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields the rows that are not blank, stripped, each with 'FILE, line N' for error messages.

    The first row says how many cells there are: a quote that nothing closes before the next whole row is taken as it
    stands, and swallows none.
    """
    opened = gzip.open if Path(path).suffix == '.gz' else open
    try:
        with opened(path, 'rt', encoding='utf-8-sig', newline='') as file:
            lines = text_files.lines_of(file.read())
        header = next(csv.reader(line for line in lines if line.strip()), [])
        widths = range(delimited.named(header), len(header) + 1)
        for line, row in delimited.csv_rows(lines, 0, ',', widths, [], str(path)):
            if any(row):
                yield f'{path}, line {line}', row
    except (gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path} is not a readable text table ({error}); expected UTF-8 text or its gzip.') from error


def one_line(cells: Iterable[str | None], where: str) -> None:
    """ValueError if a cell holds a line break: a quote that nothing closes has swallowed the lines that follow it."""
    if any(cell and '\n' in cell for cell in cells):
        raise ValueError(f'{where}: a quote (") is opened that its line does not close; expected one row per line.')


def once(seen: dict[Key, str], key: Key, where: str) -> None:
    """Notes where a key was met; ValueError if it was met before."""
    if key in seen:
        raise ValueError(f'{where}: {key} is already in {seen[key]}; expected once.')
    seen[key] = where


def plain_file_name(text: str, where: str) -> str:
    """The name itself; ValueError if it could lead out of a folder."""
    if not text or '/' in text or '\\' in text or '..' in text:
        raise ValueError(f'{where}: image {text!r}; expected a plain file name such as 00000001_000.png.')
    return text
