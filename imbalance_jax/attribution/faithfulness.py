"""Faithfulness: does the score change as a map says?

Every metric is `METRICS[name](score, images [B,H,W,C], maps [B,H,W], **options) -> [B]`, with `score(x) -> [B]` one
logit per image. A map of uniform noise is the null of each: what it scores is to be taken off, pair by pair. Figures
are in units of the logit, whose level and scale a loss sets. Pixels that tie in a map are ordered at random, the same
at every call and in every image, so that a figure does not depend on how many are asked about at a time. Each is made
of a `Trial`, the images that it asks about; `all_metrics` asks the network about those of all of them in one loop, so
that a program holds one network and not one per metric.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from imbalance_jax.attribution.baselines import baseline_images
from imbalance_jax.attribution.gradients import image_scores
from imbalance_jax.attribution.inputs import Score, as_images, as_maps, as_planes
from imbalance_jax.system import environment

STRAIGHT, DIAGONAL = 1 / 6, 1 / 12  # weights of a pixel's neighbours in ROAD
CYCLES = 4  # iterations per pixel of a row and a column; each reaches one pixel further
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


def ranks(maps: jax.Array) -> jax.Array:
    """The rank of every pixel of maps [B,H,W] when the hottest is 0, [B,H,W] int32; ties at random."""
    maps = as_planes(maps)
    flat = maps.reshape(len(maps), -1)
    flat = jnp.where(jnp.isfinite(flat), flat, -jnp.inf)
    noise = jax.random.uniform(environment.key(0), flat.shape[1:])
    order = jnp.lexsort((jnp.broadcast_to(noise, flat.shape), -flat), axis=-1)
    return jnp.argsort(order, axis=-1).reshape(maps.shape).astype(jnp.int32)


class Trial(NamedTuple):
    """What a metric asks a network, and what it makes of the answers.

    steps: how many versions there are of the images; version: i (traced) -> images [B,H,W,C]; figure: the logits
    [steps,B] of all versions -> [B].
    """

    steps: int
    version: Callable[[jax.Array], jax.Array]
    figure: Callable[[jax.Array], jax.Array]


def ask(score: Score, trial: Trial) -> jax.Array:
    """The metric's figure [B] for a score."""
    return trial.figure(jax.lax.map(lambda i: image_scores(score, trial.version(i)), jnp.arange(trial.steps)))


def ask_all(score: Score, trials: Sequence[Trial]) -> list[jax.Array]:
    """The figure [B] of each trial, the versions of all of them one after the other in one loop."""
    ends = np.cumsum([trial.steps for trial in trials])
    which = np.repeat(np.arange(len(trials)), [trial.steps for trial in trials])
    number = np.concatenate([np.arange(trial.steps) for trial in trials])

    def at(step):
        which, number = step
        return image_scores(score, jax.lax.switch(which, [trial.version for trial in trials], number))

    logits = jax.lax.map(at, (jnp.asarray(which), jnp.asarray(number)))
    return [trial.figure(logits[end - trial.steps : end]) for trial, end in zip(trials, ends, strict=True)]


def _exchanged(maps: jax.Array, start: jax.Array, goal: jax.Array, shares: jax.Array) -> Callable:
    """i -> the images `start` with the hottest `shares[i]` of their pixels from `goal`."""
    rank, pixels = ranks(as_maps(maps, start)), start.shape[1] * start.shape[2]
    return lambda i: jnp.where((rank < jnp.round(shares[i] * pixels))[..., None], goal, start)


def curve(
    score: Score,
    maps: jax.Array,
    *,
    shares: ArrayLike | Sequence[float],
    start: jax.Array,
    goal: jax.Array,
) -> jax.Array:
    """Logits [B, n] after the hottest `shares` of the pixels of `start` were exchanged for those of `goal`."""
    start, shares = as_images(start), jnp.asarray(shares)
    return ask(score, Trial(len(shares), _exchanged(maps, start, goal, shares), lambda logits: logits.T))


def _shares(steps: int, cutoff: float) -> jax.Array:
    if steps < 1 or not 0 < cutoff <= 1:
        raise ValueError(f'steps must be at least 1 and cutoff in 0..1, not {steps} and {cutoff}.')
    return cutoff * jnp.linspace(0, 1, steps + 1)


def _area(values: jax.Array) -> jax.Array:
    """Mean height of equally spaced values [n, B] by the trapezoidal rule."""
    return (values[1:] + values[:-1]).mean(0) / 2


def _deletion(
    images: jax.Array,
    maps: jax.Array,
    *,
    steps: int = 10,
    baseline: ArrayLike | str = 'zero',
    cutoff: float = 1.0,
) -> Trial:
    """Area under the logit while pixels go, hottest first, [B]; lower is better (Petsiuk et al. 2018).

    `steps` equal parts of the first `cutoff` of the pixels are set to `baseline` (see `attribution.baselines`). Theirs
    is of the probability, which says as much about a loss's calibration as about a map.
    """
    shares, goal = _shares(steps, cutoff), baseline_images(images, baseline)
    return Trial(len(shares), _exchanged(maps, images, goal, shares), _area)


def _insertion(
    images: jax.Array,
    maps: jax.Array,
    *,
    steps: int = 10,
    baseline: ArrayLike | str = 'blur',
    cutoff: float = 1.0,
) -> Trial:
    """Area under the logit while pixels come back to the `baseline`, hottest first, [B]; higher is better (Petsiuk et
    al. 2018). Otherwise as `deletion`."""
    shares, start = _shares(steps, cutoff), baseline_images(images, baseline)
    return Trial(len(shares), _exchanged(maps, start, images, shares), _area)


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

    most = CYCLES * sum(images.shape[1:3])  # the way from edge to edge, some times
    mean, _ = jax.scipy.sparse.linalg.cg(laplacian, mask * _neighbour_sum(known), tol=1e-6, maxiter=most)
    extra = noise * jax.random.normal(environment.key(1), images.shape[1:], images.dtype)
    return jnp.where(mask > 0, mean + extra, images)


def _road(images: jax.Array, maps: jax.Array, *, shares: Sequence[float] = (0.2, 0.5, 0.8)) -> Trial:
    """Remove and debias, [B]: mean over `shares` of (logit without the coldest - logit without the hottest pixels) / 2.

    Removed pixels are imputed (`impute`), so that the network is not asked about black holes (Rong et al. 2022; both
    orders in one figure as in pytorch-grad-cam). Higher is better; noise scores 0 on average.
    """
    rank, pixels, parts = ranks(maps), images.shape[1] * images.shape[2], jnp.asarray(shares)

    def version(i):
        count, coldest = jnp.round(parts[i // 2] * pixels), i % 2 == 0
        return impute(images, jnp.where(coldest, rank >= pixels - count, rank < count))

    return Trial(2 * len(shares), version, lambda logits: (logits[::2] - logits[1::2]).mean(0) / 2)


def _sensitivity_n(
    images: jax.Array,
    maps: jax.Array,
    *,
    share: float = 0.2,
    samples: int = 32,
    baseline: ArrayLike | str = 'zero',
    seed: int = 0,
) -> Trial:
    """Sensitivity-n, [B]: Pearson correlation, over random sets of n = `share` H W pixels, of the sum of the map in a
    set with the drop of the logit when the set goes to `baseline` (Ancona et al. 2018). NaN where either does not vary.

    1 for a linear score and its input x gradient. The map's sign counts; noise scores 0 on average.
    """
    start, pixels = baseline_images(images, baseline), images.shape[1] * images.shape[2]
    keys = jax.random.split(environment.key(seed), samples)

    def chosen(i):
        return (jax.random.permutation(keys[i], pixels) < round(share * pixels)).reshape(images.shape[1:3])

    def version(i):  # the last is of the whole images
        return jnp.where(chosen(jnp.minimum(i, samples - 1))[..., None] & (i < samples), start, images)

    def figure(logits):
        heat = jax.lax.map(lambda i: jnp.where(chosen(i), maps, 0).sum((1, 2)), jnp.arange(samples))
        return correlation(heat.T, (logits[-1] - logits[:-1]).T)

    return Trial(samples + 1, version, figure)


def correlation(a: jax.Array, b: jax.Array) -> jax.Array:
    """Pearson correlation along the last axis; NaN where either is constant."""
    varies = (jnp.ptp(a, axis=-1) > 0) & (jnp.ptp(b, axis=-1) > 0)
    a, b = (x - x.mean(-1, keepdims=True) for x in (a, b))
    scale = jnp.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return jnp.where(varies, (a * b).sum(-1) / jnp.where(varies, scale, 1), jnp.nan)


TRIALS: dict[str, Callable[..., Trial]] = {
    'deletion': _deletion,
    'insertion': _insertion,
    'road': _road,
    'sensitivity_n': _sensitivity_n,
}
WITHOUT_UNIT = ('sensitivity_n',)  # a correlation; the others are in units of the logit


def _metric(trial: Callable[..., Trial]) -> Callable[..., jax.Array]:
    """The metric that asks about one trial."""

    def metric(score: Score, images: jax.Array, maps: jax.Array, **options: Any) -> jax.Array:
        images = as_images(images)
        return ask(score, trial(images, as_maps(maps, images), **options))

    signature, score = inspect.signature(trial), inspect.signature(metric).parameters['score']
    of_metric = signature.replace(parameters=[score, *signature.parameters.values()], return_annotation=jax.Array)
    metric.__name__ = metric.__qualname__ = trial.__name__.removeprefix('_')
    metric.__doc__, metric.__signature__ = trial.__doc__, of_metric  # type: ignore[attr-defined]
    return metric


METRICS: dict[str, Callable[..., jax.Array]] = {name: _metric(trial) for name, trial in TRIALS.items()}
deletion, insertion, road, sensitivity_n = METRICS.values()


def all_metrics(score: Score, images: jax.Array, maps: jax.Array) -> dict[str, jax.Array]:
    """{metric: [B]} of all of METRICS with their usual options, from one loop over the images that any asks about."""
    images = as_images(images)
    maps = as_maps(maps, images)
    figures = ask_all(score, [trial(images, maps) for trial in TRIALS.values()])
    return dict(zip(TRIALS, figures, strict=True))
