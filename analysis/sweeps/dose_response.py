"""Several studies that differ in the prevalence of a class only, as one picture: what each arm does as it gets rarer.

    python -m imbalance_jax.analysis.sweeps.dose_response WORKDIR WORKDIR ... --out FOLDER

Writes FOLDER/dose_response.csv and FOLDER/dose_response.html. Intervals (95 %)
are over seeds and patients where the tables of a study have them, and else Student's over seeds; the column
`interval_over` says which.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imbalance_jax.analysis.report import pages, planes, trust
from imbalance_jax.analysis.report.study import EXPLAIN, Study, load
from imbalance_jax.analysis.report.style import label, looks
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.analysis.sweeps import alike
from imbalance_jax.metrics.intervals import over_seeds
from imbalance_jax.results.audit import BOTH, SEEDS
from imbalance_jax.results.performance import RANKED
from imbalance_jax.results.rows import MACRO
from imbalance_jax.results.units import BEYOND_NULL
from imbalance_jax.system import output
from imbalance_jax.system.workdir import write_text

DOSE = ('data', 'imbalance')
COLUMNS = (
    *('prevalence', 'positives', 'images', 'arm', 'class', 'method', 'metric'),
    *('mean', 'low', 'high', 'n', 'interval_over'),
)


def main() -> None:
    """Entry point; exit status 2 for studies that are not finished or that differ in more than the dose."""
    parser = argparse.ArgumentParser(
        prog='python -m imbalance_jax.analysis.sweeps.dose_response', description=__doc__.splitlines()[0]
    )
    parser.add_argument('workdir', type=Path, nargs='+', metavar='WORKDIR', help='trained and explained, one per dose')
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='where the table and the page go')
    arguments = parser.parse_args()
    try:
        print(write([load(folder) for folder in arguments.workdir], arguments.out))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


def write(studies: list[Study], folder: Path) -> Path:
    """Makes both files and returns the page's path."""
    names = thinned(studies)
    rows = [row for study in studies for name in [*names, MACRO] for row in doses(study, name, names[0])]
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values('prevalence', kind='stable')
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / 'dose_response.csv', table.to_csv(index=False))
    path = folder / 'dose_response.html'
    said = trust.told_of(study.folder for study in studies)
    write_text(path, render(studies, names, table, said))
    return path


def thinned(studies: list[Study]) -> list[str]:
    """The classes whose prevalence differs; ValueError if nothing does, or anything else does."""
    for study in studies:
        if study.alignment is None:
            raise ValueError(f'{study.folder} is not explained yet. Run: {EXPLAIN.format(study.folder)}')
    alike.check(studies, DOSE)
    doses = [study.config[DOSE[0]][DOSE[1]] for study in studies]
    names = sorted(set().union(*doses))
    if not names or len({tuple(sorted(dose.items())) for dose in doses}) < 2:
        raise ValueError('The studies do not differ in config.data.imbalance: there is no dose to plot against.')
    return names


def outcomes(study: Study, name: str) -> list[tuple[str, Outcome]]:
    """(method or layer, outcome): performance, alignment by method, detector units of the class or of all."""
    shown = [('member', study.ranked(metric, name)) for metric in RANKED]
    for method in study.methods:
        shown += [(method, study.aligned(method, measure, name)) for measure in ('hit_share', 'iou')]
    if study.layer:
        of_class = study.encoded('detector_units', concept=name, method=BEYOND_NULL)
        shown.append((study.layer, study.counted('detector_units') if name == MACRO else of_class))
    return shown


def doses(study: Study, name: str, dose: str) -> list[dict]:
    """The rows of one study and class: every outcome of every arm, mean and interval over its living seeds."""
    of_data = {metric: study.data(metric, dose, split='train') for metric in ('prevalence', 'positives')}
    of_data['images'] = study.data('images', '', split='train')
    rows = []
    for method, outcome in outcomes(study, name):
        for arm in study.arms:
            what = {'arm': arm, 'class': name, 'method': method, 'metric': outcome.metric}
            rows.append({**of_data, **what, **level(study, outcome, arm)})
    return rows


def level(study: Study, outcome: Outcome, arm: str) -> dict[str, Any]:
    """Mean of an arm's living seeds, both ends of its interval, their number, and what the interval is over.

    The interval of the study's tables, which is NaN for a class with too few patients; where they have none, Student's
    over seeds.
    """
    values = over_seeds(np.array([outcome.of_member(member) for member in study.living(arm)], float))
    if outcome.over(arm=arm, statistic='low'):
        mean, low, high = outcome.interval(arm)
        over = BOTH
    else:
        (mean, low, high), over = (float(one) for one in values[:3]), SEEDS
    return {'mean': mean, 'low': low, 'high': high, 'n': int(values.rounds), 'interval_over': over}


def render(studies: list[Study], names: list[str], table: pd.DataFrame, said: Sequence[str] = ()) -> str:
    """The page: a chart per measure, first of the thinned classes, then of the macro mean. said: of what is not as it
    was written."""
    look = looks(studies[0].arms)
    sections = []
    for name in [*names, MACRO]:
        of_class = table[table['class'] == name]
        panels = []
        for method, metric in of_class[['method', 'metric']].drop_duplicates().itertuples(index=False):
            part = of_class[(of_class['method'] == method) & (of_class['metric'] == metric)]
            beside = '' if method == 'member' else f'{label(method)}: '
            lines = {arm: of[['prevalence', 'mean', 'low', 'high']].to_numpy().T for arm, of in part.groupby('arm')}
            panels.append(planes.doses(beside + label(metric), f'prevalence of {names[0]} in training', look, lines))
        sections.append((name, panels))
    shown = table[['prevalence', 'positives', 'images']].drop_duplicates().sort_values('prevalence', ascending=False)
    return pages.render(
        'dose_response.html',
        sections=sections,
        names=names,
        macro=MACRO,
        doses=shown.to_dict('records'),
        first=studies[0],
        count=len(studies),
        trust=said,
    )


if __name__ == '__main__':
    output.leave(main)
