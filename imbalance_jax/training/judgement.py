"""Tables on what probabilities and decisions are worth, from predictions.npz: calibration, groups, stability."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.metrics import decision, scores
from imbalance_jax.results import calibration, groups, stability
from imbalance_jax.results.comparison import Claims, Truth
from imbalance_jax.results.groups import Grouping
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import write_table
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
    tested: Dataset | None = None,
) -> None:
    """results/calibration and results/stability, and results/groups where the data set knows groups of people.

    logits: {'validation': [P,N,K], 'test': [P,N,K]}; tested: the data set whose test split that is, if it is another
    one. Thresholds are chosen on the validation split of `dataset`.
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
    if groupings := groupings_of(where, index):
        of_groups = groups.rows(population, predicted, truth, groupings=groupings, **what)
        write_table(workdir, 'groups', _of_split(of_groups))
    else:
        print(f'{where.info["name"]} says nothing of sex, age or view: no results/groups.', flush=True)


def groupings_of(dataset: Dataset, index: np.ndarray) -> list[Grouping]:
    """The groupings of the data set for the images of some rows [n]."""
    names = dataset.info.get('groups', {})
    codes = np.zeros((len(dataset.images), 0), np.int8) if dataset.groups is None else dataset.groups
    return [Grouping(name, of, codes[index, k]) for k, (name, of) in enumerate(names.items())]


def _of_split(rows: list[dict]) -> list[dict]:
    return [{**row, 'split': SPLIT} for row in rows]
