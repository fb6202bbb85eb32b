"""The members that are in the program now: where they live, and the functions that run all of them."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.data.arrays import Arrays, full_batches
from imbalance_jax.training import placement
from imbalance_jax.training.members import Member
from imbalance_jax.training.placement import Placement

BATCHES = 32


class Functions(NamedTuple):
    """What a run does with one member, and, once placed, with all members [P] of a crew."""

    init: Callable  # (member) -> state
    draw: Callable  # (member, distributions, epoch) -> order [steps,B]
    steps: Callable  # (state, member, order), arrays, epoch_start, start, stop -> state, its numbers of now
    keep: Callable  # (best, variables, improved) -> best
    predict: Callable  # variables, images [n,B,H,W,C] -> logits [n,B,K]
    evaluate: Callable  # variables, images [n,B,H,W,C], labels [N,K], label_mask [N,K] -> AUROC [K], precision [K]


class Run(NamedTuple):
    """A population to be trained, in plain objects; nothing is on a device and nothing is compiled.

    one: the functions of one member; rows: the members as in `members.json`; numbers: the same as arrays [P];
    distributions: epoch -> cumulative sampling weights [samplers,N]; steps: batches an epoch; chunk: steps a
    dispatch; batch_size: of evaluation; patience: epochs without a better validation AUROC until a member stops, 0
    for never; model and normalise: what the functions are made of, for whoever explains the members; described: what
    the compiled programs depend on, as plain data.
    """

    model: Any
    normalise: Callable
    one: Functions
    rows: list[dict]
    numbers: Member
    arrays: Arrays
    validation: Arrays
    distributions: Callable
    epochs: int
    steps: int
    chunk: int
    batch_size: int
    train_batch_size: int
    patience: int
    save_seconds: float
    described: dict


class Crew(NamedTuple):
    """Members at work. `index` [Q]: their places among those of the run; `bytes`: at most on one device, by XLA's count
    of the training program plus what lies beside it."""

    index: np.ndarray
    place: Placement
    members: Member
    arrays: Arrays
    validation: tuple
    all: Functions
    compile_seconds: float
    bytes: int


def enlist(run: Run, strategy: str, index: np.ndarray) -> Crew:
    """Places the members `index` of a run on devices and compiles their training steps."""
    place = placement.place(len(index), strategy)
    members = place.members(jax.tree.map(lambda a: a[index], run.numbers))
    arrays = place.shared(run.arrays)
    batches = place.batches(run.validation.images[full_batches(len(run.validation.images), run.batch_size)])
    validation = batches, place.shared(run.validation.labels), place.shared(run.validation.label_mask)
    placed = Functions(*(place.map(fn, donate=name == 'steps') for name, fn in run.one._asdict().items()))
    state = jax.eval_shape(placed.init, members)
    order = place.spread(placed.draw(members, place.shared(run.distributions(0)), 0))
    begin = time.perf_counter()
    steps = placed.steps.lower((place.like(state),), (members, order), arrays, *map(np.int32, (0, 0, 1))).compile()
    seconds = time.perf_counter() - begin
    beside = _bytes(state.variables) // place.padded * place.queue + _bytes(batches) // place.mesh.shape['data']
    return Crew(
        index, place, members, arrays, validation, placed._replace(steps=steps), seconds, _needs(steps) + beside
    )


def _bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _needs(compiled) -> int:
    """Bytes that a program occupies on each of its devices, with its arguments and results."""
    m = compiled.memory_analysis()
    return m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes + m.temp_size_in_bytes


def order_of(crew: Crew, run: Run, epoch: int):
    """The order of an epoch [P,steps,B]."""
    distributions = crew.place.shared(run.distributions(epoch))
    return crew.place.spread(crew.all.draw(crew.members, distributions, epoch))


def train_steps(crew: Crew, state, order, epoch_start: int, start: int, stop: int):
    """Runs steps `start` .. `stop` - 1 of an epoch; `state` is gone afterwards. Returns the new one and its numbers."""
    bounds = map(np.int32, (epoch_start, start, stop))
    return crew.all.steps((state,), (crew.members, order), crew.arrays, *bounds)


def predict(run: Run, strategy: str, variables, images: np.ndarray) -> np.ndarray:
    """Logits [P,N,K] of images [N,H,W,C] by members whose variables are NumPy arrays [P, ...].

    Images are on the devices BATCHES batches at a time; the last ones are filled up by starting again.
    """
    place, count = placement.place(len(run.rows), strategy), len(images)
    variables, mapped, logits = place.members(variables), place.map(run.one.predict), []
    batches = full_batches(count, run.batch_size)
    for group in full_batches(len(batches), min(BATCHES, len(batches))):
        logits.append(place.fetch(mapped(variables, place.batches(images[batches[group]]))))
    joined = np.concatenate(logits, axis=1)
    return joined.reshape(place.count, -1, joined.shape[-1])[:, :count]
