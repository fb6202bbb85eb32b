"""Sections for the tables of stages that no page of ours shows, such as those of a user's own stage."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import interval, label, spread
from imbalance_jax.analysis.report.unit_tables import read, rows_of
from imbalance_jax.results.schema import TABLES
from imbalance_jax.training.trained import Stage

NAMED = ('metric', 'method', 'class')  # columns that head one of the page
OF_WHOM = ('kind', 'arm', 'loss', 'sampler', 'seed', 'member', 'statistic', 'against', 'value', 'n')
Section = tuple[str, list[tuple[str, Table]]]  # heading, (name of the file, table)


def sections(study: Study, stages: Mapping[str, Stage]) -> list[Section]:
    """Heading and tables of every stage with a `section`, of tables that are not ours and hold something."""
    shown = []
    for stage in stages.values():
        if stage.section:
            tables = {name: read(study.folder, name) for name in stage.tables if name not in TABLES}
            laid_out = [
                (name, arms_by_metric(study, name, table))
                for name, table in tables.items()
                if table is not None and len(table)
            ]
            if laid_out:
                shown.append((stage.section, laid_out))
    return shown


def arms_by_metric(study: Study, name: str, table: pd.DataFrame) -> Table:
    """A row per arm, a column per metric, method and class: mean over seeds with the interval, or ± sd without one.

    Rows of members are brought together where the table has no row of the arm itself.
    """
    chosen = table[table['against'] == ''] if 'against' in table else table
    further = [one for one in chosen if one not in (*NAMED, *OF_WHOM) and chosen[one].nunique(dropna=False) > 1]
    columns = [*NAMED, *further]
    cases = list(chosen[columns].drop_duplicates().itertuples(index=False, name=None))
    rows = []
    for arm in study.arms:
        cells = []
        for values in cases:
            where = {'arm': arm, **dict(zip(columns, values, strict=True))}
            cells.append(cell(rows_of(chosen, **where)))
        rows.append((arm, cells))
    head = [heading(*one[:3], further=dict(zip(further, one[3:], strict=True))) for one in cases]
    return Table(f'table-{name}', 'arm', head, rows)


def heading(metric: str, method: str, of_class: str, *, further: Mapping[str, Any] = MappingProxyType({})) -> str:
    """What a column holds, in words. further: what columns say that tell rows apart beside these."""
    named = [label(word) for word in (metric, method, of_class) if word]
    return ', '.join([*named, *(f'{name} {value}' for name, value in further.items() if value not in ('', None))])


def cell(rows: pd.DataFrame) -> Cell:
    """One arm's number of rows that agree in all but seed and statistic."""
    by_statistic = rows[rows['kind'] == 'arm'].groupby('statistic')['value'].first()
    members = rows[(rows['kind'] == 'member') & (rows['statistic'] == 'value')]['value']
    mean = by_statistic.get('mean', members.mean())
    deviation = by_statistic.get('sd', members.std())
    if 'low' in by_statistic and 'high' in by_statistic:
        return Cell(spread(mean, float('nan')), interval(by_statistic['low'], by_statistic['high'], 3))
    return Cell(spread(mean, deviation))
