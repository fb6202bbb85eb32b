"""A plan: one line of JSON per population, and beside it a folder with all that becomes of them.

PLAN.jsonl    PLAN/ID/ (a working directory)    PLAN/ID.json (how it stands)    PLAN/ID.lock
"""

import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from imbalance_jax.names import some
from imbalance_jax.sweep.estimate import estimate
from imbalance_jax.sweep.populations import differing, identity
from imbalance_jax.system.files import differences, dumps, flatten, regular, write_text
from imbalance_jax.system.records import CONFIG, NUMBER, fault_of
from imbalance_jax.system.seals import fault_of as changed
from imbalance_jax.system.seals import seal

SHOWN = 6  # differences of a new population
SHORTEST_ID = 4  # digits of an id that --job takes
LINE = {'job': int, 'id': str, 'differs': dict, 'estimate': object, 'config': CONFIG}
AGAIN = 'change the config and plan again.'
CHANGED = f'was changed by hand; {AGAIN}'
ESTIMATE = {'seconds': NUMBER, 'gib': NUMBER}


class Job(NamedTuple):
    """One population of a plan. `differs`: the fields in which the populations differ; `folder`: of the whole plan."""

    number: int
    id: str
    differs: dict
    config: dict
    estimate: dict | None
    folder: Path

    @property
    def workdir(self) -> Path:
        """Its working directory."""
        return self.folder / self.id

    @property
    def members(self) -> int:
        """How many members it has."""
        return len(self.config['arms']) * len(self.config['seeds'])

    @property
    def name(self) -> str:
        """Number, id and what is special, for people."""
        special = ', '.join(f'{field}={dumps(value)}' for field, value in self.differs.items())
        return f'job {self.number} ({self.id}{": " if special else ""}{special})'


def folder_of(path: Path) -> Path:
    """Where the populations of a plan live: runs/mine.jsonl has runs/mine."""
    path = Path(path)
    if path.suffix != '.jsonl':
        raise ValueError(f'A plan ends in .jsonl, which {path} does not.')
    return path.with_suffix('')


def lines(configs: list[dict]) -> str:
    """The text of a plan: the same configs give the same bytes."""
    text, whole = '', identity({'populations': [identity(plain) for plain in configs]})
    for number, (plain, differs) in enumerate(zip(configs, differing(configs), strict=True)):
        facts = {'job': number, 'of': len(configs), 'plan': whole, 'id': identity(plain)}
        facts |= {'differs': differs, 'estimate': estimate(plain), 'config': json.loads(dumps(plain))}
        text += json.dumps(seal(facts), allow_nan=False) + '\n'
    return text


def write(path: Path, configs: list[dict]) -> tuple[list[Job], list[Job]]:
    """Writes a plan. Returns its jobs, and those of the plan that was there before, none if it is damaged.

    Raises ValueError for a plan without a population, and leaves what was there.
    """
    folder_of(path)
    if not configs:
        raise ValueError(f'{path} would have no population: get_hyper(hyper) of the config gives none.')
    before = []
    if Path(path).exists():
        with contextlib.suppress(ValueError):
            before = read(path)
    write_text(path, lines(configs))
    return read(path), before


def read(path: Path) -> list[Job]:
    """The jobs of a plan; ValueError naming the line that is not what `write` wrote."""
    jobs, faults = examine(path)
    if faults:
        raise ValueError(faults[0])
    return jobs


def examine(path: Path) -> tuple[list[Job], list[str]]:
    """The jobs of a plan whose lines are what `write` wrote, and what is wrong with the others, a sentence each.

    Raises ValueError for a plan that has no such line.
    """
    folder = folder_of(path)
    if not Path(path).exists():
        raise FileNotFoundError(f'--plan={path}: there is no such file; `imbalance-jax plan --out={path}` writes one.')
    lines = regular(path).read_bytes().decode('ascii', errors='replace').rstrip('\n').split('\n')  # as json writes it
    if lines == ['']:
        raise ValueError(f'{path} has no population.')
    found, faults, planned, whole = [], [], len(lines), None
    for number, line in enumerate(lines):
        facts, fault = _facts(line)
        moved = f'is population {facts.get("job")} of the plan: lines are missing, or in another order; {AGAIN}'
        fault = fault or ('' if facts['job'] == number else moved)
        whole = whole or facts.get('plan')
        fault = fault or ('' if facts.get('plan') == whole else f'is of another plan than the lines before; {AGAIN}')
        if fault:
            faults.append(f'{path}, line {number + 1} {fault}')
        if facts:
            planned = facts.get('of', planned)
            what = facts['differs'], facts['config'], facts['estimate']
            found.append(Job(facts['job'], facts['id'], *what, folder))
    if len(lines) != planned:
        faults.append(f'{path} has {len(lines)} of its {planned} populations: plan again.')
    if not found:
        raise ValueError(faults[0])
    return list({job.id: job for job in found}.values()), faults


def _facts(line: str) -> tuple[dict[str, Any], str]:
    """What a line of a plan says, and '', if it says what was written; else nothing, and what is wrong."""
    try:
        facts = json.loads(line)
        fault = fault_of(facts, LINE) or (facts['estimate'] and fault_of(facts['estimate'], ESTIMATE))
        known = fault or identity(facts['config'])
    except (ValueError, RecursionError) as error:
        fault = str(error)
    if fault:
        return {}, f'is damaged: {fault}; plan again.'
    own = flatten(facts['config'])
    said = any(dumps(own.get(name)) != dumps(value) for name, value in facts['differs'].items())
    return ({}, CHANGED) if facts['id'] != known or said or changed(facts) else (facts, '')


def select(jobs: list[Job], *, job: str = '', shard: str = '') -> list[Job]:
    """All jobs, or some: one by its number or at least the first four digits of its id, or every n-th by `i/n` (i from
    0)."""
    if job and shard:
        raise ValueError('Give --job or --shard, not both.')
    if job:
        by_id = len(job) >= SHORTEST_ID  # what is shorter is meant as a number
        chosen = [one for one in jobs if job == str(one.number)] or [
            one for one in jobs if by_id and one.id.startswith(job)
        ]
        if not chosen:
            raise ValueError(f'--job {job} is no job of the plan; it has the numbers 0 to {len(jobs) - 1}.')
        if len(chosen) > 1:
            raise ValueError(f'--job {job} is the beginning of {len(chosen)} ids of the plan; give more of it.')
        return chosen
    if shard:
        first, _, count = shard.partition('/')
        if not (first.isdecimal() and count.isdecimal() and int(first) < int(count)):
            raise ValueError(f'--shard is {shard!r}; it must be i/n with i from 0 to n - 1, such as 0/4.')
        return jobs[int(first) :: int(count)]
    return jobs


def compared(jobs: list[Job], before: list[Job]) -> str:
    """What is new in a plan, against the one it replaces, and what its populations will need."""
    known, kept = {job.id for job in before}, {job.id for job in jobs}
    new, gone = [job for job in jobs if job.id not in known], [job for job in before if job.id not in kept]
    text = [f'{len(jobs)} population{"s" if len(jobs) > 1 else ""}, {sum(job.members for job in jobs)} members.']
    costs = [job.estimate for job in jobs if job.estimate]
    if costs:
        hours, most = sum(cost['seconds'] for cost in costs) / 3600, max(cost['gib'] for cost in costs)
        of_some = '' if len(costs) == len(jobs) else f' (of {len(costs)} whose model and data are known)'
        text.append(f'About {hours:.1f} h on two CPU cores, and {most:.2f} GiB for the largest{of_some}.')
    if before:
        text.append(f'As before: {len(jobs) - len(new)}, new: {len(new)}, gone: {len(gone)}.')
        text += [f'  new   {job.name}{_nearest(job, gone)}' for job in new]
        text += [f'  gone  {job.id}; what it left stays in {job.workdir}' for job in gone]
    return '\n'.join(text)


def _nearest(job: Job, gone: list[Job]) -> str:
    """How a new job differs from the most like it among those that went."""
    options = [(differences(old.config, job.config), old.id) for old in gone]
    if not options:
        return ''
    changed, old_id = min(options, key=lambda option: (len(option[0]), option[1]))
    return f'; {old_id} with {some(changed, SHOWN)}'
