"""Do arms differ in what units encode by more than seeds do? The tests, and counts of units."""

from typing import Any

from imbalance_jax.analysis.report import effects, omnibus, similarity, unit_tables
from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, interval, number, probability, signed
from imbalance_jax.analysis.report.verdicts import Units

COUNTS = {'detector_units': 'detector units', 'unique_concepts': 'different concepts', 'dead_units': 'dead units'}


def section(study: Study, look: dict[str, Look], found: Units) -> dict[str, Any] | None:
    """All that the template lays out; the tests alone without regions, None where units were not compared."""
    tables = unit_tables.load(study.folder)
    tests = {'tests': omnibus.grid('beyond-seeds', found.tests), 'arms': arm_tests(study, found)}
    if tables is None:
        return {**tests, 'dissected': False} if found.tests else None
    return {
        **tests,
        'dissected': True,
        'counts': counts(study),
        'panels': similarity.panels(study, look, tables.similarity),
        'persistence': similarity.persistence(study, tables.similarity),
        'changes': similarity.changes(study, tables.similarity),
        'layers': effects.layers(study, tables.layers),
        'effects': effects.effects(study),
        'segments': effects.segments(study),
        'logits': effects.logits(study) if study.dissected else None,
        'examples': effects.examples(study),
        'directions': effects.tcav(study, tables.directions),
        'tcav_layer': str(tables.directions['layer'].iloc[0]),
    }


def arm_tests(study: Study, units: Units) -> Table | None:
    """Each arm against the reference: the excess of the distance over that between seeds, and its p."""
    rows = []
    distances = [one.distance for one in units.tests]
    for arm, tests in units.arms.items():
        by_name = {one.distance: one for one in tests}
        found = [by_name.get(distance) for distance in distances]
        cells = [
            Cell(
                signed(t.difference),
                f'p {probability(t.p)}, Holm {probability(t.p_adjusted)}',
                arm in units.named and t.real,
            )
            if t
            else Cell('–')
            for t in found
        ]
        rows.append((arm, cells))
    return Table('beyond-seeds-arms', 'arm', distances, rows) if rows else None


def counts(study: Study) -> Table:
    """Counts of units by arm with Student's interval over seeds, and the difference to the reference."""
    rows, shown = [], {name: words for name, words in COUNTS.items() if study.dissected or name == 'dead_units'}
    for arm in study.arms:
        cells = []
        for metric in shown:
            mean, low, high = study.counted(metric).interval(arm)
            cells.append(Cell(number(mean, 1), interval(low, high)))
            mean, low, high = study.counted(metric).interval(arm, study.reference)
            text = 'reference' if arm == study.reference else signed(mean, 1)
            cells.append(Cell(text, interval(low, high)))
        rows.append((arm, cells))
    head = ['mean', 'difference'] * len(shown)
    return Table('unit-counts', 'arm', head, rows, tuple((words, 2) for words in shown.values()))
