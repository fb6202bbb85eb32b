"""Live progress: what runs, how far it is, how fast, and how long it will take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from imbalance_jax.system.processes import leads

PLAIN_EVERY = 10.0  # seconds between lines where the output is no terminal


@contextmanager
def show(phase: str, total: int = 0, start: int = 0) -> Iterator[Callable]:
    """Yields `update(done, total=total, note='')` for one phase, which starts with `start` of `total` units done.

    Of several processes that work as one, the first shows it.
    """
    if not leads():
        yield lambda done, total=total, note='': None
        return
    console = Console()
    if not console.is_terminal:
        yield _lines(phase, total, start)
        return
    columns = (
        TextColumn('{task.description:>24}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn('left'),
        TimeRemainingColumn(),
        TextColumn('{task.fields[note]}'),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(phase, total=total or None, completed=start, note='')
        yield lambda done, total=total, note='': bar.update(task, completed=done, total=total, note=note)


def _lines(phase: str, total: int, start: int) -> Callable:
    """Where nothing can be redrawn, as in a log file: a line every ten seconds, and one at the end."""
    begin, last = time.monotonic(), 0.0

    def update(done: int, total: int = total, note: str = '') -> None:
        nonlocal last
        elapsed = time.monotonic() - begin
        if elapsed - last < PLAIN_EVERY and done < total:
            return
        last = elapsed
        left = f', {elapsed / (done - start) * (total - done):.0f} s left' if start < done < total else ''
        print(f'{phase}: {done}/{total} in {elapsed:.0f} s{left}  {note}'.rstrip(), flush=True)

    return update
