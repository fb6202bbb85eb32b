"""Folders as people have them, from their files to a data set, by a declared layout."""

import gzip
import json
import os
import re
import unicodedata

import numpy as np
import pytest
from data.reader.folders import SIZE, doubts_with, layout, loaded, of, picture, regions_of, table
from PIL import Image

from imbalance_jax.data import soundness
from imbalance_jax.data.dataset import ABSENT, LEFT_OUT, NOT_MENTIONED, NOT_READ, PRESENT, UNCERTAIN
from imbalance_jax.data.reader import declare, files, read, read_tables


@pytest.fixture
def eight(tmp_path):
    for i in range(8):
        picture(tmp_path / f'images/{i}.png')
    return tmp_path


def rows(*lines, header='file,finding,who'):
    return '\n'.join([header, *lines])


def test_columns_of_cells_keep_what_they_say(eight):
    table(eight, rows(*('0.png,1.0,YES', '1.png,0,no', '2.png,-1.0,', '3.png,,No'), header='file,A,B'))
    dataset = loaded(eight, tables='t.csv', labels=('A', 'B'))
    cells = dataset.cells[0][[of(dataset, f'{i}.png') for i in range(4)]]
    assert cells.tolist() == [
        [PRESENT, PRESENT],
        [ABSENT, ABSENT],
        [UNCERTAIN, NOT_MENTIONED],
        [NOT_MENTIONED, ABSENT],
    ]
    assert dataset.label_mask[of(dataset, '2.png')].tolist() == [0, 1]  # uncertain is ignored, empty is negative
    assert dataset.info['problems']['not_in_table'] == [f'images/{i}.png' for i in range(4, 8)]
    ignored = loaded(eight, tables='t.csv', labels=('A', 'B'), policy={'empty': 'ignore', 'uncertain': 'ones'})
    assert ignored.label_mask[of(ignored, '2.png')].tolist() == [1, 0]
    assert ignored.labels[of(ignored, '2.png')].tolist() == [1, 0]


def test_a_cell_that_means_nothing_is_named(eight):
    table(eight, 'file,A\n0.png,1\n1.png,maybe\n')
    with pytest.raises(ValueError, match=r"t\.csv, line 3: A is 'maybe'; labels\.present"):
        loaded(eight, tables='t.csv', labels=('A',))
    dataset = loaded(eight, tables='t.csv', labels={'columns': 'A', 'uncertain': 'maybe'})
    assert dataset.label_mask.sum() == 1


def test_names_in_a_cell_and_names_that_are_no_class(eight):
    table(eight, rows('0.png,Mass|Nodule,1', '1.png,No Finding,1', '2.png,Massive,1', '3.png, nodule,1'))
    dataset = loaded(
        eight, tables='t.csv', labels={'column': 'finding', 'separator': '|', 'aliases': {'Nodule': ('nodule',)}}
    )
    assert dataset.classes == ('Mass', 'Massive', 'Nodule')  # whole names, never substrings
    assert dataset.labels[of(dataset, '0.png')].tolist() == [1, 0, 1]
    assert dataset.labels[of(dataset, '1.png')].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"Unknown class \(t\.csv, line 4\) 'Massive'. Did you mean 'Mass'"):
        loaded(eight, tables='t.csv', labels={'column': 'finding', 'separator': '|', 'classes': ('Mass', 'Nodule')})
    some = {'column': 'finding', 'separator': '|', 'classes': ('Nodule', 'Mass'), 'others': 'ignore'}
    assert loaded(eight, tables='t.csv', labels=some).labels.sum(0).tolist() == [2, 1]


def test_rows_of_one_image_add_up_or_must_agree(eight):
    table(eight, 'file,finding\n0.png,a\n0.png,b\n1.png,a\n')
    dataset = loaded(eight, tables='t.csv')
    assert dataset.labels[of(dataset, '0.png')].tolist() == [1, 1]
    table(eight, 'file,A,B\n0.png,1,0\n0.png,1,0\n1.png,1,0\n1.png,0,0\n2.png,,1\n2.png,1,\n')
    dataset = loaded(eight, tables='t.csv', labels=('A', 'B'))
    assert dataset.info['problems']['rows_that_disagree'] == ['1.png']
    assert dataset.label_mask[of(dataset, '1.png')].tolist() == [0, 1]
    assert dataset.labels[of(dataset, '2.png')].tolist() == [1, 1]


def test_readers_are_readings(eight):
    lines = ['0.png,1,R1', '0.png,1,R2', '0.png,0,R3', '1.png,0,R1', '1.png,1,R2', '2.png,1,R3']
    table(eight, rows(*lines, header='file,A,reader'))
    dataset = loaded(eight, tables='t.csv', labels={'columns': 'A', 'reader': 'reader'})
    assert dataset.info['readings'] == [['', 'R1'], ['', 'R2'], ['', 'R3']]
    assert dataset.cells[:, of(dataset, '2.png'), 0].tolist() == [NOT_READ, NOT_READ, PRESENT]
    assert [dataset.labels[of(dataset, f'{i}.png'), 0] for i in range(3)] == [1, 0, 1]  # majority; a tie is a no
    everyone = loaded(eight, tables='t.csv', labels={'columns': 'A', 'reader': 'reader'}, policy='any')
    assert [everyone.labels[of(everyone, f'{i}.png'), 0] for i in range(3)] == [1, 1, 1]


def test_labels_of_studies_and_of_another_version(tmp_path):
    for name in ('a1', 'a2', 'b1'):
        picture(tmp_path / f'files/p1{name[0]}/{name}.jpg')
    table(tmp_path, 'dicom_id,subject_id,study_id\na1,1a,10\na2,1a,10\nb1,1b,11\n', 'metadata.csv')
    table(tmp_path, 'subject_id,study_id,Edema\n1a,10,1.0\n1b,11,\n', 'labels.csv')
    table(tmp_path, 'study_id,Edema\n10,0.0\n', 'second.csv')
    dataset = loaded(
        tmp_path,
        tables=['metadata.csv', {'file': 'labels.csv', 'on': 'study_id'}, {'file': 'second.csv', 'name': 'second'}],
        images={'file': 'files/p{subject_id:.2}/{dicom_id}.jpg', 'id': '{dicom_id}'},
        patient='subject_id',
        labels=[
            {'columns': 'Edema', 'version': 'chexpert'},
            {'columns': 'Edema', 'table': 'second', 'on': 'study_id', 'version': 'by hand'},
        ],
    )
    assert dataset.labels[:, 0].tolist() == [name[0] == 'a' for name in dataset.image_id]
    assert dataset.info['readings'] == [['chexpert', ''], ['by hand', '']]
    assert sorted(dataset.cells[1, :, 0].tolist()) == [NOT_READ, ABSENT, ABSENT]
    assert dataset.patient[of(dataset, 'a1')] == dataset.patient[of(dataset, 'a2')]


def test_patients_stay_together_and_unknown_ones_are_named(eight):
    table(eight, rows(*(f'{i}.png,a,{who}' for i, who in enumerate(['7', '7.0', '8', 'nan', '', '9', '9', '10']))))
    dataset = loaded(eight, tables='t.csv', patient='who')
    assert dataset.patient[of(dataset, '0.png')] == dataset.patient[of(dataset, '1.png')] == 7
    assert dataset.info['problems']['without_patient'] == ['3.png', '4.png']
    assert len(loaded(eight, tables='t.csv', patient={'column': 'who', 'unknown': 'own'}).images) == 8
    by_name = loaded(eight, tables='t.csv', patient={'pattern': r'(\d)\.png'})
    assert len(set(by_name.patient.tolist())) == 8
    nobody = loaded(eight, tables='t.csv')
    assert any('patient of its own' in note for note in nobody.info['notes'])


def test_ids_that_were_rounded_are_refused(eight):
    table(eight, rows('0.png,a,3.24e+38', '1.png,b,3.24e+38'))
    with pytest.raises(ValueError, match='was rounded'):
        loaded(eight, tables='t.csv', patient='who')


def test_splits_by_column_list_folder_and_table(eight):
    table(
        eight,
        rows(*(f'{i}.png,a,{s}' for i, s in enumerate(['train', 'VAL', 'test', 'Training', 'x', '', 'dev', 'train']))),
    )
    dataset = loaded(eight, tables='t.csv', split='who')
    assert [len(dataset.rows(s)) for s in ('train', 'validation', 'test')] == [3, 2, 1]
    assert dataset.info['problems']['in_no_split'] == ['4.png', '5.png']
    (eight / 'train.txt').write_text('0\n1.png\nimages/2.png\n')
    (eight / 'test.txt').write_text('3\n4\n')
    listed = loaded(
        eight, tables='t.csv', split={'lists': {'train': 'train.txt', 'test': 'test.txt'}, 'validation': 0.4}
    )
    assert [len(listed.rows(s)) for s in ('train', 'validation', 'test')] == [2, 1, 2]
    (eight / 'test.txt').write_bytes(b'3\r4\r5\r')  # as an old Mac ends lines
    listed = loaded(eight, tables='t.csv', split={'lists': {'train': 'train.txt', 'test': 'test.txt'}})
    assert listed.image_id[listed.rows('test')].tolist() == ['3.png', '4.png', '5.png']
    table(eight, rows('0.png,a,1', '1.png,b,1'), 'train.csv')
    table(eight, rows('2.png,a,2', '3.png,b,3'), 'test.csv')
    two = [{'file': 'train.csv', 'split': 'train'}, {'file': 'test.csv', 'split': 'test'}]
    dataset = loaded(eight, tables=two, split={'validation': 0.0})
    assert dataset.image_id[dataset.rows('test')].tolist() == ['2.png', '3.png']


def test_drawn_splits_are_of_patients_and_classes_and_stay(tmp_path):
    for i in range(60):
        picture(tmp_path / f'{i:02d}.png', size=(8, 8))
    lines = [f'{i:02d}.png,{"rare" if i % 10 == 0 else "common"},p{i // 2}' for i in range(60)]
    table(tmp_path, rows(*lines))
    block = {'tables': 't.csv', 'patient': 'who', 'split': {'validation': 0.2, 'test': 0.2}}
    dataset = loaded(tmp_path, **block)
    rare = dataset.classes.index('rare')
    assert [int(dataset.labels[dataset.rows(s), rare].sum()) for s in ('train', 'validation', 'test')] == [4, 1, 1]
    again = loaded(tmp_path, **block)
    assert again.split.tolist() == dataset.split.tolist()
    other = loaded(tmp_path, **{**block, 'split': {'validation': 0.2, 'test': 0.2, 'seed': 1}})
    assert dict(zip(other.image_id, other.split, strict=True)) != dict(
        zip(dataset.image_id, dataset.split, strict=True)
    )
    assert LEFT_OUT not in dataset.split


def test_what_cannot_be_used_is_named(eight):
    (eight / 'images/0.png').write_bytes(b'')
    (eight / 'images/._1.png').write_bytes(b'x')
    (eight / 'images/Thumbs.db').write_bytes(b'x')
    table(eight, rows(*(f'{i}.png,{"ab"[i % 2]},{i}' for i in range(6)), 'gone.png,a,1'))
    dataset = loaded(eight, tables='t.csv')
    problems = dataset.info['problems']
    assert problems['unreadable'] == ['images/0.png (empty file)']
    assert problems['missing'] == ['gone.png']
    assert problems['not_in_table'] == ['images/6.png', 'images/7.png']
    assert len(dataset.images) == 5
    assert '0.png' not in dataset.image_id


def test_images_are_filled_in_place_in_what_is_allocated(eight):
    asked = []

    def allocate(name, shape, dtype):
        asked.append((name, shape))
        return np.zeros(shape, dtype)

    (eight / 'images/3.png').write_bytes(b'broken')
    table(eight, rows(*(f'{i}.png,{"ab"[i % 2]},{i}' for i in range(8))))
    dataset = read(eight, layout(tables='t.csv'), image_size=SIZE, allocate=allocate)
    assert asked == [('images', (8, SIZE, SIZE, 1)), ('images', (7, SIZE, SIZE, 1))]
    assert len(dataset.images) == 7
    assert dataset.images.any(axis=(1, 2, 3)).all()


def test_boxes_of_every_form_are_the_same_box(eight):
    table(eight, rows('0.png,a,1', '1.png,b,1'))
    wanted = np.array([5, 10, 15, 20]) * SIZE / 20
    forms = {
        'xywh': ('5,10,10,10', {'form': 'xywh'}),
        'xyxy': ('5,10,15,20', {'form': 'xyxy'}),
        'fraction': ('0.25,0.5,0.75,1.0', {'form': 'xyxy', 'unit': 'fraction'}),
        'framed': ('50,100,150,200', {'form': 'xyxy', 'frame': (200, 200)}),
    }
    for text, options in forms.values():
        table(eight, f'image,concept,x,y,u,v\n0,a,{text}\n1,None,,,,\n', 'boxes.csv')
        regions = {'table': 'boxes', 'on': 'file=image', 'column': 'concept', 'box': ('x', 'y', 'u', 'v'), **options}
        dataset = loaded(eight, tables=['t.csv', {'file': 'boxes.csv', 'name': 'boxes'}], regions=regions)
        np.testing.assert_allclose(dataset.region_box, [wanted], atol=1e-5)
        assert dataset.image_id[dataset.region_image[0]] == '0.png'
    table(eight, 'image,concept,x,y,u,v\n0,a,0.1,0.1,0.5,0.5\n', 'boxes.csv')
    with pytest.raises(ValueError, match=r"within 0\.\.1: they are shares of the image, regions\.unit = 'fraction'"):
        loaded(
            eight,
            tables=['t.csv', {'file': 'boxes.csv', 'name': 'boxes'}],
            regions={**regions, 'unit': 'pixel', 'frame': ()},
        )


@pytest.mark.parametrize('form', ['xywh', 'xyxy'])
@pytest.mark.parametrize('keys', [('x', 'y', 'width', 'height'), ('xmin', 'ymin', 'xmax', 'ymax')])
def test_boxes_may_be_objects_in_a_list_which_say_their_form(eight, keys, form):
    corners = np.array([[2, 4, 12, 16], [8.5, 9, 18.5, 19.5]])
    given = corners - [0, 0, 1, 1] * corners[:, [0, 1, 0, 1]] if 'width' in keys else corners
    boxes = [dict(zip(keys, one.tolist(), strict=True)) for one in given]
    lines = [f'{i}.png,a,"{boxes if i else []}"' for i in range(8)]
    table(eight, '\n'.join(['file,finding,boxes', *lines]))
    regions = {'box': ('boxes',), 'form': form, 'concept': 'a'}
    dataset = loaded(eight, tables={'file': 't.csv', 'explode': ('boxes',)}, regions=regions)
    assert len(dataset.region_box) == 14
    np.testing.assert_allclose(dataset.region_box[:2], corners * SIZE / 20, rtol=1e-6)


def test_boxes_that_leave_the_image_are_named(eight):
    table(eight, 'file,finding,x,y,w,h\n0.png,a,5,5,100,5\n1.png,b,5,5,0,5\n2.png,a,1,1,5,5\n')
    dataset = loaded(eight, tables='t.csv', regions={'column': 'finding', 'box': ('x', 'y', 'w', 'h')})
    assert len(dataset.region_box) == 1
    assert [name.split()[0] for name in dataset.info['problems']['box_outside_image']] == ['0.png']
    assert dataset.info['problems']['box_without_area'] == ['1.png b']


def test_a_concept_that_is_no_class(eight):
    table(eight, 'file,finding,what,x,y,w,h\n0.png,a,heart,1,1,5,5\n1.png,b,b,1,1,5,5\n')
    block = {'column': 'what', 'box': ('x', 'y', 'w', 'h')}
    with pytest.raises(ValueError, match=r"Unknown concept \(t\.csv, line 2; .* 'heart'"):
        loaded(eight, tables='t.csv', regions=block)
    dataset = loaded(eight, tables='t.csv', regions={**block, 'others': 'add'}, anatomy=('heart',))
    assert dataset.concepts == ('a', 'b', 'heart')
    assert dataset.info['anatomy'] == ['heart']


def test_masks_beside_images_whole_and_cropped(tmp_path):
    inside = np.zeros((20, 20), np.uint8)
    inside[4:12, 8:16] = 255
    for name in ('p [1]', 'q (2)', 'r'):
        picture(tmp_path / f'a/{name}.png')
        picture(tmp_path / f'b/{name}x.png')
    Image.fromarray(inside).save(tmp_path / 'a/p [1]_mask.png')
    Image.fromarray(inside.T).save(tmp_path / 'a/p [1]_mask_1.png')
    Image.fromarray(inside).save(tmp_path / 'a/p [1]_mask_2.png')  # a copy
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / 'a/q (2)_mask.png')
    Image.fromarray(np.zeros((20, 10), np.uint8) + 255).save(tmp_path / 'a/r_mask.png')
    block = {
        'images': {'exclude': '*_mask*'},
        'labels': {'path': 'parent'},
        'task': 'multi_class',
        'regions': {'concept': 'label', 'files': '{stem}_mask*.png'},
    }
    dataset = read(tmp_path, declare.layout(block, 'mine'), image_size=20)
    soundness.check(dataset)
    masks = np.unpackbits(dataset.region_mask, axis=-1, count=20).astype(bool)
    assert {mask.tobytes() for mask in masks} == {(inside > 0).tobytes(), (inside.T > 0).tobytes()}
    assert set(dataset.image_id[dataset.region_image]) == {'p [1].png'}
    assert sorted(map(tuple, dataset.region_box.tolist())) == [(4.0, 8.0, 12.0, 16.0), (8.0, 4.0, 16.0, 12.0)]
    assert dataset.info['problems']['mask_of_another_shape'] == ['a/r_mask.png [20, 10], its image [20, 20]']
    assert dataset.info['problems']['region_twice'] == ['a/p [1]_mask_2.png (a mask equal to the pixel)']


def test_a_mask_of_a_crop_lies_where_the_crop_was(tmp_path):
    for name in 'ab':
        picture(tmp_path / f'{name}.png', size=(30, 40))
        picture(tmp_path / f'masks/{name}.png', size=(5, 10), value=255)
    table(tmp_path, 'file,finding,x,y,w,h\na.png,p,4,6,20,10\nb.png,n,0,0,40,30\n')
    regions = {'concept': 'p', 'files': 'masks/{stem}.png', 'crop': ('x', 'y', 'w', 'h')}
    images = {'file': '{file}', 'exclude': 'masks/*', 'resize': 'pad'}
    block = {'tables': 't.csv', 'images': images, 'labels': 'finding', 'regions': regions}
    dataset = read(tmp_path, declare.layout(block, 'mine'), image_size=40)
    boxes = {dataset.image_id[i]: box.tolist() for i, box in zip(dataset.region_image, dataset.region_box, strict=True)}
    assert boxes == {'a.png': [4, 11, 24, 21], 'b.png': [0, 5, 40, 35]}  # padded by five rows above and below
    table(tmp_path, 'file,finding,x,y,w,h\na.png,p,0.1,0.2,0.5,0.34\nb.png,n,0,0,1,1\n')
    block['regions'] = {**regions, 'unit': 'fraction'}
    shares = read(tmp_path, declare.layout(block, 'mine'), image_size=40)
    np.testing.assert_array_equal(shares.region_mask, dataset.region_mask)


def test_grey_values_of_a_mask_are_concepts(tmp_path):
    for name in 'ab':
        picture(tmp_path / f'{name}.png')
        parts = np.zeros((20, 20), np.uint8)
        parts[:10], parts[15:] = 1, 2
        Image.fromarray(parts).save(tmp_path / f'{name}_seg.png')
    table(tmp_path, 'file,finding\na.png,p\nb.png,n\n')
    regions = {'files': '{stem}_seg.png', 'values': {'lung': 1, 'heart': '2'}}
    dataset = loaded(tmp_path, tables='t.csv', images={'file': '{file}', 'exclude': '*_seg*'}, regions=regions)
    assert dataset.concepts == ('n', 'p', 'lung', 'heart')
    assert sorted(dataset.region_concept.tolist()) == [2, 2, 3, 3]
    area = np.unpackbits(dataset.region_mask, axis=-1, count=SIZE).sum((1, 2))
    assert sorted(area.tolist()) == [SIZE * SIZE // 4] * 2 + [SIZE * SIZE // 2] * 2


@pytest.mark.parametrize('values', [(1, 2), (38, 75)], ids=['indices', 'grey values'])
def test_label_maps_with_a_palette_are_read_by_index_or_colour(tmp_path, values):
    parts = np.zeros((20, 20), np.uint8)
    parts[3:9, 3:9], parts[12:17, 5:15] = 1, 2
    for name in 'ab':
        picture(tmp_path / f'{name}.png')
        colours = (0, 0, 0, 128, 0, 0, 0, 128, 0) if values == (1, 2) else (0, 0, 0, 38, 38, 38, 75, 75, 75)
        image = Image.fromarray(parts)
        image.putpalette([*colours, *[0] * 759])
        image.save(tmp_path / f'{name}_seg.png')
    table(tmp_path, 'file,finding\na.png,p\nb.png,n\n')
    regions = {'files': '{stem}_seg.png', 'values': dict(zip(('lung', 'heart'), values, strict=True))}
    dataset = loaded(tmp_path, tables='t.csv', images={'file': '{file}', 'exclude': '*_seg*'}, regions=regions)
    assert sorted(dataset.concepts[one] for one in dataset.region_concept) == ['heart', 'heart', 'lung', 'lung']


def test_grey_values_of_a_lossy_file_are_no_concepts(tmp_path):
    for name in 'ab':
        picture(tmp_path / f'{name}.png')
        parts = np.zeros((20, 20), np.uint8)
        parts[3:9, 3:9], parts[12:17, 5:15] = 1, 2
        Image.fromarray(parts * 60).save(tmp_path / f'{name}_seg.jpg', quality=60)
    table(tmp_path, 'file,finding\na.png,p\nb.png,n\n')
    regions = {'files': '{stem}_seg.jpg', 'values': {'lung': 60, 'heart': 120}}
    dataset = loaded(tmp_path, tables='t.csv', images={'file': '{file}', 'exclude': '*_seg*'}, regions=regions)
    assert len(dataset.region_box) == 0
    left = dataset.info['problems']['mask_of_other_values']
    assert ['compressed with loss' in one for one in left] == [True] * len(left) != []


@pytest.mark.parametrize(
    ('kind', 'options', 'read'),
    [('PNG', {}, True), ('WEBP', {'lossless': True}, True), ('WEBP', {}, False), ('JPEG', {}, False)],
)
def test_label_maps_compressed_with_loss_are_left_out_whatever_values_they_have(tmp_path, kind, options, read):
    parts = np.zeros((32, 32), np.uint8)
    parts[8:16, 8:24], parts[16:, 16:] = 1, 2
    for name, values in (('a', parts), ('b', parts * 0)):
        picture(tmp_path / f'{name}.png', size=(32, 32))
        Image.fromarray(values).save(tmp_path / f'{name}_seg.png', format=kind, **options)
    table(tmp_path, 'file,finding\na.png,p\nb.png,n\n')
    regions = {'files': '{stem}_seg.png', 'values': {'lung': 1, 'heart': 2}}
    dataset = loaded(tmp_path, tables='t.csv', images={'file': '{file}', 'exclude': '*_seg*'}, regions=regions)
    left = dataset.info['problems'].get('mask_of_other_values', [])
    assert dataset.region_box.tolist() == ([[4, 4, 12, 8], [8, 8, 16, 16]] if read else [])
    assert sum(one.startswith('a_seg.png (its file was compressed with loss, and has') for one in left) == (not read)
    assert sum(one.startswith('b_seg.png (its file was compressed with loss, and has 1 ') for one in left) == (not read)


def test_coco_from_its_file(tmp_path):
    for name in 'ab':
        picture(tmp_path / f'images/{name}.png')
    polygon = [2, 2, 12, 2, 12, 12, 2, 12]
    data = {
        'images': [{'id': i, 'file_name': f'{n}.png', 'height': 20, 'width': 20} for i, n in enumerate('ab')],
        'categories': [{'id': 1, 'name': 'nodule'}],
        'annotations': [{'image_id': 0, 'category_id': 1, 'bbox': [2, 2, 10, 10], 'segmentation': [polygon]}],
    }
    (tmp_path / 'coco.json').write_text(json.dumps(data))
    regions = {'column': 'category', 'code': 'segmentation', 'kind': 'coco_segmentation'}
    dataset = loaded(tmp_path, tables='coco.json', images='{file_name}', labels='category', regions=regions)
    assert dataset.labels[of(dataset, 'a.png')] == 1
    assert dataset.labels[of(dataset, 'b.png')] == 0
    assert len(dataset.region_mask) == 1
    boxed = loaded(
        tmp_path,
        tables='coco.json',
        images='{file_name}',
        labels='category',
        regions={'column': 'category', 'box': 'bbox'},
    )
    np.testing.assert_allclose(boxed.region_box, [[1.6, 1.6, 9.6, 9.6]], atol=1e-6)


def test_an_annotation_without_a_shape_has_its_box_or_is_named(eight):
    annotations = [{'image_id': 0, 'category_id': 1, 'bbox': [2, 2, 10, 10], 'segmentation': []}]
    data = {
        'images': [{'id': i, 'file_name': f'{i}.png'} for i in range(8)],
        'categories': [{'id': 1, 'name': 'nodule'}],
        'annotations': [*annotations, {**annotations[0], 'segmentation': [[2, 2, 12, 2, 12, 12, 2, 12]]}],
    }
    table(eight, json.dumps(data), 'coco.json')
    block = {'tables': 'coco.json', 'images': '{file_name}', 'labels': 'category'}
    regions = {'column': 'category', 'code': 'segmentation', 'kind': 'coco_segmentation'}
    shapes_only = loaded(eight, **block, regions=regions)
    assert len(shapes_only.region_box) == 1
    assert shapes_only.info['problems']['box_without_shape'][0].startswith('0.png nodule')
    both = loaded(eight, **block, regions={**regions, 'box': 'bbox'})
    np.testing.assert_allclose(both.region_box[0], [1.6, 1.6, 9.6, 9.6], atol=1e-6)
    assert len(both.region_box) == 2
    assert not both.info['problems']


def test_a_pattern_of_masks_that_no_image_has_is_said(eight):
    table(eight, rows(*(f'{i}.png,x,p{i}' for i in range(8))))
    dataset = loaded(eight, tables='t.csv', regions={'files': '{stem}_roi.png', 'concept': 'x'})
    assert "No image has a mask '{stem}_roi.png' (regions.files)." in dataset.info['notes']


@pytest.mark.parametrize(
    ('block', 'said'),
    [
        ({'split': {'path': 'x(.)'}}, r'Of 8 images none is left; in no split: 8, such as 0\.png \(see split\)'),
        ({'patient': {'column': 'who', 'pattern': '^([0-9]+)'}}, r'without patient: 8, such as 0\.png \(see patient\)'),
    ],
)
def test_why_nothing_is_left_is_said(eight, block, said):
    table(eight, rows(*(f'{i}.png,x,p{i}' for i in range(8))))
    with pytest.raises(ValueError, match=said):
        loaded(eight, tables='t.csv', **block)


def test_groups_of_people(eight):
    lines = ['0.png,a,F,058Y,PA', '1.png,b,M,85 or more,AP', '2.png,a,,414,PA', '3.png,b,f,11M,LL']
    table(eight, rows(*lines, header='file,finding,sex,age,view'))
    groups = {
        'sex': {'column': 'sex', 'values': {'female': 'F', 'male': 'M'}},
        'age': {'column': 'age', 'bands': (40, 60)},
        'view': 'view',
    }
    dataset = loaded(eight, tables='t.csv', groups=groups)
    assert dataset.info['groups'] == {
        'sex': ['female', 'male'],
        'age': ['under 40', '40 to 59', '60 and over'],
        'view': ['AP', 'LL', 'PA'],
    }
    assert 'doubts' not in dataset.info
    found = dataset.groups[[of(dataset, f'{i}.png') for i in range(4)]]
    assert found.tolist() == [[0, 1, 2], [1, 2, 0], [-1, -1, 2], [0, 0, 1]]


def test_a_patient_of_both_sexes_is_said(eight):
    lines = [
        '0.png,1,p1,F,AP',
        '1.png,0,p1,M,PA',
        '2.png,1,p2,F,AP',
        '3.png,0,p2,,PA',
        '4.png,0,p3,F,AP',
        '5.png,1,p3,F,PA',
    ]
    table(eight, rows(*lines, header='file,a,who,sex,view'))
    dataset = loaded(eight, tables='t.csv', labels=('a',), patient='who', groups={'sex': 'sex', 'view': 'view'})
    assert dataset.info['doubts'] == ['Patients with two values of sex: 1 (p1).']


def test_groups_are_those_of_the_images_that_are_left(eight):
    lines = ['0.png,a,,AP', '1.png,b,p1,LL', '2.png,a,p2,PA', '3.png,b,p3,LL']
    table(eight, rows(*lines, header='file,finding,who,view'))
    dataset = loaded(eight, tables='t.csv', patient='who', groups={'view': 'view'})
    assert dataset.info['groups'] == {'view': ['LL', 'PA']}
    assert {str(name): int(one) for name, (one,) in zip(dataset.image_id, dataset.groups, strict=True)} == {
        '1.png': 0,
        '2.png': 1,
        '3.png': 0,
    }


def test_grades_are_in_the_order_of_their_numbers_or_it_is_asked_for(eight):
    grades = [f'grade {(0, 10, 2, 1)[i % 4]}' for i in range(8)]
    table(eight, rows(*(f'{i}.png,{grade},' for i, grade in enumerate(grades))))
    what = {'tables': 't.csv', 'task': 'multi_class', 'ordinal': True}
    dataset = loaded(eight, **what)
    assert dataset.classes == ('grade 0', 'grade 1', 'grade 2', 'grade 10')
    assert dataset.labels.argmax(1)[[of(dataset, f'{i}.png') for i in range(4)]].tolist() == [0, 3, 2, 1]
    table(eight, rows(*(f'{i}.png,{("mild", "none yet", "severe")[i % 3]},' for i in range(8))))
    with pytest.raises(
        ValueError, match=r'nothing says the order of mild, none yet, severe: labels\.classes names them'
    ):
        loaded(eight, **what)


def test_images_that_readers_call_differently_are_left_out_of_one_class_each(eight):
    said = [f'{i}.png,{"ab"[(i + (i < 2) * reader) % 2]},r{reader}' for i in range(8) for reader in range(2)]
    table(eight, rows(*said))
    dataset = loaded(eight, tables='t.csv', labels={'column': 'finding', 'reader': 'who'}, task='multi_class')
    assert sorted(dataset.info['problems']['not_of_one_class']) == ['0.png', '1.png']
    assert len(dataset.images) == 6


def test_one_class_per_image_or_it_is_named(eight):
    table(eight, rows('0.png,a,1', '1.png,b,1', '2.png,,1', '3.png,a,1', '3.png,b,1', '4.png,c,1'))
    dataset = loaded(eight, tables='t.csv', task='multi_class')
    assert dataset.info['task'] == 'multi_class'
    assert (dataset.labels.sum(1) == 1).all()
    assert sorted(dataset.info['problems']['not_of_one_class']) == ['2.png', '3.png']


def test_colour_sizes_and_enlarging_are_said(tmp_path):
    picture(tmp_path / 'a.png', colour=True)
    picture(tmp_path / 'b.png', size=(8, 12))
    table(tmp_path, 'file,finding\na.png,a\nb.png,b\n')
    dataset = loaded(tmp_path, tables='t.csv')
    assert dataset.images.shape == (2, SIZE, SIZE, 3)
    assert dataset.source_size[[of(dataset, 'a.png'), of(dataset, 'b.png')]].tolist() == [[20, 20], [8, 12]]
    assert any('1 of 2 files are smaller than 16 pixels' in note for note in dataset.info['notes'])
    assert any('stretched' in note for note in dataset.info['notes'])
    assert loaded(tmp_path, tables='t.csv', images={'file': '{file}', 'channels': 1}).images.shape[-1] == 1


def test_a_brighter_file_than_those_sampled_changes_the_bits(tmp_path, monkeypatch):
    monkeypatch.setattr('imbalance_jax.data.reader.squares.SAMPLED', 1)
    for name, top in {'a': 4000, 'b': 60000}.items():
        Image.fromarray(np.full((20, 20), top, np.uint16)).save(tmp_path / f'{name}.png')
    table(tmp_path, 'file,finding\na.png,a\nb.png,b\n')
    dataset = loaded(tmp_path, tables='t.csv')
    wanted = {'a.png': 4000 / 65535 * 255, 'b.png': 60000 / 65535 * 255}
    for name, grey in wanted.items():
        np.testing.assert_allclose(dataset.images[of(dataset, name)], grey, atol=0.51)


def test_tables_alone_need_no_images(tmp_path):
    table(tmp_path, rows('0.png,a|b,7', '1.png,No Finding,8'))
    cases, found = read_tables(
        tmp_path, layout(tables='t.csv', labels={'column': 'finding', 'separator': '|'}, patient='who')
    )
    assert cases.classes == ('a', 'b')
    assert (cases.readings[0].cells == PRESENT).sum(0).tolist() == [1, 1]
    assert not found.problems


def test_files_are_all_that_matters_and_nothing_hidden(eight):
    table(eight, rows('0.png,a,7'))
    (eight / '.hidden.png').write_bytes(b'')
    (eight / 'note.docx').write_bytes(b'')
    named = {path.relative_to(eight).as_posix() for path in files(eight, layout(tables='t.csv'))}
    assert named == {'t.csv', *(f'images/{i}.png' for i in range(8))}


def test_a_table_whose_images_are_elsewhere(eight):
    table(eight, rows('x.png,a,1', 'y.png,b,1'))
    with pytest.raises(FileNotFoundError, match=r"None of the 2 images that t\.csv names is there, such as 'x\.png'"):
        loaded(eight, tables='t.csv')


def test_a_column_of_yes_and_no_names_no_classes(eight):
    table(eight, 'file,mass\n0.png,1\n1.png,0\n2.png,\n3.png,-1.0\n')
    with pytest.raises(
        ValueError, match=r"'mass' of names of classes, but in t\.csv it has only -1, 0, 1; write labels=\('mass'"
    ):
        loaded(eight, tables='t.csv', labels='mass')
    assert loaded(eight, tables='t.csv', labels=('mass',)).classes == ('mass',)
    meant = {'column': 'mass', 'classes': ('0', '1'), 'others': 'ignore'}
    assert loaded(eight, tables='t.csv', labels=meant).classes == ('0', '1')
    table(eight, 'file,kind\n' + ''.join(f'{k}.png,{k % 2}\n' for k in range(8)))
    assert loaded(eight, tables='t.csv', labels='kind', task='multi_class').classes == ('0', '1')


def test_a_table_without_rows_is_said(eight):
    table(eight, 'file,mass\n')
    with pytest.raises(ValueError, match=r't\.csv has no rows; expected one per image'):
        loaded(eight, tables='t.csv', labels=('mass',))
    table(eight, 'file,mass\n0.png,1\n')
    with pytest.raises(ValueError, match=r't\.csv has no rows with mass 2; expected'):
        loaded(eight, tables={'file': 't.csv', 'where': {'mass': 2}}, labels=('mass',))


def test_an_image_that_is_a_link_to_itself_is_left_out_and_named(eight):
    (eight / 'images/8.png').symlink_to('8.png')
    table(eight, 'file,mass\n' + ''.join(f'{k}.png,{k % 2}\n' for k in range(9)))
    block = {'tables': 't.csv', 'labels': ('mass',)}
    dataset = loaded(eight, **block)
    assert len(dataset.images) == 8
    assert [one.startswith('images/8.png (') for one in dataset.info['problems']['unreadable']] == [True]
    assert eight / 'images/8.png' not in files(eight, layout(**block))


def test_a_patient_in_two_splits_is_named_as_in_the_table(eight):
    lines = [f'{k}.png,{k % 2},P{k // 2},{"train" if k < 5 else "test"}' for k in range(8)]
    table(eight, rows(*lines, header='file,mass,who,set'))
    said = r"^patient 'P2' is in train \(image 4\.png\) and in test \(image 5\.png\); all images .* in one split\.$"
    with pytest.raises(ValueError, match=said):
        loaded(eight, tables='t.csv', labels=('mass',), patient='who', split='set')


def test_a_joined_table_of_other_names_is_said(eight):
    """Empty cells of images that it does not have would count as a no."""
    table(eight, 'file\n' + '\n'.join(f'{i}.png' for i in range(8)), 'i.csv')
    joined = [{'file': 'i.csv'}, {'file': 'l.csv', 'on': 'file=name'}]
    table(eight, 'name,A\n' + '\n'.join(f'{i},{i % 2}' for i in range(8)), 'l.csv')
    with pytest.raises(
        ValueError, match=r"No row of l\.csv is of any image by file=name: there it is '0', and here '0"
    ):
        loaded(eight, tables=joined, labels=('A',))
    table(eight, 'name,A\n' + '\n'.join(f'{i}.png,{i % 2}' for i in range(6)), 'l.csv')
    (said,) = doubts_with(loaded(eight, tables=joined, labels=('A',)), 'rows have none')
    assert said.startswith(
        '2 of 8 rows have none in l.csv (on file=name), so that nothing is said of A there: 6.png, 7.'
    )
    joined[1]['needed'] = True
    assert len(loaded(eight, tables=joined, labels=('A',)).labels) == 6


@pytest.mark.parametrize(
    ('block', 'said'),
    [
        ({'patient': {'column': 'who', 'unknown': 'own'}}, 'nothing is said of who there: 6.png, 7.png.'),
        ({'patient': {'column': 'mass_of', 'unknown': 'own'}}, ''),  # of the first table
        ({'split': {'test_where': {'who': 'P0'}, 'test': 0.0}}, 'nothing is said of who there: 6.png, 7.png.'),
        ({'split': {'column': 'set', 'others': 'train'}}, ''),  # it is said that they are of no split
    ],
)
def test_a_joined_table_that_lacks_people_or_splits_is_said(eight, block, said):
    table(eight, 'file,mass,mass_of\n' + ''.join(f'{i}.png,{i % 2},P{i // 2}\n' for i in range(8)))
    table(eight, 'file,who,set,mass_of\n' + ''.join(f'{i}.png,P{i // 2},train,Q\n' for i in range(6)), 'meta.csv')
    block = {'tables': ['t.csv', {'file': 'meta.csv', 'on': 'file'}], 'labels': ('mass',), **block}
    assert [said in one for one in doubts_with(loaded(eight, **block), 'rows have none')] == ([True] if said else [])
    table(
        eight,
        'file,who,set\n' + ''.join(f'{i}.png,{"" if i > 5 else f"P{i // 2}"},train\n' for i in range(8)),
        'meta.csv',
    )
    assert not doubts_with(loaded(eight, **block), 'rows have none')  # an empty cell may be meant


def test_objects_are_no_names_of_classes(eight):
    (eight / 't.json').write_text(json.dumps([{'file': f'{i}.png', 'finding': {'a': i}} for i in range(8)]))
    with pytest.raises(ValueError, match=r"t\.json, line 1: \{'a': 0\} is an object; expected the name of a class"):
        loaded(eight, tables='t.json', labels='finding')


def test_images_that_are_all_there_twice_are_said(eight):
    for i in range(8):
        picture(eight / f'again/{i}.png')
    table(eight, rows(*(f'{i}.png,a,p' for i in range(8))))
    with pytest.raises(ValueError, match=r't\.csv names is there several times, such as .*images\.folders'):
        loaded(eight, tables='t.csv')


def coco(annotations):
    """Eight images, each of id its number."""
    images = [{'id': i, 'file_name': f'{i}.png', 'width': 20, 'height': 20} for i in range(8)]
    return json.dumps({'images': images, 'annotations': annotations, 'categories': [{'id': 1, 'name': 'a'}]})


COCO = {'tables': {'file': 't.json'}, 'images': '{file_name}', 'labels': {'column': 'category'}}
BOXES = {'box': 'bbox', 'column': 'category'}


def test_a_file_of_the_very_letters_is_the_one_that_is_named(eight):
    picture(eight / '3.PNG', value=9)
    picture(eight / '3.Png', value=200)
    table(eight, rows(*(f'{i}.png,a,' for i in range(8))))
    dataset = loaded(eight, tables='t.csv')
    assert len(dataset.images) == 8
    assert dataset.images[of(dataset, '3.png')].std() > 0  # not of the others, which are of one value
    assert dataset.info['problems'] == {'not_in_table': ['3.PNG', '3.Png']}


def test_ids_of_coco_are_the_same_as_text_and_as_numbers(eight):
    box = {'bbox': [2, 2, 8, 8]}
    (eight / 't.json').write_text(coco([{'image_id': str(i), 'category_id': '1', **box} for i in range(4)]))
    dataset = loaded(eight, **COCO, regions=BOXES)
    assert dataset.labels.sum() == 4
    assert len(dataset.region_box) == 4


def test_annotations_of_no_image_are_said(eight):
    some = [{'image_id': i, 'category_id': 1} for i in (0, 1, 77)]
    (eight / 't.json').write_text(coco(some))
    assert doubts_with(loaded(eight, **COCO), '77') == ['t.json: 1 annotations are of no image: image_id 77.']
    (eight / 't.json').write_text(coco(some[2:]))
    with pytest.raises(ValueError, match=r'all 1 annotations are of no image: image_id 77; the ids of images are 0, 1'):
        loaded(eight, **COCO)
    (eight / 't.json').write_text(coco([{'image_id': 1, 'category_id': 9}]))
    with pytest.raises(ValueError, match=r"category of an annotation of image 1 in .*t\.json: '9'\. Known: 1"):
        loaded(eight, **COCO)


@pytest.mark.parametrize(
    ('kind', 'shape'), [('rectangle', '2 2 90 12'), ('polygon', '2 2 90 2 90 12'), ('ellipse', '-30 2 8 12')]
)
def test_shapes_that_leave_the_image_are_named(eight, kind, shape):
    table(
        eight, rows(*(f'{i}.png,a,{shape if i == 3 else "2 2 12 20.3"}' for i in range(8)), header='file,finding,drawn')
    )
    drawn = {'code': 'drawn', 'kind': kind if kind != 'polygon' else 'rectangle', 'concept': 'a'}
    if kind == 'polygon':
        table(
            eight,
            rows(
                *(f'{i}.png,a,{shape if i == 3 else "2 2 12 2 12 20.3"}' for i in range(8)), header='file,finding,drawn'
            ),
        )
        drawn['kind'] = kind
    dataset = loaded(eight, tables='t.csv', regions=drawn)
    assert [one.split(' ')[0] for one in dataset.info['problems']['shape_outside_image']] == ['3.png']
    assert len(dataset.region_box) == 7


def test_shapes_in_shares_of_the_image_among_pixels_are_named(eight):
    shapes = ('0.1 0.1 0.6 0.1 0.6 0.4', *['2 2 12 2 12 12.3'] * 7)
    table(eight, rows(*(f'{i}.png,a,{shape}' for i, shape in enumerate(shapes)), header='file,finding,drawn'))
    dataset = loaded(eight, tables='t.csv', regions={'code': 'drawn', 'kind': 'polygon', 'concept': 'a'})
    assert [one.split(' ')[0] for one in dataset.info['problems']['shape_below_one_pixel']] == ['0.png']
    assert len(dataset.region_box) == 7


def test_a_concept_that_is_nearly_a_class_is_said(eight):
    table(eight, rows(*(f'{i}.png,mass,{i}' for i in range(8))))
    regions = {'files': 'masks/{stem}.png', 'concept': 'mas'}
    assert doubts_with(
        loaded(eight, tables='t.csv', regions=regions), "'mas' of regions is no class, and nearly the class 'mass'"
    )
    assert not doubts_with(loaded(eight, tables='t.csv', regions={**regions, 'concept': 'heart'}), 'nearly')
    assert doubts_with(loaded(eight, tables='t.csv', regions={**regions, 'concept': 'masses'}), 'nearly')


@pytest.mark.parametrize(
    ('files', 'split', 'said'),
    [
        (
            {'a.txt': '0.png\n1.png', 'b.txt': '1.png\n2'},
            {'lists': {'train': 'a.txt', 'test': 'b.txt'}},
            r'1\.png is in the lists of',
        ),
        (
            {'b.txt': 'p7\np8'},
            {'lists': {'test': 'b.txt'}},
            r"test split, has no line that is an image here: such as 'p7'",
        ),
        ({'b.txt': ''}, {'lists': {'test': 'b.txt'}}, r'no line that is an image here: it is empty'),
        ({}, {'test_where': {'who': 'nobody'}}, r"who of no image is 'nobody'; t\.csv has '0', '1'"),
        ({}, {'column': 'who'}, r"who \(split\.column\) says of no image which split it is in: it has '0', '1'"),
        ({}, {'column': 'who', 'path': 'folder'}, r'split has column and path; one of them says'),
    ],
)
def test_splits_that_are_stated_nowhere_or_twice_are_refused(eight, files, split, said):
    table(eight, rows(*(f'{i}.png,a,{i}' for i in range(8))))
    for name, text in files.items():
        (eight / name).write_text(text)
    with pytest.raises(ValueError, match=said):
        loaded(eight, tables='t.csv', split=split)


def test_a_table_of_regions_says_whose_its_rows_are(eight):
    table(eight, rows(*(f'{i}.png,a,{i}' for i in range(8))))
    table(eight, 'file,what,x,y,w,h\n1.png,a,1,1,5,5', 'r.csv')
    tables = [{'file': 't.csv'}, {'file': 'r.csv', 'name': 'boxes'}]
    regions = {'table': 'boxes', 'column': 'what', 'box': ('x', 'y', 'w', 'h')}
    with pytest.raises(ValueError, match=r'r\.csv has no `on`: give the columns that tell whose its rows are'):
        loaded(eight, tables=tables, regions=regions)
    assert len(loaded(eight, tables=tables, regions={**regions, 'on': 'file'}).region_box) == 1


def test_a_patient_written_with_a_decimal_comma_is_one(eight):
    endings = ['', ',0', ',00', '.0']
    table(eight, rows(*(f'{i}.png;a;{i // 4}{endings[i % 4]}' for i in range(8)), header='file;finding;who'))
    assert len(set(loaded(eight, tables='t.csv', patient='who').patient.tolist())) == 2


@pytest.mark.parametrize(
    ('cells', 'separator', 'said'),
    [
        (('mass|edema', 'mass', 'edema', 'mass'), '', 'several names (mass|edema)'),
        (('mass and edema', 'mass', 'edema', 'mass'), '', 'several names (mass and edema)'),
        (('mass_edema', 'mass', 'edema', 'mass'), '', 'several names (mass_edema)'),
        (('mass, left', 'mass, right', 'edema', ''), '', 'several names (mass, left, mass, right)'),
        (('mass,edema', 'mass', 'edema', 'mass'), '|', 'several names (mass,edema)'),
        (("['mass', 'edema']", '[]', '[]', "['mass']"), '', "labels.separator = 'list'?"),
        (("['mass', 'edema']", '[]', '[]', "['mass']"), ',', "labels.separator = 'list'?"),
        (('1 0', '0 1', '1 0', '0 0'), '', 'look like lists'),
        (('Mass', 'mass.', 'edema', ''), '', 'differ in spelling alone: Mass, mass.'),
        (('mass/nodule', 'edema', 'no finding', ''), '', ''),
        (('mass', 'edema', '-1', '99'), '', 'without a letter among others with (-1, 99)'),
        (('1', '2', '3', '3'), '', ''),  # grades
        (('mass (left)', 'pleural effusion', 'pleural thickening', 'hernia'), '', ''),
    ],
)
def test_classes_that_look_like_several_are_doubted(eight, cells, separator, said):
    (eight / 't.json').write_text(json.dumps([{'file': f'{i}.png', 'finding': cells[i % 4]} for i in range(8)]))
    dataset = loaded(eight, tables='t.json', labels={'column': 'finding', 'separator': separator})
    doubts = doubts_with(dataset, 'Classes ')
    assert len(doubts) == bool(said)
    assert all(said in one for one in doubts)


def test_a_list_as_numpy_writes_it_is_none(eight):
    table(eight, rows(*(f"{i}.png,['mass' 'edema'],p" for i in range(8))))
    with pytest.raises(ValueError, match=r't\.csv, line 2: .* is no list .*: its texts have nothing between them'):
        loaded(eight, tables='t.csv', labels={'column': 'finding', 'separator': 'list'})


def test_files_of_one_table_without_a_column_of_labels_are_said(eight):
    table(eight, rows(*(f'{i}.png,1,a' for i in range(4)), header='file,mass,note'), 'a1.csv')
    table(eight, rows(*(f'{i}.png,1' for i in range(4, 8)), header='file,Mass'), 'a2.csv')
    (said,) = doubts_with(loaded(eight, tables='a*.csv', labels=('mass',)), 'has no')
    assert said == "a2.csv has no 'mass', which other files of its table have: its cells are empty."
    table(eight, rows(*(f'{i}.png,1' for i in range(4, 8)), header='file,mass'), 'a2.csv')
    assert not doubts_with(loaded(eight, tables='a*.csv', labels=('mass',)), 'has no')


def test_words_that_are_no_split_are_said(eight):
    table(eight, rows(*(f'{i}.png,a,{"train" if i < 5 else "holdout"}' for i in range(8))))
    dataset = loaded(eight, tables='t.csv', split={'column': 'who', 'validation': 0.2, 'test': 0.2})
    assert doubts_with(dataset, 'holdout') == [
        'Values of who that mean no split (split.values), of images that are left out: holdout 3.'
    ]
    meant = loaded(eight, tables='t.csv', split={'column': 'who', 'others': 'test'})
    assert not doubts_with(meant, 'holdout')  # it is in the notes
    assert any('of images that are test: holdout 3' in one for one in meant.info['notes'])


def test_the_header_of_a_list_of_images_is_no_image(eight):
    for name, start in (('train', 0), ('test', 4)):
        (eight / f'{name}.csv').write_text('Image ID\n' + ''.join(f'{i}.png\n' for i in range(start, start + 4)))
    table(eight, rows(*(f'{i}.png,a,' for i in range(8))))
    lists = {'train': 'train.csv', 'test': 'test.csv'}
    assert not [one for one in loaded(eight, tables='t.csv', split={'lists': lists}).info['notes'] if 'lines of' in one]
    (eight / 'test.csv').write_text('8.png\n' + ''.join(f'{i}.png\n' for i in range(4, 8)))
    notes = loaded(eight, tables='t.csv', split={'lists': lists}).info['notes']
    assert '1 lines of test.csv are of images that are not here: 8.png.' in notes


def test_what_excludes_all_images_is_named(eight):
    table(eight, rows(*(f'{i}.png,a,p' for i in range(8))))
    with pytest.raises(FileNotFoundError, match=r'has no image .* but 8 that images\.exclude leaves out, \*\.png\.'):
        loaded(eight, tables='t.csv', images={'file': '{file}', 'exclude': '*.png'})


def test_rows_of_one_file_under_two_names_are_named(eight):
    table(eight, rows(*(f'{i}.png,a,p{i}' for i in range(8)), '3,b,p3'))
    problems = loaded(eight, tables='t.csv').info['problems']
    assert problems == {'of_the_file_of_another_row': ['3 (3.png)']}


def test_a_value_of_test_where_that_no_image_has_is_said(eight):
    table(eight, rows(*(f'{i}.png,a,{"F" if i < 3 else "M"}' for i in range(8))))
    dataset = loaded(eight, tables='t.csv', split={'test_where': {'who': ('F', 'X')}, 'validation': 0.25})
    assert doubts_with(dataset, 'test_where') == ["split.test_where: who of no image is 'X'."]
    assert (dataset.split == 2).sum() == 3


def test_who_has_a_stated_test_image_is_not_drawn_for_validation(eight):
    said = [f'{i}.png,a,{"P0" if i in (0, 1) else i},{"test" if i == 0 else ""}' for i in range(8)]
    table(eight, rows(*said, header='file,finding,who,split'))
    for seed in range(12):
        rule = {'column': 'split', 'others': 'train', 'validation': 0.4, 'seed': seed}
        with pytest.raises(ValueError, match=r"patient 'P0' is in train .* and in test"):
            loaded(eight, tables='t.csv', patient='who', split=rule)


@pytest.mark.parametrize(
    'other', ['Site C\u200b', 'Site  C', 'Site_C', 'SiteC', 'site C.', '\uff33ite C', 'Site \u0421']
)
def test_values_that_look_like_those_of_test_where_are_said(eight, other):
    table(eight, rows(*(f'{i}.png,a,{("Site C", other, "Site A", "Site A")[i % 4]}' for i in range(8))))
    dataset = loaded(eight, tables='t.csv', split={'test_where': {'who': ('Site C',)}, 'validation': 0.25})
    (said,) = doubts_with(dataset, 'test_where')
    assert f'{other!a} of who look like it and are not of the test split, 2 images' in said


def test_rows_of_an_image_that_disagree_on_groups_or_a_patient_s_pattern(eight):
    table(eight, rows(*(f'{n % 4}.png,a,{"FM"[n // 6]},P{n % 4}_{n}' for n in range(8)), header='file,finding,sex,who'))
    groups = {'sex': 'sex', 'who': {'column': 'who', 'values': {'a': ('P0_0', 'P0_4')}}}  # spelt in two ways
    dataset = loaded(eight, tables='t.csv', groups=groups, patient={'column': 'who', 'pattern': '(P[0-9])'})
    assert not doubts_with(dataset, 'several who')
    assert doubts_with(dataset, 'several sex') == [
        'Images whose rows give several sex, the first counts: 2 (2.png, 3.png).'
    ]
    with pytest.raises(ValueError, match=r"line 6: the patient of the image is '4', but in .* line 2 it is '0'"):
        loaded(eight, tables='t.csv', patient={'column': 'who', 'pattern': '_([0-9])'})


def test_a_box_of_a_thousand_with_a_comma_is_refused(eight):
    table(eight, 'file,finding,x,y,w,h\n0.png,a,1,2,3,4\n1.png,b,"1,024",2,3,4\n')
    block = {'tables': 't.csv', 'regions': {'column': 'finding', 'box': ('x', 'y', 'w', 'h')}}
    with pytest.raises(ValueError, match=r"t.csv, line 3: the box has '1,024': write 1024, or 1.024"):
        loaded(eight, **block)
    table(eight, 'file,finding,x,y,w,h\n0.png,a,"1,5","2,25",3,4\n1.png,b,"1,024",2,3,4\n')
    assert len(loaded(eight, **block).region_box) == 2


def test_a_shape_of_decimal_commas_is_refused(eight):
    table(eight, 'file,finding,c\n0.png,a,3.5 2.0 9.0 2.0 9.0 8.0\n1.png,b,"3,5 2,0 9,0 2,0 9,0 8,0"\n')
    block = {'tables': 't.csv', 'regions': {'column': 'finding', 'code': 'c', 'kind': 'polygon'}}
    with pytest.raises(
        ValueError, match=r"t\.csv, line 3: a shape .* begins '3,5 2,0 9,0 2,0', .* '3\.5 2\.0 9\.0 2\.0'"
    ):
        loaded(eight, **block)
    table(eight, 'file,finding,c\n0.png,a,"3.5,2 9,2 9,8"\n1.png,b,"3,2 9,2 9,8"\n')
    assert regions_of(loaded(eight, **block))['1.png'].tolist() == [3, 2, 8, 7]


def test_regions_of_no_concept_in_the_first_table_are_said(eight):
    table(eight, 'file,finding,what,x,y,w,h\n0.png,a,a,1,2,3,4\n1.png,b,bb,1,2,3,4\n2.png,b,nothing,,,,\n')
    regions = {'column': 'what', 'box': ('x', 'y', 'w', 'h'), 'others': 'ignore'}
    dataset = loaded(eight, tables='t.csv', regions=regions)
    assert [one for one in dataset.info['notes'] if 'no concept' in one] == ['1 rows of t.csv are of no concept: bb 1.']


@pytest.mark.parametrize('cell', ['masks/{}_m.png', '/old/place/masks/{}_m.png', 'masks\\{}_m.PNG', 'masks/{}_m'])
def test_masks_that_cells_name_are_found_as_images_are_or_named(tmp_path, cell):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
        picture(tmp_path / f'masks/{i}_m.png', value=255)
    cells = [cell.format(i) if i else 'masks/lost.png' for i in range(7)]
    table(tmp_path, 'file,finding,mask\n' + ''.join(f'{i}.png,{"ab"[i % 2]},{one}\n' for i, one in enumerate(cells)))
    dataset = loaded(tmp_path, tables='t.csv', regions={'files': '{mask}', 'concept': 'lung'})
    assert sorted(dataset.image_id[dataset.region_image]) == [f'{i}.png' for i in range(1, 7)]
    assert dataset.info['problems']['missing_mask'] == ['masks/lost.png of 0.png (t.csv, line 2)']


def test_masks_called_as_their_images_are_none_of_these(tmp_path):
    for i in range(8):
        picture(tmp_path / f'images/{i}.png')
        picture(tmp_path / f'masks/{i}.png', value=255)
    table(tmp_path, 'file,finding,mask\n' + ''.join(f'{i}.png,{"ab"[i % 2]},masks/{i}.png\n' for i in range(8)))
    for pattern in ('masks/{file}', '{mask}'):
        dataset = loaded(tmp_path, tables='t.csv', regions={'files': pattern, 'concept': 'lung'})
        assert len(dataset.images) == len(dataset.region_box) == 8
        assert not doubts_with(dataset, 'several times')


@pytest.mark.skipif(not hasattr(os, 'symlink'), reason='links')
def test_a_link_to_a_folder_is_not_what_it_is_called(tmp_path):
    for i in range(8):
        picture(tmp_path / ('benign', 'malignant')[i % 2] / f'{i}.png')
    os.symlink(tmp_path / 'benign', tmp_path / 'a_link')
    dataset = loaded(tmp_path, images={}, labels={'path': 'parent'}, task='multi_class')
    assert dataset.classes == ('benign', 'malignant')
    assert len(dataset.images) == 8


def test_a_mask_of_several_images_is_said(tmp_path):
    for name in ('1', '10', '2'):
        picture(tmp_path / f'{name}.png')
        picture(tmp_path / f'{name}_mask.png', value=255)
    table(tmp_path, 'file,finding\n1.png,a\n10.png,b\n2.png,a\n')
    block = {'tables': 't.csv', 'images': {'file': '{file}', 'exclude': '*_mask.png'}}
    dataset = loaded(tmp_path, **block, regions={'concept': 'area', 'files': '{stem}*_mask.png'})
    assert doubts_with(dataset, 'several images') == [
        "Mask files that '{stem}*_mask.png' (regions.files) gives several images: 1 (10_mask.png of 1.png and 10.png)."
    ]
    dataset = loaded(tmp_path, **block, regions={'concept': 'area', 'files': '{stem}_*.png'})
    assert not doubts_with(dataset, 'several images')
    table(tmp_path, 'file,finding,mask\n1.png,a,1_mask.png\n10.png,b,NaN\n2.png,a,1_mask.png\n')
    dataset = loaded(tmp_path, **block, regions={'concept': 'area', 'files': '{mask}'})  # a cell that was copied down
    assert doubts_with(dataset, 'several images') == [
        "Mask files that '{mask}' (regions.files) gives several images: 1 (1_mask.png of 1.png and 2.png)."
    ]
    assert not dataset.info['problems'].get('missing_mask')  # NaN is no name of a file


def test_no_finding_and_a_finding_in_two_rows_of_an_image_are_said(eight):
    lines = [*(f'{i}.png,{"No Finding" if i % 2 else "mass"},R1' for i in range(8)), '1.png,mass,R2']
    table(eight, rows(*lines))
    block = {'tables': 't.csv', 'images': 'file'}
    said = 'Said to be without a finding, and to have one'
    assert len(doubts_with(loaded(eight, **block, labels={'column': 'finding'}), said)) == 1
    assert not doubts_with(loaded(eight, **block, labels={'column': 'finding', 'reader': 'who'}), said)


def test_a_table_as_pandas_writes_json(eight):
    data = {'file': {str(i): f'{i}.png' for i in range(8)}, 'mass': {str(i): i % 2 for i in range(8)}}
    (eight / 't.json').write_text(json.dumps(data))
    assert loaded(eight, tables='t.json', images='file', labels=('mass',)).labels.sum() == 4


@pytest.mark.parametrize(('values', 'said'), [((1, 2), True), ((128, 255), True), ((1, 255), False), ((7, 7), False)])
def test_masks_of_one_value_each_and_not_the_same_are_said(eight, values, said):
    (eight / 'masks').mkdir()
    for i in range(8):
        pixels = np.zeros((20, 20), np.uint8)
        pixels[4 + i % 3 : 12, 5:12] = values[i % 2]
        Image.fromarray(pixels).save(eight / 'masks' / f'{i}.png')
    table(eight, rows(*(f'{i}.png,a,x' for i in range(8))))
    block = {'tables': 't.csv', 'images': {'file': '{file}', 'folders': ('',), 'exclude': ('masks/*',)}}
    regions = {'concept': 'a', 'files': 'masks/{stem}.png'}
    found = doubts_with(loaded(eight, **block, labels={'column': 'finding'}, regions=regions), 'one grey value each')
    one, two = values
    wanted = f'Mask files of a have one grey value each, and not the same, .*: {one} in 4, {two} in 4'
    assert [bool(re.match(wanted, sentence)) for sentence in found] == [True] * said


def test_a_joined_table_that_says_otherwise_is_named(eight):
    table(eight, 'file,patient\n' + ''.join(f'{i}.png,P{i}\n' for i in range(8)))
    shifted = ''.join(f'{i}.png,P{(i + 3) % 8},{i % 2}\n' for i in range(8))
    table(eight, f'file,patient,mass\n{shifted}', 'labels.csv')
    block = {'tables': ['t.csv', {'file': 'labels.csv', 'on': 'file'}], 'images': 'file', 'patient': 'patient'}
    assert doubts_with(loaded(eight, **block, labels=('mass',)), 'says another') == [
        'labels.csv says another patient than t.csv, whose own is kept, in 8 of 8 rows: t.csv, line 2 has '
        "'P0', and there 'P3'."
    ]
    table(eight, f'file,patient,mass\n{shifted}'.replace('P', ''), 'labels.csv')
    table(eight, 'file,patient\n' + ''.join(f'{i}.png,{(i + 3) % 8}.0\n' for i in range(8)))
    assert not doubts_with(loaded(eight, **block, labels=('mass',)), 'says another')


def test_masks_in_colours_are_said(eight):
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[2:18, 2:18] = (0, 255, 0)
    pixels[8:12, 8:12] = (255, 0, 0)
    (eight / 'masks').mkdir()
    for i in range(8):
        Image.fromarray(pixels if i else np.minimum(pixels, np.uint8([0, 255, 0]))).save(eight / 'masks' / f'{i}.png')
    table(eight, rows(*(f'{i}.png,a,x' for i in range(8))))
    regions = {'concept': 'a', 'files': 'masks/{stem}.png'}
    block = {'tables': 't.csv', 'images': {'file': '{file}', 'folders': ('',), 'exclude': ('masks/*',)}}
    (said,) = doubts_with(loaded(eight, **block, labels={'column': 'finding'}, regions=regions), 'several colours')
    assert ': 7 (' in said  # the hole of the first is black: one colour


def test_labels_that_are_joined_by_stems_of_several_images_are_said(tmp_path):
    for folder in 'ab':
        for i in range(4):
            picture(tmp_path / folder / f'{i}.png', value=i)
    table(tmp_path, 'name,mass\n' + ''.join(f'{i},{i % 2}\n' for i in range(4)))
    block = {'tables': {'file': 't.csv', 'on': ('stem=name',)}, 'labels': ('mass',), 'images': {}}
    (said,) = doubts_with(loaded(tmp_path, **block), 'have the stem of another in another folder')
    assert said.startswith('8 of 8 images')
    for i in range(4):
        (tmp_path / 'b' / f'{i}.png').unlink()
    assert not doubts_with(loaded(tmp_path, **block), 'the stem of another')


@pytest.mark.parametrize(
    'cell',
    [
        "{'xmin': 2, 'ymin': 4, 'width': 8, 'height': 12}",
        "[{'x': 2, 'y': 4, 'w': 8, 'h': 12}]",
        "{'x_center': 6, 'y_center': 10, 'width': 8, 'height': 12, 'score': 1}",
        "{'left': 2, 'top': 4, 'right': 10, 'bottom': 16}",
        '[2, 4, 8, 12]',
    ],
)
def test_boxes_in_one_cell(eight, cell):
    table(eight, 'file,a,bbox\n' + ''.join(f'{i}.png,1,"{cell}"\n' for i in range(8)))
    dataset = loaded(eight, tables='t.csv', labels=('a',), images='file', regions={'concept': 'a', 'box': 'bbox'})
    wanted = np.array([2, 4, 10, 16]) * dataset.images.shape[1] / 20
    np.testing.assert_allclose(dataset.region_box, np.tile(wanted, (8, 1)))


def test_several_boxes_in_one_cell_are_named(eight):
    table(eight, 'file,a,bbox\n' + ''.join(f'{i}.png,1,"2 4 8 12 3 3 3 3"\n' for i in range(8)))
    with pytest.raises(ValueError, match=r'expected four numbers, xywh \(of several in one cell, explode'):
        loaded(eight, tables='t.csv', labels=('a',), images='file', regions={'concept': 'a', 'box': 'bbox'})


def test_a_word_for_no_class_that_leaves_images_out_is_named(eight):
    dx = ('benign', 'malignant', 'normal')
    table(eight, rows(*(f'{i}.png,{dx[i % 3]}' for i in range(8)), header='file,dx'))
    two = loaded(eight, tables='t.csv', labels={'column': 'dx'}, task='multi_class')
    assert (list(two.classes), len(two.images)) == (['benign', 'malignant'], 6)
    [doubt] = doubts_with(two, 'labels.none')
    assert 'normal 2' in doubt
    assert 'labels.none = ()' in doubt
    three = loaded(eight, tables='t.csv', labels={'column': 'dx', 'none': ()}, task='multi_class')
    assert (list(three.classes), len(three.images)) == (list(dx), 8)
    assert not doubts_with(three, 'labels.none')


def test_names_of_files_with_letters_and_their_marks_apart_are_found(tmp_path):
    names = [unicodedata.normalize('NFC', f'M\u00fcller \u00e9{i}.png') for i in range(6)]
    for name in names:
        picture(tmp_path / 'films' / unicodedata.normalize('NFD', name))
    table(tmp_path, rows(*(f'{name},{"ab"[i % 2]}' for i, name in enumerate(names)), header='file,finding'))
    dataset = loaded(tmp_path, tables='t.csv')
    assert len(dataset.images) == 6
    assert dataset.labels.sum(0).tolist() == [3, 3]


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'PAR1\x15', 'it is a Parquet file'),
        (b'PK\x03\x04\x14', 'a ZIP archive or a workbook'),
        (gzip.compress(b'file,finding\n', mtime=0), 'name it .gz'),
        (b'<html><body>sign in</body></html>', 'it is a web page'),
        (b'[{"file": "0.png", "finding": "a"}]', "looks like JSON: kind = 'json'"),
        ('file,finding'.encode('utf-16-le'), 'UTF-16 without a mark'),
    ],
)
def test_a_table_that_is_something_else_is_called_that(eight, content, words):
    (eight / 't.csv').write_bytes(content)
    with pytest.raises(ValueError, match=r't\.csv') as caught:
        loaded(eight, tables='t.csv')
    assert words in str(caught.value)


def test_rows_that_name_no_image_are_named(eight):
    table(eight, rows('0.png,Mass,1', ',Nodule,1', '1.png,Nodule,1'))
    dataset = loaded(eight, tables='t.csv', labels='finding', images='file')
    assert dataset.info['problems']['rows_without_image'] == ['t.csv, line 3']


def test_a_blank_among_names_says_nothing_where_others_say_that_there_is_none(eight):
    table(eight, rows('0.png,Mass,1', '1.png,,1', '2.png,No Finding,1', '3.png,,1', '3.png,Mass,1'))
    for policy, mask in (({}, [1, 1, 1, 1]), ({'empty': 'ignore'}, [1, 0, 1, 1])):
        dataset = loaded(eight, tables='t.csv', labels='finding', images='file', policy=policy)
        order = [of(dataset, f'{i}.png') for i in range(4)]
        assert dataset.cells[0][order, 0].tolist() == [PRESENT, NOT_MENTIONED, ABSENT, PRESENT]
        assert dataset.label_mask[order, 0].tolist() == mask
    table(eight, rows('0.png,Mass,1', '1.png,,1'))  # where nothing else says so, a blank does
    dataset = loaded(eight, tables='t.csv', labels='finding', images='file')
    assert dataset.cells is None  # all are yes or no
    assert not dataset.labels[of(dataset, '1.png')].any()


def test_a_joined_table_with_two_rows_of_nobody_says_so(eight):
    table(eight, 'file\n0.png\n1.png\n')
    table(eight, 'file,Mass\n,1\n0.png,1\n,0\n', 'lab.csv')
    with pytest.raises(ValueError, match=r'lab\.csv, line 4: an empty file is in lab\.csv, line 2 with other values'):
        loaded(eight, tables=('t.csv', {'file': 'lab.csv', 'on': 'file'}), labels=('Mass',), images='file')


def test_folders_of_classes_that_differ_in_case_are_said(tmp_path):
    for number, folder in enumerate(('benign', 'Benign', 'malignant') * 4):
        picture(tmp_path / folder / f'{number}.png')
    dataset = loaded(tmp_path, labels={'path': 'parent'}, images={}, task='multi_class')
    assert doubts_with(dataset, 'spelling') == [
        'Classes differ in spelling alone: Benign, benign; labels.aliases makes them one.'
    ]


def test_rows_of_a_table_of_labels_that_are_of_no_image_are_named(eight):
    table(eight, 'file\n' + ''.join(f'{i}.png\n' for i in range(8)))
    table(eight, 'file,finding\n0.png,a\n,b\n1.png,b\nx.png,a\n', 'lab.csv')
    tables = ({'file': 't.csv'}, {'file': 'lab.csv', 'name': 'lab'})
    dataset = loaded(eight, tables=tables, images='file', labels={'table': 'lab', 'on': 'file', 'column': 'finding'})
    assert dataset.info['problems']['rows_without_image'] == ['lab.csv, line 3']
    said = '1 of 4 rows of lab (labels.table) are of images that are not here: lab.csv, line 5.'
    assert said in dataset.info['notes']


def test_names_that_are_ignored_are_counted(eight):
    table(eight, rows('0.png,a,1', '1.png,aa,1', '2.png,aa,1'))
    dataset = loaded(eight, tables='t.csv', labels={'column': 'finding', 'classes': ('a',), 'others': 'ignore'})
    assert any(
        "2 cells name no class and are ignored (labels.others = 'ignore'): aa 2." in n for n in dataset.info['notes']
    )


def test_images_of_a_rare_class_of_a_multi_class_set_are_left_out(eight):
    table(eight, 'file,dx\n' + ''.join(f'{i}.png,{"rare" if i == 3 else "ab"[i % 2]}\n' for i in range(8)))
    dataset = loaded(eight, tables='t.csv', labels={'column': 'dx', 'at_least': 3}, task='multi_class')
    assert dataset.classes == ('a', 'b')
    assert len(dataset.image_id) == 7
    assert dataset.info['problems']['of_a_rare_class'] == ['3.png']


def test_a_word_for_none_that_is_a_spelling_of_a_class_leaves_no_image_out(eight):
    table(eight, 'file,dx\n' + ''.join(f'{i}.png,{("none", "mild")[i % 2]}\n' for i in range(8)))
    labels = {'column': 'dx', 'classes': ('no', 'yes'), 'aliases': {'no': ('none',), 'yes': ('mild',)}}
    dataset = loaded(eight, tables='t.csv', labels=labels, task='multi_class')
    assert len(dataset.image_id) == 8
    assert not doubts_with(dataset, 'left out')


def test_cells_without_a_reader_or_a_crop_among_others_are_said(eight):
    lines = [f'{i}.png,{who},1,4,4,8,8' for i in range(8) for who in ('ann', '' if i == 3 else 'bob')]
    table(eight, '\n'.join(['file,who,a,x,y,w,h', *lines]))
    regions = {'concept': 'a', 'box': ('x', 'y', 'w', 'h'), 'reader': 'who'}
    labels = {'columns': ('a',), 'reader': 'who'}
    dataset = loaded(eight, tables='t.csv', images='file', labels=labels, regions=regions)
    assert len(doubts_with(dataset, '1 rows with a region name no reader')) == 1
    assert len(doubts_with(dataset, '1 rows name no reader')) == 1
    table(eight, '\n'.join(['file,a,x,y,w,h', *(f'{i}.png,1,{"4,4,8,8" if i else ",,,"}' for i in range(8))]))
    for i in range(8):
        picture(eight / f'masks/{i}.png', value=255)
    regions = {'concept': 'a', 'files': 'masks/{stem}.png', 'crop': ('x', 'y', 'w', 'h')}
    dataset = loaded(eight, tables='t.csv', images='file', labels=('a',), regions=regions)
    assert doubts_with(dataset, 'without a crop') == [
        'Images without a crop (regions.crop), whose masks count as of the whole image: 1 (0.png).'
    ]


def test_a_box_of_zeros_without_a_name_is_none(eight):
    lines = [f'{i}.png,{"Mass,4,4,8,8" if i % 2 else ",0,0,0,0"}' for i in range(8)]
    table(eight, '\n'.join(['file,finding,x,y,w,h', *lines]))
    regions = {'column': 'finding', 'box': ('x', 'y', 'w', 'h')}
    dataset = loaded(eight, tables='t.csv', images='file', labels='finding', regions=regions)
    assert len(dataset.region_box) == 4
    assert not dataset.info['problems']


def test_a_coco_file_without_categories_says_so(eight):
    data = {'images': [{'id': 1, 'file_name': '1.png'}], 'annotations': [{'image_id': 1, 'category_id': 1}]}
    table(eight, json.dumps(data), 'c.json')
    with pytest.raises(ValueError, match=r"is not whole COCO: 'categories' is missing"):
        loaded(eight, tables='c.json', images='file_name', labels='category')


def test_of_files_called_alike_the_one_beside_the_others_is_taken_and_said(eight):
    table(eight, rows(*(f'{i}.png,Mass,1' for i in range(8))))
    for i in (1, 2, 3):
        picture(eight / f'heatmaps/{i}.png', value=255)
    dataset = loaded(eight, tables='t.csv', images='file')
    assert len(dataset.image_id) == 8
    assert dataset.images.min((1, 2, 3)).max() < 255  # none of the white ones
    assert (
        len(
            doubts_with(
                dataset,
                '3 images are there several times, and the one in no folder of masks, or beside the others is taken',
            )
        )
        == 1
    )


def test_an_image_of_a_coco_file_under_two_ids_is_said(eight):
    images = [{'id': i, 'file_name': f'{max(i, 1)}.png'} for i in range(8)]
    data = {'images': images, 'categories': [{'id': 1, 'name': 'a'}], 'annotations': []}
    data['annotations'] = [{'image_id': i, 'category_id': 1} for i in range(8)]
    table(eight, json.dumps(data), 'c.json')
    dataset = loaded(eight, tables='c.json', images='file_name', labels='category')
    assert doubts_with(dataset, 'two ids') == ['c.json: files that are images under two ids: 1.png.']


def test_a_split_of_a_table_that_is_none_is_refused(eight):
    table(eight, rows('0.png,Mass,1'))
    with pytest.raises(ValueError, match=r"Unknown split in .*tables \(number 2\): 'tets'. Did you mean 'test'"):
        layout(tables=({'file': 't.csv', 'split': 'train'}, {'file': 't.csv', 'split': 'tets'}), labels='finding')


@pytest.mark.parametrize('files', ['masks/{stem}.png', '{stem}_seg.png'])
def test_masks_are_no_images_even_where_they_are_called_as_these(eight, files):
    table(eight, 'file,a\n' + ''.join(f'{i}.png,1\n' for i in range(8)))
    inside = np.zeros((20, 20), np.uint8)
    inside[4:12, 4:12] = 255
    for i in (0, 1, 9):
        path = eight / (f'masks/{i}.png' if '/' in files else f'images/{i}_seg.png')
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(inside).save(path)
    (eight / 'images/1.png').unlink()  # of which the mask is not taken for it
    dataset = loaded(eight, tables='t.csv', labels=('a',), regions={'concept': 'a', 'files': files})
    assert len(dataset.image_id) == 7
    assert dataset.image_id[dataset.region_image].tolist() == ['0.png']
    assert dataset.info['problems'] == {'missing': ['1.png']}
    assert len(doubts_with(dataset, 'belong to no image')) == 1


@pytest.mark.parametrize('concept', ['mass', 'Mass ', 'MASS'])
def test_a_concept_is_the_class_that_it_is_but_for_its_spelling(eight, concept):
    table(eight, 'file,Mass,x,y,w,h\n' + ''.join(f'{i}.png,1,4,4,8,8\n' for i in range(8)))
    box = {'box': ('x', 'y', 'w', 'h')}
    dataset = loaded(eight, tables='t.csv', labels=('Mass',), images='file', regions={'concept': concept, **box})
    assert dataset.concepts == ('Mass',)
    assert len(dataset.region_box) == 8
    assert not dataset.region_concept.any()


def test_a_placeholder_of_runs_that_stands_for_no_region_is_said(eight):
    table(eight, 'file,Mass,runs\n' + ''.join(f'{i}.png,1,1 1\n' for i in range(8)))
    regions = {'concept': 'Mass', 'code': 'runs', 'kind': 'start_columns'}
    with pytest.raises(ValueError, match='every region is the pixel in the upper left corner'):
        loaded(eight, tables='t.csv', labels=('Mass',), images='file', regions=regions)


def test_levels_keep_the_same_scale_in_all_files(tmp_path):
    for i, top in enumerate((400, 900, 1400, 1900)):
        values = np.tile(np.linspace(0, top, 20, dtype=np.int16), (20, 1)) - 1000
        np.save(tmp_path / f'{i}.npy', values)
    table(tmp_path, 'file,a\n' + ''.join(f'{i}.npy,{i % 2}\n' for i in range(4)))
    images = {'file': '{file}', 'suffixes': ('.npy',), 'levels': (-1000.0, 1000.0)}
    dataset = loaded(tmp_path, tables='t.csv', images=images, labels=('a',))
    assert sorted(dataset.images.max((1, 2, 3)).tolist()) == [50, 113, 176, 239]
    assert not doubts_with(dataset, '8 bits')
    np.save(tmp_path / '3.npy', np.tile(np.arange(20, dtype=np.uint8), (20, 1)))  # was windowed before
    mixed = loaded(tmp_path, tables='t.csv', images=images, labels=('a',))
    assert doubts_with(mixed, '8 bits') == [
        '1 of 4 files are of 8 bits, and are shown as they are, and images.levels is of the others: 3.npy.'
    ]
    for i in range(3):
        np.save(tmp_path / f'{i}.npy', np.tile(np.arange(20, dtype=np.uint8), (20, 1)))
    (said,) = doubts_with(loaded(tmp_path, tables='t.csv', images=images, labels=('a',)), '8 bits')
    assert said.startswith('4 of 4 files are of 8 bits, and images.levels changes none of them: 0.npy')


def test_levels_that_nothing_lies_between_and_values_that_are_none(tmp_path):
    for i in range(4):
        np.save(tmp_path / f'{i}.npy', np.tile(np.linspace(-1000, 300 + i, 20), (20, 1)))
    table(tmp_path, 'file,a\n' + ''.join(f'{i}.npy,{i % 2}\n' for i in range(4)))
    block = {'tables': 't.csv', 'labels': ('a',), 'images': {'file': '{file}', 'suffixes': ('.npy',)}}
    with pytest.raises(ValueError, match=r'are not of 16 bits; images\.levels says which are shown'):
        loaded(tmp_path, **block)
    for levels, said in (
        ((5000.0, 9000.0), 'above 5000: all are black'),
        ((-9000.0, -5000.0), 'below -5000: all are w'),
    ):
        with pytest.raises(ValueError, match=f'no image has a value {said}'):
            loaded(tmp_path, **{**block, 'images': {**block['images'], 'levels': levels}})
    narrow = {**block, 'images': {**block['images'], 'levels': (-1002.0, -1001.0)}}  # all white but for what is -1002
    for i in range(4):
        np.save(tmp_path / f'{i}.npy', np.where(np.arange(400).reshape(20, 20) < 40, -1002.0, 0.0))
    assert doubts_with(loaded(tmp_path, **narrow), 'of the pixels black or white') == [
        'images.levels makes 94% of the pixels black or white, in half of the images or more.'
    ]
    wide = {**block, 'images': {**block['images'], 'levels': (-1000.0, 400.0)}}
    assert not doubts_with(loaded(tmp_path, **wide), 'black or white')
    np.save(tmp_path / '0.npy', np.full((20, 20), np.nan))
    dataset = loaded(tmp_path, **{**block, 'images': {**block['images'], 'levels': (-1000.0, 400.0)}})
    assert dataset.info['problems']['unreadable'] == ['0.npy (values that are not finite)']


def test_shares_of_all_patients_do_not_overlap(tmp_path):
    for i in range(60):
        picture(tmp_path / f'{i}.png')
    (tmp_path / 't.csv').write_text('file,a\n' + ''.join(f'{i}.png,{i % 2}\n' for i in range(60)))
    block = {'tables': 't.csv', 'labels': ('a',), 'split': {'stratify': False, 'validation': 0.3, 'test': 0.3}}
    counts = [len(loaded(tmp_path, **block).rows(split)) for split in ('train', 'validation', 'test')]
    assert sum(counts) == 60
    assert all(count > 8 for count in counts)
