"""What benchmarks share: a process for every contestant, that waits between interleaved rounds; facts; a table."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path


def start(module: str, worker: str, *options: str, quiet: bool = False) -> subprocess.Popen:
    """The benchmark `module` once more, with its own flags and as a worker, its input and output in our hands."""
    command = [
        sys.executable,
        *options,
        '-m',
        f'imbalance_jax.analysis.bench.{module}',
        *sys.argv[1:],
        f'--worker={worker}',
    ]
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL if quiet else None}
    return subprocess.Popen(command, env={**os.environ, 'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}, text=True, **pipes)


class Contestant:
    """A process that says what it is in a line of JSON, and then, asked, the seconds of a round."""

    def __init__(self, module: str, name: str, quiet: bool = False):
        self.process = start(module, name, quiet=quiet)
        self.facts = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f'{self.process.args[-1]} ended early.')
        return json.loads(line)

    def time(self) -> float:
        self.process.stdin.write('go\n')
        self.process.stdin.flush()
        return self.read()

    def peak_bytes(self) -> int | None:
        """The most memory that the process itself has held, on Linux."""
        try:
            lines = Path(f'/proc/{self.process.pid}/status').read_text().splitlines()
        except OSError:
            return None
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))


def about() -> dict:
    """Device, versions and date."""
    from imbalance_jax.system import provenance

    found = provenance.environment()
    facts = {'device': found['device'], 'cores': found['cores'], 'python': found['python']}
    return {**facts, 'jax': found['versions']['jax'], 'date': str(date.today())}


def print_table(lines: list[dict]) -> None:
    """Lines with equal keys as a Markdown table."""
    names = list(lines[0])
    print(f'| {" | ".join(name.replace("_", " ") for name in names)} |\n|{" --- |" * len(names)}')
    for line in lines:
        print(f'| {" | ".join("-" if line[name] is None else str(line[name]) for name in names)} |')
