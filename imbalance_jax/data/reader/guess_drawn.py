"""Which files of a folder are drawn on an image each (`drawn_files`), and what is proposed of them."""

import contextlib
import glob
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imbalance_jax.data.reader import drawn_files, paths
from imbalance_jax.data.reader.layout import Images, Table
from imbalance_jax.data.reader.rows import NAMED, STEM, Found, Rows
from imbalance_jax.data.reader.tables import read_table
from imbalance_jax.data.reader.text_files import content, lines_of
from imbalance_jax.names import repeated, some

KINDS = {'xml': 'voc', 'txt': 'yolo', 'json': 'labelme'}  # by suffix
CALLED = {'voc': 'Pascal VOC', 'yolo': 'YOLO', 'labelme': 'LabelMe'}
LEAST = 3  # such files
NAME = 'drawn'  # of their table
KEYPOINTS = 'kpt_shape'  # of YAML: files have the points of a pose, which look like a polygon's
KEY = 'key'  # the column that tells which image a file is of, where names of files alone do not
OF_NAMES = ('classes.txt', 'obj.names')  # files with a name of a class in each line, in order


class Drawn(NamedTuple):
    """files: that are of an image each; table: that they are together; rows: of it; names: of classes by number, and
    of which file, '' where none says them."""

    files: list[str]
    table: Table
    rows: Rows
    names: tuple[str, ...]
    of_names: str


def found_in(folder: Path, listed: Sequence[str], unsure: list[str]) -> tuple[Drawn | None, list[str]]:
    """The files that are drawn on an image each, of the kind with the most; None without any, and where one of them
    cannot be read, which is said; and the files of which this is said."""
    damaged: list[str] = []
    for suffix, files in sorted(_called_as_images(listed).items(), key=lambda one: len(one[1]), reverse=True):
        table = Table(_pattern(files), name=NAME, kind=KINDS[suffix])
        try:
            rows = read_table(folder, table, Found())
        except (ValueError, OSError) as error:
            if suffix == 'xml' or _is_one(folder, files[: 2 * LEAST], table):
                reason = str(error).rstrip('.')
                what = f'{len(files)} .{suffix} files are left out, as one cannot be read: {reason}'
                unsure.append(f'tables: {what}. The others are read once it is mended, or gone.')
                damaged += files
            continue
        if any(rows.columns[drawn_files.OF_CLASS]):
            named = _names(folder, listed, unsure) if table.kind == 'yolo' else ((), '')
            return Drawn(files, table, rows, *named), damaged
    return None, damaged


def _is_one(folder: Path, files: Sequence[str], table: Table) -> bool:
    """Whether one of the files alone is read as one of that kind, with a region."""
    for path in files:
        with contextlib.suppress(ValueError, OSError):
            if any(drawn_files.KINDS[table.kind](folder / path, table, Found())):
                return True
    return False


def not_chosen(drawn: Drawn, listed: Sequence[str]) -> list[str]:
    """Files that are called as an image each, several of a kind, of another kind than those that were chosen."""
    of_kinds = _called_as_images(listed).items()
    return [path for suffix, files in of_kinds if KINDS[suffix] != drawn.table.kind for path in files]


def _called_as_images(listed: Sequence[str]) -> dict[str, list[str]]:
    """{suffix: files that are called as an image each} of those of `KINDS` with several such files."""
    stems = {drawn_files.image_stem(path).lower() for path in listed if paths.is_image(path, Images())}
    found: dict[str, list[str]] = {}
    for path in listed:
        suffix = path.rpartition('.')[2].lower()
        if suffix in KINDS and drawn_files.image_stem(path).lower() in stems:
            found.setdefault(suffix, []).append(path)
    return {suffix: files for suffix, files in found.items() if len(files) >= LEAST}


def _pattern(files: Sequence[str]) -> str:
    """The pattern of files of one suffix, with a star for what differs in their folders."""
    folders = {tuple(path.split('/')[:-1]) for path in files}
    suffix = files[0].rpartition('.')[2]
    if len({len(one) for one in folders}) > 1:
        return f'**/*.{suffix}'
    same = [set(parts) for parts in zip(*folders, strict=True)]
    return '/'.join([*(glob.escape(min(one)) if len(one) == 1 else '*' for one in same), f'*.{suffix}'])


def _names(folder: Path, listed: Sequence[str], unsure: list[str]) -> tuple[tuple[str, ...], str]:
    """Names of YOLO's classes, and the file that has them: YAML with `names`, or a name in each line."""
    import yaml

    for path in sorted(listed, key=lambda one: one.count('/')):
        name = path.rsplit('/', 1)[-1].lower()
        if name in OF_NAMES:
            found = Found()
            lines = lines_of(content(folder / path, found=found))
            unsure.extend(found.notes)
            return tuple(line.strip() for line in lines if line.strip()), path
        if name.endswith(('.yaml', '.yml')):
            try:
                data = yaml.BaseLoader((folder / path).read_bytes()).get_single_data()  # texts: `no` is no False
            except (yaml.YAMLError, OSError):
                continue
            names = data.get('names') if isinstance(data, Mapping) else None
            if isinstance(data, Mapping) and data.get('kpt_shape'):
                return (), KEYPOINTS
            if isinstance(names, Mapping) and set(names) == {str(number) for number in range(len(names))}:
                names = [names[str(number)] for number in range(len(names))]
            if isinstance(names, list) and names:
                if twice := repeated(map(str, names)):
                    unsure.append(f'regions: {path} calls several classes {some(twice, NAMED)}; they become one.')
                return tuple(map(str, names)), path
    return (), ''


def propose(drawn: Drawn, pictures: Sequence[str], column: str, block: dict[str, Any], unsure: list[str]) -> None:
    """Regions of such files, where no table has some. column: that names images, '' where files themselves are the
    rows."""
    kind, rows = drawn.table.kind, drawn.rows
    what = f'{len(drawn.files)} files of {CALLED[kind]}, {drawn.table.file}'
    if drawn.of_names == KEYPOINTS:
        unsure.append(f'regions: the {what} have key points behind their boxes (kpt_shape), which are not read.')
        return
    if 'regions' in block:
        unsure.append(f'regions: those of the tables are proposed, and none of the {what}.')
        return
    table: dict[str, Any] = {'file': drawn.table.file, 'kind': kind, 'name': NAME}
    key = _key(drawn.files, pictures)
    if not key and not column:
        unsure.append(f'regions: names of the {what}, do not tell which images they are of; none is proposed.')
        return
    on = f'{column}={STEM}' if column else STEM
    if key and key != STEM and not column:
        on, derivation = KEY, ('path', key, r'\1\2')
        table['derive'] = {KEY: derivation}
        block['images']['derive'] = {**block['images'].get('derive', {}), KEY: derivation}
    tables = block.get('tables', [])
    block['tables'] = [*([{'file': tables}] if isinstance(tables, str) else tables), table]
    regions: dict[str, Any] = {'table': NAME, 'on': [on], 'column': drawn_files.OF_CLASS}
    regions |= {'box': drawn_files.BOX[kind], 'form': 'cxcywh' if kind == 'yolo' else 'xyxy'}
    if kind == 'yolo':
        regions['unit'] = 'fraction'
    if any(map(bool, rows.columns.get(drawn_files.SHAPE, ()))):
        regions |= {'code': drawn_files.SHAPE, 'kind': 'polygon'}
    regions |= _of_classes(drawn, unsure)
    block['regions'] = regions
    unsure.append(f'regions: the {what}; an image without one has none.')


def propose_labels(drawn: Drawn, block: dict[str, Any], unsure: list[str], *, least: int) -> None:
    """Labels by what the regions are of, where nothing else says them and there are so many classes."""
    said = {*map(str, drawn.rows.columns[drawn_files.OF_CLASS])} - {''}
    if 'labels' not in block and block.get('regions', {}).get('table') == NAME and len(said) >= least:
        named = tuple(block['regions'].get('aliases', ()))
        block['labels'] = {'regions': True} | ({'classes': named} if named else {})
        unsure.append('labels: what an image has a region of.')


def _of_classes(drawn: Drawn, unsure: list[str]) -> dict[str, Any]:
    """The names of classes, which of YOLO are numbers in the files."""
    said = sorted({str(text) for text in drawn.rows.columns[drawn_files.OF_CLASS]} - {''})
    if drawn.table.kind != 'yolo':
        return {'others': 'add'}
    if drawn.names and all(int(text) < len(drawn.names) for text in said):
        unsure.append(f'regions: names of classes are those of {drawn.of_names}, in its order.')
        numbers: dict[str, tuple[str, ...]] = {}
        for number, name in enumerate(drawn.names):
            if str(number) in said:
                numbers[name] = (*numbers.get(name, ()), str(number))
        return {'aliases': numbers}
    lacking = f'{drawn.of_names} names {len(drawn.names)}' if drawn.names else 'no data.yaml or classes.txt names them'
    unsure.append(f'regions: classes are the numbers {some(said, NAMED)}: {lacking} (regions.aliases).')
    return {'others': 'add'}


def _key(files: Sequence[str], pictures: Sequence[str]) -> str:
    """What tells which image each file is of: `STEM`; or the expression of a path without its suffix and one of its
    folders, such as images and labels; '' if nothing does."""
    stems = Counter(drawn_files.image_stem(path).lower() for path in pictures)
    own = Counter(drawn_files.image_stem(path).lower() for path in files)
    if max(stems.values()) == 1 and max(own.values()) == 1:
        return STEM
    depth = min(path.count('/') for path in (*files, *pictures))
    for back in (-1, *range(depth)):  # the folder that is left out, from the end; -1 of none
        left_out, behind = ('[^/]+/', f'(?:[^/]+/){{{back}}}') if back >= 0 else ('', '')
        expression = f'^(.*/|){left_out}({behind}[^/]+)[.][^./]+$'
        of_files, of_pictures = ([re.sub(expression, r'\1\2', path) for path in one] for one in (files, pictures))
        if len(set(of_pictures)) == len(of_pictures) and set(of_files) <= set(of_pictures):
            return expression
    return ''
