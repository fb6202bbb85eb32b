"""BRAX: four-valued cells, ages that end in words, patients drawn for splits."""

import numpy as np
from data.miniatures import brax as miniature

from imbalance_jax.data import sources
from imbalance_jax.data.sources import brax

CODE = {'1.0': 1, '1': 1, '0': 0, '-1': -1, '-1.0': -1, '': -2}
FRONTAL = [row for row in miniature.ROWS if row[3] in ('AP', 'PA')]


def test_cells_people_and_splits(tmp_path):
    miniature.write(tmp_path)
    miniature.write(tmp_path, name='master_spreadsheet.csv')  # the older table lies there, too
    dataset = brax.make(manual_dir=tmp_path, image_size=16)
    assert len(dataset.images) == len(FRONTAL) == 43
    truth = [[CODE[cell] for cell in row[4].split(',')] for row in FRONTAL]
    order = [miniature.CLASSES.index(name) for name in dataset.classes]
    assert sorted(dataset.cells[0].tolist()) == sorted(np.array(truth)[:, order].tolist())
    patients = [set(dataset.patient[dataset.rows(split)].tolist()) for split in sources.SPLITS]
    assert all(patients)
    assert sum(map(len, patients)) == len(set.union(*patients))
    assert list(dataset.info['groups']) == ['sex', 'age', 'view', 'device']
    ages = np.bincount(dataset.groups[:, 1] + 1, minlength=4)
    assert ages.tolist() == [0, 1, 40, 2]  # 35; 40 of 40 years; 60, and '85 or more'
    assert dataset.info['groups']['device'] == ['GE', 'Philips']
    assert np.bincount(dataset.groups[:, 3]).tolist() == [2, 41]


def test_all_views(tmp_path):
    miniature.write(tmp_path, name='master_spreadsheet.csv')
    dataset = brax.make(manual_dir=tmp_path, image_size=16, views='all')
    assert len(dataset.images) == len(miniature.ROWS)
    assert (dataset.groups == -1).any(0).tolist() == [True, True, True, False]  # one row says nothing of its patient
