"""A sweep's verbs: plan, work, status, collect."""

import runpy
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ml_collections import ConfigDict

from imbalance_jax.sweep import collect, hyper, jobs, plan, populations
from imbalance_jax.sweep.plan import Job
from imbalance_jax.system import cluster, signals


def write_plan(config: ConfigDict, config_file: str, out: str | None, check: Callable[[dict], object]) -> None:
    """Writes `out`, one line per population of the config's `get_hyper`, and says what is new in it."""
    if not out:
        raise ValueError('--out is missing; give a file, such as --out=runs/sweep.jsonl.')
    get_hyper = runpy.run_path(config_file).get('get_hyper')
    found = populations.populations(config, get_hyper(hyper) if get_hyper else [{}])
    for plain in found:
        check(plain)
    print(plan.compared(*plan.write(out, found)))


def read_jobs(flags) -> list[Job]:
    """The populations of --plan, or those of them that --job or --shard names."""
    if not flags.plan:
        raise ValueError('--plan is missing; give what `imbalance-jax plan` wrote, such as --plan=runs/sweep.jsonl.')
    return plan.select(plan.read(flags.plan), flags.job, flags.shard)


def work(flags, program: list[str], stages: Mapping[str, Callable[[Job], None]]) -> int:
    """Does one population by `stages`, or every open one in a process of its own by `program`."""
    chosen = read_jobs(flags)
    signals.leave_when_asked(flags.grace if flags.job else 0.0)
    if flags.job:
        return jobs.do(chosen[0], stages, cluster.leads())
    # One process per population: its memory is free when it is done, and its end is not the others'.
    command = [*program, 'work', f'--plan={flags.plan}', f'--grace={flags.grace}']
    return jobs.work(chosen, lambda job: signals.run([*command, f'--job={job.id}']))


def status(flags) -> int:
    """Shows how the populations stand; 0 all done, 1 one failed, 75 not all done."""
    chosen = read_jobs(flags)
    text, code = jobs.table(chosen)
    if not flags.watch:
        print(text)
        return code
    from rich.live import Live
    from rich.text import Text

    with Live(Text(text)) as live:
        while any(jobs.standing(job).state == 'running' for job in chosen):
            time.sleep(2)
            text, code = jobs.table(chosen)
            live.update(Text(text))
    return code


def collect_tables(flags, write_report: Callable[[list[Job]], Path]) -> int:
    """The tables of all finished populations as one, and a report over them."""
    chosen = read_jobs(flags)
    done = [job for job in chosen if jobs.standing(job).state == 'done']
    for path in (*collect.write(done, flags.mixed), write_report(done)):
        print(path)
    if len(done) < len(chosen):
        print(f'{len(chosen) - len(done)} of {len(chosen)} populations are not done, and not in it.', file=sys.stderr)
    return 0 if len(done) == len(chosen) else 75
