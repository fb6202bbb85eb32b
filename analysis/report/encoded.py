"""What units encode, in the report: do arms differ by more than seeds, and what becomes of detectors."""

import math

from imbalance_jax.analysis.report import effects, kin
from imbalance_jax.analysis.report.effects import RELATIONS
from imbalance_jax.analysis.report.findings import Finding
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, number, signed
from imbalance_jax.analysis.report.tables import Cell, Table
from imbalance_jax.analysis.report.unit_tables import Encoded, interval, load, of, percent, probability
from imbalance_jax.results.rows import ALL

FATES = ('kept', 'moved', 'lost')
LEVEL = 0.05


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
        'layers': effects.layers(study, found),
        'effects': effects.effects(study),
        'together': effects.together(study),
        'logits': effects.logits(study),
        'examples': effects.examples(study),
        'directions': effects.tcav(study, found),
        'tcav_layer': str(found.directions['method'].iloc[0]),
    }


def findings(made: dict | None) -> list[Finding]:
    """The answer among the main findings."""
    return [Finding(f'Do approaches differ in what units encode beyond seeds? {made["answer"]}', [])] if made else []


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
