"""Network dissection: which annotated concepts do single units overlap with, and is it more than chance?

Bau et al. 2017 (arXiv 1704.05796) call a unit a detector where the intersection over union of its active area with a
concept is above 0.04. For small findings that bar cannot be reached - a unit that is active on a share q of the pixels
and a concept that covers a share g have at most IoU = min(q, g) / max(q, g) - and it says nothing about chance, so
that here the overlap is also compared with a null model.
"""

import math
from typing import Any

import jax
import numpy as np
import scipy

from imbalance_jax.concepts import nulls
from imbalance_jax.concepts.areas import overlap_counts
from imbalance_jax.concepts.inputs import as_features, as_pair
from imbalance_jax.concepts.quantiles import UpperQuantile
from imbalance_jax.system.shapes import takes

LITERATURE_IOU = 0.04
TOP_UNITS = 10  # of a layer, in `top_excess`


def dissect(
    features: np.ndarray,
    masks: np.ndarray,
    quantile: float = 0.005,
    null: str | None = 'circular_shift',
    rounds: int = 100,
    key: jax.Array | int | None = None,
    fdr: float = 0.05,
    chunk: int | None = None,
    *,
    weights: np.ndarray | None = None,
    patients: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Compares every unit with every concept over one probe set.

    Unit u is active where its up-sampled map exceeds T_u, with P(a_u > T_u) = `quantile` over all positions of all
    feature maps (before up-sampling, as in NetDissect; up-sampling is bilinear with half-pixel centres, NetDissect's
    aligns corners). A unit that is above 0 nowhere, or in a smaller share than `quantile`, has no such threshold: it is
    flagged and takes part in nothing, with overlap 0 and p-value 1. Activations are taken to be after a ReLU.

    The null breaks the link between unit and image content. `circular_shift` moves each image's concepts by a random
    offset on the torus, and so also finds units that merely prefer a place. `image_permutation` exchanges the concepts
    of patients (in random blocks of about 64 images) and keeps places: the stricter question on radiographs, whose
    anatomy is always in the same spot. One draw per image and round serves all units and concepts.

    features: [N, h, w, U]; masks: [N, H, W, S] bool, one layer per concept, which may overlap
    null:     'circular_shift', 'image_permutation', or None: p-values are NaN and a detector is a pair of IoU > 0.04
    rounds:   draws from the null; a pair that stands out alone is found from 1 / fdr rounds on
    key:      jax.random key of the null, or a whole number to make one of; None is 0
    fdr:      expected share of false ones among the detectors
    chunk:    images at a time; changes memory, never the result. Beyond the arguments, which may be memory maps, only
              a block of images is held, and the share `quantile` of the activations
    weights:  [N] how many images of a larger set each stands for: shares and overlaps are those of that set
    patients: [N] whose images they are; patients with equal numbers of images exchange them. None: one image each

    Returns NumPy arrays: `iou`, `ceiling` (the highest IoU that the two areas allow), `independent` (the IoU expected
    of independent areas), `excess` (IoU less its mean under the null, an effect size that does not grow with N),
    `p_value`, `p_pooled` (see `overlap_statistics`), `detector`, all [U, S]; `threshold`,
    `active_share`, `dead` (never above 0), `sparse` (above 0 in less than `quantile`, the dead included) [U];
    `concept_share` [S]; `chance_best` [S] and `chance_top` [], how large the largest `excess` of a concept and
    `top_excess` are under the null, where the largest of many is above 0 by chance alone.
    Raises ValueError for shapes that do not fit, values that are not finite and a probe set with too few positions.
    """
    features, masks = as_pair(features, masks)
    nulls.check(null, rounds)
    seen = _collect_thresholds(features, quantile, weights)
    threshold = active_threshold(seen, quantile)
    whose: dict[str, Any] = {'weights': weights, 'patients': patients}
    counted = overlap_counts(features, masks, threshold, null=null, rounds=rounds, key=key, chunk=chunk, **whose)
    return {**overlap_statistics(counted, fdr), **describe(seen, quantile)}


def thresholds(features: np.ndarray, quantile: float) -> np.ndarray:
    """The T of each unit [U] float32 with P(a > T) = `quantile` over all positions of features [N, h, w, U], exactly.

    It is the smallest activation of the unit that leaves no more than the share `quantile` above it.
    """
    return _collect_thresholds(as_features(features), quantile).threshold()


def active_threshold(seen: UpperQuantile, quantile: float) -> np.ndarray:
    """The thresholds [U] of an `UpperQuantile`, inf for a unit that is not above 0 at the share `quantile`."""
    return np.where(seen.share_positive() < quantile, np.inf, seen.threshold(quantile))


def describe(seen: UpperQuantile, quantile: float) -> dict[str, np.ndarray]:
    """`threshold`, `dead` and `sparse` [U], of an `UpperQuantile`."""
    share = seen.share_positive()
    return {'threshold': seen.threshold(quantile), 'dead': share == 0, 'sparse': share < quantile}


def _collect_thresholds(features: np.ndarray, quantile: float, weights: np.ndarray | None = None) -> UpperQuantile:
    if np.ndim(features) != 4:
        raise ValueError(f'features must be [N, h, w, U], got {np.ndim(features)} dimensions.')
    weights = np.ones(len(features)) if weights is None else np.asarray(weights)
    positions = float(weights.sum() * math.prod(features.shape[1:3]))
    seen = UpperQuantile(features.shape[-1], positions, quantile, capacity=math.inf, lightest=weights.min())
    for start in range(0, len(features), nulls.BLOCK):
        part = slice(start, start + nulls.BLOCK)
        seen.add(features[part], weights[part])
    return seen


def overlap_statistics(counted: dict[str, np.ndarray], fdr: float = 0.05) -> dict[str, np.ndarray]:
    """Turns `overlap_counts` into overlaps, p-values and detectors, all [U, S]; the keys are those of `dissect`.

    `p_value` is (1 + #{null >= observed}) / (1 + R) of each pair alone, too coarse for U x S tests. `p_pooled` compares
    the pair with the R x U null values of all active units for its concept; where none of them is as high, with those
    for all concepts, if that gives less. Each null value is standardised by the other R - 1 of its pair, the observed
    one by all R: less their mean, over their standard deviation plus the mean standard deviation of the concept, which
    tames pairs that the null hardly ever meets (the s_0 of Tusher et al. 2001). Detectors are the pairs that Benjamini
    and Hochberg's procedure on `p_pooled` accepts at `fdr`, among all pairs of a unit and a concept that have any area.

    Without null rounds the p-values are NaN and a detector is a pair with IoU > 0.04, whatever chance would give.
    """
    observed, null = counted['intersection'], counted['null']
    overlap = {**_overlap(counted), **_excess(counted)}
    if not len(null):
        unknown = np.full(observed.shape, np.nan)
        return {**overlap, 'p_value': unknown, 'p_pooled': unknown, 'detector': overlap['iou'] > LITERATURE_IOU}
    live, present = counted['active'] > 0, counted['area'] > 0
    tested = np.ix_(live, present)
    pooled, detector = np.ones(observed.shape), np.zeros(observed.shape, bool)
    if live.any() and present.any():
        pooled[tested] = _pooled_p_value(observed[tested], null[:, live][..., present])
        adjusted = scipy.stats.false_discovery_control(pooled[tested].ravel())
        detector[tested] = adjusted.reshape(pooled[tested].shape) <= fdr
    p_value = (1 + (null >= observed * (1 - 1e-12)).sum(0)) / (1 + len(null))
    return {**overlap, 'p_value': p_value, 'p_pooled': pooled, 'detector': detector}


def unique_detectors(result: dict[str, np.ndarray]) -> dict[str, Any]:
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


def top_images(features: np.ndarray, count: int) -> np.ndarray:
    """The images [U, count] of highest peak activation of each unit, best first, the lower index first among equals."""
    return highest(as_features(features).max((1, 2)), count)


@takes(peak='N U')
def highest(peak: np.ndarray, count: int) -> np.ndarray:
    """The same from each image's peaks [N, U]."""
    if not 1 <= count <= len(peak):
        raise ValueError(f'count must lie between 1 and the {len(peak)} images, got {count}.')
    return np.argsort(-peak, axis=0, kind='stable')[:count].T


def _overlap(counted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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


def _excess(counted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """IoU less its mean under the null, `excess` [U, S] (NaN without a null), and of the largest under the null:
    `chance_best` [S], mean over rounds of the highest unit's, and `chance_top` [] of `top_excess`."""
    if not len(counted['null']):
        unknown = np.full(counted['intersection'].shape, np.nan)
        return {'excess': unknown, 'chance_best': unknown[0], 'chance_top': np.array(np.nan)}
    active = np.concatenate([counted['active'][None], counted['null_active']])[..., None]
    met = np.concatenate([counted['intersection'][None], counted['null']])
    iou = _ratio(met, active + counted['area'] - met)
    excess = iou - iou[1:].mean(0)
    of_rounds = excess[1:] * len(excess[1:]) / max(len(excess[1:]) - 1, 1)  # less the mean of the other rounds
    return {
        'excess': excess[0],
        'chance_best': of_rounds.max(1).mean(0),
        'chance_top': np.mean([top_excess(one) for one in of_rounds]),
    }


def top_excess(excess: np.ndarray) -> float:
    """Mean of the highest excess of the `TOP_UNITS` units [U, S] whose highest one is largest."""
    return float(np.sort(excess.max(1))[-TOP_UNITS:].mean())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _pooled_p_value(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """The upper-tail p-values [U, S] that `overlap_statistics` describes, of observed [U, S] among null [R, U, S]."""
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
    of_concept = np.sort(chance.reshape(-1, observed.shape[1]), axis=0)
    as_high = [len(pool) - np.searchsorted(pool, column) for pool, column in zip(of_concept.T, score.T, strict=True)]
    p_value = (1 + np.stack(as_high, axis=1)) / (1 + len(of_concept))
    # A concept's own pool is too coarse for one pair among U x S: what is beyond it is held against all pools.
    of_all = np.sort(of_concept, axis=None)
    finer = (1 + len(of_all) - np.searchsorted(of_all, score)) / (1 + len(of_all))
    return np.where(np.stack(as_high, axis=1) > 0, p_value, np.minimum(p_value, finer))
