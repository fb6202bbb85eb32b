"""Whether scores, labels, masks and weights are of the same images and classes, checked in one place."""

import numpy as np
from numpy.typing import ArrayLike


def require_fit(scores: ArrayLike, *, weights: ArrayLike | None = None, **tables: ArrayLike) -> None:
    """ValueError, one line, unless scores are [..., N, K], each of `tables` [N, K] and weights [R, N].

    Of a table of another shape NumPy would make one that fits, such as the labels of one image for all of them.
    """
    shape = np.shape(scores)
    if len(shape) < 2:
        raise ValueError(f'scores must be [..., N, K], not {shape}.')
    for name, table in tables.items():
        if np.shape(table) != shape[-2:]:
            raise ValueError(f'{name} must be [N, K] = {shape[-2:]}, as the scores are, not {np.shape(table)}.')
    if weights is not None and (np.ndim(weights) != 2 or np.shape(weights)[1] != shape[-2]):
        raise ValueError(f'weights must be [R, N] with N = {shape[-2]}, not {np.shape(weights)}.')
