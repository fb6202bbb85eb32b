"""What `data guess` proposes of the columns of labels that a table has."""

import re
from collections.abc import Sequence
from typing import Any

from imbalance_jax.data.reader.class_columns import apart, are_flags, is_grade, not_known
from imbalance_jax.data.reader.columns import Kinds, are_signs
from imbalance_jax.data.reader.guess_tables import Read
from imbalance_jax.data.reader.layout import NO_FINDING, NOTHING
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.data.reader.spelling import canonical
from imbalance_jax.names import some

READERS = re.compile(
    '(reader|rater|annotator|radiologist|grader|observer|labell?er|reviewer|doctor|physician|pathologist|expert)(?![a-z])'
    '|(?<![a-z])rad[ _-]?id',
    re.I,
)
MOST_READERS = 40


def propose(main: Read, block: dict[str, Any], unsure: list[str]) -> None:
    """Labels and the task, by the columns of a table."""
    kinds = main.kinds
    unsure.extend(_of_readers(main))
    of_others(kinds, unsure)
    if kinds.labels:
        block['labels'] = {'columns': kinds.labels}
        count = len(kinds.labels)
        what = 'the column' if count == 1 else f'{count} columns'
        signs = are_signs(main.rows.columns[name] for name in kinds.labels)
        if signs:
            block['labels'] |= {'absent': ('-1',), 'uncertain': ()}
        of = '1 and -1, which is taken for the no' if signs else 'zeros and ones'
        unsure.append(f'labels: {what} of {of}, {some(kinds.labels, NAMED)}; leave out what is no class.')
        if kinds.exclusive and _is_of_one_row(main, kinds.labels):
            block['task'] = 'multi_class'
            unsure.append('task: every row has exactly one label, so classes are taken to exclude one another.')
    elif kinds.names:
        block['labels'] = {'column': kinds.names} | ({'separator': kinds.separator} if kinds.separator else {})
        none = () if kinds.exclusive else {canonical(word) for word in (*NO_FINDING, *NOTHING)}
        if unknown := tuple(one for one in not_known(kinds.said) if canonical(one) not in none):
            unsure.append(
                f'labels: {some(unknown, NAMED)} of {kinds.names!r} counts as a class; labels.none = {unknown!r} would '
                'make it none.'
            )
        unsure.extend(_of_blanks(main))
        unsure.extend(_of_answers(main))
        codes = apart(kinds.said)
        if codes:
            unsure.append(
                f'labels: {some(codes, NAMED)} of {kinds.names!r} lies apart from the other numbers and counts as a '
                f'class; if it stands for what is not known, labels.not_mentioned = {("", *codes)!r} takes it.'
            )
        if kinds.exclusive and _is_of_one_row(main, [kinds.names]):
            block['task'] = 'multi_class'
            block['labels']['none'] = ()
            texts = {canonical(text) for text in map(str, main.rows.columns[kinds.names])}
            if words := [word for word in NOTHING if word and canonical(word) in texts]:
                block['labels']['not_mentioned'] = tuple(word for word in NOTHING if word not in words)
                unsure.append(f'labels: {some(words, NAMED)} counts as a class (labels.not_mentioned).')
            unsure.append(f'task: {kinds.names!r} has one name per row, so classes are taken to exclude one another.')
            if not codes and is_grade(kinds.names, map(str, main.rows.columns[kinds.names])):
                block['ordinal'] = True
                unsure.append(f'ordinal: {kinds.names!r} has whole numbers, by its name grades in their order.')


def of_others(kinds: Kinds, unsure: list[str], file: str = '') -> None:
    """A sentence about columns that may be classes, too. file: of a table that is joined."""
    if kinds.others:
        said = [f'{name!r}{f" ({some(found, 3)})" if found else ""}' for name, found in kinds.others.items()]
        of_file = f' of {file}' if file else ''
        sentence = f'labels: other columns{of_file} that may be classes: {some(said, NAMED)}.'
        unsure.extend([sentence] if sentence not in unsure else [])


def _of_blanks(main: Read) -> list[str]:
    """A sentence about blank cells of a column that has at most one name per row otherwise."""
    kinds, cells = main.kinds, main.rows.columns[main.kinds.names]
    blank = sum(not str(cell).strip() for cell in cells)
    if not blank or kinds.separator or kinds.box or kinds.segmentation:  # of rows of boxes some are of images without
        return []
    became = 'the class of such an image is not known' if kinds.exclusive else 'such an image has none of the classes'
    task = '' if kinds.exclusive else ", and classes may come together; if none does, set task = 'multi_class'"
    return [f'labels: {blank} of {len(cells)} cells of {kinds.names!r} are blank: {became}{task}.']


def _of_answers(main: Read) -> list[str]:
    """A sentence about a column of yes and no beside one of names, of a table with a row for each image and name."""
    columns, kinds = main.rows.columns, main.kinds
    pairs = [*zip(map(str, columns[main.column]), map(str, columns[kinds.names]), strict=True)]
    if len(pairs) == main.images or len({*pairs}) < len(pairs):
        return []
    said = {name: set(map(str, columns[name])) for name in kinds.others}
    told = [name for name, texts in said.items() if are_flags(texts) and len(texts) > 1]
    if not told:
        return []
    every = f'every row counts as a yes to its {kinds.names!r}, whatever {told[0]!r} says'
    return [f'labels: {every}; if that is the answer, a table with a column for each finding is read (pandas: pivot).']


def _of_readers(main: Read) -> list[str]:
    """Sentences about columns that seem to say who read an image, of a table with several rows for one."""
    called = filter(READERS.search, main.rows.columns)
    count = {name: len({*map(str, main.rows.columns[name])} - {''}) for name in called}
    several = len(main.rows) > main.images
    became = 'what readers say otherwise of it is left out' if main.kinds.labels else 'it has what any reader says'
    return [
        f'labels: {name!r} seems to say who read an image, and {became}: labels.reader = {name!r} keeps readers apart, '
        'and a policy decides between them.'
        for name, number in count.items()
        if several and 1 < number <= MOST_READERS
    ]


def _is_of_one_row(main: Read, labels: Sequence[str]) -> bool:
    """Whether all rows of an image say the same of it, so that it may be of one class."""
    said: dict[str, tuple[str, ...]] = {}
    columns = [main.rows.columns[name] for name in labels]
    rows = zip(main.rows.columns[main.column], *columns, strict=True)
    return all(
        said.setdefault(str(name), texts) == texts for name, *of_row in rows for texts in [tuple(map(str, of_row))]
    )
