"""The tables of a layout put together: a row of each image, with all that is joined to it, and the tables beside it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imbalance_jax.data.reader import agreement
from imbalance_jax.data.reader.case_files import rows_of_files, shown
from imbalance_jax.data.reader.layout import Layout, Table
from imbalance_jax.data.reader.rows import (
    NAMED,
    Found,
    Rows,
    contradictions,
    join,
    keys,
    my_names,
    stacked,
    their_names,
)
from imbalance_jax.data.reader.tables import read_table, table_files
from imbalance_jax.names import look_alike, some


def read(folder: Path, layout: Layout, files: Sequence[str], found: Found) -> tuple[Rows, dict[str, Rows]]:
    """The first table, or a row of each file, with all that is joined to it, and the other tables by name."""
    if _files_are_rows(layout):
        return _joined(folder, rows_of_files(files, layout.images), layout.tables, layout, found)
    alike = [table for number, table in enumerate(layout.tables) if not number or table.is_under(layout.tables[0])]
    parts = [read_table(folder, table, found) for table in alike]
    agreement.same_columns(parts, layout)
    rows = stacked(parts)
    if not len(rows):
        raise ValueError(f'{layout.tables[0].file} has no rows{_where(layout.tables[0])}; expected one per image.')
    return _joined(folder, rows, [table for table in layout.tables if table not in alike], layout, found)


def _files_are_rows(layout: Layout) -> bool:
    """Whether images are what files there are: no column names them, and what tables there are is joined, or asked by
    name."""
    asked = {*(one.table for one in layout.labels), *(one.table for one in layout.regions)} - {''}
    first = layout.tables[0] if layout.tables else None
    return first is None or (not layout.images.file and bool(first.on or {first.name, first.file} & asked))


def _joined(
    folder: Path, rows: Rows, tables: Sequence[Table], layout: Layout, found: Found
) -> tuple[Rows, dict[str, Rows]]:
    """Rows with the columns of the tables that are joined to them, and the other tables by name."""
    others: dict[str, Rows] = {}
    for table in tables:
        if table.optional and not table_files(folder, table):
            continue
        other = read_table(folder, table, found)
        if not table.on:
            others[table.name or table.file] = other
            continue
        found.doubts.extend(contradictions(rows, other, table.on, _columns_used(layout)))
        rows, there = join(rows, other, table.on)
        _say_unmatched(rows, there, other, table, layout, found)
        if table.needed and not there.all():
            lacking = shown(rows.take(np.flatnonzero(~there)), layout)
            found.add(f'without_row_in_{table.name or table.file}', lacking)
            rows = rows.take(np.flatnonzero(there))
    return rows, others


def _columns_used(layout: Layout) -> set[str]:
    """Columns that say whose images are, in which split, and what they show."""
    of_labels = [name for one in layout.labels for name in (*one.columns, one.column)]
    return {layout.patient.column, layout.split.column, *of_labels} - {''}


def _say_unmatched(rows: Rows, there: np.ndarray, other: Rows, table: Table, layout: Layout, found: Found) -> None:
    """Says which rows find none in a joined table of `_columns_that_say`, where all its cells are empty; ValueError if
    none does."""
    if there.all() or not len(other):
        return
    on, lacking = ', '.join(table.on), np.flatnonzero(~there)
    if not there.any():
        mine, their = (
            keys(one, names)[0] for one, names in ((rows, my_names(table.on)), (other, their_names(table.on)))
        )
        alike = ', the same in other characters' if look_alike(', '.join(mine), ', '.join(their)) else ''
        raise ValueError(
            f'No row of {table.file} is of any image by {on}: there it is {", ".join(their)!r}, and here '
            f'{", ".join(mine)!r}{alike}; bring them to one form with derive.'
        )
    own = {name for name, (files, *_) in rows.joined.items() if files is other.files}
    if table.needed:
        return  # those are left out, and named
    if said := sorted(_columns_that_say(layout) & own):
        named = some(shown(rows.take(lacking), layout), NAMED)
        found.doubts.append(
            f'{len(lacking)} of {len(there)} rows have none in {table.file} (on {on}), so that nothing is said of '
            f'{some(said, NAMED)} there: {named}. Say needed=True of the table to leave them out.'
        )


def _columns_that_say(layout: Layout) -> set[str]:
    """The columns of labels, groups, people and splits, of which an empty cell is not known to be one that was lost."""
    of_labels = [name for one in layout.labels if not one.table for name in (*one.columns, *one.classes, one.column)]
    of_people = [layout.patient.column] if layout.patient.unknown == 'own' else []
    of_groups = [group.column for group in layout.groups.values()]
    return {name for name in (*of_labels, *of_people, *layout.split.test_where, *of_groups) if name}


def _where(table: Table) -> str:
    """Which rows of a table count, if not all."""
    kept = [f'{name} {" or ".join(texts)}' for name, texts in table.where.items()]
    return f' with {" and ".join(kept)}' if kept else ''
