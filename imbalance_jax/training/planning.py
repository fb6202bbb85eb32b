"""The plan of a working directory: made when training begins, kept, and carried on wherever it goes on."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.system import layout, processes, progress
from imbalance_jax.system.workdir import write_json
from imbalance_jax.training import autotune, placement, snapshot
from imbalance_jax.training.autotune import GIB
from imbalance_jax.training.program import Experiment, Program, compile_members

SAME_BYTES = (
    'Results are the same to rounding; for the same bytes, go on where there are as many devices of the same kind.'
)


def make_plan(
    workdir: Path, experiment: Experiment, setting: ConfigDict, stream: str
) -> tuple[autotune.Plan, Program | None]:
    """The plan of `workdir`, made now if there is none, and the first wave's program if making it left that behind.

    One that was made where there were other devices does not bind this machine; that it is not kept is said.
    """
    if processes.agree((workdir / layout.PLAN).exists()):
        kept = autotune.read(workdir)
        ended = snapshot.ended(kept, workdir, experiment.total_steps)
        if ended or not autotune.needs_more(kept, autotune.memory(setting.memory_gib)):
            return go_on(workdir, kept, experiment, setting, stream=stream, ended=ended), None
        processes.say(
            f'{workdir / layout.PLAN} was made where there was more memory, and nothing is saved: it is made anew.'
        )
    with progress.show('strategies') as update:
        plan, program = autotune.make_plan(
            experiment, setting.strategy, setting.memory_gib, update=update, stream=stream
        )
    write_json(workdir / layout.PLAN, plan._asdict())
    print(autotune.describe(plan), flush=True)
    return plan, program


def go_on(
    workdir: Path, kept: autotune.Plan, experiment: Experiment, setting: ConfigDict, *, stream: str, ended: list[bool]
) -> autotune.Plan:
    """A plan as it is carried on here; what is different here is said, and other waves are kept."""
    plan = carried_on(kept, experiment, setting.strategy, setting.memory_gib, stream=stream, ended=ended)
    if plan.waves != kept.waves:
        write_json(workdir / layout.PLAN, plan._asdict())
    if (plan.strategy, plan.waves) != (kept.strategy, kept.waves):
        waves = '' if plan.waves == kept.waves else f', in {len(plan.waves)} waves where it had {len(kept.waves)}'
        processes.say(
            f'{workdir / layout.PLAN} has the strategy {kept.strategy}, begun elsewhere or with another setting; '
            f'here it goes on with {plan.strategy}{waves}. {SAME_BYTES}'
        )
    return plan


def carried_on(
    plan: autotune.Plan,
    experiment: Experiment,
    wanted: str,
    memory_gib: float,
    *,
    stream: str = 'auto',
    ended: Sequence[bool] = (),
) -> autotune.Plan:
    """A plan that was kept, as it runs on the devices that there are now, by the settings of now.

    Waves that have a checkpoint stay; so do the others and the strategy, if they run here, fit the memory, and no other
    strategy is wanted. Images stream where they must. wanted, memory_gib, stream: as of `make_plan`; ended: of each
    wave that has a checkpoint, whether it is trained. Raises ValueError if what has begun does not fit, or a member.
    """
    limit = autotune.memory(memory_gib)
    strategy, less = placement.runnable(plan.strategy if wanted == 'auto' else wanted), autotune.needs_more(plan, limit)
    if less and wanted == 'auto':
        strategy = re.sub(r'vmap(:\d+)?$', 'map', strategy)  # which needs the memory of one member
    experiment = experiment._replace(stream=autotune.stream_steps(experiment, stream, limit))
    here = autotune.with_supply(plan._replace(strategy=strategy), experiment)
    return _refitted(here, experiment, limit, ended) if less else here


def _refitted(plan: autotune.Plan, experiment: Experiment, limit: int, ended: Sequence[bool]) -> autotune.Plan:
    """The plan with smaller waves where a wave that has not begun does not fit; ValueError for one that has begun."""
    begun, waves = len(ended), plan.waves
    if begun and not ended[-1]:
        needed = compile_members(experiment, plan.strategy, np.arange(*waves[begun - 1])).bytes
        if needed > limit:
            raise ValueError(
                f'Wave {begun} of {len(waves)} began where there was more memory: it needs {needed / GIB:.2f} GiB, and '
                f'there are {limit / GIB:.2f}. Go on where there is enough, set '
                'config.population.memory_gib if that is wrong, or train into another --workdir.'
            )
    if begun == len(waves):
        return plan
    first, last = waves[begun][0], waves[-1][1]
    largest = wanted = max(stop - start for start, stop in waves[begun:])
    while (program := compile_members(experiment, plan.strategy, np.arange(first, first + largest))).bytes > limit:
        largest = autotune.halved(largest, limit)
    if largest == wanted:
        return plan
    smaller = autotune.bounds_of(first, last, largest)
    return plan._replace(waves=[*waves[:begun], *smaller], bytes=program.bytes, limit=limit)
