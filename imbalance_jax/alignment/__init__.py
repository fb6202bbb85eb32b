"""Alignment: does a map's heat lie where the finding is?

Every metric is `METRICS[name](maps [B, H, W], masks [B, H, W], **options) -> [B]`, higher is better, 1 for a map that
equals its mask. Rules that hold for all of them:

* heat is the positive part of a map; a pixel without heat is never pointed at and never detected;
* an image whose mask is empty asks nothing: NaN;
* a map that is empty (no positive value, or one that is not finite) scores 0, so it never looks better than a wrong
  map. How many maps are empty is to be reported next to the mean.

Published names for some of these quantities clash; each docstring says whose convention it is.
"""

from imbalance_jax.alignment import boxes, heat, nulls, overlaps, pointing, ranking
from imbalance_jax.alignment.boxes import rasterise
from imbalance_jax.alignment.heat import min_max
from imbalance_jax.alignment.nulls import centre_map, chance, constant_map
from imbalance_jax.alignment.overlaps import overlap
from imbalance_jax.alignment.pointing import pointing_game
from imbalance_jax.alignment.study import measure, measure_flat

METRICS = {
    'pointing_game': pointing.hit_share,
    'pointing_game_torchray': pointing.hit_torchray,
    'pointing_game_quantus': pointing.hit_quantus,
    'pointing_game_chexlocalize': pointing.hit_chexlocalize,
    'iobb': overlaps.iobb,
    'ior': overlaps.ior,
    'iou': overlaps.iou,
    'relevance_mass': overlaps.relevance_mass,
    'relevance_rank': ranking.relevance_rank,
    'top_k_intersection': ranking.top_k_intersection,
    'pixel_auroc': ranking.pixel_auroc,
}

__all__ = [
    'METRICS',
    'boxes',
    'centre_map',
    'chance',
    'constant_map',
    'heat',
    'measure',
    'measure_flat',
    'min_max',
    'nulls',
    'overlap',
    'overlaps',
    'pointing',
    'pointing_game',
    'ranking',
    'rasterise',
]
