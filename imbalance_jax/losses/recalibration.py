"""The probability behind a logit: what a loss taught it to say, read off the loss itself.

Of all images with probability eta of a finding, the logit z that an entrywise loss likes best satisfies

    eta l+'(z) + (1 - eta) l-'(z) = 0,    so    eta(z) = l-'(z) / (l-'(z) - l+'(z))

with l+ and l- the loss of a positive and of a negative: z - log w for a positive weight w, the map of Charoenphakdee et
al. 2021 (arXiv 2011.09172) for the focal loss. Both derivatives come from one differentiation of the loss's entries.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.losses.loss import Loss

LIMIT = 300.0  # logits beyond +-LIMIT count as that: their derivatives are 0 in float64
GRID = 513  # logits at which a map is looked at
SLACK = 1e-9  # of the log-odds: what rounding may take from a map that rises


class Slopes(NamedTuple):
    """Derivatives with respect to the logit, of the loss of a positive and of a negative, float64."""

    positive: np.ndarray
    negative: np.ndarray


def slopes(loss: Loss, logits: np.ndarray, fraction: float = 1.0) -> Slopes:
    """l+' and l-' at logits [N, K] of an entrywise loss, `fraction` of training being done."""
    entries = loss.entries
    if entries is None:
        raise ValueError('This loss is not entrywise: no formula gives the probability behind its logits.')
    with jax.enable_x64(True):
        z = jnp.asarray(np.clip(np.asarray(logits, np.float64), -LIMIT, LIMIT))

        @jax.jit
        def both(z):
            labels = (jnp.ones_like(z), jnp.zeros_like(z))
            return [jax.grad(lambda z, y=y: entries(z, y, fraction).sum())(z) for y in labels]

        return Slopes(*(np.asarray(one, np.float64) for one in both(z)))


def log_odds(loss: Loss, logits: np.ndarray, fraction: float = 1.0) -> np.ndarray:
    """log eta / (1 - eta) [..., K] of logits [..., K], float64: the log-odds under the draws that it was trained with.

    -inf where a negative costs nothing, as within the margin of `asymmetric`: there the loss tells no probability from
    0. Where neither label has a gradient (below a floor), the logit may lie anywhere beyond the last that has, and
    counts as certain. NaN stays NaN. Raises ValueError for a loss that is not entrywise.
    """
    logits = np.asarray(logits, np.float64)
    positive, negative = slopes(loss, logits.reshape(-1, logits.shape[-1]), fraction)
    with np.errstate(divide='ignore', invalid='ignore'):
        odds = np.log(negative) - np.log(-positive)
    nothing = (positive == 0) & (negative == 0)
    flat = logits.reshape(odds.shape)
    odds = np.where(nothing, np.where(flat > 0, np.inf, -np.inf), odds)
    return np.where(np.isfinite(flat), odds, np.nan).reshape(logits.shape)


def is_monotone(loss: Loss, low: np.ndarray, high: np.ndarray, fraction: float = 1.0) -> bool:
    """Whether the probability rises, or stays, with the logit of every class between `low` and `high`, each [K].

    Only then is a logit the best one for its probability. False for a loss that is not entrywise.
    """
    if loss.entries is None:
        return False
    odds = log_odds(loss, np.linspace(low, high, GRID), fraction)
    rising = odds[1:] >= odds[:-1] - SLACK * np.maximum(1, np.abs(np.nan_to_num(odds[:-1], posinf=0, neginf=0)))
    return bool(rising.all())
