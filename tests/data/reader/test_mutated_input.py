"""Anything at all may happen to files that people give: a reader names it in one line, or says what it left out.

A folder of images with tables, COCO, masks and lists, read by several layouts; in each round one file, or one value of
the layout, is changed at random. In the environment MUTATIONS=1000 asks for more rounds than the suite has,
MUTATIONS_SEED=7 for others. What may be another study that somebody meant (a cell of another valid value, a flipped
bit in one) is not asked to be said; a line, a column, a file that is lost, and a cell that is no value, are.
"""

import copy
import csv
import io
import json
import os
import random
import shutil
import signal

import mutating
import numpy as np
import pandas as pd
import pytest
from data.reader.folders import picture
from PIL import Image
from trees import places

from imbalance_jax.data.reader import declare, read

ROUNDS = int(os.environ.get('MUTATIONS', '60'))
SEED = int(os.environ.get('MUTATIONS_SEED', '0'))
COUNT = 16
ODD = [
    '',
    'nan',
    'None',
    '-1',
    '7',
    '1e400',
    'x',
    '"',
    ';',
    "['a']",
    '{"a": 1}',
    'no',
    '\x00',
    'é',
    '0x1F',
    '1,5',
    '   ',
]
STRANGE = [None, True, 7, -1.5, 'text', (), {}, ('image',), {'odd': 1}, float('nan'), [[]], '{image', '(', '*']
FILES = {  # of each layout
    'columns': ('t.csv', 'more.csv'),
    'names': ('t.csv', 'train.txt', 'test.txt', 'masks'),
    'coco': ('c.json',),
    'parquet': ('t.parquet',),
    'rows': ('r.jsonl',),
    'folders': ('by',),
}
PARTS = {'patient': 'patient', 'split': 'split', 'images': '{image}'}
BLOCKS = {
    'columns': {
        'tables': ('t.csv', {'file': 'more.csv', 'on': ('image',)}),
        'labels': ('mass', 'edema'),
        'groups': {'sex': 'sex', 'age': {'column': 'age', 'bands': (40, 60)}},
        'regions': {'concept': 'mass', 'box': ('x', 'y', 'w', 'h')},
        **PARTS,
    },
    'names': {
        'tables': 't.csv',
        'labels': {'column': 'findings', 'separator': '|'},
        'regions': {'concept': 'mass', 'files': 'masks/{stem}.png'},
        'images': {'file': '{image}', 'folders': ('images',)},
        'split': {'lists': {'train': 'train.txt', 'test': 'test.txt'}, 'others': 'train'},
    },
    'coco': {
        'tables': {'file': 'c.json', 'kind': 'coco'},
        'images': 'file_name',
        'labels': {'regions': True},
        'regions': {'column': 'category', 'code': 'segmentation', 'kind': 'coco_segmentation', 'box': ('bbox',)},
    },
    'parquet': {'tables': 't.parquet', 'labels': ('mass', 'edema'), **PARTS},
    'rows': {'tables': 'r.jsonl', 'labels': {'column': 'grade', 'none': ()}, 'task': 'multi_class', **PARTS},
    'folders': {'labels': {'path': 'parent', 'none': ()}, 'task': 'multi_class', 'images': {'folders': ('by',)}},
}


def make(folder):
    """Sixteen images and everything about them."""
    rows = []
    for k in range(COUNT):
        name = f'{k:02d}.png'
        picture(folder / 'images' / name)
        picture(folder / 'by' / ('one', 'two')[k % 2] / f'{"ab"[k % 2]}{name}')
        if k % 2:
            inside = np.zeros((20, 20), np.uint8)
            inside[4 : 8 + k // 4, 5:12] = 255
            (folder / 'masks').mkdir(exist_ok=True)
            Image.fromarray(inside).save(folder / 'masks' / name)
        found = '|'.join(['mass'] * (k % 2) + ['edema'] * (k % 3 == 0)) or 'No finding'
        box = dict(zip('xywh', ('3', '4', '6', '5') if k % 2 else ('',) * 4, strict=True))
        split = ('train', 'train', 'validation', 'test')[k // 2 % 4]
        own = {'image': name, 'patient': f'p{k // 2}', 'split': split, 'mass': k % 2, 'edema': int(k % 3 == 0)}
        rows.append({**own, 'findings': found, 'grade': 'ABC'[k % 3], **box})
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / 't.csv', index=False)
    frame.to_parquet(folder / 't.parquet')
    (folder / 'r.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    more = [{'image': row['image'], 'sex': 'FM'[k // 2 % 2], 'age': 30 + k} for k, row in enumerate(rows)]
    pd.DataFrame(more).to_csv(folder / 'more.csv', index=False)
    for split in ('train', 'test'):
        (folder / f'{split}.txt').write_text(''.join(f'{r["image"]}\n' for r in rows if r['split'] == split))
    shapes = [[[4, 4, 12, 4, 12, 12]], {'counts': [45, 10, 345], 'size': [20, 20]}, [], [[3, 3, 9, 3, 9, 9, 3, 9]]]
    drawn = [{'id': k, 'image_id': k, 'category_id': k % 2, 'segmentation': shapes[k % 4]} for k in range(12)]
    drawn = [{**one, 'bbox': [3, 4, 6, 5]} for one in drawn]
    images = [{'id': k, 'file_name': f'images/{k:02d}.png', 'height': 20, 'width': 20} for k in range(COUNT)]
    categories = [{'id': 0, 'name': 'mass'}, {'id': 1, 'name': 'edema'}]
    (folder / 'c.json').write_text(json.dumps({'images': images, 'annotations': drawn, 'categories': categories}))


def summary(dataset):
    """What a study is made of, and what is said of it."""
    order = np.argsort(dataset.image_id)
    arrays = [dataset.labels, dataset.label_mask, dataset.split, dataset.images.reshape(len(order), -1)]
    data = [dataset.image_id[order].tolist(), *(one[order].tolist() for one in arrays)]
    owner = dataset.image_id[dataset.region_image]
    regions = sorted(zip(owner, dataset.region_concept.tolist(), dataset.region_box.tolist(), strict=True))
    people = [dataset.image_id[dataset.patient == one].tolist() for one in set(dataset.patient.tolist())]
    groups = None if dataset.groups is None else dataset.groups[order].tolist()
    data += [regions, sorted(map(sorted, people)), groups, dataset.info['classes']]
    return data, [dataset.info[part] for part in ('problems', 'notes')] + [dataset.info.get('doubts')]


def mutate_text(path, draw):
    """Changes a file of text; returns how, and whether what it says then may be meant."""
    content = path.read_bytes()
    ways = 'bit', 'cut', 'line', 'double', 'cell', 'cell', 'cell', 'column', 'header', 'empty', 'bytes', 'join'
    how = draw.choice(ways)
    lines = content.splitlines(keepends=True)
    if how == 'line' and len(lines) > 2:
        del lines[draw.randrange(len(lines))]
    elif how == 'double':
        number = draw.randrange(len(lines))
        lines.insert(draw.randrange(len(lines) + 1), lines[number])
    elif how == 'join' and len(lines) > 2:
        number = draw.randrange(len(lines) - 1)
        lines[number] = lines[number].rstrip()
    elif how in ('cell', 'column', 'header') and path.suffix == '.csv':
        table = list(csv.reader(io.StringIO(content.decode())))
        row, column = draw.randrange(1, len(table)), draw.randrange(len(table[0]))
        if how == 'cell':
            table[row][column] = draw.choice(ODD)
        elif how == 'column':
            table = [cells[:column] + cells[column + 1 :] for cells in table]
        else:
            table[0][column] = draw.choice([*ODD, table[0][0], table[0][column].upper()])
        text = io.StringIO()
        csv.writer(text).writerows(table)
        lines = [text.getvalue().encode()]
    elif how == 'empty':
        lines = [draw.choice([b'', b'\n', b'{}', b'[]', b'null', content[:1]])]
    elif how == 'bytes':
        lines = [draw.choice([b'\xff\xfe', b'\x00' * 9, b'\xef\xbb\xbf', b'PK\x03\x04']) + content]
    elif how == 'cut':
        lines = [content[: draw.randrange(len(content))]]
    else:
        how, lines = 'bit', [mutating.flipped(content, draw)]
    path.write_bytes(b''.join(lines))
    return how, how in ('bit', 'cell', 'double', 'join', 'cut', 'bytes')


def mutate_json(path, draw):
    """Changes one place of JSON, or the text of it."""
    if path.suffix == '.jsonl' or draw.random() < 0.3:
        return mutate_text(path, draw)
    value = json.loads(path.read_text())
    tree, key = draw.choice(places(value))
    if draw.random() < 0.3:
        del tree[key]
    else:
        tree[key] = draw.choice([None, True, 7, -1.5, 'text', [], {}, [[]], [7], {'odd': 1}])
    path.write_text(json.dumps(value))
    return 'place', True


def mutate_binary(path, draw):
    """Changes an image, a mask or a table of Parquet."""
    content = path.read_bytes()
    how = draw.choice(['bit', 'cut', 'lost', 'empty', 'folder', 'foreign', 'size'])
    if how in ('lost', 'folder'):
        path.unlink()
        if how == 'folder':
            path.mkdir()
    elif how == 'size' and path.suffix == '.png':
        mode, size = draw.choice(['L', 'RGB', 'P', '1', 'LA']), (draw.choice([1, 7, 20, 40]), draw.choice([1, 20, 33]))
        Image.new(mode, size, 0).save(path)
    elif how == 'foreign':
        page, pointer = b'<html>404</html>', b'version https://git-lfs.github.com/spec/v1\n'
        path.write_bytes(draw.choice([page, pointer, b'\x00' * 200]))
    elif how == 'cut':
        path.write_bytes(content[: draw.randrange(len(content))])
    elif how == 'empty':
        path.write_bytes(b'')
    else:
        how = 'bit'
        path.write_bytes(mutating.flipped(content, draw))
    return how, how in ('bit', 'size')


def is_clear(error):
    text = str(error)
    return '\n' not in text and 0 < len(text.strip()) < 1500 and not type(error).__name__.startswith('Unicode')


def outcome(folder, block, complaints):
    """What is read and said, None if it is refused; what is no single line goes to `complaints`."""

    def whole():
        return summary(read(folder, declare.layout(block, 'mine'), image_size=16))

    refusals = ValueError, FileNotFoundError
    return mutating.outcome(whole, complaints, refusals=refusals, is_clear=is_clear, seconds=30)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.skipif(not hasattr(signal, 'SIGALRM'), reason='waits are ended as on Unix')
def test_whatever_happens_to_input_is_one_line_or_said(tmp_path):
    before = mutating.end_waits()
    draw, complaints, counts = random.Random(SEED), [], {'refused': 0, 'said': 0, 'same': 0, 'meant': 0}
    kept, folder = tmp_path / 'kept', tmp_path / 'folder'
    make(kept)
    shutil.copytree(kept, folder)
    whole = {name: outcome(folder, block, complaints) for name, block in BLOCKS.items()}
    assert not complaints
    assert all(whole.values())
    for number in range(ROUNDS):
        name = draw.choice(list(BLOCKS))
        block, own = copy.deepcopy(BLOCKS[name]), []
        files = sorted(path for path in folder.rglob('*') if path.is_file())
        own_files = [path for path in files if path.relative_to(folder).parts[0] in FILES[name]]
        path = draw.choice(own_files if draw.random() < 0.8 else files)
        if draw.random() < 0.2:
            tree, key = draw.choice(places(block) or [(block, 'labels')])
            if isinstance(tree, (dict, list)):
                tree[key] = draw.choice(STRANGE)
            path, how, may_be_meant = None, f'{key} is {tree[key]!r}', True
        elif path.suffix in ('.json', '.jsonl'):
            how, may_be_meant = mutate_json(path, draw)
        elif path.suffix in ('.csv', '.txt'):
            how, may_be_meant = mutate_text(path, draw)
        else:
            how, may_be_meant = mutate_binary(path, draw)
        now = outcome(folder, block, own)
        if now is None:
            counts['refused'] += 1
        elif now[0] == whole[name][0]:
            counts['same'] += 1
        elif now[1] != whole[name][1]:
            counts['said'] += 1
        else:
            counts['meant'] += 1
            own += [] if may_be_meant else ['silent']
        complaints += [f'{number}: {name}, {path and path.relative_to(folder)}, {how}: {one}' for one in own]
        if path is not None:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            shutil.copy2(kept / path.relative_to(folder), path)
    signal.signal(signal.SIGALRM, before)
    print(f'{ROUNDS} mutations: {counts}')
    assert not complaints, '\n'.join(complaints)
    assert min(counts[how] for how in ('refused', 'said', 'same')) > 0
