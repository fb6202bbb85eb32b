"""Names of images that end alike: each row and line is of the one image that it means, or says that it cannot tell."""

import pytest
from data.reader.folders import loaded, of, picture, table

from imbalance_jax.data.reader.tails import Tails

BOX = {'table': 'boxes', 'on': ('image',), 'column': 'what', 'box': ('x0', 'y0', 'x1', 'y1'), 'form': 'xyxy'}
IMAGES = [f'P{patient}/{view}.png' for patient in range(6) for view in (1, 2)]


@pytest.fixture
def views(tmp_path):
    """Six patients with a folder of two views each, every second one with a finding."""
    for name in IMAGES:
        picture(tmp_path / name)
    rows = ''.join(f'{name},{"ab"[int(name[1]) % 2]}\n' for name in IMAGES)
    table(tmp_path, f'image,finding\n{rows}')
    return tmp_path


def test_what_agrees_most_from_the_end_is_meant():
    tails = Tails([((name,), name) for name in ('a/x/1.png', 'b/x/1.png', 'c/2.png', '3')])
    assert tails.find(('a/x/1.png',)) == ['a/x/1.png']
    assert tails.find(('data\\A\\x\\1.PNG',)) == ['a/x/1.png']
    assert tails.find(('/mnt/data/b/x/1',)) == ['b/x/1.png']
    assert tails.find(('x/1.png',)) == tails.find(('1',)) == ['a/x/1.png', 'b/x/1.png']
    assert tails.find(('z/c/2.jpg',)) == tails.find(('2',)) == ['c/2.png']
    assert tails.find(('other/3',)) == ['3']  # which has no folder
    assert tails.find(('4',)) == tails.find(('',)) == []


def test_other_folders_before_a_name_are_said():
    tails = Tails([((name,), name) for name in ('CHUV/P00', 'images/x/1.png')])
    assert tails.find(('images/x/1.jpg',)) == tails.find(('x/1',)) == tails.find(('data/images/x/1',))
    assert not tails.doubts('a.csv')
    assert tails.find(('HUG/P00',)) == ['CHUV/P00']
    assert tails.find(('train/x/1.png',)) == ['images/x/1.png']
    assert tails.doubts('a.csv') == [
        'Names of a.csv that are found by how they end, and have other folders before that: 2 (HUG/P00 as CHUV/P00, '
        'train/x/1.png as images/x/1.png).'
    ]


def test_another_folder_is_another_image_where_folders_tell_images_apart():
    tails = Tails([((name,), name) for name in ('A/1.png', 'B/1.png', 'A/2.png')])
    assert tails.find(('B/2.png',)) == []
    assert tails.find(('data/A/2.png',)) == tails.find(('2.png',)) == ['A/2.png']


def test_several_names_are_one_key():
    tails = Tails([(('p1', '1.png'), 'a'), (('p2', '1.png'), 'b')])
    assert tails.find(('P2', '1')) == ['b']
    assert tails.find(('p3', '1.png')) == []


@pytest.mark.parametrize('written', ['data/{}.png', 'C:\\data\\{}.png', '{}', '{}.PNG'])
def test_boxes_lie_on_the_image_that_is_meant(views, written):
    names = [
        written.format(name.removesuffix('.png').replace('/', '\\' if '\\' in written else '/')) for name in IMAGES
    ]
    rows = ''.join(f'{name},a,{n},2,{n + 4},9\n' for n, name in enumerate(names))
    table(views, f'image,what,x0,y0,x1,y1\n{rows}', 'boxes.csv')
    found = loaded(
        views,
        tables=('t.csv', {'file': 'boxes.csv', 'name': 'boxes'}),
        images='{image}',
        patient={'column': 'image', 'pattern': '(P[0-9])'},
        regions={**BOX, 'frame': (20, 20)},
    )
    assert len(found.region_image) == len(IMAGES)
    for image, box in zip(found.image_id[found.region_image], found.region_box, strict=True):
        assert box[0] == pytest.approx(IMAGES.index(str(image)) * 16 / 20, abs=1e-4)


def test_a_bare_name_of_several_images_is_refused(views):
    table(views, 'image,what,x0,y0,x1,y1\n1.png,a,0,0,9,9\n', 'boxes.csv')
    tables = ('t.csv', {'file': 'boxes.csv', 'name': 'boxes'})
    with pytest.raises(ValueError, match=r"boxes.csv, line 2: '1.png' \(image\) is as much one as another of 6 images"):
        loaded(views, tables=tables, images='{image}', regions=BOX)


def test_lists_of_splits_mean_one_image_each(views):
    lines = {'train': IMAGES[:6], 'validation': IMAGES[6:8], 'test': IMAGES[8:]}
    for split, names in lines.items():
        (views / f'{split}.txt').write_text('\n'.join(f'data/{name}' for name in names))
    lists = {split: f'{split}.txt' for split in lines}
    found = loaded(views, tables='t.csv', images='{image}', split={'lists': lists})
    for number, names in enumerate(lines.values()):
        assert [int(found.split[of(found, name)]) for name in names] == [number] * len(names)
    (views / 'test.txt').write_text('1.png\n')
    with pytest.raises(ValueError, match=r"'1.png' in the list of the test split .* 'P0/1.png' as 'P1/1.png'"):
        loaded(views, tables='t.csv', images='{image}', split={'lists': lists})


def test_labels_of_another_table_are_of_one_image(views):
    table(views, 'image,name\n' + ''.join(f'data/{name},{"xy"[n % 2]}\n' for n, name in enumerate(IMAGES)), 'l.csv')
    labels = {'table': 'l', 'on': ('image',), 'column': 'name'}
    found = loaded(views, tables=('t.csv', {'file': 'l.csv', 'name': 'l'}), images='{image}', labels=labels)
    assert found.labels.sum(1).tolist() == [1] * len(IMAGES)


def test_cells_that_say_no_image_are_of_none(views):
    table(views, 'image,what,x0,y0,x1,y1\n,a,0,0,9,9\nP0/1.png,a,0,0,9,9\n', 'boxes.csv')
    found = loaded(views, tables=('t.csv', {'file': 'boxes.csv', 'name': 'boxes'}), images='{image}', regions=BOX)
    assert found.image_id[found.region_image].tolist() == ['P0/1.png']
