"""Annotated regions: those of patients whose other images were learned are refused."""

import numpy as np

from imbalance_jax.data import regions
from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.training import trained


def test_patients_of_the_training_split_are_refused_and_counted(study):
    dataset = trained.load(study).dataset
    pairs = regions.finding_pairs(dataset, 'test', 'box')
    assert regions.refuse_training(dataset, pairs)[1] == 0
    dataset.split[dataset.rows('validation')[0]] = SPLITS.index('train')  # any row will do: its patient moves
    split = dataset.split.copy()
    dataset.patient[dataset.rows('train')[0]] = pairs.patient[0]
    kept, refused = regions.refuse_training(dataset, pairs)
    assert refused == (pairs.patient == pairs.patient[0]).sum() > 0
    assert len(kept.image) == len(pairs.image) - refused
    np.testing.assert_array_equal(dataset.split, split)
    leaked = regions.finding_pairs(dataset, 'train', 'box')
    assert len(regions.refuse_training(dataset, leaked)[0].image) == 0
