"""How alike are two layers: linear CKA, Procrustes, and units of one that match units of the other.

CKA compares the similarities between images that two layers see, ||Y'X||^2 / (||X'X|| ||Y'Y||) with centred columns
and Frobenius norms (Kornblith et al. 2019, arXiv 1905.00414). It is 1 for layers that differ by a rotation and a scale,
and biased upwards where units are many and images are few; `debiased` takes the unbiased estimator of each of the three
terms (Song et al. 2007), which for unrelated layers is 0 on average and may be below.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.concepts.counting import upsample
from imbalance_jax.system.shapes import takes

Array = np.ndarray | jax.Array


def linear_cka(x: Array, y: Array, debiased: bool = False) -> Any:
    """Linear CKA, a scalar, of activations [N, p] and [N, q] of the same N examples.

    NumPy arrays are computed with in float64; JAX arrays in their own precision, also under `jit`, `vmap` and `grad`.
    NaN where one of the two is the same for all examples. Raises ValueError for shapes that do not fit, or too few
    examples: at least 2, debiased 4.
    """
    traced = isinstance(x, jax.Array) or isinstance(y, jax.Array)
    xp: Any = jnp if traced else np
    dtype: Any = jnp.promote_types(jnp.result_type(x, y), jnp.float32) if traced else np.float64
    x, y = xp.asarray(x, dtype), xp.asarray(y, dtype)
    least = 4 if debiased else 2
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < least:
        raise ValueError(f'x and y must be [N, p] and [N, q] with N of at least {least}, got {x.shape} and {y.shape}.')
    x, y = (_centred(xp, values) for values in (x, y))
    terms = _debiased_term if debiased else _term
    with np.errstate(invalid='ignore', divide='ignore'):
        return terms(xp, x, y) / xp.sqrt(terms(xp, x, x) * terms(xp, y, y))


def _centred(xp: Any, values: Any) -> Any:
    """Columns less their means; a constant column is exactly 0, whatever its mean is rounded to."""
    return xp.where(values.max(axis=0) == values.min(axis=0), 0, values - values.mean(axis=0))


def _term(xp: Any, x: Any, y: Any) -> Any:
    options = {'precision': 'highest'} if xp is jnp else {}  # an accelerator would round the factors
    return (xp.matmul(x.T, y, **options) ** 2).sum()


def _debiased_term(xp: Any, x: Any, y: Any) -> Any:
    """The unbiased estimator of the same, times n (n - 3), from centred x [n, p] and y [n, q]."""
    n, rows_x, rows_y = len(x), (x**2).sum(axis=1), (y**2).sum(axis=1)
    return _term(xp, x, y) - n / (n - 2) * (rows_x * rows_y).sum() + rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))


@takes(x='N+ ...')
def gram(x: jax.Array) -> jax.Array:
    """The doubly centred similarities [n, n] of some examples' activations [n, ...], with zeros on the diagonal.

    Centred as the unbiased estimator asks (Szekely and Rizzo 2014): rows sum to 0 although the diagonal is out.
    The sum over a . b of two such matrices, over n (n - 3), is the unbiased HSIC of the two layers. n is at least 4.
    """
    n = len(x)
    x = x.reshape(n, -1)
    x = x - x.mean(axis=0)
    similarity = jnp.matmul(x, x.T, precision='highest') * (1 - jnp.eye(n))
    rows = similarity.sum(axis=1) / (n - 2)
    centred = similarity - rows[:, None] - rows[None] + similarity.sum() / ((n - 1) * (n - 2))
    return centred * (1 - jnp.eye(n))


@takes(grams='M+ N N')
def hsic(grams: np.ndarray) -> np.ndarray:
    """The unbiased HSIC [L, L] of all pairs of layers, from their `gram`s [L, n, n], in float64.

    Its mean over batches is that of the data set: for a mini-batch CKA the terms are added up and their ratio is taken
    last (Nguyen et al. 2021, arXiv 2010.15327), since the mean of batches' ratios is biased.
    """
    n = len(grams[0])
    flat = np.asarray(grams, np.float64).reshape(len(grams), -1)
    return flat @ flat.T / (n * (n - 3))


@takes(terms='M M')
def cka(terms: np.ndarray) -> np.ndarray:
    """Debiased CKA [L, L] from summed `hsic` terms; NaN where a layer's own term is not above 0."""
    norm = np.where(np.diag(terms) > 0, np.diag(terms), np.nan)
    return terms / np.sqrt(norm[:, None] * norm)


def procrustes(x: np.ndarray, y: np.ndarray) -> float:
    """Half the squared distance of activations [N, p] and [N, q] of the same N examples after the best rotation, 0..1.

    min_Q ||X - YQ||^2 / 2 of centred columns and Frobenius norm 1, which is 1 - ||Y'X||_nuclear (Schonemann 1966). NaN
    where one is the same for all examples. Where units are as many as examples it is small for any two layers.
    """
    if np.ndim(x) != 2 or np.ndim(y) != 2 or len(x) != len(y):
        raise ValueError(f'x and y must be [N, p] and [N, q], got {np.shape(x)} and {np.shape(y)}.')
    width = max(np.shape(x)[1], np.shape(y)[1])
    both = [np.pad(np.asarray(a, np.float64), ((0, 0), (0, width - np.shape(a)[1]))) for a in (x, y)]
    return float(procrustes_matrix(np.stack(both))[0, 1])


@takes(features='P N U+')
def procrustes_matrix(features: np.ndarray) -> np.ndarray:
    """`procrustes` [P, P] of all pairs of features [P, N, U]."""
    centred = [_centred(np, np.asarray(x, np.float64)) for x in features]
    reduced = [_in_examples(x) if x.shape[1] > len(x) else x for x in centred]
    result = np.full((len(reduced), len(reduced)), np.nan)
    with np.errstate(invalid='ignore', divide='ignore'):
        unit = [x / np.linalg.norm(x) for x in reduced]
    for i, x in enumerate(unit):
        for j, y in enumerate(unit[: i + 1]):
            if np.isfinite(x).all() and np.isfinite(y).all():
                result[i, j] = result[j, i] = 1 - np.linalg.svd(x.T @ y, compute_uv=False).sum()
    return result


def _in_examples(x: np.ndarray) -> np.ndarray:
    """x [n, p] rotated into n columns, which is enough for it."""
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    return left * values


def match_units(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Units of two layers that are each other's nearest, by Pearson's r over all images and positions.

    a: [N, h, w, U] and b: [N, h', w', V], of the same images; if their maps differ in size, both are enlarged
    bilinearly to the larger height and width. A unit that is constant over everything has no correlation and no
    partner. Among equal correlations the lower number is the nearest.

    Returns pairs [M, 2] int, ascending in the unit of `a`, and r [M] float64 of each pair, which may be low or even
    negative where nothing is alike. Raises ValueError for shapes that do not fit and values that are not finite.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 4 or b.ndim != 4 or len(a) != len(b):
        raise ValueError(f'a and b must be [N, h, w, U] and [N, h, w, V] of the same N, got {a.shape} and {b.shape}.')
    size = max(a.shape[1], b.shape[1]), max(a.shape[2], b.shape[2])
    moments: Moments | None = None
    for start in range(0, len(a), 64):
        part = Moments.of(*(_at_size(maps[start : start + 64], size) for maps in (a, b)))
        moments = part if moments is None else moments.with_more(part)
    return mutual(moments.correlation() if moments else np.full((a.shape[-1], b.shape[-1]), np.nan))


def _at_size(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    maps = np.asarray(maps, np.float64)
    if not np.isfinite(maps).all():
        raise ValueError(f'Activations hold {np.count_nonzero(~np.isfinite(maps))} values that are not finite.')
    if maps.shape[1:3] != size:
        maps = np.moveaxis(upsample(np.moveaxis(maps, -1, 1), size), 1, -1)
    return maps.reshape(-1, maps.shape[-1])


class Moments(NamedTuple):
    """Sums from which correlations [U, V] of units follow; parts add up, wherever they are cut.

    Means and centred sums of products (Chan et al. 1983), not sums of squares, which would cancel.
    """

    positions: int
    mean_a: np.ndarray
    mean_b: np.ndarray
    square_a: np.ndarray
    square_b: np.ndarray
    product: np.ndarray

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray) -> 'Moments':
        """Of activations [n, U] and [n, V]."""
        mean_a, mean_b = a.mean(0), b.mean(0)
        a, b = a - mean_a, b - mean_b
        return cls(len(a), mean_a, mean_b, (a**2).sum(0), (b**2).sum(0), a.T @ b)

    @classmethod
    def none(cls, units: int, others: int) -> 'Moments':
        """Of no activation."""
        a, b = np.zeros(units, np.float32), np.zeros(others, np.float32)
        return cls(0, a, b, a, b, np.zeros((units, others), np.float32))

    def of_units(self, a: slice, b: slice) -> 'Moments':
        """Of some of the units of both layers."""
        return Moments(
            self.positions, self.mean_a[a], self.mean_b[b], self.square_a[a], self.square_b[b], self.product[a, b]
        )

    def with_more(self, other: 'Moments') -> 'Moments':
        """The sums of both parts."""
        positions = self.positions + other.positions
        weight = self.positions * other.positions / positions
        step_a, step_b = other.mean_a - self.mean_a, other.mean_b - self.mean_b
        return Moments(
            positions,
            self.mean_a + step_a * other.positions / positions,
            self.mean_b + step_b * other.positions / positions,
            self.square_a + other.square_a + weight * step_a**2,
            self.square_b + other.square_b + weight * step_b**2,
            self.product + other.product + weight * np.outer(step_a, step_b),
        )

    def correlation(self) -> np.ndarray:
        """Pearson's r [U, V]; NaN for a unit that is constant up to rounding."""
        squares = ((self.square_a, self.mean_a), (self.square_b, self.mean_b))
        least = 64 * np.finfo(self.product.dtype).eps
        varying = [np.where(square > self.positions * (least * mean) ** 2, square, 0) for square, mean in squares]
        scale = np.sqrt(np.outer(*varying))
        return np.divide(self.product, scale, out=np.full(scale.shape, np.nan), where=scale > 0)


@takes(r='U V')
def mutual(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [M, 2] of rows and columns of r [U, V] that are each other's highest, and r [M] of each; NaN is lowest."""
    ranked = np.where(np.isnan(r), -np.inf, r)
    if not ranked.size:
        return np.zeros((0, 2), int), np.zeros(0)
    forth, back = ranked.argmax(1), ranked.argmax(0)
    unit = np.flatnonzero((back[forth] == np.arange(len(r))) & np.isfinite(ranked.max(1)))
    return np.stack([unit, forth[unit]], axis=1), r[unit, forth[unit]]
