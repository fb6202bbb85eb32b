"""What decisions made of scores are worth: thresholds chosen on other images, sensitivity, specificity, net benefit.

NumPy float64 on the host. Scores are [..., N, K] with any leading axes, labels and mask [N, K]; an entry with mask 0
counts nowhere. Weights [R, N] say how often each image counts in each round of a bootstrap.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.metrics.inputs import require_fit
from imbalance_jax.system.shapes import takes


def threshold_of_sensitivity(scores: ArrayLike, labels: ArrayLike, mask: ArrayLike, sensitivity: float) -> np.ndarray:
    """The highest threshold [..., K] at which `score >= threshold` finds that share of the positives; NaN without any.

    With n positives it finds ceil(n sensitivity) of them, so that few positives leave it coarse.
    """
    require_fit(scores, labels=labels, mask=mask)
    if not 0 < sensitivity <= 1:
        raise ValueError(f'sensitivity is {sensitivity}; valid is a share above 0 and up to 1.')
    scores, positive = np.asarray(scores, np.float64), (np.asarray(labels) == 1) & (np.asarray(mask) > 0)
    thresholds = np.full((*scores.shape[:-2], scores.shape[-1]), np.nan)
    for k in np.flatnonzero(positive.any(0)):
        ordered = -np.sort(-scores[..., positive[:, k], k], axis=-1)
        wanted = int(np.ceil(sensitivity * ordered.shape[-1] - 1e-9))
        thresholds[..., k] = ordered[..., max(wanted, 1) - 1]
    return thresholds


@takes(scores='... N K', mask='N K', share='K')
def threshold_of_share(scores: ArrayLike, mask: ArrayLike, share: ArrayLike) -> np.ndarray:
    """The threshold [..., K] at which `score >= threshold` calls a share [K] of the counted images, and at least one.

    Members with equal shares make equally many decisions for a finding, so that their decisions can be compared.
    """
    scores, counted = np.asarray(scores, np.float64), np.asarray(mask) > 0
    thresholds = np.full((*scores.shape[:-2], scores.shape[-1]), np.nan)
    for k in np.flatnonzero(counted.any(0) & np.isfinite(share)):
        ordered = -np.sort(-scores[..., counted[:, k], k], axis=-1)
        number = int(np.clip(np.rint(np.asarray(share)[k] * ordered.shape[-1]), 1, ordered.shape[-1]))
        thresholds[..., k] = ordered[..., number - 1]
    return thresholds


@takes(scores='... N K', thresholds='... K')
def called(scores: ArrayLike, thresholds: ArrayLike) -> np.ndarray:
    """Decisions [..., N, K], 1.0 where the score reaches the threshold [..., K]; NaN without a score or a threshold."""
    scores, limits = np.asarray(scores, np.float64), np.asarray(thresholds, np.float64)[..., None, :]
    return np.where(np.isfinite(scores + limits), scores >= limits, np.nan)


class Rates(NamedTuple):
    """Shares [R, ..., K] of positives that were called and of negatives that were not; NaN without any."""

    sensitivity: np.ndarray
    specificity: np.ndarray


def rates(decisions: ArrayLike, labels: ArrayLike, mask: ArrayLike, weights: ArrayLike) -> Rates:
    """Sensitivity and specificity of decisions [..., N, K] in every round."""
    require_fit(decisions, labels=labels, mask=mask, weights=weights)
    decisions, counts = np.asarray(decisions, np.float64), np.asarray(mask, np.float64)
    positive = np.where(counts > 0, np.asarray(labels) == 1, False) * counts
    return Rates(share(decisions, positive, weights), share(1 - decisions, counts - positive, weights))


@takes(decisions='... N K', among='N K', weights='R N')
def share(decisions: np.ndarray, among: np.ndarray, weights: ArrayLike) -> np.ndarray:
    """Mean [R, ..., K] of decisions [..., N, K] over the images `among` [N, K] in every round; NaN where none is."""
    weights = np.asarray(weights, np.float64)
    total = weights @ among  # [R, K]
    hits = np.tensordot(weights, decisions * among, axes=(1, -2))
    with np.errstate(divide='ignore', invalid='ignore'):
        return hits / total.reshape(len(weights), *[1] * (decisions.ndim - 2), -1)


def net_benefit(
    probabilities: ArrayLike, labels: ArrayLike, mask: ArrayLike, weights: ArrayLike, *, threshold: float
) -> np.ndarray:
    """TP / n - FP / n * t / (1 - t), [R, ..., K], of calling what has a probability of at least t = `threshold`.

    In true positives per image: t says that a false call does t / (1 - t) of the harm of a missed finding (Vickers and
    Elkin 2006, "Decision curve analysis"). Calling nothing is worth 0; `probabilities` 1 is calling everything.
    """
    require_fit(probabilities, labels=labels, mask=mask, weights=weights)
    probabilities, counts = np.asarray(probabilities, np.float64), np.asarray(mask, np.float64)
    positive = np.where(counts > 0, np.asarray(labels) == 1, False) * counts
    worth = positive - (counts - positive) * threshold / (1 - threshold)
    decisions = np.where(np.isfinite(probabilities), probabilities >= threshold, np.nan)
    return share(decisions * worth, counts, weights)
