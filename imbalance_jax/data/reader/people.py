"""Whose images these are."""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.reader.layout import NOTHING, Patient
from imbalance_jax.data.reader.rows import NAMED, PATH, Found, Rows
from imbalance_jax.data.reader.spelling import first_group, one_form, plain_key
from imbalance_jax.names import some

NUMBER = re.compile('[0-9]+')
BEFORE_DIGITS = re.compile('(?<=[a-z])[-_.]+(?=[0-9])')
AROUND = re.compile(r'^[\W_]+|[\W_]+$')
LEADING = re.compile('(?<![0-9])0+(?=[0-9])')  # zeros that a table program drops
# How tables say that something is not known; as one patient, they would be one person, as a group, one of its own.
NOT_KNOWN = (
    'unk(n|nown)?|not (known|available|recorded|given|reported)|missing|undefined|unspecified|unbekannt|inconnue?|'
    'un(label|grad|class)+(l?ed|ified|able)?|undetermined|indeterminate|'
    'desconocid[oa]|n[./]?a[.]?|nat|nil|null|none|tbd|[?]+|-+|#[a-z0/]+[!?]'  # the last of a table program
)
UNKNOWN = re.compile(NOT_KNOWN)
WITHHELD = '(no|without)[ _-]?(id|name|patient)|redacted|withheld|(de-?identifi|delet|remov|mask)ed|hidden|confidential'
NOBODY = re.compile(f'{NOT_KNOWN}|{WITHHELD}|anon(ym|ymous|ymi[sz]ed)?|other|x+|-1|-9+')
COUNTED = re.compile('[ivxlc]+|-[0-9]+')  # people are who are called by such numbers, all of them
ONE_OF_ALL, FEW = 0.5, 5  # more than this share of a set's images is of nobody, where there are so many others
ODD, RARE = 2, 0.05  # so many of all people, or this share, may be called otherwise than the rest are
SOME = 4  # people of one form of names, where there are several
SIDE = re.compile('(?P<who>.*[0-9].*?)[ _.-]*(l|r|left|right|od|os|lt|rt)', re.I)
NEARLY, TWO_SIDED = 0.9, 3  # share of patients who are called so, and those with both sides
LOOKS_LIKE = str.maketrans('oil', '011')  # letters that are taken for digits
NAMELESS = 'image '  # begins the name of a patient whom nothing names


def patients(rows: Rows, first: np.ndarray, names: Sequence[str], patient: Patient, found: Found) -> list[str]:
    """Who each image is of, as text; '' where unknown."""
    if not patient.column and not patient.pattern:
        found.notes.append('Nothing says whose images these are: every image counts as a patient of its own.')
        return [NAMELESS + name for name in names]
    needed = rows.column_of_all if patient.column and patient.unknown == 'left_out' else rows.column
    column = needed(patient.column or PATH, 'patient.column')
    texts, cut = [], {}
    for row, name in zip(first, names, strict=True):
        text = plain(column[row])
        if patient.pattern and text:
            whole, text = text, first_group(patient.pattern, text)
            if text[-1:].isdigit() and any(rest[:1].isdigit() for rest in whole.split(text)[1:]):
                cut[text] = whole
        texts.append(text or (NAMELESS + name if patient.unknown == 'own' else ''))
    if several := [text for text, count in Counter(texts).items() if text in cut and count > 1]:
        what = f'{several[0]!r} of {cut[several[0]]!r}'
        found.doubts.append(f'patient.pattern ends within a number, and may take several people for one: {what}.')
    return texts


def say_alike(patient: Sequence[str], split: np.ndarray, found: Found) -> None:
    """Notes patients who differ in spelling alone, those of different splits first. patient: [N]; split: [N] into
    `SPLITS`."""
    spelt: dict[str, dict[str, int]] = {}
    for text, number_of_split in dict(zip(patient, split.tolist(), strict=True)).items():
        if not text.startswith(NAMELESS):
            spelt.setdefault(_folded(text), {})[text] = number_of_split
    several = [of for of in spelt.values() if len(of) > 1]
    apart = sorted(several, key=lambda of: len(set(of.values())) < 2)
    if apart:
        one, *rest = apart[0].items()
        other = next((pair for pair in rest if pair[1] != one[1]), rest[0])
        two = ' and '.join(f'{text!a} ({SPLITS[number_of_split]})' for text, number_of_split in (one, other))
        more = f'; there are {len(apart) - 1} more such pairs' if len(apart) > 1 else ''
        found.notes.append(f'Patients {two} differ in spelling alone and count as two: are they one person?{more}')


def doubt_additions(patient: Sequence[str], split: np.ndarray, found: Found) -> None:
    """Doubts patients who are called as another is with an addition, such as P07/1 or P07 (new), or with a letter for a
    digit, where hardly anybody else is: P07 and P07_1 of a set of such may be two. patient: [N]; split: [N] into
    `SPLITS`."""
    known = zip(patient, split.tolist(), strict=True)
    of_split = {one: number for one, number in known if one and not one.startswith(NAMELESS)}
    pairs = [*_additions(of_split), *_letters_for_digits(of_split)]
    alone = [one for one in _odd_ones({name: _form(name) for name in of_split}) if one not in dict(pairs)]
    if alone:
        found.notes.append(f'Patients called in another form than nearly all others are: {some(alone, NAMED)}.')
    said = [two for two in pairs if _folded(two[0]) != _folded(two[1]) or of_split[two[0]] == of_split[two[1]]]
    if said:  # `say_alike` says the others
        named = some([f'{one!a} beside {other!a}' for one, other in said], NAMED)
        found.doubts.append(f'Is this one person, called in two ways, who counts as two? {named}.')


def doubt_sides(patient: Sequence[str], found: Found) -> None:
    """Doubts patients of whom nearly all are called as one of two sides, and most as both: eyes or breasts, of which a
    person has two."""
    named = [one for one in dict.fromkeys(patient) if one and not one.startswith(NAMELESS)]
    sides: dict[str, set[str]] = {}
    for one in named:
        if side := SIDE.fullmatch(one):
            sides.setdefault(side['who'].casefold(), set()).add(one)
    both = [sorted(of) for of in sides.values() if len(of) > 1]
    if len(both) >= TWO_SIDED and sum(map(len, sides.values())) >= NEARLY * len(named) and 2 * len(both) >= len(sides):
        first = some([' and '.join(of) for of in both], NAMED)
        found.doubts.append(
            f'Patients are called by sides, {len(both)} of them by both ({first}), and each side counts as a patient '
            'of its own, who may be in another split: patient.pattern takes the part of the name that is the person.'
        )


def _additions(names: Collection[str]) -> list[tuple[str, str]]:
    """Names with a number, of another form than nearly all have, that are one of these with more behind or before it,
    or without its letters; with that one."""
    pairs = []
    odd = set(_odd_ones({name: _form(name) for name in names}))
    lettered = (re.fullmatch('[^\\W0-9]+([0-9]+)', name) for name in names if name not in odd)
    by_number = {match[1]: match[0] for match in lettered if match}  # P007 of the number alone
    for one in sorted(odd):
        signs = list(re.finditer(r'[\W_]', one))
        bases = [*(one[sign.end() :].lstrip() for sign in signs), *(one[: sign.start()].rstrip() for sign in signs)]
        meant = [base for base in bases if base in names and base not in odd and re.search('[0-9]', base)]
        pairs += [(one, meant[-1])] if meant else []
        inner = re.sub(r'^[^\W0-9_]+(?=[0-9]+$)|[\W_]', '', one)  # 806 of ID806 or 8-06
        if not meant and inner in names and inner not in odd:
            pairs.append((one, inner))
        if one in by_number:
            pairs.append((one, by_number[one]))
    for one in _odd_ones({name: NUMBER.sub('9', name.casefold()) for name in names}):  # IDP06 of P06
        longer = (one[start:] for start in range(1, len(one) - 1) if one[:start].isalpha() and one[start:] in names)
        pairs += [(one, other) for other in itertools.islice(longer, 1) if one not in odd]
    return pairs


def _letters_for_digits(names: Collection[str]) -> list[tuple[str, str]]:
    """Names of other letters than nearly all have, that are one of these if an O within is 0, and I or l are 1."""
    odd = _odd_ones({name: NUMBER.sub('9', name.casefold()) for name in names})
    looks = {name.casefold().translate(LOOKS_LIKE): name for name in names if name not in odd}
    pairs = [(one, looks.get(one.casefold().translate(LOOKS_LIKE), '')) for one in odd]
    return [
        (one, other)
        for one, other in pairs
        if other and (one[:1] in 'lIoO' or one[:1].casefold() == other[:1].casefold())
    ]


def _odd_ones(form: Mapping[str, str]) -> list[str]:
    """The few names of other forms than those that many have. form: of each name."""
    usual = {one for one, count in Counter(form.values()).items() if count >= max(SOME, RARE * len(form))}
    odd = [name for name, one in form.items() if one not in usual]
    return odd if len(form) - len(odd) > FEW and len(odd) <= max(ODD, RARE * len(form)) else []


def doubt_nobody(patient: Sequence[str], rule: Patient, found: Found) -> None:
    """Doubts a patient who seems to be nobody: by the name, or as it is unlike all others, or as most images are of the
    one; and notes where nobody has two images."""
    count = Counter(one for one in patient if not one.startswith(NAMELESS))
    most = len(patient) * ONE_OF_ALL if len(count) > FEW else len(patient)
    odd, counted = _odd_one(count), len(count) > FEW and all(COUNTED.fullmatch(one.casefold()) for one in count)
    nobody = [
        one
        for one, number in count.items()
        if (number > 1 and (one == odd or (not counted and NOBODY.fullmatch(one.casefold())) or number >= most > FEW))
        or (one and len(count) > FEW and not any(map(str.isalnum, one)))
    ]
    if nobody:
        named = some([f'{one} with {count[one]} image{"s" if count[one] > 1 else ""}' for one in nobody], NAMED)
        found.doubts.append(f'Is this one person? {named}; leave the cell empty where the patient is not known.')
    if len(count) == len(patient) > FEW and (rule.column or rule.pattern):
        found.notes.append(f'No patient has two images (patient): {len(count)} of {len(patient)}.')


def _odd_one(names: Collection[str]) -> str | None:
    """The one name without a number, or of zeros, among many of one form with one: REDACTED or 0 beside P01, P02."""
    forms = {_form(one) for one in names if re.search('[1-9]', one)}
    odd = [one for one in names if _form(one) not in forms and not re.search('[1-9]', one)]
    return odd[0] if len(odd) == 1 and len(forms) == 1 and len(names) > FEW + 1 else None


def _form(name: str) -> str:
    """A name with all words and all numbers alike."""
    return re.sub('[0-9]+', '9', re.sub('[^\\W0-9_]+', 'a', name))


def _folded(text: str) -> str:
    """What spellings of one identifier have in common: NFKC, no case, no blanks, nothing unseen, no signs around it, no
    leading zeros, nothing between its letters and a number, so that #P-007 is p7, and one alphabet."""
    seen = ''.join(one_form(one_form(text).casefold()).split())
    return LEADING.sub('', BEFORE_DIGITS.sub('', AROUND.sub('', seen) or seen))


def plain(value: object) -> str:
    """An identifier without blanks, '' for what says nothing."""
    text = plain_key(value)
    return '' if text.casefold() in NOTHING else text
