"""Cores and memory within the limits of control groups, of both versions, at the process's own group and above it."""

import os

import pytest

from imbalance_jax.system import limits

GIB = 2**30


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Writes files of control groups, {path: text}, and what the process is told of its own groups."""

    def write(own: str, files: dict[str, str]) -> None:
        (tmp_path / 'own').write_text(own)
        monkeypatch.setattr(limits, 'OWN', tmp_path / 'own')
        monkeypatch.setattr(limits, 'GROUPS', tmp_path / 'cgroup')
        for name, text in files.items():
            path = tmp_path / 'cgroup' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + '\n')

    return write


V2 = '0::/system.slice/job_7/step_0'
V1 = '4:memory:/slurm/job_7\n3:cpu,cpuacct:/slurm/job_7\n0::/'


@pytest.mark.parametrize(
    ('own', 'files'),
    [
        ('0::/', {'memory.max': str(GIB), 'memory.current': '200000000'}),  # a container sees its group as the topmost
        (V2, {'system.slice/job_7/memory.max': str(GIB), 'system.slice/job_7/memory.current': '200000000'}),
        (V2, {'memory.max': 'max', 'system.slice/memory.max': str(GIB), 'system.slice/memory.current': '200000000'}),
        (V1, {'memory/memory.limit_in_bytes': str(GIB), 'memory/memory.usage_in_bytes': '200000000'}),
        (V1, {'memory/slurm/job_7/memory.limit_in_bytes': str(GIB), 'memory/slurm/job_7/memory.usage_in_bytes': '2e8'}),
    ],
)
def test_memory_is_what_the_tightest_group_leaves(groups, own, files):
    groups(own, files)
    counted = '2e8' not in files.values()  # a number that is none says nothing
    assert (limits.free_memory() == GIB - 200_000_000) is counted


def test_files_that_are_kept_in_memory_can_be_taken_back(groups):
    stat = 'anon 100\ninactive_file 150000000'
    groups('0::/', {'memory.max': str(GIB), 'memory.current': '200000000', 'memory.stat': stat})
    assert limits.free_memory() == GIB - 50_000_000


def test_without_limits_the_machine_counts(groups):
    groups('0::/', {'memory.max': 'max', 'memory.current': '5', 'cpu.max': 'max 100000'})
    assert 0 < limits.free_memory() <= os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    assert limits.cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ('own', 'files'),
    [
        ('0::/', {'cpu.max': '100000 100000'}),
        (V2, {'system.slice/job_7/cpu.max': '50000 100000'}),  # half a core is one
        (
            V1,
            {
                'cpu,cpuacct/slurm/job_7/cpu.cfs_quota_us': '100000',
                'cpu,cpuacct/slurm/job_7/cpu.cfs_period_us': '100000',
            },
        ),
        (V1, {'cpu/cpu.cfs_quota_us': '199999', 'cpu/cpu.cfs_period_us': '100000'}),
    ],
)
def test_a_quota_of_time_is_so_many_cores(groups, own, files):
    groups(own, files)
    assert limits.cores() == 1
