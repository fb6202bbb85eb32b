"""What `data guess` proposes for folders of the kinds that people have, and that it can be run as it is."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data.reader.guessing import pictures, proposed

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess, proposal, published


def test_a_table_of_zeros_and_ones_with_people(tmp_path):
    folder = tmp_path / 'My scans'
    pictures(folder, [f'img/{i:02d}.png' for i in range(30)])
    frame = pd.DataFrame({'image': [f'{i:02d}' for i in range(30)], 'Patient ID': [f'P{i // 2}' for i in range(30)]})
    frame['Sex'], frame['Age'] = ['M', 'F'] * 15, range(20, 80, 2)
    frame['Mass'], frame['Edema'] = [1, 0, 0] * 10, [0, 1] * 15
    frame.to_csv(folder / 'labels.csv', index=False, sep=';')
    found, dataset = proposed(folder, tmp_path)
    assert found.name == 'my_scans'
    assert dataset.classes == ('Mass', 'Edema')
    assert dataset.labels.sum(0).tolist() == [10, 15]
    assert len(set(dataset.patient.tolist())) == 15
    assert dataset.info['groups'] == {'sex': ['F', 'M'], 'age': ['under 40', '40 to 59', '60 and over']}
    assert any(one.startswith('patient: the column') for one in found.unsure)


def test_names_of_one_class_and_a_stated_split(tmp_path):
    folder = tmp_path / 'skin'
    pictures(folder, [f'{i:02d}.jpg' for i in range(12)], colour=True, size=(20, 30))
    names = [f'folder/{i:02d}.jpg' for i in range(12)]
    rows = {'path': names, 'dx': ['nv', 'mel', 'bcc'] * 4, 'split': ['train'] * 6 + ['val'] * 3 + ['test'] * 3}
    pd.DataFrame(rows).to_json(folder / 'meta.json', orient='records')
    found, dataset = proposed(folder, tmp_path)
    assert found.block['modality'] == 'photograph'
    assert dataset.info['task'] == 'multi_class'
    assert "config.reference = 'cross_entropy'" in proposal.text(found, folder)
    assert dataset.images.shape == (12, 16, 16, 3)
    assert [len(dataset.rows(s)) for s in sources.SPLITS] == [6, 3, 3]


def test_classes_of_a_long_table_do_not_exclude_one_another(tmp_path):
    pictures(tmp_path / 'films', [f'{i:02d}.png' for i in range(12)])
    lines = [f'{i:02d}.png,{name}' for i in range(12) for name in (('mass', 'edema') if i == 3 else ('mass',))]
    lines[-1] = '11.png,edema'
    (tmp_path / 'films/table.csv').write_text('\n'.join(['image,finding', *lines]))
    _, dataset = proposed(tmp_path / 'films', tmp_path)
    assert dataset.info['task'] == 'multi_label'
    assert dataset.labels.sum(0).tolist() == [2, 11]


def test_boxes_in_a_second_table_and_one_table_per_split(tmp_path):
    folder = tmp_path / 'boxed'
    pictures(folder, [f'{i}.png' for i in range(9)])
    for split, numbers in {'train': range(5), 'val': (5, 6), 'test': (7, 8)}.items():
        frame = pd.DataFrame(
            {'image_id': [f'{i}.png' for i in numbers], 'finding': ['a|b' if i % 2 else 'b' for i in numbers]}
        )
        frame.to_csv(folder / f'{split}.csv', index=False)
    boxes = {
        'image_id': ['1.png', '7.png'],
        'class_name': ['a', 'a'],
        'x_min': [2, 2],
        'y_min': 3,
        'x_max': 9,
        'y_max': 9,
    }
    pd.DataFrame(boxes).to_csv(folder / 'annotations.csv', index=False)
    _, dataset = proposed(folder, tmp_path)
    assert [len(dataset.rows(s)) for s in sources.SPLITS] == [5, 2, 2]
    assert dataset.classes == ('a', 'b')
    np.testing.assert_allclose(dataset.region_box[0], np.array([2, 3, 9, 9]) * 16 / 20, atol=1e-5)
    assert len(dataset.region_box) == 2


def test_folders_are_classes_and_masks_lie_beside(tmp_path):
    folder = tmp_path / 'ultrasound'
    pictures(folder, [f'{c}/{c} ({i}).png' for c in ('benign', 'normal') for i in range(8)], size=(20, 24))
    pictures(folder, [f'{c}/{c} ({i})_mask.png' for c in ('benign', 'normal') for i in range(8)], size=(20, 24))
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('benign', 'normal')
    assert len(dataset.images) == 16
    assert len(dataset.region_mask) == 16
    assert found.block['images']['resize'] == 'pad'


def test_folders_are_splits_and_classes(tmp_path):
    folder = tmp_path / 'kaggle'
    pictures(
        folder,
        [
            f'{s}/{c}/{i}{s[0]}{c[0]}.png'
            for s in ('train', 'val', 'test')
            for c in ('NORMAL', 'PNEUMONIA')
            for i in range(4)
        ],
    )
    _, dataset = proposed(folder, tmp_path)
    assert [len(dataset.rows(s)) for s in sources.SPLITS] == [8, 8, 8]
    assert dataset.classes == ('NORMAL', 'PNEUMONIA')


def test_coco(tmp_path):
    folder = tmp_path / 'coco'
    pictures(folder, [f'images/{i}.png' for i in range(10)])
    data = {
        'images': [{'id': i, 'file_name': f'{i}.png', 'height': 20, 'width': 20} for i in range(10)],
        'categories': [{'id': 1, 'name': 'nodule'}, {'id': 2, 'name': 'mass'}],
        'annotations': [
            {'image_id': i, 'category_id': 1 + i % 2, 'bbox': [2, 2, 10, 10], 'segmentation': [[2, 2, 12, 2, 12, 12]]}
            for i in range(6)
        ],
    }
    (folder / 'annotations.json').write_text(json.dumps(data))
    _, dataset = proposed(folder, tmp_path)
    assert dataset.labels.sum(0).tolist() == [3, 3]
    assert len(dataset.region_mask) == 6
    data['annotations'] = [{**one, 'segmentation': []} for one in data['annotations']]
    (folder / 'annotations.json').write_text(json.dumps(data))
    found, boxed = proposed(folder, tmp_path)
    assert len(boxed.region_box) == 6
    assert found.block['regions']['frame'] == ('height', 'width')
    del data['images'][3]['height']
    (folder / 'annotations.json').write_text(json.dumps(data))
    assert 'frame' not in proposed(folder, tmp_path)[0].block['regions']


def test_files_that_no_table_can_be_made_of_are_named(tmp_path):
    folder = tmp_path / 'coco'
    pictures(folder, ['a/0.png', 'b/1.png'])
    data = {'images': [{'id': 0, 'file_name': '0.png'}, {'id': 0, 'file_name': '1.png'}], 'annotations': []}
    (folder / 'twice.json').write_text(json.dumps(data))
    (folder / 'cut.json').write_text(json.dumps(data)[:30])
    unsure = '\n'.join(guess.guess(folder, sources.DATASETS).unsure)
    assert "twice.json, images: '0.png' and '1.png' have one id, 0; an id is of one." in unsure
    assert 'cut.json is not JSON' in unsure


def test_people_beside_coco_and_a_second_reader(tmp_path):
    folder = tmp_path / 'mri'
    pictures(folder, [f'slices/{i:02d}.png' for i in range(12)])
    images = [{'id': i, 'file_name': f'{i:02d}.png', 'height': 20, 'width': 20} for i in range(12)]
    drawn = {'category_id': 1, 'bbox': [2, 2, 10, 10], 'segmentation': [[2, 2, 12, 2, 12, 12]]}
    for reader, last in (('anna', 8), ('bert', 6)):
        data = {'images': images, 'categories': [{'id': 1, 'name': 'lesion'}, {'id': 2, 'name': 'cyst'}]}
        data['annotations'] = [{**drawn, 'image_id': i, 'category_id': 1 + i % 2} for i in range(last)]
        (folder / f'{reader}.json').write_text(json.dumps(data))
    people = {'Slice': [one['file_name'] for one in images], 'Subject': [f'sub-{i // 2}' for i in range(12)]}
    people['Split'] = ['train'] * 4 + ['val'] * 4 + ['test'] * 4
    pd.DataFrame(people).to_csv(folder / 'people.csv', sep=';', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert len(set(dataset.patient.tolist())) == 6
    assert np.bincount(dataset.split).tolist() == [4, 4, 4]
    assert dataset.info['readers'] == ['anna', 'bert']
    assert np.bincount(dataset.region_reader).tolist() == [8, 6]
    assert not any('not used' in one for one in found.unsure)


def test_what_is_missing_is_said(tmp_path):
    folder = tmp_path / 'bare'
    pictures(folder, ['a.png', 'b.png'])
    proposed(folder, tmp_path, missing=['labels'])
    with pytest.raises(FileNotFoundError, match='has no image'):
        guess.guess(tmp_path / 'data_that_is', sources.DATASETS) if (
            tmp_path / 'data_that_is'
        ).mkdir() is None else None


def test_published_sets_are_known_by_their_files(tmp_path):
    (tmp_path / 'Data_Entry_2017_v2020.csv').write_text('Image Index\n')
    found = guess.guess(tmp_path, sources.DATASETS)
    assert found.block == {'reader': 'nih_chest_xray14', 'manual_dir': str(tmp_path)}


def test_masks_beside_training_images_are_of_chexpert():
    listed, known = ['CheXpert-v1.0/train.csv', 'CheXlocalize/gt_segmentations_val.json'], ('chexpert', 'chexlocalize')
    assert published.reader_of(Path(), listed, [], known) == 'chexpert'
    assert published.reader_of(Path(), listed[1:], [], known) == 'chexlocalize'


def test_a_table_without_a_row_of_names_is_said(tmp_path):
    folder = tmp_path / 'headless'
    pictures(folder, [f'{i}.png' for i in range(8)])
    (folder / 'labels.csv').write_text(''.join(f'{i}.png,{i % 2},{i % 3}\n' for i in range(8)))
    found = guess.guess(folder, sources.DATASETS)
    assert any("labels.csv begins with '0.png', the name of an image" in one for one in found.unsure)
