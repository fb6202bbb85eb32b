"""Losses that shift the logit by an amount taken from the class counts."""

import numpy as np

from imbalance_jax.losses import counts
from imbalance_jax.losses.entrywise import coefficients
from imbalance_jax.losses.focal import class_balance
from imbalance_jax.losses.loss import Loss, deferred, from_coefficients, require


def ldam(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    margin: float = 0.5,
    logit_scale: float = 30.0,
    scale: float = 1.0,
) -> Loss:
    """Label-distribution-aware margin, multi-label form: scale BCE(logit_scale (z - y D_c)).

    D_c = margin (min_c N+_c / N+_c)^(1/4): the rarest class has the largest margin, `margin`. A class without
    positives has margin 0 and is left out of the minimum.

    The published loss is a softmax over classes, on logits that are cosines of **normalised** features and weights.
    Normalising belongs to the model (an arm's `head = 'cosine'`): on raw logits a scale of 30 saturates; use
    `logit_scale` 1 there.

    Source: Cao et al. 2019, "Learning imbalanced datasets with label-distribution-aware margin loss" (arXiv
    1906.07413), margins proportional to N+^(-1/4); the multi-label form is a port.
    """
    require(margin >= 0, 'margin', margin, 'at least 0')
    require(logit_scale > 0, 'logit_scale', logit_scale, 'positive')
    require(scale > 0, 'scale', scale, 'positive')
    margins = counts.rare_margins(num_positive, margin)
    return from_coefficients(
        coefficients(
            margins.size,
            positive_weight=scale,
            negative_weight=scale,
            positive_shift=-margins,
            positive_scale=logit_scale,
            negative_scale=logit_scale,
        )
    )


def ldam_deferred(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    margin: float = 0.5,
    logit_scale: float = 30.0,
    beta: float = 0.9999,
    deferred_from: float = 0.8,
    scale: float = 1.0,
) -> Loss:
    """`ldam` until the fraction `deferred_from` of training, from then on re-weighted.

    Positives weigh 2 alpha_c and negatives 2 (1 - alpha_c), whose mean is 1, with the alpha_c of
    `class_balanced_focal`: effective numbers of examples with `beta`, class against rest.

    Source: Cao et al. 2019 (arXiv 1906.07413), deferred re-weighting after 160 of 200 epochs; the weights are the
    multi-label form of theirs.
    """
    plain = ldam(num_positive, num_negative, margin=margin, logit_scale=logit_scale, scale=scale)
    alpha = class_balance(num_positive, num_negative, beta)
    weights = {'positive_weight': 2 * scale * alpha, 'negative_weight': 2 * scale * (1 - alpha)}
    assert plain.coefficients is not None  # it is a case of the shared kernel
    late = plain.coefficients._replace(**{name: np.float32(value) for name, value in weights.items()})
    return deferred(plain, from_coefficients(late), deferred_from)


def logit_adjusted(num_positive: np.ndarray, num_negative: np.ndarray, *, tau: float = 1.0, scale: float = 1.0) -> Loss:
    """Logit adjustment during training, multi-label form: scale BCE(z + tau logit(prevalence_c)).

    logit(prevalence_c) = log(N+_c / N-_c). The network then learns the evidence beyond the prior; the calibrated logit
    is z + tau logit(prevalence). With prevalence 0.5 or tau 0 it is `bce`. A class without positives or without
    negatives is not shifted.

    Source: Menon et al. 2021, "Long-tail learning via logit adjustment" (arXiv 2007.07314), its logit-adjusted
    cross-entropy; softmax and log-prior become sigmoid and log-odds prior.
    """
    require(tau >= 0, 'tau', tau, 'at least 0')
    require(scale > 0, 'scale', scale, 'positive')
    shift = tau * np.log(counts.ratio(num_positive, num_negative))
    return from_coefficients(
        coefficients(
            shift.size, positive_weight=scale, negative_weight=scale, positive_shift=shift, negative_shift=shift
        )
    )
