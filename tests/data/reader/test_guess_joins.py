"""What `data guess` makes of several tables: put under one another, joined, or named with why they are not used."""

import json

import numpy as np
import pandas as pd
import pytest
from data.reader.guessing import pictures, proposed

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess


def test_tables_that_name_no_image_are_named(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i:02d}.png' for i in range(12)])
    rows = {'image': [f'{i:02d}' for i in range(12)], 'dx': ['a', 'b', 'c'] * 4}
    pd.DataFrame(rows).to_csv(folder / 'main.csv', index=False)
    pd.DataFrame({'machine': ['x', 'y'], 'year': [1999, 2000]}).to_csv(folder / 'machines.csv', index=False)
    (folder / 'notes.csv').write_text('who,what\n')
    pd.DataFrame({'image': [10, *range(50, 90)], 'dx': 'a'}).to_csv(folder / 'other.csv', index=False)
    found = guess.guess(folder, sources.DATASETS)
    assert 'tables: machines.csv is not used: no row names an image.' in found.unsure
    assert 'tables: notes.csv is not used: no rows are there.' in found.unsure
    assert 'tables: other.csv is not used: only 2% of its rows name an image.' in found.unsure


def test_a_row_that_is_there_twice_counts_once(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i:02d}.png' for i in range(12)])
    pd.DataFrame({'file': [f'{i:02d}.png' for i in range(12)], 'pid': [f'P{i // 2}' for i in range(12)]}).to_csv(
        folder / 'images.csv', index=False
    )
    people = pd.DataFrame({'pid': [f'P{i}' for i in range(6)], 'diabetes': [0, 1] * 3})
    pd.concat([people, people[2:3]]).to_csv(folder / 'patients.csv', index=False)
    found = guess.guess(folder, sources.DATASETS)
    assert found.block['labels'] == {'columns': ('diabetes',)}


def test_a_table_of_some_images_is_said_to_be_one(tmp_path):
    folder = tmp_path / 'cells'
    pictures(folder, [f'train/{c}/{c}{i}.png' for c in ('all', 'hem') for i in range(12)])
    pictures(folder, [f'test/{i}.png' for i in range(6)])
    pd.DataFrame({'name': range(6), 'label': [0, 1] * 3}).to_csv(folder / 'test.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.examined == '30 images, 6 of them named by test.csv.'
    assert any(
        one.startswith('tables: test.csv names 6 of 30 images; the others are left out: train/all/all0.png, ')
        for one in found.unsure
    )
    assert len(dataset.images) == 6


def test_labels_of_a_table_with_a_key(tmp_path):
    folder = tmp_path / 'lesions'
    pictures(folder, [f'{i:02d}.png' for i in range(24)])
    rows = {'image': [f'{i:02d}' for i in range(24)], 'lesion_id': [f'L{i // 2}' for i in range(24)]}
    pd.DataFrame(rows | {'site': ['head', 'left arm'] * 12}).to_csv(folder / 'images.csv', index=False)
    truth = {
        'Lesion ID': [f'L{i}' for i in range(12)],
        **{c: [int(i % 3 == k) for i in range(12)] for k, c in enumerate(('nv', 'mel', 'bcc'))},
    }
    pd.DataFrame(truth).to_csv(folder / 'truth.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'][1] == {'file': 'truth.csv', 'on': ['lesion_id=Lesion ID']}
    assert found.block['groups'] == {'site': 'site'}
    assert dataset.classes == ('nv', 'mel', 'bcc')
    assert dataset.labels.sum(0).tolist() == [8, 8, 8]
    assert len(set(dataset.patient.tolist())) == 12


def test_regions_of_coco_beside_a_table(tmp_path):
    folder = tmp_path / 'bones'
    pictures(folder, [f'films/{i:02d}.png' for i in range(12)])
    frame = pd.DataFrame({'image_id': [f'{i:02d}.png' for i in range(12)], 'fractured': [1, 0, 0] * 4})
    frame.to_csv(folder / 'table.csv', index=False)
    images = [{'id': i, 'file_name': f'{i:02d}.png', 'height': 20, 'width': 20} for i in range(0, 12, 3)]
    drawn = {'category_id': 0, 'bbox': [2, 2, 10, 10], 'segmentation': [[2, 2, 12, 2, 12, 12]]}
    data = {'images': images, 'categories': [{'id': 0, 'name': 'fractured'}]}
    data['annotations'] = [{'image_id': one['id'], **drawn} for one in images]
    (folder / 'masks.json').write_text(json.dumps(data))
    for split, rows in (('train', (0, 3)), ('test', (6,))):
        (folder / f'{split}.csv').write_text('\n'.join(['image_id', *(f'{i:02d}.png' for i in rows)]))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['regions']['table'] == 'masks.json'
    assert dataset.classes == ('fractured',)
    assert dataset.image_id[dataset.region_image].tolist() == dataset.image_id[dataset.labels[:, 0] == 1].tolist()
    assert 'tables: train.csv is a list of 2 of 12 images, and is not used.' in found.unsure
    data['annotations'] = [{'image_id': 0, 'category_id': 0}]
    (folder / 'masks.json').write_text(json.dumps(data))
    assert 'regions' not in proposed(folder, tmp_path)[0].block


def test_images_of_one_name_in_folders_of_splits(tmp_path):
    folder = tmp_path / 'fundus'
    sets = (('Training', 'Training', 12), ('Evaluation', 'Validation', 6), ('Test', 'Test', 6))
    pictures(folder, [f'{split}_Set/{inner}/{i}.png' for split, inner, count in sets for i in range(1, count + 1)])
    for split, inner, count in sets:
        frame = pd.DataFrame({'ID': range(1, count + 1), 'DR': [i % 2 for i in range(count)], 'MH': 1})
        frame.to_csv(folder / f'{split}_Set/Set_{inner}_Labels.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['images']['parts'] == 2
    assert [len(dataset.rows(split)) for split in sources.SPLITS] == [12, 6, 6]
    assert dataset.labels.sum(0).tolist() == [12]
    assert "labels: other columns that may be classes: 'MH' (1)." in found.unsure  # a yes in all rows
    in_own = {str(one): int(split) for one, split in zip(dataset.image_id, dataset.split, strict=True)}
    assert {one.split('/')[0]: split for one, split in in_own.items()} == {'Training': 0, 'Validation': 1, 'Test': 2}


def test_tables_of_splits_that_say_other_things_are_not_put_together(tmp_path):
    folder = tmp_path / 'skin'
    pictures(folder, [f'ISIC_{i:02d}.png' for i in range(18)])
    (folder / 'train.csv').write_text('\n'.join(f'ISIC_{i:02d},{("benign", "malignant")[i % 2]}' for i in range(12)))
    (folder / 'test.csv').write_text('\n'.join(f'ISIC_{i:02d},{i % 2}.0' for i in range(12, 18)))
    found, dataset = proposed(folder, tmp_path)
    assert "tables: test.csv is not put under train.csv: 'column 2' has 0.0, 1.0, and benign, malignant there." in (
        found.unsure
    )
    assert 'tables: test.csv names 6 of 18 images, too, and is not used.' in found.unsure
    assert dataset.classes == ('benign', 'malignant')
    assert len(dataset.images) == 12


def test_files_are_joined_to_a_table_of_patients(tmp_path):
    folder = tmp_path / 'breasts'
    names = [f'scans/{who}/07-1{i}-2010-NA-{who}{i}/{i}.png' for who in 'ABCDEF' for i in range(2)]
    pictures(folder, names)
    pd.DataFrame({'ID1': list('ABCDEF'), 'class': ['x', 'y', 'y'] * 2}).to_csv(folder / 'people.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert any(one.startswith('tables: people.csv has a row for each of A, B, C') for one in found.unsure)
    assert dict(zip(dataset.classes, dataset.labels.sum(0).tolist(), strict=True)) == {'x': 4, 'y': 8}
    assert np.unique(dataset.patient, return_counts=True)[1].tolist() == [2] * 6
    frame = pd.DataFrame({'ID1': [*'ABCDEF', *'ABCDEF'], 'side': [*'LLLLLLRRRRRR'], 'class': ['x', 'y', 'y'] * 4})
    frame.to_csv(folder / 'people.csv', index=False)
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert any(
        one.startswith("tables: people.csv is not used: no row names an image. Its column 'ID1' has what the folders")
        for one in found.unsure
    )
    assert found.block['patient'] == {'pattern': '^(?:[^/]+/){1}([^/]+)/'}


def test_files_of_one_name_in_folders_of_splits(tmp_path):
    folder = tmp_path / 'export'
    counts = {'train': 12, 'valid': 6, 'test': 6}
    pictures(folder, [f'{split}/{split}{i:02d}.jpg' for split, count in counts.items() for i in range(count)])
    for split, count in counts.items():
        images = [{'id': i, 'file_name': f'{split}{i:02d}.jpg', 'height': 20, 'width': 20} for i in range(count)]
        drawn = [
            {'image_id': i, 'category_id': 1 + i % 2, 'bbox': [3, 4, 6, 7], 'segmentation': []} for i in range(count)
        ]
        data = {'images': images, 'annotations': drawn, 'categories': [{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'b'}]}
        (folder / split / '_annotations.coco.json').write_text(json.dumps(data))
    _, dataset = proposed(folder, tmp_path)
    assert [len(dataset.rows(split)) for split in sources.SPLITS] == [12, 6, 6]
    assert len(dataset.region_box) == 24


def test_patients_whose_folders_begin_with_them(tmp_path):
    folder = tmp_path / 'slices'
    pictures(folder, [f'TCGA_CS_{who}_19960909/{i}{who}.png' for who in 'abcd' for i in range(3)])
    frame = pd.DataFrame({'Patient': [f'TCGA_CS_{who}' for who in 'abcd'], 'death01': [0, 1, 0, 1]})
    frame.to_csv(folder / 'data.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert any('data.csv has a row for each of TCGA_CS_a, TCGA_CS_b, TCGA_CS_c' in one for one in found.unsure)
    assert np.unique(dataset.patient, return_counts=True)[1].tolist() == [3] * 4
    assert dataset.labels.sum() == 6
    pd.concat([frame, frame.assign(death01=1)]).to_csv(folder / 'data.csv', index=False)  # two rows of a patient
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert any("Its column 'Patient' has what the folders TCGA_CS_a_19960909" in one for one in found.unsure)
    assert found.block['patient'] == {'pattern': '([^/]+)/[^/]+$'}


OWNERS = {
    'a number in folders': ([f'patient{i // 4 + 1}/{i % 4}.png' for i in range(24)], range(1, 7)),
    'one with zeros': ([f'films/patient{i // 4 + 1:03d}/{i % 4}.png' for i in range(24)], range(1, 7)),
    'first words of files': ([f'P{i // 4}_{i % 4}.png' for i in range(24)], [f'P{i}' for i in range(6)]),
    'several words of files': ([f'N-{i // 4}-x_{i % 4}.png' for i in range(24)], [f'N-{i}-x' for i in range(6)]),
    'last words of files': ([f'left {i % 4} P{i // 4}.png' for i in range(24)], [f'P{i}' for i in range(6)]),
    'a number of files': ([f'sub-{i // 4 + 1:02d}_{i % 4}.png' for i in range(24)], range(1, 7)),
}


@pytest.mark.parametrize(('names', 'keys'), OWNERS.values(), ids=OWNERS)
def test_people_in_folders_and_names_have_the_labels_of_their_table(tmp_path, names, keys):
    folder = tmp_path / 'set'
    pictures(folder, names)
    pd.DataFrame({'patient': list(keys), 'cancer': [0, 1] * 3}).to_csv(folder / 't.csv', index=False)
    _, dataset = proposed(folder, tmp_path)
    assert np.unique(dataset.patient, return_counts=True)[1].tolist() == [4] * 6
    positive = [name for i, name in enumerate(names) if i // 4 % 2]
    found = [str(one) for one in dataset.image_id[dataset.labels[:, 0] == 1]]
    assert len(found) == 12
    assert all(any(name.endswith(one) for name in positive) for one in found)


def test_a_table_of_sides_is_joined_by_two_columns(tmp_path):
    folder = tmp_path / 'set'
    films = [(who, side, view) for who in range(6) for side in 'LR' for view in ('CC', 'MLO')]
    names = [f'{who:04d}_{side}_{view}' for who, side, view in films]
    pictures(folder, [f'{name}.png' for name in names])
    who, side, view = zip(*films, strict=True)
    frame = pd.DataFrame({'file': names, 'patient_id': who, 'laterality': side, 'view': view})
    frame.to_csv(folder / 'files.csv', index=False)
    breasts = pd.DataFrame({'patient_id': [i // 2 for i in range(12)], 'laterality': list('LR' * 6)})
    breasts.assign(cancer=[0, 0, 0, 1] * 3).to_csv(folder / 'breasts.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'][1] == {'file': 'breasts.csv', 'on': ['patient_id', 'laterality']}
    assert any("breasts.csv is joined by 'patient_id' and 'laterality'" in one for one in found.unsure)
    assert {str(one)[:6] for one in dataset.image_id[dataset.labels[:, 0] == 1]} == {'0001_R', '0003_R', '0005_R'}


def test_files_with_brackets_in_their_names_and_an_older_copy(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(12)])
    for file, offset in (('labels [1].csv', 0), ('backup/labels_old.csv', 1)):
        (folder / file).parent.mkdir(exist_ok=True)
        frame = pd.DataFrame({'image': [f'{i}.png' for i in range(12)], 'mass': [(i + offset) % 2 for i in range(12)]})
        frame.to_csv(folder / file, index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'] == 'labels [1].csv'
    assert dataset.labels.sum() == 6


def test_groups_are_joined_to_groups(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(12)])
    who = [f'P{i // 2}' for i in range(12)]
    rows = {'image': [f'{i}.png' for i in range(12)], 'patient_id': who, 'mass': [0, 1] * 6, 'view': ['AP', 'PA'] * 6}
    pd.DataFrame(rows).to_csv(folder / 'images.csv', index=False)
    people = {'patient_id': [f'P{i}' for i in range(6)], 'sex': ['F', 'M'] * 3, 'age': range(30, 36)}
    pd.DataFrame(people).to_csv(folder / 'people.csv', index=False)
    found, _ = proposed(folder, tmp_path)
    assert set(found.block['groups']) == {'sex', 'age', 'view'}


def test_people_of_other_tables_are_in_one_split(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(12)])
    names = [f'{i}.png' for i in range(12)]
    columns = {'labels': {'label': ['a', 'b'] * 6}, 'people': {'patient': [f'P{(i + 1) // 2}' for i in range(12)]}}
    columns['splits'] = {'split': ['train'] * 6 + ['test'] * 6}
    for file, column in columns.items():
        pd.DataFrame({'image': names, **column}).to_csv(folder / f'{file}.csv', index=False)
    found, _ = proposed(folder, tmp_path)
    assert 'patient' not in found.block
    assert any('would be in two splits' in one for one in found.unsure)


def test_the_key_of_folders_may_be_called_anything(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i // 2:05d}/slice{i}.png' for i in range(12)])
    pd.DataFrame({'BraTS21ID': [f'{i:05d}' for i in range(6)], 'MGMT': [0, 1] * 3}).to_csv(
        folder / 'labels.csv', index=False
    )
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'] == [{'file': 'labels.csv', 'on': ['BraTS21ID']}]
    assert dataset.labels.sum() == 6


def test_a_table_that_is_called_as_of_labels_leads(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(12)])
    names = [f'{i}.png' for i in range(12)]
    pd.DataFrame({'image': names, 'smoker': [0, 1] * 6}).to_csv(folder / 'clinical.csv', index=False)
    pd.DataFrame({'image': names, 'mass': [0, 1, 1] * 4}).to_csv(folder / 'labels.csv', index=False)
    assert proposed(folder, tmp_path)[1].classes == ('mass',)


def test_masks_with_a_word_before_are_named_by_their_pattern(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'images/i{i}.png' for i in range(12)])
    pictures(folder, [f'masks/gt_i{i}.png' for i in range(12)])
    pd.DataFrame({'image': [f'i{i}.png' for i in range(12)], 'mass': [0, 1] * 6}).to_csv(folder / 't.csv', index=False)
    found, _ = proposed(folder, tmp_path)
    assert any("regions.files = 'masks/gt_{stem}.png' names them" in one for one in found.unsure)


def test_lists_of_patients_and_columns_of_images_by_split_are_said(tmp_path):
    folder = tmp_path / 'set'
    names = [f'{i}.png' for i in range(12)]
    pictures(folder, names)
    rows = {'image': names, 'mass': [0, 1] * 6, 'patient': [f'P{i // 2}' for i in range(12)]}
    pd.DataFrame(rows).to_csv(folder / 't.csv', index=False)
    (folder / 'train.txt').write_text('P0\nP1\nP2\nP3\n')
    pd.DataFrame({'train': names[:6], 'test': names[6:]}).to_csv(folder / 'split.csv', index=False)
    found, _ = proposed(folder, tmp_path)
    assert any('train.txt is not used: patients are listed, which no layout reads' in one for one in found.unsure)
    assert any(
        'split.csv is not used: columns train, test list the images of each split' in one for one in found.unsure
    )
