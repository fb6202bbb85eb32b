"""Programs that run all members again, changed: without units, along concept directions, from a mean to an image."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution import layers
from imbalance_jax.concepts import ablation, contributions, directions
from imbalance_jax.data.arrays import full_batches, in_batches
from imbalance_jax.explain.probe import Probe, Targets
from imbalance_jax.metrics.on_device import ranking, weighted_auroc
from imbalance_jax.models.odds import LINK, against_others

TINY = 1e-12
GRADIENTS, BATCH = 16, 64  # images whose gradients, or logits, are computed together

Arrays = dict[str, np.ndarray]


class Scores(NamedTuple):
    """Logits [n,K] of some images without units: `of(kept [U])`, and `without(kept)(unit)`, where one more is gone.
    `group`: units of which the latter is asked at a time."""

    of: Callable[[jax.Array], jax.Array]
    without: Callable[[jax.Array], Callable[[jax.Array], jax.Array]]
    group: int


def head(variables: dict[str, Any], pooled: jax.Array) -> jax.Array:
    """Logits [..., K] of the models' last step from the layer 'pooled' [..., U]: linear, or cosines, and where the loss
    has a softmax those of each class against all others."""
    kernel = variables['params']['head']['kernel']
    return _from_sums(variables, pooled @ kernel, jnp.linalg.norm(pooled + TINY, axis=-1, keepdims=True))


def _from_sums(variables: dict[str, Any], products: jax.Array, norm: jax.Array) -> jax.Array:
    """`head` of the products [..., K] of pooled and kernel, and the norm [..., 1] of pooled."""
    kernel, bias = (variables['params']['head'][name] for name in ('kernel', 'bias'))
    link, logits = variables.get('link', {}), products + bias
    if 'cosine' in link:
        norms = norm * jnp.linalg.norm(kernel + TINY, axis=0)
        logits = jnp.where(link['cosine'] > 0, products / norms, logits)
    return jnp.where(link[LINK] > 0, against_others(logits), logits) if LINK in link else logits


def ends_in_head(probe: Probe) -> bool:
    """Whether the main layer is what the head averages, so that the head alone has to be run again."""
    variables = jax.tree.map(lambda a: np.asarray(a[0]), probe.variables)
    images = probe.normalise(probe.dataset.images[probe.rows[:2]])
    _, out = probe.model.apply(variables, images)
    means = out[probe.main].mean((1, 2))
    return means.shape == out['pooled'].shape and bool(jnp.allclose(means, out['pooled'], rtol=1e-3, atol=1e-5))


def make_auroc(probe: Probe) -> Callable:
    """`auroc(scores, labels, mask, weights) -> [K]`, all [N,K]: exact where every image counts the same, which masks
    do not change."""
    if np.ptp(probe.weights) == 0:
        return lambda scores, labels, mask, weights: ranking(scores, labels, mask)['auroc']
    return lambda scores, labels, mask, weights: weighted_auroc(scores, labels, mask * weights)


def ablate(probe: Probe, means: np.ndarray, *, steps: int, half: np.ndarray, orders: np.ndarray) -> Arrays:
    """AUROC of every class without single units of the main layer, and scores without greedy sets of them.

    What is taken away is a unit's whole map; its mean over the probe set stands in for it. means: [P,N,U], of the main
    layer's maps; half: [N] bool, by patient: sets are fitted to one half and scored on the other; orders: [R,U], in
    which units go at random. All units of all members are one program.

    Returns `intact` [P,K], `without` [P,U,K], `order` [P,2,K,T] (`ablation.greedy`, on the images of `half` and on the
    others), `scores` [P,K,1+T,N] of each image without the 0 .. T first units of the order that is fitted to the other
    half, and `random` [P,R,T,K], AUROC without as many units at random.
    """
    K, U = len(probe.dataset.classes), means.shape[-1]
    labels, mask = (np.asarray(a, np.float32) for a in (probe.labels, probe.label_mask))
    make = head_scores if ends_in_head(probe) else layer_scores
    scores_of, auroc = make(probe), make_auroc(probe)
    halves = [np.flatnonzero(half), np.flatnonzero(~half)]
    largest = max(map(len, halves))
    rows = np.stack([np.resize(one, largest) if len(one) else np.zeros(largest, int) for one in halves])
    counted = np.stack([np.arange(largest) < len(one) for one in halves]).astype(np.float32)

    def of_member(member, batches, labels, mask, weights, half, orders, rows, counted):
        of_rows = scores_of(*member, batches)
        every = of_rows(jnp.arange(len(labels)))

        def measure(kept):
            return auroc(every.of(kept), labels, mask, weights)

        def without(kept):
            left = every.without(kept)
            return lambda unit: auroc(left(unit), labels, mask, weights)

        def greedy(part):
            rows, counted = part
            some = of_rows(rows)

            def class_without(kept, k):
                left, of_class = some.without(kept), (labels[rows, k], mask[rows, k] * counted, weights[rows, k])

                def of_unit(unit):
                    return auroc(*(a[:, None] for a in (left(unit)[:, k], *of_class)))[0]

                return of_unit

            return ablation.greedy_by(class_without, U, K, steps=steps, group=some.group)['order']

        order = jax.lax.map(greedy, (rows, counted))
        kept = ablation.without_first(order, U)  # [2,K,T,U]
        of_class = jnp.broadcast_to(jnp.arange(K)[:, None], kept.shape[:3]).ravel()
        left = jax.lax.map(lambda one: every.of(one[0])[:, one[1]], (kept.reshape(-1, U), of_class))
        left = left.reshape(*kept.shape[:3], -1)
        intact = every.of(jnp.ones(U)).T[:, None]
        at_random = ablation.without_first(orders, U)[:, : left.shape[2]]
        by_chance = jax.lax.map(measure, at_random.reshape(-1, U)).reshape(*at_random.shape[:2], K)
        return {
            'intact': measure(jnp.ones(U)),
            'without': ablation.single_by(without, U, group=min(every.group, 64)),
            'order': order,
            'scores': jnp.concatenate([intact, jnp.where(half > 0, left[1], left[0])], axis=1),
            'random': by_chance,
        }

    index = full_batches(len(probe.rows), min(BATCH, len(probe.rows)))
    weights = np.broadcast_to(probe.weights[:, None], labels.shape).astype(np.float32)
    batches = probe.dataset.images[probe.rows[index]]
    shared = probe.place.shared((batches, labels, mask, weights, np.asarray(half, np.float32), orders, rows, counted))
    return probe.place.fetch(probe.place.map(of_member)((probe.variables, probe.place.members(means)), *shared))


def head_scores(probe: Probe) -> Callable:
    """`scores_of(variables, means [N,U], batches)(rows [n])`, the `Scores` where units go straight into the head.

    One more unit changes the products by an outer product of its values and its row of the kernel: nothing [N,U] is
    held for every unit.
    """
    share = (probe.weights / probe.weights.sum()).astype(np.float32)

    def scores_of(variables, means, batches):
        mean, kernel = share @ means, variables['params']['head']['kernel']

        def of_rows(rows):
            chosen = means[rows]

            def pooled(kept):
                return chosen * kept + mean * (1 - kept)

            def without(kept):
                values = pooled(kept)
                products, squares = values @ kernel, ((values + TINY) ** 2).sum(-1, keepdims=True)

                def of_unit(unit):
                    value = values[:, unit, None]
                    norm = jnp.sqrt(jnp.maximum(squares - (value + TINY) ** 2 + (mean[unit] + TINY) ** 2, 0))
                    return _from_sums(variables, products + (mean[unit] - value) * kernel[unit], norm)

                return of_unit

            return Scores(lambda kept: head(variables, pooled(kept)), without, group=256)

        return of_rows

    return scores_of


def layer_scores(probe: Probe) -> Callable:
    """The same where the rest of the network has to be run for every set of units: from the layer on, that is.

    All networks look at one image; what its activation lacks of another's is added there, and nothing before the layer
    is computed again.
    """
    share = (probe.weights / probe.weights.sum()).astype(np.float32)

    def scores_of(variables, means, batches):
        mean, fixed = share @ means, probe.normalise(batches[0, :1])

        def features(images):
            return layers.features(probe.model, variables, probe.normalise(images), probe.main)

        def rest(change):
            changed = {**variables, 'perturbations': {probe.main: change[None]}}
            return probe.model.apply(changed, fixed)[0][0]

        maps = jax.lax.map(features, batches)
        maps = maps.reshape(-1, *maps.shape[2:])[: len(means)]
        start = layers.features(probe.model, variables, fixed, probe.main)[0]

        def of_rows(rows):
            chosen = maps[rows]

            def logits(kept):
                changes = chosen + (mean - chosen) * (1 - kept) - start
                return jax.lax.map(rest, changes, batch_size=BATCH)

            return Scores(logits, ablation.measured(logits), group=1)

        return of_rows

    return scores_of


def linear_probes(
    probe: Probe, means: np.ndarray, targets: Targets, *, orders: np.ndarray, fold: np.ndarray, folds: int
) -> Arrays:
    """Linear probes of concepts in one layer's mean activations, and the same of labels of exchanged patients.

    means: [P,N,U]; targets: which concepts an image shows; orders: [R,N] exchanges of the images' labels, with which
    their weights go; fold: [N] in 0 .. folds - 1, by patient. Returns `scores` [P,N,S] of held-out images, their
    AUROC, `auroc` [P,S], and `control` [P,S,R].
    """
    auroc = make_auroc(probe)

    def of_member(x, present, known, orders, fold, weights):
        every, counts = (
            jnp.concatenate([one[..., None], _exchanged(one, orders)], -1).reshape(len(x), -1)
            for one in (present, known)
        )
        of_image = jnp.concatenate([weights[:, None], weights[orders].T], -1)
        scores = directions.held_out(x, every, fold, count=folds)
        counted = jnp.tile(of_image, (1, present.shape[1]))
        by_concept = auroc(scores, every, counts, counted).reshape(present.shape[1], -1)
        held_out = scores.reshape(len(x), present.shape[1], -1)[..., 0]
        return {'scores': held_out, 'auroc': by_concept[:, 0], 'control': by_concept[:, 1:]}

    weights = probe.weights.astype(np.float32)
    shared = probe.place.shared((targets.filled, targets.known.astype(np.float32), orders, fold, weights))
    return probe.place.fetch(probe.place.map(of_member)(probe.place.members(means), *shared))


def tcav(
    probe: Probe,
    means: np.ndarray,
    slopes: np.ndarray,
    *,
    targets: Targets,
    orders: np.ndarray,
    counted: np.ndarray,
) -> Arrays:
    """TCAV of every class along every concept's direction in one layer, and along directions of exchanged labels.

    means: [P,N,U] of all probe images, to which directions are fitted; slopes: [P,n,K,U] of n of them, of which those
    that are above 0 in counted [n,K], their weights, are of class k; targets, orders: as in `linear_probes`.
    Returns `sign` and `derivative` [P,K,S] (`directions.tcav`), and of the controls `control` [P,K,S,R], derivatives.
    """
    S, most = targets.present.shape[1], max(int((counted > 0).sum(0).max(initial=0)), 1)
    of_class = np.argsort(counted <= 0, axis=0, kind='stable')[:most].T  # [K,M]: each class's images first

    def of_member(member, present, orders, of_class, counted):
        x, slope = member
        slope = slope[of_class, jnp.arange(len(of_class))[:, None]]
        every = jnp.concatenate([present[..., None], _exchanged(present, orders)], -1).reshape(len(x), -1)
        result = directions.tcav(slope, directions.fit(x, every)[1], counted)
        varies = (present.min(0) < present.max(0))[None, :, None]  # else there is no direction
        sign, derivative = (
            jnp.where(varies, result[name].reshape(len(slope), S, -1), jnp.nan) for name in ('sign', 'derivative')
        )
        return {'sign': sign[..., 0], 'derivative': derivative[..., 0], 'control': derivative[..., 1:]}

    weight = np.take_along_axis(counted, of_class.T, axis=0).T.astype(np.float32)
    shared = probe.place.shared((targets.filled, orders, of_class, weight))
    return probe.place.fetch(probe.place.map(of_member)(probe.place.members((means, slopes)), *shared))


def _exchanged(present: jax.Array, orders: jax.Array) -> jax.Array:
    """The labels [N,S,R] after each exchange."""
    return jnp.moveaxis(present[orders], 0, -1)


def slopes(probe: Probe, layer: str, positions: np.ndarray) -> np.ndarray:
    """Gradients [P,n,K,U] of every class's logit in a layer, summed over positions, at some images of the probe set."""
    mapped = probe.place.map_examples(make_slopes(probe, layer))

    def of_batch(images):
        return probe.place.fetch(mapped(probe.variables, probe.place.shared(images)))

    return in_batches(of_batch, (probe.dataset.images[probe.rows[positions]],), GRADIENTS, axis=1)


def make_slopes(probe: Probe, layer: str) -> Callable:
    """Returns `slopes(variables, images [n,H,W,C]) -> [n,K,U]` of one member."""
    K, shape = len(probe.dataset.classes), probe.layers[layer]

    def of_member(variables, images):
        x = probe.normalise(images)

        def logits(perturbation):
            return probe.model.apply({**variables, 'perturbations': {layer: perturbation}}, x)[0].sum(0)

        # One forward pass, one backward pass per class: images do not mix, so sums over them can be differentiated.
        _, back = jax.vjp(logits, jnp.zeros((len(x), *shape)))
        return jnp.moveaxis(jax.vmap(lambda k: back(k)[0].sum((1, 2)))(jnp.eye(K)), 0, 1)

    return of_member


def logit_contributions(
    probe: Probe, means: np.ndarray, *, positions: np.ndarray, classes: np.ndarray, steps: int
) -> Arrays:
    """What every unit of the main layer adds to the logit of class `classes` [n] of some images, over the mean image.

    means: [P,U], the units' means over the probe set, from which the path starts. Returns `added` [P,n,U], `logit`
    [P,n] and `start` [P,n], the logit at the means; the sum of `added` over units is `logit - start`, to the error of
    `steps`.
    """

    def of_member(member, images, classes):
        variables, mean = member
        x = probe.normalise(images)
        maps = layers.features(probe.model, variables, x, probe.main)

        def score(activation):
            changed = {**variables, 'perturbations': {probe.main: activation - maps}}
            return layers.class_logits(probe.model.apply(changed, x)[0], classes)

        start = jnp.broadcast_to(mean, maps.shape)
        added = contributions.contributions(score, maps, start, steps=steps)
        return {'added': added, 'logit': score(maps), 'start': score(start)}

    mapped, members = probe.place.map_examples(of_member), (probe.variables, probe.place.members(means))

    def of_batch(images, classes):
        return probe.place.fetch(mapped(members, *probe.place.shared((images, classes))))

    return in_batches(of_batch, (probe.dataset.images[probe.rows[positions]], classes), GRADIENTS, axis=1)
