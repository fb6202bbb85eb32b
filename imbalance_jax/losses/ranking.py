"""Losses that stand for a ranking metric: the area under the ROC curve, and average precision.

Both take h = sigmoid(logit) as the score, so value and gradient are finite for any finite logit.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from imbalance_jax.losses.entrywise import counted
from imbalance_jax.losses.loss import Loss, require


def auc_margin(num_positive: np.ndarray, num_negative: np.ndarray, *, margin: float = 1.0, scale: float = 1.0) -> Loss:
    """AUC margin loss, a min-max problem: scale times the mean over classes of

        (1 - pi) E[(h - a)^2 y] + pi E[(h - b)^2 (1 - y)]
        + 2 alpha (pi (1 - pi) margin + E[pi h (1 - y) - (1 - pi) h y]) - pi (1 - pi) alpha^2

    with pi the prevalence in the training set and E the mean over the counted entries of the class. params = {'a', 'b',
    'alpha'}, each [K], at first 0. The network, a and b descend; alpha, which is at least 0, ascends: its gradient is
    reversed, so that any optimiser that descends does so. A class without positives or without negatives in the
    training set has no such problem and loss 0.

    Source: Yuan et al. 2021, "Large-scale robust deep AUC maximization" (arXiv 2012.03173), equation 5.
    """
    require(margin > 0, 'margin', margin, 'positive')
    require(scale > 0, 'scale', scale, 'positive')
    total = np.maximum(num_positive + num_negative, 1)
    pi = np.float32(num_positive / total)
    both = np.float32((num_positive > 0) & (num_negative > 0))

    def init():
        return {name: jnp.zeros(pi.size) for name in ('a', 'b', 'alpha')}

    def apply(params, logits, labels, label_mask, moment):
        logits, labels, mask = counted(logits, labels, label_mask)
        h, alpha = jax.nn.sigmoid(logits), _ascending(params['alpha'])
        number = jnp.maximum(mask.sum(0), 1)

        def mean(values):
            return (mask * values).sum(0) / number

        spread = (1 - pi) * mean(labels * (h - params['a']) ** 2) + pi * mean((1 - labels) * (h - params['b']) ** 2)
        gap = pi * (1 - pi) * margin + mean(pi * h * (1 - labels) - (1 - pi) * h * labels)
        values = spread + 2 * alpha * gap - pi * (1 - pi) * alpha**2
        return scale * _class_mean(values, both * (mask.sum(0) > 0))

    return Loss(apply, init=init)


@jax.custom_vjp
def _ascending(alpha):
    """max(alpha, 0) whose gradient is reversed. Where alpha is below 0 it may only come back: it goes no lower."""
    return jnp.maximum(alpha, 0)


def _forward(alpha):
    return jnp.maximum(alpha, 0), alpha


def _reverse(alpha, gradient):
    return (jnp.where(alpha < 0, jnp.minimum(-gradient, 0), -gradient),)


_ascending.defvjp(_forward, _reverse)


def average_precision(
    num_positive: np.ndarray,
    num_negative: np.ndarray,
    *,
    margin: float = 1.0,
    gamma: float = 0.9,
    scale: float = 1.0,
    num_examples: int = 0,
) -> Loss:
    """Stochastic average precision: scale times the mean over classes with positives in the batch of

        mean over positives i and entries j of p_ij l_ij,    l_ij = max(margin - (h_i - h_j), 0)^2
        p_ij = (u+_i - y_j u_i) / u_i^2

    whose gradient is that of minus the smoothed average precision, mean over i of u+_i / u_i; its value is not. u_i and
    u+_i follow the means over j of l_ij and y_j l_ij: u <- (1 - gamma) u + gamma (mean of this batch). They are kept
    for every training example in params['running'] = {'all', 'positive'}, each [N, K], at first 0, and count as
    constants. Without the examples' rows, u is that of the first visit.

    num_examples: N, which a training gives itself; 0 for the number of labels of all classes, which is no less where
    each example has one. Rows beyond N have no memory: their u is that of the first visit. Training counts are not
    used otherwise.

    Source: Qi et al. 2021, "Stochastic optimization of areas under precision-recall curves with provable convergence"
    (arXiv 2104.08736), SOAP with the squared hinge.
    """
    require(margin > 0, 'margin', margin, 'positive')
    require(0 < gamma <= 1, 'gamma', gamma, 'in (0, 1]')
    require(scale > 0, 'scale', scale, 'positive')
    require(num_examples >= 0 and num_examples == int(num_examples), 'num_examples', num_examples, 'a count')
    shape = int(num_examples or max(np.sum(num_positive + num_negative), 1)), num_positive.size

    def init():
        return {'running': {'all': jnp.zeros(shape), 'positive': jnp.zeros(shape)}}

    def apply(params, logits, labels, label_mask, moment):
        logits, labels, mask = counted(logits, labels, label_mask)
        pairs = _squared_hinge(logits, mask, margin)
        means = _moved(params['running'], _batch_means(pairs, labels, mask), gamma, moment.rows)
        return scale * _ap_surrogate(pairs, means, labels, mask)

    def advance(params, logits, labels, label_mask, moment):
        running = params['running']
        if moment.rows is None:
            return running
        logits, labels, mask = counted(logits, labels, label_mask)
        means = _moved(running, _batch_means(_squared_hinge(logits, mask, margin), labels, mask), gamma, moment.rows)
        positive = labels * mask > 0
        return {name: _remember(whole, moment.rows, means[name], positive) for name, whole in running.items()}

    return Loss(apply, init=init, advance=advance)


def _squared_hinge(logits: jax.Array, mask: jax.Array, margin: float) -> jax.Array:
    """l_ij = max(margin - (h_i - h_j), 0)^2, [B, B, K], with 0 for entries j that do not count."""
    h = jax.nn.sigmoid(logits)
    return jnp.maximum(margin - (h[:, None] - h[None]), 0) ** 2 * mask[None]


def _batch_means(pairs: jax.Array, labels: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """Means of l over all entries j of the batch, and of y_j l, [B, K] each."""
    number = jnp.maximum(mask.sum(0), 1)
    return {'all': pairs.sum(1) / number, 'positive': (labels[None] * pairs).sum(1) / number}


def _moved(running: dict, means: dict, gamma: float, rows: ArrayLike | None) -> dict[str, jax.Array]:
    """The running means u ('all') and u+ ('positive') [B, K] of the batch's examples after this batch, constants."""

    def moved(name: str, mean: jax.Array) -> jax.Array:
        old = jnp.zeros_like(mean) if rows is None else _remembered(running[name], rows)
        return jax.lax.stop_gradient((1 - gamma) * old + gamma * mean)

    return {name: moved(name, mean) for name, mean in means.items()}


def _remember(whole: jax.Array, rows: ArrayLike, values: jax.Array, where: jax.Array) -> jax.Array:
    """`whole` with `values` [B, K] in its rows, `where` they are to change; rows that it does not have are dropped."""
    return whole.at[jnp.asarray(rows)].set(jnp.where(where, values, _remembered(whole, rows)), mode='drop')


def _remembered(whole: jax.Array, rows: ArrayLike) -> jax.Array:
    """Rows of `whole`; 0 for those that it does not have."""
    return whole.at[jnp.asarray(rows)].get(mode='fill', fill_value=0)


def _ap_surrogate(pairs: jax.Array, means: dict, labels: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean over classes with positives in the batch of the mean of p_ij l_ij over positives i and entries j."""
    every = jnp.maximum(means['all'], jnp.finfo(pairs.dtype).eps)  # where nothing comes within the margin, l is 0
    weight = (means['positive'][:, None] - labels[None] * every[:, None]) / every[:, None] ** 2
    positive = labels * mask
    per_positive = (weight * pairs).sum(1) / jnp.maximum(mask.sum(0), 1)
    number = positive.sum(0)
    return _class_mean((positive * per_positive).sum(0) / jnp.maximum(number, 1), number > 0)


def _class_mean(values: jax.Array, counts: ArrayLike) -> jax.Array:
    """Mean of values [K] over the classes that count; 0 without any."""
    counts = jnp.asarray(counts, values.dtype)
    return (values * counts).sum() / jnp.maximum(counts.sum(), 1)
