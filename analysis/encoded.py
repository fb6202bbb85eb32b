"""What units encode, in the report: intervals over seeds, kin among members, effects, directions, and the answer."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import kin
from analysis.study import Study
from analysis.style import Look, number, signed
from analysis.tables import Cell, Table, over_seeds
from imbalance_jax import writer
from imbalance_jax.tables import ALL

RELATIONS = {
    'other seed': 'same arm, other seed',
    'other arm and seed': 'other arm, other seed',
    'other arm': 'other arm, same seed',
}
FATES = ('kept', 'moved', 'lost')
LEVEL = 0.05
EXAMPLES = 3  # logits that are taken apart
TOLD = 5  # units of each


class Encoded(NamedTuple):
    """The tables that explaining left about units, None for one that is not there."""

    units: pd.DataFrame | None
    layers: pd.DataFrame | None
    kinship: pd.DataFrame | None
    beyond: pd.DataFrame | None
    directions: pd.DataFrame | None


def load(folder: Path) -> Encoded:
    names = ('units', 'layers', 'kinship', 'beyond_seeds', 'directions')
    paths = [folder / 'results' / f'{name}.parquet' for name in names]
    return Encoded(*(writer.read_table(folder, path.stem) if path.exists() else None for path in paths))


def section(study: Study, look: dict[str, Look]) -> dict | None:
    """All that the template lays out; None where units were not compared."""
    found = load(study.folder)
    if any(table is None or not len(table) for table in found):
        return None
    return {
        'answer': answer(study, found),
        'tests': tests(found),
        'arms': arm_tests(study, found),
        'counts': counts(study),
        'panels': kin.panels(study, look, of(found.kinship, metric='cka', method=study.layer)),
        'fates': fates(study, found),
        'changes': changes(study, found),
        'layers': layers(study, found),
        'effects': effects(study),
        'together': together(study),
        'logits': logits(study),
        'examples': examples(study),
        'directions': tcav(study, found),
        'tcav_layer': str(found.directions['method'].iloc[0]),
    }


def answer(study: Study, found: Encoded) -> str:
    """Do arms differ in what units encode beyond what seeds do, in a sentence or two, by the corrected tests."""
    table = of(found.beyond, arm='')
    p = {row['class']: row['value'] for _, row in of(table, metric='p_holm').iterrows() if math.isfinite(row['value'])}
    if not p:
        return 'This cannot be said: it takes two arms and two seeds.'
    real = [kind for kind, value in p.items() if value <= LEVEL]
    if not real:
        return (
            f'Not shown. By none of {len(p)} measures are members of different arms further apart than members of one '
            f'arm with different seeds (p corrected over the measures, smallest {number(min(p.values()))}).'
        )
    parts = []
    for kind in sorted(real, key=p.get):
        between, within = (of(table, metric=m, **{'class': kind})['value'].item() for m in ('between', 'within'))
        parts.append(f'{kind}: {number(between)} between arms, {number(within)} within')
    return (
        f'Yes, by {len(real)} of {len(p)} measures (p corrected over the measures at most {LEVEL}). {"; ".join(parts)}.'
    )


def tests(found: Encoded) -> Table:
    """A row a measure: mean distance between and within arms, their difference, p."""
    table, rows = of(found.beyond, arm=''), []
    for kind in dict.fromkeys(table['class']):
        own = of(table, **{'class': kind}).set_index('metric')['value']
        cells = [Cell(number(own[metric])) for metric in ('between', 'within')] + [Cell(signed(own['difference']))]
        cells += [Cell(probability(own['p'])), Cell(probability(own['p_holm']), marked=own['p_holm'] <= LEVEL)]
        rows.append((kind, cells))
    return Table('beyond-seeds', 'distance', ['between arms', 'within arms', 'difference', 'p', 'p, corrected'], rows)


def arm_tests(study: Study, found: Encoded) -> Table | None:
    """Each arm against the reference: the excess of the distance over that between seeds, and its p."""
    kinds, rows = list(dict.fromkeys(found.beyond['class'])), []
    for arm in study.others:
        table = of(found.beyond, arm=arm)
        if len(table):
            own = {(row['class'], row['metric']): row['value'] for _, row in table.iterrows()}
            cells = [
                Cell(signed(own[k, 'difference']), f'p {probability(own[k, "p"])}', own[k, 'p'] <= LEVEL) for k in kinds
            ]
            rows.append((arm, cells))
    return Table('beyond-seeds-arms', 'arm', kinds, rows) if rows else None


def counts(study: Study) -> Table:
    """Counts of units by arm with Student's interval over seeds, and the difference to the reference."""
    metrics = {'detector_units': 'detector units', 'unique_concepts': 'different concepts', 'dead_units': 'dead units'}
    table, rows = study.concepts, []
    options = {'name': 'all concepts', 'method': study.layer}
    for arm in study.arms:
        cells = []
        for metric in metrics:
            mean, low, high = (table(f'{metric}_{end}', arm=arm, **options) for end in ('mean', 'low', 'high'))
            cells.append(Cell(number(mean, 1), interval(low, high)))
            mean, low, high = (table(f'{metric}_difference{end}', arm=arm, **options) for end in ('', '_low', '_high'))
            text = 'reference' if arm == study.reference else signed(mean, 1)
            cells.append(Cell(text, interval(low, high), low > 0 or high < 0))
        rows.append((arm, cells))
    head = ['mean', 'difference'] * len(metrics)
    return Table('unit-counts', 'arm', head, rows, tuple((words, 2) for words in metrics.values()))


def fates(study: Study, found: Encoded) -> Table:
    """What becomes of an arm's detectors in other seeds and arms, and how many units match, by relation."""
    table = of(found.kinship, seed=ALL)
    own = {
        (row['arm'], row['metric']): row['value']
        for _, row in table[table['class'].isin(('all concepts', ''))].iterrows()
        if row['method'] == study.layer
    }
    rows = []
    for arm in study.arms:
        cells = []
        for relation in RELATIONS:
            cells += [Cell(percent(own.get((arm, f'{fate}, {relation}'), math.nan))) for fate in FATES]
            cells.append(Cell(percent(own.get((arm, f'matched_units, {relation}'), math.nan))))
        rows.append((arm, cells))
    head = [*FATES, 'units that match'] * len(RELATIONS)
    return Table('fates', 'detectors of', head, rows, tuple((words, 4) for words in RELATIONS.values()))


def changes(study: Study, found: Encoded) -> Table | None:
    """Against the reference: its detectors that an arm keeps, moves and deletes, and the arm's that are new.

    The first row is the reference against its own other seeds.
    """
    table = found.kinship[(found.kinship['class'] == 'all concepts') & (found.kinship['seed'] != ALL)]

    def shares(one: str, other: str, same_seed: bool) -> dict[str, float]:
        chosen = table[(table['arm'] == one) & (table['other_arm'] == other)]
        chosen = chosen[(chosen['seed'] == chosen['other_seed']) == same_seed]
        sums = chosen.groupby('metric')[['value', 'n']].sum()
        return (sums['value'] / sums['n']).to_dict()

    def cells(arm: str, same_seed: bool) -> list[Cell]:
        there, back = shares(study.reference, arm, same_seed), shares(arm, study.reference, same_seed)
        values = [there.get(fate, math.nan) for fate in FATES] + [back.get('lost', math.nan)]
        return [Cell(percent(value)) for value in values]

    rows = [(f'{study.reference} itself', [*cells(study.reference, False), *cells('', True)])]
    rows += [(arm, [*cells(arm, False), *cells(arm, True)]) for arm in study.others]
    groups = (('other seed', 4), ('same seed', 4))
    return Table('changes', 'arm', ['kept', 'moved', 'deleted', 'created'] * 2, rows, groups) if study.others else None


def layers(study: Study, found: Encoded) -> Table:
    """Detectors and linear probes, layer by layer: means over seeds, probes over concepts too."""
    table, rows = of(found.layers, seed=ALL), []
    for layer in dict.fromkeys(table['method']):
        for words, metric, digits in (
            ('detector units', 'detector_units_mean', 1),
            ('probe AUROC', 'probe_auroc_mean', 3),
        ):
            own = of(table, method=layer, metric=metric)
            cells = []
            for arm in study.arms:
                values = of(own, arm=arm)
                if metric.startswith('detector'):
                    cells.append(Cell(number(of(values, **{'class': 'all concepts'})['value'].mean(), digits)))
                else:
                    control = of(table, method=layer, metric='probe_control_mean', arm=arm)['value'].mean()
                    cells.append(Cell(number(values['value'].mean(), digits), f'control {number(control, digits)}'))
            rows.append((f'{layer}: {words}', cells))
    return Table('layers', 'layer', study.arms, rows)


def effects(study: Study) -> Table:
    """By finding: units that carry it, and below the largest loss of AUROC by one unit."""
    rows = []
    for name in [*study.classes, 'macro']:
        cells = []
        for arm in study.arms:
            size, drop = (
                study.concepts(f'{m}_mean', name, arm=arm, method=study.layer)
                for m in ('carrying_units', 'largest_drop')
            )
            cells.append(Cell(number(size, 1), f'one: {number(-drop)}'))
        rows.append((name, cells))
    return Table('effects', 'finding', study.arms, rows)


def together(study: Study) -> Table:
    """IoU of all units together by concept, and below that of the best single unit, on patients not fitted to."""
    rows = []
    for name in study.concept_names:
        pairs = [
            [study.concepts(f'{m}_iou_mean', name, arm=a, method=study.layer) for m in ('multi_unit', 'single_unit')]
            for a in study.arms
        ]
        if any(math.isfinite(many) for many, _ in pairs):
            rows.append((name, [Cell(number(many), f'one: {number(one)}') for many, one in pairs]))
    return Table('together', 'concept', study.arms, rows)


def logits(study: Study) -> Table:
    """What detectors of the finding itself, of other concepts, and other units add to its logit, mean over images."""
    kinds = {
        'own_detectors': "the finding's detectors",
        'other_detectors': 'detectors of other concepts',
        'no_detectors': 'other units',
    }
    rows = [
        (arm, [over_seeds(study.concepts, f'logit_from_{kind}', arm, 'all images', study.layer, 2) for kind in kinds])
        for arm in study.arms
    ]
    return Table('logits', 'arm', list(kinds.values()), rows)


def examples(study: Study) -> list[dict]:
    """A few logits of the reference's first living seed, taken apart into their largest units."""
    row = next((row for row in study.rows(study.reference) if study.alive(row)), None)
    added, units = study.arrays('logits'), row and study.arrays(f'units_{row["member"]}')
    if added is None or units is None:
        return []
    best = np.where(units['detector'].any(1), np.where(units['detector'], units['iou'], -1).argmax(1), -1)
    told, seen = [], set()
    for n, finding in enumerate(added['finding']):
        if finding in seen or len(told) == EXAMPLES:
            continue
        seen.add(finding)
        own = added['added'][row['member'], n]
        largest = np.argsort(-np.abs(own), kind='stable')[:TOLD]
        parts = [
            f'unit {u} ({"detects " + study.concept_names[best[u]] if best[u] >= 0 else "detects nothing"}) {signed(own[u], 2)}'
            for u in largest
        ]
        rest = own.sum() - own[largest].sum()
        told.append(
            {
                'finding': study.classes[finding],
                'logit': float(added['logit'][row['member'], n]),
                'start': float(added['start'][row['member'], n]),
                'parts': [*parts, f'the other {len(own) - len(largest)} units {signed(rest, 2)}'],
            }
        )
    return told


def tcav(study: Study, found: Encoded) -> Table:
    """TCAV of every finding along its own direction, and the seeds in which it is beyond that of permuted labels."""
    table = of(found.directions, seed=ALL)
    own = {
        (row['arm'], row['class'], row['metric']): (row['value'], row['n'])
        for _, row in table[table['class'] == table['concept']].iterrows()
    }
    rows = []
    for name in study.classes:
        cells = []
        for arm in study.arms:
            mean, seeds = (own.get((arm, name, metric), (math.nan, 0)) for metric in ('tcav_mean', 'tcav_seeds'))
            cells.append(Cell(number(mean[0], 2), f'{number(seeds[0], 0)} of {seeds[1]}' if seeds[1] else ''))
        rows.append((name, cells))
    return Table('tcav', 'finding', study.arms, rows)


def card_facts(found: Encoded, row: dict, unit: int) -> list[str]:
    """Selectivity, effect and kin of a unit, for its card."""
    own = found.units
    if own is None:
        return []
    own = own[(own['arm'] == row['arm']) & (own['seed'] == str(row['seed'])) & (own['unit'] == unit)]
    value = {(one['metric'], one['class']): one['value'] for _, one in own.iterrows()}
    told = []
    aurocs = {name: v for (metric, name), v in value.items() if metric == 'auroc' and math.isfinite(v)}
    if aurocs:
        name = max(aurocs, key=lambda name: abs(aurocs[name] - 0.5))
        told.append(
            f'AUROC of {name} {number(aurocs[name])} {interval(value["auroc_low", name], value["auroc_high", name], 2)}'
        )
    drops = {name: v for (metric, name), v in value.items() if metric == 'auroc_drop' and math.isfinite(v)}
    if drops:
        name = max(drops, key=lambda name: abs(drops[name]))
        told.append(f'without it AUROC of {name} {signed(-drops[name])}')
    chosen = next((name for metric, name in value if metric == 'class_selectivity'), None)
    if chosen:
        ends = (value[f'class_selectivity_{end}', chosen] for end in ('low', 'high'))
        told.append(f'selectivity {number(value["class_selectivity", chosen], 2)} ({chosen}) {interval(*ends, 2)}')
    for relation, words in RELATIONS.items():
        if ('kept, ' + relation, '') in value:
            told.append(f'{words}: kept by {percent(value["kept, " + relation, ""])}')
    return told


def of(table: pd.DataFrame, **fields) -> pd.DataFrame:
    """The rows in which columns have these values."""
    for name, value in fields.items():
        table = table[table[name].fillna('') == value]
    return table


def probability(p: float) -> str:
    return '–' if not math.isfinite(p) else ('< 0.001' if p < 0.001 else number(p))


def percent(share: float) -> str:
    return f'{100 * share:.0f} %' if math.isfinite(share) else '–'


def interval(low: float, high: float, digits: int = 1) -> str:
    return f'[{number(low, digits)}, {number(high, digits)}]' if math.isfinite(low) and math.isfinite(high) else ''
