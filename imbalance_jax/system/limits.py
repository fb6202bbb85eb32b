"""What this process may use of its machine: cores and memory, within the limits of containers and batch jobs.

Limits of control groups hold for a group and for all that are in it. So every group is asked, from the process's own up
to the topmost that it sees: in a container that is the only one; in a SLURM or systemd job the limit stands below it.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path('/sys/fs/cgroup')
OWN = Path('/proc/self/cgroup')


def cores() -> int:
    """Cores that this process may keep busy, at least 1: those that it is pinned to, or its quota of time if less."""
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    quotas = [share for group in _groups('cpu') for share in _quota(group)]
    return max(1, math.floor(min([pinned, *quotas])))


def free_memory() -> int:
    """Bytes of main memory that this process may still take, 0 or more."""
    free = [os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')]
    available = _lines(Path('/proc/meminfo')).get('MemAvailable', '').split()
    free += [int(available[0]) * 1024] if available else []
    free += [left for group in _groups('memory') for left in _left(group)]
    return max(0, min(free))


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's groups, its own first, under both versions of control groups."""
    for line in _text(OWN).splitlines():
        number, _, rest = line.partition(':')
        controllers, _, path = rest.partition(':')
        if number == '0' and not controllers:
            yield from _upwards(GROUPS, path)
        elif controller in controllers.split(','):
            yield from _upwards(GROUPS / controller, path)
            yield from _upwards(GROUPS / controllers, path)
    yield from (GROUPS, GROUPS / controller)  # a process may see its group as the topmost, whatever it is called


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """The folder of a group below `top`, and those above it."""
    own = top / path.lstrip('/')
    for folder in (own, *own.parents):
        yield folder
        if folder == top:
            return


def _quota(group: Path) -> Iterator[float]:
    """Cores' worth of CPU time that a group may take, if that is limited."""
    quota, _, period = _text(group / 'cpu.max').partition(' ')
    for limit, per in ((quota, period), (_text(group / 'cpu.cfs_quota_us'), _text(group / 'cpu.cfs_period_us'))):
        if limit.isdecimal() and per.isdecimal() and int(per):
            yield int(limit) / int(per)


def _left(group: Path) -> Iterator[int]:
    """Bytes that a group may still take, if they are limited. What it only keeps of files can be taken back."""
    cached = _lines(group / 'memory.stat', ' ')
    for limit, used, kept in (
        ('memory.max', 'memory.current', 'inactive_file'),
        ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'),
    ):
        most, now, files = _text(group / limit), _text(group / used), cached.get(kept, '0')
        if most.isdecimal() and now.isdecimal():
            yield int(most) - int(now) + (int(files) if files.isdecimal() else 0)


def _lines(path: Path, separator: str = ':') -> dict[str, str]:
    """Name -> value of the lines of a file; empty if it cannot be read."""
    pairs = (line.partition(separator) for line in _text(path).splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _text(path: Path) -> str:
    """The text of a file, '' if it cannot be read."""
    try:
        return path.read_text(encoding='utf-8').strip()
    except (OSError, ValueError):
        return ''
