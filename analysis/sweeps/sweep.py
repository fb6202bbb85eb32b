"""The report over a sweep: every population's arms side by side, and lines where one number was varied."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context

from imbalance_jax.analysis.report import pages
from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds
from imbalance_jax.analysis.report.study import Study, load
from imbalance_jax.analysis.report.style import RC, Panel, capital, figure, label, looks, panel, short
from imbalance_jax.analysis.report.values import Outcome
from imbalance_jax.results.performance import RANKED
from imbalance_jax.sweep import collect
from imbalance_jax.sweep.plan import Job
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import write_text

ALIGNMENT = ('hit_share', 'iou')
FRONT = 4  # fields that are shown before the numbers


def write(jobs: list[Job]) -> Path:
    """Makes PLAN/report.html of finished populations and returns its path. Equal files give an equal report."""
    path = jobs[0].folder / layout.REPORT
    write_text(path, render(jobs, [load(job.workdir) for job in jobs]))
    return path


def render(jobs: list[Job], studies: list[Study]) -> str:
    """The page. Everything that comes from data or config is escaped by the template."""
    arms = list(dict.fromkeys(arm for study in studies for arm in study.arms))
    compared = comparisons(studies)
    return pages.render(
        'sweep.html',
        jobs=[
            (job, described(job), len(study.members), frozen(study)) for job, study in zip(jobs, studies, strict=True)
        ],
        question=studies[0].config['question'],
        tables=[(one.title, table(jobs, studies, arms, one)) for one in compared],
        panels=[lines(jobs, studies, arms, one) for one in compared if varied(jobs)],
        varied=varied(jobs),
        accepted=collect.of_accepted(jobs),
        devices=sorted({f'{s["devices"]} x {s["device"]}' for study in studies for s in study.provenance.values()}),
    )


class Compared(NamedTuple):
    """What populations are compared by: a metric of performance, or of the alignment of a method's maps."""

    title: str
    metric: str
    method: str = ''

    def outcome(self, study: Study) -> Outcome | None:
        """Where it stands in a study's tables; None without such a table."""
        if not self.method:
            return study.ranked(self.metric)
        return study.aligned(self.method, self.metric) if study.alignment else None


def comparisons(studies: list[Study]) -> list[Compared]:
    """Ranking, and alignment by method."""
    shown = [Compared(label(metric), metric) for metric in RANKED]
    for method in dict.fromkeys(method for study in studies for method in study.methods):
        shown += [Compared(f'{label(method)}, {label(measure)}', measure, method) for measure in ALIGNMENT]
    return shown


def described(job: Job) -> list[str]:
    """What is special about a population, in a few words."""
    return [f'{name} = {json.dumps(value)}' for name, value in job.differs.items()] or [job.id]


def frozen(study: Study) -> int:
    """The number of members whose loss became non-finite."""
    return sum(not study.alive(member) for member in study.members)


def varied(jobs: list[Job]) -> str:
    """The one field that tells the populations apart, if it is a number, '' otherwise."""
    names = {name for job in jobs for name in job.differs}
    numeric = all(isinstance(value, (int, float)) for job in jobs for value in job.differs.values())
    return names.pop() if len(names) == 1 and numeric and len(jobs) > 1 else ''


def table(jobs: list[Job], studies: list[Study], arms: list[str], compared: Compared) -> Table:
    """Macro mean and deviation over seeds: a row per population, a column per arm."""
    rows = []
    for job, study in zip(jobs, studies, strict=True):
        outcome = compared.outcome(study)
        cells = [over_seeds(outcome, arm) if outcome else Cell('–') for arm in arms]
        rows.append((', '.join(described(job)[:FRONT]), cells))
    return Table(f'{compared.method or "member"}-{compared.metric}', 'population', arms, rows)


def lines(jobs: list[Job], studies: list[Study], arms: list[str], compared: Compared) -> Panel:
    """Means over seeds with their standard deviation against the one number that differs."""
    field, look = varied(jobs), looks(arms)
    with rc_context(RC):
        fig = figure(2.6 + 0.16 * -(-len(arms) // 2))
        axes = fig.subplots()
        doses = sorted((job.differs[field], i) for i, job in enumerate(jobs))
        for arm, one in look.items():
            means, spreads = np.array([point(compared.outcome(studies[i]), arm) for _, i in doses]).T
            kind: dict[str, Any] = {
                'color': one.colour,
                'marker': one.marker,
                'markersize': 4,
                'linewidth': 1.2,
                'capsize': 2,
            }
            axes.errorbar([dose for dose, _ in doses], means, np.nan_to_num(spreads), label=short(arm), **kind)
        axes.set(title=capital(compared.title), xlabel=field, ylabel=f'macro {label(compared.metric)}')
        axes.grid(color='#E4E4E4')
        if doses[0][0] > 0 and doses[-1][0] >= 10 * doses[0][0]:
            axes.set_xscale('log')
        fig.legend(loc='outside lower center', ncols=2)
    alt = f'{compared.title} against {field}, one line per arm, a bar one standard deviation over seeds.'
    return panel(fig, alt)


def point(outcome: Outcome | None, arm: str) -> tuple[float, float]:
    """Mean and standard deviation over an arm's seeds; NaN without the table."""
    return outcome.spread(arm) if outcome else (np.nan, np.nan)
