"""Untrained networks whose batch statistics are those of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import models
from imbalance_jax.training import untrained


@pytest.mark.parametrize('options', [{'norm': 'batch'}, {'norm': 'group'}])
def test_statistics_are_those_of_the_batches(options):
    model = models.make('cnn', 2, widths=(8, 8), **options)
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 16, 16, 1), dtype=np.uint8)
    normalise = lambda x: x.astype(jnp.float32) / 50 - 1  # noqa: E731
    variables = model.init(jax.random.key(0), normalise(images[0]), mutable=['params', 'batch_stats'])
    result = untrained.calibrated(model, normalise, variables, images)
    if options['norm'] == 'group':
        assert result is variables
        return
    assert result['params'] is variables['params']
    trained = variables
    for _ in range(60):  # momentum 0.9: what is left of the beginning is 0.9^180
        for batch in images:
            _, new = model.apply(trained, normalise(batch), train=True, mutable=['batch_stats'])
            trained = {**trained, **new}
    (same, _), _ = model.apply(variables, normalise(images[1]), train=True, mutable=['batch_stats'])
    calibrated = model.apply(result, normalise(images[1]))[0]
    np.testing.assert_allclose(calibrated, same, atol=0.1 * float(np.std(same)) + 0.02)
    differences = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max() / jnp.abs(b).max()), result['batch_stats'], trained['batch_stats']
    )
    assert max(jax.tree.leaves(differences)) < 0.05


def test_images_are_the_same_for_all_and_a_small_split_is_enough():
    class Split:
        images = np.arange(50, dtype=np.uint8)[:, None, None, None]

        def rows(self, name):
            assert name == 'train'
            return np.arange(5, 45)

    batches = untrained.calibration_images(Split())
    assert batches.shape == (1, 32, 1, 1, 1)
    assert len(np.unique(batches)) == 32
