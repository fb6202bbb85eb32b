"""What campaigns of random mutations share: reading with an end, what counts as an answer, and a flipped bit."""

import random
import signal
from collections.abc import Callable
from typing import Any


class Waits(BaseException):
    """A reader took longer than it may."""


def end_waits() -> Any:
    """Lets an alarm raise `Waits`; returns what it did before."""

    def waits(*_):
        raise Waits

    return signal.signal(signal.SIGALRM, waits)


def outcome(
    read: Callable[[], Any],
    complaints: list[str],
    *,
    refusals: tuple[type[Exception], ...],
    is_clear: Callable[[Exception], bool],
    seconds: int,
) -> Any:
    """What is read, None if it is refused; a refusal that is not clear, a traceback and a wait go to `complaints`."""
    signal.alarm(seconds)
    try:
        return read()
    except refusals as error:
        if not is_clear(error):
            complaints.append(f'says nothing: {str(error)!r}')
    except Waits:
        complaints.append('waits')
    except Exception as error:
        complaints.append(f'traceback: {error!r}')
    finally:
        signal.alarm(0)
    return None


def flipped(content: bytes, draw: random.Random) -> bytes:
    """The same with one bit the other way."""
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
