"""How far apart members are by their maps: 1 minus the mean rank correlation of their maps of the same pairs.

The maps are never all there: slab by slab every member's pixels are ranked on its device, and what is kept is the sum
of the correlations of every two members, [P,P].
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.alignment.pixel_order import midranks
from imbalance_jax.explain.maps import Scorer, Signed
from imbalance_jax.training.placement import Placement


def standard_ranks(maps: jax.Array) -> jax.Array:
    """Ranks of the pixels of maps [n,H,W], with mean 0 and length 1 per map, [n,H W]; 0 for a map without order."""
    ranks = midranks(jnp.where(jnp.isfinite(maps).all((1, 2), keepdims=True), maps, 0)).reshape(len(maps), -1)
    ranks = ranks - ranks.mean(1, keepdims=True)
    length = jnp.sqrt((ranks**2).sum(1, keepdims=True))
    return jnp.where(length > 0, ranks / jnp.where(length > 0, length, 1), 0)


class RankCorrelation:
    """Sums of Spearman correlations of the members' maps, slab by slab.

    An object, because slabs come one by one and a method's maps do not fit together. It is the signed maps that are
    ranked.
    """

    def __init__(self, place: Placement, *, memory_mib: float) -> None:
        self.members, self._place = place.num_members, place
        self._ranks = Scorer(lambda maps: {'ranks': standard_ranks(maps)}, place, memory_mib=memory_mib)
        self.reset()

    def reset(self) -> None:
        """Forgets what was added: for the next method."""
        self._sums = np.zeros((self.members, self.members))
        self._numbers = np.zeros((self.members, self.members))

    def add(self, maps: Signed, new: int) -> None:
        """Adds the first `new` of a slab's maps [P',n,H,W]."""
        counted = np.arange(maps.signed.shape[1]) < new
        sums, numbers = self._place.fetch(_correlations(self._ranks(maps.signed)['ranks'], counted))
        self._sums += sums[:, : self.members].astype(np.float64)
        self._numbers += numbers[:, : self.members].astype(np.float64)

    def distance(self) -> np.ndarray:
        """1 minus the mean correlation over the pairs of which both maps have an order, [P,P]; NaN without any."""
        return 1 - self._sums / np.where(self._numbers > 0, self._numbers, np.nan)


@jax.jit
def _correlations(ranks: jax.Array, counted: jax.Array) -> tuple[Any, Any]:
    """Sum over the counted [n] of the correlations of ranks [P,n,X], and how many of them are defined, [P,P] each."""
    has_order = ((ranks != 0).any(-1) & counted).astype(jnp.float32)
    counted_ranks = jnp.where(counted[:, None], ranks, 0)
    sums = jnp.einsum('pnx,qnx->pq', counted_ranks, ranks, precision='highest')
    return sums, has_order @ has_order.T
