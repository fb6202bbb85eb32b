"""Tests of all arms at once by the distances of members: do arms differ by more than seeds do?"""

import math
from typing import NamedTuple

import pandas as pd

from imbalance_jax.analysis.report.cells import Cell, Table, plain
from imbalance_jax.analysis.report.contrasts import LEVEL
from imbalance_jax.analysis.report.style import label, number, percent, probability, signed
from imbalance_jax.analysis.report.unit_tables import rows_of
from imbalance_jax.results.arm_effect import BETWEEN, GIVEN_AUROC, WITHIN

FIGURES = {
    'between': {'pairs': BETWEEN, 'statistic': 'mean', 'against': ''},
    'within': {'pairs': WITHIN, 'statistic': 'mean', 'against': ''},
    'difference': {'pairs': BETWEEN, 'statistic': 'mean', 'against': WITHIN},
    'p': {'pairs': BETWEEN, 'statistic': 'p', 'against': WITHIN},
    'p_adjusted': {'pairs': BETWEEN, 'statistic': 'p_adjusted', 'against': WITHIN},
    'p_smallest': {'pairs': BETWEEN, 'statistic': 'p_smallest', 'against': WITHIN},
    'r2': {'statistic': 'r2'},
    'r2_seeds': {'statistic': 'r2_seeds'},
    'r2_chance': {'statistic': 'r2_chance'},
}


class Omnibus(NamedTuple):
    """One test by one distance: mean squared distance of members of other arms and of one arm, their difference, its p.

    p_smallest: the corrected p that the number of seeds allows at best; r2, r2_seeds: the shares of the squared
    distances between members that lie between arms, and between seeds; r2_chance: that of arms that are exchanged;
    p_given_performance: the corrected p of the test of what distances of AUROC by class do not explain.
    """

    distance: str
    between: float
    within: float
    difference: float
    p: float
    p_adjusted: float
    p_smallest: float
    r2: float
    r2_seeds: float
    r2_chance: float
    p_given_performance: float = math.nan

    @property
    def relative(self) -> float:
        """The difference in units of the squared distance within arms."""
        return self.difference / self.within if self.within > 0 else math.nan

    @property
    def real(self) -> bool:
        """Whether arms are shown to differ by more than seeds do."""
        return self.p_adjusted <= LEVEL

    @property
    def beyond_performance(self) -> bool:
        """Whether they are shown to differ by more than seeds and their performance by class would make them."""
        return self.real and self.p_given_performance <= LEVEL

    @property
    def size(self) -> str:
        """How large the effect is, in words without a unit."""
        if math.isfinite(self.r2):
            chance = f', {percent(self.r2_chance)} by chance' if math.isfinite(self.r2_chance) else ''
            return f'{percent(self.r2)} of the squared distance lies between arms{chance}'
        return f'{number(self.between / self.within, 2)} times as far apart as seeds' if self.within > 0 else ''


def read_tests(table: pd.DataFrame | None, arm: str = '') -> list[Omnibus]:
    """The tests of a table such as results/arm_effect: of all arms, or of one arm and the reference."""
    if table is None or not len(table):
        return []
    rows = rows_of(table, kind='arm', arm=arm) if arm else rows_of(table, kind='population')
    given = rows['given'] if 'given' in rows else pd.Series('', index=rows.index)
    names = rows.apply(named, axis=1) if len(rows) else pd.Series(dtype=str)
    return [
        _test(distance, rows[(names == distance) & (given == '')], rows[(names == distance) & (given == GIVEN_AUROC)])
        for distance in names[given == ''].drop_duplicates()
    ]


def named(row: pd.Series) -> str:
    """The distance of a row: an attribution method, or a metric and its layer."""
    parts = [label(row.get('method', '')), label(row['metric']), row.get('layer', '')]
    return ', '.join(part for part in parts if part)


def _test(distance: str, rows: pd.DataFrame, given: pd.DataFrame) -> Omnibus:
    def value(rows: pd.DataFrame, where: dict[str, str]) -> float:
        found = rows_of(rows, **where)['value']
        return float(found.iloc[0]) if len(found) else math.nan

    figures = [value(rows, where) for where in FIGURES.values()]
    return Omnibus(distance, *figures, p_given_performance=value(given, FIGURES['p_adjusted']))


def grid(key: str, found: list[Omnibus]) -> Table:
    """A row per distance: between and within arms, their difference, the share between arms, p."""
    rows = [
        (
            one.distance,
            [
                plain(one.between),
                plain(one.within),
                Cell(signed(one.difference)),
                Cell(percent(one.r2), f'chance {percent(one.r2_chance)}'),
                Cell(percent(one.r2_seeds)),
                Cell(probability(one.p)),
                Cell(probability(one.p_adjusted), marked=one.real),
                Cell(probability(one.p_given_performance), marked=one.beyond_performance),
            ],
        )
        for one in found
    ]
    head = ['between arms', 'between seeds', 'difference', 'R², arms', 'R², seeds', 'p', 'p, Holm', 'p given AUROC']
    return Table(key, 'distance', head, rows)
