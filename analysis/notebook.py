"""Runs the cells of library.ipynb anew and keeps what they print and draw: `python -m imbalance_jax.analysis.notebook`.

No Jupyter is needed: a notebook is JSON, its code cells run one after the other in one namespace, and a figure that a
cell leaves open is its picture.
"""

import argparse
import ast
import base64
import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use('agg')
import matplotlib.pyplot as plt

from imbalance_jax.system import output

NOTEBOOK = Path(__file__).with_name('library.ipynb')
DOTS = 72  # per inch, of a picture


class Shown(NamedTuple):
    """What a cell printed, its last value's text among it, and its pictures, PNG."""

    text: str
    pictures: list[bytes]


def run(source: str, names: dict[str, Any], where: str = 'cell') -> Shown:
    """Runs one code cell in the namespace `names`."""
    body = ast.parse(source)
    ends = bool(body.body) and isinstance(body.body[-1], ast.Expr)
    last = body.body.pop() if ends else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(body, where, 'exec'), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), where, 'eval'), names)
            if value is not None and not source.rstrip().endswith(';'):
                print(value if isinstance(value, str) else repr(value))
    pictures = []
    for number in plt.get_fignums():
        stream = io.BytesIO()
        plt.figure(number).savefig(stream, format='png', dpi=DOTS, bbox_inches='tight')
        pictures.append(stream.getvalue())
    plt.close('all')
    return Shown(printed.getvalue(), pictures)


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells of a notebook, in their order."""
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def printed(cell: dict[str, Any]) -> str:
    """What a notebook says that a cell printed."""
    return ''.join(''.join(one['text']) for one in cell['outputs'] if one['output_type'] == 'stream')


def rerun(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with the outputs of a run just now."""
    names: dict[str, Any] = {'__name__': '__main__'}
    for number, cell in enumerate(code_cells(notebook), 1):
        shown = run(''.join(cell['source']), names, f'cell {number}')
        cell['outputs'] = [_text(shown.text)] if shown.text else []
        cell['outputs'] += [_picture(png) for png in shown.pictures]
        cell['execution_count'] = number
    return notebook


def _text(text: str) -> dict[str, Any]:
    return {'name': 'stdout', 'output_type': 'stream', 'text': text.splitlines(keepends=True)}


def _picture(png: bytes) -> dict[str, Any]:
    data = {'image/png': base64.b64encode(png).decode(), 'text/plain': ['<Figure>']}
    return {'data': data, 'metadata': {}, 'output_type': 'display_data'}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the notebook and writes it with its new outputs."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('notebook', nargs='?', type=Path, default=NOTEBOOK)
    path = parser.parse_args(arguments).notebook
    notebook = rerun(json.loads(path.read_text(encoding='utf-8')))
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + '\n')
    print(f'{path}: {len(code_cells(notebook))} cells, {path.stat().st_size / 1e3:,.0f} kB')


if __name__ == '__main__':
    output.leave(main)
