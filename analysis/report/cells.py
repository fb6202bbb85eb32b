"""HTML tables as plain data: which numbers stand where. The template only lays them out."""

import math
from typing import NamedTuple

from imbalance_jax.analysis.report.contrasts import Contrast
from imbalance_jax.analysis.report.style import interval, number, probability, spread, with_interval
from imbalance_jax.analysis.report.values import Outcome


class Cell(NamedTuple):
    """A number, what stands small below it, and whether it is marked: what is shown, by a corrected p."""

    text: str
    below: str = ''
    marked: bool = False


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


def levels(outcome: Outcome, arm: str, digits: int = 3) -> Cell:
    """Mean and standard deviation over seeds, below them the interval over seeds and patients if there is one."""
    return over_seeds(outcome, arm, digits)._replace(below=interval(*outcome.interval(arm)[1:], digits))


def plain(value: float, digits: int = 3) -> Cell:
    """A number alone."""
    return Cell(number(value, digits))


def estimated(estimate: float, low: float, high: float) -> Cell:
    """An estimate with its interval below; never marked, as no p corrects it."""
    return Cell(*with_interval(estimate, low, high))


def tested(one: Contrast | None) -> Cell:
    """A difference, below it its interval and corrected p; marked where it is shown."""
    if one is None:
        return Cell('–')
    text, ends = with_interval(*one.ends)
    p = f'p {probability(one.p_adjusted)}' if math.isfinite(one.p_adjusted) else ''
    return Cell(text, ' '.join(filter(None, (ends, p))), one.real)
