"""The training loop of a population: waves, epochs, evaluation, best weights, checkpoints, signals; no arithmetic."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.metrics.scores import macro
from imbalance_jax.system import processes, profiling
from imbalance_jax.system import progress as display
from imbalance_jax.system import signals as stopping
from imbalance_jax.system.signals import RESUMABLE
from imbalance_jax.system.workdir import append_metrics, rewind_metrics
from imbalance_jax.training import checkpoint
from imbalance_jax.training.autotune import Plan
from imbalance_jax.training.member import State
from imbalance_jax.training.members import Member
from imbalance_jax.training.program import Crew, Run, enlist, order_of, predict, train_steps

REPACK = 0.75  # members leave the program when the queue of a device falls to this share: each time is a compilation


class Progress(NamedTuple):
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
    """The part of `Progress` that explaining needs."""

    best: Any


class Outcome(NamedTuple):
    """What training leaves of all members [P]: the variables to explain, and how they fared."""

    best: Any
    best_score: np.ndarray
    best_epoch: np.ndarray
    alive: np.ndarray


def finished(run: Run, plan: Plan, workdir: Path) -> Outcome | None:
    """The outcome of all waves, from their last checkpoints; None if one is not there or not sound."""
    outcomes = []
    for wave in range(len(plan.waves)):
        part, folder = _wave(run, plan, wave), wave_folder(workdir, wave)
        found = checkpoint.restore(folder, _template(part))
        if not found or found[0] != run.epochs * run.steps:
            return None
        outcomes.append(_outcome(found[1]))
    return _join(outcomes)


def fit(run: Run, plan: Plan, workdir: Path, images: Mapping, crew: Crew | None = None, profile: Path | None = None):
    """Trains every wave to its end, each from its newest checkpoint in `workdir` if there is one.

    images: name -> [N,H,W,C]; crew: the first wave's, if it is at hand; profile: a folder for a trace of a few steps.
    Returns the outcome, and the logits [P,N,K] of the images with the best variables. SIGTERM and SIGUSR1 save at the
    next dispatch and leave with exit status 75. Raises FloatingPointError when no member of a wave is alive any more.
    """
    before, stop, outcomes, logits = stopping.handlers(), _catch_signals(), [], []
    for wave in range(len(plan.waves)):
        part, folder = _wave(run, plan, wave), wave_folder(workdir, wave)
        name = 'train' if len(plan.waves) == 1 else f'train, wave {wave + 1} of {len(plan.waves)}'
        progress = _fit_wave(part, plan.strategy, workdir, folder, crew, stop, profile, name)
        crew = profile = None
        outcomes.append(_outcome(progress))
        logits.append({name: predict(part, plan.strategy, progress.best, x) for name, x in images.items()})
    stopping.restore(before)  # what comes after training is short and can be repeated
    return _join(outcomes), _join(logits)


def best_variables(init: Callable, members: Member, plan: Plan, workdir: Path, steps: int) -> Any | None:
    """The best variables [P] of all members, NumPy arrays, from the checkpoints of step `steps`, the last.

    init: (member) -> its variables; members: their arrays [P]. None if a wave's checkpoint is not there or not sound.
    """
    variables = []
    for wave, (first, stop) in enumerate(plan.waves):
        template = Best(jax.eval_shape(jax.vmap(init), jax.tree.map(lambda a: a[first:stop], members)))
        restored = checkpoint.restore(wave_folder(workdir, wave), template, partial=True)
        if not restored or restored[0] != steps:
            return None
        variables.append(restored[1].best)
    return _join(variables)


def wave_folder(workdir: Path, wave: int) -> Path:
    """Where the checkpoints of a wave, counted from 0, are."""
    return Path(workdir) / 'checkpoints' / f'wave_{wave + 1}'


def _wave(run: Run, plan: Plan, wave: int) -> Run:
    """A wave as a run of its own."""
    first, stop = plan.waves[wave]
    return run._replace(rows=run.rows[first:stop], numbers=jax.tree.map(lambda a: a[first:stop], run.numbers))


def _outcome(progress: Progress) -> Outcome:
    return Outcome(progress.best, progress.best_score, progress.best_epoch, np.asarray(progress.state.alive))


def _join(waves: list):
    return jax.tree.map(lambda *a: np.concatenate(a), *waves)


def _template(run: Run) -> Progress:
    """The shapes of a checkpoint."""
    state, count = jax.eval_shape(jax.vmap(run.one.init), run.numbers), len(run.rows)
    kinds = {'best_score': np.float32, 'best_epoch': np.int32, 'active': bool, 'packed': bool}
    return Progress(state, state.variables, **{k: jax.ShapeDtypeStruct((count,), v) for k, v in kinds.items()})


def _start(crew: Crew) -> Progress:
    """Untrained members; whatever is evaluated first is their best so far."""
    state, count = crew.place.fetch(crew.all.init(crew.members)), len(crew.index)
    score, epoch = np.full(count, -np.inf, np.float32), np.zeros(count, np.int32)
    return Progress(state, state.variables, score, epoch, np.ones(count, bool), np.ones(count, bool))


def _catch_signals() -> list:
    """A list that stays empty until the process is asked to stop."""
    asked = []
    stopping.catch(lambda number, frame: asked.append(number))
    return asked


def _fit_wave(run: Run, strategy: str, workdir: Path, folder: Path, crew, stop: list, profile, name: str) -> Progress:
    """One wave to its end, from its newest checkpoint or from the start."""
    total, found = run.epochs * run.steps, checkpoint.restore(folder, _template(run))
    step = found[0] if found else 0
    rewind_metrics(workdir, step // run.steps, {(row['arm'], row['seed']) for row in run.rows})
    if step == total:
        return found[1]
    crew = _pack(run, strategy, found[1].packed if found else np.ones(len(run.rows), bool), crew)
    progress = found[1] if found else _start(crew)
    state, best = _load(crew, progress)
    with display.show(name, total, step) as update:
        for epoch in range(step // run.steps, run.epochs):
            save = _saver(run, folder, progress, crew, stop)
            state, now = _train_epoch(run, crew, state, epoch, step - epoch * run.steps, save, update, profile)
            step, profile = (epoch + 1) * run.steps, None
            progress, best = _evaluate_epoch(run, crew, state, best, now, progress, epoch + 1, workdir)
            if not progress.active.any():
                step = total
            checkpoint.save(folder, step, progress)
            if step == total:
                break
            if processes.any_of(bool(stop)):
                raise SystemExit(RESUMABLE)
            if progress.packed.sum() < len(crew.index):
                crew = _pack(run, strategy, progress.packed, crew)
                state, best = _load(crew, progress)
    return progress


def _pack(run: Run, strategy: str, packed: np.ndarray, crew: Crew | None) -> Crew:
    """The crew of the members in `packed` [P]: `crew` itself, if it is theirs."""
    index = np.flatnonzero(packed)
    return crew if crew is not None and np.array_equal(crew.index, index) else enlist(run, strategy, index)


def _load(crew: Crew, progress: Progress):
    """State and best variables of a crew, on its devices."""
    return crew.place.members(jax.tree.map(lambda a: a[crew.index], (progress.state, progress.best)))


def _put(old, crew: Crew, new):
    """Arrays [P, ...] with the crew's members replaced by what its devices hold."""

    def replace(old, new):
        result = np.array(old)
        result[crew.index] = new
        return result

    return jax.tree.map(replace, old, crew.place.fetch(new))


def _saver(run: Run, folder: Path, progress: Progress, crew: Crew, stop: list) -> Callable:
    """Returns `save(state, step)`, which keeps the middle of an epoch if it is time to, and leaves if asked to."""
    saved = [time.monotonic()]

    def save(state, step: int) -> None:
        asked, due = bool(stop), time.monotonic() - saved[0] > run.save_seconds
        if processes.any_of(asked or due):
            checkpoint.save(folder, step, progress._replace(state=_put(progress.state, crew, state)))
            saved[0] = time.monotonic()
            if processes.any_of(asked):
                raise SystemExit(RESUMABLE)

    return save


def _train_epoch(run: Run, crew: Crew, state, epoch: int, first: int, save: Callable, update: Callable, profile):
    """The rest of an epoch from its step `first` on. Returns the state and its numbers."""
    order, count, epoch_start = order_of(crew, run, epoch), len(crew.index), epoch * run.steps
    begins, before, clock = range(first, run.steps, run.chunk), None, time.monotonic()
    for begin in begins:
        end = min(begin + run.chunk, run.steps)
        if profile and begin == begins[min(1, len(begins) - 1)]:
            state, now = _profiled(crew, state, order, epoch_start, begin, end, profile)
        else:
            state, now = train_steps(crew, state, order, epoch_start, begin, end)
        if before is not None:  # the numbers of the last dispatch, while this one runs
            alive, speed = crew.place.fetch(before['alive']).sum(), (begin - first) * count * run.train_batch_size
            speed /= time.monotonic() - clock
            update(epoch_start + begin, note=f'{alive}/{count} members alive, {speed:,.0f} images x members/s')
        before = now
        if end < run.steps:
            save(state, epoch_start + end)
    update(epoch_start + run.steps, note=f'{crew.place.fetch(now["alive"]).sum()}/{count} members alive')
    return state, now


def _profiled(crew: Crew, state, order, epoch_start: int, begin: int, end: int, folder: Path):
    """The same steps, traced; prints the costliest operations."""
    with profiling.trace(folder):
        state, now = jax.block_until_ready(train_steps(crew, state, order, epoch_start, begin, end))
    print(profiling.table(profiling.costliest(folder, [crew.all.steps])), flush=True)
    return state, now


def _evaluate_epoch(run: Run, crew: Crew, state, best, now: dict, progress: Progress, epoch: int, workdir: Path):
    """Validation AUROC of every member, its line in metrics.jsonl, and its best variables so far, there and here."""
    place, index = crew.place, crew.index
    ranking = place.fetch(crew.all.evaluate(state.variables, *crew.validation))
    # In float32, as checkpoints keep it: an equal score is no improvement, before and after a resume.
    auroc, precision = (np.float32(macro(ranking[name])[0]) for name in ('auroc', 'average_precision'))
    now = place.fetch(now)
    alive, active = now['alive'], progress.active[index]
    if not alive.any():
        raise FloatingPointError(f'No member is alive after epoch {epoch}: every loss became non-finite.')
    loss = np.where(alive, now['loss_sum'] / run.steps, np.nan)
    improved = active & alive & (auroc > progress.best_score[index])
    values = zip(index, active, alive, loss, auroc, precision, strict=True)
    append_metrics(workdir, (_line(run, epoch, i, *rest) for i, was, *rest in values if was))
    best = crew.all.keep((best, state.variables, place.members(improved)))
    score, best_epoch, still = (a.copy() for a in (progress.best_score, progress.best_epoch, progress.active))
    score[index] = np.where(improved, auroc, score[index])
    best_epoch[index] = np.where(improved, epoch, best_epoch[index])
    still[index] = active & alive & ~((run.patience > 0) & (epoch - best_epoch[index] >= run.patience))
    queue = -(-still.sum() // place.mesh.shape['member'])
    packed = still if 0 < queue <= REPACK * place.queue else progress.packed
    kept = _put(progress.state, crew, state), _put(progress.best, crew, best)
    return Progress(*kept, score, best_epoch, still, packed.copy()), best


def _line(run: Run, epoch: int, member: int, alive, loss, auroc, precision) -> dict:
    numbers = {'train_loss': loss, 'validation_auroc': auroc, 'validation_average_precision': precision}
    numbers = {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}
    who = {'arm': run.rows[member]['arm'], 'seed': run.rows[member]['seed'], 'alive': bool(alive)}
    return {'epoch': epoch, 'step': epoch * run.steps, **who, **numbers}
