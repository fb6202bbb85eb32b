"""The study's alignment figures, of one map and one mask at a time or on the average over many masks, and any other
metrics beside them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from imbalance_jax.alignment import expected
from imbalance_jax.alignment.expected import PRODUCTS, Product
from imbalance_jax.alignment.heat import heat_and_region, min_max
from imbalance_jax.alignment.metrics import METRICS
from imbalance_jax.alignment.overlaps import overlap
from imbalance_jax.alignment.pointing import pointing_game
from imbalance_jax.alignment.signed import OF_METRIC, SIGNED, above_coldest
from imbalance_jax.system.shapes import takes

# The measures of signed maps, of maps that have no negative pixel: then they are those of the heat.
UNSIGNED = {name: METRICS[metric] for name, metric in OF_METRIC.items()}
TOLERANCE = 15 / 224  # TorchRay's 15 pixels, as a share of the image's height
OVERLAPS = ('iobb', 'ior', 'iou')

Metrics = Mapping[str, Callable[..., jax.Array]]  # name -> function of maps and masks


class Others(NamedTuple):
    """Regions that maps are held against on the average, in place of their own.

    masks [M,H,W] bool and shares [B,M], the weight of each for each map; few [F,H,W] and few_shares [B,F]: the same for
    metrics that have to be computed pair by pair, some of the regions.
    """

    masks: jax.Array
    shares: jax.Array
    few: jax.Array
    few_shares: jax.Array


def measure(
    maps: jax.Array, masks: jax.Array, metrics: Metrics | None = None, signed: jax.Array | None = None
) -> dict[str, jax.Array]:
    """Hits and points of the pointing game, IoBB, IoR, IoU of the min-max scaled map, and the empty flag, each [B].

    Khakzar et al. 2022, published convention: see `pointing_game` and `overlap`. Of a map's values only the positive
    part is heat; the scaling to 0..1 is the study's and concerns the three overlaps alone. `metrics`: more of them.
    `signed`: the same maps with their sign, for the measures `SIGNED` of them.
    """
    heat, _ = heat_and_region(maps, masks)
    of_signed = {} if signed is None else {name: fn(signed, masks) for name, fn in SIGNED.items()}
    return {**_figures(heat, min_max(heat), masks), **_of(metrics, heat, masks), **of_signed}


@takes(masks='... H W', ones='... H W')
def measure_flat(
    masks: jax.Array, metrics: Metrics | None = None, ones: jax.Array | None = None
) -> dict[str, jax.Array]:
    """The same figures of a map that is 1 everywhere: what area alone scores.

    Who compiles this gives the `ones` as an argument, or XLA computes with them while it compiles.
    """
    ones = jnp.ones(masks.shape, jnp.float32) if ones is None else ones
    return {**_figures(ones, ones, masks), **_of(metrics, ones, masks)}


def measure_others(
    maps: jax.Array,
    signed: jax.Array,
    others: Others,
    metrics: Metrics,
    *,
    products: Mapping[str, Callable[[jax.Array], Product]] = PRODUCTS,
) -> dict[str, jax.Array]:
    """The figures of `measure`, each the mean over other regions, [B]; NaN for a map without any.

    products: those of `expected.PRODUCTS`, with the options that `metrics` have; a metric that is not among them is
    averaged over `others.few`.
    """
    # Heat of the heat is the same heat: as `measure` asks of it, so that a compiler computes once what both need.
    heat, order = expected.heat_of(expected.heat_of(maps)), expected.heat_of(above_coldest(signed))
    scaled = min_max(heat)
    linear = {
        'hits': (expected.hits, heat),
        **{name: (PRODUCTS[name], scaled) for name in OVERLAPS},
        **{name: (products[name], heat) for name in metrics if name in products},
        **{name: (PRODUCTS[one], order) for name, one in OF_METRIC.items() if one in PRODUCTS},
    }
    made = {name: product(of) for name, (product, of) in linear.items()}
    by_product = expected.of_products(made, {name: of for name, (_, of) in linear.items()})
    left = {name: fn for name, fn in metrics.items() if name not in products}
    left |= {name: METRICS[one] for name, one in OF_METRIC.items() if one not in PRODUCTS}
    by_pair = expected.of_metrics(left, {name: order if name in OF_METRIC else heat for name in left})
    _, points = pointing_game(heat, jnp.zeros(heat.shape, bool))
    has_others = (others.shares > 0).any(1)
    return {
        'points': jnp.where(has_others, points, jnp.nan),
        'empty': jnp.where(has_others, _empty(heat), jnp.nan),
        **expected.mean_over(by_product, others.masks, others.shares),
        **(expected.mean_over(by_pair, others.few, others.few_shares) if left else {}),
    }


def _of(metrics, heat, masks):
    return {name: fn(heat, masks) for name, fn in (metrics or {}).items()}


def _empty(heat):
    return (~(heat > 0).any((-2, -1))).astype(jnp.float32)


def _figures(heat, scaled, masks):
    hits, points = pointing_game(heat, masks)
    return {'hits': hits, 'points': points, 'empty': _empty(heat), **overlap(scaled, masks)}
