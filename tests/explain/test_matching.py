"""What members share: units that match, and CKA."""

import numpy as np
import pytest
from planted import UNITS, features_of

from imbalance_jax import concepts
from imbalance_jax.concepts import rotation
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


@pytest.mark.parametrize(('kept', 'times'), [(2**30, 1), (0, 6)])
def test_members_in_groups_match_the_same(probe, monkeypatch, kept, times):
    """Of three groups, six pairs: in one pass over the images where activations are held, else in one for each."""
    whole, passes = matching.match(probe), []

    def counted(*args, **kwargs):
        passes.append(kwargs)
        return stream(*args, **kwargs)

    stream = matching.stream
    monkeypatch.setattr(matching, 'stream', counted)
    monkeypatch.setattr(matching, 'MATCHED_AT_ONCE', UNITS)
    monkeypatch.setattr(matching, 'KEPT', kept)
    for name, values in matching.match(probe).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-5, err_msg=name)
    assert len(passes) == times


def test_cka_of_members_is_that_of_their_layers(probe):
    arrays = matching.layer_similarity(probe)
    result = arrays['cka'][0, :, 0]
    np.testing.assert_allclose(np.diag(result), 1)
    np.testing.assert_allclose(result, result.T)
    whole = [features_of(probe, member).reshape(140, -1) for member in range(3)]
    for a, b in ((0, 1), (0, 2)):
        assert result[a, b] == pytest.approx(concepts.linear_cka(whole[a], whole[b], debiased=True), abs=0.05)
    means = [features_of(probe, member).mean((1, 2)) for member in range(3)]
    order = np.concatenate(probe.blocks())
    assert arrays['procrustes'][0, 0, 1] == pytest.approx(
        concepts.procrustes(means[0][order], means[1][order]), abs=1e-5
    )


def test_levels_of_chance_are_those_of_rotated_and_shifted_features(probe):
    result = matching.match(probe)
    U, order = UNITS, np.random.default_rng(0).permutation(140)
    for a, b in ((0, 1), (1, 0), (2, 1)):
        one, other = (features_of(probe, member)[order].astype(float) for member in (a, b))

        def correlations(x, y):
            with np.errstate(invalid='ignore', divide='ignore'):
                return np.corrcoef(x.reshape(-1, U).T, y.reshape(-1, y.shape[-1]).T)[:U, U:]

        varying = other.reshape(-1, U).std(0) > 0
        turned = [other[..., varying] @ turn for turn in rotation.rotations(int(varying.sum()))]
        levels = [
            [correlations(one, other)],
            [correlations(one, y) for y in turned],
            [correlations(one[1:], other[:-1]) if a < b else correlations(one[:-1], other[1:])],
        ]
        for level, expected in zip(range(3), levels, strict=True):
            nearest = np.mean([np.nanmax(r[np.isfinite(r).any(1)], axis=1).mean() for r in expected])
            assert result['nearest'][level, a, b] == pytest.approx(nearest, abs=1e-3)
            ranked = [np.where(np.isnan(r), -np.inf, r) for r in expected]
            mutual = np.mean(
                [[r[:, r[u].argmax()].argmax() == u and np.isfinite(r[u].max()) for u in range(U)] for r in ranked]
            )
            assert result['mutual'][level, a, b] == pytest.approx(mutual, abs=1e-9)
    assert (result['mutual'][0] == (result['partner'] >= 0).mean(-1)).all()
    assert (result['mutual'][2] == (result['permuted_partner'] >= 0).mean(-1)).all()
