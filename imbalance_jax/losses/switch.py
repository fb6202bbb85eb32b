"""The losses of all arms as one function of an arm's number, with as few branches as can be.

Arms whose loss is a shared kernel differ by numbers only: they are rows of one table and share one branch, so a grid of
hyper-parameters compiles to the program of a single loss. Each other arm is a branch of `lax.switch`, inside which
its gradient is taken: a value that is not finite in a branch not taken reaches nobody.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.losses.loss import KERNELS, Loss


class Switch(NamedTuple):
    """The losses of all arms.

    init: () -> (trained, running), the parameters of the arms' losses, each a tuple with one pytree per arm.
    apply: (trained, running, arm, logits [B,K], labels [B,K], label_mask [B,K], rows [B] or None, fraction) -> (value,
    running), the loss of that arm and what it carries on.
    """

    init: Callable
    apply: Callable


def switch(losses: Sequence[Loss]) -> Switch:
    """The losses of the arms 0, 1, ..., of equal K, as one function of an arm's number."""
    branches: list[Callable] = []
    branch_of = np.zeros(len(losses), np.int32)
    in_tables: set[int] = set()
    for form in KERNELS:
        table = {arm: loss.coefficients for arm, loss in enumerate(losses) if isinstance(loss.coefficients, form)}
        if table:
            branch_of[list(table)] = len(branches)
            branches.append(_table_branch(table, form))
            in_tables |= set(table)
    for arm in sorted(set(range(len(losses))) - in_tables):
        branch_of[arm] = len(branches)
        branches.append(_single_branch(losses[arm], arm))

    def init() -> tuple[tuple, tuple]:
        params = [loss.init() for loss in losses]
        trained = tuple({name: leaf for name, leaf in one.items() if name != 'running'} for one in params)
        return trained, tuple({name: leaf for name, leaf in one.items() if name == 'running'} for one in params)

    def apply(trained, running, arm, logits, labels, label_mask, rows, fraction):
        arguments = (trained, running, arm, logits, labels, label_mask, rows, fraction)
        if len(branches) == 1:
            return branches[0](*arguments)
        return jax.lax.switch(jnp.asarray(branch_of)[arm], branches, *arguments)

    return Switch(init, apply)


def _table_branch(table: dict[int, Any], form: Any) -> Callable:
    """A shared kernel with the numbers of the arm; form: their type."""
    row_of = np.zeros(max(table) + 1, np.int32)
    row_of[list(table)] = range(len(table))
    stacked = [np.stack(field) for field in zip(*table.values(), strict=True)]

    def branch(trained, running, arm, logits, labels, label_mask, rows, fraction):
        row = jnp.asarray(row_of)[arm]
        coefficients = form(*(jnp.asarray(field)[row] for field in stacked))
        return KERNELS[form](coefficients, logits, labels, label_mask), running

    return branch


def _single_branch(loss: Loss, number: int) -> Callable:
    """One arm's loss and what it carries on, of the parameters and running values of all arms."""

    def branch(trained, running, arm, logits, labels, label_mask, rows, fraction):
        params = {**trained[number], **running[number]}
        batch = (logits, labels, label_mask, rows, fraction)
        return loss(params, *batch), (*running[:number], loss.carry(params, *batch), *running[number + 1 :])

    return branch
