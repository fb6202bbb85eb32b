"""What rows and tables say twice must agree; what is of no image or concept, or is drawn twice, is said."""

import numpy as np
import pytest
from PIL import Image

from imbalance_jax.data.reader import agreement, read
from imbalance_jax.data.reader.layout import Images, Labels, Layout, Patient, Regions, Split, Table

BOX = ('x', 'y', 'w', 'h')


def layout(**parts):
    tables = (Table('train.csv', 'images', split='train'), Table('test.csv', 'images', split='test', optional=True))
    given = {
        'tables': (*tables, Table('boxes.csv', 'boxes', optional=True)),
        'images': Images('{file}'),
        'labels': (Labels(columns=('A', 'B')),),
        'patient': Patient('who'),
        'split': Split(validation=0, test=0),
    }
    return Layout(**{**given, **parts})


@pytest.fixture
def three(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((8, 8), 50 * i, np.uint8)).save(tmp_path / f'{i}.png')
    (tmp_path / 'train.csv').write_text('file,who,A,B\n0.png,p,0,1\n1.png,q,1,0\n')
    (tmp_path / 'test.csv').write_text('file,who,A,B\n2.png,r,0,1\n')
    (tmp_path / 'boxes.csv').write_text('file,name,x,y,w,h,shape\n')
    return tmp_path


@pytest.mark.parametrize(
    ('file', 'row', 'words'),
    [
        ('test.csv', '0.png,p,0,1', "test.csv, line 3: the split of the image is 'test', but in train.csv, line 2 it"),
        ('train.csv', '0.png,z,0,1', "train.csv, line 4: the patient of the image is 'z', but in train.csv, line 2"),
    ],
)
def test_an_image_has_one_split_and_one_patient(three, file, row, words):
    (three / file).write_text((three / file).read_text() + row)
    with pytest.raises(ValueError, match=words):
        read(three, layout(), image_size=8)


def test_a_class_that_one_table_lacks_is_no_empty_column(three):
    (three / 'test.csv').write_text('file,who,A,C\n2.png,r,0,1\n')
    with pytest.raises(ValueError, match=r"test\.csv has no column 'B' \(labels\.columns\), which train\.csv has"):
        read(three, layout(), image_size=8)


def test_an_identifier_that_was_rounded_is_named_with_its_place(three):
    (three / 'train.csv').write_text('file,who,A,B\n0.png,p,0,1\n1.png,3.24e+38,1,0\n')
    with pytest.raises(ValueError, match=r'train\.csv, line 3, who: 3\.24e\+38 is an identifier that was rounded'):
        read(three, layout(), image_size=8)


def test_regions_twice_of_no_image_of_no_concept_and_of_no_area_are_said(three):
    lines = ['0.png,A,1,1,2,2', '0.png,A,1,1,2,2', '9.png,A,1,1,2,2', '1.png,C,1,1,2,2', '1.png,A,0,0,1,1']
    (three / 'boxes.csv').write_text('\n'.join(['file,name,x,y,w,h', *lines]))
    boxes = Regions('boxes', on=('file',), column='name', others='ignore', box=BOX)
    dataset = read(three, layout(regions=(boxes,)), image_size=8)
    assert dataset.region_box.tolist() == [[1, 1, 3, 3], [0, 0, 1, 1]]
    assert dataset.info['problems'] == {'region_twice': ['0.png A (boxes.csv, line 3)']}
    assert '1 of 5 rows of boxes.csv are of images that are not here.' in dataset.info['notes']
    assert '1 rows of boxes.csv are of no concept: C 1.' in dataset.info['notes']


def test_a_shape_outside_the_image_is_named(three):
    (three / 'boxes.csv').write_text('file,name,shape\n0.png,A,20 20 30 20 30 30\n')
    shapes = Regions('boxes', on=('file',), column='name', code='shape', kind='polygon')
    dataset = read(three, layout(regions=(shapes,)), image_size=8)
    assert dataset.info['problems'] == {'shape_outside_image': ['0.png A (boxes.csv, line 2) [20.0, 20.0, 30.0, 30.0]']}


def test_when_all_classes_are_rare_the_limit_is_named(three):
    with pytest.raises(ValueError, match=r'No class has at_least 9 images; the commonest has 2\. Expected a smaller'):
        read(three, layout(labels=(Labels(columns=('A', 'B'), at_least=9),)), image_size=8)


def test_readers_of_regions_who_read_nothing_are_said():
    assert not agreement.of_readers([], ['R1'])
    assert not agreement.of_readers(['r1'], [])
    assert not agreement.of_readers(['R1'], ['R1', 'R2'])
    (said,) = agreement.of_readers(['R1', 'r2'], ['R1', 'R2'])
    assert said.startswith('Readers of regions (r2) are none of those of labels (R1, R2)')
