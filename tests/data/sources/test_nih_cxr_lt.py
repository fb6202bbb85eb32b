"""Other label tables on NIH's images: NIH-CXR-LT in both spellings, and Google's adjudicated labels."""

import pytest
from data.miniatures import nih as miniature
from data.miniatures.films import table

from imbalance_jax.data import sources
from imbalance_jax.data.sources import nih_cxr_lt, nih_google, nih_tables


def test_several_labels_per_image(tmp_path):
    miniature.write_lt(tmp_path)
    dataset = nih_cxr_lt.make(manual_dir=tmp_path, image_size=16)
    assert dataset.classes == miniature.LT_CLASSES
    assert [dataset.patient[dataset.rows(split)].tolist() for split in sources.SPLITS] == [[1, 2, 3], [4, 5], [6, 7]]
    for patient, labels in zip(dataset.patient.tolist(), dataset.labels.tolist(), strict=True):
        assert labels == [int((k + 1) % (patient + 2) == 0) for k in range(20)]


def test_one_label_per_image_in_the_other_spelling(tmp_path):
    miniature.write_single_label(tmp_path)
    dataset = nih_cxr_lt.make(manual_dir=tmp_path, image_size=16, version='single-label')
    assert dataset.classes == miniature.LT_CLASSES  # Pleural Thickening, though the table writes Pleural_Thickening
    assert dataset.labels.argmax(1).tolist() == dataset.patient.tolist()
    assert dataset.info['task'] == 'multi_class'
    balanced = nih_cxr_lt.make(manual_dir=tmp_path, image_size=16, version='single-label', test='balanced-test')
    assert balanced.patient[balanced.rows('test')].tolist() == [6, 8]


def test_boxes_and_people_of_nihs_own_tables(tmp_path):
    miniature.write_lt(tmp_path)
    boxes = [f'{miniature.name_of(6)},Infiltrate,512,256,256,128', f'{miniature.name_of(99)},Mass,1,2,3,4']
    table(tmp_path / 'BBox_List_2017.csv', [nih_tables.BOX_HEADER + ',,,', *(f'{box},,,' for box in boxes)])
    header = miniature.GOOGLE_HEADER.split(',Fracture')[0]
    rows = [f'{miniature.name_of(i)},Mass,0,{i},{30 * i},{"FM"[i % 2]},PA,1,1,0.1,0.1' for i in range(1, 8)]
    table(tmp_path / 'Data_Entry_2017_v2020.csv', [header, *rows])
    dataset = nih_cxr_lt.make(manual_dir=tmp_path, image_size=16)
    assert [dataset.concepts[k] for k in dataset.region_concept] == ['Infiltration']
    assert dataset.region_box.tolist() == [[8, 4, 12, 6]]
    assert dataset.image_id[dataset.region_image].tolist() == [miniature.name_of(6)]
    assert dataset.groups[:, 0].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert dataset.groups[:, 1].tolist() == [0, 2, 2, 2, -1, -1, -1]  # 150 years are a mistake


def test_adjudicated_labels(tmp_path):
    miniature.write_google(tmp_path)
    dataset = nih_google.make(manual_dir=tmp_path, image_size=16)
    assert dataset.classes == ('Fracture', 'Pneumothorax', 'Airspace opacity', 'Nodule or mass')
    row = dataset.image_id.tolist().index
    for name, _, cells, split in miniature.GOOGLE:
        assert dataset.labels[row(name)].tolist() == [int(cell == 'YES') for cell in cells.split(',')]
        assert sources.SPLITS[dataset.split[row(name)]] == {'val': 'validation', 'test': 'test'}[split]
    assert dataset.label_mask.all()


def test_a_bad_version_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown version \(version\) 'multi'. Did you mean 'multi-label'"):
        nih_cxr_lt.make(manual_dir=tmp_path, image_size=16, version='multi')
