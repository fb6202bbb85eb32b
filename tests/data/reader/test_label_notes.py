"""What cells say that are no plain names of classes: dates that a table program made, lists without a name."""

import json

import pytest
from data.reader.folders import doubts_with, loaded, of, picture, table

from imbalance_jax.data import soundness
from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, PRESENT
from imbalance_jax.data.reader import label_notes


@pytest.mark.parametrize(
    'date', ['03. Jan', 'Oct-19', '3-Mar', 'Jan 03', 'Mrz 10', '1-May', '2024-01-02 00:00:00', '01.02.2024', '1/2/2024']
)
def test_names_that_are_dates_are_doubted(date):
    assert label_notes.of_spelling(['mel', 'nv', date]) == [
        f'Classes are dates, which a table program may have made of others, such as of 1-3: {date}.'
    ]


def test_names_with_a_month_s_letters_are_none():
    names = ['mel', 'nv', 'marginal zone', 'Mar', 'sept. 2 mm', 'Grade 3', 'T1 dec', 'mass 10', 'decubitus', '4A']
    assert not label_notes.of_spelling(names)
    assert not label_notes.of_dates(['Jan 20', 'Feb 20'], 'Groups of month')  # all are


def test_grades_of_two_numbers_are_one_class():
    assert not label_notes.of_spelling(['3+3', '3+4', '4+3'])
    assert 'several names' in label_notes.of_spelling(['a', 'b', 'a+b'])[0]


def test_a_group_that_is_a_date_is_doubted(tmp_path):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,a,age\n' + ''.join(f'{i}.png,{i % 2},{("0-9", "Oct 19")[i // 4]}\n' for i in range(8)))
    dataset = loaded(tmp_path, tables='t.csv', labels=('a',), groups={'age': 'age'})
    assert [one.split(',')[0] for one in doubts_with(dataset, 'dates')] == ['Groups of age are dates']


@pytest.mark.parametrize(
    ('lists', 'cells'),
    [
        ((['mass'], [], None), (PRESENT, ABSENT, NOT_MENTIONED)),
        ((['mass'], '[]', 'nan'), (PRESENT, ABSENT, NOT_MENTIONED)),
        ((['mass'], None, None), (PRESENT, ABSENT, ABSENT)),  # nothing else says that there is none
        ((['mass'], ['Normal'], []), (PRESENT, ABSENT, NOT_MENTIONED)),
    ],
)
def test_a_list_that_is_not_there_is_not_an_empty_one(tmp_path, lists, cells):
    for i in range(9):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, json.dumps([{'file': f'{i}.png', 'found': lists[i % 3]} for i in range(9)]), 't.json')
    dataset = loaded(tmp_path, tables='t.json', labels={'column': 'found', 'separator': 'list'})
    found = [dataset.labels[of(dataset, f'{i}.png'), 0] for i in range(3)]
    assert found == [1, 0, 0]
    said = (
        dataset.cells[0, [of(dataset, f'{i}.png') for i in range(3)], 0].tolist() if NOT_MENTIONED in cells else cells
    )
    assert tuple(said) == cells
    assert (dataset.cells is None) == (NOT_MENTIONED not in cells)


def test_images_without_a_row_of_labels_are_said(tmp_path):
    for i in range(9):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,who\n' + ''.join(f'{i}.png,P{i}\n' for i in range(9)))
    table(tmp_path, 'file,a,x,y,w,h\n' + ''.join(f'{i}.png,{"uv"[i % 2]},3,3,9,9\n' for i in range(6)), 'b.csv')
    tables = ['t.csv', {'file': 'b.csv', 'name': 'b'}]
    named = {'column': 'a', 'table': 'b', 'on': 'file'}
    dataset = loaded(tmp_path, tables=tables, labels=named)
    assert [one for one in dataset.info['notes'] if 'of labels' in one] == [
        '3 of 9 images have no row of labels, and theirs are not known: 6.png, 7.png, 8.png.'
    ]
    assert dataset.label_mask.sum(0).tolist() == [6, 6]
    regions = {'table': 'b', 'on': 'file', 'column': 'a', 'box': ('x', 'y', 'w', 'h')}
    dataset = loaded(tmp_path, tables=tables, labels={'regions': True}, regions=regions)
    assert not [one for one in dataset.info['notes'] if 'of labels' in one]  # they have no region
    assert dataset.label_mask.all()
    assert dataset.labels.sum(0).tolist() == [3, 3]


def test_lists_of_zeros_and_ones_are_no_names(tmp_path):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    labels = {'column': 'found', 'separator': 'list'}

    def read(of):
        table(tmp_path, json.dumps([{'file': f'{i}.png', 'found': of(i)} for i in range(8)]), 't.json')
        return loaded(tmp_path, tables='t.json', labels=labels)

    with pytest.raises(
        ValueError, match=r't\.json, line 2: found .* is \[0, 1, 0\]: zeros and ones of several classes'
    ):
        read(lambda i: [0, 1, 0] if i else [1, 0])
    assert read(lambda i: [[0], [1], [0, 1], []][i % 4]).classes == ('0', '1')  # numbers of classes


def test_classes_that_are_all_dates_are_said_and_subtypes_are_no_lists():
    assert label_notes.of_spelling(('2019-01-10', '2019-02-11')) == [
        'Classes are all dates: 2019-01-10, 2019-02-11. Is another column meant?'
    ]
    for subtypes in (('HR+/HER2-', 'HR+/HER2+', 'TNBC'), ('B-cell', 'T-cell', 'NK/T-cell'), ('/m/01g317', '/m/04yx4')):
        assert not label_notes.of_spelling(subtypes)
    assert 'look like several' in label_notes.of_spelling(('mass', 'cyst', 'ｍａｓｓ；ｃｙｓｔ'))[0]
    (said,) = label_notes.of_spelling(('mass', 'cyst', 'mass/cyst'))
    assert 'look like several names' in said


def test_names_that_differ_by_a_hyphen_or_a_letter_and_hedged_ones_are_said():
    (said,) = label_notes.of_spelling(('edema', 'ground glass', 'ground-glass'))
    assert said.startswith('Classes differ in spelling alone: ground glass, ground-glass')
    (said,) = label_notes.of_spelling(('Consolidation', 'Consolidaton', 'Mass'))
    assert said.startswith('Classes differ by one letter: Consolidaton and Consolidation')
    assert 'edeam and edema' in label_notes.of_spelling(('edeam', 'edema', 'mass'))[0]
    assert 'mass and masss' in label_notes.of_spelling(('edema', 'mass', 'masss'))[0]
    for apart in (
        ('adduction', 'abduction'),
        ('category I', 'category II'),
        ('malignant', 'benign'),
        ('ear', 'era'),
        ('mas', 'mass'),
    ):
        assert not label_notes.of_spelling(apart)
    said = label_notes.of_spelling(('mass', 'no mass', 'edema', 'possible mass'))
    assert any('as a no, or as what is not sure, of others (no mass, possible mass)' in one for one in said)
    assert not label_notes.of_spelling(('mass', 'no mass'))


def test_aliases_that_are_turned_round_are_said(tmp_path):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,dx,x,y,w,h\n' + ''.join(f'{i}.png,{i % 2},3,4,5,6\n' for i in range(8)))
    box = {'column': 'dx', 'box': ('x', 'y', 'w', 'h')}
    for aliases, said in (({'0': 'mass', '1': 'cyst'}, 1), ({'mass': '0', 'cyst': '1'}, 0)):
        block = {'labels': {'column': 'dx', 'aliases': aliases}, 'regions': {**box, 'aliases': aliases}}
        dataset = loaded(tmp_path, tables='t.csv', **block)
        assert len(doubts_with(dataset, "labels.aliases: cells have '0'")) == said
        assert len(doubts_with(dataset, "{'mass': '0', 'cyst': '1'}?")) == 2 * said  # of labels and of regions


def test_a_class_with_a_line_break_is_said():
    said = label_notes.of_spelling(('mass', 'mass\nsee note'))
    assert any(one.startswith('Classes have line breaks: ') for one in said)


def test_a_reading_says_which_images_it_lacks(tmp_path):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,study\n' + ''.join(f'{i}.png,s{i}\n' for i in range(8)))
    readings = [{'table': name, 'on': 'study', 'columns': ('mass',), 'version': name} for name in ('nlp', 'rad')]
    tables = ('t.csv', {'file': 'nlp.csv', 'name': 'nlp'}, {'file': 'rad.csv', 'name': 'rad'})
    for name, count in (('nlp', 4), ('rad', 8)):
        table(tmp_path, 'study,mass\n' + ''.join(f's{i},{i % 2}\n' for i in range(count)), f'{name}.csv')
    dataset = loaded(tmp_path, tables=tables, labels=readings)
    (said,) = [one for one in dataset.info['notes'] if 'labels.table' in one]
    assert said == '4 of 8 images have no row in nlp (labels.table): 4.png, 5.png, 6.png, 7.png.'
    table(tmp_path, 'study,mass\n', 'rad.csv')
    with pytest.raises(ValueError, match=r'rad \(labels\.table\) has no rows'):
        loaded(tmp_path, tables=tables, labels=readings)


def test_two_classes_in_one_row_of_an_image_leave_it_out_by_name(tmp_path):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    rows = ''.join(f'{i}.png,{i % 2},{1 - i % 2}\n' for i in range(8))
    for second in ('0,1', '1,1', '1,0'):
        table(tmp_path, f'file,a,b\n{rows}1.png,{second}\n')
        dataset = loaded(tmp_path, tables='t.csv', labels=('a', 'b'), task='multi_class')
        assert dataset.info['problems'].get('not_of_one_class', []) == ([] if second == '1,0' else ['1.png'])


def test_concepts_of_regions_are_classes_in_another_case(tmp_path):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,what,x,y,w,h\n' + ''.join(f'{i}.png,{i % 2},3,4,5,6\n' for i in range(8)))
    regions = {'column': 'what', 'box': ('x', 'y', 'w', 'h'), 'aliases': {'mass': '0', 'edema': '1'}}
    dataset = loaded(tmp_path, tables='t.csv', regions=regions, labels={'regions': True, 'classes': ('Mass', 'Edema')})
    assert dataset.labels.sum(0).tolist() == [4, 4]
    assert dataset.info['concepts'] == ['Mass', 'Edema']


def test_each_age_as_a_group_is_said(tmp_path):
    for i in range(16):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,a,age\n' + ''.join(f'{i}.png,{i % 2},{30 + i}\n' for i in range(16)))
    dataset = soundness.doubt_groups(loaded(tmp_path, tables='t.csv', labels=('a',), groups={'age': 'age'}))
    assert doubts_with(dataset, 'Each number of age is a group of its own, 16 of them')


def test_names_that_look_alike_are_said(tmp_path):
    composed, apart = '\u00c9dema', 'E\u0301dema'
    (said,) = label_notes.of_spelling((composed, apart, 'Masse'))
    assert said.startswith('Classes differ in spelling alone')
    assert (
        'differ in spelling'
        in label_notes.of_spelling(('benign', 'malignant', '\uff42\uff45\uff4e\uff49\uff47\uff4e'))[0]
    )
    assert label_notes.of_forms(('A', '\uff21', 'B'), 'Groups of site') == [
        "Groups of site look alike and are written with other characters: 'A', '\\uff21'."
    ]
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, f'file,{apart}\n' + ''.join(f'{i}.png,{i % 2}\n' for i in range(8)))
    with pytest.raises(ValueError, match='which looks alike and is written with other characters'):
        loaded(tmp_path, tables='t.csv', labels=(composed,))


@pytest.mark.parametrize('word', ['No findng', 'normal.', 'No', 'negative', 'absent'])
def test_words_for_none_that_become_classes_are_said(tmp_path, word):
    for i in range(12):
        picture(tmp_path / f'{i}.png')
    cells = [word, 'mass', 'No Finding', 'edema'] * 3
    table(tmp_path, 'file,finding\n' + ''.join(f'{i}.png,{cells[i]}\n' for i in range(12)))
    assert doubts_with(
        loaded(tmp_path, tables='t.csv'), f'called as none is, beside cells that say so in other words ({word})'
    )


def test_classes_of_the_very_same_images_are_said(tmp_path):
    for i in range(12):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,mass,edema,cyst\n' + ''.join(f'{i}.png,{i % 2},{i % 2},{i % 3 % 2}\n' for i in range(12)))
    dataset = loaded(tmp_path, tables='t.csv', labels=('mass', 'edema', 'cyst'))
    assert doubts_with(dataset, 'in the very same images, as of a copied column: mass and edema.')
    assert not doubts_with(loaded(tmp_path, tables='t.csv', labels=('mass', 'cyst')), 'very same images')


def test_concepts_that_differ_in_signs_alone_are_said():
    (said,) = label_notes.of_alike(['mass-lesion', 'Mass lesion', 'cyst'], 'Concepts')
    assert said.startswith('Concepts differ in spelling alone, and count as two: mass-lesion and Mass lesion')
    assert not label_notes.of_alike(['mass', 'masses'], 'Concepts')
