"""What a population leaves beside its weights: its description, and the tables made of its predictions."""

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data.arrays import split_arrays
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.results import comparison, convergence, data, ensembles, performance
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import copy, read_arrays, write_arrays, write_json
from imbalance_jax.training import calibration, judgement, kept, predicted
from imbalance_jax.training.arm_losses import build_losses
from imbalance_jax.training.build import labels_of_versions

KEPT_TITLES = {kept.MATCHED: "weights whose validation AUROC is nearest to the reference's best"}


def describe(workdir: Path, members: list[dict], dataset: Dataset) -> None:
    """members.json, data.json and the contact sheet: who is in a working directory, and what they are shown."""
    write_json(workdir / layout.MEMBERS, members)
    write_json(workdir / layout.DATA, dataset.info)
    write_arrays(workdir / layout.CONTACT_SHEET, **data.contact_sheet(dataset))


def describe_kept(config: ConfigDict, dataset: Dataset, members: list[dict], workdir: Path, *, name: str) -> None:
    """Makes the folder of kept weights a working directory of its own, that can be explained and reported."""
    folder = layout.weights(workdir, name)
    if not (folder / layout.PREDICTIONS).exists():
        raise ValueError(
            f'{folder / layout.PREDICTIONS} is missing, which training had left: bring it back from a copy, or train '
            f'anew in another folder. All else of {workdir} is as it was.'
        )
    what = KEPT_TITLES.get(name, f'weights after {name.rpartition("_")[2]} of training')
    write_json(folder / layout.CONFIG, {**config.to_dict(), 'question': f'{config.question} ({what})'})
    for file in (layout.MEMBERS, layout.DATA, layout.CONTACT_SHEET, layout.PLAN, layout.METRICS, layout.PROVENANCE):
        if not (folder / file).exists():  # provenance grows there, too
            copy(workdir / file, folder / file)
    write_table(folder, 'data', data.rows(dataset, config.data.policies.to_dict()))
    write_performance(config, dataset, members, folder)


def write_performance(
    config: ConfigDict, dataset: Dataset, members: list[dict], workdir: Path, *, tested: Dataset | None = None
) -> calibration.Recalibrated:
    """The tables of predictions.npz: performance, seeds where an arm has many, and those of `judgement`.

    tested: another data set whose test split the predictions of that name are of; probabilities and thresholds come
    from the training set all the same. Returns the log-odds under the prior of the training set.
    """
    predictions = predicted.read(workdir, members, dataset if tested is None else None)
    versions = labels_of_versions(config, dataset, members, split_arrays(dataset, 'train'))
    splits = ('validation', 'test')
    logits = {split: predictions[f'logits_{split}'] for split in splits}
    epochs = config.train.epochs if 'best_epoch' in predictions else 1  # of networks from elsewhere: at their end
    recalibrated = calibration.recalibrated(
        members,
        build_losses(members, versions),
        versions,
        logits=logits,
        validation=split_arrays(dataset, 'validation'),
        done=calibration.done(predictions.get('best_epoch', np.full(len(members), 1)), epochs),
    )
    population = Population(members, predictions['alive'], config.reference)
    bootstrap = Bootstrap(config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed)
    claims = comparison.Claims(config.evaluate.margin.to_dict(), config.evaluate.smallest_count)
    rows, of_ensembles = [], []
    judged = {'validation': dataset, 'test': dataset} if tested is None else {'test': tested}
    for split, where in judged.items():
        index, corrected = where.rows(split), recalibrated.probabilities(split)
        probabilities = calibration.probabilities(logits[split])
        truth = performance.Truth(where.labels[index], where.label_mask[index], where.patient[index])
        of_split = performance.rows(
            population,
            probabilities,
            truth,
            corrected=corrected,
            classes=dataset.classes,
            bootstrap=bootstrap,
            claims=claims,
        )
        rows += [{**row, 'split': split} for row in of_split]
        of_seeds = ensembles.rows(population, probabilities, truth, seed=bootstrap.seed)
        of_ensembles += [{**row, 'split': split} for row in of_seeds]
    write_table(workdir, 'performance', rows)
    what: dict[str, Any] = {'bootstrap': bootstrap, 'claims': claims, 'tail': tuple(config.evaluate.tail)}
    judgement.write(workdir, dataset, population, logits, recalibrated, **what, tested=tested)
    if of_ensembles:
        write_table(workdir, 'seeds', of_ensembles)
    return recalibrated


def write_alive(workdir: Path, population: Population, images: int) -> None:
    """The table performance of members whose predictions of so many test images are not known."""
    rows = [performance.alive_row(population, member, images) for member in population.members]
    write_table(workdir, 'performance', [{**row, 'split': 'test'} for row in rows])


def write_convergence(members: list[dict], workdir: Path) -> None:
    """results/convergence, from metrics.jsonl alone."""
    alive = read_arrays(workdir / layout.PREDICTIONS)['alive']
    write_table(workdir, 'convergence', convergence.rows(members, alive, kept.curves(workdir, members)))
