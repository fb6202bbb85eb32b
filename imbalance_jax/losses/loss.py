"""What every loss is: parameters of its own (mostly none) and a mean over the entries that count."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jax.typing import ArrayLike

from imbalance_jax.losses import entrywise, softmax
from imbalance_jax.losses.entrywise import Coefficients, counted, counted_mean
from imbalance_jax.losses.softmax import SoftmaxCoefficients
from imbalance_jax.system.shapes import on_device

SIGMOID, SOFTMAX = 'sigmoid', 'softmax'  # what makes probabilities of logits
UNKNOWN = 'unknown'  # in the place of a loss's name: that of a network that was trained elsewhere
# By the numbers of a loss: the function of them that losses of one form share.
KERNELS: dict[type, Callable[..., jax.Array]] = {
    Coefficients: entrywise.kernel,
    SoftmaxCoefficients: softmax.kernel,
}


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
    coefficients: arrays with which the kernel of their type computes the same value, or None where none exist
    entries:      (logits [B, K], labels [B, K], fraction [B, 1]) -> [B, K], the loss of every entry where that depends
                  on the entry's own logit and label alone, up to a factor that both labels share: what `recalibration`
                  makes probabilities of. None for a loss that compares or weighs examples by one another
    link:         SIGMOID, where every class is a question of its own, or SOFTMAX, where an image shows one of them
    softmax_at:   fraction of training -> the numbers of the softmax kernel then; None for any other loss
    """

    apply: Callable[..., jax.Array]
    init: Callable[[], dict] = dict
    coefficients: Coefficients | SoftmaxCoefficients | None = None
    advance: Callable[..., dict] | None = None
    entries: Partial | None = None
    link: str = SIGMOID
    softmax_at: Callable[[ArrayLike], SoftmaxCoefficients] | None = None

    def __post_init__(self) -> None:
        if self.link not in (SIGMOID, SOFTMAX):
            raise ValueError(f'The link of a loss is {SIGMOID!r} or {SOFTMAX!r}, not {self.link!r}.')
        if self.entries is not None and not isinstance(self.entries, Partial):
            object.__setattr__(self, 'entries', Partial(self.entries))

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
        return self.apply(params, logits, _numbers(labels), label_mask, Moment(rows, fraction))

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
        return {'running': self.advance(params, logits, _numbers(labels), label_mask, Moment(rows, fraction))}


def _numbers(labels: ArrayLike) -> jax.Array:
    """Labels as floats, of which a loss may take 1 - 2 y: whole numbers without a sign would go round."""
    labels = on_device(labels, 'labels', '[B, K]')
    return labels if jnp.issubdtype(labels.dtype, jnp.floating) else labels.astype(jnp.float32)


def from_coefficients(coefficients: Coefficients | SoftmaxCoefficients) -> Loss:
    """The loss that is a shared kernel with these numbers: that of the sigmoid or that of the softmax."""
    kernel = KERNELS[type(coefficients)]

    def apply(params, logits, labels, label_mask, moment):
        return kernel(coefficients, logits, labels, label_mask)

    if isinstance(coefficients, SoftmaxCoefficients):
        return Loss(apply, coefficients=coefficients, link=SOFTMAX, softmax_at=lambda fraction: coefficients)
    return Loss(apply, coefficients=coefficients, entries=Partial(_kernel_entries, coefficients))


def _kernel_entries(coefficients: Coefficients, logits: jax.Array, labels: jax.Array, fraction: ArrayLike) -> jax.Array:
    return entrywise.entries(coefficients, logits, labels)


def from_entries(entries: Callable[..., jax.Array], *, entrywise: bool) -> Loss:
    """The loss that is the mean of `entries(logits, labels, mask) -> [B, K]`, all three [B, K] floats.

    entrywise: whether an entry's loss depends on its own logit and label alone. It has no default, as a wrong one makes
    wrong probabilities: a weight that is taken from the batch, or from the other labels of the image, is not entrywise.
    """

    def apply(params, logits, labels, label_mask, moment):
        logits, labels, mask = counted(logits, labels, label_mask)
        return counted_mean(of_each(logits, labels, mask), mask)

    def of_each(logits, labels, mask):
        values = entries(logits, labels, mask)
        if jnp.shape(values) != labels.shape:
            found = list(jnp.shape(values))
            raise ValueError(f'entries are {found}; expected {list(labels.shape)}, one for each label.')
        return values

    def of_entries(logits, labels, fraction):
        return of_each(logits, labels, jnp.ones_like(labels))

    return Loss(apply, entries=Partial(of_entries) if entrywise else None)


def deferred(first: Loss, then: Loss, start: float) -> Loss:
    """`first` until the fraction `start` of training is done, `then` from there on; both of one kernel."""
    require(0 <= start <= 1, 'deferred_from', start, 'in [0, 1]')
    before, after = first.coefficients, then.coefficients
    form: Any = type(before)
    kernel = KERNELS[form]

    def at(fraction: ArrayLike) -> Any:
        early, late = (jnp.asarray(coefficients) for coefficients in (before, after))
        return form(*jnp.where(jnp.asarray(fraction) >= start, late, early))

    def apply(params, logits, labels, label_mask, moment):
        return kernel(at(moment.fraction), logits, labels, label_mask)

    if form is SoftmaxCoefficients:
        return Loss(apply, link=SOFTMAX, softmax_at=at)
    return Loss(apply, entries=Partial(_deferred_entries, before, after, start))


def _deferred_entries(
    first: Coefficients, then: Coefficients, start: float, logits: jax.Array, labels: jax.Array, fraction: ArrayLike
) -> jax.Array:
    at = [jnp.where(jnp.asarray(fraction) >= start, late, early) for early, late in zip(first, then, strict=True)]
    return entrywise.entries(Coefficients(*at), logits, labels)


def require(valid: bool | np.bool, name: str, value: float | np.ndarray | None, allowed: str) -> None:
    """Raises a ValueError that names the hyper-parameter, its value and what is allowed."""
    if not valid:
        raise ValueError(f'Loss hyper-parameter {name} = {value!r} is out of range: it must be {allowed}.')
