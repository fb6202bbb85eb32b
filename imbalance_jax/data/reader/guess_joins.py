"""How tables beside the one that names the images go with it: put under it, joined to it, or named as not used."""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imbalance_jax.data.reader import paths
from imbalance_jax.data.reader.columns import Kinds
from imbalance_jax.data.reader.guess_keyed import has_key_of_others, news
from imbalance_jax.data.reader.guess_tables import OLD, Read, Rest, declared
from imbalance_jax.data.reader.layout import FALSE, NOTHING, TRUE, UNSURE
from imbalance_jax.data.reader.rows import NAMED, Rows, join
from imbalance_jax.data.reader.spelling import canonical, first_group
from imbalance_jax.data.reader.split_columns import split_of_name
from imbalance_jax.data.reader.tables import derived
from imbalance_jax.names import some

OWN_FILE = 'file of the row'  # the column of paths of images whose names are those of images in other folders, too
STEM = 'name of the image'  # the column of names without folders and suffixes
OF_STEM = r'(?i)([^/\\]+?)(?:[.](?:png|jpe?g|tiff?|bmp|gif|webp|dcm|dicom|npy))?$'
OF_NAMES = 0.7  # share of the images that a table names which is joined
MOST_TRIED = 50  # choices of columns for the levels of folders
MOST = 0.9  # share of keys that must be there


def folder_columns(main: Read, files: paths.Files) -> tuple[str, ...]:
    """The columns that say in which folder each image of a table is, the outer one first, where their names are those
    of several files; () without such."""
    names = list(map(str, main.rows.columns[main.column]))
    found = [paths.find(files, name)[0] for name in names]
    if 2 * sum(len(places) > 1 for places in found) <= len(names):
        return ()
    texts = {name: list(map(str, values)) for name, values in main.rows.columns.items() if name != main.column}
    for columns in _columns_of_levels(texts, files.paths):
        whole = {'/'.join(parts) for parts in zip(*(texts[name] for name in columns), names, strict=True)}
        if len(whole) < len(names):
            continue
        at = (paths.find(files, one) for one in whole)
        if all(len(places) == 1 and parts > len(columns) for places, parts in at):
            return columns
    return ()


def _columns_of_levels(texts: Mapping[str, Sequence[str]], paths_of: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Each column, whose texts may be several folders, and columns whose texts are all folders of the level above the
    images, of the two levels above, and so on. texts: of each column."""
    yield from ((name,) for name in texts)
    folders = [path.split('/')[-2::-1] for path in paths_of]
    able: list[list[str]] = []
    for up in range(max(map(len, folders), default=0)):
        level = {parts[up] for parts in folders if len(parts) > up}
        able.insert(0, [name for name, values in texts.items() if {*values} <= level])
        chosen = (one for one in itertools.product(*able) if len({*one}) == len(one))
        yield from itertools.islice(chosen, MOST_TRIED)


def under(main: Read, others: list[Read], files: paths.Files, block: dict[str, Any], unsure: list[str]) -> bool:
    """Puts tables of other splits under the main one; those that go there leave `others`. Whether names of images are
    those of several files, of which each table means the ones in a folder of its own."""
    split = split_of_name(main.file)
    alike = []
    for other in others:
        meant = split_of_name(other.file)
        if bool(split) != bool(meant) or len(main.declared) > 1 or set(other.rows.columns) != set(main.rows.columns):
            continue
        if not split and not _is_of_others(main, other, files):
            continue
        if why := _says_other(main, other):
            unsure.append(f'tables: {other.file} is not put under {main.file}: {why}.')
            continue
        alike.append(other)
    group = [main, *alike]
    if not alike:
        return False
    names = [{str(text) for text in one.rows.columns[one.column]} for one in group]
    own: list[str] = []
    if shared := [name for name, number in Counter(name for one in names for name in one).items() if number > 1]:
        own = [_folder_of(one, files) for one in group]
        if '' in own or len(set(own)) < len(own):
            unsure.append(
                f'tables: {some([one.file for one in alike], NAMED)} and {main.file} name images alike, such as '
                f'{shared[0]!r}, and no folder is that of one of them: {main.file} alone is used.'
            )
            return False
        block['images'] |= {'file': f'{{{OWN_FILE}}}', 'parts': 2}
        unsure.append(
            f'images: {len(shared)} names are those of images of several tables; each table means those in its own '
            f'folder: {some([f"{folder} of {one.file}" for folder, one in zip(own, group, strict=True)], NAMED)}.'
        )
    if split:
        block['tables'] = [{**one.declared[0], 'split': split_of_name(one.file)} for one in group]
    else:
        block['tables'] = [{**one.declared[0], 'name': 'rows'} for one in group]
        unsure.append(
            f'tables: {some([one.file for one in alike], NAMED)} {"have" if len(alike) > 1 else "has"} the columns of '
            f'{main.file} and other images, and {"are" if len(alike) > 1 else "is"} put under it.'
        )
    for table, one, folder in zip(block['tables'], group, own, strict=False):
        escaped = folder.replace('\\', r'\\')
        table['derive'] = {OWN_FILE: (one.column, '^(.+)$', f'{escaped}/\\1')}
    others[:] = [one for one in others if one not in alike]
    return bool(own)


def own_folder(block: Mapping[str, Any], file: str) -> str:
    """The folder, 'a/', that a table of a proposed layout means all its images to lie in; '' of any other."""
    tables = declared(block)
    derived = [one['derive'][OWN_FILE] for one in tables if one['file'] == file and OWN_FILE in one.get('derive', {})]
    return derived[0][2].removesuffix(r'\1').replace(r'\\', '\\') if derived else ''


def _is_of_others(main: Read, other: Read, files: paths.Files) -> bool:
    """Whether a table is no copy of the main one, and of other images: of other names, or of such in another folder."""
    if OLD.search(main.file) or OLD.search(other.file):
        return False
    if not set(map(str, main.rows.columns[main.column])) & set(map(str, other.rows.columns[other.column])):
        return True
    folders = _folder_of(main, files), _folder_of(other, files)
    return all(folders) and folders[0] != folders[1]


def _says_other(main: Read, other: Read) -> str:
    """How the labels of a table are others than those of the main one, '' if they are not."""
    known = {canonical(text) for text in (*TRUE, *FALSE, *UNSURE, *NOTHING)}
    for name in main.kinds.labels:
        if unknown := [text for text in map(str, other.rows.columns[name]) if canonical(text) not in known]:
            return f'{name!r} has {unknown[0]!r}, and zeros and ones there'
    if main.kinds.names:
        said, own = (set(map(str, one.rows.columns[main.kinds.names])) - {''} for one in (other, main))
        if said and not {canonical(text) for text in said} & {canonical(text) for text in own}:
            words = ', '.join(sorted(said)[:3])
            return f'{main.kinds.names!r} has {words}, and {", ".join(sorted(own)[:3])} there'
    return ''


def _folder_of(one: Read, files: paths.Files) -> str:
    """The folder that has all images of a table, of several the one that lies nearest to it; '' without any."""
    names = list(dict.fromkeys(str(text) for text in one.rows.columns[one.column] if str(text).strip()))
    counted = Counter(
        folder
        for text in names
        for folder in {files.paths[place].rpartition('/')[0] for place in paths.find(files, text)[0]}
    )
    most = max(counted.values(), default=0)
    able = [folder for folder, count in counted.items() if folder and count == most >= MOST * len(names)]
    split, beside = split_of_name(one.file), one.file.split('/')[:-1]

    def nearness(folder: str) -> tuple[bool, int]:
        parts = folder.split('/')
        said = {split_of_name(f'{part}.') for part in parts}
        shared = next((k for k, (a, b) in enumerate(zip(parts, beside, strict=False)) if a != b), len(beside))
        return split in said, min(shared, len(parts))

    ranked = sorted(able, key=nearness, reverse=True)
    tied = len(ranked) > 1 and nearness(ranked[0]) == nearness(ranked[1])
    return ranked[0] if ranked and not tied else ''


def beside(
    main: Read, others: list[Read], rest: Sequence[Rest], block: dict[str, Any], unsure: list[str]
) -> tuple[Kinds, Rows]:
    """What the main table's columns are, and of a table beside it that says of its images what it does not, or has the
    key of one of the rest; and its rows with what was joined."""
    joined = main.rows
    kinds, names = main.kinds, {str(text) for text in main.rows.columns[main.column]}
    for other in list(others):
        texts = [str(text) for text in other.rows.columns[other.column]]
        new, stems = news(other.kinds, kinds), dict.fromkeys(map(_stem, names))
        if len(other.declared) > 1 or len(set(texts)) < len(texts):
            continue
        if not new and not has_key_of_others(other, joined, rest):
            continue
        if len(names & set(texts)) >= OF_NAMES * len(names):
            same = main.column == other.column
            on, declared = [main.column if same else f'{main.column}={other.column}'], other.declared[0]
        elif len(main.declared) == 1 and _are_stems_of(texts, stems, len(names)):
            for table in (one for one in block['tables'] if 'on' not in one):
                table.setdefault('derive', {})[STEM] = (main.column, OF_STEM, '\\1')
            on, declared = [STEM], {**other.declared[0], 'derive': {STEM: (other.column, OF_STEM, '\\1')}}
        else:
            continue
        block['tables'].append({**declared, 'on': on})
        lacking = len({*map(_stem, names)} - {*map(_stem, texts)})
        rows = f', and has no row for {lacking} of {len(names)} images' if lacking else ''
        says = ', '.join(new) or 'what others are joined by'
        unsure.append(f'tables: {other.file} is joined by the name of the image; it says {says}{rows}.')
        others.remove(other)
        kinds = kinds._replace(**new)
        if STEM in on:
            joined = derived(joined, {STEM: (main.column, OF_STEM, '\\1')})
        joined, _ = join(joined, derived(other.rows, declared.get('derive', {})), on)
    return kinds, joined


def _stem(name: str) -> str:
    return first_group(OF_STEM, name)


def _are_stems_of(texts: Sequence[str], stems: Collection[str], count: int) -> bool:
    """Whether names are those of nearly all images but for folders and suffixes, which tell none apart."""
    own = {_stem(text) for text in texts}
    return len(stems) == count and len(own) == len(texts) and len(own & {*stems}) >= MOST * count


def second_reader(main: Read, others: Sequence[Read], block: dict[str, Any], unsure: list[str]) -> None:
    """Other COCO files of the same images are other readers' regions."""
    names = set(map(str, main.rows.columns[main.column]))
    again = [one for one in others if one.kinds.segmentation and names & set(map(str, one.rows.columns[one.column]))]
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


def named(read: Collection[Read], files: paths.Files, unsure: list[str]) -> list[str]:
    """The images that the tables name which are used; says which they do not."""
    places = named_by(read, files)
    lacking = [path for place, path in enumerate(files.paths) if place not in places]
    if lacking:
        whose = some([one.file for one in read], NAMED)
        unsure.append(
            f'tables: {whose} name{"s" * (len(read) == 1)} {len(places)} of {len(files.paths)} images; the others are '
            f'left out: {some(lacking, NAMED)}.'
        )
    return [files.paths[place] for place in sorted(places)]


def named_by(read: Iterable[Read], files: paths.Files) -> set[int]:
    """The positions of the files that tables name."""
    texts = (text for one in read for text in dict.fromkeys(map(str, one.rows.columns[one.column])))
    return {place for text in texts for place in paths.find(files, text)[0]}
