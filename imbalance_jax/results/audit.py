"""Published and corrected, side by side: what each known mistake of the study's code does to the results.

A mistake of training is a pair of arms, with and without it; a mistake of measuring is two figures of the same members.
An effect is the published minus the corrected figure, its interval Student's over seeds (paired, 95 %).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from imbalance_jax.metrics.statistics import over_seeds
from imbalance_jax.results import rows as tables

# mistake -> (loss, sampler) as published, and as corrected
ARMS = {
    'sampling weights of classes taken for those of images': (
        ('bce', 'weighted_sampling_published'),
        ('bce', 'weighted_sampling'),
    ),
    'class weights that grow with the class': (
        ('inter_class_weighted_bce', 'natural'),
        ('inverse_class_weighted_bce', 'natural'),
    ),
    'mean fit beside summed penalty': (('multi_task', 'natural'), ('multi_task_consistent', 'natural')),
}
# table, metric, class; of every method of the table that has the metric
OUTCOMES = (
    ('performance', 'auroc', 'macro'),
    ('performance', 'average_precision', 'macro'),
    ('alignment', 'hit_share', 'all pairs'),
    ('alignment', 'iou', 'all pairs'),
    ('concepts', 'detector_units', 'all concepts'),
    ('concepts', 'unique_concepts', 'all concepts'),
    ('concepts', 'concepts_corrected_image_mean', 'all images'),
)
# mistake -> table, published metric, corrected metric, class
MEASURES = {
    'images without a finding left out': ('performance', 'auroc_of_findings', 'auroc', 'macro'),
    'pointing game by points: no empty maps, many votes for a plateau': (
        'alignment',
        'pointing_game',
        'hit_share',
        'all pairs',
    ),
    'concepts by quantile of a batch, with dead units and holes': (
        'concepts',
        'concepts_image_mean',
        'concepts_corrected_image_mean',
        'all images',
    ),
}


def rows(members: Sequence[dict], alive: np.ndarray, found: Mapping[str, pd.DataFrame]) -> list[dict]:
    """Rows of results/audit: for each mistake, outcome and method the effect, its interval, and both figures.

    found: the tables performance (test split), alignment and concepts. `class` is the mistake; n counts seeds. Mistakes
    of training are there if the run has both arms. With one seed there is no interval.
    """
    living = [row for row in members if alive[row['member']]]
    cells = {name: _cells(table) for name, table in found.items()}
    made = []
    for mistake, pair in ARMS.items():
        arms = [next((r['arm'] for r in members if (r['loss'], r['sampler']) == kind), None) for kind in pair]
        if None in arms:
            continue
        for table, metric, name in OUTCOMES:
            for method in cells[table].get((metric, name), {}):
                of = cells[table][metric, name][method]
                figures = [_by_seed(living, of, arm) for arm in arms]
                made += _effect(mistake, metric, method, *figures)
    for mistake, (table, published, corrected, name) in MEASURES.items():
        for method in cells[table].get((published, name), {}):
            figures = [_by_seed(living, cells[table][metric, name][method]) for metric in (published, corrected)]
            made += _effect(mistake, corrected, method, *figures)
    return made


def _cells(table: pd.DataFrame) -> dict:
    """(metric, class) -> method -> (arm, seed) -> value, of single members."""
    cells: dict = {}
    single = table[table['seed'].astype(str).str.isdecimal()]
    columns = single[['arm', 'seed', 'class', 'method', 'metric', 'value']]
    for arm, seed, name, method, metric, value in columns.itertuples(index=False, name=None):
        cells.setdefault((metric, name), {}).setdefault(method, {})[arm, str(seed)] = value
    return cells


def _by_seed(living: Sequence[dict], of: Mapping, arm: str | None = None) -> dict[str, float]:
    """Seed -> value of one arm, or the mean over all arms that have a living member of that seed."""
    values: dict[str, list[float]] = {}
    for row in living:
        if arm in (None, row['arm']):
            values.setdefault(str(row['seed']), []).append(of[row['arm'], str(row['seed'])])
    return {seed: float(np.nanmean(own)) if np.isfinite(own).any() else np.nan for seed, own in values.items()}


def _effect(mistake: str, metric: str, method: str, published: dict, corrected: dict) -> list[dict]:
    """The rows of one effect, from seed -> value of both; seeds that one of them lacks are left out."""
    seeds = [seed for seed in published if np.isfinite(published[seed] + corrected.get(seed, np.nan))]
    pairs = np.array([(published[seed], corrected[seed]) for seed in seeds]).reshape(-1, 2)
    effect, n = over_seeds(pairs[:, 0] - pairs[:, 1]), len(seeds)
    figures = {
        'published': pairs[:, 0].mean() if n else np.nan,
        'corrected': pairs[:, 1].mean() if n else np.nan,
        'effect': effect.estimate,
        'effect_low': effect.low,
        'effect_high': effect.high,
    }
    return [
        tables.of_nobody(**{'class': mistake, 'method': method, 'metric': f'{metric}_{name}', 'value': value, 'n': n})
        for name, value in figures.items()
    ]
