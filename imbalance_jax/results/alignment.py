"""How well the maps of a population align with findings, as rows: members, arms, nulls, and differences to both."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.regions import Pairs
from imbalance_jax.metrics.scores import macro
from imbalance_jax.metrics.statistics import cluster_weights, weighted_mean
from imbalance_jax.results.rows import (
    MACRO,
    Bootstrap,
    Cells,
    Population,
    Row,
    Sample,
    class_cells,
    of_kind,
    of_member,
    paired_rows,
    seed_statistics,
)

MEASURES = ('pointing_game', 'hit_share', 'iobb', 'ior', 'iou', 'empty')
COMPARED = ('hit_share', 'ior', 'iou')  # of these, the ones that are compared with nulls and between arms
ALL_PAIRS = 'all pairs'

# Nulls: maps that know no model, and what stands in for each member.
CHANCE, CENTRE, CONSTANT, CEILING = 'chance', 'image centre', 'constant map', 'resolution ceiling'
SHUFFLED, UNTRAINED, PERMUTED = 'shuffled regions', 'untrained network', 'permuted labels'

Figures = Mapping[str, np.ndarray]  # measure of `alignment.measure` -> [M], [P,M]


class Nulls(NamedTuple):
    """What maps are held against.

    fixed: null -> figures [M] of maps that know no model; matched: null -> method -> figures [P,M] of what stands in
    for each member.
    """

    fixed: Mapping[str, Figures]
    matched: Mapping[str, Mapping[str, Figures]] = {}


class Grouping(NamedTuple):
    """Which pairs are averaged: the finding [M] of each pair, the number of findings, and subsets of the pairs,
    name -> [M] bool, or [P,M] where members differ."""

    finding: np.ndarray
    num_classes: int
    subsets: Mapping[str, np.ndarray] = {}

    @property
    def counts(self) -> list[int]:
        """Pairs of each finding, findings in the macro mean, all pairs, pairs of each subset (mean over members)."""
        by_finding = np.bincount(self.finding, minlength=self.num_classes).tolist()
        of_subsets = [int(np.round(part.sum(-1).mean())) for part in self.subsets.values()]
        return [*by_finding, len(np.unique(self.finding)), len(self.finding), *of_subsets]

    def cells(self, classes: Sequence[str]) -> list[dict[str, str]]:
        """Class and subset of the last axis of what `summarise` gives."""
        parts = [{'class': ALL_PAIRS, 'subset': name} for name in self.subsets]
        return [*class_cells([*classes, MACRO, ALL_PAIRS]), *parts]


def summarise(figures: Figures, grouping: Grouping, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Means over pairs of figures [..., M]: name -> [..., K + 2 + E], the K findings, their macro mean, all pairs as
    one, and each of E subsets of the pairs.

    weights: [R, M], how often each pair counts in each round; results are then [R, ..., K + 2 + E]. Of figures without
    members a subset that differs between members is NaN. `pointing_game` is the study's sum(hits) / sum(points), from
    which empty maps drop out; `hit_share` gives each pair one vote, and an empty map misses.
    """
    finding, K, subsets = grouping
    rounds = np.ones((1, len(finding))) if weights is None else weights
    figures = {name: np.asarray(value, np.float64) for name, value in figures.items()}
    share = figures['hits'] / np.maximum(figures['points'], 1)
    undefined = np.isnan(figures['iou'])
    values = {'hit_share': np.where(undefined, np.nan, share), **figures}
    parts = [finding == k for k in range(K)] + [np.ones(len(finding), bool), *subsets.values()]
    result = {name: np.stack([_mean(value, part, rounds) for part in parts], axis=-1) for name, value in values.items()}
    with np.errstate(invalid='ignore', divide='ignore'):
        result['pointing_game'] = result.pop('hits') / result.pop('points')
    result = {name: _with_macro(result[name], K) for name in names_of(figures)}
    return result if weights is not None else {name: value[0] for name, value in result.items()}


def _mean(value: np.ndarray, part: np.ndarray, rounds: np.ndarray) -> np.ndarray:
    """Mean [R, ...] over one part of the pairs, [M] or [P,M] bool, in every round."""
    if part.ndim == 1:
        return weighted_mean(value[..., part], rounds[:, part])
    if value.ndim == 1:
        return np.full(len(rounds), np.nan)
    return weighted_mean(np.where(part, value, np.nan), rounds)


def names_of(figures: Figures) -> list[str]:
    """The measures of figures: the study's, then the others in their order."""
    return [*MEASURES, *(name for name in figures if name not in (*MEASURES, 'hits', 'points'))]


def _with_macro(values: np.ndarray, num_classes: int) -> np.ndarray:
    """[..., K + 1 + E] to [..., K + 2 + E], with the mean over findings after them."""
    findings, rest = values[..., :num_classes], values[..., num_classes:]
    return np.concatenate([findings, macro(findings)[0][..., None], rest], axis=-1)


class Means(NamedTuple):
    """Means over pairs by measure, [..., K + 2 + E] on the data and [R, ..., K + 2 + E] in rounds of the bootstrap."""

    values: dict[str, np.ndarray]
    resampled: dict[str, np.ndarray]

    @classmethod
    def of(cls, figures: Figures, grouping: Grouping, weights: np.ndarray) -> 'Means':
        """Of figures [..., M]; weights: [R, M] of the rounds."""
        return cls(summarise(figures, grouping), summarise(figures, grouping, weights))

    def sample(self, measure: str, members: Sequence[int]) -> Sample:
        """One measure of some members."""
        return Sample(self.values[measure][members], self.resampled[measure][:, members])

    def repeated(self, measure: str, count: int) -> Sample:
        """One measure of a map without members, in place of each of `count` members."""
        values, resampled = self.values[measure], self.resampled[measure]
        shape = (count, *values.shape)
        return Sample(np.broadcast_to(values, shape), np.broadcast_to(resampled[:, None], (len(resampled), *shape)))


def rows(
    population: Population,
    figures: Mapping[str, Figures],
    pairs: Pairs,
    *,
    nulls: Nulls,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    subsets: Mapping[str, np.ndarray] | None = None,
) -> list[Row]:
    """All rows of one split.

    figures: method -> measures [P,M] of `alignment.measure`; subsets: see `Grouping`. A frozen member has rows of its
    own and no part in means and differences. Differences, of an arm's mean over seeds, are to every null and to the
    reference arm, with intervals over patients and seeds.
    """
    grouping = Grouping(pairs.finding, len(classes), subsets or {})
    cells, counts = grouping.cells(classes), grouping.counts
    weights = cluster_weights(pairs.patient, bootstrap.rounds, np.random.default_rng(bootstrap.seed))
    fixed = {null: Means.of(value, grouping, weights) for null, value in nulls.fixed.items()}
    result = [row for null, means in fixed.items() for row in _null_rows(null, means.values, cells, counts)]
    for method, measures in figures.items():
        result += _member_rows(population.members, method, summarise(measures, grouping), cells=cells, counts=counts)
        living = Means.of(_living(population, measures), grouping, weights)
        matched = {
            null: Means.of(_living(population, by_method[method]), grouping, weights)
            for null, by_method in nulls.matched.items()
            if method in by_method
        }
        result += _mean_rows(population, method, living, matched, cells=cells)
        compared = [name for name in names_of(measures) if name in COMPARED or name not in MEASURES]
        comparison = Comparison(method, living, fixed, matched)
        result += _difference_rows(population, comparison, compared, cells=cells)
    return result


class Comparison(NamedTuple):
    """The means of one method's maps of the living members, and those of every null: fixed, and matched to members."""

    method: str
    living: Means
    fixed: Mapping[str, Means]
    matched: Mapping[str, Means]

    def nulls(self, measure: str, members: Sequence[int]) -> dict[str, Sample]:
        """Null -> what it scores in place of some members, of the nulls for which that is defined."""
        samples = {null: means.repeated(measure, len(members)) for null, means in self.fixed.items()}
        matched = {null: means.sample(measure, members) for null, means in self.matched.items()}
        return {**samples, **{null: sample for null, sample in matched.items() if sample.defined}}


def _living(population: Population, figures: Figures) -> dict[str, np.ndarray]:
    return {name: population.living(value) for name, value in figures.items()}


def _null_rows(null: str, values: Figures, cells: Cells, counts: Sequence[int]) -> list[Row]:
    """Rows of a map that knows no model; findings without a pair have none."""
    return [
        {**of_kind('null', measure, value[k], counts[k], against=null), **cell}
        for measure, value in values.items()
        for k, cell in enumerate(cells)
        if counts[k]
    ]


def _member_rows(
    members: Sequence[Row], method: str, values: Figures, *, cells: Cells, counts: Sequence[int]
) -> list[Row]:
    """Rows of every member; findings without a pair have none."""
    return [
        {**of_member(member, measure, value[member['member'], k], counts[k], method=method), **cell}
        for member in members
        for measure, value in values.items()
        for k, cell in enumerate(cells)
        if counts[k]
    ]


def _mean_rows(
    population: Population, method: str, living: Means, matched: Mapping[str, Means], *, cells: Cells
) -> list[Row]:
    """Mean and standard deviation over an arm's seeds, and the same of what stands in for them."""
    result = []
    for arm, indices in population.arms.items():
        first = population.first[arm]
        for measure, values in living.values.items():
            result += seed_statistics(first, values[indices], cells, measure, method=method)
        for null, means in matched.items():
            for measure, values in means.values.items():
                what: dict[str, Any] = {'kind': 'null', 'method': method, 'against': null}
                level = seed_statistics(first, values[indices], cells, measure, **what)
                result += [row for row in level if row['n']]
    return result


def _difference_rows(
    population: Population, comparison: Comparison, measures: Sequence[str], *, cells: Cells
) -> list[Row]:
    """An arm's means over seeds minus those of every null and of the reference, with intervals."""
    result, arms = [], population.arms
    for arm, indices in arms.items():
        for measure in measures:
            sample, others = comparison.living.sample(measure, indices), comparison.nulls(measure, indices)
            if arm != population.reference:
                others[population.reference] = comparison.living.sample(measure, arms[population.reference])
            for against, other in others.items():
                what: dict[str, Any] = {'cells': cells, 'metric': measure, 'against': against}
                result += paired_rows(population.first[arm], sample, other, method=comparison.method, **what)
    return result
