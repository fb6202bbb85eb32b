"""Arrays of a split, batches of one size, and pictures in grey."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data import batches


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize(('count', 'size'), [(10, 4), (8, 4), (3, 64), (5, 1)])
def test_in_batches_is_the_function_of_the_whole(axis, count, size):
    values, weights = np.arange(2.0 * count).reshape(count, 2), np.arange(count) % 3
    shapes = set()

    @jax.jit
    def double(values, weights):
        shapes.add(values.shape)
        products = jnp.asarray(values) * weights[:, None]
        return {
            'one': 2 * products if axis == 0 else 2 * products[None],
            'two': products.sum(1).reshape((1,) * axis + (-1,)),
        }

    result = data_arrays.in_batches(double, (values, weights), size, axis=axis)
    expected = 2 * values * weights[:, None]
    np.testing.assert_array_equal(result['one'] if axis == 0 else result['one'][0], expected)
    np.testing.assert_array_equal(result['two'].ravel(), expected.sum(1) / 2)
    assert shapes == {(min(size, count), 2)}  # one shape, one program


def test_pictures_keep_colour_and_drop_a_single_channel():
    grey = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 1)).astype(np.uint8)
    np.testing.assert_array_equal(data_arrays.pictures(grey), grey[..., 0])
    colour = np.random.default_rng(1).integers(0, 256, (2, 3, 3, 3)).astype(np.uint8)
    np.testing.assert_array_equal(data_arrays.pictures(colour), colour)
    two = data_arrays.pictures(np.array([[10, 20]], np.uint8))
    np.testing.assert_array_equal(two, [15])
    assert two.dtype == np.uint8


def test_permuted_labels_are_those_of_other_images():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (50, 3)).astype(np.float32)
    arrays = data_arrays.Arrays(random.integers(0, 255, (50, 4, 4, 1)).astype(np.uint8), labels, np.ones_like(labels))
    other = data_arrays.permuted_labels(arrays).labels
    np.testing.assert_array_equal(other.sum(0), labels.sum(0))
    assert (other != labels).any(1).mean() > 0.5


def test_versions_of_the_labels_share_images_and_differ_in_labels_alone():
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (50, 4, 4, 1)).astype(np.uint8)
    labels, masks = random.integers(0, 2, (2, 3, 50, 2)).astype(np.float32)
    one, *others = (
        data_arrays.relabelled(data_arrays.Arrays(images, None, None), *version)
        for version in zip(labels, masks, strict=True)
    )
    assert data_arrays.label_versions([one]) is one, 'a population of one version trains on the same arrays as ever'
    versions = data_arrays.label_versions([one, *others])
    assert versions.images is images
    get_batch, rows = batches.make_batch(0.5, 0.25, batches.Augmentation(shift=0.1)), np.array([3, 7])
    for version in range(3):
        batch = get_batch(jax.tree.map(np.asarray, versions), rows, np.uint32(0), 0, version)
        plain = get_batch(jax.tree.map(np.asarray, one), rows, np.uint32(0), 0)
        np.testing.assert_array_equal(batch['image'], plain['image'])
        np.testing.assert_array_equal(batch['labels'], (labels * masks)[version, rows])
        np.testing.assert_array_equal(batch['label_mask'], masks[version, rows])
