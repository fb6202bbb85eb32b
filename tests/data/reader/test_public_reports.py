"""Files and tables that people reported elsewhere: each is read with the right counts, or named."""

import numpy as np
import pytest
from data.reader.folders import doubts_with, layout, loaded, of, picture, table
from PIL import Image

from imbalance_jax.data import reader
from imbalance_jax.data.reader import runs, shapes

NAMES = [f'{k}.png' for k in range(12)]


@pytest.fixture
def twelve(tmp_path):
    """Twelve images of noise."""
    for name in NAMES:
        picture(tmp_path / name)
    return tmp_path


def rows(folder, header, cells, name='t.csv'):
    """A table of the twelve images; cells: what stands behind the name of image k."""
    table(folder, '\n'.join([f'file,{header}', *(f'{one},{cells(k)}' for k, one in enumerate(NAMES))]), name)


def notes_with(dataset, words):
    return [one for one in dataset.info['notes'] if words in one]


@pytest.mark.parametrize('first', ['sep=;', '"sep=;"', 'SEP=;'])
def test_a_first_line_that_says_what_separates_columns(twelve, first):
    table(twelve, '\n'.join([first, 'file;note, long;finding', *(f'{one};a,b;{k % 2}' for k, one in enumerate(NAMES))]))
    dataset = loaded(twelve, tables='t.csv', labels=('finding',))
    assert dataset.labels.sum() == 6


@pytest.mark.parametrize('word', ['None', 'NA'])
def test_a_class_called_as_nothing_is_said_and_can_be_had(twelve, word):
    rows(twelve, 'grade', lambda k: (word, 'mild', 'severe')[k % 3])
    block = {'tables': 't.csv', 'task': 'multi_class'}
    dataset = loaded(twelve, labels={'column': 'grade', 'none': ()}, **block)
    assert len(dataset.labels) == 8
    (said,) = doubts_with(dataset, f'{word} 4')
    left = eval(said.partition('labels.not_mentioned = ')[2].partition(' make')[0])
    dataset = loaded(twelve, labels={'column': 'grade', 'none': (), 'not_mentioned': left}, **block)
    assert sorted(dataset.info['classes']) == sorted([word, 'mild', 'severe'])
    assert dataset.labels.sum(0).tolist() == [4, 4, 4]


def test_runs_of_coco_in_a_list_and_shapes_that_are_none():
    whole = {'counts': [0, 3, 22], 'size': [5, 5]}
    mask = shapes.decode('coco_segmentation', [whole, {'counts': [24, 1], 'size': [5, 5]}], (5, 5))
    assert mask.sum() == 4
    assert np.array_equal(shapes.decode('coco_segmentation', [whole], (5, 5)), runs.decode('coco', whole, (5, 5)))
    with pytest.raises(ValueError, match='are no runs'):
        shapes.decode('coco_segmentation', {'counts': [None]}, (5, 5))
    with pytest.raises(ValueError, match='A polygon of COCO is a list in a list'):
        shapes.decode('coco_segmentation', [3, 4, 9, 4, 9, 11], (20, 20))


def test_words_for_not_known_are_no_group_and_what_is_in_none_is_said(twelve):
    rows(twelve, 'finding,who,sex,age', lambda k: f'{k % 2},p{k // 2},{("F", "unknown")[k % 2]},{(">89", "x")[k % 2]}')
    groups = {'sex': 'sex', 'age': {'column': 'age', 'bands': (40,)}}
    dataset = loaded(twelve, tables='t.csv', labels=('finding',), patient='who', groups=groups)
    assert dataset.info['groups']['sex'] == ['F']
    assert (dataset.groups == -1).all(1).sum() == 6
    assert not doubts_with(dataset, 'two values of sex')
    assert len(notes_with(dataset, "6 of 12 images are in no group of sex: 'unknown' 6")) == 1
    assert len(notes_with(dataset, "6 of 12 images are in no group of age: 'x' 6")) == 1


def test_a_cell_of_a_joined_table_is_named_by_its_own_line(twelve):
    rows(twelve, 'study', lambda k: f's{k}')
    table(
        twelve,
        '\n'.join(['study,finding', *(f's{k},{"maybe so" if k == 3 else k % 2}' for k in range(11, -1, -1))]),
        'l.csv',
    )
    with pytest.raises(ValueError, match=r"^l\.csv, line 10: finding is 'maybe so'"):
        loaded(twelve, tables=('t.csv', {'file': 'l.csv', 'on': 'study'}), labels=('finding',))


def test_a_table_without_the_column_of_images_is_named(twelve):
    rows(twelve, 'finding', lambda k: k % 2)
    table(twelve, 'picture,finding\n1.png,1', 'u.csv')
    tables = ({'file': 't.csv', 'split': 'train'}, {'file': 'u.csv', 'split': 'test'})
    with pytest.raises(ValueError, match=r"^u\.csv has no column 'file' \(images\.file\)"):
        loaded(twelve, tables=tables, labels=('finding',), split={})


def test_labels_are_made_of_regions_of_one_concept(twelve):
    rows(twelve, 'x,y,w,h', lambda k: '3,4,6,5' if k % 3 == 0 else ',,,')
    regions = {'concept': 'mass', 'box': ('x', 'y', 'w', 'h')}
    dataset = loaded(twelve, tables='t.csv', labels={'regions': True, 'classes': ('mass',)}, regions=regions)
    assert dataset.labels.sum() == 4
    assert sorted(dataset.image_id[dataset.region_image]) == sorted(dataset.image_id[dataset.labels[:, 0] == 1])
    with pytest.raises(ValueError, match='of mask files no labels are made'):
        loaded(
            twelve, tables='t.csv', labels={'regions': True}, regions={'concept': 'mass', 'files': '{stem}_mask.png'}
        )


def test_labels_are_made_of_all_tables_of_regions(twelve):
    table(twelve, 'file\n' + ''.join(f'{k}.png\n' for k in range(12)))
    for name, images in (('mass', range(0, 12, 3)), ('edema', (0, 1, 5)), ('heart', range(12))):
        table(twelve, 'file,x,y,w,h\n' + ''.join(f'{k}.png,3,4,6,5\n' for k in images), f'{name}.csv')
    table(twelve, 'file,what,x,y,w,h\n2.png,Nodule,3,4,6,5\n3.png,lung,3,4,6,5\n', 'more.csv')
    boxes = {
        name: {'table': name, 'on': 'file', 'concept': name, 'box': ('x', 'y', 'w', 'h')}
        for name in ('mass', 'edema', 'heart')
    }
    more = {'table': 'more', 'on': 'file', 'column': 'what', 'box': ('x', 'y', 'w', 'h'), 'others': 'add'}

    def counted(*blocks, **labels):
        tables = ('t.csv', *({'file': f'{one["table"]}.csv', 'name': one['table']} for one in blocks))
        anatomy = [
            name
            for name, one in (('heart', boxes['heart']), ('lung', more))
            if one['table'] in {block['table'] for block in blocks}
        ]
        block = {'labels': {'regions': True, **labels}, 'regions': blocks, 'anatomy': tuple(anatomy)}
        dataset = loaded(twelve, tables=tables, **block)
        assert dataset.label_mask.all()
        assert not doubts_with(dataset, 'deny')
        return dict(zip(dataset.classes, dataset.labels.sum(0).tolist(), strict=True))

    for two in ((boxes['mass'], boxes['edema']), (boxes['edema'], boxes['mass'])):
        assert counted(*two, classes=('mass', 'edema')) == {'mass': 4, 'edema': 3}
        assert counted(*two) == {'edema': 3, 'mass': 4}
        assert counted(boxes['heart'], *two, more) == {'Nodule': 1, 'edema': 3, 'mass': 4}
    assert counted(boxes['mass'], boxes['heart'], more, classes=('mass',)) == {'mass': 4}  # others are no classes
    assert counted(boxes['mass'], {**more, 'aliases': {'mass': ('nodule',)}}) == {'mass': 5}


def test_masks_of_several_values_and_crops_inside_out_are_said(twelve):
    rows(twelve, 'finding,x,y,w,h', lambda k: f'{k % 2},2,2,16,16')
    for k in range(1, 12, 2):
        pixels = np.zeros((16, 16), np.uint8)
        pixels[4:10, 4:10] = 255 if k > 1 else 1
        if k == 1:
            pixels[12:14, 2:14] = 255  # to be ignored
        (twelve / 'masks').mkdir(exist_ok=True)
        Image.fromarray(255 - pixels if k == 3 else pixels).save(twelve / 'masks' / f'{k}.png')
    regions = {'concept': 'finding', 'files': 'masks/{stem}.png', 'crop': ('x', 'y', 'w', 'h')}
    dataset = loaded(twelve, tables='t.csv', labels=('finding',), regions=regions)
    (said,) = doubts_with(dataset, 'Masks with several grey values')
    assert '1.png finding (1 255)' in said
    (said,) = doubts_with(dataset, 'hold the whole rim of their image or crop')
    assert '3.png finding' in said


def test_nearly_white_images_among_others_are_said(twelve):
    rows(twelve, 'finding', lambda k: k % 2)
    bright = np.full((20, 20), 255, np.uint8)
    bright[3, 3] = 0
    Image.fromarray(bright).save(twelve / '5.png')
    (said,) = doubts_with(loaded(twelve, tables='t.csv', labels=('finding',)), 'nearly white')
    assert said.startswith('1 of 12')
    assert '5.png' in said


def test_grades_of_a_folder_have_an_order(twelve):
    rows(twelve, 'level', lambda k: k % 3)
    block = {'tables': 't.csv', 'labels': {'column': 'level', 'classes': ('0', '1', '2'), 'none': ()}, 'ordinal': True}
    dataset = loaded(twelve, task='multi_class', **block)
    assert dataset.info['ordinal'] is True
    assert 'ordinal' not in loaded(twelve, task='multi_class', **{**block, 'ordinal': False}).info
    with pytest.raises(ValueError, match=r"ordinal is True, and config\.data\.mine\.task 'multi_label'"):
        layout(**block)


def test_masks_that_a_column_names_are_all_its_files(twelve):
    rows(twelve, 'finding,mask', lambda k: f'{k % 2},{f"masks/{k}.png" if k % 2 else ""}')
    for k in range(1, 12, 2):
        picture(twelve / 'masks' / f'{k}.png', value=255)
    block = {'regions': {'concept': 'finding', 'files': '{mask}'}, 'images': {'file': '{file}', 'folders': ('',)}}
    dataset = reader.read(twelve, layout(tables='t.csv', labels=('finding',), **block), image_size=16)
    assert len(dataset.region_image) == 6
    assert of(dataset, '1.png') in dataset.region_image
    assert not doubts_with(dataset, 'belong to no image')


def test_columns_that_name_further_classes_add_up(twelve):
    rows(twelve, 'one,two', lambda k: f'{"mass" if k % 2 else ""},{"edema" if k % 3 == 0 else ""}')
    dataset = loaded(twelve, tables='t.csv', labels={'column': 'one', 'further': ('two',)})
    assert dict(zip(dataset.info['classes'], dataset.labels.sum(0).tolist(), strict=True)) == {'edema': 4, 'mass': 6}
    dataset = loaded(twelve, tables='t.csv', labels=({'column': 'one'}, {'column': 'two'}))
    (said,) = doubts_with(dataset, 'Classes of a further reading')
    assert 'edema' in said


@pytest.mark.parametrize('cell', ['No Finding', ''])
def test_a_column_that_names_no_class_is_named(twelve, cell):
    rows(twelve, 'finding', lambda _: cell)
    with pytest.raises(ValueError, match=r"^t\.csv: the column 'finding' \(labels\.column\) names no class"):
        loaded(twelve, tables='t.csv', labels={'column': 'finding'})


def test_lists_that_are_text_are_taken_apart(twelve):
    rows(twelve, 'finding', lambda k: f'"{["mass", "edema"] if k % 2 else ["No Finding"]}"')
    tables = {'file': 't.csv', 'explode': ('finding',)}
    dataset = loaded(twelve, tables=tables, labels={'column': 'finding', 'classes': ('mass', 'edema')})
    assert dataset.labels.sum(0).tolist() == [6, 6]


def test_a_table_without_the_column_of_patients_is_named(twelve):
    rows(twelve, 'finding,who', lambda k: f'{k % 2},p{k}')
    picture(twelve / 'a.png')
    table(twelve, 'file,finding,WHO\na.png,1,p1', 'u.csv')
    tables = ({'file': 't.csv', 'split': 'train'}, {'file': 'u.csv', 'split': 'test'})
    with pytest.raises(ValueError, match=r"^u\.csv has no column 'who' \(patient\.column\)"):
        loaded(twelve, tables=tables, labels=('finding',), patient='who', split={})


def test_small_classes_together_have_their_share_of_each_split(tmp_path):
    names = [f'{k}.png' for k in range(30)]
    for name in names:
        picture(tmp_path / name)
    table(tmp_path, '\n'.join(['file,level,who', *(f'{one},{k % 10},p{k}' for k, one in enumerate(names))]))
    split = {'validation': 0.15, 'test': 0.2}
    block = {'labels': {'column': 'level', 'none': ()}, 'task': 'multi_class', 'patient': 'who', 'split': split}
    assert np.bincount(loaded(tmp_path, tables='t.csv', **block).split).tolist() == [20, 4, 6]


def test_values_that_fill_little_of_their_files_range_are_said(twelve):
    rows(twelve, 'finding', lambda k: k % 2)
    for k, name in enumerate(NAMES):
        hounsfield = np.random.default_rng(k).integers(-1024, 2400, (20, 20))
        Image.fromarray((hounsfield + 32768).astype(np.uint16)).save(twelve / name)
    (said,) = doubts_with(loaded(twelve, tables='t.csv', labels=('finding',)), 'All images lie between')
    assert '124 and 136 of 255' in said
    assert said.endswith('as CT has; images.levels = (low, high) spreads it.')  # no file states a window


def test_files_of_other_suffixes_are_named_and_can_be_images(tmp_path):
    for name in NAMES:
        picture(tmp_path / name)
        (tmp_path / name).rename(tmp_path / f'IM{name[:-4]}')
    table(tmp_path, '\n'.join(['file,finding', *(f'IM{k},{k % 2}' for k in range(12))]))
    with pytest.raises(FileNotFoundError, match=r"12 other files, such as 'IM0'; images\.suffixes"):
        loaded(tmp_path, tables='t.csv', labels=('finding',))
    dataset = loaded(tmp_path, tables='t.csv', labels=('finding',), images={'file': '{file}', 'suffixes': ('',)})
    assert dataset.labels.sum() == 6
    assert not dataset.info['problems']


def test_the_same_name_in_other_folders_alone_is_missing(tmp_path):
    for k in range(12):
        picture(tmp_path / f'p{k}' / ('one' if k else 'uno') / 'view.png')
    table(tmp_path, '\n'.join(['file,finding', *(f'set/p{k}/one/view.png,{k % 2}' for k in range(12))]))
    problems = loaded(tmp_path, tables='t.csv', labels=('finding',)).info['problems']
    assert problems['missing'] == ['set/p0/one/view.png']
    assert 'several_files' not in problems


def test_lists_of_concepts_are_regions_of_each_once_they_are_taken_apart(twelve):
    rows(twelve, 'finding,x,y,w,h', lambda k: f'"{["mass", "edema"]}",3,4,6,5' if k % 2 else '"[]",,,,')
    regions = {'column': 'finding', 'box': ('x', 'y', 'w', 'h'), 'others': 'add'}
    labels = {'column': 'finding', 'separator': 'list'}
    with pytest.raises(ValueError, match=r"^t\.csv, line 3: .* is a list of concepts: explode = \('finding',\)"):
        loaded(twelve, tables='t.csv', labels=labels, regions=regions)
    tables = {'file': 't.csv', 'explode': ('finding',)}
    dataset = loaded(twelve, tables=tables, labels={'column': 'finding'}, regions=regions)
    assert np.bincount(dataset.region_concept).tolist() == [6, 6]
    assert dataset.labels.sum(0).tolist() == [6, 6]
