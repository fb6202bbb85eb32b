"""A small version of the simulations of the design's questions: what was planted is found, and intervals hold it."""

import numpy as np
import pytest

from imbalance_jax.analysis.validation import design


@pytest.mark.slow
@pytest.mark.parametrize('name', design.SIMULATIONS)
def test_shares_are_as_they_should_be(name):
    for one in design.SIMULATIONS[name](30, seed=1):
        assert one.holds, one


def test_values_and_rounds_vary_as_planted():
    """Over many draws: the variance of a value, and that of a round about it, are those of the formula."""
    rng, patients = np.random.default_rng(0), 20
    seeds, of_patients, both = 0.3, 1.0, 0.5
    drawn = [
        design.measure(np.zeros((2, 3)), (seeds, of_patients, both), rng, patients=patients, rounds=20)
        for _ in range(2000)
    ]
    values, rounds = (np.stack(part) for part in zip(*drawn, strict=True))
    of_one = (of_patients**2 + both**2) / patients
    assert values.var() == pytest.approx(seeds**2 + of_one, rel=0.05)
    assert np.cov(values[:, 0, 0], values[:, 1, 0])[0, 1] == pytest.approx(of_patients**2 / patients, rel=0.15)
    assert rounds.var(axis=1, ddof=1).mean() == pytest.approx(of_one * (1 - 1 / patients), rel=0.05)
