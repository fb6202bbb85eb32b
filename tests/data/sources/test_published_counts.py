"""Counts of the real label tables, which are not here: the variable IMBALANCE_JAX_TABLES names a folder that has them.

They are those that the wheel of torchxrayvision ships in its folder `data`; nothing of them may be committed.
"""

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from imbalance_jax.data.reader import regions
from imbalance_jax.data.sources import chexpert, declared, nih_google, nih_tables, rsna_pneumonia


def published(name):
    folder = os.environ.get('IMBALANCE_JAX_TABLES')
    if not folder:
        pytest.skip('the variable IMBALANCE_JAX_TABLES names no folder of published label tables.')
    path = Path(folder, name)
    if not path.exists():
        pytest.skip(f'IMBALANCE_JAX_TABLES has no {name}.')
    return path


def test_nih():
    path = published('Data_Entry_2017_v2020.csv.gz')
    table = nih_tables.read_labels(path)
    counts = dict(zip(nih_tables.CLASSES, table.labels.sum(0).tolist(), strict=True))
    assert counts == {
        'Infiltration': 19894, 'Effusion': 13317, 'Atelectasis': 11559, 'Nodule': 6331, 'Mass': 5782,
        'Pneumothorax': 5302, 'Consolidation': 4667, 'Pleural_Thickening': 3385, 'Cardiomegaly': 2776,
        'Emphysema': 2516, 'Edema': 2303, 'Fibrosis': 1686, 'Pneumonia': 1431, 'Hernia': 227,
    }  # fmt: skip
    assert len(table.image) == 112120
    assert (table.labels.sum(1) == 0).sum() == 60361
    assert table.labels.sum(1).max() == 9
    views = np.array([view for _, _, view in nih_tables.read_groups(path).values()])
    assert np.bincount(views).tolist() == [67310, 44810]
    assert len(nih_tables.read_boxes(published('BBox_List_2017.csv.gz')).image) == 984


# 1, 0, -1 and empty
CHEXPERT = {
    'No Finding': (22381, 0, 0, 201033),
    'Enlarged Cardiomediastinum': (10798, 21638, 12403, 178575),
    'Cardiomegaly': (27000, 11116, 8087, 177211),
    'Lung Opacity': (105581, 6599, 5598, 105636),
    'Lung Lesion': (9186, 1270, 1488, 211470),
    'Edema': (52246, 20726, 12984, 137458),
    'Consolidation': (14783, 28097, 27742, 152792),
    'Pneumonia': (6039, 2799, 18770, 195806),
    'Atelectasis': (33376, 1328, 33739, 154971),
    'Pneumothorax': (19448, 56341, 3145, 144480),
    'Pleural Effusion': (86187, 35396, 11628, 90203),
    'Pleural Other': (3523, 316, 2653, 216922),
    'Fracture': (9040, 2512, 642, 211220),
    'Support Devices': (116001, 6137, 1079, 100197),
}


def test_chexpert(tmp_path):
    path = published('chexpert_train.csv.gz')
    (tmp_path / 'train.csv.gz').symlink_to(path)
    with gzip.open(path, 'rt') as file:
        (tmp_path / 'valid.csv').write_text(file.readline())
    cases, _ = declared.labels_only(chexpert.layout, tmp_path, views='all')
    cells = cases.readings[0].cells
    found = {
        name: tuple(int((cells[:, k] == value).sum()) for value in (1, 0, -1, -2)) for k, name in enumerate(CHEXPERT)
    }
    assert found == CHEXPERT
    assert tuple(cases.classes) == tuple(CHEXPERT)
    assert (len(cases.image_id), len(np.unique(cases.patient))) == (223414, 64540)
    healthy = cells[:, 0] == 1
    assert (healthy & (cells[:, -1] == 1)).sum() == 8808  # with support devices
    assert not (healthy[:, None] & (cells[:, 1:-1] == 1)).any()
    frontal, _ = declared.labels_only(chexpert.layout, tmp_path)
    assert len(frontal.image_id) == 161590 + 29420 + 16 + 1
    assert np.bincount(frontal.groups[:, 2] + 1).tolist() == [0, 29420, 161590, 17]
    assert (cases.groups[:, 0] == -1).sum() == 1  # of unknown sex
    assert (cases.groups[:, 1] == -1).sum() == 3  # of 0 years


def test_google(tmp_path):
    path = published('google2019_nih-chest-xray-labels.csv.gz')
    (tmp_path / path.name).symlink_to(path)
    cases, _ = declared.labels_only(nih_google.layout, tmp_path)
    assert np.bincount(cases.split).tolist() == [0, 2414, 1962]
    assert (cases.readings[0].cells[cases.split == 2] == 1).sum(0).tolist() == [72, 195, 1135, 295]


def test_rsna(tmp_path):
    with zipfile.ZipFile(published('kaggle_stage_2_train_labels.csv.zip')) as file:
        file.extractall(tmp_path)
    headers = published('kaggle_stage_2_train_images_dicom_headers.csv.gz')
    (tmp_path / headers.name).symlink_to(headers)
    cases, found = declared.labels_only(rsna_pneumonia.layout, tmp_path)
    assert (len(cases.rows), len(cases.image_id)) == (30227, 26684)
    layout = rsna_pneumonia.layout(manual_dir=tmp_path)
    plan = regions.planned(tmp_path, cases, layout, regions.concepts_of(cases, layout), found)
    boxes = np.bincount([len(of_image) for of_image in plan])
    assert boxes.tolist() == [26684 - 6012, 2614, 3266, 119, 13]
    assert boxes @ np.arange(5) == 9555
    np.testing.assert_array_equal(cases.readings[0].cells[:, 0] == 1, [bool(of_image) for of_image in plan])
    assert np.bincount(cases.groups[:, 2]).tolist() == [14511, 12173]
    assert (cases.groups[:, 1] == -1).any()  # ages of 148 to 155 years
