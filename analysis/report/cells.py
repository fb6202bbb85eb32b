"""HTML tables as plain data: which numbers stand where. The template only lays them out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from imbalance_jax.analysis.report.style import excludes_zero, number, spread, with_interval
from imbalance_jax.analysis.report.values import Outcome


class Cell(NamedTuple):
    """A number, what stands small below it, whether its interval excludes 0, and its place between -1 and 1."""

    text: str
    below: str = ''
    marked: bool = False
    shade: float = 0.0


class Table(NamedTuple):
    """head: names of the columns after the first; rows: (name, cells); groups: (name, columns) above the head."""

    key: str
    corner: str
    head: list[str]
    rows: list[tuple[str, list[Cell]]]
    groups: tuple[tuple[str, int], ...] = ()


def over_seeds(outcome: Outcome, arm: str, digits: int = 3) -> Cell:
    """Mean and standard deviation over an arm's living seeds."""
    return Cell(spread(*outcome.spread(arm), digits))


def plain(value: float, digits: int = 3) -> Cell:
    """A number alone."""
    return Cell(number(value, digits))


def estimated(estimate: float, low: float, high: float) -> Cell:
    """An estimate with its interval below, marked where that excludes 0."""
    return Cell(*with_interval(estimate, low, high), excludes_zero(low, high))


def shaded(rows: Sequence[tuple[str, list[tuple[float, float, float]]]]) -> list[tuple[str, list[Cell]]]:
    """Cells of (estimate, low, high), shaded by their share of the largest estimate of the table."""
    sizes = [abs(estimate) for _, cells in rows for estimate, *_ in cells if math.isfinite(estimate)]
    largest = max(sizes, default=0) or 1.0

    def cell(estimate: float, low: float, high: float) -> Cell:
        shade = estimate / largest if math.isfinite(estimate) else 0.0
        return estimated(estimate, low, high)._replace(shade=round(shade, 3))

    return [(name, [cell(*one) for one in cells]) for name, cells in rows]
