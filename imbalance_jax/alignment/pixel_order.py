"""Metrics that read only the order of a map's pixels, not its values, and the ranks that they come from.

Pixels that tie count by their expectation when ties are broken at random: a uniform map scores chance, and nothing
depends on the order in which pixels are stored.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from imbalance_jax.alignment.heat import bits, check_top_k, count, defined, flat, heat_and_region, in_order
from imbalance_jax.system.shapes import takes

PIXELS = 32  # of a region that are compared together where a region's pixels are taken from all maps, on a CPU


class _Order(NamedTuple):
    """Pixels [B,n] of maps as `bits`, in ascending order, and of every place there how many pixels are hotter and how
    many tie. They are sorted once, for any number of regions."""

    ascending: jax.Array
    hotter: jax.Array
    tied: jax.Array

    def share_in(
        self, counted: Callable[[jax.Array], tuple[jax.Array, jax.Array]], number: jax.Array | int
    ) -> jax.Array:
        """The share of the `number`, one or [B], hottest pixels of each map that is expected in a region, ties broken
        at random, [B]. counted: heat [B] -> how many of the region's pixels are hotter, and how many as hot."""
        position = jnp.broadcast_to(self.ascending.shape[-1] - number, self.ascending.shape[:-1])[..., None]
        lowest, hotter, tied = (jnp.take_along_axis(edge, position, axis=-1)[..., 0] for edge in self)
        above, at_limit = counted(lowest)
        # Of the pixels that tie at the threshold, the share that has a place left.
        return (above + at_limit * ((number - hotter) / tied)) / number


def _ordered(pixels: jax.Array) -> _Order:
    ascending = in_order(pixels)
    first, last = _ties(ascending)
    return _Order(ascending, ascending.shape[-1] - 1 - last, last - first + 1)


def _share_in_top(heat: jax.Array, region: jax.Array, number: jax.Array | int) -> jax.Array:
    """The share of the `number` hottest pixels of each map that is expected in its own region, [B]."""
    pixels = bits(heat)
    counted = partial(_counted, pixels, flat(region))
    return defined(_ordered(pixels).share_in(counted, jnp.asarray(number)), heat, region)


def _counted(pixels: jax.Array, region: jax.Array, lowest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How many pixels [B,n] of a region [B or 1,n] are hotter than `lowest` [B] in each map, and how many as hot."""
    hotter, as_hot = pixels > lowest[..., None], pixels == lowest[..., None]
    return (region & hotter).sum(-1, dtype=jnp.int32), (region & as_hot).sum(-1, dtype=jnp.int32)


def relevance_rank(maps: jax.Array, masks: jax.Array) -> jax.Array:
    """Relevance rank accuracy, [B]: |top K of h & B| / K with K = |B| (Arras et al. 2022). A uniform map
    scores the area share of its mask."""
    heat, region = heat_and_region(maps, masks)
    return _share_in_top(heat, region, jnp.maximum(count(region), 1))


def relevance_ranks(maps: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """`ranks(regions [J,H,W]) -> [B,J]`: `relevance_rank` of each of the maps [B,H,W] for each region."""
    heat = heat_and_region(maps, jnp.zeros(maps.shape, bool))[0]
    pixels, hot = bits(heat), (heat > 0).any((-2, -1))
    order, by_pixel, on_cpu = _ordered(pixels), pixels.T, jax.default_backend() == 'cpu'

    def rank(region):
        area, inside = count(region), flat(region)
        counted = partial(_counted_in, by_pixel, inside) if on_cpu else partial(_counted, pixels, inside[None])
        share = order.share_in(counted, jnp.maximum(area, 1))
        return jnp.where(area > 0, jnp.where(hot, share, 0.0), jnp.nan)

    # One region at a time: all at once, what is compared is too large for a cache (seven times slower on a CPU).
    return lambda regions: jax.lax.map(rank, regions).T


def _counted_in(by_pixel: jax.Array, region: jax.Array, lowest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same of one region [n] for all maps, by_pixel [n,B]: only its pixels are looked at, some at a time."""
    area, places = region.sum(), jnp.flatnonzero(region, size=len(region) + PIXELS, fill_value=0)

    def add(i, sums):
        there = (i * PIXELS + jnp.arange(PIXELS) < area)[:, None]
        pixels = by_pixel[jax.lax.dynamic_slice_in_dim(places, i * PIXELS, PIXELS)]
        found = pixels > lowest, pixels == lowest
        return tuple(a + (there & one).sum(0, dtype=jnp.int32) for a, one in zip(sums, found, strict=True))

    return jax.lax.fori_loop(0, -(-area // PIXELS), add, (jnp.zeros_like(lowest, jnp.int32),) * 2)


def top_k_intersection(maps: jax.Array, masks: jax.Array, *, top_k: int | None = None) -> jax.Array:
    """Share of the `top_k` hottest pixels that lie in the mask, [B]: |top k of h & B| / k (Theiner et al. 2021).

    By default 2 % of the pixels, at least 1: close to their 1000 at 224 x 224. The best possible is min(1, |B| / k), so
    a region smaller than `top_k` keeps even a map that equals its mask below 1. Raises ValueError unless
    1 <= top_k <= H W.
    """
    heat, region = heat_and_region(maps, masks)
    if top_k is None:
        top_k = max(1, round(0.02 * heat.shape[-2] * heat.shape[-1]))
    check_top_k(top_k, heat)
    return _share_in_top(heat, region, top_k)


def pixel_auroc(maps: jax.Array, masks: jax.Array) -> jax.Array:
    """Area under the ROC curve of heat as a classifier of mask pixels, [B]: the probability that a pixel in the mask is
    hotter than one outside, ties counting half. A uniform map scores 1/2 whatever the mask's area; an empty one 0. NaN
    also where the mask is the whole image."""
    heat, region = heat_and_region(maps, masks)
    # The mask is the lowest bit, so that one sort orders the pixels by heat and their labels with them.
    ordered = in_order(bits(heat) << 1 | flat(region).astype(jnp.uint32))
    first, last = _ties(ordered >> 1)
    inside, number = (ordered & 1).astype(bool), ordered.shape[-1]
    outside = number - inside.sum(-1)
    # Twice a lead is #colder - #hotter, ties apart. Pixels of the mask cancel each other in the mean.
    lead = jnp.mean((first + last + 1 - number) / 2, axis=-1, where=inside)
    return jnp.where(outside > 0, defined(0.5 + lead / outside, heat, region), jnp.nan)


@takes(maps='... H+ W+')
def midranks(maps: jax.Array) -> jax.Array:
    """Rank of every pixel in its map [B, H, W], the coldest 0, pixels that tie at the mean of their ranks; float32.

    One sort of whole numbers: a value's leading bits, then the pixel's number. So values count as tied where they agree
    in sign, exponent and the first 23 - log2(H W) bits of the mantissa or so: 11 at 64 x 64 pixels, 7 at 224 x 224.
    """
    values = jnp.asarray(maps, jnp.float32)
    values = flat(jnp.where(values == 0, 0.0, values))  # -0 is 0
    number = values.shape[-1]
    low = jnp.uint32((1 << max(1, (number - 1).bit_length())) - 1)
    raw, sign = jax.lax.bitcast_convert_type(values, jnp.uint32), jnp.uint32(1 << 31)
    key = jnp.where(raw & sign, ~raw, raw | sign)
    packed = in_order(key & ~low | jnp.arange(number, dtype=jnp.uint32))
    first, last = _ties(packed & ~low)
    middle, pixel = (first + last) / 2, (packed & low).astype(jnp.int32)

    def put(middle, pixel):
        return jnp.zeros(number, jnp.float32).at[pixel].set(middle, unique_indices=True)

    ranks = jax.vmap(put)(middle.reshape(-1, number), pixel.reshape(-1, number))
    return ranks.reshape(jnp.shape(maps))


def _ties(ordered: jax.Array) -> tuple[jax.Array, jax.Array]:
    """First and last position, counted from 0, of the run of equal values that each of `ordered` [B, n] is in."""
    positions = jnp.arange(ordered.shape[-1])
    changes = ordered[..., 1:] != ordered[..., :-1]
    edge = jnp.ones_like(ordered[..., :1], bool)
    starts, ends = jnp.concatenate([edge, changes], -1), jnp.concatenate([changes, edge], -1)
    first = jax.lax.cummax(jnp.where(starts, positions, 0), axis=ordered.ndim - 1)
    last = jax.lax.cummin(jnp.where(ends, positions, positions[-1]), axis=ordered.ndim - 1, reverse=True)
    return first, last
