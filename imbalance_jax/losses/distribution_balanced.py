"""Distribution-balanced loss: a weight for each image and class, and a tolerance for negatives."""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.losses import counts, entrywise
from imbalance_jax.losses.loss import Loss, from_entries, require


def distribution_balanced(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    alpha: float = 0.1,
    beta: float = 10.0,
    mu: float = 0.2,
    kappa: float = 0.05,
    negative_scale: float = 2.0,
    gamma: float = 2.0,
    scale: float = 2.0,
) -> Loss:
    """Re-balanced weight of an image-class pair times a negative-tolerant focal loss.

        r_c = (1 / N+_c) / sum over the image's positives j of 1 / N+_j
        w_c = alpha + sigmoid(beta (r_c - mu))
        loss = scale w_c (y (1 - p)^gamma (-log p) + (1 - y) q^gamma (-log(1 - q)) / negative_scale)
        p = sigmoid(z + b_c),  q = sigmoid(negative_scale (z + b_c)),  b_c = kappa log(N+_c / N-_c) / negative_scale

    Defaults are those of the published COCO runs; the class defaults of the published code differ (alpha 10, beta 0.2,
    mu 0.1, negative_scale 5, kappa 0.1). The published code adds b_c to the logits in place, and its focal branch
    ignores the reduction asked for; here logits are left alone and the mean is taken.

    r divides by zero for an image without a counted positive, more than half of a chest X-ray set; as in the published
    arithmetic it is infinite and every class has the largest weight, alpha + 1. A class without positives in training
    counts as having one, which puts its weight close to that largest; its b_c is 0, and so is that of a class without
    negatives.

    Source: Wu et al. 2020, "Distribution-balanced loss for multi-label classification in long-tailed datasets" (arXiv
    2007.09654), and its code.
    """
    require(alpha >= 0, 'alpha', alpha, 'at least 0')
    require(beta >= 0, 'beta', beta, 'at least 0')
    require(negative_scale > 0, 'negative_scale', negative_scale, 'positive')
    require(gamma >= 0, 'gamma', gamma, 'at least 0')
    require(scale > 0, 'scale', scale, 'positive')
    bias = kappa * np.log(counts.ratio(num_positive, num_negative)) / negative_scale
    fixed = entrywise.coefficients(
        bias.size,
        positive_weight=scale,
        negative_weight=scale / negative_scale,
        gamma_pos=gamma,
        gamma_neg=gamma,
        positive_shift=bias,
        negative_shift=bias,
        negative_scale=negative_scale,
    )
    inverse = np.float32(1 / np.maximum(num_positive, 1.0))

    def entries(logits, labels, mask):
        repeat = (mask * labels * inverse).sum(axis=1, keepdims=True)
        rebalanced = inverse / jnp.maximum(repeat, jnp.finfo(repeat.dtype).tiny)
        weight = alpha + jax.nn.sigmoid(beta * (rebalanced - mu))
        return weight * entrywise.entries(fixed, logits, labels)

    return from_entries(entries, entrywise=False)  # an image's other findings weigh positives and negatives apart
