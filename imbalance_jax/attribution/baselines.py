"""What an image is compared with, and blurring."""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution.inputs import as_images
from imbalance_jax.names import lookup
from imbalance_jax.system.shapes import on_device

BLUR = 0.1  # standard deviation of the blurred baseline, in image heights
REACH = 3  # standard deviations that a Gaussian is cut off at


def _gaussian(length: int, sigma: float) -> np.ndarray:
    """Weights [length, length] of a Gaussian filter along an axis; beyond an edge its last pixel goes on."""
    if sigma <= 0:
        return np.eye(length)
    reach = max(1, int(np.ceil(REACH * sigma)))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    matrix, rows = np.zeros((length, length)), np.arange(length)
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        np.add.at(matrix, (rows, np.clip(rows + offset, 0, length - 1)), weight)
    return matrix


def blur(images: jax.Array, sigma: float) -> jax.Array:
    """Images [B, H, W, C] under a Gaussian of `sigma` pixels, cut at three; edges repeat."""
    images = jnp.asarray(images)
    rows, columns = (jnp.asarray(_gaussian(n, sigma), images.dtype) for n in images.shape[1:3])
    return jnp.einsum('bhwc,Hh,Ww->bHWc', images, rows, columns, precision='highest')


NAMED = {
    'zero': jnp.zeros_like,
    'mean': lambda images: jnp.broadcast_to(images.mean((1, 2), keepdims=True), images.shape),
    'blur': lambda images: blur(images, BLUR * images.shape[1]),
}


def baseline_images(images: jax.Array, baseline: jax.typing.ArrayLike | str) -> jax.Array:
    """A baseline as images [B, H, W, C]: numbers in the units of the images, which broadcast against them, or a name.

    'zero': zeros, which is black only where images are not standardised; 'mean': each image's own mean, by channel;
    'blur': the image under a Gaussian of a tenth of its height. On a radiograph black is air, hence a finding of its
    own. Raises ValueError for any other name, and for an array that does not broadcast.
    """
    images = as_images(images)
    if isinstance(baseline, str):
        return lookup(NAMED, baseline, 'baseline')(images)
    values = on_device(baseline, 'baseline', 'that broadcast against images [B, H, W, C]').astype(images.dtype)
    try:
        return jnp.broadcast_to(values, images.shape)
    except ValueError as error:
        raise ValueError(f'baseline {values.shape} does not broadcast against images {images.shape}.') from error
