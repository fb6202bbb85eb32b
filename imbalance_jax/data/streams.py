"""Rows of images that stay where they are, and work on what comes next while what is there is used."""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

T = TypeVar('T')
R = TypeVar('R')
AHEAD = 64  # items in work or waiting for their turn


class Rows:
    """Some rows [N,...] of an array that may be a file: `rows[index]` reads these, and nothing else is copied."""

    def __init__(self, array: np.ndarray, index: np.ndarray):
        self.array, self.index = array, np.asarray(index)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.array[self.index[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self.array[self.index]
        return whole if dtype is None else whole.astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """N and the shape of a row."""
        return (len(self.index), *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Of the array."""
        return self.array.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """All rows in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def on_all_cores(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Like `map`, in threads, in order, with at most AHEAD items in work or waiting: memory stays bounded."""
    pending: collections.deque[Future[R]] = collections.deque()
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) == AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for left in pending:
                left.cancel()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items of an iterator, of which the next is made by a thread while one is used."""
    done = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, done)
        while (item := coming.result()) is not done:
            coming = pool.submit(next, items, done)
            yield item  # type: ignore[misc]
