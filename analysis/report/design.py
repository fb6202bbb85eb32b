"""What the design of a population answers, claim by claim: estimate, interval, adjusted p, and a verdict in words."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from imbalance_jax.analysis.report.contrasts import LEVEL
from imbalance_jax.analysis.report.style import label, probability, with_interval
from imbalance_jax.analysis.report.unit_tables import read, rows_of
from imbalance_jax.results.comparison import EQUIVALENT, EVERYWHERE, RANKED
from imbalance_jax.results.conditional import GIVEN
from imbalance_jax.results.rank_agreement import OF_MEANS, OF_SEEDS
from imbalance_jax.results.rows import MACRO

RANKING = 'ranking'  # key of the block
MEASURE = 'signed_pixel_auroc'  # of maps, in which claims are stated
THROUGH = ('total', 'features', 'head', 'interaction')
EQUAL, DIFFERENT, OPEN = 'shown to be equal', 'different', 'neither shown to differ nor to be equal'


class Claim(NamedTuple):
    """One row: what it is of, its estimate with interval, p adjusted, the verdict, and over what."""

    subject: str
    estimate: str
    interval: str
    p: str
    verdict: str
    over: str


class Block(NamedTuple):
    """Claims of one family, the question that they answer, how it was asked, and the table they stand in."""

    key: str
    question: str
    method: str
    claims: list[Claim]
    source: str


def blocks(folder: Path, smallest: float, *, measure: str = MEASURE) -> list[Block]:
    """Every question that the tables of a working directory answer. smallest: difference of a map measure that
    matters."""
    found = [
        Block(
            RANKING,
            'Do arms differ in discrimination?',
            'Macro AUROC and average precision, arm minus reference, paired by seed; p by Holm over arms. Equal: two '
            'one-sided tests at the margin, in the macro mean and every class, by both metrics.',
            ranking(read(folder, 'performance')),
            'results/performance',
        ),
        Block(
            'maps',
            f'Do their maps point elsewhere ({label(measure)} above shuffled regions)?',
            'Arm minus reference, each above what it scores on regions of other patients, mean over findings; p by '
            'Holm over arms.',
            maps(read(folder, 'conditional'), '', measure, smallest),
            'results/conditional',
        ),
        Block(
            'given',
            'And at equal AUROC, by regression?',
            'The same, given the AUROC of each finding, arm and seed. AUROC is measured with error, so that a part of '
            'what is left may be its doing.',
            maps(read(folder, 'conditional'), GIVEN, measure, smallest),
            'results/conditional',
        ),
        Block(
            'dose',
            'Does it grow with the weight, at constant data?',
            'Slope per unit of the option over its doses, by seed; p of single measures, not adjusted over measures.',
            dose(read(folder, 'trend'), measure),
            'results/trend',
        ),
        Block(
            'mediation',
            'Through the features or through the head?',
            'Features trained with one loss and frozen, a new head with the same or the other one; p by Holm over the '
            'effects on one measure.',
            mediation(read(folder, 'mediation'), measure),
            'results/mediation',
        ),
        Block(
            'ranks',
            'Do metrics rank the arms alike?',
            "Kendall's tau_b of the arms' means, with p by Holm; beside it the mean tau of single seeds with its "
            'interval.',
            ranks(read(folder, 'rank_agreement'), measure),
            'results/rank_agreement',
        ),
    ]
    return [block for block in found if block.claims]


def section(folder: Path, smallest: float) -> list[Block]:
    """The blocks without that of the ranking, which has a section of its own in the report."""
    return [block for block in blocks(folder, smallest) if block.key != RANKING]


def verdict(estimate: float, low: float, high: float, p: float, smallest: float) -> str:
    """What an estimate shows about a difference, of which `smallest` is the smallest that matters."""
    if not math.isfinite(low) or not math.isfinite(high):
        return 'too few data for an interval'
    if -smallest < low and high < smallest:
        return f'within ±{smallest:g}'
    if p <= LEVEL:
        return 'higher' if estimate > 0 else 'lower'
    return OPEN


def ranking(table: pd.DataFrame | None) -> list[Claim]:
    """Macro differences by both metrics, with the verdict of equivalence."""
    if table is None:
        return []
    chosen = rows_of(table, kind='arm', split='test')
    chosen = chosen[chosen['against'] != '']
    equal = rows_of(chosen, metric=EQUIVALENT, **{'class': EVERYWHERE})
    shown = set(equal[equal['value'] == 1]['arm'])
    result = []
    for metric in RANKED:
        for (arm,), rows in rows_of(chosen, metric=metric, **{'class': MACRO}).groupby(['arm'], sort=False):
            figures = figures_of(rows)
            different = DIFFERENT if figures['p_adjusted'] <= LEVEL else OPEN
            result.append(claim(f'{arm}, {label(metric)}', rows, EQUAL if arm in shown else different))
    return result


def maps(table: pd.DataFrame | None, given: str, measure: str, smallest: float) -> list[Claim]:
    """Arms against the reference by method."""
    if table is None:
        return []
    chosen = rows_of(table, kind='arm', given=given, metric=measure)
    result = []
    for (arm, method), rows in chosen.groupby(['arm', 'method'], sort=False):
        f = figures_of(rows)
        said = verdict(f['mean'], f['low'], f['high'], f['p_adjusted'], smallest)
        result.append(claim(f'{arm}, {label(method)}', rows, said))
    return result


def dose(table: pd.DataFrame | None, measure: str) -> list[Claim]:
    """Macro slopes of ranking and of one measure of maps, and of counts of units."""
    return _effects(table, ['option', 'metric', 'method'], measure, lambda key: key[1:])


def mediation(table: pd.DataFrame | None, measure: str) -> list[Claim]:
    """Macro effects of ranking and of one measure of maps, and of counts of units."""
    chosen = table[table['through'].isin(THROUGH)] if table is not None else None
    return _effects(chosen, ['metric', 'method', 'through'], measure, lambda key: key)


def _effects(table, columns: Sequence[str], measure: str, words) -> list[Claim]:
    if table is None:
        return []
    chosen = rows_of(table, **{'class': MACRO})
    chosen = chosen[(chosen['above'] == '') | (chosen['metric'] == measure)]
    result = []
    for key, rows in chosen.groupby(list(columns), sort=False):
        p = figures_of(rows)['p_adjusted']
        estimate = figures_of(rows)['mean']
        said = ('higher' if estimate > 0 else 'lower') if p <= LEVEL else 'not shown'
        subject = ', '.join(label(word) for word in words(key) if word and word != 'beyond_null')
        result.append(claim(subject, rows, said))
    return result


def ranks(table: pd.DataFrame | None, measure: str) -> list[Claim]:
    """Agreement of AUROC and average precision with each other, with one measure of maps, and with counts."""
    if table is None:
        return []
    chosen = table[(table['above'] == '') | (table['other_metric'] == measure)]
    result = []
    for key, rows in chosen.groupby(['metric', 'other_metric', 'other_method'], sort=False):
        means, seeds = (figures_of(rows[rows['ranks'] == of]) for of in (OF_MEANS, OF_SEEDS))
        subject = f'{label(key[0])} and ' + ', '.join(label(w) for w in key[1:] if w and w != 'beyond_null')
        estimate, interval = with_interval(seeds['mean'], seeds['low'], seeds['high'])
        said = 'ranked alike' if means['value'] > 0 else 'ranked the other way'
        arms, of_seeds = (int(rows[rows['ranks'] == of]['n'].iloc[0]) for of in (OF_MEANS, OF_SEEDS))
        result.append(
            Claim(
                subject,
                with_interval(means['value'], math.nan, math.nan)[0],
                f'{estimate} {interval}'.strip(),
                probability(means['p_adjusted']),
                said if means['p_adjusted'] <= LEVEL else 'agreement not shown',
                f'{arms} arms, {of_seeds} seeds',
            )
        )
    return result


def figures_of(rows: pd.DataFrame) -> dict[str, float]:
    """Statistic -> value of rows that differ in their statistic only; NaN for those that are not there."""
    known = dict.fromkeys(('value', 'mean', 'low', 'high', 'p', 'p_adjusted'), math.nan)
    return {**known, **rows.dropna(subset='value').groupby('statistic')['value'].first().to_dict()}


def claim(subject: str, rows: pd.DataFrame, said: str) -> Claim:
    """A claim over seeds."""
    figures = figures_of(rows)
    estimate, interval = with_interval(figures['mean'], figures['low'], figures['high'])
    n = int(rows['n'].iloc[0])
    return Claim(subject, estimate, interval or '–', probability(figures['p_adjusted']), said, f'{n} seeds')
