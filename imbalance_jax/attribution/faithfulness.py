"""Faithfulness: does the score change as a map says? And sanity: does the map change when the network does?

Every metric is `METRICS[name](score, images [B,H,W,C], maps [B,H,W], **options) -> [B]`, with `score(x) -> [B]` one
logit per image. A map of uniform noise is the null of each: what it scores is to be taken off, pair by pair. Figures
are in units of the logit, whose level and scale a loss sets. Pixels that tie in a map are ordered at random, the same
at every call.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from imbalance_jax.attribution.baselines import baseline_images
from imbalance_jax.attribution.gradients import image_scores
from imbalance_jax.attribution.inputs import Score, as_images, as_maps
from imbalance_jax.system import environment
from imbalance_jax.system.shapes import on_device

STRAIGHT, DIAGONAL = 1 / 6, 1 / 12  # weights of a pixel's neighbours in ROAD
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


def ranks(maps: jax.Array) -> jax.Array:
    """The rank of every pixel of maps [B,H,W] when the hottest is 0, [B,H,W] int32; ties at random."""
    maps = _planes(maps)
    flat = maps.reshape(len(maps), -1)
    flat = jnp.where(jnp.isfinite(flat), flat, -jnp.inf)
    noise = jax.random.uniform(environment.key(0), flat.shape)
    order = jnp.lexsort((noise, -flat), axis=-1)
    return jnp.argsort(order, axis=-1).reshape(maps.shape).astype(jnp.int32)


def _planes(maps: Any) -> jax.Array:
    """Maps [B,H,W]; ValueError for another number of axes."""
    maps = on_device(maps, 'maps', '[B, H, W]')
    if maps.ndim != 3:
        raise ValueError(f'maps must be [B, H, W], not {maps.shape}.')
    return maps


def curve(
    score: Score,
    maps: jax.Array,
    *,
    shares: ArrayLike | Sequence[float],
    start: jax.Array,
    goal: jax.Array,
) -> jax.Array:
    """Logits [B, n] after the hottest `shares` of the pixels of `start` were exchanged for those of `goal`."""
    start = as_images(start)
    rank, pixels = ranks(as_maps(maps, start)), start.shape[1] * start.shape[2]

    def at(share):
        changed = (rank < jnp.round(share * pixels))[..., None]
        return image_scores(score, jnp.where(changed, goal, start))

    return jax.lax.map(at, jnp.asarray(shares)).T


def _shares(steps: int, cutoff: float) -> jax.Array:
    if steps < 1 or not 0 < cutoff <= 1:
        raise ValueError(f'steps must be at least 1 and cutoff in 0..1, not {steps} and {cutoff}.')
    return cutoff * jnp.linspace(0, 1, steps + 1)


def _area(values: jax.Array) -> jax.Array:
    """Mean height of equally spaced values [B, n] by the trapezoidal rule."""
    return (values[:, 1:] + values[:, :-1]).mean(-1) / 2


def deletion(
    score: Score,
    images: jax.Array,
    maps: jax.Array,
    *,
    steps: int = 10,
    baseline: ArrayLike | str = 'zero',
    cutoff: float = 1.0,
) -> jax.Array:
    """Area under the logit while pixels go, hottest first, [B]; lower is better (Petsiuk et al. 2018).

    `steps` equal parts of the first `cutoff` of the pixels are set to `baseline` (see `attribution.baselines`). Theirs
    is of the probability, which says as much about a loss's calibration as about a map.
    """
    images, shares = as_images(images), _shares(steps, cutoff)
    goal = baseline_images(images, baseline)
    return _area(curve(score, as_maps(maps, images), shares=shares, start=images, goal=goal))


def insertion(
    score: Score,
    images: jax.Array,
    maps: jax.Array,
    *,
    steps: int = 10,
    baseline: ArrayLike | str = 'blur',
    cutoff: float = 1.0,
) -> jax.Array:
    """Area under the logit while pixels come back to the `baseline`, hottest first, [B]; higher is better (Petsiuk et
    al. 2018). Otherwise as `deletion`."""
    images, shares = as_images(images), _shares(steps, cutoff)
    start = baseline_images(images, baseline)
    return _area(curve(score, as_maps(maps, images), shares=shares, start=start, goal=images))


def _neighbour_sum(x: jax.Array) -> jax.Array:
    """Weighted sum of the eight neighbours of x [B,H,W,C]; there is nothing beyond the edge."""
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = jnp.zeros_like(x)
    for dy, dx in NEIGHBOURS:
        weight = DIAGONAL if dy and dx else STRAIGHT
        total += weight * padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
    return total


def impute(images: jax.Array, gone: jax.Array, noise: float = 0.01) -> jax.Array:
    """Images in which every pixel of `gone` [B,H,W] is the weighted mean of its neighbours, gone or not, plus a little
    Gaussian noise: what is left tells nothing of the shape that was cut out (Rong et al. 2022, section 4).

    The mean is the solution of a linear system, by conjugate gradients; of an image without any pixel left it is 0.
    """
    images = as_images(images)
    mask = as_maps(gone, images)[..., None].astype(images.dtype)
    weight = _neighbour_sum(jnp.ones_like(images))
    known = images * (1 - mask)

    def laplacian(x):
        return mask * (weight * x - _neighbour_sum(mask * x)) + (1 - mask) * x

    mean, _ = jax.scipy.sparse.linalg.cg(laplacian, mask * _neighbour_sum(known), tol=1e-4, maxiter=200)
    extra = noise * jax.random.normal(environment.key(1), images.shape, images.dtype)
    return jnp.where(mask > 0, mean + extra, images)


def road(
    score: Score,
    images: jax.Array,
    maps: jax.Array,
    *,
    shares: Sequence[float] = (0.2, 0.5, 0.8),
) -> jax.Array:
    """Remove and debias, [B]: mean over `shares` of (logit without the coldest - logit without the hottest pixels) / 2.

    Removed pixels are imputed (`impute`), so that the network is not asked about black holes (Rong et al. 2022; both
    orders in one figure as in pytorch-grad-cam). Higher is better; noise scores 0 on average.
    """
    images = as_images(images)
    rank, pixels = ranks(as_maps(maps, images)), images.shape[1] * images.shape[2]

    def at(share):
        count = jnp.round(share * pixels)
        without = [impute(images, gone) for gone in (rank >= pixels - count, rank < count)]
        coldest, hottest = (image_scores(score, x) for x in without)
        return coldest - hottest

    return jax.lax.map(at, jnp.asarray(shares)).mean(0) / 2


def sensitivity_n(
    score: Score,
    images: jax.Array,
    maps: jax.Array,
    *,
    share: float = 0.2,
    samples: int = 32,
    baseline: ArrayLike | str = 'zero',
    seed: int = 0,
) -> jax.Array:
    """Sensitivity-n, [B]: Pearson correlation, over random sets of n = `share` H W pixels, of the sum of the map in a
    set with the drop of the logit when the set goes to `baseline` (Ancona et al. 2018). NaN where either does not vary.

    1 for a linear score and its input x gradient. The map's sign counts; noise scores 0 on average.
    """
    images = as_images(images)
    maps, start = as_maps(maps, images), baseline_images(images, baseline)
    whole, pixels = image_scores(score, images), maps.shape[1] * maps.shape[2]

    def at(key):
        chosen = jax.random.permutation(key, pixels) < round(share * pixels)
        chosen = chosen.reshape(maps.shape[1:])
        dropped = whole - image_scores(score, jnp.where(chosen[..., None], start, images))
        return jnp.where(chosen, maps, 0).sum((1, 2)), dropped

    heat, drop = jax.lax.map(at, jax.random.split(environment.key(seed), samples))
    return correlation(heat.T, drop.T)


def correlation(a: jax.Array, b: jax.Array) -> jax.Array:
    """Pearson correlation along the last axis; NaN where either is constant."""
    varies = (jnp.ptp(a, axis=-1) > 0) & (jnp.ptp(b, axis=-1) > 0)
    a, b = (x - x.mean(-1, keepdims=True) for x in (a, b))
    scale = jnp.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return jnp.where(varies, (a * b).sum(-1) / jnp.where(varies, scale, 1), jnp.nan)


def rank_correlation(maps: jax.Array, others: jax.Array) -> jax.Array:
    """Spearman correlation of maps [B,H,W] with other maps, [B]; ties share their mean rank; NaN for a constant map."""

    maps, others = _planes(maps), _planes(others)
    if maps.shape != others.shape:
        raise ValueError(
            f'maps are {maps.shape} and the others {others.shape}: bring both to one number and size first.'
        )

    def midranks(values):
        flat = values.reshape(len(values), -1)
        ordered = jnp.sort(flat, axis=-1)
        find = jax.vmap(lambda o, v, side: jnp.searchsorted(o, v, side=side), (0, 0, None))
        return (find(ordered, flat, 'left') + find(ordered, flat, 'right')).astype(jnp.float32) / 2

    return correlation(midranks(maps), midranks(others))


def cascade(names: Sequence[str]) -> dict[str, list[str]]:
    """The parts of a network in the order in which they are randomised, each with its parameters among `names` (such as
    'stage2_conv'): the head, then the stages, the last first, then the stem.

    Adebayo et al. 2018: a map that stays the same while the layers above are randomised does not explain what the
    network has learned.
    """
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(name.split('_')[0], []).append(name)
    stages = sorted((p for p in parts if p.startswith('stage')), key=lambda p: (len(p), p), reverse=True)
    rest = sorted(p for p in parts if p != 'head' and p not in stages)
    return {p: parts[p] for p in ['head', *stages, *rest] if p in parts}


def randomise(
    variables: dict[str, Any], fresh: dict[str, Any], parts: dict[str, list[str]], depth: ArrayLike
) -> dict[str, Any]:
    """`variables` with the first `depth` (traced) of `parts` as in an untrained network, statistics too."""
    number = {name: i for i, names in enumerate(parts.values()) for name in names}

    def mixed(kind):
        return {
            name: jax.tree.map(
                lambda old, new, i=number[name]: jnp.where(i < depth, new, old), value, fresh[kind][name]
            )
            for name, value in variables[kind].items()
        }

    return {**variables, **{kind: mixed(kind) for kind in ('params', 'batch_stats') if kind in variables}}


METRICS: dict[str, Callable[..., jax.Array]] = {
    'deletion': deletion,
    'insertion': insertion,
    'road': road,
    'sensitivity_n': sensitivity_n,
}
WITHOUT_UNIT = ('sensitivity_n',)  # a correlation; the others are in units of the logit
