"""Binary cross-entropy weighted by the class counts of the batch, so no fixed coefficients exist.

The batch is what one call sees; devices that share a batch still see it whole (`data:d:shard:...`).
"""

import jax.numpy as jnp
import numpy as np

from imbalance_jax.losses import counts
from imbalance_jax.losses.entrywise import cross_entropy
from imbalance_jax.losses.loss import Loss, from_entries, require


def intra_class_weighted_bce(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 1.0) -> Loss:
    """Positive weight from the batch, one class at a time: scale (-w_c y log p - (1 - y) log(1 - p)).

    w_c = n-_c / n+_c over the counted entries of the batch. A class that is all positive or all negative in the batch
    has the smallest N-_c / N+_c of the training set (over classes that have both; 1 if none has).

    The published code calls that fall-back the *largest* ratio; it is the smallest. It is inert for an all-negative
    class, whose positive weight multiplies nothing. Where a class of the training set lacks positives or negatives the
    published ratio is infinite or 0; here that class is left out of the minimum. A rare class is mostly absent from a
    batch (hernia in 39 % of batches of 512), and weighs 511 when present once: the gradient's variance is large.

    Source: Khakzar et al. 2022 (arXiv 2204.01729) and its code, `IntraWeightedBCEWithLogits`.
    """
    require(scale > 0, 'scale', scale, 'positive')
    smallest = counts.ratio(num_negative, num_positive, neutral=np.inf).min()
    fallback = smallest if np.isfinite(smallest) else 1.0

    def entries(logits, labels, mask):
        positive, negative = (mask * labels).sum(0), (mask * (1 - labels)).sum(0)
        mixed = (positive > 0) & (negative > 0)
        weight = jnp.where(mixed, negative / jnp.where(mixed, positive, 1.0), fallback)
        return scale * cross_entropy(logits, labels, positive_weight=weight)

    return from_entries(entries, entrywise=False)


def w_cel(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 1.0) -> Loss:
    """One weight for all ones and one for all zeros of the batch: scale (-w+ y log p - w- (1 - y) log(1 - p)).

    w+ = (P + N) / P and w- = (P + N) / N with P and N the ones and zeros of the batch's whole label matrix (scalars,
    not per class), over counted entries; a weight whose count is 0 multiplies nothing and is set to 1. The paper sums
    over entries, here the mean is taken. Training counts are not used.

    Source: Wang et al. 2017, "ChestX-ray8" (arXiv 1705.02315), equation 1 (W-CEL).
    """
    require(scale > 0, 'scale', scale, 'positive')

    def entries(logits, labels, mask):
        positive, negative = (mask * labels).sum(), (mask * (1 - labels)).sum()
        total = positive + negative
        positive_weight = jnp.where(positive > 0, total / jnp.where(positive > 0, positive, 1.0), 1.0)
        negative_weight = jnp.where(negative > 0, total / jnp.where(negative > 0, negative, 1.0), 1.0)
        return scale * cross_entropy(logits, labels, positive_weight, negative_weight)

    return from_entries(entries, entrywise=False)
