"""The shortcut's rows: which films AUROC is over, the worst group, and an arm that reads the drain."""

import numpy as np
import pytest

from imbalance_jax.results import rows, shortcut
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import frame

FILMS, GROUPS = 600, list(shortcut.GROUPS)


def members(arms, seeds):
    return [
        {'member': len(seeds) * a + s, 'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': seed, 'labels': 'own'}
        for a, arm in enumerate(arms)
        for s, seed in enumerate(seeds)
    ]


@pytest.fixture(scope='module')
def made():
    """An arm that reads the finding, and one that reads the drain, which comes with the finding in 9 of 10 films."""
    random = np.random.default_rng(0)
    labels = (random.random(FILMS) < 0.3).astype(np.uint8)
    confounded = random.random(FILMS) < np.where(labels == 1, 0.9, 0.1)
    clean = random.random(FILMS) < 0.1
    noise = random.normal(size=(2, 4, FILMS))
    versions = {}
    for name, tube, more in zip(('confounded', 'clean'), (confounded, clean), noise, strict=True):
        signal = np.stack([2.0 * labels] * 2 + [3.0 * tube] * 2)
        versions[name] = shortcut.Version(signal + more, tube)
    area = {shortcut.TUBE: np.full(5, 0.02), shortcut.FINDING: np.full(5, 0.1)}
    mass = {'grad_cam': {region: np.full((4, 5), 0.3) for region in area}}
    patients = np.arange(FILMS) // 2
    return shortcut.Shortcut(versions, labels, np.ones(FILMS, np.uint8), patients, area, mass)


@pytest.fixture(scope='module')
def table(made):
    population = Population(members(['finding', 'drain'], [0, 1]), np.ones(4, bool), 'finding')
    made_rows = shortcut.rows(population, made, 'Mass', bootstrap=Bootstrap(100, 0), smallest_count=5)
    return frame('shortcut', [{**row, 'split': 'test'} for row in made_rows])


def auroc(scores, labels):
    positive, negative = scores[labels == 1][:, None], scores[labels == 0]
    return ((positive > negative) + 0.5 * (positive == negative)).mean()


def test_groups_are_those_of_the_drain_on_either_side_and_the_worst_is_the_lowest(made, table):
    of_member = table.query("kind == 'member' and metric == 'auroc' and against == ''")
    for version, (logits, tube) in made.versions.items():
        for number in (0, 3):
            of = of_member[(of_member['member'] == number) & (of_member['version'] == version)].set_index('group')
            expected = []
            for group, (positive, negative) in shortcut.GROUPS.items():
                films = tube == np.where(made.labels == 1, positive, negative)
                expected.append(auroc(logits[number, films], made.labels[films]))
                assert of.loc[group, 'value'] == pytest.approx(expected[-1])
                assert of.loc[group, 'n'] == films.sum()
            assert of.loc['', 'value'] == pytest.approx(auroc(logits[number], made.labels))
            assert of.loc['', 'n'] == FILMS  # of the test split, and not the films with both
            assert of.loc['worst', 'value'] == pytest.approx(min(expected))


def test_who_reads_the_drain_is_worst_where_it_misleads(table):
    arm = table.query("kind == 'arm' and metric == 'auroc' and arm == 'drain' and statistic == 'mean'")
    level = arm[arm['against'] == ''].set_index(['version', 'group'])['value']
    assert level['confounded', ''] > 0.85
    assert level['clean', ''] < 0.6
    assert level['confounded', 'worst'] == level['confounded', GROUPS[2]] < 0.1
    against = table.query("against == 'finding' and group == 'worst' and version == 'confounded'")
    by_statistic = against.set_index('statistic')['value']
    assert by_statistic['high'] < -0.5
    assert by_statistic['p'] <= by_statistic['p_adjusted'] < 0.05
    drop = table.query("kind == 'arm' and against == 'clean'").set_index(['arm', 'statistic'])['value']
    assert drop['drain', 'low'] > 0.2
    assert drop['finding', 'low'] < 0 < drop['finding', 'high']


def test_a_group_of_few_patients_is_left_out(made):
    population = Population(members(['finding', 'drain'], [0, 1]), np.ones(4, bool), 'finding')
    version = made.versions['clean']
    only = np.zeros(FILMS, bool)
    only[np.flatnonzero(made.labels == 1)[:3]] = True  # of at most three patients
    few = made._replace(versions={**made.versions, 'clean': version._replace(tube=only)})
    ranked = shortcut.rank(population, few, 'clean', bootstrap=Bootstrap(10, 0), smallest_count=5)
    assert np.isfinite(ranked.sample.values[0]).tolist() == [True, False, False, False, True, True]
    np.testing.assert_array_equal(ranked.sample.values[:, 5], ranked.sample.values[:, 4])
    result = shortcut.rows(population, few, 'Mass', bootstrap=Bootstrap(10, 0), smallest_count=5)
    assert {row['group'] for row in result if row.get('version') == 'clean'} == {'', GROUPS[3], 'worst'}
    assert rows.MACRO not in {row['class'] for row in result}
