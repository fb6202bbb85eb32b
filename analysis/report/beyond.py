"""The section on what AUROC does not show: arms in the plane of two outcomes, and all differences side by side."""

from typing import Any

from imbalance_jax.analysis.report import figures
from imbalance_jax.analysis.report.alignment import MEASURES
from imbalance_jax.analysis.report.cells import Cell, Table, estimated, over_seeds
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, label, short
from imbalance_jax.results.performance import RANKED


def section(study: Study, look: dict[str, Look]) -> dict[str, Any]:
    """What the template lays out."""
    has_more = study.others and study.methods
    return {
        'panels': panels(study, look),
        'table': table(study) if study.others else None,
        'others': table(study, tuple(m for m in MEASURES if m != 'iou'), 'beyond-others') if has_more else None,
    }


def table(study: Study, measures: tuple[str, ...] = ('iou',), key: str = 'beyond') -> Table:
    """Differences of performance and alignment to the reference, with intervals; detectors have none."""
    columns = {label(metric): study.ranked(metric) for metric in RANKED}
    for measure in measures:
        columns |= {f'{label(method)} {label(measure)}': study.aligned(method, measure) for method in study.methods}
    rows = [
        (arm, [estimated(*outcome.interval(arm, study.reference)) for outcome in columns.values()])
        for arm in study.others
    ]
    head = [f'{words} difference' for words in columns]
    if study.layer:
        detectors = study.counted('detector_units')
        head.append('detector units')
        rows = [(arm, [*cells, over_seeds(detectors, arm, 1)]) for arm, cells in rows]
        empty = [Cell('reference')] + [Cell('')] * (len(columns) - 1)
        rows.insert(0, (study.reference, [*empty, over_seeds(detectors, study.reference, 1)]))
    return Table(key, 'arm', head, rows)


def panels(study: Study, look: dict[str, Look]) -> list[Panel]:
    """Alignment against macro AUROC, its differences to the reference, and detectors against macro AUROC."""
    shown, auroc = [], {arm: study.ranked('auroc').spread(arm) for arm in study.arms}
    for method in study.methods:
        iou = {arm: study.aligned(method, 'iou').spread(arm) for arm in study.arms}
        shown.append(figures.scatter(f'{label(method)} IoU', ('macro AUROC', 'macro IoU'), look, auroc, iou))
    for method in study.methods if study.others else ():
        intervals = {arm: study.aligned(method, 'iou').interval(arm, study.reference) for arm in study.others}
        axis = f'macro IoU minus {short(study.reference)}'
        shown.append(figures.forest(f'{label(method)} IoU: difference', axis, look, intervals))
    if study.layer:
        detectors = {arm: study.counted('detector_units').spread(arm) for arm in study.arms}
        shown.append(figures.scatter('Detector units', ('macro AUROC', 'detector units'), look, auroc, detectors))
    return shown
