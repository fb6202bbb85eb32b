"""Tables on what probabilities and decisions are worth, from predictions.npz: calibration, groups, stability, bands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.tasks import MULTI_CLASS, task_of
from imbalance_jax.metrics import decision, scores
from imbalance_jax.results import bands, calibration, groups, multi_class, stability
from imbalance_jax.results.comparison import Claims, Truth
from imbalance_jax.results.groups import Grouping
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.training import calibration as training_calibration
from imbalance_jax.training.calibration import Recalibrated

SPLIT = 'test'  # thresholds are chosen on the validation split


def write(
    workdir: Path,
    dataset: Dataset,
    population: Population,
    logits: Mapping[str, np.ndarray],
    recalibrated: Recalibrated,
    *,
    bootstrap: Bootstrap,
    claims: Claims,
    tail: Sequence[float],
    tested: Dataset | None = None,
) -> None:
    """results/calibration and results/stability; results/groups where the data set knows groups of people;
    results/multi_class and results/confusion where an image is of one class; results/bands where classes are unequal.

    logits: {'validation': [P,N,K], 'test': [P,N,K]}; tail: the training images below which a class is in the tail, and
    above which in the head; tested: the data set whose test split that is, if it is another one. Thresholds are chosen
    on the validation split of `dataset`.
    """
    living = {split: population.living(np.asarray(one, np.float64)) for split, one in logits.items()}
    probabilities = population.living(recalibrated.probabilities(SPLIT))
    where = tested or dataset
    index, kept = where.rows(SPLIT), dataset.rows('validation')
    truth = Truth(where.labels[index], where.label_mask[index], where.patient[index])
    labels, mask, chosen = dataset.labels[kept], dataset.label_mask[kept], living['validation']
    operating = decision.threshold_of_sensitivity(chosen, labels, mask, calibration.SENSITIVITY)
    predicted = calibration.Predicted(living[SPLIT], probabilities, recalibrated.method, operating)
    what: dict[str, Any] = {'classes': where.classes, 'bootstrap': bootstrap, 'claims': claims}
    write_table(workdir, 'calibration', _of_split(calibration.rows(population, predicted, truth, **what)))
    matched = decision.threshold_of_share(chosen, mask, scores.prevalence(labels, mask))
    of_stability = stability.rows(population, predicted.logits, probabilities, truth, matched=matched, **what)
    write_table(workdir, 'stability', _of_split(of_stability))
    is_multi_class, own = task_of(dataset.info) == MULTI_CLASS, training_calibration.probabilities(living[SPLIT])
    if is_multi_class:
        ordinal = bool(dataset.info.get('ordinal', False))
        of_classes = multi_class.rows(population, own, probabilities, truth, ordinal=ordinal, **what)
        write_table(workdir, 'multi_class', _of_split(of_classes))
        confused = multi_class.confusion_rows(population, own, truth, classes=dataset.classes)
        write_table(workdir, 'confusion', _of_split(confused))
    of_bands = bands.rows(
        population, own, truth, positives=training_positives(dataset), limits=tail, decided=is_multi_class, **what
    )
    if of_bands:
        write_table(workdir, 'bands', _of_split(of_bands))
    if groupings := groupings_of(where, index):
        of_groups = groups.rows(population, predicted, truth, groupings=groupings, **what)
        write_table(workdir, 'groups', _of_split(of_groups))
    else:
        print(f'{where.info["name"]} says nothing of sex, age or view: no results/groups.', flush=True)


def training_positives(dataset: Dataset) -> np.ndarray:
    """Training images [K] that show each class."""
    rows = dataset.rows('train')
    return (dataset.labels[rows].astype(int) * dataset.label_mask[rows]).sum(0)


def groupings_of(dataset: Dataset, index: np.ndarray) -> list[Grouping]:
    """The groupings of the data set for the images of some rows [n]."""
    names = dataset.info.get('groups', {})
    codes = np.zeros((len(dataset.images), 0), np.int8) if dataset.groups is None else dataset.groups
    return [Grouping(name, of, codes[index, k]) for k, (name, of) in enumerate(names.items())]


def _of_split(rows: list[dict]) -> list[dict]:
    return [{**row, 'split': SPLIT} for row in rows]
