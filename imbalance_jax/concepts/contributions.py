"""Which units made a logit what it is, and what these units detect."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.system.shapes import takes


def contributions(
    score: Callable[[jax.Array], jax.Array], activation: jax.Array, baseline: jax.Array, *, steps: int = 1
) -> jax.Array:
    """How much every unit adds to each image's score, [B, U]: the path integral from the baseline to the activation.

    score:      activation [B, ..., U] -> [B], the rest of the network and one logit
    activation: [B, ..., U], a layer's maps or their means; baseline: the same shape or one that broadcasts to it, such
                as the units' mean over the probe set
    steps:      midpoints of the straight path. Before a linear head one is exact: weight x (activation - baseline).

    A unit's positions are summed. The sum over units is score(activation) - score(baseline), to the error of the steps:
    integrated gradients at a layer (Sundararajan et al. 2017, arXiv 1703.01365; Dhamdhere et al. 2018).
    """
    change = activation - baseline
    slope = jax.grad(lambda x: score(x).sum())
    middles = (jnp.arange(steps) + 0.5) / steps
    total = jax.lax.fori_loop(0, steps, lambda i, sum_: sum_ + slope(baseline + middles[i] * change), 0 * change)
    added = change * total / steps
    return added.sum(tuple(range(1, added.ndim - 1)))


@takes(added='n U', best_concept='U', finding='n')
def by_concept(added: np.ndarray, best_concept: np.ndarray, finding: np.ndarray, *, concepts: int) -> np.ndarray:
    """What the detectors of each kind add to a logit, [B, 3]: of the image's finding, of another concept, of nothing.

    added: [B, U] contributions; best_concept: [U], -1 for a unit that detects nothing; finding: [B] concept numbers.
    """
    if np.max(best_concept, initial=-1) >= concepts:
        raise ValueError(f'best_concept holds {np.max(best_concept)}; valid are -1 to {concepts - 1}.')
    best = np.broadcast_to(best_concept, np.shape(added))
    of_finding = best == np.asarray(finding)[:, None]
    kinds = (of_finding, (best >= 0) & ~of_finding, best < 0)
    return np.stack([np.where(kind, added, 0).sum(1) for kind in kinds], axis=1)
