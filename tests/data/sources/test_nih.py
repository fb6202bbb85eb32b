import gzip
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imbalance_jax.data import dataset as store
from imbalance_jax.data.sources import nih_files, nih_tables
from imbalance_jax.data.sources.nih_chest_xray14 import make
from imbalance_jax.data.sources.nih_images import bits_used, from_png, to_png

HEADER = 'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age'
BOX_HEADER = 'Image Index,Finding Label,Bbox [x,y,w,h],,,'
SIZE = 16
OPTIONS = {'image_size': SIZE, 'validation_fraction': 0.4}


def shared(*parts):
    root = os.environ.get('IMBALANCE_JAX_SHARED') or Path(__file__).parents[4] / 'shared'
    place = Path(root, 'data', *parts)
    if not place.exists():
        pytest.skip(f'NIH data are not at {place}; the variable IMBALANCE_JAX_SHARED names the folder above data/.')
    return place


def name_of(patient, film=0):
    return f'{patient:08d}_{film:03d}.png'


def write(path, lines, newline='\r\n'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(newline.join(lines) + newline, newline='')
    return path


def write_tables(folder, findings, boxes=(), test=(7, 8), unlisted=()):
    """`findings`: {image name: finding labels}; patients in `test` make the test list, images in `unlisted` neither."""
    write(folder / 'Data_Entry_2017_v2020.csv', [HEADER, *(f'{n},{f},0,{int(n[:8])},50' for n, f in findings.items())])
    write(folder / 'BBox_List_2017.csv', [BOX_HEADER, *(f'{line},,,' for line in boxes)])
    in_test = {name: int(name[:8]) in test for name in findings if name not in unlisted}
    write(folder / 'train_val_list.txt', [name for name, is_test in in_test.items() if not is_test])
    write(folder / 'test_list.txt', [name for name, is_test in in_test.items() if is_test])


def write_images(folder, names, value=100):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new('L', (40, 40), value).save(folder / name)


@pytest.fixture
def plain(tmp_path):
    """Eight patients, one clean grey image each, two of them test; by the hash 3 and 4 are validation at 0.4."""
    findings = {name_of(patient): 'Mass|Hernia' if patient % 2 else 'No Finding' for patient in range(1, 9)}
    write_tables(tmp_path / 'nih', findings, boxes=[f'{name_of(1)},Mass,512,256,100.5,50.25'])
    write_images(tmp_path / 'nih' / 'images', findings)
    return tmp_path / 'nih'


def assert_same(one, other):
    for array in store.ARRAYS:
        np.testing.assert_array_equal(getattr(one, array), getattr(other, array), err_msg=array)
    assert {**one.info, 'fingerprint': ''} == {**other.info, 'fingerprint': ''}  # of the folder that one is kept in


# The published counts, from the label files alone.


@pytest.fixture(scope='module')
def official():
    return nih_files.read_split(shared('nih_labels'))


@pytest.fixture(scope='module')
def chexnet():
    return nih_files.read_split(shared('nih_labels'), 'chexnet')


def by_split(cases):
    return [cases.labels[cases.split == index].sum(0).tolist() for index in range(3)]


def patients_of(cases):
    return [len(np.unique(cases.patient[cases.split == index])) for index in range(3)]


def test_official_split_and_second_revision_have_the_published_counts(official):
    assert len(official.image) == 112120
    total = [11559, 2776, 13317, 19894, 5782, 6331, 1431, 5302, 4667, 2303, 2516, 1686, 3385, 227]
    test = [3279, 1069, 4658, 6112, 1748, 1623, 555, 2665, 1815, 925, 1093, 435, 1143, 86]
    assert official.labels.sum(0).tolist() == total
    assert (official.labels.sum(1) == 0).sum() == 60361
    assert by_split(official)[2] == test
    assert np.bincount(official.split == 2).tolist() == [86524, 25596]
    train, validation, held_out = patients_of(official)  # split by patient, or the first two would count some twice
    assert (train + validation, held_out) == (28008, 2797)
    assert abs(validation / 28008 - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 28008)
    assert official.problems == {'not_in_split': [], 'listed_without_label': []}
    keys = list(zip(official.split.tolist(), official.image.tolist(), strict=True))
    assert keys == sorted(keys)


def test_chexnet_split_and_first_revision_have_the_published_counts(chexnet):
    assert np.bincount(chexnet.split).tolist() == [78468, 11219, 22433]
    assert patients_of(chexnet) == [21528, 3090, 6187]
    assert by_split(chexnet) == [
        [7996, 1950, 9261, 13914, 3988, 4375, 978, 3705, 3263, 1690, 1799, 1158, 2279, 144],
        [1119, 240, 1292, 2018, 625, 613, 133, 504, 447, 200, 208, 166, 372, 41],
        [2420, 582, 2754, 3938, 1133, 1335, 242, 1089, 957, 413, 509, 362, 734, 42],
    ]
    assert np.bincount(chexnet.labels.sum(1)).tolist() == [60412, 30973, 14292, 4829, 1233, 298, 64, 16, 1, 2]
    # The official lists with the first revision's labels, two files that never meet in one read_split.
    train_val = np.isin(chexnet.image, nih_tables.read_list(shared('nih_labels', 'train_val_list.txt.gz')))
    expected = [8280, 1707, 8659, 13782, 4034, 4708, 876, 2637, 2852, 1378, 1423, 1251, 2242, 141]
    assert chexnet.labels[train_val].sum(0).tolist() == expected


def test_box_list_has_the_published_counts():
    boxes = nih_tables.read_boxes(shared('nih', 'BBox_List_2017.csv'))
    assert np.bincount(boxes.concept).tolist() == [180, 146, 153, 123, 85, 79, 120, 98]
    assert len(np.unique(boxes.image)) == 880
    width, height = (boxes.box[:, 2:] - boxes.box[:, :2]).T
    area = np.array([np.mean((width * height)[boxes.concept == finding]) for finding in range(8)]) / 1024**2
    np.testing.assert_allclose(100 * area, [3.20, 17.58, 6.87, 9.67, 4.23, 0.52, 9.42, 5.21], atol=0.006)


def test_boxes_against_both_label_revisions(official, chexnet):
    boxes = nih_tables.read_boxes(shared('nih', 'BBox_List_2017.csv'))
    pneumonia = boxes.concept == nih_tables.INDEX['Pneumonia']

    def of_boxes(cases):
        row = {name: index for index, name in enumerate(cases.image.tolist())}
        rows = [row[name] for name in boxes.image.tolist()]
        return cases.labels[rows, boxes.concept] == 1, cases.split[rows]

    first, split = of_boxes(chexnet)
    second, _ = of_boxes(official)
    assert second.all()
    assert ((~first).sum(), first[pneumonia].sum()) == (188, 42)
    counts = [np.bincount(split[boxes.concept == finding]).tolist() for finding in range(8)]
    assert counts == [
        [118, 19, 43], [107, 11, 28], [109, 14, 30], [86, 12, 25], [57, 8, 20], [52, 9, 18], [85, 13, 22], [69, 11, 18]
    ]  # fmt: skip


def test_a_patient_is_in_the_same_split_in_any_company(official):
    some = nih_files.read_split(shared('nih'))
    split = dict(zip(official.patient.tolist(), official.split.tolist(), strict=True))
    assert [split[patient] for patient in some.patient.tolist()] == some.split.tolist()
    assert len(np.unique(some.patient)) == 682


def test_validation_grows_with_its_fraction(plain):
    def validation(fraction):
        cases = nih_files.read_split(plain, validation_fraction=fraction)
        return set(cases.patient[cases.split == 1].tolist())

    assert validation(0.2) <= validation(0.4) <= validation(0.9) <= set(range(1, 7))
    assert validation(0.4) == {3, 4}


# Tables


def test_labels_columns_gzip_and_byte_order_mark(tmp_path):
    lines = [HEADER, f'{name_of(3)},Pleural_Thickening|Atelectasis,0,3,58', '', f'{name_of(4)},No Finding,0,00000004,7']
    table = nih_tables.read_labels(write(tmp_path / 'Data_Entry_2017.csv', lines))
    assert table.image.tolist() == [name_of(3), name_of(4)]
    assert table.patient.tolist() == [3, 4]
    assert [np.flatnonzero(row).tolist() for row in table.labels] == [[0, 12], []]
    packed = tmp_path / 'Data_Entry_2017.csv.gz'
    packed.write_bytes(gzip.compress(b'\xef\xbb\xbf' + (tmp_path / 'Data_Entry_2017.csv').read_bytes()))
    for one, other in zip(nih_tables.read_labels(packed), table, strict=True):
        np.testing.assert_array_equal(one, other)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r'Data_Entry_2017.csv.gz is not a readable text table'):
        nih_tables.read_labels(packed)


def test_groups_of_both_revisions_of_the_table(tmp_path):
    first = 'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position'
    lines = [
        f'{name_of(i)},Mass,0,{i},{rest}' for i, rest in enumerate(['058Y,M,PA', '011M,F,AP', '414Y,M,LL', ',,'], 1)
    ]
    found = nih_tables.read_groups(write(tmp_path / 'Data_Entry_2017.csv', [first, *lines]))
    assert list(found.values()) == [(1, 1, 0), (0, 0, 1), (1, -1, -1), (-1, -1, -1)]
    later = first.replace('Gender', 'Sex')
    found = nih_tables.read_groups(write(tmp_path / 'Data_Entry_2017.csv', [later, f'{name_of(1)},Mass,0,1,60,F,PA']))
    assert list(found.values()) == [(0, 2, 0)]
    found = nih_tables.read_groups(write(tmp_path / 'Data_Entry_2017.csv', [HEADER, f'{name_of(1)},Mass,0,1,39']))
    assert list(found.values()) == [(-1, 0, -1)]
    assert nih_files.group_file(tmp_path).name == 'Data_Entry_2017.csv'
    assert nih_files.group_file(tmp_path / 'elsewhere') is None


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ([HEADER, f'{name_of(1)},Pneumona,0,1,5'], r"line 2.*'Pneumona'. Did you mean 'Pneumonia'"),
        ([HEADER, f'{name_of(1)},Mass|No Finding,0,1,5'], 'line 2.*expected "No Finding" alone'),
        ([HEADER, f'{name_of(1)},,0,1,5'], "line 2.*''"),
        ([HEADER.replace('Patient ID', 'Patient')], r"line 1: no column \['Patient ID'\]; expected Image"),
        ([], r'line 1: no column'),
        ([HEADER, f'{name_of(1)},Mass,0'], 'line 2: 3 columns; expected 5'),
        ([HEADER] + 2 * [f'{name_of(1)},Mass,0,1,5'], r'line 3: 00000001_000.png is already in .*line 2'),
        ([HEADER, f'{name_of(1)},Mass,0,1.5,5'], "line 2: patient '1.5'.*whole number"),
        ([HEADER, f'{name_of(1)},Mass,0,-1,5'], "line 2: patient '-1'.*whole number"),
        ([HEADER, f'{name_of(1)},Mass,0,2,5'], 'line 2: patient 2 of image 00000001_000.png; expected 1'),
        ([HEADER, '../secret.png,Mass,0,1,5'], "line 2: image '../secret.png'; expected a plain file name"),
        ([HEADER, 'a\\b.png,Mass,0,1,5'], 'line 2: image .*expected a plain file name'),
    ],
)
def test_damaged_label_table_is_named_with_its_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message) as error:
        nih_tables.read_labels(write(tmp_path / 'Data_Entry_2017.csv', lines))
    assert 'Data_Entry_2017.csv' in str(error.value)


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ('Mass,1,2,3,many', 'expected four numbers'),
        ('Mass,1,2,3', 'expected image, finding, x, y, w, h'),
        ('Mass,1,2,nan,3', 'within 1024'),
        ('Mass,-5,2,30,30', 'within 1024'),
        ('Mass,1000,2,30,30', 'within 1024'),
        ('Mass,10,1024.5,30,30', 'within 1024'),
        ('Mass,10,10,0,30', 'height > 0'),
        ('Mass,10,10,30,-3', 'height > 0'),
        ('Massive,10,10,30,30', "'Massive'. Did you mean 'Mass'"),
        ('Lung Opacity,10,10,30,30', "'Lung Opacity'"),
    ],
)
def test_damaged_box_is_named_with_its_line(tmp_path, box, message):
    path = write(tmp_path / 'BBox_List_2017.csv', [BOX_HEADER, f'{name_of(2)},Nodule,1,2,3,4', f'{name_of(1)},{box}'])
    with pytest.raises(ValueError, match=f'BBox_List_2017.csv, line 3.*{message}'):
        nih_tables.read_boxes(path)


def test_boxes_are_corners_and_clipped_by_rounding_only(tmp_path):
    lines = [f'{name_of(1)},Infiltrate,10.5,20,30,40.25', f'{name_of(1)},Mass,1000,-0.5,24.75,1024']
    boxes = nih_tables.read_boxes(write(tmp_path / 'BBox_List_2017.csv', [BOX_HEADER.rstrip(','), *lines]))
    assert [nih_tables.CLASSES[finding] for finding in boxes.concept] == ['Infiltration', 'Mass']
    np.testing.assert_array_equal(boxes.box, [[10.5, 20, 40.5, 60.25], [1000, 0, 1024, 1023.5]])
    with pytest.raises(ValueError, match=r'line 3: .*00000001_000.png.*already in .*line 2'):
        nih_tables.read_boxes(write(tmp_path / 'BBox_List_2017.csv', [BOX_HEADER, *2 * lines[:1]]))
    with pytest.raises(ValueError, match="header 'Image Index,Finding Label,x,y,w,h'; expected"):
        nih_tables.read_boxes(write(tmp_path / 'BBox_List_2017.csv', ['Image Index,Finding Label,x,y,w,h', *lines]))


def test_a_patient_in_two_lists_is_named(plain):
    lists = plain / 'train_val_list.txt', plain / 'test_list.txt'
    with open(lists[1], 'a') as file:
        file.write(name_of(3) + '\n')
    with pytest.raises(ValueError, match='1 patients are in both train and test of the official split, for example 3;'):
        nih_files.read_split(plain)
    with open(lists[1], 'a') as file:
        file.write(f'{name_of(4)} {" ".join("0" * 14)}\n')
    with pytest.raises(ValueError, match=r'test_list.txt, line 4: 15 fields.*CheXNet'):
        nih_files.read_split(plain)


def test_layout_errors_say_what_is_expected(plain):
    with pytest.raises(ValueError, match=r"Unknown split 'offical'. Did you mean 'official'"):
        nih_files.read_split(plain, 'offical')
    with pytest.raises(FileNotFoundError, match=r'no train_list.txt. Expected NIH'):
        nih_files.files(plain, 'chexnet')
    shutil.copy(plain / 'Data_Entry_2017_v2020.csv', plain / 'Data_Entry_2017.csv')
    with pytest.raises(ValueError, match=r'2 files for Data_Entry_2017\*.csv; keep one'):
        nih_files.read_split(plain)
    shutil.move(plain / 'images', plain / 'pictures')
    with pytest.raises(FileNotFoundError, match=r'no PNG in images/, images_\*/ or images_\*/images/. Expected NIH'):
        nih_files.find_images(plain)


def test_the_name_of_prepared_data_follows_contents_and_options(plain, tmp_path):
    """Not times, folders or how paths are spelt."""
    name = partial(nih_files.config_name, image_size=3)
    seen = [name(plain)]
    image = plain / 'images' / name_of(2)
    os.utime(image, (1, 1))
    assert name(plain, tmp_path / 'cache.npy') == seen[0]
    assert name(shutil.copytree(plain, tmp_path / 'copied')) == seen[0]
    assert name(plain / '..' / plain.name) == seen[0]
    for change in (
        lambda: image.write_bytes(image.read_bytes() + b'x'),
        lambda: image.rename(plain / 'images' / name_of(9)),
        lambda: write(plain / 'BBox_List_2017.csv', [BOX_HEADER]),
        lambda: write(plain / 'train_val_list.txt', [name_of(1)]),
    ):
        change()
        seen.append(name(plain))
    seen.append(nih_files.config_name(plain, image_size=4))
    assert len(set(seen)) == 6
    write(plain / 'README.txt', ['of no consequence'])
    assert name(plain) == seen[-2]


# Images


def test_a_stray_quote_takes_no_rows_with_it(tmp_path):
    """Two of them in a column that nobody reads, 30 lines apart; others in a list and among boxes."""
    names = [name_of(patient) for patient in range(1, 101)]
    rows = [f'{name},Mass,0,{int(name[:8])},50' for name in names]
    rows[9] += '"'
    rows[39] = rows[39].replace(',50', ',"50')
    table = write(tmp_path / 'Data_Entry_2017.csv', [HEADER, *rows])
    assert nih_tables.read_labels(table).image.tolist() == names
    listed = nih_tables.read_list(write(tmp_path / 'test_list.txt', [*names[:5], f'"{names[5]}', *names[6:]]))
    assert listed.tolist() == [*names[:5], f'"{names[5]}', *names[6:]]
    boxes = [f'{name},Mass,1,2,3,4,,,' for name in names]
    boxes[50] += '"'
    with pytest.raises(ValueError, match='line 52: expected image, finding'):
        nih_tables.read_boxes(write(tmp_path / 'BBox_List_2017.csv', [BOX_HEADER, *boxes]))


def test_twelve_bits_in_files_of_sixteen(tmp_path):
    """Grey values 0..4095 in some files fill 0..255; files of 8 bits are as ever."""
    grey = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    twelve, dim, eight = (tmp_path / name for name in ('twelve.png', 'dim.png', 'eight.png'))
    Image.fromarray(grey).save(twelve)
    Image.fromarray(grey // 4).save(dim)
    Image.fromarray((grey >> 4).astype(np.uint8)).save(eight)
    bits = bits_used([eight, dim, twelve])
    assert bits == 12
    assert (bits_used([eight]), bits_used([eight, dim]), bits_used([tmp_path / 'none.png'])) == (16, 10, 16)
    small = [from_png(to_png(path, 64, bits).png).astype(int) for path in (twelve, dim, eight)]
    np.testing.assert_array_equal(small[0], np.floor(grey / 4095 * 255 + 0.5))
    np.testing.assert_array_equal(small[1], np.floor((grey // 4) / 4095 * 255 + 0.5))
    np.testing.assert_array_equal(small[2], grey >> 4)


def damaged_png(path, how):
    """Writes a PNG that is broken in one of five ways, or a JPEG under that name."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8)
    Image.fromarray(pixels).save(path, 'JPEG' if how == 'jpeg' else 'PNG')
    data = path.read_bytes()
    flipped = bytes([*data[:1000], data[1000] ^ 4, *data[1001:]])
    size = struct.pack('>II', 30000, 30000) + data[24:29]  # a header that promises 900 million pixels
    bomb = data[:16] + size + struct.pack('>I', zlib.crc32(b'IHDR' + size)) + data[33:]
    damage = {'truncated': data[:-200], 'text': b'no image', 'empty': b'', 'flipped': flipped, 'bomb': bomb}
    path.write_bytes(damage.get(how, data))


def test_every_kind_of_image_file(tmp_path, monkeypatch):
    """All modes come out as the same grey; what cannot be used is named, counted and left out; boxes follow."""
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
    folder = tmp_path / 'nih'
    whole = {'L': 1, 'RGBA': 2, 'P': 3, 'I;16': 4, 'LA': 5, 'RGB': 6, 'L wide': 7}
    damage = dict(zip(('truncated', 'text', 'empty', 'flipped', 'jpeg', 'bomb'), range(11, 17), strict=True))
    findings = {name_of(patient): 'Effusion' for patient in (*whole.values(), *damage.values(), 21, 22)}
    boxes = [f'{name_of(patient)},Effusion,100,200,300,{patient}' for patient in (7, 2, 11, 21, 22, 99)]
    write_tables(folder, findings, boxes, unlisted=[name_of(22)])
    write(folder / 'train_val_list.txt', [*(folder / 'train_val_list.txt').read_text().split(), name_of(77)])
    places = [folder / place for place in ('images', 'images_001', 'images_002/images')]
    for place in (*places, folder / 'original'):
        write_images(place, [])
    for index, (mode, patient) in enumerate(whole.items()):
        path = places[index % 3] / name_of(patient)
        if mode == 'I;16':
            Image.fromarray(np.full((40, 40), 120 * 257, np.uint16)).save(path)
        else:
            Image.new('L', (90, 30) if 'wide' in mode else (40, 40), 120).convert(mode.split()[0]).save(path)
    for how, patient in damage.items():
        damaged_png(folder / 'images_001' / name_of(patient), how)
    write_images(folder / 'original', [name_of(21)])  # not a folder of the layout: 21 stays missing
    write_images(folder / 'images', [name_of(22), name_of(31)])
    write_images(folder / 'images_002', [name_of(1)], value=0)  # a second file of that name

    dataset = make(manual_dir=folder, tfds_dir=tmp_path / 'tfds', **OPTIONS)
    assert not list(temporary.iterdir()), 'nothing is left among the temporary files'
    assert set(dataset.image_id.tolist()) == {name_of(patient) for patient in whole.values()}
    np.testing.assert_array_equal(dataset.images, np.full((7, SIZE, SIZE, 1), 120, np.uint8))
    assert {tuple(size) for size in dataset.source_size.tolist()} == {(40, 40), (30, 90)}
    problems = {kind: sorted(names) for kind, names in dataset.info['problems'].items()}
    assert problems == {
        'missing': [name_of(21)],
        'unreadable': [name_of(patient) for patient in damage.values()],
        'not_in_label_table': [name_of(31)],
        'not_in_split': [name_of(22)],
        'listed_without_label': [name_of(77)],
        'present_twice': [name_of(1)],
        'box_without_image': [name_of(patient) for patient in (11, 21, 22, 99)],
    }
    assert len(dataset.images) + sum(len(problems[kind]) for kind in ('missing', 'unreadable', 'not_in_split')) == 15
    assert dataset.image_id[dataset.region_image].tolist() == [name_of(2), name_of(7)]
    np.testing.assert_array_equal(dataset.region_box, [[100, 200, 400, 202], [100, 200, 400, 207]])


def test_dataset_fields(plain, tmp_path, capfd):
    calls = []
    dataset = make(
        manual_dir=str(plain), tfds_dir=str(tmp_path / 'tfds'), progress=lambda *call: calls.append(call), **OPTIONS
    )
    assert calls == 2 * [(done, 8) for done in range(1, 9)]
    assert capfd.readouterr() == ('', '')
    assert dataset.patient.tolist() == [1, 2, 5, 6, 3, 4, 7, 8]
    assert [dataset.patient[dataset.rows(split)].tolist() for split in store.SPLITS] == [[1, 2, 5, 6], [3, 4], [7, 8]]
    assert dataset.classes == dataset.concepts == nih_tables.CLASSES
    np.testing.assert_array_equal(dataset.labels.sum(1), 2 * (dataset.patient % 2))
    assert dataset.label_mask.all()
    assert dataset.label_mask.shape == (8, 14)
    assert dataset.region_concept.tolist() == [nih_tables.INDEX['Mass']]
    assert dataset.region_mask.shape == (0, SIZE, 2)
    assert dataset.info['frame'] == [1024, 1024]
    arrays = {array: getattr(dataset, array) for array in store.ARRAYS if array != 'image_id'}
    types = {array: values.dtype for array, values in arrays.items() if values is not None}
    uint8 = ('images', 'labels', 'label_mask', 'split', 'region_mask')
    assert types == dict.fromkeys(uint8, np.uint8) | dict.fromkeys(('region_image', 'region_concept'), np.int32) | {
        'patient': np.int64,
        'region_box': np.float32,
        'groups': np.int8,
        'source_size': np.int32,
    }
    assert (dataset.source_size == 40).all()
    assert dataset.info['groups']['sex'] == ['female', 'male']
    assert (dataset.groups == [-1, 1, -1]).all()  # the table here knows ages alone, 50 years
    store.save(dataset, tmp_path / 'kept')
    assert_same(store.load(tmp_path / 'kept'), dataset)


def test_prepared_data_are_reused_until_an_input_changes(plain, tmp_path):
    (plain / 'images' / name_of(5)).write_bytes(b'')
    calls = []
    options = {'manual_dir': plain, 'tfds_dir': tmp_path / 'tfds', **OPTIONS}
    options['progress'] = lambda *call: calls.append(call)
    first = make(**options)
    assert first.info['problems']['unreadable'] == [name_of(5)]
    calls.clear()
    assert_same(make(**options), first)
    assert calls == [(done, 7) for done in range(1, 8)]  # decoded only
    write_images(plain / 'images', [name_of(5)], value=7)
    calls.clear()
    changed = make(**options)
    assert len(calls) == 2 * 8
    assert changed.images[changed.image_id == name_of(5)].max() == 7
    assert changed.info['problems']['unreadable'] == []
    assert_same(make(**{**options, 'tfds_dir': tmp_path / 'another'}), changed)


def test_beyond_the_size_that_tfds_keeps_in_memory(plain, tmp_path, monkeypatch):
    """TFDS's other writer turns to TensorFlow there, which is not installed."""
    monkeypatch.setattr('tensorflow_datasets.core.shuffle.MAX_MEM_BUFFER_SIZE', 10)
    monkeypatch.setattr('imbalance_jax.data.sources.tfds.nih_chest_xray14.SHARD', 3)
    assert make(manual_dir=plain, tfds_dir=tmp_path, **OPTIONS).patient.tolist() == [1, 2, 5, 6, 3, 4, 7, 8]


def test_split_by_patient_needs_no_lists_and_keeps_patients_whole(tmp_path):
    findings = {name_of(patient, film): 'Mass' for patient in range(1, 201) for film in (0, 1)}
    write_tables(tmp_path, findings, boxes=[f'{name_of(patient)},Mass,5,5,9,9' for patient in range(1, 6)])
    (tmp_path / 'test_list.txt').unlink()
    cases = nih_files.read_split(tmp_path, 'by_patient', 0.3)
    patients = [set(cases.patient[cases.split == split].tolist()) for split in range(3)]
    assert len(cases.image) == 400
    assert set.union(*patients) == set(range(1, 201))
    assert sum(map(len, patients)) == 200
    assert patients[2] >= set(range(1, 6))
    np.testing.assert_allclose([len(result) / 200 for result in patients], [0.5, 0.3, 0.2], atol=0.1)
    with pytest.raises(ValueError, match=r'validation_fraction is 0\.8'):
        nih_files.read_split(tmp_path, 'by_patient', 0.8)


def test_chexnet_lists_need_no_label_table(plain, tmp_path):
    (plain / 'Data_Entry_2017_v2020.csv').unlink()
    lists = {'train': (1, 2), 'val': (3, 4), 'test': (5, 6)}
    for prefix in ('', 'chexnet_'):  # the original names, then also ours, which go first
        for part, patients in lists.items():
            flags = ['0'] * 13 + ['1' if prefix else '0']
            lines = [' '.join([name_of(patient), *flags]) for patient in patients]
            write(plain / f'{prefix}{part}_list.txt', lines, newline='\n')
        dataset = make(manual_dir=plain, tfds_dir=tmp_path / 'tfds', image_size=SIZE, split='chexnet')
        assert dataset.patient.tolist() == [1, 2, 3, 4, 5, 6]
        assert dataset.split.tolist() == [0, 0, 1, 1, 2, 2]
        assert dataset.labels.sum(0).tolist() == [0] * 13 + [6 if prefix else 0]
        assert dataset.info['problems']['not_in_label_table'] == [name_of(7), name_of(8)]
    write(plain / 'chexnet_val_list.txt', [f'{name_of(3)} 1 0'])
    with pytest.raises(ValueError, match=r'chexnet_val_list.txt, line 1: expected an image name and 14 zeros or ones'):
        nih_files.read_split(plain, 'chexnet')


@pytest.mark.parametrize(('split', 'patients'), [('train', (1, 2, 5, 6)), ('validation', (3, 4)), ('test', (7, 8))])
@pytest.mark.parametrize('damage', [Path.unlink, lambda path: path.write_bytes(b'')])
def test_empty_split_is_an_error_and_leaves_nothing(plain, tmp_path, split, patients, damage):
    for patient in patients:
        damage(plain / 'images' / name_of(patient))
    with pytest.raises(ValueError, match=f'No image is left in the {split} split'):
        make(manual_dir=plain, tfds_dir=tmp_path / 'tfds', **OPTIONS)
    assert not list((tmp_path / 'tfds').rglob('*1.1.0*'))


@pytest.mark.parametrize('option', [{'image_size': 0}, {'validation_fraction': 0.0}, {'validation_fraction': 1.0}])
def test_bad_options(plain, tmp_path, option):
    with pytest.raises(ValueError, match=f'{next(iter(option))} is .*expected'):
        make(manual_dir=plain, tfds_dir=tmp_path, **{**OPTIONS, **option})


def test_killed_in_the_middle_leaves_nothing_that_looks_complete(plain, tmp_path):
    program = (
        'import os, signal, sys\n'
        'from imbalance_jax.data.sources.nih_chest_xray14 import make\n'
        'kill = lambda done, total: done == 5 and os.kill(os.getpid(), signal.SIGKILL)\n'
        f'make(manual_dir=sys.argv[1], tfds_dir=sys.argv[2], progress=kill, **{OPTIONS})\n'
    )
    command = [sys.executable, '-c', program, str(plain), str(tmp_path / 'tfds')]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    left = [path.name for path in (tmp_path / 'tfds' / 'nih_chest_xray14').glob('official-*/*')]
    assert len(left) == 1
    assert left[0].startswith('incomplete.')
    whole = make(manual_dir=plain, tfds_dir=tmp_path / 'another', **OPTIONS)
    assert_same(make(manual_dir=plain, tfds_dir=tmp_path / 'tfds', **OPTIONS), whole)


def test_two_at_once_agree(plain, tmp_path):
    options = {'manual_dir': plain, 'tfds_dir': tmp_path / 'tfds', **OPTIONS}
    inner = []
    outer = make(**options, progress=lambda done, total: None if inner else inner.append(make(**options)))
    assert_same(outer, inner[0])
    assert len(list((tmp_path / 'tfds' / 'nih_chest_xray14').glob('official-*/*'))) == 1


def test_resizing_is_a_triangle_as_wide_as_the_reduction(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (60, 90), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')

    def weights(size):
        scale = size / 15
        centre = (np.arange(15)[:, None] + 0.5) * scale
        triangle = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - centre) / scale)
        return triangle / triangle.sum(1, keepdims=True)

    expected = weights(60) @ pixels.astype(np.float64) @ weights(90).T
    small = from_png(to_png(tmp_path / 'image.png', 15).png)
    assert np.abs(small - expected).max() < 1.1  # Pillow rounds to 8 bits after either direction


def test_thousand_real_images(tmp_path):
    folder = shared('nih')
    dataset = make(manual_dir=folder, tfds_dir=tmp_path, image_size=32)
    assert dataset.images.shape == (1000, 32, 32, 1)
    assert dataset.labels[:, nih_tables.INDEX['Pneumonia']].sum() == (dataset.labels.sum(1) == 0).sum() == 500
    assert [len(dataset.rows(split)) for split in store.SPLITS][2] == 153
    assert sum(len(names) for names in dataset.info['problems'].values()) == 984 - len(dataset.region_image)
    assert len(np.unique(dataset.region_image)) == 44
    assert dataset.images.std(axis=(1, 2, 3)).min() > 10


def test_real_colour_files_are_read_as_the_grey_ones():
    originals = sorted(shared('nih', 'original').glob('*.png'))
    assert {Image.open(path).mode for path in originals} == {'L', 'RGBA'}
    for path in originals:
        grey = from_png(to_png(path.parents[1] / 'images' / path.name, 64).png).astype(np.float64)
        assert np.abs(from_png(to_png(path, 64).png) - grey).mean() < 2
