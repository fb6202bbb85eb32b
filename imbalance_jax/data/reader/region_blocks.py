"""What blocks of regions say that cannot be meant: by their fields, by names of columns, and beside one another."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.data.reader import shapes
from imbalance_jax.data.reader.box_columns import are_of_centre, axes_of, form_in, form_of
from imbalance_jax.data.reader.layout import Regions
from imbalance_jax.data.reader.rows import NAMED, Found
from imbalance_jax.data.reader.spelling import number
from imbalance_jax.names import some

OF_TABLES = ('table', 'on', 'column', 'aliases', 'reader', 'frame')  # fields that say nothing of mask files


def check(regions: Regions, where: str) -> None:
    """ValueError for fields of which one would count alone, or none; for columns of boxes that are called as another
    form is."""
    if regions.column and regions.concept:
        raise ValueError(f'{where} has column and concept; one of them says what a region is of.')
    if '{' in regions.concept:
        ways = "it is a name, or 'label' for the one class of the image; regions.column has names row by row"
        raise ValueError(f'{where}.concept is {regions.concept!r}, and nothing is filled into it: {ways}.')
    if regions.kind and not regions.code:
        raise ValueError(f'{where}.kind is {regions.kind!r} without code, the column of what it is.')
    if regions.unit == 'fraction' and regions.kind and regions.kind not in shapes.COORDINATES:
        kinds = ', '.join(shapes.COORDINATES)
        raise ValueError(f"{where}.unit is 'fraction', and kind {regions.kind!r}: of {kinds} coordinates are shares.")
    if regions.values and not regions.files:
        raise ValueError(f'{where}.values are grey values of mask files, and there are no files.')
    for name, values in regions.values.items():
        if odd := [one for one in values if not np.isfinite(number(str(one)))]:
            wanted = "expected grey values by concept, such as {'mass': 1, 'edema': 2}"
            raise ValueError(f'{where}.values has {odd[0]!r} of {name!r}, which is no number; {wanted}.')
    if regions.files and (unread := [name for name in OF_TABLES if getattr(regions, name)]):
        way = 'columns that its pattern or crop names are of the first table, or joined to it'
        raise ValueError(f'{where} has files and {unread[0]}, which is of regions that a table has: {way}.')
    if regions.crop and not regions.files:
        raise ValueError(f'{where}.crop is the part that mask files cover, and there are no files.')
    if regions.on and not regions.table:
        raise ValueError(f'{where} has on without table, the name of the table whose rows it joins.')
    if regions.reader and regions.as_reader:
        raise ValueError(f'{where} has reader and as_reader; one of them says who drew: a column, or a name.')
    for field in ('box', 'crop'):
        _check_form(getattr(regions, field), regions.form, f'{where}.{field}')


def check_form_is_said(regions: Regions, where: str) -> None:
    """ValueError for four columns whose names do not tell corners from a width and a height, where no form is given."""
    for field in ('box', 'crop'):
        columns = getattr(regions, field)
        if len(columns) == 4 and not form_of(columns):
            raise ValueError(
                f'{where}.{field} is {tuple(columns)}, and the names do not say what they are: give form, '
                "'xywh' (left, top, width, height), 'xyxy' (left, top, right, bottom) or 'cxcywh' (by the centre)."
            )


def _check_form(columns: Sequence[str], form: str, where: str) -> None:
    """ValueError for columns that are called as corners, and are to be widths; or that stand in another order."""
    if len(columns) == 1:
        said, in_order = form_in(columns[0]) or (form, True)
        if not in_order:
            raise ValueError(
                f'{where} is {columns[0]!r}, which says another order than the one of boxes, x before y: give four '
                'columns. (If it is called otherwise than it is meant, tables.rename calls it so.)'
            )
    else:
        named, said = form_of(columns) or (tuple(columns), form)
        if named != tuple(columns):
            raise ValueError(
                f'{where} is {tuple(columns)}; expected them in the order {named}. (If they are called otherwise than '
                'they are meant, tables.rename calls them so.)'
            )
        axes = axes_of(columns)
        if axes and axes != ('x', 'y', 'x', 'y') and len({*columns}) == len(columns):
            raise ValueError(
                f'{where} is {tuple(columns)}, of {", ".join(axes)}; expected x, y, x, y, the order of boxes. (If they '
                'are called otherwise than they are meant, tables.rename calls them so.)'
            )
    if form != 'cxcywh' and are_of_centre(columns):
        raise ValueError(
            f'{where} is {tuple(columns)}, called as the centre of a box is, and form is {form!r}: expected form = '
            "'cxcywh'. (If they are called otherwise than they are meant, tables.rename calls them so.)"
        )
    if form != 'xyxy' and said == 'xyxy':
        raise ValueError(
            f'{where} is {tuple(columns)}, called as corners are, and form is {form!r}, with a width and height: '
            "expected form = 'xyxy'. (If they are a width and a height, tables.rename calls them so.)"
        )


def say_without_reader(blocks: Sequence[Regions], found: Found) -> None:
    """Notes blocks of regions that name no reader, beside such of the same concept that do; doubts those that a number
    alone tells from these."""
    named = [one for one in blocks if one.as_reader or one.reader]
    for one in blocks:
        of = [other for other in named if _concepts(one) & _concepts(other)]
        if of and one not in named:
            who = some(sorted({other.as_reader or f'the column {other.reader}' for other in of}), NAMED)
            alike = any(_without_numbers(one) == _without_numbers(other) for other in of)
            (found.doubts if alike else found.notes).append(
                f'Regions of {some(sorted(_concepts(one)), NAMED)} by {_place(one)} have no reader '
                f'(regions.as_reader) and are a consensus, beside those of {who}.'
            )


def _place(regions: Regions) -> str:
    """Where regions are found."""
    return repr(regions.files or regions.table or 'the first table')


def _without_numbers(regions: Regions) -> str:
    """The same without its numbers, which tell the files of readers apart."""
    return re.sub('[0-9]+', '', _place(regions))


def _concepts(regions: Regions) -> set[str]:
    """What regions are of, as far as their block says; of a column, its name."""
    return {regions.concept, regions.column, *regions.values, *regions.aliases} - {''}


def of_two(used: Sequence[tuple[Regions, Mapping[str, Sequence[str]]]]) -> list[str]:
    """Sentences about mask files that two blocks give as a whole. used: what `plan_files` returns, of each block."""
    said = []
    whole = [(regions, files) for regions, files in used if not regions.values]
    for later, (one, files) in enumerate(whole):
        for other, others in whole[:later]:
            if both := sorted(files.keys() & others.keys()):
                two = ' and '.join(f'{block.files!r} ({_called(block)})' for block in (other, one))
                said.append(f'Mask files that are regions twice, by {two}: {len(both)} ({some(both, NAMED)}).')
    return said


def _called(regions: Regions) -> str:
    """The concept of mask files, and who drew it."""
    return f'{regions.concept} of {regions.as_reader}' if regions.as_reader else regions.concept
