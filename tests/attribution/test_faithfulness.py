"""Faithfulness: closed forms for linear scores, hand-worked curves, and that noise says nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.attribution import faithfulness, sanity
from imbalance_jax.attribution.faithfulness import METRICS
from imbalance_jax.attribution.methods import METHODS as ATTRIBUTION

WEIGHTS = np.random.default_rng(0).normal(size=(6, 6, 2)).astype(np.float32)
IMAGES = np.random.default_rng(1).normal(size=(3, 6, 6, 2)).astype(np.float32)


impute = jax.jit(faithfulness.impute)
rank_correlation = jax.jit(sanity.rank_correlation)


def linear(x):
    return (x * WEIGHTS).sum((1, 2, 3)) + 0.5


@functools.cache
def compiled(name, **options):
    """A metric of the linear score, one compilation a shape for all tests."""
    return jax.jit(lambda images, maps: METRICS[name](linear, images, maps, **options))


def test_deletion_and_insertion_of_a_linear_score_are_partial_sums():
    maps = np.asarray(ATTRIBUTION['input_x_gradient'](linear, IMAGES))
    ordered = -np.sort(-maps.reshape(3, -1), axis=1)
    gone = np.concatenate([np.zeros((3, 1)), np.cumsum(ordered, 1)[:, 5::6]], 1)  # after 0, 6, .. 36 pixels
    curve = np.asarray(linear(IMAGES))[:, None] - gone
    expected = (curve[:, 1:] + curve[:, :-1]).mean(1) / 2
    options = {'steps': 6, 'baseline': 0.0}
    np.testing.assert_allclose(compiled('deletion', **options)(IMAGES, maps), expected, rtol=1e-4)
    back = 0.5 + gone
    expected = (back[:, 1:] + back[:, :-1]).mean(1) / 2
    np.testing.assert_allclose(compiled('insertion', **options)(IMAGES, maps), expected, rtol=1e-4)


def test_the_right_order_is_better_than_the_reverse_under_every_metric():
    maps = ATTRIBUTION['input_x_gradient'](linear, IMAGES)
    for name, sign in {'deletion': -1, 'insertion': 1, 'road': 1, 'sensitivity_n': 1}.items():
        right, wrong = compiled(name)(IMAGES, maps), compiled(name)(IMAGES, -maps)
        assert (sign * right > sign * wrong).all()


def test_sensitivity_n_is_one_for_the_contributions_of_a_linear_score():
    maps = ATTRIBUTION['input_x_gradient'](linear, IMAGES)
    np.testing.assert_allclose(compiled('sensitivity_n')(IMAGES, maps), 1, atol=1e-4)
    assert np.isnan(compiled('sensitivity_n')(IMAGES, np.zeros((3, 6, 6)))).all()


@pytest.mark.parametrize('name', ['deletion', 'insertion', 'road', 'sensitivity_n'])
def test_a_figure_does_not_depend_on_what_else_is_asked_about(name):
    maps = np.round(np.random.default_rng(2).random((3, 6, 6)), 1).astype(np.float32)  # with ties
    together = np.asarray(compiled(name)(IMAGES, maps))
    alone = [np.asarray(compiled(name)(IMAGES[i : i + 1], maps[i : i + 1]))[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_imputed_pixels_are_the_weighted_mean_of_their_neighbours():
    ramp = np.broadcast_to(np.arange(9.0, dtype=np.float32)[:, None], (9, 9))[None, ..., None]
    gone = np.zeros((1, 9, 9), bool)
    gone[0, 3:6, 3:6] = True
    result = impute(ramp, gone, noise=0.0)
    np.testing.assert_allclose(result, ramp, atol=1e-2)  # a plane is its own mean
    single = np.zeros((1, 3, 3, 1), np.float32)
    single[0, 0, 1], single[0, 0, 0] = 6, 12
    gone = np.zeros((1, 3, 3), bool)
    gone[0, 1, 1] = True
    np.testing.assert_allclose(impute(single, gone, noise=0.0)[0, 1, 1], 6 / 6 + 12 / 12, rtol=1e-4)
    assert np.isfinite(impute(ramp, np.ones((1, 9, 9), bool))).all()


@pytest.mark.parametrize('share', [0.2, 0.8])
def test_imputed_pixels_solve_the_system_of_a_large_hole(share):
    """Against SciPy's direct solution: a hole whose middle is far from all that is left."""
    from scipy.sparse import coo_matrix, identity
    from scipy.sparse.linalg import spsolve

    side = 64
    y, x = np.mgrid[:side, :side] - side / 2
    image = (np.sin(y / 9) + x / side).astype(np.float32)
    gone = (y**2 + x**2).argsort(axis=None).argsort() < share * side**2
    rows, columns, weights = [], [], []
    for dy, dx in faithfulness.NEIGHBOURS:
        near = (y + dy + side / 2, x + dx + side / 2)
        there = ((near[0] >= 0) & (near[0] < side) & (near[1] >= 0) & (near[1] < side)).ravel()
        rows.append(np.flatnonzero(there))
        columns.append((near[0] * side + near[1]).ravel()[there].astype(int))
        weights.append(np.full(there.sum(), faithfulness.DIAGONAL if dy and dx else faithfulness.STRAIGHT))
    joined = [np.concatenate(parts) for parts in (weights, rows, columns)]
    mean = coo_matrix((joined[0], joined[1:]), shape=(side**2, side**2)).tocsr()
    laplacian = identity(side**2).multiply(mean.sum(1)).tocsr() - mean
    known = np.where(gone, 0, image.ravel())
    expected = spsolve(laplacian[gone][:, gone].tocsc(), -(laplacian @ known)[gone])
    result = impute(image[None, ..., None], gone.reshape(1, side, side), noise=0.0)
    np.testing.assert_allclose(np.asarray(result).ravel()[gone], expected, atol=1e-3)


def test_ranks_are_a_permutation_with_ties_at_random_and_nothing_for_nan():
    maps = np.array([[[3.0, 1.0], [2.0, np.nan]], [[0.0, 0.0], [0.0, 0.0]]])
    result = np.asarray(faithfulness.ranks(maps))
    np.testing.assert_array_equal(result[0], [[0, 2], [1, 3]])
    np.testing.assert_array_equal(np.sort(result[1].ravel()), range(4))


def test_rank_correlation_equals_scipy():
    from scipy.stats import spearmanr

    a, b = np.random.default_rng(0).integers(0, 5, (2, 4, 6, 5)).astype(float)
    expected = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), expected, rtol=1e-5)
    assert np.isnan(rank_correlation(a, np.ones_like(a))).all()


def test_the_cascade_goes_from_the_head_down_and_takes_statistics_along():
    names = ['head', 'stage1_conv', 'stage1_norm', 'stage10_conv', 'stage2_conv', 'stem_conv']
    parts = sanity.cascade(names)
    assert list(parts) == ['head', 'stage10', 'stage2', 'stage1', 'stem']
    trained = {'params': {n: jnp.zeros(2) for n in names}, 'batch_stats': {'stage1_norm': jnp.zeros(2)}}
    new = jax.tree.map(jnp.ones_like, trained)
    result = jax.jit(lambda depth: sanity.randomise(trained, new, parts, depth))(4)
    assert {n for n, v in result['params'].items() if v[0]} == set(names) - {'stem_conv'}
    assert result['batch_stats']['stage1_norm'][0] == 1


@pytest.mark.parametrize('name', METRICS)
def test_noise_scores_the_same_as_its_reverse(name):
    images = np.random.default_rng(2).normal(size=(40, 6, 6, 2)).astype(np.float32)
    noise = np.random.default_rng(3).random((40, 6, 6))
    result = compiled(name)(images, noise) - compiled(name)(images, -noise)
    assert abs(float(result.mean())) < 4 * float(result.std()) / np.sqrt(40)
