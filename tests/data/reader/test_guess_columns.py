"""What `data guess` takes columns for, by their names and by what stands in them, and what it says of files that are no
images."""

import numpy as np
import pandas as pd
import pytest
from data.reader.guessing import pictures, proposed

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess


def of_columns(folder, **columns):
    """A folder of images and a table with these columns."""
    count = len(next(iter(columns.values())))
    names = [f'im{i:02d}.png' for i in range(count)]
    pictures(folder, names)
    pd.DataFrame({'image': names, **columns}).to_csv(folder / 'table.csv', index=False)


def test_a_grade_comes_before_flags_and_blanks_are_left_out(tmp_path):
    grades = [str(i % 5) for i in range(20)]
    grades[5] = ''
    of_columns(tmp_path / 'eyes', adjudicated_dr_grade=grades, dme=[i % 2 for i in range(20)], image_quality_grade=1)
    found, dataset = proposed(tmp_path / 'eyes', tmp_path)
    assert found.block['labels']['column'] == 'adjudicated_dr_grade'
    assert found.block['ordinal']
    assert dataset.labels.sum(0).tolist() == [3, 4, 4, 4, 4]
    assert any("other columns that may be classes: 'dme'" in one for one in found.unsure)


@pytest.mark.parametrize(('column', 'yes', 'no'), [('male', 'male', 'female'), ('is_female', 'female', 'male')])
def test_a_sex_is_a_group_and_no_class(tmp_path, column, yes, no):
    of_columns(tmp_path / 'hands', **{column: [True, False, False] * 4}, boneage=range(12))
    found, _ = proposed(tmp_path / 'hands', tmp_path, missing=['labels'])
    assert 'labels' not in found.block
    of_columns(tmp_path / 'hands', **{column: [True, False, False] * 4}, fracture=[0, 1] * 6)
    _, dataset = proposed(tmp_path / 'hands', tmp_path)
    assert dataset.classes == ('fracture',)
    names = dataset.info['groups']['sex']
    assert {names[k]: n for k, n in enumerate(np.bincount(dataset.groups[:, 0]))} == {yes: 4, no: 8}


def test_minus_one_is_a_no_where_there_is_no_other(tmp_path):
    signs = {'Bald': [1, -1, -1] * 4, 'Young': [1, -1] * 6}
    of_columns(tmp_path / 'faces', **signs)
    found, dataset = proposed(tmp_path / 'faces', tmp_path)
    assert found.block['labels'] == {'columns': ('Bald', 'Young'), 'absent': ('-1',), 'uncertain': ()}
    assert dataset.label_mask.all()
    assert dataset.labels.sum(0).tolist() == [4, 6]
    of_columns(tmp_path / 'faces', **signs, Smiling=[0, 1] * 6)
    assert proposed(tmp_path / 'faces', tmp_path)[0].block['labels'] == {'columns': ('Bald', 'Young', 'Smiling')}


def test_words_for_not_known_are_said(tmp_path):
    of_columns(tmp_path / 'skin', diagnosis=['nevus', 'unknown', 'melanoma'] * 4)
    found, _ = proposed(tmp_path / 'skin', tmp_path)
    said = "labels: unknown of 'diagnosis' counts as a class; labels.none = ('unknown',) would make it none."
    assert said in found.unsure


def test_four_corners_are_a_box_only_where_they_are_upright(tmp_path):
    corners = {
        f'{axis}{k}': [value] * 12
        for (axis, k), value in zip(
            [(axis, k) for k in (1, 2, 3, 4) for axis in 'xy'], (4, 5, 12, 5, 12, 14, 4, 14), strict=True
        )
    }
    of_columns(tmp_path / 'gut', dx=['polyp', 'ulcer'] * 6, **corners)
    found, dataset = proposed(tmp_path / 'gut', tmp_path)
    assert found.block['regions']['box'] == ('x1', 'y1', 'x3', 'y3')
    np.testing.assert_allclose(dataset.region_box, np.tile(np.array([4, 5, 12, 14]) * 16 / 20, (12, 1)), atol=1e-5)
    of_columns(tmp_path / 'gut', dx=['polyp', 'ulcer'] * 6, **{**corners, 'x2': [14] * 12})
    found, _ = proposed(tmp_path / 'gut', tmp_path)
    assert 'regions' not in found.block
    assert any('x1, y1, x2, y2, x3, y3, x4, y4 of table.csv are corners of a shape' in one for one in found.unsure)


def test_a_sibling_of_a_published_set_is_not_that_set(tmp_path):
    pictures(tmp_path / 'kids', [f'train/{i}.png' for i in range(12)])
    labels = {'image_id': range(12), 'rad_ID': 'R1', 'No finding': [0, 1] * 6, 'Bronchitis': [1, 0] * 6}
    pd.DataFrame(labels).to_csv(tmp_path / 'kids/image_labels_train.csv', index=False)
    boxes = {'image_id': range(12), 'rad_ID': 'R1', 'class_name': 'Opacity', 'x_min': 2, 'y_min': 3}
    pd.DataFrame(boxes | {'x_max': 9, 'y_max': 9}).to_csv(tmp_path / 'kids/annotations_train.csv', index=False)
    _, dataset = proposed(tmp_path / 'kids', tmp_path)
    assert dataset.classes == ('No finding', 'Bronchitis')
    assert len(dataset.region_box) == 12
    for name, column in (('image_labels_train', 'Aortic enlargement'), ('annotations_train', 'rad_id')):
        file = tmp_path / f'adults/annotations/{name}.csv'
        pictures(tmp_path / 'adults', [f'train/{i}.png' for i in range(12)])
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'image_id,{column}\n1,1\n')
        assert guess.guess(tmp_path / 'adults', sources.DATASETS).block['reader'] == 'vindr_cxr'
        file.unlink()


def test_files_of_other_suffixes_are_counted_and_those_of_systems_are_not(tmp_path):
    for name in ('mdb001.pgm', 'mdb002.pgm', 'notes.doc', 'Thumbs.db', 'Info.txt'):
        (tmp_path / name).write_text('x')
    with pytest.raises(FileNotFoundError, match=r"has no image \(.*\) but 2 \.pgm files, such as 'mdb001.pgm'"):
        guess.guess(tmp_path, sources.DATASETS)
    (tmp_path / 'films').mkdir()
    (tmp_path / 'films/1234').write_text('x')
    with pytest.raises(FileNotFoundError, match="but 1 without a suffix, such as '1234',"):
        guess.guess(tmp_path / 'films', sources.DATASETS)
    pictures(tmp_path, ['a/0.png', 'a/1.png', 'b/2.png', 'b/3.png'])
    assert not any('Thumbs' in one for one in guess.guess(tmp_path, sources.DATASETS).unsure)


def test_counts_are_no_class(tmp_path):
    of_columns(tmp_path / 'bones', fractured=[1, 0, 0] * 4, fracture_count=[1, 0, 0] * 4)
    assert proposed(tmp_path / 'bones', tmp_path)[1].classes == ('fractured',)


@pytest.mark.parametrize(
    ('columns', 'form'),
    [
        (('bbox_x', 'bbox_y', 'bbox_w', 'bbox_h'), 'xywh'),
        (('x1', 'y1', 'width', 'height'), 'xywh'),
        (('Xmin', 'Ymin', 'w', 'h'), 'xywh'),
        (('start_x', 'start_y', 'end_x', 'end_y'), 'xyxy'),
    ],
)
def test_boxes_by_a_corner_and_a_size_or_two_corners(tmp_path, columns, form):
    values = (3, 4, 9, 8) if form == 'xywh' else (3, 4, 12, 12)
    boxes = dict(zip(columns, ([value] * 12 for value in values), strict=True))
    of_columns(tmp_path / 'spots', mass=[i % 2 for i in range(12)], **boxes)
    found, dataset = proposed(tmp_path / 'spots', tmp_path)
    assert (found.block['regions']['box'], found.block['regions'].get('form', 'xywh')) == (columns, form)
    assert len(dataset.region_concept) == 12


def test_a_class_that_is_called_none_is_one(tmp_path):
    of_columns(tmp_path / 'joints', severity=[('none', 'mild', 'severe')[i % 3] for i in range(12)])
    found, dataset = proposed(tmp_path / 'joints', tmp_path)
    assert 'labels: none counts as a class (labels.not_mentioned).' in found.unsure
    assert dict(zip(dataset.classes, dataset.labels.sum(0).tolist(), strict=True)) == {
        'mild': 4,
        'none': 4,
        'severe': 4,
    }


@pytest.mark.parametrize(
    ('columns', 'form'),
    [
        ({'bbox': '[9, 2, 4, 8]'}, 'xywh'),  # as corners it would end before it begins
        ({'bbox': "{'x': 9, 'y': 2, 'width': 4, 'height': 8}"}, 'xywh'),
        ({'boxes': "[{'xmin': 9, 'ymin': 2, 'xmax': 13, 'ymax': 10}]"}, 'xyxy'),
        ({'bbox_xyxy': '9 2 13 10'}, 'xyxy'),
        ({'xc': 11, 'yc': 6, 'bw': 4, 'bh': 8}, 'cxcywh'),
        ({'bbox': '[4, 2, 9, 8]'}, ''),
    ],
)
def test_boxes_in_one_column_and_by_their_centre(tmp_path, columns, form):
    finding = ['mass', 'normal'] * 6
    cells = {name: [cell if what == 'mass' else '' for what in finding] for name, cell in columns.items()}
    of_columns(tmp_path / 'films', finding=finding, **cells)
    found, dataset = proposed(tmp_path / 'films', tmp_path)
    if form:
        assert (found.block['regions']['form'], *found.block['regions']['box']) == (form, *columns)
        assert len({tuple(box) for box in dataset.region_box}) == 1
    else:
        assert 'regions' not in found.block
        said = "'bbox' of table.csv has a box in each cell, and nothing says its form"
        assert any(said in one for one in found.unsure)


def numbered(folder, names, **columns):
    """Images 1.png, ... of these numbers, and a table."""
    pictures(folder, [f'{number}.png' for number in names])
    pd.DataFrame(columns).to_csv(folder / 'table.csv', index=False)


def test_which_column_of_numbers_names_numbered_images(tmp_path):
    """Ages are names of files, too, and all of them are there where an image is not."""
    ages = [21 + (7 * k) % 30 for k in range(40)]
    for name in ('ID', 'image', 'Image Index'):
        columns = {name: range(1, 41), 'age': ages, 'mass': [k % 2 for k in range(40)]}
        numbered(tmp_path / name, range(4, 61), **columns)
        found, _ = proposed(tmp_path / name, tmp_path)
        assert found.block['images']['file'] == f'{{{name}}}'
        said = f'images: the numbers of {name!r} in table.csv are taken for names of files; so could be age.'
        assert said in found.unsure
    for order in ('No', 'Unnamed: 0', 'row'):
        folder = tmp_path / order
        numbered(folder, range(1, 41), **{order: range(1, 16), 'ID': range(2, 32, 2), 'mass': [0, 1, 0] * 5})
        assert proposed(folder, tmp_path)[0].block['images']['file'] == '{ID}'


def test_zeros_and_ones_name_no_images(tmp_path):
    folder = tmp_path / 'people'
    pictures(folder, [f'P{who:02d}/{k}.png' for who in range(12) for k in range(2)])
    people = [f'P{who:02d}' for who in range(12)]
    pd.DataFrame({'ID': people, 'tumour': [int(who % 3 == 0) for who in range(12)]}).to_csv(
        folder / 'studies.csv', index=False
    )
    _, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('tumour',)
    assert len(set(dataset.patient.tolist())) == 12


def test_who_read_and_shapes_that_are_not_read_are_said(tmp_path):
    pictures(tmp_path / 'films', [f'im{k:02d}.png' for k in range(12)])
    who_read = [(k, r) for k in range(12) for r in (1, 2)]
    rows = [(f'im{k:02d}.png', f'R{r}', 'mass' if (k + r) % 3 else 'No finding', '1 3') for k, r in who_read]
    table = pd.DataFrame(rows, columns=['image', 'rad_id', 'finding', 'EncodedPixels'])
    table.to_csv(tmp_path / 'films' / 'table.csv', index=False)
    found, _ = proposed(tmp_path / 'films', tmp_path)
    assert any("'rad_id' seems to say who read an image" in one for one in found.unsure)
    assert any(one.startswith('regions: EncodedPixels of table.csv may be boxes or shapes') for one in found.unsure)


@pytest.mark.parametrize('name', ['reviewer', 'review_status', 'interview', 'preview_url', 'sexual_history'])
def test_words_with_a_group_in_them_are_none(tmp_path, name):
    of_columns(tmp_path / 'films', **{name: ['a', 'b', 'c'] * 4, 'mass': [0, 1] * 6})
    found, _ = proposed(tmp_path / 'films', tmp_path)
    assert 'groups' not in found.block


def test_view_is_a_group(tmp_path):
    for number, name in enumerate(('View Position', 'view', 'ViewPosition')):
        of_columns(tmp_path / f'films{number}', **{name: ['PA', 'AP', 'L'] * 4, 'mass': [0, 1] * 6})
        found, _ = proposed(tmp_path / f'films{number}', tmp_path)
        assert found.block['groups'] == {'view': name}


@pytest.mark.parametrize('between', [', ', ',', '/', ' & '])
def test_names_in_one_cell_with_what_may_be_in_a_name_between(tmp_path, between):
    cells = [f'mass{between}edema', 'mass', 'edema', 'No Finding'] * 3
    of_columns(tmp_path / 'films', finding=cells)
    _, dataset = proposed(tmp_path / 'films', tmp_path)
    assert dataset.classes == ('edema', 'mass')
    assert dataset.labels.sum(0).tolist() == [6, 6]


def test_commas_within_names_part_nothing(tmp_path):
    of_columns(tmp_path / 'films', finding=['Effusion, pleural', 'Mass, hilar', 'Normal'] * 4)
    _, dataset = proposed(tmp_path / 'films', tmp_path)
    assert 'Effusion, pleural' in dataset.classes


@pytest.mark.parametrize(
    'cells', [['0', '1', '?'] + ['0', '1', '0'] * 3, ['yes', 'no', 'maybe'] * 4, ['x', '', ''] * 4, [0, 1, 2] * 4]
)
def test_columns_that_may_be_classes_beside_others_are_said(tmp_path, cells):
    of_columns(tmp_path / 'films', mass=[0, 1] * 6, edema=cells)
    found, dataset = proposed(tmp_path / 'films', tmp_path)
    assert dataset.classes == ('mass',)
    assert any("other columns that may be classes: 'edema'" in one for one in found.unsure)


@pytest.mark.parametrize('code', ['9', '-1', '99'])
def test_a_number_apart_from_grades_is_said(tmp_path, code):
    of_columns(tmp_path / 'eyes', grade=[code if i == 7 else str(i % 4) for i in range(20)])
    found, dataset = proposed(tmp_path / 'eyes', tmp_path)
    assert 'ordinal' not in found.block
    assert any(f"labels: {code} of 'grade' lies apart from the other numbers" in one for one in found.unsure)
    assert not any('spelling alone' in one for one in dataset.info.get('doubts', []))
    of_columns(tmp_path / 'eyes', grade=[str(i % 4) for i in range(20)])
    assert proposed(tmp_path / 'eyes', tmp_path)[0].block['ordinal']


def test_a_few_blanks_do_not_change_the_task(tmp_path):
    words = ['nevus', 'melanoma', 'keratosis'] * 7
    of_columns(tmp_path / 'skin', dx=['', *words[1:]])
    found, dataset = proposed(tmp_path / 'skin', tmp_path)
    assert found.block['task'] == 'multi_class'
    assert "labels: 1 of 21 cells of 'dx' are blank: the class of such an image is not known." in found.unsure
    assert len(dataset.images) == 20
    of_columns(tmp_path / 'skin', dx=['' if i % 2 else words[i] for i in range(21)])
    found, _ = proposed(tmp_path / 'skin', tmp_path)
    assert any("cells of 'dx' are blank: such an image has none of the classes" in one for one in found.unsure)


def test_the_only_column_that_may_be_one_of_classes_is_named(tmp_path):
    of_columns(tmp_path / 'chest', impression=['normal', 'abnormal'] * 6)
    found, _ = proposed(tmp_path / 'chest', tmp_path, missing=['labels'])
    assert "labels: other columns that may be classes: 'impression' (normal, abnormal)." in found.unsure


def test_a_column_of_splits_is_nobody_s_name(tmp_path):
    of_columns(tmp_path / 'chest', patient=['train', 'test', 'val'] * 4, split=[f'{7000 + i // 2}' for i in range(12)],
               mass=[0, 1] * 6)  # fmt: skip
    found, _ = proposed(tmp_path / 'chest', tmp_path)
    assert found.block['split'] == 'patient'
    assert 'patient' not in found.block
    assert "split: the column 'patient', which has the words of splits." in found.unsure


@pytest.mark.parametrize('name', ['type', 'lesion', 'object', 'cls', 'tag'])
def test_what_boxes_are_of_may_be_called_otherwise(tmp_path, name):
    of_columns(tmp_path / 'chest', mass=[0, 1] * 6)
    kinds = ['mass', 'nodule', 'cyst'] * 4
    boxes = {'image': [f'im{i:02d}.png' for i in range(12)], name: kinds, 'x': 2, 'y': 3, 'w': 8, 'h': 9}
    pd.DataFrame(boxes).to_csv(tmp_path / 'chest' / 'boxes.csv', index=False)
    found, dataset = proposed(tmp_path / 'chest', tmp_path)
    assert found.block['regions']['column'] == name
    assert dataset.info['concepts'] == ['mass', 'cyst', 'nodule']


@pytest.mark.parametrize('name', ['points', 'vertices', 'geometry'])
def test_columns_of_coordinates_are_named(tmp_path, name):
    of_columns(tmp_path / 'chest', mass=[0, 1] * 6, **{name: ['[[2, 3], [9, 3], [9, 9]]'] * 12})
    found, _ = proposed(tmp_path / 'chest', tmp_path)
    assert any(f'{name} of table.csv may be boxes or shapes' in one for one in found.unsure)


def test_a_header_that_others_have_too_is_no_published_set(tmp_path):
    pictures(tmp_path / 'own', [f'{i}.png' for i in range(8)])
    rows = {'image_name': [f'{i}.png' for i in range(8)], 'annotation': ['normal', 'mass'] * 4}
    pd.DataFrame(rows).to_csv(tmp_path / 'own' / 'findings.csv', index=False)
    assert guess.guess(tmp_path / 'own', sources.DATASETS).block['reader'] == 'folder'


def test_lists_of_objects_are_no_classes(tmp_path):
    of_columns(tmp_path / 'chest', mass=[0, 1] * 6, notes=['[]', "[{'label': 'cyst', 'x': 2}]"] * 6)
    found, _ = proposed(tmp_path / 'chest', tmp_path)
    assert not any('other columns that may be classes' in one for one in found.unsure)


@pytest.mark.parametrize(('column', 'of', 'other'), [('Train', 'train', 'test'), ('is_test', 'test', 'train')])
def test_yes_and_no_of_one_split_are_the_split_and_no_class(tmp_path, column, of, other):
    of_columns(tmp_path / 'scans', **{column: [1, 0, 0] * 8}, mass=[0, 1] * 12)
    found, dataset = proposed(tmp_path / 'scans', tmp_path)
    assert dataset.classes == ('mass',)
    assert set(found.block['split']['values']) == {of, other}
    assert len(dataset.rows('test')) == {'test': 8, 'train': 16}[of]


def test_flags_of_several_splits_and_folds_are_said(tmp_path):
    of_columns(tmp_path / 'scans', is_train=[1, 0] * 6, is_val=[0, 1] * 6, mass=[0, 1, 1] * 4)
    found, dataset = proposed(tmp_path / 'scans', tmp_path)
    assert dataset.classes == ('mass',)
    assert any('is_train, is_val say yes and no of one split each' in one for one in found.unsure)
    of_columns(tmp_path / 'scans', kfold=[0, 1, 2] * 4, mass=[0, 1, 1] * 4)
    found, _ = proposed(tmp_path / 'scans', tmp_path)
    assert any("the column 'kfold' has numbers of folds and is not read" in one for one in found.unsure)


def test_a_yes_in_all_rows_and_dates_are_no_classes(tmp_path):
    of_columns(tmp_path / 'scans', annotator=[1] * 12, diagnosis_date=['2019-01-10', '2019-02-11'] * 6)
    found, _ = proposed(tmp_path / 'scans', tmp_path, missing=['labels'])
    assert any("other columns that may be classes: 'annotator' (1)" in one for one in found.unsure)


@pytest.mark.parametrize('name', ['Patient_index', 'Patient No.', 'Patient ID (anon)', 'ID_patient', 'PTID'])
def test_whose_images_they_are_is_called_in_many_ways(tmp_path, name):
    of_columns(tmp_path / 'scans', mass=[0, 1] * 6, **{name: [1000 + i // 2 for i in range(12)]})
    assert proposed(tmp_path / 'scans', tmp_path)[0].block['patient'] == name


@pytest.mark.parametrize('names', ['x y radius', 'row col h w', 'x_min y_min x_mx y_max'])
def test_columns_of_places_that_are_no_box_are_named(tmp_path, names):
    places = {name: [2 + k] * 12 for k, name in enumerate(names.split())}
    of_columns(tmp_path / 'scans', mass=[0, 1] * 6, **places)
    found, _ = proposed(tmp_path / 'scans', tmp_path)
    assert any('may be places in the images' in one for one in found.unsure)


def test_shapes_beside_a_box_are_named(tmp_path):
    box = {'xmin': [2] * 12, 'ymin': [3] * 12, 'xmax': [9] * 12, 'ymax': [9] * 12}
    of_columns(tmp_path / 'scans', label=['mass', 'cyst'] * 6, **box, polygon=['[[1, 2], [3, 4], [5, 1]]'] * 12)
    found, _ = proposed(tmp_path / 'scans', tmp_path)
    assert any('polygon of table.csv may be boxes or shapes, and are not read' in one for one in found.unsure)


def test_a_row_for_each_image_and_finding_with_an_answer_is_said(tmp_path):
    pictures(tmp_path / 'long', [f'{i}.png' for i in range(8)])
    rows = [(f'{i}.png', name, (i + k) % 2) for i in range(8) for k, name in enumerate(('mass', 'cyst'))]
    pd.DataFrame(rows, columns=['image', 'finding', 'present']).to_csv(tmp_path / 'long' / 't.csv', index=False)
    found, _ = proposed(tmp_path / 'long', tmp_path)
    assert any("every row counts as a yes to its 'finding', whatever 'present' says" in one for one in found.unsure)


def test_classes_that_are_called_as_groupings_begin_stay_classes(tmp_path):
    names = ('Edema', 'Support Devices', 'hospitalized', 'Agenesis', 'Projection error')
    of_columns(tmp_path / 'chest', **{name: [0, 1] * 6 for name in names}, Sex=['F', 'M'] * 6)
    found, dataset = proposed(tmp_path / 'chest', tmp_path)
    assert set(dataset.classes) == set(names)
    assert found.block['groups'] == {'sex': 'Sex'}
    assert any(one.startswith("groups: sex by 'Sex'") for one in found.unsure)


def test_ages_that_are_not_in_years_have_no_bands(tmp_path):
    for name, expected in (('age_months', None), ('age_decade', 'age_decade'), ('Age', {'column': 'Age'})):
        of_columns(tmp_path / 'chest', mass=[0, 1] * 6, **{name: [2, 3, 4] * 4})
        rule = proposed(tmp_path / 'chest', tmp_path)[0].block.get('groups', {}).get('age')
        assert rule == ({**expected, 'bands': (40, 60)} if isinstance(expected, dict) else expected)


def test_what_a_network_or_a_rater_says_is_not_the_truth(tmp_path):
    of_columns(tmp_path / 'skin', predicted_class=['b', 'm'] * 6, true_class=['b', 'm', 'm'] * 4)
    assert proposed(tmp_path / 'skin', tmp_path)[0].block['labels']['column'] == 'true_class'
    of_columns(tmp_path / 'skin', ai_diagnosis=['b', 'm'] * 6)
    found, _ = proposed(tmp_path / 'skin', tmp_path, missing=['labels'])
    assert any("other columns that may be classes: 'ai_diagnosis' (b, m)" in one for one in found.unsure)


def test_what_counts_within_a_person_is_nobody(tmp_path):
    of_columns(tmp_path / 'skin', mass=[0, 1] * 12, lesion_number=[1, 2, 3, 4] * 6)
    assert 'patient' not in proposed(tmp_path / 'skin', tmp_path)[0].block
    of_columns(tmp_path / 'skin', mass=[0, 1] * 12, lesion_number=[1 + i // 2 for i in range(24)])
    assert proposed(tmp_path / 'skin', tmp_path)[0].block['patient'] == 'lesion_number'


def test_boxes_in_shares_are_said_to_be(tmp_path):
    box = {'XMin': [0.1] * 12, 'YMin': [0.2] * 12, 'XMax': [0.5] * 12, 'YMax': [0.6] * 12}
    of_columns(tmp_path / 'chest', label=['mass', 'cyst'] * 6, **box)
    found, _ = proposed(tmp_path / 'chest', tmp_path)
    assert 'regions: boxes are xyxy, in shares of the image.' in found.unsure


def test_images_of_a_row_are_of_one_patient(tmp_path):
    names = [f'{when}{i:02d}.png' for i in range(12) for when in ('new', 'old')]
    pictures(tmp_path / 'pairs', names)
    rows = {'image': names[::2], 'prior_image': names[1::2], 'diagnosis': ['a', 'b'] * 6}
    pd.DataFrame(rows).to_csv(tmp_path / 'pairs' / 't.csv', index=False)
    found, dataset = proposed(tmp_path / 'pairs', tmp_path)
    assert found.block['patient'] == 'image'
    assert np.unique(dataset.patient, return_counts=True)[1].tolist() == [2] * 12


def test_a_table_of_few_images_that_says_nothing_is_not_used(tmp_path):
    pictures(tmp_path / 'brain', [f'{"yes" if i % 2 else "no"}/{i}.png' for i in range(24)])
    pictures(tmp_path / 'brain', [f'extra/e{i}.png' for i in range(4)])
    rows = {'filename': [f'e{i}.png' for i in range(4)], 'size': 123}
    pd.DataFrame(rows).to_csv(tmp_path / 'brain' / 'extra' / 'files.csv', index=False)
    found, dataset = proposed(tmp_path / 'brain', tmp_path)
    assert any('names 4 of 28 images, says nothing of them that is known here' in one for one in found.unsure)
    assert {'yes', 'no'} <= set(dataset.classes)
    assert dataset.labels[:, [dataset.classes.index('yes'), dataset.classes.index('no')]].sum() == 24


def test_words_of_a_column_of_splits_that_are_none_or_nearly_one(tmp_path):
    words = ['train', 'train', 'test_internal', 'test_external'] * 6
    of_columns(tmp_path / 'set', mass=[0, 1] * 12, split=words)
    found, dataset = proposed(tmp_path / 'set', tmp_path)
    assert found.block['split']['values'] == {'test': ('test_external', 'test_internal'), 'train': ('train',)}
    assert len(dataset.rows('test')) == 12
    of_columns(tmp_path / 'set', mass=[0, 1] * 12, split=['train', 'holdout'] * 12)
    found, _ = proposed(tmp_path / 'set', tmp_path)
    assert any("the column 'split' has holdout, train, not all words for splits" in one for one in found.unsure)
    of_columns(tmp_path / 'set', mass=[0, 1] * 12, split=['test', '', '', ''] * 6)
    found, dataset = proposed(tmp_path / 'set', tmp_path)
    assert found.block['split'] == {'column': 'split', 'others': 'train'}
    assert len(dataset.rows('test')) == 6
