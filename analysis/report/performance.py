"""The section on performance: ranking and calibration of every arm, and its differences to the reference."""

from typing import Any

import numpy as np

from imbalance_jax.analysis.report import figures
from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds, plain, shaded
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, capital, label, number, short
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.results.performance import ALWAYS_NEGATIVE, CORRECTED, RANKED
from imbalance_jax.results.rows import MACRO


def section(study: Study, look: dict[str, Look]) -> dict[str, Any]:
    """What the template lays out."""
    return {
        'panels': panels(study, look),
        'table': table(study),
        'by_class': {metric: by_class(study, metric) for metric in RANKED},
        'differences': {metric: differences(study, metric) for metric in RANKED if study.others},
        'images': study.performance.over('prevalence', study.classes[0]),
    }


def table(study: Study) -> Table:
    """Macro means over seeds, the ensemble, and accuracy beside that of always answering no."""
    rows = []
    for arm in study.arms:
        cells = [Cell(f'{len(study.living(arm))} of {len(study.rows(arm))}')]
        for metric in RANKED:
            outcome = study.ranked(metric)
            cells += [over_seeds(outcome, arm), plain(outcome(arm=arm, kind='ensemble'))]
        cells.append(over_seeds(study.ranked('accuracy'), arm))
        for metric in ('brier', 'expected_calibration_error'):
            outcome = study.ranked(metric)
            below = f'corrected {number(outcome(arm=arm, method=CORRECTED))}'
            cells.append(over_seeds(outcome, arm)._replace(below=below))
        rows.append((arm, cells))
    always = plain(study.ranked('accuracy')(kind='null', against=ALWAYS_NEGATIVE))
    rows.append((ALWAYS_NEGATIVE, [*[Cell('')] * 5, always, Cell(''), Cell('')]))
    head = ['living seeds', 'AUROC', 'AUROC, ensemble', 'AP', 'AP, ensemble', 'accuracy', 'Brier', 'ECE']
    return Table('performance', 'arm', head, rows)


def by_class(study: Study, metric: str) -> Table:
    """A metric of every class and arm, with the prevalence beside."""
    rows = []
    for name in [*study.classes, MACRO]:
        cells = [over_seeds(study.ranked(metric, name), arm) for arm in study.arms]
        rows.append((name, [plain(study.performance('prevalence', name)), *cells]))
    return Table(f'{metric}-by-class', 'class', ['prevalence', *study.arms], rows)


def differences(study: Study, metric: str) -> Table:
    """Differences to the reference by class, shaded by size."""
    rows = [
        (name, [study.ranked(metric, name).interval(arm, study.reference) for arm in study.others])
        for name in [*study.classes, MACRO]
    ]
    return Table(f'{metric}-difference', 'class', study.others, shaded(rows))


def panels(study: Study, look: dict[str, Look]) -> list[Panel]:
    """By metric: macro values of every seed with the ensembles, differences to the reference, training curves."""
    shown = []
    for metric in RANKED:
        outcome = study.ranked(metric)
        means = {arm: outcome(arm=arm) for arm in study.arms}
        ensembles = {arm: outcome(arm=arm, kind='ensemble') for arm in study.arms}
        title, axis = f'{capital(label(metric))}, test', f'macro {label(metric)}'
        shown.append(figures.dots(title, axis, look, seed_points(study, outcome), means, ensembles=ensembles))
        if study.others:
            intervals = {arm: outcome.interval(arm, study.reference) for arm in study.others}
            axis = f'macro, minus {short(study.reference)}'
            shown.append(figures.forest(f'{capital(label(metric))}: difference', axis, look, intervals))
        shown.append(curves(study, look, metric))
    return shown


def seed_points(study: Study, outcome: Outcome) -> dict[str, list[tuple[float, bool]]]:
    """Arm -> [(value, alive)] of its members."""
    return {arm: [(outcome.of_member(one), study.alive(one)) for one in study.rows(arm)] for arm in study.arms}


def curves(study: Study, look: dict[str, Look], metric: str) -> Panel:
    """A validation metric of every member against epochs."""
    members = []
    for member in study.members:
        lines = [line for line in study.lines if (line['arm'], line['seed']) == (member['arm'], member['seed'])]
        values = [np.nan if (value := line[f'validation_{metric}']) is None else value for line in lines]
        members.append((member['arm'], [line['epoch'] for line in lines], values))
    return figures.curves(f'{capital(label(metric))} in training', f'macro {label(metric)}, validation', look, members)
