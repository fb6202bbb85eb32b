"""What stages leave in a working directory: arrays in `explain/`, made once, and tables of the test split."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imbalance_jax.results import own_tables
from imbalance_jax.results.rows import Population
from imbalance_jax.results.schema import TABLES, Block, write_blocks_of, write_table
from imbalance_jax.system import layout, provenance, records, threads
from imbalance_jax.system.workdir import cached_arrays, kept_arrays, read_arrays, remove, write_arrays
from imbalance_jax.training.trained import SPLIT, Trained

Given = TypeVar('Given')
Program = TypeVar('Program')

BLOCKS = 'attribution', 'concepts', 'twins'  # of a config: what `explain` makes arrays of
OF_MEMORY = 'memory_mib', 'batch_size'  # fields of 'attribution' that change how much is done at a time
CONDITIONS = 'format', 'plugins', 'asked'  # names of arrays that say what the others were made with
FORMAT = 4  # of the arrays in `explain/`: their names and axes


def cached(workdir: Path, name: str, make: Callable[[], Any]) -> dict[str, np.ndarray]:
    """The arrays of `explain/<name>.npz`, or those that `make` gives, kept there until there are other predictions.

    make: returns a dict of arrays, or a NamedTuple of arrays. Arrays of another FORMAT, as an earlier version left
    them, or of plugins that have been edited since, are made again.
    """
    path, source = layout.explained(workdir, name), workdir / layout.PREDICTIONS

    def in_format() -> dict[str, np.ndarray]:
        result = make()
        arrays = dict(result) if isinstance(result, Mapping) else result._asdict()
        return {**arrays, **{key: np.array(value) for key, value in now.items()}}

    now = _conditions(workdir)
    arrays = cached_arrays(path, source, in_format)
    if not _is_of(arrays, now):
        remove(path)
        arrays = cached_arrays(path, source, in_format)
    return _without(arrays)


def cached_by_method(
    workdir: Path,
    kind: str,
    methods: Iterable[str],
    *,
    given: Callable[[], Given],
    compiled: Callable[[Given, str], Program],
    measured: Callable[[Given, str, Callable[[], Program]], Any],
) -> dict[str, dict[str, np.ndarray]]:
    """Method -> the arrays of `explain/<kind>_<method>.npz`, as of `cached`. The programs of those that are not there
    are compiled side by side, beside what the first of them measure.

    given: makes what all methods need, in this thread, and only if an array is missing; compiled: (that, method) -> its
    program; measured: (that, method, its program once it is there) -> its arrays
    """
    found = {method: _kept(workdir, f'{kind}_{method}') for method in methods}
    missing = [method for method, arrays in found.items() if arrays is None]
    if missing:
        what = given()
        with threads.ahead(partial(compiled, what), missing) as programs:
            for method in missing:
                make = partial(measured, what, method, programs[method])
                found[method] = cached(workdir, f'{kind}_{method}', make)
    return {method: arrays for method, arrays in found.items() if arrays is not None}


def _kept(workdir: Path, name: str) -> dict[str, np.ndarray] | None:
    """The arrays that `cached` need not make."""
    arrays = kept_arrays(layout.explained(workdir, name), workdir / layout.PREDICTIONS)
    return _without(arrays) if arrays is not None and _is_of(arrays, _conditions(workdir)) else None


def _conditions(workdir: Path) -> dict[str, Any]:
    """What arrays are made with: their format, the plugins as they are, and what the config asks of maps, units and
    twins, which may have been changed by hand and accepted."""
    config = records.config(workdir) if (workdir / layout.CONFIG).exists() else {}
    asked = {block: dict(config.get(block, {})) for block in BLOCKS}
    for field in OF_MEMORY:
        asked['attribution'].pop(field, None)
    text = json.dumps(asked, sort_keys=True, default=str)
    return {
        'format': FORMAT,
        'plugins': provenance.plugins(),
        'asked': hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _is_of(arrays: Mapping[str, np.ndarray], conditions: Mapping[str, Any]) -> bool:
    """Whether arrays were made under these conditions."""
    return all(str(arrays.get(key, '')) == str(value) for key, value in conditions.items())


def _without(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays.items() if name not in CONDITIONS}


def write(workdir: Path, name: str, **arrays: np.ndarray) -> None:
    """Writes `explain/<name>.npz`."""
    write_arrays(layout.explained(workdir, name), **arrays)


def write_rows(workdir: Path, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a table of `results/`, all of the test split; ValueError for rows of a user's own that are of one thing,
    or of what there is not."""
    written = [{**row, 'split': SPLIT} for row in rows]
    if table not in TABLES:
        info = records.data(workdir)
        own_tables.check(table, written, records.members(workdir), {*info['classes'], *info['concepts']})
    write_table(workdir, table, written)


def write_blocks(workdir: Path, table: str, blocks: Iterable[Block]) -> None:
    """The same of a table with millions of rows, as blocks of them (`schema.frame_of_blocks`)."""
    write_blocks_of(workdir, table, ({**block, 'split': SPLIT} for block in blocks))


def test_logits(workdir: Path) -> np.ndarray:
    """The members' logits [P,N,K] of the test split."""
    return read_arrays(workdir / layout.PREDICTIONS)[f'logits_{SPLIT}']


def population(trained: Trained) -> Population:
    """Who the rows of tables are of."""
    return Population(trained.members, trained.alive, trained.config.reference)
