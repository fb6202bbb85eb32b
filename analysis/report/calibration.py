"""Calibration and decisions: what logits are worth as probabilities, and what is called at one operating point."""

from typing import Any

import numpy as np
from matplotlib import rc_context

from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import RC, Look, Panel, figure, interval, number, panel, short
from imbalance_jax.analysis.report.values import Outcome, Values
from imbalance_jax.losses import UNKNOWN
from imbalance_jax.results.calibration import IF_CALIBRATED, RECALIBRATED
from imbalance_jax.results.rows import MACRO

NAMES = {
    'slope': 'slope (right: 1)',
    'intercept': 'intercept (right: 0)',
    'brier': 'Brier',
    'expected_calibration_error': 'ECE',
}
DECISIONS = {'sensitivity': 'sensitivity', 'specificity': 'specificity'}
CURVES = 3  # classes whose curves are drawn


def section(study: Study, look: dict[str, Look]) -> dict[str, Any] | None:
    """What the template lays out; None without results/calibration."""
    values = study.table('calibration')
    if values is None:
        return None
    known = any(row['loss'] != UNKNOWN for row in study.members)
    return {
        'table': table(study, values),
        'taken_back': known,
        'panels': curves(study, look, values),
        'thresholds': thresholds(values),
    }


def thresholds(values: Values) -> str:
    """The probabilities from which on a finding is called, of net benefit."""
    return ', '.join(sorted({f'{float(one):g}' for one in values.distinct('threshold') if one not in ('', 'nan')}))


def table(study: Study, values: Values) -> Table:
    """Macro figures of recalibrated probabilities, below them those of the bare sigmoid; decisions beside."""
    how = {arm: recalibration(values, arm) for arm in study.arms}
    rows = []
    for arm in study.arms:
        cells = [Cell(how[arm] or '–')]
        for metric in NAMES:
            fixed, raw = (shown(values, metric, arm, method, how[arm]) for method in (RECALIBRATED, ''))
            cells.append(Cell(fixed.text, f'sigmoid {raw.text}'))
        cells.append(shown(values, 'expected_calibration_error', arm, RECALIBRATED, how[arm], IF_CALIBRATED))
        cells += [shown(values, metric, arm, '', how[arm]) for metric in DECISIONS]
        rows.append((arm, cells))
    head = ['recalibration', *NAMES.values(), 'ECE above its null', *DECISIONS.values()]
    return Table('calibration', 'arm', head, rows)


def recalibration(values: Values, arm: str) -> str:
    """How an arm's probabilities were made."""
    return next((one for one in values.distinct('recalibration', arm=arm) if one), '')


def shown(values: Values, metric: str, arm: str, method: str, how: str, against: str = '') -> Cell:
    """The macro mean over seeds with its interval."""
    where = {'method': method} | ({'recalibration': how} if how and known(values, arm, metric, method, how) else {})
    outcome = Outcome(values, metric, MACRO, where)
    mean, low, high = outcome.interval(arm, against)
    return Cell(number(mean), interval(low, high, 3))


def known(values: Values, arm: str, metric: str, method: str, how: str) -> bool:
    """Whether rows of a metric name how recalibration was done."""
    return how in values.distinct('recalibration', arm=arm, metric=metric, method=method)


def curves(study: Study, look: dict[str, Look], values: Values) -> list[Panel]:
    """Observed against predicted shares by bins, an arm a line, of the commonest, a middle and the rarest class."""
    prevalence = {name: study.performance('prevalence', name) for name in study.classes}
    ordered = sorted((name for name in study.classes if prevalence[name] > 0), key=lambda name: -prevalence[name])
    places = np.unique(np.linspace(0, len(ordered) - 1, CURVES).round().astype(int)) if ordered else []
    return [one for place in places if (one := curve(study, look, values, ordered[place]))]


def curve(study: Study, look: dict[str, Look], values: Values, name: str) -> Panel | None:
    """One class."""
    with rc_context(RC):
        fig = figure(2.6)
        axes, drawn, most = fig.subplots(), False, 0.0
        for arm, one in look.items():
            points = points_of(values, arm, name)
            if len(points):
                drawn, most = True, max(most, np.nanmax(points))
                axes.plot(*points.T, color=one.colour, marker=one.marker, markersize=3, linewidth=1, label=short(arm))
        axes.plot([0, most], [0, most], color='#555555', linestyle=':', linewidth=1)
        axes.set(title=f'Calibration: {short(name)}', xlabel='predicted probability', ylabel='share with the finding')
        axes.grid(True)
    return panel(fig, f'Calibration curve of {name}: observed share against predicted probability.') if drawn else None


def points_of(values: Values, arm: str, name: str) -> np.ndarray:
    """Predicted and observed [bins,2] of an arm, recalibrated where there is that."""
    bins = sorted({int(float(one)) for one in values.distinct('bin') if one})
    found = []
    for how in values.distinct('recalibration', arm=arm, metric='observed', method=RECALIBRATED):
        for one in bins:
            where = {'arm': arm, 'bin': str(one), 'method': RECALIBRATED, 'recalibration': how}
            found.append((values('predicted', name, **where), values('observed', name, **where)))
    points = np.array(found, float).reshape(-1, 2)
    return points[np.isfinite(points).all(1)]
