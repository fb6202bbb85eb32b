"""What benchmarks share: a process for every contestant, that waits between interleaved rounds; facts; a table."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any


def start(module: str, worker: str, *options: str, quiet: bool = False) -> subprocess.Popen[str]:
    """The benchmark `module` once more, with its own flags and as a worker, its input and output as pipes."""
    command = [
        sys.executable,
        *options,
        '-m',
        f'imbalance_jax.analysis.bench.{module}',
        *sys.argv[1:],
        f'--worker={worker}',
    ]
    return open_worker(command, quiet=quiet, env={**os.environ, 'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'})


def open_worker(command: list[str], *, quiet: bool, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A process whose input and output are pipes of text; `quiet` drops what it says of errors."""
    errors = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)


def widths(width: int) -> tuple[int, ...]:
    """Channels of the stages of the small CNN, in the suite and in the peers."""
    return tuple(width * 2**stage for stage in range(3))


def time_round(process: subprocess.Popen[str]) -> Any:
    """The seconds of a round of a worker, which answers a line with them; ChildProcessError if it has ended."""
    assert process.stdin is not None
    process.stdin.write('go\n')
    process.stdin.flush()
    return read_line(process)


def read_line(process: subprocess.Popen[str]) -> Any:
    """The next line of a worker, as JSON; ChildProcessError if it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ChildProcessError(f'{process.args!r} ended early.')
    return json.loads(line)


class Contestant:
    """A process that says what it is in a line of JSON, and then, for every line that it reads, a round's seconds."""

    def __init__(self, module: str, name: str, quiet: bool = False):
        self.process = start(module, name, quiet=quiet)
        self.facts = self.read()

    def read(self) -> Any:
        """Its next line."""
        return read_line(self.process)

    def time(self) -> float:
        """The seconds of a round."""
        return time_round(self.process)

    def peak_bytes(self) -> int | None:
        """The most memory that the process and those that it started have held, each by itself, on Linux."""
        return sum(found) if (found := [_peak(pid) for pid in _with_children(self.process.pid)]) else None


def _with_children(pid: int) -> list[int]:
    """A process and all that it started and that still run, on Linux."""
    found = [pid] if Path(f'/proc/{pid}').exists() else []
    for file in Path(f'/proc/{pid}/task').glob('*/children'):
        found += [one for child in file.read_text().split() for one in _with_children(int(child))]
    return found


def _peak(pid: int) -> int:
    """The most bytes that a process has held at once; 0 of one that is no more."""
    try:
        lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM')), 0)


def about() -> dict:
    """Device, versions and date."""
    from imbalance_jax.system import provenance

    here = provenance.environment()
    facts = {name: here[name] for name in ('device', 'cores', 'python')}
    return {**facts, 'jax': here['versions']['jax'], 'date': str(date.today())}


def print_table(lines: list[dict]) -> None:
    """Lines with equal keys as a Markdown table."""
    names = list(lines[0])
    print(f'| {" | ".join(name.replace("_", " ") for name in names)} |\n|{" --- |" * len(names)}')
    for line in lines:
        print(f'| {" | ".join("-" if line[name] is None else str(line[name]) for name in names)} |')
