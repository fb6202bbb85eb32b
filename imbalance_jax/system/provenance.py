"""Where a result comes from: versions, device, command and time of every stage, in provenance.json."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from imbalance_jax.system import environment as numbers
from imbalance_jax.system import layout, limits, manifest, records
from imbalance_jax.system.workdir import lock, write_json

PACKAGES = (
    'imbalance-jax',
    'jax',
    'jaxlib',
    'flax',
    'optax',
    'orbax-checkpoint',
    'tensorflow-datasets',
    'numpy',
    'scipy',
    'pandas',
    'ml-collections',
)
RUNS = 'runs'  # in the record of a stage that has not ended
GROWING = ('accepted',)  # facts that add up over the starts of a stage
LOST = f'{layout.PROVENANCE} was lost, and with it what was done and accepted until then'
SOFTWARE = ('python', 'versions', 'source', 'plugins', 'xla_flags')
MACHINE = ('device', 'devices', 'platform')
_in_use: set[Path] = set()


def processor() -> str:
    """The processor's name as Linux gives it, or what Python knows."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
        return next(line.split(':', 1)[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@functools.cache
def source() -> str:
    """Sixteen hexadecimal digits of the package's own code: a version number stays while code is being written."""
    digest, folder = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(folder.rglob('*.py')):
        digest.update(f'{path.relative_to(folder)}\n'.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def use(paths: Iterable[Path]) -> None:
    """From now on these files, a user's own, have a part in what is made, and no others."""
    _in_use.clear()
    _in_use.update(Path(path) for path in paths)


def plugins() -> str:
    """Sixteen hexadecimal digits of the files in `use`, as they are now; '' without any."""
    digest = hashlib.sha256()
    for path in sorted(_in_use, key=lambda one: (one.name, str(one))):
        with contextlib.suppress(OSError):
            digest.update(f'{path.name}\n'.encode() + path.read_bytes())
    return digest.hexdigest()[:16] if _in_use else ''


def plugins_edited(workdir: Path) -> bool:
    """Whether the files in `use` are others than when training into `workdir` began."""
    known = records.provenance(workdir) if (Path(workdir) / layout.PROVENANCE).exists() else {}
    began_with = known.get('train', {}).get('plugins', '')
    return bool(began_with) and began_with != plugins()


def of_plugin(error: BaseException) -> str:
    """One line for an error in one of the files in `use`, with the last of its lines on the way there; '' otherwise."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if Path(one.filename).resolve() in {path.resolve() for path in _in_use}]
    if not own:
        return of_plugin(error.__cause__) if error.__cause__ else ''
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    return f'{own[-1].filename}, line {own[-1].lineno}: {reason[:300]} (--traceback shows the way there).'


def version(package: str) -> str | None:
    """The version of an installed package; None for one that is not, such as this one run from its folder."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def environment() -> dict[str, Any]:
    """Versions and devices of this process. Starts JAX's backend."""
    devices = jax.devices()
    kind = processor() if devices[0].platform == 'cpu' else devices[0].device_kind
    return {
        'python': platform.python_version(),
        'versions': {name: version(name) for name in PACKAGES},
        'source': source(),
        **({'plugins': digits} if (digits := plugins()) else {}),
        'device': kind,
        'devices': len(devices),
        'platform': devices[0].platform,
        'cores': limits.cores(),
        'precision': numbers.precision(),
        'deterministic': numbers.deterministic(),
        **({'xla_flags': flags} if (flags := os.environ.get('XLA_FLAGS', '')) else {}),
        'system': f'{platform.system()} {platform.machine()}',
    }


@contextlib.contextmanager
def stage(workdir: Path, name: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Records one stage; yields its record, to which facts may be added.

    It is recorded when it begins, so that one that is killed has had a part in what is there. A stage that was
    interrupted and resumed adds up its seconds and counts its starts. What other software had a part in it before is
    kept in `before`, and on what other devices in `elsewhere`.
    """
    begin, path = time.monotonic(), Path(workdir) / layout.PROVENANCE
    known = records.provenance(workdir) if path.exists() else {}  # a damaged one is said before the work
    if not path.exists() and layout.PROVENANCE in (manifest.read(workdir) or {}):
        facts = {**facts, 'accepted': [*facts.get('accepted', []), LOST]}
    before = {'seconds': 0.0, 'starts': 0, **known.get(name, {})}
    before['seconds'] += _seconds_of_one_that_was_ended(workdir, before)
    record = {
        'started': datetime.now(UTC).isoformat(timespec='seconds'),
        'command': shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **environment(),
        manifest.WATCHED: True,
        **facts,
        **{key: [*before.get(key, []), *facts.get(key, [])] for key in GROWING if key in {**before, **facts}},
        'seconds': before['seconds'],
        'starts': before['starts'] + 1,
        RUNS: True,
    }
    record['before'] = _others(before, record, 'before', SOFTWARE)
    record['elsewhere'] = _others(before, record, 'elsewhere', MACHINE)
    write_json(path, {**known, name: record})
    try:
        yield record
    finally:
        record.pop(RUNS, None)
        record['seconds'] = round(before['seconds'] + time.monotonic() - begin, 1)
        write_json(path, {**known, name: record})


def _seconds_of_one_that_was_ended(workdir: Path, before: Mapping[str, Any]) -> float:
    """How long a stage worked that was ended without a word, as by `kill -9`: until it wrote its last file."""
    if not before.get(RUNS):
        return 0.0
    begun = datetime.fromisoformat(before['started']).timestamp()
    parts = (layout.CHECKPOINTS, layout.EXPLAIN, layout.RESULTS)
    files_of = (path for part in parts for path in (Path(workdir) / part).rglob('*') if path.is_file())
    written = [path.stat().st_mtime for path in files_of]
    return round(max(max(written, default=0.0) - begun, 0.0), 1)


def _others(before: Mapping[str, Any], record: Mapping[str, Any], name: str, keys: Sequence[str]) -> list[dict]:
    """What had a part in a stage before and is not what has one now, each once. before: its record until now."""
    known = [*before.get(name, []), {key: before[key] for key in keys if key in before}]
    now = {key: record[key] for key in keys if key in record}
    return [one for i, one in enumerate(known) if one and one != now and one not in known[:i]]


def machines(facts: Sequence[Mapping[str, Any]]) -> str:
    """Devices in words. facts: of `elsewhere`."""
    return ' and '.join(f'{one.get("devices", "?")} x {one.get("device", "?")}' for one in facts)


def accept(workdir: Path) -> list[str]:
    """Takes all files of a working directory as they are now, which its provenance says from then on.

    Returns what was changed, missing or new. Raises FileNotFoundError for a folder that is no working directory.
    """
    workdir = Path(workdir)
    if not (workdir / layout.CONFIG).exists():
        raise FileNotFoundError(f'{workdir} is no working directory: it has no {layout.CONFIG}.')
    with lock(workdir):
        try:
            changes = manifest.differences(workdir)
        except ValueError:
            changes = [f'{layout.MANIFEST} was damaged, and nothing is known of what files were']
        if changes:
            manifest.accept(workdir, [layout.PROVENANCE])
            with stage(workdir, 'accept', accepted=changes):
                manifest.accept(workdir)
    return changes
