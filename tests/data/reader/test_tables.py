"""Tables as people export them: separators, quotes, encodings, kinds, joins."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from imbalance_jax.data.reader import rows as rows_module
from imbalance_jax.data.reader.layout import Table
from imbalance_jax.data.reader.rows import Found
from imbalance_jax.data.reader.tables import read_table, table_files


def read(folder, text, name='t.csv', **options):
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    found = Found()
    return read_table(folder, Table(name, **options), found), found


@pytest.mark.parametrize(
    'text',
    [
        'a,b\n1,"x, y"\n2,z\n',
        'a;b\n1;x, y\n2;z\n',
        'a\tb\r\n1\tx, y\r\n2\tz\r\n',
        b'\xef\xbb\xbfa,b\n1,"x, y"\n\n2,z',
        'a,b\n1,"x, y"\n2,z\n'.encode('utf-16'),
    ],
    ids=['comma', 'semicolon', 'tab and CR', 'BOM and a blank line', 'UTF-16'],
)
def test_separators_and_marks(tmp_path, text):
    rows, _ = read(tmp_path, text)
    assert {name: values.tolist() for name, values in rows.columns.items()} == {'a': ['1', '2'], 'b': ['x, y', 'z']}


def test_a_stray_quote_takes_no_rows_with_it(tmp_path):
    lines = ['id,finding'] + [f'{i},{"5 x" if i != 30 else chr(34) + "5 x"}' for i in range(100)]
    rows, found = read(tmp_path, '\n'.join(lines))
    assert rows.columns['id'].tolist() == [str(i) for i in range(100)]
    assert found.problems == {'stray_quote': ['t.csv, line 32']}
    lines[80] = '79,"7 x'  # a second one, which would close the first
    rows, found = read(tmp_path, '\n'.join(lines))
    assert len(rows) == 100
    assert found.problems == {'stray_quote': ['t.csv, line 32', 't.csv, line 81']}
    assert rows.where(99) == 't.csv, line 101'


def test_cells_with_line_breaks_stay_whole(tmp_path):
    rows, found = read(tmp_path, 'id,report,x\n1,"first\nsecond, with ""quotes""",5\n2,short,6\n')
    assert rows.columns['report'].tolist() == ['first\nsecond, with "quotes"', 'short']
    assert rows.line.tolist() == [2, 4]
    assert not found.problems


@pytest.mark.parametrize('text', ['a 1 0\nb 0 1\n', 'a 1 0 1\nb 0 1\n', 'a 1\nb 0 1 1\n'])
def test_columns_that_are_named_are_as_many_as_a_line_has(tmp_path, text):
    options = {'separator': ' ', 'header': False, 'kind': 'csv', 'columns': ('image', 'mass')}
    with pytest.raises(ValueError, match=r't\.csv, line \d: \d columns; expected 2 as in tables\.columns'):
        read(tmp_path, text, **options)
    rows, _ = read(tmp_path, 'a  1\n b   0 \n', **options)
    assert rows.columns['mass'].tolist() == ['1', '0']


def test_headers_with_commas_as_nih_ships_them(tmp_path):
    header = 'Image Index,Finding Label,Bbox [x,y,w,h],,,'
    rows, _ = read(tmp_path, header + '\na.png,Mass,1.5,2,3,4,,,\n')
    assert [rows.columns[name][0] for name in ('Bbox [x', 'y', 'w', 'h]')] == ['1.5', '2', '3', '4']


def test_a_row_that_is_too_short_is_named(tmp_path):
    with pytest.raises(ValueError, match=r't\.csv, line 3: 1 columns; expected 2'):
        read(tmp_path, 'a,b\n1,2\n3\n')


def test_what_is_no_table_is_one_line(tmp_path):
    with pytest.raises(ValueError, match='it has the byte 0'):
        read(tmp_path, b'\x89PNG\x00\x00')
    with pytest.raises(ValueError, match='is empty'):
        read(tmp_path, '\n\n')
    with pytest.raises(ValueError, match='is not JSON'):
        read(tmp_path, '{', 't.json')
    with pytest.raises(FileNotFoundError, match=r'has no nothing\.csv'):
        read_table(tmp_path, Table('nothing.csv'), Found())
    with pytest.raises(ValueError, match='cannot be read'):
        read(tmp_path, b'no gzip', 't.csv.gz')


def test_windows_text_is_read_and_said(tmp_path):
    rows, found = read(tmp_path, 'a,b\n1,Größe\n'.encode('cp1252'))
    assert rows.columns['b'][0] == 'Größe'
    assert 'Windows-1252' in found.notes[0]


@pytest.mark.parametrize(
    'value',
    [
        [{'id': 1, 'x': 'p'}, {'id': 2, 'x': None}],
        {'id': [1, 2], 'x': ['p', None]},
        {'data': [{'id': 1, 'x': 'p'}, {'id': 2}]},
    ],
)
def test_json_of_several_forms_is_one_table(tmp_path, value):
    rows, _ = read(tmp_path, json.dumps(value), 't.json')
    assert rows.columns['id'].tolist() == ['1', '2']
    assert rows.columns['x'].tolist() == ['p', '']


def test_parquet_gzip_and_json_lines_give_the_same_texts(tmp_path):
    frame = pd.DataFrame({'id': [10, 11], 'x': [0.5, np.nan], 'y': ['a', None]})
    frame.to_parquet(tmp_path / 't.parquet')
    (tmp_path / 't.csv.gz').write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    (tmp_path / 't.jsonl').write_text('{"id": 10, "x": 0.5, "y": "a"}\n{"id": 11, "x": null}\n')
    wanted = {'id': ['10', '11'], 'x': ['0.5', ''], 'y': ['a', '']}
    for name in ('t.parquet', 't.csv', 't.jsonl'):
        rows = read_table(tmp_path, Table(name), Found())
        assert {key: values.tolist() for key, values in rows.columns.items()} == wanted, name


def test_coco_has_a_row_per_annotation_and_one_per_image_without(tmp_path):
    data = {
        'images': [{'id': 7, 'file_name': 'a.png', 'height': 5, 'width': 6}, {'id': 8, 'file_name': 'b.png'}],
        'categories': [{'id': 3, 'name': 'nodule'}],
        'annotations': [
            {'image_id': 7, 'category_id': 3, 'bbox': [1, 2, 3, 4], 'segmentation': [[1, 2, 4, 2, 4, 6]]},
            {'image_id': 7, 'category_id': 3, 'bbox': [0, 0, 1, 1]},
        ],
    }
    rows, _ = read(tmp_path, json.dumps(data), 't.json')
    assert rows.columns['file_name'].tolist() == ['a.png', 'a.png', 'b.png']
    assert rows.columns['category'].tolist() == ['nodule', 'nodule', '']
    assert rows.columns['bbox'][0] == [1, 2, 3, 4]
    del data['annotations'][0]['category_id']
    with pytest.raises(ValueError, match='category_id'):
        read(tmp_path, json.dumps(data), 't.json')


@pytest.mark.parametrize('place', [('images', 'id'), ('annotations', 'image_id'), ('annotations', 'category_id')])
def test_coco_s_ids_are_numbers_however_they_are_written(tmp_path, place):
    data = {
        'images': [{'id': k, 'file_name': f'{k}.png'} for k in (7, 8, 9)],
        'categories': [{'id': 3, 'name': 'nodule'}],
        'annotations': [{'image_id': k, 'category_id': 3, 'bbox': [1, 2, 3, 4]} for k in (7, 8)],
    }
    data[place[0]][0][place[1]] += 0.0  # as pandas writes them
    rows, found = read(tmp_path, json.dumps(data), 't.json')
    assert rows.columns['category'].tolist() == ['nodule', 'nodule', '']
    assert not found.doubts
    data['images'][1]['id'] = 7.0
    with pytest.raises(ValueError, match=r"images: '7\.png' and '8\.png' have one id, 7; an id is of one"):
        read(tmp_path, json.dumps({**data, 'images': [*data['images'][:2]]}), 't.json')
    rows, found = read(tmp_path, json.dumps({**data, 'images': data['images'][:1], 'annotations': []}), 't.json')
    assert found.doubts == ['t.json has no annotations: its 1 images count as without.']
    assert rows.columns['category'].tolist() == ['']


def test_parallel_lists_become_rows(tmp_path):
    value = [{'f': 'a', 'syms': ['x', 'y'], 'boxes': [[1], [2]]}, {'f': 'b', 'syms': [], 'boxes': []}]
    rows, _ = read(tmp_path, json.dumps(value), 't.json', explode=('syms', 'boxes'))
    assert rows.columns['f'].tolist() == ['a', 'a', 'b']
    assert rows.columns['syms'].tolist() == ['x', 'y', '']
    assert rows.columns['boxes'].tolist() == [[1], [2], '']
    value[0]['boxes'] = [[1]]
    with pytest.raises(ValueError, match=r'have \[1, 2\] elements'):
        read(tmp_path, json.dumps(value), 't.json', explode=('syms', 'boxes'))


def test_rows_are_kept_by_value_however_it_is_spelt(tmp_path):
    rows, found = read(tmp_path, 'id,view,n\n1,PA,1.0\n2,lateral,1\n3, pa ,2\n', where={'view': ('pa',)})
    assert rows.columns['id'].tolist() == ['1', '3']
    assert found.notes == ['1 of 3 rows of t.csv are not used, by view: lateral 1.']


def test_joins_by_key_and_refuses_two_answers(tmp_path):
    left, _ = read(tmp_path, 'image,study\na,7\nb,7.0\nc,9\n')
    right, _ = read(tmp_path, 'number,label,image\n7,1,other\n7,1,other\n', 'r.csv')
    joined, there = rows_module.join(left, right, ('study=number',))
    assert joined.columns['label'].tolist() == ['1', '1', '']
    assert joined.columns['image'].tolist() == ['a', 'b', 'c']
    assert there.tolist() == [True, True, False]
    twice, _ = read(tmp_path, 'number,label\n7,1\n7,0\n', 'r.csv')
    with pytest.raises(ValueError, match=r'r\.csv, line 3: 7 is in r\.csv, line 2 with other values'):
        rows_module.join(left, twice, ('study=number',))
    with pytest.raises(ValueError, match=r"Unknown column .* 'studdy'\. Did you mean 'study'"):
        rows_module.join(left, right, ('studdy=number',))


@pytest.mark.parametrize('tail', ['', ',,,'])
def test_a_header_may_end_in_columns_without_a_name(tmp_path, tail):
    rows, _ = read(tmp_path, f'id,Bbox [x,y,w,h],,,\n1,2,3,4,5{tail}\n')
    assert {name: values.tolist() for name, values in rows.columns.items()} == {
        'id': ['1'], 'Bbox [x': ['2'], 'y': ['3'], 'w': ['4'], 'h]': ['5']
    }  # fmt: skip
    with pytest.raises(ValueError, match='line 2: 4 columns; expected 5'):
        read(tmp_path, 'id,Bbox [x,y,w,h],,,\n1,2,3,4\n')


def test_names_of_the_first_line_in_another_order_are_doubted(tmp_path):
    rows, found = read(tmp_path, 'id,mass,edema\n1,0,1\n', columns=('id', 'edema', 'mass'))
    assert rows.columns['edema'][0] == '0'
    assert len(found.doubts) == 1
    assert 'tables.columns has the names of the first line in another order' in found.doubts[0]


def test_names_are_exchanged_at_once(tmp_path):
    rows, _ = read(tmp_path, 'id,mass,edema\n1,0,1\n', rename={'edema': 'mass', 'mass': 'edema'})
    assert (rows.columns['mass'][0], rows.columns['edema'][0]) == ('1', '0')


def test_two_columns_of_one_name_are_refused_where_one_is_used(tmp_path):
    rows, _ = read(tmp_path, 'id,mass,mass,x\n1,0,1,a\n2,1,0,b\n')
    joined, _ = rows_module.join(read(tmp_path, 'id\n1\n', 'l.csv')[0], rows, ('id',))
    for one in (rows, rows.take(np.array([0])), joined, rows_module.stacked([rows.with_columns(), rows])):
        assert one.column('x', 'groups.x')[0] == 'a'
        with pytest.raises(ValueError, match=r"^t\.csv has two columns 'mass' \(labels\.columns\)"):
            one.column('mass', 'labels.columns')
    with pytest.raises(ValueError, match='two columns'):
        read(tmp_path, 'id,mass,mass,x\n1,0,1,a\n', where={'mass': ('1',)})
    named, _ = read(tmp_path, 'id,mass,mass,x\n1,0,1,a\n', columns=('id', 'mass', 'other', 'x'))
    assert [named.column(name, '')[0] for name in ('mass', 'other')] == ['0', '1']


def test_json_with_a_key_twice_or_a_bad_line_names_it(tmp_path):
    with pytest.raises(ValueError, match=r"t\.json: an object has the key 'mass' twice"):
        read(tmp_path, '[{"id": 1, "mass": 1, "mass": 0}]', 't.json')
    with pytest.raises(ValueError, match=r"t\.jsonl, line 3: an object has the key 'mass' twice"):
        read(tmp_path, '{"id": 1}\n\n{"id": 2, "mass": 1, "mass": 1}\n', 't.jsonl')
    with pytest.raises(ValueError, match=r't\.jsonl, line 4 is not JSON'):
        read(tmp_path, '{"id": 1}\n\n{"id": 2}\n{"id": \n', 't.jsonl')
    rows, _ = read(tmp_path, '{"id": 1}\n\n{"id": 2}\n', 't.jsonl')
    assert rows.where(1) == 't.jsonl, line 3'


def test_predictions_and_boxes_apart_from_their_shapes_are_doubted_in_coco(tmp_path):
    def said(scale, **more):
        drawn = [
            {'id': i, 'image_id': i, 'category_id': 1, 'bbox': [8 * scale, 4, 12, 14], **more}
            | {'segmentation': [[8, 4, 20, 4, 20, 18, 8, 18]]}
            for i in range(4)
        ]
        files = [{'id': i, 'file_name': f'{i}.png', 'height': 40, 'width': 40} for i in range(4)]
        coco = {'images': files, 'annotations': drawn, 'categories': [{'id': 1, 'name': 'mass'}]}
        return read(tmp_path, json.dumps(coco), 'c.json')[1].doubts

    assert said(1) == []
    assert said(1, score=0.4) == ['c.json: every annotation has a score, as what a network predicts has.']
    assert said(3)[0].startswith('c.json: bbox and segmentation are of other places in 4 of 4 annotations')


def test_a_title_above_the_names_of_columns_is_named(tmp_path):
    names = 'id,mass\n1,0\n2,1\n'
    for title in ('Study X,\n', 'Study X\n', '# exported in May, by hand\n'):
        with pytest.raises(ValueError, match=r't\.csv begins with the line .*: delete it if it is a title'):
            read(tmp_path, title + (names if title[0] != '#' else 'id,mass,age\n1,0,3\n'))
    for valid in (names, 'id\n1\n2\n', '#,mass\n1,0\n2,1\n', 'id,\n1,\n2,\n', 'id,,\n1,,\n2,note,\n'):
        assert read(tmp_path, valid)[0].columns[valid[: valid.index(',' if ',' in valid else '\n')]][1] == '2'


def test_objects_within_rows_of_json_are_columns(tmp_path):
    rows = [{'id': i, 'labels': {'mass': i, 'edema': 1}, 'code': {'counts': [1], 'size': [2, 2]}} for i in range(2)]
    columns = read(tmp_path, json.dumps(rows), 't.json')[0].columns
    assert columns['labels.mass'].tolist() == ['0', '1']
    assert columns['labels.edema'].tolist() == ['1', '1']
    assert columns['code'][0] == {'counts': [1], 'size': [2, 2]}
    assert 'code.counts' not in columns


def test_boxes_apart_from_runs_are_doubted_in_coco(tmp_path):
    def said(x):
        runs = {'size': [40, 40], 'counts': [40 * 8 + 4, 14] + [26, 14] * 11 + [40 * 20 + 22]}  # x 8 to 20, y 4 to 18
        drawn = [
            {'id': i, 'image_id': i, 'category_id': 1, 'bbox': [x, 4, 12, 14], 'segmentation': runs} for i in range(4)
        ]
        files = [{'id': i, 'file_name': f'{i}.png', 'height': 40, 'width': 40} for i in range(4)]
        coco = {'images': files, 'annotations': drawn, 'categories': [{'id': 1, 'name': 'mass'}]}
        return read(tmp_path, json.dumps(coco), 'c.json')[1].doubts

    assert said(8) == []
    assert said(24)[0].startswith('c.json: bbox and segmentation are of other places in 4 of 4 annotations')


@pytest.mark.parametrize('copy', ['a_old.csv', 'a (1).csv', 'a - Copy.csv', 'a.bak.csv'])
def test_a_pattern_that_means_an_older_copy_too_is_refused(tmp_path, copy):
    for name in ('a.csv', 'b.csv'):
        (tmp_path / name).write_text('id\n1\n')
    assert len(table_files(tmp_path, Table('*.csv'))) == 2
    (tmp_path / copy).write_text('id\n1\n')
    with pytest.raises(ValueError, match=r'is called as an older copy of a\.csv, and both are meant by'):
        table_files(tmp_path, Table('*.csv'))
    assert len(table_files(tmp_path, Table('*.csv', kind='yolo'))) == 3  # of images, which may be called so
