"""Measures of a map with its sign: they read the order of its pixels, so nothing depends on where 0 lies.

A ReLU cuts a class activation map at 0, and a network that lifts all its scores moves that cut: the map grows without
looking elsewhere. A map whose method gives no sign (saliency) has the measures of its heat. A map that is the same
everywhere, or not finite, has no order and scores 0.
"""

from collections.abc import Callable

import jax

from imbalance_jax.alignment import pixel_order, pointing
from imbalance_jax.alignment.heat import numbers


def above_coldest(maps: jax.Array) -> jax.Array:
    """Maps [B, H, W] minus their own coldest pixel: heat that keeps the order of all pixels."""
    maps = numbers(maps, 'maps')
    return maps - maps.min((-2, -1), keepdims=True)


def _signed(metric: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    def measured(maps: jax.Array, masks: jax.Array) -> jax.Array:
        return metric(above_coldest(maps), masks)

    return measured


# Measure -> function of signed maps and masks; of which metric it is.
OF_METRIC = {
    'signed_hit_share': 'pointing_game',
    'signed_pixel_auroc': 'pixel_auroc',
    'signed_relevance_rank': 'relevance_rank',
}
SIGNED: dict[str, Callable[..., jax.Array]] = {
    'signed_hit_share': _signed(pointing.hit_share),
    'signed_pixel_auroc': _signed(pixel_order.pixel_auroc),
    'signed_relevance_rank': _signed(pixel_order.relevance_rank),
}
