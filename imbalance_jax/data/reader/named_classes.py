"""Cells of images whose classes are named: by a column, or by folders and names of files."""

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, PRESENT
from imbalance_jax.data.reader import label_notes
from imbalance_jax.data.reader.layout import NOTHING, Labels
from imbalance_jax.data.reader.rows import NAMED, SHOWN, Found, Rows
from imbalance_jax.data.reader.spelling import canonical, first_group, is_empty_list, names_in, table_of
from imbalance_jax.names import lookup, some

NO_CLASS = '(none)'


def _cells_of_names(labels: Labels, rows: Rows) -> Sequence[Any]:
    """What each row calls the classes of its image: a text, or what JSON has."""
    if not labels.path:
        return rows.column(labels.column, 'labels.column').tolist()
    if labels.path == 'parent':
        return rows.columns['parent'].tolist()
    return [first_group(labels.path, str(path)) for path in rows.columns['path']]


def left_for_none(labels: Labels, rows: Rows, image: np.ndarray) -> list[str]:
    """A sentence about words that `labels.none` takes for no class, where each image is to be of one."""
    others = {*table_of(labels.aliases), *map(canonical, labels.classes)}
    nothing = {canonical(one) for one in labels.not_mentioned if one.strip()} - others
    none = ({canonical(one) for one in labels.none} | nothing) - others
    met = Counter(str(text) for text, one in zip(_cells_of_names(labels, rows), image, strict=True) if one >= 0)
    counted = {text: count for text, count in met.items() if canonical(text) in none}
    if not counted:
        return []
    what = ', '.join(f'{text} {count}' for text, count in counted.items())
    how = 'labels.none says that this is no class; labels.none = () makes it one'
    if nothing & {canonical(text) for text in counted}:
        met_words = {canonical(text) for text in counted}
        left = tuple(one for one in labels.not_mentioned if canonical(one) not in met_words)
        how = f'labels say that this is no class; labels.none = () and labels.not_mentioned = {left} make it one'
    return [f'Images that are left out, as each must be of one class: {what}: {how}.']


def of_names(labels: Labels, rows: Rows, image: np.ndarray, found: Found) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes, and a cell [n,K] per row and class; image: [n] of each row, -1 of none. Names that no class has are
    an error or ignored, by `labels.others`."""
    texts = _cells_of_names(labels, rows)
    used = [one >= 0 for one in image]
    blank = [row for row, text in enumerate(texts) if used[row] and not text] if labels.path else []
    unmatched = [str(rows.columns['path'][row]) for row in blank]
    if 0 < len(unmatched) < sum(used):
        what = f'labels.path finds nothing in {len(unmatched)} of {sum(used)} paths, of images without any class'
        found.doubts.append(f'{what}: {some(unmatched, NAMED)}.')
    named = [names_in(text, labels.separator, rows.where(row)) if used[row] else [] for row, text in enumerate(texts)]
    for name in labels.further:
        for row, text in enumerate(rows.column(name, 'labels.further')):
            named[row] += names_in(text, labels.separator, rows.where(row, name)) if used[row] else []
    if not labels.classes and (flags := _row_of_flags(named)) is not None:
        where = rows.where(flags, labels.column)
        raise ValueError(
            f'{where}: {labels.column} (labels.column) is {str(texts[flags])[:60]}: zeros and ones of several classes, '
            'and no names; write a column of zeros and ones per class (labels.columns).'
        )
    spelt = table_of({NO_CLASS: (*labels.none, *labels.not_mentioned), **labels.aliases})
    listed = {canonical(name): name for name in labels.classes}
    spelt = {text: listed.get(canonical(name), name) for text, name in spelt.items()} | listed
    meant = [[_class(name, spelt, labels, rows, row) for name in names] for row, names in enumerate(named)]
    pairs = zip(itertools.chain(*named), itertools.chain(*meant), strict=True)
    if ignored := Counter(name for name, one in pairs if not one and name):
        what = ', '.join(f'{name} {count}' for name, count in ignored.most_common(SHOWN))
        found.notes.append(f"{ignored.total()} cells name no class and are ignored (labels.others = 'ignore'): {what}.")
    classes = labels.classes or tuple(sorted({name for names in meant for name in names if name and name != NO_CLASS}))
    if not classes:
        met = some([repr(one) for one in dict.fromkeys(str(name) for names in named for name in names)], NAMED)
        said = f'it has {met}, which labels.none or labels.not_mentioned take for none' if met else 'it is empty'
        what = f'column {labels.column!r} (labels.column)' if labels.column else f'path {labels.path!r} (labels.path)'
        raise ValueError(f'{rows.files[0] if rows.files else "The files"}: the {what} names no class: {said}.')
    position = {name: k for k, name in enumerate(classes)}
    if not labels.classes:
        found.doubts.extend(label_notes.of_spelling(classes))
    spelled = {name for names in named for name in names}
    found.doubts.extend(label_notes.of_aliases(labels.aliases, spelled, 'labels.aliases'))
    if not labels.classes and any(NO_CLASS in names for names in meant):
        found.doubts.extend(label_notes.of_none(classes))
    found.doubts.extend(_both(meant, labels, rows, image))
    cells = np.full((len(rows), len(classes)), unnamed(labels), np.int8)
    silent = _silent(named, {row for row, text in enumerate(texts) if not named[row] and is_empty_list(text)}, labels)
    for row, names in enumerate(meant):
        if row in silent:
            cells[row] = NOT_MENTIONED
        elif NO_CLASS in names:
            cells[row] = ABSENT
        for name in names:
            if name in position:
                cells[row, position[name]] = PRESENT
    return classes, cells


def _both(meant: Sequence[Sequence[str]], labels: Labels, rows: Rows, image: np.ndarray) -> list[str]:
    """A sentence about images without a finding that have one, in all rows of each, but for what several readers
    say. meant: of each row its classes."""
    if labels.reader:
        return label_notes.of_names(meant, NO_CLASS, rows.where)
    together: dict[int, list[str]] = {}
    first: dict[int, int] = {}
    for row, one in enumerate(image.tolist()):
        if one >= 0:
            together.setdefault(one, []).extend(meant[row])
            first.setdefault(one, row)
    lines = list(first.values())
    return label_notes.of_names(list(together.values()), NO_CLASS, lambda number: rows.where(lines[number]))


def _row_of_flags(named: Sequence[Sequence[str]]) -> int | None:
    """The first row of a list that has zero or one twice, where all lists have nothing else; None if there is none."""
    if any(name not in ('0', '1') for names in named for name in names):
        return None
    return next((row for row, names in enumerate(named) if len(set(names)) < len(names)), None)


def unnamed(labels: Labels) -> int:
    """The cell of a class that names do not have."""
    return ABSENT if labels.unnamed == 'absent' else NOT_MENTIONED


def _silent(named: Sequence[Sequence[str]], empty: Collection[int], labels: Labels) -> set[int]:
    """Rows that name nothing, where others say in words, or by an empty list, that there is none. empty: the latter."""
    none, nothing = ({canonical(one) for one in words} for words in (labels.none, labels.not_mentioned))
    in_words = any(canonical(name) in none for names in named for name in names)
    if not in_words and not empty:
        return set()
    nothing -= none
    silent = {row for row, names in enumerate(named) if all(canonical(name) in nothing for name in names)}
    return silent if in_words else silent.difference(empty)


FLAGS = {canonical(text) for text in ('0', '1', '-1', 'yes', 'no', 'true', 'false')}


def check_names(labels: Labels, rows: Rows, image: np.ndarray) -> None:
    """ValueError for a column that is said to name classes, and says yes and no of one. image: [n] of each row."""
    texts = rows.column(labels.column, 'labels.column')[image >= 0]
    said = {canonical(str(text)) for text in texts} - {canonical(text) for text in NOTHING}
    if labels.classes or labels.aliases or not said or not said <= FLAGS:
        return
    shown, name = ', '.join(sorted(said)), labels.column
    raise ValueError(
        f'labels is the column {name!r} of names of classes, but in {rows.files[0]} it has only {shown}; write '
        f"labels=({name!r},) if {name} is the class, or 'classes': {tuple(sorted(said))} if these are the classes."
    )


def _class(name: str, spelt: Mapping[str, str], labels: Labels, rows: Rows, row: int) -> str:
    """The class that a name means, '' for one that is ignored."""
    meant = spelt.get(canonical(name))
    if meant is not None:
        return meant
    if not labels.classes:
        return name
    if labels.others == 'ignore':
        return ''
    return lookup(dict.fromkeys(labels.classes, ''), name, f'class ({rows.where(row)})')
