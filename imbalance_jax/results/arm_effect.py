"""Do arms differ by more than seeds do, as rows: one test of all arms by kind of distance, and one of each arm."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imbalance_jax.metrics.statistics import Beyond, arms_beyond_seeds, holm
from imbalance_jax.results.rows import Population, Row, by_arm, of_arm, of_kind

BETWEEN, WITHIN = 'between arms', 'within arms'


class Distance(NamedTuple):
    """How far apart members are, [P,P], by one measure in one layer."""

    metric: str
    layer: str
    values: np.ndarray


def rows(population: Population, distances: Sequence[Distance], *, rounds: int = 9999) -> list[Row]:
    """Mean distance of members of other arms and other seeds, of members of one arm, the difference and its p.

    p is by exchange of arms within seeds; p_adjusted is corrected over the distances (Holm), for single arms over arms
    too. Rows of kind 'arm' are of the arm and the reference alone.
    """
    arms, reference = list(by_arm(population.living_members)), population.reference
    result = _family(population, distances, {'': arms}, rounds=rounds)
    others = {arm: [reference, arm] for arm in arms if arm != reference and reference in arms}
    return result + _family(population, distances, others, rounds=rounds)


def _family(
    population: Population, distances: Sequence[Distance], groups: dict[str, list[str]], *, rounds: int
) -> list[Row]:
    """Tests that are corrected together; groups: arm, or '' for all, -> the arms that are compared."""
    tests = [
        (arm, distance, _test(population, distance, compared, rounds))
        for arm, compared in groups.items()
        for distance in distances
    ]
    adjusted = holm([test.p for _, _, test in tests])
    return [
        row
        for (arm, distance, test), p_adjusted in zip(tests, adjusted, strict=True)
        for row in _test_rows(population, arm, distance, test, p_adjusted=p_adjusted)
    ]


def _test(population: Population, distance: Distance, arms: Sequence[str], rounds: int) -> Beyond:
    chosen = [i for i in population.living_indices if population.members[i]['arm'] in arms]
    names, seeds = ([population.members[i][key] for i in chosen] for key in ('arm', 'seed'))
    return arms_beyond_seeds(distance.values[np.ix_(chosen, chosen)], names, seeds, rounds)


def _test_rows(population: Population, arm: str, distance: Distance, test: Beyond, *, p_adjusted: float) -> list[Row]:
    figures = [
        (test.between, {'pairs': BETWEEN, 'statistic': 'mean'}),
        (test.within, {'pairs': WITHIN, 'statistic': 'mean'}),
        (test.difference, {'pairs': BETWEEN, 'statistic': 'mean', 'against': WITHIN}),
        (test.p, {'pairs': BETWEEN, 'statistic': 'p', 'against': WITHIN}),
        (p_adjusted, {'pairs': BETWEEN, 'statistic': 'p_adjusted', 'against': WITHIN}),
    ]
    result = []
    for value, what in figures:
        if arm:
            member = population.first[arm]
            row = of_arm(member, distance.metric, value, test.pairs, layer=distance.layer, **what)
        else:
            row = of_kind('population', distance.metric, value, test.pairs, layer=distance.layer, **what)
        result.append(row)
    return result
