"""Losses that focus on positives and negatives differently and forgive negatives up to a margin."""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.losses.entrywise import coefficients, negative_entries, positive_entries
from imbalance_jax.losses.loss import Loss, from_coefficients, from_entries, require

FLOOR = 1e-8  # the published lower bound of a probability inside a logarithm


def asymmetric(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    gamma_pos: float = 1.0,
    gamma_neg: float = 4.0,
    margin: float = 0.05,
    floor: float = FLOOR,
    scale: float = 1.0,
) -> Loss:
    """Asymmetric loss: scale (-y (1 - p)^gamma_pos log p - (1 - y) q^gamma_neg log(1 - q)), q = max(p - margin, 0).

    Mean over entries, as in the study; the paper sums. The focusing factors are differentiated, as in the study (one of
    the paper's two implementations holds them constant, which gives other gradients). With both gammas, the margin and
    the floor 0 it is `bce`. Training counts are not used.

    Published trap, kept: the probability inside a logarithm is at least `floor`, so a positive that the network puts
    below 1e-8 (logit under -18.4) has no gradient. `floor` 0 removes the trap.

    Source: Ridnik et al. 2021, "Asymmetric loss for multi-label classification" (arXiv 2009.14119).
    """
    _check(gamma_pos, gamma_neg, margin, floor, scale)
    return from_coefficients(
        coefficients(
            num_positive.size,
            positive_weight=scale,
            negative_weight=scale,
            gamma_pos=gamma_pos,
            gamma_neg=gamma_neg,
            margin=margin,
            floor=floor,
        )
    )


def ral(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 4.0,
    margin: float = 0.05,
    linear: float = 1.0,
    quadratic: float = -2.5,
    hill: float = 1.5,
    floor: float = FLOOR,
    scale: float = 1.0,
) -> Loss:
    """Robust asymmetric loss: polynomial terms for positives, a hill-shaped factor for negatives.

        positive: -(1 - p)^gamma_pos (log p + linear (1 - p) + quadratic / 2 (1 - p)^2)
        negative: -q^gamma_neg log(1 - q) (hill - p) p^2 (hill - (1 - q)),   q = max(p - margin, 0)

    times `scale`, mean over entries where the published code sums. `floor` bounds p and 1 - q inside the logarithms,
    as in `asymmetric`. With linear = quadratic = 0 the positive part is that of `asymmetric`. Training counts are not
    used. `hill` is at least 1, as a smaller one makes the loss negative.

    Source: Park et al. 2023, "Robust asymmetric loss for multi-label long-tailed learning" (arXiv 2308.05542), and its
    code, `Ralloss`.
    """
    _check(gamma_pos, gamma_neg, margin, floor, scale)
    require(hill >= 1, 'hill', hill, 'at least 1')

    def entries(logits, labels, mask):
        p, rest = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
        polynomial = linear * rest + quadratic / 2 * rest**2
        focus = jnp.exp(gamma_pos * jax.nn.log_sigmoid(-logits))
        positive = positive_entries(logits, gamma_pos, floor) - focus * polynomial
        slope = (hill - p) * p**2 * (hill - jnp.minimum(rest + margin, 1.0))
        negative = negative_entries(logits, gamma_neg, margin, floor) * slope
        return scale * (labels * positive + (1 - labels) * negative)

    return from_entries(entries, entrywise=True)


def _check(gamma_pos: float, gamma_neg: float, margin: float, floor: float, scale: float) -> None:
    require(gamma_pos >= 0, 'gamma_pos', gamma_pos, 'at least 0')
    require(gamma_neg >= 0, 'gamma_neg', gamma_neg, 'at least 0')
    require(0 <= margin < 1, 'margin', margin, 'in [0, 1)')
    require(0 <= floor < 1, 'floor', floor, 'in [0, 1)')
    require(scale > 0, 'scale', scale, 'positive')
