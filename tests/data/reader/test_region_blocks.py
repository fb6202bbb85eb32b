"""Blocks of regions: fields that nothing reads, forms of boxes by names of columns, readers and files of several."""

import numpy as np
import pytest
from data.reader.folders import doubts_with, layout, loaded, picture, table
from PIL import Image

from imbalance_jax.data.reader.box_columns import box_of, form_in, form_of
from imbalance_jax.data.reader.rows import as_rows

FILES = {'concept': 'a', 'files': '{stem}_mask.png'}
ROWS = {'table': 'b', 'on': 'file', 'concept': 'a', 'box': ('p', 'q', 'r', 's'), 'form': 'xywh'}
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax'), ('X1', 'Y1', 'X2', 'Y2'), ('bbox_x_min', 'bbox_y_min', 'bbox_x_max',
                                                                       'bbox_y_max')  # fmt: skip
NAMED = [
    *('left_x top_y right_x bottom_y', 'x_left y_top x_right y_bottom', 'tl_x tl_y br_x br_y', 'ulx uly lrx lry'),
    *('x_upper_left y_upper_left x_lower_right y_lower_right', 'startX startY endX endY', 'x_from y_from x_to y_to'),
    *(
        'xbegin ybegin xend yend',
        'minCol minRow maxCol maxRow',
        'xi yi xf yf',
        'p1x p1y p2x p2y',
        'minx miny maxx maxy',
    ),
    *('left upper right lower', 'x_lower y_lower x_upper y_upper', 'l t r b', 'xs ys xe ye', 'x y x2 y2'),
]
SIZED = ['x y dx dy', 'x_start y_start x_size y_size', 'l t w h', 'x1 y1 w1 h1', 'topLeftX topLeftY width height']
CENTRED = ['cx cy w h', 'x_center y_center width height', 'bbox_xc bbox_yc bbox_w bbox_h', 'XMid YMid W H']
OTHERS = ['p q r s', 'x y xs ys', 'x y x_e y_e', 'col row width height', 'x1 x2 x3 x4', 'ul ur ll lr']
OTHERS += ['centroid_x centroid_y width height', 'ux uy lx ly', 'west north east south']


@pytest.fixture
def ten(tmp_path):
    for i in range(10):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, 'file,a\n' + ''.join(f'{i}.png,{int(i < 8)}\n' for i in range(10)))
    return tmp_path


def masks(folder, pattern, start):
    """A square on each of the first eight images."""
    for i in range(8):
        path = folder / pattern.format(stem=i)
        path.parent.mkdir(parents=True, exist_ok=True)
        inside = np.zeros((20, 20), np.uint8)
        inside[start : start + 6, start : start + 6] = 255
        Image.fromarray(inside).save(path)


@pytest.mark.parametrize(
    ('block', 'said'),
    [
        (
            {**FILES, 'table': 'b', 'on': 'file'},
            r'^config\.data\.mine\.regions has files and table, which is of regions',
        ),
        ({**FILES, 'reader': 'who'}, 'has files and reader, which is of regions that a table has'),
        ({**FILES, 'frame': (20, 20)}, 'has files and frame, which is of'),
        ({**ROWS, 'crop': ('c', 'd', 'e', 'f')}, r'\.crop is the part that mask files cover, and there are no files'),
        ({**ROWS, 'table': ''}, 'has on without table'),
        ({**ROWS, 'reader': 'who', 'as_reader': 'R1'}, 'has reader and as_reader; one of them'),
        *(({**ROWS, 'box': names}, "form is 'xywh', .*: expected form = 'xyxy'") for names in CORNERS),
        ({**FILES, 'crop': CORNERS[0]}, r"regions\.crop is .* expected form = 'xyxy'"),
        (
            {**ROWS, 'box': ('XMin', 'XMax', 'YMin', 'YMax'), 'form': 'xyxy'},
            r"order \('XMin', 'YMin', 'XMax', 'YMax'\)",
        ),
        ({**ROWS, 'box': ('x', 'y', 'height', 'width')}, r"order \('x', 'y', 'width', 'height'\)"),
    ],
)
def test_what_nothing_reads_or_is_called_otherwise_is_refused(block, said):
    tables = ['t.csv', *([{'file': 'b.csv', 'name': 'b'}] if block.get('table') else [])]
    with pytest.raises(ValueError, match=said) as error:
        layout(labels=('a',), tables=tables, regions=block)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'block',
    [
        ROWS,
        *({**ROWS, 'box': names, 'form': 'xyxy'} for names in CORNERS),
        {**ROWS, 'box': ('x', 'y', 'w', 'h'), 'form': 'xyxy'},  # the form is said
        {**ROWS, 'box': ('Bbox [x', 'y', 'w', 'h]')},
        {**ROWS, 'box': ('left', 'top', 'width', 'height'), 'reader': 'who'},
        {**ROWS, 'box': ('x0', 'y0', 'w', 'h')},
        {**ROWS, 'box': 'bbox'},
        {**FILES, 'crop': ('x', 'y', 'w', 'h'), 'as_reader': 'R1'},
    ],
)
def test_blocks_that_mean_something_are_read(block):
    tables = ['t.csv', {'file': 'b.csv', 'name': 'b', 'on': () if 'table' in block else 'file'}]
    assert len(layout(labels=('a',), tables=tables, regions=block).regions) == 1


def test_corners_in_one_cell_that_are_read_as_widths_are_doubted(ten):
    def said(text, form='xywh'):
        table(ten, 'file,a,b\n' + ''.join(f'{i}.png,1,"{text(i)}"\n' for i in range(8)))
        regions = {'concept': 'a', 'box': 'b', 'form': form}
        return doubts_with(loaded(ten, tables='t.csv', labels=('a',), regions=regions), 'leave their images')

    def corners(i):
        return f'{2 + i}, 3, {9 + i}, 9'

    assert [one.partition(';')[0] for one in said(corners)] == [
        "2 boxes of 8 regions leave their images: regions.form is 'xywh'"
    ]
    assert not said(corners, 'xyxy')
    assert not said(lambda i: f'{2 + i}, 3, {6 if i < 2 else 12}, 9')  # some are narrow: widths


@pytest.mark.parametrize(
    ('names', 'form'),
    [(one, form) for form, of_form in (('xyxy', NAMED), ('xywh', SIZED), ('cxcywh', CENTRED)) for one in of_form],
)
def test_names_of_columns_say_the_form_of_their_box(names, form):
    columns = tuple(names.split())
    assert form_of(columns) == (columns, form)
    assert form_of(columns[::-1]) == (columns, form)
    cells = np.array(['2', ''], object)
    rows = as_rows({'file': np.array(['a', 'b'], object), **dict.fromkeys(columns, cells)}, 't.csv')
    assert box_of(rows) == (columns, form)


def test_names_of_columns_that_say_no_form():
    assert [form_of(one.split()) for one in OTHERS] == [None] * len(OTHERS)
    for columns in map(str.split, OTHERS):
        if columns[0] != 'x1':  # of which more is known
            with pytest.raises(ValueError, match='and the names do not say what they are: give form'):
                layout(labels=('a',), tables='t.csv', regions={'concept': 'a', 'box': columns})
    assert box_of(as_rows(dict.fromkeys(('left', 'top', 'right', 'bottom'), np.array(['no'], object)), 't')) == (
        (),
        'xywh',
    )


@pytest.mark.parametrize(
    ('names', 'form'),
    [
        ('minr minc maxr maxc', 'xyxy'),
        ('r0 c0 r1 c1', 'xyxy'),
        ('vmin hmin vmax hmax', 'xyxy'),
        ('oben links unten rechts', 'xyxy'),
        ('cy cx h w', 'cxcywh'),
        ('x_center y_center height width', 'cxcywh'),
    ],
)
def test_columns_in_another_order_than_x_before_y_are_refused(names, form):
    with pytest.raises(ValueError, match=r'in the order|the order of boxes'):
        layout(labels=('a',), tables='t.csv', regions={'concept': 'a', 'box': names.split(), 'form': form})


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        *((one, ('xyxy', True)) for one in ('xyxy', 'bbox_xyxy', 'bbox (x1,y1,x2,y2)', '[xmin, ymin, xmax, ymax]')),
        *((one, ('xyxy', True)) for one in ('x1y1x2y2', 'minx_miny_maxx_maxy', 'ltrb', 'left_top_right_bottom')),
        *((one, ('xywh', True)) for one in ('xywh', 'x,y,w,h', 'bbox (x, y, width, height)')),
        *((one, ('cxcywh', True)) for one in ('cxcywh', 'xc, yc, w, h', 'bbox (cx, cy, width, height)')),
        *((one, ('xyxy', False)) for one in ('yxyx', 'xmin, xmax, ymin, ymax')),
        *((one, None) for one in ('bbox', 'Bounding Box', 'roi', 'taxy', 'x')),
    ],
)
def test_the_name_of_a_column_of_lists_says_the_form(name, said):
    assert form_in(name) == said
    if said and said[0] != 'xywh':
        with pytest.raises(ValueError, match=rf"another order than|expected form = '{said[0]}'"):
            layout(labels=('a',), tables='t.csv', regions={'concept': 'a', 'box': (name,)})
    else:
        layout(labels=('a',), tables='t.csv', regions={'concept': 'a', 'box': (name,)})
    if not said or said[1]:
        form = said[0] if said and said[0] == 'cxcywh' else 'xyxy'
        layout(labels=('a',), tables='t.csv', regions={'concept': 'a', 'box': (name,), 'form': form})


def readers(*names):
    """Blocks of masks, each of a reader or of none."""
    return [{'concept': 'a', 'files': f'{name}/{{stem}}.png', 'as_reader': reader} for name, reader in names]


def test_a_block_without_a_reader_beside_such_with_one_is_said(ten):
    for number, name in enumerate(('R1', 'R2', 'R3', 'staple')):
        masks(ten, f'{name}/{{stem}}.png', 3 + number)
    block = {'tables': 't.csv', 'labels': ('a',), 'images': {'file': '{file}', 'exclude': ('*/*',)}}
    lost = loaded(ten, **block, regions=readers(('R1', 'R1'), ('R2', ''), ('R3', 'R3')))
    assert doubts_with(lost, 'consensus') == [
        "Regions of a by 'R2/{stem}.png' have no reader (regions.as_reader) and are a consensus, beside those of R1, "
        'R3.'
    ]
    meant = loaded(ten, **block, regions=readers(('R1', 'R1'), ('R2', 'R2'), ('staple', '')))
    assert not doubts_with(meant, 'consensus')  # it is said in a note
    assert [one.split(' have')[0] for one in meant.info['notes'] if 'consensus' in one] == [
        "Regions of a by 'staple/{stem}.png'"
    ]
    other = [*readers(('R1', 'R1'), ('R2', 'R2')), {'concept': 'lung', 'files': 'R3/{stem}.png'}]
    said = loaded(ten, **block, regions=other).info
    assert not [one for one in [*said['notes'], *said.get('doubts', [])] if 'consensus' in one or 'twice' in one]


def test_a_mask_file_that_two_blocks_give_is_said(ten):
    masks(ten, 'masks/left/{stem}.png', 2)
    masks(ten, 'masks/right/{stem}.png', 11)
    block = {'tables': 't.csv', 'labels': ('a',), 'images': {'file': '{file}', 'exclude': ('masks/*',)}}

    def said(left, **more):
        blocks = [{'concept': 'left', 'files': left, **more}, {'concept': 'right', 'files': 'masks/right/{stem}.png'}]
        return doubts_with(loaded(ten, **block, regions=blocks), 'twice')

    assert said('masks/*/{stem}.png') == [
        "Mask files that are regions twice, by 'masks/*/{stem}.png' (left) and 'masks/right/{stem}.png' (right): 8 "
        '(masks/right/0.png, masks/right/1.png, masks/right/2.png, masks/right/3.png, masks/right/4.png and 3 more).'
    ]
    assert not said('masks/left/{stem}.png')
    assert not said('masks/right/{stem}.png', values={'left': 255})  # of the parts of one file


@pytest.mark.parametrize(
    'names', ['cx cy w h', 'x_center y_center width height', 'bbox_xc bbox_yc bbox_w bbox_h', 'cxcywh']
)
def test_boxes_by_their_centre(tmp_path, names):
    columns, box = tuple(names.split()), (0.5, 0.25, 0.5, 0.25)
    cells = ','.join(map(str, box)) if len(columns) > 1 else f'"{list(box)}"'
    for i in range(8):
        picture(tmp_path / f'{i}.png')
    table(tmp_path, f'file,a,{",".join(columns)}\n' + ''.join(f'{i}.png,{i % 2},{cells}\n' for i in range(8)))
    regions = {'concept': 'a', 'box': columns, 'unit': 'fraction'}
    block = {'tables': 't.csv', 'images': 'file', 'labels': ('a',)}
    with pytest.raises(
        ValueError, match=r"called as the centre of a box is, and form is 'xywh': expected form = 'cxcy"
    ):
        layout(**block, regions=regions)
    dataset = loaded(tmp_path, tables='t.csv', labels=('a',), regions={**regions, 'form': 'cxcywh'})
    assert {tuple(one) for one in dataset.region_box.tolist()} == {(4.0, 2.0, 12.0, 6.0)}


def test_corners_are_no_centre():
    block = {'tables': 't.csv', 'images': 'file', 'labels': ('a',)}
    with pytest.raises(ValueError, match=r"called as corners are, and form is 'cxcywh'"):
        layout(**block, regions={'concept': 'a', 'box': ('x1', 'y1', 'x2', 'y2'), 'form': 'cxcywh'})


def test_a_cell_of_a_joined_table_is_named_by_that_table(ten, tmp_path):
    rows = ''.join(f'{i}.png,{"1 2 1" if i == 3 else "5 3"}\n' for i in range(10))
    table(tmp_path, f'file,runs\n{rows}', name='r.csv')
    regions = {'concept': 'a', 'code': 'runs', 'kind': 'start_rows'}
    dataset = loaded(tmp_path, tables=['t.csv', {'file': 'r.csv', 'on': 'file'}], labels=('a',), regions=regions)
    ((left,),) = [names for kind, names in dataset.info['problems'].items() if kind == 'shape_not_understood']
    assert '(r.csv, line 5: ' in left
