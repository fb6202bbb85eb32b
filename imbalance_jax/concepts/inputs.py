"""What concept analysis is given, checked in one place: unit activations and annotated areas, one line a fault."""

from typing import Any

import numpy as np

INSIDE = (1, 255)  # what a number in a mask means by a pixel of the concept; 0 is outside


def numbers(values: Any, name: str, wanted: str) -> np.ndarray:
    """`values` as an array, memory maps as they are; ValueError for what holds no numbers."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{name} must be numbers {wanted}, not {type(values).__name__}.') from error
    if array.dtype.kind not in 'biuf' and array.dtype.name not in ('bfloat16', 'float8_e4m3fn'):
        raise ValueError(f'{name} must be numbers {wanted}, not {type(values).__name__}.')
    return array


def as_features(features: Any) -> np.ndarray:
    """Unit activations [N, h, w, U]; ValueError for another number of axes."""
    features = numbers(features, 'features', '[N, h, w, U]')
    if features.ndim != 4:
        hint = '; pooled activations [N, U] go into unit_auroc' if features.ndim == 2 else ''
        raise ValueError(f'features must be [N, h, w, U], got {features.ndim} dimensions{hint}.')
    return features


def as_masks(masks: Any, images: int) -> np.ndarray:
    """Annotated areas [N, H, W, S] of N images: of True and False, of 0 and 1, or of 0 and 255.

    Raises ValueError for another shape and for any other value: a label map has to say itself which concept is meant.
    """
    masks = numbers(masks, 'masks', '[N, H, W, S]')
    if masks.ndim != 4 or len(masks) != images:
        hint = ': give masks[..., None] for one concept' if masks.ndim == 3 and len(masks) == images else ''
        raise ValueError(f'masks must be [N, H, W, S] with N = {images}, got shape {masks.shape}{hint}.')
    if masks.shape[2] == masks.shape[3] != masks.shape[1]:
        raise ValueError(f'masks are {masks.shape}, concepts first: give numpy.moveaxis(masks, 1, -1), [N, H, W, S].')
    if masks.dtype != bool:
        wrong = masks[~np.isin(masks, (0, *INSIDE))]
        if wrong.size:
            raise ValueError(f'masks hold {wrong[0]}; valid are 0 and 1, or bool: give masks > 0.5, say.')
    return masks


def as_pair(features: Any, masks: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both of the same images; ValueError also for maps of square images whose units stand first."""
    features = as_features(features)
    masks = as_masks(masks, len(features))
    _, first, second, last = features.shape
    if masks.shape[1] == masks.shape[2] and second == last != first:
        raise ValueError(f'features are {features.shape}, units first: give numpy.moveaxis(features, 1, -1).')
    return features, masks
