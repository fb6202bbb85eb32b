"""Do other members represent the same, as rows: CKA of layers, units that match, and what becomes of detectors."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.concepts import persistence
from imbalance_jax.results.rows import Population, Row, of_arm, of_member
from imbalance_jax.results.units import ALL_CONCEPTS

# relation -> whether two members share the arm, and the seed
RELATIONS = {
    'other seed': (True, False),
    'other arm': (False, True),  # the same initial weights and data order
    'other arm and seed': (False, False),
}
ITSELF = 'itself'


class Likeness(NamedTuple):
    """What pairs of members share: CKA [L,P,L,P] of layers; of the first of the `layers`, the unit of the second
    member that matches each unit of the first, partner [P,P,U] (-1 for none), and their correlation r [P,P,U]."""

    cka: np.ndarray
    partner: np.ndarray
    r: np.ndarray
    layers: Sequence[str]


class Detectors(NamedTuple):
    """What the units of a member detect: detector [U,S] bool, and the best concept [U] of each, -1 for none."""

    detector: np.ndarray
    best_concept: np.ndarray


def pair_rows(population: Population, likeness: Likeness) -> list[Row]:
    """Rows of every ordered pair of living members: CKA of layers, and the share and mean r of units that match.

    CKA with another layer also compares a member with itself.
    """
    members, layers, result = population.members, likeness.layers, []
    for i, j in itertools.product(range(len(layers)), repeat=2):
        for a, b in itertools.product(population.living_indices, repeat=2):
            if i != j or a != b:
                where = {'layer': layers[i], 'other_layer': layers[j]}
                result.append(_row(members[a], members[b], 'cka', likeness.cka[i, a, j, b], 1, **where))
    for a, b in _pairs(population):
        matched, r = likeness.partner[a, b] >= 0, likeness.r[a, b]
        mean = r[matched].astype(float).mean() if matched.any() else np.nan
        values = {'matched_units': (matched.mean(), len(matched)), 'matched_r': (mean, matched.sum())}
        for metric, (value, n) in values.items():
            result.append(_row(members[a], members[b], metric, value, n, layer=layers[0]))
    return result


def persistence_rows(
    population: Population, detectors: Sequence[Detectors], partner: np.ndarray, names: Sequence[str], *, layer: str
) -> list[Row]:
    """Rows of every ordered pair of living members: detectors of the first that the second keeps, moves and loses.

    n is the number of detectors.
    """
    members, result = population.members, []
    for a, b in _pairs(population):
        outcomes = _outcomes(detectors, partner, a, b)
        groups = {
            ALL_CONCEPTS: outcomes,
            **{name: outcomes[detectors[a].best_concept == s] for s, name in enumerate(names)},
        }
        for name, group in groups.items():
            counts = persistence.persistence_counts(group)
            for metric, count in zip(persistence.OUTCOMES, counts, strict=True) if counts.sum() else ():
                result.append(_row(members[a], members[b], metric, count, counts.sum(), concept=name, layer=layer))
    return result


def persistence_of_units(
    population: Population, detectors: Sequence[Detectors], partner: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """A dict per member: relation -> share [U] of related members that keep a unit's detector, NaN for no detector."""
    members, result = population.members, []
    for a, one in enumerate(members):
        shares = {}
        for relation, kind in RELATIONS.items():
            related = [b for b in population.living_indices if b != a and relation_of(one, members[b]) == kind]
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
        relation = next((name for name, kind in RELATIONS.items() if same == kind), ITSELF)
        where = tuple((column, row[column]) for column in ('concept', 'layer', 'other_layer') if column in row)
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


def relation_of(one: Mapping, other: Mapping) -> tuple[bool, bool]:
    """Whether two members share the arm, and the seed."""
    return one['arm'] == other['arm'], one['seed'] == other['seed']


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
