"""Published and corrected, side by side: what each known mistake of the study's code does to the results.

A mistake of training is a pair of arms, with and without it; a mistake of measuring is two figures of the same members.
An effect is the published minus the corrected figure. Its interval (paired by seed, 95 %) is over seeds and patients
where the figure is at hand for resampled patients, else Student's over seeds; the column `interval_over` says which.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from imbalance_jax.data.sources.mistakes import Mistake
from imbalance_jax.metrics.intervals import MANY, over_seeds, seed_interval
from imbalance_jax.metrics.statistics import finite_mean, moments
from imbalance_jax.results.alignment import ALL_PAIRS
from imbalance_jax.results.performance import ABNORMAL
from imbalance_jax.results.rows import MACRO, Number, Population, Row, is_null, of_kind
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

BOTH, SEEDS = 'seeds and patients', 'seeds'  # what an interval is over


class Resampled(NamedTuple):
    """A figure of every member [R,P] in R rounds of a bootstrap over patients, and the effective number of these."""

    rounds: np.ndarray
    clusters: float = MANY


Rounds = Mapping[tuple[str, str, str], Resampled]  # (metric, subset, method) -> the figure in rounds of patients
Values = dict[tuple[str, int], float]  # (arm, seed) -> value
Variant = tuple[str, str]  # method and layer


class Side(NamedTuple):
    """One side of an effect: seed -> value, and the same [R,S] in rounds of patients, of the seeds in this order."""

    by_seed: dict[int, float]
    resampled: Resampled | None = None

    def rounds(self, seeds: list[int]) -> np.ndarray:
        """The rounds [R,S] of some seeds."""
        assert self.resampled is not None
        return self.resampled.rounds[:, [list(self.by_seed).index(seed) for seed in seeds]]


def rows(population: Population, by_name: Mapping[str, pd.DataFrame], rounds: Rounds | None = None) -> list[Row]:
    """Rows of results/audit: for each mistake, outcome and method the effect, its interval, and both figures.

    by_name: the tables performance (test split), alignment and concepts. n counts seeds. Mistakes of training are there
    if the run has both arms. With one seed, and no rounds of patients, there is no interval.
    """
    living = [member for member in population.living_members if not is_null(member)]
    resampled = rounds or {}
    result = []
    for mistake, pair in ARMS.items() if population.paired else ():
        arms = [_arm(population, kind) for kind in pair]
        if None not in arms:
            for outcome in OUTCOMES:
                for variant, values in _members(by_name[outcome.table], outcome).items():
                    of_patients = resampled.get(_key(outcome, variant))
                    published, corrected = (_side(living, values, of_patients, arm) for arm in arms)
                    result += _effect(mistake, outcome, variant, published=published, corrected=corrected)
    for mistake, (wrong, right) in MEASURES.items():
        values_right = _members(by_name[right.table], right)
        for (method, layer), values in _members(by_name[wrong.table], wrong).items():
            variant = (right.method if right.method is not None else method, layer)
            every = population.partners
            published = _side(living, values, resampled.get(_key(wrong, (method, layer))), of=every)
            corrected = _side(living, values_right[variant], resampled.get(_key(right, variant)), of=every)
            result += _effect(mistake, right, variant, published=published, corrected=corrected)
    return result


def loader_rows(mistakes: Sequence[Mistake]) -> list[Row]:
    """What published loaders of the data set make of its files: the right number and theirs, in its unit as `metric`,
    and the difference."""
    return [
        of_kind('data', one.unit, value, one.right, mistake=one.what, version=version, against=against)
        for one in mistakes
        for version, against, value in (
            (CORRECTED, '', one.right),
            (PUBLISHED, '', one.wrong),
            (PUBLISHED, CORRECTED, one.wrong - one.right),
        )
    ]


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


def _key(figure: Figure, variant: Variant) -> tuple[str, str, str]:
    """Of a figure's rounds of patients."""
    return figure.metric, figure.columns.get('subset', ''), variant[0]


def _side(
    living: list[Row],
    values: Values,
    resampled: Resampled | None,
    arm: str | None = None,
    *,
    of: Mapping[int, int] | None = None,
) -> Side:
    """One arm's values by seed, or the mean over all compared arms that have a living member of that seed.

    of: by member, what stands for its seed (`Population.partners`).
    """
    members: dict[int, list[Row]] = {}
    for member in living:
        if arm in (None, member['arm']):
            members.setdefault(member['seed'] if of is None else of[member['member']], []).append(member)
    by_seed = {
        seed: finite_mean(np.array([values[one['arm'], one['seed']] for one in of_seed]))
        for seed, of_seed in members.items()
    }
    if resampled is None:
        return Side(by_seed)
    numbers = [[one['member'] for one in of_seed] for of_seed in members.values()]
    rounds = np.stack([_mean(resampled.rounds[:, of_seed]) for of_seed in numbers], axis=1)
    return Side(by_seed, resampled._replace(rounds=rounds))


def _mean(rounds: np.ndarray) -> np.ndarray:
    """Mean [R] over the members [R,M] whose figure a round has."""
    return moments(rounds.T).mean


def _effect(mistake: str, figure: Figure, variant: Variant, *, published: Side, corrected: Side) -> list[Row]:
    """The rows of one effect, from both sides; seeds that one of them lacks are left out."""
    wrong, right = published.by_seed, corrected.by_seed
    seeds = [seed for seed in wrong if np.isfinite(wrong[seed] + right.get(seed, np.nan))]
    pairs = np.array([(wrong[seed], right[seed]) for seed in seeds]).reshape(-1, 2)
    differences, n = pairs[:, 0] - pairs[:, 1], len(seeds)
    of_patients = [side.resampled for side in (published, corrected) if side.resampled is not None]
    with_patients = n > 0 and len(of_patients) == 2
    if with_patients:
        clusters = min(one.clusters for one in of_patients)
        effect = seed_interval(differences, published.rounds(seeds) - corrected.rounds(seeds), clusters=clusters)
    else:
        effect = over_seeds(differences)
    figures: list[tuple[Number, dict[str, str]]] = [
        (pairs[:, 0].mean() if n else np.nan, {'version': PUBLISHED, 'statistic': 'mean'}),
        (pairs[:, 1].mean() if n else np.nan, {'version': CORRECTED, 'statistic': 'mean'}),
        (effect.estimate, {'version': PUBLISHED, 'statistic': 'mean', 'against': CORRECTED}),
        (effect.low, {'version': PUBLISHED, 'statistic': 'low', 'against': CORRECTED}),
        (effect.high, {'version': PUBLISHED, 'statistic': 'high', 'against': CORRECTED}),
    ]
    method, layer = variant
    over = BOTH if with_patients else SEEDS
    what = {**figure.columns, 'mistake': mistake, 'method': method, 'interval_over': over}
    if layer:
        what['layer'] = layer
    return [{**of_kind('population', figure.metric, value, n), **what, **columns} for value, columns in figures]
