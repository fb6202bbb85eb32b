"""What attribution is given: what works in any form, and the one line for what does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import attribution
from imbalance_jax.attribution import cam, faithfulness
from imbalance_jax.attribution.methods import METHODS, needs_key, needs_layer
from imbalance_jax.attribution.options import known

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
QUICK = {'window': 4, 'stride': 4, 'samples': 2, 'steps': 1, 'iterations': 1}


def score(x):
    return (jax.nn.relu(x[:, 2:5, 2:5]) ** 2).sum((1, 2, 3))


def layer(x, shift=None):
    inside = jax.nn.relu(x[:, ::2, ::2]).astype(jnp.bfloat16)
    inside = inside if shift is None else inside + shift
    return (inside.astype(jnp.float32) ** 2).sum((1, 2, 3)), inside


def options_of(name):
    options = {option: value for option, value in QUICK.items() if option in known(name, {})}
    options |= {'key': jax.random.key(0)} if needs_key(name) else {}
    return options | ({'layer': layer} if needs_layer(name) else {})


class Foreign:
    """An array of another library."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_images_of_any_library_and_precision_give_the_same_map():
    expected = METHODS['gradient'](score, IMAGES)
    for images in (IMAGES.tolist(), IMAGES.astype(np.float64), jnp.asarray(IMAGES), Foreign(IMAGES)):
        np.testing.assert_allclose(METHODS['gradient'](score, images), expected, rtol=1e-6)
    half = METHODS['gradient'](score, jnp.asarray(IMAGES, jnp.bfloat16))
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(METHODS['gradient'](score, IMAGES[:1]), expected[:1], rtol=1e-6)


@pytest.mark.parametrize('name', [name for name in METHODS if needs_layer(name)])
def test_a_layer_in_half_precision_gives_maps_in_float32(name):
    maps = METHODS[name](score, IMAGES, **options_of(name))
    assert maps.dtype == jnp.float32
    assert maps.shape == (2, 8, 8)


@pytest.mark.parametrize(
    ('images', 'says'),
    [
        ((IMAGES * 50).astype(np.uint8), 'images are uint8, which has no gradient: give floats'),
        (IMAGES[0], r'not \(8, 8, 3\): give images\[None\]'),
        (IMAGES[..., 0], r'not \(2, 8, 8\): give images\[..., None\]'),
        (np.moveaxis(IMAGES, -1, 1), r'channels first: give jnp.moveaxis\(images, 1, -1\)'),
        ('film.png', 'images must be numbers .*, not str'),
        (None, 'images must be numbers .*, not NoneType'),
    ],
)
def test_every_method_says_what_is_wrong_with_images(images, says):
    for name, method in METHODS.items():
        with pytest.raises(ValueError, match=says) as error:
            method(score, images, **options_of(name))
        assert '\n' not in error.value.args[0].split('\n-----')[0]


@pytest.mark.parametrize(
    ('wrong', 'says'),
    [
        (lambda x: (score(x), {}), 'one logit per image, an array .*, not tuple'),
        (lambda x: jnp.ones((len(x), 3)), r'shape \(2,\), not \(2, 3\): \[:, k\] picks class k'),
        (lambda x: jnp.ones((len(x), 1)), r'shape \(2,\), not \(2, 1\): \[:, k\] picks class k'),
        (lambda x: score(x).sum(), r'shape \(2,\), not \(\)'),
        (lambda x: score(x) > 0, 'score must return floats, a logit per image, not bool'),
    ],
)
def test_a_score_that_is_none_is_named(wrong, says):
    others = {'gradient': {}, 'occlusion': options_of('occlusion'), 'guided_backprop': {}}
    for name, options in others.items():
        with pytest.raises(ValueError, match=says):
            METHODS[name](wrong, IMAGES, **options)
    maps = np.ones((2, 8, 8))
    for metric in faithfulness.METRICS.values():
        with pytest.raises(ValueError, match=says):
            metric(wrong, IMAGES, maps)


def test_a_method_that_needs_a_key_or_a_layer_says_so():
    for name, method in METHODS.items():
        options = options_of(name)
        if needs_layer(name):
            with pytest.raises(ValueError, match='looks inside the network and needs a layer: give layer=f'):
                method(score, IMAGES, **{**options, 'layer': None})
        if needs_key(name):
            for key in (None, 0):
                with pytest.raises(ValueError, match=r'give key=jax.random.key\(0\)'):
                    method(score, IMAGES, **{**options, 'key': key})
    with pytest.raises(ValueError, match='grad_cam looks inside'):
        METHODS['smooth_grad'](score, IMAGES, key=jax.random.key(0), samples=2, method='grad_cam')
    with pytest.raises(ValueError, match=r"it is METHODS\['grad_cam'\]\(score, images, layer=layer\)"):
        attribution.grad_cam(score, IMAGES, layer=layer)


def test_a_layer_that_ignores_its_shift_is_found_also_inside_jit():
    def deaf(x, shift=None):
        scores, inside = layer(x)
        return scores, inside if shift is None else inside + shift

    for name in ('grad_cam', 'guided_grad_cam', 'information_bottleneck'):
        options = {**options_of(name), 'layer': jax.jit(deaf)}
        with pytest.raises(ValueError, match='do not depend on shift'):
            jax.jit(lambda x, n=name, o=options: METHODS[n](score, x, **o))(IMAGES)
    for wrong, says in (
        (lambda x, shift=None: score(x), r'layer must return \(scores'),
        (lambda x, shift=None: (score(x), x.mean((1, 2))), r'an activation \[B, h, w, U\]'),
    ):
        with pytest.raises(ValueError, match=says):
            METHODS['grad_cam'](score, IMAGES, layer=wrong)
    heard, _ = cam.activation_and_gradient(jax.jit(layer), IMAGES)
    assert heard.shape == (2, 4, 4, 3)


def test_maps_of_another_shape_are_named():
    for metric in faithfulness.METRICS.values():
        with pytest.raises(ValueError, match=r'maps must be \[B, H, W\] = \(2, 8, 8\)'):
            metric(score, IMAGES, np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match=r'size must be \(H, W\)'):
        attribution.upsample(np.ones((2, 4, 4)), 8)
    with pytest.raises(ValueError, match='does not broadcast'):
        METHODS['integrated_gradients'](score, IMAGES, baseline=np.ones(5))


@pytest.mark.parametrize(
    ('method', 'says'),
    [
        (lambda score, images: images, r'float32 \[1, 8, 8, .\]; expected maps \[B, H, W\] = \[1, 8, 8\]'),
        (lambda score, images: [images[..., 0]], r"\['float32 \[1, 8, 8\]'\]; expected maps"),
        (lambda score, images: images[..., 0] + 0j, r'complex64 \[1, 8, 8\]; expected maps'),
    ],
)
def test_a_method_that_gives_no_maps_is_named(monkeypatch, method, says):
    monkeypatch.setitem(METHODS, 'mine', method)
    with pytest.raises(ValueError, match=f"^attribution method 'mine': it gives {says}"):
        attribution.options.check('mine', {}, IMAGES[:1])


def test_a_method_that_mixes_the_images_of_a_batch_is_named(monkeypatch):
    def less_the_mean(axes):
        return lambda score, images: jnp.abs(images - images.mean(axes, keepdims=True)).sum(-1)

    monkeypatch.setitem(METHODS, 'mine', less_the_mean(0))
    with pytest.raises(ValueError, match=r"^attribution method 'mine': its map of an image depends on the other"):
        attribution.options.check('mine', {}, IMAGES[:1])
    monkeypatch.setitem(METHODS, 'mine', less_the_mean((1, 2)))
    attribution.options.check('mine', {}, IMAGES[:1])


def gradient(score, images):
    return jnp.abs(jax.grad(lambda x: score(x).sum())(images)).sum(-1)


def hot_in_batch(score, images):
    maps = gradient(score, images)
    return jnp.where(maps >= maps.max() / 2, maps, 0)


def centred_in_batch(score, images):
    maps = gradient(score, images)
    return maps - maps.mean()


def reversed_in_batch(score, images):
    return gradient(score, images)[::-1]


def hot_in_image(score, images):
    maps = gradient(score, images)
    return maps >= maps.max((1, 2), keepdims=True) / 2


def scaled_in_image(score, images):
    maps = gradient(score, images)
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return (maps - low) / (high - low)


@pytest.mark.parametrize('method', [hot_in_batch, centred_in_batch, reversed_in_batch])
def test_what_a_method_takes_from_its_batch_is_seen_in_any_of_its_images(monkeypatch, method):
    monkeypatch.setitem(METHODS, 'mine', method)
    with pytest.raises(ValueError, match='its map of an image depends on the other images of a batch'):
        attribution.options.check('mine', {}, IMAGES[:1])


@pytest.mark.parametrize('method', [gradient, hot_in_image, scaled_in_image])
def test_what_a_method_takes_from_its_image_is_its_own(monkeypatch, method):
    monkeypatch.setitem(METHODS, 'mine', method)
    attribution.options.check('mine', {}, IMAGES[:1])


def test_a_method_without_a_finite_map_is_refused_as_such(monkeypatch):
    def without_a_corner(score, images):
        return gradient(score, images).at[:, 0, 0].set(jnp.nan)

    monkeypatch.setitem(METHODS, 'mine', without_a_corner)
    with pytest.raises(ValueError, match='each of its maps has values that are not finite'):
        attribution.options.check('mine', {}, IMAGES[:1])


def test_whole_numbers_are_maps(monkeypatch):
    monkeypatch.setitem(METHODS, 'mine', lambda score, images: images[..., 0] > 0)
    attribution.options.check('mine', {}, IMAGES[:1])
    network = lambda member, x, shift: (x.mean((1, 2)) * member, x)  # noqa: E731
    maps = attribution.all_classes.class_maps(network, 'mine', {})
    given = maps(np.float32(1), IMAGES, np.zeros((len(IMAGES), 1), np.int32), np.arange(len(IMAGES)))
    assert (given.dtype, given.shape) == (np.float32, (len(IMAGES), 1, *IMAGES.shape[1:3]))


def test_a_method_that_writes_into_its_images_is_named(monkeypatch):
    def steep(score, images):
        images[:] = 0
        return images

    monkeypatch.setitem(METHODS, 'steep', steep)
    with pytest.raises(ValueError, match=r"^attribution method 'steep': .*immutable"):
        attribution.options.check('steep', {}, IMAGES[:1])
