"""Alignment: does a map's heat lie where the finding is?

Every metric is `METRICS[name](maps [B, H, W], masks [B, H, W], **options) -> [B]`, higher is better, 1 for a map that
equals its mask. Rules that hold for all of them:

* heat is the positive part of a map; a pixel without heat is never pointed at and never detected;
* an image whose mask is empty asks nothing: NaN;
* a metric does not depend on the scale of a map;
* a map that is empty (no positive value, or one that is not finite) scores 0, so it never looks better than a wrong
  map. How many maps are empty is to be reported next to the mean.

Published names for some of these quantities clash; each docstring says whose convention it is.
"""

from imbalance_jax.alignment import anatomy, expected, heat, nulls, overlaps, pixel_order, pointing, signed, thresholds
from imbalance_jax.alignment.anatomy import heat_outside
from imbalance_jax.alignment.heat import min_max
from imbalance_jax.alignment.measure import TOLERANCE, UNSIGNED, Others, measure, measure_flat, measure_others
from imbalance_jax.alignment.metrics import METRICS
from imbalance_jax.alignment.nulls import (
    centre_map,
    chance,
    chance_level,
    constant_map,
    constant_maps,
    grid_maps,
    other_patients,
)
from imbalance_jax.alignment.overlaps import mosaic, overlap
from imbalance_jax.alignment.pointing import pointing_game
from imbalance_jax.alignment.signed import SIGNED
from imbalance_jax.alignment.thresholds import tune_threshold

__all__ = [
    'METRICS',
    'SIGNED',
    'TOLERANCE',
    'UNSIGNED',
    'Others',
    'anatomy',
    'centre_map',
    'chance',
    'chance_level',
    'constant_map',
    'constant_maps',
    'expected',
    'grid_maps',
    'heat',
    'heat_outside',
    'measure',
    'measure_flat',
    'measure_others',
    'min_max',
    'mosaic',
    'nulls',
    'other_patients',
    'overlap',
    'overlaps',
    'pixel_order',
    'pointing',
    'pointing_game',
    'signed',
    'thresholds',
    'tune_threshold',
]
