"""Regions of a finding that the labels of their image deny: both are kept, as who draws has looked, and it is said."""

import dataclasses

import numpy as np

from imbalance_jax.data.dataset import NOT_READ, PRESENT, UNCERTAIN, Dataset
from imbalance_jax.names import some

SHOWN = 5  # regions in a message


def doubted(dataset: Dataset) -> Dataset:
    """The data set with a doubt of its denied regions, itself if there are none."""
    names = [
        f'{dataset.image_id[dataset.region_image[region]]} {dataset.concepts[dataset.region_concept[region]]}'
        for region in denied(dataset)
    ]
    if not names:
        return dataset
    named = some(list(dict.fromkeys(names)), SHOWN)
    doubt = f'Regions of a finding that the labels of their image deny, kept as these are: {len(names)} ({named}).'
    return dataclasses.replace(dataset, info={**dataset.info, 'doubts': [*dataset.info.get('doubts', []), doubt]})


def denied(dataset: Dataset) -> np.ndarray:
    """Which regions [n] are of a class whose label counts and is a no, and that nobody who may have drawn them affirms.

    Where cells say what each reader says, a region's own reader is asked, and all are where it has none of these.
    """
    regions = np.flatnonzero(dataset.region_concept < len(dataset.classes))
    rows, finding = dataset.region_image[regions], dataset.region_concept[regions]
    no = (dataset.labels[rows, finding] == 0) & (dataset.label_mask[rows, finding] == 1)
    regions, rows, finding = regions[no], rows[no], finding[no]
    if dataset.cells is None or not len(regions):
        return regions
    cells = dataset.cells[:, rows, finding]  # [A,n]
    drawn = _by_their_reader(dataset, regions)
    asked = drawn | ~drawn.any(0)
    affirmed = (asked & np.isin(cells, (PRESENT, UNCERTAIN))).any(0)
    return regions[~affirmed & (asked & (cells != NOT_READ)).any(0)]


def _by_their_reader(dataset: Dataset, regions: np.ndarray) -> np.ndarray:
    """Whether a reading is by the reader of a region, [A,n]; of one without a reader, none is."""
    readings = [who for _, who in dataset.info['readings']]
    if dataset.region_reader is None:
        return np.zeros((len(readings), len(regions)), bool)
    names, who = np.array(dataset.info['readers']), dataset.region_reader[regions]
    return (np.array(readings)[:, None] == names[who]) & (who >= 0)
