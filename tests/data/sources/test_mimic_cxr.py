"""MIMIC-CXR-JPG: labels per study on images, versions of them, views and splits."""

import numpy as np
import pytest
from data.miniatures import mimic_cxr as miniature

from imbalance_jax.data import policies, sources
from imbalance_jax.data.policies import Policy
from imbalance_jax.data.sources import mimic_cxr

CODE = {'1.0': 1, '0.0': 0, '-1.0': -1, '': -2}
FRONTAL = [image for image in miniature.IMAGES if image[3] in ('AP', 'PA')]


@pytest.mark.parametrize(('gz', 'unnamed'), [(True, False), (False, True)])
def test_studies_label_images(tmp_path, gz, unnamed):
    miniature.write(tmp_path, gz=gz, unnamed=unnamed)
    dataset = mimic_cxr.make(manual_dir=tmp_path, image_size=16)
    assert sorted(dataset.image_id.tolist()) == sorted(image[0] for image in FRONTAL)
    assert dataset.classes == miniature.CLASSES
    row = dataset.image_id.tolist().index
    for dicom, subject, study, view, split in FRONTAL:
        cells = [CODE[cell] for cell in miniature.CHEXPERT[study][1].split(',')]
        assert dataset.cells[0, row(dicom)].tolist() == cells
        assert dataset.patient[row(dicom)] == subject
        assert sources.SPLITS[dataset.split[row(dicom)]] == split.replace('validate', 'validation')
        assert dataset.info['groups']['view'][dataset.groups[row(dicom), 0]] == view
    np.testing.assert_array_equal(dataset.labels, dataset.cells[0] == 1)


def test_a_lateral_has_the_labels_of_its_study_and_what_has_none_is_named(tmp_path):
    miniature.write(tmp_path)
    dataset = mimic_cxr.make(manual_dir=tmp_path, image_size=16, views='all')
    row = dataset.image_id.tolist().index
    frontal, lateral = miniature.IMAGES[:2]
    np.testing.assert_array_equal(dataset.cells[:, row(frontal[0])], dataset.cells[:, row(lateral[0])])
    assert len(dataset.images) == 7
    (lacking,) = dataset.info['problems']['without_row_in_labels']
    assert miniature.IMAGES[7][0] in lacking


def test_versions_of_the_labels_are_readings(tmp_path):
    miniature.write(tmp_path)
    dataset = mimic_cxr.make(manual_dir=tmp_path, image_size=16)
    assert [version for version, _ in dataset.info['readings']] == ['chexpert', 'negbio', 'radiologists']
    atelectasis, opacity = (dataset.classes.index(name) for name in ('Atelectasis', 'Lung Opacity'))
    row = dataset.image_id.tolist().index
    first, second = row(miniature.IMAGES[6][0]), row(miniature.IMAGES[5][0])
    assert dataset.cells[:, first, atelectasis].tolist() == [-1, 1, 0]
    assert dataset.cells[2, second, opacity] == 1  # called Airspace Opacity there
    assert (dataset.cells[2, dataset.split != 2] == -3).all()  # the radiologists have not read these
    labels, mask = policies.apply(dataset, Policy(version='radiologists'))
    assert labels[second, opacity] == 1
    assert not mask[dataset.split != 2].any()
    chosen = mimic_cxr.make(manual_dir=tmp_path, image_size=16, labels='radiologists')
    assert sorted(chosen.image_id.tolist()) == sorted(miniature.IMAGES[k][0] for k in (5, 6))
    assert chosen.info['readings'][0][0] == 'radiologists'
    with pytest.raises(ValueError, match=r"Unknown version of the labels \(labels\) 'chexbert'"):
        mimic_cxr.make(manual_dir=tmp_path, image_size=16, labels='chexbert')
