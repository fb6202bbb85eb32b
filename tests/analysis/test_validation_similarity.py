"""Few runs of the simulations of tests between arms: what is planted is found, and what is not is not."""

import pytest

from imbalance_jax.analysis.validation import similarity


@pytest.mark.parametrize('name', similarity.SIMULATIONS)
def test_simulations_say_what_they_should(name):
    for one in similarity.SIMULATIONS[name](20, seed=1):
        assert one.runs == 20
        assert one.holds, one
