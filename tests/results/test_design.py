"""Trend, features x head, regression on AUROC and agreement of ranks, each against an independent computation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imbalance_jax.data.regions import Pairs
from imbalance_jax.metrics.intervals import MANY
from imbalance_jax.metrics.scores import auroc
from imbalance_jax.results import conditional, mediation, outcomes, rank_agreement, schema, trend
from imbalance_jax.results.comparison import USUAL, Truth
from imbalance_jax.results.outcomes import Outcome, PatientRounds
from imbalance_jax.results.paired import grid
from imbalance_jax.results.rows import MACRO, Bootstrap, Population
from imbalance_jax.training.members import make_members

CLASSES = ('A', 'B', 'C', 'D')
SEEDS = (3, 5, 8, 9)


def population_of(arms, dead=()):
    members = make_members(arms, SEEDS, next(iter(arms)), learning_rate=1e-3, weight_decay=0.0)
    alive = np.array([(row['arm'], row['seed']) not in dead for row in members])
    return Population(members, alive, next(iter(arms)))


def outcome_of(values, rng, metric='iou', *, above='shuffled regions', spread=0.01, rounds=50):
    """values [P,K]; rounds scatter about them."""
    names = (*CLASSES, MACRO)[: values.shape[1] + 1]
    whole = outcomes.with_macro(values)
    resampled = outcomes.with_macro(values + spread * rng.normal(size=(rounds, *values.shape)))
    clusters = np.full(len(names), MANY)
    return Outcome(metric, 'grad_cam' if above else '', above, names, whole, resampled, clusters)


def table_of(name, rows):
    return schema.frame(name, rows)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_trend_is_the_mean_slope_of_the_seeds(rng):
    doses = {f'w{i}': {'loss': 'weighted_bce', 'power': power} for i, power in enumerate((0.0, 0.25, 1.0))}
    arms = {'bce': {}, **doses, 'other': {'loss': 'weighted_bce', 'power': 0.5, 'cap': 3.0}, 'focal': {'gamma': 2.0}}
    population = population_of(arms, dead={('w1', 5)})
    [family] = trend.families(population)
    assert family == ('power', ('w0', 'w1', 'w2'), (0.0, 0.25, 1.0))
    values = rng.normal(size=(len(population.members), 4))
    table = table_of('trend', trend.rows(population, [outcome_of(values, rng)]))
    living = [seed for seed in SEEDS if seed != 5]
    slopes = []
    for seed in living:
        number = {row['arm']: row['member'] for row in population.members if row['seed'] == seed}
        slopes.append([np.polyfit((0, 0.25, 1), values[[number[a] for a in family.arms], k], 1)[0] for k in range(4)])
    means = table[table['statistic'] == 'mean'].set_index('class')['value']
    np.testing.assert_allclose(means[list(CLASSES)], np.mean(slopes, 0))
    np.testing.assert_allclose(means[MACRO], np.mean(slopes))
    assert set(table['n']) == {3}
    adjusted = table[(table['statistic'] == 'p_adjusted') & (table['class'] != MACRO)]['value'].to_numpy()
    raw = table[(table['statistic'] == 'p') & (table['class'] != MACRO)]['value'].to_numpy()
    assert adjusted.min() == pytest.approx(4 * raw.min())


def square():
    again = {'retrain_head_from': 0.7}
    return {
        'bce': {},
        'ww': {'loss': 'weighted_bce', **again},
        'bw': {'loss': 'bce', 'head_loss': 'weighted_bce', **again},
        'wb': {'loss': 'weighted_bce', 'head_loss': 'bce', **again},
        'bb': {'loss': 'bce', 'head_loss': 'bce', **again},
        'crt': {'loss': 'bce', 'sampler': 'class_aware', **again},
    }


def test_effects_through_features_and_head(rng):
    population = population_of(square())
    [found] = mediation.squares(population)
    assert found == ('bb', 'bw', 'wb', 'ww')  # the reference's loss first
    features, head, interaction = 0.3, -0.1, 0.05
    planted = {'bb': 0, 'bw': head, 'wb': features, 'ww': features + head + interaction}
    of_seed = {seed: rng.normal() for seed in SEEDS}  # what a seed has in all arms drops out
    values = np.array([[planted.get(r['arm'], 9) + of_seed[r['seed']]] * 4 for r in population.members])
    values += 1e-3 * rng.normal(size=values.shape)
    table = table_of('mediation', mediation.rows(population, [outcome_of(values, rng, spread=1e-3)]))
    macro = table[table['class'] == MACRO]
    means = macro[macro['statistic'] == 'mean'].set_index('through')['value']
    expected = {
        'total': features + head + interaction,
        'features': features + interaction / 2,
        'head': head + interaction / 2,
        'interaction': interaction,
        'features, head of the reference': features,
        'head, features of the arm': head + interaction,
    }
    for through, value in expected.items():
        assert means[through] == pytest.approx(value, abs=4e-3), through
    assert means['total'] == pytest.approx(means['features'] + means['head'])
    own_loss = {**square(), 'bb': {'loss': 'bce', 'retrain_head_from': 0.7}}  # without head_loss: the head's own
    assert mediation.squares(population_of(own_loss)) == [found]


def dummies(levels):
    return (np.asarray(levels)[:, None] == np.unique(levels)).astype(float)


def test_the_regression_is_that_of_least_squares(rng):
    population = population_of({'bce': {}, 'a': {'loss': 'focal'}, 'b': {'loss': 'focal', 'labels': 'permuted'}})
    members = grid(population, ('bce', 'a'))
    count = len(population.members)
    auc = rng.uniform(0.6, 0.95, (count, 4))
    maps = 0.1 * np.log(auc / (1 - auc)) + 0.05 * rng.normal(size=(count, 4))
    maps[members[:, 1]] += 0.03
    given, outcome = outcome_of(auc, rng, 'auroc', above='', spread=1e-3), outcome_of(maps, rng)
    table = table_of('conditional', conditional.rows(population, [given, outcome]))
    assert set(table[table['kind'] == 'arm']['arm']) == {'a'}, 'permuted labels are compared with nothing'
    s, a, k = (index.ravel() for index in np.indices((4, 2, 4)))
    y, x = (values[members].ravel() for values in (maps, np.log(auc / (1 - auc))))
    design = np.column_stack([x, dummies(s) * (a == 1)[:, None], dummies(s * 4 + k)])
    slope, *effects = np.linalg.lstsq(design, y, rcond=None)[0]
    arm = np.mean(effects[:4])
    means = table[table['statistic'] == 'mean'].set_index(['kind', 'given'])['value']
    assert means['population', 'auroc'] == pytest.approx(slope)
    assert means['arm', 'auroc'] == pytest.approx(arm)
    assert means['arm', ''] == pytest.approx(np.mean(maps[members[:, 1]] - maps[members[:, 0]]))
    one = conditional.fit(maps[members], auc[members])
    assert conditional.slope(one) == pytest.approx(slope)
    whole = one.difference.mean(0) - conditional.slope(one) * one.difference_given.mean(0)
    assert whole == pytest.approx(arm)


def test_a_class_that_an_arm_lacks_is_in_no_sum(rng):
    auc, maps = rng.uniform(0.6, 0.9, (3, 2, 4)), rng.normal(size=(3, 2, 4))
    maps[1, 0, 2] = np.nan
    one = conditional.fit(maps, auc)
    without = conditional.fit(maps[1:2][..., [0, 1, 3]], auc[1:2][..., [0, 1, 3]])
    for whole, part in zip(one, without, strict=True):
        np.testing.assert_allclose(whole[1], part[0])


def test_tau_is_that_of_scipy(rng):
    one, other = rng.integers(0, 4, (2, 30, 6)).astype(float)
    expected = [stats.kendalltau(x, y).statistic for x, y in zip(one, other, strict=True)]
    np.testing.assert_allclose(rank_agreement.tau_b(one, other), expected)


def test_ranks_that_agree_and_ranks_that_do_not(rng):
    arms = {f'arm{i}': {'loss': 'bce', 'scale': 1.0 + i} for i in range(6)}
    population = population_of(arms)
    level = np.array([[0.7 + 0.01 * int(row['arm'][3:])] * 4 for row in population.members])
    noise = [1e-4 * rng.normal(size=level.shape) for _ in range(3)]
    measured = [
        outcome_of(level + noise[0], rng, 'auroc', above='', spread=1e-4),
        outcome_of(level + noise[1], rng, 'iou', spread=1e-4),
        outcome_of(-level + noise[2], rng, 'hit_share', spread=1e-4),
        outcomes.count(population, 'detector_units', '', {i: float(level[i, 0]) for i in range(len(level))}),
    ]
    table = table_of('rank_agreement', rank_agreement.rows(population, measured, ('auroc',)))
    value = table[table['statistic'] == 'value'].set_index('other_metric')['value']
    assert value.to_dict() == pytest.approx({'iou': 1, 'hit_share': -1, 'detector_units': 1})
    p = table[table['statistic'] == 'p'].set_index('other_metric')['value']
    assert p['iou'] == pytest.approx(2 / 720)  # 6! orders, two of which are as extreme
    assert table[table['statistic'] == 'mean'].set_index('other_metric')['value']['iou'] == pytest.approx(1)


def test_outcomes_are_of_the_same_patients(rng):
    """One patient has all of the weight of a round: both outcomes are then those of that patient's images alone."""
    population = population_of({'bce': {}})
    patients, labels = np.repeat(np.arange(10), 4), (rng.random((40, 2)) < 0.5).astype(int)
    labels[::4], labels[1::4] = 1, 0  # every patient has both
    logits = rng.normal(size=(4, 40, 2))
    rounds = PatientRounds.of(patients, Bootstrap(10, 0))._replace(weights=np.eye(10, dtype=int))
    truth = Truth(labels, np.ones_like(labels), patients)
    ranked, _ = outcomes.performance(population, logits, truth, classes=('A', 'B'), rounds=rounds, claims=USUAL)
    np.testing.assert_allclose(ranked.values[:, :2], auroc(logits, labels))
    np.testing.assert_allclose(ranked.resampled[3, :, :2], auroc(logits[:, 12:16], labels[12:16]))
    pairs = Pairs(np.arange(40), np.tile([0, 1], 20), patients, np.ones((40, 2, 2), bool))
    names = ('hits', 'points', 'empty', 'iobb', 'ior', 'iou')
    own, other = ({name: rng.random((4, 40)) for name in names} for _ in range(2))
    [iou] = outcomes.alignment(
        population,
        'grad_cam',
        own,
        other,
        pairs=pairs,
        classes=('A', 'B'),
        rounds=rounds,
        measures=('iou', 'absent'),
        smallest_count=11,
    )
    above = own['iou'] - other['iou']
    np.testing.assert_allclose(iou.values[:, 0], above[:, ::2].mean(1))
    np.testing.assert_allclose(iou.values[:, 2], iou.values[:, :2].mean(1))
    np.testing.assert_allclose(iou.resampled[7, :, 1], above[:, [29, 31]].mean(1))
    assert iou.clusters.tolist()[:2] == [0, 0], 'ten patients are fewer than eleven'


def test_a_population_that_asks_nothing_has_no_rows(rng):
    population = population_of({'bce': {}, 'focal': {}})
    measured = [outcome_of(rng.random((8, 4)), rng, 'auroc', above='')]
    for module in (trend, mediation, conditional):
        assert module.rows(population, measured) == []
    assert isinstance(rank_agreement.rows(population, measured, ('auroc',)), list)
    assert pd.DataFrame(rank_agreement.rows(population, measured, ('auroc',))).empty
