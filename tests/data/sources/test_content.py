"""The key of prepared data is the content that they come from."""

import os
import shutil
import stat
import sys

import numpy as np
import pytest

from imbalance_jax.data import dataset as store
from imbalance_jax.data import sources
from imbalance_jax.data.sources import content

MODULE = '''
"""A loader."""
import csv
from pathlib import Path

import numpy as np

from imbalance_jax.data.dataset import Dataset
from helping import shade


def make(*, manual_dir: Path, image_size: int = 4, bright: float = 1.0, again=False, allocate=None) -> Dataset:
    # one row per image
    names = [row[0] for row in csv.reader(open(Path(manual_dir) / 'table.csv'))]
    images = allocate('images', (len(names), image_size, image_size, 1), np.uint8)
    for row, name in enumerate(names):
        images[row] = shade(int((Path(manual_dir) / name).read_text())) + np.arange(image_size)[:, None, None]
    labels = np.uint8([[row % 2] for row in range(len(names))])
    none = np.zeros(0, np.int32)
    about = {'name': 'mine', 'classes': ['a'], 'concepts': ['a'], 'frame': [4, 4]}
    return Dataset(
        images=images, labels=labels, label_mask=np.ones_like(labels), split=np.uint8(np.arange(len(names)) % 3),
        patient=np.arange(len(names)), image_id=np.array(names), region_image=none, region_concept=none,
        region_box=np.zeros((0, 4), np.float32), region_mask=np.zeros((0, image_size, 1), np.uint8),
        info={**about, 'options': {}, 'problems': {}, 'source': 'a test', 'licence': 'none'},
    )
'''
HELPING = 'def shade(value):\n    """Of a picture."""\n    return value\n'


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's own loader in a folder of its own, and three images and a table for it: `load(**options)`."""
    code, data = tmp_path / 'code', tmp_path / 'files'
    for folder in (code, data):
        folder.mkdir()
    (code / 'mine.py').write_text(MODULE)
    (code / 'helping.py').write_text(HELPING)
    (data / 'table.csv').write_text('0.txt\n1.txt\n2.txt\n')
    for name in range(3):
        (data / f'{name}.txt').write_text(f'{10 + 20 * name}')
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)  # which would hide an edit within one second
    monkeypatch.syspath_prepend(str(code))
    monkeypatch.chdir(tmp_path)

    def load(again=False, **options):
        for name in ('mine', 'helping'):
            sys.modules.pop(name, None)
        import mine

        monkeypatch.setitem(sources.DATASETS, 'mine', mine.make)
        return sources.load('mine', tmp_path / 'data', {'manual_dir': data, **options}, again=again)

    yield load
    for name in ('mine', 'helping'):
        sys.modules.pop(name, None)


def folders(tmp_path) -> set[str]:
    return {path.name for path in (tmp_path / 'data' / 'mine').iterdir() if path.is_dir()}


def test_touched_moved_and_copied_files_and_other_spellings_make_nothing_new(mine, tmp_path):
    first, key = mine(), folders(tmp_path)
    os.utime(tmp_path / 'files' / '1.txt', (1, 1))
    mine(manual_dir='files')
    mine(manual_dir=str(tmp_path / 'code' / '..' / 'files'), bright=1.0, image_size=4)
    shutil.copytree(tmp_path / 'files', tmp_path / 'copied')
    mine(manual_dir=tmp_path / 'copied')
    (tmp_path / 'link').symlink_to('copied')
    mine(manual_dir=tmp_path / 'link')
    shutil.move(tmp_path / 'copied', tmp_path / 'moved')
    last = mine(manual_dir=tmp_path / 'moved')
    assert folders(tmp_path) == key
    assert last.info['fingerprint'] == first.info['fingerprint']


def test_whatever_data_come_from_makes_new_ones_and_old_ones_stay(mine, tmp_path, capsys):
    mine()
    assert capsys.readouterr().out == ''
    table, helping = tmp_path / 'files' / 'table.csv', tmp_path / 'code' / 'helping.py'
    image, times = tmp_path / 'files' / '1.txt', os.stat(tmp_path / 'files' / '1.txt')

    def same_size_and_time():
        image.write_text('31')
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))

    for number, change in enumerate(
        (
            lambda: table.write_text('0.txt\n2.txt\n1.txt\n'),
            same_size_and_time,
            lambda: helping.write_text(HELPING.replace('return value', 'return value + 1')),
        )
    ):
        before = folders(tmp_path)
        change()
        mine()
        assert before < folders(tmp_path)
        assert f'{number + 1} prepared before, of other options, files or code, kept' in capsys.readouterr().out
    assert mine(bright=2.0)
    assert mine(image_size=8).images.shape == (3, 8, 8, 1)
    assert len(folders(tmp_path)) == 6


def test_comments_and_documentation_are_no_code(mine, tmp_path):
    mine()
    key = folders(tmp_path)
    for file, old, new in (
        ('mine.py', '# one row per image', '# a row per image\n\n    """A text."""'),
        ('mine.py', '"""A loader."""', '"""A loader,\n\nof texts."""'),
        ('helping.py', 'Of a picture.', 'Grey.'),
    ):
        path = tmp_path / 'code' / file
        path.write_text(path.read_text().replace(old, new))
        mine()
    assert folders(tmp_path) == key
    assert "x = '# no comment'" in content.statements("x = '# no comment'  # a comment\n")


def test_equal_data_of_another_loader_have_the_same_fingerprint(mine, tmp_path):
    """So that a working directory goes on with them."""
    first = mine()
    helping = tmp_path / 'code' / 'helping.py'
    helping.write_text(HELPING.replace('return value', 'return value + 0'))
    assert mine().info['fingerprint'] == first.info['fingerprint']
    assert len(folders(tmp_path)) == 2
    helping.write_text(HELPING.replace('return value', 'return value + 1'))
    assert mine().info['fingerprint'] != first.info['fingerprint']


def test_again_makes_it_again(mine, tmp_path):
    mine()
    [path] = (tmp_path / 'data' / 'mine').glob('*/info.json')
    before = path.stat().st_mtime_ns
    mine()
    assert path.stat().st_mtime_ns == before
    mine(again=True)
    assert path.stat().st_mtime_ns > before
    assert len(folders(tmp_path)) == 1


def test_folders_are_readable_as_the_umask_says(mine, tmp_path):
    before = os.umask(0o022)
    try:
        mine()
    finally:
        os.umask(before)
    [folder] = (path for path in (tmp_path / 'data' / 'mine').iterdir() if path.is_dir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_a_path_that_is_not_there_is_named(mine, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'manual_dir: there is no .*nowhere'):
        mine(manual_dir=tmp_path / 'nowhere')


def test_what_was_read_is_not_read_again(tmp_path, monkeypatch):
    files = {}
    for name in range(5):
        (tmp_path / f'{name}.png').write_bytes(bytes([name]) * 100)
        files[str(name)] = tmp_path / f'{name}.png'
    cache, read = tmp_path / 'cache.npy', []
    usual = content._read_group

    def watched(group):
        read.extend(path for _, path in group)
        return usual(group)

    monkeypatch.setattr(content, '_read_group', watched)
    first = content.digest(files, cache)
    assert len(read) == 5
    assert not cache.exists()  # files that changed just now may change again within one tick of their clock
    monkeypatch.setattr(content, 'SETTLED', -1.0)
    assert content.digest(files, cache) == content.digest(files, cache) == first
    assert len(read) == 10
    files['2'].write_bytes(b'x' * 100)
    assert content.digest(files, cache) != first
    assert read[10:] == [files['2']]
    cache.write_bytes(b'damaged')
    assert content.digest(files, cache) != first
    assert len(read) == 16


def test_names_and_contents_belong_together(tmp_path):
    for name, text in (('a', 'x'), ('b', 'y'), ('c', 'xy')):
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in 'abc')
    digests = [content.digest(files) for files in ({'a': a, 'b': b}, {'a': b, 'b': a}, {'a': a}, {'ab': c}, {})]
    assert len(set(digests)) == 5
    assert content.digest({'b': b, 'a': a}) == content.digest([b, a]) == digests[0]


def test_arrays_that_were_allocated_are_not_written_twice(tmp_path):
    with store.unfinished(tmp_path / 'set') as partial:
        images = store.allocate(partial, 'images', (5, 4, 4, 1))
        images[:] = np.arange(5)[:, None, None, None]
        inode = (partial / 'images.npy').stat().st_ino
        store._write(images, partial / 'images.npy')
        assert (partial / 'images.npy').stat().st_ino == inode
        for part in (images[:3], images[::-1], images[[4, 0]]):
            expected = np.array(part)
            store._write(part, partial / 'images.npy')
            np.testing.assert_array_equal(np.load(partial / 'images.npy'), expected)
        with pytest.raises(ValueError, match=r"'pictures' is no array of a data set. Known: images"):
            store.allocate(partial, 'pictures', (1,))
        assert store.allocate(partial, 'region_mask', (0, 4, 1)).shape == (0, 4, 1)
    assert not partial.exists()


def test_checksums_notice_a_byte_in_any_block(tmp_path, monkeypatch):
    monkeypatch.setattr(store, 'BLOCK', 100)
    path = tmp_path / 'file'
    path.write_bytes(bytes(1050))
    whole = store._crc32(path)
    assert len(whole) == 11
    for place in (0, 99, 100, 1049):
        changed = bytearray(1050)
        changed[place] = 1
        path.write_bytes(changed)
        assert [one != other for one, other in zip(store._crc32(path), whole, strict=True)].index(True) == place // 100


def test_code_is_what_a_loader_imports_of_this_package_and_beside_it(tmp_path, monkeypatch):
    from imbalance_jax.data.sources import nih_chest_xray14, phantom

    found: list[str] = []
    usual = content._own

    def watched(name, root, maker):
        own = usual(name, root, maker)
        found.append(own[0] if own else '')
        return own

    monkeypatch.setattr(content, '_own', watched)
    content.code(phantom.make)
    parts = {'phantom_films', 'phantom_anatomy', 'phantom_findings', 'phantom_people'}
    assert parts <= {name.rpartition('.')[2] for name in found}
    assert not any('nih' in name for name in found)
    found.clear()
    content.code(nih_chest_xray14.make)  # its builder is imported within a function
    assert 'imbalance_jax.data.sources.tfds.nih_chest_xray14' in found
    assert not any('phantom' in name for name in found)
    package = tmp_path / 'loaders_of_mine'
    package.mkdir()
    for name, text in (
        ('__init__', 'from .reading import make'),
        ('reading', 'import numpy\nfrom . import shades\n\ndef make(): return shades.shade'),
        ('shades', 'shade = 1'),
    ):
        (package / f'{name}.py').write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    import loaders_of_mine

    digests = {content.code(loaders_of_mine.make)}
    (package / 'shades.py').write_text('shade = 1  # grey')
    digests.add(content.code(loaders_of_mine.make))
    assert len(digests) == 1
    (package / 'shades.py').write_text('shade = 2')
    digests.add(content.code(loaders_of_mine.make))
    assert len(digests) == 2


def test_code_of_a_page_that_is_no_module_is_unknown(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text("It's a page.\n\n| a | the image's file |\n")
    names: dict = {}
    exec(compile('\n\ndef make():\n    return 1\n', str(page), 'exec'), names)
    assert content.code(names['make']) == ''
