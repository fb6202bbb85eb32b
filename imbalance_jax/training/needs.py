"""What a study will need of its devices, the host and the disk, stage by stage, before anything is trained.

Of every program that matters the trace is made, with shapes in the place of arrays (`system.liveness`): seconds, also
where compiling takes minutes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.system import liveness
from imbalance_jax.training import autotune, checkpoint, grid, placement, prediction, start, strategies, supply
from imbalance_jax.training.autotune import GIB
from imbalance_jax.training.members import member_arrays
from imbalance_jax.training.network import Network
from imbalance_jax.training.program import Experiment
from imbalance_jax.training.trained import SPLIT, Asked, Stage, Trained

MIB = 2**20
UNITS = {'MiB': MIB, 'GiB': GIB, 'MB': 10**6, 'GB': 10**9}


class Devices(NamedTuple):
    """So many devices with so many bytes each that a program may take."""

    number: int
    bytes: int


class Need(NamedTuple):
    """What a stage needs, bytes. device: at most, on each device; least: of that, if it takes as little at a time as it
    can; host: beside the data set; disk: what it leaves; programs: that are compiled, of those that matter; most: which
    of them needs `device`."""

    stage: str
    device: int
    least: int
    host: int
    disk: int
    programs: int
    most: str = ''


def devices_of(text: str) -> Devices:
    """Those of '80GiB' or '8x80GiB'; ValueError for another text."""
    match = re.fullmatch(r'(?:([1-9]\d*)x)?(\d+(?:\.\d+)?)(MiB|GiB|MB|GB)', text.strip())
    if not match or float(match[2]) <= 0:
        raise ValueError(f'--memory={text} is no memory: give that of one device, 80GiB, or of several, 8x80GiB.')
    return Devices(int(match[1] or 1), int(autotune.SHARE * float(match[2]) * UNITS[match[3]]))


def of_study(
    config: ConfigDict,
    experiment: Experiment,
    population: Trained,
    *,
    stages: Mapping[str, Stage],
    devices: Devices,
    pairs: int,
) -> list[Need]:
    """Training and every stage of `explain` that runs networks. population: of `shapes_of`; pairs: (image, finding)."""
    tested = len(population.dataset.rows(SPLIT))
    training = of_training(config, experiment, devices, tested=tested)
    return [training, *of_explain(population, stages, devices, pairs=pairs)]


def shapes_of(config: ConfigDict, dataset: Dataset, rows: Sequence[dict], untrained: Network) -> Trained:
    """A population that takes no memory, for `Stage.programs`; rows: of members.json."""
    one = jax.tree.map(lambda a: a[0], member_arrays(list(rows[:1]), own_order=True))
    shapes = jax.eval_shape(untrained.init, one)
    return Trained(
        config=config,
        members=list(rows),
        dataset=dataset,
        model=untrained.model,
        normalise=untrained.normalise,
        place=placement.place(len(rows), 'map', jax.local_devices()[:1]),
        variables=jax.tree.map(lambda a: np.broadcast_to(np.zeros((), a.dtype), (1, *a.shape)), shapes),
        alive=np.ones(len(rows), bool),
        everyone=_nothing,
        drawn=_nothing,
    )


def _nothing() -> Any:
    raise AssertionError('A population of shapes has no networks.')


def of_training(config: ConfigDict, experiment: Experiment, devices: Devices, *, tested: int) -> Need:
    """Training, in waves where all members at once do not fit; 'auto' as the strategy that needs the least.

    tested: images of the test split. On each device lie the state and the best variables of its members, what a step
    holds beside them, and images.
    """
    wanted = config.population.strategy
    parsed = strategies.parse('shard:map' if wanted == 'auto' else wanted)
    one = jax.tree.map(lambda a: a[0], experiment.member_arrays)
    state = jax.eval_shape(experiment.functions.init, one)
    lies, best = liveness.tree_bytes(state), liveness.tree_bytes(state.variables)
    step = step_bytes(experiment, state, one) // parsed.data
    images, count = _image_bytes(experiment, devices), len(experiment.members)

    def needed(members: int) -> int:
        rows = max(1, devices.number // parsed.data) if parsed.shard else 1
        queue = -(-members // rows)
        together = {'vmap': parsed.group or queue}.get(parsed.kind, 1)
        return queue * (lies + best) + min(together, queue) * step + images

    largest = count
    while largest > 1 and needed(largest) > devices.bytes:
        largest = -(-largest // 2)
    waves = -(-count // largest)
    kept = count * (lies + best)
    logits = 4 * count * (experiment.validation.size + tested) * experiment.validation.labels.shape[-1]
    return Need(
        stage='train' if waves == 1 else f'train, {waves} waves',
        device=needed(largest),
        least=needed(1),
        host=2 * -(-kept // waves),  # a checkpoint, and what is being written of it
        disk=(checkpoint.KEEP + 1) * kept + logits,
        programs=len(experiment.functions),
        most=f'a step of {experiment.batch_size} images',
    )


def step_bytes(experiment: Experiment, state: Any, one: Any) -> int:
    """What a step of one member holds beside its state and the images."""
    shape = jax.ShapeDtypeStruct
    train = experiment.train
    arrays = [shape(np.shape(array), np.dtype(array.dtype)) for array in (train.images, train.labels, train.label_mask)]
    order = shape((experiment.steps_per_epoch, experiment.batch_size), np.int32)
    of_steps = type(train)(*arrays)

    def step(state: Any, member: Any, order: Any, arrays: Any) -> Any:
        return experiment.functions.train_steps((state, member, order), arrays, 0, 0, 1)

    kernels = liveness.tree_bytes(state.variables)  # which XLA may lay anew for the gradient
    return liveness.held(step, state, one, order, of_steps).beside + kernels


def _image_bytes(experiment: Experiment, devices: Devices) -> int:
    """Images on a device: of training, all or those that stream; of validation, those of two groups of batches."""
    train, validation = experiment.train.images, experiment.validation.images
    image = int(np.prod(train.shape[1:])) * train.dtype.itemsize
    resident = len(train) * image
    if resident > devices.bytes / 2:
        steps = autotune.stream_steps(experiment, 'auto', devices.bytes) or experiment.steps_per_dispatch
        sizes = {'batch_size': experiment.batch_size, 'steps': steps}
        resident = supply.POOLS * image * supply.pool_size(experiment.member_arrays, len(train), **sizes)
    return resident + 2 * min(prediction.BATCHES * experiment.eval_batch_size, len(validation)) * image


def of_explain(population: Trained, stages: Mapping[str, Stage], devices: Devices, *, pairs: int) -> Iterator[Need]:
    """Every stage that has programs. On each device lie the variables of its members and, on another grid of devices,
    those of the members and of the networks that they began as."""
    lies, limit = variables_bytes(population, devices), _at_a_time(population.config, devices)
    own, count = liveness.tree_bytes(population.one), len(population.members)
    for name, stage in stages.items():
        asked = list(stage.programs(population)) if stage.programs else []
        if not asked:
            continue
        held = [held_by(population, one) for one in asked]
        alone = [lies + one.beside + one.results + one.arguments - own for one in held]
        usual = [
            max(least, lies + min(limit + limit // 4, pairs * (least - lies))) if one.fewer else least
            for least, one in zip(alone, asked, strict=True)
        ]
        worst = int(np.argmax(alone))
        results = max([0, *(one.results for one, program in zip(held, asked, strict=True) if not program.fewer)])
        yield Need(
            stage=name,
            device=max(usual),
            least=alone[worst],
            host=2 * count * (own + results),
            disk=_left(population, asked, pairs),
            programs=len(asked),
            most=asked[worst].of,
        )


def variables_bytes(population: Trained, devices: Devices) -> int:
    """Variables on each device while `explain` runs."""
    own, count = liveness.tree_bytes(population.one), len(population.members)
    every = count + len(start.began_as(population.members)[0])
    shares = grid.spare_sharing(count, devices.number), grid.best_sharing(every, devices.number)
    queues = [-(-n // (devices.number // share)) for n, share in zip((count, every), shares, strict=True)]
    return sum(queues) * own


def _at_a_time(config: ConfigDict, devices: Devices) -> int:
    """Bytes that `explain` takes at a time, as of `explain.budget.budget` on an accelerator."""
    return int(config.attribution.memory_mib * MIB) or devices.bytes // autotune.PART


def held_by(population: Trained, asked: Asked) -> liveness.Held:
    """What a program holds of one member, whose kernels XLA may lay anew for the gradient."""
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), population.one)
    held = liveness.held(asked.function, one, *asked.arrays)
    return held._replace(beside=held.beside + liveness.tree_bytes(one))


def _left(population: Trained, asked: Sequence[Asked], pairs: int) -> int:
    """Bytes that a stage leaves in `explain/`, roughly: a few figures of each pair and member for each program, or for
    activations a few numbers of each unit and concept."""
    count, figures = len(population.members), len(population.config.attribution.metrics) + 6
    if any(one.fewer for one in asked):
        return 4 * len(asked) * 3 * count * figures * pairs
    shape = jax.eval_shape(asked[0].function, population.one, *asked[0].arrays)
    units = sum(leaf.shape[-1] for leaf in jax.tree.leaves(shape))
    return 8 * count * units * 8 * len(population.dataset.concepts)
