"""Plain data read back: JSON that parses may still be something else than what was written."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imbalance_jax.system import files, layout, manifest

# What each file holds, at least: a type; [what each entry is], of one or more; {field: its value} or {str: each value}.
NUMBER = (int, float)
CONFIG = {'arms': {str: dict}, 'seeds': [int], 'data': dict, 'model': {'name': str}, 'train': dict, 'reference': str}
MEMBERS = [{'member': int, 'arm': str, 'loss': str, 'seed': int}]
DATA = {'name': str}
DATA_OF_RUN = {**DATA, 'fingerprint': str}  # what a run that goes on is held against
WHOSE = {'epoch': int, 'arm': str, 'seed': int}  # of a line of metrics
METRICS = {**WHOSE, 'alive': bool, 'validation_auroc': object}
RECORD = {'state': str, 'note': str, 'seconds': NUMBER, 'starts': int}  # how a population of a plan stands
OWNER = {'host': str, 'pid': int, 'machine': str, 'heartbeat': int}  # of a lock
PROVENANCE = {str: {'seconds': NUMBER, 'starts': int}}
STARTS = {str: dict}  # facts of each kind of weights
AGAIN = 'delete it and run train again'
ELSEWHERE = 'bring it back from a copy, or train into another --workdir'
KINDS = {dict: 'a block', list: 'a list', int: 'a whole number', str: 'a text', NUMBER: 'a number', bool: 'a truth'}


def read(path: Path, like: Any, command: str | Callable[[], str]) -> Any:
    """The value of a JSON file that is `like` one of those above.

    command: what to do about a damaged one, for the message. Raises FileNotFoundError, and ValueError naming the file
    and the place in it, or saying that it is not what was written.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f'{path} is missing; {re.sub("^delete it(,? and|;) ", "", manifest.worded(command))}.')
    manifest.check(path, command)
    try:
        value = files.read_json(path)
    except ValueError as error:
        raise ValueError(f'{str(error).rstrip(".")}; {manifest.worded(command)}.') from error
    if fault := fault_of(value, like):
        raise ValueError(f'{path} is damaged: {fault}; {manifest.worded(command)}.')
    return value


def fault_of(value: Any, like: Any, where: str = 'it') -> str:
    """In what a value is not like what is expected, '' if it is."""
    if like is object:
        return ''
    if isinstance(like, (type, tuple)):
        wrong = not isinstance(value, like) or (isinstance(value, bool) and like is not bool)
        return f'{where} is {_brief(value)}, not {KINDS[like]}' if wrong else ''
    kind = type(like)
    if not isinstance(value, kind) or (kind is list and not value):
        return f'{where} is {_brief(value)}, not {KINDS[kind]}{" of one or more" if kind is list else ""}'
    if isinstance(like, list):
        entries = [(f'entry {number}', one, like[0]) for number, one in enumerate(value)]
    elif str in like:
        entries = [(repr(name), one, like[str]) for name, one in value.items()]
    else:
        if missing := [name for name in like if name not in value]:
            return f'{where} lacks {missing[0]!r}'
        entries = [(repr(name), value[name], inner) for name, inner in like.items()]
    faults = (fault_of(one, inner, name if where == 'it' else f'{where}, {name}') for name, one, inner in entries)
    return next((fault for fault in faults if fault), '')


def is_adopted(workdir: Path) -> bool:
    """Whether networks of elsewhere were adopted there, as far as its provenance can be read."""
    try:
        stages = json.loads(files.regular(Path(workdir) / layout.PROVENANCE).read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(stages, dict) and 'adopt' in stages


def again(workdir: Path) -> str:
    """What to do about a damaged file of training: one that was adopted is not trained."""
    return 'bring it back from a copy, or adopt into another folder' if is_adopted(workdir) else AGAIN


def config(workdir: Path) -> dict[str, Any]:
    """config.json."""
    return read(Path(workdir) / layout.CONFIG, CONFIG, ELSEWHERE)


def members(workdir: Path) -> list[dict[str, Any]]:
    """The rows of members.json."""
    return read(Path(workdir) / layout.MEMBERS, MEMBERS, partial(again, workdir))


def data(workdir: Path) -> dict[str, Any]:
    """data.json."""
    return read(Path(workdir) / layout.DATA, DATA, partial(again, workdir))


def fingerprint(workdir: Path) -> str:
    """That of the data set, in data.json."""
    return read(Path(workdir) / layout.DATA, DATA_OF_RUN, partial(again, workdir))['fingerprint']


def metrics(workdir: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of metrics.jsonl, none where there is no such file; ValueError naming the line that is none."""
    path = Path(workdir) / layout.METRICS
    for number, line in enumerate(lines(path) if path.exists() else (), 1):
        yield metric(path, number, line)


def lines(path: Path) -> list[str]:
    """The whole lines of metrics.jsonl; the last one may be half written."""
    manifest.check(path, ELSEWHERE)
    try:
        text = files.regular(path).read_text(encoding='utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is damaged: {error}; {ELSEWHERE}.') from error
    return [line for line in text.splitlines(keepends=True) if line.endswith('\n')]


def metric(path: Path, number: int, line: str, like: Any = METRICS) -> dict[str, Any]:
    """What a line of metrics.jsonl says; ValueError naming it unless it holds what is expected."""
    try:
        row = json.loads(line)
        fault = fault_of(row, like)
    except ValueError as error:
        fault = str(error)
    if fault:
        raise ValueError(f'{path}, line {number} is damaged: {fault}; delete the line.')
    return row


def provenance(workdir: Path) -> Mapping[str, Any]:
    """provenance.json."""
    return read(Path(workdir) / layout.PROVENANCE, PROVENANCE, 'delete it; what it said of what was done is lost')


def accepted(workdir: Path) -> list[str]:
    """The files that were taken as they are (`provenance.accept`), though changed by hand, damaged or lost."""
    try:
        changes = provenance(workdir).get('accept', {}).get('accepted', [])
    except (OSError, ValueError):
        return []
    return [str(one).split(' ', 1)[0] for one in changes if manifest.FOREIGN not in str(one)]


def starts(workdir: Path) -> dict[str, Any]:
    """start.json, nothing where training began with no weights."""
    path = Path(workdir) / layout.STARTS
    return read(path, STARTS, partial(again, workdir)) if path.exists() else {}


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
