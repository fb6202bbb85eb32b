"""What `data guess` proposes of the boxes and shapes that tables have."""

import fnmatch
import itertools
import string
from collections.abc import Mapping, Sequence
from typing import Any

from imbalance_jax.data.reader.box_columns import corners_of, places_of
from imbalance_jax.data.reader.columns import Kinds
from imbalance_jax.data.reader.guess_tables import Read
from imbalance_jax.data.reader.mask_columns import without_words
from imbalance_jax.data.reader.rows import NAMED, Rows
from imbalance_jax.data.reader.shape_columns import may_be_shapes
from imbalance_jax.data.reader.spelling import canonical
from imbalance_jax.data.reader.stated_sizes import sizes_beside, stated_size
from imbalance_jax.names import some


def propose(main: Read, others: Sequence[Read], block: dict[str, Any], unsure: list[str]) -> None:
    """Regions of the first of the tables that has boxes or shapes, or a word about corners that are no box."""
    for one in (main, *others):
        if one.kinds.box and not one.kinds.form:
            (name,) = one.kinds.box
            unsure.append(
                f'regions: {name!r} of {one.file} has a box in each cell, and nothing says its form: regions = '
                f"{{'box': ({name!r},), 'form': 'xywh'}} reads left, top, width and height, 'xyxy' four ends."
            )
        elif one.kinds.box:
            regions: dict[str, Any] = {'box': one.kinds.box, 'form': one.kinds.form}
            if one.kinds.fraction:
                regions['unit'] = 'fraction'
            elif (size := sizes_beside(one.rows, one.kinds.box, one.kinds.form)) and _are_stated(one.rows, size):
                regions['frame'] = size
            if one is not main:
                regions |= _in_a_table_of_its_own(main, one, others, block)
            concept = one.kinds.names or one.kinds.concept
            regions |= {'column': concept, 'others': 'add'} if concept else {'concept': concept_of(block, unsure)}
            block['regions'] = regions
            if concept and any(str(text).strip()[:1] == '[' for text in one.rows.columns[concept]):
                place = next(place for place in block['tables'] if place['file'] == one.file)
                place['explode'] = (concept,)
                if one is main and block.get('labels', {}).get('column') == concept:
                    block['labels'].pop('separator', None)
                unsure.append(f'tables: {one.file} has lists of {concept}; a row is made of each name in them.')
            where = 'in pixels of the files unless frame says more'
            where = 'in shares of the image' if one.kinds.fraction else where
            unsure.append(f'regions: boxes are {one.kinds.form}, {where}.')
            _say_not_read(one, block, unsure)
            return
        if one.kinds.segmentation:
            concept = one.kinds.names or one.kinds.concept
            code = {'code': one.kinds.segmentation, 'kind': 'coco_segmentation', 'box': ('bbox',)}
            if one is not main:
                code |= _in_a_table_of_its_own(main, one, others, block)
            of = {'column': concept, 'others': 'add'} if concept else {'concept': concept_of(block, unsure)}
            block['regions'] = code | of
            return
        if corners := corners_of(one.rows.columns):
            unsure.append(
                f'regions: {", ".join(corners)} of {one.file} are corners of a shape, and no box: write its left, top, '
                'right and bottom into columns of their own to have regions.'
            )
        _say_not_read(one, block, unsure)
        if not one.kinds.box and not corners and (places := places_of(one.rows)):
            unsure.append(
                f'regions: {some(places, NAMED)} of {one.file} may be places in the images, and are no box by their '
                "names; regions.box takes four columns, in the order of its form: 'xyxy', 'xywh' or 'cxcywh'."
            )


def propose_masks(called: Sequence[str], kinds: Kinds, block: dict[str, Any], unsure: list[str]) -> None:
    """Regions of the columns of a table that name masks: all of them where each is called as one of the classes is."""
    classes = {canonical(name): name for name in (*kinds.labels, *kinds.said)}
    own = {column: classes.get(canonical(without_words(column)), '') for column in called}
    if len(called) > 1 and all(own.values()):
        block['regions'] = [{'files': f'{{{column}}}', 'concept': name} for column, name in own.items()]
        unsure.append(f'regions: the columns {some([*map(repr, called)], NAMED)} name masks, each of its class.')
        return
    block['regions'] = {'files': f'{{{called[0]}}}', 'concept': concept_of(block, unsure)}
    others = f'; so do {some([*map(repr, called[1:])], NAMED)}, which are not read' if len(called) > 1 else ''
    unsure.append(f'regions: the column {called[0]!r} names masks{others}.')


def _say_not_read(one: Read, block: Mapping[str, Any], unsure: list[str]) -> None:
    """A sentence about columns that seem to hold boxes or shapes and that a proposed layout does not read."""
    regions = block.get('regions', {})
    read = {*one.kinds.box, one.kinds.segmentation, regions.get('column'), *one.kinds.labels}
    if left := [name for name in one.rows.columns if name not in read and may_be_shapes(one.rows, name)]:
        unsure.append(
            f'regions: {some(left, NAMED)} of {one.file} may be boxes or shapes, and are not read: regions.box, or '
            'regions.code with its kind, reads such.'
        )


def _in_a_table_of_its_own(main: Read, one: Read, others: Sequence[Read], block: dict[str, Any]) -> dict[str, Any]:
    """Fields of regions whose rows are in another table than the main one, which is declared, with those of the same
    columns and other images that a pattern of names takes with it."""
    alike = [other for other in others if set(other.rows.columns) == set(one.rows.columns)]
    names = [set(map(str, other.rows.columns[other.column])) for other in alike]
    pattern = _pattern_of([other.file for other in alike])
    apart = sum(map(len, names)) == len(set().union(*names))
    taken = {other.file for other in others if pattern and fnmatch.fnmatch(other.file, pattern)}
    file = pattern if len(alike) > 1 and apart and taken == {other.file for other in alike} else one.file
    block['tables'].append({**one.declared[0], 'file': file, 'name': file})
    same = one.column == main.column
    return {'table': file, 'on': [main.column if same else f'{main.column}={one.column}']}


def _pattern_of(files: Sequence[str]) -> str:
    """What the names of files in one folder have in common, with a star for the rest; '' for hardly anything."""
    before = _common(files)
    whole_words = before.rstrip(string.ascii_letters)
    before = before if whole_words[-1:] in ('', '/') else whole_words
    after = _common([file[len(before) :][::-1] for file in files])[::-1]
    whole = any('/' in file[len(before) : len(file) - len(after)] for file in files)
    return '' if whole or not before.rpartition('/')[2] else f'{before}*{after}'


def _common(texts: Sequence[str]) -> str:
    """The letters that all texts begin with."""
    alike = itertools.takewhile(lambda letters: len({*letters}) == 1, zip(*texts, strict=False))
    return ''.join(letters[0] for letters in alike)


def _are_stated(rows: Rows, size: Sequence[str]) -> bool:
    """Whether every row states the size of its image."""
    columns = [rows.columns[name] for name in size]
    return all(stated_size(columns, row) for row in range(len(rows)))


def concept_of(block: Mapping[str, Any], unsure: list[str]) -> str:
    """What regions without a name are of: the one class of their image, or the only class."""
    labels = block.get('labels', {})
    columns = labels.get('columns', ())
    if len(columns) == 1:
        return str(columns[0])
    if block.get('task') != 'multi_class':
        unsure.append("regions: nothing says what they are of; 'label' is an image's class if it has exactly one.")
    return 'label'
