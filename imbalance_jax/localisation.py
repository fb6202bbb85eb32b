"""How well the maps of a population align with findings, as rows: members, arms, nulls, and skill beyond the nulls."""

import numpy as np

from imbalance_jax import tables
from imbalance_jax.metrics import macro
from imbalance_jax.regions import Pairs
from imbalance_jax.statistics import cluster_weights, weighted_mean

MEASURES = ('pointing_game', 'hit_share', 'iobb', 'ior', 'iou', 'empty')
SKILL = ('hit_share', 'ior', 'iou')  # measures that are compared with the constant map and between arms
MACRO, ALL = 'macro', 'all pairs'


def summarise(figures: dict, finding: np.ndarray, num_classes: int, weights: np.ndarray | None = None) -> dict:
    """Means over pairs of figures [..., M]: name -> [..., K + 2], the K findings, their macro mean, all pairs as one.

    finding: [M] class numbers. weights: [R, M], how often each pair counts in each round; results are then
    [R, ..., K + 2]. `pointing_game` is the study's sum(hits) / sum(points), from which empty maps drop out;
    `hit_share` gives each pair one vote, and an empty map misses.
    """
    rounds = np.ones((1, len(finding))) if weights is None else weights
    figures = {name: np.asarray(value, np.float64) for name, value in figures.items()}
    share = figures['hits'] / np.maximum(figures['points'], 1)
    undefined = np.isnan(figures['iou'])
    values = {'hit_share': np.where(undefined, np.nan, share), **figures}

    cells = [finding == k for k in range(num_classes)] + [np.ones(len(finding), bool)]

    def means(value):
        columns = [weighted_mean(value[..., cell], rounds[:, cell]) for cell in cells]
        return np.stack(columns, axis=-1)

    result = {name: means(value) for name, value in values.items()}
    with np.errstate(invalid='ignore', divide='ignore'):
        result['pointing_game'] = result.pop('hits') / result.pop('points')
    result = {name: _with_macro(result[name]) for name in MEASURES}
    return result if weights is not None else {name: value[0] for name, value in result.items()}


def _with_macro(values: np.ndarray) -> np.ndarray:
    """[..., K + 1] with all pairs last, to [..., K + 2] with the mean over findings before it."""
    findings = values[..., :-1]
    return np.concatenate([findings, macro(findings)[0][..., None], values[..., -1:]], axis=-1)


def rows(members, figures: dict, nulls: dict, pairs: Pairs, classes, alive, reference, rounds, seed) -> list[dict]:
    """All rows of one split.

    figures: method -> measures [P,M] of `alignment.measure`; nulls: name -> measures [M] of maps that know no model.
    A frozen member has rows of its own and no part in means and differences. `_skill` is an arm's mean over seeds minus
    the constant map's, with the interval over patients and seeds.
    """
    names, K = [*classes, MACRO, ALL], len(classes)
    counts = [*np.bincount(pairs.finding, minlength=K), len(np.unique(pairs.finding)), len(pairs.finding)]
    weights = cluster_weights(pairs.patient, rounds, np.random.default_rng(seed))
    null_values = {name: summarise(value, pairs.finding, K) for name, value in nulls.items()}
    null_rounds = summarise(nulls['constant map'], pairs.finding, K, weights)
    result = _rows_of(null_values, names, counts, lambda **fields: tables.of_nobody(**fields))
    arms = tables.by_arm(members)
    for method, measures in figures.items():
        values = summarise(measures, pairs.finding, K)
        for row in members:
            own = {method: {name: value[row['member']] for name, value in values.items()}}
            result += _rows_of(own, names, counts, lambda row=row, **fields: tables.of_member(row, **fields))
        living = {name: np.where(alive[:, None], value, np.nan) for name, value in values.items()}
        frozen = {name: np.where(alive[:, None], value, np.nan) for name, value in measures.items()}
        resampled = summarise(frozen, pairs.finding, K, weights)
        for arm, numbers in arms.items():
            row = tables.of_arm(members[numbers[0]], method=method)
            for name in MEASURES:
                result += tables.seed_statistics(row, living[name][numbers], names, name, method=method)
            for name in SKILL:
                one, many = living[name][numbers], resampled[name][:, numbers]
                constant = np.broadcast_to(null_values['constant map'][name], one.shape)
                constant_many = np.broadcast_to(null_rounds[name][:, None], many.shape)
                result += tables.paired_rows(row, one, constant, many, constant_many, names, f'{name}_skill', seed)
                if arm != reference:
                    other = living[name][arms[reference]], many, resampled[name][:, arms[reference]]
                    result += tables.paired_rows(row, one, *other, names, f'{name}_difference', seed)
    return result


def _rows_of(values: dict, names, counts, make) -> list[dict]:
    """Rows of method -> measure -> [K + 2]; findings without a pair have none."""
    return [
        make(**{'class': name, 'method': method, 'metric': measure, 'value': value[k], 'n': counts[k]})
        for method, measures in values.items()
        for measure, value in measures.items()
        for k, name in enumerate(names)
        if counts[k]
    ]
