"""Regions that mask files give, one file or several per image."""

import bisect
import fnmatch
import glob
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from imbalance_jax.data.dataset import PRESENT
from imbalance_jax.data.reader import placing
from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.layout import Regions
from imbalance_jax.data.reader.placing import Planned
from imbalance_jax.data.reader.region_rows import OF_LABEL, box_of, is_empty
from imbalance_jax.data.reader.rows import PARENT, STEM
from imbalance_jax.data.reader.spelling import fields_of, fill, number


def plan_files(
    folder: Path,
    files: Sequence[str],
    cases: Cases,
    regions: Regions,
    concepts: Sequence[str],
    plan: list[list[Planned]],
) -> None:
    """Regions of mask files, one file or several per image."""
    for name in fields_of(regions.files):
        if name not in (STEM, PARENT, 'class'):
            cases.rows.column(name, 'regions.files')
    known = set(files)
    for image, path in enumerate(cases.path):
        for name in _mask_files(regions.files, path, cases, image, files, known):
            for concept, values in _concepts_in(regions, concepts, cases, image, name):
                make = partial(
                    placing.mask_file, path=folder / name, values=values, crop=_crop(regions, cases, image), name=name
                )
                plan[image].append(Planned(concept, regions.as_reader, make))


def _mask_files(pattern: str, path: str, cases: Cases, image: int, files: Sequence[str], known: set[str]) -> list[str]:
    """Mask files of an image: beside it, or by their path below the folder."""
    row = cases.first[image]
    values = {name: str(column[row]) for name, column in cases.rows.columns.items() if not name.startswith('(')}
    classes = [cases.classes[k] for k in np.flatnonzero(cases.readings[0].cells[image] == PRESENT)] or ['']
    found: dict[str, None] = {}
    for of_class in classes if '{class}' in pattern else ['']:
        filled = _escaped(pattern, {**values, 'class': of_class})
        beside = path.rpartition('/')[0]
        wanted = filled if '/' in filled or not beside else f'{glob.escape(beside)}/{filled}'
        found.update(dict.fromkeys(one for one in _matching(wanted, files, known) if one != path))
    return list(found)


def _escaped(pattern: str, values: Mapping[str, str]) -> str:
    return fill(pattern, {name: glob.escape(text) for name, text in values.items()})


def _matching(pattern: str, files: Sequence[str], known: set[str]) -> list[str]:
    """Those of the sorted files that a pattern means; only those that begin as it does are looked at."""
    plain = pattern.replace('[[]', '[').replace('[*]', '*').replace('[?]', '?')
    if glob.escape(plain) == pattern:
        return [plain] if plain in known else []
    head = pattern[: min(pattern.find(one) for one in '*?[' if one in pattern)]
    start = bisect.bisect_left(files, head)
    result = []
    for name in files[start:]:
        if not name.startswith(head):
            break
        if fnmatch.fnmatchcase(name, pattern):
            result.append(name)
    return result


def _concepts_in(
    regions: Regions, concepts: Sequence[str], cases: Cases, image: int, name: str
) -> list[tuple[int, tuple[float, ...]]]:
    """(number of a concept, its grey values in the mask file, none for all that is not 0)."""
    if regions.values:
        by_value = {key: tuple(number(str(one)) for one in texts) for key, texts in regions.values.items()}
        return [(list(concepts).index(concept), values) for concept, values in by_value.items()]
    if regions.concept != OF_LABEL:
        return [(list(concepts).index(regions.concept), ())]
    present = np.flatnonzero(cases.readings[0].cells[image] == PRESENT)
    return [(int(present[0]), ())] if len(present) == 1 else []


def _crop(regions: Regions, cases: Cases, image: int) -> tuple[float, ...] | None:
    """What part of the image's file the mask covers: x0 y0 x1 y1."""
    if not regions.crop:
        return None
    row = cases.first[image]
    values = [cases.rows.column(name, 'regions.crop')[row] for name in regions.crop]
    return None if is_empty(values) else box_of(values, regions, cases.rows.where(row))
