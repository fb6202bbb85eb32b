"""CheXmask's lungs and hearts for any set: by id, laid as the images are, poor ones left out."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest
from data.miniatures import chexmask_files, vindr

from imbalance_jax.data import soundness
from imbalance_jax.data.dataset import Dataset, allocate
from imbalance_jax.data.reader import shapes
from imbalance_jax.data.sources import WITH_CHEXMASK, check_options, chexmask, find, key, load

SIDE = 24


@pytest.fixture
def plain(tmp_path):
    return find('vindr_cxr').make(manual_dir=vindr.kaggle(tmp_path / 'vindr'), image_size=SIDE)


def test_masks_are_regions_beside_the_boxes(tmp_path, plain):
    images = {name: vindr.SIZE for name in [*vindr.TRAIN[:8], 'of another set']}
    poor = vindr.TRAIN[2]
    table = chexmask_files.write(tmp_path / 'VinDr.csv', images, quality=lambda name: 0.69 if name == poor else 0.7)
    dataset = chexmask.added(plain, table)
    soundness.check(dataset)
    assert dataset.concepts == (*plain.concepts, 'left lung', 'right lung', 'heart')
    count = len(plain.region_box)
    np.testing.assert_array_equal(dataset.region_box[:count], plain.region_box)
    assert len(dataset.region_box) == count + 3 * 7
    assert (dataset.region_reader[count:] == -1).all()
    for r in range(count, len(dataset.region_box)):
        name = {one.lower(): one for one in chexmask_files.BOXES}[dataset.concepts[dataset.region_concept[r]]]
        expected = shapes.to_size(chexmask_files.mask_of(name, *vindr.SIZE), (SIDE, SIDE))
        mask = np.unpackbits(dataset.region_mask[r], axis=-1, count=SIDE).astype(bool)
        np.testing.assert_array_equal(mask, expected)
        ys, xs = np.nonzero(expected)
        assert dataset.region_box[r].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    note = dataset.info['notes'][-1]
    assert '7 images have masks' in note
    assert '1 are left out' in note
    assert '4 are not in VinDr.csv' in note
    assert dataset.info['anatomy'] == ['left lung', 'right lung', 'heart']


def test_it_is_an_option_of_a_source(tmp_path):
    table = chexmask_files.write(tmp_path / 'VinDr.csv', {name: vindr.SIZE for name in vindr.TRAIN})
    folder = vindr.kaggle(tmp_path / 'vindr')
    check_options('vindr_cxr', {'manual_dir': folder, 'chexmask': table})
    dataset = find('vindr_cxr').make(manual_dir=folder, image_size=SIDE, chexmask=table)
    assert 'heart' in dataset.concepts
    assert 'heart' not in find('vindr_cxr').make(manual_dir=folder, image_size=SIDE).concepts


def test_its_content_is_part_of_the_key(tmp_path):
    table = chexmask_files.write(tmp_path / 'VinDr.csv', {name: vindr.SIZE for name in vindr.TRAIN})
    options = {'manual_dir': str(vindr.kaggle(tmp_path / 'vindr')), 'image_size': SIDE}
    plain, first = key('vindr_cxr', tmp_path, options), key('vindr_cxr', tmp_path, {**options, 'chexmask': str(table)})
    dataset = load('vindr_cxr', tmp_path / 'data', {**options, 'chexmask': str(table)})
    assert dataset.info['anatomy'] == ['left lung', 'right lung', 'heart']
    chexmask_files.write(table, {name: vindr.SIZE for name in vindr.TRAIN[1:]})
    assert len({plain, first, key('vindr_cxr', tmp_path, {**options, 'chexmask': str(table)})}) == 3


@pytest.mark.parametrize('name', WITH_CHEXMASK)
def test_every_set_of_chest_radiographs_takes_it(name, tmp_path):
    source = find(name)
    assert 'chexmask' in inspect.signature(source.make).parameters
    if source.files:
        plain = source._replace(files=lambda **options: {'table': tmp_path, 'given': sorted(options)})
        assert chexmask.with_file(plain.files)(chexmask='a.csv', manual_dir='b') == {
            'table': tmp_path,
            'given': ['manual_dir'],
            'chexmask': Path('a.csv'),
        }


def spoilt(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))
    return path


def test_what_is_no_table_of_chexmask_is_one_line(tmp_path, plain):
    images = {vindr.TRAIN[0]: vindr.SIZE}
    with pytest.raises(FileNotFoundError, match=r'chexmask: .*nothing\.csv is no file'):
        chexmask.added(plain, tmp_path / 'nothing.csv')
    for old, new, message in (
        ('Heart', 'Hert', 'the header has no Heart'),
        ('image_id', 'who', 'no column names the image'),
        (',48,40', ',4,40', 'line 2, Left Lung: a run ends at pixel'),
    ):
        table = spoilt(chexmask_files.write(tmp_path / 'masks.csv', images), old, new)
        with pytest.raises(ValueError, match=message) as error:
            chexmask.added(plain, table)
        assert '\n' not in str(error.value)


def test_masks_that_are_there_survive_being_prepared(tmp_path):
    table = chexmask_files.write(tmp_path / 'table.csv', {name: (32, 32) for name in ('a', 'b')})
    packed = np.packbits(np.tri(32, 32, dtype=bool), axis=-1)
    kept = np.lib.format.open_memmap(tmp_path / 'region_mask.npy', mode='w+', dtype=np.uint8, shape=(1, 32, 4))
    kept[0] = packed
    dataset = _of_one_mask(kept)
    both = chexmask.added(dataset, table, lambda name, shape, dtype: allocate(tmp_path, name, shape, dtype))
    np.testing.assert_array_equal(both.region_mask[0], packed)
    assert both.region_mask.any((1, 2)).all()
    assert len(both.region_mask) == 7


def _of_one_mask(mask):
    count = len(mask)
    return Dataset(
        images=np.zeros((2, 32, 32, 1), np.uint8),
        labels=np.zeros((2, 1), np.uint8),
        label_mask=np.ones((2, 1), np.uint8),
        split=np.zeros(2, np.uint8),
        patient=np.arange(2),
        image_id=np.array(['a', 'b']),
        region_image=np.zeros(count, np.int32),
        region_concept=np.zeros(count, np.int32),
        region_box=np.tile(np.float32([0, 0, 32, 32]), (count, 1)),
        region_mask=mask,
        info={'classes': ['c'], 'concepts': ['c'], 'frame': [32, 32]},
    )


def test_paths_name_the_images_of_chexpert_and_another_table_is_refused(tmp_path):
    dataset = dataclasses.replace(
        _of_one_mask(np.zeros((0, 32, 4), np.uint8)),
        image_id=np.array(['patient00001_study1_view1_frontal', 'patient00002_study1_view1_frontal']),
    )
    path = 'train/patient00002/study1/view1_frontal.jpg'
    anatomy = chexmask.added(dataset, chexmask_files.write(tmp_path / 'a.csv', {path: (32, 32)}))
    assert anatomy.region_image.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r'b\.csv names none of the images, such as patient00001'):
        chexmask.added(dataset, chexmask_files.write(tmp_path / 'b.csv', {'x.png': (32, 32)}))
