"""What texts mean, however they are spelt: numbers, words, identifiers, lists."""

import ast
import functools
import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.names import lookup

WHOLE = re.compile(r'([0-9]+)(?:\.0*|,00?)')  # 1,000 may be a thousand
LOSSY = re.compile(r'[0-9](?:[.,][0-9]*)?[eE]\+[0-9]+')  # with its sign, as no hash has one
JOINED = re.compile('([\'"])\\s+\\1')  # two texts, as NumPy writes them, which Python takes for one
GROUPED = re.compile('[0-9]{1,3}(,[0-9]{3})+')
SHORT = re.compile('[0-9]{1,18}')
SIGNED = re.compile(r'[+-](/|$)')  # of subtypes such as HR+/HER2-
MEANT = re.compile(r'[<>=≤≥]|[+-](/|$)|^[+-]|[0-9][-+.,:/][0-9]')  # signs that tell names apart


@functools.lru_cache(1 << 16)
def canonical(text: str) -> str:
    """What texts that mean the same have in common: '1', '1.0' and '1,0'; 'Yes' and ' YES '."""
    text = text.strip()
    value = number(text) + 0.0  # no negative zero
    if math.isfinite(value) and len(text) <= 15:
        return repr(value).removesuffix('.0')
    return text.casefold()


@functools.lru_cache(1 << 16)
def number(text: str) -> float:
    """A number, also with a decimal comma; NaN if it is none."""
    try:
        return math.nan if '_' in text else float(text if '.' in text else text.replace(',', '.', 1))
    except ValueError:
        return math.nan


def grouped(texts: Iterable[str]) -> str:
    """The first of the texts of numbers whose comma may part thousands, as that of 1,024, where nothing says that it
    is decimal: no number has another comma, and some have none. '' if there is no such text."""
    numbers = [text for text in map(str.strip, texts) if text]
    commas = [text for text in numbers if ',' in text]
    parted = [text for text in commas if GROUPED.fullmatch(text)]
    return parted[0] if parted and len(parted) == len(commas) < len(numbers) else ''


def matches(text: Any, values: Sequence[str]) -> bool:
    """Whether a text is one of these, however it is spelt."""
    return canonical(str(text)) in {canonical(str(value)) for value in values}


def table_of(values: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """{a spelling in its canonical form: what it means}; a meaning is a spelling of itself."""
    table = {canonical(str(meaning)): meaning for meaning in values}
    return table | {canonical(str(text)): meaning for meaning, texts in values.items() for text in texts}


UNSEEN = ('Cf', 'Cc')  # Unicode categories of zero-width and control characters


# Letters of other alphabets, and the Latin ones that they look like.
LATIN = str.maketrans('АВСЕНІЈКМОРЅТХУаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧονι', 'ABCEHIJKMOPSTXYaeopcyxijsABEZHIKMNOPTYXovi')


def one_form(text: str) -> str:
    """What texts that look alike have in common: letters in one composition, width and alphabet, nothing unseen."""
    letters = unicodedata.normalize('NFKC', text).translate(LATIN)
    return ''.join(one for one in letters if unicodedata.category(one) not in UNSEEN)


def letters_of(name: str) -> str:
    """A name without case, blanks and signs, but for one whose sign has a meaning, and a number."""
    plain = re.sub(r'[\W_]+', '', one_form(name))
    return canonical(one_form(name) if not plain or MEANT.search(name) or np.isfinite(number(name)) else plain)


def plain_key(text: Any) -> str:
    """An identifier as it is compared: 12.0, which a table program made of 12, is 12."""
    text = str(text).strip()
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text


def names_in(cell: Any, separator: str, where: str) -> list[str]:
    """The names in a cell: itself, several by a separator, or those of a list as Python or JSON writes it."""
    if isinstance(cell, (list, tuple)):
        return [str(name).strip() for name in cell if str(name).strip()]
    if isinstance(cell, Mapping):
        raise ValueError(f'{where}: {str(cell)[:60]} is an object; expected the name of a class, or a list of names.')
    text = str(cell).strip()
    if not separator or not text:
        return [text] if text else []
    if separator != 'list':
        return [name.strip() for name in text.split(separator) if name.strip()]
    if text.casefold() in ('nan', 'none', 'null'):
        return []
    if JOINED.search(text):
        raise ValueError(f"{where}: {text!r} is no list such as ['a', 'b']: its texts have nothing between them.")
    for parse in (ast.literal_eval, json.loads):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, (list, tuple, set)):
            return [str(name).strip() for name in value if str(name).strip()]
    raise ValueError(f"{where}: {text!r} is no list such as ['a', 'b'].")


def is_empty_list(cell: Any) -> bool:
    """Whether a cell says in so many words that there are no names: [], or the text of it."""
    return not cell if isinstance(cell, (list, tuple)) else ''.join(str(cell).split()) == '[]'


def first_group(pattern: str, text: str) -> str:
    """What the first group of a regular expression found in a text, '' if nothing."""
    found = re.search(pattern, text)
    if not found:
        return ''
    return next((one for one in found.groups() if one is not None), found[0])


def numbers_of(texts: Sequence[str]) -> np.ndarray:
    """Identifiers as int64 [n]: numbers of up to 18 digits are themselves, all others a hash of their text.

    Equal texts have equal numbers in every data set, and different ones different numbers: ValueError if two of them do
    not, and for numbers that a table program has rounded, such as 3.24E+38, behind which several identifiers may stand.
    """
    known: dict[str, int] = {}
    for text in dict.fromkeys(texts):
        if LOSSY.fullmatch(text):
            raise ValueError(
                f'{text} is an identifier that was rounded to a floating-point number: others may have become equal to '
                'it. Export the table with identifiers as text.'
            )
        exact = SHORT.fullmatch(text) and str(int(text)) == text
        known[text] = int(text) if exact else _hash(text)
    if len(set(known.values())) < len(known):
        raise ValueError('Two identifiers have the same hash, by chance; rename one of them.')
    return np.array([known[text] for text in texts], np.int64)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big') >> 1


def share(text: str, seed: int) -> float:
    """A text's number in [0, 1): the same on every machine, whichever other texts there are."""
    return int.from_bytes(hashlib.sha256(f'{seed} {text}'.encode()).digest()[:6], 'big') / 2**48


FIELD = re.compile(r'\{([^{}:]*)(?::([^{}]*))?\}')


def fields_of(pattern: str) -> list[str]:
    """The columns that a pattern names in braces."""
    return [name for name, _ in FIELD.findall(pattern)]


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """A pattern with its braces filled in; `{name:.2}` is cut as Python cuts text."""

    def one(found: re.Match) -> str:
        text = lookup(values, found[1], f'column of the pattern {pattern!r}:')
        return format(plain_key(text), found[2]) if found[2] else plain_key(text)

    return FIELD.sub(one, pattern)


EMPTY = {'', 'nan', '-1', '-', '[]', 'none', 'null', 'na', 'n/a', '<na>', '#n/a'}  # cells of no box or shape


def is_empty(values: Sequence[Any]) -> bool:
    """Whether the cells of a box or shape say that there is none."""
    texts = ['' if one is None else str(one).strip().casefold() for one in values if not isinstance(one, dict)]
    return all(text in EMPTY for text in texts) and len(texts) == len(values)
