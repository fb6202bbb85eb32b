"""Device-resident data: arrays of a split, class counts, the order of an epoch, and batches with augmentation.

The order of an epoch and the augmentation of a step are pure functions of (seed, epoch) and (seed, step), so a run
that resumes needs no iterator state, and members of different arms with the same seed meet the same images.
"""

import dataclasses
import numbers
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.datasets.store import LEFT_OUT, SPLITS, Dataset
from imbalance_jax.names import lookup

ORDER, AUGMENT = 1, 2  # streams of a seed's key; initialisation uses the key itself
MAX_UINT32 = 2**32 - 1


class Arrays(NamedTuple):
    """One split on the device: images [N,H,W,C] uint8, labels [N,K] and label_mask [N,K] float32."""

    images: jax.Array
    labels: jax.Array
    label_mask: jax.Array


class Augmentation(NamedTuple):
    """Half-widths of the uniform ranges drawn for every image; zeros leave it as it is.

    shift is a fraction of the image size, rotation in degrees, scale and contrast are relative, brightness is in
    units of the full grey range. Flips and transposes are left out on purpose: a mirrored chest is another anatomy.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0


def split_arrays(dataset: Dataset, split: str) -> Arrays:
    """The rows of one split as NumPy arrays ready to be placed on devices; a masked label is 0."""
    rows = dataset.rows(split)
    labels, mask = (np.asarray(array[rows], np.float32) for array in (dataset.labels, dataset.label_mask))
    return Arrays(dataset.images[rows], labels * mask, mask)


def thin(dataset: Dataset, prevalences: Mapping[str, float], seed: int = 0) -> Dataset:
    """Leaves out training patients until each named class is no more frequent than asked, whole patients at a time.

    prevalences: class -> share of the counted training images that have it. Patients with the class leave in an order
    that depends on `seed` and on who they are, so that a lower prevalence leaves out the same patients and more.
    Validation and test stay as they are. Raises ValueError for a class that there is not, that is rarer already, or
    that would be left without a positive.
    """
    split, train = dataset.split.copy(), SPLITS.index('train')
    for name, wanted in sorted(prevalences.items(), key=lambda item: (item[1], item[0])):
        lookup(dict.fromkeys(dataset.classes), name, 'class in config.data.imbalance:')
        k = list(dataset.classes).index(name)
        rows = np.flatnonzero(split == train)
        counted = dataset.label_mask[rows, k] > 0
        positive = counted & (dataset.labels[rows, k] > 0)
        now = positive.sum() / max(counted.sum(), 1)
        if not isinstance(wanted, numbers.Real) or not 0 < wanted <= now * (1 + 1e-6):
            has = f'the training split has {now:.4f}'
            raise ValueError(f'config.data.imbalance.{name} is {wanted!r}; it must be above 0 and at most what {has}.')
        gone = _leaving(dataset.patient[rows], counted, positive, wanted, seed)
        if not positive[~np.isin(dataset.patient[rows], gone)].any():
            raise ValueError(f'config.data.imbalance.{name} is {wanted!r}: no patient with it would be left.')
        split[rows[np.isin(dataset.patient[rows], gone)]] = LEFT_OUT
    return dataclasses.replace(dataset, split=split)


def _leaving(patient, counted, positive, wanted: float, seed: int) -> np.ndarray:
    """The patients that leave: the first with the class, in the order of their numbers' checksums, that suffice."""
    who, of = np.unique(patient, return_inverse=True)
    images, found = (np.bincount(of, weights=flag, minlength=len(who)) for flag in (counted, positive))
    order = sorted(np.flatnonzero(found), key=lambda i: zlib.crc32(f'{seed} {who[i]}'.encode()))
    left = (found.sum() - np.cumsum(found[order])) / np.maximum(images.sum() - np.cumsum(images[order]), 1)
    number = 0 if found.sum() <= wanted * images.sum() else 1 + np.argmax(left <= wanted)
    return who[order[:number]]


def full_batches(count: int, batch_size: int) -> np.ndarray:
    """Positions 0..count - 1 in rows of `batch_size` [n,B]; the last row is filled up by starting again."""
    return (np.arange(-(-count // batch_size) * batch_size) % count).reshape(-1, batch_size)


def class_counts(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Positives [K] and negatives [K] among the labels that count."""
    mask = np.asarray(arrays.label_mask)
    positive = np.asarray(arrays.labels) * mask
    return positive.sum(0), (mask - positive).sum(0)


def grey_statistics(images: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the grey value in 0..1, exactly, from the histogram of uint8 images."""
    histogram = np.zeros(256)
    for block in np.array_split(np.asarray(images), max(1, len(images) // 1024)):  # bincount widens what it counts
        histogram += np.bincount(block.ravel(), minlength=256)
    value = np.arange(256) / 255
    mean = (histogram * value).sum() / histogram.sum()
    return float(mean), float(np.sqrt((histogram * (value - mean) ** 2).sum() / histogram.sum()))


def normalise(images: jax.Array, mean: float, std: float) -> jax.Array:
    """uint8 grey values [..., H, W, C] to float32 with the training split's mean 0 and standard deviation 1."""
    return (images.astype(jnp.float32) / 255 - mean) / std


def cumulative_weights(weights: np.ndarray) -> np.ndarray:
    """Sampling weights [N] as a cumulative distribution [N] in units of 2**-32, for exact inversion on the device.

    Sums are taken in float64: in float32 the weights of 100,000 examples would be off by a per cent.
    """
    total = np.cumsum(np.asarray(weights, np.float64))
    if not np.isfinite(total[-1]) or total[-1] <= 0 or np.min(weights) < 0:
        raise ValueError(f'Sampling weights must be finite, non-negative and not all zero; their sum is {total[-1]}.')
    return np.minimum(np.round(total / total[-1] * 2.0**32), MAX_UINT32).astype(np.uint32)


def draw_epoch(seed, cumulative, epoch, steps: int, batch_size: int) -> jax.Array:
    """Row numbers [steps, batch_size] of one epoch.

    seed: [] uint32. cumulative: [N] uint32 from `cumulative_weights`; all zeros means without replacement: every
    row at most once, in an order drawn anew each epoch, the remainder that fills no batch left out.
    """
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), ORDER), epoch)
    count = steps * batch_size

    def without_replacement(_):
        return jax.random.permutation(key, cumulative.shape[0])[:count]

    def with_replacement(cumulative):
        bits = jax.random.bits(key, (count,), jnp.uint32)
        rows = jnp.searchsorted(cumulative, bits, side='right')
        return jnp.minimum(rows, cumulative.shape[0] - 1)

    rows = jax.lax.cond(cumulative[-1] == 0, without_replacement, with_replacement, cumulative)
    return rows.astype(jnp.int32).reshape(steps, batch_size)


def augment(key, images: jax.Array, strength: Augmentation) -> jax.Array:
    """Random shift, rotation, scale, brightness and contrast of grey images [B,H,W,C] in 0..1; edges repeat."""
    batch, height, width, _ = images.shape
    low = jnp.array([[-1.0]] * 6)
    dy, dx, turn, zoom, light, contrast = jax.random.uniform(key, (6, batch), minval=low)
    if strength.shift or strength.rotation or strength.scale:
        angle = turn * strength.rotation * jnp.pi / 180
        zoom = 1 + zoom * strength.scale
        y, x = jnp.mgrid[:height, :width]
        y, x = y - (height - 1) / 2, x - (width - 1) / 2
        cos, sin = (f(angle)[:, None, None] / zoom[:, None, None] for f in (jnp.cos, jnp.sin))
        rows = cos * y + sin * x + (height - 1) / 2 + dy[:, None, None] * strength.shift * height
        columns = cos * x - sin * y + (width - 1) / 2 + dx[:, None, None] * strength.shift * width
        images = jax.vmap(_sample)(images, rows, columns)
    gain = 1 + contrast[:, None, None, None] * strength.contrast
    offset = light[:, None, None, None] * strength.brightness
    return jnp.clip((images - 0.5) * gain + 0.5 + offset, 0, 1)


def _sample(image, rows, columns):
    """Bilinear values of image [H,W,C] at real-valued rows and columns [H,W]."""
    height, width, _ = image.shape
    rows, columns = jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)
    top, left = (jnp.floor(v).astype(jnp.int32) for v in (rows, columns))
    bottom, right = jnp.minimum(top + 1, height - 1), jnp.minimum(left + 1, width - 1)
    v, u = ((a - b)[..., None] for a, b in ((rows, top), (columns, left)))
    upper = image[top, left] * (1 - u) + image[top, right] * u
    lower = image[bottom, left] * (1 - u) + image[bottom, right] * u
    return upper * (1 - v) + lower * v


def make_batch(mean: float, std: float, strength: Augmentation):
    """Returns `batch(arrays, rows [B], seed, step)`: gathered, augmented, normalised, all on the device."""

    def batch(arrays: Arrays, rows, seed, step) -> dict:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), AUGMENT), step)
        grey = augment(key, arrays.images[rows].astype(jnp.float32) / 255, strength)
        return {
            'image': (grey - mean) / std,
            'labels': arrays.labels[rows],
            'label_mask': arrays.label_mask[rows],
            'rows': rows,
        }

    return batch
