"""The training loop of a population: epochs, evaluation, best weights, checkpoints and signals; no arithmetic."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import checkpoint, metrics
from imbalance_jax import progress as display
from imbalance_jax.data import Arrays, full_batches
from imbalance_jax.population import Member, Placement
from imbalance_jax.train import State
from imbalance_jax.writer import append_metrics, rewind_metrics

SIGNALS = [name for name in ('SIGTERM', 'SIGUSR1') if hasattr(signal, name)]
RESUMABLE = 75  # exit status after a signal: all is saved, the same command goes on (EX_TEMPFAIL)


class Programs(NamedTuple):
    """The compiled functions of a run, each over all members [P]; nothing is compiled before its first call."""

    init: Callable  # (members) -> state
    draw: Callable  # (members, distributions, epoch) -> order [P,steps,B]
    steps: Callable  # ((state, members, order), arrays, epoch_start, start, stop) -> state
    keep: Callable  # ((best, variables, improved)) -> best
    predict: Callable  # (variables, images [n,B,H,W,C]) -> logits [P,n,B,K]


class Progress(NamedTuple):
    """What a checkpoint holds, every leaf [P]: the state, and each member's best variables by validation AUROC."""

    state: State
    best: Any
    best_score: Any
    best_epoch: Any


class Run(NamedTuple):
    """A population on its devices, with everything its loop reads.

    rows: the members as in `members.json`; distributions: epoch fraction -> cumulative sampling weights
    [samplers,N]; steps: batches an epoch; chunk: steps a dispatch; batch_size: of evaluation; model and normalise: what
    the programs are made of, for whoever explains the members.
    """

    model: Any
    normalise: Callable
    programs: Programs
    place: Placement
    rows: list[dict]
    members: Member
    arrays: Arrays
    validation: Arrays
    distributions: Callable
    epochs: int
    steps: int
    chunk: int
    batch_size: int
    train_batch_size: int
    save_seconds: float


def start(run: Run) -> Progress:
    """Untrained members; whatever is evaluated first is their best so far."""
    state = run.programs.init(run.members)
    count = run.place.padded
    return Progress(state, state.variables, np.full(count, -np.inf, np.float32), np.zeros(count, np.int32))


def restore(run: Run, folder: Path) -> tuple[int, Progress] | None:
    """The newest sound checkpoint as (finished steps, progress), on the devices of this process."""
    padded = jax.eval_shape(lambda: start(run))
    template = jax.tree.map(lambda a: jax.ShapeDtypeStruct((run.place.count, *a.shape[1:]), a.dtype), padded)
    found = checkpoint.restore(folder, template)
    return found and (found[0], run.place.members(found[1]))


def restore_finished(run: Run, folder: Path) -> Progress | None:
    """The checkpoint of the last step, or None if it is not there or not sound."""
    found = restore(run, folder)
    return found[1] if found and found[0] == run.epochs * run.steps else None


def fit(run: Run, workdir: Path) -> Progress:
    """Trains to the end, from the newest checkpoint of `workdir` if there is one.

    SIGTERM and SIGUSR1 save at the next dispatch and leave with exit status 75. Raises FloatingPointError when no
    member is alive any more.
    """
    folder = Path(workdir) / 'checkpoints'
    step, progress = restore(run, folder) or (0, start(run))
    rewind_metrics(workdir, step // run.steps)
    stop = _catch_signals()
    total = run.epochs * run.steps
    with display.show('train', total, step) as update:
        for epoch in range(step // run.steps, run.epochs):
            progress, finished = _train_epoch(run, progress, epoch, step, folder, stop, update)
            step = (epoch + 1) * run.steps
            if not finished:
                raise SystemExit(RESUMABLE)
            progress = _evaluate_epoch(run, progress, epoch + 1, workdir)
            checkpoint.save(folder, step, run.place.fetch(progress))
            if stop and epoch + 1 < run.epochs:
                raise SystemExit(RESUMABLE)
    _release_signals()
    return progress


def _catch_signals() -> list:
    """A list that stays empty until the process is asked to stop."""
    asked = []
    for name in SIGNALS:
        signal.signal(getattr(signal, name), lambda number, frame: asked.append(number))
    return asked


def _release_signals() -> None:
    """What comes after training is short and can be repeated: a signal ends it as usual."""
    for name in SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def _train_epoch(run: Run, progress: Progress, epoch: int, step: int, folder: Path, stop: list, update: Callable):
    """The rest of an epoch from `step` on. Returns the progress, and whether it got to the end."""
    programs, place = run.programs, run.place
    distributions = place.shared(run.distributions(epoch / max(run.epochs - 1, 1)))
    order = programs.draw(run.members, distributions, epoch)
    first, epoch_start, saved = step - epoch * run.steps, epoch * run.steps, time.monotonic()
    state, before, clock = progress.state, None, time.monotonic()
    for begin in range(first, run.steps, run.chunk):
        end = min(begin + run.chunk, run.steps)
        state = programs.steps((state, run.members, order), run.arrays, epoch_start, begin, end)
        if before is not None:  # the numbers of the last dispatch, while this one runs
            alive, speed = place.fetch(before.alive).sum(), (begin - first) * place.count * run.train_batch_size
            speed /= time.monotonic() - clock
            update(epoch_start + begin, note=f'{alive}/{place.count} members alive, {speed:,.0f} images x members/s')
        before = state
        if end < run.steps and (stop or time.monotonic() - saved > run.save_seconds):
            checkpoint.save(folder, epoch_start + end, place.fetch(progress._replace(state=state)))
            saved = time.monotonic()
            if stop:
                return progress, False
    update(epoch_start + run.steps, note=f'{place.fetch(state.alive).sum()}/{place.count} members alive')
    return progress._replace(state=state), True


def _evaluate_epoch(run: Run, progress: Progress, epoch: int, workdir: Path) -> Progress:
    """Validation AUROC of every member, its line in metrics.jsonl, and its best variables so far."""
    place, state = run.place, progress.state
    logits = predict(run.programs, place, state.variables, run.validation.images, run.batch_size)
    labels, mask = run.validation.labels, run.validation.label_mask
    ranking = metrics.ranking(logits, labels, mask)
    # In float32, as checkpoints keep it: an equal score is no improvement, before and after a resume.
    auroc, precision = (np.float32(metrics.macro(ranking[name])[0]) for name in ('auroc', 'average_precision'))
    alive = place.fetch(state.alive)
    loss = np.where(alive, place.fetch(state.loss_sum) / run.steps, np.nan)
    if not alive.any():
        raise FloatingPointError(f'No member is alive after epoch {epoch}: every loss became non-finite.')
    best_score, best_epoch = place.fetch(progress.best_score), place.fetch(progress.best_epoch)
    improved = alive & (auroc > best_score)
    values = zip(run.rows, alive, loss, auroc, precision, strict=True)
    append_metrics(workdir, (_line(epoch, epoch * run.steps, *value) for value in values))
    return Progress(
        state,
        run.programs.keep((progress.best, state.variables, place.members(improved))),
        place.members(np.where(improved, auroc, best_score).astype(np.float32)),
        place.members(np.where(improved, epoch, best_epoch).astype(np.int32)),
    )


def _line(epoch: int, step: int, row: dict, alive, loss, auroc, precision) -> dict:
    numbers = {'train_loss': loss, 'validation_auroc': auroc, 'validation_average_precision': precision}
    numbers = {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}
    return {'epoch': epoch, 'step': step, 'arm': row['arm'], 'seed': row['seed'], 'alive': bool(alive), **numbers}


def predict(programs: Programs, place: Placement, variables, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Logits [P,N,K] of images [N,H,W,C]; the last batch is filled up by starting again."""
    count = len(images)
    batches = place.shared(jnp.asarray(images[full_batches(count, batch_size)]))
    logits = place.fetch(programs.predict(variables, batches))
    return logits.reshape(place.count, -1, logits.shape[-1])[:, :count]
