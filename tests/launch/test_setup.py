"""launch/setup.sh with a Python that only writes down what it is asked for: nothing is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
here="$(cd "$(dirname "$0")" && pwd)"
case "$*" in
    *version_info\\[*) echo 3.11 ;;
    *'-m venv'*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && touch .venv/bin/activate ;;
    *'pip install'*) echo "$*" >> installed && [ ! -e broken ] ;;
esac
"""


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / 'a clone'
    (root / 'launch' / 'constraints').mkdir(parents=True)
    shutil.copy(ROOT / 'launch' / 'setup.sh', root / 'launch')
    (root / 'launch' / 'constraints' / 'python3.11.txt').write_text('')
    (root / 'pyproject.toml').write_text('')
    (root / 'python').write_text(PYTHON)
    (root / 'python').chmod(0o755)
    return root


def bash(repository: Path, command: str) -> subprocess.CompletedProcess:
    variables = {'PATH': '/usr/bin:/bin', 'PYTHON': str(repository / 'python')}
    return subprocess.run(['bash', '-c', command], cwd=repository, env=variables, capture_output=True, text=True)


def installed(repository: Path) -> list[str]:
    """What was given to pip as the package, call by call."""
    path = repository / 'installed'
    return [line.split()[-1] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize('command', ['bash launch/setup.sh', 'set -euo pipefail; source launch/setup.sh run'])
def test_it_installs_what_running_needs_once(repository, command):
    for _ in range(2):
        done = bash(repository, command)
        assert done.returncode == 0, done.stderr
    assert installed(repository) == ['.']
    assert bash(repository, 'bash launch/setup.sh test').returncode == 0
    assert installed(repository) == ['.', '.[test]']
    assert bash(repository, 'bash launch/setup.sh').returncode == 0  # the other purpose had it all
    assert len(installed(repository)) == 2


def test_what_failed_is_not_marked_as_installed(repository):
    (repository / 'broken').touch()
    for command in ('bash launch/setup.sh', 'set -e; source launch/setup.sh run; echo went on'):
        done = bash(repository, command)
        assert done.returncode == 1
        assert 'went on' not in done.stdout
    assert not list((repository / '.venv').glob('installed-*'))
    (repository / 'broken').unlink()
    assert bash(repository, 'bash launch/setup.sh').returncode == 0
    assert len(installed(repository)) == 3


def test_it_says_where_it_works(repository):
    done = bash(repository, 'cd launch && bash setup.sh')
    assert done.returncode == 1
    assert 'which' in done.stderr
    assert "repository's folder" in done.stderr


def test_no_script_follows_cdpath():
    """With it `cd launch` may go elsewhere, and prints where."""
    scripts = [*ROOT.glob('launch/*.sh'), ROOT / '.ci' / 'run']
    texts = [text for script in scripts if 'cd ' in (text := script.read_text()).partition('set -euo')[2]]
    assert len(texts) >= 7
    assert all('unset CDPATH' in text.partition('cd ')[0] for text in texts)
