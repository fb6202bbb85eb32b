"""What members share: units that match, and CKA."""

import jax
import numpy as np
import pytest
from planted import UNITS, features_of

from imbalance_jax import concepts
from imbalance_jax.explain import matching


def test_matches_of_members_are_those_of_match_units(probe):
    result = matching.match(probe)
    for a, b in ((0, 1), (1, 2), (0, 0)):
        pairs, r = concepts.match_units(features_of(probe, a), features_of(probe, b))
        expected = np.full(UNITS, -1)
        expected[pairs[:, 0]] = pairs[:, 1]
        np.testing.assert_array_equal(result['partner'][a, b], expected)
        np.testing.assert_allclose(result['r'][a, b][pairs[:, 0]], r, atol=2e-3)
    assert result['partner'][0, 1][1] == 4
    assert result['partner'][1, 0][4] == 1


def test_members_in_groups_match_the_same(probe, monkeypatch):
    whole = matching.match(probe)
    monkeypatch.setattr(matching, 'MATCHED_AT_ONCE', UNITS)
    jax.tree.map(np.testing.assert_array_equal, matching.match(probe), whole)


def test_cka_of_members_is_that_of_their_layers(probe):
    result = matching.layer_similarity(probe)[0, :, 0]
    np.testing.assert_allclose(np.diag(result), 1)
    np.testing.assert_allclose(result, result.T)
    whole = [features_of(probe, member).reshape(140, -1) for member in range(3)]
    for a, b in ((0, 1), (0, 2)):
        assert result[a, b] == pytest.approx(concepts.linear_cka(whole[a], whole[b], debiased=True), abs=0.05)
