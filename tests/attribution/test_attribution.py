"""Attribution: against captum's maps of a small network, finite differences in float64, and relations."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import attribution
from imbalance_jax.attribution import gradients, perturbation
from imbalance_jax.attribution.cam import input_layer
from imbalance_jax.attribution.methods import METHODS, needs_key, needs_layer
from imbalance_jax.models.cnn import CNN
from imbalance_jax.models.resnet import BasicBlock, ResNet
from imbalance_jax.names import lookup

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'golden' / 'attribution.npz'))
KEY = jax.random.key(0)


def golden_map(name):
    return GOLDEN[name][..., 0]


def assert_map_close(actual, expected, tolerance=1e-5):
    """Relative to the largest value: a map's small values are differences of large ones."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def mapped(name, score, images, /, **options):
    """The maps of a method, by one program."""
    return jax.jit(lambda x: METHODS[name](score, x, **options))(images)


def golden_features(x, relu=jax.nn.relu):
    """The activation [B, 12, 12, 16] of the second ReLU of the golden network, for images [B, 24, 24, 1]."""

    def convolve(x, name):
        kernel, bias = GOLDEN[f'params/{name}.weight'], GOLDEN[f'params/{name}.bias']
        layout = ('NHWC', 'HWIO', 'NHWC')
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=layout) + bias

    x = relu(convolve(x, 'c1'))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), 'VALID')
    return relu(convolve(x, 'c2'))


def golden_head(features):
    logits = features.mean((1, 2)) @ GOLDEN['params/fc.weight'] + GOLDEN['params/fc.bias']
    return logits[jnp.arange(len(logits)), GOLDEN['class_index']]


def golden_score(x, relu=jax.nn.relu):
    return golden_head(golden_features(x, relu))


def small_score(x, xp=jnp):
    """A smooth network of two units on images [B, 5, 4, 2], in the float type of its input: `xp` is jnp or np."""
    random = np.random.default_rng(3)
    first, second = random.normal(size=(40, 2)).astype(x.dtype), random.normal(size=2).astype(x.dtype)
    return xp.tanh(x.reshape(len(x), -1) @ first) @ second


SMALL = np.random.default_rng(4).normal(size=(3, 5, 4, 2)) / 4


def finite_differences(images, step=1e-6):
    """d small_score / d images by central differences in float64."""
    result = np.zeros_like(images)
    for place in np.ndindex(images.shape[1:]):
        shift = np.zeros_like(images)
        shift[(slice(None), *place)] = step
        result[(slice(None), *place)] = (small_score(images + shift, np) - small_score(images - shift, np)) / (2 * step)
    return result


@pytest.mark.parametrize(
    ('golden', 'method', 'options'),
    [
        ('gradient', 'gradient', {}),
        ('saliency_abs', 'saliency', {}),
        ('input_x_gradient', 'input_x_gradient', {}),
        ('integrated_gradients_50_gausslegendre', 'integrated_gradients', {}),
        ('integrated_gradients_50_riemann_middle', 'integrated_gradients', {'rule': 'riemann_middle'}),
        ('guided_backprop', 'guided_backprop', {}),
        ('deconvnet', 'deconvnet', {}),
        ('deeplift_zero', 'deeplift', {}),
        ('occlusion_w5_s1_zero', 'occlusion', {}),
    ],
)
def test_methods_match_captum_inside_jit(golden, method, options):
    maps = mapped(method, golden_score, GOLDEN['images_nhwc'], **options)
    assert_map_close(maps, golden_map(golden))


@pytest.mark.parametrize(
    ('golden', 'relu'), [('guided_backprop', gradients.guided_relu), ('deconvnet', gradients.deconv_relu)]
)
def test_rewritten_relus_match_captum(golden, relu):
    maps = mapped('gradient', lambda x: golden_score(x, relu), GOLDEN['images_nhwc'])
    assert_map_close(maps, golden_map(golden))


def test_rewritten_relus_are_relus_forward_and_their_rules_backward():
    x, back = jnp.array([-1.0, -1.0, 2.0, 2.0]), jnp.array([-3.0, 3.0, -3.0, 3.0])
    for relu, expected in [(gradients.guided_relu, [0, 0, 0, 3]), (gradients.deconv_relu, [0, 3, 0, 3])]:
        values, pull = jax.vjp(relu, x)
        np.testing.assert_array_equal(values, [0, 0, 2, 2])
        np.testing.assert_array_equal(pull(back)[0], expected)


def test_grad_cam_matches_captum_raw_upsampled_and_guided():
    activation = golden_features(GOLDEN['images_nhwc'])
    maps = attribution.grad_cam(activation, jax.grad(lambda a: golden_head(a).sum())(activation))
    assert_map_close(maps, golden_map('grad_cam_conv2'))
    assert_map_close(attribution.upsample(maps, (24, 24)), golden_map('grad_cam_conv2_upsampled_bilinear'))
    guided = METHODS['gradient'](lambda x: golden_score(x, gradients.guided_relu), GOLDEN['images_nhwc'])
    nearest = maps.repeat(2, axis=1).repeat(2, axis=2)
    assert_map_close(guided * nearest, golden_map('guided_grad_cam_nearest'))


def golden_layer(x, shift=None):
    features = golden_features(x)
    features = features if shift is None else features + shift
    return golden_head(features), features


def test_methods_at_a_layer_match_captum_inside_jit():
    @jax.jit
    def both(x):
        cam = METHODS['grad_cam'](golden_score, x, layer=golden_layer)
        guided = METHODS['guided_grad_cam'](golden_score, x, layer=golden_layer, interpolation='nearest')
        return cam, guided

    cam, guided = both(GOLDEN['images_nhwc'])
    assert_map_close(cam, golden_map('grad_cam_conv2_upsampled_bilinear'))
    assert_map_close(guided, golden_map('guided_grad_cam_nearest'))


def test_rewriting_leaves_a_network_that_was_built_with_the_rules_as_it_is():
    images = GOLDEN['images_nhwc'][:, :12, :12]

    def score(x, relu):
        kernel, bias = GOLDEN['params/c1.weight'], GOLDEN['params/c1.bias']
        layout = ('NHWC', 'HWIO', 'NHWC')
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=layout) + bias
        return (relu(x) * jnp.linspace(-1, 1, 8)).sum((1, 2, 3))

    for method, built in (('guided_backprop', gradients.guided_relu), ('deconvnet', gradients.deconv_relu)):
        expected = METHODS['gradient'](lambda x, relu=built: score(x, relu), images)
        for relu in (jax.nn.relu, built, lambda x: jnp.maximum(0, x)):
            result = METHODS[method](lambda x, relu=relu: score(x, relu), images)
            np.testing.assert_allclose(result, expected, atol=1e-6)


def test_deeplift_through_a_max_pool_is_bounded_in_its_parts():
    """What max(u0, u1 - u2) rises by is u0's alone, as captum has it."""

    def score(x):
        u = x[:, 0, :, 0] @ jnp.array([[1.0, 0], [0, 1], [0, -1]])
        return jax.lax.reduce_window(u, -jnp.inf, jax.lax.max, (1, 2), (1, 2), 'VALID')[:, 0]

    image, baseline = (np.reshape(row, (1, 1, 3, 1)).astype(np.float32) for row in ([1, 10.5, 10], [0, 0.499, 0]))
    maps = METHODS['deeplift'](score, image, baseline=baseline)
    np.testing.assert_allclose(maps[0, 0], [0.501, 0, 0], atol=1e-6)
    back = METHODS['deeplift'](score, baseline, baseline=image)
    np.testing.assert_allclose(back[0, 0], [-0.501, 0, 0], atol=1e-6)


@pytest.mark.parametrize('name', ['cnn', 'resnet'])
def test_deeplift_of_the_projects_models_sums_to_the_score_difference(name):
    images = jax.random.normal(KEY, (2, 32, 32, 1))
    model = CNN(3, widths=(4, 8)) if name == 'cnn' else ResNet(3, block=BasicBlock, depths=(1, 1), width=4)
    variables = model.init(KEY, images, mutable=['params', 'batch_stats'])

    @jax.jit
    def difference(x):
        score = lambda x: model.apply(variables, x)[0][:, 1]  # noqa: E731
        start = attribution.baselines.baseline_images(x, 'blur')
        return METHODS['deeplift'](score, x, baseline='blur').sum((1, 2)), score(x) - score(start)

    result, expected = difference(images)
    np.testing.assert_allclose(result, expected, rtol=1e-3)


def test_deeplift_rescales_smooth_functions_and_its_hand_worked_slope():
    images = SMALL.astype(np.float32)
    maps = mapped('deeplift', small_score, images, baseline=0.3)
    difference = small_score(SMALL, np) - small_score(np.full_like(SMALL, 0.3), np)
    np.testing.assert_allclose(maps.sum((1, 2)), difference, rtol=1e-4)
    # max(3 a - b, 0) from (0, 0) to (1, 1): 2 above 0, of which 3 and -1 are the shares of a and b.
    image = jnp.ones((1, 1, 2, 1))
    maps = mapped('deeplift', lambda x: jax.nn.relu(3 * x[:, 0, 0, 0] - x[:, 0, 1, 0]), image)
    np.testing.assert_allclose(maps, [[[3, -1]]])
    maps = mapped('deeplift', lambda x: jax.nn.relu(x[:, 0, 0, 0] + x[:, 0, 1, 0] - 1), image)
    np.testing.assert_allclose(maps, [[[0.5, 0.5]]])  # the gradient at the image would say 1 and 1


@pytest.mark.parametrize('relu6', [jax.nn.relu6, lambda x: jnp.minimum(jax.nn.relu(x), 6)])
def test_the_upper_end_of_a_relu6(relu6):
    """Of three units one would rise to 8 and is cut at 6, one stays below, and one is shut."""
    image = jnp.array([1.0, 2.0, 0.5]).reshape(1, 1, 3, 1)
    score = lambda x: (relu6(x * jnp.array([8.0, 2.0, -4.0])[:, None])).sum((1, 2, 3))  # noqa: E731
    np.testing.assert_allclose(mapped('deeplift', score, image), [[[6, 4, 0]]])
    np.testing.assert_allclose(mapped('guided_backprop', score, image), [[[0, 2, 0]]])  # above 6 nothing passes
    np.testing.assert_allclose(mapped('deconvnet', score, image), [[[0, 2, -4]]])


def test_baselines_by_name():
    images = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)
    by_name = attribution.baselines.baseline_images
    np.testing.assert_array_equal(by_name(images, 'zero'), np.zeros_like(images))
    np.testing.assert_allclose(by_name(images, 'mean')[1, 3, 2], images[1].mean((0, 1)), rtol=1e-5)
    blurred = by_name(images, 'blur')
    assert np.std(blurred) < np.std(images)
    np.testing.assert_allclose(attribution.baselines.blur(np.ones((1, 6, 5, 1)), 2.0), 1, rtol=1e-5)
    delta = np.zeros((1, 9, 9, 1), np.float32)
    delta[0, 4, 4] = 1
    spread = np.asarray(attribution.baselines.blur(delta, 1.0))[0, :, :, 0]
    np.testing.assert_allclose(spread[4, 5] / spread[4, 4], np.exp(-0.5), rtol=1e-5)
    with pytest.raises(ValueError, match=r"Unknown baseline 'blurr'. Did you mean 'blur'"):
        METHODS['integrated_gradients'](small_score, SMALL, baseline='blurr')


def left_of_middle(x):
    """A score that only looks at the pixels (2..4, 2..4) of images [B, 16, 16, 1]."""
    return x[:, 2:5, 2:5, 0].sum((1, 2)) - 4.5


BRIGHT = np.ones((1, 16, 16, 1), np.float32)


def test_rise_is_the_masks_weighted_by_their_scores_and_finds_what_counts():
    @jax.jit
    def maps(x):
        options = {'key': KEY, 'samples': 400, 'cells': 8}
        constant = METHODS['rise'](lambda x: jnp.ones(len(x)), x, **options)
        return constant, *(METHODS['rise'](left_of_middle, x, contrast=c, **options) for c in (False, True))

    constant, published, contrast = maps(BRIGHT)
    np.testing.assert_allclose(constant.mean(), 1, atol=0.05)  # a score of 1: each pixel's mean mask over p
    assert np.unravel_index(contrast[0].argmax(), (16, 16)) in {(r, c) for r in range(1, 6) for c in range(1, 6)}
    assert contrast[0, 2:5, 2:5].mean() > 5 * np.abs(contrast[0, 8:, 8:]).mean()
    # Taking the mean score off first leaves a multiple of the mean mask.
    np.testing.assert_allclose(contrast[0] * 0.5, published[0] - published[0].mean() * constant[0], atol=0.2)
    with pytest.raises(ValueError, match='0 < keep < 1, not 400, 7, 1'):
        METHODS['rise'](left_of_middle, BRIGHT, key=KEY, samples=400, keep=1)


def test_rise_draws_as_many_coins_as_cells_and_they_show_for_keep_of_the_time():
    """Petsiuk et al. 2018: a grid of cells^2 coins, enlarged to one cell more than the image, cut out at random."""
    keys = jax.random.split(KEY, 2000)
    one = jax.jit(jax.vmap(lambda key: perturbation._random_mask(key, (6, 9), 1, 0.3)))(keys)
    assert set(np.unique(one).tolist()) == {0.0, 1.0}, 'one coin'
    assert (np.ptp(one, axis=(1, 2)) == 0).all()
    np.testing.assert_allclose(one.mean(), 0.3, atol=0.04)
    several = jax.jit(jax.vmap(lambda key: perturbation._random_mask(key, (21, 21), 7, 0.5)))(keys)
    np.testing.assert_allclose(several.mean(0), 0.5, atol=0.06)
    whole = np.round(several[:, ::3, ::3], 3)  # a cell of 24 / 7 pixels: neighbours are other coins
    assert len(np.unique(whole.reshape(len(whole), -1), axis=0)) > 1900


def test_extremal_perturbation_begins_with_the_whole_image():
    """As TorchRay: before the first step all is shown; the mask of one iteration is still near 1 everywhere."""
    images = np.zeros((1, 16, 16, 1), np.float32)
    mask = METHODS['extremal_perturbation'](left_of_middle, images, iterations=1, weight=0.0)
    assert mask.min() > 0.9


def test_extremal_perturbation_keeps_the_given_area_where_the_score_is():
    images = np.zeros((1, 16, 16, 1), np.float32)
    images[0, 2:5, 2:5] = 3
    options = {'area': 0.1, 'iterations': 300}
    mask = jax.jit(lambda x: METHODS['extremal_perturbation'](left_of_middle, x, **options))(images)[0]
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask[2:5, 2:5].mean() > 0.7  # 0.77 on one processor, more than 0.8 on others
    assert abs(mask.mean() - 0.1) < 0.03  # what of it the score does not need lies anywhere
    elsewhere = np.delete(np.asarray(mask).ravel(), np.arange(256).reshape(16, 16)[2:5, 2:5].ravel())
    assert elsewhere.mean() < 0.12
    with pytest.raises(ValueError, match='0 < area < 1'):
        METHODS['extremal_perturbation'](left_of_middle, images, area=1.0)


def test_units_that_never_fire_change_no_bit_of_the_information_bottleneck():
    image = jax.random.normal(KEY, (1, 8, 8, 1)).at[0, 3:5, 3:5].add(4.0)

    def bits(dead):
        def layer(x, shift=None):
            silent = jnp.zeros((*x.shape[:3], dead))
            activation = jnp.concatenate([jax.nn.relu(x), silent], -1)
            activation = activation if shift is None else activation + shift
            return 3 * activation[..., 0].mean((1, 2)), activation

        like = {'mean': jnp.array([0.4] + [0.0] * dead), 'deviation': jnp.array([0.6] + [0.0] * dead)}
        options = {'key': KEY, 'layer': layer, 'beta': 1.0, 'steps': 5, 'samples': 2}
        return mapped('information_bottleneck', lambda x: layer(x)[0], image, **options, **like)[0]

    alone, beside = bits(0), bits(3)
    assert beside.sum() > 0
    np.testing.assert_allclose(beside.sum(), alone.sum(), rtol=0.3)  # other draws of noise
    assert beside[3:5, 3:5].sum() / beside.sum() > 0.9 * alone[3:5, 3:5].sum() / alone.sum()


def test_information_bottleneck_lets_through_what_the_score_needs():
    images = np.random.default_rng(0).normal(0, 1, (2, 16, 16, 1)).astype(np.float32)
    images[:, 2:5, 2:5] += 2
    images[:, 9:12, 9:12] += 2  # as bright, and nobody asks for it
    options = {'key': KEY, 'layer': input_layer(left_of_middle)}
    maps = mapped('information_bottleneck', left_of_middle, images, beta=10.0, **options)
    assert maps.shape == (2, 16, 16)
    assert (maps >= 0).all()
    assert (maps[:, 2:5, 2:5].mean((1, 2)) > 3 * maps[:, 9:12, 9:12].mean((1, 2))).all()
    # Without a price every gate stays open: KL of N(l z, (1 - l)^2) from N(0, 1) in bits, with l = sigmoid(5).
    free = mapped('information_bottleneck', left_of_middle, images, beta=0.0, rate=0.0, sigma=0.0, **options)
    z = (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)
    gate = 1 / (1 + np.exp(-5.0))
    expected = (0.5 * ((gate * z) ** 2 + (1 - gate) ** 2 - 1) - np.log(1 - gate)) / np.log(2)
    np.testing.assert_allclose(free, expected[..., 0], rtol=1e-3)


def test_smooth_grad_wraps_methods_that_look_inside_or_draw_numbers():
    images = GOLDEN['images_nhwc'][:1]
    score = lambda x: x[:, 3, 3, 0] ** 2  # noqa: E731
    inside = {'layer': input_layer(score)}
    smooth = mapped('smooth_grad', score, images, key=KEY, samples=3, method='grad_cam', sigma=0.0, **inside)
    np.testing.assert_allclose(smooth, mapped('grad_cam', score, images, **inside), rtol=1e-5)
    wrapped = {'key': KEY, 'samples': 2, 'method': 'information_bottleneck', 'steps': 1, **inside}
    assert mapped('smooth_grad', score, images, **wrapped).shape == (1, 24, 24)
    squared = mapped('smooth_grad_squared', small_score, SMALL, key=KEY, samples=3)
    mean, spread = (mapped(n, small_score, SMALL, key=KEY, samples=3) for n in ('smooth_grad', 'var_grad'))
    np.testing.assert_allclose(squared, mean**2 + spread, rtol=1e-4)


def test_gradient_methods_match_finite_differences_and_reduce_channels_as_stated():
    images = SMALL.astype(np.float32)
    expected = finite_differences(SMALL)
    assert_map_close(mapped('gradient', small_score, images), expected.sum(-1))
    assert_map_close(mapped('saliency', small_score, images), np.abs(expected).max(-1))
    assert_map_close(mapped('input_x_gradient', small_score, images), (SMALL * expected).sum(-1))


@pytest.mark.parametrize('baseline', [0.0, 0.3, SMALL[:1].astype(np.float32)])
@pytest.mark.parametrize('rule', gradients.RULES)
def test_integrated_gradients_sum_to_the_score_difference(rule, baseline):
    images = SMALL.astype(np.float32)
    maps = METHODS['integrated_gradients'](small_score, images, steps=100, baseline=baseline, rule=rule)
    difference = small_score(SMALL, np) - small_score(np.zeros_like(SMALL) + baseline, np)
    np.testing.assert_allclose(maps.sum((1, 2)), difference, atol=2e-4)


def test_integrated_gradients_of_a_polynomial_are_exact_with_enough_legendre_points():
    images = jnp.asarray(SMALL, jnp.float32)
    maps = METHODS['integrated_gradients'](lambda x: (x**5).sum((1, 2, 3)), images, steps=3)
    np.testing.assert_allclose(maps, (SMALL**5).sum(-1), rtol=1e-4, atol=1e-8)


def test_occlusion_equals_the_loop_over_windows_with_a_cut_last_window():
    images = SMALL.astype(np.float32)
    total, windows = np.zeros((3, 5, 4)), np.zeros((5, 4))
    for top in (0, 2):
        for left in (0, 2):
            covered = SMALL.copy()
            covered[:, top : top + 3, left : left + 3] = 0.1
            drop = small_score(SMALL, np) - small_score(covered, np)
            total[:, top : top + 3, left : left + 3] += drop[:, None, None]
            windows[top : top + 3, left : left + 3] += 1
    maps = METHODS['occlusion'](small_score, images, window=3, stride=2, baseline=0.1)
    assert_map_close(maps, total / windows)


def test_occlusion_of_single_pixels_of_a_linear_score_is_input_times_gradient():
    weights = np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32)

    def score(x):
        return (x * weights).sum((1, 2, 3))

    images = SMALL.astype(np.float32)
    expected = METHODS['input_x_gradient'](score, images)
    np.testing.assert_allclose(METHODS['occlusion'](score, images, window=1), expected, atol=1e-5)
    np.testing.assert_allclose(METHODS['integrated_gradients'](score, images), expected, atol=1e-5)


def test_smooth_grad_statistics_are_those_of_the_maps_it_averages():
    images, options = SMALL.astype(np.float32), {'key': KEY, 'samples': 6, 'sigma': 0.5, 'method': 'saliency'}
    seen = []

    @jax.jit
    def smooth(x):
        names = ('mean', 'squared', 'variance')
        return [METHODS['smooth_grad'](small_score, x, statistic=name, **options) for name in names]

    mean, squared, variance = smooth(images)
    spread = np.ptp(images, axis=(1, 2, 3), keepdims=True)
    for key in jax.random.split(KEY, 6):
        noise = 0.5 * spread * np.asarray(jax.random.normal(key, images.shape))
        seen.append(np.abs(finite_differences((images + noise).astype(np.float64))).max(-1))
    assert_map_close(mean, np.mean(seen, 0))
    assert_map_close(squared, np.mean(np.square(seen), 0))
    assert_map_close(variance, np.var(seen, 0), 1e-4)


def test_smooth_grad_without_noise_is_the_method_and_passes_options_on():
    images = SMALL.astype(np.float32)
    smooth = METHODS['smooth_grad'](
        small_score, images, key=KEY, samples=2, sigma=0.0, method='integrated_gradients', baseline=0.2, steps=5
    )
    assert_map_close(smooth, METHODS['integrated_gradients'](small_score, images, baseline=0.2, steps=5))
    constant = jnp.ones((2, 5, 4, 2))
    by_function = METHODS['smooth_grad'](small_score, constant, key=KEY, samples=2, method=gradients.gradient)
    assert_map_close(by_function, METHODS['gradient'](small_score, constant))


def test_random_map_is_noise_of_its_key():
    images = jnp.zeros((2, 8, 8, 1))
    first, again = (METHODS['random'](small_score, images, key=KEY) for _ in range(2))
    other = METHODS['random'](small_score, images, key=jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (2, 8, 8)
    assert len(np.unique(np.stack([first, other]))) > 250


@pytest.mark.parametrize('name', METHODS)
def test_every_method_maps_over_members_and_ignores_the_other_images(name):
    images = jnp.asarray(SMALL, jnp.float32)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(2, 40)), jnp.float32)
    options = {'key': KEY} if needs_key(name) else {}
    quick = {
        'occlusion': {'window': 2},
        'extremal_perturbation': {'iterations': 3},
        'information_bottleneck': {'steps': 2, 'samples': 2},
        'rise': {'samples': 9},
    }
    options |= {'samples': 5} if name.startswith('smooth') or name == 'var_grad' else quick.get(name, {})

    def explain(weight, x):
        score = lambda x: jnp.tanh(x.reshape(len(x), -1) @ weight)  # noqa: E731
        inside = {'layer': input_layer(score)} if needs_layer(name) else {}
        return METHODS[name](score, x, **options, **inside)

    population = jax.jit(jax.vmap(explain, (0, None)))(weights, images)
    assert population.shape == (2, 3, 5, 4)
    alone = jax.jit(explain)
    np.testing.assert_allclose(population[1], alone(weights[1], images), atol=1e-5)
    if not needs_key(name):
        np.testing.assert_allclose(population[0, :1], alone(weights[0], images[:1]), atol=1e-5)


def test_bad_input_is_named():
    images = jnp.ones((2, 5, 4, 2))
    with pytest.raises(ValueError, match=r'one logit per image, shape \(2,\), not \(2, 3\)'):
        METHODS['gradient'](lambda x: jnp.ones((2, 3)) * x.sum(), images)
    with pytest.raises(ValueError, match='steps must be a whole number from 1 to 1000, not 0'):
        METHODS['integrated_gradients'](small_score, images, steps=0)
    with pytest.raises(ValueError, match=r'whole number from 1 to 1000, not 2\.5'):
        METHODS['integrated_gradients'](small_score, images, steps=2.5)
    with pytest.raises(ValueError, match='not finite'):
        METHODS['gradient'](small_score, images.at[0, 1, 1, 0].set(jnp.nan))
    with pytest.raises(ValueError, match='sigma must be 0 or more'):
        METHODS['smooth_grad'](small_score, images, key=jax.random.key(0), sigma=-1.0)
    with pytest.raises(ValueError, match=r"layer of grad_cam must be a function .* not 'stage2'"):
        METHODS['grad_cam'](small_score, images, layer='stage2')
    with pytest.raises(ValueError, match=r"rule 'gauss_legendre'. Did you mean 'gausslegendre'"):
        METHODS['integrated_gradients'](small_score, images, rule='gauss_legendre')
    with pytest.raises(ValueError, match='window 5 and the images 5 x 4'):
        METHODS['occlusion'](small_score, images, window=5)
    with pytest.raises(ValueError, match='stride is 3, window 2'):
        METHODS['occlusion'](small_score, images, window=2, stride=3)
    with pytest.raises(ValueError, match='samples must be at least 1'):
        METHODS['smooth_grad'](small_score, images, key=KEY, samples=0)
    with pytest.raises(ValueError, match=r"attribution method 'salience'. Did you mean 'saliency'"):
        METHODS['smooth_grad'](small_score, images, key=KEY, method='salience')
    with pytest.raises(ValueError, match=r"Unknown CAM 'gradcam'. Did you mean 'grad_cam'"):
        lookup(attribution.CAMS, 'gradcam', 'CAM')


def cam_inputs(seed=0):
    random = np.random.default_rng(seed)
    return np.maximum(random.normal(size=(2, 3, 4, 5)), 0), random.normal(size=(2, 3, 4, 5))


def test_before_a_linear_head_grad_cam_and_hires_cam_are_cam():
    activation, _ = cam_inputs()
    weights = np.random.default_rng(1).normal(size=5)
    gradient = jax.grad(lambda a: (a.mean((1, 2)) @ weights).sum())(jnp.asarray(activation, jnp.float32))
    cam = np.maximum(activation @ weights, 0) / 12
    np.testing.assert_allclose(attribution.grad_cam(activation, gradient), cam, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(attribution.hires_cam(activation, gradient), cam, rtol=1e-4, atol=1e-6)
    positive = np.maximum(activation @ np.maximum(weights, 0), 0) / 12
    np.testing.assert_allclose(attribution.layer_cam(activation, gradient), positive, rtol=1e-4, atol=1e-6)


def test_grad_cam_plus_plus_equals_the_published_quotient():
    a, g = cam_inputs()
    alpha = g**2 / (2 * g**2 + a.sum((1, 2), keepdims=True) * g**3)
    weights = (alpha * np.maximum(g, 0)).sum((1, 2), keepdims=True)
    expected = np.maximum((weights * a).sum(-1), 0)
    np.testing.assert_allclose(attribution.grad_cam_plus_plus(a, g), expected, rtol=1e-5)


def test_a_signed_class_activation_map_is_the_map_before_its_relu():
    random = np.random.default_rng(4)
    activation, gradient = random.random((2, 3, 3, 5)), random.normal(size=(2, 3, 3, 5))
    for name, cam in attribution.CAMS.items():
        signed = np.asarray(cam(activation, gradient, relu=False))
        np.testing.assert_allclose(np.maximum(signed, 0), cam(activation, gradient), rtol=1e-6, err_msg=name)
    weights = gradient.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(
        attribution.grad_cam(activation, gradient, relu=False), (weights * activation).sum(-1), rtol=1e-5
    )


def test_only_what_has_a_relu_is_asked_for_its_sign():
    signed = attribution.signed_options
    assert signed('grad_cam', {}) == {'relu': False}
    assert signed('smooth_grad', {'method': 'grad_cam', 'samples': 4}) == {
        'method': 'grad_cam',
        'samples': 4,
        'relu': False,
    }
    for name in ('saliency', 'integrated_gradients', 'smooth_grad', 'guided_grad_cam'):
        assert signed(name, {}) == {}


@pytest.mark.parametrize('name', attribution.CAMS)
def test_cams_are_not_negative_empty_without_positive_evidence_and_finite_for_dead_units(name):
    a, g = cam_inputs()
    cam = jax.jit(attribution.CAMS[name])
    assert (cam(a, g) >= 0).all()
    assert attribution.is_empty(cam(a, -np.abs(g))).all()
    a[..., 0], g[..., 1] = 0, 0
    assert np.isfinite(cam(a, g)).all()


def test_upsample_is_bilinear_with_half_pixel_centres():
    maps = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    expected = jax.image.resize(maps, (2, 7, 8), 'bilinear', antialias=False)
    np.testing.assert_allclose(attribution.upsample(maps, (7, 8)), expected, atol=1e-6)
    np.testing.assert_array_equal(attribution.upsample(maps, (3, 5)), maps)
    hand = attribution.upsample(jnp.array([[[0.0, 4.0]]]), (1, 4))
    np.testing.assert_allclose(hand, [[[0, 1, 3, 4]]])
    np.testing.assert_allclose(attribution.upsample(maps, (1, 5))[:, 0], maps[:, 1], rtol=1e-6)


def test_upsample_takes_leading_axes_and_jit():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    larger = jax.jit(attribution.upsample, static_argnums=1)(maps, (9, 6))
    np.testing.assert_allclose(larger[1], attribution.upsample(maps[1], (9, 6)), rtol=1e-6)


def test_is_empty_wants_a_positive_value_and_only_finite_ones():
    maps = np.stack([np.full((2, 2), value) for value in (0.0, -1.0, 1e-30, np.nan, np.inf)])
    maps[3:, 0, 0] = 1
    np.testing.assert_array_equal(attribution.is_empty(maps), [True, True, False, True, True])
