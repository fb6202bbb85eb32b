"""What texts mean: cells, identifiers, lists, patterns; and which file a path means."""

import numpy as np
import pytest

from imbalance_jax.data.reader import paths, spelling


@pytest.mark.parametrize(
    'texts', [('1', '1.0', '1,0', ' 1 '), ('Yes', 'YES', ' yes'), ('-1', '-1.0'), ('0', '0.0', '-0')]
)
def test_equal_meanings_are_equal(texts):
    assert len({spelling.canonical(text) for text in texts}) == 1


def test_long_identifiers_stay_apart():
    one, other = '216840111366964012819207061112010307142602253', '216840111366964012819207061112010307142602254'
    numbers = spelling.numbers_of([one, other, one])
    assert numbers.dtype == np.int64
    assert numbers[0] != numbers[1]
    assert numbers[0] == numbers[2] == spelling.numbers_of([one])[0]  # whoever else is there
    assert (numbers >= 0).all()


def test_numbers_are_themselves_and_leading_zeros_matter():
    assert spelling.numbers_of(['7', '12'])[0] == 7
    assert len(set(spelling.numbers_of(['7', '007', '07']).tolist())) == 3


def test_rounded_identifiers_are_refused():
    with pytest.raises(ValueError, match=r'3\.24E\+38 is an identifier that was rounded'):
        spelling.numbers_of(['12', '3.24E+38'])
    assert len(set(spelling.numbers_of(['1234e567', '12e45678', '3E10']).tolist())) == 3  # hashes are not


def test_a_comma_between_thousands_is_told_from_a_decimal_one():
    assert spelling.grouped(['12', '1,024', '800']) == '1,024'
    assert spelling.grouped(['12', '1,024,000']) == '1,024,000'
    for decimal in (['1,024', '12,5', '7'], ['1,024', '2,048'], ['12', '800'], ['']):
        assert not spelling.grouped(decimal)


def test_close_numbers_are_not_one():
    assert spelling.canonical('1234.567') != spelling.canonical('1234.568')


@pytest.mark.parametrize(
    ('cell', 'separator', 'names'),
    [
        ('a|b', '|', ['a', 'b']),
        ("['cardiomegaly', ' pneumonia']", 'list', ['cardiomegaly', 'pneumonia']),
        ('["a, b", "c"]', 'list', ['a, b', 'c']),
        ('[]', 'list', []),
        ('nan', 'list', []),
        ('', '', []),
        ('one, whole', '', ['one, whole']),
        (['a', 'b'], 'list', ['a', 'b']),
    ],
)
def test_names_in_a_cell(cell, separator, names):
    assert spelling.names_in(cell, separator, 'here') == names


def test_a_list_that_is_none_is_named():
    with pytest.raises(ValueError, match=r't\.csv, line 2: .* is no list'):
        spelling.names_in("['a', ", 'list', 't.csv, line 2')


def test_patterns_are_filled_in():
    values = {'subject_id': '10000032', 'Image Index': 'x.png', 'n': '3.0'}
    assert spelling.fill('files/p{subject_id:.2}/p{subject_id}/{Image Index}', values) == 'files/p10/p10000032/x.png'
    assert spelling.fill('{n}', values) == '3'
    with pytest.raises(ValueError, match="Did you mean 'subject_id'"):
        spelling.fill('{subject}', values)


FILES = paths.index(
    ['v 1 (train 2)/patient1/study1/a.jpg', 'train/patient2/study1/a.jpg', 'b/C.PNG', 'b/d.dicom', 'e/d.png']
)


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('CheXpert-v1.0/train/patient1/study1/a.jpg', 'v 1 (train 2)/patient1/study1/a.jpg'),
        ('C:\\data\\train\\patient2\\study1\\a.jpg', 'train/patient2/study1/a.jpg'),
        ('/absolute/b/c.png', 'b/C.PNG'),
        ('C', 'b/C.PNG'),
        ('c.jpg', 'b/C.PNG'),  # a copy that was converted
        ('b/d', 'b/d.dicom'),
        ('d.dicom', 'b/d.dicom'),
        ('nothing.png', None),
    ],
)
def test_files_are_found_by_their_path_from_the_end(text, found):
    positions, _ = paths.find(FILES, text)
    assert [FILES.paths[one] for one in positions] == ([found] if found else [])


def test_a_name_that_two_files_have_is_not_guessed():
    assert len(paths.find(FILES, 'study1/a.jpg')[0]) > 1
    assert len(paths.find(FILES, 'd')[0]) > 1


def test_names_have_as_many_folders_as_they_need():
    assert paths.unique_names(['x/a.png', 'y/b.png']) == ['a.png', 'b.png']
    assert paths.unique_names(['p/x/a.png', 'p/y/a.png']) == ['x/a.png', 'y/a.png']
