"""The populations of a plan, worked through by anybody, any number of times: done ones are left, begun ones resumed."""

import json
import os
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from imbalance_jax.config.fields import OF_THE_MACHINE
from imbalance_jax.names import some
from imbalance_jax.sweep.plan import Job
from imbalance_jax.system import layout, locks, manifest, records, seals
from imbalance_jax.system.files import dumps, flatten, read_json, regular, write_json
from imbalance_jax.system.records import RECORD, fault_of
from imbalance_jax.system.signals import RESUMABLE

STATES = ('done', 'running', 'resumable', 'failed', 'never started')
KILLS = 5  # times that a worker begins a job again whose process was killed, for want of memory, say
SHOWN = 3  # faults of a population that was done
TAIL = 4096  # bytes of metrics.jsonl that hold its last line


class Standing(NamedTuple):
    """How a job stands: one of `STATES`; what there is to say of it; seconds of work so far; times it was begun."""

    state: str
    note: str
    seconds: float
    starts: int


def work(jobs: list[Job], begin: Callable[[Job], int]) -> int:
    """Has every job done that nobody else does; returns the exit status of `imbalance-jax work`.

    begin: does a job in a process of its own and returns its exit status; asked to stop, it leaves by SystemExit(75). A
    job whose process was killed, and one that another worker holds, are looked at again after the others: that worker
    may be gone by then. 0: all are done. 1: one failed. 75: some are in others' hands.
    """
    failed: list[Job] = []
    kills: Counter[str] = Counter()
    waiting = list(jobs)
    while waiting:
        taken, killed = [], []
        for job in waiting:
            status = begin(job)
            if status < 0 and kills[job.id] < KILLS:
                kills[job.id] += 1
                killed.append(job)
            elif status == RESUMABLE:
                taken.append(job)
            elif status:
                failed.append(job)
        if len(taken) == len(waiting):
            break
        waiting = [*killed, *taken]
    for job in failed:
        print(f'{job.name} failed: {standing(job).note}', flush=True)
    return 1 if failed else RESUMABLE if waiting else 0


def do(job: Job, stages: Mapping[str, Callable[[Job], None]], *, leads: bool = True) -> int:
    """Does one job in this process, stage after stage, from where it is; returns its exit status.

    0: done, now or before. 1 or 2: failed, the reason kept and printed; 2 where the input is to blame. 75: another
    process is at work on it. A signal to stop leaves by SystemExit(75). Of several processes that work as one, only the
    one that leads keeps the record.
    """
    if standing(job).state == 'done':
        print(f'{job.name} is done.', flush=True)
        return 0
    if not leads:
        return _run(job, stages, lambda **facts: None)
    try:
        with locks.acquire(_beside(job, '.lock'), job.name):
            if standing(job, held=True).state == 'done':  # by who held it a moment ago
                return 0
            return _run(job, stages, _recorder(job))
    except locks.Taken as error:
        print(error, flush=True)
        return RESUMABLE


def _run(job: Job, stages: Mapping[str, Callable], record: Callable) -> int:
    try:
        for name, stage in stages.items():
            record(state='running', note=name)
            print(f'{job.name}: {name}', flush=True)
            stage(job)
    except SystemExit:
        record(state='stopped', note='asked to stop')
        raise
    except locks.Taken:
        record(state='stopped', note='its working directory was in use')
        raise
    except Exception as error:
        ours = isinstance(error, (ValueError, OSError, FloatingPointError))
        if not ours:
            traceback.print_exc()
        reason = f'{"" if ours else type(error).__name__ + ": "}{error}'
        print(f'error: {reason}', file=sys.stderr, flush=True)
        record(state='failed', note=reason)
        return 2 if isinstance(error, (ValueError, FileNotFoundError)) else 1
    record(state='done', note='')
    return 0


def _recorder(job: Job) -> Callable:
    """Returns `record(state=..., note=...)`, which keeps how the job stands beside its working directory."""
    begin, before = time.monotonic(), _record(job)
    known = {'starts': before.get('starts', 0) + 1, 'host': socket.gethostname(), 'pid': os.getpid()}

    def record(state: str, note: str) -> None:
        seconds = round(before.get('seconds', 0.0) + time.monotonic() - begin, 1)
        try:
            facts = {**known, 'state': state, 'note': note, 'seconds': seconds}
            facts |= {'parts': _parts(job)} if state == 'done' else {}
            write_json(_beside(job, '.json'), seals.seal(facts))
        except OSError as error:  # a full disk must not hide what it did to the job
            if state in ('running', 'done'):
                raise
            print(f'error: {error}', file=sys.stderr, flush=True)

    return record


def standing(job: Job, *, held: bool = False, thorough: bool = False) -> Standing:
    """How a job stands, from its record, its lock and the manifest of its working directory.

    held: by this very process; thorough: also files that look untouched are held against their checksums.
    """
    record, owner = _record(job), None if held else locks.owner(_beside(job, '.lock'))
    seconds, starts = record.get('seconds', 0.0), record.get('starts', 0)
    if owner:
        note = f'{record.get("note", "")} on {owner["host"]}, process {owner["pid"]}{_epoch(job)}'
        return Standing('running', note.strip(), seconds, starts)
    state = record.get('state')
    if state == 'done' and (job.workdir / layout.RESULTS).is_dir():
        fault = _fault(job, record.get('parts') or _parts(job), thorough)
        return Standing('resumable' if fault else 'done', fault, seconds, starts)
    if state == 'failed':
        return Standing('failed', record['note'], seconds, starts)
    if state or job.workdir.exists():
        how = 'asked to stop' if state == 'stopped' else 'killed' if state == 'running' else 'begun'
        if not record and os.path.lexists(_beside(job, '.json')):
            how = f'its record {job.id}.json is damaged, `work` makes it again; {how}'
        return Standing('resumable', how + _epoch(job), seconds, starts)
    return Standing('never started', '', 0.0, 0)


def _parts(job: Job) -> list[str]:
    """The working directories of a job, below its own, '.': those of kept weights and of other data sets, too."""
    places = [job.workdir, *layout.inside(job.workdir)]
    return [place.relative_to(job.workdir).as_posix() for place in places if (place / layout.MANIFEST).exists()]


def _fault(job: Job, parts: list[str], thorough: bool) -> str:
    """Why the results of a job that was done are not its results, '' if they are. parts: what it had when it was."""
    try:
        kept = flatten(records.config(job.workdir)) if (job.workdir / layout.CONFIG).exists() else {}
        planned = flatten(job.config)
        other = [name for name in kept.keys() & planned.keys() if kept[name] != planned[name]]
        other = [name for name in other if not f'{name}.'.startswith(tuple(f'{one}.' for one in OF_THE_MACHINE))]
        other += [name for name in kept.keys() ^ planned.keys() if kept and name.startswith('arms.')]
        found = [fault for part in parts for fault in _faults_of(job, part, thorough)]
    except (ValueError, OSError) as error:
        return str(error)
    if other:
        return f'its {layout.CONFIG} is of another population: {some(sorted(other), SHOWN)}'
    return some(found, SHOWN)


def _faults_of(job: Job, part: str, thorough: bool) -> list[str]:
    """What is missing or changed in one of its working directories, by names below its own."""
    below = '' if part == '.' else f'{part}/'
    if not (job.workdir / part / layout.MANIFEST).exists():
        return [f'{below}{layout.MANIFEST} is missing']
    return [f'{below}{fault}' for fault in manifest.faults(job.workdir / part, thorough=thorough)]


def _beside(job: Job, suffix: str) -> Path:
    return job.folder / f'{job.id}{suffix}'


def _record(job: Job) -> dict:
    try:
        record = read_json(_beside(job, '.json'))
        return {} if fault_of(record, RECORD) or seals.fault_of(record) else record
    except (OSError, ValueError):
        return {}


def _epoch(job: Job) -> str:
    """How far training is, from the last whole line of its metrics."""
    try:
        with open(regular(job.workdir / layout.METRICS), 'rb') as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b'\n')
        return f', epoch {json.loads(lines[-2])["epoch"]} of {job.config["train"]["epochs"]}'
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ''


def table(jobs: list[Job]) -> tuple[str, int]:
    """How all jobs stand, as text, and the exit status that says so: 0 all done, 1 one failed, 75 not all done."""
    stood = [standing(job) for job in jobs]
    rows = [('job', 'id', 'state', 'time', 'starts', 'members', 'what')]
    for job, now in zip(jobs, stood, strict=True):
        differs = ' '.join(f'{name.rpartition(".")[2]}={dumps(value)}' for name, value in job.differs.items())
        what = '; '.join(text for text in (differs, now.note.splitlines()[0] if now.note else '') if text)
        rows.append((str(job.number), job.id, now.state, _time(now.seconds), str(now.starts), str(job.members), what))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    counts = {state: sum(now.state == state for now in stood) for state in STATES}
    lines.append(', '.join(f'{count} {state}' for state, count in counts.items() if count) + _left(jobs, stood))
    status = 0 if counts['done'] == len(jobs) else 1 if counts['failed'] else RESUMABLE
    return '\n'.join(lines), status


def _left(jobs: list[Job], stood: list[Standing]) -> str:
    """What is left at the speed of the jobs that are done, one worker alone."""
    pairs = [(job.estimate['seconds'], now) for job, now in zip(jobs, stood, strict=True) if job.estimate]
    done = [(guess, now.seconds) for guess, now in pairs if now.state == 'done']
    if not done or len(pairs) < len(jobs) or len(done) == len(jobs):
        return ''
    speed = sum(took for _, took in done) / sum(guess for guess, _ in done)
    left = sum(max(0.0, guess * speed - now.seconds) for guess, now in pairs if now.state != 'done')
    return f'; about {_time(left)} of work left, at the speed of what is done'


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'
