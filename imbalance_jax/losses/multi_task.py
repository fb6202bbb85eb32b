"""Each class is a task whose weight is learned, through a log-variance [K] that is trained with the network."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jax.typing import ArrayLike

from imbalance_jax.losses.entrywise import counted, counted_mean, cross_entropy
from imbalance_jax.losses.loss import Loss, require


def multi_task(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 1.0) -> Loss:
    """As published: scale (mean over entries of exp(-s_c) BCE + 1/2 sum over classes of s_c), s = log-variance.

    params = {'log_variance': [K]}, at first zeros, where the loss is `bce`. Only classes with a counted entry in the
    batch are in the sum. Training counts are not used.

    Published inconsistency, kept: BCE is averaged over the K classes and s is summed. At the optimum exp(-s_c) is
    K / (2 L_c) with L_c the mean BCE of class c: what is minimised is the sum of log L_c, which is unbounded below,
    and rare classes, whose L_c is low, have the largest weights. The published optimiser also decays s by its weight
    decay, and its checkpoints lack s. `multi_task_consistent` takes the mean of both.

    Source: Kendall et al. 2018, "Multi-task learning using uncertainty to weigh losses" (arXiv 1705.07115), its
    classification likelihood, and the study's code, `MultiTaskLoss`.
    """
    require(scale > 0, 'scale', scale, 'positive')

    def apply(params, logits, labels, label_mask, moment):
        logits, labels, mask = counted(logits, labels, label_mask)
        s = params['log_variance']
        fit = counted_mean(jnp.exp(-s) * cross_entropy(logits, labels), mask)
        return scale * (fit + jnp.where((mask > 0).any(axis=0), s, 0.0).sum() / 2)

    return Loss(apply, init=_init(num_positive.size), entries=Partial(_entries))


def multi_task_consistent(num_positive: np.ndarray, num_negative: np.ndarray, *, scale: float = 1.0) -> Loss:
    """Fit and penalty under the same mean: scale, mean over entries of exp(-s_c) BCE + s_c / 2, s = log-variance.

    params = {'log_variance': [K]}, at first zeros, where the loss is `bce`. At the optimum exp(-s_c) = 1 / (2 L_c), as
    for a single task, whatever K is. The weights still follow 1 / L_c. Training counts are not used.

    Source: Kendall et al. 2018 (arXiv 1705.07115), exp(-s) L + s / 2 for each class.
    """
    require(scale > 0, 'scale', scale, 'positive')

    def apply(params, logits, labels, label_mask, moment):
        logits, labels, mask = counted(logits, labels, label_mask)
        s = params['log_variance']
        return scale * counted_mean(jnp.exp(-s) * cross_entropy(logits, labels) + s / 2, mask)

    return Loss(apply, init=_init(num_positive.size), entries=Partial(_entries))


def _entries(logits: jax.Array, labels: jax.Array, fraction: ArrayLike) -> jax.Array:
    """Cross-entropy: exp(-s) weighs positives and negatives of a class alike."""
    return cross_entropy(logits, labels)


def _init(num_classes: int) -> Callable[[], dict]:
    return lambda: {'log_variance': jnp.zeros(num_classes)}
