"""Another data set as a test set: its labels by the classes of the training set, without what training has seen."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data import label_map, overlap, unlike
from imbalance_jax.data.boxes import rasterise
from imbalance_jax.data.dataset import LEFT_OUT, SPLITS, Dataset
from imbalance_jax.data.label_map import NO_MAP, LabelMap, OwnMap
from imbalance_jax.data.soundness import SHOWN, problem
from imbalance_jax.data.tasks import MULTI_CLASS, task_of
from imbalance_jax.names import some

ALL = 'all'
TEST = SPLITS.index('test')
TESTED_ON = 'tested_on'  # in `info` of such a data set: what became of it

UNTRAINED_CLASS = 'of_a_class_that_is_not_trained'
# Kinds of problem -> which part of an overlap they are.
LEAKS = {
    'same_pixels_as_a_training_image': 'equal',
    'nearly_equal_to_a_training_image': 'near',
    'identifier_of_a_training_image': 'named',
    'patient_in_training': 'patient',
}
REFERENCE_IMAGES = 256  # training images that stages look at beside those with a region


class Other(NamedTuple):
    """A data set by the classes of the training set, of which the test split is what is tested; and the map."""

    dataset: Dataset
    found: LabelMap


def matched(other: Dataset, training: Dataset, *, own: OwnMap = NO_MAP, split: str = 'test', name: str = '') -> Other:
    """`other` by the training set's classes; of its images those of `split` ('all': of all splits) are tested.

    Left out, and named among its problems, is what training or validation have seen: images that are equal, nearly
    equal or of the same identifier, and patients (`overlap`). own: see `label_map.match`; name: of the data set in
    messages. Raises ValueError for another size or number of channels, without an image, without a common class or
    concept, and for a multi-class training set and one that is none.
    """
    name = name or other.info['name']
    _check_images(other, training, name)
    found = label_map.match(
        training.classes, training.concepts, other.concepts, own=own, where=f'data.label_maps.{name}'
    )
    used = other.split != LEFT_OUT if split == ALL else other.split == SPLITS.index(split)
    if not used.any():
        raise ValueError(f"config.data.test_on: {name} has no {split} images; '{name}:all' tests on all of its images.")
    dataset, kept = reindexed(other, training, found, used=used)
    not_trained, used = other.image_id[used & ~kept], kept
    dataset = _with_channels(dataset, training.images.shape[-1])
    rows = np.flatnonzero(used)
    known = np.sort(np.concatenate([training.rows('train'), training.rows('validation')]))
    leaks = overlap.of_sets(dataset, rows, training, known)
    used[rows[leaks.any]] = False
    problems = {
        **dataset.info.get('problems', {}),
        UNTRAINED_CLASS: sorted(map(str, not_trained)),
        **{kind: sorted(map(str, dataset.image_id[rows[getattr(leaks, part)]])) for kind, part in LEAKS.items()},
    }
    different = unlike.of_sets(other.images, rows, training.images, training.rows('train'))
    record = {
        'name': name,
        'split': split,
        'label_map': dict(found.classes),
        'how': dict(found.how),
        'absent': found.absent,
        'family': warning(other.info, training.info),
        'shared_with_test': int(_shared_with_test(dataset, rows, training)),
        'unlike': different,
    }
    info = {**dataset.info, 'problems': {kind: names for kind, names in problems.items() if names}, TESTED_ON: record}
    if different:
        info['doubts'] = [*info.get('doubts', []), *(f'Beside the training set, {said}.' for said in different)]
    if not used.any():
        raise ValueError(f'config.data.test_on: every {split} image of {name} is known from training.')
    return Other(dataclasses.replace(dataset, split=np.where(used, TEST, LEFT_OUT).astype(np.uint8), info=info), found)


def _check_images(other: Dataset, training: Dataset, name: str) -> None:
    (size, channels), (wanted, there) = ((s.images.shape[1:3], s.images.shape[3]) for s in (other, training))
    if size != wanted:
        raise ValueError(f'config.data.test_on: images of {name} are {size}, those of the training set {wanted}.')
    if channels not in (1, there):
        raise ValueError(
            f'config.data.test_on: images of {name} have {channels} channels, those of the training set {there}; only '
            'grey images can be taken for colour.'
        )


def _with_channels(dataset: Dataset, channels: int) -> Dataset:
    """Grey images as views with that many equal channels."""
    shape = (*dataset.images.shape[:3], channels)
    return dataclasses.replace(dataset, images=np.broadcast_to(dataset.images, shape))


def reindexed(other: Dataset, training: Dataset, found: LabelMap, *, used: np.ndarray) -> tuple[Dataset, np.ndarray]:
    """The other set with the training set's classes, and its concepts that are no class behind them; and which images
    [N] of those `used` can be asked about.

    A class that is absent there has mask 0 everywhere, never zeros as labels. Of a multi-class training set an image of
    a class that was not trained is left out.
    """
    classes, known = list(training.classes), list(other.classes)
    labels, mask = np.zeros((2, len(other.images), len(classes)), np.uint8)
    for k, name in enumerate(classes):
        there = found.classes[name]
        if there in known:
            labels[:, k], mask[:, k] = (array[:, known.index(there)] for array in (other.labels, other.label_mask))
    if task_of(training.info) == MULTI_CLASS and other.label_mask.any():
        if task_of(other.info) != MULTI_CLASS:
            raise ValueError(
                f'config.data.test_on: {other.info["name"]} is no multi-class set, as the training set is.'
            )
        one = (labels * mask).sum(1) == 1
        if not one.any():
            theirs, own, name = some(known, SHOWN), some(classes, SHOWN), other.info['name']
            raise ValueError(
                f'config.data.test_on: no image of {name} is of a class of the training set ({own}); it has {theirs}. '
                f'config.data.label_maps.{name} says which are the same.'
            )
        used, mask = used & one, np.repeat(one[:, None], len(classes), 1).astype(np.uint8)
    here = [found.concepts[name] for name in other.concepts]
    concepts = [*classes, *(name for name in here if name not in classes)]
    number = np.array([concepts.index(name) for name in here], np.int32)
    info = {key: value for key, value in other.info.items() if key not in ('readings', 'policy')}
    if 'anatomy' in info:
        info['anatomy'] = [found.concepts.get(name, name) for name in info['anatomy']]
    info |= {'classes': classes, 'concepts': concepts}
    dataset = dataclasses.replace(
        other,
        labels=labels * mask,
        label_mask=mask,
        region_concept=number[other.region_concept].astype(np.int32),
        cells=None,
        info=info,
    )
    return dataset, used.copy()


def _shared_with_test(dataset: Dataset, rows: np.ndarray, training: Dataset) -> int:
    """How many of the images `rows` are those of the training set's own test split, or of its patients."""
    return int(overlap.of_sets(dataset, rows, training, training.rows('test')).any.sum())


def warning(other: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """What is to be said of two sets whose images are known to come from one place; '' of others."""
    one, two = (overlap.family(dict(info)) for info in (other, training))
    if not one or one != two or one in overlap.NOBODY:
        return ''
    return (
        f"both hold images of '{one}': what training has seen is left out by identifier, patient and content, as far "
        'as these tell; a patient under another number is not found'
    )


def left_out(info: Mapping[str, Any]) -> list[str]:
    """Lines on what is left out of a set that is tested on, by its `info`, and why."""
    kinds = [kind for kind in (*LEAKS, UNTRAINED_CLASS) if info['problems'].get(kind)]
    return [f'  {problem(kind, info["problems"][kind])}' for kind in kinds]


def shared_with_test(record: Mapping[str, Any]) -> str:
    """What is to be said of images that are those of the own test split. record: `info[TESTED_ON]`."""
    what = 'images have the same pixels as images of the own test split, or are of its patients'
    return f'{record["shared_with_test"]} {what}'


def describe(other: Other) -> str:
    """The map, what is left out, and how many images of each class are left, in lines."""
    dataset, record = other.dataset, other.dataset.info[TESTED_ON]
    rows = dataset.rows('test')
    labels, mask = (array[rows].astype(int) for array in (dataset.labels, dataset.label_mask))
    lines = [label_map.describe(other.found, record['name'])]
    if record['family']:
        lines.append(f'  warning: {record["family"]}.')
    lines += [f'  warning: {said}.' for said in record['unlike']]
    if record['shared_with_test']:
        lines.append(f'  {shared_with_test(record)}.')
    lines += left_out(dataset.info)
    lines.append(f'  tested on {len(rows):,} images of {len(np.unique(dataset.patient[rows])):,} patients')
    if not mask.any():
        lines.append('  no label counts there: maps and units are asked, and nothing of performance')
    for k, name in enumerate(dataset.classes):
        if mask[:, k].any():
            lines.append(f'  {name}: {(labels * mask)[:, k].sum():,} positive of {mask[:, k].sum():,}')
    return '\n'.join(lines)


def beside(training: Dataset, other: Dataset) -> Dataset:
    """A data set whose training split is what stages look at of the training set, and whose test split is the other's.

    Of the training images those with a region, and some more. Patients of both are different ones: those that training
    has seen are left out of `other` before.
    """
    train, test = training.rows('train'), other.rows('test')
    some = train[np.linspace(0, len(train) - 1, min(len(train), REFERENCE_IMAGES)).astype(int)]
    with_region = np.intersect1d(train, training.region_image)
    chosen = np.unique(np.concatenate([train[:REFERENCE_IMAGES], some, with_region]))
    concepts = [*other.concepts, *(name for name in training.concepts if name not in other.concepts)]
    parts = [(training, chosen, 0), (other, test, len(chosen))]
    regions = [np.flatnonzero(np.isin(one.region_image, rows)) for one, rows, _ in parts]
    first, second = (one.patient[rows] for one, rows, _ in parts)
    own = np.unique(second, return_inverse=True)[1] + int(first.max(initial=0)) + 1
    frames = [_in_frame(one, index) for (one, _, _), index in zip(parts, regions, strict=True)]
    masks = [one.region_mask[index] if len(one.region_mask) else None for (one, _, _), index in _zip(parts, regions)]
    return Dataset(
        images=np.concatenate([one.images[rows] for one, rows, _ in parts]),
        labels=np.concatenate([one.labels[rows] for one, rows, _ in parts]),
        label_mask=np.concatenate([one.label_mask[rows] for one, rows, _ in parts]),
        split=np.repeat(np.array([SPLITS.index('train'), TEST], np.uint8), [len(chosen), len(test)]),
        patient=np.concatenate([first, own]).astype(np.int64),
        image_id=np.concatenate([one.image_id[rows] for one, rows, _ in parts]),
        region_image=np.concatenate(
            [np.searchsorted(rows, one.region_image[index]) + at for (one, rows, at), index in _zip(parts, regions)]
        ).astype(np.int32),
        region_concept=np.concatenate(
            [
                np.array([concepts.index(name) for name in one.concepts], np.int32)[one.region_concept[index]]
                for (one, _, _), index in _zip(parts, regions)
            ]
        ),
        region_box=np.concatenate(frames).astype(np.float32),
        region_mask=_masks(masks, frames, training),
        info={**other.info, 'concepts': concepts, 'frame': list(training.images.shape[1:3])},
        groups=_groups(other, chosen, test),
        region_reader=_readers(other, regions),
    )


def _zip(parts: list, regions: list) -> list:
    return list(zip(parts, regions, strict=True))


def _in_frame(dataset: Dataset, regions: np.ndarray) -> np.ndarray:
    """Boxes [n,4] of regions in pixels of the prepared image."""
    height, width = dataset.images.shape[1:3]
    frame_height, frame_width = dataset.info['frame']
    scale = np.array([width / frame_width, height / frame_height])
    return dataset.region_box[regions].reshape(-1, 4) * np.tile(scale, 2)


def _masks(masks: list, boxes: list, training: Dataset) -> np.ndarray:
    """Packed masks of all regions where a set has any, those of boxes alone rasterised."""
    height, width = training.images.shape[1:3]
    if all(one is None for one in masks):
        return np.zeros((0, height, -(-width // 8)), np.uint8)
    packed = [
        np.packbits(rasterise(box[:, None], (height, width), (height, width)), axis=-1) if one is None else one
        for one, box in zip(masks, boxes, strict=True)
    ]
    return np.concatenate(packed)


def _groups(other: Dataset, chosen: np.ndarray, test: np.ndarray) -> np.ndarray | None:
    if other.groups is None:
        return None
    unknown = np.full((len(chosen), other.groups.shape[1]), -1, other.groups.dtype)
    return np.concatenate([unknown, other.groups[test]])


def _readers(other: Dataset, regions: list) -> np.ndarray | None:
    if other.region_reader is None:
        return None
    return np.concatenate([np.full(len(regions[0]), -1, np.int8), other.region_reader[regions[1]]])
