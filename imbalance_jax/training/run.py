"""From a config to a trained population in a working directory: `config -> objects -> loop -> predictions, tables`."""

from functools import partial
from pathlib import Path

import jax
from ml_collections import ConfigDict

from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.soundness import check_splits
from imbalance_jax.results import data as inspection
from imbalance_jax.results import ensembles as results_ensembles
from imbalance_jax.results import performance
from imbalance_jax.system import cache, processes
from imbalance_jax.system import progress as display
from imbalance_jax.system.provenance import stage
from imbalance_jax.system.workdir import (
    check_same_data,
    claim,
    lock,
    read_arrays,
    write_arrays,
    write_json,
    write_table,
)
from imbalance_jax.training import autotune as planning
from imbalance_jax.training import calibration, loop, placement, plugins
from imbalance_jax.training import strategies as training_strategies
from imbalance_jax.training.build import build, build_losses, load_dataset, make_members
from imbalance_jax.training.checks import check_blocks
from imbalance_jax.training.program import Crew, Run


def run(config: ConfigDict, workdir: Path, profile: bool = False) -> None:
    """Trains the config's population into `workdir`: members.json, metrics.jsonl, checkpoints, predictions, tables.

    Finished work is not done again; interrupted work goes on where it was. With `profile`, a few steps leave a trace in
    `profile/`. Raises ValueError naming the field or file for anything wrong with the config, the data or the working
    directory, before anything is compiled.
    """
    workdir = Path(workdir)
    plugins.load_kept(config)
    check_blocks(config)
    members = make_members(config)
    if config.population.strategy != 'auto':
        training_strategies.parse(config.population.strategy)
    set_up_jax()
    dataset = processes.first_alone(lambda: load_dataset(config))
    check_splits(dataset)
    ready = build(config, dataset, members)
    with lock(workdir):
        claim(workdir, config.to_dict())
        check_same_data(dataset.info, workdir)
        if is_finished(workdir, ready):
            print(f'{workdir} is trained already.')
        else:
            train_into(workdir, ready, dataset, config.population, profile)
        if processes.leads():
            write_performance(config, dataset, members, workdir)
        processes.wait_for_all()


def set_up_jax(join: bool = True) -> None:
    """All cores, all processes, and compiled programs kept between runs; before JAX computes anything."""
    placement.use_all_cores()
    cache.keep_programs()
    if join:
        processes.join()


def is_finished(workdir: Path, ready: Run) -> bool:
    """Whether the predictions are there, and the checkpoints that they come from."""
    if not all((workdir / name).exists() for name in ('predictions.npz', planning.PLAN)):
        return False
    return loop.finished(ready, planning.read(workdir), workdir) is not None


def make_plan(ready: Run, setting: ConfigDict, workdir: Path) -> tuple[planning.Plan, Crew | None]:
    """The plan of `workdir`, made now if there is none, and the crew that came of making it."""
    if processes.agree((workdir / planning.PLAN).exists()):
        return planning.read(workdir), None
    with display.show('plan') as update:
        plan, crew = planning.make(ready, setting.strategy, setting.memory_gib, update)
    write_json(workdir / planning.PLAN, plan._asdict())
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


def write_performance(config: ConfigDict, dataset: Dataset, members: list[dict], workdir: Path) -> None:
    """results/performance, and results/seeds where an arm has many, from predictions.npz alone."""
    predictions, arrays = read_arrays(workdir / 'predictions.npz'), data_arrays.split_arrays(dataset, 'train')
    correct = partial(calibration.corrected, members, build_losses(members, arrays), arrays)
    rows, noise = [], []
    for split in ('validation', 'test'):
        index, logits = dataset.rows(split), predictions[f'logits_{split}']
        probabilities = calibration.probabilities(logits), calibration.probabilities(correct(logits))
        truth = [array[index] for array in (dataset.labels, dataset.label_mask, dataset.patient)]
        options = (config.reference, config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed)
        found = performance.rows(members, *probabilities, *truth, predictions['alive'], dataset.classes, *options)
        rows += [{**row, 'split': split} for row in found]
        found = results_ensembles.rows(members, probabilities[0], *truth[:2], predictions['alive'], options[-1])
        noise += [{**row, 'split': split} for row in found]
    write_table(workdir, 'performance', rows)
    if noise:
        write_table(workdir, 'seeds', noise)
