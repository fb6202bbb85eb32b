"""The report over a sweep: every population's arms side by side, and lines where one number was varied."""

import json
from pathlib import Path

import numpy as np
from matplotlib import rc_context

from imbalance_jax.analysis.report import pages, study
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import RC, Panel, capital, figure, label, looks, panel, short
from imbalance_jax.analysis.report.tables import Cell, Table, over_seeds
from imbalance_jax.sweep.plan import Job
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import write_text

RANKING = ('auroc', 'average_precision')
ALIGNMENT = ('hit_share', 'iou')
FRONT = 4  # fields that are shown before the numbers


def write(jobs: list[Job]) -> Path:
    """Makes PLAN/report.html of finished populations and returns its path. Equal files give an equal report."""
    path = jobs[0].folder / layout.REPORT
    write_text(path, render(jobs, [study.load(job.workdir) for job in jobs]))
    return path


def render(jobs: list[Job], found: list[Study]) -> str:
    """The page. Everything that comes from data or config is escaped by the template."""
    arms = list(dict.fromkeys(arm for one in found for arm in one.arms))
    measures = measured(found)
    return pages.render(
        'sweep.html',
        jobs=[(job, told(job), len(one.members), dead(one)) for job, one in zip(jobs, found, strict=True)],
        question=found[0].config['question'],
        tables=[(name, table(jobs, found, arms, *how)) for name, how in measures.items()],
        panels=[lines(jobs, found, arms, name, *how) for name, how in measures.items() if varied(jobs)],
        varied=varied(jobs),
        devices=sorted({f'{s["devices"]} x {s["device"]}' for one in found for s in one.provenance.values()}),
    )


def measured(found: list[Study]) -> dict[str, tuple[str, str, str]]:
    """Name -> (table, metric, method) of what is compared: ranking, alignment by method, detectors."""
    shown = {label(metric): ('performance', metric, study.MEMBER) for metric in RANKING}
    for method in dict.fromkeys(method for one in found for method in one.methods):
        shown |= {f'{label(method)}, {label(metric)}': ('alignment', metric, method) for metric in ALIGNMENT}
    return shown


def told(job: Job) -> list[str]:
    """What is special about a population, in a few words."""
    return [f'{name} = {json.dumps(value)}' for name, value in job.differs.items()] or [job.id]


def dead(one: Study) -> int:
    return sum(not one.alive(row) for row in one.members)


def varied(jobs: list[Job]) -> str:
    """The one field that tells the populations apart, if it is a number, '' otherwise."""
    names = {name for job in jobs for name in job.differs}
    numbers = all(isinstance(value, (int, float)) for job in jobs for value in job.differs.values())
    return names.pop() if len(names) == 1 and numbers and len(jobs) > 1 else ''


def table(jobs: list[Job], found: list[Study], arms: list[str], name: str, metric: str, method: str) -> Table:
    """Macro mean and deviation over seeds: a row a population, a column an arm."""
    rows = []
    for job, one in zip(jobs, found, strict=True):
        values = {'performance': one.performance, 'alignment': one.alignment}[name]
        cells = [over_seeds(values, metric, arm, method=method) if values else Cell('–') for arm in arms]
        rows.append((', '.join(told(job)[:FRONT]), cells))
    return Table(f'{method}-{metric}', 'population', arms, rows)


def lines(jobs, found, arms, title: str, name: str, metric: str, method: str) -> Panel:
    """Means over seeds with their standard deviation against the one number that differs."""
    field, look = varied(jobs), looks(arms)
    with rc_context(RC):
        fig = figure(2.6 + 0.16 * -(-len(arms) // 2))
        axes = fig.subplots()
        places = sorted((job.differs[field], i) for i, job in enumerate(jobs))
        for arm, one in look.items():
            ends = [point(found[i], name, metric, method, arm) for _, i in places]
            means, spreads = np.array(ends).T
            kind = {'color': one.colour, 'marker': one.marker, 'markersize': 4, 'linewidth': 1.2, 'capsize': 2}
            axes.errorbar([x for x, _ in places], means, np.nan_to_num(spreads), label=short(arm), **kind)
        axes.set(title=capital(title), xlabel=field, ylabel=f'macro {label(metric)}')
        axes.grid(color='#E4E4E4')
        if places[0][0] > 0 and places[-1][0] >= 10 * places[0][0]:
            axes.set_xscale('log')
        fig.legend(loc='outside lower center', ncols=2)
    return panel(fig, f'{title} against {field}, a line an arm, a bar one standard deviation over seeds.')


def point(one: Study, name: str, metric: str, method: str, arm: str) -> tuple[float, float]:
    values = {'performance': one.performance, 'alignment': one.alignment}[name]
    ends = (f'{metric}_mean', f'{metric}_sd')
    return tuple(values(end, arm=arm, method=method) for end in ends) if values else (np.nan, np.nan)
