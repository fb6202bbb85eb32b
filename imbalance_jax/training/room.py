"""Whether `explain` will have the room that it needs, said before training: what is trained can be explained."""

import math
from collections.abc import Mapping

import jax
import numpy as np

from imbalance_jax.training import autotune
from imbalance_jax.training.autotune import GIB
from imbalance_jax.training.needs import MIB, Devices, held_by, variables_bytes
from imbalance_jax.training.trained import Asked, Stage, Trained

SURE = 3  # a program that fits so many times by its trace is not compiled to know
SIMPLE = 64  # times the forward pass of an image: more than a map of it takes, steps and samples included


def check(population: Trained, stages: Mapping[str, Stage], devices: Devices) -> None:
    """Raises ValueError for the first stage that could not run one image of one member on such devices, or within
    `config.attribution.memory_mib`: what is trained can be explained. Nothing is compiled unless traces leave it in
    doubt."""
    lies, budget = variables_bytes(population, devices), int(population.config.attribution.memory_mib * MIB)
    shape = jax.ShapeDtypeStruct((1, *population.image_shape), np.uint8)
    forward = Asked('', lambda one, x: population.model.apply(one, population.normalise(x)), (shape,))
    room = devices.bytes - lies
    if SIMPLE * held_by(population, forward).beside * SURE < min(room, budget or room):
        return
    for name, stage in stages.items():
        for asked in stage.programs(population) if stage.programs else ():
            capped = bool(budget) and asked.fewer
            needed = _needed(population, asked, budget if capped else room, results=not capped)
            if capped and needed > budget:
                raise ValueError(
                    f'explain could not run the stage {name!r} afterwards: {asked.of} needs {needed / MIB:,.1f} MiB '
                    f'for one image of one member, and config.attribution.memory_mib is {budget / MIB:g}; what would '
                    f'fit: {math.ceil(1.1 * needed / MIB)}, or 0 for what the device has.'
                )
            if needed > room:
                raise ValueError(refused(population, name, asked, lies=lies, needed=needed, devices=devices))


def _needed(population: Trained, asked: Asked, allowed: int, *, results: bool) -> int:
    """Bytes of a program of one member, with its results or without: by its trace where that surely is allowed, else by
    XLA's own count."""
    held = held_by(population, asked)
    traced = held.beside + results * held.results
    if SURE * traced <= allowed:
        return traced
    beside, left = _compiled_bytes(population, asked)
    return beside + results * left


def _compiled_bytes(population: Trained, asked: Asked) -> tuple[int, int]:
    """What one member's program holds beside its arguments and results, and its results, by XLA's own count."""
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), population.one)
    analysis = jax.jit(asked.function).lower(one, *asked.arrays).compile().memory_analysis()
    return (analysis.temp_size_in_bytes, analysis.output_size_in_bytes) if analysis else (0, 0)


def refused(population: Trained, stage: str, asked: Asked, *, lies: int, needed: int, devices: Devices) -> str:
    """Why `explain` could not run on these devices, and what would fit, in one line."""
    per_member = lies / len(population.members)
    most = int((devices.bytes - needed) // per_member)
    fits = (
        f'at most {most} members'
        if most > 0
        else f'devices of {(lies + needed) / autotune.SHARE / GIB:.1f} GiB, or a smaller image or model'
    )
    return (
        f'explain could not run the stage {stage!r} afterwards: {asked.of} needs {needed / GIB:.2f} GiB at a time for '
        f"one member, beside {lies / GIB:.2f} of all members' weights, of {devices.bytes / GIB:.2f} GiB that a device "
        f'has; what would fit: {fits}.'
    )
