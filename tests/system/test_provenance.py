"""Where a result comes from, also where the package is not installed."""

import importlib.metadata
import os
import runpy
from datetime import datetime
from pathlib import Path

import pytest

import imbalance_jax
from imbalance_jax.system import layout, provenance, records
from imbalance_jax.system.files import read_json


@pytest.fixture
def nothing_installed(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, 'version', version)


def test_a_package_that_is_not_installed_has_no_version(nothing_installed, tmp_path):
    with provenance.stage(tmp_path, 'train'):
        pass
    record = read_json(tmp_path / layout.PROVENANCE)['train']
    assert set(record['versions']) == set(provenance.PACKAGES)
    assert set(record['versions'].values()) == {None}
    assert runpy.run_path(imbalance_jax.__file__)['__version__'] == '0+local'


def test_the_version_is_that_of_the_installed_package():
    assert imbalance_jax.__version__ == importlib.metadata.version('imbalance-jax')
    assert Path(imbalance_jax.__file__).parent.name == 'imbalance_jax'


def test_a_stage_that_is_resumed_adds_up(tmp_path):
    for _ in range(2):
        with provenance.stage(tmp_path, 'train', strategy='map') as record:
            record['plan'] = 'one wave'
    kept = read_json(tmp_path / layout.PROVENANCE)['train']
    assert (kept['starts'], kept['strategy'], kept['plan'], kept['before']) == (2, 'map', 'one wave', [])


def test_a_stage_that_is_killed_had_a_part_in_what_is_there(tmp_path, monkeypatch):
    killed = provenance.stage(tmp_path, 'train')
    killed.__enter__()  # and never comes to its end
    first = read_json(tmp_path / layout.PROVENANCE)['train']
    monkeypatch.setattr(provenance, 'source', lambda: 'another')
    with provenance.stage(tmp_path, 'train'):
        now = read_json(tmp_path / layout.PROVENANCE)['train']
        assert (now['source'], now['starts'], now['before']) == (
            'another',
            2,
            [{k: first[k] for k in provenance.SOFTWARE if k in first}],
        )
    assert read_json(tmp_path / layout.PROVENANCE)['train']['before'] == now['before']
    monkeypatch.setattr(provenance, 'write_json', lambda *_: None)
    killed.gen.close()


def test_a_stage_that_is_killed_worked_until_it_wrote_its_last_file(tmp_path):
    killed = provenance.stage(tmp_path, 'explain')
    killed.__enter__()
    begun = datetime.fromisoformat(read_json(tmp_path / layout.PROVENANCE)['explain']['started']).timestamp()
    made = tmp_path / layout.EXPLAIN / 'units_0.npz'
    made.parent.mkdir()
    made.touch()
    os.utime(made, (begun + 30, begun + 30))
    for _ in range(2):  # once alone
        with provenance.stage(tmp_path, 'explain'):
            pass
    kept = read_json(tmp_path / layout.PROVENANCE)['explain']
    assert 29.9 <= kept['seconds'] < 40
    assert (kept['starts'], provenance.RUNS in kept) == (3, False)
    killed.gen.close()


def test_what_was_accepted_adds_up(tmp_path):
    for accepted in (['a'], ['b', 'c']):
        with provenance.stage(tmp_path, 'accept', accepted=accepted):
            pass
    assert read_json(tmp_path / layout.PROVENANCE)['accept']['accepted'] == ['a', 'b', 'c']


def test_a_lost_record_of_what_was_accepted_is_said_from_then_on(tmp_path):
    (tmp_path / layout.CONFIG).write_text('{}')
    with provenance.stage(tmp_path, 'accept', accepted=['a']):
        pass
    (tmp_path / layout.PROVENANCE).unlink()
    for _ in range(2):
        with provenance.stage(tmp_path, 'train'):
            pass
        assert read_json(tmp_path / layout.PROVENANCE)['train']['accepted'] == [provenance.LOST]
    assert records.accepted(tmp_path) == []


def test_an_error_in_a_plugin_is_one_line_with_its_place(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text('def fails():\n    raise KeyError("no such\\nname")\n')
    names = runpy.run_path(str(path))

    def caught():
        with pytest.raises((KeyError, RuntimeError)) as error:
            names['fails']()
        return error.value

    assert provenance.of_plugin(caught()) == ''
    provenance.use([path])
    try:
        line = provenance.of_plugin(caught())
        assert line.startswith(f'{path}, line 2: KeyError: ')
        assert '\n' not in line
        outer = RuntimeError('around it')
        outer.__cause__ = caught()
        assert provenance.of_plugin(outer) == line
    finally:
        provenance.use([])
