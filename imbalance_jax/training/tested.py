"""Predictions of a trained population on other data sets, and their tables: `WORKDIR/on/NAME`.

The folder is a working directory like that of kept weights. Its predictions of the validation split are those of the
training set: recalibration and thresholds come from there, wherever a network is used.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.data.other_set import TESTED_ON, Other
from imbalance_jax.data.streams import Rows
from imbalance_jax.results import comparison, data, shift
from imbalance_jax.results.comparison import Truth
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.results.shift import Side
from imbalance_jax.system import layout, processes, progress
from imbalance_jax.system.workdir import copy, read_arrays, write_arrays, write_json
from imbalance_jax.training import calibration, member, other_sets, trained
from imbalance_jax.training.calibration import Recalibrated
from imbalance_jax.training.prediction import predict
from imbalance_jax.training.tables import write_performance
from imbalance_jax.training.trained import Trained

COPIED = (layout.MEMBERS, layout.PLAN, layout.METRICS, layout.PROVENANCE)
OF_TRAINING = ('alive', 'best_epoch', 'best_score', 'logits_validation')  # of predictions.npz


def write(
    config: ConfigDict,
    dataset: Dataset,
    members: list[dict],
    workdir: Path,
    *,
    others: Sequence[Other],
    at_home: Recalibrated | None,
) -> None:
    """Predicts and judges every other data set; what is predicted already, with these weights, is not done again.

    at_home: the log-odds of the training set's own splits; None in processes that do not lead.
    """
    if not others:
        return
    population = trained.load(workdir)  # processes that are joined read checkpoints together
    for other in others:
        folder = layout.tested(workdir, other.dataset.info[TESTED_ON]['name'])
        if at_home is not None:
            describe(config, other, workdir, folder)
        write_predictions(population, other, workdir, folder)
        if at_home is None:
            continue
        if not other.dataset.label_mask[other_sets.rows_of(other)].any():
            print(f'{other.dataset.info[TESTED_ON]["name"]} has no label that counts: no performance.', flush=True)
            continue
        away = write_performance(config, dataset, members, folder, tested=other.dataset)
        write_shift(config, members, folder, home=(dataset, at_home), away=(other.dataset, away), workdir=workdir)


def describe(config: ConfigDict, other: Other, workdir: Path, folder: Path) -> None:
    """Makes the folder of another data set a working directory of its own, that can be explained and reported."""
    name, dataset = other.dataset.info[TESTED_ON]['name'], other.dataset
    write_json(folder / layout.CONFIG, {**config.to_dict(), 'question': f'{config.question} (tested on {name})'})
    write_json(folder / layout.DATA, dataset.info)
    for file in COPIED:
        if not (folder / file).exists():  # provenance grows there, too
            copy(workdir / file, folder / file)
    rows = other_sets.rows_of(other)
    split = np.full(len(dataset.split), SPLITS.index('validation'), np.uint8)
    split[rows] = SPLITS.index('train')  # which a contact sheet is of
    shown = dataclasses.replace(dataset, split=split)
    write_arrays(folder / layout.CONTACT_SHEET, **data.contact_sheet(shown))
    write_table(folder, 'data', data.rows(dataset))


def write_predictions(population: Trained, other: Other, workdir: Path, folder: Path) -> None:
    """predictions.npz of another data set: what training left of the members, `logits_test` [P,n,K] of the images that
    are tested, and their `rows` [n] in the data set."""
    facts = {name: value for name, value in read_arrays(workdir / layout.PREDICTIONS).items() if name in OF_TRAINING}
    facts['rows'] = other_sets.rows_of(other)
    path = folder / layout.PREDICTIONS
    if not processes.any_of(not path.exists() or not other_sets.same(read_arrays(path), facts)):
        return
    name = other.dataset.info[TESTED_ON]['name']
    function = member.make_predict(population.model, population.normalise)
    with progress.show(f'predict {name}'):
        logits = predict(
            population.place,
            function,
            population.variables,
            images=Rows(other.dataset.images, facts['rows']),
            batch_size=population.config.evaluate.batch_size,
        )
    write_arrays(path, **facts, logits_test=logits)


def write_shift(
    config: ConfigDict,
    members: list[dict],
    folder: Path,
    *,
    home: tuple[Dataset, Recalibrated],
    away: tuple[Dataset, Recalibrated],
    workdir: Path,
) -> None:
    """results/shift of one other data set: every figure there minus the same on the training set's test split."""
    predictions = [read_arrays(place / layout.PREDICTIONS) for place in (workdir, folder)]
    population = Population(members, predictions[0]['alive'], config.reference)
    sides = [
        side(population, dataset, made['logits_test'], corrected)
        for (dataset, corrected), made in zip((home, away), predictions, strict=True)
    ]
    rows = shift.rows(
        population,
        *sides,
        classes=home[0].classes,
        bootstrap=Bootstrap(config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed),
        claims=comparison.Claims(config.evaluate.margin.to_dict(), config.evaluate.smallest_count),
    )
    if not rows:
        print('No class has positives and negatives on both data sets: no results/shift.', flush=True)
    write_table(folder, 'shift', [{**row, 'split': 'test'} for row in rows])


def side(population: Population, dataset: Dataset, logits: np.ndarray, corrected: Recalibrated) -> Side:
    """One side of a shift. logits: [P,n,K] of the test split."""
    rows = dataset.rows('test')
    truth = Truth(dataset.labels[rows], dataset.label_mask[rows], dataset.patient[rows])
    probabilities = calibration.probabilities(logits)
    return Side(population.living(probabilities), population.living(corrected.probabilities('test')), truth)


def maps_of(arrays: Mapping[str, np.ndarray], finding: np.ndarray, patient: np.ndarray) -> shift.Maps:
    """A method's figures, as the stage `alignment` leaves them, with the finding and the patient [M] of each pair."""
    names: Any = arrays['measures'].tolist()
    members, shuffled = (dict(zip(names, arrays[name], strict=True)) for name in ('members', 'shuffled'))
    return shift.Maps(finding, patient, members, shuffled)
