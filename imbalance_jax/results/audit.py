"""Published and corrected, side by side: what each known mistake of the study's code does to the results.

A mistake of training is a pair of arms, with and without it; a mistake of measuring is two figures of the same members.
An effect is the published minus the corrected figure, its interval Student's over seeds (paired, 95 %).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from imbalance_jax.metrics.intervals import over_seeds
from imbalance_jax.metrics.statistics import finite_mean
from imbalance_jax.results.alignment import ALL_PAIRS
from imbalance_jax.results.performance import ABNORMAL
from imbalance_jax.results.rows import MACRO, Population, Row, of_kind
from imbalance_jax.results.units import ALL_CONCEPTS, ALL_IMAGES, BEYOND_NULL, CORRECTED, PUBLISHED


class Kind(NamedTuple):
    """The loss and the sampler by which an arm is known."""

    loss: str
    sampler: str


class Figure(NamedTuple):
    """A number of single members in a table: its metric, and what further columns say.

    Columns that are not named are '', but for `method` where it is None: then there is a figure per method.
    """

    table: str
    metric: str
    columns: Mapping[str, str]
    method: str | None = ''


def _counted(method: str) -> Figure:
    return Figure('concepts', 'concepts_per_image', {'class': ALL_IMAGES, 'over_images': 'mean'}, method)


AUROC = Figure('performance', 'auroc', {'class': MACRO})
HIT_SHARE = Figure('alignment', 'hit_share', {'class': ALL_PAIRS}, None)

# mistake -> the arm as published, and as corrected
ARMS = {
    'sampling weights of classes taken for those of images': (
        Kind('bce', 'weighted_sampling_published'),
        Kind('bce', 'weighted_sampling'),
    ),
    'class weights that grow with the class': (
        Kind('inter_class_weighted_bce', 'natural'),
        Kind('inverse_class_weighted_bce', 'natural'),
    ),
    'mean fit beside summed penalty': (Kind('multi_task', 'natural'), Kind('multi_task_consistent', 'natural')),
}
OUTCOMES = (
    AUROC,
    Figure('performance', 'average_precision', {'class': MACRO}),
    HIT_SHARE,
    Figure('alignment', 'iou', {'class': ALL_PAIRS}, None),
    Figure('concepts', 'detector_units', {'concept': ALL_CONCEPTS}, BEYOND_NULL),
    Figure('concepts', 'unique_concepts', {'concept': ALL_CONCEPTS}, BEYOND_NULL),
    _counted(CORRECTED),
)
# mistake -> the figure as published, and as corrected
MEASURES = {
    'images without a finding left out': (AUROC._replace(columns={'class': MACRO, 'subset': ABNORMAL}), AUROC),
    'pointing game by points: no empty maps, many votes for a plateau': (
        HIT_SHARE._replace(metric='pointing_game'),
        HIT_SHARE,
    ),
    'concepts by quantile of a batch, with dead units and holes': (_counted(PUBLISHED), _counted(CORRECTED)),
}

Values = dict[tuple[str, int], float]  # (arm, seed) -> value
Variant = tuple[str, str]  # method and layer


def rows(population: Population, by_name: Mapping[str, pd.DataFrame]) -> list[Row]:
    """Rows of results/audit: for each mistake, outcome and method the effect, its interval, and both figures.

    by_name: the tables performance (test split), alignment and concepts. n counts seeds. Mistakes of training are there
    if the run has both arms. With one seed there is no interval.
    """
    living = population.living_members
    result = []
    for mistake, pair in ARMS.items():
        arms = [_arm(population, kind) for kind in pair]
        if None not in arms:
            for outcome in OUTCOMES:
                for variant, values in _members(by_name[outcome.table], outcome).items():
                    published, corrected = (_by_seed(living, values, arm) for arm in arms)
                    result += _effect(mistake, outcome, variant, published=published, corrected=corrected)
    for mistake, (wrong, right) in MEASURES.items():
        values_right = _members(by_name[right.table], right)
        for (method, layer), values in _members(by_name[wrong.table], wrong).items():
            variant = (right.method if right.method is not None else method, layer)
            published, corrected = _by_seed(living, values), _by_seed(living, values_right[variant])
            result += _effect(mistake, right, variant, published=published, corrected=corrected)
    return result


def _arm(population: Population, kind: Kind) -> str | None:
    return next((one['arm'] for one in population.members if Kind(one['loss'], one['sampler']) == kind), None)


def _members(table: pd.DataFrame, figure: Figure) -> dict[Variant, Values]:
    """(method, layer) -> (arm, seed) -> value of a figure, of single members."""
    fixed = {'kind': 'member', 'metric': figure.metric, 'statistic': 'value', 'against': '', **figure.columns}
    if 'subset' in table:
        fixed = {'subset': '', **fixed}
    if figure.method is not None:
        fixed['method'] = figure.method
    for column, value in fixed.items():
        table = table[table[column] == value]
    variants: dict[Variant, Values] = {}
    table = table if 'layer' in table else table.assign(layer='')
    columns = table[['arm', 'seed', 'method', 'layer', 'value']]
    for arm, seed, method, layer, value in columns.itertuples(index=False, name=None):
        variants.setdefault((method, layer), {})[arm, int(seed)] = value
    return variants


def _by_seed(living: list[Row], values: Values, arm: str | None = None) -> dict[int, float]:
    """Seed -> value of one arm, or the mean over all arms that have a living member of that seed."""
    by_seed: dict[int, list[float]] = {}
    for member in living:
        if arm in (None, member['arm']):
            by_seed.setdefault(member['seed'], []).append(values[member['arm'], member['seed']])
    return {seed: finite_mean(np.array(of_seed)) for seed, of_seed in by_seed.items()}


def _effect(
    mistake: str, figure: Figure, variant: Variant, *, published: dict[int, float], corrected: dict[int, float]
) -> list[Row]:
    """The rows of one effect, from seed -> value of both; seeds that one of them lacks are left out."""
    seeds = [seed for seed in published if np.isfinite(published[seed] + corrected.get(seed, np.nan))]
    pairs = np.array([(published[seed], corrected[seed]) for seed in seeds]).reshape(-1, 2)
    effect, n = over_seeds(pairs[:, 0] - pairs[:, 1]), len(seeds)
    figures = [
        (pairs[:, 0].mean() if n else np.nan, {'version': PUBLISHED, 'statistic': 'mean'}),
        (pairs[:, 1].mean() if n else np.nan, {'version': CORRECTED, 'statistic': 'mean'}),
        (effect.estimate, {'version': PUBLISHED, 'statistic': 'mean', 'against': CORRECTED}),
        (effect.low, {'version': PUBLISHED, 'statistic': 'low', 'against': CORRECTED}),
        (effect.high, {'version': PUBLISHED, 'statistic': 'high', 'against': CORRECTED}),
    ]
    method, layer = variant
    what = {**figure.columns, 'mistake': mistake, 'method': method}
    if layer:
        what['layer'] = layer
    return [{**of_kind('population', figure.metric, value, n), **what, **columns} for value, columns in figures]
