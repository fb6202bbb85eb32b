"""The simulations of predictions in small: what they measure lies where it should."""

import pytest

from imbalance_jax.analysis.validation import predictions


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(predictions.SIMULATIONS))
def test_a_small_simulation_holds(name):
    results = predictions.SIMULATIONS[name](30, seed=0)
    assert all(one.holds for one in results), results
