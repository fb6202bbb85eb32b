"""Which class of another data set a class of the training set is: by spelling, by exact synonyms, by a user's own word.

Names are equal that differ in case, underscores, hyphens and spaces only. Beyond that only `SYNONYMS` are matched, and
never a part of a name: 'Nodule' is not 'pseudonodule', and 'Fracture' is not 'Rib fracture'.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from imbalance_jax.names import lookup

# Names of one finding in several data sets, and who uses which.
SYNONYMS: tuple[tuple[str, ...], ...] = (
    ('effusion', 'pleural effusion'),  # NIH ChestX-ray14, ChestX-Det; CheXpert, MIMIC, VinDr, PadChest
    ('lung opacity', 'airspace opacity'),  # CheXpert's tables; CheXlocalize and MIMIC's hand-labelled test set
    ('pleural thickening', 'pleural'),  # NIH; ChestMNIST, which is NIH and calls it so
    ('infiltration', 'infiltrate'),  # NIH's labels; its boxes
    ('fibrosis', 'pulmonary fibrosis'),  # NIH, CXR-LT; VinDr
    ('edema', 'oedema', 'pulmonary edema', 'pulmonary oedema'),  # NIH, CheXpert; British spelling
    ('pneumoperitoneum', 'pneumoperitoneo'),  # CXR-LT; PadChest
    ('rounded atelectasis', 'round atelectasis', 'round(ed) atelectasis'),  # CXR-LT 2024; PadChest
    ('nodule/mass', 'nodule or mass'),  # VinDr; Google's labels of NIH
    ('ild', 'interstitial lung disease'),  # VinDr
    ('copd', 'chronic obstructive pulmonary disease'),  # VinDr
    ('other disease', 'other diseases'),  # VinDr's two tables
    ('tuberculosis', 'tb'),  # CXR-LT, VinDr
    ('no finding', 'no findings'),
)
ABSENT = ''  # in a user's map: the other data set does not have this class

OwnMap = Mapping[str, str | None]
NO_MAP: OwnMap = MappingProxyType({})


class LabelMap(NamedTuple):
    """Names of another data set by those of the training set.

    classes: training class -> the other's class or concept, None where it has none; concepts: the other's concept ->
    what it is called here, for all of them; how: training class -> 'same name', 'synonym' or 'own map'.
    """

    classes: Mapping[str, str | None]
    concepts: Mapping[str, str]
    how: Mapping[str, str]

    @property
    def absent(self) -> list[str]:
        """Training classes that the other data set does not have."""
        return [name for name, other in self.classes.items() if other is None]


def match(
    classes: Sequence[str], concepts: Sequence[str], other: Sequence[str], *, own: OwnMap = NO_MAP, where: str = ''
) -> LabelMap:
    """The map from a training set's names to those of another data set.

    classes, concepts: of the training set, the classes first; other: the other's concepts, its classes first; own:
    training name -> the other's name, '' or None for none, which comes before what is matched; where: who it is, for
    messages. Raises ValueError for a name of `own` that there is not, for one that several synonyms match, and for one
    that two training classes would share.
    """
    for name, target in own.items():
        lookup(dict.fromkeys(concepts), name, f'class of the training set in {where}:')
        if target not in (None, ABSENT):
            lookup(dict.fromkeys(other), str(target), f'class or concept in {where}:')
    taken = {str(target): name for name, target in own.items() if target not in (None, ABSENT)}
    if len(taken) < sum(target not in (None, ABSENT) for target in own.values()):
        raise ValueError(f'{where} gives one name to two classes: {dict(own)}; each may be used once.')
    found: dict[str, tuple[str, str] | None] = {}
    for name in dict.fromkeys(concepts):
        if name in own:
            found[name] = (str(own[name]), 'own map') if own[name] not in (None, ABSENT) else None
        else:
            free = [one for one in other if one not in taken]
            found[name] = _like(name, free, where)
    return LabelMap(
        classes={name: _first(found[name]) for name in classes},
        concepts={one: one for one in other} | {pair[0]: name for name, pair in found.items() if pair},
        how={name: pair[1] for name in classes if (pair := found[name])},
    )


def _first(pair: tuple[str, str] | None) -> str | None:
    return pair[0] if pair else None


def _like(name: str, others: Sequence[str], where: str) -> tuple[str, str] | None:
    """The other's name that is this one, and how it was matched."""
    for how, key in (('same name', spelling), ('synonym', _meaning)):
        there = [one for one in others if key(one) == key(name)]
        if len(there) > 1:
            shown = ' and '.join(map(repr, there))
            raise ValueError(f'{where}: {shown} are both {name!r}; say which in config.data.label_maps.')
        if there:
            return there[0], how
    return None


def spelling(name: str) -> str:
    """A name without what spelling alone changes: case, underscores, hyphens, spaces, and the 0 of 2.0."""
    if re.fullmatch(r'-?[0-9]+[.]0+', name.strip()):
        return name.strip().partition('.')[0]
    return re.sub(r'[\s_-]+', ' ', name).strip().casefold()


def _meaning(name: str) -> str:
    """The first of a name's synonyms."""
    plain = spelling(name)
    return next((spelling(group[0]) for group in SYNONYMS if plain in map(spelling, group)), plain)


def describe(found: LabelMap, name: str) -> str:
    """The map in lines: what is matched and how, what is absent, and which names there may have been meant."""
    lines = [
        f'  {one} = {other}' + (f' ({found.how[one]})' if spelling(one) != spelling(other) else '')
        for one, other in found.classes.items()
        if other is not None
    ]
    rest = [other for other, here in found.concepts.items() if other == here and other not in found.classes.values()]
    if found.absent:
        lines.append(f'  left out, as {name} does not have them: {", ".join(found.absent)}')
    for one in found.absent:
        if near := difflib.get_close_matches(spelling(one), [spelling(other) for other in rest], n=1):
            lines.append(f'  is {one} {near[0]!r} there? Then config.data.label_maps has to say so.')
    return '\n'.join([f'{name}, by the classes of the training set:', *lines])
