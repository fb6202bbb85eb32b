"""What every loss is: parameters of its own (mostly none) and a mean over the entries that count."""

import dataclasses
from collections.abc import Callable

import jax

from imbalance_jax.losses.entrywise import Coefficients, counted, counted_mean, kernel


@dataclasses.dataclass(frozen=True, eq=False)  # equal only to itself, and so hashable: `jax.jit(loss)` works
class Loss:
    """A loss as two pure functions, and its numbers if it is a case of the shared kernel.

    init:         () -> params, a pytree that is trained together with the network's; {} for most
    apply:        (params, logits [B, K], labels [B, K], label_mask [B, K] or None) -> scalar
    coefficients: arrays with which `kernel` computes the same value, or None where no such arrays exist
    """

    apply: Callable[..., jax.Array]
    init: Callable[[], dict] = dict
    coefficients: Coefficients | None = None

    def __call__(self, params, logits, labels, label_mask=None) -> jax.Array:
        """Mean loss over the entries of [B, K] whose `label_mask` is not 0; 0 if there are none."""
        return self.apply(params, logits, labels, label_mask)


def from_coefficients(coefficients: Coefficients) -> Loss:
    """The loss that is the shared kernel with these numbers."""

    def apply(params, logits, labels, label_mask):
        return kernel(coefficients, logits, labels, label_mask)

    return Loss(apply, coefficients=coefficients)


def from_entries(entries: Callable[..., jax.Array]) -> Loss:
    """The loss that is the mean of `entries(logits, labels, mask) -> [B, K]`, all three [B, K] floats."""

    def apply(params, logits, labels, label_mask):
        logits, labels, mask = counted(logits, labels, label_mask)
        return counted_mean(entries(logits, labels, mask), mask)

    return Loss(apply)


def require(valid: bool, name: str, value: float, allowed: str) -> None:
    """Raises a ValueError that names the hyper-parameter, its value and what is allowed."""
    if not valid:
        raise ValueError(f'Loss hyper-parameter {name} = {value!r} is out of range: it must be {allowed}.')
