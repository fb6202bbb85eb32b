"""Focal loss, with one weight for positives or with class-balanced weights."""

import numpy as np

from imbalance_jax.losses import counts
from imbalance_jax.losses.entrywise import coefficients
from imbalance_jax.losses.loss import Loss, from_coefficients, require


def focal(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
    scale: float = 10.0,
) -> Loss:
    """Focal loss: scale (-alpha y (1 - p)^gamma log p - (1 - alpha) (1 - y) p^gamma log(1 - p)).

    alpha multiplies positives: the study's 0.25 weighs them *down*, three to one, in data where they are rare. With
    gamma 0 and alpha 0.5 it is scale / 2 times `bce`. Training counts are not used.

    Source: Lin et al. 2017, "Focal loss for dense object detection" (arXiv 1708.02002), equation 5.
    """
    return _focal(num_positive.size, gamma, alpha, scale)


def class_balanced_focal(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    beta: float = 0.9999,
    gamma: float = 2.0,
    scale: float = 50.0,
) -> Loss:
    """Focal loss whose alpha_c [K] comes from effective numbers of examples, class against rest.

    alpha_c = w+ / (w+ + w-) with w = (1 - beta) / (1 - beta^N) of the class's positives and negatives. beta 0 gives
    alpha 0.5; towards 1 it becomes N- / (N+ + N-). It is uniform for counts far above 1 / (1 - beta): beta below 0.99
    does nothing for thousands of examples. A class without positives or without negatives has alpha 0.5.

    Source: Cui et al. 2019, "Class-balanced loss based on effective number of samples" (arXiv 1901.05555), in the
    one-against-rest form of the study's code, where the two weights of a class sum to 1 (the paper normalises over
    classes). That code computes in float32, so `beta` is rounded to float32: it moves alpha by up to 4e-5.
    """
    return _focal(num_positive.size, gamma, class_balance(num_positive, num_negative, beta), scale)


def class_balance(num_positive: np.ndarray, num_negative: np.ndarray, beta: float) -> np.ndarray:
    """alpha_c [K] of `class_balanced_focal`, the share of the weight that positives have."""
    beta = float(np.float32(beta))
    require(0 <= beta < 1, 'beta', beta, 'in [0, 1), in float32')
    effective = counts.ratio(counts.effective_number(num_negative, beta), counts.effective_number(num_positive, beta))
    return effective / (1 + effective)


def _focal(num_classes: int, gamma: float, alpha: float | np.ndarray, scale: float) -> Loss:
    require(gamma >= 0, 'gamma', gamma, 'at least 0')
    require(np.all((alpha >= 0) & (alpha <= 1)), 'alpha', alpha, 'in [0, 1]')
    require(scale > 0, 'scale', scale, 'positive')
    weights = {'positive_weight': scale * alpha, 'negative_weight': scale * (1 - alpha)}
    return from_coefficients(coefficients(num_classes, **weights, gamma_pos=gamma, gamma_neg=gamma))
