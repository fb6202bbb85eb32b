"""Concepts: what do single units of a layer respond to, and how much of it is there in an image?

Features are unit activations [N, h, w, U] of one layer, masks [N, H, W, S] annotated areas. Pixels are counted on the
host, in NumPy: active pixels are few, which favours look-ups and graphs over dense products. What runs the network
again - ablation, directions, contributions - is in JAX, for one member, and sees it as a function of its units.
"""

from imbalance_jax.concepts import (
    ablation,
    areas,
    contributions,
    counting,
    directions,
    dissection,
    multi_unit,
    nulls,
    persistence,
    quantiles,
    representation,
    rotation,
    selectivity,
    similarity,
)
from imbalance_jax.concepts.areas import overlap_counts
from imbalance_jax.concepts.counting import count, regions, upsample
from imbalance_jax.concepts.dissection import (
    dissect,
    overlap_statistics,
    thresholds,
    top_images,
    unique_detectors,
)
from imbalance_jax.concepts.selectivity import unit_auroc, with_healthy
from imbalance_jax.concepts.similarity import linear_cka, match_units, procrustes

__all__ = [
    'ablation',
    'areas',
    'contributions',
    'count',
    'counting',
    'directions',
    'dissect',
    'dissection',
    'linear_cka',
    'match_units',
    'multi_unit',
    'nulls',
    'overlap_counts',
    'overlap_statistics',
    'persistence',
    'procrustes',
    'quantiles',
    'regions',
    'representation',
    'rotation',
    'selectivity',
    'similarity',
    'thresholds',
    'top_images',
    'unique_detectors',
    'unit_auroc',
    'upsample',
    'with_healthy',
]
