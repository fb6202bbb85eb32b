"""Which split images are in, by folders, lists or tables beside the one that names them."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from imbalance_jax.data.reader import guess_folders, guess_joins, guess_tables, paths, split_columns
from imbalance_jax.data.reader.guess_tables import Read
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.names import some

OF_ONE_SPLIT = re.compile(
    '(list|names|ids)?[ _-]*(test(ing)?|val(id(ation)?)?|dev|train(ing)?)[ _-]*'
    '(set|split|data|list|images?|files?|names?|ids?)?',
    re.I,
)


def propose(
    lists: Mapping[str, Read],
    named: Sequence[str],
    files: paths.Files,
    block: dict[str, Any],
    unsure: list[str],
    read: Sequence[Read],
) -> None:
    """Splits that lists of images or folders say, where nothing else does; other lists are named. named: the images
    that are in the tables, or all; read: the tables."""
    split_of = split_columns.split_of_name
    called = sorted(one.file for one in read if guess_tables.are_declared(one.file, block) and split_of(one.file))
    stated = 'split' in block or any('split' in one for one in guess_tables.declared(block))
    able = {**lists, **{one.file: one for one in read[1:] if not guess_tables.are_declared(one.file, block)}}
    by_split = {split: file for file in reversed(list(lists)) if (split := split_of(file))}
    if len(by_split) < 2:  # tables with a column of images are lists, too
        by_split = {split: file for file in reversed(list(able)) if (split := split_of(file))}
    said = len(by_split) > 1
    listed = len(guess_joins.named_by([able[file] for file in by_split.values()], files)) if said else 0
    if not stated and guess_folders.are_of_splits(named, whole=said or 'tables' in block):
        level = guess_folders.level_of_splits(named)
        block['split'] = {'path': level or 'folder'}
        inner = ', the outer one where a folder of another split is within' if level else ''
        unsure.append(f'split: the folders that are called as splits are{inner}.')
    elif not stated and not said and (words := guess_folders.words_of_splits(named)):
        block['split'] = {'path': words}
        unsure.append('split: the words for splits in the names of folders.')
    elif not stated and said and 2 * listed >= len(named):
        block['split'] = {'lists': by_split}
        lacking = (
            f'; they have {listed} of {len(named)} images, and the others are left out' if listed < len(named) else ''
        )
        unsure.append(f'split: the lists of images, by their names{lacking}.')
    elif not stated and len(by_split) == 1 and _is_one_split(able, by_split, named, files):
        ((split, file),) = by_split.items()
        others = 'test' if split == 'train' else 'train'
        block['split'] = {'lists': by_split, 'others': others}
        drawn = 'test' if split == 'validation' else 'validation'
        whose = 'the patients of train' if split == 'train' else 'their patients'
        unsure.append(
            f'split: {file} lists the images of {split}; all others are {others} (split.others), and {drawn} is drawn '
            f'of {whose}.'
        )
    elif not stated and len(set(map(split_of, called))) > 1:
        unsure.append(
            f'split: the names of {some(called, NAMED)} speak of splits, and say none of the images that '
            'another table names; patients are drawn for validation (15 %) and test (20 %). A column or lists say it.'
        )
    elif not stated:
        unsure.append('split: nothing says it; patients are drawn for validation (15 %) and test (20 %).')
    unsure.extend(
        f'tables: {file} is a list of {one.images} of {len(files.paths)} images, and is not used.'
        for file, one in lists.items()
        if file not in _used(block)
    )


def _is_one_split(
    lists: Mapping[str, Read], by_split: Mapping[str, str], named: Sequence[str], files: paths.Files
) -> bool:
    """Whether the one list that is called as that of a split is of some of the images that are read, and of no others:
    of fewer than half, or of more if it is that of train."""
    ((split, file),) = by_split.items()
    if not OF_ONE_SPLIT.fullmatch(paths.stem(file)):
        return False
    listed = {files.paths[place] for place in guess_joins.named_by([lists[file]], files)}
    few = 2 * len(listed) < len(named)
    return listed < {*named} and few == (split != 'train')


def _used(block: Mapping[str, Any]) -> Collection[str]:
    """The lists that a proposed layout reads."""
    split = block.get('split')
    return split.get('lists', {}).values() if isinstance(split, dict) else ()


def not_used(others: Sequence[Read], files: paths.Files, block: Mapping[str, Any], unsure: list[str]) -> None:
    """Names the tables of images, behind the first, of which nothing is read, or the list of a split alone."""
    for other in others:
        if other.file in _used(block):
            columns = [repr(name) for name in other.rows.columns if name != other.column]
            what = f'of {other.file} the names of images alone are read, and not {some(columns, NAMED)}'
            unsure.append(f'tables: {what}.')
        elif not guess_tables.are_declared(other.file, block):
            unsure.append(
                f'tables: {other.file} names {other.images} of {len(files.paths)} images, too, and is not used.'
            )
            if other.kinds.split.said and not block.get('split'):
                unsure.append(f'{other.kinds.split.said[0]} (Of {other.file}, which has to be joined.)')
