"""Likeness of layers and units: CKA against published check values and its own definition, matches against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

from imbalance_jax import concepts
from imbalance_jax.concepts import persistence, rotation, similarity


def demo():
    """The arrays of the CKA authors' demo."""
    random = np.random.RandomState(1337)
    x = random.randn(100, 10)
    return x, random.randn(100, 10) + x


def test_check_values_of_cka():
    x, y = demo()
    assert concepts.linear_cka(x, y) == pytest.approx(0.55761, abs=5e-6)
    assert concepts.linear_cka(x, y, debiased=True) == pytest.approx(0.51346, abs=5e-6)
    for debiased in (False, True):
        traced = jax.jit(lambda a, b, d=debiased: concepts.linear_cka(a, b, debiased=d))(jnp.asarray(x), jnp.asarray(y))
        assert traced.shape == ()
        assert float(traced) == pytest.approx(concepts.linear_cka(x, y, debiased), abs=1e-5)


@pytest.mark.parametrize('debiased', [False, True])
def test_cka_knows_no_rotation_scale_or_shift(debiased):
    x, y = demo()
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0]
    moved = 7 * (x @ rotation) - 3
    assert concepts.linear_cka(x, moved, debiased) == pytest.approx(1)
    assert concepts.linear_cka(moved, y, debiased) == pytest.approx(concepts.linear_cka(x, y, debiased))
    assert concepts.linear_cka(y, x, debiased) == pytest.approx(concepts.linear_cka(x, y, debiased))
    assert concepts.linear_cka(x.astype(np.uint8), y.astype(np.int64), debiased) <= 1


def test_debiased_cka_is_the_unbiased_estimator_of_song():
    x, y = demo()
    n = len(x)
    k, l = ((a @ a.T) * (1 - np.eye(n)) for a in (x + 5, y))

    def term(k, l):
        ones = np.ones(n)
        middle = (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
        return (np.trace(k @ l) + middle - 2 / (n - 2) * ones @ k @ l @ ones) / (n * (n - 3))

    expected = term(k, l) / np.sqrt(term(k, k) * term(l, l))
    assert concepts.linear_cka(x, y, debiased=True) == pytest.approx(expected)
    grams = jnp.stack([similarity.gram(jnp.asarray(a, jnp.float32)) for a in (x + 5, y)])
    np.testing.assert_allclose(similarity.hsic(grams)[0, 1], term(k, l), rtol=1e-4)
    assert similarity.cka(similarity.hsic(grams))[0, 1] == pytest.approx(expected, abs=1e-5)


def test_mini_batches_estimate_the_whole():
    random = np.random.default_rng(0)
    x = random.normal(size=(1600, 6))
    y = x @ random.normal(size=(6, 9)) + random.normal(size=(1600, 9))
    terms = sum(
        similarity.hsic(np.stack([similarity.gram(jnp.asarray(a)) for a in parts]))
        for parts in zip(np.split(x, 50), np.split(y, 50), strict=True)
    )
    assert similarity.cka(terms)[0, 1] == pytest.approx(concepts.linear_cka(x, y, debiased=True), abs=0.02)


def test_noise_is_alike_only_with_bias():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 40, 300))
    assert concepts.linear_cka(x, y) > 0.5
    assert abs(concepts.linear_cka(x, y, debiased=True)) < 0.1


def test_cka_of_a_constant_is_undefined_and_wrong_shapes_are_refused():
    x, _ = demo()
    assert np.isnan(concepts.linear_cka(np.full((100, 3), 0.1), x))
    assert np.isnan(concepts.linear_cka(np.zeros((100, 3)), x, debiased=True))
    for wrong in ((x[:5], x), (x[:, 0], x[:, 0]), (x[:1], x[:1])):
        with pytest.raises(ValueError, match='N of at least 2'):
            concepts.linear_cka(*wrong)
    with pytest.raises(ValueError, match='N of at least 4'):
        concepts.linear_cka(x[:3], x[:3], debiased=True)


def test_procrustes_is_half_the_squared_distance_after_the_best_rotation():
    x, y = demo()
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0]
    assert concepts.procrustes(x, 7 * (x @ rotation) - 3) == pytest.approx(0, abs=1e-9)
    a, b = ((z - z.mean(0)) / np.linalg.norm(z - z.mean(0)) for z in (x, y))
    best, _ = scipy.linalg.orthogonal_procrustes(b, a)
    assert concepts.procrustes(x, y) == pytest.approx(((a - b @ best) ** 2).sum() / 2)
    wide = np.random.default_rng(1).normal(size=(2, 8, 20))  # more units than examples
    turned = np.linalg.qr(np.random.default_rng(2).normal(size=(20, 20)))[0]
    values = [concepts.procrustes(wide[0], wide[1] @ turn) for turn in (np.eye(20), turned)]
    assert values[0] == pytest.approx(values[1])
    assert np.isnan(concepts.procrustes(np.ones((8, 3)), wide[0]))


def test_unrelated_units_match_no_better_than_rotated_ones():
    random = np.random.default_rng(0)
    own = np.concatenate([random.exponential(size=(4000, 20)), np.zeros((4000, 2))], axis=1)
    other = random.exponential(size=(4000, 20)) @ random.normal(size=(20, 20))
    every = np.cov(own.T, other.T)
    covariance, first, second = every[:22, 22:], every[:22, :22], every[22:, 22:]
    with np.errstate(invalid='ignore'):
        r = covariance / np.sqrt(np.outer(np.diag(first), np.diag(second)))
    level, chance = rotation.likeness(r), rotation.rotated(covariance, first, second)
    assert abs(level.nearest - chance.nearest) < 0.01
    assert level.mutual == pytest.approx(0.45, abs=0.2)
    copied = rotation.likeness(np.corrcoef(own[:, :20].T))
    among = np.cov(own[:, :20].T)
    assert copied.nearest - rotation.rotated(among, among, among).nearest > 0.3
    turns = rotation.rotations(20)
    np.testing.assert_allclose(turns[1] @ turns[1].T, np.eye(20), atol=1e-5)
    assert len(turns) == rotation.MOST


def slow_pairs(a, b):
    flat = np.concatenate([a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])], axis=1).astype(float)
    r = np.corrcoef(flat.T)[: a.shape[-1], a.shape[-1] :]
    return [(u, v) for u in range(len(r)) for v in [r[u].argmax()] if r[:, v].argmax() == u], r


def test_matches_against_loops():
    random = np.random.default_rng(0)
    a, b = random.exponential(size=(70, 3, 4, 9)).astype(np.float32), random.exponential(size=(70, 3, 4, 12))
    b[..., :5] += 2 * a[..., [8, 0, 3, 1, 2]]
    pairs, r = concepts.match_units(a, b)
    expected, every = slow_pairs(a, b)
    assert [tuple(pair) for pair in pairs] == expected
    np.testing.assert_allclose(r, [every[pair] for pair in expected], atol=1e-9)
    assert {(8, 0), (0, 1), (3, 2), (1, 3), (2, 4)} <= {tuple(pair) for pair in pairs.tolist()}


def test_permuted_and_scaled_units_are_found_again():
    a = np.random.default_rng(1).exponential(size=(20, 4, 4, 7)).astype(np.float32)
    order = np.array([3, 1, 6, 0, 5, 2, 4])
    pairs, r = concepts.match_units(a, 5 * a[..., order] + 100)
    np.testing.assert_array_equal(order[pairs[:, 1]], pairs[:, 0])
    assert len(pairs) == 7
    np.testing.assert_allclose(r, 1, atol=1e-6)


def test_constant_units_have_no_partner_and_the_first_of_equals_is_taken():
    a = np.random.default_rng(2).exponential(size=(10, 2, 2, 3)).astype(np.float32)
    a[..., 1] = 0.1
    pairs, _ = concepts.match_units(a, a[..., [0, 0, 1, 2]])
    assert pairs.tolist() == [[0, 0], [2, 3]]
    assert pairs.dtype.kind == 'i'
    moments = similarity.Moments.of(*(a.reshape(-1, 3) for _ in range(2)))  # in float32, as of a population
    assert np.isnan(moments.correlation()[1]).all()
    empty, none = concepts.match_units(np.ones((4, 2, 2, 2)), a[:4])
    assert empty.shape == (0, 2)
    assert none.shape == (0,)


def test_maps_of_other_sizes_are_enlarged():
    a = np.random.default_rng(3).exponential(size=(9, 6, 6, 4))
    shrunk = a.reshape(9, 3, 2, 3, 2, 4).mean((2, 4))
    pairs, _ = concepts.match_units(a, shrunk)
    assert pairs.tolist() == [[u, u] for u in range(4)]
    with pytest.raises(ValueError, match='same N'):
        concepts.match_units(a, shrunk[:3])
    with pytest.raises(ValueError, match='not finite'):
        concepts.match_units(a, np.full_like(shrunk, np.nan))


def test_what_becomes_of_detectors():
    best = np.array([0, 1, 1, -1, 2])
    other = np.array([[True, False, False], [False, False, False], [False, True, False]])
    pairs = np.array([[0, 0], [1, 1], [2, 2]])
    result = persistence.detector_persistence(best, other, pairs)
    assert result.tolist() == [persistence.KEPT, persistence.MOVED, persistence.KEPT, -1, persistence.LOST]
    assert persistence.persistence_counts(result).tolist() == [2, 1, 1]
