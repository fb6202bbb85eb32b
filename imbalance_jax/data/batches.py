"""The order of an epoch, and batches with augmentation, all on the device.

The order of an epoch and the augmentation of a step are pure functions of (seed, epoch) and (seed, step), so a run
that resumes needs no iterator state, and members of different arms with the same seed meet the same images.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from imbalance_jax.data.arrays import Arrays
from imbalance_jax.system import environment

ORDER, AUGMENT = 1, 2  # streams of a seed's key; initialisation uses the key itself
MIRROR, COLOUR = 1, 2  # streams of the key of a batch's augmentation, beside the key itself
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # NTSC 1953
MAX_UINT32 = 2**32 - 1


class Augmentation(NamedTuple):
    """Half-widths of the uniform ranges from which every image is changed; zeros leave it as it is.

    shift is a fraction of the image size, rotation in degrees, scale, contrast and saturation are relative, brightness
    is in units of the full grey range, hue in turns of the colour circle; the last two are for three channels. An image
    is mirrored with the probabilities mirror_x and mirror_y: by default never, as a mirrored chest is another anatomy.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    mirror_x: float = 0.0
    mirror_y: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


# What 'auto' stands for, by `info['modality']`: nothing for any other, such as a radiograph, which has two sides.
FLIPS = {'photograph': 'horizontal', 'dermoscopy': 'both', 'microscopy': 'both', 'histology': 'both'}
MIRRORS = {'none': (0.0, 0.0), 'horizontal': (0.5, 0.0), 'both': (0.5, 0.5)}


def augmentation(setting: Mapping[str, Any], modality: str, channels: int) -> Augmentation:
    """What `config.augment` means for images of this modality with so many channels."""
    setting = dict(setting)
    flip, colour = setting.pop('flip', 'none'), setting.pop('colour', 'none')
    flip = FLIPS.get(modality, 'none') if flip == 'auto' else flip
    jitter = colour == 'jitter' or (colour == 'auto' and modality in FLIPS)
    if not jitter or channels != 3:
        setting.update(saturation=0.0, hue=0.0)
    across, down = MIRRORS[flip]
    return Augmentation(**setting, mirror_x=across, mirror_y=down)


def cumulative_weights(weights: np.ndarray) -> np.ndarray:
    """Sampling weights [N] as a cumulative distribution [N] in units of 2**-32, for exact inversion on the device.

    Sums are taken in float64: in float32 the weights of 100,000 examples would be off by a per cent.
    """
    total = np.cumsum(np.asarray(weights, np.float64))
    if not np.isfinite(total[-1]) or total[-1] <= 0 or np.min(weights) < 0:
        raise ValueError(f'Sampling weights must be finite, non-negative and not all zero; their sum is {total[-1]}.')
    return np.minimum(np.round(total / total[-1] * 2.0**32), MAX_UINT32).astype(np.uint32)


def sample_order(seed: ArrayLike, cumulative: jax.Array, epoch: ArrayLike, *, steps: int, batch_size: int) -> jax.Array:
    """Rows of the training split [steps, batch_size] in the order of one epoch.

    seed: [] uint32. cumulative: [N] uint32 from `cumulative_weights`; all zeros means without replacement: every
    row at most once, in another order each epoch, the remainder that fills no batch left out.
    """
    key = jax.random.fold_in(jax.random.fold_in(environment.key(seed), ORDER), epoch)
    count = steps * batch_size

    def without_replacement(_):
        return jax.random.permutation(key, cumulative.shape[0])[:count]

    def with_replacement(cumulative):
        bits = jax.random.bits(key, (count,), jnp.uint32)
        rows = jnp.searchsorted(cumulative, bits, side='right')
        return jnp.minimum(rows, cumulative.shape[0] - 1)

    rows = jax.lax.cond(cumulative[-1] == 0, without_replacement, with_replacement, cumulative)
    return rows.astype(jnp.int32).reshape(steps, batch_size)


def augment(key: jax.Array, images: jax.Array, strength: Augmentation) -> jax.Array:
    """Random shift, rotation, scale, brightness and contrast of images [B,H,W,C] in 0..1, and what else `strength`
    says; edges repeat."""
    batch, height, width, _ = images.shape
    low = jnp.array([[-1.0]] * 6)
    dy, dx, turn, zoom, light, contrast = jax.random.uniform(key, (6, batch), minval=low)
    if strength.shift or strength.rotation or strength.scale:
        angle = turn * strength.rotation * jnp.pi / 180
        zoom = 1 + zoom * strength.scale
        y, x = jnp.mgrid[:height, :width]
        y, x = y - (height - 1) / 2, x - (width - 1) / 2
        cos, sin = (f(angle)[:, None, None] / zoom[:, None, None] for f in (jnp.cos, jnp.sin))
        source_y = cos * y + sin * x + (height - 1) / 2 + dy[:, None, None] * strength.shift * height
        source_x = cos * x - sin * y + (width - 1) / 2 + dx[:, None, None] * strength.shift * width
        images = jax.vmap(_bilinear)(images, source_y, source_x)
    if strength.mirror_x or strength.mirror_y:
        images = _mirrored(jax.random.fold_in(key, MIRROR), images, strength)
    if strength.saturation or strength.hue:
        images = _recoloured(jax.random.fold_in(key, COLOUR), images, strength)
    gain = 1 + contrast[:, None, None, None] * strength.contrast
    offset = light[:, None, None, None] * strength.brightness
    return jnp.clip((images - 0.5) * gain + 0.5 + offset, 0, 1)


def _mirrored(key: jax.Array, images: jax.Array, strength: Augmentation) -> jax.Array:
    """Each image left to right and top to bottom with the probabilities of `strength`."""
    for axis, probability in ((2, strength.mirror_x), (1, strength.mirror_y)):
        if probability:
            key, own = jax.random.split(key)
            chosen = jax.random.bernoulli(own, probability, (len(images), 1, 1, 1))
            images = jnp.where(chosen, jnp.flip(images, axis), images)
    return images


def _recoloured(key: jax.Array, images: jax.Array, strength: Augmentation) -> jax.Array:
    """Red, green and blue with saturation and hue changed by a random amount for each image; luma stays.

    In the colour differences I and Q of YIQ saturation is a factor and hue a rotation.
    """
    strong, turn = jax.random.uniform(key, (2, len(images)), minval=-1.0)
    gain, angle = 1 + strong * strength.saturation, 2 * jnp.pi * turn * strength.hue
    cos, sin, zero = gain * jnp.cos(angle), gain * jnp.sin(angle), jnp.zeros_like(gain)
    rotation = jnp.stack([jnp.ones_like(gain), zero, zero, zero, cos, -sin, zero, sin, cos], -1).reshape(-1, 3, 3)
    to_yiq, back = jnp.asarray(YIQ, jnp.float32), jnp.asarray(np.linalg.inv(YIQ), jnp.float32)
    matrix = jnp.einsum('ij,bjk,kl->bil', back, rotation, to_yiq, precision='highest')
    return jnp.einsum('bhwc,bdc->bhwd', images, matrix, precision='highest')


def _bilinear(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Bilinear values of image [H,W,C] at real-valued positions y and x [H,W], in pixels; edges repeat."""
    height, width, _ = image.shape
    y, x = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
    top, left = (jnp.floor(v).astype(jnp.int32) for v in (y, x))
    bottom, right = jnp.minimum(top + 1, height - 1), jnp.minimum(left + 1, width - 1)
    v, u = ((a - b)[..., None] for a, b in ((y, top), (x, left)))
    upper = image[top, left] * (1 - u) + image[top, right] * u
    lower = image[bottom, left] * (1 - u) + image[bottom, right] * u
    return upper * (1 - v) + lower * v


def make_batch(mean: Any, std: Any, strength: Augmentation) -> Callable[..., dict[str, jax.Array]]:
    """Returns `batch(arrays, rows [B], seed, step, version=0)`: gathered, augmented, normalised, all on the device.

    mean, std: of `arrays.grey_statistics`; version: which of the `label_versions` of the arrays.
    """

    def batch(arrays: Arrays, rows: jax.Array, seed: ArrayLike, step: ArrayLike, version: ArrayLike = 0) -> dict:
        key = jax.random.fold_in(jax.random.fold_in(environment.key(seed), AUGMENT), step)
        images = arrays.images[rows if arrays.place is None else arrays.place[rows]]
        values = augment(key, images.astype(jnp.float32) / 255, strength)
        return {
            'image': (values - mean) / std,
            'labels': arrays.labels[rows + version * arrays.size],
            'label_mask': arrays.label_mask[rows + version * arrays.size],
            'rows': rows,
        }

    return batch


def batch_of_features(
    arrays: Arrays, rows: jax.Array, seed: ArrayLike, step: ArrayLike, version: ArrayLike = 0, backbone: ArrayLike = 0
) -> dict[str, jax.Array]:
    """What `make_batch` gives, where `arrays.images` are features [N,U], or [N,G,U] of several networks."""
    place = rows if arrays.place is None else arrays.place[rows]
    return {
        'image': arrays.images[place] if arrays.images.ndim == 2 else arrays.images[place, backbone],
        'labels': arrays.labels[rows + version * arrays.size],
        'label_mask': arrays.label_mask[rows + version * arrays.size],
        'rows': rows,
    }
