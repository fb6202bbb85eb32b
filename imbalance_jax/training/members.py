"""The population: members from arms and seeds, and the one mapper that runs a member's function for all of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.data.samplers import SAMPLERS
from imbalance_jax.losses import LOSSES
from imbalance_jax.names import lookup, options_of

# Fields of an arm that are neither its loss's hyper-parameters nor its sampler's options.
OWN = ('loss', 'sampler', 'learning_rate', 'weight_decay', 'head', 'retrain_head_from', 'labels')
HEADS = {'linear': 0.0, 'cosine': 1.0}
LABELS = {'own': 0, 'permuted': 1}
NEVER = 2**31 - 1


class Member(NamedTuple):
    """The numbers that tell one member from another; every field is a scalar array, [P] in a population.

    arm: which loss; sampler: which row of the sampling distributions; seed: initial weights; order_seed: data order
    and augmentation; learning_rate: Adam's peak; weight_decay: L2, added to the gradient of the model's weights;
    cosine: 1 for a head of cosines; retrain_from: the step at which the head begins anew and the rest is frozen;
    permuted: 1 to train on the labels of other images.
    """

    arm: jax.Array
    sampler: jax.Array
    seed: jax.Array
    order_seed: jax.Array
    learning_rate: jax.Array
    weight_decay: jax.Array
    cosine: jax.Array
    retrain_from: jax.Array
    permuted: jax.Array


def make_members(arms: Mapping[str, Mapping], seeds: Sequence[int], reference: str, **defaults) -> list[dict]:
    """Every arm with every seed, as plain rows for `members.json`: the reference arm first, then by name.

    arms: name -> {'loss', 'sampler', 'learning_rate', 'weight_decay', 'head' ('linear' or 'cosine'),
    'retrain_head_from' (the fraction of training from which only a new head is trained, with the arm's sampler; 1 for
    never), 'labels' ('own', or 'permuted' for a null that has nothing to learn), and hyper-parameters of the loss and
    options of the sampler (`split_options`)}; what an arm leaves out is taken from `defaults`. Raises ValueError
    without arms or seeds, for a seed given twice, for a reference that is no arm, and for an unknown loss, sampler or
    option.
    """
    if reference not in arms:
        raise ValueError(f'config.reference is {reference!r}, which is no arm. Arms: {", ".join(sorted(arms))}.')
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise ValueError(f'config.seeds must be one or more different whole numbers below 2^32, not {tuple(seeds)}.')
    rows = []
    for name in sorted(arms, key=lambda name: (name != reference, name)):
        usual = {'loss': name, 'sampler': 'natural', 'head': 'linear', 'retrain_head_from': 1.0, 'labels': 'own'}
        arm: dict[str, Any] = {**usual, **defaults, **arms[name]}
        own = {key: arm[key] for key in OWN}
        _check_rates(name, own)
        options = split_options(name, arm['loss'], arm['sampler'], {k: v for k, v in arm.items() if k not in OWN})
        rows += [{'arm': name, **own, **options, 'seed': int(seed)} for seed in seeds]
    return [{'member': i, **row} for i, row in enumerate(rows)]


def split_options(arm: str, loss: str, sampler: str, options: Mapping) -> dict[str, dict]:
    """An arm's options as {'hyper': those of its loss, 'sampler_options': those of its sampler}, by their signatures.

    Raises ValueError for an unknown loss, sampler or option, and for an option that both know.
    """
    of_loss, of_sampler = options_of(lookup(LOSSES, loss, 'loss')), options_of(lookup(SAMPLERS, sampler, 'sampler'))
    for name in options:
        lookup(of_loss | of_sampler, name, f'option of config.arms.{arm} (loss {loss!r}, sampler {sampler!r}):')
        if name in of_loss and name in of_sampler:
            both = f'loss {loss!r} and sampler {sampler!r} both have it'
            raise ValueError(f'config.arms.{arm}.{name} is ambiguous: {both}; rename it in one of them.')
    return {
        'hyper': {name: value for name, value in options.items() if name in of_loss},
        'sampler_options': {name: value for name, value in options.items() if name in of_sampler},
    }


def _check_rates(arm: str, own: Mapping) -> None:
    for key, least in (('learning_rate', 'more than 0'), ('weight_decay', '0 or more')):
        value = own[key]
        number = isinstance(value, (int, float)) and math.isfinite(value)
        if not number or value < 0 or (value == 0 and key == 'learning_rate'):
            raise ValueError(f'config.arms.{arm}.{key} is {value!r}; it must be a finite number, {least}.')
    lookup(HEADS, own['head'], f'head of config.arms.{arm}:')
    lookup(LABELS, own['labels'], f'labels of config.arms.{arm}:')
    start = own['retrain_head_from']
    if not isinstance(start, (int, float)) or not 0 < start <= 1:
        raise ValueError(f'config.arms.{arm}.retrain_head_from is {start!r}; it must be more than 0 and at most 1.')


def distinct(rows: Sequence[dict], key: str) -> list:
    """The different values of one field, in the order of the members."""
    return list(dict.fromkeys(row[key] for row in rows))


def retrain_epoch(row: dict, epochs: int) -> int | None:
    """The epoch, counted from 0, with which the re-training of a member's head begins, or None."""
    start = row['retrain_head_from']
    return math.ceil(start * epochs - 1e-9) if start < 1 else None


def draws(rows: Sequence[dict]) -> list[tuple]:
    """The different (sampler, its options, retrain_head_from), in the order of the members, each with its own weights.

    Options are sorted (name, value) pairs.
    """
    options = [tuple(sorted(row.get('sampler_options', {}).items())) for row in rows]
    return list(dict.fromkeys((r['sampler'], o, r['retrain_head_from']) for r, o in zip(rows, options, strict=True)))


def numbers(rows: Sequence[dict], own_order: bool, epochs: int = 1, steps: int = 1) -> Member:
    """Rows of `make_members` as arrays [P], for so many epochs of so many steps.

    Without an order of their own all seeds share seed 0's batches.
    """
    arms, samplers = distinct(rows, 'arm'), draws(rows)
    begin = [retrain_epoch(row, epochs) for row in rows]
    seed = np.array([row['seed'] for row in rows], np.uint32)
    return Member(
        arm=np.array([arms.index(row['arm']) for row in rows], np.int32),
        sampler=np.array([samplers.index(draws([row])[0]) for row in rows], np.int32),
        seed=seed,
        order_seed=seed if own_order else np.zeros_like(seed),
        learning_rate=np.array([row['learning_rate'] for row in rows], np.float32),
        weight_decay=np.array([row['weight_decay'] for row in rows], np.float32),
        cosine=np.array([HEADS[row['head']] for row in rows], np.float32),
        retrain_from=np.array([NEVER if epoch is None else epoch * steps for epoch in begin], np.int32),
        permuted=np.array([LABELS[row['labels']] for row in rows], np.int32),
    )
