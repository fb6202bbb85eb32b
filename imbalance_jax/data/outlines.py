"""Whether boxes and masks of regions are what `Dataset` says: in pixels, packed along x, and of one region."""

import logging

import numpy as np

from imbalance_jax.data.dataset import Dataset

BLOCK = 4096  # masks looked at together
# A mask may leave its box by so many pixels of the prepared image, as masks are whole pixels, and by this share of the
# box's side, as both may be drawn by hand. It may fill little of it: parts thinner than a pixel are lost.
SLACK, LOOSE = 2.0, 0.25
MANY = 20  # boxes in one corner that are no chance
log = logging.getLogger(__name__)


def check_regions(dataset: Dataset) -> None:
    """Raises ValueError for a box without area or out of the frame, boxes in 0..1, and masks that are not packed along
    x at the size of the images, are empty, or lie elsewhere than their boxes."""
    name, count = dataset.info['name'], len(dataset.region_box)
    for field, most in (('region_image', len(dataset.images)), ('region_concept', len(dataset.concepts))):
        values = getattr(dataset, field)
        if not ((values >= 0) & (values < most)).all():
            raise ValueError(f'{name}: {field} must have {count} numbers from 0 to {most - 1}.')
    if dataset.region_reader is not None:
        readers = len(dataset.info['readers'])
        if not ((dataset.region_reader >= -1) & (dataset.region_reader < readers)).all():
            raise ValueError(f'{name}: region_reader must have numbers from -1 (a consensus) to {readers - 1}.')
    if count:
        _check_boxes(dataset, name)
    _check_packing(dataset, name)
    if len(dataset.region_mask):
        _check_masks(dataset, name)


def _check_boxes(dataset: Dataset, name: str) -> None:
    height, width = dataset.info['frame']
    boxes = dataset.region_box
    if np.nanmax(boxes, initial=0) <= 1 < min(height, width):
        noted = ' '.join(['', *dataset.info.get('doubts', [])])
        if len(dataset.region_mask) and (boxes == (0, 0, 1, 1)).all():
            raise ValueError(
                f'{name}: every region is the pixel in the upper left corner, as where runs of "1 1" stand for no '
                f'region; leave these cells empty.{noted}'
            )
        raise ValueError(
            f'{name}: all boxes lie in 0..1, and the frame has {width} x {height} pixels; pixels of the frame are '
            f'wanted (or frame [1, 1], if 0..1 is what they are).{noted}'
        )
    x0, y0, x1, y1 = boxes.T
    sound = (x0 >= 0) & (x0 < x1) & (x1 <= width) & (y0 >= 0) & (y0 < y1) & (y1 <= height)  # False for NaN, too
    if not sound.all():
        row = int(np.argmin(sound))
        box = [float(value) for value in boxes[row]]
        raise ValueError(
            f'{name}: the box of {_of(dataset, row)} is {box}; x0 < x1 and y0 < y1 within {width} x {height} '
            'pixels are wanted, corners, not sides.'
        )
    prepared = dataset.images.shape[1:3]
    corner = boxes[:, 2].max() <= prepared[1] and boxes[:, 3].max() <= prepared[0]
    if corner and len(boxes) >= MANY and 2 * prepared[1] <= width and 2 * prepared[0] <= height:
        size = f'{prepared[1]} x {prepared[0]}'
        log.warning(
            '%s: all %d boxes lie in the upper left %s pixels of a frame of %s x %s, as if they were in pixels of the '
            'prepared image: is the frame right?',
            name, len(boxes), size, width, height,
        )  # fmt: skip


def _check_packing(dataset: Dataset, name: str) -> None:
    height, width = dataset.images.shape[1:3]
    shape, count = list(dataset.region_mask.shape), len(dataset.region_box)
    wanted = [height, -(-width // 8)]
    if shape[1:] != wanted:
        hint = ''
        if shape[1:] == [height, width]:
            hint = '; they are not packed: numpy.packbits(mask, axis=-1)'
        elif shape[1:] == [-(-height // 8), width]:
            hint = '; they are packed along y: numpy.packbits(mask, axis=-1)'
        elif len(shape) == 3:
            hint = '; they must have the size of the images'
        raise ValueError(f'{name}: region_mask has the shape {shape}; [R,{wanted[0]},{wanted[1]}] is wanted{hint}.')
    if shape[0] not in (0, count):
        raise ValueError(f'{name}: there are {shape[0]} masks for {count} regions; all or none are wanted.')


def _check_masks(dataset: Dataset, name: str) -> None:
    height, width = dataset.images.shape[1:3]
    frame = dataset.info['frame']
    scale = np.array([width / frame[1], height / frame[0]] * 2)
    for start in range(0, len(dataset.region_mask), BLOCK):
        packed = dataset.region_mask[start : start + BLOCK]
        rows: np.ndarray = np.asarray((packed > 0).any(2))
        columns = np.unpackbits(np.bitwise_or.reduce(packed, axis=1), axis=-1)
        if (empty := ~rows.any(1)).any():
            region = _of(dataset, start + int(np.argmax(empty)))
            raise ValueError(f'{name}: the mask of {region} is empty; a region has a pixel, or is left out.')
        if columns[:, width:].any():
            raise ValueError(f'{name}: masks have bits beyond the width of {width} pixels; numpy.packbits leaves 0.')
        mask = np.stack([*_span(columns), *_span(rows)])[[0, 2, 1, 3]].T.astype(float)  # x0 y0 x1 y1
        box = dataset.region_box[start : start + BLOCK] * scale
        apart = _apart(mask, box)
        if apart.any():
            row = int(np.argmax(apart))
            spans = (f'{[round(float(x), 1) for x in one[row]]}' for one in (mask, box))
            raise ValueError(
                f'{name}: the mask of {_of(dataset, start + row)} spans {{}}, its box {{}}, x0 y0 x1 y1 in pixels of '
                'the prepared image; they are to be one region.'.format(*spans)
            )


def _span(flags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first place [B] of flags [B,n] that is set, and that after the last."""
    return flags.argmax(1), flags.shape[1] - flags[:, ::-1].argmax(1)


def _apart(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Where a mask's span [B,4] leaves the box [B,4]."""
    slack = SLACK + LOOSE * (box[:, 2:] - box[:, :2])
    return np.any((mask[:, :2] < box[:, :2] - slack) | (mask[:, 2:] > box[:, 2:] + slack), axis=1)


def _of(dataset: Dataset, row: int) -> str:
    concept = dataset.concepts[dataset.region_concept[row]]
    return f'{concept} in image {dataset.image_id[dataset.region_image[row]]}'
