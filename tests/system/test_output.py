"""A closed pipe or a full disk under what is said ends no work."""

import os
import subprocess
import sys

WORK = """
import sys
from imbalance_jax.system import output
output.never_fails()
for number in range(20_000):
    print('step', number)
print('last word', file=sys.stderr, flush=True)
open(sys.argv[1], 'w').write('done')
"""


def test_work_goes_on_when_nobody_reads(tmp_path):
    path = tmp_path / 'result'
    with subprocess.Popen([sys.executable, '-c', WORK, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'step 0\n'
        process.stdout.close()
        assert process.wait(timeout=60) == 0
    assert path.read_text() == 'done'


def test_work_goes_on_when_the_log_is_full(tmp_path):
    with open('/dev/full', 'w') as full:
        done = subprocess.run([sys.executable, '-c', WORK, str(tmp_path / 'result')], stdout=full, stderr=full)
    assert done.returncode == 0
    assert (tmp_path / 'result').read_text() == 'done'


def test_work_goes_on_where_output_was_closed_before(tmp_path):
    path = tmp_path / 'result'
    command = f'exec {sys.executable} -c "$1" "$2" >&- 2>&-'
    assert subprocess.run(['sh', '-c', command, 'sh', WORK, str(path)], timeout=60).returncode == 0
    assert path.read_text() == 'done'


def test_warnings_that_are_errors_find_nothing_left_open():
    code = 'from imbalance_jax.system import output\noutput.never_fails()\nprint(1)'
    command = [sys.executable, '-W', 'error', '-X', 'dev', '-c', code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '1\n', '')


def test_letters_that_the_terminal_lacks_silence_nothing():
    code = "from imbalance_jax.system import output\noutput.never_fails()\nprint('b\\xfcce')\nprint('alive')"
    command = [sys.executable, '-X', 'utf8=0', '-c', code]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'PYTHONIOENCODING': 'ascii'})
    assert (done.returncode, done.stdout, done.stderr) == (0, 'b\\xfcce\nalive\n', '')
