"""What the columns of an unknown table may be, by their names and by what stands in them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader import box_columns
from imbalance_jax.data.reader.layout import FALSE, NOTHING, SPLIT_NAMES, TRUE, UNSURE
from imbalance_jax.data.reader.people import UNKNOWN
from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import canonical, names_in, number, table_of

# Who a row is of, the surest first; the last are so only where they repeat.
WHO = 'patient|pat|pid|mrn|empi', 'subject|subj|person|participant|individual|donor', 'lesion', 'case', 'study|exam'
BEFORE = '((deid|de-?identified|anon|anonymi[sz]ed|anonymous|pseudo|unique|dicom|original|orig)[ _-]?)?'
AFTER = '([ _-]?(id|ids|uid|number|num|no|nr|name|key|code|anon))?s?'
PATIENT = [re.compile(pattern, re.I) for pattern in (*(f'^{BEFORE}({who}){AFTER}$' for who in WHO), '^id$')]
SURE = 4  # so many of them
LEAST_SURE = 2  # and so many that may be names; a lesion, a case or a study is a number, and else a kind of it
SPLIT = re.compile('split|subset|partition|fold|^set$|phase', re.I)
# Names of columns of classes, the surest first; the last may have such a word anywhere.
OF_WHAT = '((final|image|main|primary|overall|dr|retinopathy|lesion|tumou?r)[ _-])?'
NAMES = (
    re.compile(f'^{OF_WHAT}(diagnos(is|tic|tics|e|es)|dx)$', re.I),
    re.compile(
        f'^{OF_WHAT}((label|class|finding|disease|category|condition|pathology|target)'
        '([ _-]?(label|name|categorie)s?)?|labels|classes|findings|diseases|categories|conditions|pathologies|targets|'
        '(lesion|tumou?r|cell)[ _-]?type)$',
        re.I,
    ),
    re.compile(f'^{OF_WHAT}(level|grade|severity|stage|bi-?rads)s?$', re.I),
    re.compile(
        '^(?!.*(quality|education|income|noise)).*(?<![a-z])(grade|severity|stage|bi-?rads|dr[ _-]?level)s?(?![a-z])',
        re.I,
    ),
    re.compile('label|class|diagnos|finding|target|patholog|categor|disease|condition|^dx$', re.I),
)
GRADES = NAMES[2:4]
# Of what a box is of, beside one.
OF_BOX = re.compile(
    '^(type|name|object|lesion|cls|abnormality|annotation|tag|observation|structure|organ|concept|entity)s?'
    '([ _-]?(type|name))?$',
    re.I,
)
# Letters of columns that say how a file was written, and nothing of the image.
BOOKKEEPING = {'license', 'licence', 'flickrurl', 'cocourl', 'url', 'datecaptured', 'filesize', 'iscrowd', 'crowd'}
BOOKKEEPING |= {'regionid', 'fileattributes', 'regionattributes', 'regionshapeattributes', 'ignore'}
BOOKKEEPING |= {'area', 'height', 'width', 'imageheight', 'imagewidth', 'depth', 'rows', 'columns', 'index', 'unnamed'}
BOOKKEEPING |= {'difficult', 'truncated', 'occluded', 'pose', 'segmented', 'id', ''}
GROUPS = {
    'sex': re.compile('^(patient)?[ _-]?(sex|gender)(?!ual)|^(is[ _-]?)?(fe)?male$', re.I),
    'age': re.compile('^(patient)?[ _-]?age', re.I),
    'view': re.compile('(?<!re)(?<!pre)(?<!inter)(?<!over)view(?!er|ed|ing)|projection', re.I),
    'device': re.compile('device|manufacturer|scanner|^site$|hospital|centre|center', re.I),
}
BODY = {'head', 'neck', 'face', 'scalp', 'trunk', 'torso', 'chest', 'abdomen', 'back', 'arm', 'hand', 'leg', 'foot'}
BODY |= {'extremity', 'extremities', 'palms', 'soles', 'knee', 'hip', 'shoulder', 'breast', 'left', 'right'}  # of sites
SEPARATORS = ('|', ';', ',')
BETWEEN_NAMES = (',', '/', '+', '&')  # that may be within a name, too
MOST_CLASSES = 60  # names in a column of classes
MOST_GROUPS = 12
FEW_BLANK = 0.1  # share of the cells of a column of classes: of images whose class is not known
NEARLY, MOST_SHOWN = 0.8, 4  # share of cells that say yes or no, in a column of such; words that are shown
GAP = 2  # between numbers of classes, of which none is there
LONGEST = 80  # letters of a class; what is longer is a report


class Kinds(NamedTuple):
    """Names of columns, '' or empty where there is none.

    labels: of zeros and ones; names: of classes, separator: between them; exclusive: one class per row; said: which
    names there are; concept: of names that are no labels; box, form, fraction: of a box, the form '' where nothing
    says it; segmentation: of COCO's shapes; others: {columns that may be classes, too: some of what they say}
    """

    patient: str
    split: str
    groups: dict[str, Any]
    labels: tuple[str, ...]
    names: str
    separator: str
    exclusive: bool
    said: tuple[str, ...]
    concept: str
    box: tuple[str, ...]
    form: str
    fraction: bool
    segmentation: str
    others: dict[str, tuple[str, ...]]


class Names(NamedTuple):
    """A column of names of classes. separator: between them; exclusive: one per row; found: which there are."""

    column: str
    separator: str
    exclusive: bool
    found: tuple[str, ...]


def kinds_of(rows: Rows, image: str, *, nameless: bool = False) -> Kinds:
    """What each column may be; image: the one that names the image; nameless: whether columns have no names of their
    own, so that what stands in them is all that there is."""
    texts = {name: values for name, values in rows.columns.items() if name != image}
    words = {name: set(map(str, values)) for name, values in texts.items()}
    of_splits = [name for name in texts if _are_splits(words[name])]
    others_than_splits = {name: said for name, said in words.items() if name not in of_splits}
    patient = _patient(others_than_splits, set(map(str, rows.columns[image])))
    split = next((name for name in of_splits if SPLIT.search(name)), '')
    split = split or next((name for name in of_splits if _are_several_splits(words[name])), '')
    box, form = box_columns.box_of(rows)
    taken = {patient, split, *box, *filter(_is_bookkeeping, texts)}
    groups = _groups({name: values for name, values in words.items() if name not in taken})
    taken |= {one if isinstance(one, str) else one['column'] for one in groups.values()}
    taken |= {name for name in texts if GROUPS['sex'].search(name.strip())}
    flags = [name for name in texts if name not in taken and _are_flags(words[name])]
    named = _names({name: values for name, values in texts.items() if name not in taken}, nameless=nameless)
    labels, names = _chosen(flags, named)
    others = {one.column: one.found for one in named if one != names and one.column not in labels}
    others |= {name: () for name in flags if name not in labels and name not in others}
    left = [name for name in texts if name not in {*taken, *labels, *others, names.column}]
    others |= {name: answers for name in left if (answers := _may_be_answers(texts[name]))}
    one_each = names.exclusive
    if len(labels) > 2:
        positive = np.array([[canonical(str(t)) == '1' for t in texts[name]] for name in labels])
        one_each = bool((positive.sum(0) == 1).all())
    concept = next((one.column for one in named if one.column not in labels), '')
    concept = concept or next((name for name in texts if NAMES[-1].search(name) and name not in (*taken, *labels)), '')
    shape = 'segmentation' if 'segmentation' in texts and 'bbox' in texts else ''
    if shape and not any(isinstance(one, (list, dict)) and one for one in texts[shape]):
        shape = ''
    if not box and not shape and {'bbox', 'segmentation', 'category'} <= texts.keys() and any(texts['bbox']):
        box = ('bbox',)
    if not box and not shape:
        of_one, form = box_columns.box_in_one(rows)
        box = (of_one,) if of_one else ()
        form = form if of_one else 'xywh'
    if box and not concept:
        free = [name for name in texts if name not in (*taken, *labels, *box) and OF_BOX.search(name.strip())]
        concept = next((name for name in free if 1 < len(words[name]) <= MOST_CLASSES), '')
    fraction = bool(box) and box_columns.largest(rows, box) <= 1
    said = labels, names.column, names.separator, one_each, names.found, concept
    return Kinds(patient, split, groups, *said, box, form, fraction, shape, others)


def is_grade(name: str, words: Iterable[str]) -> bool:
    """Whether a column is called as grades are and has whole numbers of one digit, more than two."""
    said = {canonical(word) for word in words} - {canonical(word) for word in NOTHING}
    called = any(pattern.search(name.strip()) for pattern in GRADES)
    return called and len(said) > 2 and all(re.fullmatch('[0-9]', one) for one in said)


def not_known(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names of classes that say that it is not known."""
    return tuple(name for name in names if UNKNOWN.fullmatch(name.strip().casefold()) or name.casefold() in UNSURE[1:])


def apart(names: Iterable[str]) -> tuple[str, ...]:
    """Whole numbers among names of classes, all numbers, that lie apart from the run of the others: below 0, or after
    a gap, as 9 after 0 to 3; () without such a run."""
    values = {name: number(name) for name in names}
    if len(values) < 3 or not all(np.isfinite(value) and value.is_integer() for value in values.values()):
        return ()
    ascending = sorted(value for value in values.values() if value >= 0)
    ends = [low for low, high in pairwise(ascending) if high - low > GAP]
    last = ends[0] if ends else np.inf
    return tuple(name for name, value in values.items() if value < 0 or value > last)


def are_signs(columns: Iterable[Iterable[str]]) -> bool:
    """Whether columns have 1 and -1 and nothing else, so that -1 is a no."""
    return {canonical(str(text)) for column in columns for text in column} == {'1', '-1'}


def _are_splits(words: set[str]) -> bool:
    known = table_of(SPLIT_NAMES)
    return bool(words) and all(canonical(word) in known for word in words if canonical(word) not in NOTHING)


def _are_several_splits(words: set[str]) -> bool:
    """Whether they are words of more than one split."""
    known = table_of(SPLIT_NAMES)
    return len({known.get(canonical(word)) for word in words} - {None}) > 1


def _are_flags(words: set[str]) -> bool:
    """Whether a column says yes and no: of zeros and ones, or words, with both or only one of them."""
    said = {canonical(word) for word in words} - {canonical(word) for word in NOTHING}
    known = {canonical(word) for word in (*TRUE, *FALSE, *UNSURE)}
    return bool(said) and said <= known and bool(said & {canonical(word) for word in TRUE})


def _may_be_answers(values: np.ndarray) -> tuple[str, ...]:
    """What a column says that may be a yes or a no, in two or three words, or but for a few cells; () of any other."""
    if any(isinstance(value, (list, dict)) or str(value).lstrip()[:1] in ('[', '{') for value in values):
        return ()
    said = Counter(str(value).strip() for value in values if canonical(str(value)) not in NOTHING)
    answers = {*map(canonical, (*TRUE, *FALSE))}
    known = sum(count for text, count in said.items() if canonical(text) in answers)
    few = len(said) <= 3 and said.total() >= 3 * len(said) and (len(said) > 1 or said.total() < len(values))
    return tuple(said)[:MOST_SHOWN] if (said and few) or (len(said) > 1 and known >= NEARLY * said.total()) else ()


def _is_bookkeeping(name: str) -> bool:
    letters = re.sub('[^a-z]', '', name.lower())
    return letters.endswith('count') or (letters in BOOKKEEPING and bool(letters or not name.strip()))


def _patient(words: dict[str, set[str]], images: set[str]) -> str:
    """The column that says who a row is of, '' if none: by its name, and 'id', studies and cases if they repeat."""
    for number_of, pattern in enumerate(PATIENT):
        for name, values in words.items():
            said = {word for word in values if canonical(word) not in NOTHING}
            repeats = number_of < SURE or len(said) < len(images)
            numbered = number_of < LEAST_SURE or all(re.search('[0-9]', word) for word in said)
            if pattern.match(name.strip()) and len(said) > 2 and repeats and numbered and not _are_flags(said):
                return name
    return ''


def _names(texts: dict[str, np.ndarray], *, nameless: bool) -> list[Names]:
    """The columns of names of classes, the surest first; of equal ones words before numbers. Without names of their own
    those of few different words, or whole numbers, may be some."""
    ranked = []
    for name, values in texts.items():
        rank = next((number for number, pattern in enumerate(NAMES) if pattern.search(name.strip())), len(NAMES))
        if (rank < len(NAMES) or (nameless and _repeat(values))) and (found := _names_of(name, values)):
            counted = all(np.isfinite(number(one)) for one in found.found)
            ranked.append(((rank, counted), found))
    return [found for _, found in sorted(ranked, key=lambda one: one[0])]


def _repeat(values: np.ndarray) -> bool:
    """Whether a column has few different words or whole numbers."""
    said = {canonical(str(value)) for value in values}
    numbers = [number(one) for one in said]
    whole = all(value.is_integer() for value in numbers if np.isfinite(value))
    return whole and len(said) <= MOST_CLASSES and 2 * len(said) <= len(values)


def _names_of(name: str, values: np.ndarray) -> Names | None:
    """What a column of names of classes is, None if it is none."""
    cells = [str(value) for value in values if str(value).strip()]
    if any(isinstance(value, dict) for value in values):
        return None
    if any(isinstance(value, list) for value in values) or (cells and all(cell.startswith('[') for cell in cells)):
        try:
            found = {one for value in values for one in names_in(value, 'list', name)}
        except ValueError:
            return None
        return Names(name, 'list', False, tuple(sorted(found))) if 1 < len(found) <= MOST_CLASSES else None
    if are_several := next((one for one in BETWEEN_NAMES if _are_joined(cells, one)), ''):
        every = {one for cell in cells for one in names_in(cell, are_several, name)}
        return Names(name, are_several, False, tuple(sorted(every))) if 1 < len(every) <= MOST_CLASSES else None
    for separator in ('', *SEPARATORS):
        found = {one for cell in cells for one in names_in(cell, separator, name)}
        several = any(separator and separator in cell for cell in cells)
        if 1 < len(found) <= MOST_CLASSES and (several or not any(s in cell for cell in cells for s in '|;')):
            if max(map(len, found)) > LONGEST:
                return None
            whole = len(values) - len(cells) <= FEW_BLANK * len(values) or is_grade(name, found)
            return Names(name, separator, not several and whole, tuple(sorted(found)))
    return None


def _are_joined(cells: Sequence[str], separator: str) -> bool:
    """Whether cells are several names with that between them: most of their parts stand alone in other cells, or beside
    another part."""
    whole = {cell.strip() for cell in cells}
    parts = [{part.strip() for part in cell.split(separator)} for cell in whole if separator in cell]
    count = Counter(part for of_cell in parts for part in of_cell)
    known = sum(part in whole or number > 1 for part, number in count.items())
    return bool(count) and '' not in count and 3 * known >= 2 * len(count) and any(part in whole for part in count)


def _chosen(flags: Sequence[str], named: Sequence[Names]) -> tuple[tuple[str, ...], Names]:
    """The columns of labels: flags, or one of names. Flags beside a diagnosis are answers, unless they are called as
    what it says."""
    none = Names('', '', False, ())
    sure = [one for one in named if any(pattern.search(one.column.strip()) for pattern in NAMES[:-1])]
    words = [one for one in sure if one.column not in flags]
    if not flags:
        return (), (words or list(named) or [none])[0]
    if words:
        known = {canonical(one) for one in words[0].found}
        called = tuple(name for name in flags if canonical(name) in known)
        if 2 * len(called) >= len(known):
            return called, none
        return (), words[0]
    told = tuple(one.column for one in sure)
    return told[:1] or tuple(flags), none


def _groups(words: dict[str, set[str]]) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for grouping, pattern in GROUPS.items():
        name = next((one for one in words if pattern.search(one.strip())), None)
        if name is None:
            continue
        if grouping == 'age':
            if any(np.isfinite(number(word.rstrip('YyMm'))) for word in words[name]):
                groups['age'] = {'column': name, 'bands': (40, 60)}
        elif grouping == 'sex' and (found := re.search('(fe)?male$', name.strip(), re.I)) and _are_flags(words[name]):
            yes, no = ('female', 'male') if found[1] else ('male', 'female')
            groups['sex'] = {'column': name, 'values': {yes: TRUE, no: FALSE}}
        elif len(words[name]) <= MOST_GROUPS:
            of_body = any(BODY & set(re.split('[^a-z]+', word.lower())) for word in words[name])
            groups['site' if of_body and grouping == 'device' else grouping] = name
    return groups
