"""PadChest: exact names, rules of what is left out, ids of 39 digits, 16 bits, missing and truncated files; and -GR."""

import ast
import os
from pathlib import Path

import numpy as np
import pytest
from data.miniatures import padchest as miniature

from imbalance_jax.data import reader, soundness
from imbalance_jax.data.sources import padchest, padchest_gr


def names_of(number):
    text = miniature.LABELS[number % 11]
    return set() if text == 'nan' else {one.strip() for one in ast.literal_eval(text)} - {''}


def used(number):
    names = names_of(number)
    unusable = not names or names == {'unchanged'} or names & {'exclude', 'suboptimal study'}
    return miniature.view_of(number) in padchest.FRONTAL and not unusable


@pytest.mark.parametrize('flat', [False, True])
def test_names_are_exact_and_rules_are_followed(tmp_path, flat):
    dataset = padchest.make(manual_dir=miniature.write(tmp_path, flat), image_size=20, at_least=3)
    soundness.check(dataset)
    numbers = [number for number in range(miniature.COUNT) if used(number)]
    assert sorted(dataset.image_id.tolist()) == sorted(map(miniature.image_of, numbers))
    all_names = [name for number in numbers for name in names_of(number)]
    expected = {one for one in all_names if all_names.count(one) >= 3} - set(padchest.NO_CLASS)
    assert set(dataset.classes) == expected
    assert {'nodule', 'pseudonodule', 'multiple nodules', 'pleural effusion'} <= expected
    of_image = {miniature.image_of(number): number for number in numbers}
    who = [name for _, name in dataset.info['readings']]
    for row, image in enumerate(dataset.image_id.tolist()):
        number = of_image[image]
        assert {dataset.classes[k] for k in np.flatnonzero(dataset.labels[row])} == names_of(number) & expected
        read = 'Physician' if number % 4 == 0 else 'RNN_model'
        assert (dataset.cells[who.index(read), row] >= 0).all()
        assert (dataset.cells[1 - who.index(read), row] == -3).all()
    people = {of_image[image] // 2 for image in dataset.image_id.tolist()}
    assert len(set(dataset.patient.tolist())) == len(people)
    row = dataset.image_id.tolist().index(miniature.image_of(numbers[0]))
    assert abs(dataset.images[row].mean() - miniature.pixels(numbers[0]).mean() / 257) < 1.5
    assert set(dataset.info['groups']) == {'sex', 'age', 'view', 'labels by'}
    notes = ' '.join(dataset.info['notes'])
    assert 'L 22' in notes
    assert 'only unchanged 6' in notes


def test_missing_and_truncated_files_are_named(tmp_path):
    numbers = [number for number in range(miniature.COUNT) if used(number)]
    missing, cut = numbers[3], numbers[5]
    dataset = padchest.make(
        manual_dir=miniature.write(tmp_path, absent=[missing], truncated=[cut]), image_size=20, at_least=3
    )
    assert miniature.image_of(missing) in dataset.info['problems']['missing'][0]
    assert miniature.image_of(cut) in dataset.info['problems']['unreadable'][0]
    assert len(dataset.image_id) == len(numbers) - 2


def test_what_is_no_list_is_named_with_its_line(tmp_path):
    with pytest.raises(ValueError, match="line 7: Labels is 'nodule'"):
        padchest.labels_in('nodule', 'line 7')
    (tmp_path / 'PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv').write_text('ImageID,Labels\na,b\n')
    with pytest.raises(ValueError, match='the header has no ImageDir, StudyDate_DICOM'):
        padchest.make(manual_dir=tmp_path)


def test_grounded_boxes_of_two_readers(tmp_path):
    folder = miniature.grounded(tmp_path)
    dataset = padchest_gr.make(manual_dir=folder, image_size=20, at_least=1)
    soundness.check(dataset)
    assert dataset.classes == ('atelectasis', 'cardiac')
    assert dataset.info['readers'] == ['first', 'second']
    expected, found = [], []
    for number in range(30):
        for k, (name, (group, boxes, extra)) in enumerate(miniature.FINDINGS.items()):
            if number % (k + 2) == 0:
                drawn = [('first', box) for box in boxes] + [('second', box) for box in extra]
                expected += [(miniature.image_of(number), group, who, tuple(20 * x for x in box)) for who, box in drawn]
                assert name
    for r, image in enumerate(dataset.region_image):
        who = dataset.info['readers'][dataset.region_reader[r]]
        box = tuple(np.round(dataset.region_box[r].astype(float), 4).tolist())
        found.append((str(dataset.image_id[image]), dataset.concepts[dataset.region_concept[r]], who, box))
    assert sorted(found) == sorted(expected)
    assert np.bincount(dataset.split).tolist() == [18, 6, 6]
    by_label = padchest_gr.make(manual_dir=folder, image_size=20, names='label', at_least=1)
    assert set(by_label.classes) == set(miniature.FINDINGS)


def test_counts_of_the_real_table(tmp_path):
    """Needs the table of torchxrayvision in the folder that IMBALANCE_JAX_TABLES names."""
    path = Path(os.environ.get('IMBALANCE_JAX_TABLES', ''), 'torchxrayvision', 'data')
    path = path / 'PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz'
    if not path.is_file():
        pytest.skip(f'IMBALANCE_JAX_TABLES does not name a folder with torchxrayvision/data/{path.name}.')
    rows = padchest.rows(path, leave_out=('exclude', 'suboptimal study'))
    assert len(rows['names']) == 160861
    assert len(set(rows['PatientID'])) == 67625
    assert len({name for names in rows['names'] for name in names} | set(padchest.NO_CLASS)) == 193
    assert sum(text.lower() == 'nan' for text in rows['Labels']) == 103
    (tmp_path / path.name).symlink_to(path)
    cases, _ = reader.read_tables(tmp_path, padchest.layout(100, leave_out=('exclude', 'suboptimal study')))
    assert len(cases.image_id) == 105014
