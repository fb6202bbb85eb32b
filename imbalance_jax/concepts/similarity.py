"""How alike are two layers: linear CKA of what they represent, and units of one that match units of the other.

CKA compares the similarities between images that two layers see, ||Y'X||^2 / (||X'X|| ||Y'Y||) with centred columns
and Frobenius norms (Kornblith et al. 2019, arXiv 1905.00414). It is 1 for layers that differ by a rotation and a scale,
and biased upwards where units are many and images are few; `debiased` takes the unbiased estimator of each of the three
terms (Song et al. 2007), which for unrelated layers is 0 on average and may be below.
"""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.concepts.counting import upsample


def linear_cka(x, y, debiased=False):
    """Linear CKA, a scalar, of activations [N, p] and [N, q] of the same N examples.

    NumPy arrays are computed with in float64; JAX arrays in their own precision, also under `jit`, `vmap` and `grad`.
    NaN where one of the two is the same for all examples. Raises ValueError for shapes that do not fit, or too few
    examples: at least 2, debiased 4.
    """
    traced = isinstance(x, jax.Array) or isinstance(y, jax.Array)
    xp, dtype = (jnp, jnp.promote_types(jnp.result_type(x, y), jnp.float32)) if traced else (np, np.float64)
    x, y = xp.asarray(x, dtype), xp.asarray(y, dtype)
    least = 4 if debiased else 2
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < least:
        raise ValueError(f'x and y must be [N, p] and [N, q] with N of at least {least}, got {x.shape} and {y.shape}.')
    x, y = (_centred(xp, values) for values in (x, y))
    terms = _debiased_term if debiased else _term
    with np.errstate(invalid='ignore', divide='ignore'):
        return terms(xp, x, y) / xp.sqrt(terms(xp, x, x) * terms(xp, y, y))


def _centred(xp, values):
    """Columns less their means; a constant column is exactly 0, whatever its mean is rounded to."""
    return xp.where(values.max(axis=0) == values.min(axis=0), 0, values - values.mean(axis=0))


def _term(xp, x, y):
    options = {'precision': 'highest'} if xp is jnp else {}  # an accelerator would round the factors
    return (xp.matmul(x.T, y, **options) ** 2).sum()


def _debiased_term(xp, x, y):
    """The unbiased estimator of the same, times n (n - 3), from centred x [n, p] and y [n, q]."""
    n, rows_x, rows_y = len(x), (x**2).sum(axis=1), (y**2).sum(axis=1)
    return _term(xp, x, y) - n / (n - 2) * (rows_x * rows_y).sum() + rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))


def gram(x):
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


def hsic(grams):
    """The unbiased HSIC [L, L] of all pairs of layers, from their `gram`s [L, n, n], in float64.

    Its mean over batches is that of the data set: for a mini-batch CKA the terms are added up and their ratio is taken
    last (Nguyen et al. 2021, arXiv 2010.15327), since the mean of batches' ratios is biased.
    """
    n = len(grams[0])
    flat = np.asarray(grams, np.float64).reshape(len(grams), -1)
    return flat @ flat.T / (n * (n - 3))


def cka(terms):
    """Debiased CKA [L, L] from summed `hsic` terms; NaN where a layer's own term is not above 0."""
    own = np.where(np.diag(terms) > 0, np.diag(terms), np.nan)
    return terms / np.sqrt(own[:, None] * own)


def match_units(a, b):
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
    size = tuple(np.maximum(a.shape[1:3], b.shape[1:3]).tolist())
    moments = None
    for start in range(0, len(a), 64):
        found = Moments.of(*(_at_size(part[start : start + 64], size) for part in (a, b)))
        moments = found if moments is None else moments + found
    return mutual(moments.correlation() if moments else np.full((a.shape[-1], b.shape[-1]), np.nan))


def _at_size(maps, size):
    maps = np.asarray(maps, np.float64)
    if not np.isfinite(maps).all():
        raise ValueError(f'Activations hold {np.count_nonzero(~np.isfinite(maps))} values that are not finite.')
    if maps.shape[1:3] != size:
        maps = np.moveaxis(upsample(np.moveaxis(maps, -1, 1), size), 1, -1)
    return maps.reshape(-1, maps.shape[-1])


class Moments:
    """Sums from which correlations [U, V] of units follow; parts add up, wherever they are cut.

    Means and centred sums of products (Chan et al. 1983), not sums of squares, which would cancel.
    """

    def __init__(self, count, mean_a, mean_b, square_a, square_b, product):
        self.count, self.mean_a, self.mean_b = count, mean_a, mean_b
        self.square_a, self.square_b, self.product = square_a, square_b, product

    @classmethod
    def of(cls, a, b):
        """Of activations [n, U] and [n, V]."""
        mean_a, mean_b = a.mean(0), b.mean(0)
        a, b = a - mean_a, b - mean_b
        return cls(len(a), mean_a, mean_b, (a**2).sum(0), (b**2).sum(0), a.T @ b)

    def __add__(self, other):
        count = self.count + other.count
        weight = self.count * other.count / count
        step_a, step_b = other.mean_a - self.mean_a, other.mean_b - self.mean_b
        return Moments(
            count,
            self.mean_a + step_a * other.count / count,
            self.mean_b + step_b * other.count / count,
            self.square_a + other.square_a + weight * step_a**2,
            self.square_b + other.square_b + weight * step_b**2,
            self.product + other.product + weight * np.outer(step_a, step_b),
        )

    def correlation(self):
        """Pearson's r [U, V]; NaN for a unit that is constant up to rounding."""
        squares = ((self.square_a, self.mean_a), (self.square_b, self.mean_b))
        least = 64 * np.finfo(self.product.dtype).eps
        varying = [np.where(square > self.count * (least * mean) ** 2, square, 0) for square, mean in squares]
        scale = np.sqrt(np.outer(*varying))
        return np.divide(self.product, scale, out=np.full(scale.shape, np.nan), where=scale > 0)


def mutual(r):
    """Pairs [M, 2] of rows and columns of r [U, V] that are each other's highest, and r [M] of each; NaN is lowest."""
    ranked = np.where(np.isnan(r), -np.inf, r)
    if not ranked.size:
        return np.zeros((0, 2), int), np.zeros(0)
    forth, back = ranked.argmax(1), ranked.argmax(0)
    unit = np.flatnonzero((back[forth] == np.arange(len(r))) & np.isfinite(ranked.max(1)))
    return np.stack([unit, forth[unit]], axis=1), r[unit, forth[unit]]
