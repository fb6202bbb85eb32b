"""What `data guess` makes of the columns of tables, and of files that it cannot read."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from data.reader.guessing import pictures, proposed

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess


def said(found, words):
    """Whether one of the sentences has these words."""
    return any(words in one for one in found.unsure)


def test_a_licence_is_no_class(tmp_path):
    folder = tmp_path / 'coco'
    pictures(folder, [f'{i:02d}.jpg' for i in range(12)])
    image = {'license': 1, 'flickr_url': 'u', 'coco_url': 'u', 'date_captured': 0, 'height': 20, 'width': 20}
    data = {
        'licenses': [{'id': 1, 'name': 'CC BY 4.0'}],
        'categories': [{'id': 0, 'name': 'mass'}, {'id': 1, 'name': 'edema'}],
        'images': [{'id': i, 'file_name': f'{i:02d}.jpg', **image} for i in range(12)],
        'annotations': [
            {'id': i, 'image_id': i, 'category_id': i % 2, 'bbox': [3, 4, 6, 7], 'area': 42, 'segmentation': []}
            for i in range(8)
        ],
    }
    data['annotations'] = [{**one, 'iscrowd': 0} for one in data['annotations']]
    (folder / '_annotations.coco.json').write_text(json.dumps(data))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['labels'] == {'column': 'category'}
    assert dataset.labels.sum(0).tolist() == [4, 4]
    assert len(dataset.region_box) == 8
    data['annotations'] = [{**one, 'category_id': 1} for one in data['annotations']]
    (folder / '_annotations.coco.json').write_text(json.dumps(data))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['labels'] == {'regions': True}
    assert dict(zip(dataset.classes, dataset.labels.sum(0).tolist(), strict=True)) == {'edema': 8}


def test_counts_of_regions_are_no_class(tmp_path):
    folder = tmp_path / 'via'
    pictures(folder, [f'{i:02d}.png' for i in range(12)])
    frame = pd.DataFrame({'filename': [f'{i:02d}.png' for i in range(12)], 'file_size': 1234, 'file_attributes': '{}'})
    frame['region_count'], frame['region_id'] = [int(i < 8) for i in range(12)], 0
    frame['region_attributes'] = '{"finding":"mass"}'
    frame.to_csv(folder / 'via.csv', index=False)
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert 'labels' not in found.block


def test_a_diagnosis_comes_before_answers(tmp_path):
    folder = tmp_path / 'skin'
    pictures(folder, [f'PAT_{i // 2}_{i}.png' for i in range(24)], colour=True)
    frame = pd.DataFrame({'patient_id': [f'PAT_{i // 2}' for i in range(24)], 'lesion_id': range(24)})
    frame['has_piped_water'], frame['itch'] = True, ['True', 'False', 'UNK'] * 8
    frame['diagnostic'] = ['BCC', 'ACK', 'NEV'] * 8
    frame['img_id'], frame['biopsed'] = [f'PAT_{i // 2}_{i}.png' for i in range(24)], [True, False] * 12
    frame.to_csv(folder / 'metadata.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('ACK', 'BCC', 'NEV')
    assert dataset.labels.sum(0).tolist() == [8, 8, 8]
    assert dataset.info['task'] == 'multi_class'
    assert len(set(dataset.patient.tolist())) == 12
    assert said(found, "labels: other columns that may be classes: 'biopsed', 'has_piped_water' (True)")


@pytest.mark.parametrize('column', ['level', 'diagnosis', 'Retinopathy grade', 'severity', 'dx'])
def test_grades_are_classes(tmp_path, column):
    folder = tmp_path / 'eyes'
    names = [f'{i}_{side}' for i in range(15) for side in ('left', 'right')]
    pictures(folder, [f'train/{name}.jpeg' for name in names], colour=True)
    pd.DataFrame({'image': names, column: [i % 5 for i in range(30)]}).to_csv(folder / 'labels.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('0', '1', '2', '3', '4')
    assert dataset.labels.sum(0).tolist() == [6] * 5
    assert len(set(dataset.patient.tolist())) == 15
    assert said(found, 'patient: the names of files without left and right')
    assert dataset.info.get('ordinal', False) == (column in ('level', 'Retinopathy grade', 'severity'))


def test_flags_that_a_column_of_names_repeats_are_the_classes(tmp_path):
    folder = tmp_path / 'fundus'
    names = [f'{i}_{side}.jpg' for i in range(12) for side in ('left', 'right')]
    pictures(folder, [f'Training Images/{name}' for name in names], colour=True)
    frame = pd.DataFrame({'ID': [i // 2 for i in range(24)]})
    frame['Left-Fundus'] = [f'{i // 2}_left.jpg' for i in range(24)]
    frame['Right-Fundus'] = [f'{i // 2}_right.jpg' for i in range(24)]
    for k, name in enumerate('NDG'):
        frame[name] = [int(i % 3 == k or (i == 0 and k == 2)) for i in range(24)]
    frame['filepath'] = [f'../input/Training Images/{name}' for name in names]
    frame['labels'], frame['filename'] = [f"['{'NDG'[i % 3]}']" for i in range(24)], names
    frame.to_csv(folder / 'full_df.csv', index=False)
    _, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('N', 'D', 'G')
    assert dataset.labels.sum(0).tolist() == [8, 8, 9]
    assert len(set(dataset.patient.tolist())) == 12


def test_a_row_of_two_images_is_read_twice(tmp_path):
    folder = tmp_path / 'pairs'
    pictures(folder, [f'{i}_{side}.jpg' for i in range(12) for side in ('left', 'right')])
    frame = pd.DataFrame({'ID': range(12), 'Left-Fundus': [f'{i}_left.jpg' for i in range(12)]})
    frame['Right-Fundus'] = [f'{i}_right.jpg' for i in range(12)]
    frame['D'], frame['G'] = [int(i < 4) for i in range(12)], [int(i > 5) for i in range(12)]
    frame.to_csv(folder / 'table.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert len(dataset.images) == 24
    assert dataset.labels.sum(0).tolist() == [8, 12]
    assert len(set(dataset.patient.tolist())) == 12
    assert said(found, 'a row of table.csv has 2 images (Left-Fundus, Right-Fundus)')


@pytest.mark.parametrize(
    ('column', 'values', 'people'),
    [
        ('deid_patient_id', [f'p{i // 2}' for i in range(12)], 6),
        ('empi_anon', [1000 + i // 3 for i in range(12)], 4),
        ('SubjectID', [f's{i // 4}' for i in range(12)], 3),
        ('Person Key', [f's{i // 2}' for i in range(12)], 6),
        ('id', [i // 2 for i in range(12)], 6),
        ('study_id', [i // 2 for i in range(12)], 6),
        ('id', list(range(12)), 0),
        ('case', [i % 2 for i in range(12)], 0),
    ],
)
def test_columns_of_people(tmp_path, column, values, people):
    folder = tmp_path / 'people'
    pictures(folder, [f'{i:02d}.png' for i in range(12)])
    frame = pd.DataFrame({'image': [f'{i:02d}.png' for i in range(12)], column: values, 'dx': ['a', 'b', 'c'] * 4})
    frame.to_csv(folder / 'table.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.block.get('patient', '') == (column if people else '')
    assert len(set(dataset.patient.tolist())) == (people or 12)


def test_lines_of_json_in_a_file_called_json(tmp_path):
    folder = tmp_path / 'reports'
    pictures(folder, [f'p{i // 2}/{i:02d}.png' for i in range(12)])
    rows = [
        {'path_to_image': f'p{i // 2}/{i:02d}.png', 'Edema': float(i % 2), 'Mass': float(i % 3 == 0)} for i in range(12)
    ]
    (folder / 'labels.json').write_text('\n'.join(map(json.dumps, rows)))
    people = {'path_to_image': [one['path_to_image'] for one in rows], 'deid_patient_id': [i // 2 for i in range(12)]}
    pd.DataFrame(people).to_csv(folder / 'people.csv', index=False)
    _, dataset = proposed(folder, tmp_path)
    assert dataset.labels.sum(0).tolist() == [6, 4]
    assert len(set(dataset.patient.tolist())) == 6


def test_files_that_may_be_annotation_are_named(tmp_path):
    folder = tmp_path / 'yolo'
    pictures(folder, [f'images/{c}/{c}{i}.png' for c in ('cat', 'dog') for i in range(30)])
    for c in ('cat', 'dog'):
        for i in range(30):
            (folder / 'labels').mkdir(exist_ok=True)
            (folder / f'labels/{c}{i}.txt').write_text('0 0.5 0.5 0.1 0.1\n')
    for name in ('labels.xlsx', 'Annotations/cat1.xml', 'maps.mat', 'all.npz'):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b'PK')
    names = [f'{c}{i}.png' for c in ('cat', 'dog') for i in range(30)]
    pd.DataFrame({'file': names, 'sex': ['F', 'M'] * 30}).to_csv(folder / 'people.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert dataset.info['groups'] == {'sex': ['F', 'M']}
    assert np.bincount(dataset.labels.argmax(1)).tolist() == [30, 30]
    assert said(found, '1 .xlsx file may be annotation and cannot be read (labels.xlsx): save each sheet as CSV.')
    assert said(
        found, '1 .xml file may be annotation and cannot be read (Annotations/cat1.xml): Pascal VOC of one image'
    )
    assert said(found, 'the 60 files of YOLO, labels/*.txt')
    assert said(found, '1 .mat file')
    assert said(found, '1 .npz file')


def test_a_table_without_a_row_of_names_is_declared_so(tmp_path):
    folder = tmp_path / 'headless'
    pictures(folder, [f'{i}.png' for i in range(8)])
    (folder / 'labels.csv').write_text(''.join(f'{i}.png,{i % 2},{i % 3 == 0:d}\n' for i in range(8)))
    found, dataset = proposed(folder, tmp_path)
    assert dataset.labels.sum(0).tolist() == [4, 3]
    assert found.block['tables'] == [{'file': 'labels.csv', 'header': False}]
    assert guess.guess(folder, sources.DATASETS) == found


def test_lists_of_what_boxes_show_are_taken_apart(tmp_path):
    folder = tmp_path / 'mammograms'
    pictures(folder, [f'{i}.png' for i in range(16)])
    rows = [f'{i}.png,"{["Mass", "Calcification"] if i % 2 else ["Mass"]}",2,3,12,15' for i in range(12)]
    rows += [f'{i}.png,"{["No Finding"]}",,,,' for i in range(12, 16)]
    (folder / 'findings.csv').write_text('\n'.join(['image_id,finding_categories,xmin,ymin,xmax,ymax', *rows]))
    found, dataset = proposed(folder, tmp_path)
    assert said(found, 'findings.csv has lists of finding_categories; a row is made of each name in them')
    counts = dict(zip(dataset.info['classes'], dataset.labels.sum(0).tolist(), strict=True))
    assert counts == {'Calcification': 6, 'Mass': 12}
    drawn = [dataset.info['concepts'][one] for one in dataset.region_concept]
    assert {name: drawn.count(name) for name in set(drawn)} == counts


def test_a_table_whose_first_line_names_an_image_without_its_suffix(tmp_path):
    folder = tmp_path / 'skin'
    pictures(folder, [f'ISIC_{i:03d}.jpg' for i in range(12)])
    rows = [f'ISIC_{i:03d},{("benign", "malignant")[i % 3 == 0]}' for i in range(12)]
    (folder / 'truth.csv').write_text('\n'.join(rows))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'] == [{'file': 'truth.csv', 'header': False}]
    assert found.block['labels']['column'] == 'column 2'
    assert dict(zip(dataset.classes, dataset.labels.sum(0).tolist(), strict=True)) == {'benign': 8, 'malignant': 4}


def test_numbers_of_classes_as_names_of_columns_are_no_images(tmp_path):
    folder = tmp_path / 'digits'
    pictures(folder, [f'{i}.png' for i in range(12)])
    rows = [f'{i},{int(i % 2 == 0)},{i % 2}' for i in range(12)]
    (folder / 'truth.csv').write_text('\n'.join(['image,0,1', *rows]))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['tables'] == 'truth.csv'
    assert dataset.classes == ('0', '1')


def test_splits_of_a_table_without_a_row_of_names(tmp_path):
    folder = tmp_path / 'saved'
    names = [f'{split}{i}.png' for split, count in (('train', 8), ('val', 4), ('test', 4)) for i in range(count)]
    pictures(folder, [f'small/{name}' for name in names])
    rows = [f'{re.split("[0-9]", name)[0]},{name},{i % 3}' for i, name in enumerate(names)]
    (folder / 'small.csv').write_text('\n'.join(rows))
    found, dataset = proposed(folder, tmp_path)
    assert found.block['split'] == 'column 1'
    assert found.block['labels']['column'] == 'column 3'
    assert [len(dataset.rows(split)) for split in sources.SPLITS] == [8, 4, 4]
    assert dataset.labels.sum(0).tolist() == [6, 5, 5]


def test_rows_of_boxes_are_no_labels_where_a_table_has_more_images(tmp_path):
    folder = tmp_path / 'chest'
    names = [f'{i:02d}.png' for i in range(24)]
    pictures(folder, names)
    pd.DataFrame({'image': names, 'patient': [f'P{i // 2}' for i in range(24)]}).to_csv(folder / 't.csv', index=False)
    boxes = pd.DataFrame({'image': names[:16], 'finding': ['mass', 'edema'] * 8, 'x': 3, 'y': 4, 'w': 9, 'h': 9})
    boxes.to_csv(folder / 'boxes.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.examined == '24 images, named by t.csv, boxes.csv.'
    assert found.block['labels'] == {'regions': True}
    assert dataset.labels.sum(0).tolist() == [8, 8]
    assert dataset.label_mask.all()
    assert len(dataset.region_box) == 16


def test_a_table_that_is_joined_names_no_more_images(tmp_path):
    folder = tmp_path / 'chest'
    names = [f'{i:02d}.png' for i in range(24)]
    pictures(folder, names)
    pd.DataFrame({'image': names, 'patient': [f'P{i // 2}' for i in range(24)]}).to_csv(folder / 't.csv', index=False)
    pd.DataFrame({'image': names[:16], 'finding': ['mass', 'edema'] * 8}).to_csv(folder / 'found.csv', index=False)
    found, dataset = proposed(folder, tmp_path)
    assert found.examined == '24 images, 16 of them named by found.csv, t.csv.'
    assert len(dataset.images) == 16
    assert [one for one in found.unsure if 'left out' in one] == [
        'tables: found.csv names 16 of 24 images; the others are left out: 16.png, 17.png, 18.png, 19.png, 20.png and '
        '3 more.'
    ]


@pytest.mark.parametrize(('ends', 'people'), [(('L', 'R'), 15), (('_OD', '_OS'), 15), (('l', 'm'), 30)])
def test_left_and_right_behind_a_number(tmp_path, ends, people):
    folder = tmp_path / 'knees'
    names = [f'{9000000 + i}{end}.png' for i in range(15) for end in ends]
    pictures(folder, names)
    pd.DataFrame({'image': names, 'grade': [i % 5 for i in range(30)]}).to_csv(folder / 't.csv', index=False)
    _, dataset = proposed(folder, tmp_path)
    assert len(set(dataset.patient.tolist())) == people
