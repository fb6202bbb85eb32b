"""What a call of `explain` may hold on a device, and the program that stays within it.

A program takes as many examples at a time as fit; where not even one fits under the strategy of the population, it
takes fewer members at a time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from imbalance_jax.attribution import all_classes
from imbalance_jax.system import limits, processes
from imbalance_jax.training import autotune
from imbalance_jax.training.placement import MEMBER, Placement

MIB = all_classes.MIB
ON_CPU = 512 * MIB  # larger programs are no faster there
OF_HOST = 4  # a call takes no more than 1 / OF_HOST of what a host has free

Program = Callable[[Callable, int, int], Any]  # (mapper over members, examples at a time, their number) -> a jitted one


class Budget(NamedTuple):
    """Bytes of one device beside arguments and results: as many as a call takes, and those of which not even a single
    example may need more."""

    wanted: int
    most: int


def budget(memory_mib: float) -> Budget:
    """That of `config.attribution.memory_mib`, in MiB; of 0, what the device has.

    An accelerator always gives the same figure, and a CPU one of few, so that programs, and what they round, do not
    change from run to run. Processes that work as one take what the one with the least has.
    """
    if memory_mib:
        return Budget(int(memory_mib * MIB), int(memory_mib * MIB))
    devices = jax.local_devices()
    if devices[0].platform == 'cpu':
        wanted = ON_CPU
        while wanted > MIB and wanted > limits.free_memory() // (OF_HOST * len(devices)):
            wanted //= 2
    else:
        wanted = min((device.memory_stats() or {}).get('bytes_limit', autotune.PART * ON_CPU) for device in devices)
        wanted //= autotune.PART
    wanted = processes.least_of(wanted)
    return Budget(wanted, max(wanted, processes.least_of(autotune.available())))


def chunked(fn: Callable) -> Program:
    """`program(mapper, size, n)` of `fn(member, *arrays [n,...])`, for `compile_within`."""

    def program(mapper: Callable, size: int, count: int) -> Any:
        mapped: Any = mapper(fn)
        return mapped if size == count else jax.jit(all_classes.in_chunks(mapped, size))

    return program


def compile_within(
    program: Program,
    place: Placement,
    members: Any,
    arrays: tuple[Any, ...],
    *,
    memory_mib: float,
    count: int | None = None,
    lie: Any = MEMBER,
) -> jax.stages.Compiled:
    """The compiled `program(mapper, size, n)(members, *arrays [n,...])`, which takes `size` of the n examples at a
    time, the largest that stays within the budget on each device. Devices that share examples have a part of n each.

    memory_mib: of `budget`; count: n, if arrays are not as many; lie: how members lie, as of `Placement.split`. Where
    one example needs more, members are taken in smaller groups, as far as that helps; ValueError if one example of one
    member still needs more than there is.
    """
    number = -(-(len(arrays[0]) if count is None else count) // place.shares)
    allowed = budget(memory_mib)
    places = list(place.narrower())
    for narrower in places:

        def compiled(size: int, narrower: Placement = narrower) -> Any:
            split = narrower.split(lambda mapper: program(mapper, size, number), lie)
            return split.lower(members, *arrays).compile()

        fitted = all_classes.shrunk(compiled, number, allowed.wanted)
        if fitted.bytes <= allowed.wanted or (narrower is places[-1] and fitted.bytes <= allowed.most):
            return fitted.call
    raise ValueError(
        f'One image needs {fitted.bytes:,} bytes, and the memory budget is {allowed.most:,} '
        '(config.attribution.memory_mib, in MiB; 0: what the device has).'
    )
