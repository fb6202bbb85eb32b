"""AUROC and average precision of one member on the device, counted in integers up to the last step.

`scores.ranking` is their float64 on the host, with weights. Without float64 a sum over the pairs of a positive and a
negative is out of reach of float32, which is exact only up to 2^24, and of 32 bits. Here every sum is one of whole
numbers in digits of 12 bits, exact whatever the order of the examples and whatever `jax_enable_x64` says.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from imbalance_jax.system.shapes import takes

DIGIT = 12  # bits: whole numbers up to 2^24 have two digits, and each is summed for itself
LIMIT = 1 << 19  # examples: a sum of so many digits fits into a uint32, and so does a remainder followed by one
ONE = 1 << 2 * DIGIT  # the unit of fixed point, which is that of a float32 below 1
NOBODY = jnp.iinfo(jnp.int32).max  # sorts behind every score


def _digits(value):
    return value >> DIGIT, value % (1 << DIGIT)


def _divide(digits, divisor):
    """Quotient and remainder by long division: `digits` in base 2^12, highest first, need not fit into 32 bits."""
    quotient, rest = 0, jnp.uint32(0)
    for digit in digits:
        carried = (rest << DIGIT) + digit
        quotient, rest = (quotient << DIGIT) + carried // divisor, carried % divisor
    return quotient, rest


def _total(values, kept):
    """Digits of the sum [K] over the whole numbers [K, N] that are kept, the lower without a carry."""
    return [jnp.sum(digit, axis=1, where=kept, dtype=jnp.uint32) for digit in _digits(values)]


def _keys(scores):
    """Integers in the order of float32 scores, 0 for both zeros: sign and magnitude become two's complement.

    XLA sorts them several times faster than floats, or than floats with their labels.
    """
    bits = jax.lax.bitcast_convert_type(scores.astype(jnp.float32), jnp.int32)
    return jnp.where(bits < 0, jnp.iinfo(jnp.int32).min - bits, bits)


def _rank_of(thresholds, ordered, side):
    """How many of `ordered` [K, N] are below ('left') or not above ('right') each threshold [K, N], as uint32."""
    return jax.vmap(partial(jnp.searchsorted, side=side))(ordered, thresholds).astype(jnp.uint32)


def _auroc(twice_beaten, kept, positives, negatives):
    """AUROC [K] from twice the number of negatives [K, N] that each kept positive beats."""
    mean, rest = _divide(_total(twice_beaten, kept), positives)
    behind_point = _digits(_divide([rest, 0, 0], positives)[0])
    twice, _ = _divide([mean, behind_point[0], behind_point[1] + negatives // 2], negatives)
    return twice.astype(jnp.float32) / (2 * ONE)


def _average_precision(true, flagged, kept, positives):
    """AP [K] from the positives and examples [K, N] not below each kept positive: the mean of their quotients."""
    precision, _ = _divide([true, 0, flagged // 2], flagged)
    high, low = _total(precision, kept)
    mean, _ = _divide([high, low + positives // 2], positives)
    return mean.astype(jnp.float32) / ONE


@takes(logits='N K', labels='N K', label_mask='N K')
def ranking(logits: Array, labels: Array, label_mask: Array) -> dict[str, Array]:
    """{'auroc', 'average_precision'}, each [K] float32, of logits, labels and mask [N, K].

    With m positives and n negatives of a class, the sums running over the positives i,

        AUROC = sum_i (negatives below i + negatives not above i) / (2 m n)
        AP    = 1 / m * sum_i (positives not below i) / (examples not below i)

    AUROC is Mann and Whitney's U with midranks over mn (Hanley and McNeil 1982), AP the sum over distinct thresholds
    `sum_t (R_t - R_t-1) P_t` without interpolation (Davis and Goadrich 2006, scikit-learn): tied scores count half
    and are one threshold. Scores are compared as float32; labels are 1 or else negative; mask 0 counts nowhere,
    whatever stands there. Both are NaN, as in `scores.ranking`, for a class without positives, without negatives
    or with a counted score that is not finite.

    Sums and quotients are whole numbers, rounded to 2^-24 or finer: neither the order of the examples nor the device
    nor the mapping over members changes a bit. The absolute error of both is at most 2^-24 < 6e-8. ValueError for
    more than 2^19 = 524288 examples, and for shapes that differ.
    """
    if not logits.shape == labels.shape == label_mask.shape or logits.ndim != 2 or len(logits) > LIMIT:
        shapes = f'logits {logits.shape}, labels {labels.shape}, label_mask {label_mask.shape}'
        raise ValueError(f'Shapes do not fit: {shapes}; valid is [N, K] for all, with N up to {LIMIT}.')
    logits, counted, positive = logits.T, (label_mask > 0).T, (labels == 1).T & (label_mask > 0).T
    groups = jnp.stack([positive, counted & ~positive])
    hits, others = jax.lax.sort(jnp.where(groups, _keys(logits), NOBODY), is_stable=False)
    positives, negatives = jnp.sum(groups, axis=2, dtype=jnp.uint32)
    some_positives, some_negatives = jnp.maximum(positives, 1), jnp.maximum(negatives, 1)
    kept = jnp.arange(logits.shape[1]) < positives[:, None]

    below, not_above = (_rank_of(hits, others, side) for side in ('left', 'right'))
    true = positives[:, None] - _rank_of(hits, hits, 'left')
    flagged = jnp.maximum(true + negatives[:, None] - below, 1)
    values = {
        'auroc': _auroc(below + not_above, kept, some_positives, some_negatives),
        'average_precision': _average_precision(true, flagged, kept, some_positives),
    }
    defined = (positives > 0) & (negatives > 0) & jnp.all(jnp.isfinite(logits) | ~counted, axis=1)
    return {name: jnp.where(defined, value, jnp.nan) for name, value in values.items()}


@takes(scores='N K', labels='N K', weights='N K')
def weighted_auroc(scores: Array, labels: Array, weights: Array) -> Array:
    """AUROC [K] float32 of scores and labels [N, K] of examples that count weights [N, K], ties half.

    With w the weights, `sum_i w_i (w below i + w of equals / 2) / (sum w of positives, sum w of negatives)` over the
    positives i. NaN as in `ranking`. Sums are float32: the error is about 1e-6.
    """

    def one_class(score, label, weight):
        positive = label == 1
        hits, others = jnp.where(positive, weight, 0.0), jnp.where(positive, 0.0, weight)
        ordered, total = jax.lax.sort_key_val(_keys(score), others)
        total = jnp.concatenate([jnp.zeros(1), jnp.cumsum(total)])
        key = _keys(score)
        below, not_above = (total[jnp.searchsorted(ordered, key, side=side)] for side in ('left', 'right'))
        value = (hits * (below + not_above)).sum() / (2 * hits.sum() * total[-1])
        finite = jnp.all(jnp.isfinite(score) | (weight == 0))
        return jnp.where(finite & (hits.sum() > 0) & (total[-1] > 0), value, jnp.nan)

    return jax.vmap(one_class, in_axes=1)(scores, labels, weights)
