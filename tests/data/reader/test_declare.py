"""A layout from blocks of a config: short forms, and one line for whatever is wrong."""

import pytest

from imbalance_jax.data.reader import Layout, declare

LABELS = {'labels': 'finding'}


def test_short_forms_are_the_long_ones():
    short = {
        'tables': 't.csv',
        'images': 'file',
        'labels': ['A', 'B'],
        'patient': 'who',
        'split': 'set',
        'groups': {'sex': 'S'},
    }
    long = {
        'tables': [{'file': 't.csv'}],
        'images': {'file': '{file}'},
        'labels': [{'columns': ('A', 'B')}],
        'patient': {'column': 'who'},
        'split': {'column': 'set'},
        'groups': {'sex': {'column': 'S'}},
    }
    assert declare.layout(short, 'mine') == declare.layout(long, 'mine')
    assert declare.layout(short, 'mine').name == 'mine'


def test_numbers_are_words_where_words_are_meant():
    layout = declare.layout({'labels': {'columns': 'A', 'present': (1, 2.5), 'absent': 0}}, 'mine')
    assert layout.labels[0].present == ('1', '2.5')
    assert layout.labels[0].absent == ('0',)
    assert isinstance(layout, Layout)


@pytest.mark.parametrize(
    ('block', 'said'),
    [
        ({'label': 'x'}, r"Unknown field of config\.data\.mine: 'label'\. Did you mean 'labels'"),
        ({'labels': {'colum': 'x'}}, r"field of config\.data\.mine\.labels: 'colum'\. Did you mean 'column'"),
        ({'labels': {'columns': 'x', 'column': 'y'}}, r'labels has columns and column; one of them'),
        ({}, r'labels says nothing; give columns'),
        (
            {**LABELS, 'tables': ({'file': 't', 'name': 'a'}, {'file': 'u', 'split': 'test', 'name': 'b'})},
            r'tables \(number 2\), u, is read by nothing: give it `on`, .* or no name, as it has a split',
        ),
        ({**LABELS, 'tables': ({'file': 't'}, {'file': 'u'})}, r'tables \(number 2\), u, is read by nothing'),
        ({'labels': {'column': 'x', 'further': ('y', 'x')}}, r"labels\.further names 'x' again"),
        ({'labels': {'columns': ('x',), 'further': ('y',)}}, r'labels\.further is beside `column`, of names'),
        ({**LABELS, 'split': {'others': 'train'}}, r'split\.others is given, and no column, lists or path'),
        (
            {'labels': {'column': 'x', 'others': 'drop'}},
            r"labels\.others is 'drop'; it must be one of 'error', 'ignore'",
        ),
        ({'labels': {'path': '('}}, r"labels\.path is '\(', which is no regular expression"),
        ({'labels': 3}, r'labels is 3; it must be a block'),
        ({**LABELS, 'images': '{image'}, r"images\.file is '\{image'; a column stands between two braces"),
        ({**LABELS, 'images': {'file': '{a}.png', 'id': '{}'}}, r"images\.id is '\{\}'; a column stands between"),
        ({**LABELS, 'images': '{image:05d}'}, r"images\.file is '\{image:05d\}', and '05d' is no format of a text"),
        (
            {**LABELS, 'tables': {'file': 't', 'derive': {'q': ('image', 'i(..)', r'\2')}}},
            r"tables\.derive\.q: the template '\\\\2' does not fit 'i\(\.\.\)', which has 1 groups",
        ),
        ({**LABELS, 'tables': {'file': 't', 'derive': {'q': ('image', 'i', r'\g<x>')}}}, 'which has 0 groups: unknown'),
        ({**LABELS, 'images': {'bits': 'many'}}, r"images\.bits is 'many'; it must be a whole number"),
        ({**LABELS, 'images': {'file': 'image'}}, r"images\.file is 'image', the same for all rows; .* as \{image\}"),
        (
            {**LABELS, 'regions': {'files': '{stem}_mask.png', 'values': {'1': 'mass'}}},
            r"regions\.values has 'mass' of '1', which is no number; expected grey values by concept",
        ),
        ({**LABELS, 'images': {'others': 'count'}}, r"images\.others is 'count'; it must be one of 'named', 'counted'"),
        ({**LABELS, 'images': {'resize': 'padd'}}, r"images\.resize is 'padd'; it must be one of 'stretch'"),
        ({**LABELS, 'images': {'decoders': {}}}, r"Unknown field of config\.data\.mine\.images: 'decoders'"),
        ({**LABELS, 'split': {'validation': 0.6, 'test': 0.5}}, r'validation and test are 1\.1 of the patients'),
        ({**LABELS, 'split': {'test': 1.0}}, r'split\.test is 1\.0; it must be a share'),
        ({**LABELS, 'tables': {'separator': ';'}}, r"tables has no 'file'"),
        ({**LABELS, 'regions': {'concept': 'x'}}, r'regions has none of box, code and files'),
        ({**LABELS, 'regions': {'box': ('a', 'b'), 'concept': 'x'}}, r'a box is four columns'),
        ({**LABELS, 'regions': {'files': '{stem}_m.png'}}, r'regions: give concept'),
        ({**LABELS, 'regions': {'code': 'rle', 'concept': 'x'}}, r'regions\.kind is missing'),
        (
            {**LABELS, 'regions': {'code': 'rle', 'kind': 'rl', 'concept': 'x'}},
            r"regions\.kind is 'rl'; it must be one of",
        ),
        ({**LABELS, 'task': 'multiclass'}, r"task is 'multiclass'; it must be one of 'multi_label', 'multi_class'"),
        ({**LABELS, 'policy': 'u_one'}, r"label policy, config\.data\.mine\.policy: 'u_one'\. Did you mean 'u_ones'"),
        ({**LABELS, 'policy': {'uncertain': 'one'}}, r"config\.data\.mine\.policy\.uncertain: 'one'"),
        ({**LABELS, 'groups': {'age': {'column': 'age', 'bands': 40}}}, r'bands is 40; it must be a tuple'),
        ({'labels': {'column': 'x', 'classes': ('a', 'a')}}, r'names a class twice'),
        (
            {'labels': {'columns': 'A', 'present': ('1', '0')}},
            r"config\.data\.mine\.labels: '0' is in present and in absent; a value means one of them",
        ),
        ({'labels': {'columns': 'A', 'uncertain': '0.0'}}, r"labels: '0\.0' is in absent and in uncertain"),
        (
            {'labels': {'columns': ('mass', 'edema'), 'aliases': {'masss': 'm'}}},
            r"class in config\.data\.mine\.labels\.aliases: 'masss'\. Did you mean 'mass'",
        ),
        ({'labels': {'column': 'x', 'classes': ('mass',), 'aliases': {'mas': 'm'}}}, r"'mas'\. Did you mean 'mass'"),
        ({'labels': {'column': 'x', 'aliases': {'a': 'm', 'b': ('n', 'M')}}}, r"aliases: 'M' is in a and in b"),
        ({'labels': ('mass', 'mass')}, r"labels\.columns names 'mass' twice"),
        ({'labels': {'columns': ('m', 'mass'), 'aliases': {'mass': 'm'}}}, r"'m' and 'mass', which are both 'mass'"),
        (
            {**LABELS, 'split': {'column': 's', 'values': {'train': 'train', 'test': ('train', 'test')}}},
            r"config\.data\.mine\.split\.values: 'train' is in train and in test",
        ),
        ({**LABELS, 'split': {'values': {'trian': 'a'}}}, r"split\.values: 'trian'\. Did you mean 'train'"),
        (
            {**LABELS, 'groups': {'age': {'column': 'age', 'bands': (60, 40)}}},
            r'groups\.age\.bands is \(60, 40\); the numbers must ascend',
        ),
        (
            {**LABELS, 'groups': {'sex': {'column': 's', 'values': {'f': ('1',), 'm': ('1.0',)}}}},
            r"groups\.sex\.values: '1\.0' is in f and in m",
        ),
        ({**LABELS, 'images': {'bits': 99}}, r'images\.bits is 99; it must be from 8 to 16, or 0'),
        (
            {**LABELS, 'images': {'levels': (400.0, -1000.0)}},
            r'images\.levels is \(400, -1000\); expected two numbers, what becomes black and white',
        ),
        ({**LABELS, 'images': {'levels': (0.0, 9.0), 'bits': 12}}, r'images has levels and bits; one of them says'),
        ({**LABELS, 'modality': 'radiografh'}, r"modality is 'radiografh'\. Did you mean 'radiograph'"),
        ({**LABELS, 'modality': 'Photograph'}, r"modality is 'Photograph'\. Did you mean 'photograph'"),
        (
            {**LABELS, 'regions': {'column': 'c', 'concept': 'x', 'box': 'b'}},
            r'config\.data\.mine\.regions has column and concept; one of them',
        ),
        (
            {**LABELS, 'regions': {'concept': '{class}', 'box': ('x', 'y', 'w', 'h')}},
            r"regions\.concept is '\{class\}', and nothing is filled into it: it is a name, or 'label'",
        ),
        (
            {**LABELS, 'regions': {'concept': 'x', 'box': 'b', 'kind': 'rectangle'}},
            r"regions\.kind is 'rectangle' without code",
        ),
        ({**LABELS, 'regions': {'concept': 'x', 'box': 'b', 'values': {'x': '1'}}}, r'regions\.values are grey values'),
        (
            {**LABELS, 'groups': {'age': {'column': 'a', 'bands': (40, 60), 'values': {'x': '1'}}}},
            r'groups\.age has values and bands; one of them',
        ),
        ({**LABELS, 'groups': {'age': {'column': 'a', 'most': 80}}}, r'groups\.age\.most is given, and no bands'),
        ({**LABELS, 'images': {'file': '{a}', 'id': 'a'}}, r"images\.id is 'a', the same for all rows"),
        ({'labels': {'column': 'a', 'present': 'x'}}, r'labels\.present is given, and the labels are names of classes'),
        ({'labels': {'columns': 'a', 'others': 'ignore'}}, r'labels\.others is given, and the labels are cells of one'),
        (
            {**LABELS, 'tables': {'file': 't.csv', 'separator': ';;'}},
            r"config\.data\.mine\.tables\.separator is ';;'; it must be one character",
        ),
    ],
)
def test_whatever_is_wrong_is_one_line(block, said):
    with pytest.raises(ValueError, match=said) as error:
        declare.layout(block, 'mine')
    assert '\n' not in str(error.value)
    assert 'config.data.' in str(error.value)


def test_what_only_looks_like_a_contradiction_is_allowed():
    labels = {'columns': ('m', 'edema'), 'aliases': {'mass': 'm'}, 'present': '0', 'absent': ('1', '')}
    bands = {'age': {'column': 'age', 'bands': (40, 60)}}
    block = {'labels': labels, 'groups': bands, 'images': {'bits': 12}, 'tables': {'file': 't', 'separator': '\t'}}
    assert declare.layout({**block, 'modality': 'endomicroscopy'}, 'mine').modality == 'endomicroscopy'
