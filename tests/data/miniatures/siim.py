"""SIIM-ACR Pneumothorax in miniature: relative runs down the columns, several annotations per image, DICOM."""

import itertools

import numpy as np
from data.miniatures.films import dicom, pixels, table

SIDE = 1024
# image -> rectangles of its annotations, x0 y0 x1 y1
IMAGES = {
    f'1.2.276.0.7230010.3.1.4.8323329.{number}.1517875201.850819': boxes
    for number, boxes in enumerate(
        [
            (),
            ((100, 200, 300, 500),),
            ((100, 200, 300, 500), (600, 100, 700, 900), (650, 800, 900, 1000)),
            *(((10 * k, 20, 10 * k + 100, 200),) if k % 3 == 0 else () for k in range(20)),
        ]
    )
}


def mask_of(box):
    x0, y0, x1, y1 = box
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def encode(mask):
    """Pairs (gap since the end of the run before, length), column by column."""
    words, gap = [], 0
    for value, group in itertools.groupby(mask.T.ravel().tolist()):
        length = len(list(group))
        if value:
            words += [gap, length]
        gap = 0 if value else length
    return ' '.join(map(str, words))


def write(folder, images=True):
    lines = ['ImageId, EncodedPixels']
    for name, boxes in IMAGES.items():
        lines += [f'{name}, {encode(mask_of(box))}' for box in boxes] or [f'{name}, -1']
        if images:
            dicom(folder / 'dicom-images-train' / f'{name}.1' / f'{name}.2' / f'{name}.dcm', pixels(name, 64, 64))
    table(folder / 'train-rle.csv', lines)
    return folder
