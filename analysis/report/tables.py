"""HTML tables as plain data: which numbers of a study stand where. The template only lays them out."""

import math
from typing import NamedTuple

from imbalance_jax.analysis.report.panels import MEASURES, NULLS, RANKING, SPLITS, intervals
from imbalance_jax.analysis.report.study import MEMBER, Study, Values
from imbalance_jax.analysis.report.style import excludes_zero, label, number, signed, spread, whole, with_interval
from imbalance_jax.results import audit

ALIGNMENT = ('hit_share', 'pointing_game', 'iou', 'ior', 'iobb', 'empty')
COUNTS = ('concepts', 'concepts_corrected')


class Cell(NamedTuple):
    """A number, what stands small below it, whether its interval excludes 0, and its place between -1 and 1."""

    text: str
    below: str = ''
    marked: bool = False
    shade: float = 0.0


class Table(NamedTuple):
    """head: names of the columns after the first; rows: (name, cells); groups: (name, columns) above the head."""

    key: str
    corner: str
    head: list[str]
    rows: list[tuple[str, list[Cell]]]
    groups: tuple[tuple[str, int], ...] = ()


def data(study: Study) -> Table:
    """Positives, prevalence and annotated regions by class and split; concepts that are no class have regions only."""

    def cells(name, split):
        positive, share = (study.data(m, name, split=split, method='data') for m in ('positives', 'prevalence'))
        regions = study.data('regions', name, split=split, method='data')
        percent = f'{100 * share:.2f} %' if math.isfinite(share) else '–'
        return [Cell(whole(positive)), Cell(percent), Cell(whole(regions))]

    head = ['positives', 'prevalence', 'regions'] * len(SPLITS)
    rows = [(name, [cell for split in SPLITS for cell in cells(name, split)]) for name in study.concept_names]
    return Table('data', 'class', head, rows, tuple((split, 3) for split in SPLITS))


def splits(study: Study) -> Table:
    """Images and patients of the splits."""
    metrics = ('images', 'patients', 'no finding')
    rows = [(s, [Cell(whole(study.data(m, '', split=s, method='data'))) for m in metrics]) for s in SPLITS]
    return Table('splits', 'split', ['images', 'patients', 'images without a finding'], rows)


def performance(study: Study) -> Table:
    """Macro means over seeds, the ensemble, and accuracy beside that of always answering no."""
    table, rows = study.performance, []
    for arm in study.arms:
        alive = sum(study.alive(row) for row in study.rows(arm))
        cells = [Cell(f'{alive} of {len(study.rows(arm))}')]
        for metric in RANKING:
            cells += [over_seeds(table, metric, arm), Cell(number(table(metric, arm=arm, method='ensemble')))]
        cells += [over_seeds(table, 'accuracy', arm)]
        for metric in ('brier', 'expected_calibration_error'):
            corrected = number(table(f'{metric}_corrected_mean', arm=arm))
            cells.append(over_seeds(table, metric, arm)._replace(below=f'corrected {corrected}'))
        rows.append((arm, cells))
    nothing = [Cell('')] * 5
    always = Cell(number(table('accuracy', method='always negative')))
    rows.append(('always negative', [*nothing, always, Cell(''), Cell('')]))
    head = ['living seeds', 'AUROC', 'AUROC, ensemble', 'AP', 'AP, ensemble', 'accuracy', 'Brier', 'ECE']
    return Table('performance', 'arm', head, rows)


def by_class(study: Study, metric: str) -> Table:
    """A metric of every class and arm, with the prevalence beside."""
    table, rows = study.performance, []
    for name in [*study.classes, 'macro']:
        share = table('prevalence', name, method='data')
        cells = [over_seeds(table, metric, arm, name) for arm in study.arms]
        rows.append((name, [Cell(number(share)), *cells]))
    return Table(f'{metric}-by-class', 'class', ['prevalence', *study.arms], rows)


def differences(study: Study, metric: str) -> Table:
    """Differences to the reference by class, shaded by size."""
    names = [*study.classes, 'macro']
    found = {name: intervals(study.performance, f'{metric}_difference', study.others, name) for name in names}
    return Table(f'{metric}-difference', 'class', study.others, shaded([(n, list(found[n].values())) for n in names]))


def alignment(study: Study, method: str) -> Table:
    """Measures of an arm's maps, mean over seeds, and of what knows no model."""
    table = study.alignment
    rows = [(arm, [over_seeds(table, m, arm, method=method) for m in ALIGNMENT]) for arm in study.arms]
    rows += [(null, [Cell(number(table(m, method=null))) for m in ALIGNMENT]) for null in NULLS]
    return Table(f'alignment-{method}', 'arm', [label(m) for m in ALIGNMENT], rows)


def alignment_by_class(study: Study, method: str, measure: str) -> Table:
    """One measure by finding: the pairs it is the mean of, the constant map's, every arm's."""
    table, rows = study.alignment, []
    for name in [*study.classes, 'macro', 'all pairs']:
        pairs = table.count(measure, name, method='constant map')
        if pairs:
            constant = Cell(number(table(measure, name, method='constant map')))
            cells = [over_seeds(table, measure, arm, name, method) for arm in study.arms]
            rows.append((name, [Cell('' if name == 'macro' else whole(pairs)), constant, *cells]))
    return Table(f'alignment-{method}-{measure}', 'finding', ['pairs', 'constant map', *study.arms], rows)


def units(study: Study) -> Table:
    """Counts of units by arm."""
    metrics = {
        'detector_units': 'detector units',
        'unique_concepts': 'different concepts',
        'detector_units_iou_0.04': 'units with IoU > 0.04',
        'unique_concepts_iou_0.04': 'their concepts',
        'dead_units': 'dead units',
        'sparse_units': 'too sparse for the threshold',
    }
    made = {a: [over_seeds(study.concepts, m, a, 'all concepts', study.layer, 1) for m in metrics] for a in study.arms}
    return Table('units', 'arm', list(metrics.values()), list(made.items()))


def overlaps(study: Study) -> Table:
    """The best unit's IoU with every concept, and below it the highest that the two areas allow."""
    table, layer, rows = study.concepts, study.layer, []
    for name in study.concept_names:
        cells = []
        for arm in study.arms:
            best, top = (table(f'{m}_mean', name, arm=arm, method=layer) for m in ('best_iou', 'iou_ceiling'))
            cells.append(Cell(number(best), f'of {number(top)}' if math.isfinite(top) else ''))
        rows.append((name, cells))
    return Table('overlaps', 'concept', study.arms, rows)


def counts(study: Study) -> Table:
    """The study's number of concepts an image, and the corrected one below it, by finding."""
    table, layer, rows = study.concepts, study.layer, []
    for name in ['all images', *study.classes]:
        means = [[table(f'{m}_image_mean_mean', name, arm=a, method=layer) for m in COUNTS] for a in study.arms]
        images = study.shared_count('concepts_image_mean', name)
        if images:
            cells = [Cell(number(published, 1), number(corrected, 1)) for published, corrected in means]
            rows.append((name, [Cell(whole(images)), *cells]))
    return Table('counts', 'images with a region of', ['images', *study.arms], rows)


def beyond(study: Study, measures: tuple[str, ...] = ('iou',), key: str = 'beyond') -> Table:
    """Differences of performance and alignment to the reference, with intervals; detectors have none."""
    columns = [(label(m), study.performance, f'{m}_difference', MEMBER) for m in RANKING]
    pairs = [(measure, method) for measure in measures for method in study.methods]
    columns += [(f'{label(method)} {label(m)}', study.alignment, f'{m}_difference', method) for m, method in pairs]
    rows = []
    for arm in study.others:
        cells = []
        for _, table, metric, method in columns:
            estimate, low, high = intervals(table, metric, [arm], method=method)[arm]
            cells.append(Cell(*with_interval(estimate, low, high), excludes_zero(low, high)))
        rows.append((arm, cells))
    head = [f'{words} difference' for words, *_ in columns]
    if study.layer:
        head.append('detector units')
        rows = [(arm, [*cells, detectors(study, arm)]) for arm, cells in rows]
        empty = [Cell('reference')] + [Cell('')] * (len(columns) - 1)
        rows.insert(0, (study.reference, [*empty, detectors(study, study.reference)]))
    return Table(key, 'arm', head, rows)


def other_measures(study: Study) -> Table:
    return beyond(study, tuple(m for m in MEASURES if m != 'iou'), 'beyond-others')


def detectors(study: Study, arm: str) -> Cell:
    return over_seeds(study.concepts, 'detector_units', arm, 'all concepts', study.layer, 1)


def mistakes(study: Study) -> list[Table]:
    """What the published mistakes of training and of measuring did; those that this study has figures for."""
    return [table for table in (_trained_mistakes(study), _measured_mistakes(study)) if table.rows]


def _trained_mistakes(study: Study) -> Table:
    """A row a mistake, a column an outcome: published minus corrected arm."""
    methods = study.methods
    columns = [(metric, MEMBER, 3) for metric in RANKING] + [('hit_share', method, 3) for method in methods]
    columns += [(metric, study.layer, 1) for metric in ('detector_units', 'unique_concepts')]
    columns.append(('concepts_corrected_image_mean', study.layer, 2))
    names = [name for name in audit.ARMS if study.audit.count('auroc_effect', name)]
    rows = [(name, [_effect(study, m, name, method, digits) for m, method, digits in columns]) for name in names]
    head = [label(m) if method in (MEMBER, study.layer) else f'{label(method)} {label(m)}' for m, method, _ in columns]
    return Table('mistakes-trained', 'mistake', head, rows)


def _measured_mistakes(study: Study) -> Table:
    """A row a mistake and method: the published figure, the corrected one, and their difference."""
    rows = []
    for name, (_, _, metric, _) in audit.MEASURES.items():
        for method in study.audit.distinct('method', **{'class': name}):
            figures = [study.audit(f'{metric}_{kind}', name, method=method) for kind in ('published', 'corrected')]
            by = '' if method == MEMBER else f', {label(method)}'
            cells = [Cell(number(value)) for value in figures]
            rows.append((f'{name}{by}', [*cells, _effect(study, metric, name, method, 3)]))
    return Table('mistakes-measured', 'mistake', ['published', 'corrected', 'effect'], rows)


def _effect(study: Study, metric: str, name: str, method: str, digits: int) -> Cell:
    estimate, low, high = (study.audit(f'{metric}_effect{end}', name, method=method) for end in ('', '_low', '_high'))
    if not math.isfinite(low):
        return Cell(signed(estimate, digits))
    return Cell(signed(estimate, digits), f'{number(low, digits)} to {number(high, digits)}', excludes_zero(low, high))


def over_seeds(table: Values, metric: str, arm: str, name='macro', method: str = MEMBER, digits: int = 3) -> Cell:
    """Mean and standard deviation over an arm's living seeds."""
    statistics = (table(f'{metric}_{kind}', name, arm=arm, method=method) for kind in ('mean', 'sd'))
    return Cell(spread(*statistics, digits))


def shaded(rows: list[tuple[str, list[tuple]]]) -> list[tuple[str, list[Cell]]]:
    """Cells of (estimate, low, high), shaded by their share of the largest estimate of the table."""
    sizes = [abs(estimate) for _, cells in rows for estimate, *_ in cells if math.isfinite(estimate)]
    largest = max(sizes, default=0) or 1.0

    def cell(estimate, low, high):
        shade = estimate / largest if math.isfinite(estimate) else 0.0
        return Cell(*with_interval(estimate, low, high), excludes_zero(low, high), round(shade, 3))

    return [(name, [cell(*one) for one in cells]) for name, cells in rows]
