"""The losses of arms, with the class counts of the labels that each is trained on."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from imbalance_jax import losses
from imbalance_jax.data import policies
from imbalance_jax.data.arrays import Arrays, class_counts
from imbalance_jax.losses.loss import Loss
from imbalance_jax.names import is_ours
from imbalance_jax.training import members
from imbalance_jax.training import tuning as fine_tuning


def build_losses(rows: list[dict], versions: Mapping[str, Arrays]) -> list[Loss]:
    """The loss of every arm's head in the end, in the order of the arms, with the class counts of the arm's labels.

    rows: of members.json; versions: `labels_of_versions`. It is the loss that says what a logit means. Raises
    ValueError naming the arm for a loss that refuses its options, fails, or gives no `Loss`.
    """
    arms = {row['arm']: row for row in rows}
    return [_build_loss(row, versions, head=bool(row.get('head_loss'))) for row in arms.values()]


def build_training_losses(rows: list[dict], versions: Mapping[str, Arrays]) -> list[Loss]:
    """`build_losses`, then the first loss of each arm whose head is retrained with another one."""
    arms = {row['arm']: row for row in rows}
    with_two = [arms[arm] for arm in members.arms_with_head_loss(rows)]
    first = [_build_loss(row, versions) for row in with_two]
    return [*build_losses(rows, versions), *first]


def _labels(row: dict) -> str:
    return row.get('labels', policies.OWN)


def _build_loss(row: dict, versions: Mapping[str, Arrays], *, head: bool = False) -> Loss:
    train = versions[_labels(row)]
    loss = build_loss(row, *class_counts(train), num_examples=train.size, head=head)
    name = row['head_loss'] if head else row['loss']
    mask = np.asarray(train.label_mask)
    known = name == losses.UNKNOWN or is_ours(losses.LOSSES[name]) or mask.all()
    if not known and losses.own.needs_all_labels(loss, mask.shape[1]):
        unknown = f'{np.count_nonzero(mask == 0)} of {mask.size} training labels are not known (label_mask 0)'
        raise ValueError(
            f'config.arms.{row["arm"]}: loss {name!r} changes with labels that are not known, and {unknown}: take the '
            'mean over the counted ones, as losses.loss.from_entries does.'
        )
    return loss


def build_loss(
    row: dict, positive: np.ndarray, negative: np.ndarray, *, num_examples: int = 0, head: bool = False
) -> Loss:
    """The loss of an arm, or that of its retrained head.

    row: of members.json; positive, negative: class counts [K]; num_examples: of training, 0 if that is not known.
    """
    if row['loss'] == losses.UNKNOWN:
        return losses.Loss(_unknown)
    name, hyper = (row['head_loss'], row['head_hyper']) if head else (row['loss'], row['hyper'])
    try:
        loss = losses.make(name, positive, negative, num_examples=num_examples, **hyper)
    except Exception as error:  # a user's own may raise any
        kind = '' if isinstance(error, (TypeError, ValueError)) else f'{type(error).__name__}: '
        reason = ' '.join(str(error).split())
        raise ValueError(f'config.arms.{row["arm"]}: loss {name!r}: {kind}{reason}') from error
    if not isinstance(loss, Loss):
        raise ValueError(f'config.arms.{row["arm"]}: loss {name!r} gives {loss!r}, which is no losses.Loss.')
    fine_tuning.check_smoothing(row, name, loss)
    return loss


def _unknown(*_: Any) -> jax.Array:
    raise ValueError('The loss that a network was trained with elsewhere is unknown.')
