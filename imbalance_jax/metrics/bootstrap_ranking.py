"""AUROC and average precision of many members under many weights of the examples, such as rounds of a bootstrap.

NumPy float64 on the host; ties are exact.
"""

import numpy as np
import scipy

# Numbers that are ranked at a time, to bound the memory of a bootstrap (32 MiB of float64): examples x rounds, and
# members x thresholds x rounds.
BLOCK = 1 << 22


def _weight_of_bins(bins: np.ndarray, number: int, weights: np.ndarray) -> np.ndarray:
    """Weight [M, number, R] in every bin of the examples that lie in `bins` [M, n], for all rounds [n, R], in one
    product."""
    members, examples = bins.shape
    rows = (bins + number * np.arange(members)[:, None]).ravel()
    membership = (np.ones(rows.size), (rows, np.tile(np.arange(examples), members)))
    total = scipy.sparse.csr_array(membership, shape=(members * number, examples)) @ weights
    return total.reshape(members, number, -1)


def _rank(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC and AP [2, R, M] of scores [M, N], labels [N] bool, weights [N, R].

    Only the scores of positives can change either, so they are the thresholds; of equal ones the first counts, and the
    others weigh nothing. Every negative lies on one or between two of them: in bin 2i + 1 if it ties with threshold i,
    in bin 2i if it is below it and above threshold i - 1.
    """
    thresholds = np.sort(scores[:, positive], axis=1)
    number = thresholds.shape[1]
    bins = np.stack([np.searchsorted(*pair) for pair in zip(thresholds, scores, strict=True)])
    tied = np.take_along_axis(thresholds, np.minimum(bins, number - 1), axis=1) == scores
    hits = _weight_of_bins(bins[:, positive], number, weights[positive])
    others = _weight_of_bins((2 * bins + tied)[:, ~positive], 2 * number + 1, weights[~positive])
    up_to = np.cumsum(others, axis=1)  # sums in one order, however many rounds there are: those of NumPy's `sum` differ
    below, total = up_to[:, :-1:2], up_to[:, -1]
    true = np.cumsum(hits[:, ::-1], axis=1)[:, ::-1]
    every, false = true[:, 0], total[:, None] - below
    pairs = np.cumsum(hits * (below + others[:, 1::2] / 2), axis=1)[:, -1]
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
    with np.errstate(invalid='ignore'):
        values = [pairs / (every * total), np.cumsum(hits * precision, axis=1)[:, -1] / every]
        return np.swapaxes(np.where(total * every > 0, values, np.nan), 1, 2)


def _rank_members(scores: np.ndarray, labels: np.ndarray, mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC and AP [2, R, M, K] of scores [M, N, K] under the weights [R, N]."""
    values = np.full((2, len(weights), len(scores), labels.shape[1]), np.nan)
    for k in range(labels.shape[1]):
        kept = mask[:, k]
        positive, columns = labels[kept, k], scores[:, kept, k]
        judged = np.flatnonzero(np.isfinite(columns).all(axis=1) & positive.any())
        rounds = np.ascontiguousarray(weights[:, kept].T, np.float64)
        at_once = max(1, BLOCK // max(1, (2 * positive.sum() + 1) * len(weights) + len(positive)))
        for start in range(0, len(judged), at_once):
            members = judged[start : start + at_once]
            values[:, :, members, k] = _rank(columns[members], positive, rounds)
    return values


def weighted_ranking(scores: np.ndarray, labels: np.ndarray, mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC and AP [2, R, M, K] of scores [M, N, K], labels and mask [N, K] bool, under the weights [R, N]."""
    blocks = np.array_split(weights, max(1, min(len(weights), weights.size // BLOCK)))
    return np.concatenate([_rank_members(scores, labels, mask, block) for block in blocks], axis=1)
