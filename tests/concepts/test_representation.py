"""Neural collapse and ranks of features, against their definitions on planted classes."""

import numpy as np
import pytest

from imbalance_jax.concepts import representation

K, U = 4, 10
COUNTS = np.array([400, 100, 25, 10])


def planted(noise, seed=0, images=300):
    """Features with orthogonal class directions, class 0 the longest, and the head that is their transpose."""
    random = np.random.default_rng(seed)
    positive = random.random((images, K)) < 0.3
    directions = np.linalg.qr(random.normal(size=(U, U)))[0][:K] * np.array([4.0, 2, 1, 1])[:, None]
    return positive @ directions + noise * random.normal(size=(images, U)), directions.T, positive


def test_collapse_is_its_definition_on_the_images_of_every_round():
    x, head, positive = planted(0.3)
    weights = np.stack([np.ones(len(x)), np.random.default_rng(1).integers(0, 3, len(x))])
    result = representation.collapse(x, head, representation.Classes(positive, COUNTS), weights)
    for r, weight in enumerate(weights):
        repeated = np.repeat(np.arange(len(x)), weight.astype(int))
        y, shown = x[repeated], positive[repeated]
        centred = np.array([y[shown[:, k]].mean(0) - y.mean(0) for k in range(K)])
        spread = [y[shown[:, k]].var(0).sum() for k in range(K)]
        lengths = np.linalg.norm(centred, axis=1)
        np.testing.assert_allclose(result['within_class'][r], spread / lengths**2)
        unit = [m / np.linalg.norm(m) for m in (head.T, centred)]
        assert result['self_dual'][r] == pytest.approx(np.linalg.norm(unit[0] - unit[1]))
        cosine = (centred / lengths[:, None]) @ (centred / lengths[:, None]).T
        assert result['centre_cosine'][r] == pytest.approx([cosine[2, 3], cosine[0, 1]])
        pairs = cosine[np.triu_indices(K, 1)]
        assert result['equiangular'][r] == pytest.approx(np.abs(pairs + 1 / 3).mean())
        relative = lengths / np.sqrt((lengths**2).mean())
        np.testing.assert_allclose(result['centre_length'][r], relative)
        assert result['centre_slope'][r] == pytest.approx(np.polyfit(np.log(COUNTS), np.log(lengths), 1)[0])
    assert result['head_cosine'] == pytest.approx(np.zeros((2, 2)), abs=1e-9)
    assert result['self_dual'][0] < 0.5


def test_planted_collapse_is_found():
    classes = representation.Classes(planted(0)[2], COUNTS)
    once = np.ones((1, 300))
    loose, tight = (representation.collapse(*planted(noise)[:2], classes, once) for noise in (1.0, 0.1))
    assert (tight['within_class'] < loose['within_class']).all()
    head = planted(0)[1].copy()
    head[:, 3] = head[:, 2] * 2  # the two rare classes have one direction
    minority = representation.collapse(planted(0.1)[0], head, classes, once)
    assert minority['head_cosine'][0] == pytest.approx([1, 0], abs=1e-9)
    classes.positive[:, 1] = False  # a class that no image shows
    fewer = representation.collapse(planted(0.1)[0], head, classes, np.concatenate([once, 0 * once]))
    assert np.isnan(fewer['within_class'][0]).tolist() == [False, True, False, False]
    assert np.isfinite(fewer['self_dual'][0])
    assert np.isnan(fewer['within_class'][1]).all()


def rank_of(x):
    singular = np.linalg.svd(x, compute_uv=False)
    share = singular[singular > 0] / singular.sum()
    variances = np.linalg.eigvalsh(np.cov(x.T))
    return np.exp(-(share * np.log(share)).sum()), variances.sum() ** 2 / (variances**2).sum()


@pytest.mark.parametrize('images', [300, 8])
def test_ranks_are_those_of_singular_values_also_with_more_units_than_images(images):
    x = planted(0.5, images=images)[0] @ np.diag(np.linspace(1, 3, U)) + 2
    result = representation.ranks(x, np.ones((1, images)))
    assert [result[name][0] for name in ('rankme', 'participation_ratio')] == pytest.approx(rank_of(x))
    assert np.isnan(representation.ranks(x[:1], np.ones((2, 1)))['rankme']).all()


def test_rounds_of_ranks_vary_as_those_of_new_images():
    def draw(seed):
        random = np.random.default_rng(seed)
        return random.normal(size=(400, U)) @ np.diag(np.linspace(0.2, 2, U))

    fresh = np.array([rank_of(draw(seed)) for seed in range(150)]).std(0)
    weights = np.random.default_rng(0).multinomial(400, np.full(400, 1 / 400), size=400)
    result = representation.ranks(draw(1000), weights)
    for name, spread in zip(('rankme', 'participation_ratio'), fresh, strict=True):
        assert result[name].std() == pytest.approx(spread, rel=0.3)
