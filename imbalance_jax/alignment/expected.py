"""What a map scores on the average over many regions, such as those of all other patients: no draw, an expectation.

Nearly every metric knows a region only by a weighted sum over its pixels, so that its value for all pairs of a map and
a region comes from one matrix product (`PRODUCTS`). The others are computed pair by pair.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from imbalance_jax.alignment import thresholds
from imbalance_jax.alignment.heat import check_top_k, flat, heat_and_region, kth_largest
from imbalance_jax.alignment.pixel_order import midranks, relevance_rank, relevance_ranks
from imbalance_jax.alignment.pointing import near_share

BLOCK = 32  # regions at a time


class Product(NamedTuple):
    """A metric of heat [B,H,W] as a sum over a region's pixels.

    weights: [B,H,W]; figure: (sums [B,J] of the weights over each of J regions, regions [J,H,W]) -> values [B,J].
    """

    weights: jax.Array
    figure: Callable[[jax.Array, jax.Array], jax.Array] = lambda sums, regions: sums


def area(regions: jax.Array) -> jax.Array:
    """Pixels of regions [J,H,W], float32 [J]."""
    return regions.sum((-2, -1), dtype=jnp.float32)


def _total(weights: jax.Array) -> jax.Array:
    return weights.sum((-2, -1), keepdims=True)


def _as_share(weights: jax.Array) -> Product:
    """Share of the weights that lies in the region."""
    total = _total(weights)
    return Product(weights / jnp.where(total > 0, total, 1))


def _points(heat: jax.Array) -> jax.Array:
    peak = heat.max((-2, -1), keepdims=True)
    return ((heat == peak) & (peak > 0)).astype(jnp.float32)


def hits(heat: jax.Array) -> Product:
    """The points that hit, of the study's pointing game."""
    return Product(_points(heat))


def _pointing_game(heat: jax.Array) -> Product:
    return _as_share(_points(heat))


def _quantus(heat: jax.Array) -> Product:
    return Product(_points(heat), lambda sums, regions: (sums > 0).astype(jnp.float32))


def _first_hottest(heat: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Row and column of the first hottest pixel, [B,1,1] each, and whether a map is constant, [B,1]."""
    row, column = jnp.divmod(flat(heat).argmax(-1)[..., None, None], heat.shape[-1])
    return row, column, (heat.max((-2, -1)) == heat.min((-2, -1)))[:, None]


def _distance(heat: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Squared distance in pixels of every pixel to one, [B,H,W]."""
    rows, columns = jnp.arange(heat.shape[-2])[:, None], jnp.arange(heat.shape[-1])
    return (rows - row) ** 2 + (columns - column) ** 2


def _chexlocalize(heat: jax.Array) -> Product:
    row, column, constant = _first_hottest(heat)

    def figure(sums, regions):
        return jnp.where(constant, regions.mean((-2, -1)), sums)

    return Product((_distance(heat, row, column) == 0).astype(jnp.float32), figure)


def _torchray(heat: jax.Array, tolerance: float = 15) -> Product:
    row, column, constant = _first_hottest(heat)

    def figure(sums, regions):
        # One region at a time, which needs less memory than all of a block; and only where a map is constant.
        chance = lambda: jax.lax.map(lambda one: near_share(one[None], tolerance)[0], regions.astype(bool))  # noqa: E731
        shares = jax.lax.cond(constant.any(), chance, lambda: jnp.zeros(len(regions), jnp.float32))
        return jnp.where(constant, shares, sums > 0)

    disc = _distance(heat, row, column) < jnp.maximum(tolerance, 1) ** 2
    return Product(disc.astype(jnp.float32), figure)


def _iobb(heat: jax.Array) -> Product:
    return Product(thresholds.scaled_heat(heat), lambda sums, regions: sums / area(regions))


def _iou(heat: jax.Array) -> Product:
    mass = _total(heat)[..., 0]
    return Product(heat, lambda sums, regions: sums / jnp.maximum(area(regions) + mass - sums, 1e-30))


def _top_k(heat: jax.Array, top_k: int | None = None) -> Product:
    number = top_k or max(1, round(0.02 * heat.shape[-2] * heat.shape[-1]))
    check_top_k(number, heat)
    threshold = kth_largest(heat, number)
    above, tied = (heat > threshold).astype(jnp.float32), (heat == threshold).astype(jnp.float32)
    return Product((above + tied * (number - _total(above)) / _total(tied)) / number)


def _pixel_auroc(heat: jax.Array) -> Product:
    number = heat.shape[-2] * heat.shape[-1]

    def figure(sums, regions):
        inside = area(regions)
        pairs = inside * (number - inside)
        return jnp.where(pairs > 0, 0.5 + sums / jnp.where(pairs > 0, pairs, 1), jnp.nan)

    return Product(midranks(heat) - (number - 1) / 2, figure)


def _heat_ratio(heat: jax.Array) -> Product:
    return Product(thresholds.heat_ratio_weights(heat))


PRODUCTS: dict[str, Callable[..., Product]] = {
    'pointing_game': _pointing_game,
    'pointing_game_torchray': _torchray,
    'pointing_game_quantus': _quantus,
    'pointing_game_chexlocalize': _chexlocalize,
    'iobb': _iobb,
    'ior': _as_share,
    'iou': lambda heat: _iou(thresholds.scaled_heat(heat)),
    'relevance_mass': _as_share,
    'focus': _as_share,
    'top_k_intersection': _top_k,
    'pixel_auroc': _pixel_auroc,
    'effective_heat_ratio': _heat_ratio,
    'iobb_chestxray8': lambda heat, threshold=60 / 255: _as_share(
        (thresholds.scaled_heat(heat) >= threshold).astype(jnp.float32)
    ),
    'miou_otsu': lambda heat: _iou(thresholds.above_otsu(heat).astype(jnp.float32)),
    'miou_tuned': lambda heat, threshold=0.5: _iou(thresholds.above(heat, threshold).astype(jnp.float32)),
}

# Metrics that are no products, for which a map's pixels need to be sorted only once: maps -> (regions -> values [B,J]).
SORTED_ONCE: dict[Callable[..., jax.Array], Callable[[jax.Array], Callable[[jax.Array], jax.Array]]] = {
    relevance_rank: relevance_ranks
}

Figures = Callable[[jax.Array], dict[str, jax.Array]]  # regions [J,H,W] -> values [B,J]


def heat_of(maps: jax.Array) -> jax.Array:
    """The heat of maps [B,H,W], float32."""
    return heat_and_region(maps, jnp.zeros(maps.shape, bool))[0]


def of_products(products: Mapping[str, Product], heat: Mapping[str, jax.Array]) -> Figures:
    """Figures of several products of one set of maps, by one matrix product.

    heat: name -> the heat [B,H,W] that decides whether a map is empty and scores 0.
    """
    weights = jnp.stack([flat(one.weights) for one in products.values()])
    hot = {name: (heat[name] > 0).any((-2, -1))[:, None] for name in products}

    def figures(regions):
        sums = jnp.einsum('lbx,jx->lbj', weights, flat(regions).astype(jnp.float32), precision='highest')
        each = zip(products.items(), sums, strict=True)
        return {name: jnp.where(hot[name], product.figure(total, regions), 0) for (name, product), total in each}

    return figures


def of_metrics(metrics: Mapping[str, Callable[..., jax.Array]], maps: Mapping[str, jax.Array]) -> Figures:
    """Figures of metrics that are no products, pair by pair; maps: metric -> maps [B,H,W]."""

    def one_by_one(metric, maps):
        def of_region(region):
            return metric(maps, jnp.broadcast_to(region, maps.shape))

        return lambda regions: jax.vmap(of_region)(regions).T

    made = {}
    for name, metric in metrics.items():
        itself = metric.func if isinstance(metric, partial) and not metric.keywords else metric
        made[name] = SORTED_ONCE[itself](maps[name]) if itself in SORTED_ONCE else one_by_one(metric, maps[name])
    return lambda regions: {name: of_regions(regions) for name, of_regions in made.items()}


def mean_over(figures: Figures, regions: jax.Array, shares: jax.Array) -> dict[str, jax.Array]:
    """The mean of figures over regions [M,H,W], [B]; shares [B,M]: the weight of each region for each map.

    A region for which a figure is not defined does not count; NaN where none is left. Regions go in blocks, and a block
    that no map asks for is passed over: regions that are asked for together should lie together.
    """
    extra = -len(regions) % BLOCK
    regions = jnp.pad(regions, ((0, extra), (0, 0), (0, 0)))
    shares = jnp.pad(shares, ((0, 0), (0, extra)))
    names = list(jax.eval_shape(figures, regions[:BLOCK]))
    start = (jnp.zeros((len(names), len(shares))), jnp.zeros((len(names), len(shares))))

    def add(i, sums):
        block = jax.lax.dynamic_slice_in_dim(regions, i * BLOCK, BLOCK)
        weight = jax.lax.dynamic_slice_in_dim(shares, i * BLOCK, BLOCK, axis=1)

        def added():
            of_block = figures(block)
            values = jnp.stack([of_block[name] for name in names])
            counted = jnp.where(jnp.isfinite(values), weight, 0)
            total, number = sums
            return total + jnp.where(counted > 0, values * counted, 0).sum(-1), number + counted.sum(-1)

        return jax.lax.cond((weight > 0).any(), added, lambda: sums)

    total, number = jax.lax.fori_loop(0, len(regions) // BLOCK, add, start)
    return dict(zip(names, total / jnp.where(number > 0, number, jnp.nan), strict=True))
