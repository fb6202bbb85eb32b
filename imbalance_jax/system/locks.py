"""One owner at a time: a lock that the kernel lets go with its process, and a sign of life for other machines to see.

`flock` alone would do on one machine, and on file systems that carry it between machines. Some carry it only by name
(NFS with `nolock`, Lustre with `localflock`), so the owner also counts up in the lock file. Who gets the lock of an
owner on another machine waits to see whether that count still moves: no clock is compared with another.
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

BEAT = 10.0  # seconds between two signs of life
PATIENCE = 2.5  # beats without one until an owner elsewhere counts as dead
TRIES, PAUSE = 10, 0.1  # a look at a lock holds it for a moment; its next owner tries again
SIZE = 512  # bytes of a record, always written as one


class Taken(ValueError):
    """Another process holds the lock."""


@contextlib.contextmanager
def hold(path: Path, place: str) -> Iterator[None]:
    """Holds the lock file `path` for this process; Taken, naming the owner of `place`, if another process does.

    However this process ends, its lock is free at once on this machine, and elsewhere after 25 seconds at most.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), 'r+b', buffering=0) as file:
        _lock(file, path, place)
        _wait_for_silence(path, place)
        stop, record = threading.Event(), {'host': socket.gethostname(), 'pid': os.getpid(), 'machine': machine()}
        _write(file, {**record, 'beat': 0})
        beats = threading.Thread(target=_beat, args=(path, file, record, stop), daemon=True)
        beats.start()
        try:
            yield
        finally:
            stop.set()
            beats.join()
            os.ftruncate(file.fileno(), 0)  # nobody's; closing the file lets the lock go


@contextlib.contextmanager
def turn(path: Path, place: str) -> Iterator[None]:
    """Holds the lock file `path` as `hold` does, once no other process does; says whom it waits for."""
    with contextlib.ExitStack() as stack:
        told = False
        while True:
            try:
                stack.enter_context(hold(path, place))
                break
            except Taken as error:
                if not told:
                    print(f'{error} Waiting for it.', flush=True)
                told = True
        yield


def owner(path: Path) -> dict | None:
    """Who holds a lock file, {'host', 'pid', ...}, or None; an owner on another machine by its last sign of life."""
    try:
        with open(path, 'rb') as file:
            record = _read(path)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return record or {'host': 'this machine', 'pid': '?'}
            elsewhere = record and record.get('machine') != machine()
            silent = time.time() - os.fstat(file.fileno()).st_mtime > PATIENCE * BEAT
            return record if elsewhere and not silent else None
    except FileNotFoundError:
        return None


def machine() -> str:
    """What the processes that share a kernel, and so its locks, have in common."""
    try:
        return Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    except OSError:
        return socket.gethostname()


def _taken(place: str, record: dict | None) -> str:
    """Why `place` cannot be worked in now."""
    who = f', process {record["pid"]} on {record["host"]}' if record else ''
    return f'Another process is at work in {place}{who}. Wait for it, or stop it.'


def _lock(file, path: Path, place: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if not left:
                raise Taken(_taken(place, _read(path))) from error
        except OSError as error:
            text = f'{place} is on a file system without locks (flock: {error.strerror}), where two processes could'
            raise OSError(error.errno, f'{text} write at once. Mount it with flock, or take another folder') from error
        time.sleep(PAUSE)


def _wait_for_silence(path: Path, place: str) -> None:
    """Returns at once for a lock left on this machine; for one of another, if its owner gives no sign of life."""
    first = _read(path)
    if not first or first.get('machine') == machine():
        return
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE * BEAT:
        time.sleep(min(1.0, BEAT / 5))
        now = _read(path)
        if now != first:
            if now is None:
                return
            raise Taken(_taken(place, now))


def _beat(path: Path, file, record: dict, stop: threading.Event) -> None:
    """Counts up until told to stop. Whoever finds another's name in its place was thought dead, and must not write."""
    count = 0
    while not stop.wait(BEAT):
        found = _read(path)
        if found and any(found.get(name) != value for name, value in record.items()):
            print(f'error: {path} was taken over by process {found.get("pid")} on {found.get("host")}.', flush=True)
            os._exit(1)
        count += 1
        with contextlib.suppress(OSError):  # a full disk is for others to say
            _write(file, {**record, 'beat': count})


def _write(file, record: dict) -> None:
    os.pwrite(file.fileno(), json.dumps(record).encode().ljust(SIZE), 0)


def _read(path: Path) -> dict | None:
    """The record of a lock file, None if there is none."""
    try:
        return json.loads(Path(path).read_bytes()[:SIZE])
    except (OSError, ValueError):
        return None
