"""Proposes a layout for what lies in a folder, and says what of it is not sure."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from imbalance_jax.data.reader import (
    companions,
    guess_files,
    guess_folders,
    guess_masks,
    guess_tables,
    paths,
    published,
)
from imbalance_jax.data.reader.columns import Kinds, is_grade, size_columns, stated_size
from imbalance_jax.data.reader.guess_tables import Read
from imbalance_jax.data.reader.layout import SPLIT_NAMES, Images
from imbalance_jax.data.reader.proposal import Guess
from imbalance_jax.data.reader.rows import NAMED, Rows
from imbalance_jax.data.reader.spelling import canonical, table_of
from imbalance_jax.names import some


def guess(folder: Path, known: Collection[str]) -> Guess:
    """What config.data.NAME may be for a folder. known: readers that there are."""
    folder = Path(folder)
    listed = paths.scan(folder, [])
    name = _name(folder)
    beside = guess_files.of_one_image(listed)
    tables = [path for path in listed if guess_tables.may_be_one(path) and path not in beside]
    tables = tables[: guess_tables.MOST_TABLES]
    if public := published.reader_of(folder, listed, tables, known):
        return Guess(name, {'reader': public, 'manual_dir': str(folder)}, [], [], f'This looks like {public}.')
    pictures = [path for path in listed if paths.is_image(path, Images())]
    if not pictures:
        raise FileNotFoundError(f'{folder} has no image ({", ".join(Images().suffixes)}) and no set that is known.')
    block: dict[str, Any] = {'reader': 'folder', 'path': str(folder)}
    unsure: list[str] = []
    missing: list[str] = []
    unsure.extend(guess_files.unread(listed, beside))
    masks = companions.masks_among(pictures)
    exclude = guess_masks.excluded(pictures, masks, unsure)
    pictures = [path for path in pictures if path not in masks and paths.is_image(path, Images(exclude=exclude))]
    files = paths.index(pictures)
    read = guess_tables.read(folder, tables, files, unsure)
    guess_files.of_images(folder, pictures, exclude, block, unsure)
    lists = {one.file: _split_of_name(one.file) for one in read if _is_list(one)}
    read = [one for one in read if one.file not in lists]
    if read:
        _of_tables(read, block, unsure)
    _splits(lists, pictures, block, unsure)
    if 'labels' not in block and not guess_folders.classes_of(pictures, block, unsure):
        what = 'no column of zeros and ones, and none of names, was found' if read else 'no table names the images'
        missing.append(f'labels: {what}, and no folders that could be classes{guess_files.ends_of_names(pictures)}.')
    _masks(pictures, masks, block, unsure)
    _people(pictures, block, unsure)
    return Guess(name, block, unsure, missing, _examined(pictures, masks, read))


def _name(folder: Path) -> str:
    name = re.sub(r'\W+', '_', folder.resolve().name).strip('_').lower() or 'mine'
    return f'set_{name}' if name[0].isdigit() or name in ('folder', 'name', 'order', 'imbalance', 'resample') else name


def _is_list(one: Read) -> bool:
    """Whether a table has nothing but the names of images."""
    return len(one.rows.columns) == 1


def _splits(lists: Mapping[str, str], pictures: Sequence[str], block: dict[str, Any], unsure: list[str]) -> None:
    """Splits that lists of images or folders say, where nothing else does; other lists are named."""
    stated = 'split' in block or any('split' in one for one in _listed(block.get('tables', ())))
    said = len(set(lists.values()) - {''}) > 1
    if not stated and guess_folders.are_of_splits(pictures, whole=said or 'tables' in block):
        block['split'] = {'path': 'folder'}
        unsure.append('split: the folders that are called as splits are.')
    elif not stated and said:
        block['split'] = {'lists': {split: file for file, split in reversed(list(lists.items())) if split}}
        unsure.append('split: the lists of images, by their names.')
    elif not stated:
        unsure.append('split: nothing says it; patients are drawn for validation (15 %) and test (20 %).')
    used = block.get('split', {}).get('lists', {}).values() if isinstance(block.get('split'), dict) else ()
    unsure.extend(f'tables: {file} is a list of images, and is not used.' for file in lists if file not in used)


def _listed(tables: Any) -> Sequence[Mapping[str, Any]]:
    return () if isinstance(tables, str) else tables


def _masks(
    pictures: Sequence[str], masks: Mapping[str, companions.Mask], block: dict[str, Any], unsure: list[str]
) -> None:
    """Regions of mask files, where no table has some."""
    if not masks:
        return
    named = some([f'{path} of {mask.of}' for path, mask in masks.items()], 1)
    unsure.append(f'regions: {len(masks)} files are taken for masks, by the names of files or folders: {named}.')
    if 'regions' in block:
        unsure.append('regions: those of the tables are proposed, and none of the masks (regions.files).')
        return
    classes = guess_folders.class_of(pictures, block.get('labels', {}))
    found = guess_masks.proposed(pictures, masks, classes, unsure)
    blocks = [{'files': pattern, 'concept': concept or _concept(block, unsure)} for pattern, concept in found]
    if blocks:
        block['regions'] = blocks if len(blocks) > 1 else blocks[0]


def _people(pictures: Sequence[str], block: dict[str, Any], unsure: list[str]) -> None:
    """Whose images these are by the names of files and folders, where no table says it."""
    if 'patient' in block:
        return
    if pattern := guess_files.people_of_sides(pictures):
        block['patient'] = {'pattern': pattern}
        unsure.append('patient: the names of files without left and right, of which many have both.')
    elif people := guess_folders.people_of(pictures):
        pattern, names = people
        block['patient'] = {'pattern': pattern}
        unsure.append(f'patient: the {len(names)} folders {some(names, NAMED)}, by their names.')
    else:
        unsure.append('patient: nothing says whose images these are; every image counts as a patient of its own.')


def _of_tables(read: Sequence[Read], block: dict[str, Any], unsure: list[str]) -> None:
    """Tables, labels, patients, splits, groups and boxes of tables that name images."""
    main, others = read[0], list(read[1:])
    block['tables'] = [dict(one) for one in main.declared]
    block['images']['file'] = f'{{{main.column}}}'
    if main.share < 1:
        unsure.append(f'images: {1 - main.share:.0%} of the images that {main.file} names are not there.')
    for other in list(others):
        meant = _split_of_name(other.file)
        if (
            meant
            and len(main.declared) == 1
            and set(other.rows.columns) == set(main.rows.columns)
            and _split_of_name(main.file)
        ):
            block['tables'][0]['split'] = _split_of_name(main.file)
            block['tables'].append({**other.declared[0], 'split': meant})
            others.remove(other)
    _labels(main, block, unsure)
    kinds = _with_people(main, others, block, unsure)
    if kinds.patient:
        block['patient'] = kinds.patient
        unsure.append(f'patient: the column {kinds.patient!r}, by its name.')
    if kinds.split:
        block['split'] = kinds.split
    if kinds.groups:
        block['groups'] = kinds.groups
    _boxes(main, others, block, unsure)
    if 'labels' not in block and block.get('regions', {}).get('column'):
        block['labels'] = {'regions': True}
        unsure.append('labels: what an image has a region of.')
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
        if (
            not new
            or len(other.declared) > 1
            or len(set(texts)) < len(texts)
            or len(names & set(texts)) < 0.9 * len(names)
        ):
            continue
        same = main.column == other.column
        block['tables'].append({**other.declared[0], 'on': [main.column if same else f'{main.column}={other.column}']})
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


def _labels(main: Read, block: dict[str, Any], unsure: list[str]) -> None:
    kinds = main.kinds
    if kinds.others and (kinds.labels or kinds.names):
        said = [f'{name!r}{f" ({some(found, 3)})" if found else ""}' for name, found in kinds.others.items()]
        unsure.append(f'labels: other columns that may be classes: {some(said, NAMED)}.')
    if kinds.labels:
        block['labels'] = {'columns': kinds.labels}
        count = len(kinds.labels)
        what = 'the column' if count == 1 else f'{count} columns'
        unsure.append(f'labels: {what} of zeros and ones, {some(kinds.labels, NAMED)}; leave out what is no class.')
        if kinds.exclusive and _is_of_one_row(main, kinds.labels):
            block['task'] = 'multi_class'
            unsure.append('task: every row has exactly one label, so classes are taken to exclude one another.')
    elif kinds.names:
        block['labels'] = {'column': kinds.names} | ({'separator': kinds.separator} if kinds.separator else {})
        if kinds.exclusive and _is_of_one_row(main, [kinds.names]):
            block['task'] = 'multi_class'
            block['labels']['none'] = ()
            unsure.append(f'task: {kinds.names!r} has one name per row, so classes are taken to exclude one another.')
            if is_grade(kinds.names, map(str, main.rows.columns[kinds.names])):
                block['ordinal'] = True
                unsure.append(f'ordinal: {kinds.names!r} has whole numbers, by its name grades in their order.')


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
                block['tables'].append({**one.declared[0], 'name': one.file})
                same = one.column == main.column
                regions |= {'table': one.file, 'on': [main.column if same else f'{main.column}={one.column}']}
            concept = one.kinds.names or one.kinds.concept
            regions |= {'column': concept, 'others': 'add'} if concept else {'concept': _concept(block, unsure)}
            block['regions'] = regions
            if concept and any(str(text).strip()[:1] == '[' for text in one.rows.columns[concept]):
                place = next(place for place in block['tables'] if place['file'] == one.file)
                place['explode'] = (concept,)
                if one is main and block.get('labels', {}).get('column') == concept:
                    block['labels'].pop('separator', None)
                unsure.append(f'tables: {one.file} has lists of {concept}; a row is made of each name in them.')
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
