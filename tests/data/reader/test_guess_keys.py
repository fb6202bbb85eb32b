"""How `data guess` finds what joins a table to the one of images, and what it says where nothing does."""

import json

import numpy as np
import pandas as pd
import pytest
from data.reader.guessing import pictures, proposed

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess_folders

N = 24
NAMES = [f'i{i:03d}.png' for i in range(N)]


def csv(folder, file, **columns):
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(folder / file, index=False)


def people(count=12):
    return [f'P{p:02d}' for p in range(count)]


@pytest.fixture
def folder(tmp_path):
    """Images, and a table that says whose they are."""
    pictures(tmp_path / 'set', [f'images/{name}' for name in NAMES])
    csv(tmp_path / 'set', 'images.csv', image=NAMES, patient=[f'P{i // 2:02d}' for i in range(N)])
    return tmp_path / 'set'


@pytest.mark.parametrize('copy', ['backup/patients.csv', 'Copy of patients.csv', 'patients (1).csv', 'old/a.csv'])
def test_an_older_copy_is_not_joined(folder, tmp_path, copy):
    csv(folder, 'patients.csv', patient=people(), mass=[0, 1] * 6)
    csv(folder, copy, patient=people(), mass=[1, 0] * 6)
    found, dataset = proposed(folder, tmp_path)
    assert [one['file'] for one in found.block['tables']] == ['images.csv', 'patients.csv']
    said = [one for one in found.unsure if copy in one]
    assert said == [
        f"tables: {copy} is not used: it could be joined by 'patient', and labels are those of patients.csv."
    ]
    assert dataset.labels.sum() == 12


@pytest.mark.parametrize(
    ('key', 'other'), [('pid', 'patient_id'), ('acc', 'AccessionNumber'), ('slide', 'slide_id'), ('mrn', 'patient_id')]
)
def test_keys_of_numbers_may_be_called_otherwise(folder, tmp_path, key, other):
    csv(folder, 'images.csv', **{'image': NAMES, key: [7000 + i // 2 for i in range(N)]})
    csv(folder, 'more.csv', **{other: range(7000, 7012), 'mass': [0, 1] * 6})
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'][1] == {'file': 'more.csv', 'on': [f'{key}={other}']}
    assert dataset.labels.sum() == 12


@pytest.mark.parametrize(('key', 'on'), [('ID', 'patient=ID'), ('study_subject', 'patient=study_subject')])
def test_a_key_may_be_called_otherwise(folder, tmp_path, key, on):
    csv(folder, 'patients.csv', **{key: people(), 'mass': [0, 1] * 6})
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'][1] == {'file': 'patients.csv', 'on': [on]}
    assert dataset.labels.sum() == 12


def test_why_a_table_is_not_joined_is_said(folder, tmp_path):
    def said():
        found, _ = proposed(folder, tmp_path, missing=['labels'])
        return next(one for one in found.unsure if 'people.csv' in one)

    csv(folder, 'people.csv', patient=people(8), mass=[0, 1] * 4)
    assert said() == "tables: people.csv is not used: it has a row for 8 of 12 in 'patient'."
    csv(folder, 'people.csv', patient=[*people(), 'P03'], mass=[0, 1] * 6 + [0])
    assert "'patient' 'P03' is in several rows of it that differ, such as that of line 14" in said()
    csv(folder, 'images.csv', image=NAMES, patient=[f'{i // 2:04d}' for i in range(N)])
    csv(folder, 'people.csv', patient=range(12), mass=[0, 1] * 6)
    assert 'has no zeros before its numbers, or others' in said()


def test_a_table_that_is_not_used_takes_no_people_away(folder, tmp_path):
    split = ['train', 'test'] * 6
    columns = {'image': NAMES, 'patient': [f'P{i // 2:02d}' for i in range(N)], 'mass': [0, 1] * 12}
    csv(folder, 'images.csv', **columns, split=[split[i // 2] for i in range(N)])
    csv(folder, 'labels_old.csv', **columns, split=split * 2)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['patient'] == 'patient'
    assert len(np.unique(dataset.patient)) == 12


def test_a_column_of_splits_in_other_words_is_no_class_and_is_named(folder, tmp_path):
    csv(folder, 'images.csv', image=NAMES, mass=[0, 1] * 12, split=[0, 0, 0, 1] * 6)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('mass',)
    assert any(one.startswith("split: the column 'split' has 0, 1") for one in found.unsure)
    csv(folder, 'images.csv', image=NAMES, mass=[0, 1] * 12)
    csv(folder, 'split.csv', image=NAMES, split=['train', 'val', 'test', 'holdout'] * 6)
    found, _ = proposed(folder, tmp_path)
    assert any("the column 'split' has holdout, test, train, val" in one and 'split.csv' in one for one in found.unsure)


def test_none_is_no_class_of_several_and_numbers_that_are_no_names_make_no_second_image(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(N)])
    mass = ['NULL' if i % 5 == 1 else i % 2 for i in range(N)]
    csv(folder, 't.csv', id=range(N), grade=[i % 4 for i in range(N)], mass=mass)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['images']['file'] == '{id}'
    assert found.block['tables'] == 't.csv'
    assert dataset.labels.sum(0).tolist() == [6] * 4
    csv(folder, 't.csv', image=range(N), dx=['mass;edema', 'none', 'edema'] * 8)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('edema', 'mass')
    assert not any('counts as a class' in one for one in found.unsure)


@pytest.mark.parametrize('place', ['labels/v{}.csv', 'v{}/labels.csv'])
def test_a_table_for_each_folder_is_put_under_the_others(tmp_path, place):
    folder = tmp_path / 'set'
    pictures(folder, [f'v{v}/v{v}_{i}.png' for v in range(4) for i in range(6)])
    for v in range(4):
        csv(folder, place.format(v), image=[f'v{v}_{i}.png' for i in range(6)], tool=[0, 1] * 3)
    found, dataset = proposed(folder, tmp_path)
    assert len(dataset.images) == N
    assert any('have the columns of' in one and 'are put under it' in one for one in found.unsure)


def test_people_of_tables_that_name_files_alike_are_in_one_split(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{split}/{i:04d}.jpg' for split in ('train', 'test') for i in range(12)])
    for split in ('train', 'test'):
        rows = {'finding': ['mass', 'edema'] * 6, 'patient': [f'p{i // 2}' for i in range(12)]}
        csv(folder, f'{split}/metadata.csv', file_name=[f'{i:04d}.jpg' for i in range(12)], **rows)
    found, dataset = proposed(folder, tmp_path)
    assert 'patient' not in found.block
    assert len(dataset.rows('test')) == 12
    assert sources.SPLITS[2] == 'test'


@pytest.mark.parametrize('word', ['video', 'slide', 'mouse', 'eye', 'WSI'])
def test_numbered_folders_are_no_classes_but_grades_are(tmp_path, word):
    pictures(tmp_path / 'set', [f'frames/{word}{v:02d}/{i:04d}.png' for v in range(4) for i in range(6)])
    found, _ = proposed(tmp_path / 'set', tmp_path, missing=['labels'])
    assert found.block['patient'] == {'pattern': '([^/]+)/[^/]+$'}
    pictures(tmp_path / 'grades', [f'grade{v}/{i:04d}_{v}.png' for v in range(4) for i in range(6)])
    assert proposed(tmp_path / 'grades', tmp_path)[0].block['task'] == 'multi_class'


@pytest.mark.parametrize(
    'columns',
    [
        {'FILE NAME': [f'Normal-{i}' for i in range(10)], 'FORMAT': 'PNG'},
        {'name': [f'TB-{i}' for i in range(10)], 'age': range(30, 40)},
    ],
    ids=['formats', 'ages'],
)
def test_a_table_of_one_folder_of_classes_does_not_lead(tmp_path, columns):
    folder = tmp_path / 'set'
    pictures(folder, [f'{name}/{name}-{i}.png' for name in ('Normal', 'TB') for i in range(10)])
    csv(folder, 'metadata.csv', **columns)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.labels.sum(0).tolist() == [10, 10]
    assert any('alone, says no class of them, and is not used' in one for one in found.unsure)


def test_a_chain_of_tables_is_joined_and_the_surer_patient_taken(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, NAMES)
    csv(folder, 'images.csv', image=NAMES, study_id=[f'S{i // 2:02d}' for i in range(N)])
    patients = [f'P{s // 2:02d}' for s in range(12)]
    csv(folder, 'studies.csv', study_id=[f'S{s:02d}' for s in range(12)], patient_id=patients)
    csv(folder, 'patients.csv', patient_id=people(6), mass=[0, 1] * 3)
    found, dataset = proposed(folder, tmp_path)
    assert [one.get('on') for one in found.block['tables']] == [None, ['study_id'], ['patient_id']]
    assert found.block['patient'] == 'patient_id'
    assert dataset.labels.sum() == 12


def test_the_key_of_people_with_a_sex_is_the_patient(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, NAMES)
    csv(folder, 'images.csv', image=NAMES, NHS_number=[f'PT{i // 2:03d}' for i in range(N)])
    csv(folder, 'patients.csv', NHS_number=[f'PT{p:03d}' for p in range(12)], mass=[0, 1] * 6, sex=['M', 'F'] * 6)
    found, dataset = proposed(folder, tmp_path)
    assert len(np.unique(dataset.patient)) == 12
    assert not any('NHS_number' in one for one in found.unsure if one.startswith('labels: other'))


def test_tables_of_splits_lead_over_one_of_boxes(folder, tmp_path):
    (folder / 'images.csv').unlink()
    classes = [('mass', 'edema', 'cyst')[i % 3] for i in range(N)]
    for split, rows in (('train', range(14)), ('val', range(14, 18)), ('test', range(18, N))):
        own = {'patient': [f'P{i // 2}' for i in rows], 'label': [classes[i] for i in rows]}
        csv(folder, f'{split}.csv', image=[NAMES[i] for i in rows], **own)
    box = {'x': [4 + i % 5 for i in range(N)], 'y': 6, 'w': 9, 'h': 8}
    csv(folder, 'boxes.csv', image=NAMES, **{'class': classes}, **box)
    _, dataset = proposed(folder, tmp_path)
    assert [len(dataset.rows(split)) for split in sources.SPLITS] == [14, 4, 6]
    assert len(dataset.region_box) == N


def test_flags_in_words_count_and_what_is_usable_is_no_split(folder, tmp_path):
    more = {
        'mass': ['yes', 'no', 'no'] * 8,
        'edema': ['no', 'yes'] * 12,
        'benign': [1, 0] * 12,
        'malignant': [0, 1] * 12,
    }
    csv(folder, 'images.csv', image=NAMES, **more, is_valid=[0] + [1] * 23, consent='yes')
    found, dataset = proposed(folder, tmp_path)
    assert 'task' not in found.block
    assert dataset.classes == ('mass', 'edema', 'benign', 'malignant')
    assert len(dataset.rows('train')) > 12
    assert any("'is_valid' says yes of most images" in one for one in found.unsure)
    assert any("may be classes: 'consent' (yes)" in one for one in found.unsure)


@pytest.mark.parametrize('cells', [["['mass']", "['edema', 'mass']"], ['mass|edema', 'edema'], [0, 1, 2]])
def test_a_column_that_nothing_calls_labels_is_named_where_there_are_none(folder, tmp_path, cells):
    csv(folder, 'images.csv', image=NAMES, seen=(cells * N)[:N])
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert any("other columns that may be classes: 'seen'" in one for one in found.unsure)


@pytest.mark.parametrize('name', ['{}', 'images/{}.png', '{}.dcm'])
def test_a_table_by_stems_is_joined_to_one_by_files(folder, tmp_path, name):
    csv(folder, 'images.csv', image=NAMES, mass=[0, 1] * 12)
    stated = {'patient_id': [f'P{i // 2}' for i in range(N)], 'split': ['train'] * 14 + ['val'] * 4 + ['test'] * 6}
    csv(folder, 'people.csv', image=[name.format(one[:-4]) for one in NAMES], **stated)
    _, dataset = proposed(folder, tmp_path)
    assert len(np.unique(dataset.patient)) == 12
    assert [len(dataset.rows(split)) for split in sources.SPLITS] == [14, 4, 6]


def test_coco_files_of_splits_are_one_table_beside_another(folder, tmp_path):
    (folder / 'annotations').mkdir()
    for split, rows in (('train', range(14)), ('val', range(14, 18)), ('test', range(18, N))):
        images = [{'id': i, 'file_name': NAMES[i], 'width': 20, 'height': 20} for i in rows]
        box = {'category_id': 1, 'bbox': [4, 6, 9, 8], 'segmentation': []}
        drawn = [{'id': i, 'image_id': i, **box} for i in rows if i % 2]
        coco = {'images': images, 'annotations': drawn, 'categories': [{'id': 1, 'name': 'mass'}]}
        (folder / f'annotations/instances_{split}.json').write_text(json.dumps(coco))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['regions']['table'] == 'annotations/instances_*.json'
    assert dataset.labels.sum() == len(dataset.region_box) == 12
    assert not any('is not used' in one for one in found.unsure)
    csv(folder, 'images.csv', image=NAMES, patient=[f'P{i // 2:02d}' for i in range(N)], edema=[0, 1] * 12)
    found, _ = proposed(folder, tmp_path)
    assert any('annotations/instances_val.json speak of splits' in one for one in found.unsure)


def test_the_classes_of_folders_are_looked_up_once(tmp_path, monkeypatch):
    calls, own = [], guess_folders.class_of
    monkeypatch.setattr(guess_folders, 'class_of', lambda *given: calls.append(1) or own(*given))
    pictures(tmp_path / 'set', [f'{"ab"[i % 2]}/{i}.png' for i in range(N)])
    proposed(tmp_path / 'set', tmp_path)
    assert len(calls) < 4


@pytest.mark.parametrize('name', ['stage{}', 'grade{}', 'BIRADS_{}', 'KL{}'])
def test_columns_of_one_grade_each_are_classes(folder, tmp_path, name):
    columns = {name.format(k): [int(i % 3 == k) for i in range(N)] for k in range(3)}
    csv(folder, 'images.csv', image=NAMES, **columns)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == tuple(columns)
    assert found.block['task'] == 'multi_class'


@pytest.mark.parametrize('name', ['~$table.csv', '~$notes.txt', '~old/table.csv'])
def test_files_that_an_office_program_has_open_are_no_tables(folder, tmp_path, name):
    csv(folder, 'images.csv', image=NAMES, mass=[0, 1] * 12)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b'\x05user' + bytes(100))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'] == 'images.csv'
    assert dataset.labels.sum() == 12


@pytest.mark.parametrize('sex', [False, True])
def test_splits_in_other_words_of_a_table_of_people_are_named(folder, tmp_path, sex):
    csv(folder, 'images.csv', image=NAMES, patient=[f'P{i // 2:02d}' for i in range(N)], mass=[0, 1] * 12)
    more = {'sex': ['M', 'F'] * 6} if sex else {}
    csv(folder, 'parts.csv', patient=people(), fold=[0, 1, 2, 3] * 3, **more)
    found, _ = proposed(folder, tmp_path)
    assert any("'fold' has numbers of folds" in one and one.endswith('(Of parts.csv.)') for one in found.unsure)


def test_a_table_of_splits_that_lacks_some_images_is_joined_and_said(folder, tmp_path):
    csv(folder, 'images.csv', image=NAMES, mass=[0, 1] * 12)
    csv(folder, 'split.csv', image=NAMES[3:], split=(['train', 'val', 'test'] * 8)[3:])
    found, dataset = proposed(folder, tmp_path)
    assert any('it says split, and has no row for 3 of 24 images' in one for one in found.unsure)
    assert len(dataset.images) == 21


def test_one_of_two_columns_of_a_merge_is_no_end_of_a_box(folder, tmp_path):
    csv(folder, 'images.csv', image=NAMES, mass=[0, 1] * 12)
    csv(folder, 'marks.csv', image=NAMES, finding='mass', x1=4, y1=5, x2=15, y2_x=range(6, 30), y2_y=range(8, 32))
    found, _ = proposed(folder, tmp_path)
    assert 'regions' not in found.block
    assert any('may be places in the images' in one for one in found.unsure)


def test_a_table_that_is_joined_may_have_the_key_of_another(folder, tmp_path):
    (folder / 'images.csv').unlink()
    box = {
        'class': ['caries', 'crown', 'implant'] * 8,
        'x1': [4 + i % 5 for i in range(N)],
        'y1': 6,
        'x2': 15,
        'y2': 16,
    }
    csv(folder, 'boxes.csv', image=NAMES, **box)
    csv(folder, 'metadata.csv', image=NAMES, patient_code=[f'PT{i // 2:03d}' for i in range(N)])
    csv(folder, 'patients.csv', patient_code=[f'PT{p:03d}' for p in range(12)], sex=['M', 'F'] * 6)
    found, _ = proposed(folder, tmp_path)
    assert found.block['tables'][2] == {'file': 'patients.csv', 'on': ['patient_code']}
    assert 'sex' in found.block['groups']


def test_columns_of_a_joined_table_that_may_be_labels_are_named(folder, tmp_path):
    csv(folder, 'clinical.csv', patient=people(), subtype=['luminal', 'basal', 'HER2'] * 4)
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert any(
        "clinical.csv, which could be joined by 'patient', has columns that may be classes" in one
        for one in found.unsure
    )


def test_folders_of_images_of_centres_are_no_classes(tmp_path):
    pictures(tmp_path / 'set', [f'data_C{c}/images_C{c}/C{c}_{i:04d}.png' for c in (1, 2, 3) for i in range(8)])
    found, _ = proposed(tmp_path / 'set', tmp_path, missing=['labels'])
    assert any('has parts images_C1, images_C2, images_C3' in one for one in found.unsure)


def test_a_column_says_in_which_folder_an_image_is(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'frames/video{v:02d}/{i:04d}.png' for v in range(4) for i in range(6)])
    rows = [(f'video{v:02d}', f'{i:04d}.png', i % 2) for v in range(4) for i in range(6)]
    videos, frames, tools = zip(*rows, strict=True)
    csv(folder, 'labels.csv', video=videos, frame=frames, tool=tools)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['images']['file'] == '{video}/{frame}'
    assert len(dataset.images) == N
