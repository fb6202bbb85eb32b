"""A signal that comes while an exception would be ignored is not lost."""

import os
import signal
import subprocess
import sys

import pytest

WORK = """
import gc, os, signal, time
from imbalance_jax.system import signals
signals.leave_when_asked()
asked = []
def callback(phase, info):
    if not asked:
        asked.append(phase)
        os.kill(os.getpid(), signal.{name})
gc.callbacks.append(callback)
gc.collect()
assert asked
time.sleep(60)
"""


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT', 'SIGUSR1'])
def test_a_request_to_stop_within_a_callback_of_the_collector_is_made_again(name):
    script = WORK.replace('{name}', name)
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=50, env=environment)
    assert done.returncode == 75, done.stderr
    assert 'Traceback' not in done.stderr


def test_other_exceptions_there_are_still_told():
    script = (
        WORK.replace('{name}', 'SIGTERM').replace('os.kill(os.getpid(), signal.SIGTERM)', '1 / 0').replace('60', '0')
    )
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=50, env=environment)
    assert done.returncode == 0
    assert 'ZeroDivisionError' in done.stderr
    assert signal.getsignal(signal.SIGTERM) is not None
