"""Two processes with two devices each, over loopback: the same command, the same numbers, checkpoints included."""

import copy
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from imbalance_jax.system import processes
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
explain.run(sys.argv[2])
"""


def start(config, workdir, count: int) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    started = []
    for number in range(count):
        names = zip(processes.VARIABLES, (f'localhost:{port}', str(count), str(number)), strict=True)
        command = [sys.executable, '-c', RUN, config.to_json_best_effort(), str(workdir)]
        started.append(subprocess.Popen(command, env={**os.environ, **dict(names)}, stdout=subprocess.DEVNULL))
    return started


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='signals as on Unix')
def test_two_processes_are_one(tiny_config, tmp_path):
    """One of the two is asked to stop, both save and leave; together they go on, and the first explains."""
    config = copy.deepcopy(tiny_config)
    config.train.epochs = 30
    run.run(config, tmp_path / 'alone')
    pair = start(config, tmp_path / 'pair', 2)
    while not (tmp_path / 'pair' / 'metrics.jsonl').exists():
        assert [process.poll() for process in pair] == [None, None]
        time.sleep(0.05)
    pair[1].send_signal(signal.SIGTERM)
    assert [process.wait(timeout=120) for process in pair] == [loop.RESUMABLE] * 2
    assert not (tmp_path / 'pair' / 'predictions.npz').exists()
    pair = start(config, tmp_path / 'pair', 2)
    assert [process.wait(timeout=240) for process in pair] == [0, 0]
    result, expected = (writer.read_arrays(tmp_path / name / 'predictions.npz') for name in ('pair', 'alone'))
    for name, values in expected.items():
        np.testing.assert_allclose(result[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    metrics = [(tmp_path / name / 'metrics.jsonl').read_text().count('\n') for name in ('pair', 'alone')]
    assert metrics == [30 * 6] * 2
    assert (tmp_path / 'pair' / 'results' / 'alignment.csv').exists()


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
