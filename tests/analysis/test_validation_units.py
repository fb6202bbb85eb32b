"""Small versions of the simulations of units: what is planted is found, and what is not there is rarely."""

import numpy as np

from imbalance_jax.analysis.validation import units


def test_false_detectors_are_rare_with_several_films_per_patient():
    rng = np.random.default_rng(1)
    false = [units.dissected(rng, 9, planted=0).any() for _ in range(8)]
    assert np.sum(false) <= 2  # of 8 at 5 %: more in 6 of 1,000
    found = [units.dissected(rng, 2, planted=2) for _ in range(3)]
    assert np.mean([one[:2, 0].mean() for one in found]) >= 0.5


def test_probes_of_nothing_have_their_level():
    rng = np.random.default_rng(2)
    p = np.array([units.probed(rng, 9, signal=0.0) for _ in range(30)])
    assert (p <= 0.05 + 1e-9).sum() <= 5
    assert 0.3 < p.mean() < 0.7
    assert np.mean([units.probed(rng, 1, signal=2.0) <= 0.05 + 1e-9 for _ in range(6)]) >= 0.5


def test_tcav_finds_what_a_class_uses_in_both_layers():
    rng = np.random.default_rng(3)
    for same in (False, True):
        found = [units.asked(rng, 1, there=True, used=True, same=same) <= 0.05 for _ in range(4)]
        assert np.mean(found) >= 0.7
        false = [units.asked(rng, 2, there=False, used=False, same=same).min() <= 0.05 for _ in range(12)]
        assert np.sum(false) <= 3


def test_unit_aurocs_cover():
    for one in units.unit_auroc(12, seed=0):
        assert one.holds, one
