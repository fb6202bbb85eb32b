"""Programs that run all members again, changed: without units, and from a mean to an image."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution import layers
from imbalance_jax.concepts import ablation, contributions
from imbalance_jax.data.arrays import full_batches, in_batches
from imbalance_jax.explain.concept_directions import GRADIENTS
from imbalance_jax.explain.probe import Probe, make_auroc
from imbalance_jax.models.odds import LINK, against_others
from imbalance_jax.system import processes
from imbalance_jax.training.placement import first_member

TINY = 1e-12
BATCH = 64  # images whose logits are computed together

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
    variables = first_member(probe.variables)
    images = probe.normalise(probe.dataset.images[probe.rows[:2]])
    _, out = probe.model.apply(variables, images)
    means = out[probe.main].mean((1, 2))
    same = means.shape == out['pooled'].shape and bool(jnp.allclose(means, out['pooled'], rtol=1e-3, atol=1e-5))
    return bool(processes.agree(same))


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
            some, truth = of_rows(rows), (labels[rows], mask[rows] * counted[:, None], weights[rows])

            def without_one(kept):
                left = some.without(kept)
                return lambda unit: auroc(left(unit), *truth)

            def class_without(kept, k):
                left, of_class = some.without(kept), [a[:, k, None] for a in truth]
                return lambda unit: auroc(left(unit)[:, k, None], *of_class)[0]

            first = ablation.single_by(without_one, U, group=some.group)  # one pass for the first step of all classes
            return ablation.greedy_by(class_without, U, K, steps=steps, group=some.group, first=first)['order']

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
