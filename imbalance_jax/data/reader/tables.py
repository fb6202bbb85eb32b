"""Tables of any kind: which files they are, and the rows of them that count."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from imbalance_jax.data.reader import delimited, drawn_files, json_files
from imbalance_jax.data.reader.layout import Table
from imbalance_jax.data.reader.rows import SHOWN, SPLIT, Found, Rows, as_rows, exploded, objects, stacked
from imbalance_jax.data.reader.spelling import matches
from imbalance_jax.names import lookup
from imbalance_jax.system.files import at_home

# What the names of older copies have more.
WORDS = 'old|backup|bak|copy|copie|kopie|previous|deprecated'
COPY = re.compile(rf'[ _.-]*(\([0-9]+\)|(?<![a-z])({WORDS})(?![a-z])( of)?)[0-9]*', re.I)
SPACES = re.compile('[ _-]+')


def table_files(folder: Path, table: Table) -> list[Path]:
    """The files of a table, also gzipped; FileNotFoundError if there are none and it is not optional."""
    try:
        base, pattern = below(folder, table.file)
        found = {path for suffix in ('', '.gz') for path in files_of(base, pattern + suffix)}
    except (ValueError, NotImplementedError) as error:
        raise ValueError(f'{table.file!r} is no pattern of a file below {folder} ({error}).') from error
    paths = sorted(path for path in found if path.is_file() and not path.name.startswith('.'))
    if not drawn_files.are_of_one(table):  # of images, which are called img (1), too
        _check_no_copies(paths, pattern)
    if not paths and not table.optional:
        what = f'{pattern} of {base} is a folder' if (base / pattern).is_dir() else f'{base} has no {pattern}'
        raise FileNotFoundError(f'{what}; it is a table of the data set (tables).')
    return paths


def _check_no_copies(files: Sequence[Path], pattern: str) -> None:
    """ValueError where a pattern means a file and an older copy of it, by their names: both would be read."""
    names = {SPACES.sub('', path.name).casefold(): path.name for path in files}
    for path in files:
        original = names.get(SPACES.sub('', COPY.sub('', path.name)).casefold(), path.name)
        if original != path.name:
            raise ValueError(
                f'{path} is called as an older copy of {original}, and both are meant by {pattern!r}: move one of them '
                'out of the folder.'
            )


def files_of(base: Path, pattern: str) -> list[Path]:
    """The file of that name in a folder, or else those that it is a pattern of: a name may have brackets."""
    literal = base / pattern
    return [literal] if literal.is_file() else sorted(base.glob(pattern))


def below(folder: Path, pattern: str) -> tuple[Path, str]:
    """The folder to look in, and the pattern there: of an absolute path the last part."""
    path = at_home(pattern)
    return (path.parent, path.name) if path.is_absolute() else (Path(folder), pattern)


def read_table(folder: Path, table: Table, found: Found) -> Rows:
    """The rows of a table that count. ValueError for one that cannot be read, naming file and line."""
    parts = [_read(path, table, found, _shown(path, folder)) for path in table_files(folder, table)]
    rows = stacked(parts)
    if drawn_files.are_of_one(table) and len(rows):
        drawn_files.say_called_otherwise(rows, found)
    renamed = {name: rows.column(own, 'rename') for name, own in table.rename.items()}
    rows.columns.update(renamed)  # at once: two may be exchanged
    rows = derived(rows, table.derive)
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
        rows = exploded(rows, table.explode)
    if table.split:
        rows.columns[SPLIT] = np.full(len(rows), table.split, object)
    return rows


def derived(rows: Rows, derive: Mapping[str, tuple[str, str, str]]) -> Rows:
    """The same with the columns that `Table.derive` or `Images.derive` names, made one after the other."""
    for name, (column, pattern, template) in derive.items():
        compiled = re.compile(pattern)
        matched = [compiled.search(str(text)) for text in rows.column(column, 'derive')]
        texts = objects([compiled.sub(template, one[0]) if one else '' for one in matched])
        rows = rows.with_columns(**{name: texts})
    return rows


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _read(path: Path, table: Table, found: Found, name: str) -> Rows:
    if table.read:
        columns = dict(table.read(path))
        return as_rows({key: objects(values) for key, values in columns.items()}, name)
    kind = table.kind or path.name.removesuffix('.gz').rpartition('.')[2].lower()
    kinds = {
        'csv': delimited.read,
        'tsv': delimited.read,
        'txt': delimited.read,
        'json': json_files.read,
        'jsonl': json_files.read,
        'parquet': _parquet,
        'coco': json_files.read,
        'xml': drawn_files.read,
        **dict.fromkeys(drawn_files.KINDS, drawn_files.read),
    }
    return lookup(kinds, kind, f'kind of table ({path})')(path, table, found, name)


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
    return as_rows({str(column): objects(frame[column].tolist()) for column in frame.columns}, name)
