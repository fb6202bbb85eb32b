"""Tables of predictions that were made elsewhere: a line per image and network, and a column per class.

A table is matched to a data set by the names of its images and of its classes, and nothing is guessed: every network
needs a line for every image that is judged.
"""

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imbalance_jax.data import label_map
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.overlap import file_stem
from imbalance_jax.data.reader.delimited import STATED
from imbalance_jax.data.reader.text_files import lines_of
from imbalance_jax.data.tasks import MULTI_CLASS, task_of
from imbalance_jax.names import lookup, some
from imbalance_jax.system.files import naming, regular
from imbalance_jax.training.adopt_values import PROBABILITIES, VALUES, as_log_odds, doubts, numbers_of

NOTHING = ('', 'nan', 'NaN', 'None', '<NA>', 'NaT')  # also what pandas and Python make of it as text
KEYS = ('image', 'arm', 'seed')  # columns that say whose prediction of which image a line is
SPLITS = ('validation', 'test')
SHOWN = 3  # examples in a message


class Predictions(NamedTuple):
    """Predictions of networks that were trained elsewhere.

    networks: (arm, seed) of each of P; log_odds: {split: [P,n,K] float64} in the order of a data set's rows, those of a
    class against all others where the link is SOFTMAX; link: SIGMOID or SOFTMAX; facts: of the file, for members.json.
    """

    networks: list[tuple[str, int]]
    log_odds: dict[str, np.ndarray]
    link: str
    facts: dict[str, Any]


def read(path: Path, dataset: Dataset, values: str = PROBABILITIES) -> Predictions:
    """The predictions of a .csv, .parquet or .npz file; ValueError naming the column, the image or the network that
    does not fit. values: what its numbers are, PROBABILITIES or LOGITS."""
    lookup(dict.fromkeys(VALUES), values, 'value of --values:')
    path = Path(path)
    content = content_of(path)
    table = of_content(content, path)
    check_keys(table, path, 'one for each class')
    columns = class_columns(table, dataset, path)
    asked = np.isin(image_rows(table, dataset, path), np.concatenate([dataset.rows(split) for split in SPLITS]))
    table = table[asked].reset_index(drop=True) if asked.any() else table
    numbers = numbers_of(table, columns, path)
    for said in doubts(numbers, table, columns):
        print(f'{path}: {said}', flush=True)
    log_odds, link = as_log_odds(numbers, table, values, is_multi_class=task_of(dataset.info) == MULTI_CLASS, path=path)
    networks, placed = place(table, dataset, path)
    facts: dict[str, Any] = {
        'file': str(path),
        'sha256': hashlib.sha256(content).hexdigest(),
        'container': path.suffix[1:],
    }
    facts |= {'values': values, 'classes': columns, 'seen': {}}
    return Predictions(networks, {split: log_odds[lines] for split, lines in placed.items()}, link, facts)


def check_keys(table: pd.DataFrame, path: Path, beside: str) -> None:
    """Raises ValueError for a table without a line, or that does not say whose its lines are. beside: what else it
    needs."""
    missing = [name for name in KEYS if name not in table]
    if missing or not len(table):
        lacks = f'has no column {missing[0]!r}' if missing else 'has no line'
        if missing and len(table.columns) == 1 and any(one in str(table.columns[0]) for one in ';\t|'):
            lacks += f' but one, {str(table.columns[0])!r}: columns are separated by commas'
        raise ValueError(f'{path} {lacks}; it needs the columns {", ".join(KEYS)} and {beside}.')


def content_of(path: Path) -> bytes:
    """The bytes of a file that a flag names; OSError or ValueError with its name for what is no file."""
    with naming(path):
        return regular(path).read_bytes()


def parsed(readers: Mapping[str, Callable[[bytes], Any]], content: bytes, path: Path, *, flag: str, what: str) -> Any:
    """What the reader for the kind of the file makes of its bytes; ValueError for another kind, or where it cannot."""
    reader = lookup(readers, path.suffix.lower(), f'kind of file of --{flag}={path}:')
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        raise ValueError(f'{path} is one array, as numpy.save writes it; expected several by name, as of numpy.savez.')
    try:
        return reader(content)
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        hint = '; save names as arrays of text, array.astype(str)' if 'allow_pickle' in str(error) else ''
        reason = str(error).splitlines()[0].rstrip('.')
        raise ValueError(f'{path} could not be read{what}: {reason}{hint}.') from error


def of_content(content: bytes, path: Path) -> pd.DataFrame:
    """The table of a file's bytes, names of images and arms as text."""
    table = parsed(READERS, content, path, flag='predictions', what=' as a table')
    table.columns = [str(name).strip() for name in table.columns]
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise ValueError(f'{path} has the column {twice[0]!r} twice.')
    return keys_as_text(table, path)


def keys_as_text(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table, names of images and arms as text without blanks around them; ValueError for a line without one."""
    texts = {name: table[name].where(table[name].notna(), '').astype(str).str.strip() for name in KEYS if name in table}
    for name, text in texts.items():
        if len(blank := np.flatnonzero(text.isin(NOTHING))):
            as_text = f' ({text.iloc[blank[0]]!r})' if text.iloc[blank[0]] else ''
            raise ValueError(f'{path}: {name} is empty{as_text} in {len(blank):,} lines, the first is {blank[0] + 1}.')
    return table.assign(**texts)


def _csv(content: bytes) -> pd.DataFrame:
    encoding = 'utf-16' if content[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    text, separator = '\n'.join(lines_of(content.decode(encoding))), ','
    if stated := STATED.match(text.partition('\n')[0].strip()):
        text, separator = text.partition('\n')[2], stated[1]
    kinds = dict.fromkeys(KEYS, str)
    table = pd.read_csv(io.StringIO(text), sep=separator, dtype=kinds, keep_default_na=False, low_memory=False)
    names = next(csv.reader(io.StringIO(text), delimiter=separator), [])  # pandas renames what is there twice
    return table.set_axis(names, axis=1) if len(names) == len(table.columns) else table


def of_parquet(content: bytes) -> pd.DataFrame:
    """A table, with those of `KEYS` that are levels of its index as columns; other levels are left."""
    table = pd.read_parquet(io.BytesIO(content))
    levels = {name: table.index.get_level_values(name) for name in table.index.names if name in KEYS}
    return table.reset_index(drop=True).assign(**levels)


def _npz(content: bytes) -> pd.DataFrame:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    lengths = [one.shape for one in columns.values()]
    for name, column in columns.items():
        if column.ndim != 1 or column.shape != lengths[0]:
            of_all = f'; its others are {list(lengths[0])}' if column.ndim == 1 else ''
            raise ValueError(
                f'its array {name} is {list(column.shape)}{of_all}; expected one per key and class, each of one number '
                'per line'
            )
    return pd.DataFrame(columns)


READERS = {'.csv': _csv, '.parquet': of_parquet, '.npz': _npz}


def class_columns(table: pd.DataFrame, dataset: Dataset, path: Path) -> list[str]:
    """The column [K] of each class, by name; what else the table has is left out, and said."""
    others = [name for name in table.columns if name not in KEYS]
    found = label_map.match(dataset.classes, dataset.classes, others, where=str(path)).classes
    missing = [name for name, column in found.items() if column is None]
    if missing:
        raise ValueError(
            f'{path} has no column for {some(missing, SHOWN)}; its columns beside {", ".join(KEYS)} are '
            f'{some(others, 12) or "none"}.'
        )
    columns = [str(found[name]) for name in dataset.classes]
    if left := [name or 'a column without a name' for name in others if name not in columns]:
        print(f'{path}: {some(left, 12)} left out, as {dataset.info["name"]} has no such class.', flush=True)
    return columns


def place(
    table: pd.DataFrame, dataset: Dataset, path: Path, splits: Sequence[str] = SPLITS
) -> tuple[list[tuple[str, int]], dict[str, np.ndarray]]:
    """The networks (arm, seed) of a table, and the line {split: [P,n]} of each image of theirs."""
    image = image_rows(table, dataset, path)
    arms, seeds = (table[name].to_numpy(str) for name in ('arm', 'seed'))
    seeds = np.array([re.sub(r'[.]0+$', '', seed) for seed in seeds.tolist()], str)  # as a table program leaves them
    wrong = [repr(str(seed)) for seed in np.unique(seeds) if not seed.isdecimal() or int(seed) >= 2**32]
    if wrong:
        raise ValueError(f'{path}: seed is {some(wrong, SHOWN)}; it must be a whole number from 0, below 2^32.')
    numbers = seeds.astype(np.int64)
    networks = sorted(set(zip(arms.tolist(), numbers.tolist(), strict=True)))
    lines = [np.flatnonzero((arms == arm) & (numbers == seed)) for arm, seed in networks]
    per_network = [
        of_network(image, index, dataset, splits, where=f'{path}: arm {arm}, seed {seed}')
        for (arm, seed), index in zip(networks, lines, strict=True)
    ]
    return networks, {split: np.stack([one[split] for one in per_network]) for split in splits}


def of_network(
    image: np.ndarray, index: np.ndarray, dataset: Dataset, splits: Sequence[str], *, where: str
) -> dict[str, np.ndarray]:
    """The line [n] of each image of a split among the lines `index` of one network; image: the row of every line."""
    counts = np.bincount(image[index], minlength=len(dataset.split))
    twice, line = dataset.image_id[counts > 1], np.full(len(dataset.split), -1)
    if len(twice):
        raise ValueError(f'{where} has more than one line of {_images(twice.tolist())}.')
    line[image[index]] = index
    for split in splits:
        rows = dataset.rows(split)
        lacking = dataset.image_id[rows[line[rows] < 0]]
        if len(lacking):
            why = '; thresholds of decisions are chosen on them' if split == 'validation' else ''
            of = f' of the {len(rows):,} images of the {split} split'
            raise ValueError(f'{where} has no line of {_images(lacking.tolist())},{of}{why}.')
    return {split: line[dataset.rows(split)] for split in splits}


def image_rows(table: pd.DataFrame, dataset: Dataset, path: Path) -> np.ndarray:
    """The row of the data set [n] of each line, by the name of its image: as it is, or with further folders before it;
    else without folders and ending where that is unique in the data set."""
    names, codes = np.unique(table['image'].to_numpy(str), return_inverse=True)
    known = {str(name): row for row, name in enumerate(dataset.image_id)}
    rows = _rows_of([_without_first_folders(name, known) for name in names], known)
    stems = {file_stem(name): row for row, name in enumerate(dataset.image_id)}
    if (rows < 0).any() and len(stems) == len(dataset.image_id):
        rows = np.where(rows < 0, _rows_of([file_stem(name) for name in names], stems), rows)
    unknown = names[rows < 0].tolist()
    if unknown:
        raise ValueError(
            f'{path}: {_images(unknown)} (column image) are not in {dataset.info["name"]}, whose images are called '
            f'{some([str(name) for name in dataset.image_id], SHOWN)}.'
        )
    return rows[codes]


def _without_first_folders(name: str, known: Collection[str]) -> str:
    """A path from the first of its folders on from which it is known; as it is if it is not known at all."""
    parts = name.replace('\\', '/').split('/')
    return next((tail for at in range(len(parts)) if (tail := '/'.join(parts[at:])) in known), name)


def _rows_of(names: Sequence[str], rows: Mapping[str, int]) -> np.ndarray:
    return np.array([rows.get(name, -1) for name in names], np.int64)


def _images(names: Sequence[str]) -> str:
    """'3 images, such as a, b, c'."""
    shown = ', '.join(map(str, names[:SHOWN]))
    return f'{len(names):,} image{"s" if len(names) != 1 else ""}, such as {shown}'
