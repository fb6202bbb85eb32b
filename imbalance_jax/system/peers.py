"""Processes that work as one watch each other: where one is killed, the others leave at once instead of waiting for it.

JAX's own heartbeat takes minutes, and then ends the process with a dump. Here the first process holds a connection to
each of the others, which the kernel of a killed one closes. Who leaves in order says so before.
"""

import atexit
import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from imbalance_jax.system import signals

DONE, FAILED = b'd', b'f'  # what is said before a connection is closed; nothing by who was killed
JOINING = 30.0  # seconds for the others to connect
GRACE = 3.0  # seconds in which an error that all have is said by each of them
SAVING = 5.0  # seconds for what is being saved, which may be waiting for the one that is gone
_connections: list[socket.socket] = []  # as long as the process lives


def watch(number: int, count: int, host: str, agree: Callable[[Any], np.ndarray]) -> None:
    """Connects this process, of this number, with the first of `count`, which the others reach as `host`.

    agree: gives the first process's value to all. Processes that cannot connect work on unwatched.
    """
    try:
        connected = _accept(count, agree) if number == 0 else {0: _connect(number, host, agree)}
    except OSError as error:
        print(f'Processes do not watch each other ({error}).', file=sys.stderr, flush=True)
        return
    _connections.extend(connected.values())
    for peer, connection in connected.items():
        threading.Thread(target=_wait_for_end, args=(peer, count, connection), daemon=True).start()
    atexit.register(leave, DONE)


def leave(word: bytes) -> None:
    """Tells the others that this process leaves because it is DONE, or has FAILED; nothing without others."""
    while _connections:
        with contextlib.suppress(OSError), _connections.pop() as connection:
            connection.sendall(word)
            connection.shutdown(socket.SHUT_WR)


def _accept(count: int, agree: Callable[[Any], np.ndarray]) -> dict[int, socket.socket]:
    """The connections of all other processes, by their number."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    connected: dict[int, socket.socket] = {}
    with socket.create_server(('', 0), family=family, dualstack_ipv6=dual, backlog=count) as server:
        token = secrets.randbits(30)
        agree(np.array([server.getsockname()[1], token], np.int32))
        end = time.monotonic() + JOINING
        while len(connected) < count - 1:
            server.settimeout(max(0.1, end - time.monotonic()))
            connection, _ = server.accept()
            connection.settimeout(JOINING)
            number, said = np.frombuffer(connection.recv(8, socket.MSG_WAITALL), np.int32)
            if said == token:
                connected[int(number)] = _lasting(connection)
    return connected


def _connect(number: int, host: str, agree: Callable[[Any], np.ndarray]) -> socket.socket:
    """The connection to the first process."""
    port, token = agree(np.zeros(2, np.int32))
    connection = socket.create_connection((host, int(port)), timeout=JOINING)
    connection.sendall(np.array([number, token], np.int32).tobytes())
    return _lasting(connection)


def _lasting(connection: socket.socket) -> socket.socket:
    """A connection that may be silent for ever, and ends within seconds where the other machine is gone."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (('TCP_KEEPIDLE', 3), ('TCP_KEEPINTVL', 2), ('TCP_KEEPCNT', 2)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    return connection


def _wait_for_end(peer: int, count: int, connection: socket.socket) -> None:
    """Returns when a process has left in order; ends this one when it has not."""
    try:
        word = connection.recv(1)
    except OSError:
        word = b''
    if word == DONE or not _connections:  # this process leaves by itself
        return
    if word == FAILED:
        time.sleep(GRACE)
    how = 'has failed' if word == FAILED else 'is gone'
    text = f'error: process {peer + 1} of {count} {how}; leaving, with what is saved. Start them all again to go on.'
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
    signals.saving.acquire(timeout=SAVING)
    os._exit(signals.RESUMABLE)
