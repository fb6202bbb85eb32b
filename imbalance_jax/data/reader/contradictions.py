"""Where a declared layout says two things at once, or what cannot be meant; every message names field and value."""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.data.batches import FLIPS
from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.reader import region_blocks
from imbalance_jax.data.reader.layout import Group, Images, Labels, Layout, Split, Table
from imbalance_jax.data.reader.spelling import canonical, table_of
from imbalance_jax.names import lookup, repeated

MODALITIES = ('radiograph', *FLIPS)  # of which `config.augment` knows something
NEAR = 0.85  # how like one of them a word must be to be one that was misspelt
CELLS_ONLY, NAMES_ONLY = ('present', 'absent', 'uncertain'), ('separator', 'others', 'unnamed')  # fields of labels
BITS = range(8, 17)  # that a file of 16 bits may use


def check(layout: Layout, where: str) -> None:
    """ValueError of one line for the first contradiction. where: config.data.NAME."""
    for number, table in enumerate(layout.tables):
        _check_separator(table, f'{where}.tables{_number(number)}.separator')
        if table.split:
            lookup(table_of(layout.split.values), canonical(table.split), f'split in {where}.tables{_number(number)}:')
    _check_all_are_read(layout, where)
    for number, labels in enumerate(layout.labels):
        _check_labels(labels, f'{where}.labels{_number(number)}')
    for number, regions in enumerate(layout.regions):
        _check_apart(regions.aliases, f'{where}.regions{_number(number)}.aliases')
        region_blocks.check(regions, f'{where}.regions{_number(number)}')
        for field in ('box', 'crop'):
            if twice := repeated(getattr(regions, field)):
                named = f'{where}.regions{_number(number)}.{field} names {twice[0]!r} twice'
                raise ValueError(f'{named}: {getattr(regions, field)}; the four are columns of their own.')
    _check_splits(layout.split, f'{where}.split')
    for name, group in layout.groups.items():
        _check_group(group, f'{where}.groups.{name}')
    if layout.images.bits and layout.images.bits not in BITS:
        expected = f'from {BITS[0]} to {BITS[-1]}, or 0 to find it from the files'
        raise ValueError(f'{where}.images.bits is {layout.images.bits}; it must be {expected}.')
    _check_levels(layout.images, f'{where}.images')
    if layout.ordinal and layout.task != 'multi_class':
        raise ValueError(f"{where}.ordinal is True, and {where}.task {layout.task!r}: grades are of 'multi_class'.")
    check_modality(layout.modality, f'{where}.modality')


def _check_levels(images: Images, where: str) -> None:
    levels = images.levels
    if levels and not (len(levels) == 2 and np.isfinite(levels).all() and levels[0] < levels[1]):
        expected = 'two numbers, what becomes black and white, such as (-1000, 400)'
        raise ValueError(f'{where}.levels is {_numbers(levels)}; expected {expected}.')
    if levels and (images.window or images.bits):
        other = 'window' if images.window else 'bits'
        raise ValueError(f'{where} has levels and {other}; one of them says what becomes black and white.')


def _number(number: int) -> str:
    return f' (number {number + 1})' if number else ''


def _check_all_are_read(layout: Layout, where: str) -> None:
    """ValueError for a table behind the first that nothing reads: it is not joined, put under it or asked by name."""
    asked = {*(one.table for one in layout.labels), *(one.table for one in layout.regions)} - {''}
    for number, table in enumerate(layout.tables[1:], 1):
        if not (table.on or table.is_under(layout.tables[0]) or {table.name, table.file} & asked):
            ways = 'give it `on`, or the name that labels or regions have in `table`'
            split = ', or no name, as it has a split: then it is put under the first' if table.split else ''
            raise ValueError(f'{where}.tables{_number(number)}, {table.file}, is read by nothing: {ways}{split}.')


def _check_separator(table: Table, where: str) -> None:
    text = table.separator
    if text and (len(text) > 1 or text in '"\r\n'):
        raise ValueError(f"{where} is {text!r}; it must be one character, such as ';' or '\\t', and no quote.")


def _check_labels(labels: Labels, where: str) -> None:
    cells = {'present': labels.present, 'absent': labels.absent, 'uncertain': labels.uncertain}
    _check_apart(cells, where)
    _check_apart(labels.aliases, f'{where}.aliases')
    if twice := repeated([*filter(None, [labels.column]), *labels.further]):
        raise ValueError(f'{where}.further names {twice[0]!r} again; it is of further columns, beside column.')
    columns = labels.columns
    if columns and labels.further:
        raise ValueError(f'{where}.further is beside `column`, of names; columns takes every column of one class.')
    named, default = bool(labels.column or labels.path or labels.regions), Labels()
    for field in CELLS_ONLY if named else NAMES_ONLY:
        if getattr(labels, field) != getattr(default, field):
            what = 'names of classes (column, path, regions)' if named else 'cells of one class each (columns)'
            other = 'columns' if named else 'column'
            raise ValueError(f'{where}.{field} is given, and the labels are {what}, of which it says nothing: {other}?')
    if twice := repeated(columns):
        raise ValueError(f'{where}.columns names {twice[0]!r} twice: {columns}; a column is one class.')
    spelt = table_of(labels.aliases)
    meant = [spelt.get(canonical(name), name) for name in columns]
    if twice := repeated(meant):
        both = ' and '.join(repr(name) for name, one in zip(columns, meant, strict=True) if one == twice[0])
        raise ValueError(f'{where}.columns has {both}, which are both {twice[0]!r} by aliases; a class is one column.')
    if known := labels.classes or tuple(meant):
        for name in labels.aliases:
            lookup(dict.fromkeys(known), name, f'class in {where}.aliases:')


def _check_splits(split: Split, where: str) -> None:
    for field in ('values', 'lists'):
        for name in getattr(split, field):
            lookup(dict.fromkeys(SPLITS), name, f'split in {where}.{field}:')
    _check_apart(split.values, f'{where}.values')
    ways = [name for name in ('column', 'lists', 'path') if getattr(split, name)]
    if len(ways) > 1:
        raise ValueError(f'{where} has {" and ".join(ways)}; one of them says which split an image is in.')
    for field in ('values', 'others'):
        if not ways and getattr(split, field) != getattr(Split(), field):
            raise ValueError(f'{where}.{field} is given, and no column, lists or path, of which it could be.')


def _check_group(group: Group, where: str) -> None:
    _check_apart(group.values, f'{where}.values')
    if group.values and group.bands:
        raise ValueError(f'{where} has values and bands; one of them says what the groups are.')
    if not group.bands and group.most != Group(group.column).most:
        raise ValueError(f'{where}.most is given, and no bands, of whose numbers it is the largest.')
    if not all(low < high for low, high in zip(group.bands, group.bands[1:], strict=False)):
        raise ValueError(f'{where}.bands is {_numbers(group.bands)}; the numbers must ascend, such as (40, 60).')


def _numbers(values: Sequence[float]) -> str:
    return f'({", ".join(f"{value:g}" for value in values)})'


def _check_apart(values: Mapping[str, Sequence[str]], where: str) -> None:
    """ValueError for a text that is said to mean two things."""
    meaning: dict[str, str] = {}
    for name, texts in values.items():
        for text in texts:
            other = meaning.setdefault(canonical(text), name)
            if other != name:
                raise ValueError(f'{where}: {text!r} is in {other} and in {name}; a value means one of them.')


def check_modality(word: str, where: str) -> None:
    """ValueError for what is no word, or nearly one of `MODALITIES`, and none; any other word is one of its own."""
    if not isinstance(word, str):
        raise ValueError(f'{where} is {word!r}; it must be a word, such as {MODALITIES[0]!r}.')
    if word in MODALITIES:
        return
    if near := difflib.get_close_matches(word.casefold(), MODALITIES, n=1, cutoff=NEAR):
        raise ValueError(
            f'{where} is {word!r}. Did you mean {near[0]!r}? Known: {", ".join(MODALITIES)}; any other word that is '
            'not nearly one of them.'
        )
