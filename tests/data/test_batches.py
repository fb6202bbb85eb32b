"""Order, sampling, augmentation and statistics of the device-resident data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.data import arrays, batches

ZEROS = np.zeros(50, np.uint32)
augment = jax.jit(batches.augment, static_argnums=2)
sample_order = jax.jit(batches.sample_order, static_argnames=('steps', 'batch_size'))


def test_natural_order_takes_every_row_at_most_once_and_changes_by_epoch_and_seed():
    rows = np.asarray(sample_order(3, ZEROS, 0, steps=6, batch_size=8)).ravel()
    assert len(set(rows.tolist())) == 48
    np.testing.assert_array_equal(rows, np.asarray(sample_order(3, ZEROS, 0, steps=6, batch_size=8)).ravel())
    for seed, epoch in ((3, 1), (4, 0)):
        assert (rows != np.asarray(sample_order(seed, ZEROS, epoch, steps=6, batch_size=8)).ravel()).any()


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
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 1)).astype(np.float32) / 256  # of exact products
    np.testing.assert_array_equal(augment(jax.random.key(1), images, batches.Augmentation()), images)


def test_augmentation_moves_as_far_as_it_says():
    image = np.zeros((64, 32, 32, 1), np.float32)
    image[:, 16, 16] = 1
    moved = np.asarray(augment(jax.random.key(0), image, batches.Augmentation(shift=0.1)))
    y, x = np.mgrid[:32, :32]
    weight = moved[..., 0] / moved.sum((1, 2, 3))[:, None, None]
    offset = np.stack([(weight * axis).sum((1, 2)) - 16 for axis in (y, x)])
    assert np.abs(offset).max() <= 3.2 + 1e-3
    assert np.abs(offset).max() > 2.5
    assert np.unique(offset.round(3)).size > 100


def test_rotation_turns_about_the_centre():
    y, x = np.mgrid[:33, :33] - np.float32(16)
    blob = np.exp(-((y / 2) ** 2 + ((x - 10) / 2) ** 2))[None, :, :, None]
    turned = augment(jax.random.key(2), np.tile(blob, (32, 1, 1, 1)), batches.Augmentation(rotation=90))
    turned = np.asarray(turned)[..., 0]
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


def test_statistics_in_colour_are_those_of_each_channel():
    images = np.random.default_rng(0).integers(0, 256, (5, 7, 7, 3)).astype(np.uint8)
    images[..., 1] //= 3
    images[..., 2] = 17
    mean, std = arrays.grey_statistics(images)
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)) / 255, rtol=1e-6)
    np.testing.assert_allclose(std[:2], images[..., :2].std((0, 1, 2)) / 255, rtol=1e-6)
    assert std[2] == 1  # the same everywhere
    normalised = np.asarray(arrays.normalise(jnp.asarray(images), mean, std))
    np.testing.assert_allclose(normalised.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised[..., :2].std((0, 1, 2)), 1, rtol=1e-5)


SETTING = {'shift': 0.1, 'rotation': 5.0, 'scale': 0.0, 'brightness': 0.0, 'contrast': 0.0}
COLOUR = {'flip': 'auto', 'colour': 'auto', 'saturation': 0.2, 'hue': 0.1}


def test_what_images_are_decides_flips_and_colour():
    plain = batches.Augmentation(**SETTING)
    for modality in ('', 'radiograph', 'mri', 'ultrasound'):
        assert batches.augmentation({**SETTING, **COLOUR}, modality, 3) == plain
    assert batches.augmentation(SETTING, 'radiograph', 1) == plain  # of before these fields
    photograph = batches.augmentation({**SETTING, **COLOUR}, 'photograph', 3)
    assert photograph == plain._replace(mirror_x=0.5, saturation=0.2, hue=0.1)
    grey = batches.augmentation({**SETTING, **COLOUR}, 'microscopy', 1)
    assert grey == plain._replace(mirror_x=0.5, mirror_y=0.5)
    asked = batches.augmentation({**SETTING, **COLOUR, 'flip': 'horizontal', 'colour': 'jitter'}, 'radiograph', 3)
    assert asked == photograph
    none = batches.augmentation({**SETTING, **COLOUR, 'flip': 'none', 'colour': 'none'}, 'photograph', 3)
    assert none == plain


def test_the_program_of_radiographs_knows_no_flips_or_colour():
    """Its random numbers and its steps are those without either."""
    images = jnp.zeros((4, 8, 8, 1))
    setting = batches.augmentation({**SETTING, **COLOUR}, 'radiograph', 1)
    program = str(jax.make_jaxpr(lambda key: batches.augment(key, images, setting))(jax.random.key(0)))
    plain = batches.Augmentation(**SETTING)
    assert program == str(jax.make_jaxpr(lambda key: batches.augment(key, images, plain))(jax.random.key(0)))
    assert program.count('random_bits') == 1
    assert 'rev[' not in program


def test_half_of_the_images_are_mirrored_and_nothing_else_happens():
    images = jax.random.uniform(jax.random.key(0), (200, 4, 4, 3))
    changed = np.asarray(augment(jax.random.key(1), images, batches.Augmentation(mirror_x=0.5, mirror_y=0.5)))
    images = np.asarray(images)
    versions = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    same = np.stack([(version == changed).all((1, 2, 3)) for version in versions])
    assert (same.sum(0) == 1).all()
    assert (same.mean(1) > 0.15).all()


def test_colour_changes_and_luma_stays():
    images = np.random.default_rng(0).uniform(0.35, 0.65, (50, 3, 3, 3)).astype(np.float32)
    changed = np.asarray(augment(jax.random.key(1), images, batches.Augmentation(saturation=0.3, hue=0.1)))
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(changed @ luma, images @ luma, atol=2e-4)
    assert np.abs(changed - images).max() > 0.02
    grey = np.full((50, 3, 3, 3), 0.4, np.float32)
    still = augment(jax.random.key(2), grey, batches.Augmentation(saturation=0.3, hue=0.1))
    np.testing.assert_allclose(still, grey, atol=2e-4)
    stretched = np.asarray(augment(jax.random.key(3), images, batches.Augmentation(saturation=0.3)))
    difference, before = (one - (one @ luma)[..., None] for one in (stretched, images))
    ratio = (difference * before).sum((1, 2, 3)) / (before**2).sum((1, 2, 3))
    np.testing.assert_allclose(difference, ratio[:, None, None, None] * before, atol=1e-3)
    assert ratio.min() > 0.69
    assert ratio.max() < 1.31
