"""How often do two networks decide differently, whatever the scale of their scores?"""

import numpy as np

from imbalance_jax.metrics.inputs import require_fit
from imbalance_jax.system.shapes import takes


@takes(scores='P N K')
def matched_decisions(scores: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Decisions [P, N, K] bool at a threshold per member and class with which as many images are positive as truly are.

    scores [P, N, K]; labels, mask [N, K]: of entries with mask 0 none is positive. Of equal scores the first is higher.
    """
    require_fit(scores, labels=labels, mask=mask)
    kept = np.asarray(mask) > 0
    positives = ((np.asarray(labels) == 1) & kept).sum(0)
    order = np.argsort(np.where(kept, -np.asarray(scores, np.float64), np.inf), axis=1, kind='stable')
    rank = np.argsort(order, axis=1, kind='stable')
    return (rank < positives) & kept


def kappa_distances(scores: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """1 - Cohen's kappa [P, P] of the members' matched decisions, mean over classes with positives and negatives.

    With equal numbers of positives it is d / (2 s (1 - s)), d being the share of decisions that differ and s that of
    positives: a squared distance, in which each class counts the same. 0 is equal, 1 is what chance gives.
    """
    decisions, kept = matched_decisions(scores, labels, mask), np.asarray(mask) > 0
    result = []
    for k in range(decisions.shape[-1]):
        positive = decisions[:, kept[:, k], k].astype(np.float64)
        share = positive[:1].mean() if positive.size else 0.0
        if 0 < share < 1:
            both = positive @ positive.T / positive.shape[1]
            result.append((share - both) / (share * (1 - share)))
    members = len(decisions)
    return np.mean(result, axis=0) if result else np.full((members, members), np.nan)
