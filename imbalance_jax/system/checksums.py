"""Checksums of files, or of how they begin; each file is read once per process and state."""

import functools
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TICK = 200_000_000  # nanoseconds


class Mark(NamedTuple):
    """What is known of a file: the checksum of its first `size` bytes, which are all unless it grows."""

    sha256: str
    size: int


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file does."""
    status = Path(path).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_old(state: tuple[int, ...]) -> bool:
    """Whether a file would have another state now if it were written again: clocks of file systems tick slowly."""
    return abs(time.time_ns() - state[-1]) > TICK


def mark(path: Path, size: int | None = None) -> Mark:
    """That of a file, or of its first `size` bytes, as it is now."""
    state = state_of(path)
    return _mark(path, state, size) if is_old(state) else _mark.__wrapped__(path, state, size)


@functools.lru_cache(maxsize=4096)
def _mark(path: Path, state: tuple[int, ...], size: int | None) -> Mark:
    digest, read = hasher(path, size)
    return Mark(digest.hexdigest(), read)


def hasher(path: Path, size: int | None = None) -> 'tuple[hashlib._Hash, int]':
    """The running checksum of a file, or of its first `size` bytes, and how many these are; of no file, of nothing."""
    digest, done = hashlib.sha256(), 0
    for block in _blocks(path) if Path(path).exists() else ():
        block = block if size is None else block[: size - done]
        digest.update(block)
        done += len(block)
    return digest, done


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            yield block
