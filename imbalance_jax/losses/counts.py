"""Class counts of the training set, and the ratios that losses take from them."""

import numpy as np
from numpy.typing import ArrayLike


def checked(num_positive: ArrayLike, num_negative: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both counts as float64 [K]; a ValueError names the one that is not a vector of K counts."""
    counts = {'num_positive': num_positive, 'num_negative': num_negative}
    arrays = {name: np.asarray(value, np.float64) for name, value in counts.items()}
    for name, array in arrays.items():
        if array.ndim != 1 or not array.size:
            raise ValueError(f'{name} has shape {array.shape}; it must be [K], one count per class.')
        if not (np.isfinite(array) & (array >= 0)).all():
            raise ValueError(f'{name} = {array.tolist()} must be finite and not negative.')
    positive, negative = arrays.values()
    if positive.shape != negative.shape:
        raise ValueError(f'num_positive has {positive.size} classes and num_negative {negative.size}; they must agree.')
    return positive, negative


def ratio(numerator: np.ndarray, denominator: np.ndarray, neutral: float = 1.0) -> np.ndarray:
    """`numerator / denominator` [K], and `neutral` where either is zero.

    A class without positives (or without negatives) in training has nothing to balance. It gets the weight that
    changes nothing, rather than infinity or zero, so that a run with such a class works.
    """
    known = (numerator > 0) & (denominator > 0)
    return np.where(known, numerator / np.where(known, denominator, 1.0), neutral)
