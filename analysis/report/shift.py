"""The section on other data sets: what is the same there, what was left out, and how much every figure shifts."""

from pathlib import Path
from typing import Any, NamedTuple

from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study, optional
from imbalance_jax.analysis.report.style import capital, interval, label, number, probability, whole
from imbalance_jax.analysis.report.values import Outcome, Values, read_values
from imbalance_jax.data.other_set import TESTED_ON, left_out, shared_with_test
from imbalance_jax.results.calibration import IF_CALIBRATED, RECALIBRATED
from imbalance_jax.results.rows import MACRO
from imbalance_jax.results.shift import EXTERNAL, INTERNAL, SHIFT, SHUFFLED
from imbalance_jax.system import layout, records
from imbalance_jax.training.other_sets import folders

# Heading, metric, and what else tells its rows apart.
FIGURES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ('AUROC', 'auroc', {}),
    ('AP', 'average_precision', {}),
    ('Brier', 'brier', {'method': RECALIBRATED}),
    ('ECE above right', 'expected_calibration_error', {'method': RECALIBRATED, 'above': IF_CALIBRATED}),
)
LEVEL = 0.05


class Elsewhere(NamedTuple):
    """One other data set: its name, how it is matched, lines on what was left out, and its tables."""

    name: str
    folder: str
    map: Table
    notes: list[str]
    macro: Table | None
    by_class: Table | None
    maps: Table | None


def sections(study: Study) -> list[Elsewhere]:
    """One section per data set of WORKDIR/on, in the order of the config."""
    return [_elsewhere(study, folder) for folder in folders(study.folder, study.config)]


def _elsewhere(study: Study, folder: Path) -> Elsewhere:
    info = records.data(folder)
    record = info[TESTED_ON]
    shifted, of_maps = (_table(folder, name) for name in ('shift', 'map_shift'))
    notes = [line.strip() for line in left_out(info)]
    if record['absent']:
        notes.insert(0, f'left out, as {record["name"]} does not have them: {", ".join(record["absent"])}')
    if record['family']:
        notes.append(f'warning: {record["family"]}')
    if record['shared_with_test']:
        shared = shared_with_test(record)
        notes.append(f'{shared}: both sides are then not independent, and intervals of the shift too wide')
    return Elsewhere(
        name=record['name'],
        folder=f'{layout.ON}/{folder.name}',
        map=_map(record, shifted),
        notes=notes,
        macro=_shifts(study, shifted) if shifted else None,
        by_class=_by_class(study, shifted) if shifted else None,
        maps=_maps(study, of_maps) if of_maps else None,
    )


def _table(folder: Path, name: str) -> Values | None:
    found = optional(layout.table(folder, name), read_values)
    return found if found and found.value else None


def _map(record: dict[str, Any], shifted: Values | None) -> Table:
    """The classes that both have, with positives and prevalence on either side."""
    rows = []
    for name, other in record['label_map'].items():
        if other is not None:
            cells = [Cell(other), Cell(record['how'].get(name, ''))]
            for place in (INTERNAL, EXTERNAL):
                values = [shifted(metric, name, place=place) if shifted else float('nan') for metric in COUNTS]
                cells += [Cell(whole(values[0])), Cell(number(values[1]))]
            rows.append((name, cells))
    head = ['is there', 'by', *['positives', 'prevalence'] * 2]
    return Table(f'map-{record["name"]}', 'class', head, rows, (('', 2), ('own test split', 2), (record['name'], 2)))


COUNTS = ('positives', 'prevalence')


def _cells(outcome: Outcome, arm: str, reference: str) -> list[Cell]:
    """Level at home and there, the shift, and the shift minus the reference's."""
    cells = []
    for place in (INTERNAL, EXTERNAL):
        mean, low, high = outcome._replace(where={**outcome.where, 'place': place}).interval(arm)
        cells.append(Cell(number(mean), interval(low, high, 3)))
    moved = outcome._replace(where={**outcome.where, 'place': SHIFT})
    for against in ('', *([reference] if arm != reference else [])):
        mean, low, high = moved.interval(arm, against)
        p = moved(arm=arm, against=against, statistic='p_adjusted')
        text = f'{interval(low, high, 3)} p {probability(p)}' if p == p else interval(low, high, 3)
        cells.append(Cell(number(mean, 3), text, bool(p <= LEVEL)))
    return cells + [Cell('')] * (4 - len(cells))


HEAD = ['own test split', 'there', 'shift', 'shift minus the reference’s']


def _shifts(study: Study, table: Values) -> Table:
    """Macro means over the classes that both have."""
    rows = []
    for heading, metric, where in FIGURES:
        for arm in study.arms:
            rows.append((f'{heading}, {arm}', _cells(Outcome(table, metric, MACRO, where), arm, study.reference)))
    return Table('shift', 'figure, arm', HEAD, rows)


def _by_class(study: Study, table: Values) -> Table:
    """AUROC of every class that both have."""
    rows = [
        (f'{name}, {arm}', _cells(Outcome(table, 'auroc', name), arm, study.reference))
        for name in table.distinct('class', metric='auroc', place=SHIFT)
        if name != MACRO
        for arm in study.arms
    ]
    return Table('shift-by-class', 'class, arm', HEAD, rows)


def _maps(study: Study, table: Values) -> Table:
    """Alignment above other patients' regions, by method: the mean over the findings with regions on both sides."""
    rows = []
    for method in table.distinct('method'):
        for metric in table.distinct('metric', method=method):
            where = {'method': method, 'above': SHUFFLED}
            for arm in study.arms:
                cells = _cells(Outcome(table, metric, MACRO, where), arm, study.reference)
                rows.append((f'{capital(label(method))}, {label(metric)}, {arm}', cells))
    return Table('map-shift', 'method, measure, arm', HEAD, rows)
