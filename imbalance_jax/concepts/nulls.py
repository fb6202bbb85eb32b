"""What overlap chance would give: concepts looked up at other places, or on other images, round after round.

Intersections are counted, not multiplied out: units are active on few pixels, and the pixels of all masks hold few
different sets of concepts. So each active pixel of a unit looks up the code of the set it meets, a histogram over
(unit, code) follows, and the table of sets spreads it over concepts. Under a null, a pixel merely looks elsewhere:
a null model says on which image, and how far away on it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from imbalance_jax.names import lookup
from imbalance_jax.system import environment
from imbalance_jax.system.shapes import Anything, takes

BLOCK = 64  # images that exchange their annotations with each other, and that are looked at together


class Layout(NamedTuple):
    """The concepts of n images, and where an image's pixels look them up in every round.

    code: flat, which set of concepts a pixel holds; stride: from one row to the next; origins: [1 + R, n] where an
    image begins, round 0 being the truth; table: [codes, S] the sets as 0 and 1, and weight: [codes] how much a pixel
    of the image counts that holds the code; image_weight: [n]; size: (H, W)
    """

    code: np.ndarray
    stride: int
    origins: np.ndarray
    table: np.ndarray
    weight: np.ndarray
    image_weight: np.ndarray
    size: tuple[int, int]

    def of(self, images: slice | np.ndarray) -> 'Layout':
        """The layout of some of the block's images, a slice or their positions in it."""
        return self._replace(origins=self.origins[:, images], image_weight=self.image_weight[images])


class Block(NamedTuple):
    """Images whose annotations a null model may exchange: their `images` [n] numbers in the probe set, the block's own
    `number`, the `size` (H, W) of their masks, and whose they are, `patients` [n] (None: one image per patient)."""

    images: np.ndarray
    number: int
    size: tuple[int, int]
    patients: np.ndarray | None = None


class Displacement(NamedTuple):
    """Where images find the concepts that they are held against in R rounds, both int [R, n]: those of the block's
    image `source`, displaced by `offset` = row * W + column on the torus."""

    source: np.ndarray
    offset: np.ndarray


Null = Callable[[jax.Array, int, Block], Displacement]


def circular_shift(key: jax.Array, rounds: int, block: Block) -> Displacement:
    """Each image keeps its own concepts, displaced by a random offset, a function of the image's number."""
    height, width = block.size
    offset = np.asarray(_offsets(key, block.images, height * width, rounds)).T
    return Displacement(np.broadcast_to(np.arange(len(block.images)), offset.shape), offset)


@partial(jax.jit, static_argnums=3)
def _offsets(key, images, pixels, rounds):
    return jax.vmap(lambda image: jax.random.randint(jax.random.fold_in(key, image), (rounds,), 0, pixels))(images)


def image_permutation(key: jax.Array, rounds: int, block: Block) -> Displacement:
    """The patients of a block exchange the concepts of their images, which stay in their places."""
    patients = np.arange(len(block.images)) if block.patients is None else block.patients
    source = exchanges(patients, rounds, jax.random.fold_in(key, block.number + 1))
    return Displacement(source, np.zeros_like(source))


NULLS: dict[str, Null] = {'circular_shift': circular_shift, 'image_permutation': image_permutation}


@takes(patients=Anything('N'))
def exchanges(patients: np.ndarray, rounds: int, key: jax.Array) -> np.ndarray:
    """Orders [R, N] in which the patients [N] of images exchange all that is theirs, image by image.

    Images of a patient are alike, so that single images are not exchangeable under the null; whole patients with equal
    numbers of images are. A patient whose number nobody shares keeps what is theirs, which loses power and no level.
    """
    names, which, number = np.unique(patients, return_inverse=True, return_counts=True)
    chance = np.asarray(jax.random.uniform(key, (rounds, len(names))))
    source, by_patient = np.tile(np.arange(len(which)), (rounds, 1)), np.argsort(which, kind='stable')
    first = np.cumsum(number) - number
    for images in np.unique(number):
        alike = np.flatnonzero(number == images)
        theirs = by_patient[first[alike][:, None] + np.arange(images)]  # [patients, images]
        order = np.argsort(chance[:, alike], axis=1, kind='stable')
        source[:, theirs.ravel()] = theirs[order].reshape(rounds, -1)
    return source


@takes(patients=Anything('N'))
def blocks(patients: np.ndarray, key: jax.Array) -> list[np.ndarray]:
    """Splits the images of patients [N] into random blocks of about `BLOCK`: [ascending image numbers [n], ...].

    Patients exchange annotations within a block. These exchanges are a subgroup of all, so the test stays exact, while
    only a block has to be held. A patient is in one block, with others that have as many images where there are any.
    """
    names, which, number = np.unique(patients, return_inverse=True, return_counts=True)
    chance = np.asarray(jax.random.uniform(jax.random.fold_in(key, 0), (len(names),)))
    result: list[np.ndarray] = []
    for images in np.unique(number):
        alike = np.flatnonzero(number == images)
        alike = alike[np.argsort(chance[alike], kind='stable')]
        parts = max(1, min(-(-len(alike) * images // BLOCK), len(alike) // 2))
        for part in np.array_split(alike, parts):
            theirs = np.flatnonzero(np.isin(which, part))
            fits = result and len(result[-1]) + len(theirs) <= BLOCK
            result = [*result[:-1], np.concatenate([result[-1], theirs])] if fits else [*result, theirs]
    return [np.sort(block) for block in result]


def lay_out(
    masks: np.ndarray,
    null: str | None = None,
    rounds: int = 0,
    *,
    key: jax.Array | int | None = None,
    images: np.ndarray | None = None,
    number: int = 0,
    weights: np.ndarray | None = None,
    patients: np.ndarray | None = None,
) -> Layout:
    """The layout of one block of images.

    masks: [n, H, W, S] bool; images: [n] their numbers in the probe set, and number: the block's, of which the draws
    are a pure function with `key`. weights, patients: [n]; a weight goes with its image's annotations, by which images
    were drawn, wherever these are looked up. Without a null there is round 0 only.
    """
    masks = np.asarray(masks, bool)
    count, height, width, _ = masks.shape
    weights = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    code, table, weight = _encode(masks, weights)
    origins, stride = np.arange(count)[None] * (height * width), width
    if null:
        block = Block(np.arange(count) if images is None else np.asarray(images), number, (height, width), patients)
        source, offset = displaced(null, make_key(key), rounds, block)
        source = np.concatenate([np.arange(count)[None], source])
        origins = source * (height * width)
        if np.any(offset):
            # Each image's codes are laid out twice in both directions, to wrap around.
            down, across = np.divmod(np.concatenate([np.zeros((1, count), np.int64), offset]), width)
            origins, stride = 4 * origins + down * (2 * width) + across, 2 * width
            code = np.tile(code, (1, 2, 2))
    return Layout(code.ravel(), stride, origins, table, weight, weights, (height, width))


def displaced(null: str, key: jax.Array, rounds: int, block: Block) -> Displacement:
    """What a null model says of a block, offsets within the image; ValueError for what is no `Displacement`."""
    given = lookup(NULLS, null, 'null model')(key, rounds, block)
    what, shape, pixels = f'Null model {null!r}', (rounds, len(block.images)), block.size[0] * block.size[1]
    if not isinstance(given, tuple) or len(given) != 2:
        raise ValueError(f'{what} gives {type(given).__name__}; expected a Displacement of source and offset.')
    source, offset = (np.asarray(one) for one in given)
    for name, one in (('source', source), ('offset', offset)):
        if one.shape != shape or one.dtype.kind not in 'iu':
            said = f'gives {name} {one.dtype} {list(one.shape)}'
            raise ValueError(f'{what} {said}; expected whole numbers {list(shape)}, rounds and images.')
    if source.size and not (source.min() >= 0 and source.max() < shape[1]):
        found = f'sources from {source.min()} to {source.max()}'
        raise ValueError(f'{what} gives {found}; they are images of the block, 0 to {shape[1] - 1}.')
    return Displacement(source, offset.astype(np.int64) % max(pixels, 1))


def make_key(key: jax.Array | int | None) -> jax.Array:
    """A jax.random key from a key, a whole number, or None for 0."""
    return environment.key(0 if key is None else key) if key is None or isinstance(key, (int, np.integer)) else key


def check(null: str | None, rounds: int) -> None:
    """Raises ValueError for a null model that there is not, or fewer than two rounds."""
    if null is not None:
        lookup(NULLS, null, 'null model')
        if rounds < 2:
            raise ValueError(f'rounds must be at least 2, got {rounds}.')


def _encode(masks: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The set of concepts and the weight at each pixel as code [n, H, W]; the sets of all codes [codes, S] as 0 and 1,
    and their weights [codes]."""
    code = np.zeros(masks.shape[:-1], np.int32)
    of_image = np.unique(weights, return_inverse=True)[1].astype(np.uint8)[:, None, None]
    for byte in (np.broadcast_to(of_image, code.shape), *np.moveaxis(np.packbits(masks, axis=-1), -1, 0)):
        code = code * 256 + byte
        used = np.zeros(code.max() + 1, bool)
        used[code] = True
        code = (np.cumsum(used, dtype=np.int32) - 1)[code]
    representative = np.empty(code.max() + 1, np.int64)
    representative[code.ravel()] = np.arange(code.size)
    sets = masks.reshape(-1, masks.shape[-1])[representative].astype(float)
    weight = weights[representative // (masks.shape[1] * masks.shape[2])]
    return code.astype(np.min_scalar_type(len(sets) - 1)), sets, weight
