"""The training loop of a population: waves, epochs, evaluation, best weights, checkpoints, signals; no arithmetic."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.data.arrays import Arrays
from imbalance_jax.metrics.scores import macro
from imbalance_jax.system import layout, matrix_product, processes, profiling, progress, signals
from imbalance_jax.system.signals import RESUMABLE
from imbalance_jax.system.workdir import append_metrics, rewind_metrics
from imbalance_jax.training import checkpoint, kept, placement, snapshot
from imbalance_jax.training.autotune import Plan
from imbalance_jax.training.member import State
from imbalance_jax.training.prediction import on_devices, predict
from imbalance_jax.training.program import Experiment, Program, compile_members, parts, sample_order, train_steps
from imbalance_jax.training.snapshot import Outcome, Scores, Snapshot


class Wave(NamedTuple):
    """A wave as an experiment of its own, its strategy, and where it writes.

    checkpoints: its folder; title: of the progress shown; stop: signals caught, empty until the process is asked to
    stop; speeds: operations per second of every epoch so far; product: of a matrix product on all devices.
    """

    experiment: Experiment
    strategy: str
    workdir: Path
    checkpoints: Path
    title: str
    stop: list[int]
    speeds: list[float]
    product: float


class OnDevices(NamedTuple):
    """A program, and the state and the best variables so far of its members, [Q'] on its devices."""

    program: Program
    state: State
    best: Any


def fit(
    experiment: Experiment,
    plan: Plan,
    workdir: Path,
    *,
    images: Mapping[str, Any],
    program: Program | None = None,
    profile: Path | None = None,
    speeds: list[float] | None = None,
) -> tuple[Outcome, dict[str, np.ndarray]]:
    """Trains every wave to its end, each from its newest checkpoint in `workdir` if there is one.

    images: name -> [N,H,W,C], arrays or `streams.Rows`; program: the first wave's, if it is at hand; profile: a folder
    for a trace of a few steps; speeds: gets the operations per second of every epoch. Returns the outcome, and the
    logits [P,N,K] of the images with the best variables, by name. SIGTERM and SIGUSR1 save at the next dispatch and
    leave with exit status 75. A wave whose members have all died is over, and the others go on; raises
    FloatingPointError when no member of any wave is alive.
    """
    before, stop, outcomes, logits = signals.handlers(), _catch_signals(), [], []
    product = matrix_product.flops_per_second() * jax.process_count()
    measured: list[float] = [] if speeds is None else speeds
    for number in range(len(plan.waves)):
        title = 'train' if len(plan.waves) == 1 else f'train, wave {number + 1} of {len(plan.waves)}'
        part, folder = snapshot.wave(experiment, plan, number), layout.checkpoints(workdir, number)
        wave = Wave(part, plan.strategy, Path(workdir), folder, title, stop, measured, product)
        final = _fit_wave(wave, program, profile)
        program = profile = None
        outcomes.append(snapshot.outcome(final))
        _check_alive(outcomes, len(plan.waves))
        logits.append(predict_wave(part, plan.strategy, final.best, images))
    signals.restore(before)  # what comes after training is short and can be repeated
    return snapshot.join(outcomes), snapshot.join(logits)


def _check_alive(outcomes: list[Outcome], waves: int) -> None:
    """Says that the last of the waves so far has died; FloatingPointError if all `waves` have."""
    if outcomes[-1].alive.any():
        return
    if len(outcomes) == waves and not any(one.alive.any() for one in outcomes):
        raise FloatingPointError('No member is alive: every loss became non-finite. Lower config.train.learning_rate.')
    processes.say(f'No member of wave {len(outcomes)} of {waves} is alive; the other waves go on.')


def _catch_signals() -> list[int]:
    """A list that stays empty until the process is asked to stop."""
    caught: list[int] = []
    signals.catch(lambda number, frame: caught.append(number))
    return caught


def predict_wave(wave: Experiment, strategy: str, best: Any, images: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Logits [P,N,K] by name of all members of a wave, alive or not, with the variables `best` [P, ...]."""
    place = placement.place(len(wave.members), strategy)
    function, size = wave.functions.predict, wave.eval_batch_size
    variables = place.members(best)
    return {name: predict(place, function, variables, images=x, batch_size=size) for name, x in images.items()}


def _fit_wave(wave: Wave, program: Program | None, profile: Path | None) -> Snapshot:
    """One wave to its end, from its newest checkpoint or from the start."""
    experiment, per_epoch = wave.experiment, wave.experiment.steps_per_epoch
    step, now = checkpoint.restore(wave.checkpoints, snapshot.template(experiment)) or (0, None)
    rewind_metrics(wave.workdir, step // per_epoch, {(row['arm'], row['seed']) for row in experiment.members})
    if now is not None and step == experiment.total_steps:
        return now
    packed = np.ones(len(experiment.members), bool) if now is None else now.packed
    program = _pack(wave, packed, program)
    now = snapshot.start(program, experiment) if now is None else now
    devices = _load(program, now)
    with (
        checkpoint.Saver(wave.checkpoints) as saver,
        progress.show(wave.title, experiment.total_steps, step) as update,
    ):
        for epoch in range(step // per_epoch, experiment.epochs):
            save = _saver(wave, now, devices.program, saver)
            first = step - epoch * per_epoch
            devices, counters = _train_epoch(
                wave, devices, epoch, first=first, save=save, update=update, profile=profile
            )
            step, profile = (epoch + 1) * per_epoch, None
            saver.wait()  # what is written of an epoch is at most one ahead of the checkpoints
            now, devices = _finish_epoch(wave, devices, now, epoch=epoch + 1, counters=counters)
            if not now.active.any():
                step = experiment.total_steps
            saver.save(step, now)
            if step == experiment.total_steps:
                break
            if processes.any_of(bool(wave.stop)):
                raise SystemExit(RESUMABLE)
            if now.packed.sum() < len(devices.program.indices):
                devices = _load(_pack(wave, now.packed, devices.program), now)
    return now


def _pack(wave: Wave, packed: np.ndarray, program: Program | None) -> Program:
    """The program of the members in `packed` [P]: `program` itself, if it is theirs."""
    index = np.flatnonzero(packed)
    if program is not None and np.array_equal(program.indices, index):
        return program
    return compile_members(wave.experiment, wave.strategy, index)


def _load(program: Program, now: Snapshot) -> OnDevices:
    """State and best variables of a program's members, on its devices."""
    state, best = program.place.members(jax.tree.map(lambda a: a[program.indices], (now.state, now.best)))
    return OnDevices(program, state, best)


def _saver(wave: Wave, now: Snapshot, program: Program, saver: checkpoint.Saver) -> Callable[[State, int], None]:
    """Returns `save(state, step)`, which keeps the middle of an epoch if it is time to, and leaves if asked to."""
    last = time.monotonic()

    def save(state: State, step: int) -> None:
        nonlocal last
        stop, due = bool(wave.stop), time.monotonic() - last > wave.experiment.save_seconds
        if processes.any_of(stop or due):
            saver.save(step, now._replace(state=snapshot.put(now.state, program, state)))
            last = time.monotonic()
            if processes.any_of(stop):
                raise SystemExit(RESUMABLE)

    return save


def _train_epoch(
    wave: Wave,
    devices: OnDevices,
    epoch: int,
    *,
    first: int,
    save: Callable[[State, int], None],
    update: Callable,
    profile: Path | None,
) -> tuple[OnDevices, dict[str, jax.Array]]:
    """The rest of an epoch from its step `first` on. Returns what is on the devices then, and its counters."""
    experiment, program, state = wave.experiment, devices.program, devices.state
    order, count = sample_order(program, experiment, epoch), len(program.indices)
    epoch_start, end_of_epoch = epoch * experiment.steps_per_epoch, experiment.steps_per_epoch
    before, clock = None, time.monotonic()
    for number, (start, stop, arrays) in enumerate(parts(program, experiment, order, first)):
        traced = profile and (number == 1 or (not number and stop == end_of_epoch))
        run = _traced_steps(profile) if profile and traced else train_steps
        state, counters = run(program, state, order, arrays, epoch_start=epoch_start, start=start, stop=stop)
        if before is not None:  # the counters of the last dispatch, while this one runs
            alive = program.place.fetch(before['alive']).sum()
            speed = (start - first) * count * experiment.batch_size / (time.monotonic() - clock)
            flops = flops_note(program.flops * speed / experiment.batch_size, wave.product)
            update(epoch_start + start, note=f'{alive}/{count} members alive, {speed:,.0f} images x members/s{flops}')
        before = counters
        if stop < end_of_epoch:
            save(state, epoch_start + stop)
    alive = program.place.fetch(counters['alive']).sum()
    update(epoch_start + end_of_epoch, note=f'{alive}/{count} members alive')
    if program.flops and end_of_epoch > first:
        wave.speeds.append(program.flops * (end_of_epoch - first) * count / (time.monotonic() - clock))
    return devices._replace(state=state), counters


def flops_note(per_second: float, product: float) -> str:
    """Operations per second and their share of those of a matrix product; '' of none."""
    said = f', {per_second / 1e9:,.1f} GFLOP/s, {per_second / product:.0%} of a matrix product'
    return said if per_second else ''


def _traced_steps(folder: Path) -> Callable:
    """`train_steps`, traced into a folder; prints the costliest operations."""

    def steps(program: Program, state: State, order: jax.Array, arrays: Arrays, **bounds: int):
        with profiling.trace(folder):
            state, counters = jax.block_until_ready(train_steps(program, state, order, arrays, **bounds))
        print(profiling.table(profiling.costliest(folder, [program.functions.train_steps])), flush=True)
        return state, counters

    return steps


def _finish_epoch(
    wave: Wave, devices: OnDevices, now: Snapshot, *, epoch: int, counters: dict[str, jax.Array]
) -> tuple[Snapshot, OnDevices]:
    """After `epoch` epochs: validation, lines of metrics.jsonl, and the best variables so far, there and here."""
    program, experiment = devices.program, wave.experiment
    scores = _evaluate(devices, now, program.place.fetch(counters), experiment=experiment, epoch=epoch)
    append_metrics(wave.workdir, _lines(experiment, now.active, program.indices, scores=scores, epoch=epoch))
    improved = program.place.members(scores.improved)
    best = program.functions.keep_best((devices.best, devices.state.variables, improved))
    state_here = snapshot.put(now.state, program, devices.state)
    kept.keep(
        experiment.kept,
        wave.workdir,
        experiment.members,
        state_here.variables,
        epoch=epoch,
        epochs=experiment.epochs,
    )
    best_here = snapshot.put(now.best, program, best) if scores.improved.any() else now.best
    begin = snapshot.first_ranked(experiment)
    now = snapshot.after_epoch(now, program, scores, epoch=epoch, patience=experiment.patience, begin=begin)
    return now._replace(state=state_here, best=best_here), devices._replace(best=best)


def _evaluate(
    devices: OnDevices, now: Snapshot, counters: dict[str, np.ndarray], *, experiment: Experiment, epoch: int
) -> Scores:
    """The scores [Q] after `epoch` finished epochs. counters: of the last step."""
    program = devices.program
    images, size = experiment.validation.images, experiment.eval_batch_size
    variables, function = devices.state.variables, program.functions.predict
    logits = tuple(on_devices(program.place, function, variables, images=images, batch_size=size))
    ranking = program.place.fetch(program.functions.evaluate(logits, *program.validation))
    # In float32, as checkpoints keep it: an equal score is no improvement, before and after a resume.
    auroc, precision = (np.asarray(macro(ranking[name])[0], np.float32) for name in ('auroc', 'average_precision'))
    alive = counters['alive']
    loss = np.where(alive, counters['loss_sum'] / experiment.steps_per_epoch, np.nan)
    ranked = epoch >= snapshot.first_ranked(experiment)[program.indices]
    improved = now.active[program.indices] & alive & ranked & (auroc > now.best_score[program.indices])
    return Scores(alive, loss, auroc, precision, improved)


def _lines(
    experiment: Experiment, active: np.ndarray, index: np.ndarray, *, scores: Scores, epoch: int
) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl for the members of a program, `index` [Q], that were `active` [P] in this epoch."""
    for q, member in enumerate(index):
        if active[member]:
            row = experiment.members[member]
            yield {
                'epoch': epoch,
                'step': epoch * experiment.steps_per_epoch,
                'arm': row['arm'],
                'seed': row['seed'],
                'alive': bool(scores.alive[q]),
                'train_loss': _finite(scores.loss[q]),
                'validation_auroc': _finite(scores.auroc[q]),
                'validation_average_precision': _finite(scores.average_precision[q]),
            }


def _finite(value: float) -> float | None:
    """A number of JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None
