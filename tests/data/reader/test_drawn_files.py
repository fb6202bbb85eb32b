"""Files of annotation, one per image: Pascal VOC's XML, YOLO's text and LabelMe's JSON."""

import json
import re

import numpy as np
import pytest
from data.reader.folders import SIZE, doubts_with, loaded, of, picture, regions_of, table
from data.reader.guessing import proposed

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess

WIDE, HIGH = 32, 16  # pixels of the files
NAMES = [f'{k:02d}' for k in range(8)]
BOXES = {'01': [('mass', (4, 2, 12, 10))], '02': [('cyst', (16, 4, 32, 12)), ('mass', (0, 0, 8, 8))], '05': []}
IN_SQUARE = {'01': (2, 2, 6, 10), '02': (8, 4, 16, 12)}  # the first box of each: half as wide
OF_VOC = {'box': ('xmin', 'ymin', 'xmax', 'ymax'), 'form': 'xyxy', 'others': 'add'}
OF_YOLO = {'box': ('cx', 'cy', 'w', 'h'), 'form': 'cxcywh', 'unit': 'fraction', 'aliases': {'mass': '0', 'cyst': '1'}}
OF_LABELME = {**OF_VOC, 'code': 'shape', 'kind': 'polygon'}


def voc(name, boxes, size=(HIGH, WIDE)):
    objects = ''.join(
        f'<object><name>{what}</name><difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>'
        f'<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>'
        for what, (x0, y0, x1, y1) in boxes
    )
    of_image = f'<size><width>{size[1]}</width><height>{size[0]}</height><depth>1</depth></size>'
    return f'<annotation><filename>{name}.png</filename>{of_image}{objects}</annotation>'


def yolo(name, boxes):
    return ''.join(
        f'{("mass", "cyst").index(what)} {(x0 + x1) / 2 / WIDE} {(y0 + y1) / 2 / HIGH} {(x1 - x0) / WIDE} '
        f'{(y1 - y0) / HIGH}\n'
        for what, (x0, y0, x1, y1) in boxes
    )


def labelme(name, boxes):
    shapes = [
        {'label': what, 'points': [[x1, y1], [x0, y0]], 'shape_type': 'rectangle'} for what, (x0, y0, x1, y1) in boxes
    ]
    return json.dumps({'shapes': shapes, 'imagePath': f'..\\{name}.png', 'imageHeight': HIGH, 'imageWidth': WIDE})


WRITERS = {'voc': (voc, 'xml', OF_VOC), 'yolo': (yolo, 'txt', OF_YOLO), 'labelme': (labelme, 'json', OF_LABELME)}


def written(folder, kind, *, split=(), names=NAMES, boxes=None):
    """Images, and a file for each that `BOXES` has; split: folders of halves, below which both have their own."""
    write, suffix, regions = WRITERS[kind]
    for number, name in enumerate(names):
        below = folder / split[number % len(split)] if split else folder
        picture(below / 'images' / f'{name}.png', size=(HIGH, WIDE))
        (below / 'labels').mkdir(exist_ok=True)
        if name in (boxes or BOXES):
            (below / 'labels' / f'{name}.{suffix}').write_text(write(name, (boxes or BOXES)[name]))
    table_of = {'file': f'labels/*.{suffix}', 'kind': kind, 'name': 'drawn'}
    return {
        'tables': table_of,
        'images': {},
        'labels': {'regions': True},
        'regions': {'table': 'drawn', 'on': ('stem',), 'column': 'class', **regions},
    }


@pytest.mark.parametrize('kind', WRITERS)
def test_regions_and_labels_are_those_of_the_files(tmp_path, kind):
    """An image whose file has no region, and such without a file, have none; the latter are named."""
    dataset = loaded(tmp_path, **written(tmp_path, kind))
    assert dataset.classes == ('cyst', 'mass')
    named = {name[:2]: tuple(row) for name, row in zip(dataset.image_id, dataset.labels, strict=True)}
    assert named == {name: {'01': (0, 1), '02': (1, 1)}.get(name, (0, 0)) for name in NAMES}
    assert dataset.label_mask.all()
    owners = [name[:2] for name in dataset.image_id[dataset.region_image]]
    concepts = [dataset.concepts[one] for one in dataset.region_concept]
    boxes = {
        key: tuple(box) for *key, box in zip(owners, concepts, dataset.region_box, strict=True) for key in [tuple(key)]
    }
    assert boxes[('01', 'mass')] == IN_SQUARE['01']
    assert boxes[('02', 'cyst')] == IN_SQUARE['02']
    assert len(boxes) == 3
    assert len(doubts_with(dataset, '5 of 8 images have no file of annotation')) == 1


@pytest.mark.parametrize('kind', WRITERS)
def test_what_is_proposed_reads_them(tmp_path, kind):
    folder = tmp_path / 'mine'
    boxes = {name: [(('mass', 'cyst')[k % 2], (4, 2, 12, 10))] for k, name in enumerate(NAMES)}
    written(folder, kind, boxes=boxes)
    if kind == 'yolo':
        (folder / 'data.yaml').write_text('nc: 2\nnames: [mass, cyst]\ntrain: ../images\n')
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == (('mass', 'cyst') if kind == 'yolo' else ('cyst', 'mass'))
    assert {tuple(box) for box in dataset.region_box} == {(2, 5, 6, 9)}  # padded
    assert len(dataset.region_box) == len(NAMES)
    assert not any('cannot be read' in one for one in found.unsure)


@pytest.mark.parametrize('layout', ['{split}/{what}', '{what}/{split}'])
def test_files_of_one_name_in_the_folders_of_splits(tmp_path, layout):
    """Beside their images' folder, or below their own."""
    folder = tmp_path / 'mine'
    for split, high in (('train', 4), ('valid', 8)):
        for name in NAMES:
            picture(folder / layout.format(split=split, what='images') / f'{name}.png', value=int(name) + 10 * high)
            file = folder / layout.format(split=split, what='labels') / f'{name}.txt'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'0 0.5 {high / SIZE / 2} 0.5 {high / SIZE}\n')
    (folder / 'classes.txt').write_text('mass\n')
    _, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('mass',)
    high = {int(split): set() for split in np.unique(dataset.split)}
    for owner, box in zip(dataset.region_image, dataset.region_box, strict=True):
        high[int(dataset.split[owner])].add(round(float(box[3]), 3))
    assert len(dataset.region_box) == 16
    assert high[1] == {8.0}
    assert {4.0} in high.values()


def test_polygons_in_shares_of_the_image(tmp_path):
    """YOLO's segmentation beside its boxes, in one file."""
    block = written(tmp_path, 'yolo')
    block['regions'] |= {'code': 'shape', 'kind': 'polygon'}
    (tmp_path / 'labels' / '01.txt').write_text('0 0.25 0.25 0.5 0.25 0.5 0.75 0.25 0.75\n1 0.5 0.5 0.5 0.5\n')
    dataset = loaded(tmp_path, **block)
    mine = dataset.region_image == of(dataset, '01.png')
    concept = list(dataset.concepts).index('mass')
    (box,) = dataset.region_box[mine & (dataset.region_concept == concept)]
    np.testing.assert_allclose(box, (4, 4, 8.5, 12.5), atol=0.51)  # PIL draws the outline, too
    (other,) = dataset.region_box[mine & (dataset.region_concept != concept)]
    assert tuple(other) == (4, 4, 12, 12)


def test_a_table_of_images_beside_them(tmp_path):
    """Labels and people are those of the table; files are found by their names."""
    folder = tmp_path / 'mine'
    boxes = {name: [('mass', (4, 2, 12, 10))] for name in NAMES[::2]}
    written(folder, 'voc', boxes=boxes)
    rows = [f'{name}.png,P{int(name) // 2},{1 - int(name) % 2},{int(int(name) < 3)}' for name in NAMES]
    table(folder, 'image,patient,mass,edema\n' + '\n'.join(rows))
    found, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('mass', 'edema')
    assert len(set(dataset.patient)) == 4
    assert {name[:2] for name in regions_of(dataset)} == set(NAMES[::2])
    assert found.block['regions']['on'] == ['image=stem']


def test_shapes_of_labelme(tmp_path):
    """Circles by centre and rim; lines and points are no areas."""
    block = written(tmp_path, 'labelme')
    shapes = [
        {'label': 'mass', 'points': [[16, 8], [16, 4]], 'shape_type': 'circle'},
        {'label': 'mass', 'points': [[1, 1], [9, 9]], 'shape_type': 'line'},
        {'label': 'cyst', 'points': [[4, 4], [12, 4], [12, 12]], 'shape_type': 'polygon'},
    ]
    (tmp_path / 'labels' / '05.json').write_text(json.dumps({'shapes': shapes, 'imagePath': '05.png'}))
    dataset = loaded(tmp_path, **block)
    mine = dataset.region_image == of(dataset, '05.png')
    boxes = {
        dataset.concepts[k]: box for k, box in zip(dataset.region_concept[mine], dataset.region_box[mine], strict=True)
    }
    np.testing.assert_allclose(boxes['mass'], (6, 4, 10, 12), atol=1)
    np.testing.assert_allclose(boxes['cyst'], (2, 4, 6, 12), atol=1)
    assert dataset.info['problems']['shape_without_area'] == ['05.json, shape 2: line']


def test_a_file_that_names_another_image_inside_is_doubted(tmp_path):
    block = written(tmp_path, 'voc')
    (tmp_path / 'labels' / '05.xml').write_text(voc('07', [('mass', (4, 2, 12, 10))]))
    dataset = loaded(tmp_path, **block)
    assert '05.png' in regions_of(dataset)
    assert '07.png' not in regions_of(dataset)
    assert len(doubts_with(dataset, 'name another image inside than they are called by')) == 1


WRONG = {
    'no XML': ('voc', '<annotation>', 'labels/02.xml is not XML'),
    'other XML': ('voc', '<annotations/>', 'holds <annotations>; expected Pascal VOC'),
    'an object without a name': ('voc', voc('02', [('', (1, 1, 5, 5))]), '02.xml, object 1 has no name'),
    'an end without a number': ('voc', voc('02', [('mass', ('', 1, 5, 5))]), '02.xml, object 1 has no xmin'),
    'an end that is a word': ('voc', voc('02', [('mass', ('left', 1, 5, 5))]), '02.xml, line 1: the box is'),
    'a confidence': ('yolo', '0 0.5 0.5 0.2 0.2 0.93\n', 'line 1 has 6 numbers.*predictions'),
    'four numbers': ('yolo', '0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2\n', 'line 2 has 4 numbers'),
    'a name': ('yolo', 'mass 0.5 0.5 0.2 0.2\n', "line 1: 'mass 0.5 0.5 0.2 0.2'; expected numbers"),
    'half a class': ('yolo', '0.5 0.5 0.5 0.2 0.2\n', 'line 1: .*expected numbers, and first that of a class'),
    'pixels': ('yolo', '0 16 8 4 4\n', "unit is 'fraction', and a box reaches to 18"),
    'a class that is not named': ('yolo', '7 0.5 0.5 0.2 0.2\n', "Unknown class.*'7'"),
    'no JSON': ('labelme', '{', '02.json is not JSON'),
    'other JSON': ('labelme', '{"a": 1}', "02.json is not LabelMe's"),
    'a shape without a label': (
        'labelme',
        json.dumps({'imagePath': '', 'shapes': [{'points': [[0, 0]]}]}),
        "shape 1 has no 'label'",
    ),
    'a rectangle of one point': (
        'labelme',
        json.dumps({'imagePath': '', 'shapes': [{'label': 'a', 'points': [[0, 0]], 'shape_type': 'rectangle'}]}),
        'shape 1, a rectangle',
    ),
}


@pytest.mark.parametrize('name', WRONG)
def test_what_cannot_be_read_is_named(tmp_path, name):
    kind, text, message = WRONG[name]
    block = written(tmp_path, kind)
    block['labels'] |= {'classes': ('mass', 'cyst')}
    (tmp_path / 'labels' / f'02.{WRITERS[kind][1]}').write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        loaded(tmp_path, **block)
    assert '\n' not in str(error.value)


def test_files_beside_them_that_are_of_no_image_are_said(tmp_path):
    block = written(tmp_path, 'yolo')
    for name, text in {
        'README.txt': 'made by hand',
        'classes.txt': 'mass\ncyst\n',
        'train.txt': 'images/01.png',
    }.items():
        (tmp_path / 'labels' / name).write_text(text)
    dataset = loaded(tmp_path, **block)
    assert len(dataset.region_box) == 3
    assert len(doubts_with(dataset, 'is no file of yolo, nor called as an image')) == 2


def test_voc_in_an_encoding_of_several_bytes(tmp_path):
    block = written(tmp_path, 'voc')
    text = '<?xml version="1.0" encoding="gb2312"?>' + voc('01', [('肿块', (4, 2, 12, 10))])
    (tmp_path / 'labels' / '01.xml').write_bytes(text.encode('gb2312'))
    assert '肿块' in loaded(tmp_path, **block).classes


def test_a_shape_that_cannot_be_placed_is_there_all_the_same(tmp_path):
    block = written(tmp_path, 'labelme')
    brushed = {'label': 'mass', 'points': [[1, 1], [9, 9]], 'shape_type': 'mask', 'mask': 'iVBORw0KGgo'}
    (tmp_path / 'labels' / '05.json').write_text(json.dumps({'shapes': [brushed], 'imagePath': '05.png'}))
    dataset = loaded(tmp_path, **block)
    assert dataset.labels[of(dataset, '05.png')].tolist() == [0, 1]
    assert '05.png' not in regions_of(dataset)
    assert dataset.info['problems']['shape_not_understood'] == ['05.json, shape 1: mask']


def test_files_called_with_the_suffix_of_their_image(tmp_path):
    block = written(tmp_path, 'yolo')
    for path in (tmp_path / 'labels').iterdir():
        path.rename(path.with_name(f'{path.stem}.png.txt'))
    assert len(loaded(tmp_path, **block).region_box) == 3


def test_voc_as_it_is_shipped(tmp_path):
    folder = tmp_path / 'VOC2007'
    for name in NAMES:
        picture(folder / 'JPEGImages' / f'{name}.jpg', size=(HIGH, WIDE), colour=True)
        picture(folder / 'SegmentationClass' / f'{name}.png', size=(HIGH, WIDE))
        (folder / 'Annotations').mkdir(exist_ok=True)
        (folder / 'Annotations' / f'{name}.xml').write_text(
            voc(name, [(('mass', 'cyst')[int(name) % 2], (4, 2, 12, 10))])
        )
    _, dataset = proposed(folder, tmp_path)
    assert dataset.classes == ('cyst', 'mass')
    assert len(dataset.images) == len(NAMES)


def test_points_of_a_pose_are_not_taken_for_polygons(tmp_path):
    folder = tmp_path / 'mine'
    written(folder, 'yolo', boxes={name: [('mass', (4, 2, 12, 10))] for name in NAMES})
    for path in (folder / 'labels').iterdir():
        path.write_text(path.read_text().strip() + ' 0.1 0.2 0.3 0.4 0.5 0.6\n')
    (folder / 'data.yaml').write_text('names: [mass]\nkpt_shape: [3, 2]\n')
    found, _ = proposed(folder, tmp_path, missing=['labels'])
    assert any('have key points behind their boxes' in one for one in found.unsure)


def test_labelme_that_is_not_declared_is_named(tmp_path):
    block = written(tmp_path, 'labelme')
    block['tables'] = {**block['tables'], 'kind': ''}
    with pytest.raises(ValueError, match=re.escape("kind = 'labelme' of its table reads it")):
        loaded(tmp_path, **block)


@pytest.mark.parametrize('kind', WRITERS)
def test_files_of_one_name_in_several_folders_are_said(tmp_path, kind):
    """By the stem alone a file is of the images of both folders, or an image has the files of both."""
    write, suffix, regions = WRITERS[kind]
    for split in ('train', 'val'):
        for name in NAMES:
            picture(tmp_path / 'images' / split / f'{name}.png', value=int(name) + 20 * len(split), size=(HIGH, WIDE))
            file = tmp_path / 'labels' / split / f'{name}.{suffix}'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(write(name, [(('mass', 'cyst')[split == 'val'], (4, 2, 12, 10))]))
    named = {'file': f'labels/*/*.{suffix}', 'kind': kind, 'name': 'drawn'}
    of_table = {'table': 'drawn', 'column': 'class', **regions}
    block = {'tables': named, 'images': {}, 'labels': {'regions': True}, 'regions': {**of_table, 'on': 'stem'}}
    both = loaded(tmp_path, **block)
    assert len(doubts_with(both, '16 of 16 images have the stem of another in another folder')) == 1
    assert len(doubts_with(both, '16 images have several files of annotation')) == 1
    for file in (tmp_path / 'labels' / 'val').iterdir():
        file.unlink()
    assert len(doubts_with(loaded(tmp_path, **block), 'what is joined by stem is of all of them')) == 1
    derivation = {'key': ('path', '([^/]+/[^/]+)[.][^.]+$', r'\1')}
    block['images'], named['derive'] = {'derive': derivation}, derivation
    apart = loaded(tmp_path, **{**block, 'regions': {**of_table, 'on': 'key'}})
    assert not doubts_with(apart, 'of all of them')
    assert len(apart.region_box) == 8


def test_files_that_are_called_as_no_image_are_said(tmp_path):
    block = written(tmp_path, 'voc')
    for path in (tmp_path / 'labels').iterdir():
        path.rename(path.with_name(f'scan_{path.name}'))
    said = r"no row is of an image .*rows have 'scan_01', .*, images '00', '01', '02' and 5 more"
    with pytest.raises(ValueError, match=said):
        loaded(tmp_path, **block)


def test_images_with_two_suffixes(tmp_path):
    """As Open-I's radiographs, 00.dcm.png."""
    folder = tmp_path / 'mine'
    for name in NAMES:
        picture(folder / 'images' / f'{name}.dcm.png', size=(HIGH, WIDE))
        (folder / 'labels').mkdir(exist_ok=True)
        boxes = [(('mass', 'cyst')[int(name) % 2], (4, 2, 12, 10))]
        (folder / 'labels' / f'{name}.dcm.xml').write_text(voc(f'{name}.dcm', boxes))
    _, dataset = proposed(folder, tmp_path)
    assert len(dataset.region_box) == len(NAMES)
    assert not doubts_with(dataset, 'name another image')


@pytest.mark.parametrize(
    ('file', 'content', 'names'),
    [
        ('data.yaml', b'nc: 2\nnames: [no, yes]\n', ('no', 'yes')),
        ('data.yaml', b'names:\n  0: off\n  1: on\n', ('off', 'on')),
        ('classes.txt', '\ufeffmass\ncyst\n'.encode(), ('mass', 'cyst')),
        ('classes.txt', 'M\xe4sse\nZyste\n'.encode('latin-1'), ('M\xe4sse', 'Zyste')),
    ],
)
def test_names_of_classes_are_what_is_written(tmp_path, file, content, names):
    folder = tmp_path / 'mine'
    written(folder, 'yolo', boxes={name: [(('mass', 'cyst')[k % 2], (4, 2, 12, 10))] for k, name in enumerate(NAMES)})
    (folder / file).write_bytes(content)
    assert proposed(folder, tmp_path)[1].classes == names


def test_files_of_a_second_kind_and_one_bad_line_are_said(tmp_path):
    folder = tmp_path / 'mine'
    boxes = {name: [(('mass', 'cyst')[k % 2], (4, 2, 12, 10))] for k, name in enumerate(NAMES)}
    written(folder, 'voc', boxes=boxes)
    for name in NAMES[:-1]:
        (folder / 'labels' / f'{name}.txt').write_text(yolo(name, boxes[name]))
    found, _ = proposed(folder, tmp_path)
    assert any(one.startswith('tables: 7 files of annotation of another kind') for one in found.unsure)
    assert not any('cannot be read' in one for one in found.unsure)
    for path in (folder / 'labels').glob('*.xml'):
        path.unlink()
    (folder / 'labels' / '03.txt').write_text('0 0.5 0.5 0.2\n')
    unsure = guess.guess(folder, sources.DATASETS).unsure
    (said,) = [one for one in unsure if 'as one cannot be read' in one]
    assert said.endswith('The others are read once it is mended, or gone.')
    assert not [one for one in unsure if 'may be annotation' in one]
    assert '03.txt, line 1 has 4 numbers' in said


def test_names_of_classes_that_are_one(tmp_path):
    folder = tmp_path / 'mine'
    written(folder, 'yolo', boxes={name: [(('mass', 'cyst')[k % 2], (4, 2, 12, 10))] for k, name in enumerate(NAMES)})
    (folder / 'data.yaml').write_text('names: [mass, mass, cyst]\n')
    found, dataset = proposed(folder, tmp_path)
    assert len(dataset.region_box) == len(NAMES)
    assert 'regions: data.yaml calls several classes mass; they become one.' in found.unsure
