"""Predictions of all members, batch by batch, under any strategy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from imbalance_jax.data.arrays import full_batches
from imbalance_jax.training.placement import Placement

BATCHES = 32  # that are on the devices at a time


def predict(place: Placement, function: Callable, members: Any, *, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Logits [P,N,K] of images [N,...] by all members of a placement.

    function: (one member, images [n,B,...]) -> logits [n,B,K], such as `member.make_predict` gives; members: what it
    reads of each, [P',...] and placed. The last batch is filled up by starting again, and so are the last BATCHES.
    """
    mapped, logits = place.map(function), []
    batches = full_batches(len(images), batch_size)
    for group in full_batches(len(batches), min(BATCHES, len(batches))):
        logits.append(place.fetch(mapped(members, place.batches(images[batches[group]]))))
    joined = np.concatenate(logits, axis=1)
    return joined.reshape(place.num_members, -1, joined.shape[-1])[:, : len(images)]
