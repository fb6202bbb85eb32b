"""Proposes a layout for what lies in a folder, and says what of it is not sure."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from imbalance_jax.data.reader import (
    companions,
    guess_drawn,
    guess_files,
    guess_folders,
    guess_joins,
    guess_keyed,
    guess_labels,
    guess_masks,
    guess_owners,
    guess_people,
    guess_regions,
    guess_tables,
    paths,
    published,
)
from imbalance_jax.data.reader.columns import Kinds
from imbalance_jax.data.reader.guess_tables import Read, Rest
from imbalance_jax.data.reader.layout import Images
from imbalance_jax.data.reader.proposal import Guess
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.names import some

OF_TEST = re.compile('(list|names|ids)?[ _-]*test(ing)?[ _-]*(set|split|data|list|images?|files?|names?|ids?)?', re.I)


def guess(folder: Path, known: Collection[str]) -> Guess:
    """What config.data.NAME may be for a folder. known: readers that there are."""
    folder = Path(folder)
    listed = paths.scan(folder, [])
    name = _name(folder)
    beside = guess_files.of_one_image(listed)
    tables = [path for path in listed if guess_tables.may_be_one(path) and path not in beside]
    tables, further = tables[: guess_tables.MOST_TABLES], tables[guess_tables.MOST_TABLES :]
    if public := published.reader_of(folder, listed, tables, known):
        found = {'reader': public, 'manual_dir': str(folder), **published.version_of(listed)}
        return Guess(name, found, [], [], f'This looks like {public}.')
    pictures = [path for path in listed if paths.is_image(path, Images())]
    if not pictures:
        others = guess_files.of_other_suffixes(listed)
        raise FileNotFoundError(
            f'{folder} has no image ({", ".join(Images().suffixes)}){others} and no set that is known.'
        )
    block: dict[str, Any] = {'reader': 'folder', 'path': str(folder)}
    unsure: list[str] = []
    missing: list[str] = []
    on_images = guess_drawn.found_in(folder, listed, unsure)
    used = {*on_images.files, on_images.of_names} if on_images else set()
    tables = [path for path in tables if path not in used]
    further_kinds = guess_drawn.not_chosen(on_images, listed) if on_images else []
    if on_images and further_kinds:
        what = f'{len(further_kinds)} files of annotation of another kind ({some(further_kinds, NAMED)})'
        unsure.append(f'tables: {what} are not used beside {on_images.table.file}.')
    drawings = {*used, *further_kinds}
    left = [path for path in listed if path not in drawings]
    unsure.extend(guess_files.unread(left, {path: suffix for path, suffix in beside.items() if path not in drawings}))
    drawn = companions.masks_among(pictures, f'{companions.OF_MASKS}|{companions.DRAWN}')
    unsure.extend(guess_files.of_flags(folder, beside))
    said: list[str] = []
    exclude, images, every, rest = _read(folder, tables, pictures, drawn, said)
    called = [path for path, mask in drawn.items() if mask.word]
    own = guess_tables.named_among(every, called, images)
    if own:  # what a table names as an image is one, however it is called
        words = {drawn[path].word for path in own}
        drawn = {path: mask for path, mask in drawn.items() if path not in own and mask.word not in words}
        said.clear()
        exclude, images, every, rest = _read(folder, tables, pictures, drawn, said)
    unsure.extend(said)
    known = companions.masks_among(pictures)
    masks, pictures = {path: mask for path, mask in drawn.items() if path in known}, images
    lists = {one.file: one for one in every if _is_list(one)}
    read = [one for one in every if one.file not in lists]
    if read and guess_tables.says_nothing(read[0]) and 2 * read[0].images < len(pictures):
        file = read[0].file
        unsure.append(f'tables: {file} names {read[0].images} of {len(pictures)} images, says nothing of them that is '
                      'known here, and is not used.')  # fmt: skip
        read = read[1:]
    elif read and (of := guess_folders.only_in(read[0], pictures)) and not guess_keyed.leads_to_labels(read[0], rest):
        unsure.append(f'tables: {read[0].file} names images of {of} alone, says no class of them, and is not used.')
        read = read[1:]
    inside = guess_files.folder_of_images(read[0].rows.columns[read[0].column], pictures, unsure) if read else ''
    pictures = [path for path in pictures if path.startswith(inside)]
    files = paths.index(pictures)
    guess_files.of_images(folder, pictures, exclude, block, unsure)
    if inside:
        block['images']['folders'] = (inside.rstrip('/'),)
    named = list(files.paths)
    if read:
        named, whole = _of_tables(read, rest, files, block, unsure)
        every = [whole if one.file == whole.file else one for one in every]
    if not read and (patients := guess_owners.of_patients(rest, pictures, block, unsure)):
        guess_labels.propose(patients, block, unsure)
        _said_of_rows(patients.kinds, block, unsure)
    named_people = guess_people.stated(read[0] if read else None, block)
    people = guess_owners.not_used(rest, pictures, unsure, patients=named_people)
    if further:
        unsure.append(f'tables: {some(further, NAMED)} are not looked at, behind {len(tables)} others.')
    _splits(lists, named, files, block, unsure, read)
    people |= named_people
    in_use = guess_people.in_use(every, block)
    told = guess_folders.Known(people, guess_people.splits_of(files, block, {one.file: one for one in in_use}))
    if on_images:
        guess_drawn.propose(on_images, pictures, read[0].column if read else '', block, unsure)
        guess_drawn.propose_labels(on_images, block, unsure, least=2)
    by_folders = 'labels' not in block and guess_folders.classes_of(files.paths, told, block, unsure)
    if on_images and not by_folders:
        guess_drawn.propose_labels(on_images, block, unsure, least=1)
    if 'labels' not in block:
        what = 'no column of zeros and ones, and none of names, was found' if read else 'no table names the images'
        missing.append(f'labels: {what}, and no folders that could be classes{guess_files.ends_of_names(pictures)}.')
    _masks(pictures, masks, block, unsure)
    guess_people.propose(files, in_use, told, block, unsure)
    return Guess(name, block, unsure, missing, _examined(pictures, masks, read, len(named)))


def _read(
    folder: Path,
    tables: Sequence[str],
    pictures: Sequence[str],
    masks: Mapping[str, companions.Mask],
    unsure: list[str],
) -> tuple[tuple[str, ...], list[str], list[Read], list[Rest]]:
    """What images.exclude is for masks, the pictures that are none, and what the tables say of these."""
    exclude = guess_masks.excluded(pictures, masks, unsure)
    images = [path for path in pictures if path not in masks and paths.is_image(path, Images(exclude=exclude))]
    return exclude, images, *guess_tables.read(folder, tables, paths.index(images), unsure)


def _name(folder: Path) -> str:
    name = re.sub(r'\W+', '_', folder.resolve().name).strip('_').lower() or 'mine'
    return f'set_{name}' if name[0].isdigit() or name in ('folder', 'name', 'order', 'imbalance', 'resample') else name


def _is_list(one: Read) -> bool:
    """Whether a table has nothing but the names of images."""
    return len(one.rows.columns) == 1


def _splits(
    lists: Mapping[str, Read],
    named: Sequence[str],
    files: paths.Files,
    block: dict[str, Any],
    unsure: list[str],
    read: Sequence[Read],
) -> None:
    """Splits that lists of images or folders say, where nothing else does; other lists are named. named: the images
    that are in the tables, or all; read: the tables."""
    split_of = guess_tables.split_of_name
    called = sorted(one.file for one in read if guess_tables.are_declared(one.file, block) and split_of(one.file))
    stated = 'split' in block or any('split' in one for one in guess_tables.declared(block))
    by_split = {split: file for file in reversed(list(lists)) if (split := guess_tables.split_of_name(file))}
    said = len(by_split) > 1
    listed = len(guess_joins.named_by([lists[file] for file in by_split.values()], files)) if said else 0
    if not stated and guess_folders.are_of_splits(named, whole=said or 'tables' in block):
        level = guess_folders.level_of_splits(named)
        block['split'] = {'path': level or 'folder'}
        inner = ', the outer one where a folder of another split is within' if level else ''
        unsure.append(f'split: the folders that are called as splits are{inner}.')
    elif not stated and not said and (words := guess_folders.words_of_splits(named)):
        block['split'] = {'path': words}
        unsure.append('split: the words for splits in the names of folders.')
    elif not stated and said and 2 * listed >= len(named):
        block['split'] = {'lists': by_split}
        lacking = (
            f'; they have {listed} of {len(named)} images, and the others are left out' if listed < len(named) else ''
        )
        unsure.append(f'split: the lists of images, by their names{lacking}.')
    elif not stated and set(by_split) == {'test'} and _are_few_of(lists[by_split['test']], named, files):
        block['split'] = {'lists': by_split, 'others': 'train'}
        of_test = f'{by_split["test"]} lists the images of test'
        unsure.append(f'split: {of_test}; all others are train, and validation is drawn of their patients.')
    elif not stated and len(of_split := sorted({one.file for one in read if split_of(one.file)} - {*called})) > 1:
        what = f'{some(of_split, NAMED)} name images of splits'
        unsure.append(f'split: {what}, and are not read: files of one column each are (split.lists), or a column.')
    elif not stated and len(set(map(split_of, called))) > 1:
        unsure.append(
            f'split: the names of {some(called, NAMED)} speak of splits, and say none of the images that '
            'another table names; patients are drawn for validation (15 %) and test (20 %). A column or lists say it.'
        )
    elif not stated:
        unsure.append('split: nothing says it; patients are drawn for validation (15 %) and test (20 %).')
    used = block.get('split', {}).get('lists', {}).values() if isinstance(block.get('split'), dict) else ()
    unsure.extend(
        f'tables: {file} is a list of {one.images} of {len(files.paths)} images, and is not used.'
        for file, one in lists.items()
        if file not in used
    )


def _are_few_of(one: Read, named: Sequence[str], files: paths.Files) -> bool:
    """Whether a list is of some of the images that are read, and of no others, and called as that of the test."""
    if not OF_TEST.fullmatch(paths.stem(one.file)):
        return False
    listed = {files.paths[place] for place in guess_joins.named_by([one], files)}
    return listed <= {*named} and 2 * len(listed) < len(named)


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
    blocks = [
        {'files': pattern, 'concept': concept or guess_regions.concept_of(block, unsure)} for pattern, concept in found
    ]
    if blocks:
        block['regions'] = blocks if len(blocks) > 1 else blocks[0]


def _of_tables(
    read: Sequence[Read], rest: list[Rest], files: paths.Files, block: dict[str, Any], unsure: list[str]
) -> tuple[list[str], Read]:
    """Tables, labels, patients, splits, groups and boxes of tables that name images; the images that these name, and
    the first table with the columns of those that are joined to it."""
    main, others = read[0], list(read[1:])
    block['tables'] = [dict(one) for one in main.declared]
    block['images']['file'] = f'{{{main.column}}}'
    if main.share < 1:
        unsure.append(f'images: {1 - main.share:.0%} of the images that {main.file} names are not there.')
    if folders := guess_joins.folder_columns(main, files):
        block['images']['file'] = '/'.join(f'{{{name}}}' for name in (*folders, main.column))
        says = f'{" and ".join(map(repr, folders))} {"say" if len(folders) > 1 else "says"}'
        unsure.append(f'images: names are those of several files; {says} in which folder each is.')
    own_folders = guess_joins.under(main, others, files, block, unsure)
    naming = [one for one in read if one not in others]  # what is joined names no more images
    guess_labels.propose(main, block, unsure)
    free = [] if own_folders else others
    kinds, joined = guess_joins.beside(main, free, rest, block, unsure)
    kinds, labels, joined = guess_keyed.by_key(main, joined, kinds, rest, block, unsure)
    if labels:
        guess_labels.propose(labels, block, unsure)
    _said_of_rows(kinds, block, unsure)
    guess_regions.propose(main, free, block, unsure)
    if 'regions' not in block and (called := guess_tables.columns_of_masks(main, files)):
        guess_regions.propose_masks(called, main.kinds, block, unsure)
    if 'labels' not in block and block.get('regions', {}).get('column'):
        block['labels'] = {'regions': True}
        unsure.append('labels: what an image has a region of.')
    guess_joins.second_reader(main, free, block, unsure)
    if block['tables'] == [{'file': main.file}]:
        block['tables'] = main.file
    for other in others:
        if not guess_tables.are_declared(other.file, block):
            unsure.append(
                f'tables: {other.file} names {other.images} of {len(files.paths)} images, too, and is not used.'
            )
            if other.kinds.split.said and 'split' not in block:
                unsure.append(f'{other.kinds.split.said[0]} (Of {other.file}, which has to be joined.)')
    whole = main._replace(rows=joined) if len(naming) == 1 else main  # those under it have nothing joined here
    return guess_joins.named(naming, files, unsure), whole


def _said_of_rows(kinds: Kinds, block: dict[str, Any], unsure: list[str]) -> None:
    """Patients, splits and groups by the columns of tables."""
    if kinds.patient:
        block['patient'] = kinds.patient
        by_row = guess_tables.is_of_images(kinds.patient, block['tables'])
        of_row = 'which tells the rows apart: the images of a row are taken for those of one patient'
        if not any(one.startswith(f'patient: the column {kinds.patient!r}') for one in unsure):
            unsure.append(f'patient: the column {kinds.patient!r}, {of_row if by_row else "by its name"}.')
    if kinds.split.block:
        block['split'] = kinds.split.block
    unsure.extend(kinds.split.said)
    if kinds.groups:
        block['groups'] = kinds.groups
        by = [f'{name} by {rule if isinstance(rule, str) else rule["column"]!r}' for name, rule in kinds.groups.items()]
        unsure.append(f'groups: {", ".join(by)}; results/groups compares them, and no class is made of these columns.')


def _examined(pictures: Sequence[str], masks: Collection[str], read: Sequence[Read], named: int) -> str:
    of_masks = f' and {len(masks)} masks' if masks else ''
    if not read:
        return f'{len(pictures)} images{of_masks}, and no table that names them.'
    count = '' if named == len(pictures) else f'{named} of them '
    return f'{len(pictures)} images{of_masks}, {count}named by {", ".join(one.file for one in read)}.'
