"""One function of a logit and a label, whose special cases are most losses for imbalance.

With y in {0, 1}, sigmoid s, and per class the numbers of `Coefficients`,

    z+ = positive_scale (z + positive_shift)        z- = negative_scale (z + negative_shift)
    p  = s(z+)                                      q  = max(s(z-) - margin, 0)
    loss = y positive_weight (1 - p)^gamma_pos (-log max(p, floor))
         + (1 - y) negative_weight q^gamma_neg (-log max(1 - q, floor))

The numbers are data: `jax.vmap(kernel, (0, None, None))` computes a grid of losses in one program, without a branch.
Logarithms are taken of logits, never of rounded probabilities, so value, gradient and
second derivatives are finite for any finite logit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid
from jax.typing import ArrayLike

from imbalance_jax.system.shapes import on_device

SMALL = 1e-15  # a probability whose square is still a number of 32 bits


class Coefficients(NamedTuple):
    """The numbers of one loss, each [K] float32 from `coefficients`; anything that broadcasts with [B, K] is right."""

    positive_weight: ArrayLike = 1.0
    negative_weight: ArrayLike = 1.0
    gamma_pos: ArrayLike = 0.0
    gamma_neg: ArrayLike = 0.0
    margin: ArrayLike = 0.0  # probability that a negative may have at no loss
    floor: ArrayLike = 0.0  # smallest probability inside a logarithm; below it the logarithm is constant
    positive_shift: ArrayLike = 0.0
    negative_shift: ArrayLike = 0.0
    positive_scale: ArrayLike = 1.0
    negative_scale: ArrayLike = 1.0


def coefficients(num_classes: int, **values: ArrayLike) -> Coefficients:
    """`Coefficients(**values)` with every field a float32 array [K], so that those of different losses stack."""
    fields = Coefficients(**values)
    return Coefficients(*(np.array(np.broadcast_to(field, num_classes), np.float32) for field in fields))


def kernel(
    coefficients: Coefficients, logits: ArrayLike, labels: ArrayLike, label_mask: ArrayLike | None = None
) -> jax.Array:
    """Mean over counted entries of the loss above; logits, labels and label_mask are [B, K]."""
    z, y, mask = counted(logits, labels, label_mask)
    return counted_mean(entries(coefficients, z, y), mask)


@jax.jit  # one compilation serves all losses of this form, as the coefficients are arguments
def entries(coefficients: Coefficients, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss above of every entry, [B, K], before the mean."""
    c = coefficients
    positive = positive_entries(c.positive_scale * (logits + c.positive_shift), c.gamma_pos, c.floor)
    negative = negative_entries(c.negative_scale * (logits + c.negative_shift), c.gamma_neg, c.margin, c.floor)
    return labels * c.positive_weight * positive + (1 - labels) * c.negative_weight * negative


def positive_entries(logits: ArrayLike, gamma: ArrayLike = 0.0, floor: ArrayLike = 0.0) -> jax.Array:
    """(1 - p)^gamma (-log max(p, floor)) with p = sigmoid(logit)."""
    z = jnp.asarray(logits)
    return -jnp.maximum(log_sigmoid(z), jnp.log(floor)) * jnp.exp(gamma * log_sigmoid(-z))


def negative_entries(
    logits: ArrayLike, gamma: ArrayLike = 0.0, margin: ArrayLike = 0.0, floor: ArrayLike = 0.0
) -> jax.Array:
    """q^gamma (-log max(1 - q, floor)) with q = max(sigmoid(logit) - margin, 0)."""
    z = jnp.asarray(logits)
    probability = jax.nn.sigmoid(z)
    # Where q is 0 the loss is 0, and log q must not be reached even by the gradient. `tiny`, as the reciprocal of a
    # denormal number overflows.
    active = probability > jnp.maximum(margin, jnp.finfo(probability.dtype).tiny)
    # The second derivative of log q has 1 / q^2, which overflows long before q is 0; log_sigmoid has none.
    small = (probability < SMALL) & (jnp.asarray(margin) <= 0)
    log_q = jnp.where(small, log_sigmoid(z), jnp.log(jnp.where(active & ~small, probability - margin, 1.0)))
    log_rest = jnp.logaddexp(log_sigmoid(-z), jnp.log(margin))
    return jnp.where(active, -jnp.maximum(log_rest, jnp.log(floor)) * jnp.exp(gamma * log_q), 0.0)


def cross_entropy(
    logits: jax.Array, labels: jax.Array, positive_weight: ArrayLike = 1.0, negative_weight: ArrayLike = 1.0
) -> jax.Array:
    """Weighted binary cross-entropy of every entry, [B, K]."""
    positive, negative = -log_sigmoid(logits), -log_sigmoid(-logits)
    return labels * positive_weight * positive + (1 - labels) * negative_weight * negative


def counted(
    logits: ArrayLike, labels: ArrayLike, label_mask: ArrayLike | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Logits, labels and mask, all [B, K], in float32 or wider; a label that does not count becomes 0.

    A masked label may hold anything (-1, NaN): it must reach neither value nor gradient.
    """
    logits, labels = on_device(logits, 'logits', '[B, K]'), on_device(labels, 'labels', '[B, K]')
    mask = jnp.ones(logits.shape) if label_mask is None else on_device(label_mask, 'label_mask', '[B, K]')
    if logits.ndim != 2 or not logits.shape == labels.shape == mask.shape:
        shapes = f'{logits.shape}, {labels.shape} and {mask.shape}'
        raise ValueError(f'Logits, labels and label_mask have shapes {shapes}; all must be [B, K].')
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    labels = jnp.where(mask > 0, labels.astype(dtype), 0.0)
    return logits.astype(dtype), labels, mask.astype(dtype)


def counted_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of `values` [B, K] weighted by `mask` [B, K]; 0 where nothing counts."""
    total = mask.sum()
    return (mask * values).sum() / jnp.where(total > 0, total, 1.0)
