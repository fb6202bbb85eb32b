"""The way into a network: sizes against PIL, channels and ranges against their definitions, gradients through both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from imbalance_jax.models import entrance, make
from imbalance_jax.models.entrance import MATRIX, OFFSET, Entrance, Geometry

RANDOM = np.random.default_rng(0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIL = {
    'bilinear': Image.Resampling.BILINEAR,
    'bicubic': Image.Resampling.BICUBIC,
    'lanczos': Image.Resampling.LANCZOS,
}


@pytest.mark.parametrize('interpolation', PIL)
@pytest.mark.parametrize('sizes', [(50, 23), (23, 50), (40, 40), (97, 12)])
def test_resampling_is_that_of_pil(interpolation, sizes):
    size, wanted = sizes
    image = RANDOM.random((size, 7)).astype(np.float32)
    expected = np.asarray(Image.fromarray(image).resize((7, wanted), PIL[interpolation]))
    np.testing.assert_allclose(entrance.resampling(size, wanted, interpolation) @ image, expected, atol=2e-6)


@pytest.mark.parametrize('shape', [(40, 60), (60, 40), (50, 50)])
def test_resize_and_crop_are_those_of_pil_within_a_grey_value(shape):
    geometry, pixels = Geometry(32, 24), RANDOM.integers(0, 256, shape).astype(np.uint8)
    rows, columns = entrance.axes(*shape, geometry)
    resized = (int(32 * shape[1] / min(shape)), int(32 * shape[0] / min(shape)))
    whole = np.asarray(Image.fromarray(pixels).resize(resized, Image.Resampling.BILINEAR), float)
    top, left = (round((size - 24) / 2) for size in whole.shape)
    difference = rows @ pixels @ columns.T - whole[top : top + 24, left : left + 24]
    assert np.abs(difference).max() < 1.01


def test_nothing_changes_where_nothing_is_asked():
    assert entrance.axes(32, 32, Geometry()) is None
    assert entrance.axes(32, 32, Geometry(32, 32, 'bicubic')) is None


@pytest.mark.parametrize('channels', [1, 3])
def test_values_are_those_of_imagenet(channels):
    own = (np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])) if channels == 3 else (0.4, 0.2)
    pixels = RANDOM.random((2, 4, 4, channels))
    normalised = ((pixels - own[0]) / own[1]).astype(np.float32)
    matrix, offset = entrance.affine(channels, own, mean=MEAN, std=STD)
    result = Entrance(None, 3).entered(normalised, {MATRIX: matrix, OFFSET: offset})
    np.testing.assert_allclose(result, (np.broadcast_to(pixels, (2, 4, 4, 3)) - MEAN) / STD, atol=2e-6)


def test_values_are_those_of_torchxrayvision():
    pixels = RANDOM.integers(0, 256, (2, 4, 4, 3)).astype(np.float64)
    own = (np.full(3, 0.5), np.full(3, 0.25))
    normalised = ((pixels / 255 - own[0]) / own[1]).astype(np.float32)
    matrix, offset = entrance.affine(3, own, mean=(0,), std=(1,), low=-1024, high=1024)
    result = Entrance(None, 1).entered(normalised, {MATRIX: matrix, OFFSET: offset})
    expected = (2 * (pixels @ entrance.LUMA)[..., None] / 255 - 1) * 1024
    np.testing.assert_allclose(result, expected, atol=1e-3)  # float32 at 1024


def test_moments_are_taken_off_behind_the_range():
    values = np.array([0.0, 0.5, 1.0])[None, :, None, None]
    matrix, offset = entrance.affine(1, (0.0, 1.0), mean=(0.25,), std=(2.0,), low=-1, high=3)
    result = Entrance(None, 1).entered(values, {MATRIX: matrix, OFFSET: offset})
    np.testing.assert_allclose(result, (-1 + 4 * values - 0.25) / 2)


def test_members_of_one_program_have_values_of_their_own():
    model = Entrance(make('cnn', 2, widths=(4,), norm='group'), 3, Geometry(12, 8))
    image = RANDOM.random((2, 16, 16, 1)).astype(np.float32)
    variables = model.init(jax.random.key(0), image, mutable=['params', 'batch_stats'])
    both = [entrance.affine(1, (0.4, 0.2), mean=MEAN, std=STD), (np.ones((1, 3), np.float32), np.zeros(3, np.float32))]
    links = {MATRIX: np.stack([one[0] for one in both]), OFFSET: np.stack([one[1] for one in both])}

    def logits(link, x):
        return model.apply({**variables, 'link': link}, x)[0]

    together = jax.vmap(logits, (0, None))(links, image)
    alone = [logits({MATRIX: matrix, OFFSET: offset}, image) for matrix, offset in both]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    np.testing.assert_array_equal(alone[1], model.apply(variables, image)[0])  # without a link values stay


def test_gradient_reaches_the_image_of_the_data_set():
    model = Entrance(None, 3, Geometry(12, 8))
    image = RANDOM.random((1, 16, 16, 1)).astype(np.float32)
    direction = RANDOM.random(image.shape).astype(np.float32)

    def score(x):
        return (model.entered(x, {}) ** 2).sum()

    slope = (jax.grad(score)(image) * direction).sum()
    np.testing.assert_allclose(slope, (score(image + direction) - score(image - direction)) / 2, rtol=1e-4)
    assert not jnp.any(jax.grad(score)(image)[:, 0])  # outside the crop


@pytest.mark.parametrize(
    ('make_it', 'message'),
    [
        (lambda: entrance.mixing(2, 3), 'Images of 2 channels cannot be brought to the 3 of the weights.'),
        (lambda: entrance.axes(16, 16, Geometry(8, 12)), 'A crop of 12 pixels does not fit images of 8 x 8 pixels.'),
        (lambda: entrance.resampling(8, 4, 'box'), "Unknown interpolation 'box'"),
    ],
)
def test_what_cannot_be_is_one_line(make_it, message):
    with pytest.raises(ValueError, match=message):
        make_it()
