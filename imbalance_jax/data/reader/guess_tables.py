"""Tables that name the images of a folder, of whatever kind, and how each is declared."""

import fnmatch
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader import paths, published
from imbalance_jax.data.reader.columns import Kinds, kinds_of
from imbalance_jax.data.reader.layout import NOTHING, SPLIT_NAMES, Images
from imbalance_jax.data.reader.mask_columns import is_of_masks
from imbalance_jax.data.reader.rows import Rows, stacked
from imbalance_jax.data.reader.shape_columns import are_circles, may_be_shapes
from imbalance_jax.data.reader.spelling import canonical, table_of
from imbalance_jax.data.reader.split_columns import split_of_name
from imbalance_jax.names import some

TABLES = ('.csv', '.tsv', '.txt', '.json', '.jsonl', '.parquet')
MOST_TABLES = 40
SIDE = 'image of the row'  # the column of images that several columns name
OF_IMAGES = re.compile('image|img|file|path|photo|picture|scan|slide|dicom|(?<![a-z])(id|uid|name|key)(?![a-z])', re.I)
NO_IMAGE = re.compile(
    '^(no|nr|num|number|#|index|idx|row|unnamed.*|)[.]?$'
    '|(?<![a-z])(age|year|count|score|grade|patient|subject|label|class)',
    re.I,
)
# Files of what was before, or of what somebody's network says.
OLD = re.compile(
    r'\([0-9]+\)|'
    '(?<![a-z])(old|backup|bak|copy|archived?|previous|deprecated|tmp|temp|pred(ictions?|icted|s)?|ai|auto|baseline|outputs?|'
    'results?|submission)(?![a-z])',
    re.I,
)
OF_LABELS = re.compile('label|truth|diagnos|class|annotation|target|grading', re.I)  # files of what images are of
FLAGS = 2  # different numbers of a column that may be yes and no, and then names no images
BLANK = {canonical(word) for word in NOTHING}
LEAST = 0.2  # share of the rows of a table that name an image which is there
SAMPLED = 400  # rows whose files are looked for


class Read(NamedTuple):
    """A table that names images. share: of its rows whose image is there; images: how many different ones; declared:
    the block of the table, or blocks, where a row has several images."""

    file: str
    rows: Rows
    column: str
    share: float
    images: int
    kinds: Kinds
    declared: list[dict[str, Any]]


class Rest(NamedTuple):
    """A table that names no images, or hardly any, and why it counts so; declared: the block of the table."""

    file: str
    rows: Rows
    why: str
    declared: dict[str, Any]


def declared(block: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The blocks of the tables of a proposed layout."""
    tables = block.get('tables', ())
    return ({'file': tables},) if isinstance(tables, str) else tables


def are_declared(file: str, block: Mapping[str, Any]) -> bool:
    """Whether a proposed layout reads a table, by its name or a pattern."""
    files = [one['file'] for one in declared(block)]
    return file in files or any(fnmatch.fnmatch(file, pattern) for pattern in files)


def may_be_one(path: str) -> bool:
    """Whether a file is called as tables are."""
    return path.lower().removesuffix('.gz').endswith(TABLES)


def read(
    folder: Path, files_of_tables: Sequence[str], files: paths.Files, unsure: list[str]
) -> tuple[list[Read], list[Rest]]:
    """Tables that name images, the one that names most first, and the others; files that cannot be read are named."""
    found: list[Read] = []
    rest: list[Rest] = []
    for path in files_of_tables:
        rows = published.try_table(folder, path, unsure)
        if rows is None:
            continue
        if not len(rows):
            rest.append(Rest(path, rows, 'no rows are there', {'file': path}))
            continue
        if (headless := _images_in_header(rows, files)) and path.lower().removesuffix('.gz').endswith('.json'):
            why = f'its keys are names of images, such as {headless[0]!r}; a list of objects with these is read'
            rest.append(Rest(path, rows, why, {'file': path}))
            continue
        if headless:
            unsure.append(
                f'tables: {path} begins with {headless[0]!r}, the name of an image: it has no row of names, and its '
                "columns are called 'column 1' and so on (columns names them)."
            )
            rows = published.try_table(folder, path, unsure, header=False) or rows
        every = [(*_found(rows.columns[column], files), column) for column in rows.columns]
        scored = [one for one in every if not is_of_masks(one[-1])]
        share, count, column = max(scored or every, key=partial(_rank_of_names, rows))
        if share < LEAST:
            share, count, column = max(every)
        unsure.extend(_said_of_numbers(path, rows, scored, column))
        declared: dict[str, Any] = {'file': path}
        if kind := published.kind_of(folder, path):
            declared['kind'] = kind
        if headless:
            declared['header'] = False
        if share >= LEAST and _are_numbers_of_others(rows, column, files):
            rest.append(Rest(path, rows, f'each of the numbers of {column!r} is the name of several files', declared))
            continue
        if share < LEAST:
            why = f'only {share:.0%} of its rows name an image' if share else 'no row names an image'
            if not share and _parts_by_blanks(rows, files):
                why = "blanks part its columns ('separator': ' ' and perhaps 'header': False of its table)"
            rest.append(Rest(path, rows, why, declared))
            continue
        lists = [name for _, _, name in scored if canonical(name) in table_of(SPLIT_NAMES)]
        if len(lists) > 1 and column in lists:
            why = (
                f'columns {some(lists, 3)} list the images of each split, and files of one each are read (split.lists)'
            )
            rest.append(Rest(path, rows, why, declared))
            continue
        tables = [declared]
        if sides := _sides(rows, [(share, name) for share, _, name in scored], column, files):
            rows = stacked([rows.with_columns(**{SIDE: rows.columns[name]}) for name in sides])
            tables = [{**declared, 'name': 'rows', 'rename': {SIDE: name}} for name in sides]
            unsure.append(f'tables: a row of {path} has {len(sides)} images ({", ".join(sides)}), and labels of all.')
            column, count = SIDE, count * len(sides)
        kinds = kinds_of(rows, column, nameless=bool(headless))
        if sides and not kinds.patient:
            kinds = kinds._replace(patient=sides[0])  # those of a row are one person's
        found.append(Read(path, rows, column, share, count, kinds, tables))
    images = {one.file: _images_of_splits(one, found) for one in found}
    most = max((images[one.file] for one in found if not _has_regions(one) and len(one.rows.columns) > 1), default=0)
    found.sort(key=lambda one: (*_rank(one, images[one.file], most), one.images), reverse=True)
    return found, rest


def _parts_by_blanks(rows: Rows, files: paths.Files) -> bool:
    """Whether a table of one column has several words in its cells, of which one names an image."""
    if len(rows.columns) != 1:
        return False
    (cells,) = rows.columns.values()
    words = [str(cell).split() for cell in cells[:SAMPLED]]
    named = sum(any(paths.find(files, word)[0] for word in of_cell) for of_cell in words if len(of_cell) > 1)
    return named >= LEAST * len(words)


def _rank_of_names(rows: Rows, one: tuple[float, int, str]) -> tuple[bool, bool, int, float, float, str]:
    """How well a column serves as that of images' names. one: its share of texts that are images, how many different
    ones it has, and its name. Numbers are found among numbered files whatever they mean: of such columns one that is
    called as images are comes first, one that is called as an order or a measure last, then the one with more images.
    """
    share, count, column = one
    if not _are_numbers(rows, column):
        return share >= LEAST, True, 0, share, share * count, column
    called = -1 if NO_IMAGE.search(column) else 1 if OF_IMAGES.search(column) else 0
    return share >= LEAST, False, called, share * count, share, column


def _are_numbers(rows: Rows, column: str) -> bool:
    return all(str(text).strip().isdigit() for text in rows.columns[column] if canonical(str(text)) not in BLANK)


def _are_numbers_of_others(rows: Rows, column: str, files: paths.Files) -> bool:
    """Whether a column of numbers that is called as people or an order are names several files each, as where folders
    of patients have 1.png, 2.png ... each."""
    if not (_are_numbers(rows, column) and NO_IMAGE.search(column)):
        return False
    places = [paths.find(files, text)[0] for text in dict.fromkeys(map(str, rows.columns[column]))]
    found = [one for one in places if one]
    return bool(found) and all(len(one) > 1 for one in found)


def _said_of_numbers(file: str, rows: Rows, scored: Sequence[tuple[float, int, str]], column: str) -> list[str]:
    """A sentence about further columns of numbers that are names of images, where the one that was chosen is such."""
    others = [name for share, _, name in scored if share >= LEAST and name != column and _are_numbers(rows, name)]
    if not others or not _are_numbers(rows, column):
        return []
    return [f'images: the numbers of {column!r} in {file} are taken for names of files; so could be {some(others, 3)}.']


def is_of_images(column: str, tables: Any) -> bool:
    """Whether a column is one of several that name the images of a row, by the declared tables."""
    return not isinstance(tables, str) and any(column == one.get('rename', {}).get(SIDE) for one in tables)


def columns_of_masks(one: Read, files: paths.Files, aside: paths.Files) -> list[str]:
    """Columns beside that of images which name files that are there and are called as masks are, or of which the
    files are. aside: the masks."""

    def are_named(column: str) -> bool:
        texts = one.rows.columns[column]
        if is_of_masks(column):
            return max(_found(texts, files)[0], _found(texts, aside)[0]) >= LEAST
        suffixed = [text for text in map(str, texts) if paths.is_image(text.strip(), Images())]
        return 2 * len(suffixed) > len(texts) and _found(texts, aside)[0] >= LEAST

    return [name for name in one.rows.columns if name != one.column and are_named(name)]


def named_among(tables: Sequence[Read], others: Collection[str], images: Sequence[str]) -> set[str]:
    """Those of other files that tables name in a column that names images, too, of which some are not there."""
    files, known = paths.index(list(others)), paths.index(list(images))
    found: set[str] = set()
    for values in [one.rows.columns[name] for one in tables for name in one.rows.columns if not is_of_masks(name)]:
        texts = {str(text) for text in values if others and str(text).strip()}
        places = {text: there for text in texts if (there := paths.find(files, text)[0])}
        lacking = [text for text in places if not paths.find(known, text)[0]]
        if lacking and any(paths.find(known, text)[0] for text in texts):
            found |= {files.paths[place] for text in lacking for place in places[text]}
    return found


def says_nothing(one: Read) -> bool:
    """Whether a table has no column of labels, people, splits, groups or boxes."""
    kinds = one.kinds
    return not (kinds.labels or kinds.names or kinds.patient or kinds.split.block or kinds.groups or _has_boxes(one))


def _has_boxes(one: Read) -> bool:
    return bool(one.kinds.box or one.kinds.segmentation)


def _has_regions(one: Read) -> bool:
    """Whether a table has boxes, or shapes of any form."""
    shapes = any(may_be_shapes(one.rows, name) for name in one.rows.columns if name != one.column)
    return _has_boxes(one) or shapes or are_circles(one.rows.columns)


def _images_of_splits(one: Read, found: Sequence[Read]) -> int:
    """How many images a table names, with those of the same columns that are called as other splits are."""
    if not (own := split_of_name(one.file)):
        return one.images
    alike = [other for other in found if set(other.rows.columns) == set(one.rows.columns)]
    of_split = {split: other.images for other in alike if (split := split_of_name(other.file)) and split != own}
    return one.images + sum(of_split.values())


def _rank(one: Read, images: int, most: int) -> tuple[bool, bool, int, bool, bool, int]:
    """How well a table serves as the main one: with labels, of many images, and not of boxes, whose names are no labels
    where a table without boxes has as many images. most: so many."""
    names = one.kinds.names and not (_has_regions(one) and images < most)
    kept = not OLD.search(one.file)
    told = bool(OF_LABELS.search(one.file.rsplit('/', 1)[-1]))
    return bool(one.kinds.labels or names), kept, images, not _has_regions(one), told, -one.file.count('/')


def _images_in_header(rows: Rows, files: paths.Files) -> list[str]:
    """Names of columns that are names of images: the first line of a table without a row of names. One without a suffix
    is so if its column names more images than any other does, and has a number, as names of columns of images have not.
    """
    if suffixed := [name for name in rows.columns if paths.is_image(name, Images())]:
        return suffixed
    share, _, best = max((*_found(rows.columns[name], files), name) for name in rows.columns)
    is_one = share >= LEAST and re.search('[0-9]', best) and paths.find(files, best)[0]
    return [best] if is_one and best not in set(map(str, rows.columns[best])) else []


def _found(texts: np.ndarray, files: paths.Files) -> tuple[float, int]:
    """The share of a column's texts that are images that are there, and how many different ones."""
    said = dict.fromkeys(text for text in texts if isinstance(text, str))
    names = [text for text in said if canonical(text) not in BLANK]
    if len(names) <= FLAGS and all(name.strip().isdigit() for name in names):
        return 0.0, len(names)
    sample = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(SAMPLED, len(names))).astype(int))]
    there = sum(bool(paths.find(files, text)[0]) for text in sample)
    return (there / len(sample), len(names)) if sample else (0.0, 0)


def _sides(rows: Rows, scored: Sequence[tuple[float, str]], column: str, files: paths.Files) -> list[str]:
    """Columns that name other images than `column` does, as of a left and a right eye, with it; [] if it is alone."""
    if sum(share > 0.9 for share, _ in scored) < 2 or SIDE in rows.columns:
        return []
    named = {
        name: {place for text in dict.fromkeys(map(str, rows.columns[name])) for place in paths.find(files, text)[0]}
        for share, name in scored
        if share > 0.9
    }
    own = named.get(column, set())
    others = [name for name in named if name != column and not (_are_numbers(rows, name) and NO_IMAGE.search(name))]
    found = [name for name in named if name == column or (name in others and named[name] and not named[name] & own)]
    return found if len(found) > 1 else []
