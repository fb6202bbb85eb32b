"""How well the maps of a population align with findings, as rows: members, arms, nulls, and skill beyond the nulls."""

from collections.abc import Mapping

import numpy as np

from imbalance_jax.data.regions import Pairs
from imbalance_jax.metrics.scores import macro
from imbalance_jax.metrics.statistics import cluster_weights, weighted_mean
from imbalance_jax.results import rows as tables

MEASURES = ('pointing_game', 'hit_share', 'iobb', 'ior', 'iou', 'empty')
SKILL = ('hit_share', 'ior', 'iou')  # of these, the ones that are compared with nulls and between arms
MACRO, ALL = 'macro', 'all pairs'
CONSTANT = 'constant map'  # the null that `_skill` is measured from


def summarise(
    figures: dict,
    finding: np.ndarray,
    num_classes: int,
    weights: np.ndarray | None = None,
    subsets: Mapping[str, np.ndarray] | None = None,
) -> dict:
    """Means over pairs of figures [..., M]: name -> [..., K + 2 + E], the K findings, their macro mean, all pairs as
    one, and each of E subsets of the pairs.

    finding: [M] class numbers. weights: [R, M], how often each pair counts in each round; results are then
    [R, ..., K + 2 + E]. subsets: name -> [M] bool, or [P, M] where members differ; of figures without members such a
    subset is NaN. `pointing_game` is the study's sum(hits) / sum(points), from which empty maps drop out; `hit_share`
    gives each pair one vote, and an empty map misses.
    """
    rounds = np.ones((1, len(finding))) if weights is None else weights
    figures = {name: np.asarray(value, np.float64) for name, value in figures.items()}
    share = figures['hits'] / np.maximum(figures['points'], 1)
    undefined = np.isnan(figures['iou'])
    values = {'hit_share': np.where(undefined, np.nan, share), **figures}
    cells = [finding == k for k in range(num_classes)] + [np.ones(len(finding), bool), *(subsets or {}).values()]

    def mean(value, cell):
        if cell.ndim == 1:
            return weighted_mean(value[..., cell], rounds[:, cell])
        if value.ndim == 1:
            return np.full(len(rounds), np.nan)
        return weighted_mean(np.where(cell, value, np.nan), rounds)

    result = {name: np.stack([mean(value, cell) for cell in cells], axis=-1) for name, value in values.items()}
    with np.errstate(invalid='ignore', divide='ignore'):
        result['pointing_game'] = result.pop('hits') / result.pop('points')
    result = {name: _with_macro(result[name], num_classes) for name in names_of(figures)}
    return result if weights is not None else {name: value[0] for name, value in result.items()}


def names_of(figures: dict) -> list[str]:
    """The measures of figures: the study's, then the others in their order."""
    return [*MEASURES, *(name for name in figures if name not in (*MEASURES, 'hits', 'points'))]


def _with_macro(values: np.ndarray, num_classes: int) -> np.ndarray:
    """[..., K + 1 + E] to [..., K + 2 + E], with the mean over findings after them."""
    findings, rest = values[..., :num_classes], values[..., num_classes:]
    return np.concatenate([findings, macro(findings)[0][..., None], rest], axis=-1)


def rows(
    members,
    figures: dict,
    nulls: dict,
    pairs: Pairs,
    classes,
    alive,
    reference,
    rounds,
    seed,
    *,
    matched=None,
    subsets=None,
) -> list[dict]:
    """All rows of one split.

    figures: method -> measures [P,M] of `alignment.measure`; nulls: name -> measures [M] of maps that know no model;
    matched: name -> method -> measures [P,M] of what stands in for each member; subsets: see `summarise`. A frozen
    member has rows of its own and no part in means and differences. `_skill` is an arm's mean over seeds minus the
    constant map's, `_above_NULL` the same of any other null, with the interval over patients and seeds.
    """
    matched, subsets = matched or {}, subsets or {}
    names, K = [*classes, MACRO, ALL, *subsets], len(classes)
    counts = [*np.bincount(pairs.finding, minlength=K), len(np.unique(pairs.finding)), len(pairs.finding)]
    counts += [int(np.round(cell.sum(-1).mean())) for cell in subsets.values()]
    weights = cluster_weights(pairs.patient, rounds, np.random.default_rng(seed))
    null_values = {name: summarise(value, pairs.finding, K, None, subsets) for name, value in nulls.items()}
    null_rounds = {name: summarise(value, pairs.finding, K, weights, subsets) for name, value in nulls.items()}
    result = _rows_of(null_values, names, counts, lambda **fields: tables.of_nobody(**fields))
    arms = tables.by_arm(members)
    for method, measures in figures.items():
        values = summarise(measures, pairs.finding, K, None, subsets)
        for row in members:
            own = {method: {name: value[row['member']] for name, value in values.items()}}
            result += _rows_of(own, names, counts, lambda row=row, **fields: tables.of_member(row, **fields))
        living, resampled = _resampled(measures, alive, pairs, K, weights, subsets)
        stand_ins = {
            null: _resampled(of[method], alive, pairs, K, weights, subsets)
            for null, of in matched.items()
            if method in of
        }
        compared = [name for name in names_of(measures) if name in SKILL or name not in MEASURES]
        for arm, numbers in arms.items():
            row = tables.of_arm(members[numbers[0]], method=method)
            for name in living:
                result += tables.seed_statistics(row, living[name][numbers], names, name, method=method)
            for null, (values_of_null, _) in stand_ins.items():
                for name in living:
                    found = tables.seed_statistics(row, values_of_null[name][numbers], names, name)
                    result += [{**one, 'method': f'{method}, {null}'} for one in found if one['n']]
            for name in compared:
                own = living[name][numbers], resampled[name][:, numbers]
                for null in nulls:
                    one = np.broadcast_to(null_values[null][name], own[0].shape)
                    many = np.broadcast_to(null_rounds[null][name][:, None], own[1].shape)
                    metric = f'{name}_skill' if null == CONSTANT else _above(name, null)
                    result += tables.paired_rows(row, own[0], one, own[1], many, names, metric, seed)
                for null, (one, many) in stand_ins.items():
                    one, many = one[name][numbers], many[name][:, numbers]
                    if np.isfinite(one).any():
                        result += tables.paired_rows(row, own[0], one, own[1], many, names, _above(name, null), seed)
                if arm != reference:
                    other = living[name][arms[reference]], own[1], resampled[name][:, arms[reference]]
                    result += tables.paired_rows(row, own[0], *other, names, f'{name}_difference', seed)
    return result


def _above(name: str, null: str) -> str:
    return f'{name}_above_{null.replace(" ", "_")}'


def _resampled(measures: dict, alive, pairs: Pairs, num_classes: int, weights, subsets) -> tuple[dict, dict]:
    """The living members' means, and the same in every round."""
    frozen = {name: np.where(alive[:, None], value, np.nan) for name, value in measures.items()}
    values = summarise(frozen, pairs.finding, num_classes, None, subsets)
    return values, summarise(frozen, pairs.finding, num_classes, weights, subsets)


def _rows_of(values: dict, names, counts, make) -> list[dict]:
    """Rows of method -> measure -> [K + 2 + E]; findings without a pair have none."""
    return [
        make(**{'class': name, 'method': method, 'metric': measure, 'value': value[k], 'n': counts[k]})
        for method, measures in values.items()
        for measure, value in measures.items()
        for k, name in enumerate(names)
        if counts[k]
    ]
