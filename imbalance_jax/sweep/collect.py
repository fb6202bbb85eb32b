"""The tables of all populations of a plan as one, with what tells them apart in front, and what made them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from imbalance_jax.names import some
from imbalance_jax.sweep.plan import Job
from imbalance_jax.system import layout, manifest, records
from imbalance_jax.system.files import dumps, flatten
from imbalance_jax.system.provenance import SOFTWARE
from imbalance_jax.system.workdir import atomic, read_table, write_text

SHOWN = 3  # populations or files in a message
UNITS = 'units'  # a row per unit and concept: too many to stand among the others


def write(jobs: list[Job], mixed: bool = False) -> list[Path]:
    """Writes results.csv and .parquet, and units.parquet if there are any, beside the populations of `jobs`.

    The columns are job, id, the fields in which the populations differ, table, and those of all tables, empty where a
    table lacks one. Equal results give equal bytes, whoever made them, and when. Raises ValueError without a finished
    job and, unless `mixed`, if different versions of the software made them, naming each.
    """
    if not jobs:
        raise ValueError('No population of this plan is done: there is nothing to collect. See `imbalance-jax status`.')
    if not mixed:
        check_software(jobs)
    if said := of_accepted(jobs):
        print(said, flush=True)
    folder, names = jobs[0].folder, sorted({path.stem for job in jobs for path in _tables(job)})
    whole = gather(jobs, [name for name in names if name != UNITS])
    _write_parquet(folder / 'results.parquet', whole)
    write_text(folder / 'results.csv', whole.to_csv(index=False))
    written = [folder / 'results.csv', folder / 'results.parquet']
    if UNITS in names:
        _write_parquet(folder / 'units.parquet', gather(jobs, [UNITS]))
        written.append(folder / 'units.parquet')
    return written


def of_accepted(jobs: Sequence[Job]) -> str:
    """What to say of populations some of whose files were accepted as they are (`imbalance-jax accept`), '' of none."""
    accepted = {job.id: records.accepted(job.workdir) for job in jobs}
    changed = [f'{name} ({some(files, SHOWN)})' for name, files in accepted.items() if files]
    what = 'hold files that were changed by hand or damaged and were accepted as they are'
    return f'{len(changed)} of {len(jobs)} populations {what}: {some(changed, SHOWN)}.' if changed else ''


def gather(jobs: list[Job], names: list[str]) -> pd.DataFrame:
    """The tables of those names of all jobs, one below the other."""
    parts = []
    for job in jobs:
        differs = {field: dumps(value) for field, value in job.differs.items()}
        there = {path.stem for path in _tables(job)}
        for name in names:
            if name in there:
                table = read_table(job.workdir, name)
                front = pd.DataFrame({'job': job.number, 'id': job.id, **differs, 'table': name}, index=table.index)
                parts.append(pd.concat([front, table], axis=1))
    types = {column: dtype for part in parts for column, dtype in part.dtypes.items()}
    texts = {column: '' for column, dtype in types.items() if pd.api.types.is_string_dtype(dtype)}
    return pd.concat(parts, ignore_index=True).fillna(texts).astype(types)


def check_software(jobs: list[Job]) -> None:
    """Raises ValueError, naming what differs, unless one state of the software did all of every stage of all jobs."""
    done_by: dict[str, list[str]] = {}
    for job in jobs:
        for stage, record in records.provenance(job.workdir).items():
            for facts in (record, *record.get('before', [])):
                state = dumps({name: facts.get(name) for name in SOFTWARE})
                done_by.setdefault(state, []).append(f'{stage} of {job.id}')
    if len(done_by) > 1:
        states = [flatten(json.loads(state)) for state in done_by]
        differ = [name for name in sorted(set().union(*states)) if len({state.get(name) for state in states}) > 1]
        pairs = zip(states, done_by.values(), strict=True)
        shown = [f'{stages[0]} and {len(stages) - 1} more: {_part(state, differ)}' for state, stages in pairs]
        raise ValueError(
            f'{len(done_by)} states of the software made these results. Collect them with --mixed, or do the older '
            'ones again (delete their folders):' + ''.join(f'\n  {line}' for line in shown)
        )


def _part(state: dict, names: list[str]) -> str:
    return ', '.join(f'{name} {state.get(name)}' for name in names)


def _tables(job: Job) -> list[Path]:
    """The tables of a job, but for those that somebody else has put there."""
    there, known = (job.workdir / layout.RESULTS).glob('*.parquet'), manifest.read(job.workdir)
    return [path for path in there if known is None or f'{layout.RESULTS}/{path.name}' in known]


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    atomic(path, lambda file: table.to_parquet(file, index=False))
