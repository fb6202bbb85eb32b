"""A sweep's verbs: plan, work, status, collect."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ml_collections import ConfigDict

from imbalance_jax.config.fields import OptionsOf
from imbalance_jax.sweep import hyper, jobs, plan, populations, power
from imbalance_jax.sweep.plan import Job
from imbalance_jax.system import cluster, signals


def write_plan(
    config: ConfigDict,
    points: Iterable[hyper.Point],
    out: str | None,
    *,
    check: Callable[[dict], object],
    options: OptionsOf,
    pilot: str | None = None,
) -> None:
    """Writes `out`, one line per population of a config at these points, each checked; says what is new in it, and the
    smallest difference that its populations can show, by the variances of a finished working directory `pilot`."""
    if not out:
        raise ValueError('--out is missing; give a file, such as --out=runs/sweep.jsonl.')
    configs = populations.populations(config, points, options)
    for plain in configs:
        check(plain)
    shown = power.lines(configs, Path(pilot) if pilot else None)
    print(plan.compared(*plan.write(Path(out), configs)))
    if shown:
        print(shown)


def read_jobs(flags: Namespace) -> tuple[list[Job], int]:
    """The populations of --plan, or those of them that --job or --shard names; and 2 where a line of the plan is not
    what was written, which is said and holds up no other, else 0."""
    if not flags.plan:
        raise ValueError('--plan is missing; give what `imbalance-jax plan` wrote, such as --plan=runs/sweep.jsonl.')
    whole, faults = plan.examine(Path(flags.plan))
    for fault in faults:
        print(f'error: {fault}', file=sys.stderr)
    return plan.select(whole, job=flags.job or '', shard=flags.shard or ''), 2 if faults else 0


def work(flags: Namespace, program: list[str], stages: Mapping[str, Callable[[Job], None]]) -> int:
    """Does one population by `stages`, or every open one in a process of its own by `program`."""
    chosen, damaged = read_jobs(flags)
    signals.leave_when_asked(flags.grace if flags.job else 0.0)
    if flags.job:
        return jobs.do(chosen[0], stages, leads=cluster.leads())  # a line of another job is no fault of this one
    # One process per population: its memory is free when it is done, and its end is not the others'.
    command = [*program, 'work', f'--plan={flags.plan}', f'--grace={flags.grace}']
    return jobs.work(chosen, lambda job: signals.run([*command, f'--job={job.id}'])) or damaged


def status(flags: Namespace) -> int:
    """Shows how the populations stand; 0 all done, 1 one failed, 2 a line of the plan is damaged, 75 not all done."""
    chosen, damaged = read_jobs(flags)
    text, code = jobs.table(chosen)
    if not flags.watch:
        print(text)
        return damaged or code
    from rich.live import Live
    from rich.text import Text

    with Live(Text(text)) as live:
        while any(jobs.standing(job).state == 'running' for job in chosen):
            time.sleep(2)
            text, code = jobs.table(chosen)
            live.update(Text(text))
    return damaged or code


def collect_tables(flags: Namespace, write_report: Callable[[list[Job]], Path]) -> int:
    """The tables of all finished populations as one, and a report over them."""
    from imbalance_jax.sweep import collect

    chosen, damaged = read_jobs(flags)
    stood = [(job, jobs.standing(job, thorough=True)) for job in chosen]
    done = [job for job, now in stood if now.state == 'done']
    if chosen and not done:
        which = 'that were asked for' if flags.job or flags.shard else 'of this plan'
        raise ValueError(f'Of {len(chosen)} populations {which} none is done. See `imbalance-jax status`.')
    for path in (*collect.write(done, flags.mixed), write_report(done)):
        print(path)
    if flags.job or flags.shard:
        print(
            f'{len(chosen)} of the populations of {flags.plan}, as was asked: the others are not in it.',
            file=sys.stderr,
        )
    for job, now in stood:
        if now.state == 'resumable':
            print(f'{job.name}: {now.note}', file=sys.stderr)
    if len(done) < len(chosen):
        print(f'{len(chosen) - len(done)} of {len(chosen)} populations are not done, and not in it.', file=sys.stderr)
    return damaged or (0 if len(done) == len(chosen) else 75)
