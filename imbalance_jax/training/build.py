"""From a config to a trained population in a working directory: `config -> objects -> loop -> predictions, tables`."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import losses, models
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data import batches as data_batches
from imbalance_jax.data import samplers
from imbalance_jax.data import sources as datasets
from imbalance_jax.data import thinning as data_thinning
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.metrics import on_device as ranking
from imbalance_jax.system import progress as display
from imbalance_jax.training import member as train
from imbalance_jax.training import members as training_members
from imbalance_jax.training.checks import check_explanation
from imbalance_jax.training.program import Functions, Run


def make_members(config: ConfigDict) -> list[dict]:
    """The rows of members.json."""
    defaults = {'learning_rate': config.train.learning_rate, 'weight_decay': config.train.weight_decay}
    arms = {name: dict(arm) for name, arm in config.arms.items()}
    return training_members.make_members(arms, tuple(config.seeds), config.reference, **defaults)


def load_dataset(config: ConfigDict) -> Dataset:
    """The config's data set, prepared first if it is not there yet, its training split thinned as asked."""
    name = config.data.name
    options = {**config.data.get(name, {}), 'image_size': config.data.image_size}
    with display.show(f'prepare {name}') as update:
        dataset = datasets.load(name, Path(config.data.folder), options, update)
    return data_thinning.thin(dataset, config.data.imbalance, config.data.imbalance_seed)


def build_model(config: ConfigDict, num_classes: int):
    """The config's model."""
    return models.make(config.model.name, num_classes, **config.model.get(config.model.name, {}))


def build_losses(members: list[dict], arrays: data_arrays.Arrays) -> list:
    """The loss of every arm, in the order of the members' arm numbers."""
    positive, negative = data_arrays.class_counts(arrays)
    arms = {row['arm']: row for row in members}
    return [losses.make(row['loss'], positive, negative, **row['hyper']) for row in arms.values()]


def build(config: ConfigDict, dataset: Dataset, members: list[dict]) -> Run:
    """The population as plain objects and functions of one member; nothing is on a device yet."""
    arrays, validation = (data_arrays.split_arrays(dataset, split) for split in ('train', 'validation'))
    batch_size, epochs = config.train.batch_size, config.train.epochs
    steps = len(arrays.images) // batch_size
    if not steps:
        raise ValueError(f'config.train.batch_size {batch_size} is more than the {len(arrays.images)} training images.')
    loss_functions = build_losses(members, arrays)
    for name, options, _ in training_members.draws(members):
        samplers.make(name, **dict(options))(arrays.labels, 0.0)  # a value out of range is said here
    model = build_model(config, arrays.labels.shape[1])
    check_explanation(config, model, arrays.images.shape[1:], len(dataset.rows('test')))
    mean, std = data_arrays.grey_statistics(arrays.images)
    normalise = partial(data_arrays.normalise, mean=mean, std=std)
    factor = train.schedule(config.train.warmup_steps, epochs * steps, config.train.rate_floor)
    image_shape, linked = arrays.images.shape[1:], any(row['head'] != 'linear' for row in members)
    retrained = any(training_members.retrain_epoch(row, epochs) is not None for row in members)
    restart = train.make_restart(model, image_shape) if retrained else None
    step = train.make_train_step(model, loss_functions, factor, epochs * steps, restart)
    permuted = any(row['labels'] == 'permuted' for row in members)
    batch = data_batches.make_batch(mean, std, data_batches.Augmentation(**config.augment))
    predict = train.make_predict(model, normalise)

    def draw(member, distributions, epoch):
        return data_batches.sample_order(
            member.order_seed, distributions[member.sampler], epoch, steps=steps, batch_size=batch_size
        )

    return Run(
        model=model,
        normalise=normalise,
        one=Functions(
            init=train.make_init(model, loss_functions, image_shape, linked),
            draw=draw,
            steps=train.make_train_steps(step, batch),
            keep=lambda one: jax.tree.map(lambda old, new: jnp.where(one[2], new, old), *one[:2]),
            predict=predict,
            evaluate=train.make_evaluate(predict, ranking.ranking),
        ),
        rows=members,
        numbers=training_members.numbers(members, config.data.order == 'own', epochs, steps),
        arrays=data_arrays.with_permuted_labels(arrays) if permuted else arrays,
        validation=validation,
        distributions=partial(distributions, training_members.draws(members), arrays.labels, epochs),
        epochs=epochs,
        steps=steps,
        chunk=config.train.steps_per_dispatch,
        batch_size=config.evaluate.batch_size,
        train_batch_size=batch_size,
        patience=config.train.patience,
        save_seconds=config.train.save_seconds,
        described=describe(config, arrays, members),
    )


def describe(config: ConfigDict, arrays: data_arrays.Arrays, members: list[dict]) -> dict:
    """What the speed of a population's training program depends on, apart from the device."""
    model = {'name': config.model.name, **config.model.get(config.model.name, {})}
    shapes = {'images': list(arrays.images.shape), 'classes': arrays.labels.shape[1]}
    arms = {row['arm']: row['loss'] for row in members}
    augmented = {name: bool(value) for name, value in config.augment.items()}
    return {'model': model, **shapes, 'batch': config.train.batch_size, 'losses': list(arms.values()), **augmented}


def distributions(draws: list[tuple], labels: np.ndarray, epochs: int, epoch: int) -> np.ndarray:
    """Cumulative sampling weights [samplers,N] of an epoch; zeros, for uniform weights, mean without replacement.

    draws: (sampler, options, retrain_head_from); before its head is retrained, such an arm draws naturally.
    """
    rows = []
    for name, options, start in draws:
        begin = training_members.retrain_epoch({'retrain_head_from': start}, epochs)
        natural = begin is not None and epoch < begin
        sampler = samplers.make('natural') if natural else samplers.make(name, **dict(options))
        weights = sampler(labels, epoch / max(epochs - 1, 1))
        uniform = np.ptp(weights) == 0
        rows.append(np.zeros(len(labels), np.uint32) if uniform else data_batches.cumulative_weights(weights))
    return np.stack(rows)
