"""Attribution from what the score loses when a part of the image is taken away."""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution.baselines import baseline_images
from imbalance_jax.attribution.gradients import Score, image_scores
from imbalance_jax.attribution.inputs import as_images, required_key
from imbalance_jax.attribution.maps import image_size, upsample


def _windows(length: int, window: int, stride: int) -> np.ndarray:
    """Which of `length` pixels each window covers along one axis, bool [windows, length]; the last may overhang."""
    starts = stride * np.arange(-(-(length - window) // stride) + 1)[:, None]
    pixels = np.arange(length)
    return (starts <= pixels) & (pixels < starts + window)


def occlusion(
    score: Score,
    images: jax.Array,
    *,
    window: int = 5,
    stride: int = 1,
    baseline: jax.typing.ArrayLike | str = 0.0,
) -> jax.Array:
    """Occlusion map, [B, H, W]: signed (positive where covering lowers the score), all channels covered together, not
    normalised.

    A square of `window` pixels moves in steps of `stride` and sets what it covers to `baseline` (see `baselines`).
    A pixel's value is the mean of score(x) - score(covered x) over the windows that cover it; a window that overhangs
    the far edge is cut there (Zeiler and Fergus 2014, section 4.2; averaged as in captum). One window is in memory at
    a time. Raises ValueError unless 1 <= stride <= window <= H, W.
    """
    images = as_images(images)
    height, width = image_size(images)
    if not 1 <= stride <= window <= min(height, width):
        raise ValueError(
            f'occlusion needs 1 <= stride <= window <= image size, but stride is {stride}, window {window} and the '
            f'images {height} x {width}.'
        )
    rows, columns = jnp.asarray(_windows(height, window, stride)), jnp.asarray(_windows(width, window, stride))
    baseline, whole = baseline_images(images, baseline), image_scores(score, images)

    def drop(row, column):
        covered = (row[:, None] & column)[..., None]
        return whole - image_scores(score, jnp.where(covered, baseline, images))

    drops = jax.lax.map(lambda row: jax.lax.map(lambda column: drop(row, column), columns), rows)
    rows, columns = rows.astype(drops.dtype), columns.astype(drops.dtype)
    total = jnp.einsum('yxb,yh,xw->bhw', drops, rows, columns, precision='highest')
    return total / (rows.sum(0)[:, None] * columns.sum(0))


def _random_mask(key: jax.Array, size: tuple[int, int], cells: int, keep: float) -> jax.Array:
    """A smooth mask [H, W] in 0..1: `cells` x `cells` coins that show 1 with probability `keep`, enlarged bilinearly to
    one cell more than the image, and cut out at a random place."""
    coins, corner = jax.random.split(key)
    rows, columns = (-(-length // cells) for length in size)
    grid = jax.random.bernoulli(coins, keep, (cells, cells)).astype(jnp.float32)
    wide = upsample(grid, ((cells + 1) * rows, (cells + 1) * columns))
    return jax.lax.dynamic_slice(wide, jax.random.randint(corner, (2,), 0, jnp.array([rows, columns])), size)


def rise(
    score: Score,
    images: jax.Array,
    *,
    key: jax.Array | None = None,
    samples: int = 4000,
    cells: int = 7,
    keep: float = 0.5,
    baseline: jax.typing.ArrayLike | str = 0.0,
    contrast: bool = False,
) -> jax.Array:
    """RISE, [B, H, W]: the sign of the score, all channels masked together, not normalised.

    M = sum_n score(x m_n + b (1 - m_n)) m_n / (N p), over N = `samples` random masks m_n of `cells` x `cells` coins
    with p = `keep` (Petsiuk et al. 2018, equation 6). All images share the masks. The level of a map is that of the
    score: of a logit that is negative throughout the map is negative too. `contrast=True` takes the score's mean over
    the masks off first and divides by N p (1 - p): about what the score is with the pixel minus what it is without. One
    mask is in memory at a time. Raises ValueError without a `key`, or unless samples >= 1, cells >= 1 and 0 < keep < 1.
    """
    if samples < 1 or cells < 1 or not 0 < keep < 1:
        raise ValueError(f'rise needs samples >= 1, cells >= 1, 0 < keep < 1, not {samples}, {cells}, {keep}.')
    images, key = as_images(images), required_key(key, 'rise')
    start = baseline_images(images, baseline)

    def add(sums, sample):
        mask = _random_mask(sample, image_size(images), cells, keep)
        shown = start + mask[..., None] * (images - start)
        value = image_scores(score, shown)
        weighted, scores, coverage = sums
        return (weighted + value[:, None, None] * mask, scores + value, coverage + mask), None

    zeros = jnp.zeros(images.shape[:3], images.dtype)
    (weighted, scores, coverage), _ = jax.lax.scan(
        add, (zeros, zeros[:, 0, 0], zeros[0]), jax.random.split(key, samples)
    )
    if not contrast:
        return weighted / (samples * keep)
    mean = scores[:, None, None] / samples
    return (weighted - mean * coverage) / (samples * keep * (1 - keep))
