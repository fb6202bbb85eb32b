"""From a config to a trained population in a working directory: `config -> objects -> loop -> predictions, tables`."""

import inspect
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import (
    alignment,
    attribution,
    cache,
    calibration,
    data,
    datasets,
    ensembles,
    inspection,
    loop,
    losses,
    models,
    performance,
    placement,
    planning,
    population,
    processes,
    ranking,
    samplers,
    train,
    unit_study,
)
from imbalance_jax import progress as display
from imbalance_jax.attribution import activations
from imbalance_jax.checks import check_same_data, check_splits
from imbalance_jax.crew import Crew, Functions, Run
from imbalance_jax.datasets.store import Dataset
from imbalance_jax.names import lookup
from imbalance_jax.provenance import stage
from imbalance_jax.writer import claim, lock, read_arrays, read_json, write_arrays, write_json, write_table

PLAN = 'plan.json'


def run(config: ConfigDict, workdir: Path, profile: bool = False) -> None:
    """Trains the config's population into `workdir`: members.json, metrics.jsonl, checkpoints, predictions, tables.

    Finished work is not done again; interrupted work goes on where it was. With `profile`, a few steps leave a trace in
    `profile/`. Raises ValueError naming the field or file for anything wrong with the config, the data or the working
    directory, before anything is compiled.
    """
    workdir = Path(workdir)
    check_blocks(config)
    members = make_members(config)
    if config.population.strategy != 'auto':
        population.parse(config.population.strategy)
    set_up_jax()
    dataset = processes.first_alone(lambda: load_dataset(config))
    check_splits(dataset)
    ready = build(config, dataset, members)
    with lock(workdir):
        claim(workdir, config.to_dict())
        check_same_data(dataset, workdir)
        if is_finished(workdir, ready):
            print(f'{workdir} is trained already.')
        else:
            train_into(workdir, ready, dataset, config.population, profile)
        if processes.leads():
            write_performance(config, dataset, members, workdir)
        processes.wait_for_all()


def set_up_jax(together: bool = True) -> None:
    """All cores, all processes, and compiled programs kept between runs; before JAX computes anything."""
    placement.use_all_cores()
    cache.keep_programs()
    if together:
        processes.join()


def is_finished(workdir: Path, ready: Run) -> bool:
    """Whether the predictions are there, and the checkpoints that they come from."""
    if not all((workdir / name).exists() for name in ('predictions.npz', PLAN)):
        return False
    return loop.finished(ready, read_plan(workdir), workdir) is not None


def read_plan(workdir: Path) -> planning.Plan:
    """The plan that `workdir` was begun with, which a resume keeps, so that its numbers are the same to the bit."""
    return planning.Plan(**read_json(Path(workdir) / PLAN))


def make_plan(ready: Run, setting: ConfigDict, workdir: Path) -> tuple[planning.Plan, Crew | None]:
    """The plan of `workdir`, made now if there is none, and the crew that came of making it."""
    if processes.agree((workdir / PLAN).exists()):
        return read_plan(workdir), None
    with display.show('plan') as update:
        plan, crew = planning.make(ready, setting.strategy, setting.memory_gib, update)
    write_json(workdir / PLAN, plan._asdict())
    print(planning.describe(plan), flush=True)
    return plan, crew


def train_into(workdir: Path, ready: Run, dataset: Dataset, setting: ConfigDict, profile: bool) -> None:
    """Describes the members and the data, trains, and leaves predictions.npz as the last act."""
    write_json(workdir / 'members.json', ready.rows)
    write_json(workdir / 'data.json', dataset.info)
    write_arrays(workdir / 'contact_sheet.npz', **inspection.contact_sheet(dataset))
    write_table(workdir, 'data', inspection.rows(dataset))
    with stage(workdir, 'train') as record:
        plan, crew = make_plan(ready, setting, workdir)
        record.update(strategy=plan.strategy, plan=plan._asdict(), processes=jax.process_count())
        images = {split: dataset.images[dataset.rows(split)] for split in ('validation', 'test')}
        outcome, logits = loop.fit(ready, plan, workdir, images, crew, workdir / 'profile' if profile else None)
        facts = {'alive': outcome.alive, 'best_epoch': outcome.best_epoch, 'best_score': outcome.best_score}
        write_arrays(workdir / 'predictions.npz', **facts, **{f'logits_{split}': x for split, x in logits.items()})


def make_members(config: ConfigDict) -> list[dict]:
    """The rows of members.json."""
    defaults = {'learning_rate': config.train.learning_rate, 'weight_decay': config.train.weight_decay}
    arms = {name: dict(arm) for name, arm in config.arms.items()}
    return population.make_members(arms, tuple(config.seeds), config.reference, **defaults)


def load_dataset(config: ConfigDict) -> Dataset:
    """The config's data set, prepared first if it is not there yet, its training split thinned as asked."""
    name = config.data.name
    options = {**config.data.get(name, {}), 'image_size': config.data.image_size}
    with display.show(f'prepare {name}') as update:
        dataset = datasets.load(name, Path(config.data.folder), options, update)
    return data.thin(dataset, config.data.imbalance, config.data.imbalance_seed)


def build_model(config: ConfigDict, num_classes: int):
    """The config's model."""
    return models.make(config.model.name, num_classes, **config.model.get(config.model.name, {}))


def check_explanation(config: ConfigDict, model, image_shape: tuple[int, int, int], num_images: int) -> None:
    """Raises ValueError for whatever `explain` would trip over after training: methods, their options, layers."""
    image = jnp.zeros((1, *image_shape))
    for method in config.attribution.methods:
        attribution.options.check(method, dict(config.attribution.get(method, {})), image)
    for metric in config.attribution.metrics:
        lookup(alignment.METRICS, metric, 'alignment metric')
    try:
        variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
    except (TypeError, AttributeError, OverflowError) as error:
        options = dict(config.model.get(config.model.name, {}))
        reason = ' '.join(str(error).split())
        raise ValueError(f'config.model.{config.model.name} is {options}: {reason}') from error
    activations.last_stage(model, variables, image_shape, config.attribution.layer)
    main = activations.last_stage(model, variables, image_shape, config.concepts.layer)
    shapes = activations.layer_shapes(model, variables, image_shape)
    unit_study.check(config.concepts, shapes, main, min(num_images, config.concepts.max_images))


def check_blocks(config: ConfigDict) -> None:
    """Raises ValueError for a block of options of a data set, model or attribution method that there is not.

    So it does for an option that the function of that name does not take, in use or not.
    """
    known = {
        'data': (datasets.DATASETS, 'data set'),
        'model': (models.MODELS, 'model'),
        'attribution': (attribution.METHODS, 'attribution method'),
    }
    for block, (table, what) in known.items():
        for name, value in config[block].items():
            if isinstance(value, ConfigDict) and (block, name) != ('data', 'imbalance'):
                found = lookup(table, name, f'{what} in config.{block}:')
                options = inspect.signature(found.make if block == 'data' else found).parameters
                for option in value:
                    lookup(options, option, f'option of {what} {name!r}:')


def build_losses(members: list[dict], arrays: data.Arrays) -> list:
    """The loss of every arm, in the order of the members' arm numbers."""
    positive, negative = data.class_counts(arrays)
    arms = {row['arm']: row for row in members}
    return [losses.make(row['loss'], positive, negative, **row['hyper']) for row in arms.values()]


def build(config: ConfigDict, dataset: Dataset, members: list[dict]) -> Run:
    """The population as plain objects and functions of one member; nothing is on a device yet."""
    arrays, validation = (data.split_arrays(dataset, split) for split in ('train', 'validation'))
    batch_size, epochs = config.train.batch_size, config.train.epochs
    steps = len(arrays.images) // batch_size
    if not steps:
        raise ValueError(f'config.train.batch_size {batch_size} is more than the {len(arrays.images)} training images.')
    loss_functions = build_losses(members, arrays)
    for name in population.distinct(members, 'sampler'):
        lookup(samplers.SAMPLERS, name, 'sampler')
    model = build_model(config, arrays.labels.shape[1])
    check_explanation(config, model, arrays.images.shape[1:], len(dataset.rows('test')))
    mean, std = data.grey_statistics(arrays.images)
    normalise = partial(data.normalise, mean=mean, std=std)
    factor = train.schedule(config.train.warmup_steps, epochs * steps, config.train.rate_floor)
    image_shape, linked = arrays.images.shape[1:], any(row['head'] != 'linear' for row in members)
    retrained = any(population.retrain_epoch(row, epochs) is not None for row in members)
    restart = train.make_restart(model, image_shape) if retrained else None
    step = train.make_train_step(model, loss_functions, factor, epochs * steps, restart)
    permuted = any(row['labels'] == 'permuted' for row in members)
    batch = data.make_batch(mean, std, data.Augmentation(**config.augment))
    predict = train.make_predict(model, normalise)

    def draw(member, distributions, epoch):
        return data.draw_epoch(member.order_seed, distributions[member.sampler], epoch, steps, batch_size)

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
        numbers=population.numbers(members, config.data.order == 'own', epochs, steps),
        arrays=data.with_permuted_labels(arrays) if permuted else arrays,
        validation=validation,
        distributions=partial(distributions, population.draws(members), arrays.labels, epochs),
        epochs=epochs,
        steps=steps,
        chunk=config.train.steps_per_dispatch,
        batch_size=config.evaluate.batch_size,
        train_batch_size=batch_size,
        patience=config.train.patience,
        save_seconds=config.train.save_seconds,
        described=describe(config, arrays, members),
    )


def describe(config: ConfigDict, arrays: data.Arrays, members: list[dict]) -> dict:
    """What the speed of a population's training program depends on, apart from the device."""
    model = {'name': config.model.name, **config.model.get(config.model.name, {})}
    shapes = {'images': list(arrays.images.shape), 'classes': arrays.labels.shape[1]}
    arms = {row['arm']: row['loss'] for row in members}
    augmented = {name: bool(value) for name, value in config.augment.items()}
    return {'model': model, **shapes, 'batch': config.train.batch_size, 'losses': list(arms.values()), **augmented}


def distributions(draws: list[tuple], labels: np.ndarray, epochs: int, epoch: int) -> np.ndarray:
    """Cumulative sampling weights [samplers,N] of an epoch; zeros, for uniform weights, mean without replacement.

    draws: (sampler, retrain_head_from); before its head is retrained, such an arm draws naturally.
    """
    rows = []
    for name, start in draws:
        begin = population.retrain_epoch({'retrain_head_from': start}, epochs)
        sampler = samplers.SAMPLERS['natural' if begin is not None and epoch < begin else name]
        weights = sampler(labels, epoch / max(epochs - 1, 1))
        uniform = np.ptp(weights) == 0
        rows.append(np.zeros(len(labels), np.uint32) if uniform else data.cumulative_weights(weights))
    return np.stack(rows)


def write_performance(config: ConfigDict, dataset: Dataset, members: list[dict], workdir: Path) -> None:
    """results/performance, and results/seeds where an arm has many, from predictions.npz alone."""
    predictions, arrays = read_arrays(workdir / 'predictions.npz'), data.split_arrays(dataset, 'train')
    correct = partial(calibration.corrected, members, build_losses(members, arrays), arrays)
    rows, noise = [], []
    for split in ('validation', 'test'):
        index, logits = dataset.rows(split), predictions[f'logits_{split}']
        probabilities = calibration.probabilities(logits), calibration.probabilities(correct(logits))
        truth = [array[index] for array in (dataset.labels, dataset.label_mask, dataset.patient)]
        options = (config.reference, config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed)
        found = performance.rows(members, *probabilities, *truth, predictions['alive'], dataset.classes, *options)
        rows += [{**row, 'split': split} for row in found]
        found = ensembles.rows(members, probabilities[0], *truth[:2], predictions['alive'], options[-1])
        noise += [{**row, 'split': split} for row in found]
    write_table(workdir, 'performance', rows)
    if noise:
        write_table(workdir, 'seeds', noise)
