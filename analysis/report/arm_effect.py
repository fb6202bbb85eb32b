"""Do arms differ in what units encode by more than seeds do? The answer, its tests, and counts of units."""

from typing import Any

import pandas as pd

from imbalance_jax.analysis.report import effects, similarity, unit_tables
from imbalance_jax.analysis.report.cells import Cell, Table, plain
from imbalance_jax.analysis.report.findings import Finding
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, interval, number, probability, signed
from imbalance_jax.analysis.report.unit_tables import rows_of
from imbalance_jax.results.arm_effect import BETWEEN, WITHIN

LEVEL = 0.05
COUNTS = {'detector_units': 'detector units', 'unique_concepts': 'different concepts', 'dead_units': 'dead units'}
COLUMNS = {
    'between': {'pairs': BETWEEN, 'statistic': 'mean', 'against': ''},
    'within': {'pairs': WITHIN, 'statistic': 'mean', 'against': ''},
    'difference': {'pairs': BETWEEN, 'statistic': 'mean', 'against': WITHIN},
    'p': {'pairs': BETWEEN, 'statistic': 'p', 'against': WITHIN},
    'p_adjusted': {'pairs': BETWEEN, 'statistic': 'p_adjusted', 'against': WITHIN},
}


def section(study: Study, look: dict[str, Look]) -> dict[str, Any] | None:
    """All that the template lays out; None where units were not compared."""
    tables = unit_tables.load(study.folder)
    if tables is None:
        return None
    whole = by_distance(rows_of(tables.arm_effect, kind='population'))
    return {
        'answer': answer(whole),
        'tests': tests(whole),
        'arms': arm_tests(study, tables.arm_effect),
        'counts': counts(study),
        'panels': similarity.panels(study, look, tables.similarity),
        'persistence': similarity.persistence(study, tables.similarity),
        'changes': similarity.changes(study, tables.similarity),
        'layers': effects.layers(study, tables.layers),
        'effects': effects.effects(study),
        'segments': effects.segments(study),
        'logits': effects.logits(study),
        'examples': effects.examples(study),
        'directions': effects.tcav(study, tables.directions),
        'tcav_layer': str(tables.directions['layer'].iloc[0]),
    }


def findings(effect: dict[str, Any] | None) -> list[Finding]:
    """The answer among the main findings."""
    return (
        [Finding(f'Do approaches differ in what units encode beyond seeds? {effect["answer"]}', [])] if effect else []
    )


def by_distance(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per distance, a column per entry of COLUMNS, of rows of results/arm_effect."""
    rows = rows[rows['given'] == '']
    index = rows['metric'] + ', ' + rows['layer']
    figures = {}
    for name, where in COLUMNS.items():
        chosen = (rows[list(where)] == pd.Series(where)).all(axis=1)
        figures[name] = pd.Series(rows['value'][chosen].to_numpy(), index[chosen])
    return pd.DataFrame(figures).reindex(index.drop_duplicates())


def answer(whole: pd.DataFrame) -> str:
    """Do arms differ in what units encode beyond what seeds do, in a sentence or two, by the corrected tests."""
    p = whole['p_adjusted'].dropna()
    if p.empty:
        return 'This cannot be said: it takes two arms and two seeds.'
    real = p[p <= LEVEL]
    if real.empty:
        return (
            f'Not shown. By none of {len(p)} measures are members of different arms further apart than members of one '
            f'arm with different seeds (p corrected over the measures, smallest {number(p.min())}).'
        )
    parts = [
        f'{distance}: {number(whole["between"][distance])} between arms, {number(whole["within"][distance])} within'
        for distance in real.sort_values(kind='stable').index
    ]
    return (
        f'Yes, by {len(real)} of {len(p)} measures (p corrected over the measures at most {LEVEL}). {"; ".join(parts)}.'
    )


def tests(whole: pd.DataFrame) -> Table:
    """A row per measure: mean distance between and within arms, their difference, p."""
    rows = [
        (
            str(distance),
            [
                plain(one['between']),
                plain(one['within']),
                Cell(signed(one['difference'])),
                Cell(probability(one['p'])),
                Cell(probability(one['p_adjusted']), marked=one['p_adjusted'] <= LEVEL),
            ],
        )
        for distance, one in whole.iterrows()
    ]
    return Table('beyond-seeds', 'distance', ['between arms', 'within arms', 'difference', 'p', 'p, corrected'], rows)


def arm_tests(study: Study, table: pd.DataFrame) -> Table | None:
    """Each arm against the reference: the excess of the distance over that between seeds, and its p."""
    rows, distances = [], list(by_distance(rows_of(table, kind='population')).index)
    for arm in study.others:
        of_arm = by_distance(rows_of(table, kind='arm', arm=arm))
        if len(of_arm):
            tested = [of_arm.loc[distance] for distance in distances]
            cells = [Cell(signed(t['difference']), f'p {probability(t["p"])}', t['p'] <= LEVEL) for t in tested]
            rows.append((arm, cells))
    return Table('beyond-seeds-arms', 'arm', distances, rows) if rows else None


def counts(study: Study) -> Table:
    """Counts of units by arm with Student's interval over seeds, and the difference to the reference."""
    rows = []
    for arm in study.arms:
        cells = []
        for metric in COUNTS:
            mean, low, high = study.counted(metric).interval(arm)
            cells.append(Cell(number(mean, 1), interval(low, high)))
            mean, low, high = study.counted(metric).interval(arm, study.reference)
            text = 'reference' if arm == study.reference else signed(mean, 1)
            cells.append(Cell(text, interval(low, high), low > 0 or high < 0))
        rows.append((arm, cells))
    head = ['mean', 'difference'] * len(COUNTS)
    return Table('unit-counts', 'arm', head, rows, tuple((words, 2) for words in COUNTS.values()))
