"""A study that is killed, asked to stop, or whose clock jumps ends as an undisturbed one, bit for bit."""

import copy
import itertools
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from outcomes import contents

from imbalance_jax.training import loop
from imbalance_jax.training import run as training_run

RUN = """
import sys, json
from ml_collections import ConfigDict
import jax
jax.config.update('jax_num_cpu_devices', 2)
from imbalance_jax.explain import run as explain
from imbalance_jax.training import run as experiment
config = ConfigDict(json.loads(sys.argv[1]))
experiment.run(config, sys.argv[2])
explain.run(sys.argv[2])
"""


# What a killed run has left by then, from its first file to its last but one.
MILESTONES = ('members.json', 'metrics.jsonl', 'predictions.npz', 'explain/alignment_saliency.npz', 'explain/probe.npz')


def test_killed_anywhere_it_ends_the_same(study, tiny_config, tmp_path):
    """kill -9 at random moments in every part of a run: every result is the undisturbed run's, bit for bit."""
    config = copy.deepcopy(tiny_config)
    config.data.folder = str(tmp_path / 'data')
    moment = random.Random(0)
    command = [sys.executable, '-c', RUN, config.to_json_best_effort(), str(tmp_path / 'run')]
    for milestone in MILESTONES:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while not (tmp_path / 'run' / milestone).exists():
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(moment.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    expected, result = contents(study), contents(tmp_path / 'run')
    del expected['config.json'], result['config.json']  # they differ in the data folder
    assert sorted(expected) == sorted(result)
    assert [name for name in expected if expected[name] != result[name]] == []


def test_asked_to_stop_it_saves_within_an_epoch_and_resumes_to_the_same(study, tiny_config, tmp_path, monkeypatch):
    signals_caught = []

    def stop_after_a_dispatch():
        signals_caught.append(signal.SIGTERM)
        return signals_caught

    config = copy.deepcopy(tiny_config)
    monkeypatch.setattr(loop, '_catch_signals', stop_after_a_dispatch)
    with pytest.raises(SystemExit) as stopped:
        training_run.run(config, tmp_path)
    assert stopped.value.code == loop.RESUMABLE
    steps = [int(path.name) for path in (tmp_path / 'checkpoints' / 'wave_1').iterdir() if path.name.isdecimal()]
    assert steps == [2]
    monkeypatch.setattr(loop, '_catch_signals', list)
    training_run.run(config, tmp_path)
    assert (tmp_path / 'predictions.npz').read_bytes() == (study / 'predictions.npz').read_bytes()
    assert (tmp_path / 'metrics.jsonl').read_bytes() == (study / 'metrics.jsonl').read_bytes()


def test_a_clock_that_jumps_changes_nothing(study, tiny_config, tmp_path, monkeypatch):
    """A day forth and two back; nothing but the record of when it was depends on the time of day."""
    now, jumps, offset, calls = time.time, [-2e5, 1e5], [0.0], itertools.count(1)

    def jumping() -> float:
        if jumps and next(calls) % 20 == 0:
            offset[0] += jumps.pop()
        return now() + offset[0]

    monkeypatch.setattr(time, 'time', jumping)
    training_run.run(tiny_config, tmp_path)
    assert not jumps
    monkeypatch.undo()
    assert (tmp_path / 'predictions.npz').read_bytes() == (study / 'predictions.npz').read_bytes()
    assert (tmp_path / 'metrics.jsonl').read_bytes() == (study / 'metrics.jsonl').read_bytes()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='signals as on Unix')
def test_sigterm_is_exit_75(tiny_config, tmp_path):
    config = copy.deepcopy(tiny_config)
    config.train.epochs = 10_000
    command = [sys.executable, '-c', RUN, config.to_json_best_effort(), str(tmp_path / 'run')]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / 'run' / 'metrics.jsonl').exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == loop.RESUMABLE
