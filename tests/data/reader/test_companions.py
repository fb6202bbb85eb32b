"""Masks and copies among the pictures of a folder are known by name and folder, and said where they count as images."""

import numpy as np
import pytest
from PIL import Image

from imbalance_jax.data import reader
from imbalance_jax.data.reader import companions, paths
from imbalance_jax.data.reader.layout import Images, Labels, Layout, Table

CLASSES = 'benign', 'malignant'


@pytest.mark.parametrize(
    ('image', 'mask', 'pattern'),
    [
        ('benign/benign (1).png', 'benign/benign (1)_mask.png', '*_mask*.png'),
        ('benign/benign (1).png', 'benign/benign (1)_Mask_2.png', '*_Mask*.png'),
        ('training/ISIC_1.jpg', 'truth/ISIC_1_segmentation.png', '*_segmentation*.png'),
        ('COVID/images/c1.png', 'COVID/masks/c1.png', '*/masks/*'),
        ('images/COVID/c1.png', 'masks/COVID/c1.png', 'masks/*'),
        ('CXR_png/1.png', 'ManualMask/leftMask/1.png', '*/leftMask/*'),
        ('adc/case3/image.png', 'adc/case3/mask.png', 'mask.png'),
        ('adc/case3/sl_0.png', 'adc/case3/Seg_1.png', 'Seg*.png'),
        ('a/1.png', 'a/mask_1.png', 'mask_*.png'),
        ('a/image_1.png', 'a/GT_1.png', 'GT_*.png'),
        ('a/case01_t1.png', 'a/case01_seg.png', '*_seg*.png'),
        ('a/00-image.png', 'a/00-mask_2.png', '*-mask*.png'),
    ],
)
def test_masks_are_known_by_a_word_of_their_name_or_folder(image, mask, pattern):
    found = companions.masks_among([image, mask, 'benign/other.png'])
    assert {path: one.of for path, one in found.items()} == {mask: image}
    assert companions.patterns_of(found) == (pattern,)
    left = [path for path in (image, mask) if paths.is_image(path, Images(exclude=(pattern,)))]
    assert left == [image]


def test_a_picture_that_was_made_of_others_is_said():
    files = [f'{of}/case{k}/{name}.png' for k, of in enumerate('abab') for name in ('heatmap', 'sl_0', 'sl_1')]
    (said,) = companions.doubts(files)
    assert said.startswith(
        '4 of 12 images are called as masks of others are, and count as images: a/case0/heatmap.png of'
    )
    assert "images.exclude = ('heatmap.png',) leaves them out" in said
    assert not companions.masks_among(files)  # it is no mask


@pytest.mark.parametrize(
    'files',
    [
        ['a/roi1.png', 'a/roi2.png', 'b/roi1.png'],  # crops are all that there is
        ['a/label_1.png', 'a/label_2.png', 'a/9.png'],
        ['a/segment_1.png', 'a/1.png', 'a/mask-less.png', 'a/cam1.png', 'a/predator.png', 'masks.png'],
        ['n95/mask.png', 'cloth/mask.png', 'none/face.png'],
        ['hand/thumb.png', 'hand/index.png', 'hand/middle.png'],
        ['a/with_mask.png', 'b/without_hat.png', 'a/road_label.png', 'c/road_t1.png'],
    ],
)
def test_names_that_have_such_a_word_and_are_no_masks(files):
    assert not companions.doubts(files)


def test_what_has_no_image_is_no_mask():
    assert not companions.masks_among(['with_mask/1.png', 'no_mask/1.png', 'a_mask.png', 'b/c_label.png'])
    assert not companions.doubts(['train/a/1.png', 'test/a/1.png', 'a/2.png', 'b/1.png'])


def _trees(folder, *trees):
    """24 images and, in each further tree, 24 black pictures of the same names."""
    for number, tree in enumerate(trees):
        for k in range(24):
            path = folder / tree.format(CLASSES[k % 2]) / f'{k:02d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(k).integers(40, 250, (16, 16)) if not number else np.zeros((16, 16))
            Image.fromarray(pixels.astype(np.uint8)).save(path)


def _read(folder, **parts):
    layout = Layout(labels=(Labels(path=r'(benign|malignant)/', none=()),), task='multi_class', **parts)
    return reader.read(folder, layout, image_size=16)


def test_a_second_tree_is_said_and_takes_no_images_place(tmp_path):
    _trees(tmp_path, '{}', 'masks/{}')
    dataset = _read(tmp_path)
    assert len(dataset.labels) == 48
    assert 'of_the_file_of_another_row' not in dataset.info['problems']
    said = [one for one in dataset.info['doubts'] if "images.exclude = ('masks/*',) leaves them out" in one]
    assert len(said) == 1
    assert said[0].startswith('24 of 48 images are called as masks of others are')
    without = _read(tmp_path, images=Images(exclude=('masks/*',)))
    assert len(without.labels) == 24
    assert without.images.max(axis=(1, 2, 3)).min() > 0
    assert not [one for one in without.info.get('doubts', []) if 'masks' in one]


def test_old_copies_are_said(tmp_path):
    _trees(tmp_path, '{}', 'old/{}')
    said = [one for one in _read(tmp_path).info['doubts'] if 'have name and folders of others' in one]
    assert len(said) == 1
    assert 'old/benign/00.png of benign/00.png' in said[0]


def test_what_was_made_of_others_is_said(tmp_path):
    _trees(tmp_path, 'raw/{}', 'preprocessed/{}')
    (said,) = [one for one in _read(tmp_path).info['doubts'] if 'have name and folders of others' in one]
    assert 'preprocessed/benign/00.png of raw/benign/00.png' in said


@pytest.mark.parametrize('name', ['aug_{}', '{}_rot90', '{}_flip'])
def test_changed_copies_are_said(tmp_path, name):
    pictures = [f'a/{one}.png' for i in range(4) for one in (f'x{i}', name.format(f'x{i}'))]
    (said,) = companions.doubts(pictures)
    assert said.startswith('4 of 8 images have name and folders of others')
    assert not companions.doubts(['a/x1.png', 'a/rotated_2.png', 'a/flip_flop.png'])


@pytest.mark.parametrize(('tree', 'named'), [('{}', '{}/{:02d}.png'), ('images/{}', '{1:02d}.png')])
def test_a_table_means_the_exact_path_and_no_folder_of_masks(tmp_path, tree, named):
    _trees(tmp_path, tree, 'masks/{}')
    lines = [f'{named.format(CLASSES[k % 2], k)},{CLASSES[k % 2]}' for k in range(24)]
    (tmp_path / 'table.csv').write_text('\n'.join(['image,dx', *lines]))
    layout = Layout(
        tables=(Table('table.csv'),),
        images=Images(file='{image}'),
        labels=(Labels(column='dx', none=()),),
        task='multi_class',
    )
    dataset = reader.read(tmp_path, layout, image_size=16)
    assert len(dataset.labels) == 24
    assert dataset.images.max(axis=(1, 2, 3)).min() > 0
    assert 'several_files' not in dataset.info['problems']


def test_one_image_in_two_formats_is_a_copy_and_files_without_a_suffix_are_none():
    names = ['a/1.jpg', 'a/1.png', 'a/2.png', 'a/IM01', 'a/IM02', 'b.c/IM01']
    assert companions.copies_among(names) == {'a/1.png': 'a/1.jpg'}
