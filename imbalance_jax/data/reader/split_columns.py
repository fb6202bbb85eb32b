"""What may say of an unknown table's images which split they are in: columns, by words, by yes and no, by numbers of
folds, and its own name."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader.class_columns import are_flags
from imbalance_jax.data.reader.layout import FALSE, NOTHING, SPLIT_NAMES, TRUE
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.data.reader.spelling import canonical, number, table_of
from imbalance_jax.names import some

CALLED = re.compile('split|subset|partition|fold|^set$|phase', re.I)
ALONE = re.compile('(data|train|my)?[ _-]?(sub)?(split|set|partition|phase)s?', re.I)  # the whole name
FOLD = re.compile('^(k|cv|n)?[ _-]?folds?([ _-]?(id|number|num|no|nr|index|idx))?$', re.I)
USABLE = re.compile('(is[ _-]?)?valid', re.I)  # images, as often as of validation
PARTS = re.compile(r'[\W_0-9]+|(?<=[a-z])(?=[A-Z])')  # between the words of test_internal, test2 and PublicTest
OF_DATA = re.compile('(data|set|list)$', re.I)  # behind the word for a split: traindata.csv
DEVELOPMENT = {'dev', 'development'}  # what is trained on, where nothing else is
MOST_FOLDS = 20
MOST_WORDS = 12
# One split, of which a column says yes and no.
OF_ONE = re.compile(
    '^((is|in|for|use)[ _-]*)?(?P<split>train(ing)?|val(id(ation)?)?|dev|test(ing)?)'
    '([ _-]?(set|split|data|flag|subset))?$',
    re.I,
)


class Splits(NamedTuple):
    """What a table says of splits. block: what `split` of a layout may be, '' where nothing is proposed; said: of it;
    columns: those that are about splits, and about nothing else; of_words: those whose cells are words for splits."""

    block: str | dict[str, Any] = ''
    said: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()
    of_words: frozenset[str] = frozenset()


def splits_of(words: Mapping[str, set[str]], mostly_yes: Collection[str] = ()) -> Splits:
    """What the columns say of splits. words: of each column what stands in it; mostly_yes: columns of yes and no whose
    cells mostly say yes."""
    of_words = [name for name in words if _are_splits(words[name])]
    named = next((name for name in of_words if CALLED.search(name)), '')
    named = named or next((name for name in of_words if _are_several(words[name])), '')
    matched = {name: match for name in words if (match := OF_ONE.match(name.strip())) and are_flags(words[name])}
    usable = [name for name in matched if USABLE.fullmatch(name.strip()) and name in mostly_yes]
    matched = {name: match for name, match in matched.items() if name not in usable}
    in_one = list(matched)
    folds = [name for name in words if FOLD.match(name.strip()) and _are_folds(words[name]) and name != named]
    block: str | dict[str, Any] = named
    said: list[str] = []
    unread: list[str] = []
    if named:
        block, said = _by_words(named, words[named])
    else:
        called = [name for name in words if CALLED.search(name)]
        few = [name for name in words if len(words[name]) <= MOST_WORDS]
        within = {name: meant for name in called if (meant := _within(words[name]))}
        within |= {name: of for name in few if name not in within and 'train' in (of := _within(words[name]))}
        unclear = [name for name in called if ALONE.fullmatch(name.strip()) and name in few]
        unclear += [name for name in few if name not in unclear and {'train', 'test'} <= _meant(words[name]).keys()]
        if within:
            named, meant = next(iter(within.items()))
            block = {'column': named, 'values': meant}
            listed = ', '.join(f'{split}: {" ".join(of)}' for split, of in meant.items())
            said = [f'split: words of {named!r} are taken for splits by what is in them, {listed}.']
        elif unclear:
            said, unread = [_not_words(unclear[0], words[unclear[0]])], unclear
        elif len(in_one) == 1:
            block, said = _of_one(in_one[0], matched[in_one[0]]['split'])
        elif in_one:
            said = [
                f'split: the columns {some(in_one, NAMED)} say yes and no of one split each, and are not read; one '
                'column with the names of splits is (split.column).'
            ]
        elif folds:
            said = [_of_folds(folds[0], words[folds[0]])]
    said += [f'split: {name!r} says yes of most images: whether they are usable? It is not read.' for name in usable]
    about = {named, *in_one, *folds, *unread, *usable}
    return Splits(block, tuple(said), frozenset(about - {''}), frozenset(of_words))


def _by_words(name: str, words: set[str]) -> tuple[str | dict[str, Any], list[str]]:
    """The split by a column of words for splits, and what is to be said of it."""
    known, said = table_of(SPLIT_NAMES), {canonical(word) for word in words}
    blank = said & {canonical(word) for word in NOTHING}
    if 'train' not in {known.get(word) for word in said} and said & DEVELOPMENT and not blank:
        values = dict[str, tuple[str, ...]]()
        for word in sorted(words):
            split = 'train' if canonical(word) in DEVELOPMENT else known[canonical(word)]
            values[split] = (*values.get(split, ()), word)
        what = f'split: {some(values["train"], NAMED)} of {name!r} is taken for train, as no word says that'
        return {'column': name, 'values': values}, [f'{what}.']
    sentences = [] if CALLED.search(name) else [f'split: the column {name!r}, which has the words of splits.']
    if 'train' in {known.get(word) for word in said} or not blank:
        return name, sentences
    of_blank = f'split: no cell of {name!r} says train, and the blank ones are taken for it.'
    return {'column': name, 'others': 'train'}, [*sentences, of_blank]


def _not_words(name: str, words: set[str]) -> str:
    return (
        f'split: the column {name!r} has {some(sorted(words), NAMED)}, not all words for splits, and is not read; '
        f"split = {{'column': {name!r}, 'values': {{'train': ..., 'test': ...}}}} says what they mean."
    )


def _of_one(name: str, word: str) -> tuple[dict[str, Any], list[str]]:
    """The split by a column that says yes and no of one, which `word` is for: train, or else test."""
    of = table_of(SPLIT_NAMES)[canonical(word)]
    values = {of: TRUE, 'test' if of == 'train' else 'train': FALSE}
    said = f'split: the column {name!r} of zeros and ones, by its name: {of}, and the rest.'
    return {'column': name, 'values': values}, [said]


def _of_folds(name: str, words: set[str]) -> str:
    test, validation, *train = sorted((one for one in words if canonical(one) not in NOTHING), key=number)
    values = {'test': test, 'validation': validation, 'train': tuple(train)}
    what = f'split: the column {name!r} has numbers of folds and is not read'
    return f"{what}; split = {{'column': {name!r}, 'values': {values}}} takes such."


def _are_splits(words: set[str]) -> bool:
    known = table_of(SPLIT_NAMES)
    return bool(words) and all(canonical(word) in known for word in words if canonical(word) not in NOTHING)


def _are_several(words: set[str]) -> bool:
    """Whether they are words of more than one split."""
    known = table_of(SPLIT_NAMES)
    return len({known.get(canonical(word)) for word in words} - {None}) > 1


def _within(words: set[str]) -> dict[str, tuple[str, ...]]:
    """{a split: words} of words that each have one word for a split in them, as test_internal; {} of others."""
    meant = _meant(words)
    every = sum(canonical(word) not in NOTHING for word in words)
    return meant if len(meant) > 1 and sum(map(len, meant.values())) == every else {}


def _meant(words: set[str]) -> dict[str, tuple[str, ...]]:
    """{a split: those of the words that have one word for a split in them}."""
    known, meant = table_of(SPLIT_NAMES), dict[str, tuple[str, ...]]()
    for word in sorted(word for word in words if canonical(word) not in NOTHING):
        found = {known[part] for part in map(canonical, PARTS.split(word)) if part in known}
        if len(found) == 1:
            (split,) = found
            meant[split] = (*meant.get(split, ()), word)
    return meant


def _are_folds(words: set[str]) -> bool:
    """Whether they are whole numbers, few and more than two."""
    numbers = [number(word) for word in words if canonical(word) not in NOTHING]
    return 2 < len(numbers) <= MOST_FOLDS and all(np.isfinite(one) and one.is_integer() for one in numbers)


def split_of_name(file: str) -> str:
    """The split that the name of a file speaks of, or else the nearest folder of it that does; '' if none."""
    names = table_of(SPLIT_NAMES)
    for part in reversed(file.split('/')):
        words = [OF_DATA.sub('', word) for word in re.split(r'[^A-Za-z]+', part)]
        if found := next((names[canonical(word)] for word in words if canonical(word) in names), ''):
            return found
    return ''
