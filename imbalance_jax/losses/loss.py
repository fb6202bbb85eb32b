"""What every loss is: parameters of its own (mostly none) and a mean over the entries that count."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from imbalance_jax.losses.counts import ratio
from imbalance_jax.losses.entrywise import Coefficients, counted, counted_mean, kernel


class Moment(NamedTuple):
    """When a loss is computed: which training examples these are, `rows` [B] or None; `fraction` of training done."""

    rows: ArrayLike | None = None
    fraction: ArrayLike = 0.0


@dataclasses.dataclass(frozen=True, eq=False)  # equal only to itself, and so hashable: `jax.jit(loss)` works
class Loss:
    """A loss as pure functions, and its numbers if it is a case of the shared kernel.

    init:         () -> params, a pytree that is trained together with the network's; {} for most. What is under
                  'running' is not trained: `advance` carries it from batch to batch
    apply:        (params, logits [B, K], labels [B, K], label_mask [B, K] or None, moment) -> scalar
    advance:      the same arguments -> params['running'] after this batch; None where there is none
    coefficients: arrays with which `kernel` computes the same value, or None where no such arrays exist
    prior:        [K], by how much its weights move the log-odds that it teaches: log (w+ / w-)
    readout:      scale and shift of the logit before the sigmoid, in the loss's own terms
    """

    apply: Callable[..., jax.Array]
    init: Callable[[], dict] = dict
    coefficients: Coefficients | None = None
    advance: Callable[..., dict] | None = None
    prior: np.ndarray | float = 0.0
    readout: tuple = (1.0, 0.0)

    def __call__(
        self,
        params: dict,
        logits: ArrayLike,
        labels: ArrayLike,
        label_mask: ArrayLike | None = None,
        rows: ArrayLike | None = None,
        fraction: ArrayLike = 0.0,
    ) -> jax.Array:
        """Mean loss over the entries of [B, K] whose `label_mask` is not 0; 0 if there are none.

        rows: [B], which training examples these are; fraction: of training that is done. Few losses read either.
        """
        return self.apply(params, logits, labels, label_mask, Moment(rows, fraction))

    def carry(
        self,
        params: dict,
        logits: ArrayLike,
        labels: ArrayLike,
        label_mask: ArrayLike | None = None,
        rows: ArrayLike | None = None,
        fraction: ArrayLike = 0.0,
    ) -> dict:
        """{'running': what is not trained} after this batch; {} for most."""
        if self.advance is None:
            return {}
        return {'running': self.advance(params, logits, labels, label_mask, Moment(rows, fraction))}

    def corrected(self, logits: ArrayLike) -> np.ndarray:
        """Logits [..., K] whose sigmoid is a probability under the prior of the training set.

        The loss's scale and shift are applied, as in training, and the prior shift of its weights is taken back:
        z - log (w+ / w-) for a positive weight. What focusing, margins and duals do to calibration stays.
        """
        scale, shift = self.readout
        return scale * (np.asarray(logits, np.float64) + shift) - self.prior


def from_coefficients(coefficients: Coefficients) -> Loss:
    """The loss that is the shared kernel with these numbers."""

    def apply(params, logits, labels, label_mask, moment):
        return kernel(coefficients, logits, labels, label_mask)

    fields = (coefficients.positive_weight, coefficients.negative_weight)
    positive, negative = np.broadcast_arrays(*(np.asarray(field, np.float64) for field in fields))
    readout = (coefficients.negative_scale, coefficients.negative_shift)
    return Loss(apply, coefficients=coefficients, prior=np.log(ratio(positive, negative)), readout=readout)


def from_entries(entries: Callable[..., jax.Array], *, prior: np.ndarray | float) -> Loss:
    """The loss that is the mean of `entries(logits, labels, mask) -> [B, K]`, all three [B, K] floats.

    prior: [K] or one number, by how much its weights move the log-odds that it teaches, log (w+ / w-); 0.0 where it
    weighs positives and negatives alike. It has no default, as a wrong one makes corrected probabilities wrong.
    """

    def apply(params, logits, labels, label_mask, moment):
        logits, labels, mask = counted(logits, labels, label_mask)
        return counted_mean(entries(logits, labels, mask), mask)

    return Loss(apply, prior=prior)


def deferred(first: Loss, then: Loss, start: float) -> Loss:
    """`first` until the fraction `start` of training is done, `then` from there on; neither has parameters."""
    require(0 <= start <= 1, 'deferred_from', start, 'in [0, 1]')

    def apply(params, logits, labels, label_mask, moment):
        early, late = (jnp.asarray(loss.coefficients) for loss in (first, then))
        chosen = jnp.where(moment.fraction >= start, late, early)
        return kernel(Coefficients(*chosen), logits, labels, label_mask)

    return dataclasses.replace(then, apply=apply, coefficients=None)


def require(valid: bool | np.bool, name: str, value: float | np.ndarray | None, allowed: str) -> None:
    """Raises a ValueError that names the hyper-parameter, its value and what is allowed."""
    if not valid:
        raise ValueError(f'Loss hyper-parameter {name} = {value!r} is out of range: it must be {allowed}.')
