"""A working directory in memory: everything the report reads, and numbers of the long tables by their names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.results import rows as tables
from imbalance_jax.system import layout
from imbalance_jax.system import workdir as writer

ALL, MACRO, TEST, MEMBER = tables.ALL, 'macro', 'test', 'member'
KEY = ('arm', 'seed', 'class', 'split', 'method', 'metric')
TRAIN = 'imbalance-jax train --config=CONFIG --workdir={}'
EXPLAIN = 'imbalance-jax explain --workdir={}'


class Values(NamedTuple):
    """A long table as {(arm, seed, class, split, method, metric): value}, and the same of n."""

    value: dict[tuple, float]
    n: dict[tuple, int]

    def __call__(self, metric: str, name: str = MACRO, *, arm='', seed='', split=TEST, method=MEMBER) -> float:
        """One number; NaN where the table has no such row. An arm without a seed means all of its living seeds."""
        return self.value.get((arm, seed or (ALL if arm else ''), name, split, method, metric), np.nan)

    def count(self, metric: str, name: str = MACRO, *, arm='', seed='', split=TEST, method=MEMBER) -> int:
        """The n beside that number, 0 where there is no such row."""
        return self.n.get((arm, seed or (ALL if arm else ''), name, split, method, metric), 0)

    def distinct(self, column: str, **fixed: str) -> list[str]:
        """The different entries of one column, in the order of the table, of rows in which the others are `fixed`."""
        place, others = KEY.index(column), [(KEY.index(name), value) for name, value in fixed.items()]
        return list(dict.fromkeys(key[place] for key in self.value if all(key[i] == value for i, value in others)))


class Study(NamedTuple):
    """What training left, and what explaining left: `alignment`, `concepts` and `audit` are None before that.

    `seeds` is None unless an arm has many.
    """

    folder: Path
    config: dict
    members: list[dict]
    info: dict
    provenance: dict
    lines: list[dict]
    sheet: dict[str, np.ndarray]
    data: Values
    performance: Values
    alignment: Values | None
    concepts: Values | None
    audit: Values | None
    seeds: Values | None
    faithfulness: Values | None = None
    shortcut: Values | None = None
    roar: Values | None = None

    @property
    def reference(self) -> str:
        return self.config['reference']

    @property
    def arms(self) -> list[str]:
        """The reference first."""
        return list(tables.by_arm(self.members))

    @property
    def others(self) -> list[str]:
        return [arm for arm in self.arms if arm != self.reference]

    @property
    def classes(self) -> list[str]:
        return self.info['classes']

    @property
    def concept_names(self) -> list[str]:
        return self.info['concepts']

    @property
    def methods(self) -> list[str]:
        """Attribution methods in the alignment table, as they come in the config."""
        found = set(self.alignment.distinct('method', seed=ALL)) if self.alignment else set()
        return [method for method in self.config['attribution']['methods'] if method in found]

    @property
    def layer(self) -> str:
        """The dissected layer, '' if there is none."""
        return next(iter(self.concepts.distinct('method')), '') if self.concepts else ''

    def shared_count(self, metric: str, name: str) -> int:
        """The n beside a number of the dissected layer, which is the same for all members: units, or probe images."""
        first = self.members[0]
        return self.concepts.count(metric, name, arm=first['arm'], seed=str(first['seed']), method=self.layer)

    def rows(self, arm: str) -> list[dict]:
        """The members of an arm."""
        return [row for row in self.members if row['arm'] == arm]

    def alive(self, row: dict) -> bool:
        """Whether a member's loss stayed finite."""
        return self.performance('alive', 'all classes', arm=row['arm'], seed=str(row['seed'])) != 0

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """explain/<name>.npz, None if it is not there."""
        path = layout.explained(self.folder, name)
        return read(path, writer.read_arrays) if path.exists() else None


def load(folder: Path) -> Study:
    """Reads a working directory in which training is finished.

    Raises FileNotFoundError naming the first missing file and the command that makes it, ValueError for a damaged file.
    """
    folder = Path(folder)
    names = (layout.CONFIG, layout.MEMBERS, layout.DATA, layout.PROVENANCE)
    config, members, info, provenance = (needed(folder / name, writer.read_json) for name in names)
    return Study(
        folder=folder,
        config=config,
        members=members,
        info=info,
        provenance=provenance,
        lines=needed(folder / layout.METRICS, read_lines),
        sheet=needed(folder / layout.CONTACT_SHEET, writer.read_arrays),
        data=needed(layout.table(folder, 'data'), read_values),
        performance=needed(layout.table(folder, 'performance'), read_values),
        alignment=optional(layout.table(folder, 'alignment'), read_values),
        concepts=optional(layout.table(folder, 'concepts'), read_values),
        audit=optional(layout.table(folder, 'audit'), read_values),
        faithfulness=optional(layout.table(folder, 'faithfulness'), read_values),
        shortcut=optional(layout.table(folder, 'shortcut'), read_values),
        seeds=optional(layout.table(folder, 'seeds'), read_values),
        roar=optional(layout.table(folder, 'roar'), read_values),
    )


def read_values(path: Path) -> Values:
    """results/<name>.parquet by its keys."""
    table = writer.read_table(path.parents[1], path.stem)
    keys = list(zip(*(table[name].fillna('').astype(str) for name in KEY), strict=True))
    return Values(
        dict(zip(keys, table['value'].astype(float), strict=True)),
        dict(zip(keys, table['n'].fillna(0).astype(int), strict=True)),
    )


def read_lines(path: Path) -> list[dict]:
    """The rows of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def needed(path: Path, reader: Callable[[Path], Any]):
    """What `reader` makes of a file that training leaves."""
    if not path.exists():
        folder = path.parent.parent if path.parent.name == layout.RESULTS else path.parent
        raise FileNotFoundError(f'{path} is missing: training is not finished. Make it with: {TRAIN.format(folder)}')
    return read(path, reader)


def optional(path: Path, reader: Callable[[Path], Any]):
    return read(path, reader) if path.exists() else None


def read(path: Path, reader: Callable[[Path], Any]):
    """`reader(path)`, and ValueError naming the file for whatever is wrong in it."""
    try:
        return reader(path)
    except Exception as error:  # readers of four formats, each with errors of its own
        raise ValueError(f'{path} cannot be read: {error}') from error
