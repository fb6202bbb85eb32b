"""The probability behind a logit: what a loss taught it to say, read off the loss itself.

Of all images with probability eta of a finding, the logit z that an entrywise loss likes best satisfies

    eta l+'(z) + (1 - eta) l-'(z) = 0,    so    eta(z) = l-'(z) / (l-'(z) - l+'(z))

with l+ and l- the loss of a positive and of a negative: z - log w for a positive weight w, the map of Charoenphakdee et
al. 2021 (arXiv 2011.09172) for the focal loss. Both derivatives come from one differentiation of the loss's entries.

Of a softmax loss the best logits z satisfy sum_y eta_y dl_y/dz = 0, with l_y the loss of an image of class y. For the
kernel in `softmax` that has the solution

    eta_k ~ exp(a_k) D_k / (weight_k g(p_k)),    g(p) = (1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p

where a = scale z + shift, D_k is the denominator of the softmax of an image of class k (its own logit less the margin)
and p_k the probability of k in it: p_k / weight_k for a class weight, softmax(z + shift) for a logit adjustment.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax.tree_util import Partial
from jax.typing import ArrayLike

from imbalance_jax.losses.loss import Loss

LIMIT = 300.0  # logits beyond +-LIMIT count as that: their derivatives are 0 in float64
GRID = 512  # logits at which a map is looked at
SLACK = 1e-9  # of the log-odds: what rounding may take from a map that rises


class Slopes(NamedTuple):
    """Derivatives with respect to the logit, of the loss of a positive and of a negative, float64."""

    positive: np.ndarray
    negative: np.ndarray


def slopes(loss: Loss, logits: np.ndarray, fraction: ArrayLike = 1.0) -> Slopes:
    """l+' and l-' at logits [N, K] of an entrywise loss, `fraction` [N, 1] or one number of training being done."""
    if loss.entries is None:
        raise ValueError('This loss is not entrywise: no formula gives the probability behind its logits.')
    with jax.enable_x64(True):
        z = np.clip(np.asarray(logits, np.float64), -LIMIT, LIMIT)
        both = _slopes(loss.entries, z, np.broadcast_to(np.asarray(fraction, np.float64), (len(z), 1)))
        return Slopes(*(np.asarray(one, np.float64) for one in both))


@jax.jit
def _slopes(entries: Partial, z: jax.Array, fraction: jax.Array) -> list[jax.Array]:
    """One compilation per kind of loss and shape: the numbers of a loss are arguments."""
    return [jax.grad(lambda z, y=y: entries(z, jnp.full_like(z, y), fraction).sum())(z) for y in (1.0, 0.0)]


def log_odds(loss: Loss, logits: np.ndarray, fraction: ArrayLike = 1.0, *, smoothing: float = 0.0) -> np.ndarray:
    """log eta / (1 - eta) [..., K] of logits [..., K], float64: the log-odds under the draws that it was trained with.

    fraction: of training that was done, [..., 1] or one number; smoothing: e of the labels y (1 - e) + e / 2 that it
    was trained with, of which `sharpened` takes it back.
    -inf where a negative costs nothing, as within the margin of `asymmetric`: there the loss tells no probability from
    0. Where neither label has a gradient (below a floor), the logit may lie anywhere beyond the last that has, and
    counts as certain. NaN stays NaN. Raises ValueError for a loss that is not entrywise.
    """
    logits = np.asarray(logits, np.float64)
    of_rows = np.broadcast_to(fraction, (*logits.shape[:-1], 1)).reshape(-1, 1)
    positive, negative = slopes(loss, logits.reshape(-1, logits.shape[-1]), of_rows)
    with np.errstate(divide='ignore', invalid='ignore'):
        odds = np.log(negative) - np.log(-positive)
    nothing = (positive == 0) & (negative == 0)
    flat = logits.reshape(odds.shape)
    odds = np.where(nothing, np.where(flat > 0, np.inf, -np.inf), odds)
    odds = sharpened(odds, smoothing) if smoothing else odds
    return np.where(np.isfinite(flat), odds, np.nan).reshape(logits.shape)


def sharpened(odds: np.ndarray, smoothing: float) -> np.ndarray:
    """log eta / (1 - eta) where `odds` are those of eta (1 - e) + e / 2, with e = `smoothing`.

    Beyond e / 2 and 1 - e / 2, where no probability is behind them, they count as certain: -inf and inf.
    """
    with np.errstate(divide='ignore'):
        above, below = (np.maximum(scipy.special.expit(side) - smoothing / 2, 0.0) for side in (odds, -odds))
        return np.log(above) - np.log(below)


def grid(logits: np.ndarray) -> np.ndarray:
    """Logits [GRID, K] from the smallest to the largest finite one of each class, of logits [N, K]; 0 without any."""
    finite = np.isfinite(logits)
    low, high = (
        side(logits, axis=0, where=finite, initial=start) for side, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    known = np.isfinite(low)
    return np.linspace(np.where(known, low, 0.0), np.where(known, high, 0.0), GRID)


def rises(odds: np.ndarray) -> bool:
    """Whether log-odds [..., GRID, K] of `grid` nowhere fall: only then is a logit the best one for its probability."""
    before, after = odds[..., :-1, :], odds[..., 1:, :]
    size = np.maximum(1, np.abs(np.nan_to_num(before, posinf=0, neginf=0)))
    return bool((after >= before - SLACK * size).all())


def softmax_log_odds(
    loss: Loss, logits: np.ndarray, fraction: ArrayLike = 1.0, *, moved: ArrayLike = 0.0, smoothing: float = 0.0
) -> np.ndarray:
    """log eta / (1 - eta) [N, K] of the logits of each class against all others [N, K], float64.

    fraction: of training that was done; moved: [K], by how much the draws of training raised the logarithm of each
    class's share, which is taken back; smoothing: e of the labels y (1 - e) + e / K that it was trained with, taken
    back before: a share below e / K is 0. NaN stays NaN. Raises ValueError for a loss that is not the softmax kernel.
    """
    if loss.softmax_at is None:
        raise ValueError('This loss is not the softmax kernel: no formula gives the probabilities behind its logits.')
    fields = loss.softmax_at(fraction)._asdict()
    weight, gamma, margin, shift, scale = (
        np.asarray(fields[name], np.float64) for name in ('weight', 'gamma', 'margin', 'shift', 'scale')
    )
    z = np.clip(np.asarray(logits, np.float64), -LIMIT, LIMIT)
    a = scale * _log_sigmoid(z) + shift
    others = _log_of_others(a)
    against = a - scale * margin - others
    log_p, log_rest = _log_sigmoid(against), _log_sigmoid(-against)
    odds_log_p = np.where(against > LIMIT / 10, -1.0, np.exp(np.minimum(against, LIMIT)) * log_p)  # p log p / (1 - p)
    log_g = gamma * log_rest + np.log1p(-gamma * odds_log_p)
    log_eta = a + (others - log_rest) - np.log(weight) - log_g
    if smoothing:
        share = scipy.special.softmax(log_eta, axis=-1) - smoothing / log_eta.shape[-1]
        with np.errstate(divide='ignore'):
            log_eta = np.log(np.maximum(share, 0.0))
    log_eta = log_eta - np.asarray(moved, np.float64)
    return log_eta - _log_of_others(log_eta)


def _log_sigmoid(z: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -z)


def _log_of_others(a: np.ndarray) -> np.ndarray:
    """log sum_{j != k} exp a_j [N, K] of a [N, K]: the largest is left out of the sums for itself alone."""
    top = np.arange(a.shape[-1]) == np.argmax(a, axis=-1)[..., None]
    largest = a.max(-1, keepdims=True)
    rest = scipy.special.logsumexp(np.where(top, -np.inf, a), axis=-1, keepdims=True)
    whole = np.logaddexp(largest, rest)
    share = np.where(top, -1.0, a - whole)  # log of a share of at most 1/2
    return np.where(top, rest, whole + np.log1p(-np.exp(share)))
