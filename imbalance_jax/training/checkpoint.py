"""Checkpoints that are what they were: Orbax, with a checksum of every leaf, falling back to the newest sound step."""

import errno
import logging
import shutil
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from imbalance_jax.system import files, processes
from imbalance_jax.system.signals import saving

KEEP = 2
TRIES = 3
SMALL = 4096  # bytes that a file takes beside what is in it
LONGEST = 90  # letters of a reason that Orbax gives
_said: set[tuple] = set()  # folders and their damaged steps: once is enough, however often they are restored


def _checksums(tree: Any) -> dict[str, int]:
    """crc32 of every leaf's bytes by its path: Orbax itself restores a flipped bit without a word."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): zlib.crc32(memoryview(_bytes(leaf))) for path, leaf in leaves}


def of_members(tree: Any) -> np.ndarray:
    """A checksum [P] uint32 of each member's part of a tree of arrays [P,...]: which weights something came from."""
    named = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    leaves = [leaf for _, leaf in sorted(named, key=lambda one: one[0])]
    result = np.zeros(len(leaves[0]), np.uint32)
    for p in range(len(result)):
        crc = 0
        for leaf in leaves:
            crc = zlib.crc32(memoryview(_bytes(leaf[p])), crc)
        result[p] = crc
    return result


def _bytes(leaf: Any) -> Any:
    """An array as its bytes; types that NumPy does not know, such as bfloat16, are none of Python's buffers."""
    return np.ascontiguousarray(leaf).view(np.uint8)


def _open(folder: Path) -> ocp.training.Checkpointer:
    for name in ('absl', 'asyncio'):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they say of an error, the error says
    if not isinstance(sys.unraisablehook, _Late):
        sys.unraisablehook = _Late(sys.unraisablehook)
    policy = ocp.training.preservation_policies.LatestN(KEEP)
    always = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
    return ocp.training.Checkpointer(
        Path(folder).absolute(), save_decision_policy=always, preservation_policy=policy, cleanup_tmp_directories=True
    )


class _Late:
    """A `sys.unraisablehook` without what comes too late: Orbax closes its loop at the first array that cannot be read
    or written, and each of the others, which answer from threads then, would print a traceback."""

    def __init__(self, before: Callable[[Any], Any]) -> None:
        self.before = before

    def __call__(self, unraisable: Any) -> None:
        if str(unraisable.exc_value) != 'Event loop is closed':
            self.before(unraisable)


def _loading(partial: bool) -> ocp.Context:
    """How checkpoints are read inside of this context."""
    context = ocp.Context()
    context.pytree.loading.partial_load = partial
    return context


def save(folder: Path, step: int, tree: Any) -> None:
    """Writes a tree of NumPy arrays as `step`, whole or not at all, and keeps the newest two.

    Steps from `step` on that are there already did not verify, or this step would not be computed again: they go.
    Raises OSError if there is no room, or it cannot be written for another reason; the steps before are as they were.
    """
    _require_room(folder, step, tree)
    for left in reversed(range(TRIES)):
        try:
            with saving:
                _save(folder, step, tree)
            return
        except Exception as error:  # Orbax wraps whatever went wrong below it
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            # Orbax waits for its threads by the time of day: a clock that is set forward looks like one that hangs.
            if not left or 'timeout' not in reason.lower():
                raise OSError(f'Checkpoint {step} could not be saved in {folder}: {reason}') from error


class Saver:
    """Saves steps of one folder one after the other, while the caller goes on: `save` waits for the step before only.

    An error of a step is raised by the next call, or when the context ends, which waits for what is being saved. Of
    several processes each saves before it goes on, as they have to meet there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1) if jax.process_count() == 1 else None
        self._pending: Future | None = None

    def __enter__(self) -> 'Saver':
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.wait()
        except Exception:
            if error is None:  # else what ended the work is said
                raise
        finally:
            if self._thread:
                self._thread.shutdown()

    def save(self, step: int, tree: Any) -> None:
        """`save` of a tree whose arrays nobody changes from here on."""
        self.wait()
        if self._thread:
            self._pending = self._thread.submit(save, self._folder, step, tree)
        else:
            save(self._folder, step, tree)

    def wait(self) -> None:
        """Returns when nothing is being saved; raises what the last step did."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()


def _save(folder: Path, step: int, tree: Any) -> None:
    with _open(folder) as checkpointer:
        for saved in list(checkpointer.checkpoints):
            if saved.step >= step:
                checkpointer.delete(saved.step)
        if not checkpointer.save(step, tree, custom_metadata={'crc32': _checksums(tree), 'step': step}):
            raise OSError('Orbax did not say why')


def _require_room(folder: Path, step: int, tree: Any) -> None:
    """Orbax finds out in several threads at once that a disk is full, each of which says so at length."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    needed = sum(np.asarray(leaf).nbytes + SMALL for leaf in jax.tree.leaves(tree))
    free = shutil.disk_usage(folder).free
    if free < needed:
        text = f'No space left for checkpoint {step}: it may need {needed / 2**20:,.1f} MiB, and there are'
        raise OSError(errno.ENOSPC, f'{text} {free / 2**20:,.1f} MiB', str(folder))


def restore(folder: Path, template: Any, *, partial: bool = False, only: int | None = None) -> tuple[int, Any] | None:
    """The newest step that verifies, as NumPy arrays, or None where there is no checkpoint.

    template: a tree of arrays or `jax.ShapeDtypeStruct`; with `partial`, of some of the fields that were saved, and the
    others are not read. only: no other step will do. Damaged steps are passed over, which one line says.
    Raises ValueError if there are checkpoints and none of them is sound.
    """
    if not Path(folder).is_dir():
        return None
    _check_files(Path(folder))
    template = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), template)
    damage: dict[int, str] = {}
    with _loading(partial), _open(folder) as checkpointer:
        steps = [saved for saved in checkpointer.checkpoints if only in (None, saved.step)]
        for saved in sorted(steps, key=lambda saved: -saved.step):
            try:
                tree = checkpointer.load(saved.step, template)
                damaged = _of_another_run(tree, template)
                damaged = damaged or _changed(tree, checkpointer.metadata(saved.step).custom_metadata, saved.step)
            except Exception as error:  # Orbax wraps whatever went wrong below it
                damaged = _brief(error)
            if not damaged:
                if damage and processes.leads() and (place := (str(folder), *damage)) not in _said:
                    _said.add(place)
                    text = f'{_told(folder, damage)}; step {saved.step}, saved before, takes its place.'
                    print(text, file=sys.stderr, flush=True)
                return saved.step, tree
            damage[saved.step] = damaged
    if damage and only is not None:
        raise ValueError(f'{_told(folder, damage)}: run train again, it makes it anew.')
    if damage:
        raise ValueError(f'{_told(folder, damage)}; no sound checkpoint is left. Delete {folder} to start again.')
    return None


def _check_files(folder: Path) -> None:
    """ValueError for what is no file where one should be, such as a pipe, on which reading would wait for ever."""
    for path in folder.rglob('*'):
        if not path.is_dir():
            files.regular(path)


def _told(folder: Path, damage: dict[int, str]) -> str:
    """'runs/a/checkpoints/wave_1/20 is damaged (why)', of one step or more."""
    return ', '.join(f'{Path(folder) / str(step)} is damaged ({why})' for step, why in damage.items())


def _brief(error: Exception) -> str:
    """What Orbax and those below it say at length, and with line breaks."""
    cause = error.__cause__ or error
    text = ' '.join(str(cause).strip('"').split())
    said = f'it lacks {text}' if type(cause) is KeyError and ' ' not in text else text or type(cause).__name__
    return said if len(said) <= LONGEST else f'{said[: LONGEST - 3]}...'


def _of_another_run(tree: Any, template: Any) -> str:
    """Which array has another shape than asked for, '' if none has: Orbax gives it as it was saved."""
    pairs = zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(template), strict=True)
    for (path, leaf), asked in pairs:
        if leaf.shape != asked.shape:
            name = jax.tree_util.keystr(path)
            return f'it is of another run: {name} is {list(leaf.shape)}, and here {list(asked.shape)}'
    return ''


def _changed(tree: Any, metadata: dict, step: int) -> str:
    """What is not as it was saved, '' if nothing is. Versions before this did not write the step."""
    if (was := metadata.get('step', step)) != step:
        return f'it was saved as step {was}'
    expected = metadata['crc32']
    changed = [name for name, crc in _checksums(tree).items() if crc != expected.get(name)]
    return f'{len(changed)} of {len(expected)} arrays differ from their checksum, {changed[0]} first' if changed else ''
