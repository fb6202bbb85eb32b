"""What tables, names of classes and folders say of each image: cells, one reading per reader."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.data import policies
from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, NOT_READ, PRESENT, UNCERTAIN
from imbalance_jax.data.reader import label_notes, named_classes
from imbalance_jax.data.reader.drawn_files import are_of_one
from imbalance_jax.data.reader.joining import images_of
from imbalance_jax.data.reader.layout import OF_LABEL, Labels, Layout, Regions
from imbalance_jax.data.reader.rows import NAMED, Found, Rows, keys, my_names, stacked, their_names
from imbalance_jax.data.reader.spelling import canonical, is_empty, names_in, table_of
from imbalance_jax.names import lookup, some

FEW = 3  # keys that are shown, of many
ONE = '(region)'  # the column of the one concept of all regions, where there is one


class Reading(NamedTuple):
    """What one reader, in one version of the labels, says: cells [N,K] int8."""

    version: str
    reader: str
    cells: np.ndarray


def read_labels(
    rows: Rows, image: np.ndarray, names: Sequence[str], layout: Layout, tables: Mapping[str, Rows], found: Found
) -> tuple[list[Reading], tuple[str, ...]]:
    """All readings of the images, and the classes, which are those of the first. image: [n] of each row, -1 of none."""
    readings: list[Reading] = []
    classes: tuple[str, ...] = ()
    for labels in layout.labels:
        of_rows, of_image = rows, image
        if labels.table:
            of_rows = lookup(tables, labels.table, 'table (labels.table)')
            of_table, (of_rows, of_image) = of_rows, images_of(rows, image, of_rows, labels.on, found)
            _check_any(of_image, 'labels', labels, (of_table, rows))
            _say_elsewhere(of_rows, of_image, labels, found)
        if labels.regions:
            labels, of_rows, of_image = _of_regions(labels, layout, rows, image, tables)
        elif labels.column and layout.task == 'multi_label':
            named_classes.check_names(labels, of_rows, of_image)
        if lacking := [name for name in (*labels.columns, *labels.classes, labels.column) if name in of_rows.absent]:
            file, named = of_rows.absent[lacking[0]], some([repr(name) for name in lacking], NAMED)
            found.doubts.append(f'{file} has no {named}, which other files of its table have: its cells are empty.')
        of_class, cells = _cells(labels, of_rows, of_image, found)
        if layout.ordinal and not (labels.classes or labels.columns):
            cells = _in_order(cells, of_class, grades := _by_grade(of_class))
            of_class = grades
        if layout.task == 'multi_class' and (labels.column or labels.path):
            found.doubts.extend(named_classes.left_for_none(labels, of_rows, of_image))
        if classes and (unread := [name for name in of_class if name not in classes]):
            found.doubts.append(
                f'Classes of a further reading (labels) that the first does not have, and that are not read: '
                f'{some(unread, NAMED)}. labels.further names columns that add to one reading.'
            )
        classes = classes or of_class
        cells = _in_order(cells, of_class, classes)
        own = _per_reader(labels, of_rows, of_image, cells, names, found)
        if labels.regions:  # an image without a row has no region
            for one in own:
                one.cells[np.setdiff1d(np.arange(len(names)), of_image)] = named_classes.unnamed(labels)
        if labels.table:
            found.notes.extend(label_notes.of_lacking([one.cells for one in own], names, labels.table))
        readings += own
    found.notes.extend(label_notes.of_unread([one.cells for one in readings], names))
    return readings, classes


def reduced(readings: Sequence[Reading], classes: Sequence[str], layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Labels and their mask [N,K] uint8 that the layout's policy makes of the readings."""
    own = layout.policy
    policy = lookup(policies.POLICIES, own, 'label policy (policy)') if isinstance(own, str) else policies.Policy(**own)
    cells = np.stack([reading.cells for reading in readings])
    return policies.reduce_cells(cells, [(one.version, one.reader) for one in readings], classes, policy=policy)


def _say_elsewhere(rows: Rows, image: np.ndarray, labels: Labels, found: Found) -> None:
    """Says which rows of a table of labels are of no image here, and which name none. image: [n] of each row."""
    elsewhere = np.flatnonzero(image < 0)
    empty = [row for row, key in enumerate(keys(rows, their_names(labels.on))) if not all(key) and image[row] < 0]
    found.add('rows_without_image', [rows.where(row) for row in empty])
    if len(elsewhere) > len(empty):
        named = some([rows.where(row) for row in np.setdiff1d(elsewhere, empty).tolist()], NAMED)
        count = f'{len(elsewhere) - len(empty)} of {len(image)} rows'
        found.notes.append(f'{count} of {labels.table} (labels.table) are of images that are not here: {named}.')


def _of_regions(
    labels: Labels, layout: Layout, rows: Rows, image: np.ndarray, tables: Mapping[str, Rows]
) -> tuple[Labels, Rows, np.ndarray]:
    """Labels that tables of regions imply: their columns of concepts, or the one concept of all, are one of names."""
    blocks = [one for one in layout.regions if one.column or one.box or one.code]
    if not blocks:
        raise ValueError(
            'labels.regions: no regions are in a table, by a column of concepts, a box or a code; of mask files no '
            'labels are made. Give labels a column.'
        )
    spellings: dict[str, tuple[str, ...]] = {}
    for regions in blocks:
        spellings |= {name: (*spellings.get(name, ()), *texts) for name, texts in regions.aliases.items()}
    labels = dataclasses.replace(labels, column=ONE, aliases=labels.aliases or spellings)
    if len(blocks) > 1:  # others are of what is no class
        blocks = [one for one in blocks if one.column or _is_class(one.concept, labels, layout)] or blocks[:1]
    parts = [_names_of(labels, regions, layout, rows, image, tables) for regions in blocks]
    if len(blocks) == 1:
        of_block, of_image = parts[0]
        column = blocks[0].column or ONE  # what messages call it
        of_block = of_block.with_columns(**{column: of_block.columns[ONE]})
        return dataclasses.replace(labels, column=column), of_block, of_image
    if labels.reader:
        for of_block, _ in parts:
            of_block.column(labels.reader, 'labels.reader')
    known = [_without_others(of_block, labels, layout) for of_block, _ in parts]
    return labels, stacked(known), np.concatenate([of_image for _, of_image in parts])


def _names_of(
    labels: Labels, regions: Regions, layout: Layout, rows: Rows, image: np.ndarray, tables: Mapping[str, Rows]
) -> tuple[Rows, np.ndarray]:
    """Rows of a block of regions with a column of what they are of, '' where no place is said, and which image each is
    of; rows that say in so many words that there is nothing do so."""
    if regions.table:
        other = lookup(tables, regions.table, 'table (regions.table)')
        of_images, (rows, image) = rows, images_of(rows, image, other, regions.on)
        _check_any(image, 'regions', regions, (other, of_images))
    drawn = [rows.column(name, 'regions.box') for name in regions.box]
    drawn += [rows.column(regions.code, 'regions.code')] if regions.code else []
    there = [not is_empty(cells) for cells in zip(*drawn, strict=True)] if drawn else [True] * len(rows)
    if any(regions.table in (one.name, one.file) and are_of_one(one) for one in layout.tables):
        there = [True] * len(rows)  # a row of such a file was drawn, also where its place cannot be read
    named: list[object] = [regions.concept] * len(rows)
    if regions.column:
        named = list(rows.column(regions.column, 'regions.column'))
        said = {canonical(one) for one in (*labels.none, *labels.not_mentioned)}
        there = [placed or canonical(str(text)) in said for placed, text in zip(there, named, strict=True)]
    names = np.empty(len(rows), object)
    for row, (text, one) in enumerate(zip(named, there, strict=True)):
        names[row] = text if one else ''  # which may be a list
    return rows.with_columns(**{ONE: names}), image


def _check_any(image: np.ndarray, block: str, of: Labels | Regions, tables: tuple[Rows, Rows]) -> None:
    """ValueError where no row of a block's table is of an image that is here. image: [n] of each row; tables: that
    one, and the one of images."""
    if not len(tables[0]):
        raise ValueError(f'{of.table} ({block}.table) has no rows; expected one per image, or more.')
    if not (image >= 0).any():
        called = _called(tables[0], their_names(of.on)), _called(tables[1], my_names(of.on))
        raise ValueError(
            f'{of.table} ({block}.table): no row is of an image that is here, by {", ".join(of.on)} ({block}.on): rows '
            f'have {called[0]}, images {called[1]}.'
        )


def _called(rows: Rows, names: Sequence[str]) -> str:
    """The first keys of rows."""
    return some([repr(' '.join(key)) for key in dict.fromkeys(keys(rows, names))], FEW)


def _without_others(rows: Rows, labels: Labels, layout: Layout) -> Rows:
    """Rows of one of several blocks of regions, without names of what is no class, as of anatomy."""
    said = {canonical(one) for one in (*labels.none, *labels.not_mentioned)}
    kept = np.array(['' for _ in range(len(rows))], object)
    for row, text in enumerate(rows.columns[ONE]):
        names = names_in(text, labels.separator, rows.where(row))
        if any(canonical(name) in said or _is_class(name, labels, layout) for name in names):
            kept[row] = text
    return rows.with_columns(**{ONE: kept})


def _is_class(name: str, labels: Labels, layout: Layout) -> bool:
    """Whether regions of that name are of a class: of those that are listed, or of no anatomy."""
    spelt = table_of(labels.aliases) | {canonical(one): one for one in labels.classes}
    meant = spelt.get(canonical(name), name)
    if labels.classes:
        return meant in labels.classes
    return meant != OF_LABEL and canonical(meant) not in map(canonical, layout.anatomy)


def _cells(labels: Labels, rows: Rows, image: np.ndarray, found: Found) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes and a cell per row and class, [n,K]."""
    if labels.columns or not (labels.column or labels.path):
        return _of_columns(labels, rows)
    return named_classes.of_names(labels, rows, image, found)


def _of_columns(labels: Labels, rows: Rows) -> tuple[tuple[str, ...], np.ndarray]:
    code = {
        canonical(str(text)): value
        for value, texts in (
            (NOT_MENTIONED, labels.not_mentioned),
            (UNCERTAIN, labels.uncertain),
            (ABSENT, labels.absent),
            (PRESENT, labels.present),
        )
        for text in texts
    }
    spelt = table_of(labels.aliases)
    columns = labels.columns or labels.classes
    by_class: dict[str, str] = {}
    for column in columns:
        found = column if column in rows.columns else _alias(column, labels, rows)
        by_class[spelt.get(canonical(column), column)] = found
    classes = labels.classes or tuple(by_class)
    cells = np.empty((len(rows), len(classes)), np.int8)
    for k, name in enumerate(classes):
        texts = rows.column(lookup(by_class, name, 'class (labels.classes)'), 'labels.columns')
        cells[:, k] = _coded(texts, code, rows, name, by_class[name])
    return classes, cells


def _coded(texts: np.ndarray, code: Mapping[str, int], rows: Rows, name: str, column: str) -> list[int]:
    """What a column's cells say; ValueError for the first that says nothing known."""
    known: dict[str, int] = {}
    for row, text in enumerate(map(str, texts)):
        if text in known:
            continue
        if canonical(text) not in code:
            raise ValueError(
                f'{rows.where(row, column)}: {name} is {text!r}; labels.present, absent, uncertain and not_mentioned '
                f'say which words mean what, and know {", ".join(map(repr, code))}.'
            )
        known[text] = code[canonical(text)]
    return [known[str(text)] for text in texts]


def _alias(column: str, labels: Labels, rows: Rows) -> str:
    """The column under one of its other spellings."""
    others = [text for text in labels.aliases.get(column, ()) if text in rows.columns]
    return others[0] if others else column


def _by_grade(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes by the number in their names; ValueError where that is no order of theirs."""
    numbers = [re.findall(r'\d+(?:\.\d+)?', name) for name in classes]
    grades = [float(found[0]) if found else np.nan for found in numbers]
    if not np.isfinite(grades).all() or len(set(grades)) < len(grades):
        raise ValueError(
            f'ordinal is True, and nothing says the order of {some(list(classes), NAMED)}: labels.classes names them '
            'from the lowest grade to the highest.'
        )
    return tuple(name for _, name in sorted(zip(grades, classes, strict=True)))


def _in_order(cells: np.ndarray, own: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Cells with columns as in `classes`; a class that this reading does not know is not read."""
    if tuple(own) == tuple(classes):
        return cells
    ordered = np.full((len(cells), len(classes)), NOT_READ, np.int8)
    for k, name in enumerate(classes):
        if name in own:
            ordered[:, k] = cells[:, list(own).index(name)]
    return ordered


def _per_reader(
    labels: Labels, rows: Rows, image: np.ndarray, cells: np.ndarray, names: Sequence[str], found: Found
) -> list[Reading]:
    """One reading per reader: the rows of each image as one."""
    used = np.flatnonzero(image >= 0)
    reader = None
    if labels.reader:
        reader = np.array([str(text).strip() for text in rows.column(labels.reader, 'labels.reader')])
        if 0 < (count := int((reader[used] == '').sum())) < len(used):
            where = some([rows.where(row) for row in used[reader[used] == ''].tolist()], NAMED)
            found.doubts.append(f'{count} rows name no reader (labels.reader) and count as one reader: {where}.')
    by_names = not (labels.columns or not (labels.column or labels.path))
    readings = []
    for name in [''] if reader is None else sorted(set(reader[used].tolist())):
        chosen = used if reader is None else used[reader[used] == name]
        merged, apart = _merged(cells[chosen], image[chosen], len(names), by_names)
        found.add('rows_that_disagree', [names[one] for one in apart])
        readings.append(Reading(labels.version, name, merged))
    return readings


def _merged(cells: np.ndarray, image: np.ndarray, count: int, by_names: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cells [count,K] of images from their rows', and the images whose rows contradict one another.

    Rows of names add up: what one of them names is there. Other rows must agree; where one says more than another, it
    counts, and what one affirms and another denies is uncertain.
    """
    merged = np.full((count, cells.shape[1]), NOT_READ, np.int8)
    np.maximum.at(merged, image, cells)
    if by_names:
        return merged, np.zeros(0, np.int64)
    lowest = np.full_like(merged, PRESENT)
    np.minimum.at(lowest, image, np.where(cells < UNCERTAIN, PRESENT, cells))
    apart = (merged > UNCERTAIN) & (lowest < merged)
    merged[apart] = UNCERTAIN
    return merged, np.flatnonzero(apart.any(1))
