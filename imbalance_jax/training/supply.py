"""How training images reach the steps: all on the devices, read where they are prepared, or streamed part by part.

A step gathers its images by their place in an array that is on its devices. On an accelerator that is the training
split. On a CPU it is the prepared array itself, which the cores read where it is mapped: nothing is copied. Streamed,
it is the pool of those images that the next few steps of any member need, gathered and sent by a thread while the steps
before them run. The steps, their order and the pixels that they see are the same in all three.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.data.arrays import Arrays
from imbalance_jax.data.streams import Rows, ahead, take
from imbalance_jax.training.members import Member
from imbalance_jax.training.placement import Placement

POOLS = 3  # at a time on a device: of the steps that run, of those that wait for them, and on its way


class Part(NamedTuple):
    """Steps `start` .. `stop` - 1 of an epoch, and the arrays that have their images."""

    start: int
    stop: int
    arrays: Arrays


def pool_size(members: Member, count: int, *, batch_size: int, steps: int) -> int:
    """The most images, of `count`, that so many steps of all members can need: those who draw alike share theirs."""
    orders = set(zip(np.asarray(members.order_seed).tolist(), np.asarray(members.sampler).tolist(), strict=True))
    return min(count, len(orders) * batch_size * steps)


def place_arrays(place: Placement, train: Arrays, pool: int) -> Arrays:
    """The training split [N] for the devices, its images too unless they stream (`pool` > 0): then their shapes."""
    images: Any = train.images
    labels, label_mask = place.shared((train.labels, train.label_mask))
    if pool:
        shapes = {(pool, *images.shape[1:]): images.dtype, (len(images),): np.int32}
        of_pool, places = place.like_shared([jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes.items()])
        return Arrays(of_pool, labels, label_mask, places)
    if isinstance(images, Rows) and on_host(place):
        return Arrays(place.shared(images.array), labels, label_mask, place.shared(images.index.astype(np.int32)))
    return Arrays(place.rows(images), labels, label_mask)


def on_host(place: Placement) -> bool:
    """Whether the devices read the main memory."""
    return place.mesh.devices.flat[0].platform == 'cpu'


def parts(
    place: Placement, train: Arrays, placed: Arrays, *, order: jax.Array, starts: Sequence[int], stop: int, steps: int
) -> Iterator[Part]:
    """The steps from every one of `starts` on, `steps` of them but none after `stop`, with the arrays that they need.

    train: the split on the host; placed: by `place_arrays`; order: of the epoch's examples [P,steps,B].
    """
    bounds = [(start, min(start + steps, stop)) for start in starts]
    if not isinstance(placed.images, jax.ShapeDtypeStruct):
        yield from (Part(start, end, placed) for start, end in bounds)
        return
    rows, pool = place.fetch(order), len(placed.images)

    def streamed() -> Iterator[Part]:
        for start, end in bounds:
            images, places = gather(train.images, rows[:, start:end], pool)
            sent = place.shared((images, places))
            yield Part(start, end, placed._replace(images=sent[0], place=sent[1]))

    yield from ahead(streamed())


def gather(images: Any, rows: np.ndarray, pool: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of some rows, each once, in a pool [pool,H,W,C] that may not be full, and every row's place [N] there.

    Rows are read in ascending order, which a disk is fastest at; the place of a row that is not there says nothing.
    """
    wanted = np.unique(rows)
    places = np.zeros(len(images), np.int32)
    places[wanted] = np.arange(len(wanted))
    return take(images, wanted, pool), places
