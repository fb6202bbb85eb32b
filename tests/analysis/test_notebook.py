"""The notebook of the library: every code cell runs, and prints what it says."""

import json
import re

import pytest

from imbalance_jax.analysis import notebook

NUMBER = re.compile(r'(?<![\w.])-?\d+(?:\.\d+)?')
NEAR = 0.06  # trained networks differ a little between versions and machines


def same(new, old):
    """Equal texts, in which a number may differ where it has a decimal point."""
    assert NUMBER.sub('#', new) == NUMBER.sub('#', old)
    for one, other in zip(NUMBER.findall(new), NUMBER.findall(old), strict=True):
        assert one == other or ('.' in other and float(one) == pytest.approx(float(other), abs=NEAR)), (new, old)


def test_the_notebook_prints_what_it_says():
    written = json.loads(notebook.NOTEBOOK.read_text())
    assert notebook.NOTEBOOK.stat().st_size < 1e6
    names = {'__name__': '__main__'}
    for number, cell in enumerate(notebook.code_cells(written), 1):
        shown = notebook.run(''.join(cell['source']), names, f'cell {number}')
        same(shown.text, notebook.printed(cell))
        drawn = [one for one in cell['outputs'] if one['output_type'] == 'display_data']
        assert len(shown.pictures) == len(drawn)
    assert number > 10


def test_another_number_or_text_is_seen():
    same('AUROC 0.81\n', 'AUROC 0.80\n')
    for other in ('AUROC 0.95\n', 'AUPRC 0.80\n'):
        with pytest.raises(AssertionError):
            same(other, 'AUROC 0.80\n')
    with pytest.raises(AssertionError):
        same('3 of 8', '4 of 8')


def test_a_cell_keeps_its_last_value_and_its_picture():
    names = {}
    shown = notebook.run('import matplotlib.pyplot as plt\nplt.plot([1, 2]);\n', names)
    assert shown.text == ''
    assert shown.pictures[0].startswith(b'\x89PNG')
    assert notebook.run("x = 2\nprint('a')\nx + 1", names).text == 'a\n3\n'
