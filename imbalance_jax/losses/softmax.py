"""One function of the logits and the class of an image, whose special cases are most softmax losses for imbalance.

For images that show exactly one of K classes. With y the class of an image, and per class the numbers of
`SoftmaxCoefficients`,

    a_k = scale_k (z_k - margin_k [k = y]) + shift_k        p = softmax(a)
    loss = weight_y (1 - p_y)^gamma_y (-log p_y)

which is the loss of a positive (`entrywise.positive_entries`) at the logit of the class against the others,
a_y - log sum_{j != y} exp a_j: value and gradient are finite for any finite logit. The mean is over images, each of
which counts once whatever its weight: PyTorch's `weight` divides by the weights of the batch instead.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from imbalance_jax.losses.entrywise import counted, counted_mean, positive_entries


class SoftmaxCoefficients(NamedTuple):
    """The numbers of one loss, each [K] float32 from `coefficients`."""

    weight: ArrayLike = 1.0
    gamma: ArrayLike = 0.0
    margin: ArrayLike = 0.0  # taken off the logit of the image's own class
    shift: ArrayLike = 0.0  # added to the scaled logit of every image in training
    scale: ArrayLike = 1.0


def coefficients(num_classes: int, **values: ArrayLike) -> SoftmaxCoefficients:
    """`SoftmaxCoefficients(**values)` with every field a float32 array [K], so that those of different losses stack."""
    fields = SoftmaxCoefficients(**values)
    return SoftmaxCoefficients(*(np.array(np.broadcast_to(field, num_classes), np.float32) for field in fields))


def kernel(
    coefficients: SoftmaxCoefficients, logits: ArrayLike, labels: ArrayLike, label_mask: ArrayLike | None = None
) -> jax.Array:
    """Mean over images of the loss above; logits, labels and label_mask are [B, K], the labels one-hot.

    An image of which any label is masked, or that is of no class, counts nowhere.
    """
    z, y, mask = counted(logits, labels, label_mask)
    values, known = entries(coefficients, z, y), mask.min(-1) * y.sum(-1)
    return counted_mean(values[:, None], known[:, None])


@jax.jit  # one compilation serves all losses of this form, as the coefficients are arguments
def entries(coefficients: SoftmaxCoefficients, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss above of every image, [B], before the mean."""
    c = coefficients
    shifted = c.scale * (logits - c.margin * labels) + c.shift
    others = jax.nn.logsumexp(shifted, axis=-1, where=labels == 0)
    against = (shifted * labels).sum(-1) - others
    return jnp.sum(c.weight * labels, axis=-1) * positive_entries(against, (c.gamma * labels).sum(-1))
