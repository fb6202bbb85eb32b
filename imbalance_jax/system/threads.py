"""Work of the host on several cores at once, for what NumPy does outside the interpreter's lock."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from imbalance_jax.system import limits

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
