"""Rows about ablation, from made-up AUROCs, against NumPy."""

import numpy as np
import pandas as pd
import pytest

from imbalance_jax.metrics.intervals import seed_interval
from imbalance_jax.results import ablation, schema, unit_arms
from imbalance_jax.results.rows import Population
from imbalance_jax.training import members as training_members

CLASSES, LAYER, STEPS, ROUNDS = ('Mass', 'Nodule'), 'stage4', 5, 40
MEMBERS = training_members.make_members(
    {'bce': {}, 'focal': {}, 'chance': {'loss': 'bce', 'labels': 'permuted'}},
    (3, 5, 8),
    'bce',
    learning_rate=1.0,
    weight_decay=0.0,
)


@pytest.fixture(scope='module')
def ablated():
    random = np.random.default_rng(0)
    P, K = len(MEMBERS), len(CLASSES)
    held_out = np.sort(random.uniform(0.55, 0.95, (P, K, 1 + STEPS)), axis=-1)[..., ::-1]
    return ablation.Ablated(
        intact=held_out[..., 0],
        resampled_intact=held_out[None, ..., 0] + random.normal(0, 0.02, (ROUNDS, P, K)),
        held_out=held_out,
        resampled=held_out[None] + random.normal(0, 0.01, (ROUNDS, *held_out.shape)),
        at_random=random.uniform(0.6, 0.7, (P, STEPS, K)),
        few=np.array([False, True]),
        images=77,
    )


@pytest.fixture(scope='module')
def table(ablated):
    population = Population(MEMBERS, np.arange(len(MEMBERS)) != 2, 'bce')  # one seed of bce has died
    where = {'layer': LAYER, 'carrying_share': 0.5}
    rows = [row for member in MEMBERS for row in ablation.member_rows(member, ablated, CLASSES, **where)]
    rows += unit_arms.arm_rows(population, rows) + ablation.arm_rows(population, ablated, CLASSES, **where)
    return schema.frame('concepts', [{**row, 'split': 'test'} for row in rows])


def value(table: pd.DataFrame, **where) -> float:
    for column, one in where.items():
        table = table[table[column] == one]
    assert len(table) == 1
    return table['value'].iloc[0]


def test_what_is_left_of_a_member(ablated, table):
    assert ablated.sizes == [1, 2, 4, 5]
    one = {'kind': 'member', 'member': 4, 'class': 'Nodule', 'against': ''}
    left = (ablated.held_out[4, 1] - 0.5) / (ablated.held_out[4, 1, 0] - 0.5)
    assert value(table, metric='auroc_share_left', removed=4, **one) == pytest.approx(left[4])
    drop = ablated.held_out[4, 1, 0] - ablated.held_out[4, 1, 1]
    assert value(table, metric='largest_drop', **one) == pytest.approx(drop)
    by_chance = (ablated.at_random[4, 1, 1] - 0.5) / (ablated.intact[4, 1] - 0.5)
    one |= {'kind': 'null level', 'against': ablation.RANDOM_SETS, 'removed': 2}
    assert value(table, metric='auroc_share_left', **one) == pytest.approx(by_chance)


def test_intervals_of_arms_hold_patients_and_seeds(ablated, table):
    of = {'kind': 'arm', 'metric': 'auroc_intact', 'class': 'Mass'}
    alive = [0, 1]
    interval = seed_interval(ablated.intact[alive], ablated.resampled_intact[:, alive])
    for statistic, expected in (
        ('mean', interval.estimate),
        ('low', interval.low),
        ('high', np.minimum(interval.high, 1)),
    ):
        assert value(table, arm='bce', statistic=statistic, against='', **of) == pytest.approx(expected[0])
    assert np.isfinite(value(table, arm='focal', statistic='p', against='bce', **of))
    assert np.isnan(value(table, arm='focal', statistic='low', against='bce', **{**of, 'class': 'Nodule'}))  # too few


def test_permuted_labels_are_in_no_comparison(table):
    assert set(table[table['against'] == 'bce']['arm']) == {'focal'}
    assert (table['arm'] == 'chance').any()


def test_a_censored_size_is_more_than_were_tried(ablated, table):
    focal = [member['member'] for member in MEMBERS if member['arm'] == 'focal']
    share = ablated.shares(ablated.held_out)[focal, 0]
    reached = (share <= 0.5).any(1)
    sizes = np.sort(np.where(reached, (share <= 0.5).argmax(1) + 1.0, np.inf))
    of = {'kind': 'arm', 'arm': 'focal', 'metric': 'carrying_units', 'class': 'Mass'}
    assert value(table, statistic='censored', **of) == np.isinf(sizes).sum()
    np.testing.assert_equal(value(table, statistic='median', **of), sizes[1] if np.isfinite(sizes[1]) else np.nan)
    assert not len(table[(table['metric'] == 'carrying_units') & (table['statistic'] == 'mean')])


def test_no_two_rows_say_the_same(table):
    assert not table.duplicated(schema.keys_of(schema.columns_of('concepts'))).any()
