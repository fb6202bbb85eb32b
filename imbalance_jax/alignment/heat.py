"""What every alignment metric reads: the heat of a map, the region of a mask. Here both are checked, one line a fault.

Shapes and types are known of whatever `jit` and `vmap` trace; values only of arrays that are there.
"""

from typing import Any

import jax
import jax.numpy as jnp

from imbalance_jax.system.shapes import on_device, require_region


def region_of(masks: Any, name: str = 'masks', axes: int | None = None) -> jax.Array:
    """Masks [..., H, W] as bool: of True and False, of 0 and 1, or of 0 and 255.

    Raises ValueError for fewer axes, or others than `axes`, and, of an array that is there and not traced, for any
    other value: a label map or a mask that was enlarged has to say itself where its region begins.
    """
    masks = numbers(masks, name)
    if axes and masks.ndim != axes:
        raise ValueError(f'{name} must have {axes} axes, [..., H, W], not {masks.shape}.')
    if masks.dtype == bool:
        return masks
    require_region(masks, name)
    return masks != 0


def numbers(values: Any, name: str) -> jax.Array:
    """`values` [..., H, W] as an array; ValueError for what holds no numbers, or fewer axes."""
    values = on_device(values, name, '[B, H, W]')
    if values.ndim < 2:
        raise ValueError(f'{name} must be [B, H, W], not {values.shape}.')
    return values


def _unlike(maps: tuple[int, ...], masks: tuple[int, ...]) -> str:
    """What to do about maps and masks of different shapes."""
    for name, longer, shorter in (('maps', maps, masks), ('masks', masks, maps)):
        if longer[:-1] == shorter:
            return f'take one {"channel" if name == "maps" else "concept"} at a time, {name}[..., s]'
        if longer[1:] == shorter:
            return f'give the {"masks" if name == "maps" else "maps"} a first axis, one for each of the {name}'
    if len(maps) == len(masks) and maps[:-2] == masks[:-2]:
        return f'attribution.upsample(maps, {masks[-2:]}) brings them to one size'
    return 'bring both to one number and size first'


def heat_and_region(maps: jax.Array, masks: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Heat (float32, not negative) and region (bool), [B, H, W] each.

    Heat is the positive part of a map; a map with a value that is not finite has none. Raises ValueError if map and
    mask differ in size, and for masks that are none (`region_of`).
    """
    maps, masks = numbers(maps, 'maps'), numbers(masks, 'masks')
    if maps.shape != masks.shape:
        raise ValueError(f'maps are {maps.shape} and masks {masks.shape}: {_unlike(maps.shape, masks.shape)}.')
    finite = jnp.isfinite(maps).all((-2, -1), keepdims=True)
    return jnp.where(finite, jnp.maximum(maps, 0), 0).astype(jnp.float32), region_of(masks)


def count(pixels: jax.Array) -> jax.Array:
    """How many pixels are true, [B] int32."""
    return pixels.sum((-2, -1), dtype=jnp.int32)


def defined(values: jax.Array, heat: jax.Array, region: jax.Array) -> jax.Array:
    """`values` [B], but 0 where there is no heat, and NaN where there is no region."""
    values = jnp.where((heat > 0).any((-2, -1)), values, 0.0)
    return jnp.where(region.any((-2, -1)), values, jnp.nan)


def flat(pixels: jax.Array) -> jax.Array:
    """[B, H, W] to [B, H W]."""
    return pixels.reshape(*pixels.shape[:-2], pixels.shape[-2] * pixels.shape[-1])  # also of no map


def bits(heat: jax.Array) -> jax.Array:
    """Integers in the order of the heat, uint32 below 2^31, [B, H W]: floats that are not negative are ordered like
    their bits, and XLA sorts integers several times faster than floats on a CPU."""
    return jax.lax.bitcast_convert_type(jnp.abs(flat(heat)), jnp.uint32)


def in_order(numbers: jax.Array) -> jax.Array:
    """Whole numbers [..., n] in ascending order. Equal ones are one another, so that none needs to stay before the
    other, which takes a third longer on a CPU."""
    return jnp.sort(numbers, axis=-1, stable=False)


def kth_largest(heat: jax.Array, k: jax.Array | int) -> jax.Array:
    """The `k`-th largest heat of each map, [B, 1, 1]; `k` is one number or [B], between 1 and H W."""
    if isinstance(k, int) and k == 1:
        return heat.max((-2, -1), keepdims=True)
    ascending = in_order(bits(heat))
    position = jnp.broadcast_to(ascending.shape[-1] - k, ascending.shape[:-1])[..., None]
    return jax.lax.bitcast_convert_type(jnp.take_along_axis(ascending, position, axis=-1), heat.dtype)[..., None]


def check_top_k(top_k: int, heat: jax.Array) -> None:
    """ValueError unless 1 <= top_k <= H W."""
    pixels = heat.shape[-2] * heat.shape[-1]
    if not 1 <= top_k <= pixels:
        raise ValueError(f'top_k must be between 1 and the {pixels} pixels of a map, not {top_k}.')


def min_max(maps: jax.Array) -> jax.Array:
    """Each map scaled to 0..1, (h - min h) / (max h - min h), as the study does before it measures overlap
    (its rounding to 8 bits and its 1e-8 under the fraction, which empties small maps, are left out).

    A constant map and one that is not finite become zero. What is lost is the magnitude: maps of two models can no
    longer be compared by it.
    """
    maps = numbers(maps, 'maps')
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    usable = (high > low) & jnp.isfinite(high) & jnp.isfinite(low)
    return jnp.where(usable, (maps - low) / jnp.where(usable, high - low, 1), 0)
