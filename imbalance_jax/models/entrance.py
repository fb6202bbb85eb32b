"""The way into a network that wants other numbers than those the data set prepares: channels, range, size.

Images reach a network with the training split's mean 0 and standard deviation 1 in each channel. Weights that come from
elsewhere want what they were trained with: red, green and blue in units of ImageNet, one grey channel in -1024..1024, a
size of their own. What stands between is part of the network: gradients pass through it, so that every map is one of
the image that the set prepared.

Resizing is that of PIL, which torchvision uses: filters are widened by the factor by which an image shrinks, and their
weights are normalised at its edges. PIL rounds to whole grey values after each of its two passes, and nothing is
rounded here: on images of 8 bits the two differ by at most 1 grey value for bilinear filters, by rounding alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.names import lookup

MATRIX, OFFSET = 'entrance_matrix', 'entrance_offset'  # of the collection 'link': [C,D] and [D] of a member
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as PIL makes them grey


class Geometry(NamedTuple):
    """The size that a network wants: the shorter side is resized to `resize` pixels, 0 for not at all, and the middle
    `crop` x `crop` is cut out, 0 for all of it; interpolation: a name of `FILTERS`."""

    resize: int = 0
    crop: int = 0
    interpolation: str = 'bilinear'


AS_IT_IS = Geometry()


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic with a = -1/2."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


FILTERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {  # with the half-width of each
    'bilinear': (_triangle, 1),
    'bicubic': (_cubic, 2),
    'lanczos': (_lanczos, 3),
}


def resampling(size: int, wanted: int, interpolation: str) -> np.ndarray:
    """Weights [wanted,size] float64 that make `wanted` values of `size` along one axis; each row sums to 1.

    Raises ValueError for an unknown interpolation.
    """
    function, reach = lookup(FILTERS, interpolation, 'interpolation')
    scale = size / wanted
    wide = max(scale, 1.0)
    centre = (np.arange(wanted) + 0.5) * scale
    first = np.maximum((centre - reach * wide + 0.5).astype(int), 0)
    stop = np.minimum((centre + reach * wide + 0.5).astype(int), size)
    pixel = np.arange(size)
    weights = function((pixel + 0.5 - centre[:, None]) / wide)
    weights = np.where((pixel >= first[:, None]) & (pixel < stop[:, None]), weights, 0)
    return weights / weights.sum(1, keepdims=True)


def axes(height: int, width: int, geometry: Geometry) -> tuple[np.ndarray, np.ndarray] | None:
    """The weights [h,H] of rows and [w,W] of columns that resize and crop; None where nothing changes.

    Raises ValueError for a crop larger than the resized image.
    """
    short, long = sorted((height, width))
    resized = (geometry.resize, int(geometry.resize * long / short)) if geometry.resize else (short, long)
    sizes = resized if height <= width else resized[::-1]
    crop = (geometry.crop, geometry.crop) if geometry.crop else sizes
    if any(part > size for part, size in zip(crop, sizes, strict=True)):
        raise ValueError(f'A crop of {geometry.crop} pixels does not fit images of {sizes[0]} x {sizes[1]} pixels.')
    if sizes == crop == (height, width):
        return None
    parts = []
    for size, wanted, kept in zip((height, width), sizes, crop, strict=True):
        weights = resampling(size, wanted, geometry.interpolation) if size != wanted else np.eye(size)
        start = round((wanted - kept) / 2)
        parts.append(weights[start : start + kept])
    return parts[0], parts[1]


def mixing(channels: int, wanted: int) -> np.ndarray:
    """The matrix [C,D] from C channels of the data to D of the weights: equal ones as they are, grey repeated, red,
    green and blue as luma. Raises ValueError for any other numbers."""
    if channels == wanted:
        return np.eye(channels)
    if channels == 1:
        return np.ones((1, wanted))
    if (channels, wanted) == (3, 1):
        return np.array(LUMA)[:, None]
    raise ValueError(f'Images of {channels} channels cannot be brought to the {wanted} of the weights.')


def affine(
    channels: int,
    own: tuple[Any, Any],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    low: float = 0.0,
    high: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The matrix [C,D] and the offset [D], float32, from images as the data set normalises them to what weights want.

    own: mean and standard deviation of the data set in 0..1, numbers or [C]. A grey value v in 0..1 is wanted as
    (low + (high - low) v - mean) / std, channel by channel [D].
    """
    mix = mixing(channels, len(mean))
    own_mean, own_std = (np.broadcast_to(np.asarray(a, np.float64), channels) for a in own)
    gain = (high - low) / np.asarray(std, np.float64)
    matrix = own_std[:, None] * mix * gain
    offset = (low + (high - low) * (own_mean @ mix) - np.asarray(mean)) / np.asarray(std, np.float64)
    return matrix.astype(np.float32), offset.astype(np.float32)


class Entrance:
    """A model that takes the data set's images [B,H,W,C], and gives its network what that wants, [B,h,w,D].

    Each member has its own matrix and offset, MATRIX and OFFSET of the collection 'link'; without them channels are
    repeated or mixed and values stay. The geometry is that of all members.
    """

    def __init__(self, model: Any, channels: int, geometry: Geometry = AS_IT_IS) -> None:
        self.model, self.channels, self.geometry = model, channels, geometry

    def init(self, key: jax.Array, image: jax.Array, **options: Any) -> Any:
        """The variables of the model."""
        return self.model.init(key, self.entered(image, {}), **options)

    def apply(self, variables: Any, image: jax.Array, train: bool = False, **options: Any) -> Any:
        """What `model.apply` gives for the images as it wants them."""
        return self.model.apply(variables, self.entered(image, variables.get('link', {})), train=train, **options)

    def entered(self, image: jax.Array, link: dict[str, Any]) -> jax.Array:
        """Images [B,H,W,C] as the network wants them [B,h,w,D]: mixed channel by channel, then resized and cropped."""
        channels = image.shape[-1]
        matrix = link.get(MATRIX, np.asarray(mixing(channels, self.channels), np.float32))
        mixed = sum(image[..., c, None] * matrix[c] for c in range(channels)) + link.get(OFFSET, np.float32(0))
        weights = axes(image.shape[1], image.shape[2], self.geometry)
        if weights is None:
            return mixed
        rows, columns = (jnp.asarray(a, jnp.float32) for a in weights)
        mixed = jnp.einsum('oh,bhwc->bowc', rows, mixed, precision='highest')
        return jnp.einsum('ow,bhwc->bhoc', columns, mixed, precision='highest')
