"""Small versions of the simulations of intervals, and that they can fail."""

import numpy as np
import pytest

from imbalance_jax.analysis.validation import intervals as simulations
from imbalance_jax.metrics import intervals


def test_the_true_auroc_is_that_of_many_scores():
    regime = simulations.Regime(patients=300, films=1, prevalence=(0.5,), seed_deviation=0.5, difference=(0.4,))
    rng, found = np.random.default_rng(0), []
    for _ in range(40):
        values, labels, _ = simulations.planted_scores(rng, regime)
        found.append(simulations.scores.auroc(values, labels)[..., 0].mean(1))
    np.testing.assert_allclose(np.mean(found, axis=0), simulations.true_auroc(regime), atol=0.03)


@pytest.mark.slow
def test_intervals_cover_where_seeds_dominate_and_where_patients_are_few(monkeypatch):
    kept = {name: simulations.REGIMES[name] for name in ('7 positive patients', 'interaction only')}
    monkeypatch.setattr(simulations, 'REGIMES', kept)
    assert all(one.holds for one in simulations.performance(40, seed=3))


def test_a_simulation_of_wrong_intervals_is_seen(monkeypatch):
    """Intervals half as wide, on the cheaper of the simulations."""
    monkeypatch.setattr(simulations, 'PAIRS', {'30 pairs': 30})
    assert all(one.holds for one in simulations.hit_share(150, seed=1))
    whole = intervals.seed_interval

    def half(*arguments, **options):
        got = whole(*arguments, **options)
        ends = {'low': (got.low + got.estimate) / 2, 'high': (got.high + got.estimate) / 2}
        return got._replace(**ends, error=got.error / 2)

    monkeypatch.setattr(intervals, 'seed_interval', half)
    assert not any(one.holds for one in simulations.hit_share(150, seed=1))


def test_the_quick_auroc_is_that_of_the_package():
    regime = simulations.REGIMES['macro of 4 classes']._replace(patients=60, films=4)
    values, labels, patients = simulations.planted_scores(np.random.default_rng(0), regime)
    weights = simulations.cluster_weights(patients, 20, np.random.default_rng(1))
    expected = simulations.scores.auroc(values, labels, weights=weights)
    np.testing.assert_allclose(simulations.untied_auroc(values, labels, weights), expected, atol=1e-12)
