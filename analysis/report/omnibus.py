"""Tests of all arms at once by the distances of members: do arms differ by more than seeds do?"""

import math
from typing import NamedTuple

import pandas as pd

from imbalance_jax.analysis.report.cells import Cell, Table, plain
from imbalance_jax.analysis.report.contrasts import LEVEL
from imbalance_jax.analysis.report.style import label, number, percent, probability, signed
from imbalance_jax.analysis.report.unit_tables import rows_of
from imbalance_jax.results.arm_effect import BETWEEN, WITHIN

FIGURES = {
    'between': {'pairs': BETWEEN, 'statistic': 'mean', 'against': ''},
    'within': {'pairs': WITHIN, 'statistic': 'mean', 'against': ''},
    'difference': {'pairs': BETWEEN, 'statistic': 'mean', 'against': WITHIN},
    'p': {'pairs': BETWEEN, 'statistic': 'p', 'against': WITHIN},
    'p_adjusted': {'pairs': BETWEEN, 'statistic': 'p_adjusted', 'against': WITHIN},
}
SHARES = ('r2', 'r2_seeds')  # statistics of their own


class Omnibus(NamedTuple):
    """One test by one distance: mean distance of members of other arms and of one arm, their difference and its p.

    r2, r2_seeds: the shares of the squared distances between members that lie between arms, and between seeds;
    p_given_performance: the corrected p of the same test given the members' performance by class.
    """

    distance: str
    between: float
    within: float
    difference: float
    p: float
    p_adjusted: float
    r2: float
    r2_seeds: float
    p_given_performance: float = math.nan

    @property
    def beyond_performance(self) -> bool:
        """Whether they are shown to differ by more than seeds and their performance by class would make them."""
        return self.p_given_performance <= LEVEL

    @property
    def real(self) -> bool:
        """Whether arms are shown to differ by more than seeds do."""
        return self.p_adjusted <= LEVEL

    @property
    def size(self) -> str:
        """How large the effect is, in words without a unit: a distance in those between seeds, and the share r2."""
        parts = []
        if self.within > 0:
            parts.append(f'members of two arms are {number(self.between / self.within, 2)} times as far apart as seeds')
        if math.isfinite(self.r2):
            parts.append(f'{percent(self.r2)} of the squared distance lies between arms')
        return ', '.join(parts)


def read_tests(table: pd.DataFrame | None, arm: str = '') -> list[Omnibus]:
    """The tests of a table such as results/arm_effect: of all arms, or of one arm and the reference."""
    if table is None or not len(table):
        return []
    rows = rows_of(table, kind='arm', arm=arm) if arm else rows_of(table, kind='population')
    names = rows.apply(named, axis=1) if len(rows) else pd.Series(dtype=str)
    return [_test(distance, rows[names == distance]) for distance in names.drop_duplicates()]


def named(row: pd.Series) -> str:
    """The distance of a row: an attribution method, or a metric and its layer."""
    parts = [label(row.get('method', '')), label(row['metric']), row.get('layer', '')]
    return ', '.join(part for part in parts if part)


def _test(distance: str, rows: pd.DataFrame) -> Omnibus:
    def value(where: dict[str, str]) -> float:
        found = rows_of(rows, **where)['value']
        return float(found.iloc[0]) if len(found) else math.nan

    figures = [value(where) for where in FIGURES.values()]
    return Omnibus(distance, *figures, *(value({'statistic': name}) for name in SHARES))


def grid(key: str, found: list[Omnibus]) -> Table:
    """A row per distance: between and within arms, their difference, the share between arms, p."""
    rows = [
        (
            one.distance,
            [
                plain(one.between),
                plain(one.within),
                Cell(signed(one.difference)),
                Cell(percent(one.r2)),
                Cell(percent(one.r2_seeds)),
                Cell(probability(one.p)),
                Cell(probability(one.p_adjusted), marked=one.real),
            ],
        )
        for one in found
    ]
    head = ['between arms', 'between seeds', 'difference', 'R², arms', 'R², seeds', 'p', 'p, Holm']
    return Table(key, 'distance', head, rows)
