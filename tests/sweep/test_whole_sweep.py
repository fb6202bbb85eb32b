"""One real sweep: two populations of the same numbers, one of them killed on its way; equal tables."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imbalance_jax.sweep import jobs, populations
from imbalance_jax.sweep import plan as plans

ROOT = Path(__file__).parents[2]
PATIENCE = 1200  # seconds; a machine may have much else to do


def command(*words) -> list[str]:
    return [sys.executable, '-m', *map(str, words)]


def wait_for(condition, process) -> None:
    begin = time.monotonic()
    while not condition():
        assert process.poll() is None
        assert time.monotonic() - begin < PATIENCE
        time.sleep(0.05)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='signals as on Unix')
def test_a_disturbed_population_ends_like_an_undisturbed_one(tiny_config, tmp_path):
    tiny_config = tiny_config.copy_and_resolve_references()
    tiny_config.train.epochs = 6
    tiny_config.train.save_seconds = 0.01
    tiny_config.attribution.methods = ('grad_cam',)
    plan = tmp_path / 'plan.jsonl'
    points = [{'question': 'disturbed'}, {'question': 'not'}]
    result, _ = plans.write(plan, populations.populations(tiny_config, points))
    log = result[0].workdir / 'metrics.jsonl'
    with subprocess.Popen(command('launch.local', '--plan', plan), cwd=ROOT, stdout=subprocess.DEVNULL) as engine:
        wait_for(log.exists, engine)
        os.kill(int(jobs.standing(result[0]).note.split('process ')[1].split(',')[0]), signal.SIGKILL)
        assert engine.wait(timeout=PATIENCE) == 0  # the worker began it again
    assert jobs.standing(result[0]).starts == 2
    assert [jobs.standing(job).state for job in result] == ['done'] * 2
    for name in ('data', 'performance', 'alignment', 'concepts', 'units', 'audit'):
        one, other = ((job.workdir / 'results' / f'{name}.csv').read_bytes() for job in result)
        assert one == other, name
    assert all((job.workdir / 'report.html').exists() for job in result)
    collected = subprocess.run(
        command('imbalance_jax.launch.console', 'collect', f'--plan={plan}'), cwd=ROOT, capture_output=True
    )
    assert collected.returncode == 0
    assert (plans.folder_of(plan) / 'report.html').exists()
