"""Concepts as directions of a layer, where no single unit has to show them: linear probes and TCAV.

A probe is a ridge regression of a concept's presence on a layer's mean activations [N, U]: closed form, so that
hundreds of control concepts - the same labels on permuted images - cost as much as one. TCAV (Kim et al. 2018, arXiv
1711.11279) asks whether a class's score rises along such a direction, and needs the controls as much: directions fitted
to chance move scores too. Controls exchange labels between whole patients (`nulls.exchanges`).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from imbalance_jax.system.shapes import Anything, takes

LEAST = 3  # controls that have a spread without one of them
PENALTY = 1e-2  # of the ridge, in units of the standardised activations' variance
FEW = 10  # controls beyond what was observed, below which p comes from a fitted tail
TAIL = 250  # highest controls to which it is fitted, at most a quarter of them


@takes(patients=Anything('N'))
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


@takes(x='N+ U', targets='N T', weight='N')
def fit(
    x: jax.Array, targets: jax.Array, weight: jax.Array | None = None, *, penalty: float = PENALTY
) -> tuple[jax.Array, jax.Array]:
    """Ridge regression of targets [N, T] on activations [N, U], each standardised: mean [U], directions [U, T].

    The directions are in units of the activations, so that scores are (x - mean) @ directions. weight: [N], 0 leaves an
    image out. A unit that does not vary has no part in any direction. Of fewer images than units the equations between
    images are solved, which give the same directions in (N / U)^2 of the time (Saunders et al. 1998, "Ridge regression
    learning algorithm in dual variables").
    """
    weight = jnp.ones(len(x)) if weight is None else weight
    share = (weight / weight.sum())[:, None]
    mean = (share * x).sum(0)
    deviation = jnp.sqrt((share * (x - mean) ** 2).sum(0))
    varies = deviation > 1e-6 * jnp.maximum(jnp.abs(mean), 1e-12)
    scale = jnp.where(varies, 1 / jnp.where(varies, deviation, 1), 0)
    standard = (x - mean) * scale
    targets = targets - (share * targets).sum(0)
    product = partial(jnp.matmul, precision='highest')
    if len(x) < x.shape[1]:
        root = jnp.sqrt(share)
        between = product(root * standard, (root * standard).T) + penalty * jnp.eye(len(x))
        return mean, scale[:, None] * product((root * standard).T, _solved(between, root * targets))
    covariance = product((share * standard).T, standard) + penalty * jnp.eye(x.shape[1])
    return mean, scale[:, None] * _solved(covariance, product((share * standard).T, targets))


def _solved(matrix: jax.Array, right: jax.Array) -> jax.Array:
    return jax.scipy.linalg.solve(matrix, right, assume_a='pos')


@takes(x='N+ U', targets='N T', fold='N')
def held_out(x: jax.Array, targets: jax.Array, fold: jax.Array, *, count: int, penalty: float = PENALTY) -> jax.Array:
    """Scores [N, T] of every image by the probe that was fitted on the other folds. fold: [N] in 0 .. count - 1."""
    x, targets = jnp.asarray(x), jnp.asarray(targets)

    def one(number):
        mean, directions = fit(x, targets, (fold != number).astype(x.dtype), penalty=penalty)
        return jnp.where((fold == number)[:, None], (x - mean) @ directions, 0)

    return jax.lax.map(one, jnp.arange(count)).sum(0)


@takes(slopes='K M U', directions='U T', counted='K M')
def tcav(slopes: jax.Array, directions: jax.Array, counted: jax.Array) -> dict[str, jax.Array]:
    """Share of a class's images whose score rises along each direction, and by how much it rises on average.

    slopes: [K, M, U] gradients of every class's logit in its own images, summed over positions; directions: [U, T], of
    any length; counted: [K, M] the images' weights, 0 for what only fills up. Returns `sign` [K, T], and `derivative`
    [K, T], the mean slope along the direction at length 1; NaN for a class without images, and `sign` also where the
    slopes of a class are the same in all images, as before a linear head: it can be 0 or 1 only, whatever is asked.
    """
    length = jnp.linalg.norm(directions, axis=0)
    unit = directions / jnp.where(length > 0, length, jnp.nan)

    def one_class(pair):
        slope, count = pair
        share = count / count.sum()
        mean = share @ slope
        differs = (share[:, None] * (slope - mean) ** 2).sum() > 1e-8 * (mean**2).sum()
        sign = share @ (slope @ unit > 0)
        return jnp.where(differs & jnp.isfinite(length), sign, jnp.nan), mean @ unit

    sign, derivative = jax.lax.map(one_class, (slopes, counted))
    return {'sign': sign, 'derivative': derivative}


@takes(observed='...', controls='... R+')
def in_spreads(observed: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far from their mean, in standard deviations of the controls [..., R], what was observed lies, [...], and so
    for each control [..., R] among the others: what pairs differ by apart from their relation is gone. ValueError for
    fewer controls than three."""
    observed, controls = np.asarray(observed, np.float64), np.asarray(controls, np.float64)
    rounds = controls.shape[-1]
    if rounds < LEAST:
        raise ValueError(
            f'controls have {rounds} on their last axis; expected {LEAST} or more, for a spread of others.'
        )
    mean, variance = controls.mean(-1), controls.var(-1)
    others = (rounds * mean[..., None] - controls) / (rounds - 1)
    spread = (
        rounds / (rounds - 1) * variance[..., None] - rounds / (rounds - 1) ** 2 * (controls - mean[..., None]) ** 2
    )
    with np.errstate(divide='ignore', invalid='ignore'):
        among = (controls - others) / np.sqrt(np.maximum(spread, 0) * (rounds - 1) / (rounds - 2))
        return (observed - mean) / np.sqrt(variance * rounds / (rounds - 1)), among


@takes(observed='...', controls='... R+')
def pooled_p(observed: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Two-sided p [...] of what was observed among all controls together, both `in_spreads`; NaN stays NaN.

    (1 + #{|control| >= |observed|}) / (1 + number of controls) (Phipson and Smyth 2010); below `FEW` such controls,
    from a generalised Pareto tail of the highest ones (Knijnenburg et al. 2009), whose moments give its shape (Hosking
    and Wallis 1987). A shape below 0, which ends somewhere, is taken as 0: exponential, longer than that of a normal.
    """
    pool = np.sort(np.abs(controls[np.isfinite(controls)]))
    size, far = np.abs(observed), len(pool)
    if not far:
        return np.full(np.shape(observed), np.nan)
    beyond = far - np.searchsorted(pool, size - 1e-9)
    p = (1 + beyond) / (1 + far)
    number = min(TAIL, far // 4)
    start = pool[-number - 1]
    excess = pool[-number:] - start
    if number >= FEW and excess.mean() > 0:  # a tail of equal controls has no shape
        ratio = excess.mean() ** 2 / excess.var() if excess.var() > 0 else 1.0
        shape = max(0.5 * (1 - ratio), 0.0)
        scale = excess.mean() * (1 - shape)
        tail = number / far * scipy.stats.genpareto.sf(size - start, shape, scale=scale)
        p = np.where((beyond < FEW) & (size > start), tail, p)
    return np.where(np.isfinite(observed), p, np.nan)


@takes(observed='...', controls='... R+')
def one_sided(observed: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """p [...] that controls [..., R] are as high as what was observed [...], at least 1 / (1 + R); NaN stays NaN."""
    p = (1 + (~(controls < observed[..., None])).sum(-1)) / (1 + controls.shape[-1])
    return np.where(np.isfinite(observed), p, np.nan)
