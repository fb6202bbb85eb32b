"""Whose images those of a folder are, so that nobody is in two splits, and which split each is in."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from imbalance_jax.data.reader import guess_files, guess_folders, guess_joins, paths
from imbalance_jax.data.reader.guess_tables import Read, are_declared, declared
from imbalance_jax.data.reader.layout import SPLIT_NAMES
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.data.reader.spelling import canonical, fields_of, first_group, table_of
from imbalance_jax.names import some

CODED = re.compile('[A-Za-z]{0,8}[ _-]?[0-9A-Fa-f][0-9A-Fa-f_-]*')  # a number, a code with one, or a hash
MEASURES = re.compile(
    'frame|slice|width|height|size|length|count|number[ _-]?of|'
    '(?<![a-z])(age|year|month|day|date|time|score|x|y)(?![a-z])',
    re.I,
)
SHORTEST, FEWEST, MOST_OF_ONE = 2, 3, 20  # signs of a name or a value; values; images of each, on the average


def in_use(read: Sequence[Read], block: Mapping[str, Any]) -> list[Read]:
    """The tables that a proposed layout reads, and the lists of its splits."""
    split = block.get('split')
    lists = {*split.get('lists', {}).values()} if isinstance(split, Mapping) else set()
    return [one for one in read if one.file in lists or are_declared(one.file, block)]


def splits_of(files: paths.Files, block: Mapping[str, Any], read: Mapping[str, Read]) -> list[str]:
    """The split that a proposed layout states for each file, '' for none. read: {file: the table}."""
    known, split = table_of(SPLIT_NAMES), block.get('split')
    found = [''] * len(files.paths)
    if split == {'path': 'folder'}:
        for number, path in enumerate(files.paths):
            said = [known[canonical(part)] for part in path.split('/')[:-1] if canonical(part) in known]
            found[number] = said[-1] if said else ''
    elif isinstance(split, Mapping) and 'path' in split:
        found = [known.get(canonical(first_group(split['path'], path)), '') for path in files.paths]
    stated = {table['file']: table['split'] for table in declared(block) if 'split' in table}
    if isinstance(split, Mapping):
        stated |= {file: meant for meant, file in split.get('lists', {}).items()}
    column = split.get('column', '') if isinstance(split, Mapping) else split
    words = table_of(split['values']) if isinstance(split, Mapping) and 'values' in split else known
    for file, one in read.items():
        texts = one.rows.columns.get(column) if column else None
        if texts is None and file not in stated:
            continue
        own = guess_joins.own_folder(block, file)
        for row, name in enumerate(map(str, one.rows.columns[one.column])):
            meant = stated.get(file) or words.get(canonical(str(texts[row])), '') if texts is not None else stated[file]
            places = paths.find(files, own + name)[0]
            for place in places if len(places) == 1 else ():
                found[place] = meant
    return found


def propose(
    files: paths.Files, read: Sequence[Read], known: guess_folders.Known, block: dict[str, Any], unsure: list[str]
) -> None:
    """Whose images these are by the names of files and folders, where no table says it; nobody in two splits."""
    pictures = files.paths
    if 'patient' not in block:
        if pattern := guess_files.people_of_sides(pictures):
            block['patient'] = {'pattern': pattern}
            unsure.append('patient: the names of files without left and right, of which many have both.')
        elif pattern := guess_files.people_of_words(pictures):
            block['patient'] = {'pattern': pattern}
            first = first_group(pattern, pictures[0])
            unsure.append(f'patient: the names of files have a word for people and a number, such as {first!r}.')
        elif people := guess_folders.people_of(pictures, known):
            pattern, names = people
            block['patient'] = {'pattern': pattern}
            unsure.append(f'patient: the {len(names)} folders {some(names, NAMED)}, by their names.')
        else:
            unsure.append('patient: nothing says whose images these are; every image counts as a patient of its own.')
            unsure.extend(_may_be_people(read, block))
            return
    who = _who(files, read, block)
    named = guess_joins.named_by(read, files)
    blank = [place for place in named if not who[place]]
    if isinstance(block['patient'], str) and 0 < len(blank) < len(named):
        block['patient'] = {'column': block['patient'], 'unknown': 'own'}
        unsure.append(f'patient: nothing says whose {len(blank)} of {len(named)} images are: each counts for itself.')
    of: dict[str, set[str]] = {}
    for one, split in zip(who, known.splits, strict=True):
        of.setdefault(one, set()).update({split} - {''})
    apart = [one for one, splits in of.items() if one and len(splits) > 1]
    if apart:
        patient = block.pop('patient')
        patient = patient.get('column', patient) if isinstance(patient, dict) else patient
        unsure.append(
            f'patient: {patient!r} is not proposed, as {len(apart)} of {len(of)} would be in two splits: '
            f'{some(apart, NAMED)}. Every image counts as a patient of its own; if these are people, the splits share '
            'them, and have to be drawn.'
        )


def _may_be_people(read: Sequence[Read], block: Mapping[str, Any]) -> list[str]:
    """A sentence about columns that have a number or a code for some images together, and nothing else reads."""
    used, found = _columns_in(block), []
    for one in read:
        for name, values in one.rows.columns.items():
            said = {str(value).strip() for value in values} - {''}
            coded = all(CODED.fullmatch(text) for text in said) and max(map(len, said), default=0) >= SHORTEST
            shared = FEWEST < len(said) < one.images and MOST_OF_ONE * len(said) >= one.images
            measured = len(name.strip()) < SHORTEST or MEASURES.search(name) or name in one.kinds.box
            if name != one.column and coded and shared and not measured and name not in used:
                found.append(f'{name!r} of {one.file} has {len(said)} values for {one.images} images')
    return [f'patient: {some(found, NAMED)}; if they are people, patient is that column.'] if found else []


def _columns_in(value: Any) -> set[str]:
    """Names of columns that a proposed layout has anywhere, among its other texts."""
    if isinstance(value, str):
        return {value, *value.split('='), *fields_of(value)}
    if isinstance(value, Mapping):
        return {*map(str, value)}.union(*map(_columns_in, value.values()))
    return set().union(*map(_columns_in, value)) if isinstance(value, (tuple, list)) else set()


def stated(main: Read | None, block: Mapping[str, Any]) -> set[str]:
    """The people that a column of the main table names, where a proposed layout has one of patients."""
    patient = block.get('patient')
    if main is None or not isinstance(patient, str) or patient not in main.rows.columns:
        return set()
    return {str(one).strip() for one in main.rows.columns[patient]}


def _who(files: paths.Files, read: Sequence[Read], block: Mapping[str, Any]) -> list[str]:
    """Whose each file is by a pattern of its path or a column of the tables, '' where that is not known."""
    patient = block['patient']
    if not isinstance(patient, str):
        return [first_group(patient['pattern'], path) for path in files.paths]
    found = [''] * len(files.paths)
    for table in (one for one in read if patient in one.rows.columns):
        own = guess_joins.own_folder(block, table.file)
        for name, one in zip(table.rows.columns[table.column], table.rows.columns[patient], strict=True):
            places = paths.find(files, f'{own}{name}')[0]
            for place in places if len(places) == 1 else ():
                found[place] = str(one)
    return found
