"""The picture of the first screen: per arm its differences to the reference in performance, in maps and in units."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context, ticker
from matplotlib.figure import Figure

from imbalance_jax.analysis.report.figures import DARK, EDGE, SHADE
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import RC, Look, Panel, figure, label, panel, short
from imbalance_jax.analysis.report.verdicts import Maps, Performance, Units

METHODS = 'D^svP'  # a mark that is of no method is a circle
HEIGHT = 0.5  # inches per arm


class Mark(NamedTuple):
    """An estimate with its interval (NaN: none), filled where it is shown not to be 0, and its kind in the legend."""

    estimate: float
    low: float
    high: float
    filled: bool
    kind: str = ''


class Column(NamedTuple):
    """One panel: title, axis, arm -> marks, half the width of the band within which arms count as equal, ticks of
    classes."""

    title: str
    axis: str
    marks: Mapping[str, Sequence[Mark]]
    band: float = 0.0
    classes: Mapping[str, Sequence[float]] = {}


def of_performance(study: Study, performance: list[Performance]) -> Column:
    """Macro AUROC with the margin of equivalence, and every class as a tick."""
    marks, classes = {}, {}
    for one in performance:
        macro = [c for c in one.macro if c.outcome.metric == 'auroc']
        marks[one.arm] = [Mark(*c.ends, c.real) for c in macro]
        classes[one.arm] = [c.estimate for c in one.classes if c.outcome.metric == 'auroc']
    title = 'Performance: macro AUROC'
    return Column(title, f'minus {short(study.reference)}', _some(marks), study.margin.get('auroc', 0.0), classes)


def of_maps(maps: Maps) -> Column | None:
    """The primary measure of maps above shuffled regions, a mark per method."""
    if not maps.contrasts:
        return None
    marks: dict[str, list[Mark]] = {}
    for one in maps.contrasts:
        kind = label(str(one.outcome.where['method']))
        marks.setdefault(one.arm, []).append(Mark(*one.ends, one.real, kind))
    title = f'Maps: {label(maps.contrasts[0].outcome.metric)}'
    return Column(title, 'above shuffled regions, minus the reference', _some(marks), maps.smallest)


def of_units(study: Study, units: Units) -> Column | None:
    """How much further an arm's units are from the reference's than seeds are, by the first distance."""
    marks = {
        arm: [Mark(tests[0].relative, np.nan, np.nan, arm in units.named and tests[0].real)]
        for arm, tests in units.arms.items()
    }
    if not marks:
        return None
    distance = next(iter(units.arms.values()))[0].distance
    return Column(f'Units: {distance}', 'squared distance beyond that of seeds, in units of it', _some(marks))


def _some(marks: Mapping[str, Sequence[Mark]]) -> dict[str, list[Mark]]:
    """Those that can be drawn."""
    finite = {arm: [one for one in of if np.isfinite(one.estimate)] for arm, of in marks.items()}
    return finite if any(finite.values()) else {}


def draw(arms: list[str], look: dict[str, Look], columns: list[Column]) -> Panel:
    """The panels side by side, a row per arm."""
    words = '; '.join(f'{column.title}, {column.axis}' for column in columns)
    return panel(drawn(arms, look, columns), f'Every arm against the reference: {words}.')


def drawn(arms: list[str], look: dict[str, Look], columns: list[Column]) -> Figure:
    """The same as a figure that may be saved in any format."""
    with rc_context({**RC, 'axes.titlesize': 8.5}):
        fig = figure(1.0 + HEIGHT * max(len(arms), 2), 3.1 * len(columns) + 1.2)
        every = np.atleast_1d(fig.subplots(1, len(columns), sharey=True))
        handles: dict[str, Any] = {}
        for axes, column in zip(every, columns, strict=True):
            _panel(axes, arms, look, column, handles)
        every[0].set_yticks(range(len(arms)), [short(arm) for arm in arms])
        every[0].set_ylim(len(arms) - 0.4, -0.6)
        if handles:
            fig.legend(handles.values(), handles.keys(), loc='outside lower right', ncols=len(handles))
    return fig


def _panel(axes, arms: list[str], look: dict[str, Look], column: Column, handles: dict[str, Any]) -> None:
    if column.band:
        axes.axvspan(-column.band, column.band, color=SHADE, zorder=0)
    axes.axvline(0, color='#555555', linewidth=1)
    kinds = list(dict.fromkeys(mark.kind for of in column.marks.values() for mark in of))
    shapes = list(dict.fromkeys([*handles, *kinds]))  # no two kinds of the picture share one
    for y, arm in enumerate(arms):
        colour = look[arm].colour
        axes.plot(column.classes.get(arm, ()), [y + 0.28] * len(column.classes.get(arm, ())), '|', color='#777777')
        for mark in column.marks.get(arm, ()):
            place = kinds.index(mark.kind)
            at = y + 0.22 * (place - (len(kinds) - 1) / 2)
            shape = METHODS[shapes.index(mark.kind) % len(METHODS)] if mark.kind else 'o'
            for width, shade in ((2.4, DARK), (1.6, colour)):
                axes.plot([mark.low, mark.high], [at, at], color=shade, linewidth=width, solid_capstyle='butt')
            face = colour if mark.filled else 'white'
            axes.plot(mark.estimate, at, linestyle='', marker=shape, markersize=5.5, markerfacecolor=face, **EDGE)
            if mark.kind and mark.kind not in handles:
                kind = {'linestyle': '', 'marker': shape, 'markerfacecolor': 'white', **EDGE}
                handles[mark.kind] = axes.plot([], [], **kind)[0]
    axes.set_title(column.title)
    axes.set_xlabel(column.axis)
    axes.grid(True, axis='x')
    axes.tick_params(axis='y', length=0)
    axes.spines['left'].set_visible(False)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=(1, 2, 5, 10)))
