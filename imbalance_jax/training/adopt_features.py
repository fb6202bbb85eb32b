"""Tables of features that were made elsewhere: a line per image and network, and a number per unit.

They are matched to a data set by the names of its images, as predictions are (`adopt_tables`).
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.names import some
from imbalance_jax.training import adopt_tables, adopt_values
from imbalance_jax.training.adopt_tables import KEYS, SHOWN

FEATURES = 'features'  # the array of an .npz, or the column of lists
# Columns that are called so are a table's own numbering, or facts about its lines.
BOOKKEEPING = (
    *('index', 'unnamed: 0', 'level_0', '__index_level_0__', 'row', 'batch', 'epoch', 'fold', 'split', 'step', 'loss'),
    *('patient', 'patient_id', 'study', 'study_id', 'age', 'sex', 'width', 'height'),
    *('label', 'target', 'y', 'y_true', 'y_pred', 'prediction'),
)
SPLITS = ('test',)  # the only split that is explained
LONG = 8  # times as long as wide, and as units, is no map
BESIDE = f'the array {FEATURES} [n,U] or [n,h,w,U], or in a table a column for each unit'


class Features(NamedTuple):
    """Features of networks that were trained elsewhere.

    networks: (arm, seed) of each of P; maps: [P,N,h,w,U] float32 of the N test images, in the order of a data set's
    rows, h = w = 1 where they have no places; facts: of the file, for members.json.
    """

    networks: list[tuple[str, int]]
    maps: np.ndarray
    facts: dict[str, Any]


def read(path: Path, dataset: Dataset) -> Features:
    """The features of an .npz or .parquet file; ValueError naming the array, the image or the network that misfits."""
    path = Path(path)
    content = adopt_tables.content_of(path)
    readers: dict[str, Callable] = {'.npz': _npz, '.parquet': partial(_parquet, dataset=dataset, path=path)}
    table, values = adopt_tables.parsed(readers, content, path, flag='features', what='')
    adopt_tables.check_keys(table, path, BESIDE)
    table = adopt_tables.keys_as_text(table, path)
    maps = as_maps(values, table, path)
    networks, lines = adopt_tables.place(table, dataset, path, SPLITS)
    print(f'{path}: features of {maps.shape[-1]} units.', flush=True)
    maps = maps[lines['test']]  # [P,N,h,w,U]
    for (arm, seed), own in zip(networks, maps, strict=True):
        if (own == own[:1]).all():
            print(f'{path}: arm {arm}, seed {seed} has the same features of every image.', flush=True)
    facts = {'file': str(path), 'sha256': hashlib.sha256(content).hexdigest(), 'shape': list(maps.shape[2:])}
    return Features(networks, maps, facts)


def _npz(content: bytes) -> tuple[pd.DataFrame, np.ndarray]:
    """The keys and the array of features."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        if FEATURES not in arrays:
            raise ValueError(f'it has no array {FEATURES!r}; its arrays are {some(arrays.files, 12) or "none"}')
        keys = {name: np.atleast_1d(arrays[name]) for name in KEYS if name in arrays}
        values = arrays[FEATURES]
    for name, key in keys.items():
        if key.shape != values.shape[:1]:
            raise ValueError(f'{FEATURES} is {list(values.shape)}, and {name} {list(key.shape)}: give one per line')
    return pd.DataFrame(keys), values


def _parquet(content: bytes, *, dataset: Dataset, path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The keys, and the columns of units in their order, or one column of lists as an array. Columns that are called
    as no unit is (`unit_columns`) are left out, and said."""
    table = adopt_tables.of_parquet(content)
    others = [name for name in table.columns if name not in KEYS]
    units = unit_columns(others, dataset.classes)
    if left := [str(name) for name in others if name not in units]:
        print(f'{path}: {some(left, SHOWN)} left out, as called as no unit is.', flush=True)
    if units == [FEATURES]:
        try:
            lists = [np.asarray(one, np.float64) for one in table[FEATURES]]
        except (ValueError, TypeError) as error:
            raise ValueError(
                f'its column {FEATURES} has more than a list of numbers in a cell: give one number per unit; of units '
                'with places the array of an .npz'
            ) from error
        lengths = sorted({one.shape for one in lists})
        shapes = [str(list(shape)) for shape in lengths]
        if len(lengths) != 1 or len(lengths[0]) != 1:
            raise ValueError(
                f'the lists of its column {FEATURES} have the shapes {some(shapes, SHOWN)}: give one length'
            )
        return table, np.stack(lists)
    text = [str(name) for name in units if not pd.api.types.is_numeric_dtype(table[name])]
    if text:
        raise ValueError(f'{some(text, SHOWN)} are no numbers; every column beside {", ".join(KEYS)} is a unit')
    return table, table[units].to_numpy(np.float64) if units else np.zeros((len(table), 0))


def unit_columns(names: Sequence[Any], classes: Sequence[str]) -> list[Any]:
    """The names that may be of units: those that are neither a class nor `BOOKKEEPING`; where most of them end in a
    number, as units do that are counted, only these."""
    no_units = {*BOOKKEEPING, *(name.lower() for name in classes)}
    left = [name for name in names if str(name).strip().lower() not in no_units]
    counted = [name for name in left if str(name).strip()[-1:].isdecimal()]
    return counted if len(counted) > len(left) / 2 else left


def as_maps(values: np.ndarray, table: pd.DataFrame, path: Path) -> np.ndarray:
    """Values [n,U] or [n,h,w,U] as [n,h,w,U] float32; ValueError for others, and for the first that is not finite,
    or whose square is not."""
    shape = list(values.shape)
    if values.ndim not in (2, 4) or 0 in values.shape or not _real(values):
        raise ValueError(f'{path}: {FEATURES} are {values.dtype}{shape}; they must be numbers [n,U] or [n,h,w,U].')
    long = values.ndim == 4 and shape[1] >= LONG * max(shape[2:])  # no map is so, of whatever sides
    if values.ndim == 4 and (shape[2] == shape[3] != shape[1] or long):
        raise ValueError(
            f'{path}: {FEATURES} are {shape}, which looks like [n,U,h,w] of PyTorch; they must be [n,h,w,U]: '
            f'{FEATURES}.transpose(0, 2, 3, 1).'
        )
    with np.errstate(over='ignore'):
        maps = np.asarray(values, np.float32)
    maps = maps if maps.ndim == 4 else maps[:, None, None]
    with np.errstate(over='ignore', invalid='ignore'):
        wrong = np.flatnonzero(~np.isfinite(maps**2).all((1, 2, 3)))
    if len(wrong):
        who = adopt_values.who(table, int(wrong[0]))
        what = 'are not finite in float32, or not when squared'
        raise ValueError(f'{path}: {len(wrong):,} of {len(maps):,} lines {what}, such as {who}.')
    return maps


def _real(values: np.ndarray) -> bool:
    return bool(np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer))


def check_same(networks: Sequence[tuple[str, int]], others: Sequence[tuple[str, int]], *, file: str) -> None:
    """Raises ValueError unless features are of the networks that predictions are of; both sorted. file: of features."""
    for one, other, what in ((networks, others, 'no predictions'), (others, networks, 'no features')):
        alone = [f'arm {arm}, seed {seed}' for arm, seed in one if (arm, seed) not in other]
        if alone:
            raise ValueError(f'{file}: there are {what} of {some(alone, SHOWN)}; give both of the same networks.')
