"""What is written is what is read, or an error that says what is wrong: checkpoints, data sets, working directories."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from imbalance_jax.config.file import completed
from imbalance_jax.data import dataset as store
from imbalance_jax.results import schema
from imbalance_jax.system import workdir
from imbalance_jax.training import checkpoint


def tree(value: float) -> dict:
    kernel = np.random.default_rng(int(value)).normal(size=(200, 200)).astype(np.float32)
    return {'weights': {'kernel': kernel}, 'alive': np.array([True, False])}


@pytest.fixture
def saved(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path / 'checkpoints', step, tree(step))
    return tmp_path / 'checkpoints'


def largest_file(folder):
    return max((path for path in folder.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size)


def test_newest_checkpoint_comes_back_and_two_are_kept(saved):
    step, result = checkpoint.restore(saved, tree(0))
    assert step == 3
    jax.tree.map(np.testing.assert_array_equal, result, tree(3))
    assert sorted(path.name for path in saved.iterdir() if path.is_dir()) == ['2', '3']


@pytest.mark.parametrize('damage', ['truncated', 'missing', 'empty folder', 'flipped bit'])
def test_damaged_checkpoint_is_named_and_the_one_before_it_used(saved, damage, capfd):
    newest = saved / '3'
    if damage == 'truncated':
        path = largest_file(newest / 'state')
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == 'missing':
        largest_file(newest / 'state' / 'ocdbt.process_0').unlink()
        for path in (newest / 'state' / 'd').iterdir():
            path.unlink()
    elif damage == 'empty folder':
        (saved / '4').mkdir()
    else:
        path = largest_file(newest / 'state')
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    step, result = checkpoint.restore(saved, tree(0))
    expected = 3 if damage == 'empty folder' else 2
    assert step == expected
    jax.tree.map(np.testing.assert_array_equal, result, tree(expected))
    checkpoint.restore(saved, tree(0))
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1, said  # the file, the fault and what was done, once
    [line], named = said, saved / '4' if damage == 'empty folder' else newest
    assert line.startswith(f'{named} is damaged (')
    assert line.endswith(f'); step {expected}, saved before, takes its place.')
    assert len(line) < len(str(named)) + 160
    assert damage != 'flipped bit' or 'differ from their checksum' in line
    checkpoint.save(saved, 3, tree(30))
    jax.tree.map(np.testing.assert_array_equal, checkpoint.restore(saved, tree(0))[1], tree(30))


def test_no_sound_checkpoint_is_an_error_and_none_at_all_is_not(saved, tmp_path):
    for path in saved.rglob('d/*'):
        path.write_bytes(b'')
    with pytest.raises(ValueError, match=r'checkpoints/3 is damaged .*/2 is damaged .*no sound checkpoint') as error:
        checkpoint.restore(saved, tree(0))
    assert '\n' not in str(error.value)
    assert checkpoint.restore(tmp_path / 'nothing', tree(0)) is None


def test_a_checkpoint_of_arrays_of_other_shapes_is_of_another_run(saved):
    other = jax.tree.map(lambda leaf: np.zeros((*np.shape(leaf), 3), np.asarray(leaf).dtype), tree(0))
    with pytest.raises(ValueError, match=r'it is of another run: .* and here \[.*3\]') as error:
        checkpoint.restore(saved, other)
    assert '\n' not in str(error.value)


def dataset() -> store.Dataset:
    numbers = {'images': (4, 8, 8, 1), 'labels': (4, 2), 'label_mask': (4, 2), 'split': 4, 'region_mask': (0, 8, 1)}
    arrays = {name: np.ones(shape, np.uint8) for name, shape in numbers.items()}
    regions = {name: np.zeros(1, np.int32) for name in ('region_image', 'region_concept')}
    boxes = np.ones((1, 4), np.float32)
    ids = {'patient': np.arange(4), 'image_id': np.array(['a', 'b', 'c', 'd']), 'region_box': boxes}
    return store.Dataset(**arrays, **regions, **ids, info={'classes': ['x', 'y'], 'concepts': ['x', 'y']})


def test_data_set_comes_back_whole(tmp_path):
    store.save(dataset(), tmp_path / 'set')
    result = store.load(tmp_path / 'set')
    for name in store.ARRAYS:
        np.testing.assert_array_equal(getattr(result, name), getattr(dataset(), name))
    assert result.classes == ('x', 'y')
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_groups_come_back_and_a_folder_without_them_is_whole(tmp_path):
    with_groups = dataclasses.replace(dataset(), groups=np.array([[0], [1], [-1], [1]], np.int8))
    store.save(with_groups, tmp_path / 'set')
    np.testing.assert_array_equal(store.load(tmp_path / 'set').groups, with_groups.groups)
    (tmp_path / 'set' / 'groups.npy').unlink()
    with pytest.raises(ValueError, match='groups'):
        store.load(tmp_path / 'set')
    store.save(dataset(), tmp_path / 'older')
    assert not (tmp_path / 'older' / 'groups.npy').exists()
    assert store.load(tmp_path / 'older').groups is None


def test_what_is_doubted_changes_no_fingerprint():
    """A version that doubts more goes on in working directories that were begun before it."""
    info = {'name': 'x', 'classes': ['a'], 'notes': ['Nobody is known.'], 'problems': {}}
    before = store.fingerprint(info, {'images': [1]})
    assert store.fingerprint({**info, 'doubts': ['Regions that labels deny: 1 (a).']}, {'images': [1]}) == before
    assert store.fingerprint({**info, 'notes': []}, {'images': [1]}) != before


def test_damaged_data_set_is_refused_by_name(tmp_path):
    store.save(dataset(), tmp_path / 'set')
    path = tmp_path / 'set' / 'labels.npy'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match='labels'):
        store.load(tmp_path / 'set')


def test_key_depends_on_every_option_and_not_on_their_order():
    assert store.key({'a': 1, 'b': 2}) == store.key({'b': 2, 'a': 1})
    assert store.key({'a': 1, 'b': 2}) != store.key({'a': 1, 'b': 3})


def test_another_config_is_refused_with_the_difference(tmp_path):
    config = {'train': {'epochs': 3, 'rate': 0.1}, 'arms': {'bce': {}}, 'seeds': (0, 1)}
    workdir.claim(tmp_path, config)
    workdir.claim(tmp_path, config)
    with pytest.raises(ValueError, match=r'train.epochs: 3 -> 4'):
        workdir.claim(tmp_path, {**config, 'train': {'epochs': 4, 'rate': 0.1}})
    with pytest.raises(ValueError, match='arms'):
        workdir.claim(tmp_path, {**config, 'arms': {'bce': {'scale': 2}}})
    assert json.loads((tmp_path / 'config.json').read_text())['train']['epochs'] == 3


def test_a_config_of_an_older_version_is_completed_before_it_is_compared(tmp_path):
    config, base = {'train': {'epochs': 3}, 'seeds': (0, 1)}, {'train': {'epochs': 1, 'remat': False}, 'question': ''}
    workdir.claim(tmp_path, config)
    now = {'train': {'epochs': 3, 'remat': False}, 'seeds': (0, 1), 'question': ''}
    with pytest.raises(ValueError, match=r'train\.remat'):
        workdir.claim(tmp_path, now)
    workdir.claim(tmp_path, now, complete=lambda kept: completed(kept, base))
    changed = {**now, 'train': {'epochs': 3, 'remat': True}}
    with pytest.raises(ValueError, match=r'train\.remat: False -> True'):
        workdir.claim(tmp_path, changed, complete=lambda kept: completed(kept, base))


def test_metrics_are_rewound_to_whole_lines_of_finished_epochs(tmp_path):
    rows = [{'epoch': epoch, 'arm': arm, 'seed': 0} for epoch in (1, 2, 3) for arm in ('bce', 'focal')]
    workdir.append_metrics(tmp_path, rows)
    with open(tmp_path / 'metrics.jsonl', 'a') as file:
        file.write('{"epoch": 1, "tor')
    workdir.rewind_metrics(tmp_path, 1, {('focal', 0)})
    lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    assert [json.loads(line) for line in lines] == [rows[0], rows[1], rows[2], rows[4]]


def test_interrupted_write_leaves_the_old_file(tmp_path):
    workdir.write_text(tmp_path / 'file', 'old')

    def fail(file):
        file.write(b'new')
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        workdir.atomic(tmp_path / 'file', fail)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [('file', 'old')]


def test_table_says_the_same_in_both_formats(tmp_path):
    rows = [{'arm': 'bce', 'seed': 0, 'metric': 'auroc', 'value': 1 / 3, 'n': 7}, {'arm': 'bce', 'value': np.nan}]
    schema.write_table(tmp_path, 'table', rows)
    import pandas as pd

    text, binary = pd.read_csv(tmp_path / 'results' / 'table.csv'), workdir.read_table(tmp_path, 'table')
    assert list(text.columns) == list(binary.columns) == list(schema.COLUMNS)
    assert text['value'][0] == binary['value'][0] == 1 / 3


def test_a_part_is_made_once_and_again_when_its_source_changes(tmp_path):
    source, calls = tmp_path / 'source', []

    def make():
        calls.append(1)
        return {'count': np.array(len(calls))}

    source.write_text('a')
    assert [int(workdir.cached_arrays(tmp_path / 'part.npz', source, make)['count']) for _ in range(2)] == [1, 1]
    source.write_text('b')
    assert int(workdir.cached_arrays(tmp_path / 'part.npz', source, make)['count']) == 2
    (tmp_path / 'part.npz').write_bytes(b'PK')
    with pytest.raises(ValueError, match=r'part\.npz is damaged'):
        workdir.read_arrays(tmp_path / 'part.npz')
    assert int(workdir.cached_arrays(tmp_path / 'part.npz', source, make)['count']) == 3


def test_a_working_directory_has_one_owner_at_a_time(tmp_path):
    run = tmp_path / 'run'
    with workdir.lock(run), pytest.raises(ValueError, match='Another process'), workdir.lock(run):
        pass
    with workdir.lock(run):
        pass
