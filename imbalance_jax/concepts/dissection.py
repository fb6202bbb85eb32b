"""Network dissection: which annotated concepts do single units overlap with, and is it more than chance?

Bau et al. 2017 (arXiv 1704.05796) call a unit a detector where the intersection over union of its active area with a
concept is above 0.04. For small findings that bar cannot be reached - a unit that is active on a share q of the pixels
and a concept that covers a share g have at most IoU = min(q, g) / max(q, g) - and it says nothing about chance, so
that here the overlap is also compared with a null model.
"""

import jax
import numpy as np
from scipy import stats

from imbalance_jax.concepts.counting import upsample
from imbalance_jax.names import lookup

LITERATURE_IOU = 0.04
PIXELS_AT_ONCE = 2**24  # up-sampled activations held at a time


def dissect(features, masks, quantile=0.005, null='circular_shift', rounds=100, key=None, fdr=0.05, chunk=None):
    """Compares every unit with every concept over one probe set.

    Unit u is active where its up-sampled map exceeds T_u, with P(a_u > T_u) = `quantile` over all positions of all
    feature maps (before up-sampling, as in NetDissect; up-sampling is bilinear with half-pixel centres, NetDissect's
    aligns corners). A unit that is above 0 nowhere, or in a smaller share than `quantile`, has no such threshold: it is
    flagged and takes part in nothing, with overlap 0 and p-value 1. Activations are taken to be after a ReLU.

    The null breaks the link between unit and image content. `circular_shift` moves each image's concepts by a random
    offset on the torus, and so also finds units that merely prefer a place. `image_permutation` exchanges the concepts
    of images and keeps places: the stricter question on radiographs, whose anatomy is always in the same spot. One draw
    an image and round serves all units and concepts.

    features: [N, h, w, U]; masks: [N, H, W, S] bool, one layer a concept, which may overlap
    null:     'circular_shift', 'image_permutation', or None: p-values are NaN and a detector is a pair of IoU > 0.04
    rounds:   draws from the null; with R of them, nothing is found unless about S / (fdr * R) pairs stand out
    key:      jax.random key of the null; None is `jax.random.key(0)`
    fdr:      expected share of false ones among the detectors
    chunk:    images at a time; changes memory, never the result. Beyond the arguments only one chunk is held, and
              for `image_permutation` the masks once more, as one small integer a pixel

    Returns NumPy arrays: `iou`, `ceiling` (the highest IoU that the two areas allow), `independent` (the IoU expected
    of independent areas), `p_value`, `p_pooled` (see `judge`), `detector`, all [U, S]; `threshold`, `active_share`,
    `dead` (never above 0), `sparse` (above 0 in less than `quantile`, the dead included) [U]; `concept_share` [S].
    Raises ValueError for shapes that do not fit, values that are not finite and a probe set with too few positions.
    """
    features = np.asarray(features, np.float32)
    threshold = thresholds(features, quantile)
    positive = (features > 0).mean((0, 1, 2))
    silent = positive < quantile
    counted = tally(features, masks, np.where(silent, np.inf, threshold), null, rounds, key, chunk)
    return {**judge(counted, fdr), 'threshold': threshold, 'dead': positive == 0, 'sparse': silent}


def thresholds(features, quantile):
    """The T of each unit [U] float32 with P(a > T) = `quantile` over all positions of features [N, h, w, U].

    It is the smallest activation of the unit that leaves no more than the share `quantile` above it.
    """
    features = np.asarray(features, np.float32)
    if features.ndim != 4:
        raise ValueError(f'features must be [N, h, w, U], got {features.ndim} dimensions.')
    if not np.isfinite(features).all():
        raise ValueError(f'features hold {np.count_nonzero(~np.isfinite(features))} values that are not finite.')
    values = features.reshape(-1, features.shape[-1])
    above = int(quantile * len(values) + 1e-6)
    if not 1 <= above < len(values):
        raise ValueError(f'quantile must lie between 1 / {len(values)} (one position) and 1, got {quantile}.')
    rank = len(values) - 1 - above
    return np.array([np.partition(unit_values, rank)[rank] for unit_values in values.T])


def tally(features, masks, threshold, null=None, rounds=100, key=None, chunk=None):
    """Areas of units and concepts over some images, in pixels; tallies of parts of a probe set add up, leaf by leaf.

    threshold: [U], inf for a unit that is to be left out; the other arguments as in `dissect`. Parts of a probe set
    need keys of their own (`jax.random.fold_in(key, part)`), and `image_permutation` exchanges images within a part.

    Returns int64 arrays: `intersection` [U, S], `active` [U], `area` [S], `pixels` [], and the intersections under the
    null, `null` [R, U, S] (R is `rounds`, or 0 without a null).
    """
    features, masks, threshold = np.asarray(features, np.float32), np.asarray(masks, bool), np.asarray(threshold)
    _check(features, masks, threshold)
    if null and rounds < 2:
        raise ValueError(f'rounds must be at least 2, got {rounds}.')
    images, height, width, concepts = masks.shape
    units = features.shape[-1]
    chunk = chunk or max(1, PIXELS_AT_ONCE // (units * height * width))
    draw, make_meet = lookup(NULLS, null, 'null model') if null else (_no_draws, _meet_shifted)
    draws = draw(jax.random.key(0) if key is None else key, rounds, images, height * width)
    meet = make_meet(masks)

    intersection, active = np.zeros((len(draws), units, concepts)), np.zeros(units, np.int64)
    for start in range(0, images, chunk):
        part = slice(start, start + chunk)
        image, unit, row, column = _active(features[part], threshold, (height, width))
        active += np.bincount(unit, minlength=units)
        code, stride, origins, table = meet(part, draws[:, part])
        position, key_of_unit = row * stride + column, unit * len(table)
        repeats = np.bincount(image, minlength=origins.shape[1])
        for draw_number, origin in enumerate(origins):
            met = code[position + np.repeat(origin, repeats)]
            histogram = np.bincount(key_of_unit + met, minlength=units * len(table))
            intersection[draw_number] += histogram.reshape(units, -1) @ table
    return {
        'intersection': intersection[0].astype(np.int64),
        'active': active,
        'area': masks.sum((0, 1, 2), dtype=np.int64),
        'pixels': np.int64(images * height * width),
        'null': intersection[1:].astype(np.int64),
    }


def judge(counted, fdr=0.05):
    """Turns a tally into overlaps, p-values and detectors, all [U, S]; the keys are those of `dissect`.

    `p_value` is (1 + #{null >= observed}) / (1 + R) of each pair alone, too coarse for U x S tests. `p_pooled` compares
    the pair with the R x U null values of all active units for its concept. Each null value is standardised by the
    other R - 1 of its pair, the observed one by all R: less their mean, over their standard deviation plus the mean
    standard deviation of the concept, which tames pairs that the null hardly ever meets (the s_0 of Tusher et al.
    2001). Detectors are the pairs that Benjamini and Hochberg's procedure on `p_pooled` accepts at `fdr`, among all
    pairs of a unit and a concept that have any area.

    Without null rounds the p-values are NaN and a detector is a pair with IoU > 0.04, whatever chance would give.
    """
    observed, null = counted['intersection'], counted['null']
    overlap = _overlap(counted)
    if not len(null):
        unknown = np.full(observed.shape, np.nan)
        return {**overlap, 'p_value': unknown, 'p_pooled': unknown, 'detector': overlap['iou'] > LITERATURE_IOU}
    live = counted['active'] > 0
    tested = live[:, None] & (counted['area'] > 0)
    pooled, detector = np.ones(observed.shape), np.zeros(observed.shape, bool)
    if tested.any():
        pooled[live] = _pooled_p_value(observed[live], null[:, live])
        detector[tested] = stats.false_discovery_control(pooled[tested]) <= fdr
    p_value = (1 + (null >= observed).sum(0)) / (1 + len(null))
    return {**overlap, 'p_value': p_value, 'p_pooled': pooled, 'detector': detector}


def unique_detectors(result):
    """Labels each detector unit with its best concept, the one of highest IoU among those that it detects.

    Returns `units`, the number of detector units; `concepts`, the number of different labels; `per_concept` [S], the
    units of each label; `best_concept` [U], -1 for a unit that detects nothing.
    """
    detector = result['detector']
    best = np.where(detector.any(1), np.where(detector, result['iou'], -1).argmax(1), -1)
    per_concept = np.bincount(best[best >= 0], minlength=detector.shape[1])
    return {
        'units': int((best >= 0).sum()),
        'concepts': int((per_concept > 0).sum()),
        'per_concept': per_concept,
        'best_concept': best,
    }


def top_images(features, count):
    """The images [U, count] of highest peak activation of each unit, best first, the lower index first among equals."""
    peak = np.asarray(features).max((1, 2))
    if not 1 <= count <= len(peak):
        raise ValueError(f'count must lie between 1 and the {len(peak)} images, got {count}.')
    return np.argsort(-peak, axis=0, kind='stable')[:count].T


def _overlap(counted):
    """IoU, its ceiling and its value for independent areas, each 0 where both areas are empty."""
    q, g = counted['active'][:, None] / counted['pixels'], counted['area'] / counted['pixels']
    union = counted['active'][:, None] + counted['area'] - counted['intersection']
    return {
        'iou': _ratio(counted['intersection'], union),
        'ceiling': _ratio(np.minimum(q, g), np.maximum(q, g)),
        'independent': _ratio(q * g, q + g - q * g),
        'active_share': q[:, 0],
        'concept_share': g,
    }


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _pooled_p_value(observed, null):
    """The upper-tail p-values [U, S] that `judge` describes, of observed [U, S] among null [R, U, S]."""
    rounds = len(null)
    null, spread = null.astype(float), null.std(0).mean(0)

    def standardise(value, total, squares, number):
        mean = total / number
        deviation = np.sqrt(np.maximum(squares / number - mean**2, 0))
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.nan_to_num((value - mean) / (deviation + spread), nan=0, posinf=np.inf, neginf=-np.inf)

    total, squares = null.sum(0), (null**2).sum(0)
    score = standardise(observed, total, squares, rounds)
    chance = standardise(null, total - null, squares - null**2, rounds - 1)
    chance = np.sort(chance.reshape(-1, observed.shape[1]), axis=0)
    as_high = [len(pool) - np.searchsorted(pool, column) for pool, column in zip(chance.T, score.T, strict=True)]
    return (1 + np.stack(as_high, axis=1)) / (1 + len(chance))


def _active(features, threshold, size):
    """Image, unit, row and column of every active pixel, images ascending.

    Only maps with a value above the threshold are enlarged: interpolation does not exceed what it interpolates.
    """
    maps = np.moveaxis(features, -1, 1)
    image, unit = np.nonzero(maps.max((2, 3)) > threshold)
    plane = upsample(maps[image, unit], size) > threshold[unit, None, None]
    plane, pixel = np.divmod(np.flatnonzero(plane), size[0] * size[1])
    return image[plane], unit[plane], *np.divmod(pixel, size[1])


# Intersections are counted, not multiplied out: units are active on few pixels, and the pixels of all masks hold few
# different sets of concepts. So each active pixel of a unit looks up the code of the set it meets, a histogram over
# (unit, code) follows, and the table of sets spreads it over concepts. Under a null, a pixel merely looks elsewhere.


def _encode(masks):
    """The set of concepts at each pixel: code [n, H, W], and the sets themselves as a table [codes, S] of 0 and 1."""
    code = np.zeros(masks.shape[:-1], np.int32)
    for byte in np.moveaxis(np.packbits(masks, axis=-1), -1, 0):
        code = code * 256 + byte
        used = np.zeros(code.max() + 1, bool)
        used[code] = True
        code = (np.cumsum(used, dtype=np.int32) - 1)[code]
    representative = np.empty(code.max() + 1, np.int64)
    representative[code.ravel()] = np.arange(code.size)
    sets = masks.reshape(-1, masks.shape[-1])[representative].astype(float)
    return code.astype(np.min_scalar_type(len(sets) - 1)), sets


def _no_draws(key, rounds, images, pixels):
    return np.zeros((1, images), np.int64)


def _draw_shifts(key, rounds, images, pixels):
    """Offsets [1 + R, N] on the torus, row * W + column; the first row is no shift."""
    offsets = np.asarray(jax.random.randint(key, (rounds, images), 0, pixels))
    return np.concatenate([np.zeros((1, images), offsets.dtype), offsets])


def _draw_permutations(key, rounds, images, pixels):
    """Orders of the images [1 + R, N]; the first row leaves them in place."""
    order = np.argsort(np.asarray(jax.random.uniform(key, (rounds, images))), axis=1, kind='stable')
    return np.concatenate([np.arange(images)[None], order])


def _meet_shifted(masks):
    """Looks concepts up at shifted places: each image's codes are laid out twice in both directions, to wrap around."""

    def meet(part, draws):
        code, table = _encode(masks[part])
        images, height, width = code.shape
        down, across = np.divmod(draws.astype(np.int64), width)
        origins = np.arange(images) * (4 * height * width) + down * (2 * width) + across
        return np.tile(code, (1, 2, 2)).ravel(), 2 * width, origins, table

    return meet


def _meet_exchanged(masks):
    """Looks concepts up at the same place of other images, for which the codes of all images are kept."""
    code, table = _encode(masks)
    _, height, width = code.shape

    def meet(part, draws):
        return code.ravel(), width, draws * (height * width), table

    return meet


NULLS = {
    'circular_shift': (_draw_shifts, _meet_shifted),
    'image_permutation': (_draw_permutations, _meet_exchanged),
}


def _check(features, masks, threshold):
    if masks.ndim != 4 or len(masks) != len(features):
        raise ValueError(f'masks must be [N, H, W, S] with N = {len(features)}, got shape {masks.shape}.')
    if threshold.shape != features.shape[-1:]:
        raise ValueError(f'threshold must be [U] = {features.shape[-1:]}, got {threshold.shape}.')
