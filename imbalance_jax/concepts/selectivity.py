"""How well single units tell a class from the others, with intervals over patients."""

import numpy as np
from scipy import sparse, stats


def unit_auroc(
    activation: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    patients: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, np.ndarray]:
    """AUROC of every unit as a detector of every class, its interval, and a test that it is 0.5.

    The variance is DeLong's from placements, with the images of a patient together (Obuchowski 1997); p is two-sided
    and normal. Where the ranking is perfect this variance is 0, and p is that of Mann and Whitney's statistic.

    activation: [N, U], such as means or peaks of maps; labels, mask: [N, K]; patients: [N], each image its own if None.
    Returns `auroc`, `low`, `high`, `p_value`, all [U, K]; NaN for a class with fewer than two positives or negatives.
    """
    activation, labels = np.asarray(activation, np.float64), np.asarray(labels) == 1
    mask = np.ones(labels.shape, bool) if mask is None else np.asarray(mask) > 0
    patients = np.arange(len(labels)) if patients is None else np.asarray(patients)
    if activation.ndim != 2 or labels.shape != mask.shape or not len(activation) == len(labels) == len(patients):
        shapes = f'activation {activation.shape}, labels {labels.shape}, mask {mask.shape}'
        raise ValueError(f'Shapes do not fit: {shapes}; valid are [N, U], [N, K] and [N, K], with patients [N].')
    result = {name: np.full((activation.shape[1], labels.shape[1]), np.nan) for name in ('auroc', 'error', 'p_value')}
    for k, (positive, kept) in enumerate(zip(labels.T, mask.T, strict=True)):
        if min((positive & kept).sum(), (~positive & kept).sum()) > 1:
            values = _one_class(activation[kept], positive[kept], patients[kept])
            for name, value in zip(result, values, strict=True):
                result[name][:, k] = value
    half = stats.norm.ppf((1 + confidence) / 2) * result.pop('error')
    ends = {'low': np.maximum(result['auroc'] - half, 0), 'high': np.minimum(result['auroc'] + half, 1)}
    return {**result, **ends}


def _one_class(
    activation: np.ndarray, positive: np.ndarray, patients: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUROC, its standard error and p, each [U]."""
    m, n = positive.sum(), (~positive).sum()
    ranks = stats.rankdata(activation, axis=0)
    above = (ranks[positive] - stats.rankdata(activation[positive], axis=0)) / n
    below = 1 - (ranks[~positive] - stats.rankdata(activation[~positive], axis=0)) / m
    auroc = above.mean(0)
    of_positives = _by_patient(above - auroc, patients[positive], patients)
    of_negatives = _by_patient(below - auroc, patients[~positive], patients)
    with_positive, with_negative, every = (
        len(np.unique(p)) for p in (patients[positive], patients[~positive], patients)
    )
    variance = _inflation(with_positive) * (of_positives**2).sum(0) / m**2
    variance = variance + _inflation(with_negative) * (of_negatives**2).sum(0) / n**2
    variance = variance + 2 * _inflation(every) * (of_positives * of_negatives).sum(0) / (m * n)
    error = np.sqrt(np.maximum(variance, 0))
    by_chance = np.sqrt((m + n + 1) / (12 * m * n))
    z = (auroc - 0.5) / np.where(error > 1e-12, error, by_chance)
    return auroc, error, 2 * stats.norm.sf(np.abs(z))


def _inflation(count: int) -> float:
    return count / (count - 1) if count > 1 else np.nan


def _by_patient(values: np.ndarray, patients: np.ndarray, everyone: np.ndarray) -> np.ndarray:
    """Sums [patients of `everyone`, U] of values [n, U]."""
    names = np.unique(everyone)
    row = np.searchsorted(names, patients)
    return sparse.csr_array((np.ones(len(row)), (row, np.arange(len(row)))), (len(names), len(values))) @ values


def class_selectivity(
    activation: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    weights: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, np.ndarray]:
    """How much more a unit responds to its preferred class than to the others (Morcos et al. 2018, arXiv 1803.06959).

    (a - b) / (a + b), with a the highest of the classes' mean activations and b the mean of the other classes'; 0 for a
    unit that prefers nothing, 1 for one that is silent for all other classes. Images count for every class they have.

    activation: [N, U], not negative; labels, mask: [N, K]; weights: [R, N], how often an image counts in each bootstrap
    round (`statistics.cluster_weights`), for the percentile interval; without, the interval is NaN.
    Returns `selectivity`, `low`, `high` [U] float64 and `preferred` [U] int. NaN, and -1, for a unit that is silent and
    where fewer than two classes have positives.
    """
    activation, positive = np.asarray(activation, np.float64), np.asarray(labels) == 1
    positive = positive if mask is None else positive & (np.asarray(mask) > 0)
    value, preferred = _selectivity(activation, positive, np.ones((1, len(activation))))
    low = high = np.full(activation.shape[1], np.nan)
    if weights is not None:
        resampled = np.concatenate([_selectivity(activation, positive, part)[0] for part in _slices(weights)])
        tails = ((1 - confidence) / 2, (1 + confidence) / 2)
        defined = [column[np.isfinite(column)] for column in resampled.T]
        ends = [np.quantile(column, tails) if len(column) else (np.nan, np.nan) for column in defined]
        low, high = np.array(ends).reshape(-1, 2).T
    return {'selectivity': value[0], 'preferred': preferred[0], 'low': low, 'high': high}


def _slices(weights: np.ndarray) -> list[np.ndarray]:
    return np.array_split(np.asarray(weights, np.float64), -(-len(weights) // 64))


def _selectivity(activation: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Selectivity and preferred class [R, U] under weights [R, N]."""
    means = np.full((len(weights), activation.shape[1], positive.shape[1]), np.nan)
    for k, chosen in enumerate(positive.T):
        number = weights[:, chosen].sum(1)
        total = weights[:, chosen] @ activation[chosen]
        np.divide(total, number[:, None], out=means[..., k], where=number[:, None] > 0)
    known = np.isfinite(means)
    preferred = np.where(known, means, -np.inf).argmax(-1)
    highest = np.take_along_axis(means, preferred[..., None], -1)[..., 0]
    count = known.sum(-1)
    with np.errstate(invalid='ignore', divide='ignore'):
        others = (np.where(known, means, 0).sum(-1) - highest) / (count - 1)
        value = (highest - others) / (highest + others)
    value = np.where(count > 1, value, np.nan)
    return value, np.where(np.isfinite(value), preferred, -1)
