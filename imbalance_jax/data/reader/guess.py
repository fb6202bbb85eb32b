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
    guess_splits,
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
    on_images, damaged = guess_drawn.found_in(folder, listed, unsure)
    used = {*on_images.files, on_images.of_names} if on_images else set()
    tables = [path for path in tables if path not in used]
    further_kinds = guess_drawn.not_chosen(on_images, listed) if on_images else []
    if on_images and further_kinds:
        what = f'{len(further_kinds)} files of annotation of another kind ({some(further_kinds, NAMED)})'
        unsure.append(f'tables: {what} are not used beside {on_images.table.file}.')
    drawings = {*used, *further_kinds, *damaged}
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
    masks = {path: mask for path, mask in drawn.items() if path in known}
    aside = paths.index(sorted({*pictures} - {*images}))
    pictures = images
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
        named, whole = _of_tables(read, rest, files, aside, block, unsure)
        every = [whole if one.file == whole.file else one for one in every]
    if not read and (patients := guess_owners.of_patients(rest, pictures, block, unsure)):
        guess_labels.propose(patients, block, unsure)
        _said_of_rows(patients.kinds, block, unsure)
    named_people = guess_people.stated(read[0] if read else None, block)
    people = guess_owners.not_used(rest, pictures, unsure, patients=named_people)
    if further:
        unsure.append(f'tables: {some(further, NAMED)} are not looked at, behind {len(tables)} others.')
    guess_splits.propose(lists, named, files, block, unsure, read)
    guess_splits.not_used(read[1:], files, block, unsure)
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
    read: Sequence[Read],
    rest: list[Rest],
    files: paths.Files,
    aside: paths.Files,
    block: dict[str, Any],
    unsure: list[str],
) -> tuple[list[str], Read]:
    """Tables, labels, patients, splits, groups and boxes of tables that name images; the images that these name, and
    the first table with the columns of those that are joined to it. aside: masks, which are none of the images."""
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
    if 'regions' not in block and (called := guess_tables.columns_of_masks(main, files, aside)):
        guess_regions.propose_masks(called, main.kinds, block, unsure)
    if 'labels' not in block and block.get('regions', {}).get('column'):
        block['labels'] = {'regions': True}
        unsure.append('labels: what an image has a region of.')
    guess_joins.second_reader(main, free, block, unsure)
    if block['tables'] == [{'file': main.file}]:
        block['tables'] = main.file
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
