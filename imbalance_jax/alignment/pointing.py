"""The pointing game in four published conventions: is a map's hottest pixel in the region?

They differ where several pixels tie for the maximum, and in how near is near enough; none depends on a map's scale. A
map that is the same everywhere points at no pixel: it scores what a random point does (but hits with Quantus).
"""

import jax
import jax.numpy as jnp

from imbalance_jax.alignment.heat import check_top_k, count, defined, flat, heat_and_region, kth_largest
from imbalance_jax.system.shapes import takes


def pointing_game(maps: jax.Array, masks: jax.Array, top_k: int = 1) -> tuple[jax.Array, jax.Array]:
    """Hits and points of each image, int32 [B] each, in the study's convention (Khakzar et al. 2022).

    With t the `top_k`-th largest heat, points = #{h >= t} and hits those of them in the mask: all pixels that tie at t
    count, so points may exceed `top_k`. If t is 0 (an empty map, or less than `top_k` hot pixels) both are 0. The study
    reports sum(hits) / sum(points) over images, in which an empty map is not a miss but absent, and a plateau of tied
    pixels has many votes. Raises ValueError unless 1 <= top_k <= H W.
    """
    heat, region = heat_and_region(maps, masks)
    check_top_k(top_k, heat)
    threshold = kth_largest(heat, top_k)
    points = (heat >= threshold) & (threshold > 0)
    return count(points & region), count(points)


def hit_share(maps: jax.Array, masks: jax.Array, *, top_k: int = 1) -> jax.Array:
    """Share of an image's points that hit, hits / points of `pointing_game`, [B]; every image has one vote. A uniform
    map scores the area share of the mask."""
    hits, points = pointing_game(maps, masks, top_k)
    return defined(hits / jnp.maximum(points, 1), *heat_and_region(maps, masks))


def _first_maximum(heat: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Row and column of the hottest pixel, [B] each; of several, the first in reading order."""
    return jnp.divmod(flat(heat).argmax(-1), heat.shape[-1])


def hit_torchray(maps: jax.Array, masks: jax.Array, *, tolerance: float = 15) -> jax.Array:
    """1 if a mask pixel lies less than `tolerance` pixels from the first hottest pixel, else 0, [B].

    The convention of TorchRay and of Zhang et al. 2018 (15 pixels, in images of several hundred: scale it to the maps).
    A tolerance of 1 or less asks for the pixel itself.
    """
    heat, region = heat_and_region(maps, masks)
    row, column = (position[..., None, None] for position in _first_maximum(heat))
    rows, columns = jnp.arange(heat.shape[-2])[:, None], jnp.arange(heat.shape[-1])
    near = (rows - row) ** 2 + (columns - column) ** 2 < jnp.maximum(tolerance, 1) ** 2
    hit = (near & region).any((-2, -1)).astype(jnp.float32)
    constant = _is_constant(heat)
    chance = jax.lax.cond(constant.any(), lambda: near_share(region, tolerance), lambda: jnp.zeros_like(hit))
    return defined(jnp.where(constant, chance, hit), heat, region)


@takes(region='... H W')
def near(region: jax.Array, tolerance: float) -> jax.Array:
    """The pixels from which some pixel of the region [B, H, W] is less than `tolerance` pixels away, [B, H, W] bool."""
    height, axis, within = region.shape[-2], region.ndim - 1, jnp.maximum(tolerance, 1)
    far, column = jnp.float32(sum(region.shape[-2:]) ** 2), jnp.arange(region.shape[-1], dtype=jnp.float32)
    # The squared distance separates: first within a row of pixels, then over the rows that are near enough.
    before = column - jax.lax.cummax(jnp.where(region, column, -jnp.inf), axis=axis)
    behind = jax.lax.cummin(jnp.where(region, column, jnp.inf), axis=axis, reverse=True) - column
    in_row = jnp.minimum(jnp.minimum(before, behind) ** 2, far)
    rows = jnp.pad(in_row, [(0, 0)] * (axis - 1) + [(height, height), (0, 0)], constant_values=far)
    reach = jnp.minimum(jnp.ceil(within), height).astype(int)

    def nearer(step, squared):
        moved = jax.lax.dynamic_slice_in_dim(rows, height + step, height, axis=axis - 1)
        return jnp.minimum(squared, moved + jnp.float32(step) ** 2)

    squared = jax.lax.fori_loop(1 - reach, reach, nearer, jnp.full_like(in_row, far))
    return (squared < within**2) & region.any((-2, -1), keepdims=True)


def near_share(region: jax.Array, tolerance: float) -> jax.Array:
    """Share of the pixels that are `near` the region [B, H, W], [B]: a random point's chance of a hit in TorchRay's
    convention; NaN for no region."""
    return jnp.where(region.any((-2, -1)), near(region, tolerance).mean((-2, -1)), jnp.nan)


def _is_constant(heat: jax.Array) -> jax.Array:
    return heat.max((-2, -1)) == heat.min((-2, -1))


def hit_quantus(maps: jax.Array, masks: jax.Array) -> jax.Array:
    """1 if any of the pixels that tie for the maximum is in the mask, else 0, [B]: the convention of Quantus.

    A uniform map always hits. Two differences from the package: an empty map, uniform too, is a miss, and an empty mask
    is NaN (the package counts it as a hit).
    """
    heat, region = heat_and_region(maps, masks)
    hottest = heat == heat.max((-2, -1), keepdims=True)
    return defined((hottest & region).any((-2, -1)).astype(jnp.float32), heat, region)


def hit_chexlocalize(maps: jax.Array, masks: jax.Array) -> jax.Array:
    """1 if the first hottest pixel in reading order is in the mask, else 0, [B]: the hit rate of CheXlocalize (Saporta
    et al. 2022), which asks for maps brought bilinearly to the size of the radiograph before."""
    heat, region = heat_and_region(maps, masks)
    hit = jnp.take_along_axis(flat(region), flat(heat).argmax(-1)[..., None], axis=-1)[..., 0]
    return defined(jnp.where(_is_constant(heat), region.mean((-2, -1)), hit), heat, region)
