"""Work of the host on several cores at once, for what NumPy and XLA do outside the interpreter's lock."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from threading import Lock
from typing import Any, TypeVar

from imbalance_jax.system import limits, processes

Item = TypeVar('Item')
Result = TypeVar('Result')


def each(do: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`do(item)` of every item, in their order, as many at a time as there are cores. The first error is raised."""
    items = list(items)
    workers = min(limits.cores(), len(items))
    if workers < 2:
        return [do(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(do, items))


@contextmanager
def ahead(do: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Mapping[Item, Callable[[], Result]]]:
    """Begins `do(item)` of every item beside what is done inside: item -> a function that waits for the result.

    As many at a time as there are cores; on one core each is done when it is first asked for, and where several
    processes work as one, which have to do things in one order. An error is raised where the result is asked for. What
    has not begun when the block ends is not done.
    """
    items = list(dict.fromkeys(items))
    workers = min(limits.cores(), len(items))
    if workers < 2 or processes.joined():
        yield {item: cache(partial(do, item)) for item in items}
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield {item: pool.submit(do, item).result for item in items}
    finally:
        pool.shutdown(cancel_futures=True)


class Once:
    """What is made once per key, whoever asks for it first; who asks meanwhile waits."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: dict[Hashable, Future] = {}

    def __call__(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make()` gave for this key; an error is raised for all who ask, and kept."""
        with self._lock:
            first = key not in self._made
            future = self._made.setdefault(key, Future())
        if first:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
        return future.result()
