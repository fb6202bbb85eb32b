"""Every loss, by name. A new one is one function `(num_positive, num_negative, *, hyper) -> Loss` and one line here."""

import functools
import math
import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
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
    ranking,
    weighted,
)
from imbalance_jax.losses.counts import ratio
from imbalance_jax.losses.entrywise import Coefficients, kernel
from imbalance_jax.losses.loss import SIGMOID, SOFTMAX, UNKNOWN, Loss
from imbalance_jax.names import is_ours, lookup, options_of

__all__ = ['LOSSES', 'SIGMOID', 'SOFTMAX', 'UNKNOWN', 'Coefficients', 'Loss', 'kernel', 'link_of', 'make', 'ratio']

SURE = 4.0  # logits of answers that are right, or wrong
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
    name: str, num_positive: ArrayLike, num_negative: ArrayLike, *, num_examples: int = 0, **hyper: float | None
) -> Loss:
    """The loss `name` for a training set with these class counts, each [K]; num_examples: of it, 0 if not known.

    `loss.init()` gives its parameters and `loss(params, logits, labels, label_mask)` the mean over counted entries.
    Raises ValueError for an unknown name, a hyper-parameter that the loss does not have, a value out of range, or
    coefficients of another number of classes.
    """
    family = lookup(LOSSES, name, 'loss')
    defaults = options_of(family)
    for key, value in hyper.items():
        default = lookup(defaults, key, f'hyper-parameter of loss {name!r}')
        if not _is_number(value) and not (value is None and default is None):
            raise ValueError(f'Loss hyper-parameter {key} = {value!r} of {name!r} must be a finite number.')
    known = {'num_examples': num_examples} if 'num_examples' in defaults and num_examples else {}
    positive, negative = counts.checked(num_positive, num_negative)
    loss = family(positive, negative, **known, **hyper)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(getattr(loss, 'coefficients', None))]
    if odd := [list(shape) for shape in shapes if shape and shape[-1] not in (1, len(positive))]:
        raise ValueError(f'Loss {name!r} has coefficients {odd[0]}; expected one for each of {len(positive)} classes.')
    if not is_ours(family):
        _check_applied(name, loss, len(positive))
    return loss


def _check_applied(name: str, loss: Loss, num_classes: int) -> None:
    """ValueError for a loss that gives no number for a batch, or entries that are not the batch's."""
    if not isinstance(loss, Loss):
        return  # which whoever made it says
    size = num_classes + 2
    said = f'Loss {name!r} for {size} images of {num_classes} classes'
    batch = [jax.ShapeDtypeStruct((size, num_classes), kind) for kind in (jnp.float32, jnp.uint8, jnp.uint8)]
    rows, fraction = jax.ShapeDtypeStruct((size,), jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)
    asked: dict[str, Any] = {'': (lambda *given: loss(loss.init(), *given), (*batch, rows, fraction), ())}
    if loss.entries is not None:
        of_each = jax.ShapeDtypeStruct((size, 1), jnp.float32)
        asked['entries '] = (loss.entries, (batch[0], batch[0], of_each), batch[0].shape)
    for part, (function, given, shape) in asked.items():
        try:
            result = jax.eval_shape(function, *given)
        except Exception as error:  # a user's own may raise any
            reason = ' '.join(str(error).split())
            raise ValueError(f'{said}: {part}{type(error).__name__}: {reason}') from error
        found = jax.tree.map(lambda one: f'{one.dtype} {list(one.shape)}', result)
        if not isinstance(result, jax.ShapeDtypeStruct) or result.shape != shape:
            raise ValueError(f'{said} gives {part}{found}; expected {list(shape) if shape else "one number"}.')
    _check_direction(name, loss, num_classes)


def _check_direction(name: str, loss: Loss, num_classes: int) -> None:
    """ValueError for a loss that prefers wrong answers in a class, as where a weight is below 0 or a sign is turned.
    Not asked of one with parameters or a memory of its own, whose value alone says little."""
    if loss.advance is not None or jax.tree.leaves(loss.init()):
        return
    size = num_classes + 2
    of_each = num_classes if loss.link == SOFTMAX else num_classes + 1  # of the last, no class
    labels = np.eye(of_each, num_classes, dtype=np.uint8)[np.arange(size) % of_each]
    right = np.where(labels, SURE, -SURE).astype(np.float32)
    turned = np.where(np.eye(num_classes, dtype=bool)[:, None], -right, right)
    rows, fraction = jnp.arange(size, dtype=jnp.int32), jnp.float32(0)
    ask = jax.vmap(lambda logits: loss(loss.init(), logits, labels, np.ones_like(labels), rows, fraction))
    at_best, *wrong = np.asarray(ask(jnp.concatenate([right[None], turned]))).tolist()
    if preferred := [k for k, one in enumerate(wrong) if one < at_best]:
        raise ValueError(
            f'Loss {name!r} is {at_best:.4g} where all answers are right, and {wrong[preferred[0]]:.4g} where those of '
            f'class {preferred[0]} are wrong; expected more. Is a weight below 0, or a sign turned?'
        )


def link_of(name: str) -> str:
    """SIGMOID or SOFTMAX: what makes probabilities of the logits that the loss `name` trains."""
    return _link_of(lookup(LOSSES, name, 'loss'))


@functools.cache
def _link_of(family: Callable[..., Loss]) -> str:
    try:
        return getattr(family(np.ones(2), np.ones(2)), 'link', SIGMOID)
    except Exception:  # what is wrong with it is said where it is made
        return SIGMOID


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
