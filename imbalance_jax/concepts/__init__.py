"""Concepts: what do single units of a layer respond to, and how much of it is there in an image?

Features are unit activations [N, h, w, U] of one layer, masks [N, H, W, S] annotated areas. Everything here counts
pixels of host arrays, in NumPy: active pixels are few, which favours look-ups and graphs over dense products.
"""

from imbalance_jax.concepts import counting, dissection
from imbalance_jax.concepts.counting import count, regions, upsample
from imbalance_jax.concepts.dissection import dissect, judge, tally, thresholds, top_images, unique_detectors

__all__ = [
    'count',
    'counting',
    'dissect',
    'dissection',
    'judge',
    'regions',
    'tally',
    'thresholds',
    'top_images',
    'unique_detectors',
    'upsample',
]
