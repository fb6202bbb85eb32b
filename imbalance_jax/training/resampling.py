"""Training patients drawn anew for every seed, so that seeds differ in their training sample too.

Intervals over seeds of one training set are conditional on it. With a bootstrap sample of the training patients per
seed they cover the sampling of patients as well (Bouthillier et al. 2021, arXiv 2103.03098, section 2). Arms with the
same seed have the same sample and stay paired; validation and test are as they are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

RESAMPLE = 4  # stream of a seed, beside those of `data` and `member`

Array = jax.Array | np.ndarray


class Draws(NamedTuple):
    """What the order of an epoch is drawn from.

    cumulative: sampling CDFs [W,N] over positions, zeros for uniform ones without replacement; rows: [D,N] int32, the
    row of the training split at each position, one sample per seed, of which the CDF w belongs to sample w % D; None
    where position and row are the same.
    """

    cumulative: Array
    rows: Array | None = None


def patient_sample(patients: np.ndarray, seed: int) -> np.ndarray:
    """Rows [N] of a bootstrap sample of patients [N]: whole patients with replacement until there are N images.

    The last patient drawn is cut where N is reached, so that every seed trains on as many images.
    """
    names, which = np.unique(patients, return_inverse=True)
    rows_of = np.split(np.argsort(which, kind='stable'), np.cumsum(np.bincount(which))[:-1])
    rng, rows, count = np.random.default_rng([seed, RESAMPLE]), [], 0
    while count < len(patients):
        for number in rng.integers(0, len(names), len(names)):
            rows.append(rows_of[number])
            count += len(rows_of[number])
    return np.concatenate(rows)[: len(patients)].astype(np.int32)


def patient_samples(patients: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """`patient_sample` of every seed: [D,N]."""
    return np.stack([patient_sample(patients, seed) for seed in seeds])
