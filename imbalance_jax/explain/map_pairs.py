"""Which pairs of an image and a finding maps are made of: those with a region, and by label those that have none."""

from typing import NamedTuple

import numpy as np

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.regions import Pairs, finding_pairs, labelled_pairs, refuse_training
from imbalance_jax.training.trained import SPLIT, Trained

MOST = 256  # pairs by label, if the config says no number


class MapPairs(NamedTuple):
    """Pairs of the test split: `annotated`, which have a region to align maps with; `labelled`, of the findings that no
    test image has a region of, true by their label; and how many annotated ones are refused, as their patients are in
    the training split."""

    annotated: Pairs
    labelled: Pairs
    refused: int

    @property
    def together(self) -> Pairs:
        """Both, the annotated ones first."""
        return Pairs(*(np.concatenate(arrays) for arrays in zip(self.annotated, self.labelled, strict=True)))


def map_pairs(trained: Trained) -> MapPairs:
    """The pairs of every question about maps: at most `config.attribution.max_pairs` of either kind."""
    dataset, most = trained.dataset, trained.config.attribution.max_pairs
    annotated, refused = test_pairs(trained)
    tested = dataset.split[dataset.region_image] == SPLITS.index(SPLIT)
    without = ~np.isin(np.arange(len(dataset.classes)), dataset.region_concept[tested])
    labelled = labelled_pairs(dataset, SPLIT, without, most or MOST)
    train = dataset.patient[dataset.rows('train')]
    return MapPairs(annotated, Pairs(*(array[~np.isin(labelled.patient, train)] for array in labelled)), refused)


def test_pairs(trained: Trained) -> tuple[Pairs, int]:
    """The findings with a region in the test split, at most `config.attribution.max_pairs`, and how many are refused
    because their patients are in the training split."""
    setting, dataset = trained.config.attribution, trained.dataset
    pairs = finding_pairs(dataset, SPLIT, setting.regions, setting.max_pairs, rule=setting.readers)
    return refuse_training(dataset, pairs)
