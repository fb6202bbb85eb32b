"""Which regions a layout gives each image: boxes, shapes and runs of tables, and mask files."""

import bisect
import fnmatch
import glob
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.dataset import PRESENT
from imbalance_jax.data.reader import paths, placing
from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.labels import images_of
from imbalance_jax.data.reader.layout import Layout, Regions
from imbalance_jax.data.reader.placing import Left, Size
from imbalance_jax.data.reader.rows import PARENT, SHOWN, STEM, Found, Rows
from imbalance_jax.data.reader.spelling import canonical, fields_of, fill, number, table_of
from imbalance_jax.names import lookup

OF_LABEL = 'label'  # the concept of a region that is called as its image's one class is
BBOX = 'bbox'  # COCO's column of boxes


class Region(NamedTuple):
    """concept: its number; box: x0 y0 x1 y1 in pixels of the square; mask: [H,ceil(W/8)] uint8 packed along x, or None;
    reader: a name or ''"""

    concept: int
    box: tuple[float, ...]
    mask: np.ndarray | None
    reader: str


class Planned(NamedTuple):
    """A region that is not read yet. make: size -> its box, or its mask packed, or None if there is nothing of it."""

    concept: int
    reader: str
    make: Callable[[Size], tuple[tuple[float, ...], np.ndarray | None] | None]


def concepts_of(cases: Cases, layout: Layout) -> list[str]:
    """The classes, then what else there are regions of, as the layout names it or sorted."""
    names = dict.fromkeys(cases.classes)
    for regions in layout.regions:
        if regions.column:
            rows, image = _rows_of(regions, cases)
            spelt = _spelling(regions, cases)
            texts = set(map(str, rows.column(regions.column, 'regions.column')[image >= 0]))
            unknown = sorted(text for text in texts if canonical(text) not in spelt and not _says_nothing(text, layout))
            names.update(dict.fromkeys(regions.aliases))
            if regions.others == 'add':
                names.update(dict.fromkeys(unknown))
        elif regions.values:
            names.update(dict.fromkeys(regions.values))
        elif regions.concept and regions.concept != OF_LABEL:
            names[regions.concept] = None
    return list(names)


def planned(folder: Path, cases: Cases, layout: Layout, concepts: Sequence[str], found: Found) -> list[list[Planned]]:
    """The regions of each image; a pattern of mask files that no image has is noted. ValueError for what no region can
    be made of, in any row."""
    plan: list[list[Planned]] = [[] for _ in cases.path]
    files = paths.scan(folder, []) if any(one.files for one in layout.regions) else []
    for regions in layout.regions:
        if regions.files:
            note = f'No image has a mask {regions.files!r} (regions.files).'
            before = sum(map(len, plan))
            _plan_files(folder, files, cases, layout, regions, concepts, plan)
            if sum(map(len, plan)) == before and note not in found.notes:
                found.notes.append(note)
        else:
            _plan_rows(cases, layout, regions, concepts, plan)
    return plan


def unused(cases: Cases, layout: Layout) -> list[str]:
    """What is said of rows of regions that are of no image here, or of no concept where others are ignored."""
    said = []
    for regions in (one for one in layout.regions if one.table and not one.files):
        rows, image = _rows_of(regions, cases)
        if (image < 0).any():
            said.append(f'{(image < 0).sum()} of {len(image)} rows of {rows.files[0]} are of images that are not here.')
        if regions.column and regions.others == 'ignore':
            known = set(_spelling(regions, cases))
            texts = map(str, rows.column(regions.column, 'regions.column')[image >= 0])
            others = Counter(one for one in texts if canonical(one) not in known and not _says_nothing(one, layout))
            what = ', '.join(f'{text} {count}' for text, count in others.most_common(SHOWN))
            said += [f'{others.total()} rows of {rows.files[0]} are of no concept: {what}.'] if others else []
    return list(dict.fromkeys(said))


def made(plan: Sequence[Planned], size: Size) -> tuple[list[Region], list[tuple[str, str]]]:
    """An image's regions, and (kind of problem, name) of those left out."""
    regions, left = [], []
    for one in plan:
        try:
            result = one.make(size)
        except Left as reason:
            left.append((reason.kind, str(reason)))
            continue
        if result is not None:
            regions.append(Region(one.concept, result[0], result[1], one.reader))
    return regions, left


def _rows_of(regions: Regions, cases: Cases) -> tuple[Rows, np.ndarray]:
    if not regions.table:
        return cases.rows, cases.image
    other = lookup(cases.tables, regions.table, 'table (regions.table)')
    return images_of(cases.rows, cases.image, other, regions.on)


def _spelling(regions: Regions, cases: Cases) -> dict[str, str]:
    return table_of({name: () for name in cases.classes}) | table_of(regions.aliases)


def _says_nothing(text: str, layout: Layout) -> bool:
    of_labels = layout.labels[0]
    return canonical(text) in {canonical(one) for one in (*of_labels.none, *of_labels.not_mentioned)}


def _plan_rows(
    cases: Cases, layout: Layout, regions: Regions, concepts: Sequence[str], plan: list[list[Planned]]
) -> None:
    """Regions of a table: boxes, or what a column draws."""
    rows, image = _rows_of(regions, cases)
    column = rows.column(regions.column, 'regions.column') if regions.column else None
    reader = rows.column(regions.reader, 'regions.reader') if regions.reader else None
    numbers = [rows.column(name, 'regions.box') for name in regions.box]
    code = rows.column(regions.code, 'regions.code') if regions.code else None
    frames = [rows.column(name, 'regions.frame') if isinstance(name, str) else None for name in regions.frame]
    spelt, boxes, seen = _spelling(regions, cases), [], set()
    for row in np.flatnonzero(image >= 0).tolist():
        values = [one[row] for one in numbers]
        shape = code[row] if code is not None else None
        drawn = code is not None and not _empty([shape])
        boxed = _empty(values) and not drawn and _boxed(rows, row)
        if not drawn and _empty(values) and not boxed:
            continue
        text = str(column[row]) if column is not None else regions.concept
        concept = _concept(text, spelt, regions, concepts, layout, rows.where(row), cases, int(image[row]))
        if concept is None:
            continue
        frame = [_frame(one, given, row, rows) for one, given in zip(frames, regions.frame, strict=True)]
        name = f'{cases.image_id[image[row]]} {text}'
        if drawn:
            make: Callable = partial(
                placing.draw, shape=shape, kind=regions.kind, frame=frame, name=name, where=rows.where(row)
            )
        elif boxed:
            make = partial(_no_shape, name=name)
        else:
            box = _box(values, regions, rows.where(row))
            boxes.append(box)
            make = partial(placing.place_box, box=box, unit=regions.unit, frame=frame, name=name)
        who = str(reader[row]) if reader is not None else regions.as_reader
        if not boxed:
            same = (int(image[row]), concept, who, str(shape if drawn else box))
            if same in seen:
                make = partial(_leave, kind='region_twice', name=f'{name} ({rows.where(row)})')
            seen.add(same)
        plan[image[row]].append(Planned(concept, who, make))
    _check_unit(boxes, regions, rows)


def _leave(size: Size, *, kind: str, name: str) -> None:
    raise Left(kind, name)


def _boxed(rows: Rows, row: int) -> bool:
    """Whether COCO gives this row a box, which a layout that reads shapes alone would lose."""
    return BBOX in rows.columns and not _empty([rows.columns[BBOX][row]])


def _no_shape(size: Size, *, name: str) -> None:
    raise Left('box_without_shape', f"{name} (regions.box = '{BBOX}' beside code reads it)")


def _empty(values: Sequence[Any]) -> bool:
    texts = ['' if one is None else str(one).strip().casefold() for one in values if not isinstance(one, dict)]
    return all(text in ('', 'nan', '-1', '[]') for text in texts) and len(texts) == len(values)


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
    """The number of a region's concept; None for one that is no concept, or is ignored."""
    if not regions.column and text == OF_LABEL:
        present = np.flatnonzero(cases.readings[0].cells[image] == PRESENT)
        return int(present[0]) if len(present) == 1 else None
    name = spelt.get(canonical(text), text.strip())
    if name in concepts:
        return list(concepts).index(name)
    if _says_nothing(text, layout) or regions.others == 'ignore':
        return None
    lookup(dict.fromkeys(concepts), name, f"concept ({where}; or regions.others = 'add', and it is one)")
    return None


def _frame(column: np.ndarray | None, given: Any, row: int, rows: Rows) -> float:
    value = float(given) if column is None else number(str(column[row]))
    if not value > 0:
        raise ValueError(f'{rows.where(row)}: regions.frame is {given!r}, {value}; expected pixels.')
    return value


def _box(values: Sequence[Any], regions: Regions, where: str) -> tuple[float, ...]:
    """x0 y0 x1 y1 in the unit of the table."""
    flat = list(values[0]) if len(values) == 1 and isinstance(values[0], (list, tuple)) else list(values)
    if len(flat) == 1:
        flat = str(flat[0]).strip('[]() ').replace(',', ' ').split()
    box = [number(str(value)) for value in flat]
    if len(box) != 4 or not np.isfinite(box).all():
        raise ValueError(f'{where}: the box is {flat}; expected four numbers, {regions.form}.')
    if regions.form == 'xywh':
        return box[0], box[1], box[0] + box[2], box[1] + box[3]
    return tuple(box)


def _check_unit(boxes: Sequence[tuple[float, ...]], regions: Regions, rows: Rows) -> None:
    file = f'{rows.files[0]}: ' if rows.files else ''
    largest = max((max(box) for box in boxes), default=0.0)
    if regions.unit == 'pixel' and 0 < largest <= 1:
        raise ValueError(f"{file}all boxes lie within 0..1: they are shares of the image, regions.unit = 'fraction'.")
    if regions.unit == 'fraction' and largest > 2:
        raise ValueError(f"{file}regions.unit is 'fraction', and a box reaches to {largest:g}; they are pixels.")


def _plan_files(
    folder: Path,
    files: Sequence[str],
    cases: Cases,
    layout: Layout,
    regions: Regions,
    concepts: Sequence[str],
    plan: list[list[Planned]],
) -> None:
    """Regions of mask files, one file or several per image."""
    for name in fields_of(regions.files):
        if name not in (STEM, PARENT, 'class'):
            cases.rows.column(name, 'regions.files')
    known = set(files)
    for image, path in enumerate(cases.path):
        for name in _mask_files(regions.files, path, cases, image, files, known):
            for concept, values in _concepts_in(regions, concepts, cases, image, name):
                make = partial(
                    placing.mask_file, path=folder / name, values=values, crop=_crop(regions, cases, image), name=name
                )
                plan[image].append(Planned(concept, regions.as_reader, make))


def _mask_files(pattern: str, path: str, cases: Cases, image: int, files: Sequence[str], known: set[str]) -> list[str]:
    """Mask files of an image: beside it, or by their path below the folder."""
    row = cases.first[image]
    values = {name: str(column[row]) for name, column in cases.rows.columns.items() if not name.startswith('(')}
    classes = [cases.classes[k] for k in np.flatnonzero(cases.readings[0].cells[image] == PRESENT)] or ['']
    found: dict[str, None] = {}
    for of_class in classes if '{class}' in pattern else ['']:
        filled = _escaped(pattern, {**values, 'class': of_class})
        beside = path.rpartition('/')[0]
        wanted = filled if '/' in filled or not beside else f'{glob.escape(beside)}/{filled}'
        found.update(dict.fromkeys(one for one in _matching(wanted, files, known) if one != path))
    return list(found)


def _escaped(pattern: str, values: Mapping[str, str]) -> str:
    return fill(pattern, {name: glob.escape(text) for name, text in values.items()})


def _matching(pattern: str, files: Sequence[str], known: set[str]) -> list[str]:
    """Those of the sorted files that a pattern means; only those that begin as it does are looked at."""
    plain = pattern.replace('[[]', '[').replace('[*]', '*').replace('[?]', '?')
    if glob.escape(plain) == pattern:
        return [plain] if plain in known else []
    head = pattern[: min(pattern.find(one) for one in '*?[' if one in pattern)]
    start = bisect.bisect_left(files, head)
    result = []
    for name in files[start:]:
        if not name.startswith(head):
            break
        if fnmatch.fnmatchcase(name, pattern):
            result.append(name)
    return result


def _concepts_in(
    regions: Regions, concepts: Sequence[str], cases: Cases, image: int, name: str
) -> list[tuple[int, tuple[float, ...]]]:
    """(number of a concept, its grey values in the mask file, none for all that is not 0)."""
    if regions.values:
        by_value = {key: tuple(number(str(one)) for one in texts) for key, texts in regions.values.items()}
        return [(list(concepts).index(concept), values) for concept, values in by_value.items()]
    if regions.concept != OF_LABEL:
        return [(list(concepts).index(regions.concept), ())]
    present = np.flatnonzero(cases.readings[0].cells[image] == PRESENT)
    return [(int(present[0]), ())] if len(present) == 1 else []


def _crop(regions: Regions, cases: Cases, image: int) -> tuple[float, ...] | None:
    """What part of the image's file the mask covers: x0 y0 x1 y1."""
    if not regions.crop:
        return None
    row = cases.first[image]
    values = [cases.rows.column(name, 'regions.crop')[row] for name in regions.crop]
    return None if _empty(values) else _box(values, regions, cases.rows.where(row))
