"""CheXmask (Gaggion et al. 2024): left lung, right lung and heart of every image of six chest radiograph sets."""

import csv
import dataclasses
import functools
import gzip
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.boxes import rasterise
from imbalance_jax.data.dataset import Allocate, Dataset, in_memory
from imbalance_jax.data.reader import geometry, runs, shapes
from imbalance_jax.data.sources.text import one_line

ANATOMY = {'left lung': 'Left Lung', 'right lung': 'Right Lung', 'heart': 'Heart'}  # concept: column
IDS = ('Image Index', 'dicom_id', 'ImageID', 'image_id', 'Path', 'path', 'ImageId')
QUALITY, LEAST = 'Dice RCA (Mean)', 0.7  # the authors' advice


class Row(NamedTuple):
    """A row of the table: its image, how good its masks are, the runs by column, their height and width."""

    where: str
    image: str
    quality: float
    cells: Mapping[str, str]


def optional(make: Callable[..., Dataset]) -> Callable[..., Dataset]:
    """The same source with an option `chexmask`, a file whose masks its images get as regions (`added`)."""

    @functools.wraps(make)
    def with_anatomy(*, chexmask: Path | None = None, **options: Any) -> Dataset:
        dataset = make(**options)
        return added(dataset, Path(chexmask), options.get('allocate')) if chexmask else dataset

    signature = inspect.signature(make)
    option = inspect.Parameter('chexmask', inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Path | None)
    parameters = list(signature.parameters.values())
    end = next((k for k, one in enumerate(parameters) if one.kind is one.VAR_KEYWORD), len(parameters))
    with_anatomy.__signature__ = signature.replace(parameters=[*parameters[:end], option, *parameters[end:]])  # type: ignore[attr-defined]
    with_anatomy.__annotations__ = {**make.__annotations__, 'chexmask': Path | None}
    return with_anatomy


def without(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of a source's options, which does not see the option `chexmask`."""
    return lambda **options: function(**{name: value for name, value in options.items() if name != 'chexmask'})


def with_file(files: Callable[..., Mapping[str, Path]]) -> Callable[..., dict[str, Path]]:
    """The files of a source, {name: path}, and that of its option `chexmask`."""

    def all_files(**options: Any) -> dict[str, Path]:
        table = {'chexmask': Path(options['chexmask'])} if options.get('chexmask') else {}
        return {**without(files)(**options), **table}

    return all_files


def added(dataset: Dataset, path: Path, allocate: Allocate | None = None) -> Dataset:
    """The data set with lungs and heart as regions, from one of CheXmask's tables, perhaps gzipped.

    Images are found by their id, with or without folders and suffix. Masks with a `Dice RCA (Mean)` below 0.7 are left
    out and counted in `info['notes']`, with images that the table has not. Regions that were boxes become filled ones,
    as all regions of a data set are masks or none. Runs are pairs of a start from 1 and a length, along the rows, of
    masks of Height x Width. Raises FileNotFoundError, or ValueError with file and line, and
    for a table that names none of the images.
    """
    place = {}
    for number, name in enumerate(dataset.image_id.tolist()):
        place.update({name: number, _short(name): number})
    chosen: dict[int, int] = {}  # line of the table -> image
    seen: set[int] = set()
    poor = 0
    for line, row in enumerate(_rows(path)):
        image = next(
            (place[name] for name in (row.image, _short(row.image), _joined(row.image)) if name in place), None
        )
        if image is None or image in seen:
            continue
        seen.add(image)
        poor += row.quality < LEAST
        if row.quality >= LEAST:
            chosen[line] = image
    if not seen:
        raise ValueError(
            f'{path} names none of the images, such as {dataset.image_id[0]}; is it the table of this set?'
        )
    return _with_regions(dataset, path, chosen, poor, allocate or in_memory)


def _with_regions(dataset: Dataset, path: Path, chosen: dict[int, int], poor: int, allocate: Allocate) -> Dataset:
    before, side = len(dataset.region_box), dataset.images.shape[1:3]
    concepts = [*dataset.concepts, *(name for name in ANATOMY if name not in dataset.concepts)]
    count = before + len(ANATOMY) * len(chosen)
    drawn = np.array(_masks_before(dataset))  # a copy: they may lie in the very file that is allocated anew
    masks = allocate('region_mask', (count, side[0], -(-side[1] // 8)), np.uint8)
    masks[:before] = drawn
    image = np.concatenate([dataset.region_image, np.zeros(count - before, np.int32)])
    concept = np.concatenate([dataset.region_concept, np.zeros(count - before, np.int32)])
    box = np.concatenate([dataset.region_box, np.zeros((count - before, 4), np.float32)])
    at, empty = before, 0
    frame = np.array(dataset.info['frame'], float)
    for line, row in enumerate(_rows(path)):
        for name, column in ANATOMY.items() if line in chosen else ():
            mask = _mask(row, column, side, dataset.info.get('resize', 'stretch'))
            if not mask.any():
                empty += 1
                continue
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            image[at], concept[at], masks[at] = chosen[line], concepts.index(name), np.packbits(mask, axis=-1)
            scale = np.array([frame[1] / side[1], frame[0] / side[0]] * 2)
            box[at] = np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]) * scale
            at += 1
    without = len(dataset.image_id) - len(chosen) - poor
    note = (
        f'CheXmask: {len(chosen)} images have masks of lungs and heart; {poor} are left out, as {QUALITY} is below '
        f'{LEAST}, {without} are not in {path.name}, and {empty} masks are empty.'
    )
    info = {**dataset.info, 'concepts': concepts, 'notes': [*dataset.info.get('notes', []), note]}
    info['anatomy'] = [*info.get('anatomy', []), *(name for name in ANATOMY if name not in info.get('anatomy', []))]
    reader = dataset.region_reader
    return dataclasses.replace(
        dataset,
        region_image=image[:at],
        region_concept=concept[:at],
        region_box=box[:at],
        region_mask=masks[:at],
        region_reader=None if reader is None else np.concatenate([reader, np.full(at - before, -1, np.int8)]),
        info=info,
    )


def _masks_before(dataset: Dataset) -> np.ndarray:
    """Packed masks of the regions that are there, boxes filled."""
    if len(dataset.region_mask) or not len(dataset.region_box):
        return dataset.region_mask
    filled = rasterise(dataset.region_box[:, None], dataset.info['frame'], dataset.images.shape[1:3])
    return np.packbits(filled, axis=-1)


def _mask(row: Row, column: str, side: tuple[int, ...], resize: str) -> np.ndarray:
    """A mask at image size, laid as the image was."""
    try:
        height, width = int(float(row.cells['Height'])), int(float(row.cells['Width']))
        mask = runs.decode('start_rows', row.cells[column], (height, width))
    except (ValueError, KeyError) as error:
        raise ValueError(f'{row.where}, {column}: {error}') from error
    place = geometry.into_square(height, width, side[0], resize)
    window = (
        -place.left / place.scale_x,
        -place.top / place.scale_y,
        (side[1] - place.left) / place.scale_x,
        (side[0] - place.top) / place.scale_y,
    )
    return shapes.to_size(mask, side, window)


def _rows(path: Path) -> Iterator[Row]:
    """The rows of a table, one at a time: the largest has some gigabytes."""
    csv.field_size_limit(sys.maxsize)
    if not path.is_file():
        raise FileNotFoundError(f'chexmask: {path} is no file; expected a table of CheXmask, such as ChestX-Ray8.csv.')
    opened = gzip.open if path.suffix == '.gz' else open
    with opened(path, 'rt', encoding='utf-8-sig', newline='') as file:
        table = csv.DictReader(file)
        header = [name.strip() for name in table.fieldnames or ()]
        table.fieldnames = header
        key = next((name for name in IDS if name in header), '')
        if lacking := [name for name in (QUALITY, *ANATOMY.values(), 'Height', 'Width') if name not in header]:
            raise ValueError(f'{path}: the header has no {", ".join(lacking)}; is it a table of CheXmask?')
        if not key:
            raise ValueError(f'{path}: no column names the image; expected one of {", ".join(IDS)}.')
        for row in table:
            where = f'{path}, line {table.line_num}'
            one_line((cell for cell in row.values() if isinstance(cell, str)), where)
            try:
                yield Row(where, row[key].strip(), float(row[QUALITY]), row)
            except (TypeError, ValueError) as error:
                raise ValueError(f'{where}: {QUALITY} is {row[QUALITY]!r}; expected a number.') from error


def _joined(path: str) -> str:
    """The last three parts of a path as one name, as of CheXpert's images: patient00001_study1_view1_frontal."""
    return _short('_'.join(path.replace('\\', '/').split('/')[-3:]))


def _short(name: str) -> str:
    """An image's name without folders and suffix, and in lower case."""
    last = name.replace('\\', '/').rsplit('/', 1)[-1].lower()
    stem, point, suffix = last.rpartition('.')
    return stem if point and suffix in ('png', 'jpg', 'jpeg', 'dcm', 'dicom') else last
