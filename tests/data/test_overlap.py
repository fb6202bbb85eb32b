"""Images that two data sets share: found by pixels, by near-equality, by identifier and patient."""

import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imbalance_jax.data import other_set, overlap
from imbalance_jax.data.dataset import LEFT_OUT, SPLITS, Dataset

SIZE = 32


def pictures(count, seed=0):
    """Smooth random images, of which no two are alike."""
    coarse = np.random.default_rng(seed).normal(size=(count, 6, 6)).astype(np.float32)
    rise = [np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.BICUBIC)) for one in coarse]
    return np.clip(128 + 40 * np.stack(rise), 0, 255).astype(np.uint8)[..., None]


def a_set(images, *, name='one', family='', classes=('x', 'y'), split=None, first=0, **fields):
    count = len(images)
    labels = (np.arange(count * len(classes)).reshape(count, -1) % 3 == 0).astype(np.uint8)
    arrays = {
        'images': images,
        'labels': labels,
        'label_mask': np.ones_like(labels),
        'split': np.zeros(count, np.uint8) if split is None else np.asarray(split, np.uint8),
        'patient': np.arange(first, first + count),
        'image_id': np.array([f'{name}/{first + i}.png' for i in range(count)]),
        'region_image': np.zeros(0, np.int32),
        'region_concept': np.zeros(0, np.int32),
        'region_box': np.zeros((0, 4), np.float32),
        'region_mask': np.zeros((0, SIZE, SIZE // 8), np.uint8),
        **fields,
    }
    info = {'name': name, 'family': family, 'classes': list(classes), 'concepts': list(classes), 'frame': [SIZE, SIZE]}
    return Dataset(**arrays, info={**info, 'problems': {}})


def again(images, change):
    pixels = [np.asarray(change(Image.fromarray(one[..., 0])).convert('L').resize((SIZE, SIZE))) for one in images]
    return np.stack(pixels)[..., None]


def as_jpeg(image):
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=30)
    return Image.open(buffer)


CHANGES = {
    'jpeg': as_jpeg,
    'resized': lambda image: image.resize((20, 20), Image.BICUBIC),
    'negative': lambda image: Image.fromarray(255 - np.asarray(image)),
    'brighter': lambda image: Image.fromarray((np.asarray(image) * 0.7 + 60).astype(np.uint8)),
}


@pytest.mark.parametrize('change', CHANGES)
def test_images_written_again_are_found_and_others_are_not(change):
    known, strange = pictures(60), pictures(30, seed=1)
    other = a_set(np.concatenate([again(known[:20], CHANGES[change]), strange]), name='two')
    found = overlap.of_sets(other, np.arange(50), a_set(known), np.arange(60))
    assert found.near.tolist() == [True] * 20 + [False] * 30
    assert found.like[:20].tolist() == list(range(20))
    assert not (found.equal | found.named | found.patient).any()


def test_the_likest_image_is_the_one_of_the_largest_correlation():
    images, other = pictures(40), pictures(25, seed=3)
    like, _ = overlap.near_equal(other, np.arange(25), images, np.arange(5, 40))

    def detail(image):
        small = np.array([[image[y : y + 2, x : x + 2].mean() for x in range(0, SIZE, 2)] for y in range(0, SIZE, 2)])
        wide = np.pad(small, 1, mode='edge')
        return [small[y, x] - wide[y : y + 3, x : x + 3].mean() for y in range(16) for x in range(16)]

    table = np.abs(np.corrcoef([detail(one) for one in np.concatenate([images[5:], other])[..., 0]])[35:, :35])
    assert like.tolist() == (5 + table.argmax(1)).tolist()


def test_equal_pixels_are_equal_and_flat_images_are_like_none():
    known = np.concatenate([pictures(5), np.zeros((1, SIZE, SIZE, 1), np.uint8)])
    found = overlap.of_sets(a_set(known[3:]), np.arange(3), a_set(known), np.arange(6))
    assert found.equal.tolist() == [True, True, False]
    assert not found.near.any()


def test_identifiers_and_patients_count_within_a_family_only():
    known, other = pictures(6), pictures(6, seed=1)
    for family, shared in (
        ('nih', [True, True, False, False, False, False]),
        ('', [False] * 6),
        ('folder', [False] * 6),
    ):
        one, two = a_set(known, family=family), a_set(other, family=family, first=4, name='two')
        assert overlap.of_sets(two, np.arange(6), one, np.arange(6)).patient.tolist() == shared
        assert overlap.of_sets(two, np.arange(6), one, np.arange(6)).named.tolist() == shared
    assert overlap.family({'name': 'chestmnist'}) == 'nih'


def test_alike_images_raise_the_limit():
    rng = np.random.default_rng(0)
    apart = overlap.thumbnails(pictures(200), np.arange(200)).detail
    common = rng.normal(size=256)
    alike = common + 0.25 * rng.normal(size=(200, 256))
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    assert overlap.limit(apart) == overlap.DETAIL
    assert overlap.limit(alike) > np.quantile(alike @ alike.T - 2 * np.eye(200), 0.9999)


def test_what_training_has_seen_is_left_out_by_name_and_classes_are_masked():
    known = pictures(30)
    training = a_set(known, split=[0] * 20 + [1] * 5 + [2] * 5)
    fresh = pictures(10, seed=1)
    images = np.concatenate([known[:2], again(known[20:23], as_jpeg), again(known[25:], as_jpeg), fresh])
    other = a_set(images, name='two', classes=('Y', 'z'), split=[2] * 20, first=100)
    matched = other_set.matched(other, training)
    dataset, record = matched.dataset, matched.dataset.info[other_set.TESTED_ON]
    problems = dataset.info['problems']
    assert problems['same_pixels_as_a_training_image'] == ['two/100.png', 'two/101.png']
    assert problems['nearly_equal_to_a_training_image'] == ['two/102.png', 'two/103.png', 'two/104.png']
    assert (dataset.split[:5] == LEFT_OUT).all()
    assert (dataset.split[5:] == SPLITS.index('test')).all()
    assert dataset.classes == ('x', 'y')
    assert dataset.concepts == ('x', 'y', 'z')
    assert (dataset.label_mask == [0, 1]).all()
    assert (dataset.labels[:, 1] == other.labels[:, 0]).all()
    assert record['absent'] == ['x']
    assert 'does not have them: x' in other_set.describe(matched)


def test_a_known_family_is_a_warning_and_shared_patients_are_left_out():
    training = a_set(pictures(10), family='nih', split=[0] * 8 + [2] * 2)
    other = a_set(pictures(10, seed=2), family='nih', split=[2] * 10, first=6, name='two')
    matched = other_set.matched(other, training)
    assert matched.dataset.info['problems']['patient_in_training'] == ['two/6.png', 'two/7.png']
    record = matched.dataset.info[other_set.TESTED_ON]
    assert record['shared_with_test'] == 2
    assert "both hold images of 'nih'" in other_set.describe(matched)


def test_the_own_test_split_as_another_set_is_said():
    training = a_set(pictures(10), split=[0] * 6 + [2] * 4)
    other = a_set(pictures(10), split=[2] * 10, name='two')
    assert (
        '4 images have the same pixels as images of the own test split, or are of its patients'
        in other_set.describe(other_set.matched(other, training))
    )


def test_other_images_than_the_training_set_s_are_refused_and_grey_is_taken_for_colour():
    training = a_set(np.repeat(pictures(6), 3, -1), split=[0] * 5 + [1])
    other = a_set(pictures(4, seed=1), split=[2] * 4)
    assert other_set.matched(other, training).dataset.images.shape == (4, SIZE, SIZE, 3)
    with pytest.raises(ValueError, match='3 channels, those of the training set 1'):
        other_set.matched(training, dataclasses.replace(other, split=training.split[:4]), split='train')
    with pytest.raises(ValueError, match="two has no test images; 'two:all' tests on all"):
        other_set.matched(a_set(pictures(4, seed=1)), training, name='two')
    assert len(other_set.matched(a_set(pictures(4, seed=1)), training, split='all').dataset.rows('test')) == 4


def test_beside_keeps_regions_where_they_were_and_patients_apart():
    box = np.array([[8, 8, 16, 24], [0, 0, 4, 4]], np.float32)
    regions = {'region_image': np.array([1, 7], np.int32), 'region_concept': np.array([1, 0], np.int32)}
    training = a_set(pictures(8), split=[0] * 6 + [1, 2], region_box=box, **regions)
    masks = np.packbits(np.eye(SIZE, dtype=bool)[None], axis=-1)
    own = {'region_image': np.array([2], np.int32), 'region_concept': np.array([0], np.int32)}
    other = a_set(
        pictures(4, seed=1), classes=('y',), split=[2] * 4, region_box=box[:1] * 2, region_mask=masks, name='two', **own
    )
    other.info['frame'] = [2 * SIZE, 2 * SIZE]
    both = other_set.beside(training, other_set.matched(other, training).dataset)
    assert both.split.tolist() == [0] * 6 + [2] * 4
    assert (both.images == np.concatenate([training.images[:6], other.images])).all()
    assert both.region_image.tolist() == [1, 8]
    assert [both.concepts[k] for k in both.region_concept] == ['y', 'y']
    assert np.allclose(both.region_box, box[[0, 0]])
    unpacked = np.unpackbits(both.region_mask, axis=-1, count=SIZE).astype(bool)
    assert unpacked[0].sum() == 8 * 16
    assert (unpacked[1] == np.eye(SIZE, dtype=bool)).all()
    assert len(np.unique(both.patient)) == 10


def test_real_radiographs_again_as_jpeg_are_found_and_other_patients_are_not():
    root = Path(os.environ.get('IMBALANCE_JAX_SHARED') or Path(__file__).parents[3] / 'shared')
    files = sorted((root / 'data' / 'nih' / 'images').glob('*.png'))[:150]
    if not files:
        pytest.skip('NIH data are not there; the variable IMBALANCE_JAX_SHARED names the folder above data/.')
    whole = [Image.open(file).convert('L') for file in files]
    images = np.stack([np.asarray(one.resize((SIZE, SIZE), Image.BOX)) for one in whole])[..., None]
    patient = np.array([int(file.name[:8]) for file in files])
    rows, half = np.arange(len(files)), len(files) // 2
    copies = np.stack([np.asarray(as_jpeg(one).resize((SIZE, SIZE), Image.BOX)) for one in whole[:half]])[..., None]
    like, near = overlap.near_equal(copies, rows[:half], images, rows)
    assert near.all()
    assert (patient[like] == patient[:half]).all()
    strange = rows[~np.isin(patient, patient[:half])]
    assert not overlap.near_equal(images, strange, images[:half], rows[:half])[1].any()
