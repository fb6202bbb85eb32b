"""Where labels say of one image that there is no finding, and that there is one."""

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import NOT_READ, PRESENT
from imbalance_jax.data.policies import DEVICES
from imbalance_jax.data.reader.layout import NO_FINDING, SPLIT_NAMES, UNSURE
from imbalance_jax.data.reader.people import UNKNOWN
from imbalance_jax.data.reader.rows import NAMED
from imbalance_jax.data.reader.spelling import SIGNED, canonical, letters_of, matches, one_form, table_of
from imbalance_jax.names import some

SEPARATORS = '|;,/+&'  # that people write between names in one cell
OFTEN_WITHIN = '/+&'  # of these, which are within one name as often

MONTH = '(jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]*'
OF_YEAR = '(?:19|20)[0-9]{2}'
NUMBERS = (
    rf'{OF_YEAR}(?P<one>[./-])[0-9]{{1,2}}(?P=one)[0-9]{{1,2}}|[0-9]{{1,2}}(?P<two>[./-])[0-9]{{1,2}}(?P=two){OF_YEAR}'
)
# What a table program makes of 1-3 or 10-19.
DATE = re.compile(rf'[0-9]{{1,2}}[ .-]+{MONTH}[.]?|{MONTH}[ .-]+[0-9]{{1,4}}|(?:{NUMBERS})(?:[ T][0-9:.]+)?', re.I)
WORD = re.compile('[^\\W0-9_]{3}')  # what a code has not
HEDGE = re.compile('^(no|not|without|possible|possibly|probable|probably|suspected|questionable) +| *[?]+$', re.I)
NONE = (
    'none',
    'nofinding',
    'nofindings',
    'normal',
    'healthy',
    'no',
    'negative',
    'absent',
    'nothing',
    'nil',
    'unremarkable',
)
NEAR_NONE, MANY = 0.88, 5  # how like one of these; images with a class, and without
TRIPLE = re.compile(r'([a-z])\1\1')
SHORTEST = 4  # letters of a word, of which two may be exchanged
FEWEST = 3  # classes that may be called as some patients are
LONG, MOST_COMPARED = 8, 200  # letters of a name; names of which each is compared with all
BETWEEN = re.compile(r'[\W_]+|\W*\b(?:and|or|with)\b\W*', re.I)


def of_names(named: Sequence[Sequence[str]], none: str, where: Callable[[int], str]) -> list[str]:
    """A sentence about rows that name `none` and a finding, which devices are not. where: row -> how it is called."""
    return _said(
        [where(row) for row, names in enumerate(named) if none in names and any(map(_is_finding, {*names} - {none}))]
    )


def of_cells(readings: Sequence[np.ndarray], classes: Sequence[str], image_id: Sequence[str]) -> list[str]:
    """The same of images that a reading, cells [N,K], gives a class like 'No Finding' and a finding."""
    none = np.array([matches(name, NO_FINDING) for name in classes], bool)
    findings = ~none & [_is_finding(name) for name in classes]
    both = [(cells[:, none] == PRESENT).any(1) & (cells[:, findings] == PRESENT).any(1) for cells in readings]
    return _said([image_id[row] for row in np.flatnonzero(np.logical_or.reduce(both)).tolist()]) if both else []


def of_unread(readings: Sequence[np.ndarray], names: Sequence[str]) -> list[str]:
    """A sentence about images that have no row in any reading, cells [N,K]. names: [N] of the images."""
    named = _without_row(readings, names)
    return (
        [f'{len(named)} of {len(names)} images have no row of labels, and theirs are not known: {some(named, NAMED)}.']
        if named
        else []
    )


def _without_row(readings: Sequence[np.ndarray], names: Sequence[str]) -> list[str]:
    """The images that no reading, cells [N,K], has a row of."""
    unread = np.logical_and.reduce([(cells == NOT_READ).all(1) for cells in readings]) if readings else []
    return [name for name, one in zip(names, unread, strict=False) if one]


def _alike(names: Iterable[str], keys: Iterable[Any]) -> list[list[str]]:
    """The names that have one key, of each key that several have."""
    by_key: dict[Any, list[str]] = {}
    for name, key in zip(names, keys, strict=True):
        by_key.setdefault(key, []).append(name)
    return [of for of in by_key.values() if len(of) > 1]


def of_lacking(readings: Sequence[np.ndarray], names: Sequence[str], table: str) -> list[str]:
    """A sentence about images that a table of labels, with readings [N,K], has no row of, where it has of others."""
    named = _without_row(readings, names)
    if not named:
        return []
    return [f'{len(named)} of {len(names)} images have no row in {table} (labels.table): {some(named, NAMED)}.']


def of_none(classes: Sequence[str]) -> list[str]:
    """A sentence about classes that are called as none is, where other cells say that there is none."""
    called = [name for name in classes if _is_near_none(letters_of(name))]
    what = 'Classes are called as none is, beside cells that say so in other words'
    return [f'{what} ({some(called, NAMED)}): labels.none takes them.'] if called else []


def of_other_columns(classes: Sequence[str], patients: Collection[str], images: Collection[str]) -> list[str]:
    """A sentence about classes that are the names of all patients, of images, or words for splits."""
    called, said = {canonical(name) for name in classes}, {'patients': patients, 'images': images}
    found = [what for what, names in said.items() if len(called) > FEWEST and called <= {*map(canonical, names)}]
    found += ['splits'] if len(called) > 1 and called <= table_of(SPLIT_NAMES).keys() else []
    return [f'Classes are called as {found[0]} are: {some(classes, NAMED)}. Is another column meant?'] if found else []


def of_equal(cells: np.ndarray, classes: Sequence[str]) -> list[str]:
    """A sentence about classes that are present in the same images [N,K], as those of a column that was copied."""
    present = cells == PRESENT
    counts = present.sum(0)
    known = [k for k in range(len(classes)) if MANY <= counts[k] <= len(present) - MANY]
    several = _alike([classes[k] for k in known], (present[:, k].tobytes() for k in known))
    named = [' and '.join(names) for names in several]
    return (
        [f'Classes that are present in the very same images, as of a copied column: {some(named, NAMED)}.']
        if named
        else []
    )


def of_aliases(aliases: Mapping[str, Sequence[str]], texts: Collection[str], where: str) -> list[str]:
    """A sentence about codes that are said to be what cells may be called otherwise, where cells have the codes, and no
    other spelling of any class: {code: class} for {class: code}. texts: of the cells; where: the field."""
    met = {canonical(text) for text in texts}
    if any(canonical(text) in met for spellings in aliases.values() for text in spellings):
        return []
    turned = [name for name in aliases if canonical(name) in met and not WORD.search(name)]
    if not turned:
        return []
    right = f'{{{", ".join(f"{text!r}: {name!r}" for name in turned[:2] for text in aliases[name][:1])}}}'
    return [
        f'{where}: cells have {some([repr(name) for name in turned], NAMED)}, and none of what it says they may be '
        f'called; it is {{class: other spellings}}: {right}?'
    ]


def of_spelling(classes: Sequence[str]) -> list[str]:
    """Sentences about classes, found in cells, that look like several names, like lists, dates or codes, and that
    differ in spelling alone."""
    said = []
    if lists := [name for name in classes if _is_list(name)]:
        said.append(f"Classes look like lists ({some(lists, NAMED)}): are they, labels.separator = 'list'?")
    elif (several := [name for name in classes if _is_several(one_form(name), classes)]) or (
        several := _share_parts(classes)
    ):
        said.append(f'Classes look like several names ({some(several, NAMED)}): what separates them, labels.separator?')
    if unknown := [name for name in classes if _says_unknown(name)]:
        what = f'Classes are called as what is not known is ({some(unknown, NAMED)})'
        said.append(f'{what}: labels.not_mentioned or labels.none takes them.')
    said += of_dates(classes, 'Classes')
    if broken := [repr(name) for name in classes if '\n' in name.strip()]:
        said.append(f'Classes have line breaks: {some(broken, NAMED)}. Is it what stands before (labels.aliases)?')
    if len(classes) > 1 and all(DATE.fullmatch(name.strip()) for name in classes):
        said.append(f'Classes are all dates: {some(classes, NAMED)}. Is another column meant?')
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(canonical(one_form(name)) if _is_list(name) else letters_of(name), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            said.append(f'Classes differ in spelling alone: {some(names, NAMED)}; labels.aliases makes them one.')
    said += of_typing(classes, 'Classes')
    known = {canonical(name) for name in classes} if len(classes) > 2 else set()
    if hedged := [name for name in classes if canonical(HEDGE.sub('', name.strip())) in known - {canonical(name)}]:
        what = f'Classes are called as a no, or as what is not sure, of others ({some(hedged, NAMED)})'
        said.append(f'{what}: labels.none, or labels.not_mentioned, takes them.')
    plain = [name for name in classes if name and not _is_list(name) and not DATE.fullmatch(name.strip())]
    without_letters = [name for name in plain if not any(map(str.isalpha, name))]
    graded = all(name[:1].isdigit() for name in classes)  # as 3, 4A, 4B
    if 0 < len(without_letters) < len(classes) and not graded:
        what = f'Classes without a letter among others with ({some(without_letters, NAMED)})'
        said.append(f'{what}: if they stand for what was not read, labels.not_mentioned or labels.none takes them.')
    return said


def of_forms(names: Sequence[str], what: str) -> list[str]:
    """A sentence about names that look alike and are written with other characters."""
    return [
        f'{what} look alike and are written with other characters: {some([ascii(one) for one in several], NAMED)}.'
        for several in _alike(names, (one_form(name).strip() for name in names))
    ]


def of_alike(names: Sequence[str], what: str, remedy: str = 'aliases') -> list[str]:
    """A sentence about names that differ in case, blanks and signs alone."""
    several = [' and '.join(of) for of in _alike(names, map(letters_of, names))]
    return [f'{what} differ in spelling alone, and count as two: {some(several, NAMED)} ({remedy}).'] if several else []


def of_typing(names: Sequence[str], what: str) -> list[str]:
    """A sentence about two names of which one is the other with neighbours exchanged, without the third of three equal
    letters, or, if long, without a letter."""
    plain = [name for name in names if len(name) >= SHORTEST and name.isascii() and name.replace(' ', '').isalpha()]
    pairs = [
        f'{one} and {other}'
        for one, other in itertools.combinations(sorted(plain, key=len), 2)
        if len(plain) <= MOST_COMPARED
        and (len(one) >= LONG or len(one) == len(other) or _is_stutter(one.casefold(), other.casefold()))
        and _is_slip(one.casefold(), other.casefold())
    ]
    return [f'{what} differ by one letter: {some(pairs, NAMED)}; are they one (aliases)?'] if pairs else []


def _is_near_none(name: str) -> bool:
    """Whether letters are those of a word for none, or nearly."""
    slip = any(_is_slip(name, none) for none in NONE if len(name) == len(none) >= SHORTEST)
    return slip or bool(difflib.get_close_matches(name, NONE, n=1, cutoff=NEAR_NONE))


def _is_stutter(one: str, other: str) -> bool:
    """Whether one is the other without the third of three equal letters."""
    return TRIPLE.sub(r'\1\1', other) == one != other


def _is_slip(one: str, other: str) -> bool:
    """Whether one is the other without a letter, but for an I at its end, or with two neighbours exchanged."""
    if len(other) == len(one) + 1:
        left = [other[:k] + other[k + 1 :] for k in range(len(other))]
        return one in left and other != f'{one}i'
    swapped = [one[:k] + one[k + 1] + one[k] + one[k + 2 :] for k in range(len(one) - 1)]
    return len(one) == len(other) and one != other and other in swapped


def of_dates(names: Sequence[str], what: str) -> list[str]:
    """A sentence about names that are a day or a month among others that are none."""
    dates = [name for name in names if DATE.fullmatch(name.strip())]
    made = 'which a table program may have made of others, such as of 1-3'
    return [f'{what} are dates, {made}: {some(dates, NAMED)}.'] if 0 < len(dates) < len(names) else []


def _says_unknown(name: str) -> bool:
    """Whether a name is a word, not a sign, for what is not known."""
    unknown = UNKNOWN.fullmatch(name.strip().casefold()) is not None or matches(name, UNSURE)
    return unknown and any(map(str.isalpha, name))


def _is_list(name: str) -> bool:
    """Whether a name has brackets of a list, or is a row of numbers."""
    bracketed = name[:1] in '[{' or name[-1:] in ']}' or (name[:1] == '(' and name[-1:] == ')')
    return bool(name) and (bracketed or re.fullmatch(r'[01]([ ,;]+[01])+', name) is not None)


def _is_several(name: str, classes: Sequence[str]) -> bool:
    """Whether a name is that of one class, something that may stand between names, and that of another."""
    for first in classes:
        rest = name[len(first) :]
        if first and rest and name.startswith(first):
            between = [rest[: -len(last)] for last in classes if last and last != rest and rest.endswith(last)]
            if any(BETWEEN.fullmatch(one) for one in between):
                return True
    return False


def _share_parts(classes: Sequence[str]) -> list[str]:
    """Names with a separator in them, of which a part is in others, too."""
    for separator in SEPARATORS:
        parts = {
            name: [part.strip() for part in name.strip(separator).split(separator)]
            for name in classes
            if separator in name.strip(separator) and not (name.startswith(separator) or SIGNED.search(name))
        }
        if all(part.isdigit() for of in parts.values() for part in of):  # one grade of two, as Gleason's 3+4
            continue
        shared = Counter(part for of in parts.values() for part in of) + Counter(classes)
        needed = all if separator in OFTEN_WITHIN else any
        if several := [name for name, of in parts.items() if needed(shared[part] > 1 for part in of)]:
            return several
    return []


def _is_finding(name: str) -> bool:
    return bool(name) and name.casefold() not in DEVICES


def _said(where: Sequence[str]) -> list[str]:
    what = 'Said to be without a finding, and to have one, which counts'
    return [f'{what}: {len(where)} ({some(where, NAMED)}).'] if where else []
