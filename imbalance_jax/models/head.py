"""The last layer of a network by itself, on features that the rest has computed once."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from imbalance_jax.models.layers import head_on

BACKBONE = 'backbone'  # of the collection 'link': which of G networks a member's features are of


class Head(nn.Module):
    """Logits [B,K] of features [B,U], or [B,G,U] of G networks, of which the member's own are read.

    Its only parameters are those of the layer 'head', as in a whole network.
    """

    num_classes: int

    @nn.compact
    def __call__(self, features: jax.Array, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        if features.ndim == 3:
            features = jnp.take(features, self.get_variable('link', BACKBONE), axis=1)
        return head_on(self, features, {})
