"""Numbers of the long tables by their names."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imbalance_jax.results.rows import MACRO
from imbalance_jax.results.schema import keys_of, read_table

TEST = 'test'


class Values(NamedTuple):
    """A long table: the columns that tell its rows apart, and their entries -> value, and -> n."""

    columns: tuple[str, ...]
    value: dict[tuple[str, ...], float]
    n: dict[tuple[str, ...], int]

    def key(self, metric: str, name: str, where: Mapping[str, str]) -> tuple[str, ...]:
        """A row's key: its metric and class, and what is said of other columns.

        The split is test; what has a seed is a member's, what has an arm is the mean over its living seeds, and the
        rest is the data's, unless it is said otherwise. Other columns are ''.
        """
        entries = {'class': name, 'metric': metric, 'split': TEST, **where}
        if unknown := set(entries) - set(self.columns):
            raise ValueError(f'The table has no column {", ".join(sorted(unknown))}; it has {", ".join(self.columns)}.')
        kind = entries.setdefault('kind', 'member' if 'seed' in entries else 'arm' if 'arm' in entries else 'data')
        entries.setdefault('statistic', 'mean' if kind == 'arm' else 'value')
        return tuple(str(entries.get(column, '')) for column in self.columns)

    def __call__(self, metric: str, name: str = MACRO, **where: str) -> float:
        """One number; NaN where the table has no such row."""
        return self.value.get(self.key(metric, name, where), np.nan)

    def over(self, metric: str, name: str = MACRO, **where: str) -> int:
        """The n beside that number, 0 where there is no such row."""
        return self.n.get(self.key(metric, name, where), 0)

    def distinct(self, column: str, **where: str) -> list[str]:
        """The different entries of one column, in the order of the table, of rows in which others are as said."""
        position, keys = self.columns.index(column), list(self.value)
        for name, value in where.items():
            i = self.columns.index(name)
            keys = [key for key in keys if key[i] == value]
        return list(dict.fromkeys(key[position] for key in keys))


class Outcome(NamedTuple):
    """A figure that arms are compared by: where it stands in the tables."""

    table: Values
    metric: str
    name: str = MACRO
    where: Mapping[str, str] = {}

    def __call__(self, **where: str) -> float:
        """One number of this figure; see `Values.key` for what is said of it."""
        return self.table(self.metric, self.name, **{**self.where, **where})

    def over(self, **where: str) -> int:
        """The n beside that number."""
        return self.table.over(self.metric, self.name, **{**self.where, **where})

    def of_member(self, member: Mapping) -> float:
        """The figure of one member."""
        return self(arm=member['arm'], seed=str(member['seed']))

    def spread(self, arm: str) -> tuple[float, float]:
        """Mean and standard deviation over an arm's living seeds."""
        return self(arm=arm), self(arm=arm, statistic='sd')

    def interval(self, arm: str, against: str = '') -> tuple[float, float, float]:
        """An arm's mean over seeds, or its difference to a null or to another arm, with both ends of its interval."""
        mean, low, high = (self(arm=arm, against=against, statistic=end) for end in ('mean', 'low', 'high'))
        return mean, low, high


def read_values(path: Path) -> Values:
    """results/<name>.parquet by its keys."""
    table = read_table(path.parents[1], path.stem)
    columns = tuple(keys_of(table.columns))
    keys = list(zip(*(table[name].astype('object').fillna('').astype(str) for name in columns), strict=True))
    return Values(
        columns,
        dict(zip(keys, table['value'].astype(float), strict=True)),
        dict(zip(keys, table['n'].fillna(0).astype(int), strict=True)),
    )
