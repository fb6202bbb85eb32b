"""From a config to the objects of an experiment; nothing is on a device yet."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data import batches, coverage, policies, samplers
from imbalance_jax.data.arrays import (
    Arrays,
    label_versions,
    permuted_labels,
    relabelled,
    split_arrays,
)
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.losses.loss import Loss
from imbalance_jax.metrics import on_device
from imbalance_jax.training import checks, kept, member, members, resampling, start
from imbalance_jax.training import tuning as fine_tuning
from imbalance_jax.training.arm_losses import build_training_losses
from imbalance_jax.training.members import Member, Sampling
from imbalance_jax.training.network import Network, network
from imbalance_jax.training.parts import Parts, check_stages, parts_of
from imbalance_jax.training.program import Experiment, Functions
from imbalance_jax.training.resampling import Draws
from imbalance_jax.training.tuning import Tuning

log = logging.getLogger(__name__)


def make_members(config: ConfigDict) -> list[dict]:
    """The rows of members.json; ValueError for arms, seeds or a reference that cannot be."""
    defaults = {'learning_rate': config.train.learning_rate, 'weight_decay': config.train.weight_decay}
    arms = {name: dict(arm) for name, arm in config.arms.items()}
    checks.check_population(arms, tuple(config.seeds), config.reference)
    rows = members.make_members(arms, tuple(config.seeds), config.reference, **defaults)
    own_policies = config.data.policies.to_dict()
    checks.check_labels(config.data.labels, own_policies)
    checks.check_members(rows, own_policies)
    return start.chosen(rows, config.model)


def labels_of_versions(config: ConfigDict, dataset: Dataset, rows: list[dict], train: Arrays) -> dict[str, Arrays]:
    """The training split under each of `members.label_versions`, with the same images. rows: of members.json.

    Raises ValueError naming the arm whose label policy the data set does not allow.
    """
    known, index = policies.named(config.data.policies.to_dict()), dataset.rows('train')
    result = {policies.OWN: train}
    for row in rows:
        name = row.get('labels', policies.OWN)
        if name == policies.PERMUTED:
            result.setdefault(name, permuted_labels(train))
        elif name not in result:
            try:
                labels, mask = policies.apply(dataset, known[name])
            except ValueError as error:
                raise ValueError(f'config.arms.{row["arm"]}.labels is {name!r}: {error}') from error
            result[name] = relabelled(train, labels[index], mask[index])
    return result


def _warn(config: ConfigDict, dataset: Dataset, versions: Mapping[str, Arrays]) -> None:
    """Says which arms' labels hide the negatives of a class; `soundness.check_splits` says it of all others' labels."""
    known, rows = policies.named(config.data.policies.to_dict()), dataset.rows('train')
    for name in versions.keys() & known.keys():
        read = coverage.were_read(dataset, known[name])[rows]
        labels = versions[name].labels, versions[name].label_mask
        for sentence in coverage.hidden_negatives(labels, read, dataset.classes):
            log.warning('labels %s, train: %s.', name, sentence)


def build(config: ConfigDict, dataset: Dataset, rows: list[dict], *, untrained: Network | None = None) -> Experiment:
    """The population as plain objects and functions of one member. rows: of members.json; untrained: if at hand.

    Raises ValueError for an unknown loss or hyper-parameter; `checks` says what else may be wrong.
    """
    untrained = untrained or network(config, dataset)
    train, validation = (split_arrays(dataset, split) for split in ('train', 'validation'))
    epochs, steps = config.train.epochs, train.size // config.train.batch_size
    samples = training_samples(config, dataset, rows)
    versions = labels_of_versions(config, dataset, rows, train)
    labels = {name: np.asarray(arrays.labels) for name, arrays in versions.items()}
    _warn(config, dataset, versions)
    parts = parts_of_network(untrained, rows, used(config, rows), dataset.images.shape[1:])
    for sampling in members.samplings(rows):
        of_labels = labels[sampling.labels]
        weigh = samplers.make(sampling.sampler, **dict(sampling.options))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):  # of training: says what is out of range, then or later
            weigh(of_labels, share)
    return Experiment(
        functions=build_functions(config, untrained, rows, versions=versions, parts=parts),
        begin=untrained.begin_state,
        members=rows,
        member_arrays=members.member_arrays(
            rows,
            own_order=config.data.order == 'own',
            epochs=epochs,
            steps_per_epoch=steps,
            resampled=samples is not None,
            parts=len(parts.names) if parts and used(config, rows).staged else 1,
        ),
        train=label_versions([versions[name] for name in members.label_versions(rows)]),
        validation=validation,
        draws=partial(draws, members.samplings(rows), labels, samples, epochs),
        epochs=epochs,
        steps_per_epoch=steps,
        steps_per_dispatch=config.train.steps_per_dispatch,
        batch_size=config.train.batch_size,
        eval_batch_size=config.evaluate.batch_size,
        patience=config.train.patience,
        kept=kept.Kept(
            matched=config.train.matched,
            shares=tuple(config.train.kept_shares),
            reference=config.reference,
            reference_head_from=config.arms.get(config.reference, {}).get('retrain_head_from', 1.0),
        ),
        save_seconds=config.train.save_seconds,
        described=describe(config, train, rows, untrained=untrained),
    )


def build_functions(
    config: ConfigDict,
    untrained: Network,
    rows: list[dict],
    *,
    versions: Mapping[str, Arrays],
    parts: Parts | None,
) -> Functions:
    """What training does with one member; ValueError for an unknown loss or hyper-parameter."""
    loss_functions, train = build_training_losses(rows, versions), versions[policies.OWN]
    predict = member.make_predict(untrained.model, untrained.normalise)
    return Functions(
        init=member.make_init(untrained.init, loss_functions, used(config, rows)),
        sample_order=make_sample_order(train.size // config.train.batch_size, config.train.batch_size),
        train_steps=build_train_steps(config, untrained, rows, loss_functions=loss_functions, train=train, parts=parts),
        keep_best=keep_best,
        predict=predict,
        evaluate=member.make_evaluate(on_device.ranking),
    )


def build_train_steps(
    config: ConfigDict,
    untrained: Network,
    rows: list[dict],
    *,
    loss_functions: list[Loss],
    train: Arrays,
    parts: Parts | None,
) -> Any:
    """Several training steps of one member: gather and augment a batch, and take an Adam step on it."""
    tuning = used(config, rows)
    epochs, total = config.train.epochs, config.train.epochs * (train.size // config.train.batch_size)
    factor = member.schedule(config.train.warmup_steps, total, config.train.rate_floor)
    retrained = any(members.retrain_epoch(row['retrain_head_from'], epochs) is not None for row in rows)
    restart = member.make_restart(untrained.model, train.images.shape[1:], tuning) if retrained else None
    step = member.make_train_step(
        untrained.model, loss_functions, factor, total_steps=total, restart=restart, tuning=tuning, parts=parts
    )
    if untrained.on_features:
        return member.make_train_steps(step, batches.batch_of_features, of_backbone=True)
    return member.make_train_steps(step, batches.make_batch(*untrained.grey, untrained.augmentation))


def used(config: ConfigDict, rows: list[dict]) -> Tuning:
    """Which means of fine-tuning any member uses."""
    return fine_tuning.tuning_of(rows, remat=config.train.get('remat', False))


def parts_of_network(
    untrained: Network, rows: list[dict], tuning: Tuning, image_shape: tuple[int, ...]
) -> Parts | None:
    """The parts of the network where they are trained differently; ValueError for stages that cannot be."""
    if not tuning.by_part:
        return None
    one = jax.tree.map(lambda a: a[0], members.member_arrays(rows[:1], own_order=True))
    parts = parts_of(untrained.model, jax.eval_shape(untrained.init, one), image_shape)
    fine_tuning.check_parts(rows, parts.names)
    check_stages(untrained.model, rows, image_shape)
    return parts


def make_sample_order(steps_per_epoch: int, batch_size: int) -> Any:
    """Returns `sample_order(member, draws, epoch) -> [steps,B]`, the examples of an epoch's batches."""

    def sample_order(one: Member, draws: Draws, epoch: jax.Array) -> jax.Array:
        cdf: Any = draws.cumulative[one.sampler]
        order = batches.sample_order(one.order_seed, cdf, epoch, steps=steps_per_epoch, batch_size=batch_size)
        return order if draws.rows is None else jnp.asarray(draws.rows)[one.sampler % len(draws.rows)][order]

    return sample_order


def keep_best(one: tuple) -> Any:
    """(best, new, improved []) of one member -> `new` where it improved, else `best`."""
    best, new, improved = one
    return jax.tree.map(lambda old, new: jnp.where(improved, new, old), best, new)


def describe(config: ConfigDict, arrays: Arrays, rows: list[dict], *, untrained: Network) -> dict[str, Any]:
    """What the speed of a population's training program depends on, apart from the device."""
    model = {'name': config.model.name, **config.model.get(config.model.name, {})}
    shapes = {'images': list(arrays.images.shape), 'classes': arrays.labels.shape[1]}
    arms = {row['arm']: '/'.join(filter(None, (row['loss'], row.get('head_loss')))) for row in rows}
    changed = {name: bool(value) for name, value in untrained.augmentation._asdict().items()}
    named = {'tuning': tuning.used} if (tuning := used(config, rows)).used else {}
    described = {'model': model, **shapes, 'batch': config.train.batch_size, 'losses': list(arms.values()), **changed}
    on_features = {'features': True} if untrained.on_features else {}
    return {**described, **named, **on_features, **start.described(untrained.starts)}


def training_samples(config: ConfigDict, dataset: Dataset, rows: list[dict]) -> np.ndarray | None:
    """Rows of the training split [D,N], a bootstrap sample of its patients per seed; None if all train on all."""
    if not config.data.resample:
        return None
    return resampling.patient_samples(dataset.patient[dataset.rows('train')], members.distinct(rows, 'seed'))


def draws(
    samplings: list[Sampling], labels: Mapping[str, np.ndarray], samples: np.ndarray | None, epochs: int, epoch: int
) -> Draws:
    """What an epoch is drawn from. labels: version -> [N,K] of the training split; samples: `training_samples`."""
    cumulative = [
        _cumulative(sampling, labels[sampling.labels][rows], epochs, epoch)
        for sampling in samplings
        for rows in ([slice(None)] if samples is None else samples)
    ]
    return Draws(np.stack(cumulative), samples)


def _cumulative(sampling: Sampling, labels: np.ndarray, epochs: int, epoch: int) -> np.ndarray:
    """Cumulative sampling weights [N] of an epoch; zeros, for uniform weights, mean without replacement."""
    begin = members.retrain_epoch(sampling.retrain_head_from, epochs)
    natural = begin is not None and epoch < begin
    sampler = samplers.make('natural') if natural else samplers.make(sampling.sampler, **dict(sampling.options))
    weights = sampler(labels, epoch / max(epochs - 1, 1))
    uniform = np.ptp(weights) == 0
    return np.zeros(len(labels), np.uint32) if uniform else batches.cumulative_weights(weights)
