"""A data set of a user: one function with options, and one line."""

import dataclasses

import numpy as np
import pytest

from imbalance_jax.data import soundness, sources
from imbalance_jax.data.dataset import Dataset


def tiny(*, image_size=16, bright: float = 200.0, count: int = 12) -> Dataset:
    """Noise, in which every second image is brighter; no regions."""
    images = np.random.default_rng(0).integers(0, 50, (count, image_size, image_size, 1))
    images[::2] += int(bright)
    labels = np.uint8(np.arange(count)[:, None] % 2 == 0)
    return Dataset(
        images=images.astype(np.uint8),
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.uint8(np.arange(count) * 3 // count),
        patient=np.arange(count),
        image_id=np.array([f'{i:03d}' for i in range(count)]),
        region_image=np.zeros(0, np.int32),
        region_concept=np.zeros(0, np.int32),
        region_box=np.zeros((0, 4), np.float32),
        region_mask=np.zeros((0, image_size, -(-image_size // 8)), np.uint8),
        info={
            'name': 'tiny',
            'classes': ['bright'],
            'concepts': ['bright'],
            'frame': [image_size, image_size],
            'options': {},
            'problems': {},
            'source': 'a test',
            'licence': 'none',
        },
    )


def with_any_option(image_size, progress=None, **options) -> Dataset:
    progress(1, 1)
    return tiny(image_size=image_size, **options)


@pytest.fixture(autouse=True)
def mine(monkeypatch):
    monkeypatch.setitem(sources.DATASETS, 'tiny', tiny)
    monkeypatch.setitem(sources.DATASETS, 'any', with_any_option)


def test_a_plain_function_is_a_source_and_is_asked_once(tmp_path):
    first = sources.load('tiny', tmp_path, {'image_size': 16, 'bright': 100.0}, progress=lambda done, total: None)
    assert first.info['fingerprint']
    again = sources.load('tiny', tmp_path, {'image_size': 16, 'bright': 100.0})
    np.testing.assert_array_equal(first.images, again.images)
    other = sources.load('tiny', tmp_path, {'image_size': 16, 'bright': 150.0})
    assert other.images.max() > first.images.max()
    assert other.info['fingerprint'] != first.info['fingerprint']


def test_an_option_that_it_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.data\.tiny\. 'brigth'\. Did you mean 'bright'"):
        sources.load('tiny', tmp_path, {'image_size': 16, 'brigth': 1.0})


def test_a_signature_may_take_any_option_and_the_progress(tmp_path):
    seen = []
    dataset = sources.load('any', tmp_path, {'image_size': 16, 'count': 6}, lambda *done: seen.append(done))
    assert len(dataset.images) == 6
    assert seen == [(1, 1)]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'frame': None}, "info has no 'frame'; it must have name, classes"),
        ({'concepts': ['lung']}, 'the concepts must begin with the classes'),
        ({'frame': [16]}, r'frame is \[16\]; \[height, width\]'),
    ],
)
def test_info_is_checked(change, message):
    dataset = tiny()
    info = {name: value for name, value in {**dataset.info, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        soundness.check(dataclasses.replace(dataset, info=info))
