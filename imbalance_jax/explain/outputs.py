"""What stages leave in a working directory: arrays in `explain/`, made once, and tables of the test split."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.results.rows import Population
from imbalance_jax.results.schema import Block, write_blocks_of, write_table
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import cached_arrays, kept_arrays, read_arrays, write_arrays
from imbalance_jax.training.trained import SPLIT, Trained

FORMAT = 4  # of the arrays in `explain/`: their names and axes


def cached(workdir: Path, name: str, make: Callable[[], Any]) -> dict[str, np.ndarray]:
    """The arrays of `explain/<name>.npz`, or those that `make` gives, kept there until there are other predictions.

    make: returns a dict of arrays, or a NamedTuple of arrays. Arrays of another FORMAT, as an earlier version left
    them, are made again.
    """
    path, source = layout.explained(workdir, name), workdir / layout.PREDICTIONS

    def in_format() -> dict[str, np.ndarray]:
        result = make()
        arrays = dict(result) if isinstance(result, Mapping) else result._asdict()
        return {**arrays, 'format': np.array(FORMAT)}

    arrays = cached_arrays(path, source, in_format)
    if arrays.pop('format', 0) != FORMAT:
        path.unlink()
        arrays = cached_arrays(path, source, in_format)
        del arrays['format']
    return arrays


def is_kept(workdir: Path, name: str) -> bool:
    """Whether `cached` has the arrays `name` and need not make them."""
    arrays = kept_arrays(layout.explained(workdir, name), workdir / layout.PREDICTIONS)
    return arrays is not None and arrays.get('format') == FORMAT


def write(workdir: Path, name: str, **arrays: np.ndarray) -> None:
    """Writes `explain/<name>.npz`."""
    write_arrays(layout.explained(workdir, name), **arrays)


def write_rows(workdir: Path, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a table of `results/`, all of the test split."""
    write_table(workdir, table, [{**row, 'split': SPLIT} for row in rows])


def write_blocks(workdir: Path, table: str, blocks: Iterable[Block]) -> None:
    """The same of a table with millions of rows, as blocks of them (`schema.frame_of_blocks`)."""
    write_blocks_of(workdir, table, ({**block, 'split': SPLIT} for block in blocks))


def test_logits(workdir: Path) -> np.ndarray:
    """The members' logits [P,N,K] of the test split."""
    return read_arrays(workdir / layout.PREDICTIONS)[f'logits_{SPLIT}']


def population(trained: Trained) -> Population:
    """Who the rows of tables are of."""
    return Population(trained.members, trained.alive, trained.config.reference)
