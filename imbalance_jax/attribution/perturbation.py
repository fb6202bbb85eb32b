"""Attribution from what the score loses when a part of the image is taken away."""

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution.gradients import Score, image_scores


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
    baseline: jax.typing.ArrayLike = 0.0,
) -> jax.Array:
    """Occlusion map, [B, H, W]: signed (positive where covering lowers the score), all channels covered together, not
    normalised.

    A square of `window` pixels moves in steps of `stride` and sets what it covers to `baseline` (in the units of the
    images, broadcasts against them). A pixel's value is the mean of score(x) - score(covered x) over the windows that
    cover it; a window that overhangs the far edge is cut there (Zeiler and Fergus 2014, section 4.2; averaged as in
    captum). One window is in memory at a time. Raises ValueError unless 1 <= stride <= window <= H, W.
    """
    _, height, width, _ = images.shape
    if not 1 <= stride <= window <= min(height, width):
        raise ValueError(
            f'occlusion needs 1 <= stride <= window <= image size, but stride is {stride}, window {window} and the '
            f'images {height} x {width}.'
        )
    rows, columns = jnp.asarray(_windows(height, window, stride)), jnp.asarray(_windows(width, window, stride))
    whole = image_scores(score, images)

    def drop(row, column):
        covered = (row[:, None] & column)[..., None]
        return whole - image_scores(score, jnp.where(covered, baseline, images))

    drops = jax.lax.map(lambda row: jax.lax.map(lambda column: drop(row, column), columns), rows)
    rows, columns = rows.astype(drops.dtype), columns.astype(drops.dtype)
    total = jnp.einsum('yxb,yh,xw->bhw', drops, rows, columns, precision='highest')
    return total / (rows.sum(0)[:, None] * columns.sum(0))
