"""Concepts as directions of a layer, where no single unit has to show them: linear probes and TCAV.

A probe is a ridge regression of a concept's presence on a layer's mean activations [N, U]: closed form, so that
hundreds of control concepts - the same labels on permuted images - cost as much as one. TCAV (Kim et al. 2018, arXiv
1711.11279) asks whether a class's score rises along such a direction, and needs the controls as much: directions fitted
to chance move scores too.
"""

import jax
import jax.numpy as jnp
import numpy as np

PENALTY = 1e-2  # of the ridge, in units of the standardised activations' variance


def permutations(images: int, rounds: int, key: jax.Array) -> np.ndarray:
    """Orders [R, N] in which the images' labels are exchanged for the controls."""
    chance = jax.random.uniform(key, (rounds, images))
    return np.argsort(np.asarray(chance), axis=1, kind='stable')


def folds(patients: np.ndarray, count: int, key: jax.Array) -> np.ndarray:
    """The fold [N] of every image, 0 .. count - 1, all images of a patient in one; folds of nearly equal patients.

    Raises ValueError for fewer patients than folds.
    """
    names, which = np.unique(patients, return_inverse=True)
    if not 2 <= count <= len(names):
        raise ValueError(f'folds must be 2 or more, and at most the {len(names)} patients, got {count}.')
    order = np.argsort(np.asarray(jax.random.uniform(key, (len(names),))), kind='stable')
    fold = np.empty(len(names), np.int32)
    fold[order] = np.arange(len(names)) % count
    return fold[which]


def fit(
    x: jax.Array, targets: jax.Array, weight: jax.Array | None = None, *, penalty: float = PENALTY
) -> tuple[jax.Array, jax.Array]:
    """Ridge regression of targets [N, T] on activations [N, U], each standardised: mean [U], directions [U, T].

    The directions are in units of the activations, so that scores are (x - mean) @ directions. weight: [N], 0 leaves an
    image out. A unit that does not vary has no part in any direction.
    """
    weight = jnp.ones(len(x)) if weight is None else weight
    share = (weight / weight.sum())[:, None]
    mean = (share * x).sum(0)
    deviation = jnp.sqrt((share * (x - mean) ** 2).sum(0))
    varies = deviation > 1e-6 * jnp.maximum(jnp.abs(mean), 1e-12)
    scale = jnp.where(varies, 1 / jnp.where(varies, deviation, 1), 0)
    standard = (x - mean) * scale
    targets = targets - (share * targets).sum(0)
    covariance = jnp.matmul((share * standard).T, standard, precision='highest')
    with_targets = jnp.matmul((share * standard).T, targets, precision='highest')
    solved = jax.scipy.linalg.solve(covariance + penalty * jnp.eye(x.shape[1]), with_targets, assume_a='pos')
    return mean, scale[:, None] * solved


def held_out(x: jax.Array, targets: jax.Array, fold: jax.Array, *, count: int, penalty: float = PENALTY) -> jax.Array:
    """Scores [N, T] of every image by the probe that was fitted on the other folds. fold: [N] in 0 .. count - 1."""

    def one(number):
        mean, directions = fit(x, targets, (fold != number).astype(x.dtype), penalty=penalty)
        return jnp.where((fold == number)[:, None], (x - mean) @ directions, 0)

    return jax.lax.map(one, jnp.arange(count)).sum(0)


def tcav(slopes: jax.Array, directions: jax.Array, counted: jax.Array) -> dict[str, jax.Array]:
    """Share of a class's images whose score rises along each direction, and the same by size of the slope.

    slopes: [K, M, U] gradients of every class's logit in its own images, summed over positions; directions: [U, T];
    counted: [K, M], 0 for what only fills up. Returns `sign` [K, T] and `magnitude` [K, T]: sum |d| 1[d > 0] over
    sum |d|; NaN for a class without images or without any slope.
    """

    def one_class(pair):
        slope, count = pair
        along = (slope @ directions) * count[:, None]
        total, rising = jnp.abs(along).sum(0), jnp.maximum(along, 0).sum(0)
        return (along > 0).sum(0) / count.sum(), jnp.where(total > 0, rising / total, jnp.nan)

    sign, magnitude = jax.lax.map(one_class, (slopes, counted))
    return {'sign': sign, 'magnitude': magnitude}


def two_sided(observed: np.ndarray, controls: np.ndarray, centre: float = 0.5) -> np.ndarray:
    """p [...] that controls [..., R] lie as far from the centre as what was observed [...]; NaN stays NaN.

    (1 + #{|control - centre| >= |observed - centre|}) / (1 + R), with a control that is NaN counted as far.
    """
    near = np.abs(controls - centre) < np.abs(observed - centre)[..., None] - 1e-9
    p = (1 + (~near).sum(-1)) / (1 + controls.shape[-1])
    return np.where(np.isfinite(observed), p, np.nan)


def one_sided(observed: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """p [...] that controls [..., R] are as high as what was observed [...]; NaN stays NaN."""
    p = (1 + (~(controls < observed[..., None])).sum(-1)) / (1 + controls.shape[-1])
    return np.where(np.isfinite(observed), p, np.nan)
