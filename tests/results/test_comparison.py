"""Arms compared by how they rank images: every figure worked out again, and what may be called equal."""

import numpy as np
import pytest
from scipy import stats

from imbalance_jax.metrics import scores, statistics
from imbalance_jax.results import comparison, schema
from imbalance_jax.results.comparison import Claims, Truth
from imbalance_jax.results.rows import Bootstrap, Population

CLASSES, SEEDS, BOOTSTRAP = ['Mass', 'Nodule', 'Rare'], 4, Bootstrap(200, 3)
ARMS = ('bce', 'better', 'close', 'itself', 'blind')


@pytest.fixture(scope='module')
def study():
    """One arm is better at masses, one differs by a hair, one is the reference itself, one learned permuted labels."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(300), 2)
    labels = (rng.random((300, 3)) < [0.4, 0.3, 0.0])[patients] * 1
    labels[:6, 2] = 1  # six films of three patients
    shared = 2.5 * labels + rng.normal(size=(600, 3))
    members, logits = [], []
    for arm in ARMS:
        for seed in range(SEEDS):
            owned = {'labels': 'permuted' if arm == 'blind' else 'own'}
            members.append(
                {'member': len(members), 'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': seed, **owned}
            )
            logits.append(
                shared + 0.05 * np.random.default_rng([seed, arm != 'itself' and ARMS.index(arm)]).normal(size=(600, 3))
            )
            logits[-1][:, 0] += (arm == 'better') * labels[:, 0]
    truth = Truth(labels, np.ones_like(labels), patients)
    return Population(members, np.ones(len(members), bool), 'bce'), 1 / (1 + np.exp(-np.array(logits))), truth


@pytest.fixture(scope='module')
def table(study):
    return table_of(study)


def table_of(study, claims=comparison.USUAL):
    population, values, truth = study
    rows = comparison.rows(population, values, truth, classes=CLASSES, bootstrap=BOOTSTRAP, claims=claims)
    return schema.frame('performance', rows)


def value(table, statistic, name='macro', metric='auroc', arm='better', against='bce'):
    what = {'statistic': statistic, 'class': name, 'metric': metric, 'arm': arm, 'against': against, 'kind': 'arm'}
    for column, wanted in what.items():
        table = table[table[column] == wanted]
    return table['value'].item()


def test_a_difference_is_the_one_worked_out_again(study, table):
    _, values, (labels, mask, patients) = study
    weights = statistics.cluster_weights(patients, BOOTSTRAP.rounds, np.random.default_rng(BOOTSTRAP.seed))
    point = scores.auroc(values[:8], labels, mask)[..., :2]
    rounds = scores.auroc(values[:8], labels, mask, weights)[..., :2]
    for k, name in enumerate(CLASSES[:2]):
        differences = (point[4:] - point[:4])[:, k]
        resampled = (rounds[:, 4:] - rounds[:, :4])[..., k]
        of_mean = resampled.mean(1).var(ddof=1)
        interaction = max(0, resampled.var(0, ddof=1).mean() - of_mean) / 3
        seeds, patients_part = differences.var(ddof=1) / 4, max(0, of_mean - interaction)
        with_it, without = ((labels[::2, k] == kind).sum() for kind in (1, 0))
        variance = seeds + patients_part
        freedom = np.array([3, min(with_it, without) - 1])
        shares = (np.array([seeds, patients_part]) / variance) ** (2 - 1.5 / freedom)
        df = 1 / (shares / freedom).sum()
        half = stats.t.ppf(0.975, df) * np.sqrt(variance)
        got = [value(table, statistic, name) for statistic in ('mean', 'low', 'high', 'p')]
        mean = differences.mean()
        want = [mean, mean - half, mean + half, 2 * stats.t.sf(mean / np.sqrt(variance), df)]
        np.testing.assert_allclose(got, want)
        parts = [value(table, f'variance_{part}', name) for part in ('seeds', 'patients', 'interaction')]
        np.testing.assert_allclose(parts, [max(0, seeds - interaction), patients_part, interaction])


def test_p_is_adjusted_over_arms_and_classes(table):
    arms = ('better', 'close')  # the third arm is the reference itself and has no p
    for names, metric in ((['macro'], 'auroc'), (CLASSES[:2], 'average_precision')):
        p = np.array([[value(table, 'p', name, metric, arm) for name in names] for arm in arms])
        adjusted = [[value(table, 'p_adjusted', name, metric, arm) for name in names] for arm in arms]
        np.testing.assert_allclose(adjusted, statistics.holm(p))


def test_permuted_labels_are_compared_with_nothing(table):
    assert set(table[table['against'] == 'bce']['arm']) == {'better', 'close', 'itself'}
    assert value(table, 'low', arm='blind', against='') > 0


def test_a_class_of_few_patients_has_means_and_no_more(study, table):
    assert np.isfinite(value(table, 'mean', 'Rare'))
    held = [value(table, s, 'Rare') for s in ('low', 'high', 'p', 'p_adjusted', 'p_equivalent', 'variance_patients')]
    assert np.isnan(held).all()
    assert np.isnan(value(table, 'low', 'Rare', against=''))
    assert np.isfinite(value(table_of(study, Claims(smallest_count=3)), 'p', 'Rare'))
    counts = table[table['kind'] == 'data'].set_index(['class', 'metric'])['value']
    assert counts['Rare', 'positives'] == 6
    assert counts['Rare', 'positive_patients'] == 3


def verdict(table, arm):
    row = table[(table['metric'] == comparison.EQUIVALENT) & (table['arm'] == arm)]
    return row['value'].item(), row['n'].item()


def test_equal_is_what_is_shown_in_every_class(study, table):
    # With a class that cannot be judged nobody is shown to be equal.
    assert [verdict(table, arm) for arm in ('better', 'close', 'itself')] == [(0, 2)] * 3
    all_judged = table_of(study, Claims({'auroc': 0.02, 'average_precision': 0.04}, 0))
    assert verdict(all_judged, 'better') == (0, 3)
    assert verdict(all_judged, 'close') == (1, 3)
    assert verdict(table_of(study, Claims(smallest_count=0)), 'itself') == (1, 3)
    p = [value(all_judged, 'p_equivalent', name, arm='close') for name in [*CLASSES, 'macro']]
    adjusted = [value(all_judged, 'p_equivalent_adjusted', name, arm='close') for name in [*CLASSES, 'macro']]
    np.testing.assert_allclose(adjusted, statistics.holm(p))
    tight = table_of(study, Claims({'auroc': 1e-6, 'average_precision': 1e-6}, 0))
    assert verdict(tight, 'close') == (0, 3)


def test_levels_have_intervals_within_the_unit(table):
    for arm in ARMS:
        for name in ('Mass', 'macro'):
            low, high = (value(table, end, name, 'auroc', arm, '') for end in ('low', 'high'))
            assert 0.5 < low < high < 1
