"""Rows of twins on planted effects: a model that reads the drain is found, and films that show the finding left out."""

import numpy as np
import pytest

from imbalance_jax.results import twins
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import frame

FILMS, CLASSES, CONCEPTS = 30, ['Mass', 'Nodule'], ['Mass', 'Nodule', 'Tube']


@pytest.fixture(scope='module')
def effects():
    """An arm that reads findings only, and one whose logit of Mass also reads the drain, by 2 where Mass is not shown
    and by 50 where it is; three seeds of each."""
    random = np.random.default_rng(0)
    shown = random.random((FILMS, 3)) < 0.3
    change = 0.2 * random.normal(size=(3, 6, FILMS, 2))
    change[0, ..., 0] += 3
    change[1, ..., 1] += 1
    change[2, 3:, :, 0] += np.where(shown[:, 0], 50, 2)
    logits = np.stack([np.zeros_like(change), change])
    return twins.Effects(
        names=np.array(CONCEPTS),
        rows=np.arange(FILMS),
        patient=np.arange(FILMS),
        shown=shown,
        logits=logits,
        deviation=np.full((6, 2), 2.0),
        units=np.full((6, 3, 4), 0.5),
        p_value=np.ones((6, 3, 4)),
    )


@pytest.fixture(scope='module')
def table(effects):
    members = [
        {'member': i, 'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': i % 3, 'labels': 'own'}
        for i, arm in enumerate(['findings'] * 3 + ['drain'] * 3)
    ]
    population = Population(members, np.ones(6, bool), 'findings')
    made = twins.effect_rows(population, effects, classes=CLASSES, bootstrap=Bootstrap(300, 0))
    return frame('twins', [{**row, 'split': 'test'} for row in made])


def value(table, arm, name, concept, **where):
    chosen = {'arm': arm, 'class': name, 'concept': concept, 'kind': 'arm', 'metric': 'standard_logit_change'}
    for column, entry in {**chosen, 'against': '', 'statistic': 'mean', **where}.items():
        table = table[table[column] == entry]
    return table['value'].item()


def test_films_that_show_the_finding_do_not_count_for_the_drain(effects, table):
    without = ~effects.shown[:, 0]
    expected = (effects.logits[1, 2, 3:][:, without, 0] / 2).mean()
    assert value(table, 'drain', 'Mass', 'Tube') == pytest.approx(expected)
    assert expected == pytest.approx(1, abs=0.1)
    own = (effects.logits[1, 0, 3:, :, 0] / 2).mean(), (effects.logits[1, 1, 3:, :, 1] / 2).mean()
    assert value(table, 'drain', 'macro', 'its own finding') == pytest.approx(np.mean(own))


def test_who_reads_the_drain_is_told_from_who_does_not(table):
    assert value(table, 'findings', 'Mass', 'Tube', statistic='low') < 0.1
    assert value(table, 'drain', 'Mass', 'Tube', statistic='low') > 0.8
    difference = {'against': 'findings', 'statistic': 'p_adjusted'}
    assert value(table, 'drain', 'Mass', 'Tube', **difference) < 0.01
    assert value(table, 'drain', 'Nodule', 'Tube', **difference) > 0.05
    assert value(table, 'drain', 'Mass', 'Mass', **difference) > 0.05


def test_tests_are_of_own_findings_and_of_the_drain(table):
    tested = table[table['statistic'] == 'p_adjusted']
    pairs = set(tested[['class', 'concept']].itertuples(index=False, name=None))
    own = {('macro', 'its own finding'), ('Mass', 'Mass'), ('Nodule', 'Nodule')}
    assert pairs == own | {('Mass', 'Tube'), ('Nodule', 'Tube')}
