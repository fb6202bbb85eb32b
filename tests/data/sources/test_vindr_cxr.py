"""VinDr-CXR: a reading per reader, boxes per reader, the consensus of the test, Kaggle's copy of another size."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from data.miniatures import vindr

from imbalance_jax.data import reader, soundness
from imbalance_jax.data.sources import vindr_cxr


def expected_cells(image, who, classes):
    if who not in vindr.readers_of(image):
        return [-3] * len(classes)
    return [int(name in vindr.says(image, who)) for name in classes]


def test_physionet_has_a_reading_per_reader_and_a_consensus(tmp_path):
    pytest.importorskip('pydicom')
    dataset = vindr_cxr.make(manual_dir=vindr.physionet(tmp_path), image_size=24)
    soundness.check(dataset)
    assert len(dataset.classes) == 27
    assert len(vindr_cxr.LOCAL) == 22
    assert 'No finding' not in dataset.classes
    assert 'Other diseases' in dataset.classes
    who = [name for _, name in dataset.info['readings']]
    assert set(who) == {'', *vindr.READERS}
    for row, image in enumerate(dataset.image_id.tolist()):
        for a, name in enumerate(who):
            cells = dataset.cells[a, row].tolist()
            if image in vindr.TRAIN and name:
                assert cells == expected_cells(image, name, dataset.classes)
            elif image in vindr.TEST and not name:
                found = [*vindr.says(image, 'R8'), 'Other diseases']
                assert cells == [int(one in found) for one in dataset.classes]
            else:
                assert cells == [-3] * 27
        if image in vindr.TRAIN:
            votes = [expected_cells(image, name, dataset.classes) for name in vindr.readers_of(image)]
            assert dataset.labels[row].tolist() == (np.sum(votes, 0) >= 2).astype(int).tolist()
    assert (dataset.split[np.isin(dataset.image_id, vindr.TEST)] == 2).all()
    assert (dataset.split[np.isin(dataset.image_id, vindr.TRAIN)] < 2).all()


def test_boxes_are_each_readers_own_in_prepared_pixels(tmp_path):
    pytest.importorskip('pydicom')
    dataset = vindr_cxr.make(manual_dir=vindr.physionet(tmp_path), image_size=24)
    check_boxes(dataset, {*vindr.TRAIN})
    tests = np.isin(dataset.image_id[dataset.region_image], vindr.TEST)
    assert tests.any()
    assert (dataset.region_reader[tests] == -1).all()


def check_boxes(dataset, images):
    found = set()
    for r, image in enumerate(dataset.region_image):
        name = str(dataset.image_id[image])
        if name in images:
            who = dataset.info['readers'][dataset.region_reader[r]]
            concept = dataset.concepts[dataset.region_concept[r]]
            x0, y0, x1, y1 = vindr.says(name, who)[concept]
            height, width = vindr.SIZE
            expected = np.array([x0 / width, y0 / height, x1 / width, y1 / height]) * 24
            np.testing.assert_allclose(dataset.region_box[r], expected, atol=1e-4)
            found.add((name, who, concept))
    told = {
        (image, who, concept)
        for image in images
        for who in vindr.readers_of(image)
        for concept, box in vindr.says(image, who).items()
        if box
    }
    assert found == told


def test_monochrome1_is_inverted_once(tmp_path):
    pytest.importorskip('pydicom')
    dataset = vindr_cxr.make(manual_dir=vindr.physionet(tmp_path), image_size=48)
    for image in vindr.TRAIN[:4]:
        raw = vindr.pixels(image, *vindr.SIZE).astype(float).mean() * 16 / 4095 * 255
        row = dataset.image_id.tolist().index(image)
        expected = 255 - raw if int(image, 16) % 4 == 3 else raw
        assert abs(dataset.images[row].mean() - expected) < 1.5


@pytest.mark.parametrize('scale', [1, 2])
def test_kaggle_with_copies_of_another_size(tmp_path, scale):
    dataset = vindr_cxr.make(manual_dir=vindr.kaggle(tmp_path, scale), image_size=24)
    soundness.check(dataset)
    assert dataset.classes == vindr_cxr.KAGGLE
    check_boxes(dataset, {*vindr.TRAIN})
    assert dataset.source_size[0].tolist() == [48 // scale, 40 // scale]


def test_counts_of_the_real_table(tmp_path):
    """Needs Kaggle's train.csv, gzipped as torchxrayvision ships it, in the folder that IMBALANCE_JAX_TABLES names."""
    path = Path(os.environ.get('IMBALANCE_JAX_TABLES', ''), 'torchxrayvision', 'data', 'vinbigdata-train.csv.gz')
    if not path.is_file():
        pytest.skip('IMBALANCE_JAX_TABLES does not name a folder with torchxrayvision/data/vinbigdata-train.csv.gz.')
    (tmp_path / 'train.csv').write_bytes(gzip.decompress(path.read_bytes()))
    cases, _ = reader.read_tables(tmp_path, vindr_cxr.layout(tmp_path))
    cells = np.stack([one.cells for one in cases.readings])
    votes, read = (cells == 1).sum(0), (cells >= 0).sum(0)
    assert len(cases.rows) == 67914
    assert cells.shape[1:] == (15000, 14)
    assert (read == 3).all()
    assert (votes.sum(1) == 0).sum() == 10606
    assert sum(text != '' for text in cases.rows.columns['x_min']) == 36096
    expected = {
        'Aortic enlargement': (3067, 2346, 1744),
        'Cardiomegaly': (2300, 1817, 1297),
        'Pleural thickening': (1981, 882, 365),
        'Pulmonary fibrosis': (1617, 1017, 633),
        'Lung Opacity': (1322, 547, 167),
        'Other lesion': (1134, 362, 127),
        'Pleural effusion': (1032, 634, 439),
        'Nodule/Mass': (826, 405, 181),
        'Infiltration': (613, 245, 91),
        'Calcification': (452, 177, 57),
        'ILD': (386, 152, 71),
        'Consolidation': (353, 121, 31),
        'Atelectasis': (186, 62, 18),
        'Pneumothorax': (96, 58, 45),
    }
    for k, name in enumerate(cases.classes):
        assert tuple(int((votes[:, k] >= least).sum()) for least in (1, 2, 3)) == expected[name]
