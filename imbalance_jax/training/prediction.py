"""Predictions of all members, batch by batch, under any strategy."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from imbalance_jax.data.arrays import full_batches
from imbalance_jax.data.streams import ahead, take
from imbalance_jax.training.placement import Placement

BATCHES = 32  # that are on the devices at a time


def predict(place: Placement, function: Callable, members: Any, *, images: Any, batch_size: int) -> np.ndarray:
    """Logits [P,N,K] of images [N,...] by all members of a placement.

    function: (one member, images [n,B,...]) -> logits [n,B,K], such as `member.make_predict` gives; members: what it
    reads of each, [P',...] and placed; images: an array, or `streams.Rows`.
    """
    groups = on_devices(place, place.map(function), members, images=images, batch_size=batch_size)
    joined = np.concatenate([place.fetch(logits) for logits in groups], axis=1)
    return joined.reshape(place.num_members, -1, joined.shape[-1])[:, : len(images)]


def on_devices(
    place: Placement, mapped: Callable, members: Any, *, images: Any, batch_size: int
) -> Iterator[jax.Array]:
    """Logits [P',n,B,K] of at most BATCHES batches after the other; the next images are on their way while one runs.

    mapped: a function of `predict` of all members. Devices that share a batch have as many of it each, if that makes it
    larger. The last batch is filled up by starting again, and so is the last
    group of batches; all groups are of one size, so that as few as can be are filled up.
    """
    batches = full_batches(len(images), -(-batch_size // place.shares) * place.shares)
    size = -(-len(batches) // -(-len(batches) // BATCHES))

    def sent() -> Iterator[jax.Array]:
        for group in full_batches(len(batches), size):
            rows = batches[group]
            yield place.batches(take(images, rows.ravel()).reshape(*rows.shape, *images.shape[1:]))

    for group in ahead(sent()):
        yield mapped(members, group)
