"""How a population is run here: the strategy that is measured to be fastest, in waves if it does not fit the memory.

A wave is a part of the members that trains to its end before the next one begins.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.names import lookup
from imbalance_jax.system import cache, layout, limits, processes, records
from imbalance_jax.training import grid, supply
from imbalance_jax.training.member import State
from imbalance_jax.training.program import Experiment, Program, compile_members, parts, sample_order, train_steps

GIB = 2**30
STREAM = dict.fromkeys(('auto', 'always', 'never'))  # whether training images come to the devices part by part
SHARE = 0.9  # of the memory that is free, which is never quite all to be had
PART = 2  # a call of `explain` takes 1 / PART of an accelerator's memory
SECONDS = 1.0  # of training steps that a strategy is timed for, after its first step
HOPELESS = 1.5  # times the shortest step so far: a strategy that takes as long is timed no further


class Plan(NamedTuple):
    """A strategy; the members of each wave as (first, after the last); and what was measured.

    seconds: a training step of the population, by strategy, {} where there was no choice; bytes: on one device, for the
    largest wave; limit: the bytes there are; compile_seconds: of the chosen strategy's training steps; stream: the most
    steps whose images are on the devices at a time, 0 for all images; on_host: whether devices read the main memory.
    """

    strategy: str
    waves: list[list[int]]
    seconds: dict[str, float]
    bytes: int
    limit: int
    compile_seconds: float
    stream: int = 0
    on_host: bool = False


class Trials(NamedTuple):
    """fastest: the program of the strategy that fits and is fastest, or None if none fits; seconds: of a training step,
    by strategy that fits, 0 if it was the only one and is not timed; bytes: needed, by strategy that compiles; failed:
    what was raised, by strategy that compiles not or runs out of memory all the same."""

    fastest: Program | None
    seconds: dict[str, float]
    bytes: dict[str, int]
    failed: dict[str, Exception]


MEASURED = {'seconds': dict, 'bytes': int, 'limit': int, 'compile_seconds': records.NUMBER}
PLAN = {'strategy': str, 'waves': [[int]], **MEASURED}


def read(workdir: Path) -> Plan:
    """The plan that `workdir` was begun with, which a resume keeps, so that its numbers are the same to the bit."""
    return Plan(**records.read(Path(workdir) / layout.PLAN, PLAN, 'delete it, and run train again if it is not done'))


def make_plan(
    experiment: Experiment, wanted: str, memory_gib: float, *, update: Callable, stream: str = 'auto'
) -> tuple[Plan, Program | None]:
    """The plan for an experiment, and the program of its first wave if it is at hand.

    wanted: a strategy, or 'auto' to time the candidates for a few real steps and take the fastest that fits, or the one
    that was fastest here before. memory_gib: of one device; 0 for what is free. update: progress, of `progress.show`;
    stream: of `STREAM`. Raises ValueError if not even a single member per device fits.
    """
    limit = memory(memory_gib)
    experiment = experiment._replace(stream=stream_steps(experiment, stream, limit))
    key, known = conditions(experiment, memory_gib), None
    names = [wanted]
    if wanted == 'auto':
        known = cache.recall(key) if processes.leads() else None
        names = _candidates(experiment, known)
    fastest, seconds, needed, failed = _try_all(experiment, names, limit, update=update)
    if fastest is None and not needed:
        raise next(iter(failed.values()))
    names = [name for name in names if name in needed]
    if fastest is None:
        return _in_waves(experiment, min(names, key=lambda name: needed[name]), limit)
    strategy = fastest.place.strategy
    if len(names) > 1 and processes.leads():
        cache.remember(key, {'strategy': strategy, 'seconds': seconds})
    measured = seconds if len(names) > 1 else (known or {}).get('seconds', {})
    waves = [[0, len(experiment.members)]]
    plan = Plan(strategy, waves, measured, fastest.bytes, limit, fastest.compile_seconds)
    return with_supply(plan, experiment), fastest


def memory(memory_gib: float) -> int:
    """Bytes of one device that a population may take, the same in all processes; memory_gib: 0 for what is free."""
    return int((memory_gib or float(processes.agree(available() / GIB))) * GIB)


def needs_more(plan: Plan, limit: int) -> bool:
    """Whether a plan that fitted the memory where it was made needs more than the `limit` bytes that there are here."""
    return plan.bytes <= plan.limit and plan.bytes > limit


def bounds_of(first: int, last: int, largest: int) -> list[list[int]]:
    """The members from `first` on, before `last`, as waves of about equal size and at most `largest`."""
    waves = np.array_split(np.arange(first, last), -(-(last - first) // largest))
    return [[int(wave[0]), int(wave[-1]) + 1] for wave in waves]


def halved(count: int, limit: int) -> int:
    """Half as many members, at least one; ValueError where one is too many already."""
    if count == 1:
        raise ValueError(
            f'One member needs more than the {limit / GIB:.2f} GiB of a device. Take a smaller '
            'config.train.batch_size, image or model, or set config.population.memory_gib.'
        )
    return -(-count // 2)


def stream_steps(experiment: Experiment, wanted: str, limit: int) -> int:
    """The most steps whose images are on the devices at a time; 0 where all training images are.

    wanted: 'auto' streams images that would take more than half of the `limit` bytes of a device. All pools together
    take a quarter of them at most, unless that of a single step takes more.
    """
    lookup(STREAM, wanted, 'value of config.data.stream')
    resident = experiment.train.images.nbytes
    devices = jax.local_devices()
    shared = len(devices) if devices[0].platform == 'cpu' else 1
    if wanted == 'never' or (wanted == 'auto' and resident / shared <= limit / 2):
        return 0
    size, count = experiment.batch_size, experiment.train.size
    image = resident // count
    steps = min(experiment.steps_per_dispatch, experiment.steps_per_epoch)
    while steps > 1:
        pool = supply.pool_size(experiment.member_arrays, count, batch_size=size, steps=steps)
        if supply.POOLS * pool * image <= limit / 4:
            break
        steps //= 2
    return steps


def with_supply(plan: Plan, experiment: Experiment) -> Plan:
    """The plan, and how images reach the devices."""
    return plan._replace(stream=experiment.stream, on_host=jax.local_devices()[0].platform == 'cpu')


def _candidates(experiment: Experiment, known: dict | None) -> list[str]:
    """The strategies worth a try: the one that was fastest before, of which all processes agree, or else all."""
    count = len(experiment.members)
    on_features = experiment.described.get('features', False)
    names = grid.of_heads(count) if on_features else grid.candidates(count, experiment.batch_size)
    remembered = names.index(known['strategy']) if known and known['strategy'] in names else -1
    remembered = int(processes.agree(remembered))
    return names if remembered < 0 else [names[remembered]]


def _try_all(experiment: Experiment, names: list[str], limit: int, *, update: Callable) -> Trials:
    """Compiles all members under every strategy, and times what fits `limit` bytes if there is a choice.

    No more are tried once all training takes no longer, by the fastest so far, than to compile it took.
    """
    everyone, trials, several = np.arange(len(experiment.members)), Trials(None, {}, {}, {}), len(names) > 1
    for number, name in enumerate(names):
        if trials.fastest and processes.agree(_left_to_gain(trials, experiment) <= 0):
            update(len(names), len(names), 'the others would take longer to compile than to train')
            break
        try:
            program = compile_members(experiment, name, everyone)
            trials.bytes[name] = program.bytes
            fits, best = program.bytes <= limit, min(trials.seconds.values(), default=np.inf)
            seconds = measure(program, experiment, best) if fits and several else 0.0
            said = _describe(program, seconds if fits else None, limit)
        except jax.errors.JaxRuntimeError as error:
            if not several:
                raise
            trials.failed[name] = error
            fits, said = False, f'left out, as it failed: {str(error).splitlines()[0]}'
        if fits:
            trials.seconds[name] = seconds
            if seconds < best:
                trials = trials._replace(fastest=program)
        update(number + 1, len(names), f'{name}: {said}')
    return trials


def _left_to_gain(trials: Trials, experiment: Experiment) -> float:
    """Seconds of training by the fastest strategy beyond those that another takes to compile, if as long as this."""
    fastest: Any = trials.fastest
    return trials.seconds[fastest.place.strategy] * experiment.total_steps - fastest.compile_seconds


def _describe(program: Program, seconds: float | None, limit: int) -> str:
    needs = f'compiled in {program.compile_seconds:.1f} s, {program.bytes / GIB:.2f} GiB per device'
    if seconds is None:
        return f'{needs}, of which there are {limit / GIB:.2f}'
    return f'{needs}, {1000 * seconds:.1f} ms per step' if seconds else needs


def _in_waves(experiment: Experiment, strategy: str, limit: int) -> tuple[Plan, Program]:
    """Halves the number of members in the program until it fits."""
    count = largest = len(experiment.members)
    while True:
        largest = halved(largest, limit)
        bounds = bounds_of(0, count, largest)
        program = compile_members(experiment, strategy, np.arange(*bounds[0]))
        if program.bytes <= limit:
            plan = Plan(strategy, bounds, {}, program.bytes, limit, program.compile_seconds)
            return with_supply(plan, experiment), program


def describe(plan: Plan) -> str:
    """A plan in one sentence."""
    need, there = plan.bytes / GIB, plan.limit / GIB
    text = (
        f'Strategy {plan.strategy}, compiled in {plan.compile_seconds:.1f} s, {need:.2f} of {there:.2f} GiB per device'
    )
    if plan.stream:
        text += f'; images stream, those of {plan.stream} steps at a time'
    else:
        text += f'; images are {"read where they are prepared" if plan.on_host else "on the devices"}'
    if plan.seconds:
        others = ', '.join(f'{name} {1000 * seconds:.1f} ms' for name, seconds in plan.seconds.items())
        text += f'; measured, per step: {others}'
    if len(plan.waves) > 1:
        text += f'; {len(plan.waves)} waves of up to {max(stop - first for first, stop in plan.waves)} members'
    return f'{text}.'


def measure(program: Program, experiment: Experiment, best: float = np.inf) -> float:
    """Seconds that a training step of the program takes, the same in all processes.

    best: those of another program. One that is much slower is timed for fewer steps.
    """
    order = sample_order(program, experiment, 0)
    part = next(parts(program, experiment, order))

    def timed(state: State, steps: int) -> tuple[State, float]:
        begin = time.perf_counter()
        state, _ = train_steps(program, state, order, part.arrays, epoch_start=0, start=0, stop=steps)
        state = jax.block_until_ready(state)
        return state, float(processes.agree((time.perf_counter() - begin) / steps))

    state, first = timed(program.functions.init(program.members), 1)  # which may also wait for what it needs
    if first > 2 * HOPELESS * best:
        return first
    state, seconds = timed(state, 1)
    steps = int(np.clip(SECONDS / 2 / seconds, 1, part.stop))
    for _ in range(2):
        if seconds > HOPELESS * best:
            break
        state, again = timed(state, steps)
        seconds = min(seconds, again)
    return seconds


def conditions(experiment: Experiment, memory_gib: float) -> dict[str, Any]:
    """What the fastest strategy depends on."""
    devices = jax.devices()
    machine = {'device': devices[0].device_kind, 'devices': len(devices), 'cores': limits.cores(), 'gib': memory_gib}
    machine |= {'stream': experiment.stream}
    return {**experiment.described, **machine, 'members': len(experiment.members), 'jax': jax.__version__}


def available() -> int:
    """Bytes that are free on the device of this process that has the least."""
    devices = jax.local_devices()
    statistics = [device.memory_stats() for device in devices]
    if all(stats and 'bytes_limit' in stats for stats in statistics):
        return int(min(SHARE * (stats['bytes_limit'] - stats.get('bytes_in_use', 0)) for stats in statistics))
    return int(SHARE * limits.free_memory() / len(devices))
