"""Files that are the rows themselves, with tables of patients or studies beside them, of several files each."""

import pytest
from data.reader.folders import doubts_with, loaded, of, picture, regions_of, table

DERIVE = {'derive': {'ID': ('path', r'^(P\d+)/', r'\1')}}


@pytest.fixture
def scans(tmp_path):
    """Four patients with two films each, and a fifth whom no table has."""
    for patient in range(5):
        for film in range(2):
            picture(tmp_path / f'P{patient}' / 'study' / f'{patient}{film}.png')
    table(tmp_path, 'ID,Age,finding\nP0,40,mass\nP1,50,none\nP2,60,mass\nP3,70,none\nP9,30,mass\n')
    return tmp_path


def test_a_table_of_patients_is_joined_to_their_files(scans):
    tables = {'file': 't.csv', 'on': ('ID',)}
    patient, groups = {'pattern': r'^(P\d+)/'}, {'age': {'column': 'Age', 'bands': (55,)}}
    dataset = loaded(scans, tables=tables, images=DERIVE, patient=patient, groups=groups)
    assert len(dataset.images) == 10
    has_mass = {name for name, row in zip(dataset.image_id, dataset.labels, strict=True) if row[0]}
    assert {name[:2] for name in has_mass} == {'00', '01', '20', '21'}
    assert [len(set(dataset.patient[[of(dataset, f'{p}{film}.png') for film in range(2)]])) for p in range(5)] == [
        1
    ] * 5
    assert len(doubts_with(dataset, '2 of 10 rows have none in t.csv (on ID)')) == 1


def test_a_row_that_is_needed_leaves_the_others_out(scans):
    dataset = loaded(scans, tables={'file': 't.csv', 'on': ('ID',), 'needed': True}, images=DERIVE)
    assert len(dataset.images) == 8
    assert len(dataset.info['problems']['without_row_in_t.csv']) == 2


def test_tables_that_are_asked_by_name_say_nothing_of_which_images_there_are(scans):
    """Regions of some files, whose table has several rows each; films that it has none of are negatives."""
    table(scans, 'film,x,y,w,h\n00,1,1,4,4\n00,8,8,4,4\n21,2,2,4,4\n', name='boxes.csv')
    dataset = loaded(
        scans,
        tables={'file': 'boxes.csv', 'name': 'boxes'},
        images={},
        labels={'regions': True},
        regions={
            'table': 'boxes',
            'on': ('stem=film',),
            'concept': 'mass',
            'box': ('x', 'y', 'w', 'h'),
        },
    )
    assert len(dataset.images) == 10
    assert dataset.labels.sum() == 2
    assert dataset.label_mask.all()
    assert {name[:2] for name in regions_of(dataset)} == {'00', '21'}


def test_a_table_that_names_no_files_is_told_what_it_lacks(scans):
    with pytest.raises(
        ValueError, match=r'images\.file says which column of t\.csv names files, of ID, Age, finding; or'
    ):
        loaded(scans, tables='t.csv', images={})
