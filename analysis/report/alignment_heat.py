"""What maps show that needs no finding's region: heat outside the anatomy, and empty maps; and readers' ceilings."""

from imbalance_jax.analysis.report.cells import Cell, Table, levels, plain, tested
from imbalance_jax.analysis.report.contrasts import contrast
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import interval, label, number, whole
from imbalance_jax.explain.alignment import LABELLED
from imbalance_jax.results.alignment import ALL_PAIRS, BEFORE, CENTRE, CHANCE, EMPTY, OUTSIDE, UNTRAINED
from imbalance_jax.results.reader_ceiling import READERS
from imbalance_jax.results.rows import MACRO


def methods(study: Study) -> list[str]:
    """The attribution methods whose maps were made, with regions or without."""
    if study.alignment is None:
        return []
    there = set(study.alignment.distinct('method', kind='arm'))
    return [method for method in study.config['attribution']['methods'] if method in there]


def outside(study: Study) -> Table:
    """The share of the heat outside the anatomy, by arm and method, with the difference to the reference; and what maps
    have that know no model."""
    assert study.alignment is not None
    shown, rows = _having(study, OUTSIDE, ''), []
    for arm in study.arms:
        cells = []
        for method in shown:
            outcome = study.aligned(method, OUTSIDE)
            cells.append(levels(outcome, arm))
            if len(study.others):
                cells.append(Cell('') if arm == study.reference else tested(contrast(outcome, arm, study.reference)))
        rows.append((arm, cells))
    beside = [[Cell('')] if len(study.others) else [] for _ in shown]
    for null in (CHANCE, CENTRE):
        level = study.alignment(OUTSIDE, kind='null level', against=null)
        rows.append((null, [one for more in beside for one in (plain(level), *more)]))
    fresh = [_untrained(study, method) for method in shown]
    rows.append((_before(study), [one for cell, more in zip(fresh, beside, strict=True) for one in (cell, *more)]))
    minus = [f'minus {study.reference}'] if len(study.others) else []
    head = [name for method in shown for name in (label(method), *minus)]
    return Table('outside-anatomy', 'arm', head, rows if shown else [])


def _before(study: Study) -> str:
    """What the table calls the networks that members began as."""
    assert study.alignment is not None
    return BEFORE if BEFORE in study.alignment.distinct('against', metric=OUTSIDE) else UNTRAINED


def _untrained(study: Study, method: str) -> Cell:
    assert study.alignment is not None
    where = {'kind': 'null level', 'method': method, 'against': _before(study), 'statistic': 'mean'}
    values = [study.alignment(OUTSIDE, arm=arm, **where) for arm in study.arms]
    known = [value for value in values if value == value]
    return plain(sum(known) / len(known)) if known else Cell('–')


def empty(study: Study) -> Table:
    """The share of empty maps among pairs by label, by arm and method."""
    shown, subset = [], ''
    for subset in ('', LABELLED):
        shown = _having(study, EMPTY, subset) if not study.methods or subset else []
        if shown:
            break
    rows = []
    for arm in study.arms:
        outcomes = [study.aligned(method, EMPTY) for method in shown]
        cells = [levels(one._replace(where={**one.where, 'subset': subset}), arm) for one in outcomes]
        rows.append((arm, cells))
    return Table('empty-by-label', 'arm', [label(method) for method in shown], rows if shown else [])


def _having(study: Study, measure: str, subset: str) -> list[str]:
    if study.alignment is None:
        return []
    there = study.alignment.distinct('method', kind='arm', metric=measure, subset=subset, against='')
    return [method for method in methods(study) if method in there]


def pairs(study: Study, counted: str) -> str:
    """How many pairs of one kind there are, in words; '' for none."""
    number_of = study.alignment(counted, ALL_PAIRS, kind='data') if study.alignment else 0
    if not number_of > 0:
        found = study.alignment.distinct('subset', metric=counted) if study.alignment else []
        number_of = sum(study.alignment(counted, ALL_PAIRS, subset=one) for one in found) if study.alignment else 0
    return whole(number_of) if number_of > 0 else ''


def without(study: Study) -> list[str]:
    """The findings that no test image has a region of, of those whose maps were made by label."""
    if study.alignment is None:
        return []
    there = study.alignment.distinct('class', metric='labelled_pairs')
    counts = {name: _labelled(study, name) for name in study.classes if name in there}
    return [name for name, count in counts.items() if count > 0]


def _labelled(study: Study, name: str) -> float:
    assert study.alignment is not None
    found = study.alignment.distinct('subset', metric='labelled_pairs')
    return sum(study.alignment('labelled_pairs', name, subset=subset) for subset in found)


def readers(study: Study, measures: list[str], name: str = MACRO) -> list[Cell]:
    """What readers score against each other by each measure, with the interval over patients below; none of '–'."""
    assert study.alignment is not None
    cells = []
    for measure in measures:
        value, low, high = (
            study.alignment(measure, name, kind='null level', against=READERS, statistic=statistic)
            for statistic in ('value', 'low', 'high')
        )
        cells.append(Cell(number(value), interval(low, high, 3)) if value == value else Cell('–'))
    return cells
