"""Decisions for one of K classes against scikit-learn, also under the weights of a bootstrap."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from imbalance_jax.metrics import multi_class

RANDOM = np.random.default_rng(0)
K, N = 5, 200
TRUTH = RANDOM.choice(K, N, p=[0.5, 0.3, 0.15, 0.05, 0.0])  # the last class is never shown
SCORES = RANDOM.normal(size=(3, N, K)) + 1.5 * np.eye(K)[TRUTH]
WEIGHTS = np.concatenate([np.ones((1, N)), RANDOM.multinomial(N, np.full(N, 1 / N), 4)])


@pytest.fixture(scope='module')
def counted():
    return multi_class.count(multi_class.decide(SCORES), TRUTH, WEIGHTS, classes=K)


@pytest.mark.parametrize('r', range(len(WEIGHTS)))
def test_figures_are_those_of_scikit_learn(counted, r):
    found = multi_class.overall(counted, ordinal=True)
    for p, said in enumerate(SCORES.argmax(-1)):
        images = np.repeat(np.arange(N), WEIGHTS[r].astype(int))  # a round is a data set in which images are repeated
        pair = TRUTH[images], said[images]
        expected = {
            'top1': oracle.accuracy_score(*pair),
            'macro_f1': oracle.f1_score(*pair, average='macro'),
            'mcc': oracle.matthews_corrcoef(*pair),
            'kappa': oracle.cohen_kappa_score(*pair),
            'quadratic_kappa': oracle.cohen_kappa_score(*pair, weights='quadratic', labels=range(K)),
        }
        recall = oracle.recall_score(*pair, average=None, labels=np.unique(pair[0]))
        expected['balanced_accuracy'] = recall.mean()
        for metric, value in expected.items():
            np.testing.assert_allclose(found[metric][r, p], value, rtol=1e-12, err_msg=metric)


def test_figures_by_class(counted):
    found = multi_class.by_class(counted)
    for p, said in enumerate(SCORES.argmax(-1)):
        options = {'average': None, 'labels': range(K), 'zero_division': np.nan}
        for metric, function in (
            ('recall', oracle.recall_score),
            ('precision', oracle.precision_score),
            ('f1', oracle.f1_score),
        ):
            np.testing.assert_allclose(found[metric][0, p], function(TRUTH, said, **options), rtol=1e-12)
    assert np.isnan(found['recall'][:, :, -1]).all()


def test_quadratic_kappa_is_of_ordered_classes_only(counted):
    assert 'quadratic_kappa' not in multi_class.overall(counted)


def test_one_answer_for_all_has_no_correlation():
    said = np.zeros((1, N), int)
    found = multi_class.overall(multi_class.count(said, TRUTH, WEIGHTS[:1], classes=K))
    assert found['mcc'] == oracle.matthews_corrcoef(TRUTH, said[0]) == 0
    np.testing.assert_allclose(found['balanced_accuracy'], 1 / 4)
    np.testing.assert_allclose(found['kappa'], 0, atol=1e-12)


def test_a_member_without_scores_is_nan():
    scores = SCORES.copy()
    scores[1, 7] = np.nan
    decisions = multi_class.decide(scores)
    assert (decisions[1] == -1).sum() == 1
    found = multi_class.overall(multi_class.count(decisions, TRUTH, WEIGHTS, classes=K))
    assert np.isnan(found['top1'][:, 1]).all()
    assert np.isfinite(found['top1'][:, [0, 2]]).all()


def test_confusion_matrix():
    said = SCORES[0].argmax(-1)
    found = multi_class.confusion(said, TRUTH, classes=K)
    np.testing.assert_array_equal(found, oracle.confusion_matrix(TRUTH, said, labels=range(K)))
