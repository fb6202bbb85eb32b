"""The RSNA challenge's boxes on NIH's images: another concept, by NIH's names or by the challenge's ids and its map."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from data.miniatures import nih, rsna
from data.miniatures.films import table

from imbalance_jax.data.sources import nih_chest_xray14, nih_tables, rsna_boxes

HEADER = 'Image Index,Finding Label,x,y,w,h'


@pytest.fixture
def folder(tmp_path):
    """Forty patients of NIH's layout, one box of NIH's; the challenge's tables lie beside it."""
    names = sorted({nih_name for _, nih_name, _, _ in rsna.CASES if not nih_name.endswith('_001.png')})
    header = 'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age'
    lines = [header, *(f'{name},Mass,0,{int(name[:8])},50' for name in names)]
    table(tmp_path / 'nih' / 'Data_Entry_2017_v2020.csv', lines)
    table(tmp_path / 'nih' / 'BBox_List_2017.csv', [nih_tables.BOX_HEADER, f'{names[3]},Mass,1,2,3,4'])
    nih.images(tmp_path / 'nih', names)
    rsna.write(tmp_path / 'rsna', images=False)
    return tmp_path


def make(folder, boxes):
    options = {'split': 'by_patient', 'image_size': 16, 'validation_fraction': 0.3, 'tfds_dir': folder / 'tfds'}
    return nih_chest_xray14.make(manual_dir=folder / 'nih', rsna_boxes=boxes, **options)


def test_ids_become_names_and_boxes_a_concept_of_their_own(folder):
    plain = make(folder, None)
    both = make(folder, str(folder / 'rsna' / 'stage_2_train_labels.csv'))
    assert both.concepts == (*plain.concepts, 'Lung Opacity (RSNA)')
    assert both.classes == plain.classes
    np.testing.assert_array_equal(both.region_box[: len(plain.region_box)], plain.region_box)
    added = both.region_concept == len(plain.concepts)
    assert both.image_id[both.region_image[added]].tolist() == ['00000002_000.png'] * 2
    assert both.region_box[added].tolist() == [[264, 152, 477, 531], [562, 152, 818, 605]]
    assert both.info['problems']['rsna_box_without_image'] == ['00000002_001.png']
    assert both.info['options']['rsna_boxes'] == 'stage_2_train_labels.csv'
    np.testing.assert_array_equal(both.labels, plain.labels)


def test_table_and_map_are_among_the_files_that_data_are_made_from(folder):
    boxes = folder / 'rsna' / 'stage_2_train_labels.csv'
    plain = nih_chest_xray14.files(manual_dir=folder / 'nih', split='by_patient')
    both = nih_chest_xray14.files(manual_dir=folder / 'nih', split='by_patient', rsna_boxes=boxes)
    assert set(both.values()) - set(plain.values()) == {boxes, folder / 'rsna' / rsna_boxes.MAP}


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['id,x,y', 'a,1,2'], r"line 1: header 'id,x,y'; expected Image Index,Finding Label,x,y,w,h or patientId"),
        ([HEADER, '00000001_000.png,Lung Opacity,1,2,3'], 'line 2: 5 columns; expected 6'),
        ([HEADER, '../a.png,Lung Opacity,1,2,3,4'], 'line 2: image .*plain file name'),
        ([HEADER, '00000001_000.png,Lung Opacity,1000,2,300,4'], 'line 2: box .*within 1024'),
        ([','.join(rsna_boxes.HEADERS[1]), 'unknown,1,2,3,4,1'], "line 2: image 'unknown' is not in the map"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        rsna_boxes.read(table(tmp_path / 'boxes.csv', lines), {})


def test_what_is_missing_is_said(folder):
    with pytest.raises(FileNotFoundError, match=r'nothing.csv is no file; rsna_boxes names a table'):
        make(folder, 'nothing.csv')
    (folder / 'rsna' / rsna_boxes.MAP).rename(folder / 'rsna' / 'map.json')
    with pytest.raises(FileNotFoundError, match=r'has no pneumonia-challenge-dataset-mappings_2018.json. It is on'):
        make(folder, str(folder / 'rsna' / 'stage_2_train_labels.csv'))
    (folder / 'rsna' / rsna_boxes.MAP).write_text('[{"img_id": "1.png", "subset_img_id": "a"}]')
    with pytest.raises(ValueError, match=r"is no list of .*img_id is '1.png'"):
        make(folder, str(folder / 'rsna' / 'stage_2_train_labels.csv'))


def test_real_boxes_by_an_independent_count():
    root = os.environ.get('IMBALANCE_JAX_SHARED') or Path(__file__).parents[4] / 'shared'
    path = Path(root, 'data', 'nih', 'rsna_lung_opacity_boxes.csv')
    if not path.exists():
        pytest.skip(f'the boxes are not at {path}; the variable IMBALANCE_JAX_SHARED names the folder above data/.')
    images, boxes = rsna_boxes.read(path)
    assert (len(boxes), len(set(images))) == (205, 129)
    with open(path, newline='') as file:
        area = sum(float(row['w']) * float(row['h']) for row in csv.DictReader(file))
    np.testing.assert_allclose(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum(), area, rtol=1e-6)
