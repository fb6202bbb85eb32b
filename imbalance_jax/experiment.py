"""From a config to a trained population in a working directory: `config -> objects -> loop -> predictions, tables`."""

import inspect
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import (
    attribution,
    data,
    datasets,
    inspection,
    loop,
    losses,
    models,
    performance,
    population,
    samplers,
    train,
)
from imbalance_jax import progress as display
from imbalance_jax.attribution import activations
from imbalance_jax.datasets.store import SPLITS, Dataset
from imbalance_jax.names import lookup
from imbalance_jax.provenance import stage
from imbalance_jax.writer import claim, lock, read_arrays, read_json, write_arrays, write_json, write_table

EXPLANATIONS = {**attribution.METHODS, **attribution.CAMS}


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains the config's population into `workdir`: members.json, metrics.jsonl, checkpoints, predictions, tables.

    Finished work is not done again; interrupted work goes on where it was. Raises ValueError naming the field or file
    for anything wrong with the config, the data or the working directory, before anything is compiled.
    """
    workdir = Path(workdir)
    check_blocks(config)
    members = make_members(config)
    population.use_all_cores()
    dataset = load_dataset(config)
    check_splits(dataset)
    ready = build(config, dataset, members)
    with lock(workdir):
        claim(workdir, config.to_dict())
        check_same_data(dataset, workdir)
        if is_finished(workdir, ready):
            print(f'{workdir} is trained already.')
        else:
            train_into(workdir, ready, dataset)
        write_performance(config, dataset, members, workdir)


def is_finished(workdir: Path, ready: loop.Run) -> bool:
    """Whether the predictions are there, and the checkpoint that they come from."""
    if not (workdir / 'predictions.npz').exists():
        return False
    return loop.restore_finished(ready, workdir / 'checkpoints') is not None


def check_same_data(dataset: Dataset, workdir: Path) -> None:
    """Raises ValueError if `workdir` was begun with other data: files of the source may have changed since."""
    path = Path(workdir) / 'data.json'
    if path.exists() and read_json(path)['fingerprint'] != dataset.info['fingerprint']:
        raise ValueError(f'{workdir} was begun with other data than {dataset.info["name"]} is now: take another.')


def train_into(workdir: Path, ready: loop.Run, dataset: Dataset) -> None:
    """Describes the members and the data, trains, and leaves predictions.npz as the last act."""
    write_json(workdir / 'members.json', ready.rows)
    write_json(workdir / 'data.json', dataset.info)
    write_arrays(workdir / 'contact_sheet.npz', **inspection.contact_sheet(dataset))
    write_table(workdir, 'data', inspection.rows(dataset))
    with stage(workdir, 'train', strategy=ready.place.strategy):
        progress = loop.fit(ready, workdir)
        write_predictions(ready, progress, dataset, workdir)


def make_members(config: ConfigDict) -> list[dict]:
    """The rows of members.json."""
    defaults = {'learning_rate': config.train.learning_rate, 'weight_decay': config.train.weight_decay}
    arms = {name: dict(arm) for name, arm in config.arms.items()}
    return population.make_members(arms, tuple(config.seeds), config.reference, **defaults)


def load_dataset(config: ConfigDict) -> Dataset:
    """The config's data set, prepared first if it is not there yet."""
    name = config.data.name
    options = {**config.data.get(name, {}), 'image_size': config.data.image_size}
    with display.show(f'prepare {name}') as update:
        return datasets.load(name, Path(config.data.folder), options, update)


def check_splits(dataset: Dataset) -> None:
    """Raises ValueError if validation cannot choose a best epoch, or a split is empty."""
    for split in SPLITS:
        arrays = data.split_arrays(dataset, split)
        if not len(arrays.images):
            raise ValueError(f'The {split} split of {dataset.info["name"]} is empty.')
        if split == 'validation' and not np.minimum(*data.class_counts(arrays)).any():
            raise ValueError('No class has both positives and negatives in the validation split: AUROC is undefined.')


def build_model(config: ConfigDict, num_classes: int):
    """The config's model."""
    return models.make(config.model.name, num_classes, **config.model.get(config.model.name, {}))


def check_explanation(config: ConfigDict, model, image_shape: tuple[int, int, int], num_images: int) -> None:
    """Raises ValueError for whatever `explain` would trip over after training: methods, their options, layers."""
    image = jnp.zeros((1, *image_shape))
    for method in config.attribution.methods:
        found, options = lookup(EXPLANATIONS, method, 'attribution method'), dict(config.attribution.get(method, {}))
        for option in options:
            lookup(_options(found), option, f'option of attribution method {method!r}:')
        if method in attribution.METHODS:
            key = {'key': jax.random.key(0)} if method in attribution.NEEDS_KEY else {}
            run = partial(found, lambda x: x.mean((1, 2, 3)), **options, **key)
            try:
                jax.eval_shape(run, image)
            except (TypeError, ZeroDivisionError) as error:
                raise ValueError(f'config.attribution.{method} is {options}: {error}') from error
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
    activations.last_stage(model, variables, image_shape, config.attribution.layer)
    height, width, _ = activations.layer_shape(model, variables, image_shape, config.concepts.layer)
    positions = height * width * min(num_images, config.concepts.max_images)
    if config.concepts.quantile * positions < 1:
        share = f'{config.concepts.quantile} of the {positions} positions of the layer in the test images'
        raise ValueError(f'config.concepts.quantile: {share} is less than one; take a larger share or more images.')


def _options(method) -> dict:
    """The options of an attribution method, less what the study itself gives it."""
    parameters = inspect.signature(method).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY and name != 'key'}


def check_blocks(config: ConfigDict) -> None:
    """Raises ValueError for a block of options of a data set, model or attribution method that there is not."""
    known = {
        'data': (datasets.DATASETS, 'data set'),
        'model': (models.MODELS, 'model'),
        'attribution': (EXPLANATIONS, 'attribution method'),
    }
    for block, (table, what) in known.items():
        for name, value in config[block].items():
            if isinstance(value, ConfigDict):
                lookup(table, name, f'{what} in config.{block}:')


def build_losses(members: list[dict], arrays: data.Arrays) -> list:
    """The loss of every arm, in the order of the members' arm numbers."""
    positive, negative = data.class_counts(arrays)
    arms = {row['arm']: row for row in members}
    return [losses.make(row['loss'], positive, negative, **row['hyper']) for row in arms.values()]


def build(config: ConfigDict, dataset: Dataset, members: list[dict]) -> loop.Run:
    """A population on its devices, from plain objects; nothing is compiled yet."""
    arrays, validation = (data.split_arrays(dataset, split) for split in ('train', 'validation'))
    batch_size, epochs = config.train.batch_size, config.train.epochs
    steps = len(arrays.images) // batch_size
    if not steps:
        raise ValueError(f'config.train.batch_size {batch_size} is more than the {len(arrays.images)} training images.')
    loss_functions = build_losses(members, arrays)
    functions = [lookup(samplers.SAMPLERS, name, 'sampler') for name in population.distinct(members, 'sampler')]
    model = build_model(config, arrays.labels.shape[1])
    check_explanation(config, model, arrays.images.shape[1:], len(dataset.rows('test')))
    mean, std = data.grey_statistics(arrays.images)
    normalise = partial(data.normalise, mean=mean, std=std)
    factor = train.schedule(config.train.warmup_steps, epochs * steps, config.train.rate_floor)
    step = train.make_train_step(model, loss_functions, factor)
    batch = data.make_batch(mean, std, data.Augmentation(**config.augment))
    place = population.place(len(members), config.population.strategy)

    def draw(member, distributions, epoch):
        return data.draw_epoch(member.order_seed, distributions[member.sampler], epoch, steps, batch_size)

    programs = loop.Programs(
        init=place.map(train.make_init(model, loss_functions, arrays.images.shape[1:])),
        draw=place.map(draw),
        steps=place.map(train.make_train_steps(step, batch)),
        keep=place.map(lambda one: jax.tree.map(lambda old, new: jnp.where(one[2], new, old), *one[:2])),
        predict=place.map(train.make_predict(model, normalise)),
    )
    return loop.Run(
        model=model,
        normalise=normalise,
        programs=programs,
        place=place,
        rows=members,
        members=place.members(population.numbers(members, config.data.order == 'own')),
        arrays=place.shared(arrays),
        validation=validation,
        distributions=partial(distributions, functions, arrays.labels),
        epochs=epochs,
        steps=steps,
        chunk=config.train.steps_per_dispatch,
        batch_size=config.evaluate.batch_size,
        train_batch_size=batch_size,
        save_seconds=config.train.save_seconds,
    )


def distributions(functions: list, labels: np.ndarray, epoch_fraction: float) -> np.ndarray:
    """Cumulative sampling weights [samplers,N] of an epoch; zeros, for uniform weights, mean without replacement."""
    rows = []
    for sampler in functions:
        weights = sampler(labels, epoch_fraction)
        uniform = np.ptp(weights) == 0
        rows.append(np.zeros(len(labels), np.uint32) if uniform else data.cumulative_weights(weights))
    return np.stack(rows)


def write_predictions(run: loop.Run, progress: loop.Progress, dataset: Dataset, workdir: Path) -> None:
    """predictions.npz: logits [P,N,K] of every member's best weights on validation and test, and how it fared."""
    logits = {
        f'logits_{split}': loop.predict(
            run.programs, run.place, progress.best, dataset.images[dataset.rows(split)], run.batch_size
        )
        for split in ('validation', 'test')
    }
    fetch = run.place.fetch
    facts = {'alive': progress.state.alive, 'best_epoch': progress.best_epoch, 'best_score': progress.best_score}
    write_arrays(workdir / 'predictions.npz', **logits, **{name: fetch(value) for name, value in facts.items()})


def write_performance(config: ConfigDict, dataset: Dataset, members: list[dict], workdir: Path) -> None:
    """results/performance, from predictions.npz alone."""
    predictions = read_arrays(workdir / 'predictions.npz')
    rows = []
    for split in ('validation', 'test'):
        index = dataset.rows(split)
        probabilities = 1 / (1 + np.exp(-np.float64(predictions[f'logits_{split}'])))
        arrays = (array[index] for array in (dataset.labels, dataset.label_mask, dataset.patient))
        options = (config.reference, config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed)
        found = performance.rows(members, probabilities, *arrays, predictions['alive'], dataset.classes, *options)
        rows += [{**row, 'split': split} for row in found]
    write_table(workdir, 'performance', rows)
