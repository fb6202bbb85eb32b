"""What `data guess` finds through other tables: labels and people by a key, and what does not take their place."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from data.reader.guessing import pictures, proposed
from PIL import Image

from imbalance_jax.data.reader import published

N = 24


def image(i):
    return f'i{i:03d}.png'


def table(folder, name, rows):
    pd.DataFrame(rows).to_csv(folder / name, index=False)


def films(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'images/{image(i)}' for i in range(N)])
    return folder


@pytest.mark.parametrize('extra', ['figures/overview.png', 'docs/overview.png'])
def test_a_figure_in_a_folder_makes_no_classes(tmp_path, extra):
    folder = films(tmp_path)
    pictures(folder, [extra])
    table(folder, 'index.csv', [{'image': image(i), 'study_id': f'E{i // 2}'} for i in range(N)])
    table(folder, 'studies.csv', [{'study_id': f'E{s}', 'label': ('a', 'b')[s % 3 == 0]} for s in range(N // 2)])
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('a', 'b')
    assert found.block['tables'][1]['on'] == ['study_id']


@pytest.mark.parametrize('shape', [{'polygon': '[[4, 5], [9, 5], [9, 12]]'}, {'rle': '10 3 42 5'}])
def test_shapes_of_some_images_do_not_lead(tmp_path, shape):
    folder = films(tmp_path)
    table(folder, 'images.csv', [{'image': image(i), 'patient_id': f'P{i // 2:02d}'} for i in range(N)])
    people = [{'patient_id': f'P{p:02d}', 'mass': p % 2, 'edema': p % 3 % 2} for p in range(N // 2)]
    table(folder, 'patients.csv', people)
    table(
        folder,
        'shapes.csv',
        [{'image': image(i), 'class': ('mass', 'edema')[i % 4 // 2], **shape} for i in range(0, N, 2)],
    )
    found, dataset = proposed(folder, tmp_path)
    assert found.block['labels'] == {'columns': ('mass', 'edema')}
    assert len(dataset.images) == N


@pytest.mark.parametrize('key', ['client', 'anon_id'])
def test_who_has_a_sex_is_a_person_and_not_the_exam(tmp_path, key):
    folder = films(tmp_path)
    table(folder, 'images.csv', [{'image': image(i), 'exam_id': f'E{i // 2}', 'mass': i % 2} for i in range(N)])
    table(folder, 'exams.csv', [{'exam_id': f'E{s}', key: 1000 + s // 2} for s in range(N // 2)])
    table(folder, 'people.csv', [{key: 1000 + p, 'sex': 'MF'[p % 2], 'age': 40 + p} for p in range(N // 4)])
    assert proposed(folder, tmp_path)[0].block['patient'] == key


@pytest.mark.parametrize('key', ['client_id', 'code_of_owner'])
def test_whose_images_have_a_split_together_is_a_person(tmp_path, key):
    folder = films(tmp_path)
    table(folder, 'images.csv', [{'image': image(i), key: 1000 + i // 2, 'mass': i % 2} for i in range(N)])
    table(folder, 'splits.csv', [{key: 1000 + p, 'split': ('train', 'test')[p % 4 == 0]} for p in range(N // 2)])
    found, dataset = proposed(folder, tmp_path)
    assert found.block['patient'] == key
    assert len(set(dataset.patient.tolist())) == N // 2


def test_a_table_with_nothing_but_the_key_of_another_is_joined_beside_coco(tmp_path):
    folder = films(tmp_path)
    studies = {
        'patient': [f'P{s // 2}' for s in range(12)],
        'split': [('train', 'test')[s // 2 % 3 == 0] for s in range(12)],
    }
    table(folder, 'index.csv', [{'image': image(i), 'accession': f'A{i // 2}'} for i in range(N)])
    pd.DataFrame({'accession': [f'A{s}' for s in range(12)], **studies}).to_csv(folder / 'studies.csv', index=False)
    named = [{'id': i + 1, 'file_name': image(i), 'width': 20, 'height': 20} for i in range(N)]
    boxes = [{'id': i + 1, 'image_id': i + 1, 'category_id': 1 + i % 2, 'bbox': [4, 5, 9, 9]} for i in range(0, N, 3)]
    classes = [{'id': 1, 'name': 'mass'}, {'id': 2, 'name': 'edema'}]
    (folder / 'coco.json').write_text(json.dumps({'images': named, 'annotations': boxes, 'categories': classes}))
    block = proposed(folder, tmp_path)[0].block
    assert (block['patient'], block['split']) == ('patient', 'split')


def test_people_of_a_joined_table_are_in_one_split(tmp_path):
    folder = films(tmp_path)
    table(folder, 'index.csv', [{'image': image(i), 'mass': i % 2, 'accession': f'A{i // 2}'} for i in range(N)])
    splits = [
        {'accession': f'A{s}', 'patient': f'P{s // 2}', 'split': ('train', 'val', 'test')[s % 3]} for s in range(N // 2)
    ]
    table(folder, 'studies.csv', splits)
    found, _ = proposed(folder, tmp_path)
    assert 'patient' not in found.block
    assert any('would be in two splits' in one for one in found.unsure)


def test_three_levels_of_folders_in_three_columns(tmp_path):
    folder, rows = tmp_path / 'set', []
    for p in range(6):
        for v in (1, 2):
            rows += [{'patient': f'pat{p:02d}', 'visit': f'visit{v}', 'file': f'{c}.png'} for c in ('pre', 'post')]
    pictures(folder, ['/'.join(row.values()) for row in rows])
    table(folder, 't.csv', [{**row, 'mass': int(k % 3 == 0)} for k, row in enumerate(rows)])
    found, dataset = proposed(folder, tmp_path)
    assert found.block['images']['file'] == '{patient}/{visit}/{file}'
    assert len(dataset.images) == len(rows)


@pytest.mark.parametrize('sides', ['R', 'RL'])
def test_five_levels_of_folders_in_five_columns(tmp_path, sides):
    folder, rows = tmp_path / 'set', []
    for site, p, v, side, file in itertools.product('AB', range(4), range(2), sides, ('s0.png', 's1.png')):
        rows.append({'site': site, 'patient': f'P{p:02d}', 'visit': f'v{v}', 'side': side, 'file': file})
    pictures(folder, ['/'.join(row.values()) for row in rows])
    table(folder, 't.csv', [{**row, 'mass': int(k % 3 == 0)} for k, row in enumerate(rows)])
    found, dataset = proposed(folder, tmp_path)
    assert found.block['images']['file'] == '{site}/{patient}/{visit}/{side}/{file}'
    assert len(dataset.images) == len(rows)


def test_two_folders_in_one_column(tmp_path):
    folder, rows = tmp_path / 'set', []
    for p, v, file in itertools.product(range(6), range(2), ('s0.png', 's1.png')):
        rows.append({'visit': f'P{p:02d}/v{v}', 'file': file})
    pictures(folder, ['/'.join(row.values()) for row in rows])
    table(folder, 't.csv', [{**row, 'mass': int(k % 3 == 0)} for k, row in enumerate(rows)])
    found, dataset = proposed(folder, tmp_path)
    assert found.block['images']['file'] == '{visit}/{file}'
    assert len(dataset.images) == len(rows)


UID = '1.3.6.1.4.1.9590.100.1.2.{}'


@pytest.mark.parametrize('told', [True, False])
def test_folders_of_uids_are_no_people(tmp_path, told):
    folder, rows = tmp_path / 'set', []
    pictures(folder, [f'jpeg/{UID.format(7000 + i)}/1-001.png' for i in range(N)])
    for i in range(N):
        path = f'Mass_{i}/{UID.format(99)}/{UID.format(7000 + i if told else i)}/000000.dcm'
        rows.append({'patient_id': f'P_{i // 2:03d}', 'pathology': ('a', 'b')[i // 2 % 2], 'image file path': path})
    table(folder, 'train.csv', rows)
    found, dataset = proposed(folder, tmp_path, missing=() if told else ('labels',))
    assert found.block.get('patient') == ('patient_id' if told else None)
    if told:  # by the folder that is within the paths
        assert dataset.labels.argmax(1).tolist() == [i // 2 % 2 for i in range(N)]


def mask(folder, name, i):
    pixels = np.zeros((20, 20), np.uint8)
    pixels[4 + i % 5 : 14, 5:15] = 255
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)


def test_columns_of_masks_are_each_of_their_class(tmp_path):
    folder, rows = films(tmp_path), []
    for i in range(N):
        rows.append({'image': image(i), 'mass': i % 2, 'edema': int(i % 3 == 0)})
        for name in ('mass', 'edema'):
            path = f'masks/{name}/{image(i)}' if rows[-1][name] else ''
            rows[-1][f'{name}_mask'] = path
            if path:
                mask(folder, path, i)
    table(folder, 't.csv', rows)
    dataset = proposed(folder, tmp_path)[1]
    assert np.bincount(dataset.region_concept).tolist() == [12, 8]
    table(folder, 't.csv', [{**row, 'other_mask': row['mass_mask']} for row in rows])
    found, _ = proposed(folder, tmp_path)
    assert any("so do 'edema_mask', 'other_mask', which are not read" in one for one in found.unsure)


@pytest.mark.parametrize('column', ['mask', 'gt', 'label', 'label_path', 'roi', 'file2'])
def test_masks_that_only_a_column_names(tmp_path, column):
    folder, rows = films(tmp_path), []
    for i in range(N):
        mask(folder, f'masks/m{i:03d}.png', i)
        rows.append({'image': image(i), column: f'masks/m{i:03d}.png', 'pathology': ('a', 'b')[i % 3 == 0]})
    table(folder, 't.csv', rows)
    found, dataset = proposed(folder, tmp_path)
    assert found.block['regions']['files'] == f'{{{column}}}'
    assert dataset.classes == ('a', 'b')
    assert len(dataset.region_image) == N


def test_names_of_files_are_no_classes(tmp_path):
    folder, rows = films(tmp_path), []
    for i in range(N):
        mask(folder, f'masks/i{i:03d}_mask.png', i)
        rows.append({'image': image(i), 'label': f'masks/i{i:03d}_mask.png', 'pathology': ('a', 'b')[i % 3 == 0]})
    table(folder, 't.csv', rows)
    assert proposed(folder, tmp_path)[1].classes == ('a', 'b')


def test_images_of_another_task_are_no_masks(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'A. Segmentation/images/{i:03d}.png' for i in range(10)])
    pictures(folder, [f'B. Grading/images/{i:03d}.png' for i in range(20)])
    for i in range(10):
        mask(folder, f'A. Segmentation/masks/{i:03d}.png', i)
    table(folder / 'B. Grading', 'labels.csv', [{'image': f'{i:03d}.png', 'grade': i % 3} for i in range(20)])
    assert 'regions' not in proposed(folder, tmp_path)[0].block


@pytest.mark.parametrize('others', [False, True])
def test_a_list_of_the_test_alone(tmp_path, others):
    folder = films(tmp_path)
    table(folder, 't.csv', [{'image': image(i), 'mass': i % 2} for i in range(N)])
    listed = [image(i) for i in range(6)]
    if others:  # of images without labels
        pictures(folder, [f'images/t{i}.png' for i in range(6)])
        listed = [f't{i}.png' for i in range(6)]
    (folder / 'test.txt').write_text('\n'.join(listed))
    found, _ = proposed(folder, tmp_path)
    assert found.block.get('split') == (None if others else {'lists': {'test': 'test.txt'}, 'others': 'train'})


@pytest.mark.parametrize('name', ['train.csv', 'splits.csv'])
def test_lists_of_patients_in_csv_are_said(tmp_path, name):
    folder = films(tmp_path)
    table(folder, 't.csv', [{'image': image(i), 'patient': f'P{i // 2}', 'mass': i % 2} for i in range(N)])
    people = [f'P{p}' for p in range(N // 2)]
    rows = {'patient': people[:6]} if name == 'train.csv' else {'train': people[:6], 'test': people[6:]}
    pd.DataFrame(rows).to_csv(folder / name, index=False)
    found, _ = proposed(folder, tmp_path)
    assert any(f'{name} is not used: patients are listed' in one for one in found.unsure)


@pytest.mark.parametrize(
    'key', ['patient_sk', 'USUBJID', 'bcr_patient_barcode', 'case_submitter_id', 'PtNo', 'chart_no']
)
def test_names_of_columns_of_people(tmp_path, key):
    folder = films(tmp_path)
    table(folder, 't.csv', [{'image': image(i), key: f'{7000 + i // 2}', 'mass': int(i % 3 == 0)} for i in range(N)])
    assert proposed(folder, tmp_path)[0].block['patient'] == key


def test_columns_that_may_be_people_are_said(tmp_path):
    folder = films(tmp_path)
    rows = [
        {'image': image(i), 'mass': i % 3 % 2, 'paciente': 7 + i // 2, 'frame': i % 5, 'x2': i % 7} for i in range(N)
    ]
    table(folder, 't.csv', rows)
    found, _ = proposed(folder, tmp_path)
    (said,) = [one for one in found.unsure if 'if they are people' in one]
    assert said.startswith("patient: 'paciente' of t.csv has 12 values for 24 images;")


def test_objects_of_boxes_in_each_row_are_said(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(N)])
    lines = []
    for i in range(N):
        boxes = [[4, 5, 9, 10]] if i % 3 else []
        objects = {'bbox': boxes, 'categories': ['mass'] * len(boxes)}
        lines.append(json.dumps({'file_name': f'{i}.png', 'label': 'ab'[i % 2], 'objects': objects}))
    (folder / 'metadata.jsonl').write_text('\n'.join(lines))
    assert any(
        one.startswith('regions: objects of metadata.jsonl may be') for one in proposed(folder, tmp_path)[0].unsure
    )


@pytest.mark.parametrize(
    ('file', 'version'),
    [('cxr-lt-2024/train_labeled.csv', '2024'), ('CXRLT_2026_training.csv', '2026'), ('train.csv', None),
     ('nih-lt_single-label_test.csv', 'single-label')],
)  # fmt: skip
def test_versions_of_published_sets_are_known_by_their_files(file, version):
    assert published.version_of([file, 'files/p10/a.png']) == ({'version': version} if version else {})


@pytest.mark.parametrize('drawn', [False, True])
def test_flags_of_labelme_are_said(tmp_path, drawn):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(8)])
    for i in range(8):
        shapes = [{'label': 'lesion', 'points': [[3, 4], [12, 18]], 'shape_type': 'rectangle'}] if drawn else []
        made = {'flags': {'mass': bool(i % 2)}, 'shapes': shapes, 'imagePath': f'{i}.png'}
        (folder / f'{i}.json').write_text(json.dumps({**made, 'imageHeight': 20, 'imageWidth': 20}))
    found, _ = proposed(folder, tmp_path, missing=() if drawn else ('labels',))
    assert any('mass are flags of whole images in files of LabelMe' in one for one in found.unsure)


def test_words_of_splits_that_are_not_usual(tmp_path):
    words = {
        ('development', 'development', 'tuning', 'test'): {'train': 12, 'validation': 6, 'test': 6},
        ('train', 'train', 'test1', 'test2'): {'train': 12, 'test': 12},
        ('Training', 'Training', 'PublicTest', 'PrivateTest'): {'train': 12, 'test': 12},
    }
    for number, (said, wanted) in enumerate(words.items()):
        folder = tmp_path / f'set{number}'
        pictures(folder, [image(i) for i in range(N)])
        table(folder, 't.csv', [{'image': image(i), 'mass': i % 2, 'cohort': said[i % 4]} for i in range(N)])
        block = proposed(folder, tmp_path)[0].block
        of_split = {word: split for split, of in block['split']['values'].items() for word in of}
        assert {split: sum(of_split[said[i % 4]] == split for i in range(N)) for split in wanted} == wanted


def test_what_a_network_predicts_does_not_lead(tmp_path):
    folder = films(tmp_path)
    table(folder, 'metadata.csv', [{'image': image(i), 'patient_id': f'P{i // 2}'} for i in range(N)])
    table(folder, 'clinical.csv', [{'patient_id': f'P{p}', 'grade': p * 7 % 4} for p in range(N // 2)])
    table(folder, 'outputs.csv', [{'image': image(i), 'score': f'0.{i % 9}', 'y_pred': i % 2} for i in range(N)])
    assert proposed(folder, tmp_path)[0].block['labels']['column'] == 'grade'


def test_circles_of_some_images_do_not_lead_and_are_no_device(tmp_path):
    folder = films(tmp_path)
    table(folder, 'metadata.csv', [{'image': image(i), 'patient_id': f'P{i // 2}'} for i in range(N)])
    table(folder, 'patients.csv', [{'patient_id': f'P{p}', 'mass': p % 2, 'edema': p % 3 % 2} for p in range(N // 2)])
    rows = [
        {'image': image(i), 'category': 'ab'[i % 4 // 2], 'x_center': 8.5, 'y_center': 9, 'radius': 5}
        for i in range(0, N, 2)
    ]
    table(folder, 'nodules.csv', rows)
    block = proposed(folder, tmp_path)[0].block
    assert block['labels'] == {'columns': ('mass', 'edema')}
    assert 'groups' not in block


def test_the_number_of_a_hospital_is_a_person(tmp_path):
    folder = films(tmp_path)
    table(folder, 't.csv', [{'image': image(i), 'mass': i % 2, 'hospital_number': 1000 + i // 2} for i in range(N)])
    block = proposed(folder, tmp_path)[0].block
    assert (block['patient'], 'groups' in block) == ('hospital_number', False)


def test_names_parted_by_blanks(tmp_path):
    for number, said in enumerate((('0', '16 2', '25', '0 16'), ('scab', 'scab spot', 'healthy', 'spot'))):
        folder = tmp_path / f'set{number}'
        pictures(folder, [image(i) for i in range(N)])
        table(folder, 't.csv', [{'image': image(i), 'Target': said[i % 4]} for i in range(N)])
        assert proposed(folder, tmp_path)[0].block['labels'] == {'column': 'Target', 'separator': ' '}
    folder = tmp_path / 'words'
    pictures(folder, [image(i) for i in range(N)])
    said = ('left lung', 'right lung', 'heart', 'pleural effusion')
    table(folder, 't.csv', [{'image': image(i), 'label': said[i % 4]} for i in range(N)])
    assert proposed(folder, tmp_path)[0].block['labels'] == {'column': 'label', 'none': ()}


def test_what_goes_wrong_with_other_tables_is_said(tmp_path):
    folder = films(tmp_path)
    rows = [{'image': image(i), 'participant_id': f'sub-{i // 2:02d}', 'mass': i % 2} for i in range(N)]
    table(folder, 'scans.csv', rows)
    table(folder, 'participants.csv', [{'participant_id': f'#{p}', 'sex': 'MF'[p % 2]} for p in range(N // 2)])
    (folder / 'boxes.json').write_text(json.dumps({image(i): [{'box': [3, 4, 12, 14]}] for i in range(N)}))
    table(folder, 'train.csv', [{'path': image(i), 'flag': i % 2} for i in range(16)])
    table(folder, 'test.csv', [{'path': image(i), 'flag': i % 2} for i in range(16, N)])
    unsure = proposed(folder, tmp_path)[0].unsure
    for words in (
        "'participant_id' is written otherwise",
        'its keys are names of images',
        "of train.csv the names of images alone are read, and not 'flag'",
    ):
        assert any(words in one for one in unsure), words


def test_other_columns_of_a_joined_table_are_said(tmp_path):
    folder = films(tmp_path)
    table(folder, 't.csv', [{'image': image(i), 'patient_id': f'P{i // 2}', 'mass': i % 2} for i in range(N)])
    people = [{'patient_id': f'P{p}', 'sex': 'MF'[p % 2], 'status': ('ill', 'well')[p % 3 % 2]} for p in range(N // 2)]
    table(folder, 'people.csv', people)
    assert any(
        "columns of people.csv that may be classes: 'status'" in one for one in proposed(folder, tmp_path)[0].unsure
    )


def test_people_of_a_table_that_is_joined_to_several(tmp_path):
    folder = films(tmp_path)
    for split, rows in (('train', range(16)), ('test', range(16, N))):
        table(folder, f'{split}.csv', [{'image': image(i), 'mass': i % 2, 'accession': f'A{i // 2}'} for i in rows])
    table(folder, 'studies.csv', [{'accession': f'A{s}', 'patient': f'P{s // 2}'} for s in range(N // 2)])
    found, dataset = proposed(folder, tmp_path)
    assert found.block['patient'] == 'patient'
    assert len(set(dataset.patient.tolist())) == N // 4
