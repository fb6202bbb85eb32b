"""Which groups images are in, by columns of tables: of a sex, in bands of age, or as the words say."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.data.reader.layout import Group
from imbalance_jax.data.reader.people import UNKNOWN, plain
from imbalance_jax.data.reader.rows import NAMED, Found, Rows
from imbalance_jax.data.reader.spelling import canonical, number, table_of
from imbalance_jax.names import repeated, some

AGE = re.compile(
    r'([0-9]+(?:[.,][0-9]+)?) *(y|yrs?|years?|yo|m|mos?|months?|w|wks?|weeks?|d|days?|h|hrs?|hours?)(?![a-z])', re.I
)
IN_A_YEAR = {'y': 1, 'm': 12, 'w': 52, 'd': 365, 'h': 8760}  # by the first letter of a unit
SEX = ('sex', 'gender')  # groupings in which a person is in one group
SEXES = (
    frozenset(('f', 'w', 'female', 'woman', 'women', 'weiblich', 'frau', 'femme', 'mujer', 'femenino', 'feminine')),
    frozenset(('m', 'male', 'man', 'men', 'männlich', 'mann', 'homme', 'hombre', 'masculino', 'masculine')),
)
FEW_PEOPLE = 5  # of whom a group may well have one alone
OTHERS = frozenset(('o', 'x', 'd', 'other', 'others', 'divers', 'intersex', 'nonbinary', 'non-binary', 'transgender'))


def of_images(
    rows: Rows, first: np.ndarray, groups: Mapping[str, Group]
) -> tuple[np.ndarray | None, dict[str, list[str]]]:
    """The groups [N,G] int8 of images, None without groupings, and {grouping: names of its groups}."""
    if not groups:
        return None, {}
    found = {name: _grouping(_texts(rows, first, name, group), name, group) for name, group in groups.items()}
    return np.stack([codes for codes, _ in found.values()], 1), {name: names for name, (_, names) in found.items()}


def say_in_no_group(
    rows: Rows, first: np.ndarray, names: Sequence[str], groups: Mapping[str, Group], codes: np.ndarray, found: Found
) -> None:
    """Notes what stands where a group is expected and is none: words for 'not known', others, impossible ages.

    names: [N] of the images; codes: [N,G] as `groupings` makes them.
    """
    for column, (grouping, group) in enumerate(groups.items()):
        texts = _texts(rows, first, grouping, group)
        lost = [row for row in np.flatnonzero(codes[:, column] < 0).tolist() if plain(texts[row])]
        if lost:
            met = Counter(texts[row] for row in lost).most_common()
            what = some([f'{text!r} {count}' for text, count in met], NAMED)
            of = some([names[row] for row in lost], NAMED)
            found.notes.append(f'{len(lost)} of {len(texts)} images are in no group of {grouping}: {what} ({of}).')
        if 0 < (blank := sum(not text for text in texts)) < len(texts):
            found.notes.append(f'{blank} of {len(texts)} images are in no group of {grouping}, as the cell is blank.')


def say_sexes_twice(groupings: Mapping[str, Sequence[str]], found: Found) -> None:
    """Doubts groups that are one sex under several words."""
    for grouping, names in groupings.items():
        for words in SEXES:
            if len(same := [name for name in names if name.casefold() in words]) > 1:
                found.doubts.append(
                    f'Groups of {grouping} are one under several words: {some(same, NAMED)}; '
                    f"groups.{grouping}.values makes them one, {{'{same[0]}': {tuple(same)}}}."
                )


def doubt_codes(groups: Mapping[str, Group], groupings: Mapping[str, Sequence[str]], found: Found) -> None:
    """Doubts groups without a letter beside others: 9 and 999 beside M and F, or, of a sex, beside 1 and 2; and what is
    no word for a sex beside such words."""
    for grouping, names in groupings.items():
        codes = [name for name in names if not any(map(str.isalpha, name))]
        of_sex = [name for name in names if any(name.casefold() in words for words in (*SEXES, OTHERS))]
        if grouping.casefold() in SEX and len(of_sex) > 1:
            codes = [name for name in names if name not in of_sex]
        beside = grouping.casefold() in SEX or 0 < len(codes) < len(names)
        if not groups[grouping].bands and len(names) > 2 and codes and beside:
            asked = 'Does one of' if len(codes) > 1 else 'Does'
            found.doubts.append(
                f'Groups of {grouping} are {", ".join(names[: 2 * NAMED])}. {asked} {some(codes, NAMED)} say '
                f'that it is not known, or what others say? groups.{grouping}.values names those that are meant.'
            )


def doubt_two_sexes(patient: Sequence[str], groups: np.ndarray | None, groupings: Sequence[str], found: Found) -> None:
    """Doubts patients whose images are of both sexes: is it one person? groups: [N,G], -1 unknown."""
    for column, name in enumerate(groupings):
        if groups is None or name.casefold() not in SEX:
            continue
        known = dict.fromkeys((who, int(one)) for who, one in zip(patient, groups[:, column], strict=True) if one >= 0)
        if both := repeated(who for who, _ in known):
            found.doubts.append(f'Patients with two values of {name}: {len(both)} ({some(both, NAMED)}).')


def say_of_one(
    patient: Sequence[str], groups: np.ndarray | None, groupings: Mapping[str, Sequence[str]], found: Found
) -> None:
    """Notes groups of one patient alone, of whom nothing can be said in general, and who may be a slip of the pen: Px
    beside PA. groups: [N,G], -1 unknown."""
    for column, (grouping, names) in enumerate(groupings.items()):
        assert groups is not None
        images = [np.flatnonzero(groups[:, column] == number) for number in range(len(names))]
        people = [len({patient[row] for row in of_group.tolist()}) for of_group in images]
        alone = [f'{names[k]} ({len(images[k])})' for k, count in enumerate(people) if count == 1]
        if alone and sum(people) > FEW_PEOPLE:
            found.notes.append(f'Groups of {grouping} of one patient alone, with their images: {some(alone, NAMED)}.')


def _texts(rows: Rows, first: np.ndarray, grouping: str, group: Group) -> list[str]:
    """What stands in the column of a grouping, of each image."""
    return [str(text).strip() for text in rows.column(group.column, f'groups.{grouping}')[first]]


def _grouping(texts: Sequence[str], grouping: str, group: Group) -> tuple[np.ndarray, list[str]]:
    """The number of each image's group, -1 of none, and the groups' names."""
    if group.bands:
        names = _band_names(group.bands)
        values = np.array([age(text) for text in texts])
        known = ((values >= 0) | (group.bands[0] < 0)) & (values <= group.most)
        return np.where(known, np.searchsorted(group.bands, values, side='right'), -1).astype(np.int8), names
    written: dict[str, Counter[str]] = {}
    for text in map(plain, texts):
        written.setdefault(canonical(text), Counter())[text] += 1
    said = sorted(max(sorted(of), key=of.__getitem__) for of in written.values())  # the usual one of several cases
    values_of = group.values or {text: () for text in said if text and not UNKNOWN.fullmatch(text.casefold())}
    names = list(values_of)
    if len(names) > 100:
        raise ValueError(f'groups.{grouping}: column {group.column!r} has {len(names)} values; a grouping has few.')
    spelt = table_of(values_of)
    return np.array([names.index(spelt[canonical(t)]) if canonical(t) in spelt else -1 for t in texts], np.int8), names


def _band_names(bands: Sequence[float]) -> list[str]:
    edges = [f'{edge:g}' for edge in bands]
    whole = all(edge == int(edge) and edge >= 0 for edge in bands)  # as ages are
    ends = [f'to {high - 1:g}' if whole else f'to below {high:g}' for high in bands[1:]]
    inner = [f'{low} {end}' for low, end in zip(edges, ends, strict=False)]
    return [f'under {edges[0]}', *inner, f'{edges[-1]} and over']


def age(text: str) -> float:
    """A number, or years of an age such as 058Y, 11M, 3D or 45 months; the number of '85 or more' or >89; or NaN."""
    text = text.strip()
    if (parts := AGE.findall(text)) and not AGE.sub('', text).removesuffix('old').strip(' .,'):
        return sum(number(count) / IN_A_YEAR[unit[0].lower()] for count, unit in parts)
    value = number(text)
    first, _, rest = text.partition(' ')
    return value if value == value or rest.strip()[:1].isdigit() else number(first.rstrip('+').lstrip('>≥='))
