"""How far the members of a wave are: what a checkpoint holds, and how it changes with an evaluation; on the host."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.system import layout
from imbalance_jax.training import checkpoint
from imbalance_jax.training.autotune import Plan
from imbalance_jax.training.member import State
from imbalance_jax.training.members import Member, retrain_epoch
from imbalance_jax.training.program import Experiment, Program

REPACK = 0.75  # members leave the program when the queue of a device falls to this share: each time is a compilation


class Snapshot(NamedTuple):
    """What a checkpoint holds of a wave, every leaf a NumPy array [P].

    best: each member's variables with the best validation AUROC, which is best_score, of best_epoch; active: still
    training, neither dead nor stopped; packed: in the program, if only because leaving it would not pay.
    """

    state: State
    best: Any
    best_score: np.ndarray
    best_epoch: np.ndarray
    active: np.ndarray
    packed: np.ndarray


class Best(NamedTuple):
    """The part of `Snapshot` that explaining needs."""

    best: Any


class Scores(NamedTuple):
    """An epoch of the members of a program [Q]: was every loss finite so far, the mean loss of a step (NaN unless
    alive), macro AUROC and average precision on the validation split, and whether that is a member's best AUROC."""

    alive: np.ndarray
    loss: np.ndarray
    auroc: np.ndarray
    average_precision: np.ndarray
    improved: np.ndarray


class Outcome(NamedTuple):
    """What training leaves of all members [P]: the variables to explain, and how they fared."""

    best: Any
    best_score: np.ndarray
    best_epoch: np.ndarray
    alive: np.ndarray


def first_ranked(experiment: Experiment) -> np.ndarray:
    """The first number of finished epochs [P] after which a member's AUROC may be its best: 1, and where a head is
    retrained, the first one with the new head."""
    begin = [retrain_epoch(row['retrain_head_from'], experiment.epochs) for row in experiment.members]
    return np.array([1 if epoch is None or epoch >= experiment.epochs else epoch + 1 for epoch in begin])


def start(program: Program, experiment: Experiment) -> Snapshot:
    """Members as training begins with them; whatever is evaluated first is their best so far."""
    state, count = program.place.fetch(program.functions.init(program.members)), len(program.indices)
    state = experiment.begin(state, [experiment.members[i] for i in program.indices])
    return Snapshot(
        state=state,
        best=state.variables,
        best_score=np.full(count, -np.inf, np.float32),
        best_epoch=np.zeros(count, np.int32),
        active=np.ones(count, bool),
        packed=np.ones(count, bool),
    )


def template(experiment: Experiment) -> Snapshot:
    """The shapes of a checkpoint."""
    state = jax.eval_shape(jax.vmap(experiment.functions.init), experiment.member_arrays)
    dtypes: tuple[Any, ...] = (np.float32, np.int32, bool, bool)
    facts: list[Any] = [jax.ShapeDtypeStruct((len(experiment.members),), dtype) for dtype in dtypes]
    return Snapshot(state, state.variables, *facts)


def outcome(snapshot: Snapshot) -> Outcome:
    """The part of a wave that training leaves."""
    return Outcome(snapshot.best, snapshot.best_score, snapshot.best_epoch, np.asarray(snapshot.state.alive))


def join(waves: list[Any]) -> Any:
    """Trees [P_i, ...] of waves as one [P, ...]."""
    return jax.tree.map(lambda *a: np.concatenate(a), *waves)


def wave(experiment: Experiment, plan: Plan, number: int) -> Experiment:
    """A wave, counted from 0, as an experiment of its own."""
    first, stop = plan.waves[number]
    arrays = jax.tree.map(lambda a: a[first:stop], experiment.member_arrays)
    return experiment._replace(members=experiment.members[first:stop], member_arrays=arrays, stream=plan.stream)


def finished(experiment: Experiment, plan: Plan, workdir: Path) -> Outcome | None:
    """The outcome of all waves, from their last checkpoints; None if one is not there or not sound."""
    outcomes = []
    for number in range(len(plan.waves)):
        expected = template(wave(experiment, plan, number))
        restored = checkpoint.restore(layout.checkpoints(workdir, number), expected)
        if not restored or restored[0] != experiment.total_steps:
            return None
        outcomes.append(outcome(restored[1]))
    return join(outcomes)


def ended(plan: Plan, workdir: Path, total_steps: int) -> list[bool]:
    """Of each wave that has begun, in their order, whether its last step is saved; by names, whatever is in them."""
    result = []
    for number in range(len(plan.waves)):
        steps = [int(path.name) for path in layout.checkpoints(workdir, number).glob('*') if path.name.isdecimal()]
        if not steps:
            break
        result.append(max(steps) >= total_steps)
    return result


def best_variables(init: Callable, members: Member, plan: Plan, workdir: Path, *, total_steps: int) -> Any | None:
    """The best variables [P] of all members, NumPy arrays, from their last checkpoints.

    init: (member) -> its variables; members: their arrays [P]. None if a wave's checkpoint is not there; ValueError if
    it is not sound.
    """
    shapes, variables = jax.eval_shape(jax.vmap(init), members), []
    for number, (first, stop) in enumerate(plan.waves):
        expected = Best(_resized(shapes, stop - first))
        restored = checkpoint.restore(layout.checkpoints(workdir, number), expected, partial=True, only=total_steps)
        if not restored:
            return None
        variables.append(restored[1].best)
    return join(variables)


def _resized(shapes: Any, count: int) -> Any:
    """Shapes [P, ...] for so many members."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype), shapes)


def put(old: Any, program: Program, new: Any) -> Any:
    """Arrays [P, ...] with the program's members replaced by what its devices hold."""

    def replace(old, new):
        result = np.array(old)
        result[program.indices] = new
        return result

    return jax.tree.map(replace, old, program.place.fetch(new))


def after_epoch(
    snapshot: Snapshot, program: Program, scores: Scores, *, epoch: int, patience: int, begin: np.ndarray
) -> Snapshot:
    """The scores and who goes on, after `epoch` finished epochs; state and best variables stay as they were.

    scores: of the program's members. With patience, a member stops that did not improve for so many epochs; 0 is for
    never. begin: `first_ranked`, before which nobody can improve.
    """
    index, improved = program.indices, scores.improved
    best_score, best_epoch, active = (a.copy() for a in (snapshot.best_score, snapshot.best_epoch, snapshot.active))
    best_score[index] = np.where(improved, scores.auroc, best_score[index])
    best_epoch[index] = np.where(improved, epoch, best_epoch[index])
    impatient = (patience > 0) & (epoch - np.maximum(best_epoch[index], begin[index] - 1) >= patience)
    active[index] = active[index] & scores.alive & ~impatient
    queue = -(-active.sum() // program.place.mesh.shape['member'])
    packed = active if 0 < queue <= REPACK * program.place.queue else snapshot.packed
    return snapshot._replace(best_score=best_score, best_epoch=best_epoch, active=active, packed=packed.copy())
