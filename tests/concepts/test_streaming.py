"""Thresholds while the images stream by, memory, counts by class, and units planted in the phantom."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from imbalance_jax import concepts
from imbalance_jax.concepts import quantiles
from imbalance_jax.data.regions import concept_masks
from imbalance_jax.training import network


def test_dissect_takes_memory_maps_and_holds_blocks(tmp_path):
    random = np.random.default_rng(0)
    shape = (1000, 8, 8, 4)
    stored = np.lib.format.open_memmap(tmp_path / 'a.npy', 'w+', np.float32, shape)
    stored[:] = random.exponential(size=shape)
    masks = np.lib.format.open_memmap(tmp_path / 'm.npy', 'w+', bool, (1000, 32, 32, 2))
    masks[:] = random.random((1000, 32, 32, 2)) < 0.01
    tracemalloc.start()
    result = concepts.dissect(stored, masks, 0.01, rounds=20)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 0.5 * 1000 * 32 * 32 * 4 * 4
    assert np.isfinite(result['iou']).all()


@pytest.mark.parametrize('capacity', [10**6, 10])
def test_streaming_thresholds(capacity):
    random = np.random.default_rng(0)
    values = np.maximum(ndimage.gaussian_filter(random.normal(size=(50, 6, 6, 4)), (0, 1, 1, 0)), 0).astype(np.float32)
    values[..., 1] = 0
    values[..., 2] *= values[..., 2] > np.sort(values[..., 2].ravel())[-5]
    seen = quantiles.UpperQuantile(4, 50 * 36, 0.03, capacity=capacity)
    for part in np.array_split(values, 7):
        seen.add(part)
    exact = concepts.thresholds(values, 0.03)
    result = seen.threshold()
    assert (result >= exact).all()
    assert (result <= exact * (1 + seen.relative_error)).all()
    assert seen.relative_error == (0 if capacity > 100 else quantiles.RELATIVE_ERROR)
    np.testing.assert_array_equal(result[1:3], 0)
    np.testing.assert_allclose(seen.share_positive(), (values > 0).mean((0, 1, 2)))
    assert ((values > result).mean((0, 1, 2)) <= 0.03).all()
    with pytest.raises(ValueError, match='0 of 100 positions'):
        quantiles.UpperQuantile(4, 100, 0.03, capacity=capacity).threshold()


def test_counts_by_class():
    features = np.zeros((2, 8, 8, 3), np.float32)
    features[0, 1:3, 1:3, 0] = features[0, 5:7, 5:7, 0] = features[1, 5:7, 1:3, 0] = 1
    features[:, :, :, 1] = 0  # dead
    features[0, 1:4, 1:4, 2], features[0, 2, 2, 2] = 1, 0  # a ring
    masks = np.zeros((2, 8, 8, 3), bool)
    masks[0, :4, :4, 0] = masks[0, 4:, 4:, 1] = True
    corrected = concepts.count(features, 8, 0.9, masks, convention='corrected', threshold=np.full(3, 0.5))
    assert corrected.tolist() == [[2, 1, 0], [0, 0, 0]]
    study = concepts.count(features, 8, 0.9, masks, threshold=np.array([0.5, 0, 0.5]))
    union = concepts.count(features, 8, 0.9, masks.any(-1), threshold=np.array([0.5, 0, 0.5]))
    assert study.tolist() == [[union[0], union[0], 0], [0, 0, 0]]
    assert union[0] == 2 + 1 + 2  # two blobs, a dead unit in a connected union, a ring with its hole
    assert not concepts.count(features, 8, 0.9, masks[..., 2:], convention='corrected').any()


@pytest.fixture(scope='module')
def phantom(tiny_config):
    return network.load_dataset(tiny_config)


@pytest.mark.parametrize('null', ['circular_shift', 'image_permutation'])
def test_units_planted_in_the_phantom(phantom, null):
    """Every second unit shows one of the phantom's findings where its mask is; noise over all."""
    rows = np.arange(len(phantom.images))
    masks = concept_masks(phantom, rows, 'exact')
    common = [s for s in range(len(phantom.classes)) if masks[..., s].any((1, 2)).sum() >= 12][:4]
    random = np.random.default_rng(0)
    features = 0.3 * random.random((len(rows), 8, 8, 12)).astype(np.float32)
    for unit, s in enumerate(common):
        features[..., 2 * unit] += masks[..., s].reshape(-1, 8, 2, 8, 2).mean((2, 4))
    result = concepts.dissect(features, masks, 0.02, null, rounds=60, key=1)
    assert len(common) == 4
    assert all(result['detector'][2 * unit, s] for unit, s in enumerate(common))
    best = concepts.unique_detectors(result)['best_concept']
    assert [best[2 * unit] for unit in range(4)] == common
    assert not result['detector'][1::2].any()
    assert (result['iou'] <= result['ceiling'] + 1e-12).all()
    if null == 'image_permutation':  # a shift also finds units that prefer a finding's place, as these still do
        order = random.permutation(len(rows))
        shuffled = concepts.dissect(features, masks[order], 0.02, null, rounds=60, key=1)
        assert not any(shuffled['detector'][2 * unit, s] for unit, s in enumerate(common))
