"""What the columns of an unknown table may be, by their names and by what stands in them."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader import box_columns
from imbalance_jax.data.reader.class_columns import MOST_CLASSES, NAMES, Names, are_flags, names_of
from imbalance_jax.data.reader.layout import FALSE, NOTHING, TRUE
from imbalance_jax.data.reader.rows import Rows
from imbalance_jax.data.reader.spelling import canonical, number
from imbalance_jax.data.reader.split_columns import Splits, splits_of

# Who a row is of, the surest first; the last are so only where they repeat.
WHO = (
    'patient|pat|pt|pid|ptid|mrn|empi|usubjid|chart|nhs|(medical|health)[ _-]?record|center[ _-]?patient|'
    'hospital(?=[ _-]?(unit[ _-]?)?(number|no|num|nr))([ _-]?unit)?',
    'subject|subj|person|participant|individual|donor',
    'client|member',
    'lesion',
    'case',
    'study|exam',
)
BEFORE = '((src|bcr|deid|de-?identified|anon|anonymi[sz]ed|anonymous|pseudo|unique|dicom|original|orig|id)[ _-]?)?'
AFTER = (
    '([ _-]?(id|ids|u?uid|guid|sk|hash|ref|barcode|submitter[ _-]?id|number|num|nummer|numero|no|nr|name|key|code|anon|'
    'index|idx)[.]?)?s?( ?[(].*[)])?'
)
PATIENT = [re.compile(pattern, re.I) for pattern in (*(f'^{BEFORE}({who}){AFTER}$' for who in WHO), '^id$')]
SURE = 5  # so many of them
LEAST_SURE = 2  # and so many that may be names; a lesion, a case or a study is a number, and else a kind of it
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
    'age': re.compile('^(patient)?[ _-]?age(s|bands?|groups?|ranges?)?(?![a-z])', re.I),
    'view': re.compile('(?<!re)(?<!pre)(?<!inter)(?<!over)view(?!er|ed|ing)|projection', re.I),
    'device': re.compile(
        'device|manufacturer|scanner|^site$|hospital|(?<![xyz][ _-])(?<![xyz])cent(re|er)(?![ _-]?[xyz](?![a-z]))', re.I
    ),
}
CALLED_SO = re.compile('([ _-]?(id|code|name|type|position|number|no))?s?$', re.I)  # behind a word for a group
IN_OTHER_UNITS = re.compile('month|week|day|hour|minute', re.I)  # of an age
IN_STEPS = re.compile('decade|group|band|range|class|categor|code|bin', re.I)
# What somebody or something says that is not the truth.
SAID = re.compile(
    '(?<![a-z])(pred(icted|ictions?|s)?|ai|models?|networks?|cnn|algorithms?|auto(matic(ally)?)?|computer|labell?er|rater|'
    'annotator)(?![a-z])',
    re.I,
)
PREDICTED = re.compile('(?<![a-z])pred(icted|ictions?|s)?(?![a-z])', re.I)
CODE = re.compile('[^\\W0-9_].*[0-9]')  # a letter, and a number behind it
FEW_NAMES, FEW_NUMBERS, SHORT = 12, 6, 40  # of a column that nothing calls one of classes; letters of a name
FEW_OF_EACH = 4  # images of a number that only counts within somebody
BODY = {'head', 'neck', 'face', 'scalp', 'trunk', 'torso', 'chest', 'abdomen', 'back', 'arm', 'hand', 'leg', 'foot'}
BODY |= {'extremity', 'extremities', 'palms', 'soles', 'knee', 'hip', 'shoulder', 'breast', 'left', 'right'}  # of sites
MOST_GROUPS = 12
NEARLY, MOST_SHOWN = 0.7, 4  # share of cells that say yes or no, in a column of such; words that are shown


class Kinds(NamedTuple):
    """Names of columns, '' or empty where there is none.

    labels: of zeros and ones; names: of classes, separator: between them; exclusive: one class per row; said: which
    names there are; concept: of names that are no labels; box, form, fraction: of a box, the form '' where nothing
    says it; segmentation: of COCO's shapes; others: {columns that may be classes, too: some of what they say}
    """

    patient: str
    split: Splits
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


def kinds_of(rows: Rows, image: str, *, nameless: bool = False) -> Kinds:
    """What each column may be; image: the one that names the image; nameless: whether columns have no names of their
    own, so that what stands in them is all that there is."""
    texts = {name: values for name, values in rows.columns.items() if name != image}
    words = {name: set(map(str, values)) for name, values in texts.items()}
    splits = splits_of(words, {name for name, said in words.items() if are_flags(said) and _is_mostly_yes(texts[name])})
    others_than_splits = {name: said for name, said in words.items() if name not in splits.of_words}
    patient = _patient(others_than_splits, set(map(str, rows.columns[image])))
    box, form = box_columns.box_of(rows)
    taken = {patient, *splits.columns, *box, *filter(_is_bookkeeping, texts)}
    groups = _groups({name: values for name, values in words.items() if name not in taken})
    taken |= {one if isinstance(one, str) else one['column'] for one in groups.values()}
    taken |= {name for name in texts if GROUPS['sex'].search(name.strip())}
    yes_no = [name for name in texts if name not in taken and are_flags(words[name])]
    # A yes in all rows tells nothing of any, and what a network predicts nothing that is known.
    flags = [name for name in yes_no if len(words[name]) > 1 and not PREDICTED.search(name)]
    named = names_of({name: values for name, values in texts.items() if name not in taken}, nameless=nameless)
    answers = [one for one in named if SAID.search(one.column)]
    named = [one for one in named if one not in answers]
    labels, names = _chosen(flags, named)
    others = {one.column: one.found for one in named if one != names and one.column not in labels}
    others |= {name: () for name in flags if name not in labels and name not in others}
    others |= {name: tuple(words[name]) for name in yes_no if name not in flags}
    others |= {one.column: one.found for one in answers if one.column not in labels}
    left = [name for name in texts if name not in {*taken, *labels, *others, names.column}]
    others |= {name: shown for name in left if (shown := _may_be_answers(texts[name]))}
    if not labels and not names.column:
        may_be = names_of({name: texts[name] for name in left if name not in others}, nameless=True)
        others |= {one.column: one.found for one in may_be if _are_few_names(one.found)}
    one_each = names.exclusive
    if len(labels) > 2:
        yes = {canonical(word) for word in TRUE}
        positive = np.array([[canonical(str(t)) in yes for t in texts[name]] for name in labels])
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
    of_classes = labels, names.column, names.separator, one_each, names.found, concept
    return Kinds(patient, splits, groups, *of_classes, box, form, fraction, shape, others)


def are_signs(columns: Iterable[Iterable[str]]) -> bool:
    """Whether columns have 1 and -1 and nothing else, so that -1 is a no."""
    return {canonical(str(text)) for column in columns for text in column} == {'1', '-1'}


def _may_be_answers(values: np.ndarray) -> tuple[str, ...]:
    """What a column says that may be a yes or a no, in two or three words, or but for a few cells; () of any other."""
    if any(isinstance(value, (list, dict)) or str(value).lstrip()[:1] in ('[', '{') for value in values):
        return ()
    said = Counter(str(value).strip() for value in values if canonical(str(value)) not in NOTHING)
    answers = {*map(canonical, (*TRUE, *FALSE))}
    known = sum(count for text, count in said.items() if canonical(text) in answers)
    few = len(said) <= 3 and said.total() >= 3 * len(said) and (len(said) > 1 or said.total() < len(values))
    return tuple(said)[:MOST_SHOWN] if (said and few) or (len(said) > 1 and known >= NEARLY * said.total()) else ()


def _are_few_names(found: Collection[str]) -> bool:
    """Whether names may be classes though nothing calls them so: few, short ones, and no codes."""
    most = FEW_NUMBERS if all(np.isfinite(number(name)) for name in found) else FEW_NAMES
    return len(found) <= most and max(map(len, found)) <= SHORT and not all(map(CODE.search, found))


def _is_mostly_yes(values: np.ndarray) -> bool:
    """Whether most cells say yes."""
    yes = {canonical(word) for word in TRUE}
    return 2 * sum(canonical(str(value)) in yes for value in values) > len(values)


def surer_patient(one: str, other: str) -> bool:
    """Whether a column is called as patients are more surely than another: as a patient, and not as a study."""

    def rank(name: str) -> int:
        return next((k for k, pattern in enumerate(PATIENT) if pattern.match(name.strip())), len(PATIENT))

    return rank(one) < rank(other)


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
            if number_of >= LEAST_SURE and _count_within(said, len(images)):
                continue
            if pattern.match(name.strip()) and len(said) > 2 and repeats and numbered and not are_flags(said):
                return name
    return ''


def _count_within(words: set[str], images: int) -> bool:
    """Whether they are 1, 2, 3 and so on, each of many images, as what counts the lesions or studies of a person."""
    numbers = sorted(number(word) for word in words)
    return numbers == [*range(1, len(numbers) + 1)] and FEW_OF_EACH * len(numbers) <= images


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
    alike = {re.sub('[0-9]+', '', name) for name in told}
    return (told if len(alike) == 1 else told[:1]) or tuple(flags), none  # grade1, grade2 ... are classes of one


def _groups(words: dict[str, set[str]]) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for grouping, pattern in GROUPS.items():
        name = next((one for one in words if _is_group(one, pattern, words[one], grouping)), None)
        if name is None:
            continue
        if grouping == 'age':
            if rule := _ages(name, words[name]):
                groups['age'] = rule
        elif grouping == 'sex' and (found := re.search('(fe)?male$', name.strip(), re.I)) and are_flags(words[name]):
            yes, no = ('female', 'male') if found[1] else ('male', 'female')
            groups['sex'] = {'column': name, 'values': {yes: TRUE, no: FALSE}}
        elif len(words[name]) <= MOST_GROUPS:
            of_body = any(BODY & set(re.split('[^a-z]+', word.lower())) for word in words[name])
            groups['site' if of_body and grouping == 'device' else grouping] = name
    return groups


def _is_group(name: str, pattern: re.Pattern[str], words: set[str], grouping: str) -> bool:
    """Whether a column is called as a grouping is; one of yes and no, which may be a class, by nothing else."""
    found = pattern.search(name.strip())
    whole = found is not None and found.start() == 0 and bool(CALLED_SO.match(name.strip(), found.end()))
    return found is not None and (whole or grouping == 'sex' or not are_flags(words))


def _ages(name: str, words: set[str]) -> str | dict[str, Any]:
    """The grouping by a column that is called as ages are: in bands of years, or by what it says; '' of other units."""
    in_years = any(np.isfinite(number(word.rstrip('YyMm'))) for word in words)
    if IN_OTHER_UNITS.search(name) or not in_years:
        return ''
    return name if IN_STEPS.search(name) else {'column': name, 'bands': (40, 60)}
