"""The section on alignment: by attribution method, every arm's maps beside maps that know no model, and readers."""

from typing import Any

from imbalance_jax.analysis.report import alignment_heat, alignment_panels, galleries, skill
from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds, plain
from imbalance_jax.analysis.report.study import EXPLAIN, Study
from imbalance_jax.analysis.report.style import Look, label, whole
from imbalance_jax.results.alignment import ALL_PAIRS, CENTRE, CHANCE, CONSTANT, SHUFFLED
from imbalance_jax.results.reader_ceiling import READERS
from imbalance_jax.results.rows import MACRO

SHOWN = ('hit_share', 'pointing_game', 'iou', 'ior', 'iobb', 'empty')
NULLS = (CONSTANT, CENTRE, CHANCE)
GALLERIES = ('grad_cam', 'saliency')  # methods whose maps are shown, the first two that there are if these are not


def section(study: Study, look: dict[str, Look]) -> dict[str, Any]:
    """Panels, tables and pictures by method; without any, `missing` says why."""
    if not study.alignment or not study.alignment.value:
        return {'missing': missing(study), 'methods': []}
    refused = study.alignment('regions_refused', 'all findings')
    made = gallery_methods(alignment_heat.methods(study))
    pictures = {method: gallery(study, method) for method in made}
    return {
        'missing': '',
        'without': alignment_heat.without(study),
        'labelled': alignment_heat.pairs(study, 'labelled_pairs'),
        'outside': alignment_heat.outside(study),
        'outside_pairs': alignment_heat.pairs(study, 'anatomy_pairs'),
        'empty': alignment_heat.empty(study),
        'margin': study.config['attribution'].get('anatomy_margin', 0),
        'readers': study.alignment.over('iou', ALL_PAIRS, kind='null level', against=READERS),
        'contrasted': any(study.primary(method) for method in study.methods),
        'methods': [
            {
                'name': method,
                'primary': study.primary(method),
                'panels': alignment_panels.panels(study, look, method),
                'table': table(study, method),
                'by_finding': by_finding(study, method, study.primary(method) or 'hit_share'),
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
    if study.not_here:
        if study.has_features:
            return 'The networks are not here, only their features: no map can be made.'
        return 'The networks are not here, only what they said of the images: what they learned cannot be asked.'
    if study.alignment is None:
        return f'What the models learned has not been asked yet. Run: {EXPLAIN.format(study.folder)}'
    if not study.alignment.value:
        return 'No map was made: the test split has no annotated region, and no finding by its labels.'
    return f'Explaining is not finished. Run: {EXPLAIN.format(study.folder)}'


def annotated_pairs(study: Study, measure: str, name: str) -> int:
    """The number of pairs that the constant map was measured on."""
    assert study.alignment is not None
    return study.alignment.over(measure, name, kind='null level', against=CONSTANT)


def null_level(study: Study, measure: str, null: str, name: str = MACRO) -> float:
    """What a map that knows no model scores."""
    assert study.alignment is not None
    return study.alignment(measure, name, kind='null level', against=null)


def table(study: Study, method: str) -> Table:
    """Measures of an arm's maps, mean over seeds, and of what knows no model."""
    there = set(study.alignment.distinct('metric', kind='arm', method=method)) if study.alignment else set()
    shown = [measure for measure in dict.fromkeys([study.primary(method), *SHOWN]) if measure in there]
    rows = [(arm, [over_seeds(study.aligned(method, m), arm) for m in shown]) for arm in study.arms]
    rows += [(null, [plain(null_level(study, m, null)) for m in shown]) for null in NULLS]
    rows.append((SHUFFLED, [skill.level(study, method, m, SHUFFLED) for m in shown]))
    rows.append((f'{READERS} (ceiling)', alignment_heat.readers(study, shown)))
    rows = [(name, cells) for name, cells in rows if any(cell.text != '–' for cell in cells)]
    return Table(f'alignment-{method}', 'arm', [label(m) for m in shown], rows)


def by_finding(study: Study, method: str, measure: str) -> Table:
    """One measure by finding: the pairs and patients it is the mean of, the constant map's, every arm's."""
    assert study.alignment is not None
    rows, by_readers = [], READERS in study.alignment.distinct('against', kind='null level')
    for name in [*study.classes, MACRO, ALL_PAIRS]:
        pairs = annotated_pairs(study, 'iou', name)
        if pairs:
            cells = [over_seeds(study.aligned(method, measure, name), arm) for arm in study.arms]
            if by_readers:
                cells = [*alignment_heat.readers(study, [measure], name), *cells]
            constant = plain(null_level(study, measure, CONSTANT, name))
            patients = Cell(whole(study.alignment('patients', name)))
            rows.append((name, [Cell('' if name == MACRO else whole(pairs)), patients, constant, *cells]))
    head = ['pairs', 'patients', CONSTANT, *([READERS] if by_readers else []), *study.arms]
    return Table(f'alignment-{method}-{measure}', 'finding', head, rows)


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
