"""Heat where no finding can be: outside the anatomy that the images show."""

import jax
import jax.numpy as jnp

from imbalance_jax.alignment.heat import heat_and_region


def heat_outside(maps: jax.Array, inside: jax.Array) -> jax.Array:
    """Share of the heat of maps [B, H, W] that lies outside a region `inside` [B, H, W], such as the chest, [B].

    sum(h (1 - B)) / sum(h), 1 - `ior`; it needs no finding's region. NaN without an inside, and for an empty map, which
    has no heat anywhere: 0 would make it look better than any other.
    """
    heat, region = heat_and_region(maps, inside)
    total = heat.sum((-2, -1))
    outside = jnp.where(region, 0, heat).sum((-2, -1))
    known = (total > 0) & region.any((-2, -1))
    return jnp.where(known, outside / jnp.where(total > 0, total, 1), jnp.nan)
