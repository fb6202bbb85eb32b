"""Alignment on planted truth, a small version of the simulations in analysis/validation."""

import numpy as np

from imbalance_jax.analysis.validation import maps


def test_an_interval_of_a_small_finding_holds_what_was_planted():
    for one in maps.coverage(40, sizes=(6,)):
        assert one.holds, one


def test_only_the_place_is_found_above_other_patients_and_heat_is_not():
    rng = np.random.default_rng(0)
    what = {'runs': 25, 'rng': rng}
    hotter, better = (maps.SAME, maps.HOTTER), (maps.SAME, maps.Arm(skill=2.0))
    assert maps.found(hotter, maps.IOU, above=False, **what) > 0.6
    assert maps.found(hotter, maps.SIGNED_HIT, above=True, **what) < 0.25
    assert maps.found(better, maps.SIGNED_HIT, above=True, **what) > 0.8
