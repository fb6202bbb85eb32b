"""Tables that all look alike: levels of every arm and differences to the reference, laid out without knowing what of.

A table becomes one chart per group of rows (all differences to the reference in it, a mark per arm) and one table of
the levels. What stands in it is read from its columns: metric, class, method and whatever else tells rows apart.
"""

import math
from typing import Any, NamedTuple

from imbalance_jax.analysis.report import figures
from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.contrasts import LEVEL
from imbalance_jax.analysis.report.figures import Mark
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, interval, label, number, short
from imbalance_jax.analysis.report.values import TEST, Values
from imbalance_jax.results.rows import MACRO

GENERAL = ('arm', 'seed', 'statistic', 'against', 'kind', 'split')  # columns that are laid out, not named
MOST = 24  # rows of a chart


class Topic(NamedTuple):
    """A table of results/, its heading, what it is about, and which metrics are drawn (all by default)."""

    table: str
    heading: str
    about: str
    drawn: tuple[str, ...] = ()


SUMMARIES = (MACRO, '', 'any finding', 'all classes', 'all images')  # classes that are shown; others are in the table

# In the order of the page. A table that is not there, or empty, has no section.
TOPICS = (
    Topic(
        'groups',
        'Groups of patients',
        'AUROC (macro) by group, the worst group and the gap between groups; underdiagnosis: the share of images with '
        'a finding on which none is called. A gap is above 0 by chance alone: its null exchanges patients’ groups.',
    ),
    Topic(
        'stability',
        'Stability of predictions',
        'How far seeds of one arm disagree about the same image. MAPE: mean distance of a probability from the mean of '
        'its arm; instability index: share of decisions not of the arm’s majority; churn: share of images on which '
        'two seeds decide differently, at equal numbers of positive calls; ambiguity: on which not all seeds agree. '
        'Intervals are over patients and seeds, of three seeds or more.',
    ),
    Topic(
        'features',
        'Geometry of features',
        'What the loss does to pooled features: within-class spread against the distance between classes (neural '
        'collapse), rank (RankMe, participation ratio), the cosine of rare classes’ head weights (minority collapse), '
        'and what a probe of class labels on frozen features reaches above the arm’s own head.',
    ),
    Topic('convergence', 'Convergence', 'Whether training had ended: best epoch, and the slope at the end.'),
)


class Line(NamedTuple):
    """What tells a row of a chart apart: its entries of all columns that are not `GENERAL`, by column."""

    entries: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        """The row in words; what is macro or says nothing is left out."""
        parts = [label(value) for _, value in self.entries if value and value != MACRO]
        return ', '.join(parts) or MACRO


def sections(study: Study, look: dict[str, Look]) -> list[dict[str, Any]]:
    """What the template lays out, for each topic whose table is there."""
    shown = []
    for topic in TOPICS:
        values = study.table(topic.table)
        if values:
            shown.append(
                {'topic': topic, 'panels': panels(study, look, values, topic), 'table': levels(study, values, topic)}
            )
    return [one for one in shown if one['panels'] or one['table']]


def lines(values: Values, kind: str, against: str) -> list[Line]:
    """The different rows of a kind and of what they are held against, each once, macro first."""
    position = {name: i for i, name in enumerate(values.columns)}
    found = dict.fromkeys(
        Line(tuple((name, key[i]) for name, i in position.items() if name not in GENERAL))
        for key in values.value
        if key[position['kind']] == kind
        and key[position['against']] == against
        and key[position['split']] in (TEST, '')
        and key[position['class']] in SUMMARIES
    )
    return sorted(found, key=lambda line: dict(line.entries)['class'] != MACRO)


def row(line: Line, **where: str) -> tuple[str, str, dict[str, str]]:
    """Metric, class and other columns of a row, as `Values` takes them."""
    entries = dict(line.entries) | where
    return entries.pop('metric'), entries.pop('class'), entries


def mark(values: Values, line: Line, arm: str, against: str = '') -> Mark:
    """An arm's figure with its interval, filled where its corrected p is at most 0.05."""
    metric, name, entries = row(line, arm=arm, against=against)
    mean, low, high, p = (values(metric, name, **entries, statistic=s) for s in ('mean', 'low', 'high', 'p_adjusted'))
    return Mark(mean, low, high, p <= LEVEL)


def panels(study: Study, look: dict[str, Look], values: Values, topic: Topic) -> list[Panel]:
    """A chart of differences to the reference per metric."""
    by_metric: dict[str, dict[str, dict[str, Mark]]] = {}
    for line in lines(values, 'arm', study.reference):
        metric = dict(line.entries)['metric']
        marks = {
            arm: one
            for arm in study.others
            if math.isfinite((one := mark(values, line, arm, study.reference)).estimate)
        }
        if marks and (not topic.drawn or metric in topic.drawn):
            words = Line(tuple(entry for entry in line.entries if entry[0] != 'metric')).words
            by_metric.setdefault(metric, {})[short(words)] = marks
    axis = f'minus {short(study.reference)}'
    return [
        figures.grouped(f'{label(metric)}: difference', axis, look, dict(list(rows.items())[:MOST]))
        for metric, rows in by_metric.items()
    ]


def levels(study: Study, values: Values, topic: Topic) -> Table | None:
    """A row per figure, a column per arm: the mean, below it its interval or standard deviation."""
    rows = []
    for line in lines(values, 'arm', ''):
        if topic.drawn and dict(line.entries)['metric'] not in topic.drawn:
            continue
        cells = [level(values, line, arm) for arm in study.arms]
        if any(cell.text != '–' for cell in cells):
            rows.append((line.words, cells))
    return Table(f'table-{topic.table}', 'figure', study.arms, rows[: MOST * 2]) if rows else None


def level(values: Values, line: Line, arm: str) -> Cell:
    """One arm's mean."""
    shown = mark(values, line, arm)
    metric, name, entries = row(line, arm=arm)
    deviation = values(metric, name, **entries, statistic='sd')
    spread = f'± {number(deviation)}' if math.isfinite(deviation) else ''
    return Cell(number(shown.estimate), interval(shown.low, shown.high, 3) or spread)
