"""Charts of two measures: one function per kind, from numbers in the tables to a `Panel`; a line or mark per arm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context, ticker

from imbalance_jax.analysis.report.figures import EDGE, Mark, finish
from imbalance_jax.analysis.report.style import RC, Look, Panel, capital, figure, panel, short


def curves(title: str, axis: str, look: dict[str, Look], lines: Sequence[tuple[str, list[int], list[float]]]) -> Panel:
    """Values against epochs, a thin line per member in its arm's colour; lines: [(arm, epochs, values)]."""
    with rc_context(RC):
        fig = figure(2.6 + 0.16 * -(-len(look) // 2))
        axes = fig.subplots()
        for arm, epochs, values in lines:
            single = {'marker': '.'} if len(epochs) == 1 else {}
            axes.plot(epochs, values, color=look[arm].colour, linewidth=0.9, alpha=0.75, **single)
        finish(axes, title, 'epoch', axis)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        handles = [axes.plot([], [], color=one.colour, linewidth=2, label=short(arm))[0] for arm, one in look.items()]
        fig.legend(handles=handles, loc='outside lower center', ncols=2, handlelength=1.4)
    return panel(fig, f'{title}: {axis} against epochs, one line per member.')


def scatter(
    title: str,
    axes_names: tuple[str, str],
    look: dict[str, Look],
    across: Mapping[str, Mark],
    up: Mapping[str, Mark],
    *,
    note: str = '',
) -> Panel:
    """Arms in the plane of two measures, with bars of 95 % intervals; note: what stands in the corner."""
    with rc_context(RC):
        fig = figure(2.7 + 0.16 * -(-len(look) // 2))
        axes = fig.subplots()
        for arm, one in look.items():
            x, y = across[arm], up[arm]
            axes.plot([x.low, x.high], [y.estimate] * 2, color=one.colour, linewidth=0.8)
            axes.plot([x.estimate] * 2, [y.low, y.high], color=one.colour, linewidth=0.8)
            kind: dict[str, Any] = {'marker': one.marker, 'color': one.colour, 'markersize': 6, **EDGE}
            axes.plot(x.estimate, y.estimate, linestyle='', label=short(arm), **kind)
        if note:
            axes.annotate(note, (0.02, 0.98), xycoords='axes fraction', va='top', fontsize=7)
        finish(axes, title, *axes_names)
        fig.legend(loc='outside lower center', ncols=2, handlelength=1.2)
    words = f'{axes_names[1]} against {axes_names[0]}, one mark per arm, bars 95 % intervals. {note}'
    return panel(fig, f'{title}: {words.strip()}')


def doses(title: str, axis: str, look: dict[str, Look], lines: Mapping[str, np.ndarray]) -> Panel:
    """A measure against a prevalence on a logarithmic axis, one line per arm with its intervals.

    lines: arm -> [4, doses]: prevalences, values, and the ends of their intervals, NaN where there is none.
    """
    with rc_context(RC):
        fig = figure(2.6 + 0.16 * -(-len(look) // 2))
        axes = fig.subplots()
        for rank, (arm, (colour, marker)) in enumerate(look.items()):
            prevalence, value, low, high = lines[arm]
            beside = prevalence * 1.03 ** (rank - (len(look) - 1) / 2)  # bars of several arms side by side
            bars: dict[str, Any] = {
                'yerr': np.nan_to_num([value - low, high - value]),
                'elinewidth': 0.8,
                'ecolor': colour,
            }
            axes.errorbar(beside, value, **bars, fmt=marker, linestyle='-', linewidth=1, color=colour, label=short(arm))
        axes.set_xscale('log')
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda share, _: f'{100 * share:g} %')
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        finish(axes, capital(title), axis)
        handles: list[Any] = axes.get_legend_handles_labels()[0]
        names = axes.get_legend_handles_labels()[1]
        fig.legend([handle[0] for handle in handles], names, loc='outside lower center', ncols=2, handlelength=1.6)
    return panel(fig, f'{title} against the {axis}, one line per arm, bars 95 % intervals over seeds.')
