"""The long tables about units."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from imbalance_jax.results.schema import read_table
from imbalance_jax.system import layout


class UnitTables(NamedTuple):
    """The tables that explaining left about units of all layers and members."""

    layers: pd.DataFrame
    similarity: pd.DataFrame
    arm_effect: pd.DataFrame
    directions: pd.DataFrame


def load(folder: Path) -> UnitTables | None:
    """The tables, None unless all of them are there and hold something."""
    tables = [read(folder, name) for name in UnitTables._fields]
    whole = [table for table in tables if table is not None and len(table)]
    return UnitTables(*whole) if len(whole) == len(tables) else None


def read(folder: Path, name: str) -> pd.DataFrame | None:
    """A table, None if it is not there."""
    return read_table(folder, name) if layout.table(folder, name).exists() else None


def rows_of(table: pd.DataFrame, **where: str | int) -> pd.DataFrame:
    """The rows in which columns have these values."""
    for column, value in where.items():
        table = table[table[column] == value]
    return table
