"""Shifts between two data sets, against computations of their own."""

import numpy as np
import pytest

from imbalance_jax.analysis.validation import shift as simulations
from imbalance_jax.metrics import intervals, scores
from imbalance_jax.results import shift
from imbalance_jax.results.comparison import Claims, Truth
from imbalance_jax.results.rows import Bootstrap, Population

CLASSES = ('a', 'b', 'c')
MEMBERS = [
    {'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': seed, 'member': 3 * number + seed}
    for number, arm in enumerate(('bce', 'focal'))
    for seed in range(3)
]
POPULATION = Population(MEMBERS, np.ones(6, bool), 'bce')


def a_side(count, seed, masked=()):
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < 0.4).astype(np.uint8)
    mask = np.ones_like(labels)
    mask[:, list(masked)] = 0
    logits = rng.normal(size=(6, count, 3)) + 1.5 * labels
    probabilities = 1 / (1 + np.exp(-logits))
    return shift.Side(probabilities, probabilities, Truth(labels * mask, mask, np.arange(count)))


@pytest.fixture(scope='module')
def table():
    sides = a_side(80, 0), a_side(60, 1, masked=[1])
    rows = shift.rows(POPULATION, *sides, classes=CLASSES, bootstrap=Bootstrap(40, 0), claims=Claims(smallest_count=5))
    return sides, rows


def one(rows, **where):
    found = [
        row['value']
        for row in rows
        if all(row.get(key, '') == value for key, value in {'against': '', **where}.items())
    ]
    assert len(found) == 1, where
    return found[0]


def test_a_shift_is_external_minus_internal_over_the_classes_of_both(table):
    (home, away), rows = table
    values = [
        scores.auroc(side.probabilities, side.truth.labels, side.truth.label_mask)[:, [0, 2]] for side in (home, away)
    ]
    what = {'metric': 'auroc', 'statistic': 'mean', 'class': 'macro'}
    for number, arm in enumerate(('bce', 'focal')):
        members = slice(3 * number, 3 * number + 3)
        assert one(rows, arm=arm, place='internal', **what) == pytest.approx(values[0][members].mean())
        assert one(rows, arm=arm, place='external', **what) == pytest.approx(values[1][members].mean())
        moved = values[1][members].mean() - values[0][members].mean()
        assert one(rows, arm=arm, place='shift', **what) == pytest.approx(moved)
    own = one(rows, arm='focal', place='shift', **what) - one(rows, arm='bce', place='shift', **what)
    assert one(rows, arm='focal', place='shift', against='bce', **what) == pytest.approx(own)


def test_a_class_that_is_absent_there_is_in_no_row_but_the_counts_at_home(table):
    _, rows = table
    assert {row['place'] for row in rows if row['class'] == 'b'} == {'internal'}
    assert {row['metric'] for row in rows if row['class'] == 'b'} == {'positives', 'positive_patients', 'prevalence'}
    assert not shift.rows(
        POPULATION,
        a_side(40, 0, masked=[0, 1]),
        a_side(40, 1, masked=[2]),
        classes=CLASSES,
        bootstrap=Bootstrap(5, 0),
        claims=Claims(),
    )


def test_brier_shifts_by_what_the_definition_says(table):
    (home, away), rows = table
    squares = [((side.recalibrated - side.truth.labels) ** 2)[:3, :, 0].mean() for side in (home, away)]
    what = {'metric': 'brier', 'statistic': 'mean', 'class': 'a', 'arm': 'bce', 'place': 'shift'}
    assert one(rows, **what) == pytest.approx(squares[1] - squares[0])


def test_holm_is_over_arms_in_the_macro_mean(table):
    _, rows = table
    what = {'metric': 'auroc', 'class': 'macro', 'place': 'shift'}
    p = sorted(one(rows, arm=arm, statistic='p', **what) for arm in ('bce', 'focal'))
    adjusted = sorted(one(rows, arm=arm, statistic='p_adjusted', **what) for arm in ('bce', 'focal'))
    assert adjusted == pytest.approx([min(1, 2 * p[0]), min(1, max(2 * p[0], p[1]))])


def test_the_variance_is_that_of_seeds_and_of_both_samples_of_patients():
    rng = np.random.default_rng(0)
    values, others = rng.normal(size=(2, 4, 1))
    rounds, other_rounds = values + 0.3 * rng.normal(size=(4000, 1, 1)), others + 0.4 * rng.normal(size=(4000, 1, 1))
    got = intervals.independent_difference(values, others, rounds, other_rounds)
    variance = (values - others).var(ddof=1) / 4 + 0.3**2 + 0.4**2
    assert got.error[0] == pytest.approx(np.sqrt(variance), rel=0.02)
    assert got.estimate[0] == pytest.approx((values - others).mean())
    whole = intervals.seed_interval(values - others, rounds - other_rounds)
    assert got.error[0] == pytest.approx(whole.error[0], rel=0.02)


def test_a_frozen_member_is_in_no_shift():
    alive = np.ones(6, bool)
    alive[1] = False
    population = POPULATION._replace(alive=alive)
    sides = [a_side(60, seed) for seed in (0, 1)]
    dead = [side._replace(probabilities=population.living(side.probabilities)) for side in sides]
    dead = [side._replace(recalibrated=population.living(side.recalibrated)) for side in dead]
    rows = shift.rows(population, *dead, classes=CLASSES, bootstrap=Bootstrap(10, 0), claims=Claims())
    values = [scores.auroc(side.probabilities, side.truth.labels, side.truth.label_mask)[[0, 2]] for side in sides]
    what = {'metric': 'auroc', 'statistic': 'mean', 'class': 'macro', 'place': 'shift', 'arm': 'bce'}
    assert one(rows, **what) == pytest.approx((values[1] - values[0]).mean())


def test_maps_shift_over_the_findings_that_both_have():
    rng = np.random.default_rng(0)

    def maps(finding):
        count = len(finding)
        hits, points = (rng.random((6, count)) < 0.5).astype(float), np.ones((6, count))
        own = {'hits': hits, 'points': points, 'iou': rng.random((6, count)), 'ior': rng.random((6, count))}
        own |= {'iobb': own['ior'], 'empty': np.zeros((6, count))}
        return shift.Maps(np.array(finding), np.arange(count), own, {name: value * 0.5 for name, value in own.items()})

    home, away = maps([0] * 8 + [1] * 8), maps([1] * 9 + [2] * 9)
    rows = shift.map_rows(
        POPULATION, 'saliency', home, away, classes=CLASSES, bootstrap=Bootstrap(10, 0), smallest_count=2
    )
    assert {row['class'] for row in rows} == {'b', 'macro', 'all pairs'}
    what = {'metric': 'iou', 'statistic': 'mean', 'class': 'b', 'arm': 'bce', 'place': 'shift'}
    moved = away.own['iou'][:3, :9].mean() - home.own['iou'][:3, 8:].mean()
    assert one(rows, above='', **what) == pytest.approx(moved)
    assert one(rows, above='shuffled regions', **what) == pytest.approx(moved / 2)


def test_simulated_shifts_are_covered_and_half_intervals_are_not(monkeypatch):
    monkeypatch.setattr(simulations, 'REGIMES', {'both sets': simulations.Regime((120, 90))})
    assert all(one.holds for one in simulations.shift(60, seed=1))
    whole = intervals.independent_difference

    def half(*arguments, **options):
        got = whole(*arguments, **options)
        ends = {'low': (got.low + got.estimate) / 2, 'high': (got.high + got.estimate) / 2}
        return got._replace(**ends, error=got.error / 2)

    monkeypatch.setattr(intervals, 'independent_difference', half)
    assert not any(one.holds for one in simulations.shift(60, seed=1) if one.what.startswith('coverage'))
