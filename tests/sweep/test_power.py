"""The smallest difference that can be shown: quantiles by scipy, power by simulation, variances of a table."""

import re

import numpy as np
import pytest
from scipy import stats

from imbalance_jax.metrics import intervals
from imbalance_jax.sweep import power
from imbalance_jax.sweep.power import Components


def test_a_pilot_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r'--pilot=.* is no finished working directory: .*performance\.csv is missing'):
        power.measured(tmp_path)


@pytest.mark.parametrize('df', [1.0, 2.5, 7.0, 40.0, 400.0])
def test_quantiles_are_scipys(df):
    for probability in (0.8, 0.975, 0.99643):
        assert power.student_quantile(probability, df) == pytest.approx(stats.t.ppf(probability, df), rel=1e-4)


@pytest.mark.parametrize(
    ('seeds', 'patients', 'components'),
    [
        (3, 300, Components(1e-4, 9e-3, 2e-2)),
        (5, 20, Components(1e-3, 1e-2, 2e-2)),
        (10, 500, Components(4e-4, 1e-3, 1e-3)),
    ],
)
def test_such_a_difference_is_found_four_times_in_five(seeds, patients, components):
    """Studies of differences that are means over patients, judged by the interval that the suite uses."""
    rng, least = np.random.default_rng(0), power.smallest_difference(components, seeds=seeds, patients=patients, arms=1)
    found, runs = 0, 400
    for _ in range(runs):
        of_seeds = rng.normal(size=(seeds, 1)) * np.sqrt(components.seeds)
        of_patients = rng.normal(size=patients) * np.sqrt(components.patients)
        both = rng.normal(size=(seeds, patients)) * np.sqrt(components.interaction)
        values = least + of_seeds + of_patients + both
        weights = rng.multinomial(patients, np.full(patients, 1 / patients), size=200) / patients
        rounds = (weights @ values.T)[..., None]
        interval = intervals.seed_interval(values.mean(1)[:, None], rounds, clusters=patients)
        found += intervals.p_value(interval)[0] < 0.05
    assert found / runs == pytest.approx(0.8, abs=0.08)


def test_more_of_everything_shows_less_and_more_arms_more():
    def least(**changed):
        return power.smallest_difference(power.PHANTOM.macro, **{'seeds': 3, 'patients': 300, 'arms': 4, **changed})

    assert least(seeds=10) < least(seeds=5) < least()
    assert least(seeds=10, patients=3000) < least(seeds=10) < least(seeds=10, arms=7)
    assert np.isnan(least(seeds=1))


def test_a_finished_population_gives_its_own_variances(tmp_path):
    head = 'split,class,metric,statistic,arm,value,n\n'
    of_data = 'test,Mass,positive_patients,value,,40,200\ntest,Rare,positive_patients,value,,8,200\n'
    parts = ''.join(
        f'test,{name},auroc,{part},{arm},{value},4\n'
        for name in ('Mass', 'Rare', 'macro')
        for part, value in zip(power.PARTS, (0.25, 0.01, 0.001), strict=True)
        for arm in ('a', 'b')
    )
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results' / 'performance.csv').write_text(head + of_data + parts)
    got = power.measured(tmp_path)
    assert got.macro == pytest.approx((1.0, 2.0, 0.8))
    assert got.rare == pytest.approx((1.0, 0.08, 0.032))
    (tmp_path / 'results' / 'performance.csv').write_text(head + of_data)
    with pytest.raises(ValueError, match='no variances'):
        power.measured(tmp_path)
    alike = re.sub(',[0-9.]+,4$', ',0.0,4', parts, flags=re.M)
    (tmp_path / 'results' / 'performance.csv').write_text(head + of_data + alike)
    with pytest.raises(ValueError, match='has no variance of differences, as where the arms rank all images alike'):
        power.measured(tmp_path)


def test_no_difference_is_larger_than_the_largest():
    config = {'seeds': (0, 1), 'arms': {'bce': {}, 'focal': {}}, 'data': {'name': 'mine', 'mine': {}}}
    said = 'none up to 1 in the AUROC of one class, chosen before, with 10 patients'
    assert said not in power.lines([config])
    assert said in power.lines([{**config, 'arms': dict.fromkeys('abcdefgh')}])
