"""How a population is run here: the strategy that is measured to be fastest, in waves if it does not fit the memory."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from imbalance_jax.system import cache, processes
from imbalance_jax.system.files import read_json
from imbalance_jax.training import placement
from imbalance_jax.training.program import Crew, Run, enlist, order_of, train_steps

GIB = 2**30
PLAN = 'plan.json'
SHARE = 0.9  # of the memory that is free, which is never quite all to be had
SECONDS = 1.0  # of training steps that a strategy is timed for, after its first step


class Plan(NamedTuple):
    """A strategy; the members of each wave as (first, after the last); and what was measured.

    seconds: a training step of the population, by strategy, {} where there was no choice; bytes: on one device, for the
    largest wave; limit: the bytes there are; compile_seconds: of the chosen strategy's training steps.
    """

    strategy: str
    waves: list[list[int]]
    seconds: dict[str, float]
    bytes: int
    limit: int
    compile_seconds: float


def make(run: Run, wanted: str, memory_gib: float, update: Callable) -> tuple[Plan, Crew | None]:
    """The plan for a run, and the crew of its first wave if it is at hand.

    wanted: a strategy, or 'auto' to time the candidates for a few real steps and take the fastest that fits, or the one
    that was fastest here before. memory_gib: of one device; 0 for what is free. update: progress, of `progress.show`.
    Raises ValueError if not even a single member a device fits.
    """
    limit = int((memory_gib or float(processes.agree(available() / GIB))) * GIB)
    everyone, question = np.arange(len(run.rows)), ask(run, memory_gib)
    names, known = [wanted], None
    if wanted == 'auto':
        known = cache.recall(question) if processes.leads() else None
        names = placement.candidates(len(run.rows), run.train_batch_size)
        told = processes.agree(names.index(known['strategy']) if known and known['strategy'] in names else -1)
        names = names if told < 0 else [names[int(told)]]
    best, bytes_of, seconds = None, {}, {}
    for number, name in enumerate(names):
        crew = enlist(run, name, everyone)
        bytes_of[name] = crew.bytes
        if crew.bytes <= limit:
            seconds[name] = measure(crew, run) if len(names) > 1 else 0.0
            best = crew if best is None or seconds[name] < seconds[best.place.strategy] else best
        update(number + 1, len(names), f'{name}: {_told(crew, seconds.get(name), limit)}')
    if best is None:
        return _in_waves(run, min(bytes_of, key=bytes_of.get), limit)
    if len(names) > 1 and processes.leads():
        cache.remember(question, {'strategy': best.place.strategy, 'seconds': seconds})
    measured = seconds if len(names) > 1 else (known or {}).get('seconds', {})
    strategy = best.place.strategy
    return Plan(strategy, [[0, len(everyone)]], measured, best.bytes, limit, best.compile_seconds), best


def read(workdir: Path) -> Plan:
    """The plan that `workdir` was begun with, which a resume keeps, so that its numbers are the same to the bit."""
    return Plan(**read_json(Path(workdir) / PLAN))


def describe(plan: Plan) -> str:
    """A plan in one sentence."""
    need, there = plan.bytes / GIB, plan.limit / GIB
    text = f'Strategy {plan.strategy}, compiled in {plan.compile_seconds:.1f} s, {need:.2f} of {there:.2f} GiB a device'
    if plan.seconds:
        others = ', '.join(f'{name} {1000 * seconds:.1f} ms' for name, seconds in plan.seconds.items())
        text += f'; measured, a step: {others}'
    if len(plan.waves) > 1:
        text += f'; {len(plan.waves)} waves of up to {max(stop - first for first, stop in plan.waves)} members'
    return f'{text}.'


def _told(crew: Crew, seconds: float | None, limit: int) -> str:
    needs = f'compiled in {crew.compile_seconds:.1f} s, {crew.bytes / GIB:.2f} GiB a device'
    if seconds is None:
        return f'{needs}, of which there are {limit / GIB:.2f}'
    return f'{needs}, {1000 * seconds:.1f} ms a step' if seconds else needs


def _in_waves(run: Run, strategy: str, limit: int) -> tuple[Plan, Crew]:
    """Halves the number of members in the program until it fits."""
    count = most = len(run.rows)
    while True:
        if most == 1:
            raise ValueError(
                f'One member needs more than the {limit / GIB:.2f} GiB of a device. Take a smaller '
                'config.train.batch_size, image or model, or set config.population.memory_gib.'
            )
        most = -(-most // 2)
        parts = np.array_split(np.arange(count), -(-count // most))
        crew = enlist(run, strategy, parts[0])
        if crew.bytes <= limit:
            waves = [[int(part[0]), int(part[-1]) + 1] for part in parts]
            return Plan(strategy, waves, {}, crew.bytes, limit, crew.compile_seconds), crew


def measure(crew: Crew, run: Run) -> float:
    """Seconds that a training step of the crew takes, the same in all processes."""
    state, order = crew.all.init(crew.members), order_of(crew, run, 0)

    def timed(state, steps: int):
        begin = time.perf_counter()
        state = jax.block_until_ready(train_steps(crew, state, order, 0, 0, steps)[0])
        return state, (time.perf_counter() - begin) / steps

    state, _ = timed(state, 1)
    state, once = timed(state, 1)
    steps = int(processes.agree(np.clip(SECONDS / 2 / once, 1, min(run.chunk, run.steps))))
    best = once
    for _ in range(2):
        state, seconds = timed(state, steps)
        best = min(best, seconds)
    return float(processes.agree(best))


def ask(run: Run, memory_gib: float) -> dict:
    """What the fastest strategy depends on."""
    devices = jax.devices()
    here = {'device': devices[0].device_kind, 'devices': len(devices), 'cores': os.cpu_count(), 'gib': memory_gib}
    return {**run.described, **here, 'members': len(run.rows), 'jax': jax.__version__}


def available() -> int:
    """Bytes that are free on the device of this process that has the least."""
    devices = jax.local_devices()
    found = [device.memory_stats() for device in devices]
    if all(stats and 'bytes_limit' in stats for stats in found):
        return int(min(SHARE * (stats['bytes_limit'] - stats.get('bytes_in_use', 0)) for stats in found))
    return int(SHARE * _host_memory() / len(devices))


def _host_memory() -> int:
    """Free bytes of the main memory, or of this process's share of it in a container."""
    free = [os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')]
    try:
        lines = dict(line.split(':', 1) for line in Path('/proc/meminfo').read_text().splitlines())
        free.append(int(lines['MemAvailable'].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    try:
        group = Path('/sys/fs/cgroup')
        free.append(int((group / 'memory.max').read_text()) - int((group / 'memory.current').read_text()))
    except (OSError, ValueError):  # no container, or no limit in it
        pass
    return min(free)
