"""One owner at a time: a lock that the kernel lets go with its process, and a heartbeat for other machines to see.

`flock` alone would do on one machine, and on file systems that carry it between machines. Some carry it only by name
(NFS with `nolock`, Lustre with `localflock`), so the owner also counts up in the lock file: its heartbeat. Who gets the
lock of an owner on another machine waits to see whether that count still moves: no clock is compared with another.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from imbalance_jax.system.files import naming, regular
from imbalance_jax.system.records import OWNER, fault_of

HEARTBEAT = 10.0  # seconds between two counts
PATIENCE = 2.5  # heartbeats without a count until an owner elsewhere is taken for dead
TRIES, PAUSE = 10, 0.1  # a look at a lock holds it for a moment; its next owner tries again
SIZE = 512  # bytes of a record, always written as one


class Taken(ValueError):
    """Another process holds the lock."""


@contextlib.contextmanager
def acquire(path: Path, name: str) -> Iterator[None]:
    """Holds the lock file `path` for this process; Taken, with the owner of `name`, if another process does.

    name: what is locked, for messages. However this process ends, its lock is free at once on this machine, and
    elsewhere after 25 seconds at most.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    regular(path)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), 'r+b', buffering=0) as file:
        _lock(file, path, name)
        _wait_for_silence(path, name)
        stop, record = threading.Event(), {'host': socket.gethostname(), 'pid': os.getpid(), 'machine': machine()}
        with naming(path):
            _write(file, {**record, 'heartbeat': 0})
        counting = threading.Thread(target=_count_up, args=(path, file, record, stop), daemon=True)
        counting.start()
        try:
            yield
        finally:
            stop.set()
            counting.join()
            os.ftruncate(file.fileno(), 0)  # nobody's; closing the file lets the lock go


@contextlib.contextmanager
def wait(path: Path, name: str) -> Iterator[None]:
    """Holds the lock file `path` as `acquire` does, once no other process does; says whom it waits for."""
    with contextlib.ExitStack() as stack:
        announced = False
        while True:
            try:
                stack.enter_context(acquire(path, name))
                break
            except Taken as error:
                if not announced:
                    print(f'{error} Waiting for it.', flush=True)
                announced = True
        yield


def owner(path: Path) -> dict | None:
    """Who holds a lock file, {'host', 'pid', ...}, or None; an owner on another machine by its last heartbeat."""
    if not Path(path).is_file():
        return None
    try:
        with open(path, 'rb') as file:
            record = _read(path)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return record or {'host': 'this machine', 'pid': '?'}
            elsewhere = record and record.get('machine') != machine()
            silent = time.time() - os.fstat(file.fileno()).st_mtime > PATIENCE * HEARTBEAT
            return record if elsewhere and not silent else None
    except FileNotFoundError:
        return None


def machine() -> str:
    """What the processes that share a kernel, and so its locks, have in common."""
    try:
        return Path('/proc/sys/kernel/random/boot_id').read_text(encoding='utf-8').strip()
    except OSError:
        return socket.gethostname()


def _taken(name: str, record: dict | None) -> str:
    """Why nobody else can work in `name` now."""
    who = f', process {record["pid"]} on {record["host"]}' if record else ''
    return f'Another process is at work in {name}{who}. Wait for it, or stop it.'


def _lock(file: IO, path: Path, name: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if not left:
                raise Taken(_taken(name, _read(path))) from error
        except OSError as error:
            text = f'{name} is on a file system without locks (flock: {error.strerror}), where two processes could'
            raise OSError(error.errno, f'{text} write at once. Mount it with flock, or take another folder') from error
        time.sleep(PAUSE)


def _wait_for_silence(path: Path, name: str) -> None:
    """Returns at once for a lock left on this machine; for one of another, if its owner's heartbeat has stopped."""
    first = _read(path)
    if not first or first.get('machine') == machine():
        return
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE * HEARTBEAT:
        time.sleep(min(1.0, HEARTBEAT / 5))
        now = _read(path)
        if now != first:
            if now is None:
                return
            raise Taken(_taken(name, now))


def _count_up(path: Path, file: IO, record: dict, stop: threading.Event) -> None:
    """The heartbeat, until `stop`. Whoever finds another's name in its place was taken for dead, and must not write."""
    count = 0
    while not stop.wait(HEARTBEAT):
        other = _read(path)
        if other and any(other.get(name) != value for name, value in record.items()):
            print(f'error: {path} was taken over by process {other.get("pid")} on {other.get("host")}.', flush=True)
            os._exit(1)
        count += 1
        with contextlib.suppress(OSError):  # a full disk is for others to say
            _write(file, {**record, 'heartbeat': count})


def _write(file: IO, record: dict) -> None:
    os.pwrite(file.fileno(), json.dumps(record).encode().ljust(SIZE), 0)


def _read(path: Path) -> dict | None:
    """The record of a lock file, None if there is none."""
    try:
        record = json.loads(Path(path).read_bytes()[:SIZE])
        return None if fault_of(record, OWNER) else record
    except (OSError, ValueError):
        return None
