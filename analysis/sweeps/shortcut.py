"""One page for the shortcut study at several strengths: AUROC with and without the drain, and where the maps look.

python -m imbalance_jax.analysis.sweeps.shortcut FOLDER WORKDIR ...
"""

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context

from imbalance_jax.analysis.report import pages, study
from imbalance_jax.analysis.report.study import Study, Values
from imbalance_jax.analysis.report.style import RC, Panel, figure, label, looks, panel, spread
from imbalance_jax.analysis.report.tables import Cell, Table

METRICS = {'auroc_confounded': 'AUROC, confounded', 'auroc_clean': 'AUROC, clean'}
MASSES = {'mass_tube': 'share on the drain', 'mass_finding': 'share on the finding'}


def main() -> None:
    """Entry point; exit status 2 for a directory without a shortcut study."""
    parser = argparse.ArgumentParser(
        prog='python -m imbalance_jax.analysis.sweeps.shortcut', description='Writes FOLDER/shortcut.html.'
    )
    parser.add_argument('folder', type=Path)
    parser.add_argument('workdir', type=Path, nargs='+', help='one a strength of the shortcut')
    arguments = parser.parse_args()
    try:
        print(write(arguments.folder, arguments.workdir))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


def write(folder: Path, workdirs: list[Path]) -> Path:
    """Makes FOLDER/shortcut.html of working directories that differ in the shortcut's probability."""
    found = {strength(one): one for one in (study.load(path) for path in workdirs)}
    return _write(folder, dict(sorted(found.items())))


def _write(folder: Path, found: dict[float, Study]) -> Path:
    first = next(iter(found.values()))
    page = pages.render(
        'shortcut.html',
        finding=first.config['data']['phantom']['shortcut_class'],
        study=first,
        panels=panels(found),
        tables=[tables(rho, one) for rho, one in found.items()],
        look=looks(first.arms),
    )
    path = Path(folder) / 'shortcut.html'
    study.writer.write_text(path, page)
    return path


def strength(one: Study) -> float:
    """rho; ValueError for a working directory without the shortcut's table."""
    if not known(one):
        raise ValueError(f'{one.folder} has no shortcut study: its config.data.phantom.shortcut_class is empty.')
    return one.config['data']['phantom']['shortcut_probability']


def known(one: Study) -> bool:
    """Whether a working directory has a shortcut study."""
    return bool(one.shortcut and one.shortcut.value)


def name_of(one: Study) -> str:
    return one.config['data']['phantom']['shortcut_class']


def tables(rho: float, one: Study) -> Table:
    """Mean ± sd over seeds of every arm, chance last."""
    columns = [('member', m) for m in (*METRICS, 'auroc_drop')]
    columns += [(method, m) for method in one.methods for m in MASSES]
    rows = [(arm, [_cell(one.shortcut, arm, name_of(one), *column) for column in columns]) for arm in one.arms]
    chance = [one.shortcut(m, name_of(one), method='chance') for _, m in columns]
    rows.append(('chance', [Cell(f'{v:.3f}' if np.isfinite(v) else '') for v in chance]))
    words = {**METRICS, 'auroc_drop': 'difference', **MASSES}
    head = [words[m] if method == 'member' else f'{label(method)}: {words[m]}' for method, m in columns]
    return Table(f'shortcut-{rho:g}', f'rho = {rho:g}', head, rows)


def _cell(table: Values, arm: str, name: str, method: str, metric: str) -> Cell:
    return Cell(spread(*(table(f'{metric}_{kind}', name, arm=arm, method=method) for kind in ('mean', 'sd'))))


def panels(found: dict[float, Study]) -> list[Panel]:
    """Every figure against rho, a line an arm."""
    first = next(iter(found.values()))
    shown = [('member', metric, words) for metric, words in METRICS.items()]
    shown += [(method, m, f'{label(method)}: {words}') for method in first.methods for m, words in MASSES.items()]
    return [_lines(found, *one) for one in shown]


def _lines(found: dict[float, Study], method: str, metric: str, title: str) -> Panel:
    first, chance = next(iter(found.values())), []
    with rc_context(RC):
        fig = figure(2.4)
        axes = fig.subplots()
        for arm, (colour, marker) in looks(first.arms).items():
            means = [one.shortcut(f'{metric}_mean', name_of(one), arm=arm, method=method) for one in found.values()]
            axes.plot(list(found), means, color=colour, marker=marker, markersize=4, label=arm)
        chance = [one.shortcut(metric, name_of(one), method='chance') for one in found.values()]
        if np.isfinite(chance).any():
            axes.plot(list(found), chance, color='#555555', linestyle=':')
        axes.set(title=title, xlabel='probability of the drain with the finding')
        made = panel(fig, f'{title} against the probability of the drain, a line an arm.')
    plt.close('all')
    return made


if __name__ == '__main__':
    main()
