"""CXR-LT of 2023, 2024 and 2026, and MIMIC-CXR-LT, against the miniature's own rule for each label."""

import numpy as np
import pytest
from data.miniatures import cxr_lt as miniature
from data.miniatures import mimic_cxr

from imbalance_jax.data import sources
from imbalance_jax.data.sources import cxr_lt, declared

IMAGES = [image[0] for image in mimic_cxr.IMAGES]


@pytest.fixture
def folder(tmp_path):
    mimic_cxr.write(tmp_path)
    for write in (
        miniature.write_2023,
        miniature.write_2024,
        miniature.write_multi_label,
        miniature.write_single_label,
    ):
        write(tmp_path)
    return tmp_path


def splits(dataset):
    return [sorted(IMAGES.index(name) for name in dataset.image_id[dataset.rows(s)].tolist()) for s in sources.SPLITS]


@pytest.mark.parametrize(
    ('version', 'task', 'classes', 'columns', 'in_split'),
    [
        ('2023', 1, miniature.CLASSES_2023, miniature.CLASSES_2023, [[0, 1, 2], [3, 4], [5, 6, 7]]),
        ('2024', 1, miniature.classes_2024(), miniature.classes_2024(), [[0, 1, 2, 5], [3, 6], [4, 7]]),
        ('multi-label', 1, miniature.LT_19, miniature.LT_19, [[0, 1, 2], [3, 4], [5, 6, 7]]),
    ],
)
def test_classes_labels_and_splits(folder, version, task, classes, columns, in_split):
    dataset = cxr_lt.make(manual_dir=folder, image_size=16, version=version, task=task)
    assert sorted(dataset.classes) == sorted(classes)
    assert splits(dataset) == in_split
    for row, name in enumerate(dataset.image_id.tolist()):
        flags = dict(zip(columns, miniature.flags(IMAGES.index(name), columns), strict=True))
        assert dataset.labels[row].tolist() == [flags[one] for one in dataset.classes]
        assert dataset.patient[row] == mimic_cxr.IMAGES[IMAGES.index(name)][1]
    assert dataset.label_mask.all()


def test_numbers_of_classes(folder):
    counts = {1: 40, 2: 26, 3: 5}
    for task, count in counts.items():
        dataset = cxr_lt.make(manual_dir=folder, image_size=16, version='2024', task=task)
        assert len(dataset.classes) == count
        assert ('Normal' in dataset.classes) == (task < 3)
        assert 'No Finding' not in dataset.classes
    assert not len(dataset.rows('train'))  # nobody labelled the unseen classes for training
    assert len(set(miniature.classes_2024()) | set(miniature.ZERO_SHOT)) == 45
    with pytest.raises(ValueError, match=r"Unknown task of 2024 \(task\) '4'. Known: 1, 2, 3"):
        cxr_lt.make(manual_dir=folder, image_size=16, version='2024', task=4)


def test_one_class_per_image(folder):
    dataset = cxr_lt.make(manual_dir=folder, image_size=16, version='single-label')
    assert dataset.info['task'] == 'multi_class'
    assert (dataset.labels.sum(1) == 1).all()
    assert [IMAGES.index(name) for name in dataset.image_id] == dataset.labels.argmax(1).tolist()
    balanced = cxr_lt.make(manual_dir=folder, image_size=16, version='single-label', test='balanced-test')
    assert splits(balanced)[2] == [5, 6]


def test_tables_may_lie_elsewhere_and_views_are_chosen(tmp_path):
    mimic_cxr.write(tmp_path / 'images')
    miniature.write_2023(tmp_path / 'tables')
    options = {'manual_dir': tmp_path / 'images', 'labels_dir': str(tmp_path / 'tables'), 'image_size': 16}
    assert splits(cxr_lt.make(**options))[0] == [0, 1, 2]
    assert splits(cxr_lt.make(**options, views='frontal'))[0] == [0, 2]
    assert set(map(str, cxr_lt.files_of(**options).values())) >= {
        str(tmp_path / 'tables' / 'cxr-lt-2023' / 'train.csv')
    }
    with pytest.raises(FileNotFoundError, match=r'tables has no train_labeled\.csv'):
        cxr_lt.make(**options, version='2024')


def test_rounded_patients_are_refused_and_whole_ones_are_kept_apart(tmp_path):
    miniature.write_2026(tmp_path)
    with pytest.raises(ValueError, match=r'3\.2426415967393e\+38.*rounded to a floating-point number'):
        cxr_lt.make(manual_dir=tmp_path, image_size=16, version='2026')
    table = tmp_path / 'CXRLT_2026_training.csv'
    one, other = (f'3242641596739345678901234567890123456{digit}' for digit in ('78', '79'))
    text = table.read_text().replace('3.2426415967393e+38', one, 1).replace('3.2426415967393e+38', other, 1)
    table.write_text(text)
    dataset = cxr_lt.make(manual_dir=tmp_path, image_size=16, version='2026', validation_fraction=0.0)
    assert (len(one), float(one)) == (39, float(other))
    assert len(np.unique(dataset.patient)) == 2
    assert dataset.classes == ('Normal', 'aortic elongation', 'cardiomegaly')
    assert sorted(dataset.labels.tolist()) == [[0, 1, 1], [1, 0, 0]]


def test_classes_of_2026_are_called_as_its_table_calls_them(tmp_path):
    (tmp_path / 'CXRLT_2026_training.csv').write_text(
        'PatientID,ImageID,StudyID,pleural thickening,Mass\n1,a.png,s,1,0\n'
    )
    cases, _ = declared.labels_only(cxr_lt.layout, tmp_path, version='2026')
    assert cases.classes == ('pleural thickening', 'Mass')
    assert cases.readings[0].cells.tolist() == [[1, 0]]
