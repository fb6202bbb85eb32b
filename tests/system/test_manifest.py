"""What a working directory vouches for: changes are seen, kills between any two writes are not, and all is said."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from imbalance_jax.system import files, layout, manifest, provenance, records, seals, workdir

CONFIG = {'arms': {}, 'seeds': [0], 'data': {}, 'model': {'name': 'cnn'}, 'train': {'epochs': 2}, 'reference': 'bce'}
MEMBERS = [{'member': i, 'arm': 'bce', 'loss': 'bce', 'seed': i} for i in range(2)]
LINE = {'epoch': 1, 'arm': 'bce', 'seed': 0, 'alive': True, 'validation_auroc': 0.5}


def make(folder, value: int = 0):
    """A working directory, or the next state of it."""
    workdir.write_json(folder / layout.CONFIG, {**CONFIG, 'arms': {'bce': {'gamma': value}}})
    workdir.write_json(folder / layout.MEMBERS, MEMBERS)
    workdir.write_arrays(layout.explained(folder, 'maps'), a=np.full(3, value))
    workdir.write_frame(folder, 'performance', pd.DataFrame({'value': [1.0, value]}))
    workdir.append_metrics(folder, [{**LINE, 'epoch': value}])
    return folder


READ = {
    layout.CONFIG: records.config,
    layout.MEMBERS: records.members,
    layout.METRICS: lambda folder: list(records.metrics(folder)),
    'explain/maps.npz': lambda folder: workdir.read_arrays(layout.explained(folder, 'maps')),
    'results/performance.parquet': lambda folder: workdir.read_table(folder, 'performance'),
}
WRITTEN = {*READ, 'results/performance.csv'}


@pytest.mark.parametrize('name', ['run', 'results', 'explain'])
def test_what_is_written_is_vouched_for_whatever_the_folder_is_called(tmp_path, name):
    folder = make(tmp_path / name)
    assert set(manifest.read(folder)) == WRITTEN
    assert manifest.faults(folder) == []
    for read in READ.values():
        read(folder)
    assert not (tmp_path / layout.MANIFEST).exists()


@pytest.mark.parametrize('name', READ)
def test_a_flipped_bit_is_refused_by_name_and_taken_when_told(tmp_path, name):
    folder = make(tmp_path / 'run')
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for thorough in (True, False):
        [fault] = manifest.faults(folder, thorough=thorough)
        assert fault.startswith(f'{name} is not what was written there')
    with pytest.raises(ValueError, match=f'accept {folder}') as caught:
        READ[name](folder)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)
    assert provenance.accept(folder) == [fault]
    assert records.provenance(folder)['accept']['accepted'] == [fault]
    assert manifest.faults(folder) == provenance.accept(folder) == []


def test_exchanged_rows_and_edited_values_are_changes_though_they_parse(tmp_path):
    folder = make(tmp_path / 'run')
    files.write_json(folder / layout.MEMBERS, MEMBERS[::-1])
    with pytest.raises(ValueError, match='changed by hand'):
        records.members(folder)
    make(folder)
    files.write_json(folder / layout.CONFIG, {**CONFIG, 'reference': 'focal'})
    with pytest.raises(ValueError, match='changed by hand'):
        workdir.claim(folder, CONFIG)


def test_a_copy_as_text_that_was_changed_is_known(tmp_path):
    folder = make(tmp_path / 'run')
    assert not manifest.changed_copies(folder)
    path = layout.table(folder, 'performance', 'csv')
    path.write_text(path.read_text().replace('1.0', '0.9'))
    assert manifest.changed_copies(folder) == [path]


def test_missing_foreign_and_removed_files(tmp_path):
    folder = make(tmp_path / 'run')
    shutil.copy(layout.table(folder, 'performance'), layout.table(folder, 'alignment'))
    with pytest.raises(ValueError, match=r'alignment\.parquet was not written here'):
        workdir.read_table(folder, 'alignment')
    layout.table(folder, 'performance').unlink()
    assert manifest.faults(folder) == ['results/performance.parquet is missing']
    workdir.remove(layout.explained(folder, 'maps'))
    assert provenance.accept(folder) == [
        'results/performance.parquet is missing',
        'results/alignment.parquet was not written here by any stage',
    ]
    assert len(workdir.read_table(folder, 'alignment')) == 2


class Killed(BaseException):
    """A process that is no more."""


def test_killed_between_any_two_writes_everything_is_known(tmp_path, monkeypatch):
    """What is there is old or new, file by file, and the next process goes on from it and ends the same."""
    whole = make(make(tmp_path / 'whole', 0), 1)
    replace, left = files.os.replace, [0]

    def rename(source, target):
        if not left[0]:
            raise Killed
        left[0] -= 1
        replace(source, target)

    monkeypatch.setattr(files.os, 'replace', rename)
    for number in range(100):
        folder = shutil.copytree(tmp_path / 'first', tmp_path / str(number)) if number else tmp_path / '0'
        if not number:
            left[0] = 1000
            make(tmp_path / 'first', 0)
            shutil.copytree(tmp_path / 'first', folder)
        left[0] = number
        try:
            make(folder, 1)
        except Killed:
            assert manifest.faults(folder) == []
            for read in READ.values():
                read(folder)
            left[0] = 1000
            workdir.rewind_metrics(folder, 0, {('bce', 0)})
            make(folder, 1)
            with workdir.lock(folder):
                pass
            marks = manifest.read(folder)
            assert all(len(one) == 1 for one in marks.values())
            assert marks == {name: marks[name] for name in WRITTEN}
        else:
            break
    assert number == 2 * len(WRITTEN) - 1  # the lines of metrics are no file that is renamed
    assert {name: one[0] for name, one in manifest.read(folder).items()} == {
        name: one[0] for name, one in manifest.read(whole).items()
    }


def test_half_a_line_at_the_end_is_what_a_kill_leaves_and_a_whole_one_is_not(tmp_path):
    folder = make(tmp_path / 'run')
    path, line = folder / layout.METRICS, json.dumps(LINE) + '\n'
    manifest.expect_more(path, line)
    with open(path, 'a') as file:
        file.write(line[:20])
    assert list(records.metrics(folder)) == [{**LINE, 'epoch': 0}]
    manifest.settle(folder)
    with pytest.raises(ValueError, match=r'metrics\.jsonl is not what was written'):
        list(records.metrics(folder))


def test_a_damaged_manifest_is_said_and_can_be_made_anew(tmp_path):
    folder = make(tmp_path / 'run')
    path = folder / layout.MANIFEST
    for odd in ('{', '7', '[]', '{"files": {}}', path.read_text().replace('"size', '"sise').replace('a', 'b', 1)):
        path.write_text(odd)
        with pytest.raises(ValueError, match=r'manifest\.json is damaged.*accept'):
            records.config(folder)
    assert 'was damaged' in provenance.accept(folder)[0]
    assert manifest.faults(folder) == []


def test_a_manifest_that_is_lost_is_said_and_not_made_anew(tmp_path):
    folder = make(tmp_path / 'run')
    with provenance.stage(folder, 'train'):
        pass
    (folder / layout.MANIFEST).unlink()
    files.write_json(folder / layout.CONFIG, {**CONFIG, 'seeds': [7]})
    lost = r'manifest\.json is missing, which was there when `train` ran.*accept'
    with pytest.raises(ValueError, match=lost):
        records.config(folder)
    with pytest.raises(ValueError, match=lost):
        workdir.write_json(folder / layout.CONFIG, CONFIG)
    provenance.accept(folder)
    assert records.config(folder)['seeds'] == [7]
    assert provenance.manifest.faults(folder) == []


def test_a_folder_of_before_is_read_as_it_is_and_watched_once_something_is_written(tmp_path, capsys):
    folder = make(tmp_path / 'run')
    (folder / layout.MANIFEST).unlink()
    files.write_json(folder / layout.CONFIG, CONFIG)
    for _ in range(2):
        assert records.config(folder) == CONFIG
    assert capsys.readouterr().err.count('has no manifest.json') == 1
    workdir.write_json(folder / layout.CONFIG, {**CONFIG, 'seeds': [1]})
    assert 'watched from now on' in capsys.readouterr().out
    marks = manifest.read(folder)
    assert {name for name, known in marks.items() if len(known) == 1} == WRITTEN - {layout.CONFIG}
    assert manifest.faults(folder) == []


def test_folders_inside_have_manifests_of_their_own(tmp_path):
    inner = make(layout.tested(make(tmp_path / 'run'), 'other'))
    with workdir.lock(tmp_path / 'run'):
        make(inner, 1)
    assert set(manifest.read(tmp_path / 'run')) == WRITTEN
    assert all(len(one) == 1 for one in manifest.read(inner).values())


def test_a_seal_holds_for_every_field_whatever_their_order():
    sealed = seals.seal({'a': 1, 'b': {'c': [1.5, None, float('nan')]}})
    back = json.loads(json.dumps(sealed, sort_keys=True))
    assert seals.fault_of(back) == seals.fault_of({'a': 1}) == ''
    for change in ({'a': 2}, {'d': 1}, {'b': {'c': [1.5, 0, float('nan')]}}):
        assert seals.fault_of({**back, **change})
    assert seals.seal(back)[seals.SEAL] == back[seals.SEAL]


def test_a_config_that_is_lost_is_that_of_the_same_study_only(tmp_path):
    folder = make(tmp_path / 'run')
    (folder / layout.CONFIG).unlink()
    workdir.claim(folder, CONFIG)  # nothing is trained yet
    (folder / layout.CONFIG).unlink()
    (folder / layout.CHECKPOINTS).mkdir()
    with pytest.raises(ValueError, match='another config than this one'):
        workdir.claim(folder, {**CONFIG, 'seeds': [1]})
    workdir.claim(folder, CONFIG)
    assert records.read(folder / layout.CONFIG, dict, '') == CONFIG


def test_only_what_must_be_undone_of_another_config_is_listed(tmp_path):
    folder = tmp_path / 'run'
    workdir.claim(folder, CONFIG)
    other = {**CONFIG, 'seeds': [1], 'reference': 'z'}
    with pytest.raises(ValueError, match='or undo:') as error:
        workdir.claim(folder, other, ('reference',))
    assert 'seeds' in str(error.value)
    assert 'reference' not in str(error.value)
    workdir.claim(folder, {**CONFIG, 'reference': 'z'}, ('reference',))
    assert json.loads((folder / layout.CONFIG).read_text())['reference'] == 'z'
