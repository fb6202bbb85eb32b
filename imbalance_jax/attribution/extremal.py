"""Extremal perturbation: the smooth mask of a given area that keeps the score highest."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from imbalance_jax.attribution.baselines import blur
from imbalance_jax.attribution.gradients import Score, image_scores
from imbalance_jax.attribution.inputs import as_images

# TorchRay's, in image heights of 224 pixels: distance of the mask's cells, width of its kernel, strongest blur.
STEP, SIGMA, MAX_BLUR = 7 / 224, 21 / 224, 20 / 224
LEVELS = 8  # of blur
SHARPNESS = 20.0  # of the smooth maximum
RATE, MOMENTUM = 0.01, 0.9


def _cells(length: int, step: int, reach: int, margin: int) -> np.ndarray:
    """The cells within reach of every pixel of an axis with its margins, [length + 2 margin, 2 reach + 1]; the first
    cell of the image is number 0."""
    return np.arange(-margin, length + margin)[:, None] // step + np.arange(-reach, reach + 1)


def _kernel(size: tuple[int, int], step: int, sigma: float, reach: int, margin: int) -> np.ndarray:
    """exp(-2 max(0, d / sigma - 1/2)^2) with d the distance of a pixel of the wide mask to each cell within reach,
    [H + 2 margin, W + 2 margin, n, n]."""
    away = []
    for length in size:
        centres = (_cells(length, step, reach, margin) + 0.5) * step - 0.5
        away.append(np.arange(-margin, length + margin)[:, None] - centres)
    rows, columns = away
    distance = np.hypot(rows[:, None, :, None], columns[None, :, None, :])
    return np.exp(-2 * np.maximum(0, distance / sigma - 0.5) ** 2).astype(np.float32)


def _smooth_mask(cells: jax.Array, kernel: jax.Array, step: int, margin: int) -> jax.Array:
    """Wide masks [B, H + 2 margin, W + 2 margin]: at a pixel the smooth maximum of kernel x cell, over the cells
    [B, h, w] within reach; there are none beyond the image."""
    height, width, n, _ = kernel.shape
    reach = n // 2
    beyond = reach - (-margin // step)
    padded = jnp.pad(cells, ((0, 0), (beyond, beyond), (beyond, beyond)))
    rows, columns = (
        _cells(length, step, reach, margin) + beyond for length in (height - 2 * margin, width - 2 * margin)
    )
    near = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
    values = (near * kernel).reshape(cells.shape[0], height, width, n * n)
    return (jax.nn.softmax(SHARPNESS * values, axis=-1) * values).sum(-1)


def _perturb(pyramid: jax.Array, mask: jax.Array) -> jax.Array:
    """Images between the levels [L, B, H, W, C] of blur, the last one sharp, at the level that the mask says."""
    level = jnp.clip(mask, 0, 1)[..., None] * (len(pyramid) - 1)
    levels = jnp.arange(len(pyramid)).reshape(-1, 1, 1, 1, 1)
    return (jnp.maximum(0, 1 - jnp.abs(level - levels)) * pyramid).sum(0)


def extremal_perturbation(
    score: Score, images: jax.Array, *, area: float = 0.1, iterations: int = 800, weight: float = 300.0
) -> jax.Array:
    """Extremal perturbation, [B, H, W]: the mask itself, in 0..1, so never negative; its magnitude is not the score's.

    The mask m of about `area` x H W pixels that maximises score(x blurred where m is 0) - w mean((sort(m) - r)^2), with
    r the sorted mask of exactly that area; m is a smooth maximum of blobs a tenth of the image wide, and the
    perturbation a pyramid of blurs (Fong et al. 2019, preservation game). Constants are TorchRay's for 224 pixels,
    scaled to the image: all is shown at first, w starts at `weight` and grows 1.0035-fold an iteration, gradient ascent
    with a rate of 0.01 and a momentum of 0.9. As there, what a blob has beyond the edge counts: the mask has a margin,
    or corners would be cheap; TorchRay's `area` is of image and margin together. No random flips: a mirrored chest is
    another anatomy. Raises ValueError unless 0 < area < 1 and iterations >= 1.
    """
    if not 0 < area < 1 or iterations < 1:
        raise ValueError(f'extremal_perturbation needs 0 < area < 1 and iterations >= 1, not {area}, {iterations}.')
    images = as_images(images)
    batch, height, width, _ = images.shape
    step, sigma = max(1, round(STEP * height)), max(1.0, SIGMA * height)
    reach, margin = int(np.ceil(2 * sigma / step)), round(sigma)
    kernel = jnp.asarray(_kernel((height, width), step, sigma, reach, margin))
    strengths = MAX_BLUR * height * np.linspace(1, 0, LEVELS)
    pyramid = jnp.stack([blur(images, strength) for strength in strengths])
    hot = round(area * height * width)
    pixels = kernel.shape[0] * kernel.shape[1]
    wanted = (jnp.arange(pixels) >= pixels - hot).astype(images.dtype)

    def mask_of(cells):
        wide = _smooth_mask(cells, kernel, step, margin)
        return wide, wide[:, margin : margin + height, margin : margin + width]

    def loss(cells, pressure):
        wide, mask = mask_of(cells)
        away = ((jnp.sort(wide.reshape(batch, -1)) - wanted) ** 2).mean(-1)
        return (pressure * away - image_scores(score, _perturb(pyramid, mask))).sum()

    # TorchRay dampens: a new gradient enters the momentum with the share of 1 - MOMENTUM.
    optimizer = optax.chain(optax.scale(1 - MOMENTUM), optax.trace(MOMENTUM), optax.scale(-RATE))

    def ascend(state, iteration):
        cells, opt_state = state
        gradient = jax.grad(loss)(cells, weight * 1.0035**iteration)
        change, opt_state = optimizer.update(gradient, opt_state)
        return (jnp.clip(cells + change, 0, 1), opt_state), None

    cells = jnp.ones((batch, -(-height // step), -(-width // step)), images.dtype)  # as TorchRay: all is shown at first
    (cells, _), _ = jax.lax.scan(ascend, (cells, optimizer.init(cells)), jnp.arange(iterations, dtype=images.dtype))
    return mask_of(cells)[1]
