"""What concept analysis is given, checked in one place: unit activations and annotated areas, one line a fault."""

from typing import Any

import numpy as np

from imbalance_jax.system.shapes import numbers, require_region


def as_features(features: Any) -> np.ndarray:
    """Unit activations [N, h, w, U]; ValueError for another number of axes."""
    features = np.asarray(numbers(features, 'features', '[N, h, w, U]'))
    if features.ndim != 4:
        hint = '; pooled activations [N, U] go into unit_auroc' if features.ndim == 2 else ''
        raise ValueError(f'features must be [N, h, w, U], got {features.ndim} dimensions{hint}.')
    if not len(features):
        raise ValueError(f'features must be [N, h, w, U] of one image at least, not {features.shape}.')
    return features


def as_masks(masks: Any, images: int) -> np.ndarray:
    """Annotated areas [N, H, W, S] of N images: of True and False, of 0 and 1, or of 0 and 255.

    Raises ValueError for another shape and for any other value: a label map has to say itself which concept is meant.
    """
    masks = np.asarray(numbers(masks, 'masks', '[N, H, W, S]'))
    if masks.ndim != 4 or len(masks) != images:
        hint = ': give masks[..., None] for one concept' if masks.ndim == 3 and len(masks) == images else ''
        raise ValueError(f'masks must be [N, H, W, S] with N = {images}, got shape {masks.shape}{hint}.')
    if masks.shape[2] == masks.shape[3] != masks.shape[1]:
        raise ValueError(f'masks are {masks.shape}, concepts first: give numpy.moveaxis(masks, 1, -1), [N, H, W, S].')
    require_region(masks)
    return masks


def as_pair(features: Any, masks: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both of the same images; ValueError also for maps of square images whose units stand first."""
    features = as_features(features)
    masks = as_masks(masks, len(features))
    _, first, second, last = features.shape
    if masks.shape[1] == masks.shape[2] and second == last != first:
        raise ValueError(f'features are {features.shape}, units first: give numpy.moveaxis(features, 1, -1).')
    return features, masks
