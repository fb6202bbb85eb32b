"""Every Python example of the package's READMEs runs as it stands, from an empty folder."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'imbalance_jax'
READMES = sorted(PACKAGE.rglob('README.md'))


@pytest.mark.parametrize('readme', READMES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_examples_run(readme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r'^```python\n(.*?)^```', readme.read_text(), re.M | re.S)
    assert blocks, f'{readme} shows no example'
    names: dict = {}
    for block in blocks:
        code = compile(block, str(readme), 'exec')
        exec(code, names)
