"""What a process does when it is asked to stop: it keeps what it has and leaves with exit status 75, to be resumed."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

RESUMABLE = 75  # EX_TEMPFAIL of sysexits.h: try again
NAMES = ('SIGTERM', 'SIGUSR1', 'SIGINT', 'SIGHUP')
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
if hasattr(signal, 'SIGHUP') and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under nohup
    SIGNALS.remove(signal.SIGHUP)
AT_ONCE = 130  # 128 + SIGINT: interrupted twice
TWICE = 1.0  # seconds after which another SIGINT is meant: a terminal and a parent may send the same one
AGAIN = 0.1  # seconds after which a request to stop that was lost is made again
PR_SET_PDEATHSIG = 1
saving = threading.RLock()  # held while something is saved that must not be cut short
_kept: list = []  # the sockets of `_listen`, which live as long as the process


def catch(handler: Callable) -> None:
    """Sets a handler for all signals that ask to stop."""
    for number in SIGNALS:
        signal.signal(number, handler)


def handlers() -> dict:
    """What is set now, for `restore`."""
    return {number: signal.getsignal(number) for number in SIGNALS}


def restore(before: dict) -> None:
    """Sets the handlers that `handlers` gave."""
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def leave_when_asked(grace: float = 0.0, *, saves: bool = True) -> None:
    """From now on a signal, also Ctrl-C, ends the process with 75, at the next line of Python in the main thread; what
    is half made is removed.

    Training puts its own handler in the place of this one, to save first. grace: seconds after which the process ends
    with 75 wherever it is - in a compilation, or where a library has swallowed the exception - but not within `saving`;
    every file is whole at any time. 0 for never. A second Ctrl-C ends it at once, with 130. saves: whether what it did
    so far is kept, for what is said.
    """

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(RESUMABLE)

    catch(leave)
    _ask_again_if_swallowed()
    _listen(grace, 'Saving what there is' if saves else 'Stopping')


def _ask_again_if_swallowed() -> None:
    """An exception in a callback of the garbage collector or of an object that goes is printed and ignored: so would be
    the one that leaves, if the signal came just then."""
    tell = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, SystemExit):
            main = threading.main_thread().ident
            threading.Timer(AGAIN, signal.pthread_kill, (main, signal.SIGTERM)).start()
        else:
            tell(unraisable)

    sys.unraisablehook = hook


def _listen(grace: float, doing: str) -> None:
    """A thread that receives signals also while the main thread is in a library and does not."""
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)

    def listen() -> None:
        interrupted = None
        while number := receiver.recv(1)[0]:
            if number == signal.SIGINT and interrupted and time.monotonic() - interrupted > TWICE:
                os._exit(AT_ONCE)
            if number in SIGNALS and not interrupted:
                interrupted = time.monotonic()
                if number == signal.SIGINT:
                    _say(f'{doing}; Ctrl-C once more leaves at once.')
                if grace > 0:
                    threading.Thread(target=_end_after, args=(grace,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    _kept.append((receiver, sender))


def _end_after(grace: float) -> None:
    time.sleep(grace)
    saving.acquire()
    _say(f'Not done {grace:.0f} s after the signal to stop; leaving at once.')
    os._exit(RESUMABLE)


def end_within(seconds: int, status: int) -> None:
    """Ends this process with that status in so many seconds at the latest, whatever threads of libraries wait for."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(status))
    signal.alarm(seconds)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def run(command: list[str], **options: Any) -> int:
    """Runs a command to its end and returns its exit status.

    What asks this process to stop is passed on; when the command has saved and left, so does this, by SystemExit(75).
    If this process is killed, the command is asked to stop.
    """
    passed_on: list[int] = []

    def pass_on(number: int, frame: Any) -> None:
        passed_on.append(number)
        child.send_signal(number)

    with subprocess.Popen(command, preexec_fn=die_with_parent, **options) as child:
        before = handlers()
        catch(pass_on)
        try:
            status = child.wait()
        finally:
            restore(before)
    if passed_on:
        raise SystemExit(RESUMABLE)
    return status


def die_with_parent() -> None:
    """In a child, before its program starts: SIGTERM when the parent dies. Linux only; elsewhere it lives on."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
