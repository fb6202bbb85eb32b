"""The logit of a class against all others, which is what a softmax leaves comparable between images.

A softmax is blind to a number that is added to all logits of an image, so a bare logit says nothing when images are
compared. The log-odds log p_k / (1 - p_k) = z_k - log sum_{j != k} exp z_j do: their sigmoid is the softmax's
probability, exactly. They take the place of logits for whoever predicts with a model or explains it.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

LINK = 'softmax'  # of the collection 'link': 1 where a member's loss has a softmax, 0 where it has sigmoids


def against_others(logits: jax.Array) -> jax.Array:
    """z_k - log sum_{j != k} exp z_j [..., K] of logits [..., K], exact for the largest as for the smallest."""
    top = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
    rest = jax.nn.logsumexp(logits, axis=-1, where=~top, keepdims=True)  # of all but the largest
    # For another class p is at most 1/2, and 1 - p loses nothing; where it is not used, p is set to a harmless value.
    log_p = jnp.where(top, -1.0, jax.nn.log_softmax(logits))
    return jnp.where(top, logits - rest, log_p - jnp.log1p(-jnp.exp(log_p)))


class AgainstOthers:
    """A model of which `apply` gives log-odds in place of logits, for a member whose link is the softmax.

    In training (`train=True`) it gives the logits themselves, which losses take; so it does without a link.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def init(self, *arguments: Any, **options: Any) -> Any:
        """The variables of the model."""
        return self.model.init(*arguments, **options)

    def apply(self, variables: Any, image: jax.Array, train: bool = False, **options: Any) -> Any:
        """What `model.apply` gives, with logits as said above."""
        result = self.model.apply(variables, image, train=train, **options)
        link = variables.get('link', {}).get(LINK)
        if train or link is None:
            return result
        logits, out = result
        return jnp.where(link > 0, against_others(logits), logits), out
