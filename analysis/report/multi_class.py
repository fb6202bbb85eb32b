"""One class per image, and classes of unequal size: decisions, which classes are taken for which, head and tail."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context

from imbalance_jax.analysis.report.cells import Cell, Table, levels, over_seeds, tested
from imbalance_jax.analysis.report.contrasts import contrast
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import RC, Panel, figure, label, panel, short
from imbalance_jax.analysis.report.values import Outcome, Values
from imbalance_jax.losses import LOSSES, SIGMOID, link_of
from imbalance_jax.results.bands import HEAD, MEDIUM, TAIL
from imbalance_jax.results.calibration import RECALIBRATED
from imbalance_jax.results.multi_class import ALL
from imbalance_jax.results.rows import MACRO

WITH_NUMBERS, WITH_NAMES = 12, 40  # classes up to which a matrix shows numbers, and names
OF_CLASS = ('recall', 'precision')
MANY = 8  # classes above which head and tail are told apart on the page


def section(study: Study) -> dict[str, Any] | None:
    """What the template lays out of decisions; None where labels do not exclude each other."""
    values = study.table('multi_class')
    if values is None:
        return None
    confused = study.table('confusion')
    return {
        'table': decisions(study, values),
        'recall': by_class(study, values),
        'differences': differences(study, values) if study.others else None,
        'panels': [matrix(study, confused, arm) for arm in study.arms] if confused else [],
        'one_vs_rest': [arm for arm in study.arms if is_one_vs_rest(study.rows(arm)[0])],
    }


def is_one_vs_rest(member: Mapping) -> bool:
    """Whether a member's loss asks for each class against the rest."""
    loss = member.get('head_loss') or member['loss']
    return loss in LOSSES and link_of(loss) == SIGMOID


def metrics_of(values: Values) -> list[str]:
    """The figures of all classes together, in the order of the table."""
    return values.distinct('metric', **{'class': ALL, 'kind': 'arm'})


def decisions(study: Study, values: Values) -> Table:
    """Figures of all classes together, and in a row of their own those of decisions under the training set's prior."""
    rows = []
    for arm in study.arms:
        outcomes = [Outcome(values, metric, ALL) for metric in metrics_of(values)]
        of_prior = [Outcome(values, metric, ALL, {'method': RECALIBRATED}) for metric in metrics_of(values)]
        rows.append((arm, [levels(one, arm) for one in outcomes]))
        rows.append((f'{arm}, with the prior', [over_seeds(one, arm) for one in of_prior]))
    return Table('decisions', 'arm', [label(metric) for metric in metrics_of(values)], rows)


def differences(study: Study, values: Values) -> Table:
    """The same as differences to the reference."""
    rows = [
        (label(metric), [tested(contrast(Outcome(values, metric, ALL), arm, study.reference)) for arm in study.others])
        for metric in metrics_of(values)
    ]
    return Table('decisions-difference', 'figure', study.others, rows)


def by_class(study: Study, values: Values) -> Table:
    """Recall and precision of every class and arm."""
    rows = []
    for name in study.classes:
        outcomes = [Outcome(values, metric, name) for metric in OF_CLASS]
        rows.append((name, [over_seeds(outcome, arm) for arm in study.arms for outcome in outcomes]))
    head = [*OF_CLASS] * len(study.arms)
    return Table('decisions-by-class', 'class', head, rows, tuple((arm, 2) for arm in study.arms))


def matrix(study: Study, confused: Values, arm: str) -> Panel:
    """Which share of the images of a class (rows) an arm calls each class (columns), mean over seeds."""
    names, count = study.classes, len(study.classes)
    shares = np.array([[confused('share', one, arm=arm, predicted=other) for other in names] for one in names])
    with rc_context(RC):
        fig = figure(1.1 + min(0.24 * max(count, 4), 4.2))
        axes = fig.subplots()
        axes.imshow(shares, cmap='Blues', vmin=0, vmax=1, interpolation='nearest')
        axes.set_title(short(arm))
        axes.set_xlabel('called')
        axes.set_ylabel('is')
        ticks = range(count) if count <= WITH_NAMES else []
        axes.set_yticks(ticks, [short(names[k]) for k in ticks])
        axes.set_xticks(ticks, [short(names[k]) for k in ticks], rotation=90)
        if count <= WITH_NUMBERS:
            for (y, x), share in np.ndenumerate(shares):
                if np.isfinite(share):
                    colour = 'white' if share > 0.6 else 'black'
                    axes.annotate(f'{100 * share:.0f}', (x, y), ha='center', va='center', fontsize=6, color=colour)
    return panel(fig, f'Confusion matrix of {arm}: the share of test images of each class that are called each class.')


def bands(study: Study) -> Table | None:
    """Means over the classes of head, medium and tail; None where there are few classes, or all are in one band."""
    values = study.table('bands')
    if values is None or len(study.classes) <= MANY:
        return None
    there = set(values.distinct('band', kind='arm'))
    names = [name for name in (HEAD, MEDIUM, TAIL) if name in there]
    sizes = {name: len(values.distinct('class', kind='data', band=name)) for name in names}
    metrics = values.distinct('metric', kind='arm')
    rows = []
    for arm in study.arms:
        cells: list[Cell] = []
        for metric in metrics:
            cells += [levels(Outcome(values, metric, MACRO, {'band': name}), arm) for name in names]
        rows.append((arm, cells))
    head = [f'{name}, {sizes[name]} class{"es" if sizes[name] != 1 else ""}' for name in names] * len(metrics)
    return Table('bands', 'arm', head, rows, tuple((label(metric), len(names)) for metric in metrics))
