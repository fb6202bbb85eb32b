"""Two processes with two devices each, over loopback: the same command, the same numbers, checkpoints included."""

import copy
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from imbalance_jax.explain import run as explain
from imbalance_jax.system import processes, signals
from imbalance_jax.system import workdir as writer
from imbalance_jax.training import loop, run

RUN = """
import sys, json
from ml_collections import ConfigDict
import jax
jax.config.update('jax_num_cpu_devices', 2)
from imbalance_jax.explain import run as explain
from imbalance_jax.training import run as experiment
experiment.run(ConfigDict(json.loads(sys.argv[1])), sys.argv[2])
explain.run(sys.argv[2], stages=explain.chosen(sys.argv[3]))
"""
EXPLAINED = 'alignment,units'


def start(config, workdir, count: int) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    started = []
    for number in range(count):
        names = zip(processes.VARIABLES, (f'localhost:{port}', str(count), str(number)), strict=True)
        command = [sys.executable, '-c', RUN, config.to_json_best_effort(), str(workdir), EXPLAINED]
        started.append(subprocess.Popen(command, env={**os.environ, **dict(names)}, stdout=subprocess.DEVNULL))
    return started


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='signals as on Unix')
def test_two_processes_are_one(tiny_config, tmp_path):
    """One of the two is asked to stop, both save and leave; together they go on, test on another set, and explain."""
    config = copy.deepcopy(tiny_config)
    config.train.epochs = 30
    config.attribution.methods = ('saliency', 'grad_cam')
    config.attribution.metrics = ('relevance_rank', 'miou_otsu')
    config.concepts.tcav_directions, config.concepts.probe_controls = 20, 19
    config.data.test_on = ('phantom:all',)
    run.run(config, tmp_path / 'alone')
    pair = start(config, tmp_path / 'pair', 2)
    while not (tmp_path / 'pair' / 'metrics.jsonl').exists():
        assert [process.poll() for process in pair] == [None, None]
        time.sleep(0.05)
    pair[1].send_signal(signal.SIGTERM)
    assert [process.wait(timeout=300) for process in pair] == [loop.RESUMABLE] * 2
    assert not (tmp_path / 'pair' / 'predictions.npz').exists()
    pair = start(config, tmp_path / 'pair', 2)
    assert [process.wait(timeout=600) for process in pair] == [0, 0]
    (other,) = (path.relative_to(tmp_path / 'pair') for path in (tmp_path / 'pair' / 'on').iterdir())
    for folder in ('', other):
        result, expected = (
            writer.read_arrays(tmp_path / name / folder / 'predictions.npz') for name in ('pair', 'alone')
        )
        for name, values in expected.items():
            np.testing.assert_allclose(result[name], values, rtol=1e-3, atol=1e-4, err_msg=f'{folder} {name}')
    metrics = [(tmp_path / name / 'metrics.jsonl').read_text().count('\n') for name in ('pair', 'alone')]
    assert metrics == [30 * 6] * 2
    shutil.copytree(tmp_path / 'pair', tmp_path / 'copy', ignore=shutil.ignore_patterns('explain'))
    explain.run(tmp_path / 'copy', stages=explain.chosen(EXPLAINED))
    for name in ('alignment', 'map_effect', 'concepts', 'units', 'directions'):
        of_pair, of_one = (writer.read_table(tmp_path / place, name) for place in ('pair', 'copy'))
        pd.testing.assert_frame_equal(of_pair, of_one, rtol=1e-3, atol=1e-4, obj=name)


WAITING = """
import sys, time
import jax
jax.config.update('jax_num_cpu_devices', 1)
from imbalance_jax.system import processes
processes.join()
print('joined', flush=True)
while sys.argv[1] == 'together':
    processes.any_of(False)
time.sleep(60)
"""


def waiting(how: str) -> list[subprocess.Popen]:
    """Two processes that have joined, and then wait: for each other, or each for something else."""
    with socket.socket() as free:
        free.bind(('localhost', 0))
        values = f'localhost:{free.getsockname()[1]}', '2'
    command, pair = [sys.executable, '-c', WAITING, how], []
    for number in '01':
        variables = {**os.environ, **dict(zip(processes.VARIABLES, (*values, number), strict=True))}
        pair.append(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    for process in pair:
        while 'joined' not in (line := process.stdout.readline()):
            assert line
    return pair


@pytest.mark.parametrize(('how', 'killed'), [('together', 1), ('alone', 0)])
def test_one_that_is_killed_ends_the_other_with_a_line(how, killed):
    pair = waiting(how)
    pair[killed].send_signal(signal.SIGKILL)
    assert pair[1 - killed].wait(timeout=10) == signals.RESUMABLE
    assert f'error: process {killed + 1} of 2 is gone; leaving' in pair[1 - killed].communicate()[1]
    pair[killed].communicate()


def test_half_an_address_is_refused(monkeypatch):
    monkeypatch.setenv('JAX_COORDINATOR_ADDRESS', 'localhost:1')
    monkeypatch.setenv('JAX_NUM_PROCESSES', '2')
    monkeypatch.setenv('JAX_PROCESS_ID', '2')
    with pytest.raises(ValueError, match="JAX_PROCESS_ID='2'"):
        processes.join()


def test_alone_everything_is_agreed():
    assert processes.leads()
    assert not processes.joined()
    assert processes.agree(3) == 3
    assert processes.any_of(True)
    assert not processes.any_of(False)
    assert processes.first_alone(lambda: 'done') == 'done'
