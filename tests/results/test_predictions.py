"""Tables of calibration, groups and stability: rows recomputed from the arrays, and what they say of planted truth."""

import numpy as np
import pytest
from scipy.special import expit

from imbalance_jax.metrics import scores
from imbalance_jax.results import calibration, groups, schema, stability
from imbalance_jax.results.comparison import Claims, Truth
from imbalance_jax.results.groups import Grouping
from imbalance_jax.results.rows import Bootstrap, Population

CLASSES = ('Mass', 'Nodule', 'Hernia')
SEEDS = 3
WHAT = {'classes': CLASSES, 'bootstrap': Bootstrap(60, 0), 'claims': Claims()}


@pytest.fixture(scope='module')
def study():
    """Arms a (right probabilities) and b (log-odds doubled, one seed frozen); Hernia has two positives."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(200), 2)
    true = rng.normal([-1.0, -2.0, -9.0], [1.5, 1.5, 0.1], (400, 3))
    labels = (rng.random(true.shape) < expit(true)).astype(np.uint8)
    labels[:, 2] = 0
    labels[[0, 50], 2] = 1
    members = [
        {'member': 3 * i + seed, 'arm': arm, 'loss': 'bce', 'sampler': 'natural', 'seed': seed}
        for i, arm in enumerate('ab')
        for seed in range(SEEDS)
    ]
    logits = true + 0.2 * rng.normal(size=(6, 400, 3))
    logits[3:] *= 2
    logits[5] = np.nan
    alive = np.arange(6) != 5
    truth = Truth(labels, np.ones_like(labels), patients)
    probabilities = expit(np.concatenate([logits[:3], logits[3:] / 2]))
    predicted = calibration.Predicted(logits, probabilities, {'a': 'exact', 'b': 'Platt'}, np.full((6, 3), -1.0))
    return Population(members, alive, 'a'), predicted, truth


def table(name, rows):
    frame = schema.frame(name, rows)
    assert not frame.duplicated(schema.keys_of(frame.columns)).any()
    assert set(frame['kind']) <= set(schema.KINDS)
    assert set(frame['statistic']) <= set(schema.STATISTICS)
    return frame


def value(frame, **where):
    where = {'method': '', 'against': '', 'statistic': 'mean', 'kind': 'arm', **where}
    chosen = frame[np.logical_and.reduce([frame[name] == wanted for name, wanted in where.items()])]
    assert len(chosen) == 1, where
    return chosen['value'].iloc[0]


def test_calibration_is_that_of_the_arrays_and_of_the_plan(study):
    population, predicted, truth = study
    frame = table('calibration', calibration.rows(population, predicted, truth, **WHAT))
    by_metric = {
        'brier': scores.brier,
        'expected_calibration_error': scores.expected_calibration_error,
    }
    for metric, of in by_metric.items():
        for method, probabilities in (('', expit(predicted.logits)), ('recalibrated', predicted.probabilities)):
            expected = of(probabilities[:5], truth.labels)
            for arm, members in (('a', [0, 1, 2]), ('b', [3, 4])):
                for k, name in enumerate(CLASSES):
                    found = value(frame, metric=metric, method=method, arm=arm, **{'class': name})
                    np.testing.assert_allclose(found, expected[members, k].mean())
    what = {'arm': 'b', 'class': 'Mass', 'metric': 'slope'}
    assert value(frame, **what, statistic='low') < 0.5 < value(frame, **what, statistic='high')
    assert value(frame, **what, method='recalibrated', statistic='low') < 1
    assert value(frame, **what, method='recalibrated', statistic='high') > 1
    assert value(frame, **what, against='a', statistic='p_adjusted') < 0.05
    assert (
        value(frame, **{**what, 'arm': 'a'}, statistic='high')
        > 1
        > value(frame, **{**what, 'arm': 'a'}, statistic='low')
    )
    assert set(frame.query("method == 'recalibrated' and arm == 'b'")['recalibration']) == {'Platt'}
    excess = {'metric': 'expected_calibration_error', 'against': 'perfect calibration', 'class': 'Mass'}
    assert value(frame, **excess, arm='a', statistic='low') < 0
    assert value(frame, **excess, arm='b', statistic='low') > 0
    called = predicted.decisions[:3, :, 0]
    positive = truth.labels[:, 0] == 1
    found = value(frame, metric='sensitivity', arm='a', **{'class': 'Mass'})
    np.testing.assert_allclose(found, called[:, positive].mean())
    p, threshold = predicted.probabilities[:3, :, 0] >= 0.1, 0.1
    worth = (p * np.where(positive, 1, -threshold / (1 - threshold))).mean()
    found = value(frame, metric='net_benefit', threshold=0.1, method='recalibrated', arm='a', **{'class': 'Mass'})
    np.testing.assert_allclose(found, worth)
    few = frame.query("`class` == 'Hernia' and statistic in ['low', 'high', 'p', 'p_adjusted']")
    assert len(few)
    assert few['value'].isna().all()
    curve = frame.query(
        "metric == 'observed' and arm == 'a' and method == '' and `class` == 'Mass' and statistic == 'mean'"
    )
    assert len(curve) == calibration.BINS
    tops = [truth.labels[np.argsort(one[:, 0])[-40:], 0].mean() for one in predicted.logits[:3]]
    np.testing.assert_allclose(curve.set_index('bin')['value'][calibration.BINS], np.mean(tops))


def test_groups_are_those_of_the_arrays(study):
    population, predicted, truth = study
    codes = np.where(truth.patients % 3 == 0, 0, 1)
    codes[:10] = -1
    grouping = Grouping('sex', ('female', 'male'), codes.astype(np.int8))
    one = Grouping('view', ('PA', 'AP'), np.zeros(400, np.int8))
    frame = table('groups', groups.rows(population, predicted, truth, groupings=[grouping, one], **WHAT))
    assert set(frame['grouping']) == {'sex'}  # one group alone is no grouping
    expected = {
        name: scores.auroc(predicted.logits[:3][:, codes == g], truth.labels[codes == g])[:, :2]
        for g, name in enumerate(grouping.groups)
    }
    for name, of in expected.items():
        for k in range(2):
            found = value(frame, metric='auroc', group=name, arm='a', **{'class': CLASSES[k]})
            np.testing.assert_allclose(found, of[:, k].mean())
        np.testing.assert_allclose(value(frame, metric='auroc', group=name, arm='a', **{'class': 'macro'}), of.mean())
    by_group = np.stack(list(expected.values())).mean(-1)
    where = {'metric': 'auroc', 'arm': 'a', 'class': 'macro'}
    np.testing.assert_allclose(value(frame, **where, group='gap'), np.ptp(by_group, axis=0).mean())
    np.testing.assert_allclose(value(frame, **where, group='worst group'), by_group.min(0).mean())
    assert value(frame, **where, group='gap', statistic='low') >= 0
    assert value(frame, **where, group='gap', against='exchanged patients', statistic='p') > 0.01
    abnormal = truth.labels.any(1) & (codes == 1)
    missed = ~(predicted.logits[:3, abnormal] >= -1).any(-1)
    found = value(frame, metric='underdiagnosis', group='male', arm='a', **{'class': 'any finding'})
    np.testing.assert_allclose(found, missed.mean())


def test_a_group_that_is_served_worse_is_found(study):
    population, predicted, truth = study
    codes = (truth.patients % 2).astype(np.int8)
    worse = predicted.logits + 3 * codes[:, None] * np.random.default_rng(1).normal(size=(400, 3))
    grouping = Grouping('sex', ('female', 'male'), codes)
    frame = table(
        'groups', groups.rows(population, predicted._replace(logits=worse), truth, groupings=[grouping], **WHAT)
    )
    where = {'metric': 'auroc', 'arm': 'a', 'class': 'macro', 'group': 'gap'}
    assert value(frame, **where, against='exchanged patients', statistic='p') <= 0.05
    assert value(frame, **where, against='exchanged patients') > 0.05


def test_exchange_moves_whole_patients():
    patients = np.array([3, 1, 1, 2, 2, 5, 4, 4])
    codes = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    for seed in range(5):
        moved = groups.exchanged(patients, codes, np.random.default_rng(seed))
        assert sorted(moved) == sorted(codes)
        assert {moved[0], moved[5]} == {0, 5}
        assert {tuple(moved[patients == p]) for p in (1, 2, 4)} == {(1, 2), (3, 4), (6, 7)}


def test_stability_is_that_of_the_arrays(study):
    population, predicted, truth = study
    matched = np.full((6, 3), -1.5)
    rows = stability.rows(population, predicted.logits, predicted.probabilities, truth, matched=matched, **WHAT)
    frame = table('stability', rows)
    called = predicted.logits >= matched[:, None]
    a = called[:3, :, 0]
    churn = np.mean([(a[i] != a[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))])
    where = {'arm': 'a', 'class': 'Mass', 'other_arm': ''}
    np.testing.assert_allclose(value(frame, metric='churn', **where), churn)
    np.testing.assert_allclose(value(frame, metric='ambiguity', **where), (a != a[:1]).any(0).mean())
    majority = a.mean(0) > 0.5
    np.testing.assert_allclose(value(frame, metric='instability_index', **where), (a != majority).mean())
    p = predicted.probabilities[:3, :, 0]
    np.testing.assert_allclose(value(frame, metric='mape', **where), np.abs(p - p.mean(0)).mean() * np.sqrt(1.5))
    pairs = [(i, j) for i in (3, 4) for j in (0, 1, 2) if i - 3 != j]
    between = np.mean([(called[i, :, 0] != called[j, :, 0]).mean() for i, j in pairs])
    beside = {'arm': 'b', 'class': 'Mass', 'other_arm': 'a', 'metric': 'churn'}
    np.testing.assert_allclose(value(frame, **beside), between)
    b = (called[3, :, 0] != called[4, :, 0]).mean()
    np.testing.assert_allclose(value(frame, **beside, against='other seeds'), between - (churn + b) / 2)
    assert (
        value(frame, metric='churn', statistic='low', **where)
        < churn
        < value(frame, metric='churn', statistic='high', **where)
    )


def test_two_seeds_that_disagree_are_equally_far_from_their_majority(study):
    population, predicted, truth = study
    decisions = (predicted.logits[:2] > -1) * 1.0
    found = stability._within(
        population._replace(alive=np.arange(6) < 2),
        'a',
        decisions,
        predicted.probabilities,
        truth.label_mask * 1.0,
        np.ones((1, 400)),
    )['instability_index'][0]
    np.testing.assert_allclose(found, np.broadcast_to((decisions[0] != decisions[1]).mean(0) / 2, (2, 3)))


def test_the_worst_group_has_an_interval_within_the_unit(study):
    population, predicted, truth = study
    codes = np.repeat(np.arange(200) % 2, 2).astype(np.int8)
    rows = groups.rows(population, predicted, truth, groupings=[Grouping('sex', ('f', 'm'), codes)], **WHAT)
    levels = [r for r in rows if r['group'] == 'worst group' and not r.get('against') and r['statistic'] == 'high']
    assert levels
    assert all(np.isnan(r['value']) or 0 <= r['value'] <= 1 for r in levels)


def chance(seeds, generator):
    """Two arms whose networks differ in how noisy they are, by themselves and not by their arm."""
    labels = (generator.random((150, 1)) < 0.3).astype(np.uint8)
    rows = enumerate(('a', 'b'))
    members = [
        {'member': seeds * i + s, 'arm': arm, 'loss': 'bce', 'sampler': 'natural', 'seed': s}
        for i, arm in rows
        for s in range(seeds)
    ]
    noise = 0.5 * np.exp(0.4 * generator.normal(size=(2 * seeds, 1, 1)))
    logits = labels + generator.normal(size=labels.shape) + noise * generator.normal(size=(2 * seeds, 150, 1))
    truth = Truth(labels, np.ones_like(labels), np.arange(150))
    population = Population(members, np.ones(2 * seeds, bool), 'a')
    what = {'classes': ('Mass',), 'bootstrap': Bootstrap(40, 0), 'claims': Claims()}
    return stability.rows(population, logits, expit(logits), truth, matched=np.zeros((2 * seeds, 1)), **what)


def test_differences_of_stability_are_found_by_chance_as_seldom_as_they_say():
    """Ambiguity, which is one number of all seeds, was in 57 % of draws, and MAPE in 22 %."""
    generator, found = np.random.default_rng(0), {}
    for _ in range(40):
        for row in chance(4, generator):
            if row['statistic'] == 'p' and row['class'] == 'Mass':
                found.setdefault(row['metric'], []).append(row['value'] <= 0.05)
    shares = {metric: np.mean(of) for metric, of in found.items()}
    assert set(shares) == {'mape', 'instability_index', 'ambiguity', 'churn', 'kappa'}
    assert max(shares.values()) < 0.2, shares


def test_two_seeds_say_nothing_of_how_stability_varies_over_seeds():
    rows = chance(2, np.random.default_rng(0))
    within = [row for row in rows if not row.get('other_arm')]
    assert {row['metric'] for row in within if np.isfinite(row['value'])} >= {'mape', 'ambiguity', 'churn'}
    assert not [row for row in within if row['statistic'] in ('low', 'high', 'p') and np.isfinite(row['value'])]
