"""Head, medium and tail, and rows of decisions, against means taken by hand."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from imbalance_jax.results import bands, multi_class
from imbalance_jax.results.comparison import Claims, Truth
from imbalance_jax.results.rows import Bootstrap, Population

MEMBERS = [
    {'member': i, 'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': seed, 'labels': 'own'}
    for i, (arm, seed) in enumerate([('a', 0), ('a', 1), ('b', 0), ('b', 1)])
]
POPULATION = Population(MEMBERS, np.array([True, True, True, False]), 'a')
RANDOM = np.random.default_rng(0)
K, N = 5, 150
SHOWN = RANDOM.choice(K, N, p=[0.4, 0.3, 0.1, 0.1, 0.1])
TRUTH = Truth(np.eye(K)[SHOWN], np.ones((N, K)), np.arange(N) // 2)
SCORES = RANDOM.normal(size=(4, N, K)) + np.eye(K)[SHOWN]
PROBABILITIES = POPULATION.living(np.exp(SCORES) / np.exp(SCORES).sum(-1, keepdims=True))
POSITIVES = np.array([500, 101, 100, 20, 19])
WHAT = {'classes': list('ABCDE'), 'bootstrap': Bootstrap(20, 0), 'claims': Claims()}


def one(rows, **where):
    found = [row for row in rows if all(row.get(key, '') == value for key, value in where.items())]
    assert len(found) == 1, (where, len(found))
    return found[0]


def test_bands_are_by_training_images():
    found = bands.bands(POSITIVES, (20, 100))
    assert {name: index.tolist() for name, index in found.items()} == {'head': [0, 1], 'medium': [2, 3], 'tail': [4]}
    assert list(bands.bands(np.array([200, 300]), (20, 100))) == ['head']


def test_means_over_bands():
    rows = bands.rows(POPULATION, PROBABILITIES, TRUTH, positives=POSITIVES, limits=(20, 100), decided=True, **WHAT)
    said = PROBABILITIES[1].argmax(1)
    recall = oracle.recall_score(SHOWN, said, average=None)
    auroc = [oracle.roc_auc_score(k == SHOWN, PROBABILITIES[1][:, k]) for k in range(K)]
    for name, index in {'head': [0, 1], 'medium': [2, 3], 'tail': [4]}.items():
        for metric, values in (('recall', recall), ('auroc', auroc)):
            found = one(rows, kind='member', member=1, metric=metric, band=name, **{'class': 'macro'})
            np.testing.assert_allclose(found['value'], np.mean(np.array(values)[index]))
            assert found['n'] == len(index)
    mean = one(rows, kind='arm', arm='a', metric='auroc', band='tail', statistic='mean', against='')
    members = [one(rows, kind='member', member=i, metric='auroc', band='tail')['value'] for i in (0, 1)]
    np.testing.assert_allclose(mean['value'], np.mean(members))
    difference = one(rows, kind='arm', arm='b', metric='auroc', band='tail', statistic='mean', against='a')
    other = one(rows, kind='member', member=2, metric='auroc', band='tail')['value']
    np.testing.assert_allclose(difference['value'], other - members[0])  # of the only pair of living seeds
    assert one(rows, kind='data', metric='training_positives', band='tail')['value'] == 19


def test_one_band_is_no_table():
    assert bands.rows(POPULATION, PROBABILITIES, TRUTH, positives=POSITIVES, limits=(1, 2), **WHAT) == []


@pytest.fixture(scope='module')
def decided():
    return multi_class.rows(POPULATION, PROBABILITIES, PROBABILITIES[..., ::-1], TRUTH, **WHAT)


def test_decisions_of_members_arms_and_ensembles(decided):
    said = PROBABILITIES.argmax(-1)
    expected = [oracle.balanced_accuracy_score(SHOWN, one) for one in said[:3]]
    where = {'metric': 'balanced_accuracy', 'class': 'all classes', 'method': ''}
    for member, value in enumerate(expected):
        np.testing.assert_allclose(one(decided, kind='member', member=member, **where)['value'], value)
    assert np.isnan(one(decided, kind='member', member=3, **where)['value'])
    mean, low, high, sd = (
        one(decided, kind='arm', arm='a', statistic=name, against='', **where)['value']
        if name != 'sd'
        else one(decided, kind='arm', arm='a', statistic=name, **where)['value']
        for name in ('mean', 'low', 'high', 'sd')
    )
    np.testing.assert_allclose([mean, sd], [np.mean(expected[:2]), np.std(expected[:2], ddof=1)])
    assert low < mean < high
    ensemble = oracle.balanced_accuracy_score(SHOWN, PROBABILITIES[:2].mean(0).argmax(1))
    np.testing.assert_allclose(one(decided, kind='ensemble', arm='a', **where)['value'], ensemble)
    of_prior = oracle.balanced_accuracy_score(SHOWN, K - 1 - said[0])
    corrected = one(decided, kind='member', member=0, **{**where, 'method': 'recalibrated'})
    np.testing.assert_allclose(corrected['value'], of_prior)


def test_intervals_of_correlations_stay_within_what_they_can_be(decided):
    where = {'kind': 'arm', 'arm': 'a', 'metric': 'mcc', 'class': 'all classes', 'method': '', 'against': ''}
    mean, low, high = (one(decided, statistic=name, **where)['value'] for name in ('mean', 'low', 'high'))
    expected = [oracle.matthews_corrcoef(SHOWN, PROBABILITIES[member].argmax(-1)) for member in (0, 1)]
    np.testing.assert_allclose(mean, np.mean(expected))
    assert -1 <= low < mean < high <= 1


def test_confusion_rows_are_the_matrix():
    rows = multi_class.confusion_rows(POPULATION, PROBABILITIES, TRUTH, classes=WHAT['classes'])
    matrix = oracle.confusion_matrix(SHOWN, PROBABILITIES[1].argmax(1))
    found = np.zeros((K, K))
    for row in rows:
        if row.get('member') == 1:
            found['ABCDE'.index(row['class']), 'ABCDE'.index(row['predicted'])] = row['value']
    np.testing.assert_array_equal(found, matrix)
    assert not any(row.get('member') == 3 for row in rows)  # a frozen member has no decisions
    of_b = oracle.confusion_matrix(SHOWN, PROBABILITIES[2].argmax(1), normalize='true')
    shares = [row['value'] for row in rows if row['kind'] == 'arm' and row['arm'] == 'b']
    np.testing.assert_allclose(shares, of_b.ravel())
