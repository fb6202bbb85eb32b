"""What units do, in the report: by layer, when taken away, together, in a logit, along directions."""

from typing import Any

import numpy as np
import pandas as pd

from imbalance_jax.analysis.report.cells import Cell, Table, over_seeds
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import number, signed
from imbalance_jax.analysis.report.unit_tables import read, rows_of
from imbalance_jax.results.units import ALL_CONCEPTS, ALL_IMAGES, BEYOND_NULL, OWN_PAIR, PERMUTED_PATIENTS

EXAMPLES = 3  # logits that are taken apart
LARGEST = 5  # units of each that are named


def layers(study: Study, table: pd.DataFrame) -> Table:
    """Detectors and linear probes, layer by layer: means over seeds, probes over concepts too."""
    means, rows = rows_of(table, statistic='mean'), []
    detectors = rows_of(means, metric='detector_units', method=BEYOND_NULL, against='', concept=ALL_CONCEPTS)
    probes = rows_of(means, metric='probe_auroc', kind='arm', against='')
    controls = rows_of(means, metric='probe_auroc', kind='null level', against=PERMUTED_PATIENTS)
    by_arm = [one.groupby(['layer', 'arm'])['value'].mean() for one in (detectors, probes, controls)]
    for layer in rows_of(table, kind='arm')['layer'].drop_duplicates():
        count, auroc, control = ([one.get((layer, arm), np.nan) for arm in study.arms] for one in by_arm)
        if study.dissected:
            rows.append((f'{layer}: detector units', [Cell(number(value, 1)) for value in count]))
        cells = [Cell(number(a), f'control {number(c)}') for a, c in zip(auroc, control, strict=True)]
        rows.append((f'{layer}: probe AUROC', cells))
    return Table('layers', 'layer', study.arms, rows)


def effects(study: Study) -> Table:
    """By finding: units that carry it, and below the loss of AUROC by one unit, both judged on other patients."""
    concepts = read(study.folder, 'concepts')
    assert concepts is not None
    table = rows_of(concepts, kind='arm', metric='carrying_units')
    columns = table[['arm', 'class', 'statistic', 'value', 'n']].itertuples(index=False, name=None)
    by_cell = {(arm, name, statistic): (value, n) for arm, name, statistic, value, n in columns}
    rows = []
    for name in study.classes:
        drop, cells = study.encoded('largest_drop', name), []
        for arm in study.arms:
            median, seeds = by_cell.get((arm, name, 'median'), (np.nan, 0))
            censored, _ = by_cell.get((arm, name, 'censored'), (np.nan, 0))
            more = f'more in {number(censored, 0)} of {seeds} seeds; ' if seeds else ''
            cells.append(Cell(number(median, 0), f'{more}one unit {number(-drop(arm=arm))}'))
        rows.append((name, cells))
    return Table('effects', 'finding', study.arms, rows)


def segments(study: Study) -> Table:
    """IoU of all units together by concept; below, of the best single unit and of everything, on other patients."""
    metrics, rows = ('multi_unit_iou', 'single_unit_iou', 'everywhere_iou'), []
    for name in study.concept_names:
        cells = []
        for arm in study.arms:
            many, one, everywhere = (number(study.encoded(metric, concept=name)(arm=arm)) for metric in metrics)
            cells.append(Cell(many, f'one {one}, all {everywhere}'))
        if any(cell.text != '–' for cell in cells):
            rows.append((name, cells))
    return Table('multi-unit', 'concept', study.arms, rows)


def logits(study: Study) -> Table:
    """What detectors of the finding itself, of other concepts, and other units add to its logit, mean over images."""
    metrics = {
        'logit_from_own_detectors': "the finding's detectors",
        'logit_from_other_detectors': 'detectors of other concepts',
        'logit_from_no_detectors': 'other units',
    }
    rows = [(arm, [over_seeds(study.encoded(metric, ALL_IMAGES), arm, 2) for metric in metrics]) for arm in study.arms]
    return Table('logits', 'arm', list(metrics.values()), rows)


def examples(study: Study) -> list[dict[str, Any]]:
    """A few logits of the reference's first living seed, taken apart into their largest units."""
    member = next(iter(study.living(study.reference)), None)
    logits, units = study.arrays('logits'), member and study.arrays(f'units_{member["member"]}')
    if logits is None or not units or member is None:
        return []
    detected = [''] * len(units['dead'])
    if 'detector' in units:
        best = np.where(units['detector'].any(1), np.where(units['detector'], units['iou'], -1).argmax(1), -1)
        detected = [f' (detects {study.concept_names[s] if s >= 0 else "nothing"})' for s in best]
    first = [n for n, finding in enumerate(logits['finding']) if finding not in logits['finding'][:n]]
    return [
        {
            'finding': study.classes[logits['finding'][n]],
            'logit': float(logits['logit'][member['member'], n]),
            'start': float(logits['start'][member['member'], n]),
            'parts': parts(logits['added'][member['member'], n], detected),
        }
        for n in first[:EXAMPLES]
    ]


def parts(added: np.ndarray, detected: list[str]) -> list[str]:
    """What the largest units and the rest add to a logit, in words; detected: what is said of each unit."""
    largest = np.argsort(-np.abs(added), kind='stable')[:LARGEST]
    named = [f'unit {unit}{detected[unit]} {signed(added[unit], 2)}' for unit in largest]
    rest = added.sum() - added[largest].sum()
    return [*named, f'the other {len(added) - len(largest)} units {signed(rest, 2)}']


def tcav(study: Study, table: pd.DataFrame) -> Table:
    """TCAV magnitude of every finding along its own direction, and the seeds in which it is beyond the controls."""
    shown = rows_of(table, kind='arm', metric='tcav_magnitude', method=OWN_PAIR)
    columns = shown[['arm', 'class', 'statistic', 'value', 'n']].itertuples(index=False, name=None)
    by_cell = {(arm, name, statistic): (value, n) for arm, name, statistic, value, n in columns}
    rows = []
    for name in study.classes:
        cells = []
        for arm in study.arms:
            mean, _ = by_cell.get((arm, name, 'mean'), (np.nan, 0))
            found_in, seeds = by_cell.get((arm, name, 'seeds_found'), (np.nan, 0))
            cells.append(Cell(number(mean, 2), f'{number(found_in, 0)} of {seeds}' if seeds else ''))
        rows.append((name, cells))
    return Table('tcav', 'finding', study.arms, rows)
