"""Concepts that several units show together, in the manner of Net2Vec (Fong and Vedaldi 2018, arXiv 1801.03454).

A concept is where a weighted sum of binary unit maps, enlarged to the image, exceeds a level. Net2Vec fits the weights
by gradient descent; here they are Fisher's linear discriminant, whose sums are gathered while the images stream by. The
level is the one of best IoU on the images that the weights are fitted to, and the IoU is reported on others.
"""

import numpy as np

from imbalance_jax.concepts.counting import upsample
from imbalance_jax.system.shapes import takes

BINS = 256  # levels that are tried
PENALTY = 1e-3  # on the diagonal of the covariance, of binary maps with variance q (1 - q)


@takes(active='N h w U', masks='N H W S', weights='N')
def gather(active: np.ndarray, masks: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Sums of one part of the images, that add up leaf by leaf: of binary maps and of what they meet.

    active: [n, h, w, U] bool; masks: [n, H, W, S] bool, whose share within each cell of the map is its target; weights:
    [n] of the images, all 1 if None.
    """
    n, h, w, units = active.shape
    maps = active.reshape(-1, units).astype(np.float32)
    targets = shrink(masks, (h, w)).reshape(len(maps), -1)
    weight = np.repeat(np.ones(n) if weights is None else weights, h * w).astype(np.float32)
    weighted = maps * weight[:, None]
    return {
        'products': (weighted.T @ maps).astype(np.float64),
        'with_targets': (weighted.T @ targets).astype(np.float64),
        'units': weighted.sum(0, dtype=np.float64),
        'area': weight.astype(np.float64) @ targets,
        'positions': weight.sum(dtype=np.float64),
    }


def shrink(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The share [n, h, w, S] of every cell that is covered, cells being equal parts of the image."""
    for axis, new in zip((1, 2), size, strict=True):
        old = masks.shape[axis]
        edges = np.arange(new + 1) * old / new
        overlap = np.minimum(edges[1:, None], np.arange(1, old + 1)) - np.maximum(edges[:-1, None], np.arange(old))
        mean = (np.maximum(overlap, 0) * new / old).astype(np.float32)
        masks = np.moveaxis(np.moveaxis(np.asarray(masks, np.float32), axis, -1) @ mean.T, -1, axis)
    return masks


def discriminant(sums: dict[str, np.ndarray], penalty: float = PENALTY) -> np.ndarray:
    """Weights [U, S] of unit maps by Fisher's discriminant; 0 for a concept that is nowhere or everywhere."""
    share, mean = sums['area'] / sums['positions'], sums['units'] / sums['positions']
    covariance = sums['products'] / sums['positions'] - np.outer(mean, mean)
    apart = sums['with_targets'] / sums['positions'] - np.outer(mean, share)
    weights = np.linalg.solve(covariance + penalty * np.eye(len(mean)), apart)
    spread = share * (1 - share)
    return np.divide(weights, spread, out=np.zeros_like(weights), where=spread > 1e-12)


def levels(weights: np.ndarray) -> np.ndarray:
    """The ends [2, S] between which any sum of binary maps lies."""
    return np.stack([np.minimum(weights, 0).sum(0), np.maximum(weights, 0).sum(0)])


@takes(active='N h w U', masks='N H W S', weights='U S', of_image='N')
def histogram(
    active: np.ndarray, masks: np.ndarray, weights: np.ndarray, of_image: np.ndarray | None = None
) -> np.ndarray:
    """Pixels by score and by whether the concept is there: [S, BINS, 2], of one part of the images; parts add up.

    of_image: [n], how much the pixels of an image count, 1 if None.
    """
    n, height, width, concepts = masks.shape
    pixel = np.repeat(np.ones(n) if of_image is None else of_image, height * width)
    low, high = levels(weights)
    step = np.where(high > low, high - low, 1) / BINS
    scores = (active.reshape(-1, active.shape[-1]).astype(np.float32) @ weights).reshape(*active.shape[:3], concepts)
    counted = np.zeros((concepts, BINS, 2))
    for s in range(concepts):
        pixels = upsample(scores[..., s], (height, width))
        level = np.clip((pixels - low[s]) / step[s], 0, BINS - 1).astype(np.int64)
        cell = (2 * level + masks[..., s]).ravel()
        counted[s] = np.bincount(cell, pixel, minlength=2 * BINS).reshape(BINS, 2)
    return counted


@takes(counted='S L 2')
def overlap_by_level(counted: np.ndarray) -> np.ndarray:
    """IoU [S, BINS] of concept and of scores at or above each level, of a `histogram`; 0 where both are empty."""
    above = np.cumsum(counted[:, ::-1], axis=1)[:, ::-1]
    whole = counted[..., 1].sum(1)[:, None] + above[..., 0]
    return np.divide(above[..., 1], whole, out=np.zeros(whole.shape), where=whole > 0)


def held_out_iou(fitted: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU [S] on the others at the level of best IoU on the fitted images, of two `histogram`s; NaN without area."""
    best = overlap_by_level(fitted)[:, 1:].argmax(1) + 1  # level 0 would be everywhere
    iou = np.take_along_axis(overlap_by_level(others), best[:, None], 1)[:, 0]
    present = (fitted[..., 1].sum(1) > 0) & (others[..., 1].sum(1) > 0)
    return np.where(present, iou, np.nan)
