"""A small version of the simulations of twins: intervals hold the planted effect, correlation is found where it is."""

from imbalance_jax.analysis.validation import twins


def test_intervals_of_effects_hold_what_was_planted():
    for one in twins.effects(40, seed=0):
        assert one.holds, one


def test_a_correlation_is_found_where_there_is_one_and_only_then():
    for one in twins.correlations(40, seed=0):
        assert one.holds, one
