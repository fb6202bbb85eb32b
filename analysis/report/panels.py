"""Which charts each section shows: numbers of a study, handed to `figures`."""

import numpy as np

from imbalance_jax.analysis.report import figures
from imbalance_jax.analysis.report.figures import limits_of
from imbalance_jax.analysis.report.study import MEMBER, Study, Values
from imbalance_jax.analysis.report.style import Look, Panel, capital, label, short

SPLITS = ('train', 'validation', 'test')
RANKING = ('auroc', 'average_precision')
MEASURES = ('hit_share', 'iou', 'ior')  # those that the tables compare with the constant map and between arms
NULLS = ('constant map', 'image centre', 'chance')
UNIT_COUNTS = {
    'detector_units': 'detector units',
    'unique_concepts': 'different concepts',
    'dead_units': 'dead units',
    'sparse_units': 'too sparse units',
}


def seed_points(study: Study, table: Values, metric: str, name: str, method: str) -> dict[str, list]:
    """Arm -> [(value, alive)] of its members."""
    return {
        arm: [(table(metric, name, arm=arm, seed=str(row['seed']), method=method), study.alive(row)) for row in rows]
        for arm, rows in ((arm, study.rows(arm)) for arm in study.arms)
    }


def intervals(table: Values, metric: str, arms: list[str], name='macro', method: str = MEMBER) -> dict[str, tuple]:
    """Arm -> (estimate, low, high) of a difference or a skill."""
    ends = ('', '_low', '_high')
    return {arm: tuple(table(f'{metric}{end}', name, arm=arm, method=method) for end in ends) for arm in arms}


def prevalence(study: Study) -> Panel:
    splits = {s: [study.data('prevalence', k, split=s, method='data') for k in study.classes] for s in SPLITS}
    return figures.prevalences(study.classes, splits)


def performance(study: Study, look: dict[str, Look]) -> list[Panel]:
    """By metric: macro values of every seed with the ensembles, differences to the reference, training curves."""
    shown, table = [], study.performance
    for metric in RANKING:
        points = seed_points(study, table, metric, 'macro', MEMBER)
        means = {arm: table(f'{metric}_mean', arm=arm) for arm in study.arms}
        ensembles = {arm: table(metric, arm=arm, method='ensemble') for arm in study.arms}
        title = f'{capital(label(metric))}, test'
        shown.append(figures.dots(title, f'macro {label(metric)}', look, points, means, ensembles=ensembles))
        if study.others:
            found = intervals(table, f'{metric}_difference', study.others)
            axis = f'macro, minus {short(study.reference)}'
            shown.append(figures.forest(f'{capital(label(metric))}: difference', axis, look, found))
        shown.append(curves(study, look, metric))
    return shown


def curves(study: Study, look: dict[str, Look], metric: str) -> Panel:
    """A validation metric of every member against epochs."""
    lines = []
    for row in study.members:
        own = [line for line in study.lines if (line['arm'], line['seed']) == (row['arm'], row['seed'])]
        values = [np.nan if (value := line[f'validation_{metric}']) is None else value for line in own]
        lines.append((row['arm'], [line['epoch'] for line in own], values))
    return figures.curves(f'{capital(label(metric))} in training', f'macro {label(metric)}, validation', look, lines)


def alignment(study: Study, look: dict[str, Look]) -> dict[str, list[Panel]]:
    """Method -> panels: each measure beside the nulls, then skill above the constant map; one range a measure."""
    shown = {method: [] for method in study.methods}
    table, arms = study.alignment, study.arms
    for measure in MEASURES:
        points = {m: seed_points(study, table, measure, 'macro', m) for m in study.methods}
        nulls = {null: table(measure, method=null) for null in NULLS}
        every = [value for one in points.values() for seeds in one.values() for value, _ in seeds]
        limits = limits_of([0], every, nulls.values())
        for method in study.methods:
            means = {arm: table(f'{measure}_mean', arm=arm, method=method) for arm in arms}
            axis = f'macro {label(measure)}'
            title = f'{label(method)}: {label(measure)}'
            shown[method].append(figures.dots(title, axis, look, points[method], means, lines=nulls, limits=limits))
    for measure in MEASURES:
        found = {m: intervals(table, f'{measure}_skill', arms, method=m) for m in study.methods}
        limits = limits_of([0], *(one for by_arm in found.values() for one in by_arm.values()))
        for method in study.methods:
            title, axis = f'{label(method)}: {label(measure)} skill', f'macro {label(measure)} minus constant map'
            shown[method].append(figures.forest(title, axis, look, found[method], limits))
    return shown


def concepts(study: Study, look: dict[str, Look]) -> list[Panel]:
    """Counts of units, and the best overlap with every concept under its ceiling."""
    shown, table, layer = [], study.concepts, study.layer
    units = study.shared_count('dead_units', 'all concepts')
    for metric, words in UNIT_COUNTS.items():
        points = seed_points(study, table, metric, 'all concepts', layer)
        means = {arm: table(f'{metric}_mean', 'all concepts', arm=arm, method=layer) for arm in study.arms}
        axis = words if metric == 'unique_concepts' else f'{words} of {units}'
        limits = limits_of([0, 1], (value for seeds in points.values() for value, _ in seeds))
        shown.append(figures.dots(capital(words), axis, look, points, means, limits=limits, counts=True))
    best, top = (
        {arm: [table(f'{metric}_mean', s, arm=arm, method=layer) for s in study.concept_names] for arm in study.arms}
        for metric in ('best_iou', 'iou_ceiling')
    )
    shown.append(figures.ceilings('Best unit by concept', 'IoU, mean over seeds', look, study.concept_names, best, top))
    return shown


def beyond(study: Study, look: dict[str, Look]) -> list[Panel]:
    """Alignment against macro AUROC, its differences to the reference, and detectors against macro AUROC."""

    def pair(table, metric, name='macro', method=MEMBER):
        kinds = ('mean', 'sd')
        return {a: tuple(table(f'{metric}_{kind}', name, arm=a, method=method) for kind in kinds) for a in study.arms}

    shown, auroc = [], pair(study.performance, 'auroc')
    for method in study.methods:
        up = pair(study.alignment, 'iou', method=method)
        shown.append(figures.scatter(f'{label(method)} IoU', ('macro AUROC', 'macro IoU'), look, auroc, up))
    for method in study.methods if study.others else ():
        found = intervals(study.alignment, 'iou_difference', study.others, method=method)
        axis = f'macro IoU minus {short(study.reference)}'
        shown.append(figures.forest(f'{label(method)} IoU: difference', axis, look, found))
    if study.layer:
        up = pair(study.concepts, 'detector_units', 'all concepts', study.layer)
        shown.append(figures.scatter('Detector units', ('macro AUROC', 'detector units'), look, auroc, up))
    return shown
