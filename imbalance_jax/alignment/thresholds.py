"""Metrics of the area that a map detects once its heat, scaled to 0..1, is cut at a threshold.

Scaling is (h - min h) / (max h - min h) of the positive part; a constant map, which this would divide by 0, detects
everything, so it scores the share of the image that its mask covers.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.alignment.heat import bits, count, defined, flat, heat_and_region, in_order
from imbalance_jax.system.shapes import takes

BINS = 256
WORD = 32  # pixels of a row in a number
STEPS = (-1, 0, 1)  # to a neighbour, along an axis
SHARES = np.linspace(0, 1, 11)  # of the hot pixels, at which the effective heat ratio is taken
LEAST, MOST = 0.1, 0.99  # of the maximum: colder pixels are not hot, and no threshold is higher
GRID = tuple(round(0.2 + 0.1 * i, 1) for i in range(6))  # CheXlocalize's for tuning


def scaled_heat(heat: jax.Array) -> jax.Array:
    """Heat [B, H, W] in 0..1, (h - min h) / (max h - min h); a constant map is 1, or 0 without any heat."""
    low, high = heat.min((-2, -1), keepdims=True), heat.max((-2, -1), keepdims=True)
    constant = high <= low
    return jnp.where(constant, heat > 0, (heat - low) / jnp.where(constant, 1, high - low))


def _iou(detected: jax.Array, region: jax.Array) -> jax.Array:
    return count(detected & region) / jnp.maximum(count(detected | region), 1)


def iobb_chestxray8(maps: jax.Array, masks: jax.Array, *, threshold: float = 60 / 255) -> jax.Array:
    """Intersection over the detected area, [B]: |D & B| / |D|, D the pixels whose scaled heat is at least `threshold`.

    IoBB as ChestX-ray8 names it (Wang et al. 2017), a precision; their D is the box around each isolated region, here
    it is the region. The `iobb` of Khakzar et al. 2022 divides by the annotated area instead. Their other threshold is
    180 / 255.
    """
    heat, region = heat_and_region(maps, masks)
    detected = scaled_heat(heat) >= threshold
    return defined(count(detected & region) / jnp.maximum(count(detected), 1), heat, region)


def miou_tuned(maps: jax.Array, masks: jax.Array, *, threshold: float = 0.5) -> jax.Array:
    """IoU with the pixels whose scaled heat is above `threshold`, [B]: CheXlocalize's mIoU (Saporta et al. 2022).

    `tune_threshold` chooses a class's threshold. A map that detects nothing is 0 (theirs drops out, which rewards it).
    """
    heat, region = heat_and_region(maps, masks)
    return defined(_iou(above(heat, threshold), region), heat, region)


def above(heat: jax.Array, threshold: float) -> jax.Array:
    """The pixels of heat [B, H, W] whose scaled heat is above `threshold`, bool; all of a constant map."""
    return scaled_heat(heat) > threshold


def miou_otsu(maps: jax.Array, masks: jax.Array) -> jax.Array:
    """IoU with the pixels above Otsu's threshold of the scaled heat, [B]: CheXlocalize's mIoU without tuning.

    Otsu 1979: of 256 levels, the one that separates the pixels into two groups with the largest variance between them.
    As theirs, what these pixels enclose counts, and a pixel on its own does not (`filled`): they draw the contours.
    """
    heat, region = heat_and_region(maps, masks)
    return defined(_iou(above_otsu(heat), region), heat, region)


@takes(heat='... H+ W+')
def above_otsu(heat: jax.Array) -> jax.Array:
    """The pixels of heat [B, H, W] above Otsu's threshold, `filled`, bool; all of a constant map."""
    scaled = scaled_heat(heat)
    levels = flat(jnp.floor(scaled * (BINS - 1)).astype(jnp.int32))
    limit = jax.vmap(_otsu)(levels.reshape(-1, levels.shape[-1])).reshape(levels.shape[:-1])
    detected = (levels > limit[..., None]).reshape(heat.shape)
    constant = (heat.max((-2, -1), keepdims=True) <= heat.min((-2, -1), keepdims=True)) & (heat > 0)
    return filled(detected) | constant


def filled(detected: jax.Array) -> jax.Array:
    """Areas [..., H, W], bool, as their contours drawn and filled: holes count, pixels without any neighbour do not.

    A hole is what no way over pixels that share an edge leads out of. The rest of the image is reached from its frame,
    in runs along rows and columns, to and fro, until nothing more is; 32 pixels of a row are the bits of one number,
    and all images lie side by side.
    """
    size = detected.shape[-2:]
    wide = jnp.pad(detected.reshape(math.prod(detected.shape[:-2]), *size), ((0, 0), (1, 1), (1, 1)))
    around = [wide[:, 1 + y : 1 + y + size[0], 1 + x : 1 + x + size[1]] for y in STEPS for x in STEPS if y or x]
    joined = wide[:, 1:-1, 1:-1] & jnp.any(jnp.stack(around), 0)
    outside = _packed(~jnp.pad(joined, ((0, 0), (1, 1), (1, 1))))

    def further(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        before = reached = state[0]
        for forward in (True, False):
            reached = _along_columns(_along_rows(reached, outside, forward), outside, forward)
        return reached, (reached != before).any()

    corner = jnp.zeros_like(outside).at[0, 0].set(1)  # of the frame that is always outside
    reached, _ = jax.lax.while_loop(lambda state: state[1], further, (corner, jnp.array(True)))
    return ~_unpacked(reached, size[1] + 2)[:, 1:-1, 1:-1].reshape(detected.shape)


def _packed(pixels: jax.Array) -> jax.Array:
    """Rows of pixels [n, H, W], bool, as words [H, ceil(W / 32), n], the first pixel in the lowest bit; pixels beyond
    the last are true."""
    words = jnp.pad(pixels, ((0, 0), (0, 0), (0, -pixels.shape[-1] % WORD)), constant_values=True)
    each = words.reshape(*words.shape[:-1], words.shape[-1] // WORD, WORD).astype(jnp.uint32)
    return jnp.moveaxis((each << jnp.arange(WORD, dtype=jnp.uint32)).sum(-1, dtype=jnp.uint32), 0, -1)


def _unpacked(words: jax.Array, width: int) -> jax.Array:
    """The pixels [n, H, width] of `_packed`."""
    pixels = (jnp.moveaxis(words, -1, 0)[..., None] >> jnp.arange(WORD, dtype=jnp.uint32)) & 1
    return pixels.reshape(*pixels.shape[:2], words.shape[1] * WORD)[..., :width].astype(bool)


def _along_rows(reached: jax.Array, free: jax.Array, forward: bool) -> jax.Array:
    """What is reached along rows of words [H, words, n] without leaving what is free: to the end of a word, and into
    the next."""
    shift, back = (jnp.left_shift, jnp.right_shift) if forward else (jnp.right_shift, jnp.left_shift)
    reached, steps = reached | (free & back(_moved(reached, 1 if forward else -1, 1), jnp.uint32(WORD - 1))), 1
    while steps < WORD:
        reached, free = reached | (free & shift(reached, jnp.uint32(steps))), free & shift(free, jnp.uint32(steps))
        steps *= 2
    return reached


def _along_columns(reached: jax.Array, free: jax.Array, forward: bool) -> jax.Array:
    """The same along columns, to their end."""
    steps = 1
    while steps < len(reached):
        by = steps if forward else -steps
        reached, free = reached | (free & _moved(reached, by, 0)), free & _moved(free, by, 0)
        steps *= 2
    return reached


def _moved(words: jax.Array, by: int, axis: int) -> jax.Array:
    """Words moved along an axis, with 0 where none comes from."""
    edges = [(0, 0, 0)] * words.ndim
    edges[axis] = (by, -by, 0)
    return jax.lax.pad(words, jnp.uint32(0), edges)


def _otsu(levels: jax.Array) -> jax.Array:
    """The level [] at or below which the colder of two groups of pixels [n] lies."""
    number = jnp.zeros(BINS).at[levels].add(1.0)
    below = jnp.cumsum(number)
    above = levels.shape[0] - below
    mass = jnp.cumsum(number * jnp.arange(BINS))
    distance = mass / jnp.maximum(below, 1) - (mass[-1] - mass) / jnp.maximum(above, 1)
    return jnp.argmax(below * above * distance**2)


def tune_threshold(maps: jax.Array, masks: jax.Array, grid: tuple[float, ...] = GRID) -> float:
    """The threshold of `grid` with the highest mean `miou_tuned` over maps and masks [B, H, W] of one class.

    Tune on other images than those that are judged. Raises ValueError where no mask has a pixel.
    """
    means = [float(np.nanmean(miou_tuned(maps, masks, threshold=t))) if np.any(masks) else np.nan for t in grid]
    if not np.isfinite(means).any():
        raise ValueError('tune_threshold needs at least one mask that is not empty.')
    return grid[int(np.nanargmax(means))]


def effective_heat_ratio(maps: jax.Array, masks: jax.Array) -> jax.Array:
    """Effective heat ratio, [B]: the area under r_q over q = 0, 0.1 .. 1 (Qiu 2023), of heat h scaled to a maximum of
    1.

    r_q = sum of h in the mask where h >= t_q, over the number of pixels with h >= t_q, with t_q the smaller of the
    q-quantile of the pixels with h >= 0.1 and 0.99. It asks both that the heat lies in the mask and that it is hot.
    """
    heat, region = heat_and_region(maps, masks)
    return defined(jnp.where(region, heat_ratio_weights(heat), 0).sum((-2, -1)), heat, region)


def heat_ratio_weights(heat: jax.Array) -> jax.Array:
    """What a pixel of the region adds to the effective heat ratio of heat [B, H, W], [B, H, W].

    It is the pixel's heat times the sum over q of c_q [h >= t_q] / #{h >= t_q}, c_q the trapezoidal rule's weights.
    """
    peak = heat.max((-2, -1), keepdims=True)
    peak = jnp.where(peak > 0, peak, 1)
    ordered = jax.lax.bitcast_convert_type(in_order(bits(heat)), jnp.float32) / peak[..., 0]
    heat = heat / peak
    number = ordered.shape[-1]
    hot = jnp.maximum(count(heat >= LEAST), 1)[..., None]
    position = number - hot + SHARES.astype(np.float32) * (hot - 1)
    low = jnp.floor(position).astype(jnp.int32)
    lower, upper = (jnp.take_along_axis(ordered, i, -1) for i in (low, jnp.minimum(low + 1, number - 1)))
    limits = jnp.minimum(lower + (position - low) * (upper - lower), MOST)
    trapezoid = np.full(len(SHARES), 1 / (len(SHARES) - 1), np.float32)
    trapezoid[[0, -1]] /= 2
    reached = number - jnp.vectorize(jnp.searchsorted, signature='(n),(q)->(q)')(ordered, limits)
    shares, total = trapezoid / jnp.maximum(reached, 1), jnp.zeros_like(heat)
    for q in range(len(SHARES)):
        total += jnp.where(heat >= limits[..., q, None, None], shares[..., q, None, None], 0)
    return heat * total
