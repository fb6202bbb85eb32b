"""Members of arms and seeds: which options of an arm go to its loss, and which to its sampler."""

import numpy as np
import pytest

from imbalance_jax import losses
from imbalance_jax.data import samplers
from imbalance_jax.data.arrays import Arrays
from imbalance_jax.training import build, calibration, members, run

LABELS = np.repeat(np.eye(2, dtype=np.float32), (30, 10), axis=0)


def rows_of(arms):
    return members.make_members(arms, (0, 1), next(iter(arms)), learning_rate=1e-3, weight_decay=0.0)


def clashing(labels, progress, *, gamma=1.0):
    """A sampler with an option that the focal loss has, too."""
    return samplers.natural(labels, progress)


@pytest.fixture
def with_clashing(monkeypatch):
    monkeypatch.setitem(samplers.SAMPLERS, 'clashing', clashing)


def test_options_go_where_the_signatures_say():
    rows = rows_of({'x': {'loss': 'focal', 'sampler': 'repeat_factor', 'gamma': 3.0, 'threshold': 0.4}})
    assert [row['hyper'] for row in rows] == [{'gamma': 3.0}] * 2
    assert [row['sampler_options'] for row in rows] == [{'threshold': 0.4}] * 2


def test_arms_that_are_one_approach_are_named():
    arms = {'bce': {}, 'twin': {'loss': 'bce'}, 'focal': {}, 'explicit': {'loss': 'focal', 'gamma': 2.0}}
    arms |= {'other': {'loss': 'focal', 'gamma': 2.5}, 'slow': {'loss': 'bce', 'learning_rate': 1e-4}}
    assert members.same_arms(rows_of(arms)) == [['bce', 'twin'], ['explicit', 'focal']]
    assert 'bce and twin; explicit and focal' in run.twins_of(rows_of(arms))
    assert not run.twins_of(rows_of({'bce': {}, 'focal': {}}))


def test_one_sampler_with_two_options_is_two_distributions():
    arms = {
        name: {'loss': 'bce', 'sampler': 'repeat_factor', 'threshold': value} for name, value in (('a', 0.4), ('b', 1))
    }
    rows = rows_of(arms)
    assert members.samplings(rows) == [
        ('repeat_factor', (('threshold', 0.4),), 1.0, 'own'),
        ('repeat_factor', (('threshold', 1),), 1.0, 'own'),
    ]
    assert members.member_arrays(rows, own_order=True).sampler.tolist() == [0, 0, 1, 1]
    one, other = build.draws(members.samplings(rows), {'own': LABELS}, None, 3, 0).cumulative
    assert one[29] > other[29]  # the frequent class: 30 of 40 images are drawn less often with the higher threshold
    arrays = Arrays(np.zeros((40, 1, 1, 1)), LABELS, np.ones_like(LABELS))
    shifts = calibration.prior_shifts(rows, {'own': arrays})
    assert np.all(shifts[0] != shifts[2])
    np.testing.assert_array_equal(shifts[0], shifts[1])


@pytest.mark.parametrize(
    ('arm', 'message'),
    [
        ({'loss': 'focl'}, "Unknown loss of config.arms.x: 'focl'. Did you mean 'focal'"),
        ({'loss': 'bce', 'sampler': 'repeat'}, "Unknown sampler of config.arms.x: 'repeat'"),
        (
            {'loss': 'bce', 'sampler': 'repeat_factor', 'treshold': 1.0},
            r"option of config.arms.x \(loss 'bce', sampler 'repeat_factor'\): 'treshold'. Did you mean 'threshold'",
        ),
        ({'loss': 'bce', 'threshold': 1.0}, r"\(loss 'bce', sampler 'natural'\): 'threshold'"),
        (
            {'loss': 'focal', 'sampler': 'clashing', 'gamma': 1.0},
            "config.arms.x.gamma is ambiguous: loss 'focal' and sampler 'clashing' both have it",
        ),
    ],
)
@pytest.mark.usefixtures('with_clashing')
def test_what_no_one_or_both_know_is_refused(arm, message):
    with pytest.raises(ValueError, match=message):
        rows_of({'x': arm})


@pytest.mark.usefixtures('with_clashing')
def test_an_option_that_both_know_may_be_left_out():
    row, _ = rows_of({'x': {'loss': 'focal', 'sampler': 'clashing'}})
    assert losses.make(row['loss'], [1, 2], [3, 4], **row['hyper'])
