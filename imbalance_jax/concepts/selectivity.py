"""How well single units tell a class from the others, with intervals over patients."""

from typing import NamedTuple

import numpy as np
import scipy

from imbalance_jax.system.shapes import Anything, takes


@takes(activation='N U', labels='N K', mask='N K', patients=Anything('N'), weights='N')
def unit_auroc(
    activation: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    patients: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    least: int = 2,
    confidence: float = 0.95,
) -> dict[str, np.ndarray]:
    """AUROC of every unit as a detector of every class, its interval, and a test that it is 0.5.

    The variance is DeLong's from placements, with the images of a patient together (Obuchowski 1997). Ends and p are
    Student's on the scale of log odds, with Satterthwaite's degrees of freedom from the patients with and those without
    the class. Where the ranking is perfect the variance is 0: p is Mann and Whitney's then, and there is no interval.

    activation: [N, U], such as means or peaks of maps; labels, mask: [N, K]; patients: [N], each image its own if None;
    weights: [N], how many images each stands for; least: patients with a class and without below which it has no
    interval and no p. Returns `auroc`, `low`, `high`, `p_value`, all [U, K]; NaN for a class with fewer than two
    positives or negatives.
    """
    activation, labels = np.asarray(activation, np.float64), np.asarray(np.asarray(labels) == 1)
    mask = np.ones(labels.shape, bool) if mask is None else np.asarray(mask) > 0
    patients = np.arange(len(labels)) if patients is None else np.asarray(patients)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    result = {name: np.full((activation.shape[1], labels.shape[1]), np.nan) for name in ('auroc', 'error', 'df', 'p')}
    order = _Order.of(activation)
    for k, (positive, kept) in enumerate(zip(labels.T, mask.T, strict=True)):
        if min((positive & kept).sum(), (~positive & kept).sum()) > 1:
            ranked = order if kept.all() else _Order.of(activation[kept])
            values = _one_class(ranked, positive[kept], patients[kept], weights[kept])
            few = min(len(np.unique(patients[kept & side])) for side in (positive, ~positive)) < max(least, 2)
            for name, value in zip(result, values, strict=True):
                result[name][:, k] = np.nan if few and name != 'auroc' else value
    auroc = result['auroc']
    with np.errstate(divide='ignore', invalid='ignore'):
        odds = np.log(auroc / (1 - auroc))
        half = scipy.stats.t.ppf((1 + confidence) / 2, result['df']) * result['error'] / (auroc * (1 - auroc))
        low, high = (np.where(result['error'] > 1e-9, scipy.special.expit(odds - s * half), np.nan) for s in (1, -1))
    return {'auroc': auroc, 'low': low, 'high': high, 'p_value': result['p']}


class _Order(NamedTuple):
    """Images in the order of each unit's activations: order, and first and last place of equals, all [N, U]."""

    order: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, activation: np.ndarray) -> '_Order':
        order = np.argsort(activation, axis=0, kind='stable')
        ordered = np.take_along_axis(activation, order, axis=0)
        place = np.arange(len(order))[:, None]
        new = np.concatenate([np.ones((1, order.shape[1]), bool), ordered[1:] > ordered[:-1]])
        ends = np.concatenate([new[1:], new[:1]])
        first = np.maximum.accumulate(np.where(new, place, 0), axis=0)
        last = np.minimum.accumulate(np.where(ends, place, len(order))[::-1], axis=0)[::-1]
        return cls(order, first, last)

    def below(self, weights: np.ndarray) -> np.ndarray:
        """How much of the weights [N] lies below every image, that of equals half, [N, U]."""
        total = np.concatenate([np.zeros((1, self.order.shape[1])), np.cumsum(weights[self.order], axis=0)])
        middle = np.take_along_axis(total, self.first, axis=0) + np.take_along_axis(total, self.last + 1, axis=0)
        result = np.empty(self.order.shape)
        np.put_along_axis(result, self.order, middle / 2, axis=0)
        return result


def _one_class(
    ranked: _Order, positive: np.ndarray, patients: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """AUROC, its standard error, degrees of freedom and p, each [U]."""
    of_positives, of_negatives = (np.where(side, weights, 0) / weights[side].sum() for side in (positive, ~positive))
    above = ranked.below(of_negatives)  # share of negatives below each image
    auroc = np.minimum(of_positives @ above, 1)
    beaten = 1 - ranked.below(of_positives)
    sums = _sums_by_patient(patients)
    parts = [sums @ (share[:, None] * (v - auroc)) for share, v in ((of_positives, above), (of_negatives, beaten))]
    counts = [len(np.unique(patients[side])) for side in (positive, ~positive)]
    variances = [_inflation(n) * (part**2).sum(0) for n, part in zip(counts, parts, strict=True)]
    together = 2 * _inflation(sums.shape[0]) * (parts[0] * parts[1]).sum(0)
    variance = np.maximum(variances[0] + variances[1] + together, 0)
    with np.errstate(divide='ignore', invalid='ignore'):
        df = variance**2 / sum(v**2 / (n - 1) for v, n in zip(variances, counts, strict=True))
    error = np.sqrt(variance)
    m, n = ((weights[side].sum() ** 2) / (weights[side] ** 2).sum() for side in (positive, ~positive))
    by_chance = np.sqrt((m + n + 1) / (12 * m * n))
    with np.errstate(divide='ignore', invalid='ignore'):
        t = np.log(auroc / (1 - auroc)) * auroc * (1 - auroc) / error
    p = 2 * scipy.stats.t.sf(np.abs(t), df)
    return auroc, error, df, np.where(error > 1e-9, p, 2 * scipy.stats.norm.sf(np.abs(auroc - 0.5) / by_chance))


def _inflation(count: int) -> float:
    return count / (count - 1) if count > 1 else np.nan


def _sums_by_patient(patients: np.ndarray) -> 'scipy.sparse.csr_array':
    """The matrix [patients, n] that adds up what is of one patient."""
    which = np.unique(patients, return_inverse=True)[1]
    return scipy.sparse.csr_array((np.ones(len(which)), (which, np.arange(len(which)))), (which.max() + 1, len(which)))


@takes(labels='N K', mask='N K')
def with_healthy(labels: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Labels and mask [N, K + 1] with 'no finding' as the last class: images of which every label is known and 0."""
    labels, mask = np.asarray(labels), np.asarray(mask)
    known = np.all(mask > 0, axis=1)
    healthy = known & ~np.any(labels * mask > 0, axis=1)
    return [np.concatenate([one, last[:, None]], axis=1) for one, last in ((labels, healthy), (mask, known))]
