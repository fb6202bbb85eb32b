"""Regions that mask files give, one file or several per image."""

import bisect
import dataclasses
import functools
import glob
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from imbalance_jax.data.dataset import PRESENT
from imbalance_jax.data.reader import placing
from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.layout import Images, Regions
from imbalance_jax.data.reader.paths import Files, find, has_own_word, index, is_of_cells, like, of_any, pictures
from imbalance_jax.data.reader.placing import Planned
from imbalance_jax.data.reader.region_rows import OF_LABEL, OF_NONE, box_of, is_needed
from imbalance_jax.data.reader.rows import NAMED, PARENT, STEM, Found
from imbalance_jax.data.reader.spelling import fields_of, fill, is_empty, number
from imbalance_jax.names import some

WORD = re.compile(r'[^\W_]+')
BRACKETS = re.compile(r'\[[^\]]*\]')  # in patterns


@dataclasses.dataclass(frozen=True)
class Names:
    """Files to look patterns up in. whole: {a path, in its own letters or, if it is one then, in small ones: the path};
    forward: sorted; backward: with their letters turned round, sorted."""

    whole: dict[str, str]
    forward: list[str]
    backward: list[str]

    @functools.cached_property
    def by_word(self) -> dict[str, list[int]]:
        """{a run of letters and numbers: the places of those that have it, in `forward`}."""
        places: dict[str, list[int]] = {}
        for place, path in enumerate(self.forward):
            for word in {*WORD.findall(path)}:
                places.setdefault(word, []).append(place)
        return places


def names_of(files: Sequence[str]) -> Names:
    """The files as `_matching` looks them up."""
    count = Counter(map(str.lower, files))
    whole = {path.lower(): path for path in files if count[path.lower()] == 1} | {path: path for path in files}
    return Names(whole, sorted(files), sorted(path[::-1] for path in files))


def plan_files(
    folder: Path,
    files: Sequence[str],
    cases: Cases,
    regions: Regions,
    concepts: Sequence[str],
    anatomy: Sequence[str],
    plan: list[list[Planned]],
    found: Found,
) -> dict[str, list[str]]:
    """Regions of mask files, one file or several per image; which files they are, each with the names of its images.
    Those that cells name and that are not there are among the problems. anatomy: concepts that every image has."""
    for name in fields_of(regions.files):
        if name not in (STEM, PARENT, 'class'):
            cases.rows.column(name, 'regions.files')
    known = names_of(files)
    used: dict[str, list[str]] = {}
    indexed = index(files) if is_of_cells(regions.files) else None
    for image, path in enumerate(cases.path):
        if indexed:
            names = _named(regions.files, indexed, cases, image, found)
        else:
            names = _mask_files(regions.files, path, cases, image, known)
        for name in names:
            used.setdefault(name, []).append(str(cases.image_id[image]))
            make: Callable = partial(placing.mask_of_none, path=folder / name, name=name)
            for concept, grey_values in _concepts_in(regions, concepts, cases, image):
                if concept != OF_NONE:
                    make = partial(
                        placing.mask_file,
                        path=folder / name,
                        grey_values=grey_values,
                        crop=_crop(regions, cases, image),
                        unit=regions.unit,
                        name=name,
                        needed=concepts[concept] in anatomy or is_needed(cases, image, concepts[concept]),
                    )
                plan[image].append(Planned(concept, regions.as_reader, make, file=name))
    return used


def without_crop(used: Mapping[str, Sequence[str]], cases: Cases, regions: Regions) -> str:
    """What is said of images whose mask files cover a part of them, and that do not say which; '' if all do. used: as
    `plan_files` returns it."""
    if not regions.crop:
        return ''
    columns = [cases.rows.column(name, 'regions.crop') for name in regions.crop]
    masked = {name for names in used.values() for name in names}
    rows = {str(name): row for name, row in zip(cases.image_id, cases.first, strict=True) if str(name) in masked}
    empty = [name for name, row in rows.items() if is_empty([column[row] for column in columns])]
    what = 'Images without a crop (regions.crop), whose masks count as of the whole image'
    return f'{what}: {len(empty)} ({some(empty, NAMED)}).' if 0 < len(empty) < len(rows) else ''


def of_several(used: Mapping[str, Sequence[str]], regions: Regions) -> str:
    """What is said of mask files that cells, or a pattern with '*' or '?', give several images, '' without any."""
    shared = {name: names for name, names in used.items() if len(names) > 1}
    if not shared or not (is_of_cells(regions.files) or any(one in regions.files for one in '*?')):
        return ''
    named = some([f'{name} of {" and ".join(names[:2])}' for name, names in shared.items()], NAMED)
    return f'Mask files that {regions.files!r} (regions.files) gives several images: {len(shared)} ({named}).'


def of_none(files: Sequence[str], used: Collection[str], regions: Regions, of_images: Images) -> str:
    """What is said of mask files that no image has, '' if there are none, or if columns alone say which files these
    are. used: those that one has."""
    if not has_own_word(regions.files):
        return ''
    pattern = of_any(regions.files)
    left = [one for one in files if like(one, pattern) and one not in used] if used else []
    images = set(pictures(files, of_images, [regions.files])) if left else set()
    left = [one for one in left if one not in images]
    if not left:
        return ''
    classes = ', or to a class that it is labelled without' if '{class}' in regions.files else ''
    what = f'Files that match {regions.files!r} (regions.files) and belong to no image that is used{classes}'
    return f'{what}: {len(left)} ({some(left, NAMED)}).'


def _mask_files(pattern: str, path: str, cases: Cases, image: int, known: Names) -> list[str]:
    """Mask files of an image: beside it, or by their path below the folder. known: of `names_of`."""
    row = cases.first[image]
    values = {name: str(column[row]) for name, column in cases.rows.columns.items() if not name.startswith('(')}
    classes = [cases.classes[k] for k in np.flatnonzero(cases.readings[0].cells[image] == PRESENT)] or ['']
    found: dict[str, None] = {}
    for of_class in classes if '{class}' in pattern else ['']:
        filled = _escaped(pattern, {**values, 'class': of_class})
        beside = path.rpartition('/')[0]
        wanted = filled if '/' in filled or not beside else f'{glob.escape(beside)}/{filled}'
        found.update(dict.fromkeys(one for one in _matching(wanted, known) if one != path))
    return list(found)


def _named(pattern: str, files: Files, cases: Cases, image: int, found: Found) -> list[str]:
    """The mask file that cells of an image name, found as an image's file is."""
    row = cases.first[image]
    values = {name: str(column[row]).strip() for name, column in cases.rows.columns.items() if not name.startswith('(')}
    text = '' if any(is_empty([values[name]]) for name in fields_of(pattern)) else fill(pattern, values)
    places = [one for one in find(files, text)[0] if files.paths[one] != cases.path[image]] if text else []
    if text and len(places) != 1:
        where = cases.rows.where(row, fields_of(pattern)[0])
        found.add('missing_mask', [f'{text} of {cases.image_id[image]} ({where})'])
        return []
    return [files.paths[one] for one in places]


def _escaped(pattern: str, values: Mapping[str, str]) -> str:
    return fill(pattern, {name: glob.escape(text) for name, text in values.items()})


def _matching(pattern: str, names: Names) -> list[str]:
    """Those of the files that a pattern means, sorted; only those that begin, end, or have a word, as it does are
    looked at."""
    plain = pattern.replace('[[]', '[').replace('[*]', '*').replace('[?]', '?')
    if glob.escape(plain) == pattern:
        one = names.whole.get(plain) or names.whole.get(plain.lower())
        return [one] if one else []
    head = pattern[: min(pattern.find(one) for one in '*?[' if one in pattern)]
    tail = pattern[max(pattern.rfind(one) for one in '*?]') + 1 :]
    tail = tail.removeprefix('/') if '**/' in pattern else tail  # which is also no folder
    begun, ended = _range(names.forward, head), _range(names.backward, tail[::-1])
    having = min((names.by_word.get(word, []) for word in _words(pattern)), key=len, default=None)
    if having is not None and len(having) < min(len(begun), len(ended)):
        return [name for place in having if like(name := names.forward[place], pattern)]
    if len(begun) <= len(ended):
        return [name for place in begun if like(name := names.forward[place], pattern)]
    return sorted(name for place in ended if like(name := names.backward[place][::-1], pattern))


def _words(pattern: str) -> list[str]:
    """The whole words of a pattern: runs of letters and numbers without a wildcard beside them."""
    plain = f'/{BRACKETS.sub("*", pattern)}/'
    return [one[0] for one in WORD.finditer(plain) if not {plain[one.start() - 1], plain[one.end()]} & {'*', '?'}]


def _range(ordered: Sequence[str], head: str) -> range:
    """The places of those of the sorted texts that begin so."""
    last = bisect.bisect_right(ordered, head, key=lambda one: one[: len(head)])
    return range(bisect.bisect_left(ordered, head), last)


def _concepts_in(
    regions: Regions, concepts: Sequence[str], cases: Cases, image: int
) -> list[tuple[int, placing.GreyValues]]:
    """(number of a concept, or OF_NONE; its grey values in the mask file, none for all that is not 0)."""
    if regions.values:
        by_value = {key: tuple(number(str(one)) for one in texts) for key, texts in regions.values.items()}
        known = tuple(value for values in by_value.values() for value in values)
        return [(list(concepts).index(one), placing.GreyValues(own, known)) for one, own in by_value.items()]
    if regions.concept != OF_LABEL:
        return [(list(concepts).index(regions.concept), placing.GreyValues())]
    present = np.flatnonzero(cases.readings[0].cells[image] == PRESENT)
    return [(int(present[0]) if len(present) == 1 else OF_NONE, placing.GreyValues())]


def _crop(regions: Regions, cases: Cases, image: int) -> tuple[float, ...] | None:
    """What part of the image's file the mask covers: x0 y0 x1 y1."""
    if not regions.crop:
        return None
    row = cases.first[image]
    values = [cases.rows.column(name, 'regions.crop')[row] for name in regions.crop]
    return None if is_empty(values) else box_of(values, regions, cases.rows.where(row))
