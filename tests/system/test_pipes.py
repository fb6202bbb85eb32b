"""A pipe where a file is expected: nobody fills it, so whoever opened it would wait for ever. It is refused at once."""

import os
import signal

import pytest

from imbalance_jax.config import file as config_file
from imbalance_jax.data.reader import images
from imbalance_jax.data.reader.picture import Unreadable
from imbalance_jax.data.reader.text_files import content
from imbalance_jax.data.sources import content as digests
from imbalance_jax.data.sources import text
from imbalance_jax.sweep import plan
from imbalance_jax.system import files, layout, locks, records, workdir
from imbalance_jax.training import adopt_members, adopt_tables
from imbalance_jax.weights import reading


def acquire(path):
    with locks.acquire(path, 'it'):
        pass


READERS = {
    'plan.jsonl': plan.read,
    'it.lock': acquire,
    'list.txt': content,
    'table.csv': content,
    'test_list.txt': lambda path: text.single_file(path.parent, path.name, ''),
    'list of a set.txt': lambda path: digests.digest({'list': path}),
    'members.csv': adopt_members.from_table,
    'predictions.csv': lambda path: adopt_tables.read(path, None),
    'weights.pth': reading.read,
    'study.py': config_file._execute,
    'image.png': images.decode,
    'any.json': files.read_json,
    'arrays.npz': workdir.read_arrays,
    'results/performance.parquet': lambda path: workdir.read_table(path.parents[1], path.stem),
    layout.CONFIG: lambda path: records.config(path.parent),
    layout.METRICS: lambda path: list(records.metrics(path.parent)),
}


@pytest.fixture(autouse=True)
def at_once():
    """Ends what waits."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail('it waits'))
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize('name', READERS)
def test_a_pipe_is_no_file(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with pytest.raises((ValueError, Unreadable), match='pipe') as caught:
        READERS[name](path)
    assert '\n' not in str(caught.value)


def test_a_lock_that_is_a_pipe_has_no_owner_and_pipes_are_no_data(tmp_path):
    os.mkfifo(tmp_path / 'x.lock')
    assert locks.owner(tmp_path / 'x.lock') is None
    (tmp_path / 'a.csv').write_text('a')
    assert set(digests.below(tmp_path)) == {'a.csv'}
