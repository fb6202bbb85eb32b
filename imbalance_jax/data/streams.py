"""Rows of images that stay where they are, and work on what comes next while what is there is used."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from imbalance_jax.system import limits

T = TypeVar('T')
R = TypeVar('R')
ALIGNED = 64  # bytes, of which XLA wants a multiple
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


def take(array: Any, index: np.ndarray, size: int = 0) -> np.ndarray:
    """`array[index]`, the first of `size` rows whose memory starts where a CPU's devices can read it without a copy."""
    rows, index = (array.array, array.index[index]) if isinstance(array, Rows) else (array, np.asarray(index))
    shape = (max(size, len(index)), *rows.shape[1:])
    memory = np.empty(int(np.prod(shape, dtype=np.int64)) * rows.dtype.itemsize + ALIGNED, np.uint8)
    memory = memory[-memory.ctypes.data % ALIGNED :][: len(memory) - ALIGNED]
    taken = memory.view(rows.dtype).reshape(shape)
    np.take(rows, index, axis=0, out=taken[: len(index)], mode='wrap')  # 'raise' would fill a copy first
    return taken


def on_all_cores(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Like `map`, in threads, in order, with at most AHEAD items in work or waiting: memory stays bounded."""
    pending: collections.deque[Future[R]] = collections.deque()
    with ThreadPoolExecutor(limits.cores()) as pool:
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
