"""Patients whose identifiers differ in spelling alone."""

import numpy as np
import pytest
from data.reader.guessing import pictures

from imbalance_jax.data import sources
from imbalance_jax.data.reader import groupings, people
from imbalance_jax.data.reader.layout import Patient
from imbalance_jax.data.reader.rows import Found, as_rows

TRAIN, TEST = 0, 2


def notes_of(patient, split):
    found = Found()
    people.say_alike(patient, np.array(split, np.uint8), found)
    return found.notes


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('P0', 'p0'),
        ('7', '007'),
        ('P7', 'P07'),
        ('Z\u00e9', 'Ze\u0301'),
        ('Z 1', 'Z\u00a01'),
        ('Z1', 'Z1\u200b'),
        ('Z1', '\uff3a1'),
        ('P07', 'p-007'),
        ('P07', 'P_7'),
        ('000008', '#000008'),
        ('P7', "'P7"),
    ],
)
def test_one_person_in_two_spellings_and_splits_is_named(one, other):
    (note,) = notes_of([one, 'x', other, 'y', other], [TRAIN, TRAIN, TEST, TEST, TEST])
    assert f'{one!a} (train) and {other!a} (test)' in note
    (note,) = notes_of([one, 'x', other], [TRAIN, TEST, TRAIN])  # two units of every interval
    assert f'{one!a} (train) and {other!a} (train)' in note


def test_other_people_are_not_named():
    assert not notes_of(['p-1-2', 'p-12'], [TRAIN, TEST])
    assert not notes_of(['?', '#', '#1-2', '#12'], [TRAIN, TEST, TRAIN, TEST])
    assert not notes_of(['1', '10', '100', '2', 'a1', 'b1', '0'], [TRAIN, TEST, TRAIN, TEST, TRAIN, TEST, TEST])
    assert not notes_of(['image a01.png', 'image a1.png'], [TRAIN, TEST])
    assert '; there are 1 more such pairs' in notes_of(['a', 'A', 'b', 'B'], [TRAIN, TEST] * 2)[0]


def doubts_of(patient, split=None):
    found = Found()
    people.doubt_additions(patient, np.array([TRAIN] * len(patient) if split is None else split, np.uint8), found)
    return found.doubts


@pytest.mark.parametrize(
    'name',
    ['P07/1', 'P07.0', 'P07_1', 'P07 (neu)', 'P07 - Copy', 'P07-T1', 'P07&nbsp;', 'P07,', 'PO7', 'ID P07', 'pat-P07'],
)
def test_one_patient_with_an_addition_is_doubted(name):
    twelve = [f'P{k:02d}' for k in range(12)]
    assert doubts_of([*twelve, name, name]) == [
        f"Is this one person, called in two ways, who counts as two? {name!r} beside 'P07'."
    ]


@pytest.mark.parametrize(
    'names',
    [
        [f'P{k}' for k in range(1, 13)],
        [*(f'P{k:02d}' for k in range(12)), 'P07a', 'P99_1'],
        [*(f'P{k:02d}' for k in range(12)), *(f'P{k:02d}_1' for k in range(4))],  # such as are called so
        [f'patient{k:05d}_study{of}' for k in range(6) for of in (1, 2)],
        [f'TCGA-{k:02d}-{1234 + k}' for k in range(12)],
        [f'1.2.840.{k}' for k in range(12)] + [f'1.2.840.{k}.{k}' for k in range(4)],
        [*'abcdefgh', 'a-b', 'Ann', 'Ann Lee'],
        ['Ann', 'Bea', 'Cid', 'Dov', 'Eve', 'Fay', 'Gus', 'Ann-Lou'],
        [f'{k:x}{k * k:x}' for k in range(40)],
        ['P07', 'P07/1'],
        [*map(str, range(101, 113)), 'L01'],
        ['image P07.png', 'image P07.png_1', *(f'P{k:02d}' for k in range(12))],
    ],
)
def test_other_people_called_nearly_alike_are_not_doubted(names):
    assert not doubts_of(names)


def test_a_patient_of_two_spellings_and_splits_is_said_once():
    names = [*(f'P{k:02d}' for k in range(12)), 'P07,']
    split = [TRAIN] * 12 + [TEST]
    assert (len(notes_of(names, split)), len(doubts_of(names, split)), len(doubts_of(names))) == (1, 0, 1)


@pytest.mark.parametrize('name', ['--', '?', '/'])
def test_one_image_of_a_patient_of_signs_is_doubted(name):
    found = Found()
    people.doubt_nobody([name] + [f'P{k:02d}' for k in range(6)] * 2, Patient(column='p'), found)
    assert found.doubts == [f'Is this one person? {name} with 1 image; leave the cell empty where the patient is not '
                            'known.']  # fmt: skip


@pytest.mark.parametrize('name', ['unknown', 'UNK', 'Anonymous', '-1', '999', '?', 'xxx', 'a real one'])
def test_a_patient_who_seems_to_be_nobody_is_doubted(name):
    found = Found()
    people.doubt_nobody([name] * 8 + list('abcdef'), Patient(column='p'), found)
    assert found.doubts == [f'Is this one person? {name} with 8 images; leave the cell empty where the patient is not '
                            'known.']  # fmt: skip


@pytest.mark.parametrize('name', ['dummy', '0', '00', '/', '...', 'none given', 'REDACTED'])
def test_a_patient_who_is_called_like_no_other_is_doubted(name):
    found = Found()
    people.doubt_nobody([name] * 3 + [f'P{k:02d}' for k in range(6)] * 2, Patient(column='p'), found)
    assert found.doubts == [f'Is this one person? {name} with 3 images; leave the cell empty where the patient is not '
                            'known.']  # fmt: skip


@pytest.mark.parametrize(
    'names',
    [
        range(12),
        'abcdefgh',
        [f'P{k}' for k in range(9)],
        ['Ann', *(f'P{k}' for k in range(4))],
        ['qwert', *('a1', '1a') * 4],
        ['I', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X'],
        [-k for k in range(1, 11)],
    ],
)
def test_people_of_other_names_are_nobody_s_doubt(names):
    found = Found()
    people.doubt_nobody([*map(str, names)] * 2, Patient(column='p'), found)
    assert not found.doubts


def test_people_with_many_images_are_nobody_s_doubt():
    found = Found()
    people.doubt_nobody(['a'] * 6 + ['b'] * 4 + list('cdefgh'), Patient(column='p'), found)
    people.doubt_nobody(['a'] * 9 + ['b'], Patient(column='p'), found)  # of two, one has more
    people.doubt_nobody(['unknown', *'abcdef'], Patient(), found)
    people.doubt_nobody([str(n % 120) for n in range(240)], Patient(column='p'), found)  # 9 and 99 are numbers
    assert not found.doubts
    assert not found.notes
    people.doubt_nobody(list('abcdef'), Patient(column='p'), found)
    assert found.notes == ['No patient has two images (patient): 6 of 6.']


@pytest.mark.parametrize(
    ('text', 'years'),
    [
        ('58', 58),
        ('058Y', 58),
        ('85 or more', 85),
        ('>89', 89),
        ('5 years 3 months', 5.25),
        ('4 5', None),
        ('45 months', 3.75),
        ('73 days', 0.2),
        ('26 weeks', 0.5),
        ('18 m', 1.5),
        ('61 yrs. old', 61),
        ('7 males', 7),
    ],
)
def test_ages(text, years):
    found = groupings.age(text)
    assert found == pytest.approx(years) if years else np.isnan(found)


def test_sides_that_count_as_people_are_doubted():
    found = Found()
    people.doubt_sides([f'P{i // 2:02d}_{side}' for i in range(8) for side in 'LR'], found)
    (said,) = found.doubts
    assert said.startswith('Patients are called by sides, 4 of them by both (P00_L and P00_R, P01_L and P01_R, P02_L')
    for names in ([f'P{i:02d}' for i in range(8)], [f'P{i:02d}L' for i in range(8)], ['1l', '1r', *'abcdefgh']):
        found = Found()
        people.doubt_sides(names, found)
        assert not found.doubts


def test_a_pattern_that_ends_within_a_number_is_doubted():
    names = [f'p{i}_{k}.png' for i in range(12) for k in range(2)]
    rows = as_rows({'path': np.array(names, object)}, 't')
    for pattern, said in ((r'p([0-9])', True), (r'p([0-9]+)', False)):
        found = Found()
        people.patients(rows, np.arange(24), names, Patient(pattern=pattern), found)
        assert bool(found.doubts) == said
    assert not found.doubts


def grouped(tmp_path, cells, **rule):
    """The `info` of a set of twelve images, grouped by these cells."""
    pictures(tmp_path / 'set', [f'{i}.png' for i in range(12)])
    rows = ''.join(f'{i}.png,{i % 2},{cell}\n' for i, cell in enumerate(cells))
    (tmp_path / 'set' / 't.csv').write_text(f'image,mass,who\n{rows}')
    block = {'reader': 'folder', 'path': str(tmp_path / 'set'), 'tables': 't.csv', 'images': 'image'}
    block |= {'labels': ('mass',), 'groups': {'who': {'column': 'who', **rule}}}
    return sources.load('mine', tmp_path / 'data', {**block, 'image_size': 16}).info


def test_a_grouping_that_no_image_has_is_doubted(tmp_path):
    info = grouped(tmp_path, [''] * 12, values={'female': ('F',), 'male': ('M',)})
    assert 'No image is in a group of who: what says it is not read, or empty.' in info['doubts']


def test_bands_of_negative_numbers_and_blank_cells(tmp_path):
    info = grouped(tmp_path, ['', *(-3.5 + i / 4 for i in range(1, 12))], bands=(-2.5, -1))
    assert info['groups']['who'] == ['under -2.5', '-2.5 to below -1', '-1 and over']
    assert [one for one in info['notes'] if 'no group' in one] == [
        '1 of 12 images are in no group of who, as the cell is blank.'
    ]


@pytest.mark.parametrize(('other', 'meant'), [('l03', '103'), ('I03', '103'), ('1O3', '103')])
def test_letters_that_look_like_digits_are_doubted_wherever_they_stand(other, meant):
    found = Found()
    names = [*map(str, range(101, 113)), other]
    people.doubt_additions(names, np.array([TRAIN] * len(names), np.uint8), found)
    assert found.doubts == [f'Is this one person, called in two ways, who counts as two? {other!r} beside {meant!r}.']


@pytest.mark.parametrize('odd', ['P001', '001', '\u0420001', 'AOO1', 'A00l'])
def test_people_of_two_sites_who_look_alike_are_said(odd):
    names = [f'A{i:03d}' if i < 6 else f'P{i:03d}' for i in range(12)] + ['P001', odd]
    found = Found()
    split = np.zeros(len(names), np.uint8)
    people.say_alike(names, split, found)
    people.doubt_additions(names, split, found)
    said = [one for one in (*found.notes, *found.doubts) if ascii(odd) in one]
    assert bool(said) == (odd != 'P001'), said


def test_codes_of_a_sex_and_groups_that_look_alike(tmp_path):
    def groups_of(column, values):
        folder = tmp_path / f'{column}{len(list(tmp_path.iterdir()))}'
        pictures(folder, [f'{i}.png' for i in range(24)])
        rows = [f'{i}.png,P{i // 2},{i % 2},{values[i // 2 % len(values)]}' for i in range(24)]
        (folder / 't.csv').write_text(f'image,patient,mass,{column}\n' + '\n'.join(rows))
        block = {'tables': 't.csv', 'images': 'image', 'labels': ('mass',), 'patient': 'patient'}
        block |= {'groups': {column: column}, 'split': {'stratify': False}}
        made = sources.load(
            'mine', tmp_path / 'made', {'reader': 'folder', 'path': str(folder), **block, 'image_size': 16}
        )
        return made.info['groups'][column], [one for one in made.info.get('doubts', []) if column in one]

    for code in ('0', '9', '-9', '.'):
        assert 'is not known' in groups_of('sex', ('M', 'F', code))[1][0]
    assert groups_of('sex', ('M', 'F')) == (['F', 'M'], [])
    for other in ('PA.', 'P.A.', '(PA)', 'P A', 'P\u0410'):
        assert groups_of('view', ('PA', 'AP', other))[1], other
    assert groups_of('view', ('PA', 'PA', 'pa', 'AP')) == (['AP', 'PA'], [])
    for one, other in (('HER2+', 'HER2-'), ('<50', '>50'), ('1.5T', '15T'), ('+C', '-C')):
        assert groups_of('receptor', (one, other))[1] == []
    assert 'is not known' in groups_of('view', ('AP', 'PA', '-9'))[1][0]
    assert groups_of('view', ('AP', 'PA', '#REF!'))[0] == ['AP', 'PA']


def test_one_who_is_called_otherwise_among_numbers_is_said():
    for odd in ('ID806', 'P806', '8-06', '806x', 'Smith, John', 'inf'):
        names = [str(800 + i) for i in range(12)] + [odd]
        found = Found()
        people.doubt_additions(names, np.zeros(len(names), np.uint8), found)
        assert any(odd in one for one in (*found.notes, *found.doubts)), odd


def test_a_few_in_a_hundred_without_their_letter_are_said_of_many_people():
    names = [f'P{i:05d}' for i in range(2000)] + [f'{i:05d}' for i in range(60)]
    found = Found()
    people.doubt_additions(names, np.zeros(len(names), np.uint8), found)
    assert "'00000' beside 'P00000'" in found.doubts[0]


def test_letters_before_those_of_all_others_are_said():
    found = Found()
    names = [f'P{i:02d}' for i in range(30)] + ['IDP06']
    people.doubt_additions(names, np.zeros(len(names), np.uint8), found)
    assert "'IDP06' beside 'P06'" in found.doubts[0]


@pytest.mark.parametrize('odd', ['0patient00011', 'patient', "{'id': 'patient00011'}", '00011 patient'])
def test_one_who_is_called_in_another_form_is_said(odd):
    names = [f'patient{i:05d}' for i in range(14)]
    for added in ([], [odd]):
        found = Found()
        people.doubt_additions([*names, *added], np.zeros(14 + len(added), np.uint8), found)
        assert [
            one for one in (*found.notes, *found.doubts) if odd in one or repr(odd) in one
        ] == found.notes + found.doubts
        assert bool(found.notes or found.doubts) == bool(added)


def test_a_group_of_one_patient_among_many_is_said():
    patient = [f'P{i // 2}' for i in range(24)]
    codes = np.array([[i % 4 // 2, i // 2 % 2 if i else 2] for i in range(24)], np.int8)
    codes[2:4, 0] = 2
    names = {'view': ['AP', 'PA', 'Px'], 'site': ['A', 'B', 'A view']}
    found = Found()
    groupings.say_of_one(patient, codes, names, found)
    assert found.notes == [
        'Groups of view of one patient alone, with their images: Px (2).',
        'Groups of site of one patient alone, with their images: A view (1).',
    ]
    few = Found()
    groupings.say_of_one(patient[:8], codes[:8], names, few)
    assert not few.notes


def test_who_has_half_of_all_images_is_doubted():
    for count in (11, 12):
        patient = ['P0'] * count + [f'P{i // 2}' for i in range(2, 26 - count)]
        found = Found()
        people.doubt_nobody(patient, Patient(column='who'), found)
        assert bool(found.doubts) == (count == 12)


def test_people_whose_names_became_dates_are_doubted(tmp_path):
    folder = tmp_path / 'set'
    pictures(folder, [f'{i}.png' for i in range(24)])
    for dates in (0, 6):
        who = ['2024-01-0' + str(i // 2 % 9 + 1) if i < dates else f'{i // 2}-1' for i in range(24)]
        (folder / 't.csv').write_text(
            'image,who,mass\n' + ''.join(f'{i}.png,{who[i]},{i % 3 % 2}\n' for i in range(24))
        )
        block = {'tables': 't.csv', 'images': 'image', 'labels': ('mass',), 'patient': 'who'}
        made = sources.load(
            'mine', tmp_path / 'made', {'reader': 'folder', 'path': str(folder), **block, 'image_size': 16}
        )
        said = [one for one in made.info.get('doubts', []) if one.startswith('Patients are dates')]
        assert bool(said) == bool(dates)
