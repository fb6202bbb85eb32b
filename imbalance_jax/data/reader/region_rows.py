"""Regions that rows of a table give: boxes, and what a column draws."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import PRESENT
from imbalance_jax.data.reader import placing, shapes
from imbalance_jax.data.reader.box_columns import in_one_cell
from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.joining import images_of
from imbalance_jax.data.reader.layout import NO_FINDING, OF_LABEL, Layout, Regions
from imbalance_jax.data.reader.placing import Frame, Left, Planned, Size
from imbalance_jax.data.reader.rows import NAMED, Found, Rows
from imbalance_jax.data.reader.spelling import canonical, grouped, is_empty, matches, number, table_of
from imbalance_jax.data.reader.stated_sizes import sizes_beside, stated_size
from imbalance_jax.names import lookup, some

OF_NONE = -1  # the concept of a region that is to be called so, of an image of no class or of several
NAMELESS = -2  # the concept of a region whose row names none
BBOX = 'bbox'  # COCO's column of boxes


def plan_rows(
    cases: Cases, layout: Layout, regions: Regions, concepts: Sequence[str], plan: list[list[Planned]]
) -> None:
    """Regions of a table: boxes, or what a column draws."""
    rows, image = rows_of(regions, cases)
    column = rows.column(regions.column, 'regions.column') if regions.column else None
    reader = rows.column(regions.reader, 'regions.reader') if regions.reader else None
    numbers = [rows.column(name, 'regions.box') for name in regions.box]
    _check_commas(numbers, rows)
    code = rows.column(regions.code, 'regions.code') if regions.code else None
    if code is not None and regions.kind in shapes.COORDINATES:
        _check_decimals(code, rows, regions)
    frames = [rows.column(name, 'regions.frame') if isinstance(name, str) else None for name in regions.frame]
    stated = sizes_beside(rows, regions.box if regions.unit == 'pixel' else (), regions.form)
    sizes = [rows.columns[name] for name in stated]
    spelt, boxes, seen = spelling(regions, cases), [], set()
    for row in np.flatnonzero(image >= 0).tolist():
        values = [one[row] for one in numbers]
        shape = code[row] if code is not None else None
        drawn = code is not None and not is_empty([shape])
        boxed = is_empty(values) and not drawn and _boxed(rows, row)
        if not drawn and is_empty(values) and not boxed:
            continue
        text = str(column[row]) if column is not None else regions.concept
        told = rows.where(row, regions.column)
        concept = _concept(text, spelt, regions, concepts, layout, told, cases, int(image[row]))
        if concept is None or (concept == NAMELESS and not drawn and not boxed and _is_zero(values)):
            continue
        declared = tuple(_frame(one, given, row, rows) for one, given in zip(frames, regions.frame, strict=True))
        frame = Frame(declared, stated_size(sizes, row))
        name = f'{cases.image_id[image[row]]} {text}'
        if concept in (OF_NONE, NAMELESS):
            kind = 'region_of_no_one_class' if concept == OF_NONE else 'region_without_a_name'
            make: Callable = partial(_leave, kind=kind, name=f'{name} ({rows.where(row)})')
        elif drawn:
            drawing = partial(placing.draw, shape=shape, kind=regions.kind, unit=regions.unit, frame=frame)
            make = partial(drawing, name=name, where=rows.where(row, regions.code))
        elif boxed:
            make = partial(_no_shape, name=name)
        else:
            box = box_of(values, regions, rows.where(row, regions.box[0]))
            boxes.append((row, box))
            make = partial(placing.place_box, box=box, unit=regions.unit, frame=frame, name=name)
        who = str(reader[row]) if reader is not None else regions.as_reader
        if not boxed and concept >= 0:
            same = (int(image[row]), concept, who, str(shape if drawn else box))
            if same in seen:
                make = partial(_leave, kind='region_twice', name=f'{name} ({rows.where(row)})')
            seen.add(same)
        plan[image[row]].append(Planned(concept, who, make, frame))
    _check_unit(boxes, regions, rows)


def without_place(cases: Cases, regions: Regions) -> list[str]:
    """Rows that say of an image, with a finding that it is labelled with, where that is, and say nothing."""
    rows, image = rows_of(regions, cases)
    column = rows.column(regions.column, 'regions.column') if regions.column else None
    spelt, found = spelling(regions, cases), []
    for row in np.setdiff1d(np.flatnonzero(image >= 0), placed(regions, rows, image)).tolist():
        text = str(column[row]) if column is not None else regions.concept
        name = spelt.get(canonical(text), text.strip())
        if is_needed(cases, int(image[row]), name):
            found.append(f'{cases.image_id[image[row]]} {name} ({rows.where(row)})')
    return found


def placed(regions: Regions, rows: Rows, image: np.ndarray) -> np.ndarray:
    """The rows of images that say where a region is. image: [n] of each row, -1 of none."""
    where = [rows.column(name, 'regions.box') for name in regions.box]
    where += [rows.column(regions.code, 'regions.code')] if regions.code else []
    of_images = np.flatnonzero(image >= 0)
    given = [row for row in of_images.tolist() if not is_empty([one[row] for one in where]) or _boxed(rows, row)]
    return np.array(given, np.int64)


def is_needed(cases: Cases, image: int, name: str) -> bool:
    """Whether a reading says that an image has a finding; of 'no finding' there is no region."""
    if name not in cases.classes or matches(name, NO_FINDING):
        return False
    k = cases.classes.index(name)
    return any(reading.cells[image, k] == PRESENT for reading in cases.readings)


def rows_of(regions: Regions, cases: Cases, found: Found | None = None) -> tuple[Rows, np.ndarray]:
    """Rows of regions, and of which image each is; doubts about that go to `found`."""
    if not regions.table:
        return cases.rows, cases.image
    other = lookup(cases.tables, regions.table, 'table (regions.table)')
    return images_of(cases.rows, cases.image, other, regions.on, found)


def spelling(regions: Regions, cases: Cases) -> dict[str, str]:
    return table_of({name: () for name in cases.classes}) | table_of(regions.aliases)


def says_nothing(text: str, layout: Layout) -> bool:
    of_labels = layout.labels[0]
    return canonical(text) in {canonical(one) for one in (*of_labels.none, *of_labels.not_mentioned)}


def _leave(size: Size, *, kind: str, name: str) -> None:
    raise Left(kind, name)


def _boxed(rows: Rows, row: int) -> bool:
    """Whether COCO gives this row a box, which a layout that reads shapes alone would lose."""
    return BBOX in rows.columns and not is_empty([rows.columns[BBOX][row]])


def _no_shape(size: Size, *, name: str) -> None:
    raise Left('box_without_shape', f"{name} (regions.box = '{BBOX}' beside code reads it)")


def _is_zero(values: Sequence[Any]) -> bool:
    """Whether the box of a row is 0 in all, which says of a row without a finding that there is none."""
    return all(number(str(one)) == 0 for one in values)


def _concept(
    text: str,
    spelt: Mapping[str, str],
    regions: Regions,
    concepts: Sequence[str],
    layout: Layout,
    where: str,
    cases: Cases,
    image: int,
) -> int | None:
    """The number of a region's concept, OF_NONE or NAMELESS; None for one that is ignored."""
    if not regions.column and text == OF_LABEL:
        present = np.flatnonzero(cases.readings[0].cells[image] == PRESENT)
        return int(present[0]) if len(present) == 1 else OF_NONE
    name = spelt.get(canonical(text), text.strip())
    if name[:1] == '[' and name[-1:] == ']' and name not in (*cases.classes, *regions.aliases):
        raise ValueError(
            f'{where}: {name!r} ({regions.column}, regions.column) is a list of concepts: explode = '
            f'({regions.column!r},) of its table makes a row of each.'
        )
    if name in concepts:
        return list(concepts).index(name)
    if says_nothing(text, layout):
        return NAMELESS
    if regions.others == 'ignore':
        return None
    lookup(dict.fromkeys(concepts), name, f"concept ({where}; or regions.others = 'add', and it is one)")
    return None


def _frame(column: np.ndarray | None, given: Any, row: int, rows: Rows) -> float:
    value = float(given) if column is None else number(str(column[row]))
    if not value > 0:
        raise ValueError(f'{rows.where(row)}: regions.frame is {given!r}, {value}; expected pixels.')
    return value


def box_of(values: Sequence[Any], regions: Regions, where: str) -> tuple[float, ...]:
    """x0 y0 x1 y1 in the unit of the table."""
    flat, said = in_one_cell(values[0]) if len(values) == 1 else (list(values), '')
    form = said or regions.form
    box = [number(str(value)) for value in flat]
    if len(box) != 4 or not np.isfinite(box).all():
        several = ' (of several in one cell, explode makes a row of each)' if len(box) > 4 and not len(box) % 4 else ''
        raise ValueError(
            f'{where}: the box is {some(list(map(str, flat)), 4)}; expected four numbers, {regions.form}{several}.'
        )
    if form == 'cxcywh':
        return box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2
    if form == 'xywh':
        return box[0], box[1], box[0] + box[2], box[1] + box[3]
    return tuple(box)


def may_be_corners(cases: Cases, layout: Layout, least: int) -> bool:
    """Whether all boxes that are a width and a height, at least so many, end behind their begin if they are corners."""
    boxes = []
    for regions in (one for one in layout.regions if one.box and one.form == 'xywh'):
        rows, image = rows_of(regions, cases)
        columns = [rows.column(name, 'regions.box') for name in regions.box]
        of_rows = [[column[row] for column in columns] for row in np.flatnonzero(image >= 0).tolist()]
        boxes += [box_of(values, regions, '') for values in of_rows if not is_empty(values)]
    return len(boxes) >= least and all(x1 > 2 * x0 and y1 > 2 * y0 for x0, y0, x1, y1 in boxes)


def _check_commas(columns: Sequence[np.ndarray], rows: Rows) -> None:
    """ValueError for pixels such as 1,024, of which nobody can tell whether they are a thousand or one."""
    if len(columns) == 4 and (text := grouped(str(one) for column in columns for one in column)):
        row = next(row for column in columns for row, one in enumerate(column) if str(one).strip() == text)
        plain = text.replace(',', '')
        raise ValueError(f'{rows.where(row)}: the box has {text!r}: write {plain}, or {text.replace(",", ".", 1)}.')


def _check_decimals(code: np.ndarray, rows: Rows, regions: Regions) -> None:
    """ValueError for coordinates with decimal commas, which would be two numbers each."""
    if text := shapes.with_decimal_commas(one for one in code if isinstance(one, str)):
        where = rows.where(code.tolist().index(text), regions.code)
        shown = ' '.join(text.split()[:4])
        raise ValueError(
            f'{where}: a shape (regions.code) begins {shown!r}, as it seems with decimal commas, and a comma parts x '
            f'from y: write {shown.replace(",", ".")!r}, or x,y with a point in each number.'
        )


def _check_unit(boxes: Sequence[tuple[int, tuple[float, ...]]], regions: Regions, rows: Rows) -> None:
    """ValueError for boxes of another unit than is said. boxes: with their rows."""
    file = f'{rows.files[0]}: ' if rows.files else ''
    largest = max((max(box) for _, box in boxes), default=0.0)
    if regions.unit == 'pixel' and 0 < largest <= 1:
        raise ValueError(f"{file}all boxes lie within 0..1: they are shares of the image, regions.unit = 'fraction'.")
    if regions.unit == 'fraction' and largest > 2:
        beyond = [row for row, box in boxes if max(box) > 2]
        if 2 * len(beyond) < len(boxes):
            where = some([rows.where(row) for row in beyond], NAMED)
            few = f'{len(beyond)} of {len(boxes)} boxes are pixels'
            raise ValueError(f"regions.unit is 'fraction', and {few}: {where}.")
        raise ValueError(f"{file}regions.unit is 'fraction', and a box reaches to {largest:g}; they are pixels.")
