"""Which files `data guess` takes for masks, and of what they are."""

import numpy as np
import pytest
from data.reader.guessing import pictures, proposed
from data.reader.test_guess_folders import mask
from PIL import Image

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess, mask_files, paths


def test_masks_with_one_more_word_in_folders_of_their_kind(tmp_path):
    folder = tmp_path / 'fundus'
    sets, kinds = ('a. Training Set', 'b. Testing Set'), (('1. Microaneurysms', 'MA'), ('3. Hard Exudates', 'EX'))
    names = [(sets[i > 7], f'IDRiD_{i:02d}') for i in range(12)]
    pictures(folder, [f'1. Original Images/{of}/{name}.jpg' for of, name in names])
    for of, name in names:
        for kind, word in kinds:
            mask(folder / f'2. All Groundtruths/{of}/{kind}/{name}_{word}.tif')
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert found.examined == '12 images and 24 masks, and no table that names them.'
    assert found.block['regions'] == [
        {'files': f'2. All Groundtruths/{{parent}}/{kind}/{{stem}}_{word}.tif', 'concept': kind[3:]}
        for kind, word in kinds
    ]
    block = {**found.block, 'labels': {'path': '([0-9])[.]jpg', 'classes': tuple('0123456789')}, 'image_size': 16}
    dataset = sources.load('fundus', tmp_path / 'data', block)
    assert [len(dataset.rows(split)) for split in ('train', 'test')] == [8 - sum(dataset.split == 1), 4]
    assert np.bincount(dataset.region_concept)[-2:].tolist() == [12, 12]


def test_annotations_beside_their_images(tmp_path):
    folder = tmp_path / 'glands'
    pictures(folder, [f'{split}_{i}.bmp' for split in ('train', 'testA') for i in range(8)])
    rows = [f'{split}_{i},{("benign", "malignant")[i % 2]}' for split in ('train', 'testA') for i in range(8)]
    (folder / 'Grade.csv').write_text('\n'.join(['name, grade (GlaS)', *rows]))
    for split in ('train', 'testA'):
        for i in range(8):
            mask(folder / f'{split}_{i}_anno.bmp')
    found, dataset = proposed(folder, tmp_path)
    assert found.block['regions'] == {'files': '{stem}_anno.bmp', 'concept': 'label'}
    assert dataset.labels.sum(0).tolist() == [8, 8]
    assert len(dataset.region_mask) == 16


def test_a_mask_of_a_slice_is_of_all_its_sequences(tmp_path):
    folder = tmp_path / 'brain'
    pictures(folder, [f'slices/{kind}/{i}.png' for kind in ('flair', 't1ce') for i in range(9)])
    for i in range(9):
        mask(folder / f'slices/seg/{i}.png')
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert found.block['regions']['files'] == 'slices/seg/{stem}.png'
    block = {**found.block, 'labels': {'path': '(flair|t1ce)/'}, 'task': 'multi_class', 'image_size': 16}
    assert len(sources.load('brain', tmp_path / 'data', block).region_mask) == 18


@pytest.mark.parametrize('words', [('Training_Data', 'Test_Data'), ('bones-train-set', 'bones-val-set')])
def test_folders_with_words_of_splits_are_no_classes(tmp_path, words):
    folder = tmp_path / 'bones'
    pictures(folder, [f'{word}/{c}/{word[:8]}{c}{i}.png' for word in words for c in 'ab' for i in range(4)])
    _, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('a', 'b')
    assert len(dataset.rows('validation' if 'val' in words[1] else 'test')) == 8
    pictures(folder, [f'{word}/{i}.png' for word in words for i in range(4)])
    for path in folder.glob('*/?/*'):
        path.unlink()
    proposed(folder, tmp_path, missing=['labels'])


def test_masks_called_as_their_images_in_folders_of_their_kind(tmp_path):
    folder = tmp_path / 'lesions'
    pictures(folder, [f'{split}/image/{split}{i}.jpg' for split in ('train', 'test') for i in range(6)])
    for split in ('train', 'test'):
        for i in range(6):
            for kind in ('EX', 'HE')[: 1 + i % 2]:
                mask(folder / f'{split}/label/{kind}/{split}{i}.tif')
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    patterns = [{'files': f'*/label/{kind}/{{stem}}.tif', 'concept': kind} for kind in ('EX', 'HE')]
    assert found.block['regions'] == patterns
    block = {**found.block, 'labels': {'path': '([0-9])[.]jpg', 'classes': tuple('012345')}, 'image_size': 16}
    dataset = sources.load('lesions', tmp_path / 'data', block)
    drawn = [dataset.info['concepts'][one] for one in dataset.region_concept]
    assert (drawn.count('EX'), drawn.count('HE')) == (12, 6)


@pytest.mark.parametrize(
    ('image', 'name', 'pattern'), [('image', 'mask', 'mask.png'), ('1', 'seg_1', 'seg_{stem}.png')]
)
def test_masks_that_are_called_by_a_word_in_a_folder_per_case(tmp_path, image, name, pattern):
    folder = tmp_path / 'lungs'
    cases = [f'{of}/case{i:02d}' for of in ('adc', 'scc') for i in range(8)]
    pictures(folder, [f'{one}/{image}.png' for one in cases])
    pictures(folder, [f'{one}/heatmap.png' for one in cases])
    for one in cases:
        mask(folder / f'{one}/{name}.png')
    found, dataset = proposed(folder, tmp_path)
    assert found.block['regions'] == {'files': pattern, 'concept': 'label'}
    assert dataset.labels.sum(0).tolist() == [8, 8]
    assert np.bincount(dataset.region_concept).tolist() == [8, 8]
    assert not [one for one in dataset.info.get('doubts', []) if 'called as masks' in one]


def test_what_a_table_names_as_an_image_is_no_mask(tmp_path):
    folder = tmp_path / 'faces'
    names = [f'face{i // 2:02d}{("", "_mask")[i % 2]}.png' for i in range(24)]
    pictures(folder, names)
    (folder / 'table.csv').write_text('image,covered\n' + ''.join(f'{one},{i % 2}\n' for i, one in enumerate(names)))
    found, dataset = proposed(folder, tmp_path)
    assert 'regions' not in found.block
    assert (len(dataset.images), dataset.labels.sum()) == (24, 12)


def test_a_missing_image_is_not_its_mask(tmp_path):
    folder = tmp_path / 'spots'
    pictures(folder, [f'images/{i:02d}.png' for i in range(11)])
    for i in range(12):
        mask(folder / f'masks/{i:02d}.png')
    (folder / 'table.csv').write_text('image,spot\n' + ''.join(f'{i:02d}.png,{i % 2}\n' for i in range(12)))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['regions']['files'] == 'masks/{stem}.png'
    assert len(dataset.images) == 11


@pytest.mark.parametrize('folders', [('images', 'lab'), ('x', 'y')])
def test_of_files_of_one_name_those_in_a_folder_of_images_are_taken(tmp_path, folders):
    folder = tmp_path / 'set'
    pictures(folder, [f'{folders[0]}/{i:02d}.png' for i in range(12)])
    for i in range(12):
        mask(folder / f'{folders[1]}/{i:02d}.png')
    (folder / 'table.csv').write_text('image,spot\n' + ''.join(f'{i:02d}.png,{i % 2}\n' for i in range(12)))
    if folders[0] == 'images':
        found, dataset = proposed(folder, tmp_path)
        assert found.block['images']['folders'] == ('images',)
        assert (len(dataset.images), dataset.labels.sum()) == (12, 6)
    else:
        found = guess.guess(folder, sources.DATASETS)
    taken = {'images': 'those in images are taken', 'x': 'images.folders says which are meant'}[folders[0]]
    named = f'12 names are those of several files ({folders[0]}/00.png and {folders[1]}/00.png, '
    assert [one.startswith(f'images: {named}') and one.endswith(f': {taken}.') for one in found.unsure].count(True) == 1


def test_masks_in_another_case_are_those_of_their_images(tmp_path):
    pictures(tmp_path / 'set', [f'images/IMG{i:02d}.PNG' for i in range(12)])
    for i in range(12):
        drawn = np.zeros((20, 20), np.uint8)
        drawn[4 : 6 + i % 6, 4:12] = 255
        (tmp_path / 'set' / 'masks').mkdir(exist_ok=True)
        Image.fromarray(drawn).save(tmp_path / 'set' / 'masks' / f'img{i:02d}.png')
    (tmp_path / 'set' / 't.csv').write_text('image,mass\n' + ''.join(f'img{i:02d}.png,{i % 2}\n' for i in range(12)))
    found, dataset = proposed(tmp_path / 'set', tmp_path)
    assert found.block['regions']['files'] == 'masks/{stem}.png'
    assert sorted(dataset.image_id[dataset.region_image]) == sorted(dataset.image_id)


def test_a_pattern_means_the_same_files_however_it_is_looked_up():
    words, folders = ('', 'seg_', 'x[1]'), ('', 'a/', 'a/b/', 'm/')
    files = [f'{folder}{word}{i}.png' for folder in folders for word in words for i in range(4)]
    names = mask_files.names_of(files)
    patterns = ['**/seg_1.png', 'm/*_2.png', '*3.png', 'a/**/seg_?.png', 'm/x[[]1]*.png', '*/x[[]1]2.png', 'a/seg_*']
    patterns += ['*/seg_1*', '**/seg_1*', '*/b/*_2.p*', '*eg_1*', '*/?/seg_*.png']
    for pattern in [*patterns, 'm/1.png']:
        expected = sorted(one for one in files if paths.like(one, pattern))
        assert mask_files._matching(pattern, names) == expected
        assert expected
