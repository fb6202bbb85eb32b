"""What units do, in the report: by layer, when taken away, together, in a logit, along directions, on their cards."""

import math

import numpy as np

from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import number, signed
from imbalance_jax.analysis.report.tables import Cell, Table, over_seeds
from imbalance_jax.analysis.report.unit_tables import Encoded, interval, of, percent
from imbalance_jax.results.rows import ALL

RELATIONS = {
    'other seed': 'same arm, other seed',
    'other arm and seed': 'other arm, other seed',
    'other arm': 'other arm, same seed',
}
EXAMPLES = 3  # logits that are taken apart
TOLD = 5  # units of each


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
            seeds = study.concepts.count('carrying_units_mean', name, arm=arm, method=study.layer)
            below = (
                f'one: {number(-drop)}'
                if name == 'macro'
                else f'{seeds} of {len(study.rows(arm))}; one: {number(-drop)}'
            )
            cells.append(Cell(number(size, 1), below))
        rows.append((name, cells))
    return Table('effects', 'finding', study.arms, rows)


def together(study: Study) -> Table:
    """IoU of all units together by concept; below, of the best single unit and of everything, on other patients."""
    kinds, rows = ('multi_unit', 'single_unit', 'everywhere'), []
    for name in study.concept_names:
        cells = []
        for arm in study.arms:
            options = {'arm': arm, 'method': study.layer}
            many, one, all_ = (number(study.concepts(f'{kind}_iou_mean', name, **options)) for kind in kinds)
            cells.append(Cell(many, f'one {one}, all {all_}'))
        if any(cell.text != '–' for cell in cells):
            rows.append((name, cells))
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
        detects = {u: study.concept_names[best[u]] if best[u] >= 0 else 'nothing' for u in largest}
        parts = [f'unit {u} (detects {detects[u]}) {signed(own[u], 2)}' for u in largest]
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
