"""Intervals of seeds and patients: against scipy, a computation of its own and brute force, and what has none."""

import numpy as np
import pytest
from scipy import stats

from imbalance_jax.metrics import intervals, scores, statistics


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def by_hand(values, rounds, clusters=np.inf):
    """Mean, error and df of one cell: values [S], rounds [R,S], all finite."""
    count = len(values)
    of_mean = rounds.mean(1).var(ddof=1)
    of_one = np.mean([rounds[:, s].var(ddof=1) for s in range(count)])
    interaction = max(0.0, of_one - of_mean) / (count - 1)
    seeds, patients = values.var(ddof=1) / count, max(0.0, of_mean - interaction)
    share = seeds / (seeds + patients)
    parts = [(share, count - 1), (1 - share, clusters - 1)]
    df = 1 / sum(part ** (2 - 1.5 / own) / own for part, own in parts)
    return values.mean(), np.sqrt(seeds + patients), df


def test_an_interval_is_the_one_worked_out_by_hand():
    values, common = draw(0, 4, 3) + 1, draw(1, 200, 1, 3)
    rounds = values + common * [0.2, 0.6, 1.5] + 0.5 * draw(2, 200, 4, 3)
    clusters = np.array([5.5, 40.0, np.inf])
    got = intervals.seed_interval(values, rounds, clusters=clusters)
    for k in range(3):
        mean, error, df = by_hand(values[:, k], rounds[..., k], clusters[k])
        half = stats.t.ppf(0.975, df) * error
        np.testing.assert_allclose([got.estimate[k], got.error[k], got.df[k]], [mean, error, df])
        np.testing.assert_allclose([got.low[k], got.high[k]], [mean - half, mean + half])
    parts = intervals.variances(values, rounds)
    np.testing.assert_allclose(parts.seeds + parts.interaction, values.var(0, ddof=1) / 4)
    np.testing.assert_allclose(got.error**2, values.var(0, ddof=1) / 4 + parts.patients)


def test_seeds_alone_are_students():
    arm, reference = draw(3, 2, 8, 2)
    rounds = [np.broadcast_to(values, (50, 8, 2)) for values in (arm, reference)]
    got = intervals.paired_difference(arm, reference, *rounds)
    want = stats.ttest_rel(arm, reference)
    np.testing.assert_allclose([got.low, got.high], want.confidence_interval(0.95))
    np.testing.assert_allclose(intervals.p_value(got), want.pvalue)
    np.testing.assert_allclose(intervals.over_seeds(arm - reference)[1:3], [got.low, got.high])


@pytest.mark.parametrize(('clusters', 'quantile'), [(np.inf, 1.959964), (7.0, 2.446912)])
def test_one_seed_leaves_the_patients_part(clusters, quantile):
    rounds = draw(4, 500, 1, 1)
    got = intervals.seed_interval(np.zeros((1, 1)), rounds, clusters=clusters)
    np.testing.assert_allclose(got.high, quantile * rounds.std(ddof=1), rtol=1e-6)


def test_p_is_that_of_the_interval():
    values = draw(5, 5, 1)
    got = intervals.seed_interval(values, values + 0.1 * draw(6, 300, 5, 1), clusters=12.0)
    for end in (got.low, got.high):
        np.testing.assert_allclose(intervals.p_value(got, float(end[0])), 0.05)
    assert intervals.p_value(got, float(got.estimate[0])) == 1


def test_equivalence_is_scipys_and_that_of_the_90_percent_interval():
    values = draw(7, 8, 2) * 0.004 + [0, 0.02]
    rounds = np.broadcast_to(values, (10, 8, 2))
    got = intervals.equivalence(intervals.seed_interval(values, rounds), 0.005)
    above = stats.ttest_1samp(values, -0.005, alternative='greater').pvalue
    np.testing.assert_allclose(got, np.maximum(above, stats.ttest_1samp(values, 0.005, alternative='less').pvalue))
    assert got[1] > 0.99
    narrow = intervals.seed_interval(values, rounds, confidence=0.9)
    reach = np.maximum(-narrow.low, narrow.high)[0]
    assert intervals.equivalence(narrow, 1.001 * reach)[0] < 0.05 < intervals.equivalence(narrow, 0.999 * reach)[0]
    with pytest.raises(ValueError, match='margin is 0'):
        intervals.equivalence(narrow, 0)


@pytest.mark.filterwarnings('error')
def test_a_dead_member_is_as_if_it_had_not_been():
    values, rounds = draw(8, 5, 2), draw(9, 100, 5, 2)
    dead, dead_rounds = np.insert(values, 2, np.nan, axis=0), np.insert(rounds, 2, np.nan, axis=1)
    for one, two in zip(
        intervals.seed_interval(dead, dead_rounds), intervals.seed_interval(values, rounds), strict=True
    ):
        np.testing.assert_allclose(one, two)
    nothing = intervals.seed_interval(np.full((3, 2), np.nan), np.full((9, 3, 2), np.nan))
    assert np.isnan(nothing.low).all()
    np.testing.assert_array_equal(nothing.rounds, 0)


@pytest.mark.filterwarnings('error')
def test_what_does_not_vary_has_no_interval():
    for same in (np.full((3, 1), 7.0), np.array([[0.3], [0.1 + 0.2], [0.3]])):
        for got in (intervals.over_seeds(same), intervals.seed_interval(same, np.broadcast_to(same, (20, 3, 1)))):
            assert np.isnan([got.low, got.high, intervals.p_value(got), intervals.equivalence(got, 0.1)]).all()
            np.testing.assert_allclose(got.estimate, same[:1].ravel()[0])
    assert np.isnan(intervals.over_seeds(np.array([1.0])).low)
    got = intervals.seed_interval(draw(10, 3, 1), draw(11, 20, 3, 1), clusters=1.0)
    assert np.isnan([got.low, intervals.p_value(got)]).all()


def test_rounds_that_lost_a_class_are_left_out():
    values, rounds = draw(12, 3, 1), draw(13, 100, 3, 1)
    rounds[:30] = np.nan
    got = intervals.seed_interval(values, rounds)
    assert got.rounds == 70
    np.testing.assert_allclose(got.error, intervals.seed_interval(values, rounds[30:]).error)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'they are \(3,\) of values, \(5, 2\) of resampled'):
        intervals.seed_interval(np.zeros(3), np.zeros((5, 2)))


@pytest.mark.filterwarnings('error')
def test_an_interval_within_the_unit_is_symmetric_in_logits():
    values = np.array([[0.98, 0.5, 1.0], [0.99, 0.6, 1.0], [0.97, 0.7, 1.0]])
    got = intervals.within_unit(intervals.seed_interval(values, values + 0.05 * draw(14, 200, 3, 3)))
    assert (got.low[:2] > 0).all()
    assert (got.high[:2] < 1).all()
    assert np.isnan(got.low[2])
    low, middle, high = (np.log(x / (1 - x)) for x in (got.low[:2], got.estimate[:2], got.high[:2]))
    np.testing.assert_allclose(high - middle, middle - low)
    slope = got.estimate * (1 - got.estimate)
    np.testing.assert_allclose(((high - middle) * slope[:2]), (stats.t.ppf(0.975, got.df) * got.error)[:2])


def test_where_patients_are_too_few_nothing_but_the_estimate_is_left():
    got = intervals.seed_interval(draw(15, 3, 2), draw(16, 50, 3, 2))
    held = intervals.withheld(got, [False, True])
    np.testing.assert_array_equal(held.estimate, got.estimate)
    np.testing.assert_array_equal(np.isnan([held.low, held.high, intervals.p_value(held)]), [[False, True]] * 3)
    assert held.low[0] == got.low[0]


def test_effective_numbers():
    assert intervals.effective_number([3, 3, 5, 5, 9, 9]) == pytest.approx(3)
    assert intervals.effective_number([1, 1, 1, 1, 1, 1, 1, 1, 1, 2]) == pytest.approx(100 / 82)
    assert intervals.effective_number([]) == 0
    labels = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]])
    got = intervals.effective_clusters(labels, np.ones_like(labels), [4, 4, 5, 6, 7])
    np.testing.assert_allclose(got, [1, 1, 0])  # one patient with; one without; none with
    assert intervals.clusters_of_mean([6.0]) == pytest.approx(6)
    assert intervals.clusters_of_mean([6.0] * 4) == pytest.approx(1 + 4 * 5)
    assert 6 < intervals.clusters_of_mean([6.0, 500.0]) < 8
    assert intervals.clusters_of_mean([0.0, 1.0]) == 0


def structural(score, labels, patients):
    """Obuchowski's components [2,G] of an AUROC, by brute force over all pairs of a positive and a negative."""
    positive, negative = np.flatnonzero(labels), np.flatnonzero(labels == 0)
    psi = (score[positive, None] > score[negative]) + 0.5 * (score[positive, None] == score[negative])
    result = np.zeros((2, patients.max() + 1))
    for row, i in enumerate(positive):
        result[0, patients[i]] += (psi[row] - psi.mean()).mean() / len(positive)
    for column, j in enumerate(negative):
        result[1, patients[j]] += (psi[:, column] - psi.mean()).mean() / len(negative)
    return result


def test_the_bootstraps_variance_is_that_of_clustered_delong():
    """Obuchowski 1997, for the mean over seeds of the difference of two arms, with 1 to 4 films per patient."""
    rng = np.random.default_rng(17)
    patients = np.repeat(np.arange(120), rng.integers(1, 5, 120))
    labels = (rng.random(120) < 0.3)[patients] * 1
    shared, arms = rng.normal(size=120)[patients], rng.normal(size=(2, 1, 120))[..., patients]
    score = labels + shared + arms + 0.5 * rng.normal(size=(2, 3, len(labels)))
    weights = statistics.cluster_weights(patients, 4000, rng)
    rounds = scores.auroc(score[..., None], labels[:, None], weights=weights)[..., 0]
    bootstrap = (rounds[:, 0] - rounds[:, 1]).mean(1).var(ddof=1)
    parts = np.array([[structural(one, labels, patients) for one in arm] for arm in score])  # [2,S,2,G]
    components = (parts[0] - parts[1]).mean(0)
    with_both = np.array([len(np.unique(patients[labels == kind])) for kind in (1, 0)])
    each = components * np.sqrt(with_both / (with_both - 1))[:, None]
    assert bootstrap == pytest.approx((each.sum(0) ** 2).sum(), rel=0.12)
    by_image = structural(score[0, 0], labels, np.arange(len(labels)))
    by_patient = structural(score[0, 0], labels, patients)
    assert (by_patient.sum(0) ** 2).sum() > 1.5 * (by_image.sum(0) ** 2).sum()


def test_two_groups_of_networks_agree_with_welch_where_patients_add_nothing():
    random = np.random.default_rng(0)
    values, others = random.normal(0, 1, (9, 1)), random.normal(0.5, 1, (12, 1))
    rounds = [np.repeat(one[None], 3, 0) for one in (values, others)]
    interval = intervals.unpaired_difference(values, others, *rounds)
    error = np.sqrt(values.var(0, ddof=1) / 9 + others.var(0, ddof=1) / 12)
    np.testing.assert_allclose(interval.error, error)
    np.testing.assert_allclose(interval.estimate, values.mean(0) - others.mean(0))
    assert 8 < interval.df[0] <= 19


def test_two_groups_of_networks_hold_the_truth():
    """Networks and patients vary, both in common and apart; 95 % intervals hold the truth in 93 to 98 % of draws."""
    random, patients, draws = np.random.default_rng(1), 30, 1000
    weights = random.multinomial(patients, np.full(patients, 1 / patients), size=60) / patients
    shared = random.normal(0, 2, (draws, 1, patients))
    sides = []
    for number in (3, 5):
        own = random.normal(0, 1, (draws, number, 1)) + random.normal(0, 2, (draws, number, patients))
        sides.append(own + shared + random.normal(0, 2, (draws, 1, patients)))
    values = [one.mean(-1).T for one in sides]
    rounds = [np.einsum('rg,dsg->rsd', weights, one) for one in sides]
    interval = intervals.unpaired_difference(*values, *rounds, clusters=patients)
    assert 0.93 <= np.mean((interval.low <= 0) & (interval.high >= 0)) <= 0.98


def test_a_single_network_borrows_the_spread_of_the_others():
    values, others = np.array([[1.0], [2.0], [4.0]]), np.array([[0.5]])
    rounds = [np.repeat(one[None], 3, 0) for one in (values, others)]
    interval = intervals.unpaired_difference(values, others, *rounds)
    np.testing.assert_allclose(interval.error, np.sqrt(values.var(0, ddof=1) * (1 / 3 + 1)))
    np.testing.assert_allclose(interval.df, 2)
    alone = intervals.unpaired_difference(others, others + 1, rounds[1], rounds[1] + 1)
    assert np.isnan(alone.low)
