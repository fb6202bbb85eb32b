"""Differences planted in the tables of a finished study, in the shape in which the package writes them."""

import pandas as pd

from imbalance_jax.results.arm_effect import BETWEEN, WITHIN
from imbalance_jax.system import workdir as writer
from imbalance_jax.system.files import read_json

SHUFFLED = 'shuffled regions'
MARGIN = 0.01


def plant(folder, *, performance=None, equal=(), maps=None, units=None, whole_maps=None, given_performance=None):
    """Replaces what arms differ by.

    performance, maps: arm -> (difference, corrected p), macro AUROC and average precision, and the primary measure of
    maps; all others 0 with p 1. equal: arms that are shown equal in performance, macro and in every class. units,
    whole_maps: p of the test of all arms at once; units may be (p, {arm: p}). given_performance: that of units given
    performance by class.
    """
    table = writer.read_table(folder, 'performance')
    members = read_json(folder / 'members.json')
    arms = [arm for arm in dict.fromkeys(one['arm'] for one in members) if arm != 'bce']
    classes = [name for name in table['class'].unique() if name not in ('macro', 'micro', 'all classes')]
    rows = []
    for arm in arms:
        for metric in ('auroc', 'average_precision'):
            macro = (performance or {}).get(arm, (0.0, 1.0))
            for name, (estimate, p) in {'macro': macro, **dict.fromkeys(classes, (0.0, 1.0))}.items():
                what = {'metric': metric, 'class': name, 'p_equivalent_adjusted': 0.01 if arm in equal else 0.4}
                rows += difference(arm, estimate, p, **what)
        verdict = {'metric': 'equivalent', 'class': 'macro and every class', 'statistic': 'value'}
        rows.append({**of(arm), **verdict, 'value': float(arm in equal)})
    replace(folder, 'performance', table[(table['kind'] != 'arm') | (table['against'] != 'bce')], rows)
    if maps is not None:
        table, rows = writer.read_table(folder, 'alignment'), []
        for arm in arms:
            estimate, p = maps.get(arm, (0.0, 1.0))
            what = {'metric': 'signed_hit_share', 'class': 'macro', 'method': 'grad_cam', 'above': SHUFFLED}
            rows += difference(arm, estimate, p, **what)
        replace(folder, 'alignment', table, rows)
    if whole_maps is not None:
        what = {'metric': '1 - rank correlation', 'method': 'grad_cam', 'layer': ''}
        replace(folder, 'map_effect', None, tests('', whole_maps, **what))
    if units is not None:
        p, of_arms = units if isinstance(units, tuple) else (units, {})
        what = {'metric': '1 - CKA', 'layer': 'stage2', 'method': ''}
        rows = tests('', p, **what, given='')
        if given_performance is not None:
            rows += tests('', given_performance, **what, given='AUROC by class')
        for arm in arms:
            rows += tests(arm, of_arms.get(arm, 1.0), **what, given='')
        replace(folder, 'arm_effect', None, rows)
    return folder


def of(arm: str) -> dict:
    return {'kind': 'arm', 'arm': arm, 'against': 'bce', 'split': 'test', 'n': 2}


def difference(arm: str, estimate: float, p: float, **columns) -> list[dict]:
    equivalent = columns.pop('p_equivalent_adjusted', None)
    numbers = {'mean': estimate, 'low': estimate - 0.01, 'high': estimate + 0.01, 'p': p, 'p_adjusted': p}
    if equivalent is not None:
        numbers['p_equivalent_adjusted'] = equivalent
    return [{**of(arm), **columns, 'statistic': name, 'value': value} for name, value in numbers.items()]


def tests(arm: str, p: float, **columns) -> list[dict]:
    kind = {'kind': 'arm' if arm else 'population', 'arm': arm, 'split': 'test', 'n': 9, **columns}
    return [
        {**kind, 'pairs': BETWEEN, 'statistic': 'mean', 'against': '', 'value': 0.4},
        {**kind, 'pairs': WITHIN, 'statistic': 'mean', 'against': '', 'value': 0.2},
        {**kind, 'pairs': BETWEEN, 'statistic': 'mean', 'against': WITHIN, 'value': 0.2},
        {**kind, 'pairs': BETWEEN, 'statistic': 'p', 'against': WITHIN, 'value': p},
        {**kind, 'pairs': BETWEEN, 'statistic': 'p_adjusted', 'against': WITHIN, 'value': p},
    ]


def replace(folder, name: str, kept: pd.DataFrame | None, rows: list[dict]) -> None:
    """Writes a table of the rows that are kept and of new ones, text that is missing being ''."""
    added = pd.DataFrame(rows)
    table = added if kept is None else pd.concat([kept, added], ignore_index=True)
    texts = {column: '' for column in table if column not in ('seed', 'member', 'value', 'n')}
    table = table.fillna(texts)
    for column in ('kind', 'class', 'method', 'metric', 'statistic', 'against', 'layer', 'pairs', 'arm'):
        if column not in table:
            table[column] = ''
    writer.write_frame(folder, name, table)
