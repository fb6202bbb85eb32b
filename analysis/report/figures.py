"""Charts of rows: one function per kind, from numbers that are in the tables to a `Panel`; a row or mark per arm."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context, ticker

from imbalance_jax.analysis.report.style import BLACK, GREY, RC, Look, Panel, figure, panel, short

ROW = 0.21  # inches per row
TICKS = 5  # intervals of an axis at most: names of arms leave little room
STEPS = (1, 2, 5, 10)  # between them, times a power of ten
DARK = '#333333'
SHADE = '#E3EEF6'  # of a range that counts as no difference
EDGE = {'markeredgecolor': DARK, 'markeredgewidth': 0.6}


def dots(
    title: str,
    axis: str,
    look: dict[str, Look],
    points: Mapping[str, Sequence[tuple[float, bool]]],
    means: Mapping[str, float],
    *,
    ensembles: Mapping[str, float] | None = None,
    lines: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    counts: bool = False,
) -> Panel:
    """Every seed of every arm, and the arm's mean.

    points: arm -> [(value, alive)]; means, ensembles: arm -> value; lines: name -> value of what knows no model;
    limits: the ends of the axis; counts: it shows whole numbers.
    """
    lines = {name: value for name, value in (lines or {}).items() if np.isfinite(value)}
    with rc_context(RC):
        fig, axes = _rows(title, axis, list(look), extra=0.25 if lines or ensembles else 0.0)
        for style, (name, value) in zip(('-', '--', ':'), lines.items(), strict=False):
            axes.axvline(value, linestyle=style, color='#555555', linewidth=1.1, label=name, zorder=1)
        for y, (arm, (colour, marker)) in enumerate(look.items()):
            offsets = np.linspace(-0.2, 0.2, len(points[arm])) if len(points[arm]) > 1 else [0]
            for offset, (value, alive) in zip(offsets, points[arm], strict=True):
                kind: dict[str, Any] = {'marker': marker, 'alpha': 0.7, **EDGE} if alive else {'marker': 'x'}
                axes.plot(value, y + offset, linestyle='', color=colour, markersize=4.5, **kind)
            axes.plot([means[arm]] * 2, [y - 0.36, y + 0.36], color=colour, linewidth=2.2, solid_capstyle='butt')
            if ensembles:
                hollow = {'markerfacecolor': 'white', 'markeredgecolor': colour, 'label': 'ensemble' if not y else None}
                axes.plot(ensembles[arm], y, linestyle='', marker='D', markersize=5.5, zorder=3, **hollow)
        _limit(axes, limits)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(TICKS, integer=counts, steps=STEPS))
        if lines or ensembles:
            fig.legend(loc='outside lower center', ncols=3, handlelength=1.8, columnspacing=1.2)
    return panel(fig, f'{title}: {axis}, one row per arm, one mark per seed, a bar the mean.')


class Mark(NamedTuple):
    """An estimate with the ends of its interval (NaN: none), filled where it is shown not to be 0."""

    estimate: float
    low: float = np.nan
    high: float = np.nan
    filled: bool = False


def forest(
    title: str,
    axis: str,
    look: dict[str, Look],
    marks: Mapping[str, Mark],
    *,
    limits: tuple[float, float] | None = None,
    band: float = 0.0,
) -> Panel:
    """An estimate with its interval, arm by arm; marks: arm -> mark; band: see `grouped`."""
    rows = {arm: {arm: mark} for arm, mark in marks.items()}
    return grouped(title, axis, look, rows, limits=limits, band=band, legend=False)


def grouped(
    title: str,
    axis: str,
    look: dict[str, Look],
    rows: Mapping[str, Mapping[str, Mark]],
    *,
    limits: tuple[float, float] | None = None,
    band: float = 0.0,
    lines: Mapping[str, float] | None = None,
    zero: bool = True,
    legend: bool = True,
) -> Panel:
    """Estimates with their intervals, several arms in each named row; filled where they are shown not to be 0.

    rows: name -> arm -> mark; band: half the width of the range around 0 that counts as none, shaded; lines: row -> a
    value that is marked in it, such as a null's.
    """
    arms = list(dict.fromkeys(arm for marks in rows.values() for arm in marks))
    height = max(ROW, 0.1 + 0.085 * len(arms)) if legend else ROW
    with rc_context(RC):
        below = 0.16 * -(-len(arms) // 2) + 0.1 if legend else 0.0
        fig, axes = _rows(title, axis, list(rows), extra=below, row=height)
        if band:
            axes.axvspan(-band, band, color=SHADE, zorder=0)
        if zero:
            axes.axvline(0, color='#555555', linewidth=1)
        offsets = dict(zip(arms, np.linspace(-0.34, 0.34, len(arms)), strict=True)) if len(arms) > 1 and legend else {}
        for y, name in enumerate(rows):
            if legend and y:
                axes.axhline(y - 0.5, color='#E4E4E4', linewidth=0.8, zorder=0)
            if lines and np.isfinite(lines.get(name, np.nan)):
                axes.plot([lines[name]] * 2, [y - 0.46, y + 0.46], color='#555555', linestyle=':', linewidth=1.2)
        for arm in arms:
            places = {y + offsets.get(arm, 0.0): marks[arm] for y, marks in enumerate(rows.values()) if arm in marks}
            _marks(axes, look[arm], places)
        _limit(axes, limits)
        if legend:
            handles = [_handle(axes, look[arm]) for arm in arms]
            fig.legend(handles, [short(arm) for arm in arms], loc='outside lower center', ncols=2, handlelength=1.2)
    words = 'one row each, a mark per arm' if legend else 'one row per arm'
    return panel(fig, f'{title}: {axis}, {words}, a line its 95 % interval.')


def _marks(axes, one: Look, marks: Mapping[float, Mark]) -> None:
    """Marks of one arm at their heights."""
    finite = {y: mark for y, mark in marks.items() if np.isfinite(mark.estimate)}
    for y in marks.keys() - finite.keys():
        axes.annotate('undefined', (0.01, y), xycoords=('axes fraction', 'data'), va='center', color='#777777')
    ends = np.array([(y, mark.low, mark.high) for y, mark in finite.items()], float).reshape(-1, 3).T
    for width, shade in ((2.2, DARK), (1.4, one.colour)):  # a dark rim: the palette's yellow is faint on white
        axes.hlines(*ends, color=shade, linewidth=width, zorder=2)
    for filled, face in ((True, one.colour), (False, 'white')):
        places = [(mark.estimate, y) for y, mark in finite.items() if mark.filled == filled]
        if places:
            kind: dict[str, Any] = {'marker': one.marker, 'markersize': 4.8, 'markerfacecolor': face, **EDGE}
            axes.plot(*np.array(places).T, linestyle='', zorder=3, **kind)


def _handle(axes, one: Look):
    return axes.plot([], [], linestyle='', marker=one.marker, color=one.colour, markersize=5, **EDGE)[0]


def limits_of(*groups: Iterable[float]) -> tuple[float, float] | None:
    """The range of an axis that shows all finite numbers of some groups with a margin; None if it would be empty."""
    numbers = np.array([value for group in groups for value in group], float)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers) or np.ptp(numbers) == 0:
        return None
    margin = 0.05 * np.ptp(numbers)
    return numbers.min() - margin, numbers.max() + margin


def prevalences(classes: list[str], splits: dict[str, list[float]]) -> Panel:
    """Prevalence by class on a logarithmic axis, one mark per split; a class without positives is said so."""
    with rc_context(RC):
        fig, axes = _rows('Prevalence by class', 'share of images with the finding (log scale)', classes, extra=0.25)
        axes.set_xscale('log')
        kinds = (('o', BLACK, BLACK), ('s', 'white', '#0072B2'), ('D', 'white', '#D55E00'))
        for y in range(len(classes)):
            shares = [values[y] for values in splits.values() if values[y] > 0]
            if shares:
                axes.plot([min(shares), max(shares)], [y, y], color='#BBBBBB', linewidth=1.4, zorder=1)
            empty = [split for split, values in splits.items() if values[y] == 0]
            if empty:
                where = {'xycoords': ('axes fraction', 'data'), 'va': 'center', 'ha': 'right'}
                axes.annotate(f'none in {", ".join(empty)}', (0.99, y), fontsize=6.5, **where)
        for (marker, face, colour), (split, values) in zip(kinds, splits.items(), strict=True):
            positive = np.where(np.array(values) > 0, values, np.nan)
            kind: dict[str, Any] = {
                'marker': marker,
                'markerfacecolor': face,
                'markeredgecolor': colour,
                'markersize': 5,
            }
            axes.plot(positive, range(len(classes)), linestyle='', label=split, **kind)
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda share, _: f'{100 * share:g} %')
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        fig.legend(loc='outside lower center', ncols=3)
    return panel(fig, 'Prevalence of every class in the three splits on a logarithmic axis.')


def ceilings(
    title: str,
    axis: str,
    look: dict[str, Look],
    names: list[str],
    *,
    values: Mapping[str, list[float]],
    tops: Mapping[str, list[float]],
) -> Panel:
    """A mark per arm in every row; a bar to the highest value that can be reached. values, tops: arm -> [rows].

    The axis ends soon after the highest mark: what is beyond reach would squeeze what was reached.
    """
    with rc_context(RC):
        fig, axes = _rows(title, axis, names, extra=0.2 + 0.16 * -(-len(look) // 2), row=0.24)
        highest = np.nan_to_num(np.fmax.reduce(list(tops.values())))
        label = 'ceiling (highest of the arms)'
        axes.barh(range(len(names)), highest, height=0.72, color='#ECECEC', edgecolor='#C8C8C8', label=label)
        offsets = np.linspace(-0.26, 0.26, len(look)) if len(look) > 1 else [0]
        for offset, (arm, (colour, marker)) in zip(offsets, look.items(), strict=True):
            kind: dict[str, Any] = {'marker': marker, 'color': colour, 'markersize': 4, 'label': short(arm), **EDGE}
            axes.plot(values[arm], np.arange(len(names)) + offset, linestyle='', **kind)
        _limit(axes, limits_of(*values.values(), [0.0, 0.01]))
        fig.legend(loc='outside lower center', ncols=2, handlelength=1.4)
    return panel(fig, f'{title}: {axis}, one row per concept, one mark per arm, a grey bar up to the ceiling.')


def _rows(title: str, axis: str, names: list[str], extra: float = 0.0, row: float = ROW):
    """A figure with one named row per entry, the first on top."""
    fig = figure(0.72 + extra + row * max(len(names), 2))
    axes = fig.subplots()
    finish(axes, title, axis)
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis='y', length=0)
    axes.spines['left'].set_visible(False)
    axes.grid(False, axis='y')
    axes.xaxis.set_major_locator(ticker.MaxNLocator(TICKS, steps=STEPS))
    return fig, axes


def _limit(axes, limits: tuple[float, float] | None) -> None:
    if limits:
        axes.set_xlim(limits)


def finish(axes, title: str, across: str, up: str = '') -> None:
    """The title of a chart and of its axes, and a grid."""
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(True)
    axes.tick_params(color=GREY)
