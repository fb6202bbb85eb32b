"""Lists of the images of splits: a name per line, or tables of which one column names images."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.reader.layout import Split, Table
from imbalance_jax.data.reader.rows import NAMED, Found
from imbalance_jax.data.reader.tables import files_of, read_table
from imbalance_jax.data.reader.tails import Tails
from imbalance_jax.data.reader.text_files import content, lines_of
from imbalance_jax.names import lookup, some

HEADER = re.compile('(image|img|file|name|path|id|index|dicom|[ _-])+s?', re.I)  # how a list of images may begin
PARTED = re.compile(r'[,;|\t]\s*|\s+')  # columns of a line
OF_TABLES = ('.json', '.jsonl', '.parquet')  # which have no lines of names


def listed(folder: Path, names: Sequence[str], at: Sequence[str], rule: Split, others: int, found: Found) -> np.ndarray:
    """The split [N] of images by lists of names, with or without suffix and folders; `others` of those in none.

    names, at: what each image is called, and its path. Lines that are no image are said, but for a header; ValueError
    for a list without any that is, and for an image in two.
    """
    split = np.full(len(names), others, np.uint8)
    in_list: dict[int, str] = {}
    by_name, tried = (Tails([((text,), n) for texts in (names, at) for n, text in enumerate(texts)]) for _ in range(2))
    for meant, pattern in rule.lists.items():
        files = files_of(folder, pattern) or files_of(folder, f'{pattern}.gz')
        if not files:
            raise FileNotFoundError(f'{folder} has no {pattern}, the list of the {meant} split.')
        others_named, number = [], number_of(meant)
        before = len(in_list)
        for line, place in (one for file in files for one in _lines(folder, file, tried, found)):
            of_line = by_name.find((line,)) if line else []
            if not of_line:
                others_named += [line] if line and (place or not HEADER.fullmatch(line)) else []
                continue
            if len(of_line) > 1:
                two = ' as '.join(repr(at[one]) for one in of_line[:2])
                raise ValueError(
                    f'{line!r} in the list of the {meant} split (split.lists) is as much {two}; write as many folders '
                    'as tell them apart.'
                )
            image = of_line[0]
            if (other := in_list.setdefault(image, meant)) != meant:
                raise ValueError(
                    f'{names[image]} is in the lists of {other} and of {meant} (split.lists); expected one.'
                )
            split[image] = number
        if len(in_list) == before:
            shown = f'such as {others_named[0]!r}; images are called as {names[0]!r}' if others_named else 'it is empty'
            raise ValueError(f'{files[0]}, the list of the {meant} split, has no line that is an image here: {shown}.')
        if others_named:
            named = some(others_named, NAMED)
            found.notes.append(
                f'{len(others_named)} lines of {files[0].name} are of images that are not here: {named}.'
            )
    found.doubts.extend(by_name.doubts('the lists of splits (split.lists)'))
    return split


def number_of(split: str) -> int:
    return lookup({name: number for number, name in enumerate(SPLITS)}, split, 'split')


def _lines(folder: Path, file: Path, by_name: Tails[int], found: Found) -> list[tuple[str, int]]:
    """The names that a file lists, with their places: its lines, or where none of these is an image, the cells of the
    column that names images. by_name: one of its own, as what is looked up in vain here is no name.

    ValueError where two columns name different images.
    """
    lines: list[str] = []
    if not file.name.lower().removesuffix('.gz').endswith(OF_TABLES):
        lines = [line.strip() for line in lines_of(content(file))]
        begun = next(filter(None, lines), '')
        if len(PARTED.split(begun)) < 2 or any(by_name.find((line,)) for line in lines if line):
            return [(line, place) for place, line in enumerate(lines)]
    name = str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)
    blanks = bool(lines) and len(PARTED.split(begun)) == len(begun.split())
    table = Table(file=name, kind='csv' if lines else '', header=not lines, separator=' ' if blanks else '')
    try:
        columns = read_table(folder, table, found).columns
    except ValueError:
        if file.name.lower().removesuffix('.gz').endswith(('.csv', '.tsv', *OF_TABLES)):
            raise
        return [(line, place) for place, line in enumerate(lines)]
    images = {
        column: {one for text in dict.fromkeys(map(str, cells)) for one in by_name.find((text.strip(),))}
        for column, cells in columns.items()
    }
    if not images:
        return []
    chosen = max(images, key=lambda column: len(images[column]))
    cells = [str(text).strip() for text in columns[chosen]]
    named = bool(lines and cells and not by_name.find((cells[0],)))  # the first row has the names of columns
    if other := next((one for one, found_in in images.items() if found_in and found_in != images[chosen]), ''):
        two = ' and '.join(repr(columns[one][0] if named else one) for one in (chosen, other))
        raise ValueError(
            f'{name} (split.lists): its columns {two} name different images; a file of one column says which are meant.'
        )
    return [(text, place) for place, text in enumerate(cells)][named:]
