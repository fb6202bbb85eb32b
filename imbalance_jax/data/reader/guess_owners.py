"""Tables whose rows name no image: of patients or studies, by the folders of their images or the names of these."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from imbalance_jax.data.reader.columns import PATIENT, kinds_of
from imbalance_jax.data.reader.guess_tables import Read, Rest
from imbalance_jax.data.reader.layout import SPLIT_NAMES
from imbalance_jax.data.reader.rows import NAMED, Rows
from imbalance_jax.data.reader.spelling import canonical, plain_key, table_of
from imbalance_jax.data.reader.tables import derived
from imbalance_jax.names import some

MOST = 0.9  # share of the images, or of folders, that a table has a row for
LEAST = 3  # keys of a column whose name does not say what it is
DEEPEST = 9  # folders of a path that are looked at
LOOKED_AT = 400  # paths of images that a pattern is tried on before all
WORDS = 4  # words of a name, or of a folder's, that may be the key together
OF_OWNERS = re.compile('patient|subject|person|participant|case|study|exam|accession|uid|mrn|(^|[ _-])id[0-9]*$', re.I)
OF_CLASSES = re.compile('label|class|categor|synset|concept', re.I)
WORD = re.compile('[a-z0-9]+')


class Way(NamedTuple):
    """How paths of images have the key of a table's rows. column: the key; pattern: of paths, whose group has it."""

    column: str
    pattern: str
    keys: list[str]


def of_patients(rest: list[Rest], pictures: Sequence[str], block: dict[str, Any], unsure: list[str]) -> Read | None:
    """Joins the files to a table that has a row for each patient or study, by their folders or names, if there is one
    that says something of them; it leaves `rest`."""
    for one in rest:
        rows, derive = one.rows, {}
        way = _way(rows, pictures)
        if not way and (parts := _parts_of_paths(rows)):
            way = _way(derived(rows, parts), pictures, parts)
            derive = {way.column: parts[way.column]} if way else {}
            rows = derived(rows, derive)
        kinds = kinds_of(rows, way.column) if way else None
        says = kinds and (kinds.labels or kinds.names or kinds.groups or kinds.split.block or kinds.others)
        if not way or not kinds or not says:
            continue
        block['images']['derive'] = {way.column: ('path', way.pattern, '\\1')}
        declared = {**one.declared, 'derive': derive} if derive else one.declared
        block['tables'] = [{**declared, 'on': [way.column]}]
        where = 'folders' if way.pattern.endswith('/') else 'names of files'
        unsure.append(
            f'tables: {one.file} has a row for each of {some(way.keys, 3)}, which the {where} have: the files are '
            f'joined to it by {way.column!r}, and have what it says.'
        )
        rest.remove(one)
        kinds = kinds._replace(patient=kinds.patient or way.column)
        return Read(one.file, rows, way.column, 1.0, 0, kinds, [declared])
    return None


def _parts_of_paths(rows: Rows) -> dict[str, tuple[str, str, str]]:
    """New columns of the folders in a table's columns of paths, as `Table.derive` has them."""
    paths_in = [name for name, cells in rows.columns.items() if len(cells) and all('/' in str(one) for one in cells)]
    return {
        f'folder {back} of {name}': (name, f'([^/]+){"/[^/]+" * back}$', '\\1')
        for name in paths_in
        for back in (1, 2, 3)
    }


def _way(rows: Rows, pictures: Sequence[str], able: Collection[str] = ()) -> Way | None:
    """The column that tells all rows apart and is a part of the paths of nearly all images, always the same one. able:
    the columns that it may be, all without."""
    different = list(dict.fromkeys(tuple(map(str, row)) for row in zip(*rows.columns.values(), strict=True)))
    for at, name in enumerate(rows.columns):
        if able and name not in able:
            continue
        known = [plain_key(row[at]) for row in different if plain_key(row[at])]
        person = any(pattern.match(name.strip()) for pattern in PATIENT)
        if OF_CLASSES.search(name) or len(set(known)) < len(different) or not known:
            continue
        owned = person or bool(OF_OWNERS.search(name.strip()))
        some_of_them = pictures[:: max(len(pictures) // LOOKED_AT, 1)]
        for pattern in _parts(known, person=person, owned=owned):
            if len(_met(pattern, some_of_them, known)) < MOST * len(some_of_them):
                continue
            met = _met(pattern, pictures, known)
            if len(met) >= MOST * len(pictures) and len(set(met)) >= (2 if owned else LEAST):
                return Way(name, pattern, sorted(set(met)))
    return None


def _met(pattern: str, pictures: Sequence[str], known: Collection[str]) -> list[str]:
    """The keys that paths have there, of those that are known."""
    compiled, known = re.compile(pattern), frozenset(known)
    found = (match[1] for path in pictures if (match := compiled.search(path)))
    return [key for text in found if (key := plain_key(text)) in known]


def _parts(keys: Sequence[str], *, person: bool, owned: bool) -> Iterator[str]:
    """Patterns of the parts of a path that may be a key: a folder, the words or the number of one, those of the file.
    person: whether the column is called as people are, whose numbers may be parts of words; owned: or as studies are,
    whose names may begin or end those of files."""
    numbers = all(key.isdigit() for key in keys)
    for at in range(DEEPEST):
        yield f'^(?:[^/]+/){{{at}}}([^/]+)/' if at else '^([^/]+)/'
    for at in range(DEEPEST if person else 0):
        before = f'^(?:[^/]+/){{{at}}}' if at else '^'
        if numbers:
            yield f'{before}[^/0-9]*([0-9]+)[^/0-9]*/'
            yield f'{before}[^/0-9]*0*([1-9][0-9]*)[^/0-9]*/'
        else:
            yield from (f'{before}({words})[ _-][^/]*/' for words in _words())
    for words in _words() if person or (owned and not numbers) else ():
        yield f'(?:^|/)({words})[ _-][^/]*$'
        yield f'[/ _-]({words})[.][^./]+$'
    if person and numbers:
        yield '(?:^|/)[A-Za-z]+[ _-]?([0-9]+)[ _-][^/]*$'
        yield '(?:^|/)[A-Za-z]+[ _-]?0*([1-9][0-9]*)[ _-][^/]*$'


def _words() -> Iterator[str]:
    return ('[ _-]'.join(['[^/ _-]+'] * number) for number in range(1, WORDS + 1))


def not_used(
    rest: Sequence[Rest], pictures: Sequence[str], unsure: list[str], *, patients: Collection[str] = ()
) -> set[str]:
    """Names the tables whose rows name no image, and returns the folders that such a table has a row of. patients: that
    a column of another table names."""
    people: set[str] = set()
    silent: dict[str, list[str]] = {}
    for one in rest:
        column, folders = _of_folders(one.rows, pictures)
        if not column:
            listed = _lists(one.rows, patients)
            why = 'patients are listed, which no layout reads; a column of splits says the same' if listed else one.why
            silent.setdefault(why, []).append(one.file)
            continue
        people |= folders
        unsure.append(
            f'tables: {one.file} is not used: {one.why}. Its column {column!r} has what the folders '
            f'{some(sorted(folders), 3)} are called by, whose images are taken for those of one patient each.'
        )
    for why, alike in silent.items():
        unsure.append(f'tables: {some(alike, NAMED)} {"are" if len(alike) > 1 else "is"} not used: {why}.')
    return people


def _lists(rows: Rows, patients: Collection[str]) -> bool:
    """Whether a table is one column of these patients, with or without a name of its own, or one for each split."""
    splits = table_of(SPLIT_NAMES)
    if len(rows.columns) != 1 and not all(canonical(name) in splits for name in rows.columns):
        return False
    said = {str(cell).strip() for cells in rows.columns.values() for cell in cells} - {''}
    said |= {*rows.columns} & {*patients}  # a patient in the place of a name
    return bool(said) and len(said & {*patients}) >= MOST * len(said)


def _of_folders(rows: Rows, pictures: Sequence[str]) -> tuple[str, set[str]]:
    """The column that says whom or which study a row is of, and the folders that are called so, or have it in their
    names; '' without any."""
    levels = [
        {parts[at] for parts in (path.split('/')[:-1] for path in pictures) if len(parts) > at} for at in range(DEEPEST)
    ]
    for name, values in rows.columns.items():
        texts = {plain_key(text).lower() for text in values} - {''}
        called_so = bool(OF_OWNERS.search(name.strip()))
        if OF_CLASSES.search(name) or not (called_so or len(texts) == len(values) >= LEAST):
            continue
        sure = any(pattern.match(name.strip()) for pattern in PATIENT)
        for level in levels:
            called = {one for one in level if one.lower() in texts}
            if sure and not called:
                called = {one for one in level if texts & _parts_of(one.lower())}
            enough = MOST * len(level) if called_so else max(len(level), LEAST)
            if len(level) > 1 and len(called) >= enough:
                return name, called
    return '', set()


def _parts_of(folder: str) -> set[str]:
    """The words of a folder's name, and what it begins with up to the end of each."""
    return {folder[: word.end()] for word in WORD.finditer(folder)} | set(WORD.findall(folder))
