"""What `data guess` makes of folders: masks that lie among the images, classes, people and splits."""

import re

import numpy as np
import pytest
from data.reader.guessing import pictures, proposed
from PIL import Image

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess

CLASSES = 'benign', 'malignant'


def mask(path, side=20):
    """A mask with a square in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side), np.uint8)
    pixels[4:12, 4:12] = 255
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ('image', 'drawn', 'pattern'),
    [
        ('images/{c}/{i}.png', 'masks/{c}/{i}.png', 'masks/{{parent}}/{{stem}}.png'),
        ('{c}/{i}.png', 'masks/{c}/{i}.png', 'masks/{{parent}}/{{stem}}.png'),
        ('{c}/{i}.png', '{c}/masks/{i}.png', '{{parent}}/masks/{{stem}}.png'),
        ('{c}/images/{i}.png', '{c}/masks/{i}.png', '{{class}}/masks/{{stem}}.png'),
        ('set/images/{c}/{i}.png', 'set/leftMask/{i}.png', 'set/leftMask/{{stem}}.png'),
        ('set_with_GT/{c}/{i}.png', 'set_with_GT/{c}/{i}_mask_1.png', '{{stem}}_mask*.png'),
        ('{c}/{i}.png', 'truth/{i}_segmentation.png', 'truth/{{stem}}_segmentation.png'),
        ('train/{c}/images/{i}.png', 'train/{c}/masks/{i}.png', 'train/{{class}}/masks/{{stem}}.png'),
    ],
)
def test_masks_of_trees_of_classes(tmp_path, image, drawn, pattern):
    folder = tmp_path / 'tree'
    names = [(f'{i:02d}', CLASSES[i % 2]) for i in range(24)]
    pictures(folder, [image.format(c=c, i=i) for i, c in names])
    for i, c in names[:20]:
        mask(folder / drawn.format(c=c, i=i))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['regions']['files'] == pattern.format()
    assert dataset.classes == CLASSES
    assert dataset.labels.sum(0).tolist() == [12, 12]
    assert np.bincount(dataset.region_concept).tolist() == [10, 10]
    assert not [one for one in dataset.info.get('doubts', []) if 'regions.files' in one or 'masks' in one]
    assert any('20 files are taken for masks' in one for one in found.unsure)


def test_masks_of_two_kinds_and_no_folders_of_classes(tmp_path):
    folder = tmp_path / 'films'
    names = [f'MCU_{i:04d}_{i % 2}.png' for i in range(12)]
    pictures(folder, [f'CXR_png/{name}' for name in names])
    for side in ('left', 'right'):
        for name in names:
            mask(folder / f'ManualMask/{side}Mask/{name}')
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert found.block['regions'] == [
        {'files': f'ManualMask/{side}Mask/{{stem}}.png', 'concept': side} for side in ('left', 'right')
    ]
    assert "names of files end in 0, 1, which labels.path = '[_-](0|1)[.]' would take" in found.missing[0]
    block = {**found.block, 'labels': {'path': '[_-](0|1)[.]', 'aliases': {'tb': ('1',)}, 'none': ('0',)}}
    dataset = sources.load('films', tmp_path / 'data', {**block, 'image_size': 16})
    assert len(dataset.images) == 12
    assert len(dataset.region_mask) == 24


def test_a_pattern_that_gives_images_others_masks_is_not_proposed(tmp_path):
    folder = tmp_path / 'twice'
    pictures(folder, [f'{part}/images/{i}.png' for part in ('one', 'two') for i in range(8)])
    for part in ('one', 'two'):
        for i in range(8):
            mask(folder / f'{part}/masks/{i}.png')
    found = guess.guess(folder, sources.DATASETS)
    blocks = found.block.get('regions', {})
    assert blocks == {'files': '{class}/masks/{stem}.png', 'concept': 'label'}
    pictures(folder, [f'one/{i}.png' for i in range(8, 16)])
    (folder / 'table.csv').write_text('\n'.join(['image,dx', *(f'one/images/{i}.png,{"ab"[i % 2]}' for i in range(8))]))
    found = guess.guess(folder, sources.DATASETS)
    assert 'regions' not in found.block
    assert any('no one pattern of regions.files gives each image its own' in one for one in found.unsure)


def test_masks_that_are_called_otherwise_are_no_images(tmp_path):
    folder = tmp_path / 'other'
    pictures(folder, [f'images/{c}/img_{i}.png' for c in CLASSES for i in range(6)])
    for i in range(6):
        mask(folder / f'masks/mask_{i}.png')
    found, dataset = proposed(folder, tmp_path)
    assert len(dataset.images) == 12
    assert any(one.startswith('images: 6 files in folders of masks are called as no image is') for one in found.unsure)


def test_the_class_is_not_the_deepest_folder(tmp_path):
    folder = tmp_path / 'slides'
    kinds = {'benign': ('adenosis', 'fibroadenoma'), 'malignant': ('ductal', 'lobular')}
    names = [
        f'breast/{c}/SOB/{kind}/SOB_{kind}_14-{9000 + who}/{zoom}/{i}.png'
        for c, of_class in kinds.items()
        for kind in of_class
        for who in range(3)
        for zoom in ('40X', '100X')
        for i in range(2)
    ]
    pictures(folder, names)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == CLASSES
    assert dataset.labels.sum(0).tolist() == [24, 24]
    assert len(set(dataset.patient.tolist())) == 12
    said = next(one for one in found.unsure if one.startswith('labels: the 2 folders benign, malignant'))
    assert "'^(?:[^/]+/){3}([^/]+)/' has folders adenosis, ductal, fibroadenoma, lobular" in said
    assert "'parent' has magnifications 100X, 40X" in said


def test_classes_within_the_names_of_studies(tmp_path):
    folder = tmp_path / 'bones'
    names = [
        f'{split}/XR_{part}/patient{number:05d}/study1_{("negative", "positive")[number % 2]}/image{k}.png'
        for number, split in enumerate(['train'] * 12 + ['valid'] * 6)
        for part in ('HAND', 'WRIST')
        for k in (1, 2)
    ]
    pictures(folder, names)
    lists = {'train': names[:24], 'valid': names[48:]}
    for split, listed in lists.items():
        (folder / f'{split}_image_paths.csv').write_text('\n'.join(listed))
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('negative', 'positive')
    assert dataset.labels.sum(0).tolist() == [36, 36]
    assert len(set(dataset.patient.tolist())) == 18
    assert len(dataset.rows('validation')) == 24
    assert any('has folders XR_HAND, XR_WRIST' in one for one in found.unsure)


def test_lists_of_images_are_splits(tmp_path):
    folder = tmp_path / 'listed'
    names = [f'{c}/{c}{i}.png' for c in ('cats', 'dogs') for i in range(8)]
    pictures(folder, [f'images/{name}' for name in names])
    for split, at in (('train', slice(0, None, 2)), ('test', slice(1, None, 2))):
        (folder / f'{split}_list.txt').write_text('\n'.join(names[at]))
    _, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('cats', 'dogs')
    assert len(dataset.rows('test')) == 8


def test_parts_of_a_set_and_names_of_people_are_no_classes(tmp_path):
    pictures(tmp_path / 'parts', [f'imgs_part_{1 + i % 2}/{i}.png' for i in range(6)])
    found, _ = proposed(tmp_path / 'parts', tmp_path, missing=['labels'])
    assert 'labels' not in found.block
    names = [f'Mass_P_{who:05d}_{view}/{who}{view}.png' for who in range(4) for view in ('CC', 'MLO')]
    pictures(tmp_path / 'people', names)
    found, _ = proposed(tmp_path / 'people', tmp_path, missing=['labels'])
    block = {**found.block, 'labels': {'path': r'_(CC|MLO)/'}, 'task': 'multi_class'}
    dataset = sources.load('people', tmp_path / 'data', {**block, 'image_size': 16})
    assert len(set(dataset.patient.tolist())) == 4


def test_folders_of_splits_beside_a_table(tmp_path):
    folder = tmp_path / 'kept'
    names = [f'{split}/{i}.png' for i, split in enumerate(['train'] * 8 + ['val'] * 4 + ['test'] * 4)]
    pictures(folder, names)
    rows = [f'{name},{"ab"[i % 2]}' for i, name in enumerate(names)]
    (folder / 'table.csv').write_text('\n'.join(['image,dx', *rows]))
    _, dataset = proposed(folder, tmp_path)
    assert [len(dataset.rows(split)) for split in sources.SPLITS] == [8, 4, 4]


def test_folders_of_an_image_each_are_no_classes(tmp_path):
    pictures(tmp_path / 'each', [f'{word}/0.png' for word in ('ash', 'elm', 'oak', 'yew')])
    found, _ = proposed(tmp_path / 'each', tmp_path, missing=['labels'])
    assert any("labels.path = 'parent' has folders of an image each ash, elm, oak, yew" in one for one in found.unsure)


def test_folders_of_people_with_more_in_their_name(tmp_path):
    names = [
        f'patient_{who:03d}_node_{node}/{who}{node}{i}.png' for who in (4, 12, 24) for node in (0, 1) for i in (0, 1)
    ]
    pictures(tmp_path / 'nodes', names)
    found, _ = proposed(tmp_path / 'nodes', tmp_path, missing=['labels'])
    block = {**found.block, 'labels': {'path': 'node_([01])/'}, 'task': 'multi_class', 'image_size': 16}
    assert len(set(sources.load('nodes', tmp_path / 'data', block).patient.tolist())) == 3


def test_folders_of_numbers_in_several_splits_are_classes(tmp_path):
    names = [f'{s}/n0144076{k}/{s}{k}{i}.png' for s in ('train', 'val', 'test') for k in range(3) for i in range(4)]
    pictures(tmp_path / 'birds', names)
    found, dataset = proposed(tmp_path / 'birds', tmp_path)
    assert dataset.classes == ('n01440760', 'n01440761', 'n01440762')
    assert dataset.labels.sum(0).tolist() == [12, 12, 12]
    assert 'patient' not in found.block


def test_nobody_is_proposed_to_be_in_two_splits(tmp_path):
    folder = tmp_path / 'leak'
    pictures(folder, [f'{2889 + i % 3}/{i:02d}.png' for i in range(18)])
    rows = [f'{i:02d}.png,{"ab"[i % 2]},P{i % 3},{("train", "val", "test")[i // 6]}' for i in range(18)]
    (folder / 'table.csv').write_text('\n'.join(['image,dx,patient_id,split', *rows]))
    found, dataset = proposed(folder, tmp_path)
    assert 'patient' not in found.block
    assert len(set(dataset.patient.tolist())) == 18
    said = "patient: 'patient_id' is not proposed, as 3 of 3 would be in two splits: P0, P1, P2."
    assert any(one.startswith(said) for one in found.unsure)
    (folder / 'table.csv').write_text(
        '\n'.join(
            ['image,dx,split', *(f'{i:02d}.png,{"ab"[i % 2]},{("train", "val", "test")[i // 6]}' for i in range(18))]
        )
    )
    found, _ = proposed(folder, tmp_path)
    assert 'patient' not in found.block


def test_folders_of_numbers_in_several_splits_with_few_images_are_no_classes(tmp_path):
    pictures(tmp_path / 'few', [f'{s}/{4700 + k}/{s}{k}.png' for s in ('train', 'test') for k in range(8)])
    found, _ = proposed(tmp_path / 'few', tmp_path, missing=['labels'])
    assert 'patient' not in found.block
    assert any("labels.path = 'parent' has people of several splits 4700, 4701" in one for one in found.unsure)


def test_a_class_that_is_called_as_a_kind_of_image(tmp_path):
    """CXR of MedNIST is a class among others; alone it is where radiographs lie."""
    kinds = 'AbdomenCT', 'CXR', 'Hand', 'HeadCT'
    pictures(tmp_path / 'kinds', [f'{kind}/{k}.png' for kind in kinds for k in range(6)])
    assert proposed(tmp_path / 'kinds', tmp_path)[1].classes == kinds
    pictures(tmp_path / 'films', [f'CXR/{c}/{k}.png' for c in CLASSES for k in range(6)])
    assert proposed(tmp_path / 'films', tmp_path)[1].classes == CLASSES


def test_folders_that_are_called_p_and_a_number_are_people(tmp_path):
    pictures(
        tmp_path / 'films',
        [f'{c}/P{who:03d}/{k}.png' for n, c in enumerate(CLASSES) for who in range(n, 20, 2) for k in '12'],
    )
    _, dataset = proposed(tmp_path / 'films', tmp_path)
    assert dataset.classes == CLASSES
    assert len(set(dataset.patient.tolist())) == 20


def test_a_list_with_blanks_between_its_columns_is_named(tmp_path):
    pictures(tmp_path / 'eyes', [f'{k}.jpg' for k in range(12)])
    (tmp_path / 'eyes' / 'train.txt').write_text(''.join(f'{k}.jpg {k % 3}\n' for k in range(12)))
    unsure = guess.guess(tmp_path / 'eyes', sources.DATASETS).unsure
    assert any("blanks part its columns ('separator': ' '" in one for one in unsure)


@pytest.mark.parametrize('names', [('trainval-image', 'test-image'), ('imagesTr', 'imagesTs')])
def test_folders_of_splits_and_images_are_no_classes(tmp_path, names):
    masks = [name.replace('image', 'mask') for name in names]
    for number, (folder, drawn) in enumerate(zip(names, masks, strict=True)):
        pictures(tmp_path / 'set', [f'{folder}/{number}{i}.png' for i in range(6)])
        pictures(tmp_path / 'set', [f'{drawn}/{number}{i}.png' for i in range(6)])
    found, _ = proposed(tmp_path / 'set', tmp_path, missing=['labels'])
    assert any('folders are not taken for classes' in one and 'has splits' in one for one in found.unsure)


def test_masks_in_folders_of_splits_are_of_one_kind(tmp_path):
    for split in ('train', 'test'):
        pictures(
            tmp_path / 'set', [f'{split}_{kind}/{split}{i}.png' for kind in ('images', 'labels') for i in range(6)]
        )
    found, _ = proposed(tmp_path / 'set', tmp_path, missing=['labels'])
    assert found.block['regions']['files'] == '*_labels/{stem}.png'


def test_a_class_that_is_called_as_a_split_is_one(tmp_path):
    folders = [(split, name) for split in ('train', 'val', 'test') for name in ('AR', 'MR', 'TR')]
    pictures(tmp_path / 'valves', [f'{split}/{name}/{split}{name}{i}.png' for split, name in folders for i in range(4)])
    found, dataset = proposed(tmp_path / 'valves', tmp_path)
    assert found.block['labels']['classes'] == ('AR', 'MR', 'TR')
    assert np.bincount(dataset.split).tolist() == [12, 12, 12]
    block = {**found.block, 'split': {'path': 'folder'}, 'image_size': 16}
    inner = sources.load('valves', tmp_path / 'again', block)
    assert any(
        'images lie in folders of two splits, of which the inner one counts' in one for one in inner.info['doubts']
    )


def test_folders_that_a_table_calls_patients_are_no_classes(tmp_path):
    names = [f'{300 + i // 2}/{i}.png' for i in range(16)]
    pictures(tmp_path / 'eyes', names)
    rows = [f'{name},{name[:3]},{i % 4}' for i, name in enumerate(names)]
    (tmp_path / 'eyes' / 't.csv').write_text('\n'.join(['image,patient_id,dr', *rows]))
    found, _ = proposed(tmp_path / 'eyes', tmp_path, missing=['labels'])
    assert found.block['patient'] == 'patient_id'
    assert 'labels' not in found.block


@pytest.mark.parametrize(
    ('name', 'person'),
    [('patient{:03d}_img{}', 'patient001'), ('sub-{:03d}_run-{}_T1w', 'sub-001'), ('P_{:03d}_{}', 'P_001')],
)
def test_people_in_the_names_of_files(tmp_path, name, person):
    pictures(tmp_path / 'set', [f'{"ab"[i % 2]}/{name.format(i // 2, i)}.png' for i in range(12)])
    found, dataset = proposed(tmp_path / 'set', tmp_path)
    assert np.unique(dataset.patient, return_counts=True)[1].tolist() == [2] * 6
    assert re.search(found.block['patient']['pattern'], f'a/{name.format(1, 3)}.png')[1] == person


def test_places_in_names_are_no_people(tmp_path):
    pictures(tmp_path / 'set', [f'{"ab"[i % 2]}/scan{i // 4}_p{i % 4}.png' for i in range(16)])
    assert 'patient' not in proposed(tmp_path / 'set', tmp_path)[0].block


def test_images_beside_the_folders_of_classes_are_left_out(tmp_path):
    names = [f'train/{c}/{c}{i}.png' for c in ('cancer', 'normal', 'unsure') for i in range(8)]
    pictures(tmp_path / 'set', [*names, *(f'test/t{i}.png' for i in range(8))])
    found, dataset = proposed(tmp_path / 'set', tmp_path)
    assert found.block['labels']['others'] == 'ignore'
    assert dataset.classes == ('cancer', 'normal', 'unsure')
    assert dataset.labels.sum(0).tolist() == [8, 8, 8]
    assert any('8 of 32 images are in none of these folders' in one for one in found.unsure)
    assert any("unsure counts as a class; labels.none = ('unsure',)" in one for one in found.unsure)


def test_sessions_are_no_classes(tmp_path):
    pictures(tmp_path / 'set', [f'sub-{i:02d}/ses-{k}/a{i}{k}.png' for i in range(8) for k in (1, 2)])
    found, _ = proposed(tmp_path / 'set', tmp_path, missing=['labels'])
    assert any('has studies ses-1, ses-2' in one for one in found.unsure)
