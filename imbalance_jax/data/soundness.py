"""Whether data can be trained on, before anything is compiled."""

import dataclasses
import logging
import re
from collections.abc import Sequence

import numpy as np

from imbalance_jax.data import coverage, overlap
from imbalance_jax.data.arrays import Arrays, class_counts
from imbalance_jax.data.dataset import (
    ABSENT,
    LEFT_OUT,
    NOT_MENTIONED,
    NOT_READ,
    PRESENT,
    SPLITS,
    UNCERTAIN,
    Dataset,
)
from imbalance_jax.data.form import check_form
from imbalance_jax.data.outlines import check_regions
from imbalance_jax.names import some
from imbalance_jax.system import processes

NUMBER = re.compile(r'[-+]?[0-9]+([.,][0-9]+)?')
MANY_GROUPS = 12  # of numbers, which may be ages
SHOWN = 5  # names in a message
DUPLICATES = 'same_pixels_in_two_splits'
APART = 'Images with the same pixels and other labels'
log = logging.getLogger(__name__)


def check_splits(dataset: Dataset) -> None:
    """Raises ValueError if validation cannot choose a best epoch, or a split is empty.

    A class that no image of a split has, or every one, is said: nothing can be learned of it there, or measured; and
    one whose negatives the labels hide.
    """
    read = coverage.were_read(dataset)
    for split in SPLITS:
        rows = dataset.rows(split)
        mask = np.asarray(dataset.label_mask[rows], np.float32)
        arrays = Arrays(rows, dataset.labels[rows] * mask, mask)
        if not len(rows):
            raise ValueError(f'The {split} split of {dataset.info["name"]} is empty.')
        if not mask.any():
            raise ValueError(f'No label of the {split} split of {dataset.info["name"]} counts: all are masked.')
        if split == 'validation' and not np.minimum(*class_counts(arrays)).any():
            raise ValueError('No class has both positives and negatives in the validation split: AUROC is undefined.')
        counts = dict(zip(dataset.classes, class_counts(arrays)[0].tolist(), strict=True))
        if absent := [name for name, count in counts.items() if not count]:
            processes.say(f'No image of the {split} split has {", ".join(absent)}.')
        if everywhere := [name for name, count in counts.items() if count == len(rows)]:
            processes.say(f'Every image of the {split} split has {", ".join(everywhere)}.')
        for sentence in coverage.hidden_negatives((arrays.labels, arrays.label_mask), read[rows], dataset.classes):
            log.warning('%s, %s: %s.', dataset.info['name'], split, sentence)


def check(dataset: Dataset, image_size: int | None = None) -> None:
    """Raises ValueError naming the first thing that is not as `Dataset` says, and where it is.

    Arrays have their kinds and shapes; labels are 0 or 1, with what is uncertain masked; an image and a patient are in
    one split; a box has an area and lies in the frame, and a mask in its box; every number that points at something
    points at something there is. image_size: what was asked for.
    """
    check_form(dataset, image_size)
    name = dataset.info['name']
    _check_flags(dataset, name)
    allowed = [*range(len(SPLITS)), LEFT_OUT]
    _require_all(np.isin(dataset.split, allowed), f'{name}: the split of an image must be one of {allowed}', dataset)
    _check_once(dataset, name)
    _check_patients(dataset, name)
    check_regions(dataset)
    _check_groups(dataset, name)
    _check_cells(dataset, name)
    if dataset.source_size is not None:
        _require_all(np.all(dataset.source_size > 0, axis=1), f'{name}: source_size must be above 0', dataset)


def doubt_groups(dataset: Dataset) -> Dataset:
    """The data set with a doubt for each grouping of people in which no image, or not every one, is in any group, where
    nothing says it."""
    if dataset.groups is None:
        return dataset
    lost = dict(zip(dataset.info['groups'], (dataset.groups < 0).sum(0).tolist(), strict=True))
    count, notes = len(dataset.groups), dataset.info.get('notes', [])
    said = [
        f'No image is in a group of {name}: what says it is not read, or empty.'
        if number == count
        else f'{number} of {count} images are in no group of {name}.'
        for name, number in lost.items()
        if number and not any(f'no group of {name}' in one for one in notes)
    ]
    for name, groups in dataset.info['groups'].items():
        if len(groups) > MANY_GROUPS and all(NUMBER.fullmatch(one.strip()) for one in groups):
            said.append(f'Each number of {name} is a group of its own, {len(groups)} of them: bands make few groups.')
    return _with_doubts(dataset, said) if said else dataset


def _with_doubts(dataset: Dataset, said: Sequence[str]) -> Dataset:
    return dataclasses.replace(dataset, info={**dataset.info, 'doubts': [*dataset.info.get('doubts', []), *said]})


def leave_out_duplicates(dataset: Dataset) -> Dataset:
    """The data set without images whose very pixels are in a later split too: it would be tested on what was learned.

    They are named among its problems and in a warning. Images of one grey value are no duplicates of one another.
    Duplicates within a split are among its doubts, and of all those with other labels.
    """
    digests = overlap.pixel_digests(dataset.images)
    varied = np.array([bool(one) for one in digests], bool)
    rows = np.flatnonzero((dataset.split != LEFT_OUT) & varied)
    last: dict[bytes, int] = {}
    across: list[int] = []
    within: list[int] = []
    apart: list[str] = []
    for row in rows[np.argsort(-dataset.split[rows].astype(int), kind='stable')]:  # test first
        other = last.setdefault(digests[row], row)
        if other != row:
            (within if dataset.split[other] == dataset.split[row] else across).append(row)
            if _are_labelled_apart(dataset, row, other):
                apart.append(f'{dataset.image_id[row]} and {dataset.image_id[other]}')
    name = dataset.info['name']
    if not varied.all():
        log.warning('%s: of one grey value all over: %s.', name, _names(dataset, np.flatnonzero(~varied)))
    repeating = sorted(str(dataset.image_id[row]) for row in within)
    said = {'Images with the same pixels as another of their split': repeating, APART: apart}
    doubts = [f'{what}: {len(names)} ({some(names, SHOWN)}).' for what, names in said.items() if names]
    if doubts:
        dataset = _with_doubts(dataset, doubts)
    if not across:
        return dataset
    log.warning('%s: left out, as a later split has the same pixels: %s.', name, _names(dataset, across))
    split = dataset.split.copy()
    split[across] = LEFT_OUT
    problems = {**dataset.info['problems'], DUPLICATES: sorted(str(dataset.image_id[row]) for row in across)}
    return dataclasses.replace(dataset, split=split, info={**dataset.info, 'problems': problems})


def _are_labelled_apart(dataset: Dataset, row: int, other: int) -> bool:
    """Whether a label that counts of both images is a yes of one and a no of the other."""
    counted = (dataset.label_mask[row] == 1) & (dataset.label_mask[other] == 1)
    return bool((counted & (dataset.labels[row] != dataset.labels[other])).any())


def _check_flags(dataset: Dataset, name: str) -> None:
    for field in ('labels', 'label_mask'):
        wrong = ~np.isin(getattr(dataset, field), (0, 1))
        if wrong.any():
            row, k = np.argwhere(wrong)[0]
            value, where = getattr(dataset, field)[row, k], f'image {dataset.image_id[row]}, {dataset.classes[k]}'
            hint = 'what is uncertain has a 0 in label_mask' if field == 'labels' else '0 is uncertain or missing'
            raise ValueError(f'{name}: {field} of {where}, is {value}; it must be 0 or 1 ({hint}).')


def _check_once(dataset: Dataset, name: str) -> None:
    if not (dataset.image_id != '').all():
        raise ValueError(f'{name}: an image has the name {""!r}; every image has one of its own.')
    names, counts = np.unique(dataset.image_id, return_counts=True)
    if (counts > 1).any():
        repeated = names[counts > 1]
        splits = sorted(set(dataset.split[dataset.image_id == repeated[0]].tolist()))
        places = ' and '.join(SPLITS[s] if s < len(SPLITS) else 'left out' for s in splits)
        raise ValueError(f'{name}: image {repeated[0]} is there twice (in {places}); so are {len(repeated) - 1} more.')


def _check_patients(dataset: Dataset, name: str) -> None:
    message = f'{name}: a patient is a number of 0 or more (one of unknown patients would make them one person)'
    _require_all(dataset.patient >= 0, message, dataset)
    there = [set(dataset.patient[dataset.split == number].tolist()) for number in range(len(SPLITS))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        if both := sorted(there[one] & there[other]):
            shown = ', '.join(map(str, both[:SHOWN]))
            raise ValueError(
                f'{name}: {len(both)} patients are in {SPLITS[one]} and in {SPLITS[other]} ({shown}); all images of a '
                'patient belong in one split.'
            )


def _check_groups(dataset: Dataset, name: str) -> None:
    names = dataset.info.get('groups', {})
    for column, (grouping, of_grouping) in enumerate(names.items()):
        assert dataset.groups is not None
        sound = np.isin(dataset.groups[:, column], range(-1, len(of_grouping)))
        message = f'{name}: the group by {grouping} of an image must be from -1 (unknown) to {len(of_grouping) - 1}'
        _require_all(sound, message, dataset)


def _check_cells(dataset: Dataset, name: str) -> None:
    if dataset.cells is not None:
        known = (PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED, NOT_READ)
        sound = np.all(np.isin(dataset.cells, known), axis=(0, 2))
        _require_all(sound, f'{name}: cells of an image must be among {list(known)}', dataset)
        told = np.isin(dataset.cells, (PRESENT, ABSENT))
        one = (dataset.cells == np.where(told, dataset.cells, -9).max(0)) | ~told  # readings that all say the same
        sure = one.all(0) & told.any(0) & (dataset.label_mask == 1)
        contrary = sure & ((dataset.cells == PRESENT).any(0) != (dataset.labels == 1))
        if 2 * contrary.sum() > sure.sum():
            raise ValueError(
                f'{name}: labels say the contrary of cells, where all readings agree, in {contrary.sum()} of '
                f'{sure.sum()} entries; cells are {PRESENT} where a finding is present, {ABSENT} where it is absent.'
            )
    if dataset.info.get('task') == 'multi_class':
        _require_all(dataset.labels.sum(1) == 1, f'{name}: an image has one class of a multi-class set', dataset)
        _require_all(np.all(dataset.label_mask == 1, axis=1), f'{name}: the class of an image must be known', dataset)


def _require_all(sound: np.ndarray, message: str, dataset: Dataset) -> None:
    if not sound.all():
        raise ValueError(f'{message}; that of {_names(dataset, np.flatnonzero(~sound))} is not.')


def _names(dataset: Dataset, rows: Sequence[int] | np.ndarray) -> str:
    return some([str(dataset.image_id[row]) for row in rows], SHOWN)


def problem(kind: str, names: Sequence[str]) -> str:
    """One of `info['problems']` as a line."""
    return f'left out, {kind.replace("_", " ")}: {len(names):,} ({some(names, SHOWN)})'
