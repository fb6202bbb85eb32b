"""A data set from a folder and its layout: cases, then pixels and regions, image by image on all cores."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.boxes import rasterise
from imbalance_jax.data.dataset import Allocate, Dataset, in_memory
from imbalance_jax.data.reader import agreement, label_notes, paths, people, pixel_notes, region_notes
from imbalance_jax.data.reader.cases import Cases, read_cases, take
from imbalance_jax.data.reader.labels import reduced
from imbalance_jax.data.reader.layout import Layout
from imbalance_jax.data.reader.picture import bits_of
from imbalance_jax.data.reader.placing import Region
from imbalance_jax.data.reader.regions import by_class, concepts_of, empty_rows, misspelt, planned, unused
from imbalance_jax.data.reader.rows import Found
from imbalance_jax.data.reader.squares import Maker, Progress, Square, filled, kind_of_pixels
from imbalance_jax.data.reader.tables import table_files


def read(
    folder: Path,
    layout: Layout,
    *,
    image_size: int,
    allocate: Allocate | None = None,
    progress: Progress | None = None,
    options: dict[str, Any] | None = None,
) -> Dataset:
    """The data set of a folder. What cannot be used is left out and named in `info['problems']`.

    allocate: gives arrays of a name, shape and kind that are filled in place. Raises ValueError, or FileNotFoundError,
    of one line, for what the layout says and the folder has not.
    """
    if image_size < 1:
        raise ValueError(f'image_size is {image_size}; expected a positive number of pixels.')
    folder = Path(folder)
    found = Found()
    cases = read_cases(folder, layout, found)
    layout = by_class(layout, cases.classes)
    concepts = concepts_of(cases, layout)
    found.notes.extend(unused(cases, layout, found))
    found.doubts.extend([*empty_rows(cases, layout), *misspelt(cases, layout)])
    maker = Maker(folder, layout, image_size, *kind_of_pixels(folder, cases.path, layout))
    plan = planned(folder, cases, layout, concepts, found)
    while True:
        pixels, squares, failed, largest = filled(maker, cases, plan, allocate or in_memory, progress)
        if largest >= 2**maker.bits:  # of a file that was not among those sampled
            maker = maker._replace(bits=bits_of(largest))
        elif not failed:
            break
        found.add('unreadable', [f'{cases.path[row]} ({why})' for row, why in failed.items()])
        cases = take(cases, np.array([row for row in range(len(cases.path)) if row not in failed], np.int64))
        if not len(cases.path):
            raise ValueError(f'No image of {folder} can be read; the first is {found.problems["unreadable"][0]}.')
        plan = planned(folder, cases, layout, concepts, Found())  # what is to be noted has been
    agreement.of_patients(cases.patient, cases.split, cases.image_id, lambda: _who(cases, layout))
    region_notes.say_frames(cases, plan, [square.size for square in squares], found)
    region_notes.refuse_in_one_point(cases, plan, squares)
    return _dataset(cases, layout, concepts, (pixels, squares), maker, found, allocate or in_memory, options or {})


def _who(cases: Cases, layout: Layout) -> list[str]:
    """What patients are called where it is said whose images these are."""
    return people.patients(cases.rows, cases.first, list(cases.image_id), layout.patient, Found())


def read_tables(folder: Path, layout: Layout) -> tuple[Cases, Found]:
    """What the tables alone say, whether or not the images are there; and what was left out."""
    found = Found()
    return read_cases(Path(folder), layout, found, with_files=False), found


def classes_of(folder: Path, layout: Layout) -> tuple[str, ...]:
    """The classes, by the tables and the names of files.

    Raises ValueError or FileNotFoundError for what `read` would say of the declaration, the tables and their regions.
    """
    cases = read_cases(Path(folder), layout, Found())
    layout = by_class(layout, cases.classes)
    planned(Path(folder), cases, layout, concepts_of(cases, layout), Found())
    agreement.of_patients(cases.patient, cases.split, cases.image_id, lambda: _who(cases, layout))
    return cases.classes


def files(folder: Path, layout: Layout) -> list[Path]:
    """All files that a data set of this layout depends on: its tables and lists, images and masks; sorted."""
    folder = Path(folder)
    tables = [path for table in layout.tables for path in table_files(folder, table)]
    lists = [path for pattern in layout.split.lists.values() for path in sorted(folder.glob(pattern + '*'))]
    suffixes = {*layout.images.suffixes, *layout.images.decoders, *(_suffix(one.files) for one in layout.regions)}
    pictures = [folder / path for path in paths.scan(folder, []) if _suffix(path) in suffixes - {''}]
    pictures = [path for path in pictures if path.is_file()]  # a link may lead nowhere: the image is unreadable then
    return sorted({*tables, *lists, *pictures})


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _dataset(
    cases: Cases,
    layout: Layout,
    concepts: list[str],
    read_files: tuple[np.ndarray, list[Square]],
    maker: Maker,
    found: Found,
    allocate: Allocate,
    options: dict[str, Any],
) -> Dataset:
    pixels, squares = read_files
    sizes = np.array([square.size[:2] for square in squares], np.int32).reshape(-1, 2)
    all_seen = [square.seen for square in squares]
    found.notes.extend(pixel_notes.of_sizes(sizes, layout.images.resize, maker.size))
    if maker.bits < 16 and any(one.largest for one in all_seen):
        found.notes.append(f'Of the 16 bits of grey values {maker.bits} are used (images.bits).')
    names = cases.image_id.tolist()
    found.doubts.extend(pixel_notes.of_pixels(all_seen, names, maker.bits))
    if layout.images.levels:
        _check_levels(all_seen, layout.images.levels)
        found.doubts.extend(pixel_notes.of_levels(all_seen, names))
    found.doubts.extend(pixel_notes.of_people(all_seen, cases.patient, cases.split))
    if not layout.images.channels:
        found.doubts.extend(pixel_notes.of_colour(all_seen, names, maker.channels))
    notes, doubts = pixel_notes.of_values(all_seen, names, layout.images.window)
    found.notes.extend(notes)
    found.doubts.extend(doubts)
    labels, label_mask = reduced(cases.readings, cases.classes, layout)
    of_regions = concepts if {*concepts} - {*cases.classes} else []
    found.doubts.extend(label_notes.of_typing(of_regions, 'Concepts'))
    found.doubts.extend(label_notes.of_alike(of_regions, 'Concepts'))
    found.doubts.extend(region_notes.of_regions(cases, concepts, [square.regions for square in squares], maker.size))
    regions = [region for square in squares for region in square.regions]
    readers = sorted({region.reader for region in regions} - {''})
    found.doubts.extend(agreement.of_readers(readers, sorted({one.reader for one in cases.readings} - {''})))
    for kind, name in (problem for square in squares for problem in square.left):
        found.add(kind, [name])
    found.doubts.extend(region_notes.of_placing(found.problems, cases, layout, len(regions)))
    several = len(cases.readings) > 1 or (cases.readings[0].cells < 0).any()
    return Dataset(
        images=pixels,
        labels=labels,
        label_mask=label_mask,
        split=cases.split,
        patient=cases.patient,
        image_id=cases.image_id,
        region_image=np.repeat(np.arange(len(squares), dtype=np.int32), [len(square.regions) for square in squares]),
        region_concept=np.array([region.concept for region in regions], np.int32),
        region_box=np.array([region.placed.box for region in regions], np.float32).reshape(-1, 4),
        region_mask=_packed(regions, maker.size, allocate),
        groups=cases.groups,
        cells=np.stack([reading.cells for reading in cases.readings]) if several else None,
        region_reader=np.array([_index(readers, r.reader) for r in regions], np.int8) if readers else None,
        source_size=sizes,
        info=_info(cases, layout, concepts, maker, found, options)
        | ({'readings': [[one.version, one.reader] for one in cases.readings]} if several else {})
        | ({'readers': readers} if readers else {}),
    )


def _check_levels(all_seen: Sequence[pixel_notes.Seen], levels: Sequence[float]) -> None:
    """ValueError for levels between which no value of any image lies."""
    low, high = levels
    if all(one.brightest == 0 for one in all_seen):
        raise ValueError(f'images.levels is {low:g}, {high:g}, and no image has a value above {low:g}: all are black.')
    if all(one.darkest == 255 for one in all_seen):
        raise ValueError(f'images.levels is {low:g}, {high:g}, and no image has a value below {high:g}: all are white.')


def _info(
    cases: Cases, layout: Layout, concepts: list[str], maker: Maker, found: Found, options: dict[str, Any]
) -> dict[str, Any]:
    groups = {'groups': cases.group_names} if layout.groups else {}
    doubts = {'doubts': found.doubts} if found.doubts else {}
    return {
        'name': layout.name,
        'classes': list(cases.classes),
        'concepts': concepts,
        'frame': [maker.size, maker.size],
        'options': options,
        'problems': found.problems,
        'notes': found.notes,
        'source': layout.source,
        'licence': layout.licence,
        'task': layout.task,
        **({'ordinal': True} if layout.ordinal else {}),
        'family': layout.family or layout.name,
        'resize': layout.images.resize,
        'modality': layout.modality,
        'anatomy': list(layout.anatomy),
        **groups,
        **doubts,
    }


def _packed(regions: list[Region], size: int, allocate: Allocate) -> np.ndarray:
    """Masks of all regions, boxes filled; none if no region has a mask."""
    width = -(-size // 8)
    if not any(region.placed.mask is not None for region in regions):
        return np.zeros((0, size, width), np.uint8)
    packed = allocate('region_mask', (len(regions), size, width), np.uint8)
    for k, region in enumerate(regions):
        mask = region.placed.mask
        if mask is None:
            mask = np.packbits(rasterise(np.array([[region.placed.box]]), (size, size), (size, size))[0], axis=-1)
        packed[k] = mask
    return packed


def _index(names: list[str], name: str) -> int:
    return names.index(name) if name in names else -1
