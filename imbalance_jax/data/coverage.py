"""How far labels reach: which policies the cells of a set allow, which images were read, whose negatives are hidden."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import NOT_MENTIONED, NOT_READ, UNCERTAIN, Dataset
from imbalance_jax.data.policies import (
    BEST,
    NO_FINDING,
    POLICIES,
    READER_RULES,
    Cells,
    Policy,
    parse,
    readings_of,
    readings_under,
    reduce_cells,
)


def allowed(dataset: Dataset, own: Mapping[str, Any]) -> dict[str, Policy]:
    """The policies by name that say something of a data set's cells: of what is uncertain or silent where that occurs,
    of readers where there are several, further versions of the labels, and those of `own` that can be applied."""
    if dataset.cells is None:
        return {}
    readings, classes = dataset.info['readings'], dataset.classes
    first = readings_of(readings)
    occurs = {cell: bool((dataset.cells[first] == cell).any()) for cell in (UNCERTAIN, NOT_MENTIONED)}
    of_readers = len(first) > 1
    has_no_finding = any(name.lower() in NO_FINDING for name in classes)
    useful = {
        **dict.fromkeys(('u_zeros', 'u_ones', 'u_ignore'), occurs[UNCERTAIN]),
        'u_best': occurs[UNCERTAIN] and any(name in classes for name in BEST),
        'empty_ignored': occurs[NOT_MENTIONED],
        'empty_if_no_finding': occurs[NOT_MENTIONED] and has_no_finding,
        **dict.fromkeys(READER_RULES, of_readers),
    }
    versions = list(dict.fromkeys(version for version, _ in readings))[1:]
    result = {name: policy for name, policy in POLICIES.items() if useful[name]}
    result |= {f'version {version}': Policy(version=version) for version in versions}
    return result | {name: parse(name, fields) for name, fields in own.items() if _applies(dataset, name, fields)}


def _applies(dataset: Dataset, name: str, fields: Mapping[str, Any]) -> bool:
    assert dataset.cells is not None
    try:
        reduce_cells(dataset.cells[:, :1], dataset.info['readings'], dataset.classes, policy=parse(name, fields))
    except ValueError:
        return False
    return True


def were_read(dataset: Dataset, policy: Policy | None = None) -> np.ndarray:
    """Where a reading that the policy looks at has seen the image [N,K] bool; without cells, where any label counts."""
    if dataset.cells is None:
        return np.repeat(np.any(dataset.label_mask, axis=1, keepdims=True), len(dataset.classes), axis=1)
    chosen = readings_under(dataset.info['readings'], policy or Policy())
    return np.asarray(np.any(dataset.cells[chosen] != NOT_READ, axis=0))


def hides_negatives(positive: np.ndarray, counted: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Whether labels hide most negatives of classes [K]: more than half of what counts is positive, and less than half
    of the images that were read counts. Numbers of images [K]."""
    return np.asarray((2 * positive > counted) & (2 * counted < read))


def hidden_negatives(labels: Cells, read: np.ndarray, classes: Sequence[str]) -> list[str]:
    """What is to be said of `hides_negatives`, one sentence per class. labels: and mask [N,K]; read: [N,K] bool."""
    positive, counted, seen = (labels[0] * labels[1]).sum(0), labels[1].sum(0), read.sum(0)
    return [
        f'{classes[k]} is positive in {int(positive[k]):,} of the {int(counted[k]):,} images that count '
        f'({100 * positive[k] / counted[k]:.1f} %), and {int(seen[k]):,} were read: its negatives are hidden'
        for k in np.flatnonzero(hides_negatives(positive, counted, seen)).tolist()
    ]
