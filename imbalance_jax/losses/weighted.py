"""Binary cross-entropy, and its weightings by the class counts of the training set."""

import numpy as np

from imbalance_jax.losses import counts
from imbalance_jax.losses.entrywise import coefficients
from imbalance_jax.losses.loss import Loss, from_coefficients, require


def bce(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 1.0) -> Loss:
    """Binary cross-entropy, mean over entries: scale (-y log p - (1 - y) log(1 - p)), p = sigmoid(logit)."""
    require(scale > 0, 'scale', scale, 'positive')
    return from_coefficients(coefficients(num_positive.size, positive_weight=scale, negative_weight=scale))


def weighted_bce(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    power: float = 1.0,
    cap: float | None = None,
    scale: float = 1.0,
) -> Loss:
    """Positive weight from the whole training set: scale (-w_c y log p - (1 - y) log(1 - p)).

    w_c = min((N-_c / N+_c)^power, cap); power 1 is the full ratio, 0.5 its square root, 0 is `bce`. On the training
    split of ChestMNIST the full ratio runs from 4.6 (infiltration) to 544 (hernia). A class without positives or
    without negatives has w_c = 1. The optimal logit moves by log w_c: probabilities are no longer calibrated.

    Source: the `pos_weight` convention; King and Zeng, "Logistic regression in rare events data", 2001.
    """
    require(power >= 0, 'power', power, 'at least 0')
    require(cap is None or cap > 0, 'cap', cap, 'positive, or None')
    require(scale > 0, 'scale', scale, 'positive')
    weight = np.minimum(counts.ratio(num_negative, num_positive) ** power, np.inf if cap is None else cap)
    return from_coefficients(coefficients(weight.size, positive_weight=scale * weight, negative_weight=scale))


def inter_class_weighted_bce(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 15.0) -> Loss:
    """One weight per class, for positives and negatives alike, as published: scale w_c BCE.

    w_c = sqrt(N+_c / (max_c N+_c + sum_c N+_c)), divided by its sum over classes.

    The published weight **grows** with the class, the opposite of balancing: "No Finding" weighs 16 times as much as
    hernia. It is kept as the study ran it; `inverse_class_weighted_bce` is the balancing one. A class without
    positives has weight 0 by the formula; with no positives at all the weights are equal.

    Source: Khakzar et al. 2022 (arXiv 2204.01729) and its code, `InterWeightedBCEWithLogits`.
    """
    require(scale > 0, 'scale', scale, 'positive')
    # max + sum is common to all classes and drops out in the normalisation.
    root = np.sqrt(num_positive) if num_positive.any() else np.ones_like(num_positive)
    return _class_weighted(root, scale)


def inverse_class_weighted_bce(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 15.0) -> Loss:
    """What balancing means: scale w_c BCE with the inverse of the published inter-class weight.

    w_c = 1 / sqrt(N+_c), divided by its sum over classes, so rare classes weigh more. A class without positives has
    the mean weight 1 / K.

    Source: the inverse of `inter_class_weighted_bce`.
    """
    require(scale > 0, 'scale', scale, 'positive')
    seen = num_positive > 0
    inverse = 1 / np.sqrt(np.where(seen, num_positive, 1.0))
    mean = inverse[seen].mean() if seen.any() else 1.0
    return _class_weighted(np.where(seen, inverse, mean), scale)


def _class_weighted(weight: np.ndarray, scale: float) -> Loss:
    """Cross-entropy times one weight per class [K], made to sum to `scale`."""
    weight = scale * weight / weight.sum()
    return from_coefficients(coefficients(weight.size, positive_weight=weight, negative_weight=weight))
