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


def effective_number(count: np.ndarray, beta: float) -> np.ndarray:
    """1 - beta^count, without cancellation for beta close to 1: (1 - beta) times the effective number of examples.

    Source: Cui et al. 2019 (arXiv 1901.05555), equation 2.
    """
    return -np.expm1(count * np.log(beta)) if beta > 0 else np.minimum(count, 1.0)


def rare_margins(num_positive: np.ndarray, margin: float) -> np.ndarray:
    """D_c = margin (min_c N+_c / N+_c)^(1/4) [K].

    A class without positives has margin 0 and is left out of the minimum. Source: Cao et al. 2019 (arXiv 1906.07413).
    """
    rarest = num_positive[num_positive > 0].min(initial=np.inf)
    return margin * ratio(np.full_like(num_positive, rarest), num_positive, neutral=0.0) ** 0.25


def ratio(numerator: np.ndarray, denominator: np.ndarray, neutral: float = 1.0) -> np.ndarray:
    """`numerator / denominator` [K], and `neutral` where either is zero.

    A class without positives (or without negatives) in training has nothing to balance. It gets the weight that
    changes nothing, rather than infinity or zero, so that a run with such a class works.
    """
    known = (numerator > 0) & (denominator > 0)
    return np.where(known, numerator / np.where(known, denominator, 1.0), neutral)
