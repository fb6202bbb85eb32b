"""Several studies that differ in the prevalence of a class only, as one picture: what each arm does as it gets rarer.

    python -m imbalance_jax.analysis.sweeps.dose_response WORKDIR WORKDIR ... --out FOLDER

Writes FOLDER/dose_response.csv and FOLDER/dose_response.html. Intervals are Student's over seeds, 95 %.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from imbalance_jax.analysis.report import figures, pages, study
from imbalance_jax.analysis.report.study import MACRO, Study
from imbalance_jax.analysis.report.style import label, looks
from imbalance_jax.metrics.statistics import over_seeds
from imbalance_jax.system.workdir import write_text

DOSE = ('data', 'imbalance')
FREE = ('question', 'population')  # what may differ beside the dose
COLUMNS = ('prevalence', 'positives', 'images', 'arm', 'class', 'method', 'metric', 'mean', 'low', 'high', 'n')


def main() -> None:
    """Entry point; exit status 2 for studies that are not finished or that differ in more than the dose."""
    parser = argparse.ArgumentParser(
        prog='python -m imbalance_jax.analysis.sweeps.dose_response', description=__doc__.splitlines()[0]
    )
    parser.add_argument('workdir', type=Path, nargs='+', metavar='WORKDIR', help='trained and explained, one a dose')
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='where the table and the page go')
    arguments = parser.parse_args()
    try:
        print(write([study.load(folder) for folder in arguments.workdir], arguments.out))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


def write(studies: list[Study], folder: Path) -> Path:
    """Makes both files and returns the page's path."""
    names = thinned(studies)
    rows = [row for found in studies for name in [*names, MACRO] for row in doses(found, name, names[0])]
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values('prevalence', kind='stable')
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / 'dose_response.csv', table.to_csv(index=False))
    path = folder / 'dose_response.html'
    write_text(path, render(studies, names, table))
    return path


def thinned(studies: list[Study]) -> list[str]:
    """The classes whose prevalence differs; ValueError if nothing does, or anything else does."""
    for found in studies:
        if found.alignment is None:
            raise ValueError(f'{found.folder} is not explained yet. Run: {study.EXPLAIN.format(found.folder)}')
        for name, value in found.config.items():
            if name not in FREE and without_dose(name, value) != without_dose(name, studies[0].config[name]):
                both = f'{found.folder} and {studies[0].folder}'
                raise ValueError(f'{both} differ in config.{name}, not only in the dose.')
    doses = [found.config[DOSE[0]][DOSE[1]] for found in studies]
    names = sorted(set().union(*doses))
    if not names or len({tuple(sorted(dose.items())) for dose in doses}) < 2:
        raise ValueError('The studies do not differ in config.data.imbalance: there is no dose to plot against.')
    return names


def without_dose(name: str, value):
    return {key: one for key, one in value.items() if key != DOSE[1]} if name == DOSE[0] else value


def measures(found: Study, name: str) -> list[tuple]:
    """(table, class, method, metric): performance, alignment by method, detector units of the class or of all."""
    ranking = [(found.performance, name, study.MEMBER, metric) for metric in ('auroc', 'average_precision')]
    aligned = [(found.alignment, name, method, metric) for method in found.methods for metric in ('hit_share', 'iou')]
    concept = 'all concepts' if name == MACRO else name
    return ranking + aligned + [(found.concepts, concept, found.layer, 'detector_units')] * bool(found.layer)


def doses(found: Study, name: str, dose: str) -> list[dict]:
    """The rows of one study and class: every measure of every arm, mean and interval over its living seeds."""
    of_data = {metric: found.data(metric, dose, split='train', method='data') for metric in ('prevalence', 'positives')}
    images = found.data('images', '', split='train', method='data')
    rows = []
    for table, of, method, metric in measures(found, name):
        for arm in found.arms:
            living = [row for row in found.rows(arm) if found.alive(row)]
            values = [table(metric, of, arm=arm, seed=str(row['seed']), method=method) for row in living]
            mean, low, high, n = interval(np.array(values, float))
            own = {'arm': arm, 'class': name, 'method': method, 'metric': metric}
            rows.append({**of_data, 'images': images, **own, 'mean': mean, 'low': low, 'high': high, 'n': n})
    return rows


def interval(values: np.ndarray) -> tuple[float, float, float, int]:
    """Mean of the finite values, the ends of Student's 95 % interval (NaN for fewer than two), and their number."""
    found = over_seeds(values)
    return float(found.estimate), float(found.low), float(found.high), int(found.rounds)


def render(studies: list[Study], names: list[str], table: pd.DataFrame) -> str:
    """The page: a chart a measure, first of the thinned classes, then of the macro mean."""
    look = looks(studies[0].arms)
    sections = []
    for name in [*names, MACRO]:
        own = table[table['class'] == name]
        panels = []
        for method, metric in own[['method', 'metric']].drop_duplicates().itertuples(index=False):
            part = own[(own['method'] == method) & (own['metric'] == metric)]
            beside = '' if method == study.MEMBER else f'{label(method)}: '
            lines = {arm: of[['prevalence', 'mean', 'low', 'high']].to_numpy().T for arm, of in part.groupby('arm')}
            panels.append(figures.doses(beside + label(metric), f'prevalence of {names[0]} in training', look, lines))
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
    )


if __name__ == '__main__':
    main()
