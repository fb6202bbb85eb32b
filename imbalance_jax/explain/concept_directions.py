"""Programs of concept directions: linear probes, TCAV, and the gradients that it needs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.concepts import directions
from imbalance_jax.data.arrays import in_batches
from imbalance_jax.explain.probe import Probe, Targets, make_auroc

GRADIENTS = 16  # images whose gradients are computed together

Arrays = dict[str, np.ndarray]


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
