"""From tables and file names to cases: which images there are, of whom, in which split, and what is said of them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.dataset import LEFT_OUT
from imbalance_jax.data.reader import (
    agreement,
    case_tables,
    companions,
    groupings,
    joining,
    label_notes,
    paths,
    people,
    splits,
)
from imbalance_jax.data.reader.case_files import (
    first_rows,
    images_of_rows,
    without_masks,
)
from imbalance_jax.data.reader.labels import Reading, read_labels, reduced
from imbalance_jax.data.reader.layout import Layout
from imbalance_jax.data.reader.rows import (
    STEM,
    Found,
    Rows,
    path_columns,
)
from imbalance_jax.data.reader.spelling import numbers_of
from imbalance_jax.data.reader.tables import derived


class Cases(NamedTuple):
    """N images, by split and then by name.

    image_id: [N] str; path: [N] str below the folder, '' where files were not asked for; patient: [N] int64;
    split: [N] uint8; groups: [N,G] int8 or None, into group_names: {grouping: names}; classes: K names; readings: what
    is said of them, `cells` [N,K] each; rows: the rows of the joined tables, image: [n] which image each is of, -1 of
    none; first: [N] the first row of each
    """

    image_id: np.ndarray
    path: list[str]
    patient: np.ndarray
    split: np.ndarray
    groups: np.ndarray | None
    group_names: dict[str, list[str]]
    classes: tuple[str, ...]
    readings: list[Reading]
    rows: Rows
    image: np.ndarray
    first: np.ndarray
    tables: dict[str, Rows]


def read_cases(folder: Path, layout: Layout, found: Found, *, with_files: bool = True) -> Cases:
    """The cases of a folder; without files, every image that the tables name."""
    unreadable: list[str] = []
    listed = paths.scan(folder, unreadable)
    found.add('unreadable_folder', unreadable)
    files = paths.index(paths.pictures(listed, layout.images, [one.files for one in layout.regions]))
    rows, tables = case_tables.read(Path(folder), layout, files.paths, found)
    files = without_masks(files, rows, layout)
    if with_files and not files.paths:
        raise FileNotFoundError(
            f'{folder} has no image ({", ".join(layout.images.suffixes)}) in {" or ".join(layout.images.folders)!r}'
            f'{_but_excluded(listed, layout)}.'
        )
    image, path, names = images_of_rows(rows, files, layout, found, with_files)
    first = first_rows(image, len(path))
    rows = rows.with_columns(**path_columns([path[one] if one >= 0 else '' for one in image]))
    rows = derived(rows, layout.images.derive)
    readings, classes = read_labels(rows, image, names, layout, tables, found)
    agreement.of_images(rows, image, first, names, layout, found)
    patient = people.patients(rows, first, names, layout.patient, found)
    split = splits.stated(Path(folder), rows, first, names, layout.split, found)
    keep = _kept(readings, classes, patient, split, names, layout, found)
    if not keep.any():
        raise ValueError(_nothing_left(found, len(keep)))
    nobody, named = np.zeros(0, np.int64), np.array(names, np.str_)
    cases = Cases(named, path, nobody, split, None, {}, classes, readings, rows, image, first, tables)
    cases = take(cases, np.flatnonzero(keep))
    patient = [one for one, kept in zip(patient, keep, strict=True) if kept]
    cases = cases._replace(patient=_numbers(patient, cases, layout))
    cases, index = _enough(cases, layout, found)
    patient = [patient[one] for one in index]
    cases = cases._replace(split=splits.drawn(cases.split, _says_yes(cases), patient, layout.split, found))
    people.say_alike(patient, cases.split, found)
    people.doubt_additions(patient, cases.split, found)
    people.doubt_sides(patient, found)
    people.doubt_nobody(patient, layout.patient, found)
    found.doubts.extend(label_notes.of_dates(list(dict.fromkeys(patient)), 'Patients'))
    codes, group_names = groupings.of_images(rows, cases.first, layout.groups)
    if codes is not None:
        groupings.say_in_no_group(rows, cases.first, cases.image_id.tolist(), layout.groups, codes, found)
    cases = cases._replace(groups=codes, group_names=group_names)
    groupings.say_sexes_twice(group_names, found)
    groupings.doubt_codes(layout.groups, group_names, found)
    for grouping, of_group in group_names.items():
        found.doubts.extend(label_notes.of_dates(of_group, f'Groups of {grouping}'))
        found.doubts.extend(label_notes.of_forms(of_group, f'Groups of {grouping}'))
        if not layout.groups[grouping].bands:
            found.doubts.extend(label_notes.of_alike(of_group, f'Groups of {grouping}', f'groups.{grouping}.values'))
    groupings.say_of_one(patient, codes, group_names, found)
    groupings.doubt_two_sexes(patient, codes, list(group_names), found)
    of_tables, of_labels = [one.on for one in layout.tables], [one.on for one in layout.labels]
    joins = [*of_tables, *of_labels, *(one.on for one in layout.regions)]
    stems = [str(rows.columns[STEM][row]) for row in cases.first]
    found.doubts.extend(joining.of_shared_stems(stems, cases.image_id.tolist(), joins))
    cells = [reading.cells for reading in cases.readings]
    found.doubts.extend(companions.doubts(sorted(cases.path)) if with_files else [])
    found.doubts.extend(label_notes.of_cells(cells, cases.classes, cases.image_id.tolist()))
    found.doubts.extend(label_notes.of_equal(cells[0], cases.classes))
    found.doubts.extend(label_notes.of_other_columns(cases.classes, patient, cases.image_id.tolist()))
    return take(cases, np.lexsort((cases.image_id, cases.split)))


def _numbers(patient: list[str], cases: Cases, layout: Layout) -> np.ndarray:
    """`numbers_of` the patients; ValueError with the file, the line and the column of what is none."""
    try:
        return numbers_of(patient)
    except ValueError as error:
        row = next(
            (row for row, text in zip(cases.first, patient, strict=True) if str(error).startswith(f'{text} ')), 0
        )
        where = f'{cases.rows.where(row)}, {layout.patient.column}: ' if layout.patient.column else ''
        raise ValueError(f'{where}{error}') from error


def _but_excluded(listed: Sequence[str], layout: Layout) -> str:
    """What to say where all that would be images are excluded, or have other suffixes."""
    every = dataclasses.replace(layout.images, exclude=())
    if count := sum(paths.is_image(path, every) for path in listed):
        return f' but {count} that images.exclude leaves out, {" or ".join(layout.images.exclude)}'
    of_any_suffix = dataclasses.replace(every, suffixes=('',))
    others = [path for path in listed if paths.is_image(path, of_any_suffix)]
    return f' but {len(others)} other files, such as {others[0]!r}; images.suffixes says of which' if others else ''


def _kept(
    readings: list[Reading],
    classes: Sequence[str],
    patient: list[str],
    split: np.ndarray,
    names: Sequence[str],
    layout: Layout,
    found: Found,
) -> np.ndarray:
    """Which images are used: with a patient, and with a class where each image must have one, of all readings."""
    keep = np.array([bool(one) for one in patient], bool)
    found.add('without_patient', [name for name, kept in zip(names, keep, strict=True) if not kept])
    outside = split == LEFT_OUT
    found.add('in_no_split', [name for name, out in zip(names, outside, strict=True) if out])
    if layout.task == 'multi_class' and readings:
        labels, known = reduced(readings, classes, layout)
        none = (labels.sum(1) != 1) | (known == 0).any(1)
        found.add('not_of_one_class', [name for name, bad in zip(names, none, strict=True) if bad])
        keep &= ~none
    return keep & ~outside


SAID_BY = {'without_patient': 'patient', 'in_no_split': 'split', 'not_of_one_class': 'labels and task'}


def _nothing_left(found: Found, count: int) -> str:
    """Why none of `count` images is used, by the fields that leave images out."""
    reasons = [
        f'{kind.replace("_", " ")}: {len(found.problems[kind])}, such as {found.problems[kind][0]} (see {field})'
        for kind, field in SAID_BY.items()
        if found.problems.get(kind)
    ]
    return f'Of {count} images none is left; {"; ".join(reasons)}.'


def take(cases: Cases, index: np.ndarray) -> Cases:
    """The cases of these rows, in their order."""
    number_of = np.full(len(cases.image_id) + 1, -1)
    number_of[index] = np.arange(len(index))
    return cases._replace(
        image_id=cases.image_id[index],
        path=[cases.path[one] for one in index],
        patient=cases.patient[index] if len(cases.patient) else cases.patient,
        split=cases.split[index],
        groups=None if cases.groups is None else cases.groups[index],
        readings=[reading._replace(cells=reading.cells[index]) for reading in cases.readings],
        image=number_of[cases.image],
        first=cases.first[index],
    )


def _enough(cases: Cases, layout: Layout, found: Found) -> tuple[Cases, np.ndarray]:
    """Without classes of fewer images than `labels.at_least`; and which images are left, as each must be of a class
    of a multi-class set."""
    least, every = layout.labels[0].at_least, np.arange(len(cases.image_id))
    if not least:
        return cases, every
    counts = _says_yes(cases).sum(0)
    kept = counts >= least
    if not kept.any():
        most = int(counts.max(initial=0))
        raise ValueError(f'No class has at_least {least} images; the commonest has {most}. Expected a smaller limit.')
    found.add('rare_classes', [name for name, enough in zip(cases.classes, kept, strict=True) if not enough])
    classes = tuple(name for name, enough in zip(cases.classes, kept, strict=True) if enough)
    readings = [reading._replace(cells=reading.cells[:, kept]) for reading in cases.readings]
    cases = cases._replace(classes=classes, readings=readings)
    if layout.task == 'multi_class':
        of_one = _says_yes(cases).any(1)
        found.add('of_a_rare_class', cases.image_id[~of_one].tolist())
        every = np.flatnonzero(of_one)
    return take(cases, every), every


def _says_yes(cases: Cases) -> np.ndarray:
    """Whether any reading of an image has a class, [N,K] bool."""
    return np.logical_or.reduce([reading.cells == 1 for reading in cases.readings])
