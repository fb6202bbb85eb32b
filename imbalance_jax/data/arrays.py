"""Arrays of one split: images, labels that count, class counts, and grey values as the network sees them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.data.dataset import Dataset


class Arrays(NamedTuple):
    """One split: images [N,H,W,C] uint8, labels [N,K] and label_mask [N,K] float32, or [V N,K] of `label_versions`.

    Arrays of NumPy on the host, where `images` may be `streams.Rows` of the data set's, and of JAX once they are placed
    on devices. place: [N] int32, where the image of each row is among `images`, which may be more or fewer than N; None
    where they are the rows.
    """

    images: Any
    labels: Any
    label_mask: Any
    place: Any = None

    @property
    def size(self) -> int:
        """N."""
        return len(self.images if self.place is None else self.place)


def split_arrays(dataset: Dataset, split: str) -> Arrays:
    """The rows of one split as NumPy arrays ready to be placed on devices; a masked label is 0."""
    rows = dataset.rows(split)
    labels, mask = (np.asarray(array[rows], np.float32) for array in (dataset.labels, dataset.label_mask))
    return Arrays(dataset.images_of(split), labels * mask, mask)


def relabelled(arrays: Arrays, labels: np.ndarray, label_mask: np.ndarray) -> Arrays:
    """The same images with other labels [N,K] and mask [N,K]."""
    mask = np.asarray(label_mask, np.float32)
    return arrays._replace(labels=np.asarray(labels, np.float32) * mask, label_mask=mask)


def permuted_labels(arrays: Arrays, seed: int = 0) -> Arrays:
    """Every image with the labels and the mask of another one at random."""
    other = np.random.default_rng(seed).permutation(arrays.size)
    return arrays._replace(labels=arrays.labels[other], label_mask=arrays.label_mask[other])


def label_versions(versions: Sequence[Arrays]) -> Arrays:
    """Images [N,H,W,C] of the first, labels and mask [V N,K] of all V: version v of row n is row v N + n."""
    if len(versions) == 1:
        return versions[0]
    labels, mask = (
        np.concatenate([getattr(version, name) for version in versions]) for name in ('labels', 'label_mask')
    )
    return versions[0]._replace(labels=labels, label_mask=mask)


def full_batches(count: int, batch_size: int) -> np.ndarray:
    """Positions 0..count - 1 in rows of `batch_size` [n,B]; the last row is filled up by starting again."""
    return (np.arange(-(-count // batch_size) * batch_size) % count).reshape(-1, batch_size)


def class_counts(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Positives [K] and negatives [K] among the labels that count."""
    mask = np.asarray(arrays.label_mask)
    positive = np.asarray(arrays.labels) * mask
    return positive.sum(0), (mask - positive).sum(0)


def grey_statistics(images: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of the values in 0..1, exactly, from the histogram of uint8 images [N,H,W,C].

    images: an array or `streams.Rows`, of which few are in memory at a time. Two numbers where there is one channel,
    else two float32 arrays [C], one entry per channel; a channel that is the same everywhere has the standard deviation
    1.
    """
    channels = images.shape[-1]
    histogram = np.zeros((channels, 256))
    for start in range(0, len(images), 64):  # bincount widens what it counts
        block = images[start : start + 64]
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


def in_batches(
    fn: Callable[..., Any],
    arrays: tuple,
    size: int,
    *,
    axis: int = 0,
    update: Callable[[int], Any] = lambda done: None,
) -> Any:
    """`fn(*arrays)` of arrays [N,...], trees of them, for a `fn` that takes `size` examples at a time.

    The last batch is filled up by starting again, so that `fn` is compiled for one shape; what fills it up is cut off.
    Returns a tree of NumPy arrays in which the N examples are along `axis`, as they are in what `fn` returns.

    update: is told how many are done.
    """
    count = len(jax.tree.leaves(arrays)[0])
    batches = full_batches(count, max(1, min(size, count)))
    parts = []
    for number, index in enumerate(batches):
        parts.append(fn(*jax.tree.map(lambda a, index=index: a[index], arrays)))
        update(min((number + 1) * len(index), count))
    cut = (*[slice(None)] * axis, slice(count))
    return jax.tree.map(lambda *part: np.concatenate(part, axis)[cut], *parts)


def pictures(images: np.ndarray) -> np.ndarray:
    """Images [...,H,W,C] uint8 as they are shown: [...,H,W,3] where three channels are red, green and blue, else grey
    [...,H,W], of several channels their mean."""
    channels = images.shape[-1]
    if channels == 3:
        return images
    return images[..., 0] if channels == 1 else np.round(images.mean(-1)).astype(np.uint8)
