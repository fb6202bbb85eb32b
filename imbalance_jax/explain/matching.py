"""What members share: CKA of their layers, and units of one that match units of another."""

import itertools

import numpy as np

from imbalance_jax.concepts import similarity
from imbalance_jax.explain.probe import Probe, stream
from imbalance_jax.system import progress

LEAST = 8  # images in a batch: fewer make the unbiased estimate of a similarity very noisy
MATCHED_AT_ONCE = 2**13  # units whose correlations with each other are held


def likeness(probe: Probe) -> dict[str, np.ndarray]:
    """`cka` [L,P,L,P] of `layer_similarity`, and `partner` and `r` [P,P,U] of `match`."""
    return {'cka': layer_similarity(probe), **match(probe)}


def layer_similarity(probe: Probe) -> np.ndarray:
    """Debiased linear CKA [L,P,L,P] between all layers of all members, by mini-batches of at most 64 images."""
    P, layers = probe.place.num_members, list(probe.layers)
    L = len(layers)

    def grams(variables, images):
        _, out = probe.model.apply(variables, probe.normalise(images))
        return [similarity.gram(out[layer]) for layer in layers]

    mapped, terms = probe.place.map(grams), np.zeros((L * P, L * P))
    blocks = [block for block in probe.blocks() if len(block) >= LEAST]
    with progress.show('explain: similarity', len(blocks)) as update:
        for number, block in enumerate(blocks):
            batch = probe.place.shared(probe.dataset.images[probe.rows[block]])
            terms += similarity.hsic(np.concatenate(probe.place.fetch(mapped(probe.variables, batch))))
            update(number + 1)
    return (similarity.cka(terms) if blocks else np.full(terms.shape, np.nan)).reshape(L, P, L, P)


def match(probe: Probe) -> dict[str, np.ndarray]:
    """Units of the main layer that are each other's nearest in all pairs of members.

    `partner` [P,P,U] int16: the unit of the second member that matches a unit of the first, -1 for none; `r` [P,P,U]
    float16, its correlation, NaN for none.
    """
    P, U = probe.place.num_members, probe.layers[probe.main][-1]
    partner = np.full((P, P, U), -1, np.int16)
    r = np.full((P, P, U), np.nan, np.float16)
    groups = np.array_split(np.arange(P), min(P, -(-P * U // MATCHED_AT_ONCE)))
    for one, other in itertools.combinations_with_replacement(groups, 2):
        correlation = correlations(probe, one, other)
        for (i, a), (j, b) in itertools.product(enumerate(one), enumerate(other)):
            pairs, values = similarity.mutual(correlation[i, :, j])
            partner[a, b, pairs[:, 0]], r[a, b, pairs[:, 0]] = pairs[:, 1], values
            partner[b, a, pairs[:, 1]], r[b, a, pairs[:, 1]] = pairs[:, 0], values
    return {'partner': partner, 'r': r}


def correlations(probe: Probe, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's r [A,U,B,U] over images and positions, of the units of members `one` [A] and `other` [B]."""
    U = probe.layers[probe.main][-1]
    moments: list[similarity.Moments] = []
    for _, activations in stream(probe, [probe.main], probe.cut([probe.main]), phase='matching units'):
        maps = np.moveaxis(activations[probe.main], 0, -2)
        sides = [maps[..., members, :].reshape(-1, len(members) * U) for members in (one, other)]
        part = similarity.Moments.of(*sides)
        moments = [moments[0].with_more(part) if moments else part]
    return moments[0].correlation().reshape(len(one), U, len(other), U)


def euclidean(profiles: np.ndarray) -> np.ndarray:
    """Distances [P,P] between the rows of profiles [P,n]."""
    return np.sqrt(((profiles[:, None] - profiles[None]) ** 2).sum(-1))
