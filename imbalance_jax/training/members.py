"""The members of a population: rows of members.json from arms and seeds, and the same as arrays."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.config.fields import ARM_FIELDS
from imbalance_jax.data.policies import OWN
from imbalance_jax.data.samplers import SAMPLERS
from imbalance_jax.losses import LOSSES, SOFTMAX, link_of
from imbalance_jax.names import lookup, options_of

FIELDS = tuple(ARM_FIELDS)
# Of an arm that does not set them. Its loss is then the arm's name, and its rates are those of the config's `train`.
OF_CONFIG = ('loss', 'learning_rate', 'weight_decay')
DEFAULTS = {name: value for name, value in ARM_FIELDS.items() if name not in OF_CONFIG}
HEADS = {'linear': 0.0, 'cosine': 1.0}
OPTIMIZERS = {'adam': 0.0, 'adamw': 1.0}
UNFREEZE = ('at_once', 'stages')
NEVER = 2**31 - 1
RANDOM = 'random'  # what a member begins with instead of weights: a network drawn by its seed

Array = jax.Array | np.ndarray


class Member(NamedTuple):
    """The numbers that tell one member from another; every field but `opens` is a scalar array, [P] in a population.

    arm: which of the training losses; head_arm: which of them from retrain_from on; sampler: which row of the sampling
    CDFs; seed: initial weights; order_seed: data order and augmentation; learning_rate: Adam's peak; weight_decay: L2,
    added to the gradient of the model's weights; cosine: 1 for a head of cosines; retrain_from: the step at which the
    head begins anew and the rest is frozen; labels: which of `label_versions` it is trained on; softmax: 1 where the
    probability behind a logit is a softmax, 0 where it is a sigmoid.

    Of fine-tuning (`tuning`): opens: [S] the steps with which the parts of the network before the head begin to train,
    the last part first; the last number is for every part in front of it; layer_decay: factor on the learning rate per
    part; decoupled: 1 where weight decay is AdamW's; decay_norms: 0 where norms and biases have none; ema_rate: 1 less
    the decay of the mean of weights, 1 without one; label_smoothing; clip_norm: largest norm that a gradient may have.

    Of cached features (`features`): backbone: which of the networks without their heads, of `backbones`.
    """

    arm: Array
    sampler: Array
    seed: Array
    order_seed: Array
    learning_rate: Array
    weight_decay: Array
    cosine: Array
    retrain_from: Array
    head_arm: Array
    labels: Array
    softmax: Array
    opens: Array
    layer_decay: Array
    decoupled: Array
    decay_norms: Array
    ema_rate: Array
    label_smoothing: Array
    clip_norm: Array
    backbone: Array


class Sampling(NamedTuple):
    """How a member's examples are drawn: a sampler with its options, as sorted (name, value) pairs, from which fraction
    of training on its head is retrained (before that, it draws naturally), and by which version of the labels, of those
    that look at labels."""

    sampler: str
    options: tuple[tuple[str, Any], ...]
    retrain_head_from: float
    labels: str = OWN


def in_order(arms: Iterable[str], reference: str) -> list[str]:
    """Names of arms in the order of members: the reference first, then by name."""
    return sorted(arms, key=lambda name: (name != reference, name))


def make_members(arms: Mapping[str, Mapping], seeds: Sequence[int], reference: str, **defaults: float) -> list[dict]:
    """Every arm with every seed, as plain rows for `members.json`: the reference arm first, then by name.

    arms: name -> {'loss', 'sampler', 'learning_rate', 'weight_decay', 'head' ('linear' or 'cosine'),
    'retrain_head_from' (the fraction of training from which only a new head is trained, with the arm's sampler; 1 for
    never), 'head_loss' (the loss of that new head; '' for the arm's own), 'labels' ('own', the name of a label policy,
    or 'permuted' for a null that has nothing to learn), 'weights' and 'preprocessing' (what it begins with, and what
    that wants of an image; '' for what the config says), the fields of fine-tuning (README), and hyper-parameters of
    its losses and options of the sampler (`split_options`)}; what an arm leaves out is taken from `defaults`. Raises
    ValueError for an unknown loss, sampler or option; `checks.check_members` says what else is wrong in them.
    """
    rows = []
    for name in in_order(arms, reference):
        arm = {'loss': name, **DEFAULTS, **defaults, **arms[name]}
        fields = {key: arm[key] for key in FIELDS}
        brought = {key: value for key, value in arm.items() if key not in FIELDS}
        options = split_options(name, arm['loss'], arm['sampler'], options=brought, head_loss=arm['head_loss'])
        rows += [{'arm': name, **fields, **options, 'seed': int(seed)} for seed in seeds]
    return [{'member': i, **row} for i, row in enumerate(rows)]


def split_options(
    arm: str, loss: str, sampler: str, *, options: Mapping[str, Any], head_loss: str = ''
) -> dict[str, dict[str, Any]]:
    """An arm's options by their signatures: {'hyper': those of its loss, 'head_hyper': those of the loss of its
    retrained head, if it has one of its own, 'sampler_options': those of its sampler}.

    An option that both losses know is for both. Raises ValueError for an unknown loss, sampler or option, and for an
    option that a loss and the sampler know.
    """
    tables = (LOSSES, loss, 'loss'), (SAMPLERS, sampler, 'sampler'), (LOSSES, head_loss, 'head_loss')
    of_loss, of_sampler, of_head = (
        options_of(lookup(table, name, f'{what} of config.arms.{arm}:'), required=True) if name else {}
        for table, name, what in tables
    )
    for name in options:
        known = of_loss | of_head | of_sampler
        lookup(known, name, f'option of config.arms.{arm} (loss {loss!r}, sampler {sampler!r}):')
        for one, of_one in ((loss, of_loss), (head_loss, of_head)):
            if name in of_one and name in of_sampler:
                both = f'loss {one!r} and sampler {sampler!r} both have it'
                raise ValueError(f'config.arms.{arm}.{name} is ambiguous: {both}; rename it in one of them.')
    signatures = {'hyper': of_loss, 'head_hyper': of_head, 'sampler_options': of_sampler}
    return {
        kind: {name: value for name, value in options.items() if name in signature}
        for kind, signature in signatures.items()
    }


def same_arms(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Names of arms that are one approach under several names: with equal seeds their members are equal to the bit."""
    kinds: dict[str, dict[str, None]] = {}
    for row in rows:
        tables = ((LOSSES[row['loss']], row['hyper']), (SAMPLERS[row['sampler']], row['sampler_options']))
        options = [{**options_of(function), **given} for function, given in tables]
        rest = {
            key: one for key, one in row.items() if key not in ('member', 'arm', 'seed', 'hyper', 'sampler_options')
        }
        kinds.setdefault(repr((sorted(rest.items()), options)), {})[row['arm']] = None
    return [list(arms) for arms in kinds.values() if len(arms) > 1]


def distinct(rows: Sequence[dict], key: str) -> list:
    """The different values of one field, in the order of the members."""
    return list(dict.fromkeys(row[key] for row in rows))


def is_adopted(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the members of members.json were trained elsewhere (`adopt`)."""
    return any('adopted' in row for row in rows)


def without_networks(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether of the members of members.json there are predictions or features only (`adopt_recorded`)."""
    return any({'values', 'features'} & set(row.get('adopted', {})) for row in rows)


def has_features(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether features take the place of the members of members.json."""
    return any('features' in row.get('adopted', {}) for row in rows)


def has_predictions(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is known what the members of members.json say of an image; features alone do not say it."""
    return not without_networks(rows) or any('values' in row['adopted'] for row in rows)


def link_of_member(row: Mapping[str, Any]) -> str:
    """What makes probabilities of a member's logits: what its row says, or what its loss wants."""
    return row.get('link') or link_of(final_loss(row))


def whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of members.json with every field of an arm: what is not known of a network that was trained elsewhere is
    as if it was not used."""
    return {**DEFAULTS, 'learning_rate': 0.0, 'weight_decay': 0.0, **row} if 'adopted' in row else dict(row)


def final_loss(row: Mapping[str, Any]) -> str:
    """The name of the loss that a member's head is trained with in the end. row: of members.json."""
    return row.get('head_loss') or row['loss']


def retrain_epoch(start: float, epochs: int) -> int | None:
    """The epoch, counted from 0, with which the fraction `start` of training is done, or None for 1, the end."""
    return math.ceil(start * epochs - 1e-9) if start < 1 else None


def opening_steps(row: Mapping[str, Any], total_steps: int, parts: int) -> list[int]:
    """The steps [S], S = `parts`, with which the parts of a network before its head begin to train, the last one first.

    row: of members.json. A part that opens after the fraction f of training, of T steps, opens with step ceil(f T), and
    never with f = 1. In stages, part i of S opens after i / S of the fraction `frozen`, or after `unfreeze_at`[i - 1],
    the last number of which is for all parts in front.
    """
    frozen = row.get('frozen', 0.0)
    fractions = [frozen] * parts
    if row.get('unfreeze', 'at_once') == 'stages':
        at = row.get('unfreeze_at') or [frozen * (i + 1) / parts for i in range(parts)]
        fractions = [at[min(i, len(at) - 1)] for i in range(parts)]
    return [math.ceil(one * total_steps - 1e-9) if one < 1 else NEVER for one in fractions]


def backbones(rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], np.ndarray]:
    """Which networks members begin with, but for their heads: the first row [G] of each, and the one of every row [P].

    Weights from elsewhere are the same network whatever the seed; without them each seed draws one.
    """
    kinds = [weights if (weights := row.get('weights') or RANDOM) != RANDOM else row['seed'] for row in rows]
    distinct = list(dict.fromkeys(kinds))
    return [kinds.index(kind) for kind in distinct], np.array([distinct.index(kind) for kind in kinds], np.int32)


def samplings(rows: Sequence[dict]) -> list[Sampling]:
    """The different ways of sampling, in the order of the members."""
    return list(dict.fromkeys(_sampling(row) for row in rows))


def _sampling(row: Mapping[str, Any]) -> Sampling:
    return Sampling(
        sampler=row['sampler'],
        options=tuple(sorted(row.get('sampler_options', {}).items())),
        retrain_head_from=row['retrain_head_from'],
        labels=OWN if row['sampler'] == 'natural' else row.get('labels', OWN),
    )


def label_versions(rows: Sequence[dict]) -> list[str]:
    """The labels that members are trained on, the data set's own first, whether one has them or not."""
    return list(dict.fromkeys((OWN, *(row.get('labels', OWN) for row in rows))))


def arms_with_head_loss(rows: Sequence[dict]) -> list[str]:
    """The arms whose head is retrained with a loss of its own, in the order of the members."""
    return distinct([row for row in rows if row.get('head_loss')], 'arm')


def member_arrays(
    rows: Sequence[dict],
    *,
    own_order: bool,
    epochs: int = 1,
    steps_per_epoch: int = 1,
    resampled: bool = False,
    parts: int = 1,
) -> Member:
    """Rows of `make_members` as arrays [P]. Without an order of their own all seeds share seed 0's batches.

    Losses are numbered as `build_training_losses` lists them. resampled: every seed has training patients of its
    own, and so sampling CDFs of its own. parts: those of the network that open one after the other, 1 if none does.
    """
    rows = [whole(row) for row in rows]
    arms, ways, seeds, versions = distinct(rows, 'arm'), samplings(rows), distinct(rows, 'seed'), label_versions(rows)
    first = {arm: len(arms) + i for i, arm in enumerate(arms_with_head_loss(rows))}
    begin = [retrain_epoch(row['retrain_head_from'], epochs) for row in rows]
    draws = seeds if resampled else [None]
    seed = np.array([row['seed'] for row in rows], np.uint32)
    opens = [opening_steps(row, epochs * steps_per_epoch, parts) for row in rows]
    return Member(
        arm=np.array([first.get(row['arm'], arms.index(row['arm'])) for row in rows], np.int32),
        sampler=np.array(
            [ways.index(_sampling(row)) * len(draws) + seeds.index(row['seed']) % len(draws) for row in rows], np.int32
        ),
        seed=seed,
        order_seed=seed if own_order else np.zeros_like(seed),
        learning_rate=np.array([row['learning_rate'] for row in rows], np.float32),
        weight_decay=np.array([row['weight_decay'] for row in rows], np.float32),
        cosine=np.array([HEADS[row['head']] for row in rows], np.float32),
        retrain_from=np.array([NEVER if epoch is None else epoch * steps_per_epoch for epoch in begin], np.int32),
        head_arm=np.array([arms.index(row['arm']) for row in rows], np.int32),
        labels=np.array([versions.index(row.get('labels', OWN)) for row in rows], np.int32),
        softmax=np.array([link_of_member(row) == SOFTMAX for row in rows], np.float32),
        opens=np.array(opens, np.int32).reshape(len(rows), parts),
        layer_decay=_numbers(rows, 'layer_decay'),
        decoupled=np.array([OPTIMIZERS[row.get('optimizer', 'adam')] for row in rows], np.float32),
        decay_norms=_numbers(rows, 'decay_norms'),
        ema_rate=np.array([1 - row.get('ema', 0.0) for row in rows], np.float32),
        label_smoothing=_numbers(rows, 'label_smoothing'),
        clip_norm=np.array([row.get('clip_norm') or np.inf for row in rows], np.float32),
        backbone=backbones(rows)[1],
    )


def _numbers(rows: Sequence[dict], field: str) -> np.ndarray:
    """A field of the rows [P]; those of an older version have its default."""
    return np.array([row.get(field, DEFAULTS[field]) for row in rows], np.float32)
