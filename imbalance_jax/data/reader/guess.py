"""Proposes a layout for what lies in a folder, and says what of it is not sure."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader import guess_files, paths, published
from imbalance_jax.data.reader.columns import Kinds, kinds_of, size_columns, stated_size
from imbalance_jax.data.reader.layout import SPLIT_NAMES, Images
from imbalance_jax.data.reader.proposal import Guess
from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import canonical, table_of

TABLES = ('.csv', '.tsv', '.txt', '.json', '.jsonl', '.parquet')
MOST_TABLES = 40
SAMPLED = 400  # rows whose files are looked for


class Read(NamedTuple):
    """A table that names images. share: of its rows whose image is there; images: how many different ones."""

    file: str
    rows: Rows
    column: str
    share: float
    images: int
    kinds: Kinds


def guess(folder: Path, known: Collection[str]) -> Guess:
    """What config.data.NAME may be for a folder. known: readers that there are."""
    folder = Path(folder)
    listed = paths.scan(folder, [])
    name = _name(folder)
    tables = [path for path in listed if path.lower().removesuffix('.gz').endswith(TABLES)][:MOST_TABLES]
    if public := published.reader_of(folder, listed, tables, known):
        return Guess(name, {'reader': public, 'manual_dir': str(folder)}, [], [], f'This looks like {public}.')
    pictures = [path for path in listed if paths.is_image(path, Images())]
    if not pictures:
        raise FileNotFoundError(f'{folder} has no image ({", ".join(Images().suffixes)}) and no set that is known.')
    masks, regions = guess_files.masks_among(pictures)
    pictures = [path for path in pictures if path not in masks]
    block: dict[str, Any] = {'reader': 'folder', 'path': str(folder)}
    unsure: list[str] = []
    missing: list[str] = []
    files = paths.index(pictures)
    read = _read_tables(folder, tables, files, unsure)
    guess_files.of_images(folder, pictures, masks, block, unsure)
    if read:
        _of_tables(read, block, unsure, missing)
    else:
        guess_files.of_folders(pictures, block, unsure, missing)
    if regions and 'regions' not in block:
        block['regions'] = regions | {'concept': _concept(block, unsure)}
        unsure.append(f'regions: {len(masks)} files are taken for masks, by their names.')
    return Guess(name, block, unsure, missing, _examined(pictures, masks, read))


def _name(folder: Path) -> str:
    name = re.sub(r'\W+', '_', folder.resolve().name).strip('_').lower() or 'mine'
    return f'set_{name}' if name[0].isdigit() or name in ('folder', 'name', 'order', 'imbalance', 'resample') else name


def _read_tables(folder: Path, tables: Sequence[str], files: paths.Files, unsure: list[str]) -> list[Read]:
    """The tables that name images, the one that names most first; files that cannot be read are named."""
    read = []
    for path in tables:
        rows = published.try_table(folder, path, unsure)
        if rows is None or not len(rows):
            continue
        scored = [(*_found(rows.columns[column], files), column) for column in rows.columns]
        share, count, column = max(scored)
        if named := [name for name in rows.columns if paths.is_image(name, Images())]:
            unsure.append(
                f'tables: {path} begins with {named[0]!r}, the name of an image: give it a first row of names, or '
                'declare header = False and columns.'
            )
        if share >= 0.2:
            read.append(Read(path, rows, column, share, count, kinds_of(rows, column)))
    return sorted(read, key=lambda one: (bool(one.kinds.labels or one.kinds.names), one.images), reverse=True)


def _found(texts: np.ndarray, files: paths.Files) -> tuple[float, int]:
    """The share of a column's texts that are images that are there, and how many different ones."""
    names = list(dict.fromkeys(str(text) for text in texts if isinstance(text, str) and text.strip()))
    sample = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(SAMPLED, len(names))).astype(int))]
    there = sum(bool(paths.find(files, text)[0]) for text in sample)
    return (there / len(sample), len(names)) if sample else (0.0, 0)


def _of_tables(read: Sequence[Read], block: dict[str, Any], unsure: list[str], missing: list[str]) -> None:
    """Tables, labels, patients, splits, groups and boxes of tables that name images."""
    main, others = read[0], list(read[1:])
    block['tables'] = [{'file': main.file}]
    block['images']['file'] = f'{{{main.column}}}'
    if main.share < 1:
        unsure.append(f'images: {1 - main.share:.0%} of the images that {main.file} names are not there.')
    for other in list(others):
        meant = _split_of_name(other.file)
        if meant and set(other.rows.columns) == set(main.rows.columns) and _split_of_name(main.file):
            block['tables'][0]['split'] = _split_of_name(main.file)
            block['tables'].append({'file': other.file, 'split': meant})
            others.remove(other)
    _labels(main, block, unsure, missing)
    kinds = _with_people(main, others, block, unsure)
    if kinds.patient:
        block['patient'] = kinds.patient
        unsure.append(f'patient: the column {kinds.patient!r}, by its name.')
    else:
        unsure.append('patient: no column says whose images these are; every image counts as a patient of its own.')
    if kinds.split:
        block['split'] = kinds.split
    elif not any('split' in table for table in block['tables']):
        unsure.append('split: nothing says it; patients are drawn for validation (15 %) and test (20 %).')
    if kinds.groups:
        block['groups'] = kinds.groups
    _boxes(main, others, block, unsure)
    _second_reader(main, others, block, unsure)
    if block['tables'] == [{'file': main.file}]:
        block['tables'] = main.file
    used = {table['file'] for table in block['tables']} if isinstance(block['tables'], list) else set()
    for other in others:
        if other.file not in used:
            unsure.append(f'tables: {other.file} names images, too, and is not used.')


def _with_people(main: Read, others: list[Read], block: dict[str, Any], unsure: list[str]) -> Kinds:
    """What the main table's columns are, and of a table beside it that says of its images what it does not."""
    kinds, names = main.kinds, {str(text) for text in main.rows.columns[main.column]}
    for other in list(others):
        texts = [str(text) for text in other.rows.columns[other.column]]
        said = {name: getattr(other.kinds, name) for name in ('patient', 'split', 'groups')}
        new = {name: value for name, value in said.items() if value and not getattr(kinds, name)}
        if not new or len(set(texts)) < len(texts) or len(names & set(texts)) < 0.9 * len(names):
            continue
        same = main.column == other.column
        block['tables'].append({'file': other.file, 'on': [main.column if same else f'{main.column}={other.column}']})
        unsure.append(f'tables: {other.file} is joined by the name of the image; it says {", ".join(new)}.')
        others.remove(other)
        kinds = kinds._replace(**new)
    return kinds


def _second_reader(main: Read, others: Sequence[Read], block: dict[str, Any], unsure: list[str]) -> None:
    """Other COCO files of the same images are other readers' regions."""
    names = set(main.rows.columns[main.column])
    again = [one for one in others if one.kinds.segmentation and names & set(one.rows.columns[one.column])]
    if not main.kinds.segmentation or not again:
        return
    own = block['regions']
    block['regions'] = [own | {'as_reader': Path(main.file).stem}]
    for one in again:
        block['tables'].append({'file': one.file, 'name': one.file})
        key = main.column if main.column == one.column else f'{main.column}={one.column}'
        beside = {'table': one.file, 'on': [key], 'as_reader': Path(one.file).stem}
        block['regions'].append(own | beside)
    files = ' and '.join(one.file for one in (main, *again))
    unsure.append(f'regions: {files} draw on the same images: taken for readers. Labels are those of {main.file}.')


def _labels(main: Read, block: dict[str, Any], unsure: list[str], missing: list[str]) -> None:
    kinds = main.kinds
    if kinds.labels:
        block['labels'] = {'columns': kinds.labels}
        unsure.append(f'labels: all {len(kinds.labels)} columns of zeros and ones; leave out what is no class.')
        if kinds.exclusive and _is_of_one_row(main, kinds.labels):
            block['task'] = 'multi_class'
            unsure.append('task: every row has exactly one label, so classes are taken to exclude one another.')
    elif kinds.names:
        block['labels'] = {'column': kinds.names} | ({'separator': kinds.separator} if kinds.separator else {})
        if kinds.exclusive and _is_of_one_row(main, [kinds.names]):
            block['task'] = 'multi_class'
            block['labels']['none'] = ()
            unsure.append(f'task: {kinds.names!r} has one name per row, so classes are taken to exclude one another.')
    else:
        missing.append('labels: no column of zeros and ones, and none of names, was found.')


def _is_of_one_row(main: Read, labels: Sequence[str]) -> bool:
    """Whether all rows of an image say the same of it, so that it may be of one class."""
    said: dict[str, tuple[str, ...]] = {}
    columns = [main.rows.columns[name] for name in labels]
    rows = zip(main.rows.columns[main.column], *columns, strict=True)
    return all(
        said.setdefault(str(name), texts) == texts for name, *of_row in rows for texts in [tuple(map(str, of_row))]
    )


def _boxes(main: Read, others: Sequence[Read], block: dict[str, Any], unsure: list[str]) -> None:
    for one in (main, *others):
        if one.kinds.box:
            regions: dict[str, Any] = {'box': one.kinds.box, 'form': one.kinds.form}
            if one.kinds.fraction:
                regions['unit'] = 'fraction'
            elif (size := size_columns(one.rows.columns)) and _are_stated(one.rows, size):
                regions['frame'] = size
            if one is not main:
                block['tables'].append({'file': one.file, 'name': one.file})
                same = one.column == main.column
                regions |= {'table': one.file, 'on': [main.column if same else f'{main.column}={one.column}']}
            concept = one.kinds.names or one.kinds.concept
            regions |= {'column': concept, 'others': 'add'} if concept else {'concept': _concept(block, unsure)}
            block['regions'] = regions
            unsure.append(f'regions: boxes are {one.kinds.form}, in pixels of the files unless frame says more.')
            return
        if one.kinds.segmentation:
            concept = one.kinds.names or one.kinds.concept
            code = {'code': one.kinds.segmentation, 'kind': 'coco_segmentation', 'box': ('bbox',)}
            block['regions'] = {**code, 'column': concept}
            return


def _are_stated(rows: Rows, size: Sequence[str]) -> bool:
    """Whether every row states the size of its image."""
    columns = [rows.columns[name] for name in size]
    return all(stated_size(columns, row) for row in range(len(rows)))


def _concept(block: Mapping[str, Any], unsure: list[str]) -> str:
    """What regions without a name are of: the one class of their image, or the only class."""
    labels = block.get('labels', {})
    columns = labels.get('columns', ())
    if len(columns) == 1:
        return str(columns[0])
    if block.get('task') != 'multi_class':
        unsure.append("regions: nothing says what they are of; 'label' is an image's class if it has exactly one.")
    return 'label'


def _split_of_name(file: str) -> str:
    """The split that the name of a file speaks of, '' if none."""
    names = table_of(SPLIT_NAMES)
    words = re.split(r'[^A-Za-z]+', file.rsplit('/', 1)[-1])
    return next((names[canonical(word)] for word in words if canonical(word) in names), '')


def _examined(pictures: Sequence[str], masks: Collection[str], read: Sequence[Read]) -> str:
    named = f', named by {", ".join(one.file for one in read)}' if read else ', and no table that names them'
    return f'{len(pictures)} images{f" and {len(masks)} masks" if masks else ""}{named}.'
