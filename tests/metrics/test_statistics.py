"""Intervals that cover, tests against naive and hand-worked ones, and what is left out."""

import numpy as np
import pytest
from scipy import stats

from imbalance_jax.metrics import scores as metrics
from imbalance_jax.metrics import statistics


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_cluster_weights_draw_whole_patients():
    patients = np.array([7, 7, 3, 9, 3, 7])
    weights = statistics.cluster_weights(patients, 2000, np.random.default_rng(0))
    assert weights.shape == (2000, 6)
    for patient in (3, 7, 9):
        of_one = weights[:, patients == patient]
        assert (of_one == of_one[:, :1]).all()
    first = weights[:, [0, 2, 3]]
    np.testing.assert_array_equal(first.sum(axis=1), 3)
    np.testing.assert_allclose(first.mean(axis=0), 1, atol=0.06)
    np.testing.assert_array_equal(weights, statistics.cluster_weights(patients, 2000, np.random.default_rng(0)))


def test_weighted_mean_repeats_and_leaves_nan_out():
    values = draw(0, 2, 3, 20)
    values[0, 1, :5] = np.nan
    values[1, 2] = np.nan
    weights = np.random.default_rng(1).poisson(1.0, (4, 20))
    got = statistics.weighted_mean(values, weights)
    assert got.shape == (4, 2, 3)
    assert np.isnan(got[:, 1, 2]).all()
    for row, means in zip(weights, got, strict=True):
        repeated = np.repeat(values, row, axis=-1)
        np.testing.assert_allclose(means[0], np.nanmean(repeated[0], axis=-1))


def test_interval_of_a_mean_is_its_standard_error_wide():
    values = draw(2, 400)
    got = statistics.cluster_mean_interval(values, np.arange(400), rounds=2000)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([got.low, got.estimate, got.high], values.mean() + np.array([-half, 0, half]), atol=0.01)
    assert got.rounds == 2000


def test_correlated_images_of_a_patient_widen_the_interval():
    patients = np.repeat(np.arange(60), 5)
    values = draw(3, 60)[patients] + 0.2 * draw(4, 300)
    by_patient = statistics.cluster_mean_interval(values, patients)
    by_image = statistics.cluster_mean_interval(values, np.arange(300))
    assert by_patient.estimate == by_image.estimate
    assert by_patient.high - by_patient.low > 1.8 * (by_image.high - by_image.low)  # sqrt(5) if wholly correlated


def test_differences_on_the_same_images_give_a_narrower_interval():
    shared = draw(5, 200)
    a, b = shared + 0.1 * draw(6, 200) + 0.1, shared + 0.1 * draw(7, 200)
    alone = statistics.cluster_mean_interval(np.stack([a, b]), np.arange(200))
    paired = statistics.cluster_mean_interval(a - b, np.arange(200))
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low).min() / 3
    np.testing.assert_allclose(paired.estimate, alone.estimate[0] - alone.estimate[1])


@pytest.mark.parametrize('seeds', [4, 10])
def test_two_level_interval_covers_the_truth(seeds):
    """Two arms of equal worth; noise of the patients, shared by the seeds of an arm, and as much noise of the seeds."""
    rng = np.random.default_rng(seeds)
    hits, trials, patients = 0, 200, 100
    for trial in range(trials):
        values = rng.normal(size=(2, 1, patients)) + rng.normal(size=(2, seeds, 1)) * np.sqrt(seeds / patients)
        weights = statistics.cluster_weights(np.arange(patients), 300, rng)
        arms, rounds = values.mean(axis=-1)[..., None], statistics.weighted_mean(values, weights)[..., None]
        got = statistics.paired_difference(*arms, rounds[:, 0], rounds[:, 1], seed=trial)
        hits += got.low[0] <= 0 <= got.high[0]
    assert 0.89 <= hits / trials <= 0.99


def test_seeds_alone_give_the_standard_error_of_their_mean():
    arm, reference = draw(16, 2, 8, 1)
    rounds = [np.broadcast_to(values, (4000, 8, 1)) for values in (arm, reference)]
    got = statistics.paired_difference(arm, reference, *rounds)
    want = 2 * 1.96 * stats.sem(arm - reference)
    np.testing.assert_allclose(got.high - got.low, want, rtol=0.06)  # sqrt(7 / 8) would be 6.5 % too narrow


def bootstrapped(seeds=6, seed=8, shift=0.7):
    """AUROC [2, S, K] of two arms on 80 images of 40 patients, and of 300 resamples of them [300, 2, S, K]."""
    rng = np.random.default_rng(seed)
    labels = rng.random((80, 3)) < [0.5, 0.3, 0.03]
    labels[:2, 2] = True  # one patient has all positives of the last class
    labels[2:, 2] = False
    scores = labels * np.array([1 + shift, 1])[:, None, None, None] + rng.normal(size=(1, seeds, 80, 3))
    weights = statistics.cluster_weights(np.repeat(np.arange(40), 2), 300, rng)
    return metrics.auroc(scores, labels), metrics.auroc(scores, labels, weights=weights)


def compare(values, rounds, **options):
    return statistics.paired_difference(*values, rounds[:, 0], rounds[:, 1], **options)


def test_paired_difference_of_auroc():
    values, rounds = bootstrapped()
    got = compare(values, rounds)
    np.testing.assert_allclose(got.estimate, (values[0] - values[1]).mean(axis=0))
    assert (got.low[:2] > 0).all()
    assert (got.low <= got.estimate).all()
    assert (got.estimate <= got.high).all()
    np.testing.assert_array_equal(got.rounds, np.isfinite(rounds[:, 0, 0]).sum(axis=0))
    assert got.rounds[2] < 240 < got.rounds[0] == 300
    swapped = compare(values[::-1], rounds[:, ::-1])
    np.testing.assert_allclose([swapped.low, swapped.high], [-got.high, -got.low], atol=1e-12)


def test_paired_difference_is_deterministic():
    values, rounds = bootstrapped()
    for one, two in zip(compare(values, rounds, seed=1), compare(values, rounds, seed=1), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (compare(values, rounds, seed=1).low != compare(values, rounds, seed=2).low).any()


def test_one_seed_leaves_the_patients_part():
    values, rounds = bootstrapped(seeds=1)
    got = compare(values, rounds)
    want = np.nanquantile(rounds[:, 0, 0] - rounds[:, 1, 0], [0.025, 0.975], axis=0)
    np.testing.assert_allclose([got.low, got.high], want)


@pytest.mark.filterwarnings('error')
def test_pair_with_a_dead_member_is_as_if_it_had_not_been():
    values, rounds = bootstrapped()
    values[1, 5], rounds[:, 1, 5] = np.nan, np.nan
    got, want = compare(values, rounds), compare(values[:, :5], rounds[:, :, :5])
    for one, two in zip(got, want, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12)
    values[1], rounds[:, 1] = np.nan, np.nan
    nothing = compare(values, rounds)
    assert np.isnan(nothing[:3]).all()
    np.testing.assert_array_equal(nothing.rounds, 0)


def test_paired_difference_rejects_shapes_that_do_not_fit():
    values, rounds = bootstrapped()
    with pytest.raises(ValueError, match=r'valid are \[S, K\]'):
        statistics.paired_difference(*values[:, 0], rounds[:, 0], rounds[:, 1])


def naive_delong(a, b, labels):
    """z of DeLong, DeLong and Clarke-Pearson 1988 from all pairs, by their covariance matrices."""
    x, y = np.stack([a, b])[:, labels == 1], np.stack([a, b])[:, labels == 0]
    psi = (x[:, :, None] > y[:, None]) + 0.5 * (x[:, :, None] == y[:, None])
    covariance = np.cov(psi.mean(axis=2)) / x.shape[1] + np.cov(psi.mean(axis=1)) / y.shape[1]
    contrast = np.array([1, -1])
    return contrast @ psi.mean(axis=(1, 2)) / np.sqrt(contrast @ covariance @ contrast)


def test_delong_is_the_naive_one_with_ties():
    rng = np.random.default_rng(9)
    labels = (rng.random(80) < 0.3).astype(int)
    a, b = np.round(rng.normal(size=(2, 80)) + labels * np.array([[1.2], [0.5]]), 1)
    got = statistics.delong(a, b, labels)
    pairs = labels.sum() * (1 - labels).sum()
    u = [stats.mannwhitneyu(score[labels == 1], score[labels == 0]).statistic for score in (a, b)]
    np.testing.assert_allclose([got.auc_a, got.auc_b], np.array(u) / pairs)
    assert got.z == pytest.approx(naive_delong(a, b, labels))
    assert got.p == pytest.approx(2 * stats.norm.sf(abs(got.z)))
    assert statistics.delong(b, a, labels).z == pytest.approx(-got.z)


@pytest.mark.filterwarnings('error')
def test_delong_at_the_edges():
    labels, scores = np.array([0, 0, 0, 1, 1]), np.array([1.0, 2, 3, 2, 4])
    assert statistics.delong(scores, 2 * scores, labels)[2:] == (0, 1)
    assert np.isnan(statistics.delong(scores, np.full(5, np.nan), labels)).all()
    assert np.isnan(statistics.delong(scores, -scores, np.array([0, 0, 0, 0, 1]))).all()


def test_holm_and_benjamini_hochberg_by_hand():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(statistics.holm(p), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(statistics.benjamini_hochberg(p), [0.02, 0.04, 0.04, 0.02])
    np.testing.assert_allclose(statistics.holm([0.5, 0.6]), [1, 1])
    many = np.random.default_rng(10).random(50) ** 2
    np.testing.assert_allclose(statistics.benjamini_hochberg(many), stats.false_discovery_control(many))


@pytest.mark.parametrize('adjust', [statistics.holm, statistics.benjamini_hochberg])
def test_a_test_that_could_not_be_made_is_not_counted(adjust):
    p = np.array([[0.01, np.nan, 0.04], [0.03, 0.005, np.nan]])
    got = adjust(p)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(p))
    np.testing.assert_allclose(got[np.isfinite(p)], adjust([0.01, 0.04, 0.03, 0.005]))
    with pytest.raises(ValueError, match=r'p holds 1\.5'):
        adjust([0.1, 1.5])


def test_paired_tests_are_scipys():
    differences = draw(11, 8, 3) * 0.004 + [0, 0.002, 0.02]
    np.testing.assert_allclose(statistics.paired_t(differences), stats.ttest_1samp(differences, 0).pvalue)
    want = np.maximum(
        stats.ttest_1samp(differences, -0.005, alternative='greater').pvalue,
        stats.ttest_1samp(differences, 0.005, alternative='less').pvalue,
    )
    np.testing.assert_allclose(statistics.tost(differences, 0.005), want)
    assert statistics.tost(differences, 0.005)[2] > 0.99
    want = stats.ttest_1samp(differences, 0).statistic / np.sqrt(8)
    np.testing.assert_allclose(statistics.paired_effect_size(differences), want)
    with pytest.raises(ValueError, match='margin is 0'):
        statistics.tost(differences, 0)


@pytest.mark.filterwarnings('error')
def test_paired_tests_leave_dead_pairs_out():
    differences = draw(12, 7, 2)
    with_dead = np.insert(differences, 3, np.nan, axis=0)
    for test in (statistics.paired_t, statistics.paired_effect_size, lambda d: statistics.tost(d, 0.5)):
        np.testing.assert_array_equal(test(with_dead), test(differences))
        assert np.isnan(test(differences[:1])).all()
        assert np.isnan(test(np.full((3, 2), np.nan))).all()


@pytest.mark.filterwarnings('error')
def test_no_difference_at_all_is_no_evidence_and_full_equivalence():
    same = np.zeros((5, 1))
    assert statistics.paired_t(same) == 1
    assert statistics.paired_effect_size(same) == 0
    assert statistics.tost(same, 0.005) == 0


def test_probability_of_improvement_is_mann_whitney():
    a, b = np.round(draw(13, 9, 2), 1), np.round(draw(14, 7, 2), 1)
    want = stats.mannwhitneyu(a, b).statistic / 63
    np.testing.assert_allclose(statistics.probability_of_improvement(a, b), want)
    dead = np.vstack([a, [[np.nan, np.nan]]])
    np.testing.assert_allclose(statistics.probability_of_improvement(dead, b), want)
    np.testing.assert_allclose(statistics.probability_of_improvement(a, a), 0.5)


def test_hanley_mcneil_for_hernia():
    got = statistics.hanley_mcneil_se(0.9, np.array([42, 86]), np.array([22433 - 42, 25596 - 86]))
    np.testing.assert_allclose(got, [0.032, 0.022], atol=5e-4)
    assert statistics.hanley_mcneil_se(1.0, 10, 20) == 0


def test_hanley_mcneil_is_about_what_the_bootstrap_finds():
    rng = np.random.default_rng(15)
    labels = np.arange(600)[:, None] < 100
    scores = labels + rng.normal(size=(600, 1))
    rounds = metrics.auroc(scores, labels, weights=statistics.cluster_weights(np.arange(600), 500, rng))
    want = statistics.hanley_mcneil_se(metrics.auroc(scores, labels), 100, 500)
    np.testing.assert_allclose(rounds.std(axis=0), want, rtol=0.2)
