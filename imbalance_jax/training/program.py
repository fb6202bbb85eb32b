"""A population as plain objects, and the program that trains some of its members: placed on devices, and compiled."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.data.arrays import Arrays
from imbalance_jax.training import placement, prediction, supply
from imbalance_jax.training.kept import Kept
from imbalance_jax.training.member import State
from imbalance_jax.training.members import Member
from imbalance_jax.training.placement import Placement
from imbalance_jax.training.resampling import Draws
from imbalance_jax.training.supply import Part


class Functions(NamedTuple):
    """What training does with one member and, once placed, with all members [P] of a program."""

    init: Callable  # (member) -> state
    sample_order: Callable  # (member, what is drawn from, epoch) -> rows of the training split [steps,B]
    train_steps: Any  # (state, member, sample order), arrays, epoch_start, start, stop -> state, its counters
    keep_best: Callable  # (best, variables, improved) -> best
    predict: Callable  # variables, images [n,B,H,W,C] -> logits [n,B,K]
    evaluate: Callable  # logits, [n,B,K] each, labels [N,K], label_mask [N,K] -> AUROC [K], precision [K]


class Experiment(NamedTuple):
    """A population to be trained, in plain objects; nothing is on a device and nothing is compiled.

    functions: of one member; begin: (states [Q,...] of members drawn by their seeds, their rows) -> the states that
    training begins with, on the host; members: the rows of members.json; member_arrays: the same as arrays [P]; train,
    validation: the splits; draws: epoch -> what its order is drawn from; steps_per_dispatch: steps that run as one
    program, between two looks at the signals; batch_size: of training; eval_batch_size: of predictions; patience:
    epochs without a better validation AUROC until a member stops, 0 for never; kept: which weights are kept beside each
    member's best; save_seconds: between two checkpoints within an epoch; stream: the most steps whose images are on the
    devices at a time, 0 for all images; described: what the compiled programs and their speed depend on, as plain data.
    """

    functions: Functions
    begin: Callable[[State, list[dict]], State]
    members: list[dict]
    member_arrays: Member
    train: Arrays
    validation: Arrays
    draws: Callable[[int], Draws]
    epochs: int
    steps_per_epoch: int
    steps_per_dispatch: int
    batch_size: int
    eval_batch_size: int
    patience: int
    kept: Kept
    save_seconds: float
    described: dict[str, Any]
    stream: int = 0

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch


class Program(NamedTuple):
    """Some members of an experiment, on their devices, with what runs them.

    indices [Q]: their places among those of the experiment; members, validation (labels [N,K], label_mask [N,K]): on
    the devices; train: as `supply.place_arrays` places it; functions: of all Q members, the training steps compiled;
    bytes: at most on one device, by XLA's count of the training program plus what lies beside it; flops: of a step of
    one member, by XLA's count, 0 where it has none.
    """

    indices: np.ndarray
    place: Placement
    members: Member
    train: Arrays
    validation: tuple[jax.Array, jax.Array]
    functions: Functions
    compile_seconds: float
    bytes: int
    flops: float = 0.0


def compile_members(experiment: Experiment, strategy: str, indices: np.ndarray) -> Program:
    """Places the members `indices` of an experiment on devices and compiles their training steps."""
    place = placement.place(len(indices), strategy)
    members = place.members(jax.tree.map(lambda a: a[indices], experiment.member_arrays))
    train = supply.place_arrays(place, experiment.train, _pool(experiment, indices))
    validation = place.shared((experiment.validation.labels, experiment.validation.label_mask))
    one = experiment.functions._asdict()
    functions = Functions(**{name: place.map(fn, donate=name == 'train_steps') for name, fn in one.items()})
    state = jax.eval_shape(functions.init, members)
    order = place.spread(functions.sample_order(members, place.shared(experiment.draws(0)), 0))
    begin = time.perf_counter()
    lowered = functions.train_steps.lower((place.like(state),), (members, order), train, *map(np.int32, (0, 0, 1)))
    steps = lowered.compile()
    seconds = time.perf_counter() - begin
    beside = _bytes(state.variables) // place.padded * place.queue + _image_bytes(experiment, place, train)
    return Program(
        indices=indices,
        place=place,
        members=members,
        train=train,
        validation=validation,
        functions=functions._replace(train_steps=steps),
        compile_seconds=seconds,
        bytes=_needed_bytes(steps) + beside,
        flops=_flops(steps, place),
    )


def _flops(steps: Any, place: Placement) -> float:
    """Operations of a step of one member. XLA counts those of one device, and of a loop those of one turn."""
    counted = steps.cost_analysis()
    counted = counted[0] if isinstance(counted, (list, tuple)) and counted else counted
    return float((counted or {}).get('flops', 0.0)) * place.shares / place.in_a_turn


def _pool(experiment: Experiment, indices: np.ndarray) -> int:
    """Images in the pool of the members `indices`; 0 if none stream."""
    members = jax.tree.map(lambda a: a[indices], experiment.member_arrays)
    count, size = experiment.train.size, experiment.batch_size
    return experiment.stream and supply.pool_size(members, count, batch_size=size, steps=experiment.stream)


def _image_bytes(experiment: Experiment, place: Placement, train: Arrays) -> int:
    """Bytes of images on one device beside the arguments of the training steps, less those that devices share."""
    validation, images = experiment.validation.images, experiment.train.images
    image = int(np.prod(images.shape[1:])) * images.dtype.itemsize
    predicted = 2 * min(prediction.BATCHES * experiment.eval_batch_size, len(validation)) * image
    if isinstance(train.images, jax.ShapeDtypeStruct):
        return predicted + (supply.POOLS - 1) * len(train.images) * image
    shared = len(place.mesh.local_devices) if supply.on_host(place) else 1
    return predicted - _bytes(train.images) * (shared - 1) // shared


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _needed_bytes(compiled: Any) -> int:
    """Bytes that a program occupies on each of its devices, with its arguments and results."""
    m = compiled.memory_analysis()
    return m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes + m.temp_size_in_bytes


def sample_order(program: Program, experiment: Experiment, epoch: int) -> jax.Array:
    """Which examples every member meets in an epoch, counted from 0, step by step [P,steps,B]."""
    place = program.place
    drawn = place.shared(experiment.draws(epoch))
    return place.spread(program.functions.sample_order(program.members, drawn, epoch))


def parts(program: Program, experiment: Experiment, order: jax.Array, first: int = 0) -> Iterator[Part]:
    """An epoch from its step `first` on, as so many steps at a time as are one dispatch, with their images."""
    stop, steps = experiment.steps_per_epoch, experiment.steps_per_dispatch
    steps = min(steps, experiment.stream or steps)
    starts = range(first, stop, steps)
    place, train = program.place, experiment.train
    return supply.parts(place, train, program.train, order=order, starts=starts, stop=stop, steps=steps)


def train_steps(
    program: Program, state: State, order: jax.Array, arrays: Arrays, *, epoch_start: int, start: int, stop: int
) -> tuple[State, dict[str, jax.Array]]:
    """Runs steps `start` .. `stop` - 1 of an epoch, on the arrays of their part; `state` is gone afterwards.

    Returns the new state, and its counters `alive` and `loss_sum` [P], which outlive it.
    """
    bounds = map(np.int32, (epoch_start, start, stop))
    return program.functions.train_steps((state,), (program.members, order), arrays, *bounds)
