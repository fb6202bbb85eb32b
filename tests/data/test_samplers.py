"""Sampling weights: exact expected frequencies, and the rules for examples without a finding."""

import numpy as np
import pytest

from imbalance_jax.data import samplers
from imbalance_jax.data.samplers import SAMPLERS


@pytest.fixture(scope='module')
def labels():
    rng = np.random.default_rng(0)
    labels = rng.random((400, 5)) < [0.3, 0.1, 0.05, 0.02, 0.2]
    labels[:4] = [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 1, 0, 1, 0], [0, 0, 0, 0, 0]]
    return labels.astype(np.uint8)


def exclusive(counts, num_healthy):
    """Labels with at most one finding an example: `counts` of each class, then examples without a finding."""
    rows = np.repeat(np.eye(len(counts), dtype=np.uint8), counts, axis=0)
    return np.concatenate([rows, np.zeros((num_healthy, len(counts)), np.uint8)])


def draws_of_each_class(weights, labels):
    """Expected share of draws with each finding, and without any."""
    return np.append(weights @ labels, weights[~labels.any(axis=1)].sum())


@pytest.mark.parametrize('name', sorted(SAMPLERS))
@pytest.mark.parametrize('fraction', [0.0, 0.3, 1.0])
def test_weights_are_a_distribution(name, fraction, labels):
    weights = SAMPLERS[name](labels, fraction)
    assert weights.shape == (400,)
    assert weights.dtype == np.float64
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)


@pytest.mark.parametrize('name', sorted(SAMPLERS))
def test_absent_classes_and_findings(name, labels):
    without_class = labels.copy()
    without_class[:, 2] = 0
    for some_labels in (without_class, np.zeros_like(labels), np.ones_like(labels)):
        weights = SAMPLERS[name](some_labels, 0.5)
        assert np.isfinite(weights).all()
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)


@pytest.mark.parametrize('name', sorted(set(SAMPLERS) - {'weighted_sampling_published'}))
def test_absent_class_changes_nothing(name, labels):
    with_empty = np.insert(labels, 2, 0, axis=1)
    np.testing.assert_allclose(SAMPLERS[name](with_empty, 0.5), SAMPLERS[name](labels, 0.5), rtol=1e-12)


@pytest.mark.parametrize('name', sorted(set(SAMPLERS) - {'weighted_sampling_published'}))
def test_permuting_examples_permutes_weights(name, labels):
    order = np.random.default_rng(1).permutation(len(labels))
    np.testing.assert_allclose(SAMPLERS[name](labels[order], 0.5), SAMPLERS[name](labels, 0.5)[order], rtol=1e-12)


def test_natural_draws_each_class_as_often_as_it_is(labels):
    shares = draws_of_each_class(SAMPLERS['natural'](labels, 0.7), labels)
    np.testing.assert_allclose(shares[:-1], labels.mean(axis=0))


def test_inverse_frequency_draws_exclusive_classes_alike():
    labels = exclusive([50, 10, 2], 0)
    np.testing.assert_allclose(SAMPLERS['inverse_frequency'](labels, 0) @ labels, 1 / 3)


def test_square_root_draws_exclusive_classes_by_the_root_of_their_size():
    labels = exclusive([64, 16, 4], 0)
    np.testing.assert_allclose(SAMPLERS['square_root'](labels, 0) @ labels, np.array([8, 4, 2]) / 14)


def test_inverse_frequency_takes_the_rarest_finding(labels):
    weights = SAMPLERS['inverse_frequency'](labels, 0)
    count = labels.sum(axis=0)
    np.testing.assert_allclose(weights[0] / weights[1], count[3] / count[0])
    np.testing.assert_allclose(weights[2], weights[1])


@pytest.mark.parametrize(('name', 'power'), [('inverse_frequency', -1.0), ('square_root', -0.5)])
def test_no_finding_has_the_mean_weight_over_classes(name, power, labels):
    weights, count = SAMPLERS[name](labels, 0), labels.sum(axis=0).astype(float)
    np.testing.assert_allclose(weights[3] / weights[1], (count**power).mean() / count[3] ** power)


@pytest.mark.parametrize('name', ['inverse_frequency', 'square_root', 'weighted_sampling'])
def test_share_of_no_finding(name, labels):
    default, set_to = SAMPLERS[name](labels, 0), SAMPLERS[name](labels, 0, no_finding_share=0.25)
    healthy = ~labels.any(axis=1)
    np.testing.assert_allclose(set_to[healthy].sum(), 0.25)
    np.testing.assert_allclose(set_to[~healthy] / set_to[~healthy].sum(), default[~healthy] / default[~healthy].sum())


def test_weighted_clips_rare_classes():
    labels = exclusive([100, 50, 20, 10, 1], 0)
    weights = SAMPLERS['weighted_sampling'](labels, 0)
    class_weight = weights[np.cumsum([0, 100, 50, 20, 10])]
    # The 75 % quantile of five values is the fourth: the last class is drawn as if it had ten examples.
    np.testing.assert_allclose(class_weight / class_weight[3], [0.1, 0.2, 0.5, 1, 1])
    np.testing.assert_allclose(
        SAMPLERS['weighted_sampling'](labels, 0, quantile=1.0), SAMPLERS['inverse_frequency'](labels, 0), rtol=1e-12
    )


def test_class_aware_draws_exclusive_classes_and_no_finding_alike():
    labels = exclusive([50, 10, 2], 200)
    np.testing.assert_allclose(draws_of_each_class(SAMPLERS['class_aware'](labels, 0), labels), 1 / 4)


def test_class_aware_is_a_uniform_class_then_a_uniform_example(labels):
    classes = np.column_stack([labels, ~labels.any(axis=1)])
    expected = np.zeros(len(labels))
    for one in classes.T:
        members = np.flatnonzero(one)
        expected[members] += 1 / 6 / len(members)
    np.testing.assert_allclose(SAMPLERS['class_aware'](labels, 0), expected)


def test_progressive_goes_from_natural_to_class_aware(labels):
    ends = SAMPLERS['natural'](labels, 0), SAMPLERS['class_aware'](labels, 0)
    for fraction in (0.0, 0.25, 1.0):
        expected = (1 - fraction) * ends[0] + fraction * ends[1]
        np.testing.assert_allclose(SAMPLERS['progressive'](labels, fraction), expected)


def test_repeat_factor():
    labels = exclusive([40, 4, 1], 55)
    weights = SAMPLERS['repeat_factor'](labels, 0, threshold=0.16)
    repeats = weights / weights[-1]
    np.testing.assert_allclose(repeats[[0, 40, 44, 45]], [1, 2, 4, 1])
    np.testing.assert_allclose(SAMPLERS['repeat_factor'](labels, 0, threshold=0.001), 1 / 100)


def test_repeat_factor_takes_the_rarest_finding():
    labels = np.array([[1, 1]] + [[1, 0]] * 24)
    weights = SAMPLERS['repeat_factor'](labels, 0, threshold=0.16)
    np.testing.assert_allclose(weights[0] / weights[1], 2)


def test_published_weighted_sampling_draws_only_the_first_examples(labels):
    weights = SAMPLERS['weighted_sampling_published'](labels, 0)
    count = labels.sum(axis=0)
    clipped = np.minimum(1 / count, np.quantile(1 / count, 0.75))
    np.testing.assert_allclose(weights[:5], clipped / clipped.sum(), rtol=1e-5)
    np.testing.assert_array_equal(weights[5:], 0)


@pytest.mark.parametrize(
    ('name', 'some_labels', 'fraction', 'options', 'message'),
    [
        ('natural', [0, 1], 0, {}, r'shape \(2,\); they must be \[N, K\]'),
        ('natural', np.zeros((0, 3)), 0, {}, r'shape \(0, 3\)'),
        ('class_aware', [[0, -1]], 0, {}, r'labels hold \[-1\]; they must be 0 or 1'),
        ('progressive', [[0, 1]], 1.5, {}, r'progress = 1.5 .* in \[0, 1\]'),
        ('repeat_factor', [[0, 1]], 0, {'threshold': 0}, 'threshold = 0 .* positive'),
        ('weighted_sampling', [[0, 1]], 0, {'quantile': 75}, r'quantile = 75 .* in \[0, 1\]'),
        ('inverse_frequency', [[0, 1]], 0, {'no_finding_share': -1}, 'no_finding_share = -1'),
        ('weighted_sampling_published', [[0, 1, 0]], 0, {}, '1 examples are fewer than the 3'),
    ],
)
def test_wrong_input(name, some_labels, fraction, options, message):
    with pytest.raises(ValueError, match=message):
        SAMPLERS[name](some_labels, fraction, **options)


def test_make_sets_the_options_of_a_sampler(labels):
    sampler = samplers.make('repeat_factor', threshold=0.16)
    np.testing.assert_array_equal(sampler(labels, 0), SAMPLERS['repeat_factor'](labels, 0, threshold=0.16))
    np.testing.assert_array_equal(samplers.make('natural')(labels, 0.5), SAMPLERS['natural'](labels, 0.5))


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('repeat_factr', {}, "Unknown sampler 'repeat_factr'. Did you mean 'repeat_factor'"),
        (
            'repeat_factor',
            {'treshold': 1},
            "Unknown option of sampler 'repeat_factor' 'treshold'. Did you mean 'thresh",
        ),
        ('repeat_factor', {'threshold': True}, 'threshold = True of .* must be a finite number'),
        ('repeat_factor', {'threshold': None}, 'threshold = None of .* must be a finite number'),
        ('natural', {'quantile': 0.5}, "Unknown option of sampler 'natural' 'quantile'"),
    ],
)
def test_make_refuses_what_a_sampler_does_not_take(name, options, message):
    with pytest.raises(ValueError, match=message):
        samplers.make(name, **options)


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (lambda labels, progress: np.ones(3), r"Sampler 'own' gives float64 of shape \(3,\); expected a weight per"),
        (lambda labels, progress: ['a'] * len(labels), "Sampler 'own' gives <U1"),
        (lambda labels, progress: -np.ones(len(labels)), "Sampler 'own' gives weights from -1 to -1"),
        (lambda labels, progress: np.zeros(len(labels)), 'not all 0'),
        (lambda labels, progress: np.full(len(labels), np.nan), 'must be finite'),
        (lambda labels, progress: labels.fill(1), "Sampler 'own' changes the labels"),
        (lambda labels: np.ones(len(labels)), "Sampler 'own' failed with TypeError: .* takes 1 positional argument"),
    ],
)
def test_a_sampler_of_one_s_own_is_looked_at(monkeypatch, labels, given, said):
    monkeypatch.setitem(SAMPLERS, 'own', given)
    before = np.array(labels)
    with pytest.raises(ValueError, match=said):
        samplers.make('own')(labels, 0.0)
    np.testing.assert_array_equal(labels, before)


def test_a_sampler_that_insists_changes_labels_of_its_own(monkeypatch, labels):
    def own(labels, progress):
        labels.setflags(write=True)
        labels[:] = 0
        return np.ones(len(labels))

    monkeypatch.setitem(SAMPLERS, 'own', own)
    before = np.array(labels)
    samplers.make('own')(labels, 0.0)
    np.testing.assert_array_equal(labels, before)


def test_a_mask_is_a_sampler_of_its_examples(monkeypatch, labels):
    monkeypatch.setitem(SAMPLERS, 'own', lambda labels, progress: labels.any(1))
    weights = samplers.make('own')(labels, 0.0)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, np.asarray(labels).any(1))


def test_what_a_sampler_of_one_s_own_never_draws_is_said(monkeypatch, caplog):
    labels = np.zeros((60, 2), np.uint8)
    labels[:20, 0] = labels[20:30, 1] = 1
    own = [
        (lambda labels, progress: np.arange(60) < 20, 'never draws an image with class 1'),
        (lambda labels, progress: (np.arange(60) // 10 == 2) * 2.0, 'never draws an image with class 0'),
        (lambda labels, progress: np.ones(60), ''),
    ]
    for sampler, said in own:
        caplog.clear()
        monkeypatch.setitem(SAMPLERS, 'own', sampler)
        samplers.make('own')(labels, 0.0)
        assert said in caplog.text
        assert bool(caplog.text) == bool(said)
    monkeypatch.setitem(SAMPLERS, 'own', lambda labels, progress: np.arange(60) == 3)
    samplers.make('own')(labels, 0.0)
    assert 'draws 1 of 60 training images, and never the others' in caplog.text
