"""Do other members represent the same, as rows: CKA of layers, units that match, and what becomes of detectors."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.concepts import persistence
from imbalance_jax.metrics.statistics import finite_mean
from imbalance_jax.results.rows import Population, Row, of_arm, of_member
from imbalance_jax.results.units import ALL_CONCEPTS

# relation -> whether two members share the arm, and the seed
RELATIONS = {
    'other seed': (True, False),
    'other arm': (False, True),  # the same initial weights and data order
    'other arm and seed': (False, False),
}
ITSELF = 'itself'


# What is taken off a figure (`above`): that of layers which share nothing but this.
ROTATED, PERMUTED = 'rotated units', 'permuted images'
ABOVE = ('', ROTATED, PERMUTED)


class Likeness(NamedTuple):
    """What pairs of members share: CKA [L,P,L,P] and Procrustes distance [L,P,P] of layers, and of the first of the
    `layers` what its units share.

    partner [P,P,U]: the unit of the second member that matches each unit of the first, -1 for none; r [P,P,U]: their
    correlation; permuted_partner [P,P,U]: partners where the second looks at other images; nearest and mutual [3,P,P]:
    the mean highest r, and the share of units that match, as they are, of rotated units, and on other images (ABOVE).
    """

    cka: np.ndarray
    procrustes: np.ndarray
    partner: np.ndarray
    r: np.ndarray
    permuted_partner: np.ndarray
    nearest: np.ndarray
    mutual: np.ndarray
    layers: Sequence[str]


class Detectors(NamedTuple):
    """What the units of a member detect: detector [U,S] bool, and the best concept [U] of each, -1 for none."""

    detector: np.ndarray
    best_concept: np.ndarray


def pair_rows(population: Population, likeness: Likeness) -> list[Row]:
    """Rows of every ordered pair of living members: likeness of layers, and of units, also above chance (`above`).

    matched_units: the share of the first's units that are each other's nearest with one of the second's, matched_r
    their mean correlation; nearest_r: the mean over all units of the highest correlation. CKA with another layer also
    compares a member with itself.
    """
    members, layers, result = population.members, likeness.layers, []
    for i, j in itertools.product(range(len(layers)), repeat=2):
        for a, b in itertools.product(population.living_indices, repeat=2):
            if i != j or a != b:
                where = {'layer': layers[i], 'other_layer': layers[j]}
                result.append(_row(members[a], members[b], 'cka', likeness.cka[i, a, j, b], 1, **where))
    for a, b in _pairs(population):
        matched, r = likeness.partner[a, b] >= 0, likeness.r[a, b]
        mean, one, other = finite_mean(r[matched]), members[a], members[b]
        result.append(_row(one, other, 'matched_r', mean, matched.sum(), layer=layers[0]))
        for metric, levels in (('matched_units', likeness.mutual), ('nearest_r', likeness.nearest)):
            for above, level in zip(ABOVE, levels[:, a, b], strict=True):
                value = levels[0, a, b] - (level if above else 0)
                result.append(_row(one, other, metric, value, len(matched), layer=layers[0], above=above))
        for i, layer in enumerate(layers):
            result.append(_row(one, other, 'procrustes', likeness.procrustes[i, a, b], 1, layer=layer))
    return result


def persistence_rows(
    population: Population, detectors: Sequence[Detectors], likeness: Likeness, names: Sequence[str]
) -> list[Row]:
    """Rows of every ordered pair of living members: detectors of the first that the second keeps, moves and loses.

    n is the number of detectors. `above` the level of permuted images: less what partners by chance keep and move.
    """
    members, result = population.members, []
    for a, b in _pairs(population):
        own, chance = (_outcomes(detectors, partner, a, b) for partner in (likeness.partner, likeness.permuted_partner))
        concept = detectors[a].best_concept
        groups = {ALL_CONCEPTS: concept >= 0, **{name: concept == s for s, name in enumerate(names)}}
        for name, group in groups.items():
            if group.any():
                counts, by_chance = (persistence.persistence_counts(outcomes[group]) for outcomes in (own, chance))
                for above, values in (('', counts), (PERMUTED, counts - by_chance)):
                    what = {'concept': name, 'layer': likeness.layers[0], 'above': above}
                    for metric, value in zip(persistence.OUTCOMES, values, strict=True):
                        result.append(_row(members[a], members[b], metric, value, group.sum(), **what))
    return result


def persistence_of_units(
    population: Population, detectors: Sequence[Detectors], partner: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """A dict per member: relation -> share [U] of related members that keep a unit's detector, NaN for no detector."""
    members, result = population.members, []
    for a, one in enumerate(members):
        shares = {}
        for relation, kind in RELATIONS.items():
            living = [b for b in population.living_indices if b != a]
            related = [b for b in living if relation_of(one, members[b], paired=population.paired) == kind]
            kept = [_outcomes(detectors, partner, a, b) == persistence.KEPT for b in related]
            share = np.mean(kept, axis=0) if related else np.nan
            shares[relation] = np.where(detectors[a].best_concept >= 0, share, np.nan)
        result.append(shares)
    return result


def by_relation(population: Population, pairs: Sequence[Row]) -> list[Row]:
    """Arm rows of the pair rows: mean over pairs of each relation, for the arm's members as the first of the pair.

    What becomes of detectors are shares of them, all pairs together.
    """
    cells: dict[tuple, list[tuple[float, float]]] = {}
    for row in pairs:
        same = row['arm'] == row['other_arm'], row['seed'] == row['other_seed']
        if same != (True, True):
            same = same[0], same[1] and population.paired
        relation = next((name for name, kind in RELATIONS.items() if same == kind), ITSELF)
        where = tuple((column, row[column]) for column in ('concept', 'layer', 'other_layer', 'above') if column in row)
        weight = row['n'] if row['metric'] in persistence.OUTCOMES else 1
        cells.setdefault((row['arm'], row['metric'], relation, where), []).append((row['value'], weight))
    result = []
    for (arm, metric, relation, where), values in cells.items():
        totals, weights = np.array(values, float).T
        kept = np.isfinite(totals)
        mean = totals[kept].sum() / weights[kept].sum() if kept.any() else np.nan
        what = {'statistic': 'share' if metric in persistence.OUTCOMES else 'mean', 'against': relation, **dict(where)}
        result.append(of_arm(population.first[arm], metric, mean, kept.sum(), **what))
    return result


def relation_of(one: Mapping, other: Mapping, *, paired: bool) -> tuple[bool, bool]:
    """Whether two members share the arm, and the seed; equal seeds of members that are no pairs are none."""
    return one['arm'] == other['arm'], paired and one['seed'] == other['seed']


def _pairs(population: Population) -> Iterator[tuple[int, int]]:
    """Ordered pairs of living members."""
    return itertools.permutations(population.living_indices, 2)


def _outcomes(detectors: Sequence[Detectors], partner: np.ndarray, a: int, b: int) -> np.ndarray:
    """What member b makes of the detectors of member a, [U]."""
    unit = np.flatnonzero(partner[a, b] >= 0)
    matches = np.stack([unit, partner[a, b][unit]], axis=1)
    return persistence.detector_persistence(detectors[a].best_concept, detectors[b].detector, matches)


def _row(member: Row, other: Row, metric: str, value: float, n: int, **columns) -> Row:
    pair = {'kind': 'pair', 'other_arm': other['arm'], 'other_seed': other['seed']}
    return of_member(member, metric, value, n, **pair, **columns)
