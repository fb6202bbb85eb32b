"""Every Python example of the package's READMEs runs as it stands, from an empty folder."""

import re
import sys
from pathlib import Path

import pytest

from imbalance_jax.explain import run as explain_run

PACKAGE = Path(__file__).parents[1] / 'imbalance_jax'
READMES = sorted(PACKAGE.rglob('README.md'))


@pytest.fixture
def nothing_stays():
    """What an example adds to a table of the package, such as a metric, is there no longer for other tests."""
    assert explain_run.STAGES  # all of the package is imported
    modules = [module for name, module in list(sys.modules.items()) if name.split('.')[0] == 'imbalance_jax']
    named = [item for module in modules for item in vars(module).items()]
    tables = [(table, dict(table)) for name, table in named if type(table) is dict and not name.startswith('__')]
    yield
    for table, before in tables:
        if table.keys() != before.keys():
            table.clear()
            table.update(before)


@pytest.mark.parametrize('readme', READMES, ids=lambda path: str(path.relative_to(PACKAGE)))
@pytest.mark.usefixtures('nothing_stays')
def test_examples_run(readme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r'^```python\n(.*?)^```', readme.read_text(), re.M | re.S)
    assert blocks, f'{readme} shows no example'
    names: dict = {}
    for block in blocks:
        code = compile(block, str(readme), 'exec')
        exec(code, names)
