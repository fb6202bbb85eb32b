"""Images and patients that two data sets share, or two splits of one: by identifier, by pixels, and by near-equality.

An image that was cut from the same film but written again (as JPEG, at another size, with another window) has other
pixels. It is found by two correlations with each image of the other set, of thumbnails of 16 x 16 mean grey values: of
the thumbnails as they are, and of what is left of them without their surroundings. Both are taken without sign, so that
a negative is found too. Of the second, more is asked where a set's images are alike: beyond what pairs of its own
images of different patients reach (`limit`).

Measured on 1,000 radiographs of NIH at 64 pixels: none of 498,823 pairs of different patients is called equal. Of the
same images again, found are 99.9 % or more as JPEG of quality 30 or 10, at 128 pixels without smoothing, at 28 pixels,
as negatives, with gamma 1.6; 99.8 % with gamma 0.6 or another window (2nd to 98th percentile); 99.6 % with noise of 10
grey values or at 28 pixels as JPEG of quality 50. Cropped by 2 % at every side a third are found, by 4 % none;
turned or flipped ones are not.
"""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.streams import Rows, on_all_cores

SIDE = 16  # of a thumbnail
WHOLE, DETAIL = 0.97, 0.92  # least correlations of thumbnails as they are and without their surroundings
SAMPLE = 1000  # images whose pairs say how alike the images of a set are
BLOCK = 2048  # thumbnails at a time
DIGESTED = 64  # images at a time
# Data sets whose images are other sets' too: name -> whose they are. Sources say it themselves in `info['family']`.
FAMILIES = {
    'nih_chest_xray14': 'nih',
    'rsna_pneumonia': 'nih',
    'chestx_det': 'nih',
    'chestmnist': 'nih',
    'siim_acr': 'nih',
    'chexlocalize': 'chexpert',
    'ms_cxr': 'mimic',
    'padchest_gr': 'padchest',
}
# What is no family: people there are only numbered, so that equal numbers are no equal patients.
NOBODY = ('', 'folder', 'npz', 'phantom')


class Overlap(NamedTuple):
    """Of images [n]: which are, pixel by pixel, images of the other set, which are nearly, which have the identifier of
    one, and whose patients are there, all bool [n]; and the row [n] of the likest image there, -1 for none."""

    equal: np.ndarray
    near: np.ndarray
    named: np.ndarray
    patient: np.ndarray
    like: np.ndarray

    @property
    def any(self) -> np.ndarray:
        """What the other set knows in one way or another."""
        return self.equal | self.near | self.named | self.patient


def family(info: dict[str, Any]) -> str:
    """Whose images these are; '' where nobody knows."""
    return str(info.get('family') or FAMILIES.get(info['name'], ''))


def of_sets(dataset: Dataset, rows: np.ndarray, known: Dataset, known_rows: np.ndarray) -> Overlap:
    """What of images `rows` [n] of a data set is among the images `known_rows` of another one, of the same size.

    Identifiers and patients are compared within a family only: elsewhere equal numbers mean nothing.
    """
    like, near = near_equal(dataset.images, rows, known.images, known_rows)
    digests = set(pixel_digests(Rows(known.images, known_rows))) - {b''}
    equal = np.array([one in digests for one in pixel_digests(Rows(dataset.images, rows))], bool)
    named, patient = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    if comparable(dataset.info, known.info):
        names = {file_stem(one) for one in known.image_id[known_rows]}
        named = np.array([file_stem(one) in names for one in dataset.image_id[rows]], bool)
        patient = np.isin(dataset.patient[rows], known.patient[known_rows])
    return Overlap(equal, near & ~equal, named, patient, like)


def comparable(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether identifiers and patients of two sets, by their `info`, are the same people's."""
    return family(one) == family(other) and family(one) not in NOBODY


def file_stem(name: Any) -> str:
    """An identifier without folders, ending and case."""
    return str(name).replace('\\', '/').rpartition('/')[2].rsplit('.', 1)[0].casefold()


def near_equal(
    images: np.ndarray, rows: np.ndarray, known: np.ndarray, known_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Row [n] of the likest of some known images, and whether it is nearly equal [n], of images uint8 [N,H,W,C].

    Images of one grey value are like none.
    """
    like, near = np.full(len(rows), -1), np.zeros(len(rows), bool)
    if not len(rows) or not len(known_rows):
        return like, near
    there, here = thumbnails(known, known_rows), thumbnails(images, rows)
    least = limit(there.detail)
    best = np.zeros(len(rows), np.float32)
    for start in range(0, len(here.detail), BLOCK):
        part = slice(start, start + BLOCK)
        for first in range(0, len(there.detail), BLOCK):
            other = slice(first, first + BLOCK)
            detail = np.abs(here.detail[part] @ there.detail[other].T)
            high = detail.argmax(1)
            score = detail[np.arange(len(detail)), high]
            better = score > best[part]
            like[part] = np.where(better, known_rows[first + high], like[part])
            best[part] = np.maximum(best[part], score)
    position = np.searchsorted(known_rows, like)
    found = like >= 0
    whole = np.abs((here.whole[found] * there.whole[position[found]]).sum(1))
    near[found] = (best[found] >= least) & (whole >= WHOLE)
    return like, near


class Thumbnails(NamedTuple):
    """Thumbnails of n images as vectors [n,256] of mean 0 and length 1, or 0 of a flat image: as they are, and each
    cell less the mean of the 3 x 3 around it."""

    whole: np.ndarray
    detail: np.ndarray


def thumbnails(images: np.ndarray, rows: np.ndarray) -> Thumbnails:
    """Of images uint8 [N,H,W,C], of colours the mean."""
    height, width = (means(length) for length in images.shape[1:3])
    whole, detail = np.empty((2, len(rows), SIDE * SIDE), np.float32)
    for start in range(0, len(rows), 256):
        part = slice(start, start + 256)
        grey = np.asarray(images[rows[part]]).mean(-1, dtype=np.float32)
        small = height @ grey @ width.T
        padded = np.pad(small, ((0, 0), (1, 1), (1, 1)), mode='edge')
        around = sum(padded[:, y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)) / 9
        whole[part], detail[part] = standard(small), standard(small - around)
    return Thumbnails(whole, detail)


def limit(detail: np.ndarray) -> float:
    """The correlation of details from which on images of a set like this one are nearly equal.

    `DETAIL`, or more where pairs of images are that alike: beyond their 0.99 quantile by three times the distance
    between that and the 0.9 quantile, in Fisher's z (5.4 standard deviations where z is normal). Quantiles that a few
    true duplicates do not move. detail: [n,256], of which at most `SAMPLE` are taken.
    """
    some = detail[np.linspace(0, len(detail) - 1, min(len(detail), SAMPLE)).astype(int)]
    if len(some) < 20:
        return DETAIL
    pairs = np.abs(some @ some.T)[np.triu_indices(len(some), 1)]
    usual, extreme = np.arctanh(np.clip(np.quantile(pairs, [0.9, 0.99]), 0, 0.999))
    return float(min(max(DETAIL, np.tanh(extreme + 3 * (extreme - usual))), 0.995))


def means(length: int, side: int = SIDE) -> np.ndarray:
    """Weights [side,length] of the mean over equal parts of a row of pixels."""
    edges = np.linspace(0, length, side + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)
    weights = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def standard(values: np.ndarray) -> np.ndarray:
    """Values [n,h,w] as vectors [n,h w] of mean 0 and length 1, or 0 of a flat image."""
    flat = values.reshape(len(values), -1)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(length > 1e-3 * SIDE, flat / np.maximum(length, 1e-9), 0)


def pixel_digests(images: np.ndarray | Rows) -> list[bytes]:
    """A digest of the pixels of every image, on all cores with a few images in memory.

    It is b'' where all pixels are one value: such an image is no other's duplicate.
    """

    def of_block(start: int) -> list[bytes]:
        block = images[start : start + DIGESTED]
        return [hashlib.sha256(image.tobytes()).digest()[:16] * int(image.min() < image.max()) for image in block]

    return [digest for block in on_all_cores(of_block, range(0, len(images), DIGESTED)) for digest in block]


def across_splits(dataset: Dataset) -> list[tuple[str, str]]:
    """Pairs (test or validation image, training image) of one data set that are nearly equal."""
    train = dataset.rows('train')
    rows = np.sort(np.concatenate([dataset.rows('validation'), dataset.rows('test')]))
    like, near = near_equal(dataset.images, rows, dataset.images, train)
    return [(str(dataset.image_id[rows[i]]), str(dataset.image_id[like[i]])) for i in np.flatnonzero(near)]
