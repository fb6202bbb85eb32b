"""Whether data can be trained on, before anything is compiled."""

from pathlib import Path

import numpy as np

from imbalance_jax import data, processes
from imbalance_jax.datasets.store import SPLITS, Dataset
from imbalance_jax.writer import read_json


def check_same_data(dataset: Dataset, workdir: Path) -> None:
    """Raises ValueError if `workdir` was begun with other data: files of the source may have changed since."""
    path = Path(workdir) / 'data.json'
    if path.exists() and read_json(path)['fingerprint'] != dataset.info['fingerprint']:
        raise ValueError(f'{workdir} was begun with other data than {dataset.info["name"]} is now: take another.')


def check_splits(dataset: Dataset) -> None:
    """Raises ValueError if validation cannot choose a best epoch, or a split is empty.

    A class that a split has no image of is said: nothing can be learned of it there, or measured.
    """
    for split in SPLITS:
        arrays = data.split_arrays(dataset, split)
        if not len(arrays.images):
            raise ValueError(f'The {split} split of {dataset.info["name"]} is empty.')
        if split == 'validation' and not np.minimum(*data.class_counts(arrays)).any():
            raise ValueError('No class has both positives and negatives in the validation split: AUROC is undefined.')
        absent = [name for name, count in zip(dataset.classes, data.class_counts(arrays)[0], strict=True) if not count]
        if absent and processes.leads():
            print(f'No image of the {split} split has {", ".join(absent)}.', flush=True)
