"""The study's alignment figures, of one map and one mask at a time, and any other metrics beside them."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from imbalance_jax.alignment.heat import heat_and_region, min_max
from imbalance_jax.alignment.overlaps import overlap
from imbalance_jax.alignment.pointing import pointing_game

TOLERANCE = 15 / 224  # TorchRay's 15 pixels, as a share of the image's height


def measure(maps: jax.Array, masks: jax.Array, metrics: Mapping[str, Callable] | None = None) -> dict[str, jax.Array]:
    """Hits and points of the pointing game, IoBB, IoR, IoU of the min-max scaled map, and the empty flag, each [B].

    Khakzar et al. 2022, published convention: see `pointing_game` and `overlap`. Of a map's values only the positive
    part is heat; the scaling to 0..1 is the study's and concerns the three overlaps alone. `metrics`: name -> function
    of maps and masks, for more of them.
    """
    heat, _ = heat_and_region(maps, masks)
    return {**_figures(heat, min_max(heat), masks), **{name: fn(heat, masks) for name, fn in (metrics or {}).items()}}


def measure_flat(
    masks: jax.Array, metrics: Mapping[str, Callable] | None = None, ones: jax.Array | None = None
) -> dict[str, jax.Array]:
    """The same figures of a map that is 1 everywhere: what area alone scores.

    Who compiles this gives the `ones` as an argument, or XLA computes with them while it compiles.
    """
    ones = jnp.ones(masks.shape, jnp.float32) if ones is None else ones
    return {**_figures(ones, ones, masks), **{name: fn(ones, masks) for name, fn in (metrics or {}).items()}}


def _figures(heat, scaled, masks):
    hits, points = pointing_game(heat, masks)
    empty = ~(heat > 0).any((-2, -1))
    return {'hits': hits, 'points': points, 'empty': empty.astype(jnp.float32), **overlap(scaled, masks)}
