"""The charts of one attribution method: arms beside the reference and above every null, all measures in one."""

from imbalance_jax.analysis.report import figures
from imbalance_jax.analysis.report.contrasts import contrast
from imbalance_jax.analysis.report.figures import Mark
from imbalance_jax.analysis.report.findings import comparable
from imbalance_jax.analysis.report.performance import marked
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, excludes_zero, label, short, whole
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.results.alignment import CONSTANT, SHUFFLED

Rows = dict[str, dict[str, Mark]]


def panels(study: Study, look: dict[str, Look], method: str) -> list[Panel]:
    """Differences between arms above shuffled regions, the same by finding, and levels above two nulls."""
    shown = []
    band, minus = study.smallest_effect, f'minus {short(study.reference)}'
    if rows := between_arms(study, method):
        axis = f'above shuffled regions, {minus}'
        shown.append(figures.grouped(f'{label(method)}: difference', axis, look, rows, band=band))
    if rows := by_finding(study, method):
        axis = f'{label(study.primary(method))} above shuffled regions, {minus}'
        shown.append(figures.grouped(f'{label(method)}: by finding', axis, look, rows, band=band))
    if rows := above(study, method, SHUFFLED, measures(study, method)):
        axis = 'above the regions of other patients'
        shown.append(figures.grouped(f'{label(method)}: level', axis, look, rows))
    if rows := above(
        study, method, CONSTANT, [one for one in comparable(study, method) if one in measures(study, method)]
    ):
        axis = 'above the best constant map'
        shown.append(figures.grouped(f'{label(method)}: skill', axis, look, rows))
    return shown


def measures(study: Study, method: str) -> list[str]:
    """The measures that are held against nulls."""
    assert study.alignment is not None
    return study.alignment.distinct('metric', kind='arm', method=method, against=SHUFFLED)


def between_arms(study: Study, method: str) -> Rows:
    """Measure -> arm -> its difference to the reference above shuffled regions."""
    outcomes = {measure: study.contrasted(method, measure) for measure in study.measures(method)}
    return drawn({label(measure): differences(study, outcome) for measure, outcome in outcomes.items() if outcome})


def by_finding(study: Study, method: str) -> Rows:
    """Finding, with its number of pairs -> arm -> the difference in the primary measure."""
    assert study.alignment is not None
    rows, measure = {}, study.primary(method)
    for name in study.classes if measure else ():
        pairs = study.alignment.over('iou', name, kind='null level', against=CONSTANT)
        outcome = study.contrasted(method, measure, name)
        if outcome and pairs:
            rows[f'{short(name)}, {whole(pairs)}'] = differences(study, outcome)
    return drawn(rows)


def differences(study: Study, outcome: Outcome) -> dict[str, Mark]:
    """Arm -> its difference to the reference, filled where it is shown."""
    return {arm: marked(contrast(outcome, arm, study.reference)) for arm in study.others}


def above(study: Study, method: str, null: str, names: list[str]) -> Rows:
    """Measure -> arm -> what its maps have above a null, filled where the interval excludes 0."""
    rows = {}
    for measure in names:
        ends = {arm: study.aligned(method, measure).interval(arm, null) for arm in study.arms}
        rows[label(measure)] = {arm: Mark(*one, excludes_zero(*one[1:])) for arm, one in ends.items()}
    return drawn(rows)


def drawn(rows: Rows) -> Rows:
    """The rows with any estimate."""
    return {
        name: marks for name, marks in rows.items() if any(mark.estimate == mark.estimate for mark in marks.values())
    }
