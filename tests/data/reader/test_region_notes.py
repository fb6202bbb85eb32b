"""Regions, labels and files that say two things of one image: what becomes of them, and that it is said by name."""

import json

import numpy as np
import pytest
from data.reader.folders import SIZE, doubts_with, loaded, of, picture, regions_of, table
from PIL import Image

BOX = {'box': ('x', 'y', 'w', 'h')}


@pytest.fixture
def ten(tmp_path):
    for i in range(10):
        picture(tmp_path / f'{i}.png')
    return tmp_path


def mask(path, inside, value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.where(inside, value, 0).astype(np.uint8)).save(path)


def square(start=4, stop=12, size=(20, 20)):
    inside = np.zeros(size, bool)
    inside[start:stop, start:stop] = True
    return inside


def test_a_region_that_the_label_denies_is_kept_and_named(ten):
    of_b = {8: '-1', 9: ''}
    table(ten, 'file,a,b\n' + ''.join(f'{i}.png,{int(i < 5)},{of_b.get(i, 0)}\n' for i in range(10)))
    boxes = ['0.png,a', '7.png,a', '8.png,b', '9.png,b', '2.png,heart']
    table(ten, 'image,what,x,y,w,h\n' + ''.join(f'{one},2,2,8,8\n' for one in boxes), 'boxes.csv')
    regions = {'table': 'boxes', 'on': 'file=image', 'column': 'what', 'others': 'add', **BOX}
    tables = ['t.csv', {'file': 'boxes.csv', 'name': 'boxes'}]
    dataset = loaded(ten, tables=tables, labels=('a', 'b'), regions=regions)
    assert len(dataset.region_box) == 5
    assert doubts_with(dataset, 'deny') == [
        'Regions of a finding that the labels of their image deny, kept as these are: 2 (9.png b, 7.png a).'
    ]  # -1 is no no, an empty cell counts as one, and nothing denies a heart
    masked = loaded(ten, tables=tables, labels=('a', 'b'), regions=regions, policy='empty_ignored')
    assert doubts_with(masked, 'deny')[0].endswith(': 1 (7.png a).')  # an empty cell does not count


def test_readers_deny_what_they_drew_themselves_only(ten):
    rows = ['0.png,1,R1', '0.png,0,R2', '0.png,0,R3', '1.png,1,R1', '1.png,0,R2', '2.png,0,R1', '2.png,1,R2']
    table(ten, 'file,a,who\n' + '\n'.join(rows))
    table(ten, 'image,who,x,y,w,h\n0.png,R1,2,2,8,8\n1.png,R2,2,2,8,8\n', 'boxes.csv')
    regions = {'table': 'boxes', 'on': 'file=image', 'concept': 'a', 'reader': 'who', **BOX}
    dataset = loaded(ten, tables=['t.csv', {'file': 'boxes.csv', 'name': 'boxes'}],
                     labels={'columns': 'a', 'reader': 'who'}, regions=regions)  # fmt: skip
    assert [dataset.labels[of(dataset, name), 0] for name in ('0.png', '1.png')] == [0, 0]  # by most of them
    assert [one.split(': ')[1] for one in doubts_with(dataset, 'deny')] == ['1 (1.png a).']


@pytest.mark.parametrize(
    ('box', 'form', 'said'),
    [
        ('2 3 4 4', 'xywh', 'All 9 boxes lie in the upper left quarter of their images'),
        ('9 3 18 16', 'xywh', "9 boxes of 9 regions leave their images: regions.form is 'xywh'; are they 'xyxy'"),
        ('9 3 8 8', 'xywh', ''),
        ('9 3 18 16', 'xyxy', ''),
    ],
)
def test_boxes_that_all_lie_where_none_should_are_said(tmp_path, box, form, said):
    for i in range(9):
        picture(tmp_path / f'{i}.png')
    table(
        tmp_path,
        'file,finding,x,y,w,h\n' + ''.join(f'{i}.png,{"ab"[i % 2]},{",".join(box.split())}\n' for i in range(9)),
    )
    regions = {'box': ('x', 'y', 'w', 'h'), 'form': form, 'column': 'finding'}
    dataset = loaded(tmp_path, tables='t.csv', regions=regions)
    found = doubts_with(dataset, 'boxes')
    assert [one.startswith(said) for one in found] == ([True] if said else [])


def test_frames_of_another_size_than_the_files_are_said_or_refused(ten):
    table(ten, 'file,a,x,y,w,h\n' + ''.join(f'{i}.png,{i % 2},2,2,8,8\n' for i in range(10)))
    block = {'tables': 't.csv', 'labels': ('a',), 'images': '{file}'}
    same = loaded(ten, **block, regions={**BOX, 'concept': 'a', 'frame': (20, 20)})
    assert not doubts_with(same, 'frame is of another')
    scaled = loaded(ten, **block, regions={**BOX, 'concept': 'a', 'frame': (40, 40)})
    np.testing.assert_allclose(scaled.region_box[0], np.array([1, 1, 5, 5]) * SIZE / 20)
    assert not doubts_with(scaled, 'frame is of another')
    assert [one for one in scaled.info['notes'] if 'frame is of another' in one] == [
        'regions.frame is of another size (height x width) than the file, for 10 of 10 images: '
        + ', '.join(f'{name} (40 x 40, file 20 x 20)' for name in scaled.image_id[:5])
        + ' and 5 more. Regions are scaled.'
    ]
    wide = loaded(ten, **block, regions={**BOX, 'concept': 'a', 'frame': (20, 40)})
    (said,) = doubts_with(wide, 'frame is of another shape')
    assert said.endswith('and 5 more. Regions are stretched.')
    for i in range(10):
        picture(ten / f'{i}.png', size=(30, 20))
    with pytest.raises(
        ValueError, match=r'^regions\.frame of image \d\.png is 20 high and 30 wide, and its file is 30'
    ):
        loaded(ten, **block, regions={**BOX, 'concept': 'a', 'frame': (20, 30)})


def test_boxes_of_a_coco_file_follow_the_size_that_it_states(ten):
    sizes = {0: (20, 20), 1: (40, 40), 2: (30, 60)}
    data = {
        'images': [{'id': i, 'file_name': f'{i}.png', 'height': h, 'width': w} for i, (h, w) in sizes.items()],
        'categories': [{'id': 1, 'name': 'nodule'}],
        'annotations': [{'image_id': i, 'category_id': 1, 'bbox': [2, 4, 8, 8]} for i in sizes],
    }
    data['images'].append({'id': 3, 'file_name': '3.png', 'height': 20, 'width': 20})
    table(ten, json.dumps(data), 'coco.json')
    block = {'tables': 'coco.json', 'images': '{file_name}', 'labels': 'category'}
    dataset = loaded(ten, **block, regions={'column': 'category', 'box': 'bbox'})
    boxes = regions_of(dataset)
    whole = np.array([2, 4, 10, 12]) * SIZE / 20
    np.testing.assert_allclose(boxes['0.png'], whole)
    np.testing.assert_allclose(boxes['1.png'], whole / 2)  # the file is a smaller copy
    np.testing.assert_allclose(boxes['2.png'], whole)  # of another shape: not believed
    said = doubts_with(dataset, 'that its table states')
    assert [one.split(' of 3 images: ')[1].split('. ')[0] for one in said] == [
        '1.png (40 x 40, file 20 x 20)',
        '2.png (30 x 60, file 20 x 20)',
    ]
    assert "Regions are taken in the file's pixels" in said[1]
    stretched = loaded(ten, **block, regions={'column': 'category', 'box': 'bbox', 'frame': ('height', 'width')})
    np.testing.assert_allclose(regions_of(stretched)['2.png'], np.array([2, 4, 10, 12]) / [60, 30, 60, 30] * SIZE)


@pytest.mark.parametrize(
    ('header', 'row'),
    [
        ('file,a,image_width,image_height,x,y,w,h', '{},1,40,40,4,8,16,16'),  # as MS-CXR has them
        ('filename,class,width,height,xmin,ymin,xmax,ymax', '{},a,40,40,4,8,20,24'),  # Pascal VOC in one table
        ('file,label,width,height,xmin,ymin,xmax,ymax', '{},a,40,40,4,8,20,24'),  # corners, in a size of another's
        ('file,a,width,height,x,y,w,h', '{},1,40,40,2,4,8,8'),  # whose width it is, nothing says
    ],
)
def test_boxes_follow_a_size_that_their_table_states(ten, header, row):
    table(ten, header + '\n' + '\n'.join(row.format(f'{i}.png') for i in range(10)))
    image, name, *_ = header.split(',')
    corners = 'xmin' in header
    box = {'box': ('xmin', 'ymin', 'xmax', 'ymax'), 'form': 'xyxy', 'column': name}
    labels = name if corners else (name,)
    regions = box if corners else {**BOX, 'concept': 'a'}
    dataset = loaded(ten, tables='t.csv', images=f'{{{image}}}', labels=labels, regions=regions)
    np.testing.assert_allclose(dataset.region_box, np.tile(np.array([2, 4, 10, 12]) * SIZE / 20, (10, 1)))
    assert len(doubts_with(dataset, 'another size')) == ('image_width' in header or corners)


def test_masks_that_show_nothing_everything_or_belong_to_none(ten):
    table(ten, 'file,finding\n' + ''.join(f'{i}.png,{"mass" if i < 6 else "normal"}\n' for i in range(10)))
    for i in range(10):
        mask(ten / f'masks/{i}.png', square() if i < 4 else square(0, 20) if i == 4 else square(0, 0))
    for name in ('99', 'x'):
        mask(ten / f'masks/{name}.png', square())
    images = {'file': '{file}', 'exclude': 'masks/*'}
    regions = {'concept': 'label', 'files': 'masks/{stem}.png'}
    dataset = loaded(
        ten,
        tables='t.csv',
        images=images,
        task='multi_class',
        regions=regions,
        labels={'column': 'finding', 'none': ()},
    )
    assert sorted(regions_of(dataset)) == [f'{i}.png' for i in range(5)]
    assert dataset.info['problems'] == {'mask_without_area': ['masks/5.png']}  # none is wanted of what is normal
    assert doubts_with(dataset, 'whole image') == [
        'Regions that cover their whole image, so that every map points into them: 1 (4.png mass).'
    ]
    said = "Files that match 'masks/{stem}.png' (regions.files) and belong to no image that is used: "
    assert doubts_with(dataset, 'regions.files') == [f'{said}2 (masks/99.png, masks/x.png).']
    assert doubts_with(dataset, 'no region of it') == ['1 of 6 images with mass have no region of it: 5.png.']


def test_anatomy_that_a_mask_does_not_have_is_named(ten):
    table(ten, 'file,a\n' + ''.join(f'{i}.png,{i % 2}\n' for i in range(10)))
    for i in range(10):
        mask(ten / f'heart/{i}.png', square() & (i > 2))
    block = {'tables': 't.csv', 'labels': ('a',), 'images': {'file': '{file}', 'exclude': ('heart/*',)}}
    regions = {'concept': 'heart', 'files': 'heart/{stem}.png'}
    dataset = loaded(ten, **block, regions=regions, anatomy=('heart',))
    assert sorted(dataset.info['problems']['mask_without_area']) == ['heart/0.png', 'heart/1.png', 'heart/2.png']
    assert len(dataset.region_box) == 7
    assert not loaded(ten, **block, regions=regions).info['problems']  # what is no anatomy may be absent


def test_masks_with_other_grey_values_than_declared_are_named(ten):
    table(ten, 'file,finding\n' + ''.join(f'{i}.png,{"ab"[i % 2]}\n' for i in range(10)))
    for i in range(10):
        mask(ten / f'{i}_seg.png', square(), 2 if i else 255)
    regions = {'files': '{stem}_seg.png', 'values': {'lung': 1, 'heart': 2}}
    dataset = loaded(ten, tables='t.csv', images={'file': '{file}', 'exclude': '*_seg*'}, regions=regions)
    assert len(dataset.region_box) == 9
    assert dataset.info['problems'] == {'mask_of_other_values': ['0_seg.png (has 0 255; regions.values has 1 2)']}


def test_masks_with_inside_and_outside_exchanged_are_said(ten):
    table(ten, 'file,a\n' + ''.join(f'{i}.png,1\n' for i in range(10)))
    for i in range(10):
        inside = square() if i else ~square()
        inside[:, 0] |= i == 1
        mask(ten / f'{i}_seg.png', inside)
    images, regions = {'file': '{file}', 'exclude': '*_seg*'}, {'files': '{stem}_seg.png', 'concept': 'a'}
    dataset = loaded(ten, tables='t.csv', labels=('a',), images=images, regions=regions)
    assert [one.split(': ')[1] for one in doubts_with(dataset, 'exchanged')] == ['1 (0.png a).']


def test_lossy_masks_are_known_by_their_bytes_and_soft_ones_are_said(ten):
    table(ten, 'file,a\n' + ''.join(f'{i}.png,1\n' for i in range(10)))
    sharp = Image.fromarray(np.where(square(), 255, 0).astype(np.uint8))
    for i in range(10):
        if i == 0:
            sharp.save(ten / '0_seg.png', 'JPEG', quality=40)
        elif i == 1:
            sharp.resize((5, 5)).resize((20, 20), Image.Resampling.BILINEAR).save(ten / '1_seg.png')
        elif i == 2:  # as where it was enlarged and reduced again: few grey values, all on its edge
            twice = sharp.resize((40, 40), Image.Resampling.BILINEAR).resize((20, 20), Image.Resampling.BILINEAR)
            assert len(np.unique(twice)) <= 8
            twice.save(ten / '2_seg.png')
        elif i == 3:  # two lesions by number, one in the other: no edge
            numbered = np.where(square(), 2 - square(6, 10), 0)
            Image.fromarray(numbered.astype(np.uint8)).save(ten / '3_seg.png')
        else:
            sharp.save(ten / f'{i}_seg.png')
    images, regions = {'file': '{file}', 'exclude': '*_seg*'}, {'files': '{stem}_seg.png', 'concept': 'a'}
    dataset = loaded(ten, tables='t.csv', labels=('a',), images=images, regions=regions)
    boxes = dict(zip(dataset.image_id[dataset.region_image], dataset.region_box, strict=True))
    np.testing.assert_array_equal(boxes['0.png'], boxes['4.png'])
    assert [one.split(': ')[-1] for one in doubts_with(dataset, 'grey edges')] == ['2 (1.png a, 2.png a).']


def test_a_column_for_two_sides_of_a_box_is_refused_and_a_table_without_rows_said(ten):
    table(ten, 'file,a\n' + ''.join(f'{i}.png,1\n' for i in range(10)))
    (ten / 'boxes.csv').write_text('file,x,y,w,h\n')
    tables = ({'file': 't.csv'}, {'file': 'boxes.csv', 'name': 'boxes'})
    what = {'tables': tables, 'labels': ('a',), 'images': 'file'}
    regions = {'table': 'boxes', 'on': ('file',), 'concept': 'a'}
    with pytest.raises(ValueError, match=r"regions.box names 'w' twice"):
        loaded(ten, **what, regions={**regions, 'box': ('x', 'y', 'w', 'w')})
    dataset = loaded(ten, **what, regions={**regions, **BOX})
    assert any('boxes.csv has no rows' in one for one in dataset.info['notes'])


def test_no_finding_beside_a_finding_is_said(ten):
    said = 'Said to be without a finding, and to have one, which counts: '
    table(ten, 'file,finding\n0.png,No Finding|Mass\n1.png,Mass\n2.png,No Finding\n3.png,No Finding|Support Devices\n')
    named = loaded(ten, tables='t.csv', labels={'column': 'finding', 'separator': '|'})
    assert doubts_with(named, said) == [f'{said}1 (t.csv, line 2).']
    assert named.labels[of(named, '0.png')].tolist() == [1, 0]
    lines = ['0.png,1,1,0', '1.png,1,0,1', '2.png,1,0,0', '3.png,0,1,1', '4.png,1,-1,0']
    table(ten, 'file,No Finding,Mass,Support Devices\n' + '\n'.join(lines))
    cells = loaded(ten, tables='t.csv', labels=('No Finding', 'Mass', 'Support Devices'))
    assert doubts_with(cells, said) == [f'{said}1 (0.png).']  # devices are no finding, and -1 is none


def test_a_region_called_as_the_one_class_needs_one(ten):
    table(ten, 'file,a,b\n' + ''.join(f'{i}.png,{int(i < 5)},{int(i in (0, 9))}\n' for i in range(10)))
    for i in range(10):
        mask(ten / f'{i}_mask.png', square() if i < 8 else square(0, 0))
    regions = {'files': '{stem}_mask.png', 'concept': 'label'}
    images = {'file': '{file}', 'exclude': '*_mask*'}
    dataset = loaded(ten, tables='t.csv', labels=('a', 'b'), images=images, regions=regions)
    assert sorted(regions_of(dataset)) == [f'{i}.png' for i in range(1, 5)]
    assert sorted(dataset.info['problems']['region_of_no_one_class']) == [f'{i}_mask.png' for i in (0, 5, 6, 7)]
    assert dataset.info['problems']['mask_without_area'] == ['9_mask.png']
    table(ten, 'image,x,y,w,h\n1.png,2,2,8,8\n6.png,2,2,8,8\n', 'boxes.csv')
    boxed = loaded(ten, tables=['t.csv', {'file': 'boxes.csv', 'name': 'boxes'}], labels=('a', 'b'), images=images,
                   regions={'table': 'boxes', 'on': 'file=image', 'concept': 'label', **BOX})  # fmt: skip
    assert sorted(regions_of(boxed)) == ['1.png']
    assert boxed.info['problems'] == {'region_of_no_one_class': ['6.png label (boxes.csv, line 3)']}


def test_rows_without_a_box_of_what_the_image_has_are_said(ten):
    table(ten, 'file,finding\n' + ''.join(f'{i}.png,{"a" if i < 5 else "No Finding"}\n' for i in range(10)))
    table(ten, 'image,what,x,y,w,h\n0.png,a,2,2,8,8\n1.png,a,,,,\n6.png,No Finding,,,,\n7.png,a,,,,\n', 'boxes.csv')
    regions = {'table': 'boxes', 'on': 'file=image', 'column': 'what', **BOX}
    dataset = loaded(ten, tables=['t.csv', {'file': 'boxes.csv', 'name': 'boxes'}], regions=regions)
    said = 'Rows of boxes that name a finding of their image, and give no box or shape: '
    assert doubts_with(dataset, 'no box') == [f'{said}1 (1.png a (boxes.csv, line 3)).']
    assert not doubts_with(dataset, 'no region of it')  # most have none: boxes are of a sample


def test_boxes_below_a_pixel_and_shares_among_pixels_are_left_out(ten):
    boxes = [
        '2,2,8,8',
        '0.1,0.2,0.5,0.6',
        '3,3,0.5,9',
        '4,4,1,1',
        '0,0,20,20',
        '5,5,9,9',
        '5,5,9,9',
        '1,1,2,2',
        '1,1,3,3',
        '0,0,1,1',
    ]
    table(ten, 'file,a,x,y,w,h\n' + ''.join(f'{i}.png,1,{box}\n' for i, box in enumerate(boxes)))
    dataset = loaded(ten, tables='t.csv', labels=('a',), regions={**BOX, 'concept': 'a'})
    assert dataset.info['problems'] == {
        'box_below_one_pixel': ['1.png a [0.1, 0.2, 0.6, 0.8]', '2.png a [3, 3, 3.5, 12]']
    }
    assert doubts_with(dataset, 'whole image')[0].endswith(': 1 (4.png a).')
    table(ten, 'file,a,x,y,w,h\n0.png,1,0.1,0.1,0.5,0.5\n1.png,1,0.1,0.1,0.04,0.5\n2.png,0,0.1,0.1,0.05,0.05\n')
    shares = loaded(ten, tables='t.csv', labels=('a',), regions={**BOX, 'concept': 'a', 'unit': 'fraction'})
    assert shares.info['problems']['box_below_one_pixel'] == ['1.png a [0.1, 0.1, 0.14, 0.6]']


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_regions_go_along_where_a_photograph_is_turned_upright(tmp_path, orientation):
    """A bright rectangle in the stored pixels lies in its box and its mask, whichever frame these are drawn in."""
    stored = np.full((20, 30), 40, np.uint8)
    stored[2:8, 12:27] = 250
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ('stored', 'upright', 'plain'):
        Image.fromarray(stored).save(tmp_path / f'{name}.png', exif=exif)
        mask(tmp_path / f'{name}_mask.png', stored > 100)
    from PIL import ImageOps

    bright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / 'stored.png'))) > 100
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    upright = f'{columns[0]},{rows[0]},{columns[-1] + 1},{rows[-1] + 1}'
    mask(tmp_path / 'upright_mask.png', bright)
    header = 'file,a,x,y,u,v,height,width\n'
    lines = ['stored.png,1,12,2,27,8,20,30', f'upright.png,1,{upright},30,20', f'plain.png,1,{upright},30,20']
    table(tmp_path, header + '\n'.join(lines))
    box = {'box': ('x', 'y', 'u', 'v'), 'form': 'xyxy', 'concept': 'a', 'frame': ('height', 'width')}
    images = {'file': '{file}', 'exclude': '*_mask*'}
    boxed = loaded(tmp_path, tables='t.csv', labels=('a',), images=images, regions=box)
    masked = loaded(
        tmp_path, tables='t.csv', labels=('a',), images=images, regions={'concept': 'a', 'files': '{stem}_mask.png'}
    )
    wanted = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) * SIZE / np.array([20, 30, 20, 30])
    for name in ('stored.png', 'upright.png', 'plain.png'):
        np.testing.assert_allclose(regions_of(boxed)[name], wanted, atol=1e-5)
        np.testing.assert_allclose(regions_of(masked)[name], wanted, atol=1)
        inside = boxed.images[of(boxed, name), ..., 0] > 145
        np.testing.assert_array_equal(np.flatnonzero(inside.any(0))[[0, -1]], [round(wanted[0]), round(wanted[2]) - 1])
    assert doubts_with(boxed, 'EXIF')[0].startswith('3 of 3 images were turned upright, as their EXIF says')


def test_boxes_without_a_name_are_named_and_a_table_without_any_box_is_said(ten):
    rows = ''.join(f'{i}.png,a,{"" if i % 2 else "a"},2,2,8,8\n' for i in range(8))
    table(ten, 'file,finding,drawn,x,y,w,h\n' + rows + '8.png,b,none,2,2,8,8\n9.png,b,,,,,\n')
    dataset = loaded(ten, tables='t.csv', regions={'column': 'drawn', **BOX})
    assert sorted(regions_of(dataset)) == [f'{i}.png' for i in range(0, 8, 2)]
    left = dataset.info['problems']['region_without_a_name']
    assert [one.split()[0] for one in sorted(left)] == ['1.png', '3.png', '5.png', '7.png', '8.png']
    assert '(t.csv, line 3)' in sorted(left)[0]
    table(ten, 'file,finding,x,y,w,h\n' + ''.join(f'{i}.png,{"ab"[i % 2]},,,,\n' for i in range(10)))
    nothing = loaded(ten, tables='t.csv', regions={'column': 'finding', **BOX})
    assert 'No row of t.csv gives an image that is here a region (regions).' in nothing.info['notes']


def test_mask_files_are_no_images_that_no_row_names(ten):
    rows = ''.join(f'{i}.png,{"ab"[i % 2]}\n' for i in range(9))
    table(ten, 'file,finding\n' + rows)
    for i in range(0, 8, 2):
        mask(ten / 'masks' / f'{i}_mask.png', square())
    dataset = loaded(ten, tables='t.csv', regions={'files': 'masks/{stem}_mask.png', 'concept': 'a'})
    assert len(dataset.region_image) == 4
    assert dataset.info['problems'] == {'not_in_table': ['9.png']}


def test_two_stars_are_any_number_of_folders_also_none(ten):
    table(ten, 'file,finding\n' + ''.join(f'{i}.png,a\n' for i in range(10)))
    for i in range(10):
        mask(ten / ('masks' if i % 2 else 'masks/more/of') / f'{i}_mask.png', square())
    dataset = loaded(ten, tables='t.csv', regions={'files': 'masks/**/{stem}_mask.png', 'concept': 'a'})
    assert len(dataset.region_image) == 10


def crops(folder, boxes, shapes):
    """Masks of the images' crops (x, y, w, h), of those shapes; what is doubted, and what is left out."""
    lines = [f'{i}.png,1,{",".join(map(str, box))}' for i, box in enumerate(boxes)]
    table(folder, '\n'.join(['file,a,x,y,w,h', *lines, *(f'{i}.png,0,,,,' for i in range(len(boxes), 10))]))
    for i, shape in enumerate(shapes):
        inside = np.zeros(shape, bool)
        inside[1:-2, 2:-1] = True
        mask(folder / f'masks/{i}.png', inside)
    regions = {'concept': 'a', 'files': 'masks/{stem}.png', 'crop': ('x', 'y', 'w', 'h')}
    images = {'file': '{file}', 'exclude': ('masks/*',)}
    dataset = loaded(folder, tables='t.csv', labels=('a',), images=images, regions=regions)
    return doubts_with(dataset, 'crop'), dataset.info['problems']


CROPS = [(2 + i, 3, 8, 6 + i) for i in range(6)]


@pytest.mark.parametrize(
    'shapes',
    [
        [(6 + i, 8) for i in range(6)],
        [(7, 9), *((6 + i, 8) for i in range(1, 6))],  # rounded otherwise
        [(16, 16)] * 6,  # all of one size, as a network wants them
        [(2 * (6 + i), 16) for i in range(6)],  # all twice as large
    ],
)
def test_masks_of_crops_that_fit_are_not_doubted(ten, shapes):
    assert crops(ten, CROPS, shapes) == ([], {})  # nor are images that have no mask, and no crop


@pytest.mark.parametrize(('first', 'size'), [((20, 20), '20 x 20'), ((8, 11), '8 x 11')])
def test_masks_of_another_size_than_their_crop_are_said(ten, first, size):
    boxes = [(2, 3, 8, 11), *CROPS[1:]]
    said, problems = crops(ten, boxes, [first, *((6 + i, 8) for i in range(1, 6))])
    assert said == [
        'Masks of another size (height x width) than their crop (regions.crop), stretched into it: 1 (0.png a '
        f'({size}, crop 11 x 8)).'
    ]
    assert not problems
    exchanged, _ = crops(ten, [(2, 3, 8, 6)] * 6, [(8, 6)] * 6)
    assert [one.partition(': ')[2][:2] for one in exchanged] == ['6 ']


@pytest.mark.parametrize('box', [(2, -1, 8, 6), (16, 3, 8, 6), (40, 3, 8, 6), (2, 16, 8, 6)])
def test_a_crop_that_leaves_its_image_is_left_out(ten, box):
    said, problems = crops(ten, [box, *CROPS[1:]], [(6 + i, 8) for i in range(6)])
    assert [one.split(' [')[0] for one in problems['mask_outside_image']] == ['masks/0.png']
    assert [one.partition(':')[0] for one in said] == []


@pytest.mark.parametrize('none', ['', '-1'])
def test_a_row_without_a_place_is_no_label_of_labels_by_regions(ten, none):
    runs = {True: '1 4 21 4', False: none}
    rows = [f'{i}.png,{name},{runs[(i + k) % 3 == 0]}' for i in range(10) for k, name in enumerate(('a', 'b'))]
    table(ten, 'file,class,pixels\n' + '\n'.join(rows))
    regions = {'column': 'class', 'code': 'pixels', 'kind': 'start_columns'}
    dataset = loaded(ten, tables='t.csv', labels={'regions': True}, regions=regions)
    for k in range(2):
        with_region = {int(i) for i in dataset.region_image[dataset.region_concept == k]}
        assert set(np.flatnonzero(dataset.labels[:, k]).tolist()) == with_region


def test_a_row_that_says_there_is_none_is_one_without_a_place(ten):
    rows = [f'{i}.png,{"a" if i < 4 else "No finding"},{"1 4" if i < 4 else ""}' for i in range(10)]
    table(ten, 'file,class,pixels\n' + '\n'.join(rows))
    regions = {'column': 'class', 'code': 'pixels', 'kind': 'start_columns'}
    dataset = loaded(ten, tables='t.csv', labels={'regions': True}, regions=regions)
    assert dataset.classes == ('a',)
    assert {name for name, one in zip(dataset.image_id, dataset.labels[:, 0], strict=True) if one} == {
        f'{i}.png' for i in range(4)
    }


@pytest.mark.parametrize(
    ('points', 'kind'),
    [
        ('[[2, 3], [9, 3], [9', 'shape_not_understood'),
        ('[[2, 3], [9, 3]]', 'shape_of_few_points'),
        ('[[[2, 3]], [[9, 3]]]', 'shape_of_few_points'),
    ],
)
def test_a_polygon_that_was_cut_is_left_out_and_named(ten, points, kind):
    whole = '[[2, 3], [9, 3], [9, 9]]'
    rows = [f'{i}.png,1,"{points if i == 4 else whole}"' for i in range(10)]
    table(ten, 'file,a,points\n' + '\n'.join(rows))
    regions = {'concept': 'a', 'code': 'points', 'kind': 'polygon'}
    dataset = loaded(ten, tables='t.csv', labels=('a',), regions=regions)
    assert len(dataset.region_box) == 9
    assert [one.split()[0] for one in dataset.info['problems'][kind]] == ['4.png']


def test_one_mask_of_many_images_is_doubted(ten):
    table(ten, 'file,a\n' + '\n'.join(f'{i}.png,1' for i in range(10)))
    for i in range(10):
        mask(ten / 'masks' / f'{i}.png', square(4, 12) if i < 6 else square(i, 19))
    regions = {'files': 'masks/{stem}.png', 'concept': 'a'}
    images = {'file': '{file}', 'exclude': ('masks/*',)}
    dataset = loaded(ten, tables='t.csv', labels=('a',), regions=regions, images=images)
    (said,) = doubts_with(dataset, 'have the same one to the pixel')
    assert said.startswith('6 of 10 images with a mask of a have the same one to the pixel, as where a template')


def test_the_box_of_another_unit_is_named(ten):
    rows = [f'{i}.png,1,{"3,3,8,8" if i == 4 else "0.1,0.1,0.5,0.5"}' for i in range(10)]
    table(ten, 'file,a,x,y,w,h\n' + '\n'.join(rows))
    with pytest.raises(ValueError, match=r"'fraction', and 1 of 10 boxes are pixels: t.csv, line 6"):
        loaded(ten, tables='t.csv', labels=('a',), regions={'concept': 'a', 'unit': 'fraction', 'form': 'xywh', **BOX})


def test_tables_of_other_images_are_named(ten):
    table(ten, 'file,study\n' + '\n'.join(f'{i}.png,{i}' for i in range(10)))
    table(ten, 'study,a\n' + '\n'.join(f'{90 + i},1' for i in range(10)), 'other.csv')
    joined = {'file': 'other.csv', 'on': ('study',), 'needed': True}
    with pytest.raises(ValueError, match=r"No row of other.csv is of any image by study: there it is '90', and here"):
        loaded(ten, tables=['t.csv', joined], labels=('a',))
    apart = {'file': 'other.csv', 'name': 'other'}
    labels = {'columns': ('a',), 'table': 'other', 'on': ('study',)}
    with pytest.raises(ValueError, match=r'other \(labels.table\): no row is of an image that is here, by study'):
        loaded(ten, tables=['t.csv', apart], labels=labels)
    with pytest.raises(FileNotFoundError, match=r'has no third.csv; it is a table of the data set \(tables\)'):
        loaded(ten, tables=['t.csv', {'file': 'third.csv', 'on': ('study',)}], labels=('a',))


def test_lists_of_what_regions_are_of_are_one_line(ten):
    boxes = [{'file': f'{i}.png', 'what': ['a'], 'x': 2, 'y': 2, 'w': 8, 'h': 8} for i in range(5)]
    (ten / 't.json').write_text(json.dumps([*boxes, *({'file': f'{i}.png', 'what': []} for i in range(5, 10))]))
    with pytest.raises(ValueError, match=r"is a list of concepts: explode = \('what',\) of its table"):
        loaded(ten, tables='t.json', labels={'regions': True}, regions={'column': 'what', 'form': 'xywh', **BOX})


def test_a_frame_that_is_far_too_large_is_an_error(tmp_path):
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,finding,x,y,w,h\n' + ''.join(f'{i}.png,{"ab"[i % 2]},3,4,5,6\n' for i in range(8)))
    block = {'column': 'finding', 'box': ('x', 'y', 'w', 'h')}
    with pytest.raises(ValueError, match=r'regions.frame: in a frame of 1024 x 1024 .* whose file is 20 x 20, all 8'):
        loaded(tmp_path, tables='t.csv', regions={**block, 'frame': (1024, 1024)})
    assert len(loaded(tmp_path, tables='t.csv', regions=block).region_box) == 8


@pytest.mark.parametrize('width', [1, 3, 8])
def test_masks_that_are_outlines_are_doubted(tmp_path, monkeypatch, width):
    monkeypatch.setattr('data.reader.folders.SIZE', 40)
    for i in range(10):
        picture(tmp_path / f'{i}.png', size=(40, 40))
        pixels = np.zeros((40, 40), np.uint8)
        pixels[8 + i // 2 : 30, 6:34] = 255
        pixels[8 + i // 2 + width : 30 - width, 6 + width : 34 - width] = 0
        (tmp_path / 'masks').mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / 'masks' / f'{i}.png')
    table(tmp_path, 'file,finding\n' + ''.join(f'{i}.png,a\n' for i in range(8)) + '8.png,b\n9.png,b\n')
    regions = {'files': 'masks/{stem}.png', 'concept': 'a'}
    doubts = doubts_with(loaded(tmp_path, tables='t.csv', regions=regions), 'are hollow, as outlines are')
    assert [one[:34] for one in doubts] == (['10 of 10 masks of a are hollow, as'] if width < 8 else [])
