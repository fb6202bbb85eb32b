"""predictions.npz as it is read back: of these members, of these images, and from these weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.system import records
from imbalance_jax.system.layout import PREDICTIONS
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training import checkpoint

CAME_FROM = 'weights'  # in predictions.npz: the checksum [P] of the weights behind it


def read(workdir: Path, members: Sequence[Mapping[str, Any]], dataset: Dataset | None) -> dict[str, np.ndarray]:
    """predictions.npz; ValueError if it is not of these members, or not of the images and classes of a data set, as one
    that was changed by hand and accepted may be."""
    path = workdir / PREDICTIONS
    predictions = read_arrays(path)
    wanted: dict[str, tuple[int, ...]] = {'alive': (len(members),)}
    if dataset is not None:
        for split in ('validation', 'test'):
            if f'logits_{split}' in predictions:
                wanted[f'logits_{split}'] = (len(members), len(dataset.rows(split)), len(dataset.classes))
    for name, shape in wanted.items():
        if name not in predictions:
            raise ValueError(f'{path} has no {name!r}; {records.ELSEWHERE}.')
        if predictions[name].shape != shape:
            has, wants = (' x '.join(map(str, one)) for one in (predictions[name].shape, shape))
            raise ValueError(f'{path}: {name!r} is {has}, not {wants}; {records.ELSEWHERE}.')
    return predictions


def check_came_from(
    workdir: Path, members: Sequence[Mapping[str, Any]], predictions: Mapping[str, np.ndarray], variables: Any
) -> None:
    """ValueError if predictions came from other weights than these [P,...]: checkpoints of another run, say, where each
    file is whole. Older versions did not note it."""
    if (noted := predictions.get(CAME_FROM)) is None:
        return
    others = [row for row, was, now in zip(members, noted, checkpoint.of_members(variables), strict=True) if was != now]
    if others:
        first = f'{len(others)} of {len(members)} members, {others[0]["arm"]}/{others[0]["seed"]} first'
        raise ValueError(
            f'The checkpoints of {workdir} hold other weights than {PREDICTIONS} came from, of {first}: they are of '
            f'another run; {records.ELSEWHERE}.'
        )
