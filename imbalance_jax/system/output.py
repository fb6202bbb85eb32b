"""What is said while work goes on: a reader that leaves, or a log on a full disk, ends the words and not the work."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TextIO


class Lasting:
    """A text stream whose writes never fail: from the first failure on, what is written goes nowhere.

    lost: that failure; None while there is none, and for a reader that left, who wanted no more.
    """

    lost: Exception | None = None

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """All of the text, as far as the caller can see; letters that the stream's encoding lacks as escapes."""
        try:
            try:
                return self.stream.write(text)
            except UnicodeEncodeError:
                encoding = self.stream.encoding
                return self.stream.write(text.encode(encoding, 'backslashreplace').decode(encoding))
        except (OSError, ValueError) as error:
            self._to_nowhere(error)
            return len(text)

    def flush(self) -> None:
        """What was written and not sent yet."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._to_nowhere(error)

    def _to_nowhere(self, failure: Exception) -> None:
        """The descriptor itself, so that what Python still holds, and libraries write, fails no more either."""
        if not isinstance(failure, BrokenPipeError):
            self.lost = self.lost or failure
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):  # no descriptor: nothing is left that could fail
            return


def never_fails() -> None:
    """Makes standard output and error such streams; one that was closed before Python began leads nowhere."""
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name) or open(os.devnull, 'w')  # noqa: SIM115  for as long as the process lives
        setattr(sys, name, Lasting(stream))


def check_written() -> None:
    """Raises OSError if standard output took less than was said, for a program whose words are what it is for."""
    sys.stdout.flush()
    if lost := getattr(sys.stdout, 'lost', None):
        raise OSError(f'standard output takes no more ({lost}): what was said is incomplete.')


def leave(main: Callable[[], int | None]) -> NoReturn:
    """Runs a program's entry point, whose words fail no work, and leaves with its exit status."""
    never_fails()
    sys.exit(main())
