"""What maps of one method have above every null, by further measures, and on parts of the pairs."""

from typing import Any

import numpy as np

from imbalance_jax.analysis.report.cells import Cell, Table, estimated, over_seeds, plain
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import label, whole, with_interval
from imbalance_jax.explain.alignment import SIZES
from imbalance_jax.results import alignment
from imbalance_jax.results.alignment import (
    ALL_PAIRS,
    BEFORE,
    CEILING,
    CENTRE,
    CHANCE,
    CONSTANT,
    PERMUTED,
    SHUFFLED,
    UNTRAINED,
)

FIXED = (CHANCE, CENTRE, CONSTANT)
STAND_INS = (SHUFFLED, UNTRAINED, BEFORE, PERMUTED)  # of each member
PARTS = (*SIZES, 'labelled', 'true positives')


def section(study: Study, method: str) -> dict[str, Any]:
    """What the template lays out."""
    return {
        'skill': skill(study, method, study.primary(method) or 'hit_share'),
        'others': others(study, method),
        'subsets': subsets(study, method),
    }


def measures(study: Study) -> list[str]:
    """Those that are held against the constant map: the study's and the config's."""
    assert study.alignment is not None
    return study.alignment.distinct('metric', kind='arm', against=CONSTANT)


def skill(study: Study, method: str, measure: str) -> Table:
    """One measure's mean over an arm's seeds, and what it is above each null, with intervals."""
    outcome, rows = study.aligned(method, measure), []
    nulls = [
        null for null in (*FIXED, *STAND_INS) if any(np.isfinite(outcome(arm=arm, against=null)) for arm in study.arms)
    ]
    for arm in study.arms:
        above = [estimated(*outcome.interval(arm, null)) for null in nulls]
        rows.append((arm, [over_seeds(outcome, arm), *above]))
    rows.append(('the null itself', [Cell('')] + [level(study, method, measure, null) for null in nulls]))
    rows.append((CEILING, [level(study, method, measure, CEILING), *[Cell('')] * len(nulls)]))
    return Table(f'skill-{method}-{measure}', 'arm', [label(measure), *(f'above {null}' for null in nulls)], rows)


def level(study: Study, method: str, measure: str, null: str) -> Cell:
    """What a null scores: that of the maps, or the mean over arms of what stands in for their members."""
    assert study.alignment is not None
    if null not in STAND_INS:
        return plain(study.alignment(measure, kind='null level', against=null))
    where = {'kind': 'null level', 'method': method, 'against': null, 'statistic': 'mean'}
    levels = [study.alignment(measure, arm=arm, **where) for arm in study.arms]
    levels = [value for value in levels if np.isfinite(value)]
    return plain(float(np.mean(levels)) if levels else np.nan)


def others(study: Study, method: str) -> Table:
    """The measures that the other tables leave out, by arm, and of every null."""
    names = [name for name in measures(study) if name not in alignment.MEASURES]
    rows = [(arm, [over_seeds(study.aligned(method, name), arm) for name in names]) for arm in study.arms]
    rows += [(null, [level(study, method, name, null) for name in names]) for null in (*FIXED, CEILING, *STAND_INS)]
    rows = [(name, cells) for name, cells in rows if any(cell.text != '–' for cell in cells)]
    return Table(f'others-{method}', 'arm', [label(name) for name in names], rows if names else [])


def subsets(study: Study, method: str) -> Table:
    """Hit share of parts of the pairs, and below it its skill above the constant map."""
    rows, whole_outcome = [], study.aligned(method, 'hit_share', ALL_PAIRS)
    first = study.rows(study.reference)[0]
    for name in PARTS:
        outcome = whole_outcome._replace(where={**whole_outcome.where, 'subset': name})
        pairs = outcome.over(arm=first['arm'], seed=str(first['seed']))
        if pairs:
            cells = []
            for arm in study.arms:
                cell, above = over_seeds(outcome, arm), outcome.interval(arm, CONSTANT)
                if np.isfinite(above).all():
                    cell = cell._replace(below=f'skill {" ".join(with_interval(*above))}')
                cells.append(cell)
            rows.append((name, [Cell(whole(pairs)), *cells]))
    return Table(f'subsets-{method}', 'pairs', ['pairs', *study.arms], rows)
