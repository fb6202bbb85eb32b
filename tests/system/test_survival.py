"""What may happen to a machine, without training: a full disk, a read-only one, a killed preparation, clocks."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from imbalance_jax.data import dataset, sources
from imbalance_jax.training import checkpoint

ROOT = Path(__file__).parents[2]
OPTIONS = {'num_patients': 30, 'image_size': 16, 'imbalance_ratio': 1.0}

DISK = """
import os, shutil, subprocess, sys
import numpy as np
from imbalance_jax.data import dataset as store
from imbalance_jax.data.sources import phantom
from pathlib import Path
from imbalance_jax.system import files, locks, manifest, records, workdir
from imbalance_jax.training import checkpoint

def mount(options):
    subprocess.run(['mount', '-o', options, '-t', 'tmpfs', 'tmpfs', 'disk'], check=True)

def refused(what, number):
    try:
        what()
    except OSError as error:
        assert error.errno == number, error
        assert 'disk/' in str(error), error
        print(error)
    else:
        raise AssertionError('no error')

tree = {'a': np.arange(40_000.0), 'b': np.ones(3)}
dataset = phantom.make(num_patients=30, image_size=16, imbalance_ratio=1.0)
mount('size=2m')
checkpoint.save('disk/checkpoints', 1, tree)
files.write_text('disk/file', 'old')
run, noise = Path('disk/run'), np.random.default_rng(0).normal(size=100_000)
line = {'epoch': 1, 'arm': 'bce', 'seed': 0, 'alive': True, 'validation_auroc': None}
workdir.write_json(run / 'config.json', {})
workdir.append_metrics(run, [line])
workdir.write_arrays(run / 'explain' / 'maps.npz', a=noise[:9])
with open('disk/filler', 'wb') as filler:
    filler.write(bytes(shutil.disk_usage('disk').free - 20_000))
refused(lambda: checkpoint.save('disk/checkpoints', 2, tree), 28)
refused(lambda: files.write_text('disk/file', 'new' * 500_000), 28)
refused(lambda: store.save(dataset, 'disk/set/one'), 28)
refused(lambda: workdir.write_arrays(run / 'explain' / 'maps.npz', a=noise), 28)
refused(lambda: workdir.append_metrics(run, [line] * 10_000), 28)
assert manifest.faults(run) == [] and len(workdir.read_arrays(run / 'explain' / 'maps.npz')['a']) == 9
assert os.listdir('disk/set') == [] and open('disk/file').read() == 'old'
assert sorted(os.listdir('disk')) == ['checkpoints', 'file', 'filler', 'run', 'set']
assert checkpoint.restore('disk/checkpoints', tree)[0] == 1
os.unlink('disk/filler')
workdir.rewind_metrics(run, 1, set())
assert next(records.metrics(run)) == line and manifest.faults(run) == []
checkpoint.save('disk/checkpoints', 2, tree)
step, found = checkpoint.restore('disk/checkpoints', tree)
assert step == 2 and np.array_equal(found['a'], tree['a'])
mount('remount,ro')
refused(lambda: locks.acquire('disk/lock', 'disk').__enter__(), 30)
refused(lambda: files.write_text('disk/file', 'new'), 30)
"""


def can_mount() -> bool:
    command = ['unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']
    return bool(shutil.which('unshare')) and subprocess.run(command, capture_output=True).returncode == 0


def test_a_full_disk_and_a_read_only_one_are_said_and_tear_nothing(tmp_path):
    if not can_mount():
        pytest.skip('needs the right to mount a small disk')
    (tmp_path / 'disk').mkdir()
    variables = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = ['unshare', '-m', sys.executable, '-c', DISK]
    result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'No space left for checkpoint 2' in result.stdout
    assert 'Traceback' not in result.stderr


PREPARE = """
import json, sys
from imbalance_jax.data import sources
sources.load('phantom', sys.argv[1], json.loads(sys.argv[2]))
"""


def prepare(folder) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, '-c', PREPARE, str(folder), json.dumps(OPTIONS)], cwd=ROOT)


def in_memory(one: dataset.Dataset) -> dataset.Dataset:
    """A copy that its files may be damaged beneath."""
    return dataclasses.replace(one, **{name: getattr(one, name).copy() for name in dataset.MAPPED})


def assert_same(one: dataset.Dataset, other: dataset.Dataset) -> None:
    for name in dataset.ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.info == other.info


def test_preparation_killed_anywhere_leaves_nothing_behind(tmp_path):
    whole = sources.load('phantom', tmp_path / 'whole', OPTIONS)
    key, rng = sources.key('phantom', tmp_path, OPTIONS), random.Random(0)
    for _ in range(3):
        with prepare(tmp_path / 'killed') as process:
            time.sleep(rng.uniform(0.8, 1.6))
            process.send_signal(signal.SIGKILL)
    (left := tmp_path / 'killed' / 'phantom' / f'.{key}.x').mkdir(parents=True)
    (left / 'images.npy').write_bytes(b'torn')  # at the latest here there is something to be removed
    with prepare(tmp_path / 'killed') as one, prepare(tmp_path / 'killed') as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert_same(sources.load('phantom', tmp_path / 'killed', OPTIONS), whole)
    names = {path.name for path in (tmp_path / 'killed' / 'phantom').iterdir()}
    assert names - {f'.{key}.x'} == {key, f'{key}.lock'}
    assert not left.exists() or (tmp_path / 'killed' / 'phantom' / key).exists()


@pytest.mark.parametrize('damage', ['flipped bit', 'truncated', 'missing', 'information'])
def test_a_damaged_prepared_data_set_is_named_and_made_again(tmp_path, damage, caplog):
    whole = in_memory(sources.load('phantom', tmp_path, OPTIONS))
    folder = tmp_path / 'phantom' / sources.key('phantom', tmp_path, OPTIONS)
    path = folder / ('info.json' if damage == 'information' else 'images.npy')
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == 'missing':
        path.unlink()
    else:
        path.write_bytes(content if damage == 'flipped bit' else content[: len(content) // 2])
    assert_same(sources.load('phantom', tmp_path, OPTIONS), whole)
    assert str(path) in caplog.text
    assert 'made again' in caplog.text


HALF = """
import sys, time
from imbalance_jax.data import dataset
from imbalance_jax.system import signals
signals.leave_when_asked(saves=False)
with dataset.unfinished(sys.argv[1]) as folder:
    (folder / 'images.npy').write_bytes(b'torn')
    print('begun', flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_what_is_half_made_when_asked_to_stop_is_removed(tmp_path, number):
    command = [sys.executable, '-c', HALF, str(tmp_path / 'set')]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'begun\n'
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        assert process.wait(timeout=30) == 75
        said = process.stderr.read()
    assert not list(tmp_path.iterdir())
    assert said == ('Stopping; Ctrl-C once more leaves at once.\n' if number == signal.SIGINT else '')


def test_the_newest_checkpoint_is_that_of_most_steps_whatever_the_clock_said(tmp_path):
    for step, hour in ((1, 9e8), (2, 1e9), (3, 1e3)):
        checkpoint.save(tmp_path, step, {'step': np.array(step)})
        for path in (tmp_path / str(step), *(tmp_path / str(step)).rglob('*')):
            os.utime(path, (hour, hour))
    assert int(checkpoint.restore(tmp_path, {'step': np.array(0)})[1]['step']) == 3


def test_where_only_one_step_will_do_no_other_takes_its_place(tmp_path, capsys):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, {'step': np.array(step)})
    assert checkpoint.restore(tmp_path, {'step': np.array(0)}, only=3) is None
    shutil.rmtree(tmp_path / '2')
    shutil.copytree(tmp_path / '1', tmp_path / '2')
    with pytest.raises(ValueError, match=r'2 is damaged .*: run train again, it makes it anew'):
        checkpoint.restore(tmp_path, {'step': np.array(0)}, only=2)
    assert 'takes its place' not in capsys.readouterr().err
    os.mkfifo(tmp_path / '1' / 'pipe')
    with pytest.raises(ValueError, match='pipe is a pipe, socket or device, not a file'):
        checkpoint.restore(tmp_path, {'step': np.array(0)})


def test_a_step_in_the_place_of_another_is_named(tmp_path, capsys):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, {'step': np.array(step)})
    shutil.rmtree(tmp_path / '2')
    shutil.copytree(tmp_path / '1', tmp_path / '2')
    assert checkpoint.restore(tmp_path, {'step': np.array(0)})[0] == 1
    assert '2 is damaged (it was saved as step 1); step 1, saved before' in capsys.readouterr().err


DAMAGED = """
import sys
import numpy as np
from pathlib import Path
from imbalance_jax.training import checkpoint
tree = {f'a{number}': np.random.default_rng(number).normal(size=30_000) for number in range(60)}
for step in (1, 2):
    checkpoint.save(sys.argv[1], step, tree)
for path in Path(sys.argv[1], '2').rglob('*'):
    if path.is_file() and path.stat().st_size > 5000:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
for _ in range(3):
    assert checkpoint.restore(sys.argv[1], tree)[0] == 1
"""


def test_a_cut_checkpoint_of_many_arrays_is_one_line(tmp_path):
    """Orbax's threads have a traceback for each array that they answer with too late: some hundred."""
    command = [sys.executable, '-c', DAMAGED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    [line] = done.stderr.splitlines()
    assert line.startswith(f'{tmp_path / "2"} is damaged (')
    assert line.endswith('); step 1, saved before, takes its place.')


def test_a_step_is_saved_while_work_goes_on_and_its_error_is_not_lost(tmp_path, monkeypatch):
    begun, go_on, saved = threading.Event(), threading.Event(), []

    def slow(folder, step, tree):
        begun.set()
        assert go_on.wait(30)
        if step == 2:
            raise OSError('the disk is gone')
        saved.append(step)

    monkeypatch.setattr(checkpoint, 'save', slow)
    with checkpoint.Saver(tmp_path) as saver:
        saver.save(1, {})
        assert begun.wait(30)
        assert saved == []  # and yet we are here
        go_on.set()
        saver.wait()
        assert saved == [1]
    with pytest.raises(OSError, match='the disk is gone'), checkpoint.Saver(tmp_path) as saver:
        saver.save(2, {})
    with checkpoint.Saver(tmp_path) as saver:
        saver.save(2, {})
        with pytest.raises(OSError, match='the disk is gone'):
            saver.save(3, {})
        saver.save(4, {})
    assert saved == [1, 4]

    def ended_otherwise():
        with checkpoint.Saver(tmp_path) as saver:
            saver.save(2, {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # what ended the work is said
        ended_otherwise()
