"""What is done to a map whatever method it comes from."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.system.shapes import on_device


def image_size(images: jax.Array) -> tuple[int, int]:
    """(H, W) of images [B, H, W, C]."""
    _, height, width, _ = images.shape
    return height, width


def _bilinear(source: int, target: int) -> np.ndarray:
    """Weights [target, source] of linear interpolation between pixel centres, constant beyond the outermost ones."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(source)))


def _planes(maps: Any) -> jax.Array:
    maps = on_device(maps, 'maps', '[..., H, W]')
    if maps.ndim < 2:
        raise ValueError(f'maps must be [..., H, W], not {maps.shape}.')
    return maps


def _pair(size: Any) -> tuple[int, int]:
    if np.shape(size) != (2,) or any(length != int(length) or length < 1 for length in size):
        raise ValueError(f'size must be (H, W), two whole numbers of pixels, not {size!r}.')
    return int(size[0]), int(size[1])


def upsample(maps: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Brings maps [..., h, w] to `size` = (H, W), [..., H, W]: bilinear, signs and magnitude kept.

    Pixels are areas (half-pixel centres; `align_corners=False` in PyTorch): pixel i of H lies at (i + 1/2) h / H - 1/2.
    To a smaller size it interpolates without averaging (no anti-aliasing). The same size returns the values themselves.
    Raises ValueError for a `size` that is no pair of whole numbers.
    """
    maps, (height, width) = _planes(maps), _pair(size)
    rows, columns = _bilinear(maps.shape[-2], height), _bilinear(maps.shape[-1], width)
    dtype = jnp.result_type(maps, float)
    # Accelerators multiply matrices in reduced precision unless told otherwise.
    return jnp.einsum('...hw,Hh,Ww->...HW', maps, rows.astype(dtype), columns.astype(dtype), precision='highest')


def nearest(maps: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Brings maps [..., h, w] to `size` = (H, W), [..., H, W]: pixel i of H is pixel floor(i h / H), as in PyTorch."""
    maps, (height, width) = _planes(maps), _pair(size)
    h, w = maps.shape[-2:]
    return maps[..., np.arange(height)[:, None] * h // height, np.arange(width) * w // width]


def is_empty(maps: jax.Array) -> jax.Array:
    """Whether a map [..., H, W] shows nothing, bool [...]: no value is positive, or one is not finite.

    An empty map cannot be normalised and points nowhere; how often it happens is a result of its own, as a ReLU empties
    every map that argues only against the class.
    """
    maps = _planes(maps)
    return ~((maps > 0).any((-2, -1)) & jnp.isfinite(maps).all((-2, -1)))
