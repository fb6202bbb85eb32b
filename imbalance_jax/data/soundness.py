"""Whether data can be trained on, before anything is compiled."""

import dataclasses
import hashlib
import logging
from collections.abc import Sequence

import numpy as np

from imbalance_jax.data.arrays import class_counts, split_arrays
from imbalance_jax.data.dataset import LEFT_OUT, SPLITS, Dataset
from imbalance_jax.data.streams import on_all_cores
from imbalance_jax.system import processes

SHOWN = 5  # names in a message
BLOCK = 64  # images at a time
DUPLICATES = 'same_pixels_in_two_splits'
INFO = ('name', 'classes', 'concepts', 'frame', 'options', 'problems', 'source', 'licence')  # what `Dataset.info` has
log = logging.getLogger(__name__)


def check_splits(dataset: Dataset) -> None:
    """Raises ValueError if validation cannot choose a best epoch, or a split is empty.

    A class that a split has no image of is said: nothing can be learned of it there, or measured.
    """
    for split in SPLITS:
        arrays = split_arrays(dataset, split)
        if not len(arrays.images):
            raise ValueError(f'The {split} split of {dataset.info["name"]} is empty.')
        if split == 'validation' and not np.minimum(*class_counts(arrays)).any():
            raise ValueError('No class has both positives and negatives in the validation split: AUROC is undefined.')
        absent = [name for name, count in zip(dataset.classes, class_counts(arrays)[0], strict=True) if not count]
        if absent and processes.leads():
            print(f'No image of the {split} split has {", ".join(absent)}.', flush=True)


def check(dataset: Dataset) -> None:
    """Raises ValueError naming the first thing that is not as `Dataset` says, and where it is.

    Labels are 0 or 1, with what is uncertain masked; an image and a patient are in one split; a box has an area and
    lies in the frame; every number that points at something points at something there is.
    """
    _check_info(dataset.info)
    count, classes, name = len(dataset.images), len(dataset.classes), dataset.info['name']
    sizes = {'labels': (count, classes), 'label_mask': (count, classes), 'split': (count,), 'patient': (count,)}
    for field, size in {**sizes, 'image_id': (count,)}.items():
        shape = getattr(dataset, field).shape
        _require(shape == size, f'{name}: {field} has the shape {list(shape)}; {list(size)} is wanted.')
    kind, axes = dataset.images.dtype, list(dataset.images.shape)
    _require(kind == np.uint8 and len(axes) == 4, f'{name}: images are {kind}{axes}, not uint8 [N,H,W,C].')
    _check_flags(dataset, name)
    allowed = [*range(len(SPLITS)), LEFT_OUT]
    _require_all(np.isin(dataset.split, allowed), f'{name}: the split of an image must be one of {allowed}', dataset)
    _check_once(dataset, name)
    _check_patients(dataset, name)
    _check_regions(dataset, name)
    _check_groups(dataset, name)


def leave_out_duplicates(dataset: Dataset) -> Dataset:
    """The data set without images whose very pixels are in a later split too: it would be tested on what was learned.

    They are named among its problems and in a warning. Images of one grey value are no duplicates of one another.
    Duplicates within a split are only warned of.
    """
    digests = _pixel_digests(dataset.images)
    rows = np.flatnonzero((dataset.split != LEFT_OUT) & np.array([bool(one) for one in digests], bool))
    last: dict[bytes, int] = {}
    across: list[int] = []
    within: list[int] = []
    for row in rows[np.argsort(-dataset.split[rows].astype(int), kind='stable')]:  # test first
        other = last.setdefault(digests[row], row)
        if other != row:
            (within if dataset.split[other] == dataset.split[row] else across).append(row)
    name = dataset.info['name']
    if within:
        log.warning('%s: images repeat the pixels of one in their split: %s.', name, _names(dataset, within))
    if not across:
        return dataset
    log.warning('%s: left out, as a later split has the same pixels: %s.', name, _names(dataset, across))
    split = dataset.split.copy()
    split[across] = LEFT_OUT
    problems = {**dataset.info['problems'], DUPLICATES: sorted(str(dataset.image_id[row]) for row in across)}
    return dataclasses.replace(dataset, split=split, info={**dataset.info, 'problems': problems})


def _pixel_digests(images: np.ndarray) -> list[bytes]:
    """A digest of the pixels of every image, b'' where all are one value; on all cores, a few images in memory."""

    def of_block(start: int) -> list[bytes]:
        block = images[start : start + BLOCK]
        return [hashlib.sha256(image.tobytes()).digest()[:16] * int(image.min() < image.max()) for image in block]

    return [digest for block in on_all_cores(of_block, range(0, len(images), BLOCK)) for digest in block]


def _check_info(info: dict) -> None:
    name = info.get('name', 'data set')
    if absent := [key for key in INFO if key not in info]:
        raise ValueError(f'{name}: info has no {", ".join(map(repr, absent))}; it must have {", ".join(INFO)}.')
    classes, concepts = list(info['classes']), list(info['concepts'])
    _require(concepts[: len(classes)] == classes, f'{name}: the concepts must begin with the classes {classes}.')
    _require(len(info['frame']) == 2, f'{name}: frame is {info["frame"]}; [height, width] in pixels is wanted.')


def _check_flags(dataset: Dataset, name: str) -> None:
    for field in ('labels', 'label_mask'):
        wrong = ~np.isin(getattr(dataset, field), (0, 1))
        if wrong.any():
            row, k = np.argwhere(wrong)[0]
            value, where = getattr(dataset, field)[row, k], f'image {dataset.image_id[row]}, {dataset.classes[k]}'
            hint = 'what is uncertain has a 0 in label_mask' if field == 'labels' else '0 is uncertain or missing'
            raise ValueError(f'{name}: {field} of {where}, is {value}; it must be 0 or 1 ({hint}).')


def _check_once(dataset: Dataset, name: str) -> None:
    names, counts = np.unique(dataset.image_id, return_counts=True)
    if (counts > 1).any():
        repeated = names[counts > 1]
        splits = sorted(set(dataset.split[dataset.image_id == repeated[0]].tolist()))
        places = ' and '.join(SPLITS[s] if s < len(SPLITS) else 'left out' for s in splits)
        raise ValueError(f'{name}: image {repeated[0]} is there twice (in {places}); so are {len(repeated) - 1} more.')


def _check_patients(dataset: Dataset, name: str) -> None:
    there = [set(dataset.patient[dataset.split == number].tolist()) for number in range(len(SPLITS))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        if both := sorted(there[one] & there[other]):
            shown = ', '.join(map(str, both[:SHOWN]))
            raise ValueError(
                f'{name}: {len(both)} patients are in {SPLITS[one]} and in {SPLITS[other]} ({shown}); all images of a '
                'patient belong in one split.'
            )


def _check_regions(dataset: Dataset, name: str) -> None:
    count = len(dataset.region_box)
    height, width = dataset.info['frame']
    for field, most in (('region_image', len(dataset.images)), ('region_concept', len(dataset.concepts))):
        values = getattr(dataset, field)
        sound = values.shape == (count,) and ((values >= 0) & (values < most)).all()
        _require(sound, f'{name}: {field} must have {count} numbers from 0 to {most - 1}.')
    x0, y0, x1, y1 = dataset.region_box.reshape(-1, 4).T
    sound = (x0 >= 0) & (x0 < x1) & (x1 <= width) & (y0 >= 0) & (y0 < y1) & (y1 <= height)  # False for NaN, too
    if not sound.all():
        row = int(np.argmin(sound))
        image, concept = dataset.image_id[dataset.region_image[row]], dataset.concepts[dataset.region_concept[row]]
        box = [float(value) for value in dataset.region_box[row]]
        raise ValueError(
            f'{name}: the box of {concept} in image {image} is {box}; x0 < x1 and y0 < y1 within {width} x {height} '
            'pixels are wanted.'
        )
    masks = len(dataset.region_mask)
    _require(masks in (0, count), f'{name}: there are {masks} masks for {count} regions; all or none are wanted.')


def _check_groups(dataset: Dataset, name: str) -> None:
    names = dataset.info.get('groups', {})
    shape = None if dataset.groups is None else dataset.groups.shape
    wanted = (len(dataset.images), len(names)) if names else None
    _require(shape == wanted, f'{name}: groups have the shape {shape}; {wanted} is wanted, one column per grouping.')
    for column, (grouping, of_grouping) in enumerate(names.items()):
        assert dataset.groups is not None
        sound = np.isin(dataset.groups[:, column], range(-1, len(of_grouping)))
        message = f'{name}: the group by {grouping} of an image must be from -1 (unknown) to {len(of_grouping) - 1}'
        _require_all(sound, message, dataset)


def _require(sound: bool, message: str) -> None:
    if not sound:
        raise ValueError(message)


def _require_all(sound: np.ndarray, message: str, dataset: Dataset) -> None:
    _require(bool(sound.all()), f'{message}; that of {_names(dataset, np.flatnonzero(~sound))} is not.')


def _names(dataset: Dataset, rows: Sequence[int] | np.ndarray) -> str:
    shown = ', '.join(str(dataset.image_id[row]) for row in rows[:SHOWN])
    return shown + (f' and {len(rows) - SHOWN} more' if len(rows) > SHOWN else '')
