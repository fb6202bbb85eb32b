"""What overlap chance would give: concepts looked up at other places, or on other images, round after round.

Intersections are counted, not multiplied out: units are active on few pixels, and the pixels of all masks hold few
different sets of concepts. So each active pixel of a unit looks up the code of the set it meets, a histogram over
(unit, code) follows, and the table of sets spreads it over concepts. Under a null, a pixel merely looks elsewhere.
"""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from imbalance_jax.names import lookup

BLOCK = 64  # images that exchange their annotations with each other, and that are looked at together


class Layout(NamedTuple):
    """The concepts of n images, and where an image's pixels look them up in every round.

    code: flat, which set of concepts a pixel holds; stride: from one row to the next; origins: [1 + R, n] where an
    image begins, round 0 being the truth; table: [codes, S] the sets as 0 and 1; size: (H, W)
    """

    code: np.ndarray
    stride: int
    origins: np.ndarray
    table: np.ndarray
    size: tuple[int, int]

    def of(self, images):
        """The layout of some of the block's images, a slice or their positions in it."""
        return self._replace(origins=self.origins[:, images])


def blocks(images, key):
    """Splits `images` into random blocks of nearly equal size, at most `BLOCK`: [ascending image numbers [n], ...].

    Images exchange annotations within a block. These exchanges are a subgroup of all permutations, so the test stays
    exact, while only a block has to be held. At random, because neighbours in a data set may be of one patient.
    """
    order = np.argsort(np.asarray(jax.random.uniform(jax.random.fold_in(key, 0), (images,))), kind='stable')
    return [np.sort(part) for part in np.array_split(order, -(-images // BLOCK))]


def lay_out(masks, null=None, rounds=0, key=None, images=None, number=0):
    """The layout of one block of images.

    masks: [n, H, W, S] bool; images: [n] their numbers in the probe set, and number: the block's, of which the draws
    are a pure function with `key`. Without a null there is round 0 only.
    """
    masks = np.asarray(masks, bool)
    count, height, width, _ = masks.shape
    code, table = _encode(masks)
    key = make_key(key)
    images = np.arange(count) if images is None else np.asarray(images)
    origins, stride = np.arange(count)[None] * (height * width), width
    if null == 'circular_shift':
        # Each image's codes are laid out twice in both directions, to wrap around.
        down, across = np.divmod(draw_shifts(key, rounds, images, height * width), width)
        origins, stride = 4 * origins + down * (2 * width) + across, 2 * width
        code = np.tile(code, (1, 2, 2))
    elif null:
        origins = draw_exchanges(key, rounds, count, number) * (height * width)
    return Layout(code.ravel(), stride, origins, table, (height, width))


def draw_shifts(key, rounds, images, pixels):
    """Offsets [1 + R, n] on the torus, row * W + column, of the images with these numbers; the first is no shift."""
    offsets = np.asarray(_shifts(key, images, pixels, rounds)).T
    return np.concatenate([np.zeros((1, len(images)), np.int64), offsets])


@partial(jax.jit, static_argnums=3)
def _shifts(key, images, pixels, rounds):
    return jax.vmap(lambda image: jax.random.randint(jax.random.fold_in(key, image), (rounds,), 0, pixels))(images)


def draw_exchanges(key, rounds, count, number=0):
    """Orders [1 + R, n] of the images of block `number`; the first leaves them in place."""
    chance = jax.random.uniform(jax.random.fold_in(key, number + 1), (rounds, count))
    return np.concatenate([np.arange(count)[None], np.argsort(np.asarray(chance), axis=1, kind='stable')])


NULLS = {'circular_shift': draw_shifts, 'image_permutation': draw_exchanges}


def make_key(key):
    """A jax.random key from a key, a whole number, or None for 0."""
    return jax.random.key(0 if key is None else key) if key is None or isinstance(key, (int, np.integer)) else key


def check(null, rounds):
    """Raises ValueError for a null model that there is not, or fewer than two rounds."""
    if null is not None:
        lookup(NULLS, null, 'null model')
        if rounds < 2:
            raise ValueError(f'rounds must be at least 2, got {rounds}.')


def _encode(masks):
    """The set of concepts at each pixel: code [n, H, W], and the sets themselves as a table [codes, S] of 0 and 1."""
    code = np.zeros(masks.shape[:-1], np.int32)
    for byte in np.moveaxis(np.packbits(masks, axis=-1), -1, 0):
        code = code * 256 + byte
        used = np.zeros(code.max() + 1, bool)
        used[code] = True
        code = (np.cumsum(used, dtype=np.int32) - 1)[code]
    representative = np.empty(code.max() + 1, np.int64)
    representative[code.ravel()] = np.arange(code.size)
    sets = masks.reshape(-1, masks.shape[-1])[representative].astype(float)
    return code.astype(np.min_scalar_type(len(sets) - 1)), sets
