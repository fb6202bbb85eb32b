"""The section on alignment: by attribution method, every arm's maps beside maps that know no model."""

from typing import Any

from imbalance_jax.analysis.report import figures, galleries, skill
from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds, plain
from imbalance_jax.analysis.report.figures import limits_of
from imbalance_jax.analysis.report.performance import seed_points
from imbalance_jax.analysis.report.study import EXPLAIN, Study
from imbalance_jax.analysis.report.style import Look, Panel, label, whole
from imbalance_jax.results.alignment import ALL_PAIRS, CENTRE, CHANCE, CONSTANT
from imbalance_jax.results.rows import MACRO

SHOWN = ('hit_share', 'pointing_game', 'iou', 'ior', 'iobb', 'empty')
MEASURES = ('hit_share', 'iou', 'ior')  # those that are compared with the constant map and between arms
NULLS = (CONSTANT, CENTRE, CHANCE)
GALLERIES = ('grad_cam', 'saliency')  # methods whose maps are shown, the first two that there are if these are not


def section(study: Study, look: dict[str, Look]) -> dict[str, Any]:
    """Panels, tables and pictures by method; without any, `missing` says why."""
    if not study.methods:
        return {'missing': missing(study), 'methods': []}
    assert study.alignment is not None
    shown, refused = panels(study, look), study.alignment('regions_refused', 'all findings')
    pictures = {method: gallery(study, method) for method in gallery_methods(study.methods)}
    return {
        'missing': '',
        'methods': [
            {
                'name': method,
                'panels': shown[method],
                'table': table(study, method),
                'by_class': {measure: by_class(study, method, measure) for measure in MEASURES},
                'more': skill.section(study, method),
            }
            for method in study.methods
        ],
        'galleries': {method: rows for method, rows in pictures.items() if rows},
        'pairs': annotated_pairs(study, 'iou', ALL_PAIRS),
        'refused': whole(refused) if refused > 0 else '',
    }


def missing(study: Study) -> str:
    """Why there is nothing about alignment or concepts."""
    if study.alignment is None:
        return f'What the models learned has not been asked yet. Run: {EXPLAIN.format(study.folder)}'
    if not study.alignment.value:
        return 'The test split has no annotated region, so that maps and units can be held against nothing.'
    return f'Explaining is not finished. Run: {EXPLAIN.format(study.folder)}'


def annotated_pairs(study: Study, measure: str, name: str) -> int:
    """The number of pairs that the constant map was measured on."""
    assert study.alignment is not None
    return study.alignment.over(measure, name, kind='null', against=CONSTANT)


def null_level(study: Study, measure: str, null: str, name: str = MACRO) -> float:
    """What a map that knows no model scores."""
    assert study.alignment is not None
    return study.alignment(measure, name, kind='null', against=null)


def table(study: Study, method: str) -> Table:
    """Measures of an arm's maps, mean over seeds, and of what knows no model."""
    rows = [(arm, [over_seeds(study.aligned(method, m), arm) for m in SHOWN]) for arm in study.arms]
    rows += [(null, [plain(null_level(study, m, null)) for m in SHOWN]) for null in NULLS]
    return Table(f'alignment-{method}', 'arm', [label(m) for m in SHOWN], rows)


def by_class(study: Study, method: str, measure: str) -> Table:
    """One measure by finding: the pairs it is the mean of, the constant map's, every arm's."""
    rows = []
    for name in [*study.classes, MACRO, ALL_PAIRS]:
        pairs = annotated_pairs(study, measure, name)
        if pairs:
            cells = [over_seeds(study.aligned(method, measure, name), arm) for arm in study.arms]
            constant = plain(null_level(study, measure, CONSTANT, name))
            rows.append((name, [Cell('' if name == MACRO else whole(pairs)), constant, *cells]))
    return Table(f'alignment-{method}-{measure}', 'finding', ['pairs', CONSTANT, *study.arms], rows)


def panels(study: Study, look: dict[str, Look]) -> dict[str, list[Panel]]:
    """Method -> panels: each measure beside the nulls, then skill above the constant map; one range per measure."""
    shown: dict[str, list[Panel]] = {method: [] for method in study.methods}
    for measure in MEASURES:
        for method, one in measured(study, look, measure).items():
            shown[method].append(one)
    for measure in MEASURES:
        for method, one in skills(study, look, measure).items():
            shown[method].append(one)
    return shown


def measured(study: Study, look: dict[str, Look], measure: str) -> dict[str, Panel]:
    """Method -> a measure of every seed beside the nulls."""
    points = {method: seed_points(study, study.aligned(method, measure)) for method in study.methods}
    nulls = {null: null_level(study, measure, null) for null in NULLS}
    every = [value for by_arm in points.values() for seeds in by_arm.values() for value, _ in seeds]
    limits, shown = limits_of([0], every, nulls.values()), {}
    for method in study.methods:
        means = {arm: study.aligned(method, measure)(arm=arm) for arm in study.arms}
        title, axis = f'{label(method)}: {label(measure)}', f'macro {label(measure)}'
        shown[method] = figures.dots(title, axis, look, points[method], means, lines=nulls, limits=limits)
    return shown


def skills(study: Study, look: dict[str, Look], measure: str) -> dict[str, Panel]:
    """Method -> a measure above that of the constant map."""
    intervals = {
        method: {arm: study.aligned(method, measure).interval(arm, CONSTANT) for arm in study.arms}
        for method in study.methods
    }
    limits = limits_of([0], *(one for by_arm in intervals.values() for one in by_arm.values()))
    axis = f'macro {label(measure)} minus constant map'
    return {
        method: figures.forest(f'{label(method)}: {label(measure)} skill', axis, look, intervals[method], limits=limits)
        for method in study.methods
    }


def gallery_methods(methods: list[str]) -> list[str]:
    """The methods whose maps are shown."""
    return ([method for method in GALLERIES if method in methods] or methods)[:2]


def gallery(study: Study, method: str) -> list:
    """Rows of pictures of one method, none if its files are not there."""
    shown, maps = study.arrays('gallery'), study.arrays(f'alignment_{method}')
    if shown is None or maps is None:
        return []
    living = {arm: [member['member'] for member in study.living(arm)] for arm in study.arms}
    return galleries.maps(shown, maps['gallery'], living, study.classes)
