"""The section on seeds: their spread, the gain of ensembles by size, and how many seeds a difference needs."""

import math
from typing import Any

import numpy as np
from matplotlib import rc_context, ticker

from imbalance_jax.analysis.report.cells import Cell, Table, plain
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import RC, Look, Panel, capital, figure, label, number, panel, short, spread
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.metrics.seeds import deviation_interval, seeds_needed
from imbalance_jax.results.performance import RANKED

DIFFERENCES = (0.002, 0.005, 0.01, 0.02)
ALIGNMENT = ('hit_share', 'iou')


def section(study: Study, look: dict[str, Look]) -> dict | None:
    """What the report shows; None for a study with too few seeds."""
    if study.seeds is None or not study.seeds.value:
        return None
    arms = study.seeds.distinct('arm')
    panels = [chart(study, look, arms, metric) for metric in RANKED for chart in (spreads, gains)]
    return {
        'panels': panels,
        'needed': needed(study, arms),
        'gains': table(study, arms),
    }


def outcomes(study: Study) -> dict[str, Outcome]:
    """Name -> what differs between seeds."""
    shown = {label(metric): study.ranked(metric) for metric in RANKED}
    for method in study.methods:
        shown |= {f'{label(method)}, {label(measure)}': study.aligned(method, measure) for measure in ALIGNMENT}
    return shown


def needed(study: Study, arms: list[str]) -> Table:
    """Mean, spread with its interval, and the seeds per arm that a difference needs."""
    rows = []
    for arm in arms:
        for name, outcome in outcomes(study).items():
            mean, deviation = outcome.spread(arm)
            count = outcome.over(arm=arm, statistic='sd')
            low, high = deviation_interval(deviation, count)
            interval = f'[{number(low, 4)}, {number(high, 4)}]'
            cells = [plain(mean), Cell(number(deviation, 4), interval), Cell(str(count))]
            cells += [seeds(seeds_needed(deviation, difference)) for difference in DIFFERENCES]
            rows.append((name if len(arms) == 1 else f'{arm}: {name}', cells))
    head = ['mean', 'sd between seeds', 'seeds', *(f'{difference:g}' for difference in DIFFERENCES)]
    groups = (('', 3), ('seeds per arm to see a difference of', len(DIFFERENCES)))
    return Table('seeds-needed', 'macro', head, rows, groups)


def seeds(count: float) -> Cell:
    """A number of seeds."""
    return Cell(f'{count:,.0f}' if math.isfinite(count) else '–')


def table(study: Study, arms: list[str]) -> Table:
    """The macro value of ensembles by size."""
    sizes = sizes_of(study, arms)
    rows = []
    for arm in arms:
        for metric in RANKED:
            name = label(metric) if len(arms) == 1 else f'{arm}: {label(metric)}'
            rows.append((name, [Cell(spread(*ensemble(study, arm, metric, size))) for size in sizes]))
    return Table('ensembles', 'macro', [str(size) for size in sizes], rows, (('seeds in the ensemble', len(sizes)),))


def ensemble(study: Study, arm: str, metric: str, size: int) -> tuple[float, float]:
    """The macro value of ensembles of a size: mean and standard deviation over draws."""
    assert study.seeds is not None
    where = {'kind': 'ensemble', 'arm': arm, 'size': str(size)}
    return study.seeds(metric, **where, statistic='mean'), study.seeds(metric, **where, statistic='sd')


def sizes_of(study: Study, arms: list[str]) -> list[int]:
    """The sizes of the arms' ensembles."""
    assert study.seeds is not None
    return sorted({int(size) for arm in arms for size in study.seeds.distinct('size', arm=arm)})


def gains(study: Study, look: dict[str, Look], arms: list[str], metric: str) -> Panel:
    """An ensemble's value against its size, a bar one standard deviation over ensembles of that size."""
    with rc_context(RC):
        fig = figure(2.6)
        axes = fig.subplots()
        for arm in arms:
            sizes = sizes_of(study, [arm])
            value, bar = np.array([ensemble(study, arm, metric, size) for size in sizes]).T
            kind: dict[str, Any] = {
                'color': look[arm].colour,
                'marker': look[arm].marker,
                'markersize': 4,
                'capsize': 2,
            }
            axes.errorbar(sizes, value, np.nan_to_num(bar), label=short(arm), linewidth=1.2, **kind)
        axes.set_xscale('log', base=2)
        axes.xaxis.set_major_formatter(lambda size, _: f'{size:g}')
        axes.set(title=f'{capital(label(metric))} of ensembles', xlabel='seeds', ylabel=f'macro {label(metric)}')
        axes.grid(color='#E4E4E4')
        if len(arms) > 1:
            fig.legend(loc='outside lower center', ncols=2)
    return panel(fig, f'Macro {label(metric)} of the mean probability of several seeds against their number.')


def spreads(study: Study, look: dict[str, Look], arms: list[str], metric: str) -> Panel:
    """A histogram of the seeds' values."""
    with rc_context(RC):
        fig = figure(2.6)
        axes = fig.subplots()
        for arm in arms:
            values = [study.ranked(metric).of_member(member) for member in study.living(arm)]
            axes.hist(values, bins='auto', color=look[arm].colour, alpha=0.75, label=short(arm))
        axes.set(title=f'{capital(label(metric))} of single seeds', xlabel=f'macro {label(metric)}', ylabel='seeds')
        axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        if len(arms) > 1:
            fig.legend(loc='outside lower center', ncols=2)
    return panel(fig, f'How many seeds have which macro {label(metric)}.')
