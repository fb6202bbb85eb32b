"""What all engines share: the plan's unfinished jobs, the command that does one, and how something is sent or shown."""

import argparse
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from imbalance_jax.launch import console
from imbalance_jax.sweep import jobs, plan
from imbalance_jax.system import command_line

HERE = console.PROGRAM  # where machines share this file system
EXTRAS = {'submitit': 'slurm'}  # of pyproject.toml, whose names are not those of their packages
INSTALLED = ['imbalance-jax']  # where they have an installation of their own


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leaves with status 2."""
        print(f'error: {message[0].upper()}{message[1:]}.', file=sys.stderr)
        sys.exit(2)


def parser(documentation: str | None) -> Parser:
    """A command line with --plan and --dry-run. documentation: of the module, which `python -OO` leaves out."""
    result = Parser(
        description=(documentation or '').partition('\n')[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    result.add_argument('--plan', required=True, type=path, help='what imbalance-jax plan wrote')
    result.add_argument('--dry-run', action='store_true', help='print what would be sent, and send nothing')
    return result


def add_limits(command_line: argparse.ArgumentParser, *, requeues: int) -> None:
    """--notice and --requeues, of an engine whose jobs have a time limit; requeues: how many unless it is said."""
    command_line.add_argument(
        '--notice', type=at_least(1), default=120, help='seconds before the time limit to save in'
    )
    command_line.add_argument(
        '--requeues', type=at_least(0), default=requeues, help='of a job, after time limits that it saved before'
    )


def path(text: str) -> Path:
    """A path as it is typed."""
    return Path(command_line.path(text))


def at_least(least: float, kind: type = int) -> Callable[[str], Any]:
    """The type of a flag that is a number of `kind`, `least` or more."""

    def number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value < float('inf'):
            what = 'a whole number' if kind is int else 'a number'
            raise argparse.ArgumentTypeError(f'{text!r} is not {what} of {least} or more')
        return value

    return number


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """The type of a flag whose text is `pattern` from end to end; what: that in words."""

    def name(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f'{text!r} is not {what}')
        return text

    return name


def unfinished(path: Path) -> list[plan.Job]:
    """The jobs that are not done; leaves the program with status 0 if there is none, 2 if the plan is wrong.

    Lines that are damaged are said, and the others are sent all the same.
    """
    try:
        whole, faults = plan.examine(path)
        for fault in faults:
            print(f'error: {fault}', file=sys.stderr)
        open_jobs = [job for job in whole if jobs.standing(job).state != 'done']
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    if not open_jobs:
        print(f'Every population of {path} {"that can be read " if faults else ""}is done.')
        sys.exit(2 if faults else 0)
    return open_jobs


def work(path: Path, job: str, grace: float, *, program: list[str] = HERE) -> list[str]:
    """The command that does one job of a plan."""
    return [*program, 'work', f'--plan={path}', f'--job={job}', f'--grace={grace:g}']


def line(words: Iterable[str], job: str, variable: str) -> str:
    """The words of a command for a shell, its job's in the place of `--job=JOB`: a variable, which it puts in."""
    return ' '.join(f'--job="{variable}"' if word == f'--job={job}' else shlex.quote(word) for word in words)


def package(name: str) -> ModuleType | None:
    """An engine's package, or None, which is said, where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        way = f"pip install -e '.[{EXTRAS.get(name, name)}]' in the repository installs it"
        shown = '--dry-run prints what it would be given'
        print(f'error: {name} cannot be imported ({error}): {way}; {shown}.', file=sys.stderr)
        return None


def send(command: list[str], text: str, *, dry_run: bool) -> int:
    """Runs an engine's client with `text` as its input, or prints both; its exit status, 2 where it is not here."""
    if dry_run:
        print(f'# {shlex.join(command)}\n{text}')
        return 0
    try:
        return subprocess.run(command, input=os.fsencode(text)).returncode
    except FileNotFoundError:
        print(f'error: there is no {command[0]} here; --dry-run prints what it would be given.', file=sys.stderr)
        return 2
