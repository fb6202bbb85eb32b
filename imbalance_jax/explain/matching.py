"""What members share: CKA and Procrustes of their layers, and units of one that match units of another.

Units match by chance too. Beside the real ones stand units of the second member after a random rotation of its layer,
which leaves the subspace and takes away the privileged axes (Gurnee et al. 2024, arXiv 2401.12181), and units that
look at other images, which leaves what all images have in common.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from imbalance_jax.concepts import rotation, similarity
from imbalance_jax.explain.probe import Probe, stream
from imbalance_jax.system import progress

LEAST = 8  # images in a batch: fewer make the unbiased estimate of a similarity very noisy
MATCHED_AT_ONCE = 2**13  # units whose correlations with each other are held
KEPT = 2**30  # bytes of activations that are held for all pairs of groups, and not computed for each anew


def likeness(probe: Probe) -> dict[str, np.ndarray]:
    """The arrays of `layer_similarity` and of `match`."""
    return {**layer_similarity(probe), **match(probe)}


def layer_similarity(probe: Probe) -> dict[str, np.ndarray]:
    """`cka` [L,P,L,P], debiased and linear, between all layers of all members, by mini-batches of at most 64 images;
    `procrustes` [L,P,P] of the spatial means of the same layer (`similarity.procrustes`)."""
    P, layers = probe.place.num_members, list(probe.layers)
    L = len(layers)
    mapped, terms = probe.place.map(make_grams(probe)), np.zeros((L * P, L * P))
    means: list[list[np.ndarray]] = [[] for _ in layers]
    blocks = [block for block in probe.blocks() if len(block) >= LEAST]
    with progress.show('explain: similarity', len(blocks)) as update:
        for number, block in enumerate(blocks):
            batch = probe.place.shared(probe.inputs(block))
            of_block, of_means = probe.place.fetch(mapped(probe.variables, batch))
            terms += similarity.hsic(np.concatenate(of_block))
            for seen, mean in zip(means, of_means, strict=True):
                seen.append(mean)
            update(number + 1)
    if not blocks:
        return {'cka': np.full((L, P, L, P), np.nan), 'procrustes': np.full((L, P, P), np.nan)}
    return {
        'cka': similarity.cka(terms).reshape(L, P, L, P),
        'procrustes': np.stack([similarity.procrustes_matrix(np.concatenate(seen, axis=1)) for seen in means]),
    }


def make_grams(probe: Probe) -> Callable:
    """Returns `grams(variables, images [n,H,W,C])` of one member: by layer `similarity.gram` [n,n] of
    the maps, and their means [n,U]."""
    layers = list(probe.layers)

    def grams(variables, images):
        _, out = probe.model.apply(variables, probe.normalise(images))
        return [similarity.gram(out[layer]) for layer in layers], [out[layer].mean((1, 2)) for layer in layers]

    return grams


def match(probe: Probe) -> dict[str, np.ndarray]:
    """Units of the main layer that are each other's nearest in all pairs of members.

    `partner` [P,P,U] int16: the unit of the second member that matches a unit of the first, -1 for none; `r` [P,P,U]
    float16, its correlation, NaN for none; `permuted_partner` [P,P,U]: where the second looks at other images.
    `nearest` and `mutual` [3,P,P]: mean over the first's units of the highest r with a unit of the second, and the
    share of its units that match; as they are, with the second's rotated, and on other images.
    """
    P, U = probe.place.num_members, probe.layers[probe.main][-1]
    result = {
        'partner': np.full((P, P, U), -1, np.int16),
        'r': np.full((P, P, U), np.nan, np.float16),
        'permuted_partner': np.full((P, P, U), -1, np.int16),
        'nearest': np.full((3, P, P), np.nan),
        'mutual': np.full((3, P, P), np.nan),
    }
    groups = np.array_split(np.arange(P), min(P, -(-P * U // MATCHED_AT_ONCE)))
    blocks_of = passes(probe, several=len(groups) > 1)
    within: dict[int, np.ndarray] = {}  # covariances of each member's units
    for one, other in [*((group, group) for group in groups), *itertools.combinations(groups, 2)]:
        own, permuted = moments(blocks_of(), one, other, U)
        blocks = {
            (int(a), int(b)): (slice(i * U, (i + 1) * U), slice(j * U, (j + 1) * U))
            for (i, a), (j, b) in itertools.product(enumerate(one), enumerate(other))
            if a <= b
        }
        within |= {a: own.of_units(*at).product / max(own.positions, 1) for (a, b), at in blocks.items() if a == b}
        for (a, b), at in blocks.items():
            _fill(result, a, b, own.of_units(*at), permuted.of_units(*at), within=within)
    return result


def _fill(
    result: dict[str, np.ndarray],
    a: int,
    b: int,
    own: similarity.Moments,
    permuted: similarity.Moments,
    *,
    within: dict[int, np.ndarray],
) -> None:
    """Writes what members a <= b share into `result`, both ways. within: covariances of each member's units."""
    r, at_other_images = own.correlation(), permuted.correlation()
    pairs, values = similarity.mutual(r)
    chance, _ = similarity.mutual(at_other_images)
    covariance = own.product / max(own.positions, 1)
    ways = ((a, b, slice(None), lambda x: x), (b, a, slice(None, None, -1), np.transpose))
    for first, second, way, turned in ways[: 1 if a == b else 2]:
        matched, by_chance = pairs[:, way], chance[:, way]
        result['partner'][first, second, matched[:, 0]] = matched[:, 1]
        result['r'][first, second, matched[:, 0]] = values
        result['permuted_partner'][first, second, by_chance[:, 0]] = by_chance[:, 1]
        rotated = rotation.rotated(turned(covariance), within[first], within[second])
        levels = (rotation.likeness(turned(r)), rotated, rotation.likeness(turned(at_other_images)))
        for name, figures in zip(('nearest', 'mutual'), zip(*levels, strict=True), strict=True):
            result[name][:, first, second] = figures


def passes(probe: Probe, *, several: bool) -> Callable[[], Iterable[np.ndarray]]:
    """Gives the activations of the main layer in blocks [n,h,w,P,U], images in an order drawn once.

    several: whether it is asked more than once; then they are held, if they are not more than `KEPT`.
    """
    order, shape = np.random.default_rng(0).permutation(len(probe.rows)), probe.layers[probe.main]

    def computed() -> Iterator[np.ndarray]:
        for _, activations in stream(probe, [probe.main], probe.cut([probe.main], order), phase='matching units'):
            yield np.moveaxis(activations[probe.main], 0, -2)

    if several and 4 * len(order) * math.prod(shape) * probe.place.num_members <= KEPT:
        held = list(computed())
        return lambda: held
    return computed


def moments(
    blocks: Iterable[np.ndarray], one: np.ndarray, other: np.ndarray, U: int
) -> tuple[similarity.Moments, similarity.Moments]:
    """Moments over images and positions of the units of members `one` [A] and `other` [B], as [A*U] and [B*U].

    blocks: of `passes`. The second are of `other` at another image than `one`: the one before.
    """
    totals: list[Any] = [None, None]
    before: np.ndarray | None = None
    for maps in blocks:
        a, b = (maps[..., members, :].reshape(len(maps), -1, len(members) * U) for members in (one, other))
        shifted = b[:-1] if before is None else np.concatenate([before, b[:-1]])
        for number, (x, y) in enumerate([(a, b), (a[len(a) - len(shifted) :], shifted)]):
            if len(x):
                part = similarity.Moments.of(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]))
                totals[number] = totals[number].with_more(part) if totals[number] else part
        before = b[-1:]
    nothing = similarity.Moments.none(len(one) * U, len(other) * U)
    return totals[0] or nothing, totals[1] or nothing
