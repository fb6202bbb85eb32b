"""How alike are units of two layers, beyond what layers without privileged axes would show?

The excess of Gurnee et al. 2024 (arXiv 2401.12181): mean_u max_v r(u, v) - mean_u max_v r(u, vQ), with a random
orthogonal Q. The rotated layer spans the same space; what it lacks are the axes. Correlations after a rotation follow
from covariances, so that no activation is needed again.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from imbalance_jax.concepts.similarity import mutual
from imbalance_jax.system.shapes import takes

WORK = 2**11  # units times rotations: small layers get several, of which the mean is taken
MOST = 8  # rotations


class Likeness(NamedTuple):
    """Mean over the first layer's units of the highest r with a unit of the second, and the share of its units that
    are each other's nearest with one."""

    nearest: float
    mutual: float


@takes(r='U V')
def likeness(r: np.ndarray) -> Likeness:
    """Of correlations [U,V], NaN for a unit that does not vary; `nearest` is over units that have any, NaN for none."""
    usable = np.isfinite(r).any(1)
    highest = np.where(np.isfinite(r), r, -np.inf).max(1, initial=-np.inf)[usable]
    return Likeness(float(highest.mean()) if highest.size else np.nan, len(mutual(r)[0]) / max(len(r), 1))


@takes(covariance='U V', first='U U', second='V V')
def rotated(covariance: np.ndarray, first: np.ndarray, second: np.ndarray) -> Likeness:
    """The same after random rotations of the second layer among its units that vary.

    covariance: [U,V] of both layers' units; first [U,U] and second [V,V]: of each layer's own.
    """
    spread, varies = np.diag(first), np.diag(second) > 0
    number = int(varies.sum())
    covariance, second = covariance[:, varies], second[np.ix_(varies, varies)]
    results = []
    for turn in rotations(number) if number else ():
        turned = covariance @ turn
        variance = np.einsum('uv,uv->v', second @ turn, turn)
        scale = np.sqrt(np.outer(spread, np.maximum(variance, 0)))
        results.append(likeness(np.divide(turned, scale, out=np.full(turned.shape, np.nan), where=scale > 0)))
    return Likeness(*np.mean(results, axis=0).tolist()) if results else Likeness(np.nan, 0.0)


@cache
def rotations(units: int) -> tuple[np.ndarray, ...]:
    """Random orthogonal matrices [U,U] float32, always the same, from the uniform distribution (Mezzadri 2007)."""
    random, result = np.random.default_rng(0), []
    for _ in range(min(MOST, max(1, WORK // units))):
        q, r = np.linalg.qr(random.normal(size=(units, units)))
        result.append((q * np.sign(np.diag(r))).astype(np.float32))
    return tuple(result)
