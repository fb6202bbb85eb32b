"""Every loss, by name. A new one is one function `(num_positive, num_negative, *, hyper) -> Loss` and one line here."""

import functools
from collections.abc import Callable

import jax
import numpy as np
from numpy.typing import ArrayLike

from imbalance_jax.losses import (
    asymmetric,
    batch_weighted,
    counts,
    distribution_balanced,
    focal,
    margin,
    multi_class,
    multi_task,
    own,
    ranking,
    weighted,
)
from imbalance_jax.losses.counts import ratio
from imbalance_jax.losses.entrywise import Coefficients, kernel
from imbalance_jax.losses.loss import SIGMOID, SOFTMAX, UNKNOWN, Loss
from imbalance_jax.names import check_option, is_ours, lookup, options_of

__all__ = ['LOSSES', 'SIGMOID', 'SOFTMAX', 'UNKNOWN', 'Coefficients', 'Loss', 'kernel', 'link_of', 'make', 'ratio']

LOSSES: dict[str, Callable[..., Loss]] = {
    'asymmetric': asymmetric.asymmetric,
    'auc_margin': ranking.auc_margin,
    'average_precision': ranking.average_precision,
    'balanced_softmax': multi_class.balanced_softmax,
    'bce': weighted.bce,
    'class_balanced_cross_entropy': multi_class.class_balanced_cross_entropy,
    'class_balanced_focal': focal.class_balanced_focal,
    'class_balanced_softmax_focal': multi_class.class_balanced_softmax_focal,
    'cross_entropy': multi_class.cross_entropy,
    'distribution_balanced': distribution_balanced.distribution_balanced,
    'focal': focal.focal,
    'inter_class_weighted_bce': weighted.inter_class_weighted_bce,
    'intra_class_weighted_bce': batch_weighted.intra_class_weighted_bce,
    'inverse_class_weighted_bce': weighted.inverse_class_weighted_bce,
    'ldam': margin.ldam,
    'ldam_deferred': margin.ldam_deferred,
    'logit_adjusted': margin.logit_adjusted,
    'multi_task': multi_task.multi_task,
    'multi_task_consistent': multi_task.multi_task_consistent,
    'ral': asymmetric.ral,
    'softmax_focal': multi_class.softmax_focal,
    'softmax_ldam': multi_class.softmax_ldam,
    'softmax_ldam_deferred': multi_class.softmax_ldam_deferred,
    'softmax_logit_adjusted': multi_class.softmax_logit_adjusted,
    'w_cel': batch_weighted.w_cel,
    'weighted_bce': weighted.weighted_bce,
    'weighted_cross_entropy': multi_class.weighted_cross_entropy,
}


def make(
    name: str, num_positive: ArrayLike, num_negative: ArrayLike, *, num_examples: int = 0, **hyper: float | str | None
) -> Loss:
    """The loss `name` for a training set with these class counts, each [K]; num_examples: of it, 0 if not known.

    `loss.init()` gives its parameters and `loss(params, logits, labels, label_mask)` the mean over counted entries.
    Raises ValueError for an unknown name, a hyper-parameter that the loss does not have, a value out of range, or
    coefficients of another number of classes.
    """
    family = lookup(LOSSES, name, 'loss')
    defaults = options_of(family, required=True)
    for key, value in hyper.items():
        default = lookup(defaults, key, f'hyper-parameter of loss {name!r}')
        check_option(f'Loss hyper-parameter {key} = {value!r} of {name!r}', value, default)
    known = {'num_examples': num_examples} if 'num_examples' in defaults and num_examples else {}
    positive, negative = counts.checked(num_positive, num_negative)
    loss = family(positive, negative, **known, **hyper)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(getattr(loss, 'coefficients', None))]
    if odd := [list(shape) for shape in shapes if shape and shape[-1] not in (1, len(positive))]:
        raise ValueError(f'Loss {name!r} has coefficients {odd[0]}; expected one for each of {len(positive)} classes.')
    if not is_ours(family) and isinstance(loss, Loss):  # else whoever made it says what it is
        own.check(name, loss, len(positive))
    return loss


def link_of(name: str) -> str:
    """SIGMOID or SOFTMAX: what makes probabilities of the logits that the loss `name` trains."""
    return _link_of(lookup(LOSSES, name, 'loss'))


@functools.cache
def _link_of(family: Callable[..., Loss]) -> str:
    try:
        return getattr(family(np.ones(2), np.ones(2)), 'link', SIGMOID)
    except Exception:  # what is wrong with it is said where it is made
        return SIGMOID
