"""Order, sampling, augmentation and statistics of the device-resident data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.data import arrays, batches

ZEROS = jnp.zeros(50, jnp.uint32)


def test_natural_order_takes_every_row_at_most_once_and_changes_by_epoch_and_seed():
    rows = np.asarray(batches.sample_order(3, ZEROS, 0, steps=6, batch_size=8)).ravel()
    assert len(set(rows.tolist())) == 48
    np.testing.assert_array_equal(rows, np.asarray(batches.sample_order(3, ZEROS, 0, steps=6, batch_size=8)).ravel())
    for seed, epoch in ((3, 1), (4, 0)):
        assert (rows != np.asarray(batches.sample_order(seed, ZEROS, epoch, steps=6, batch_size=8)).ravel()).any()


def test_weighted_order_follows_the_weights_exactly():
    weights = np.arange(50) ** 2.0
    weights[10] = 0
    cumulative = batches.cumulative_weights(weights)
    one = lambda epoch: batches.sample_order(0, jnp.asarray(cumulative), epoch, steps=5, batch_size=10)  # noqa: E731
    draw = jax.jit(jax.vmap(one))
    rows = np.asarray(draw(jnp.arange(4000))).ravel()
    share = np.bincount(rows, minlength=50) / len(rows)
    expected = weights / weights.sum()
    assert share[0] == share[10] == 0
    assert np.abs(share - expected).max() < 5 * np.sqrt(0.06 / len(rows))


def test_weights_of_a_large_set_keep_their_ratio():
    weights = np.ones(200_000)
    weights[::2] = 3
    steps = np.diff(batches.cumulative_weights(weights).astype(np.float64), prepend=0)
    np.testing.assert_allclose(steps[1::2].mean() / steps[::2].mean(), 1 / 3, rtol=1e-6)
    assert steps.std() > 0
    np.testing.assert_allclose(steps[::2], steps[::2].mean(), rtol=1e-3)


@pytest.mark.parametrize('weights', [[0.0, 0.0], [1.0, -1.0], [np.nan, 1.0]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match='weights'):
        batches.cumulative_weights(np.array(weights))


def test_no_augmentation_is_the_image_itself():
    images = jax.random.uniform(jax.random.key(0), (3, 9, 9, 1))
    np.testing.assert_array_equal(batches.augment(jax.random.key(1), images, batches.Augmentation()), images)


def test_augmentation_moves_as_far_as_it_says():
    image = jnp.zeros((64, 32, 32, 1)).at[:, 16, 16].set(1.0)
    moved = batches.augment(jax.random.key(0), image, batches.Augmentation(shift=0.1))
    y, x = jnp.mgrid[:32, :32]
    weight = moved[..., 0] / moved.sum((1, 2, 3))[:, None, None]
    offset = np.stack([(weight * axis).sum((1, 2)) - 16 for axis in (y, x)])
    assert np.abs(offset).max() <= 3.2 + 1e-3
    assert np.abs(offset).max() > 2.5
    assert np.unique(offset.round(3)).size > 100


def test_rotation_turns_about_the_centre():
    y, x = jnp.mgrid[:33, :33] - 16.0
    blob = jnp.exp(-((y / 2) ** 2 + ((x - 10) / 2) ** 2))[None, :, :, None]
    turned = batches.augment(jax.random.key(2), jnp.tile(blob, (32, 1, 1, 1)), batches.Augmentation(rotation=90))[
        ..., 0
    ]
    mass = turned.sum((1, 2))
    radius = np.hypot((turned * y).sum((1, 2)) / mass, (turned * x).sum((1, 2)) / mass)
    np.testing.assert_allclose(radius, 10, atol=0.3)


def test_grey_statistics_are_those_of_the_pixels():
    images = np.random.default_rng(0).integers(0, 256, (5, 7, 7, 1)).astype(np.uint8)
    mean, std = arrays.grey_statistics(images)
    np.testing.assert_allclose([mean, std], [images.mean() / 255, images.std() / 255], rtol=1e-12)
    np.testing.assert_allclose(np.asarray(arrays.normalise(jnp.asarray(images), mean, std)).std(), 1, rtol=1e-5)


def test_masked_labels_are_in_no_count():
    labels, mask = np.array([[1, 1], [0, 1], [1, 0]], np.float32), np.array([[1, 0], [1, 1], [0, 1]], np.float32)
    positive, negative = arrays.class_counts(arrays.Arrays(np.zeros(3), labels, mask))
    np.testing.assert_array_equal(positive, [1, 1])
    np.testing.assert_array_equal(negative, [1, 1])
