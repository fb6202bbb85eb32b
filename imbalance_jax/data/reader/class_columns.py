"""Columns of an unknown table that may hold names of classes, and what these names are."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.reader.label_notes import DATE
from imbalance_jax.data.reader.layout import FALSE, NOTHING, TRUE, UNSURE, Images
from imbalance_jax.data.reader.paths import is_image
from imbalance_jax.data.reader.people import UNKNOWN
from imbalance_jax.data.reader.spelling import canonical, names_in, number

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
    re.compile(
        'label|class|diagnos|finding|target|patholog|categor|disease|condition|befund|^(dx|results?|outcome)$', re.I
    ),
)
GRADES = NAMES[2:4]
SEPARATORS = ('|', ';', ',')
BETWEEN_NAMES = (',', '/', '+', '&')  # that may be within a name, too
MOST_CLASSES = 60  # names in a column of classes
FEW_BLANK = 0.1  # share of the cells of a column of classes: of images whose class is not known
GAP = 2  # between numbers of classes, of which none is there
LONGEST = 80  # letters of a class; what is longer is a report


class Names(NamedTuple):
    """A column of names of classes. separator: between them; exclusive: one per row; found: which there are."""

    column: str
    separator: str
    exclusive: bool
    found: tuple[str, ...]


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


def names_of(texts: dict[str, np.ndarray], *, nameless: bool) -> list[Names]:
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
    if any(isinstance(value, dict) for value in values) or any(map(_has_objects, values)):
        return None
    if cells and all(DATE.fullmatch(cell.strip()) or is_image(cell.strip(), Images()) for cell in cells):
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
    if _are_parted(cells):
        every = {one for cell in cells for one in cell.split()}
        return Names(name, ' ', False, tuple(sorted(every))) if 1 < len(every) <= MOST_CLASSES else None
    for separator in ('', *SEPARATORS):
        found = {one for cell in cells for one in names_in(cell, separator, name)}
        several = any(separator and separator in cell for cell in cells)
        if 1 < len(found) <= MOST_CLASSES and (several or not any(s in cell for cell in cells for s in '|;')):
            if max(map(len, found)) > LONGEST:
                return None
            whole = len(values) - len(cells) <= FEW_BLANK * len(values) or is_grade(name, found)
            return Names(name, separator, not several and whole, tuple(sorted(found)))
    return None


def _has_objects(value: Any) -> bool:
    """Whether a cell is a list of lists or objects, or the text of one, which names no class."""
    if isinstance(value, str):
        return bool(re.match(r'\s*\[\s*[\[{]', value))
    return isinstance(value, list) and any(isinstance(one, (list, dict)) for one in value)


def _are_joined(cells: Sequence[str], separator: str) -> bool:
    """Whether cells are several names with that between them: most of their parts stand alone in other cells, or beside
    another part."""
    whole = {cell.strip() for cell in cells}
    parts = [{part.strip() for part in cell.split(separator)} for cell in whole if separator in cell]
    count = Counter(part for of_cell in parts for part in of_cell)
    known = sum(part in whole or number > 1 for part, number in count.items())
    return bool(count) and '' not in count and 3 * known >= 2 * len(count) and any(part in whole for part in count)


def _are_parted(cells: Sequence[str]) -> bool:
    """Whether some cells are several names with blanks between them: numbers all of them, or each alone in others."""
    whole = {cell.strip() for cell in cells}
    parts = {part for cell in whole for part in cell.split() if ' ' in cell}
    return bool(parts) and (parts <= whole or all(part.isdigit() for cell in whole for part in cell.split()))


def are_flags(words: set[str]) -> bool:
    """Whether a column says yes and no: of zeros and ones, or words, with both or only one of them."""
    said = {canonical(word) for word in words} - {canonical(word) for word in NOTHING}
    known = {canonical(word) for word in (*TRUE, *FALSE, *UNSURE)}
    return bool(said) and said <= known and bool(said & {canonical(word) for word in TRUE})
