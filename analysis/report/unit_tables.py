"""The long tables about units, and how their numbers are written."""

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from imbalance_jax.analysis.report.style import number
from imbalance_jax.system import layout
from imbalance_jax.system import workdir as writer


class Encoded(NamedTuple):
    """The tables that explaining left about units, None for one that is not there."""

    units: pd.DataFrame | None
    layers: pd.DataFrame | None
    kinship: pd.DataFrame | None
    beyond: pd.DataFrame | None
    directions: pd.DataFrame | None


def load(folder: Path) -> Encoded:
    names = ('units', 'layers', 'kinship', 'beyond_seeds', 'directions')
    paths = [layout.table(folder, name) for name in names]
    return Encoded(*(writer.read_table(folder, path.stem) if path.exists() else None for path in paths))


def of(table: pd.DataFrame, **fields) -> pd.DataFrame:
    """The rows in which columns have these values."""
    for name, value in fields.items():
        table = table[table[name].fillna('') == value]
    return table


def probability(p: float) -> str:
    return '–' if not math.isfinite(p) else ('< 0.001' if p < 0.001 else number(p))


def percent(share: float) -> str:
    return f'{100 * share:.0f} %' if math.isfinite(share) else '–'


def interval(low: float, high: float, digits: int = 1) -> str:
    return f'[{number(low, digits)}, {number(high, digits)}]' if math.isfinite(low) and math.isfinite(high) else ''
