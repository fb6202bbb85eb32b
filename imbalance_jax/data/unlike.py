"""Whether images of another set are shown as those of the training set: dark and bright, and in the same range."""

import numpy as np

from imbalance_jax.data import overlap
from imbalance_jax.data.streams import Rows

SAMPLED = 256  # images of each set, spread evenly
SIDE = 8  # pixels of a thumbnail
DARK, BRIGHT = 16, 128  # grey values: images all below the one, where others reach the other, are of another range
COMMON = 0.6  # length of the mean of unit thumbnails from which on a set has a pattern in common
FACING = 0.5  # correlation of two patterns from which on one is the other's negative


def of_sets(images: np.ndarray | Rows, rows: np.ndarray, known: np.ndarray | Rows, known_rows: np.ndarray) -> list[str]:
    """Sentences about images [N,H,W,C] of a set, those of `rows`, that are nearly black or negatives beside those of
    another, `known`; [] if there is nothing to say. Negatives of grey images only."""
    own, other = (_sample(*one) for one in ((images, rows), (known, known_rows)))
    said = []
    brightest, usual = own.max((1, 2, 3)), other.max((1, 2, 3))
    dark = int((brightest < DARK).sum())
    if 2 * dark >= len(own) and np.median(usual) >= BRIGHT:
        said.append(
            f'{dark} of {len(own)} images looked at have no grey value above {DARK - 1}, and those of the training set '
            f'reach {np.median(usual):.0f}: they are nearly black, as values of another range are'
        )
    if own.shape[-1] == other.shape[-1] == 1:
        mine, theirs = _pattern(own), _pattern(other)
        lengths = np.linalg.norm(mine), np.linalg.norm(theirs)
        if min(lengths) >= COMMON and mine @ theirs <= -FACING * lengths[0] * lengths[1]:
            said.append(
                'its images are like negatives of the training images (dark and bright exchanged, as where MONOCHROME1 '
                'was taken for MONOCHROME2)'
            )
    return said


def _sample(images: np.ndarray | Rows, rows: np.ndarray) -> np.ndarray:
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLED, len(rows))).astype(int))]
    return np.asarray(images[chosen])


def _pattern(images: np.ndarray) -> np.ndarray:
    """The mean of the thumbnails of images [n,H,W,1], each without its mean and of length 1; [64]."""
    height, width = (overlap.means(length, SIDE) for length in images.shape[1:3])
    return overlap.standard(height @ images[..., 0].astype(np.float32) @ width.T).mean(0)
