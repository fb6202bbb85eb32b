"""The section on performance: ranking and calibration of every arm, and its differences to the reference."""

from typing import Any

import numpy as np

from imbalance_jax.analysis.report import figures, planes
from imbalance_jax.analysis.report.cells import Cell, Table, levels, over_seeds, plain, tested
from imbalance_jax.analysis.report.contrasts import Contrast, contrast
from imbalance_jax.analysis.report.figures import Mark
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, capital, label, short, whole
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.results.performance import ALWAYS_NEGATIVE, RANKED
from imbalance_jax.results.rows import MACRO


def section(study: Study, look: dict[str, Look]) -> dict[str, Any] | None:
    """What the template lays out; None where nobody knows what the networks say of an image."""
    if not study.predicted:
        return None
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
            cells += [levels(outcome, arm), plain(outcome(arm=arm, kind='ensemble'))]
        cells += [over_seeds(study.ranked(metric), arm) for metric in ('accuracy', 'brier')]
        rows.append((arm, cells))
    always = plain(study.ranked('accuracy')(kind='null level', against=ALWAYS_NEGATIVE))
    rows.append((ALWAYS_NEGATIVE, [*[Cell('')] * 5, always, Cell('')]))
    head = ['living seeds', 'AUROC', 'AUROC, ensemble', 'AP', 'AP, ensemble', 'accuracy', 'Brier']
    return Table('performance', 'arm', head, rows)


def by_class(study: Study, metric: str) -> Table:
    """A metric of every class and arm, with the positives beside."""
    rows = []
    for name in [*study.classes, MACRO]:
        cells = [over_seeds(study.ranked(metric, name), arm) for arm in study.arms]
        rows.append((name, [*positives(study, name), plain(study.performance('prevalence', name)), *cells]))
    return Table(f'{metric}-by-class', 'class', ['images', 'patients', 'prevalence', *study.arms], rows)


def positives(study: Study, name: str) -> list[Cell]:
    """Positive test images of a class, and the patients that they are of; nothing for the macro mean."""
    if name == MACRO:
        return [Cell(''), Cell('')]
    return [
        Cell(whole(study.data('positives', name, split='test'))),
        Cell(whole(study.performance('positive_patients', name))),
    ]


def differences(study: Study, metric: str) -> Table:
    """Differences to the reference by class, with interval and corrected p."""
    rows = [
        (name, [tested(contrast(study.ranked(metric, name), arm, study.reference)) for arm in study.others])
        for name in [*study.classes, MACRO]
    ]
    return Table(f'{metric}-difference', 'class', study.others, rows)


def marked(one: Contrast) -> Mark:
    """A difference as a mark, filled where it is shown."""
    return Mark(*one.ends, one.real)


def panels(study: Study, look: dict[str, Look]) -> list[Panel]:
    """By metric: macro values of every seed with the ensembles, training curves, differences by class."""
    shown = []
    for metric in RANKED:
        outcome = study.ranked(metric)
        means = {arm: outcome(arm=arm) for arm in study.arms}
        ensembles = {arm: outcome(arm=arm, kind='ensemble') for arm in study.arms}
        title, axis = f'{capital(label(metric))}, test', f'macro {label(metric)}'
        shown.append(figures.dots(title, axis, look, seed_points(study, outcome), means, ensembles=ensembles))
        if study.lines:
            shown.append(curves(study, look, metric))
    for metric in RANKED if study.others else ():
        rows = {
            MACRO if name == MACRO else named(study, name): {
                arm: marked(contrast(study.ranked(metric, name), arm, study.reference)) for arm in study.others
            }
            for name in [MACRO, *study.classes]
        }
        title, axis = f'{capital(label(metric))} by class: difference', f'minus {short(study.reference)}'
        shown.append(figures.grouped(title, axis, look, rows, band=study.margin.get(metric, 0.0)))
    return shown


def named(study: Study, name: str) -> str:
    """A class with its number of positive test images."""
    return f'{short(name)}, {whole(study.data("positives", name, split="test"))}'


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
    return planes.curves(f'{capital(label(metric))} in training', f'macro {label(metric)}, validation', look, members)
