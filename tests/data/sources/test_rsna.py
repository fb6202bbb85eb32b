"""The RSNA challenge: one row per box, ids that are images and not patients, three classes."""

import logging

import numpy as np
import pytest
from data.miniatures import rsna as miniature
from data.miniatures.films import pixels

from imbalance_jax.data.sources import rsna_pneumonia

pytest.importorskip('pydicom', reason='DICOM files are read by pydicom, an extra')
SIDE = miniature.SIDE


def test_boxes_pixels_and_patients_by_the_map(tmp_path):
    miniature.write(tmp_path)
    dataset = rsna_pneumonia.make(manual_dir=tmp_path, image_size=SIDE)
    names = {nih: (name, kind, boxes) for name, nih, kind, boxes in miniature.CASES}
    assert sorted(dataset.image_id.tolist()) == sorted(names)
    assert dataset.classes == dataset.concepts == ('Lung Opacity',)
    for row, nih in enumerate(dataset.image_id.tolist()):
        name, kind, boxes = names[nih]
        assert dataset.labels[row, 0] == (kind == 'Lung Opacity')
        assert dataset.patient[row] == int(nih[:8])
        np.testing.assert_array_equal(dataset.images[row, :, :, 0], pixels(name, SIDE, SIDE))
        mine = dataset.region_box[dataset.region_image == row] * 1024 / SIDE
        np.testing.assert_allclose(
            sorted(mine.tolist()), sorted([x, y, x + w, y + h] for x, y, w, h in boxes), rtol=1e-5
        )
    assert {len(set(dataset.split[dataset.patient == one].tolist())) for one in (1, 2)} == {1}


def test_three_classes_and_duplicate_rows(tmp_path):
    miniature.write(tmp_path)
    dataset = rsna_pneumonia.make(manual_dir=tmp_path, image_size=16, classes='three')
    assert dataset.info['task'] == 'multi_class'
    assert dataset.labels.sum(0).tolist() == [41, 1, 2]
    assert (dataset.labels.sum(1) == 1).all()
    assert [dataset.concepts[k] for k in dataset.region_concept] == ['Lung Opacity'] * 3
    with pytest.raises(ValueError, match=r"Unknown kind of classes \(classes\) 'two'"):
        rsna_pneumonia.make(manual_dir=tmp_path, image_size=16, classes='two')


def test_without_the_map_every_image_is_a_patient_and_that_is_said(tmp_path, caplog):
    miniature.write(tmp_path, mapped=False)
    with caplog.at_level(logging.WARNING):
        dataset = rsna_pneumonia.make(manual_dir=tmp_path, image_size=16)
    assert 'whose images these are is unknown' in caplog.text
    assert len(np.unique(dataset.patient)) == len(dataset.images) == len(miniature.CASES)
    assert any('patient of its own' in note for note in dataset.info['notes'])
