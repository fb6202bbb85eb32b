"""Do arms differ by more than seeds do, as rows: one test of all arms by kind of distance, and one of each arm.

For units (table `arm_effect`) and for maps (`map_effect`). Arms trained on permuted labels are in none of them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.metrics import exchange
from imbalance_jax.metrics.exchange import Beyond
from imbalance_jax.metrics.statistics import holm
from imbalance_jax.results.rows import Population, Row, of_arm, of_kind

BETWEEN, WITHIN, CENTRE = 'between arms', 'within arms', "to the arm's centre"  # `pairs`
GIVEN_AUROC = 'AUROC by class'  # `given`


class Distance(NamedTuple):
    """How far apart members are, squared [P,P], by one measure in one layer, or of one attribution method."""

    metric: str
    layer: str
    values: np.ndarray
    method: str = ''

    @property
    def where(self) -> dict[str, str]:
        """Its columns."""
        return {'layer': self.layer, 'method': self.method}


class Tested(NamedTuple):
    """A test of an arm, or '' for all, against the reference or each other, by a distance, unconditional if given ''.

    p_adjusted: corrected over all tests of the same kind (Holm); smallest: what p_adjusted the seeds allow at best.
    """

    arm: str
    given: str
    distance: Distance
    test: Beyond
    p_adjusted: float
    smallest: float


def rows(
    population: Population,
    distances: Sequence[Distance],
    *,
    auroc: np.ndarray | None = None,
    rounds: int = 9999,
) -> list[Row]:
    """Mean squared distance of members of other arms and other seeds, of members of one arm, the difference and its p.

    Also the difference in units of the distance within arms, the share of squared distance that lies between arms and
    between seeds (R2), and whether arms are equally spread. auroc: [P,K] of the members on the same images, by class;
    with it each test is made again on what distances of AUROC do not explain (`given`). p is by exchange of arms within
    seeds, or of any two members where those with one seed are no pairs; corrected over the distances (Holm), for single
    arms over arms too. Rows of kind 'arm' are of the arm and the reference alone; `p_smallest` says which p_adjusted
    their members allow at best.
    """
    compared = list(population.compared)
    others = [arm for arm in compared if arm != population.reference and population.reference in compared]
    result: list[Row] = []
    for groups in ({'': compared}, {arm: [population.reference, arm] for arm in others}):
        for tested in _tests(population, distances, groups, auroc=auroc, rounds=rounds):
            result += _test_rows(population, tested)
    return result + _partition_rows(population, distances, rounds=rounds)


def _tests(
    population: Population,
    distances: Sequence[Distance],
    groups: dict[str, list[str]],
    *,
    auroc: np.ndarray | None,
    rounds: int,
) -> Iterator[Tested]:
    """groups: arm, or '' for all, -> the arms that are compared; tests are corrected together."""
    for given in ('',) if auroc is None else ('', GIVEN_AUROC):
        tests = []
        for arm, compared in groups.items():
            chosen, names, seeds = _living(population, compared)
            smallest = exchange.smallest_p_of(names, seeds, rounds)
            by = _of_performance(np.asarray(auroc)[chosen]) if given else None
            for distance in distances:
                values = distance.values[np.ix_(chosen, chosen)]
                if by is not None:
                    values = exchange.unexplained(values, by, seeds)
                test = exchange.arms_beyond_seeds(values, names, seeds, rounds)
                tests.append((arm, distance, test, smallest))
        adjusted = holm([test.p for _, _, test, _ in tests])
        for (arm, distance, test, smallest), p in zip(tests, adjusted, strict=True):
            yield Tested(arm, given, distance, test, float(p), min(1.0, smallest * len(tests)))


def _of_performance(auroc: np.ndarray) -> np.ndarray:
    """Squared distances [n,P,P] of AUROC [P,K]: class by class, and of the sum over classes."""
    defined = auroc[:, np.isfinite(auroc).all(0)]
    total = defined.sum(1, keepdims=True) / max(1.0, np.sqrt(defined.shape[1]))
    return np.stack([exchange.squared_distances(values[:, None]) for values in (*defined.T, total[:, 0])])


def _living(population: Population, arms: Sequence[str]) -> tuple[list[int], list[str], list[int] | None]:
    """Numbers, arms and seeds of the living members of some arms; no seeds where these make no pairs."""
    chosen = [i for i in population.living_indices if population.members[i]['arm'] in arms]
    members = [population.members[i] for i in chosen]
    seeds = [member['seed'] for member in members] if population.paired else None
    return chosen, [member['arm'] for member in members], seeds


def _test_rows(population: Population, tested: Tested) -> list[Row]:
    test, beside = tested.test, {'pairs': BETWEEN, 'against': WITHIN}
    figures: list[tuple[float, dict[str, str]]] = [
        (test.difference, {**beside, 'statistic': 'mean'}),
        (test.p, {**beside, 'statistic': 'p'}),
        (tested.p_adjusted, {**beside, 'statistic': 'p_adjusted'}),
        (tested.smallest if np.isfinite(test.p) else np.nan, {**beside, 'statistic': 'p_smallest'}),
    ]
    if not tested.given:
        relative = test.difference / test.within if test.within > 0 else np.nan
        figures = [
            (test.between, {'pairs': BETWEEN, 'statistic': 'mean'}),
            (test.within, {'pairs': WITHIN, 'statistic': 'mean'}),
            *figures,
            (relative, {**beside, 'statistic': 'relative'}),
        ]
    return [
        _row(population, tested.arm, tested.distance, value, n=test.pairs, given=tested.given, **what)
        for value, what in figures
    ]


def _partition_rows(population: Population, distances: Sequence[Distance], *, rounds: int) -> list[Row]:
    """Shares of squared distance between arms and seeds, and the spread of each arm with a test that all are equal."""
    chosen, names, seeds = _living(population, list(population.compared))
    each, result = [distance.values[np.ix_(chosen, chosen)] for distance in distances], []
    spreads = [exchange.spread(values, names, seeds, rounds) for values in each]
    adjusted = holm([spread.p for spread in spreads])
    for distance, values, spread, p_adjusted in zip(distances, each, spreads, adjusted, strict=True):
        share = exchange.shares(values, names, seeds)
        figures = {'r2': share.arms, 'r2_seeds': share.seeds, 'r2_chance': share.by_chance}
        result += [_row(population, '', distance, v, n=len(chosen), statistic=name) for name, v in figures.items()]
        for name, p in (('p', spread.p), ('p_adjusted', p_adjusted)):
            result.append(_row(population, '', distance, p, n=len(chosen), statistic=name, pairs=CENTRE))
        for arm, value in zip(sorted(set(names)), spread.arms, strict=True):
            result.append(_row(population, arm, distance, value, n=names.count(arm), statistic='mean', pairs=CENTRE))
    return result


def _row(population: Population, arm: str, distance: Distance, value: float, **columns: Any) -> Row:
    """A row of an arm, or, for '', of all."""
    n, what = columns.pop('n'), {**distance.where, **columns}
    if arm:
        return of_arm(population.first[arm], distance.metric, value, n, **what)
    return of_kind('population', distance.metric, value, n, **what)
