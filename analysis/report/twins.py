"""The section on twins: what findings and the drain do to logits, maps and units, from images that differ in nothing
else."""

import math
from typing import Any

import numpy as np

from imbalance_jax.analysis.report import figures, galleries
from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.contrasts import LEVEL
from imbalance_jax.analysis.report.figures import Mark
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, excludes_zero, interval, label, number, short
from imbalance_jax.analysis.report.values import Outcome, Values
from imbalance_jax.results.rows import MACRO
from imbalance_jax.results.twin_maps import ABSENT, OWN_FINDING, RANKED
from imbalance_jax.results.twins import ALL_CONCEPTS, ANY_UNIT, PRECISION, RECALL, STANDARD

ANSWERS = {'pixel_auroc': 'pixel AUROC above the twin without it', 'cosine': 'cosine with the exact map'}


def section(study: Study, look: dict[str, Look]) -> dict[str, Any]:
    """What the template lays out; {} where there are no twins."""
    values = study.table('twins')
    if not values:
        return {}
    return {
        'panels': [*effects(study, look, values), *maps(study, look, values)],
        'pictures': pictures(study),
        'table': table(study, values),
    }


def effects(study: Study, look: dict[str, Look], values: Values) -> list[Panel]:
    """What each finding does to its own logit, against the reference; what anything else does to every logit."""
    axis, shown = f'standard deviations of the logit, minus {short(study.reference)}', []
    own = {MACRO: OWN_FINDING, **{name: name for name in study.classes}}
    rows = {name: marks(study, change(values, name, concept), study.reference) for name, concept in own.items()}
    if any(rows.values()):
        shown.append(figures.grouped('What a finding does to its logit', axis, look, filled(rows)))
    for concept in values.distinct('concept', metric=STANDARD, kind='arm'):
        if concept not in (*study.classes, OWN_FINDING):
            rows = {name: marks(study, change(values, name, concept)) for name in study.classes}
            title = f'What {concept.lower()} alone does to logits'
            shown.append(figures.grouped(title, 'standard deviations of the logit', look, filled(rows)))
    return shown


def filled(rows: dict[str, dict[str, Mark]]) -> dict[str, dict[str, Mark]]:
    """Those of the rows that hold a mark."""
    return {name: marks for name, marks in rows.items() if marks}


def change(values: Values, name: str, concept: str) -> Outcome:
    """By how much a concept moves the logit of a finding, in standard deviations of that logit."""
    return Outcome(values, STANDARD, name, {'concept': concept})


def marks(study: Study, outcome: Outcome, against: str = '') -> dict[str, Mark]:
    """What every arm has, alone or above a null, filled where its interval excludes 0; or its difference to the
    reference, filled by its corrected p."""
    found = {}
    for arm in study.others if against == study.reference else study.arms:
        mean, low, high = outcome.interval(arm, against)
        if math.isfinite(mean):
            p = outcome(arm=arm, against=against, statistic='p_adjusted')
            found[arm] = Mark(mean, low, high, p <= LEVEL if against == study.reference else excludes_zero(low, high))
    return found


def maps(study: Study, look: dict[str, Look], values: Values) -> list[Panel]:
    """What each method's maps have above the same pixels of the twin without the finding."""
    methods = [method for method in study.config['attribution']['methods'] if method in values.distinct('method')]
    shown = []
    for metric, axis in ANSWERS.items():
        rows = {label(method): marks(study, of_map(values, method, metric), ABSENT) for method in methods}
        if any(rows.values()):
            shown.append(figures.grouped('Maps of twins', axis, look, filled(rows)))
    return shown


def of_map(values: Values, method: str, metric: str) -> Outcome:
    """A measure of a method's maps, mean over findings."""
    return Outcome(values, metric, MACRO, {'method': method, 'concept': OWN_FINDING})


def table(study: Study, values: Values) -> Table:
    """By arm: what findings do to their own logits, whether maps hold more where findings do more, and how far units
    that dissection calls detectors answer to what they detect."""
    methods = [method for method in study.config['attribution']['methods'] if method in values.distinct('method')]
    columns = {'change of the own logit': change(values, MACRO, OWN_FINDING)}
    columns |= {f'{label(method)}: rank correlation': of_map(values, method, RANKED) for method in methods}
    layer = next((name for name in values.distinct('layer') if name), '')
    units = {'precision of detectors': PRECISION, 'recall of detectors': RECALL}
    shown = {words: Outcome(values, m, '', {'layer': layer, 'concept': ALL_CONCEPTS}) for words, m in units.items()}
    rows = []
    for arm in study.arms:
        cells = [level(outcome, arm) for outcome in columns.values()]
        for outcome in shown.values():
            chance = outcome(arm=arm, kind='null level', against=ANY_UNIT, statistic='mean')
            cells.append(Cell(number(outcome(arm=arm), 2), f'chance {number(chance, 2)}'))
        rows.append((arm, cells))
    return Table('twins', 'arm', [*columns, *shown], rows)


def level(outcome: Outcome, arm: str) -> Cell:
    """An arm's mean, below it its interval."""
    mean, low, high = outcome.interval(arm)
    return Cell(number(mean, 2), interval(low, high, 2))


def pictures(study: Study) -> list[tuple[str, Panel]]:
    """(finding, strip) of one pair each: without, with, what differs, and the exact map of the first member."""
    arrays = study.arrays('twins_maps')
    if arrays is None:
        return []
    rows = []
    for k, (without, present), exact in zip(arrays['which'], arrays['images'], arrays['map'], strict=True):
        differs = np.abs(present.astype(np.float32) - without)
        differs = differs.mean(-1) if differs.ndim == 3 else differs  # of a colour image
        tiles = [galleries.tile(without), galleries.tile(present)]
        tiles += [galleries.heated(present, galleries.mean_heat(heat[None])) for heat in (differs, exact)]
        name = study.classes[int(k)]
        alt = f'{name}: a film without it, the same film with it, what differs, and what that does to the logit.'
        rows.append((name, galleries.strip(tiles, alt, encoding='JPEG')))
    return rows
