"""Effective numbers of patients: how many a figure hangs on, where some have more images than others."""

import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.system.shapes import Anything, takes


@takes(clusters=Anything('N'))
def effective_number(clusters: ArrayLike) -> float:
    """Effective number of clusters (patients) among examples [n] of given clusters: (sum n_g)^2 / sum n_g^2.

    It is their number where all have equally many examples (Kish 1965); 0 without an example.
    """
    counts = np.unique(np.asarray(clusters), return_counts=True)[1].astype(np.float64)
    return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


@takes(labels='N K', mask='N K', patients=Anything('N'))
def effective_clusters(labels: ArrayLike, mask: ArrayLike, patients: ArrayLike) -> np.ndarray:
    """Effective number [K] of patients that a class's ranking hangs on: the fewer of those with it and without it.

    labels, mask: [N, K] of 0 and 1; patients: [N].
    """
    kept, positive, patients = np.asarray(mask) > 0, np.asarray(labels) == 1, np.asarray(patients)
    sides = [[effective_number(patients[side]) for side in (kept & which).T] for which in (positive, ~positive)]
    return np.min(sides, axis=0)


@takes(clusters='K')
def clusters_of_mean(clusters: ArrayLike) -> float:
    """Effective number of patients behind the mean over classes with so many each [K]; classes of one or none left out.

    1 + (sum V_k)^2 / sum (V_k^2 / (G_k - 1)) with V_k ~ 1 / G_k, as if classes had patients of their own.
    """
    clusters = np.asarray(clusters, np.float64)
    variance, freedom = 1 / clusters[clusters > 1], clusters[clusters > 1] - 1
    return float(1 + variance.sum() ** 2 / (variance**2 / freedom).sum()) if len(variance) else 0.0
