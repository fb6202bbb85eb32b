"""How well the maps of a population align with findings, as rows: members, arms, nulls, and differences to both.

An arm whose maps are hotter everywhere overlaps more with any region, its own or not. So the standard contrast between
arms is a difference of differences: how much more a map aligns with its own region than, on the average, with those of
other patients with the finding, in the arm minus the same in the reference (column `above`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.data.regions import Pairs
from imbalance_jax.results.contrasts import contrast_rows, end_rows, level, paired_contrast, reference_contrasts
from imbalance_jax.results.pair_means import ALL_PAIRS, MEASURES, Figures, Grouping, Means, names_of
from imbalance_jax.results.rows import (
    Bootstrap,
    Cells,
    Population,
    Row,
    Sample,
    interval_rows,
    of_kind,
    of_member,
    seed_statistics,
)

COMPARED = ('hit_share', 'ior', 'iou')  # of the study's, the ones that are compared with nulls and between arms
EMPTY = 'empty'  # share of empty maps: an outcome of its own
OUTSIDE = 'heat_outside_anatomy'  # share of the heat outside lungs and heart: an outcome that needs no finding's region
# Measures in which smooth and sparse maps can be compared, and so skill above a constant map: they read one point of a
# map, or the order of its pixels. Overlaps are larger for maps as smooth as a region.
COMPARABLE = (
    'hit_share',
    'signed_hit_share',
    'pixel_auroc',
    'signed_pixel_auroc',
    'pointing_game_torchray',
    'pointing_game_chexlocalize',
)

# Nulls: maps that know no model, and what stands in for each member.
CHANCE, CENTRE, CONSTANT, CEILING = 'chance', 'image centre', 'constant map', 'resolution ceiling'
SHUFFLED, UNTRAINED, PERMUTED = 'shuffled regions', 'untrained network', 'permuted labels'
BEFORE = 'network before training'  # in place of an untrained one where any arm begins with weights learned elsewhere


class Nulls(NamedTuple):
    """What maps are held against.

    fixed: null -> figures [M] of maps that know no model; matched: null -> method -> figures [P,M] of what stands in
    for each member.
    """

    fixed: Mapping[str, Figures]
    matched: Mapping[str, Mapping[str, Figures]] = {}


class Table(NamedTuple):
    """What all rows share: who they are of, the cells of the means, the grouping of pairs, and for each cell the
    effective number of patients and whether they are too few for an interval."""

    population: Population
    cells: Cells
    grouping: Grouping
    clusters: np.ndarray
    too_few: np.ndarray

    @property
    def evidence(self) -> dict[str, np.ndarray]:
        """What `paired_contrast` has to know."""
        return {'clusters': self.clusters, 'too_few': self.too_few}


def rows(
    population: Population,
    figures: Mapping[str, Figures],
    pairs: Pairs,
    *,
    nulls: Nulls,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    subsets: Mapping[str, np.ndarray] | None = None,
    smallest_count: int = 5,
    counted: tuple[str, str] = ('pairs', 'patients'),
    subset: str = '',
) -> list[Row]:
    """All rows of one split.

    figures: method -> measures [P,M] of `alignment.measure`, or some of them; subsets: see `Grouping`; counted: what
    the rows that count pairs and patients are named; subset: which part of all pairs these are, '' for all.

    A frozen member has rows of its
    own and no part in means and differences. Differences, of an arm's mean over seeds, are to every null and to the
    reference arm, with intervals over patients and seeds; where there are fewer than `smallest_count` patients there is
    no interval.
    """
    grouping = Grouping(pairs.finding, pairs.patient, len(classes), subsets or {})
    cells = [{**cell, 'subset': cell.get('subset', subset)} if subset else cell for cell in grouping.cells(classes)]
    table = Table(population, cells, grouping, grouping.clusters, grouping.too_few(smallest_count))
    weights = bootstrap.weights(pairs.patient)
    fixed = {null: Means.of(value, grouping, weights) for null, value in nulls.fixed.items()}
    result = _count_rows(grouping, [*classes, ALL_PAIRS], counted)
    result += [row for null, means in fixed.items() for row in _null_rows(table, null, means)]
    compared = [i for of in population.compared.values() for i in of if population.alive[i]]
    for method, measures in figures.items():
        result += _member_rows(table, method, Means.of(measures, grouping, weights[:0], compared))
        living = Means.of(_living(population, measures), grouping, weights, compared)
        matched = {
            null: Means.of(_living(population, by_method[method]), grouping, weights, compared)
            for null, by_method in nulls.matched.items()
            if method in by_method
        }
        names = [name for name in names_of(measures) if name in COMPARED or name not in MEASURES]
        comparison = Comparison(method, living, fixed, matched)
        result += _mean_rows(table, comparison, [*names, EMPTY])
        result += _null_difference_rows(table, comparison, names)
        result += _arm_difference_rows(table, comparison, names)
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
        samples |= {null: means.sample(measure, members) for null, means in self.matched.items()}
        return {null: sample for null, sample in samples.items() if sample.defined}

    def above(self, measure: str, members: Sequence[int]) -> Sample:
        """One measure of some members above the regions of other patients."""
        own, other = self.living.sample(measure, members), self.matched[SHUFFLED].sample(measure, members)
        return Sample(own.values - other.values, own.resampled - other.resampled)


def _living(population: Population, figures: Figures) -> dict[str, np.ndarray]:
    return {name: population.living(value) for name, value in figures.items()}


def _count_rows(grouping: Grouping, names: Sequence[str], counted: tuple[str, str]) -> list[Row]:
    """Pairs of an image and a finding, and their patients, of each finding and of all; counted: their names."""
    pairs = [int(part.sum()) for part in grouping.parts[: len(names)]]
    return [
        of_kind('data', metric, number, number, name=name)
        for metric, numbers in zip(counted, (pairs, grouping.patients), strict=True)
        for name, number in zip(names, numbers, strict=False)
    ]


def _null_rows(table: Table, null: str, means: Means) -> list[Row]:
    """Rows of a map that knows no model; findings without a pair, and measures without a level, have none."""
    return [
        {**of_kind('null level', measure, value[k], counts[k], against=null), **cell}
        for measure, value in means.values.items()
        if np.isfinite(value).any()
        for counts in [table.grouping.counts(means.in_macro[measure])]
        for k, cell in enumerate(table.cells)
        if counts[k]
    ]


def _member_rows(table: Table, method: str, means: Means) -> list[Row]:
    """Rows of every member; findings without a pair have none."""
    return [
        {**of_member(member, measure, value[member['member'], k], counts[k], method=method), **cell}
        for measure, value in means.values.items()
        for counts in [table.grouping.counts(means.in_macro[measure])]
        for member in table.population.members
        for k, cell in enumerate(table.cells)
        if counts[k]
    ]


def _mean_rows(table: Table, comparison: Comparison, with_interval: Sequence[str]) -> list[Row]:
    """Mean and standard deviation over an arm's seeds, with the ends of an interval for some measures; and the same
    without interval of what stands in for them."""
    result, (population, method) = [], (table.population, comparison.method)
    for arm, indices in population.arms.items():
        first = population.first[arm]
        for measure, values in comparison.living.values.items():
            result += seed_statistics(first, values[indices], table.cells, measure, method=method)
            if measure in with_interval:
                sample = comparison.living.sample(measure, indices)
                interval = level(sample, within_unit=True, **table.evidence)
                result += end_rows(first, interval, table.cells, measure, sample.seeds, method=method)
        for null, means in comparison.matched.items():
            for measure, values in means.values.items():
                what: dict[str, Any] = {'kind': 'null level', 'method': method, 'against': null}
                of_null = seed_statistics(first, values[indices], table.cells, measure, **what)
                result += [row for row in of_null if row['n']]
    return result


def _null_difference_rows(table: Table, comparison: Comparison, measures: Sequence[str]) -> list[Row]:
    """An arm's means over seeds minus those of every null, with intervals."""
    result, population = [], table.population
    for arm, indices in population.arms.items():
        for measure in measures:
            sample = comparison.living.sample(measure, indices)
            for null, other in comparison.nulls(measure, indices).items():
                one = paired_contrast(population.first[arm], sample, other, **table.evidence)
                what: dict[str, Any] = {'method': comparison.method, 'against': null}
                result += interval_rows(one.member, one.interval, table.cells, measure, one.pairs, **what)
    return result


def _arm_difference_rows(table: Table, comparison: Comparison, measures: Sequence[str]) -> list[Row]:
    """Every compared arm against the reference, as it is and above the regions of other patients, with p."""
    result, reference = [], table.population.reference
    of_sample = {'': comparison.living.sample}
    if SHUFFLED in comparison.matched:
        of_sample[SHUFFLED] = comparison.above
    for above, sample in of_sample.items():
        for measure in [*measures, *([EMPTY] if not above and EMPTY in comparison.living.values else [])]:
            samples = {arm: sample(measure, of) for arm, of in table.population.compared.items()}
            contrasts = reference_contrasts(table.population, samples, **table.evidence)
            what: dict[str, Any] = {'method': comparison.method, 'above': above}
            result += contrast_rows(contrasts, cells=table.cells, metric=measure, against=reference, **what)
    return result
