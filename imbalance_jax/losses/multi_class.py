"""Losses with a softmax, for images that show exactly one class: cases of the kernel in `softmax`.

N_c is the number of training images of class c, N that of all, and pi_c = N_c / N. A class without training images has
the weight 1 and no margin, and a logarithm is taken of it as if it had one image. `scale` multiplies the loss.
"""

import numpy as np

from imbalance_jax.losses import counts
from imbalance_jax.losses.loss import Loss, deferred, from_coefficients, require
from imbalance_jax.losses.softmax import SoftmaxCoefficients, coefficients


def cross_entropy(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 1.0) -> Loss:
    """Cross-entropy of the softmax, mean over images: -scale log p_y, p = softmax(logits)."""
    require(scale > 0, 'scale', scale, 'positive')
    return from_coefficients(coefficients(num_positive.size, weight=scale))


def weighted_cross_entropy(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    power: float = 1.0,
    cap: float | None = None,
    scale: float = 1.0,
) -> Loss:
    """Inverse class frequency: -scale w_y log p_y, w_c = min((N / (K N_c))^power, cap).

    power 1 are the weights that scikit-learn calls 'balanced', whose mean over training images is 1; 0.5 is their
    square root, 0 is `cross_entropy`. K counts the classes that have training images. The network learns
    p(c) w_c / sum_j p(j) w_j: its probabilities are no longer calibrated.

    Source: King and Zeng, "Logistic regression in rare events data", 2001.
    """
    require(power >= 0, 'power', power, 'at least 0')
    require(cap is None or cap > 0, 'cap', cap, 'positive, or None')
    require(scale > 0, 'scale', scale, 'positive')
    seen = max(int((num_positive > 0).sum()), 1)
    balanced = counts.ratio(np.full_like(num_positive, num_positive.sum() / seen), num_positive)
    weight = np.minimum(balanced**power, np.inf if cap is None else cap)
    return from_coefficients(coefficients(weight.size, weight=scale * weight))


def class_balanced_cross_entropy(
    num_positive: np.ndarray, num_negative: np.ndarray, *, beta: float = 0.9999, scale: float = 1.0
) -> Loss:
    """Weights from effective numbers of images: -scale w_y log p_y, w_c = (1 - beta) / (1 - beta^N_c), of mean 1.

    The mean is over classes that have training images (the paper's weights sum to K). beta 0 is `cross_entropy`;
    towards 1 it becomes the inverse frequency.

    Source: Cui et al. 2019, "Class-balanced loss based on effective number of samples" (arXiv 1901.05555), equation 10.
    """
    require(scale > 0, 'scale', scale, 'positive')
    return from_coefficients(coefficients(num_positive.size, weight=scale * effective_weights(num_positive, beta)))


def softmax_focal(
    num_positive: np.ndarray, num_negative: np.ndarray, *, gamma: float = 2.0, scale: float = 1.0
) -> Loss:
    """Focal loss of the softmax: -scale (1 - p_y)^gamma log p_y; gamma 0 is `cross_entropy`.

    Source: Lin et al. 2017, "Focal loss for dense object detection" (arXiv 1708.02002), equation 4, with p_t the
    probability of the image's class.
    """
    return _focal(np.ones(num_positive.size), gamma, scale)


def class_balanced_softmax_focal(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    beta: float = 0.9999,
    gamma: float = 2.0,
    scale: float = 1.0,
) -> Loss:
    """`softmax_focal` with the weights of `class_balanced_cross_entropy`.

    Source: Cui et al. 2019 (arXiv 1901.05555), its class-balanced focal loss; theirs sums sigmoids over the classes.
    """
    return _focal(effective_weights(num_positive, beta), gamma, scale)


def softmax_ldam(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    margin: float = 0.5,
    logit_scale: float = 30.0,
    scale: float = 1.0,
) -> Loss:
    """Label-distribution-aware margin: cross-entropy of logit_scale (z - D_y [k = y]), times scale.

    D_c = margin (min_c N_c / N_c)^(1/4): the rarest class has the largest margin, `margin`. The published logits are
    cosines, an arm's `head = 'cosine'`; on raw logits use `logit_scale` 1.

    Source: Cao et al. 2019, "Learning imbalanced datasets with label-distribution-aware margin loss" (arXiv
    1906.07413), equations 12 and 13, and its code.
    """
    return from_coefficients(_ldam(num_positive, margin, logit_scale, scale))


def softmax_ldam_deferred(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    margin: float = 0.5,
    logit_scale: float = 30.0,
    beta: float = 0.9999,
    deferred_from: float = 0.8,
    scale: float = 1.0,
) -> Loss:
    """LDAM-DRW: `softmax_ldam` until the fraction `deferred_from` of training, from then on with the weights of
    `class_balanced_cross_entropy`.

    Source: Cao et al. 2019 (arXiv 1906.07413), algorithm 1: re-weighting after 160 of 200 epochs.
    """
    plain = _ldam(num_positive, margin, logit_scale, scale)
    late = plain._replace(weight=np.float32(scale * effective_weights(num_positive, beta)))
    return deferred(from_coefficients(plain), from_coefficients(late), deferred_from)


def softmax_logit_adjusted(
    num_positive: np.ndarray, num_negative: np.ndarray, *, tau: float = 1.0, scale: float = 1.0
) -> Loss:
    """Logit-adjusted cross-entropy: -scale log softmax(z + tau log pi)_y.

    With tau 1 the class of the largest z is the best answer for the balanced error, and z + log pi are the calibrated
    logits. tau 0 is `cross_entropy`.

    Source: Menon et al. 2021, "Long-tail learning via logit adjustment" (arXiv 2007.07314), equation 10.
    """
    require(tau >= 0, 'tau', tau, 'at least 0')
    return _shifted(tau * np.log(np.maximum(num_positive, 1) / max(num_positive.sum(), 1)), scale)


def balanced_softmax(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 1.0) -> Loss:
    """Cross-entropy of the balanced softmax, p_c = N_c exp z_c / sum_j N_j exp z_j: `softmax_logit_adjusted`, tau 1.

    Source: Ren et al. 2020, "Balanced meta-softmax for long-tailed visual recognition" (arXiv 2007.10740), equation 3.
    """
    return _shifted(np.log(np.maximum(num_positive, 1)), scale)


def effective_weights(num_positive: np.ndarray, beta: float) -> np.ndarray:
    """(1 - beta) / (1 - beta^N_c) [K] over its mean over the classes with training images; 1 for the others."""
    require(0 <= beta < 1, 'beta', beta, 'in [0, 1)')
    seen = num_positive > 0
    if not seen.any():
        return np.ones_like(num_positive)
    inverse = 1 / np.where(seen, counts.effective_number(num_positive, beta), 1.0)
    return np.where(seen, inverse / inverse[seen].mean(), 1.0)


def _focal(weight: np.ndarray, gamma: float, scale: float) -> Loss:
    require(gamma >= 0, 'gamma', gamma, 'at least 0')
    require(scale > 0, 'scale', scale, 'positive')
    return from_coefficients(coefficients(weight.size, weight=scale * weight, gamma=gamma))


def _ldam(num_positive: np.ndarray, margin: float, logit_scale: float, scale: float) -> SoftmaxCoefficients:
    require(margin >= 0, 'margin', margin, 'at least 0')
    require(logit_scale > 0, 'logit_scale', logit_scale, 'positive')
    require(scale > 0, 'scale', scale, 'positive')
    margins = counts.rare_margins(num_positive, margin)
    return coefficients(margins.size, weight=scale, margin=margins, scale=logit_scale)


def _shifted(shift: np.ndarray, scale: float) -> Loss:
    require(scale > 0, 'scale', scale, 'positive')
    return from_coefficients(coefficients(shift.size, weight=scale, shift=shift))
