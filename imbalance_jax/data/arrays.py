"""Arrays of one split: images, labels that count, class counts, and grey values as the network sees them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.data.dataset import Dataset


class Arrays(NamedTuple):
    """One split: images [N,H,W,C] uint8, labels [N,K] and label_mask [N,K] float32.

    Arrays of NumPy on the host, and of JAX once they are placed on devices.
    """

    images: Any
    labels: Any
    label_mask: Any


def split_arrays(dataset: Dataset, split: str) -> Arrays:
    """The rows of one split as NumPy arrays ready to be placed on devices; a masked label is 0."""
    rows = dataset.rows(split)
    labels, mask = (np.asarray(array[rows], np.float32) for array in (dataset.labels, dataset.label_mask))
    return Arrays(dataset.images[rows], labels * mask, mask)


def with_permuted_labels(arrays: Arrays, seed: int = 0) -> Arrays:
    """Labels and their mask twice over [2 N,K]: as they are, then, N rows further, those of another image at random."""
    other = np.random.default_rng(seed).permutation(len(arrays.images))
    labels, mask = (np.concatenate([array, array[other]]) for array in arrays[1:])
    return Arrays(arrays.images, labels, mask)


def full_batches(count: int, batch_size: int) -> np.ndarray:
    """Positions 0..count - 1 in rows of `batch_size` [n,B]; the last row is filled up by starting again."""
    return (np.arange(-(-count // batch_size) * batch_size) % count).reshape(-1, batch_size)


def class_counts(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Positives [K] and negatives [K] among the labels that count."""
    mask = np.asarray(arrays.label_mask)
    positive = np.asarray(arrays.labels) * mask
    return positive.sum(0), (mask - positive).sum(0)


def grey_statistics(images: np.ndarray) -> tuple[Any, Any]:
    """Mean and standard deviation of the values in 0..1, exactly, from the histogram of uint8 images [N,H,W,C].

    Two numbers where there is one channel, else two float32 arrays [C], one entry per channel; a channel that is the
    same everywhere has the standard deviation 1.
    """
    channels = np.shape(images)[-1]
    histogram = np.zeros((channels, 256))
    for block in np.array_split(np.asarray(images), max(1, len(images) // 1024)):  # bincount widens what it counts
        for channel in range(channels):
            histogram[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    both = [_moments(one) for one in histogram]
    if channels == 1:
        return both[0]
    mean, std = np.array(both, np.float32).T
    return mean, np.where(std > 0, std, np.float32(1))


def _moments(histogram: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of values in 0..1 of which there are so many of each [256]."""
    value = np.arange(256) / 255
    mean = (histogram * value).sum() / histogram.sum()
    return float(mean), float(np.sqrt((histogram * (value - mean) ** 2).sum() / histogram.sum()))


def normalise(images: jax.Array, mean: Any, std: Any) -> jax.Array:
    """uint8 values [..., H, W, C] to float32 with the training split's mean 0 and standard deviation 1 in each channel.

    mean, std: of `grey_statistics`.
    """
    return (images.astype(jnp.float32) / 255 - mean) / std


def in_batches(fn: Callable[..., Any], arrays: tuple, size: int, *, axis: int = 0) -> Any:
    """`fn(*arrays)` of arrays [N,...], trees of them, for a `fn` that takes `size` examples at a time.

    The last batch is filled up by starting again, so that `fn` is compiled for one shape; what fills it up is cut off.
    Returns a tree of NumPy arrays in which the N examples are along `axis`, as they are in what `fn` returns.
    """
    count = len(jax.tree.leaves(arrays)[0])
    batches = full_batches(count, max(1, min(size, count)))
    parts = [fn(*jax.tree.map(lambda a, index=index: a[index], arrays)) for index in batches]
    cut = (*[slice(None)] * axis, slice(count))
    return jax.tree.map(lambda *part: np.concatenate(part, axis)[cut], *parts)


def pictures(images: np.ndarray) -> np.ndarray:
    """Images [...,H,W,C] uint8 as they are shown: [...,H,W,3] where three channels are red, green and blue, else grey
    [...,H,W], of several channels their mean."""
    channels = images.shape[-1]
    if channels == 3:
        return images
    return images[..., 0] if channels == 1 else np.round(images.mean(-1)).astype(np.uint8)
