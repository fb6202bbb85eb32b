"""One page for the shortcut study at several strengths: AUROC with and without the drain, and where the maps look.

python -m imbalance_jax.analysis.sweeps.shortcut FOLDER WORKDIR ...
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context

from imbalance_jax.analysis.report import pages, trust
from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds
from imbalance_jax.analysis.report.study import Study, load
from imbalance_jax.analysis.report.style import RC, Panel, figure, label, looks, panel
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.analysis.sweeps import alike
from imbalance_jax.results.alignment import CHANCE
from imbalance_jax.results.shortcut import CLEAN, CONFOUNDED, FINDING, MASS, TUBE, WORST
from imbalance_jax.system import output
from imbalance_jax.system.workdir import write_text

DOSE = ('data', 'phantom', 'shortcut_probability')
VERSIONS = {CONFOUNDED: 'AUROC, confounded', CLEAN: 'AUROC, clean'}
WORST_GROUP = {version: f'worst group, {version}' for version in VERSIONS}
REGIONS = {TUBE: 'share on the drain', FINDING: 'share on the finding'}


def main() -> None:
    """Entry point; exit status 2 for a directory without a shortcut study."""
    parser = argparse.ArgumentParser(
        prog='python -m imbalance_jax.analysis.sweeps.shortcut', description='Writes FOLDER/shortcut.html.'
    )
    parser.add_argument('folder', type=Path)
    parser.add_argument('workdir', type=Path, nargs='+', help='one per strength of the shortcut')
    arguments = parser.parse_args()
    try:
        print(write(arguments.folder, arguments.workdir))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


def write(folder: Path, workdirs: list[Path]) -> Path:
    """Makes FOLDER/shortcut.html of working directories that differ in the shortcut's probability."""
    loaded = [load(workdir) for workdir in workdirs]
    studies: dict[float, Study] = {}
    for study in loaded:
        if (other := studies.setdefault(strength(study), study)) is not study:
            both = f'{other.folder} and {study.folder}'
            raise ValueError(f'{both} are of one strength, rho = {strength(study):g}; expected one study of each.')
    alike.check(loaded, DOSE)
    return _write(folder, dict(sorted(studies.items())))


def _write(folder: Path, studies: dict[float, Study]) -> Path:
    first = next(iter(studies.values()))
    said = trust.told_of(study.folder for study in studies.values())
    page = pages.render(
        'shortcut.html',
        finding=first.config['data']['phantom']['shortcut_class'],
        study=first,
        panels=panels(studies),
        tables=[table(rho, study) for rho, study in studies.items()],
        look=looks(first.arms),
        trust=said,
    )
    path = Path(folder) / 'shortcut.html'
    write_text(path, page)
    return path


def strength(study: Study) -> float:
    """rho; ValueError for a working directory without the shortcut's table."""
    if not known(study):
        raise ValueError(f'{study.folder} has no shortcut study: its config.data.phantom.shortcut_class is empty.')
    return study.config['data']['phantom']['shortcut_probability']


def known(study: Study) -> bool:
    """Whether a working directory has a shortcut study."""
    return bool(study.shortcut and study.shortcut.value)


def auroc(study: Study, version: str, against: str = '', *, group: str = '') -> Outcome:
    """The AUROC of the shortcut's class on a version of the test split, of all films or of a group of them, or its
    difference to another version."""
    return _outcome(study, 'auroc', version=version, against=against, group=group)


def mass(study: Study, method: str, region: str) -> Outcome:
    """The share of a method's heat that lies on a region."""
    return _outcome(study, MASS, method=method, region=region)


def _outcome(study: Study, metric: str, **where: str) -> Outcome:
    assert study.shortcut is not None
    return Outcome(study.shortcut, metric, study.config['data']['phantom']['shortcut_class'], where)


def chance(study: Study, region: str) -> float:
    """The share of the image that a region covers."""
    return mass(study, '', region)(kind='null level', against=CHANCE)


def table(rho: float, study: Study) -> Table:
    """Mean ± sd over seeds of every arm, chance last."""
    columns = {words: auroc(study, version) for version, words in VERSIONS.items()}
    columns['difference'] = auroc(study, CONFOUNDED, CLEAN)
    columns |= {words: auroc(study, version, group=WORST) for version, words in WORST_GROUP.items()}
    shares = [(method, region) for method in study.methods for region in REGIONS]
    columns |= {f'{label(method)}: {REGIONS[region]}': mass(study, method, region) for method, region in shares}
    rows = [(arm, [over_seeds(outcome, arm) for outcome in columns.values()]) for arm in study.arms]
    areas = [chance(study, region) for _, region in shares]
    rows.append(
        (
            CHANCE,
            [Cell('')] * (len(columns) - len(shares))
            + [Cell(f'{area:.3f}' if np.isfinite(area) else '') for area in areas],
        )
    )
    return Table(f'shortcut-{rho:g}', f'rho = {rho:g}', list(columns), rows)


def panels(studies: dict[float, Study]) -> list[Panel]:
    """Every figure against rho, a line per arm."""
    shown = []
    for version, words in VERSIONS.items():
        outcomes = {rho: auroc(study, version) for rho, study in studies.items()}
        shown.append(_lines(studies, outcomes, {}, words))
        worst = {rho: auroc(study, version, group=WORST) for rho, study in studies.items()}
        shown.append(_lines(studies, worst, {}, f'AUROC, {WORST_GROUP[version]}'))
    for method in next(iter(studies.values())).methods:
        for region, words in REGIONS.items():
            outcomes = {rho: mass(study, method, region) for rho, study in studies.items()}
            areas = {rho: chance(study, region) for rho, study in studies.items()}
            shown.append(_lines(studies, outcomes, areas, f'{label(method)}: {words}'))
    return shown


def _lines(studies: dict[float, Study], outcomes: dict[float, Outcome], areas: dict[float, float], title: str) -> Panel:
    with rc_context(RC):
        fig = figure(2.4)
        axes = fig.subplots()
        for arm, (colour, marker) in looks(next(iter(studies.values())).arms).items():
            means = [outcome(arm=arm) for outcome in outcomes.values()]
            axes.plot(list(outcomes), means, color=colour, marker=marker, markersize=4, label=arm)
        if np.isfinite(list(areas.values())).any():
            axes.plot(list(areas), list(areas.values()), color='#555555', linestyle=':')
        axes.set(title=title, xlabel='probability of the drain with the finding')
        return panel(fig, f'{title} against the probability of the drain, one line per arm.')


if __name__ == '__main__':
    output.leave(main)
