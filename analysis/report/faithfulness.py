"""The section on faithfulness: do scores change as maps say, and maps with the network?"""

from typing import Any

import numpy as np

from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds, tested
from imbalance_jax.analysis.report.contrasts import contrast
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import label, number, whole
from imbalance_jax.analysis.report.values import Outcome, Values
from imbalance_jax.analysis.sweeps import shortcut
from imbalance_jax.explain.faithfulness import NULL
from imbalance_jax.results.alignment import ALL_PAIRS
from imbalance_jax.results.faithfulness import NOISE, SANITY


def section(study: Study) -> dict[str, Any]:
    """What the template lays out; None for tables that are not there."""
    values = study.faithfulness if study.faithfulness and study.faithfulness.value else None
    return {
        'metrics': metrics(study, values) if values else None,
        'noise': above_noise(study, values) if values else None,
        'counts': counts(values) if values else '',
        'sanity': sanity(study, values) if values else None,
        'roar': roar(study, study.roar) if study.roar and study.roar.value else None,
        'shortcut': shortcut.table(shortcut.strength(study), study) if shortcut.known(study) else None,
    }


def metrics(study: Study, values: Values) -> Table:
    """Metrics of faithfulness by method, mean and range over arms, noise last."""
    names = [name for name in values.distinct('metric', kind='arm') if name != SANITY]
    rows = [
        (named(method), [over_arms(study, Outcome(values, name, ALL_PAIRS, {'method': method})) for name in names])
        for method in values.distinct('method', kind='arm')
    ]
    return Table('faithfulness', 'method', [label(name) for name in names], rows)


def above_noise(study: Study, values: Values) -> Table:
    """The same above noise maps of the same images, pair by pair: a row per method and arm."""
    names = values.distinct('metric', kind='arm', against=NOISE)
    rows = []
    for method in values.distinct('method', kind='arm', against=NOISE):
        outcomes = [Outcome(values, name, ALL_PAIRS, {'method': method}) for name in names]
        for arm in study.arms:
            rows.append((f'{named(method)}, {arm}', [tested(contrast(outcome, arm, NOISE)) for outcome in outcomes]))
    return Table('faithfulness-noise', 'method and arm', [label(name) for name in names], rows)


def counts(values: Values) -> str:
    """Over how many pairs of an image and a finding, of how many patients."""
    pairs, patients = (values(name, ALL_PAIRS) for name in ('pairs', 'patients'))
    return f'{whole(pairs)} pairs of an image and a finding, {whole(patients)} patients' if np.isfinite(pairs) else ''


def sanity(study: Study, values: Values) -> Table:
    """Rank correlation of maps with those of the network randomised from the head down."""
    depths = sorted(values.distinct('depth', metric=SANITY, kind='arm'), key=int)
    parts = [values.distinct('part', depth=depth)[0] for depth in depths]
    rows = []
    for method in values.distinct('method', kind='arm', metric=SANITY):
        columns = [{'method': method, 'depth': d, 'part': p} for d, p in zip(depths, parts, strict=True)]
        cells = [over_arms(study, Outcome(values, SANITY, ALL_PAIRS, where), digits=2) for where in columns]
        rows.append((named(method), cells))
    return Table('sanity', 'method', [f'to {part}' for part in parts], rows)


def roar(study: Study, values: Values) -> Table:
    """Macro AUROC of the reference arm trained anew without the hottest pixels, mean and sd over seeds."""
    shares, rows = values.distinct('share', kind='arm'), []
    for method in values.distinct('method', kind='arm'):
        outcomes = [Outcome(values, 'auroc', where={'method': method, 'share': share}) for share in shares]
        rows.append((named(method), [over_seeds(outcome, study.reference) for outcome in outcomes]))
    return Table('roar', 'method', [f'without {float(share):.0%}' for share in shares], rows)


def named(method: str) -> str:
    """A method in words."""
    return f'{label(method)} (noise)' if method == NULL else label(method)


def over_arms(study: Study, outcome: Outcome, digits: int = 3) -> Cell:
    """Mean over the arms' means, and below it the lowest and highest arm."""
    means = [outcome(arm=arm) for arm in study.arms]
    means = [value for value in means if np.isfinite(value)]
    if not means:
        return Cell('–')
    return Cell(number(float(np.mean(means)), digits), f'{number(min(means), digits)} to {number(max(means), digits)}')
