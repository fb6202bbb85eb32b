"""Bookkeeping of a sweep: who does which job, what becomes of it, and one writer at a time, whoever dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

from imbalance_jax.cli import sweep as sweep_verbs
from imbalance_jax.configs import base
from imbalance_jax.sweep import cli, collect, hyper, jobs, populations
from imbalance_jax.sweep import plan as plans
from imbalance_jax.system import files, locks, provenance, signals, workdir

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plan(tmp_path):
    configs = populations.populations(base.get_config(), hyper.sweep('data.image_size', [32, 48, 64]))
    plans.write(tmp_path / 'plan.jsonl', configs)
    return tmp_path / 'plan.jsonl'


def finish(job):
    (job.workdir / 'results').mkdir(parents=True)


def states(plan) -> list[str]:
    return [jobs.standing(job).state for job in plans.read(plan)]


def test_a_job_is_done_once_and_stage_after_stage(plan, capsys):
    seen, [job, *_] = [], plans.read(plan)
    stages = {'train': finish, 'explain': lambda job: seen.append(jobs.standing(job).note.split()[0])}
    assert [jobs.do(job, stages) for _ in range(2)] == [0, 0]
    assert seen == ['explain']
    assert 'is done' in capsys.readouterr().out
    assert states(plan) == ['done', 'never started', 'never started']
    assert jobs.standing(job).starts == 1


@pytest.mark.parametrize(
    ('error', 'status', 'said'),
    [
        (ValueError('no such loss'), 2, 'no such loss'),
        (OSError(28, 'No space left on device'), 1, 'No space left'),
        (FloatingPointError('all dead'), 1, 'all dead'),
        (RuntimeError('out of memory'), 1, 'RuntimeError: out of memory'),
    ],
)
def test_a_failed_job_keeps_its_reason_and_can_be_tried_again(plan, error, status, said, capsys):
    [job, *_] = plans.read(plan)

    def fail(job):
        raise error

    assert jobs.do(job, {'train': fail}) == status
    assert said in capsys.readouterr().err
    now = jobs.standing(job)
    assert (now.state, said in now.note) == ('failed', True)
    text, code = jobs.table(plans.read(plan))
    assert code == 1
    assert said in text
    assert jobs.do(job, {'train': finish}) == 0
    assert jobs.standing(job).starts == 2


def test_asked_to_stop_it_is_resumable(plan):
    [job, *_] = plans.read(plan)

    def stop(job):
        job.workdir.mkdir(parents=True)
        (job.workdir / 'metrics.jsonl').write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
        raise SystemExit(signals.RESUMABLE)

    with pytest.raises(SystemExit):
        jobs.do(job, {'train': stop})
    assert jobs.standing(job)[:2] == ('resumable', 'asked to stop, epoch 2 of 50')


def test_only_the_first_of_several_processes_keeps_the_record(plan):
    [job, *_] = plans.read(plan)
    assert jobs.do(job, {'train': lambda job: None}, leads=False) == 0
    assert not job.folder.exists()


def test_work_does_all_and_says_what_failed(plan, capsys):
    result = plans.read(plan)
    assert jobs.work(result, lambda job: jobs.do(job, {'train': finish})) == 0
    assert jobs.table(result)[1] == 0
    begun = []

    def begin(job):
        begun.append(job.number)
        return 2 if job.number == 1 else 0

    assert jobs.work(result, begin) == 1
    assert begun == [0, 1, 2]
    assert 'job 1' in capsys.readouterr().out
    assert jobs.work(result, lambda job: signals.RESUMABLE) == signals.RESUMABLE


def test_jobs_in_others_hands_are_looked_at_again(plan):
    """The worker that holds job 0 is killed while this one does the others: job 0 is taken over."""
    result, begun = plans.read(plan), []

    def begin(job):
        begun.append(job.number)
        if job.number == 0 and begun.count(0) == 1:
            return signals.RESUMABLE
        if job.number == 2:
            holder.__exit__(None, None, None)
        return jobs.do(job, {'train': finish})

    holder = locks.acquire(result[0].folder / f'{result[0].id}.lock', 'job 0')
    holder.__enter__()
    assert jobs.work(result, begin) == 0
    assert begun == [0, 1, 2, 0]
    assert states(plan) == ['done'] * 3


def test_a_killed_job_begins_again_but_not_for_ever(plan):
    result, begun = plans.read(plan)[:2], []

    def begin(job):
        begun.append(job.number)
        return -9 if job.number == 0 or begun.count(1) < 3 else jobs.do(job, {'train': finish})

    assert jobs.work(result, begin) == 1
    assert begun.count(0) == jobs.KILLS + 1
    assert begun.count(1) == 3


WORKER = """
import hashlib, sys, time, pathlib
from imbalance_jax.sweep import jobs, plan as plans
from imbalance_jax.system import signals
signals.leave_when_asked(float(sys.argv[3]))
def slow(job):
    (job.workdir / 'results').mkdir(parents=True, exist_ok=True)
    with open(job.workdir / 'who', 'a') as file:
        file.write(sys.argv[2] + '\\n')
    print('begun', flush=True)
    if sys.argv[2] == 'deaf':  # in a library, where Python hears of no signal
        hashlib.pbkdf2_hmac('sha512', b'x', b'y', 500_000_000)
    time.sleep(0.2 if sys.argv[2] == 'quick' else 600)
sys.exit(jobs.do(plans.read(sys.argv[1])[0], {'train': slow}))
"""


def worker(plan, name: str, grace: float = 0.0) -> subprocess.Popen:
    command = [sys.executable, '-c', WORKER, str(plan), name, str(grace)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_workers_never_both_write_and_a_killed_one_is_replaced_at_once(plan):
    [job, *_] = plans.read(plan)
    with worker(plan, 'first') as first:
        assert first.stdout.readline().startswith('job 0')
        assert first.stdout.readline() == 'begun\n'
        assert jobs.standing(job).state == 'running'
        assert jobs.table([job])[1] == signals.RESUMABLE
        with worker(plan, 'second') as second:
            assert second.wait() == signals.RESUMABLE
            assert f'process {first.pid} on' in second.stdout.read()
        first.send_signal(signal.SIGKILL)
    assert jobs.standing(job).note == 'killed'
    with worker(plan, 'quick') as third:
        assert third.wait() == 0
    assert (job.workdir / 'who').read_text().split() == ['first', 'quick']


@pytest.mark.parametrize('name', ['plain', 'deaf'])
@pytest.mark.parametrize('number', signals.SIGNALS)
def test_every_stage_leaves_with_75_when_asked(plan, name, number):
    with worker(plan, name, grace=0.5) as process:
        while process.stdout.readline() != 'begun\n':
            assert process.poll() is None
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(timeout=10) == signals.RESUMABLE
    assert states(plan)[0] == 'resumable'


def test_a_terminal_that_closes_is_no_request_under_nohup():
    code = 'import signal; from imbalance_jax.system.signals import SIGNALS; print(signal.SIGHUP in SIGNALS)'
    for ignores in (False, True):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignores else signal.SIG_DFL)
        try:
            done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
        finally:
            signal.signal(signal.SIGHUP, before)
        assert done.stdout.strip() == str(not ignores)


def test_a_second_interrupt_leaves_at_once(plan):
    """One that follows within a second is the same one: a terminal sends it to all, and a parent passes it on."""
    with worker(plan, 'deaf') as process:
        while process.stdout.readline() != 'begun\n':
            assert process.poll() is None
        time.sleep(0.1)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.poll() is None
        time.sleep(signals.TWICE)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == signals.AT_ONCE


@pytest.fixture
def hangs_up():
    """SIGHUP as from a terminal, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_what_is_run_is_asked_too_and_dies_with_its_parent(tmp_path, hangs_up):
    child = 'import time, pathlib, os; pathlib.Path("pid").write_text(str(os.getpid())); time.sleep(600)'
    parent = (
        f'import sys; from imbalance_jax.system.signals import run; sys.exit(run([sys.executable, "-c", {child!r}]))'
    )
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        (tmp_path / 'pid').unlink(missing_ok=True)
        variables = {**os.environ, 'PYTHONPATH': str(ROOT)}
        with subprocess.Popen([sys.executable, '-c', parent], cwd=tmp_path, env=variables) as process:
            while not (tmp_path / 'pid').exists() or not (tmp_path / 'pid').read_text():
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(number)
            try:
                process.wait(timeout=10)
            finally:
                process.kill()
        begin, pid = time.monotonic(), int((tmp_path / 'pid').read_text())
        while Path(f'/proc/{pid}').exists() and 'Z' not in Path(f'/proc/{pid}/stat').read_text().split()[2]:
            assert time.monotonic() - begin < 10
            time.sleep(0.02)


@pytest.fixture
def quick_heartbeats(monkeypatch):
    monkeypatch.setattr(locks, 'HEARTBEAT', 0.1)


def elsewhere(path, count: int) -> None:
    record = {'host': 'other', 'pid': 7, 'machine': 'another kernel', 'heartbeat': count}
    path.write_bytes(json.dumps(record).encode().ljust(locks.SIZE))


def test_an_owner_on_another_machine_is_believed_while_it_counts(tmp_path, quick_heartbeats, monkeypatch):
    path, counts = tmp_path / 'lock', iter(range(100))
    elsewhere(path, 0)
    slept = time.sleep
    monkeypatch.setattr(locks.time, 'sleep', lambda seconds: (slept(seconds), elsewhere(path, next(counts))))
    with pytest.raises(ValueError, match='process 7 on other'), locks.acquire(path, 'the place'):
        pass
    assert locks.owner(path)['host'] == 'other'


def test_a_silent_owner_on_another_machine_is_dead_whatever_the_clocks_say(tmp_path, quick_heartbeats, monkeypatch):
    path = tmp_path / 'lock'
    elsewhere(path, 3)
    os.utime(path, (2e9, 2e9))  # its clock was years ahead
    monkeypatch.setattr(time, 'time', lambda: 1e9)
    with locks.acquire(path, 'the place'):
        time.sleep(0.25)
        assert json.loads(path.read_bytes())['pid'] == os.getpid()
        assert json.loads(path.read_bytes())['heartbeat'] >= 1
    assert locks.owner(path) is None
    assert path.read_bytes() == b''


def test_who_was_thought_dead_does_not_write_on(tmp_path):
    code = (
        'import sys, time; from imbalance_jax.system import locks; locks.HEARTBEAT = 0.1\n'
        'with locks.acquire(sys.argv[1], "the place"):\n    print("mine", flush=True); time.sleep(60)'
    )
    path = tmp_path / 'lock'
    with subprocess.Popen([sys.executable, '-c', code, path], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'mine\n'
        elsewhere(path, 0)
        assert process.wait(timeout=10) == 1
        assert 'taken over by process 7 on other' in process.stdout.read()


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr(locks.fcntl, 'flock', flock)
    with pytest.raises(OSError, match='file system without locks'), locks.acquire(tmp_path / 'lock', 'runs/x'):
        pass


@pytest.fixture
def done(plan):
    """A plan of which two populations are done, with tables of noise."""
    from noise_study import make_workdir

    result = plans.read(plan)[:2]
    for job in result:
        make_workdir(job.workdir, arms={'bce': {}, '<script>x</script>': {'loss': 'bce'}})
        record = {'state': 'done', 'note': '', 'seconds': 1.0, 'starts': 1}
        files.write_json(job.folder / f'{job.id}.json', record)
    return result


def test_collected_tables_are_those_of_all_jobs(done):
    import pandas as pd

    from imbalance_jax.analysis.sweeps import sweep
    from imbalance_jax.results import schema

    assert [path.name for path in collect.write(done)] == ['results.csv', 'results.parquet']
    whole = pd.read_parquet(done[0].folder / 'results.parquet')
    first = (done[0].folder / 'results.csv').read_bytes()
    tables = ('performance', 'alignment', 'concepts', 'data')
    common, own = ['job', 'id', 'data.image_size', 'table', *schema.COLUMNS], {}
    for table in tables:
        own |= dict.fromkeys(schema.TABLES[table])
    assert list(whole.columns)[: len(common)] == common
    assert sorted(whole.columns[len(common) :]) == sorted(own)
    for job in done:
        for name in tables:
            of_job = whole[(whole['id'] == job.id) & (whole['table'] == name)]
            assert set(of_job['data.image_size']) == {str(job.config['data']['image_size'])}
            of_job = of_job[list(schema.columns_of(name))].reset_index(drop=True)
            pd.testing.assert_frame_equal(of_job, workdir.read_table(job.workdir, name))
    page = sweep.write(done).read_text()
    assert all(job.id in page for job in done)
    assert '<script' not in page
    assert collect.write(done)[0].read_bytes() == first
    assert sweep.write(done).read_text() == page


@pytest.mark.parametrize('change', ['versions', 'source', 'before'])
def test_mixed_versions_are_refused_unless_asked_for(done, change):
    path = done[1].workdir / 'provenance.json'
    record = files.read_json(path)
    if change == 'versions':
        record['train']['versions']['jax'] = '0.0.1'
    elif change == 'source':
        record['train']['source'] = 'another'
    else:
        record['train']['before'] = [{**record['train'], 'source': 'older'}]
    workdir.write_json(path, record)
    with pytest.raises(ValueError, match='2 states of the software'):
        collect.write(done)
    assert collect.write(done, mixed=True)


def test_files_that_were_accepted_are_said_of_the_sweep_too(done, capsys):
    from imbalance_jax.analysis.sweeps import sweep

    collect.write(done)
    assert 'accepted' not in capsys.readouterr().out
    path = done[1].workdir / 'results' / 'performance.csv'
    path.write_text('changed by hand\n')
    provenance.accept(done[1].workdir)
    collect.write(done)
    said = f'1 of {len(done)} populations hold files that were changed by hand or damaged and were accepted as they are'
    assert f'{said}: {done[1].id} (results/performance.csv).' in capsys.readouterr().out
    assert said in sweep.write(done).read_text()


def test_nothing_to_collect_is_said(plan):
    with pytest.raises(ValueError, match='nothing to collect'):
        collect.write([])


@pytest.fixture
def finished(plan):
    """The plan of which all populations are done, each with a table."""
    for job in plans.read(plan):

        def train(job):
            workdir.write_json(job.workdir / 'config.json', job.config)
            workdir.write_json(job.workdir / 'results' / 'alignment.csv', [job.number])
            workdir.write_json(job.workdir / 'on' / 'nih' / 'config.json', job.config)
            workdir.write_json(job.workdir / 'on' / 'nih' / 'results' / 'alignment.csv', [job.number])

        assert jobs.do(job, {'train': train}) == 0
    assert states(plan) == ['done'] * 3
    return plan


@pytest.mark.parametrize(
    'how', ['deleted', 'changed', 'foreign', 'foreign folder', 'manifest', 'inside', 'deleted inside']
)
def test_done_means_that_all_is_there_as_it_was_written(finished, how):
    first, second, _ = plans.read(finished)
    path = first.workdir / 'results' / 'alignment.csv'
    if how == 'deleted':
        path.unlink()
    elif how == 'changed':
        path.write_text('[9]\n')
    elif how == 'manifest':
        (first.workdir / 'manifest.json').unlink()
    elif how == 'inside':
        shutil.rmtree(first.workdir / 'on' / 'nih')
    elif how == 'deleted inside':
        (first.workdir / 'on' / 'nih' / 'results' / 'alignment.csv').unlink()
    elif how == 'foreign':
        shutil.copy(second.workdir / 'config.json', first.workdir)
    else:
        shutil.rmtree(first.workdir)
        shutil.copytree(second.workdir, first.workdir)
    said = {
        'deleted': 'results/alignment.csv is missing',
        'manifest': 'manifest.json is missing',
        'inside': 'on/nih/manifest.json is missing',
        'deleted inside': 'on/nih/results/alignment.csv is missing',
        'foreign folder': 'config.json is of another population: data.image_size',
    }
    for thorough in (True, False):
        now = jobs.standing(first, thorough=thorough)
        assert now.state == 'resumable'
        assert said.get(how, 'is not what was written there') in now.note
    text, code = jobs.table(plans.read(finished))
    assert (code, text.count('  done')) == (signals.RESUMABLE, 2)


@pytest.mark.parametrize('odd', ['7', '[]', '"x"', '{"state": "done"}', '', '{"state": "done", "note": 7}'])
def test_one_odd_record_does_not_end_the_others(finished, odd):
    first, *_ = plans.read(finished)
    for name in (f'{first.id}.json', f'{first.id}.lock'):
        (first.folder / name).write_text(odd)
    (first.workdir / 'metrics.jsonl').write_text(odd + '\n' + '[' * 9999 + '\n')
    assert states(finished) == ['resumable', 'done', 'done']
    text, code = jobs.table(plans.read(finished))
    assert code == signals.RESUMABLE
    assert f'its record {first.id}.json is damaged' in text
    assert len(text.splitlines()) == 5


def test_every_field_of_a_plan_counts_and_so_does_its_length(plan):
    text = plan.read_text()
    for old, new in (
        ('"differs": {"data.image_size": 32}', '"differs": {"data.image_size": 33}'),
        ('"job": 1', '"job": 2'),
    ):
        assert old in text
        plan.write_text(text.replace(old, new, 1))
        with pytest.raises(ValueError, match=r'line [12] was changed by hand'):
            plans.read(plan)
    configs = populations.populations(base.get_config(), hyper.sweep('data.image_size', [32, 48, 80]))
    third = plans.lines(configs).splitlines(keepends=True)[2]  # of a plan that is as long
    plan.write_text(''.join([*text.splitlines(keepends=True)[:2], third]))
    with pytest.raises(ValueError, match='line 3 is of another plan than the lines before'):
        plans.read(plan)
    plan.write_text(''.join(text.splitlines(keepends=True)[:2]))
    with pytest.raises(ValueError, match='has 2 of its 3 populations'):
        plans.read(plan)
    old = [{k: v for k, v in json.loads(line).items() if k in plans.LINE} for line in text.splitlines()]
    plan.write_text(''.join(json.dumps(line) + '\n' for line in old))  # as an older version wrote it
    assert len(plans.read(plan)) == 3
    for odd in ('[' * 9999, '7', '{}', text.replace('"image_size": 32', '"image_size": NaN')):
        plan.write_text(odd)
        with pytest.raises(ValueError, match='line 1 is damaged'):
            plans.read(plan)


def test_a_damaged_line_of_a_plan_holds_up_no_other(finished, capsys, monkeypatch):
    """A bit that is no text, a line that is lost in the middle, one that is there twice: said, and the others stand."""
    monkeypatch.setattr(signals, 'leave_when_asked', lambda grace: None)
    lines = finished.read_bytes().splitlines(keepends=True)
    third = plans.read(finished)[2]
    for text, said in (
        (b''.join([lines[0], lines[1][:50] + b'\xff' + lines[1][51:], lines[2]]), 'line 2 is damaged'),
        (b''.join([lines[0], lines[2]]), 'line 2 is population 2 of the plan: lines are missing'),
        (b''.join([lines[0], b'[' * 9999 + b'\n', lines[2]]), 'line 2 is damaged'),
        (b''.join([lines[0], lines[2], lines[2]]), 'line 2 is population 2 of the plan'),
    ):
        finished.write_bytes(text)
        with pytest.raises(ValueError, match=said):
            plans.read(finished)
        whole, _ = plans.examine(finished)
        assert [job.number for job in whole] == [0, 2]
        flags = Namespace(plan=finished, job='', shard='', watch=False, grace=0.0)
        assert cli.status(flags) == 2
        shown = capsys.readouterr()
        assert said in shown.err
        assert '2 done' in shown.out
        shutil.rmtree(third.workdir)
        assert cli.work(flags, ['false'], {}) == 1, 'the third is begun, whatever the second is'
        capsys.readouterr()
        flags.job = third.id
        assert cli.work(flags, [], {'train': remake}) == 0
        assert (third.workdir / 'results' / 'alignment.csv').read_text() == '[\n 2\n]\n'
    finished.write_bytes(b'\xff\n')
    with pytest.raises(ValueError, match='line 1 is damaged'):
        plans.examine(finished)


def remake(job):
    workdir.write_json(job.workdir / 'config.json', job.config)
    workdir.write_json(job.workdir / 'results' / 'alignment.csv', [job.number])


@pytest.mark.parametrize('verb', ['plan', 'status', 'collect'])
def test_verbs_of_a_sweep_leave_with_a_line_when_asked(monkeypatch, verb):
    """As all others do: `collect` of many populations takes minutes."""
    asked = []

    def leave(*_, saves):
        asked.append(saves)
        raise SystemExit(signals.RESUMABLE)

    monkeypatch.setattr(signals, 'leave_when_asked', leave)
    with pytest.raises(SystemExit):
        getattr(sweep_verbs, verb)(None, None)
    assert asked == [False]
