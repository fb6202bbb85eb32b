"""The chest in every image that has anatomy masks: lungs and heart, and a margin around them."""

import numpy as np
import scipy

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import concept_masks

BLOCK = 64  # images at a time


def inside(dataset: Dataset, images: np.ndarray, margin: float) -> np.ndarray:
    """The union [n,H,W] bool of the anatomy in the images [n], rows of the data set, and what lies within `margin`
    image heights of it; nothing in an image that lacks any of `info['anatomy']`.

    Lungs and heart leave out the mediastinum's edges and the chest wall, where findings are seen, too: hence a margin.
    """
    size = dataset.images.shape[1:3]
    result, concepts = np.zeros((len(images), *size), bool), list(dataset.info.get('anatomy', ()))
    if not concepts:
        return result
    columns = [dataset.concepts.index(name) for name in concepts]
    unique, which = np.unique(images, return_inverse=True)
    for start in range(0, len(unique), BLOCK):
        part = unique[start : start + BLOCK]
        shown = concept_masks(dataset, part, 'exact')[..., columns]
        for number, one in enumerate(shown, start):
            if one.any((0, 1)).all():
                result[which == number] = _widened(one.any(-1), margin * size[0])
    return result


def _widened(region: np.ndarray, pixels: float) -> np.ndarray:
    """The pixels [H,W] at most so many pixels from the region."""
    return scipy.ndimage.distance_transform_edt(~region) <= pixels
