"""A rarer class: training patients with it left out until its prevalence is what an experiment wants."""

import dataclasses
import numbers
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.data.dataset import LEFT_OUT, SPLITS, Dataset
from imbalance_jax.names import lookup


def check_names(prevalences: Mapping[str, float], classes: Sequence[str]) -> None:
    """ValueError for a class of `config.data.imbalance` that there is not."""
    for name in prevalences:
        lookup(dict.fromkeys(classes), name, 'class in config.data.imbalance:')


def thin(dataset: Dataset, prevalences: Mapping[str, float], seed: int = 0) -> Dataset:
    """Leaves out training patients until each named class is no more frequent than wanted, whole patients at a time.

    prevalences: class -> share of the counted training images that have it. Patients with the class leave in an order
    that depends on `seed` and on who they are, so that a lower prevalence leaves out the same patients and more.
    Validation and test stay as they are. Raises ValueError for a class that there is not, that is rarer already, or
    that would be left without a positive.
    """
    split, train = dataset.split.copy(), SPLITS.index('train')
    check_names(prevalences, dataset.classes)
    for name, wanted in sorted(prevalences.items(), key=lambda item: (item[1], item[0])):
        k = list(dataset.classes).index(name)
        rows = np.flatnonzero(split == train)
        counted = dataset.label_mask[rows, k] > 0
        positive = counted & (dataset.labels[rows, k] > 0)
        now = positive.sum() / max(counted.sum(), 1)
        if not isinstance(wanted, numbers.Real) or not 0 < wanted <= now * (1 + 1e-6):
            has = f'the training split has {now:.4f}'
            raise ValueError(f'config.data.imbalance.{name} is {wanted!r}; it must be above 0 and at most what {has}.')
        leaving = np.isin(dataset.patient[rows], _leaving(dataset.patient[rows], counted, positive, wanted, seed))
        if not positive[~leaving].any():
            raise ValueError(f'config.data.imbalance.{name} is {wanted!r}: no patient with it would be left.')
        split[rows[leaving]] = LEFT_OUT
    return dataclasses.replace(dataset, split=split)


def _leaving(patient: np.ndarray, counted: np.ndarray, positive: np.ndarray, wanted: float, seed: int) -> np.ndarray:
    """The patients that leave: the first with the class, in the order of their numbers' checksums, that suffice."""
    names, index = np.unique(patient, return_inverse=True)
    images, positives = (np.bincount(index, weights=flag, minlength=len(names)) for flag in (counted, positive))
    order = sorted(np.flatnonzero(positives), key=lambda i: zlib.crc32(f'{seed} {names[i]}'.encode()))
    share = (positives.sum() - np.cumsum(positives[order])) / np.maximum(images.sum() - np.cumsum(images[order]), 1)
    number = 0 if positives.sum() <= wanted * images.sum() else 1 + int(np.argmax(share <= wanted))
    return names[order[:number]]
