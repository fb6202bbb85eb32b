"""CheXmask's lungs and hearts for any set: by id, laid as the images are, poor ones left out."""

import numpy as np
import pytest
from data.miniatures import chexmask_files, vindr

from imbalance_jax.data import soundness
from imbalance_jax.data.reader import shapes
from imbalance_jax.data.sources import check_options, chexmask, find, vindr_cxr

SIDE = 24


@pytest.fixture
def plain(tmp_path):
    return vindr_cxr.make(manual_dir=vindr.kaggle(tmp_path / 'vindr'), image_size=SIDE)


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
