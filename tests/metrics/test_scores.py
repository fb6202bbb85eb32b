"""Ranking metrics against scikit-learn, weights against repetition, and what happens at the edges."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from imbalance_jax.metrics import bootstrap_ranking
from imbalance_jax.metrics import scores as metrics

SKLEARN = {metrics.auroc: oracle.roc_auc_score, metrics.average_precision: oracle.average_precision_score}
LABEL_SUMS = [2420, 582, 2754, 3938, 1133, 1335, 242, 1089, 957, 413, 509, 362, 734, 42]  # ChestMNIST test


@pytest.fixture
def entries():
    """Scores [3, 60, 4] on a coarse grid, so that ties abound, labels and mask [60, 4]."""
    rng = np.random.default_rng(0)
    labels = rng.random((60, 4)) < [0.1, 0.3, 0.5, 0.8]
    scores = np.round(rng.random((3, 60, 4)) + 0.2 * labels, 1) / 1.2
    return scores, labels.astype(np.uint8), rng.random((60, 4)) < 0.8


def by_class(measure, scores, labels, mask):
    return [[measure(labels[m, k], s[m, k]) for k, m in enumerate(mask.T)] for s in scores]


@pytest.mark.parametrize('metric', SKLEARN)
def test_ranking_is_scikit_learns_with_ties_and_masks(metric, entries):
    scores, labels, mask = entries
    np.testing.assert_allclose(metric(*entries), by_class(SKLEARN[metric], *entries), rtol=1e-12)
    np.testing.assert_allclose(metric(scores, labels), metric(scores, labels, np.ones_like(mask)), rtol=0)
    assert metric(scores[0], labels, mask).shape == (4,)
    assert metric(scores[None], labels, mask).shape == (1, 3, 4)


@pytest.mark.parametrize('metric', SKLEARN)
def test_integer_weights_repeat_examples(metric, entries):
    scores, labels, mask = entries
    weights = np.random.default_rng(1).poisson(1.0, (5, 60))
    got = metric(scores, labels, mask, weights)
    assert got.shape == (5, 3, 4)
    for row, values in zip(weights, got, strict=True):
        repeated = [np.repeat(array, row, axis=-2) for array in entries]
        np.testing.assert_allclose(values, metric(*repeated), rtol=1e-12)
        np.testing.assert_allclose(values, metric(scores, labels, mask, row), rtol=1e-12)


@pytest.mark.parametrize('metric', SKLEARN)
def test_real_weights_are_scikit_learns_sample_weight(metric, entries):
    scores, labels, mask = entries
    weights = np.random.default_rng(2).exponential(size=60)
    want = [
        [SKLEARN[metric](labels[m, k], s[m, k], sample_weight=weights[m]) for k, m in enumerate(mask.T)] for s in scores
    ]
    np.testing.assert_allclose(metric(scores, labels, mask, weights), want, rtol=1e-12)


def test_rounds_in_blocks_are_rounds_at_once(entries, monkeypatch):
    weights = np.random.default_rng(3).poisson(1.0, (7, 60)).astype(np.int16)
    want = metrics.ranking(*entries, weights)
    monkeypatch.setattr(bootstrap_ranking, 'BLOCK', 100)
    for name, values in metrics.ranking(*entries, weights).items():
        np.testing.assert_array_equal(values, want[name])


@pytest.mark.parametrize('metric', SKLEARN)
def test_ranking_sees_the_order_of_scores_only(metric, entries):
    scores, labels, mask = entries
    np.testing.assert_array_equal(metric(np.exp(5 * scores), labels, mask), metric(*entries))
    order = np.random.default_rng(4).permutation(60)
    np.testing.assert_allclose(metric(scores[:, order], labels[order], mask[order]), metric(*entries), rtol=1e-12)


def test_constant_scores_are_worth_nothing(entries):
    _, labels, mask = entries
    constant = np.full(labels.shape, 0.3)
    np.testing.assert_allclose(metrics.auroc(constant, labels, mask), 0.5)
    np.testing.assert_allclose(metrics.average_precision(constant, labels, mask), metrics.prevalence(labels, mask))


def test_class_without_positives_or_negatives_is_undefined(entries):
    scores, labels, mask = entries
    labels[:, 0], labels[:, 1] = 0, 1
    mask[:, 2] = 0
    for values in metrics.ranking(scores, labels, mask).values():
        assert np.isnan(values[:, :3]).all()
        assert np.isfinite(values[:, 3]).all()
    mean, defined = metrics.macro(metrics.auroc(scores, labels, mask))
    np.testing.assert_array_equal(mean, metrics.auroc(scores, labels, mask)[:, 3])
    np.testing.assert_array_equal(defined, [1, 1, 1])


def test_round_that_lost_the_positives_is_undefined(entries):
    scores, labels, _ = entries
    weights = np.stack([np.ones(60), labels[:, 0] == 0, labels[:, 0] == 1])
    for values in metrics.ranking(scores, labels, weights=weights).values():
        assert np.isfinite(values[0]).all()
        assert np.isnan(values[1:, :, 0]).all()


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_dead_member_leaves_the_others_alone(bad, entries):
    scores, labels, mask = entries
    want = metrics.evaluate(scores, labels, mask)
    scores = scores.copy()
    scores[1] = bad
    got = metrics.evaluate(scores, labels, mask)
    for level, values in want.items():
        for name, value in values.items():
            np.testing.assert_array_equal(got[level][name][[0, 2]], value[[0, 2]])
            assert level == 'defined' or np.isnan(got[level][name][1]).all()
    assert (got['defined']['auroc'] == [4, 0, 4]).all()


def test_masked_scores_may_be_anything(entries):
    scores, labels, mask = entries
    want = metrics.evaluate(scores, labels, mask)
    scores, labels = np.where(mask, scores, np.nan), np.where(mask, labels, -1.0)
    got = metrics.evaluate(scores, labels, mask)
    for level, values in want.items():
        for name, value in values.items():
            np.testing.assert_array_equal(got[level][name], value)


def test_decisions_and_calibration_against_scikit_learn(entries):
    want = by_class(lambda y, p: oracle.accuracy_score(y, p > 0.5), *entries)
    np.testing.assert_allclose(metrics.accuracy(*entries), want)
    np.testing.assert_allclose(metrics.brier(*entries), by_class(oracle.brier_score_loss, *entries))
    scores, labels, mask = entries
    want = [oracle.accuracy_score(labels, s > 0.5) for s in scores]
    np.testing.assert_allclose(metrics.subset_accuracy(scores, labels), want)
    mask[:10] = 0
    want = [np.mean([((s > 0.5) == labels)[i, m].all() for i, m in enumerate(mask) if m.any()]) for s in scores]
    np.testing.assert_allclose(metrics.subset_accuracy(scores, labels, mask), want)


def test_all_negative_accuracy_of_chestmnist():
    labels = np.arange(22433)[:, None] < np.array(LABEL_SUMS)
    mean, defined = metrics.macro(metrics.all_negative_accuracy(labels))
    assert defined == 14
    assert mean == pytest.approx(0.94743, abs=5e-6)
    np.testing.assert_allclose(metrics.prevalence(labels) * 22433, LABEL_SUMS)


def test_calibration_error_by_hand():
    p, y = np.array([[0.1], [0.2], [0.2], [0.9]]), np.array([[0], [1], [0], [1]])
    width = metrics.expected_calibration_error(p, y, bins=2, spacing='width')
    np.testing.assert_allclose(width, (abs(0.5 - 1) + abs(0.9 - 1)) / 4)
    mass = metrics.expected_calibration_error(p, y, bins=2)  # the median, .2, closes the first bin
    np.testing.assert_allclose(mass, width)
    np.testing.assert_allclose(metrics.expected_calibration_error(p, y, bins=1), abs(1.4 - 2) / 4)
    p, y = np.array([[0.1], [0.2], [0.3], [0.4]]), np.array([[0], [0], [1], [1]])
    np.testing.assert_allclose(metrics.expected_calibration_error(p, y, bins=2), (abs(0.3 - 0) + abs(0.7 - 2)) / 4)
    np.testing.assert_allclose(metrics.expected_calibration_error(p, y, bins=2, spacing='width'), abs(1 - 2) / 4)


@pytest.mark.parametrize('spacing', ['mass', 'width'])
def test_calibrated_probabilities_have_little_error(spacing):
    rng = np.random.default_rng(5)
    p = rng.beta(1, 9, (20000, 1))
    y = rng.random(p.shape) < p
    assert metrics.expected_calibration_error(p, y, spacing=spacing) < 0.01
    assert metrics.expected_calibration_error(p**0.5, y, spacing=spacing) > 0.1


@pytest.mark.parametrize('metric', [*SKLEARN, metrics.brier, metrics.accuracy])
def test_micro_pools_the_entries_that_count(metric, entries):
    scores, labels, mask = entries
    want = [metric(s[mask][:, None], labels[mask][:, None])[0] for s in scores]
    np.testing.assert_allclose(metrics.micro(metric, *entries), want, rtol=1e-12)


def test_micro_weights_are_of_images(entries):
    weights = np.random.default_rng(6).poisson(1.0, (4, 60))
    got = metrics.micro(metrics.auroc, *entries, weights)
    want = [metrics.micro(metrics.auroc, *(np.repeat(array, row, axis=-2) for array in entries)) for row in weights]
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_evaluate_is_its_parts(entries):
    results = metrics.evaluate(*entries)
    for metric in (metrics.auroc, metrics.average_precision, metrics.brier, metrics.expected_calibration_error):
        name = metric.__name__
        np.testing.assert_array_equal(results['class'][name], metric(*entries))
        np.testing.assert_array_equal(results['macro'][name], metric(*entries).mean(axis=-1))
        np.testing.assert_array_equal(results['micro'][name], metrics.micro(metric, *entries))
    np.testing.assert_array_equal(results['image']['subset_accuracy'], metrics.subset_accuracy(*entries))
    one = metrics.evaluate(entries[0][1:2], *entries[1:])
    np.testing.assert_array_equal(one['class']['auroc'], results['class']['auroc'][1:2])


def test_seed_ensemble_leaves_dead_members_out(entries):
    scores = np.concatenate([entries[0], np.full((2, 60, 4), np.nan)])
    names, means = metrics.seed_ensemble(scores, ['focal', 'bce', 'focal', 'bce', 'dead'])
    assert names == ['focal', 'bce', 'dead']
    np.testing.assert_allclose(means[0], (scores[0] + scores[2]) / 2)
    np.testing.assert_allclose(means[1], scores[1])
    assert np.isnan(means[2]).all()


def test_errors_say_what_would_be_valid(entries):
    scores, labels, mask = entries
    with pytest.raises(ValueError, match=r'labels must be \[N, K\] with N = 60, as scores, not \(59, 4\)'):
        metrics.auroc(scores, labels[1:], mask)
    with pytest.raises(ValueError, match='labels hold 2'):
        metrics.auroc(scores, labels * 2, mask)
    with pytest.raises(ValueError, match=r'probabilities hold 4\.0.*sigmoid'):
        metrics.brier(np.full(labels.shape, 4.0), labels)
    with pytest.raises(ValueError, match='N = 60'):
        metrics.auroc(scores, labels, weights=np.ones((60, 5)))
    with pytest.raises(ValueError, match="Did you mean 'mass'"):
        metrics.expected_calibration_error(*entries, spacing='mas')
    with pytest.raises(ValueError, match='groups has 2'):
        metrics.seed_ensemble(scores, ['a', 'b'])
