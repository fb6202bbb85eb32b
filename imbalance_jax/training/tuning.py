"""Fine-tuning: what an arm may ask for beside its loss, and which of it any member of a population uses.

What nobody uses is in no program: a population without any of it compiles to the same steps as ever.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from imbalance_jax.config.fields import below_one
from imbalance_jax.losses import SOFTMAX, link_of
from imbalance_jax.losses.loss import Loss
from imbalance_jax.names import lookup
from imbalance_jax.training.members import DEFAULTS, OPTIMIZERS, UNFREEZE, final_loss

# Of the fields that are numbers: which values there can be, and that in words.
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    'frozen': (lambda v: 0 <= v <= 1, 'in 0..1, the fraction of training in which only the head is trained'),
    'layer_decay': (lambda v: 0 < v <= 1, 'more than 0 and at most 1, the factor on the learning rate per part'),
    'ema': (lambda v: v >= 0 and below_one(v), 'at least 0 and below 1, such as 0.999; 0 for none'),
    'label_smoothing': (lambda v: v >= 0 and below_one(v), 'at least 0 and below 1, such as 0.1; 0 for none'),
    'clip_norm': (lambda v: 0 <= v < math.inf, '0 or more, and finite, such as 1.0; 0 for none'),
}


class Tuning(NamedTuple):
    """Which means any member of a population uses.

    head_only: all train nothing but their heads, ever; frozen: any does so for a while; staged: of any, parts open one
    after the other; layer_decay, adamw, spared (norms and biases have no weight decay), averaged, clipped: any has it;
    smoothed: any has smooth labels; smoothed_softmax: any of these has a loss with a softmax; remat: what happens
    within blocks of the network is computed again for the gradient.
    """

    head_only: bool = False
    frozen: bool = False
    staged: bool = False
    layer_decay: bool = False
    adamw: bool = False
    spared: bool = False
    averaged: bool = False
    smoothed: bool = False
    smoothed_softmax: bool = False
    clipped: bool = False
    remat: bool = False

    @property
    def by_part(self) -> bool:
        """Whether the parts of the network matter."""
        return self.staged or self.layer_decay or self.remat

    @property
    def used(self) -> list[str]:
        """The names of what is used."""
        return [name for name, used in self._asdict().items() if used]


NOTHING = Tuning()


def tuning_of(rows: Sequence[Mapping[str, Any]], *, remat: bool = False) -> Tuning:
    """What the members of these rows of members.json use; fields that an old row lacks have their default."""

    def values(field: str) -> list[Any]:
        return [row.get(field, DEFAULTS[field]) for row in rows]

    staged = 'stages' in values('unfreeze')
    smooth = [row for row in rows if row.get('label_smoothing', 0.0)]
    return Tuning(
        head_only=not staged and min(values('frozen')) == 1,
        frozen=staged or max(values('frozen')) > 0,
        staged=staged,
        layer_decay=min(values('layer_decay')) < 1,
        adamw='adamw' in values('optimizer'),
        spared=not all(values('decay_norms')),
        averaged=max(values('ema')) > 0,
        smoothed=bool(smooth),
        smoothed_softmax=any(link_of(final_loss(row)) == SOFTMAX for row in smooth),
        clipped=max(values('clip_norm')) > 0,
        remat=remat,
    )


def check(row: Mapping[str, Any]) -> None:
    """Raises ValueError, one line, for the first field of fine-tuning in a row of members.json that cannot be."""
    name = f'config.arms.{row["arm"]}'
    for field, (valid, text) in RANGES.items():
        if not _is_number(row[field]) or not valid(row[field]):
            raise ValueError(f'{name}.{field} is {row[field]!r}; it must be {text}.')
    lookup(OPTIMIZERS, row['optimizer'], f'optimizer of {name}:')
    lookup(dict.fromkeys(UNFREEZE), row['unfreeze'], f'unfreeze of {name}:')
    if not isinstance(row['decay_norms'], bool):
        raise ValueError(f'{name}.decay_norms is {row["decay_norms"]!r}; it must be True or False.')
    _check_stages(name, row)
    start = row['retrain_head_from']
    if start < 1 and max([row['frozen'], *row['unfreeze_at']]) > start:
        frozen = f'its features are frozen beyond retrain_head_from {start!r}, from where only the head is trained'
        raise ValueError(f'{name}: {frozen}; let them open earlier, or leave retrain_head_from out.')


def _check_stages(name: str, row: Mapping[str, Any]) -> None:
    """`unfreeze` and what goes with it."""
    frozen, at = row['frozen'], row['unfreeze_at']
    sound = isinstance(at, (tuple, list)) and all(_is_number(one) and 0 <= one <= 1 for one in at)
    if not sound or list(at) != sorted(at):
        text = 'fractions of training in 0..1 that do not fall, the one of the last part first'
        raise ValueError(f'{name}.unfreeze_at is {at!r}; it must be a tuple of {text}, such as (0.1, 0.2, 0.4).')
    if row['unfreeze'] == 'at_once':
        if at:
            raise ValueError(f"{name}.unfreeze_at is {at!r}, but unfreeze is 'at_once'; set unfreeze to 'stages'.")
        return
    if at and frozen:
        raise ValueError(f'{name} has frozen {frozen!r} and unfreeze_at {at!r}, which both say when; leave one out.')
    if not at and not 0 < frozen < 1:
        text = 'the fraction of training after which all parts are open, between 0 and 1, or set unfreeze_at'
        raise ValueError(f"{name}.frozen is {frozen!r} and unfreeze is 'stages'; frozen must be {text}.")


def check_parts(rows: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> None:
    """Raises ValueError for more fractions of `unfreeze_at` than the network has parts before its head."""
    for row in rows:
        at = row.get('unfreeze_at', ())
        if len(at) > len(parts):
            has = f'the model has {len(parts)} parts before its head, the last one first: {", ".join(parts)}'
            raise ValueError(f'config.arms.{row["arm"]}.unfreeze_at is {tuple(at)}; {has}.')


def check_smoothing(row: Mapping[str, Any], name: str, loss: Loss) -> None:
    """Raises ValueError for an arm with smooth labels whose loss, called `name`, has no meaning with them."""
    if not row.get('label_smoothing', 0.0):
        return
    why = ''
    if loss.advance is not None:
        why = 'ranks images by their labels, which must be 0 or 1'
    if loss.link == SOFTMAX and loss.softmax_at is None:
        why = 'is a softmax of your own, not the kernel that smooth labels are defined for'
    if why:
        raise ValueError(f'config.arms.{row["arm"]}.label_smoothing is {row["label_smoothing"]!r}, but {name!r} {why}.')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
