"""All classes of all images of all members in one program: equal to one at a time, in memory that does not grow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import attribution, models
from imbalance_jax.attribution import all_classes

MODEL = models.make('cnn', 3, widths=(4, 8))
IMAGES = np.random.default_rng(1).normal(size=(60, 16, 16, 1)).astype(np.float32)


@pytest.fixture(scope='module')
def members():
    init = jax.vmap(lambda key: MODEL.init(key, IMAGES[:1], mutable=['params', 'batch_stats']))
    return jax.jit(init)(jax.random.split(jax.random.key(0), 2))


def network(variables, images, shift):
    added = {} if shift is None else {'perturbations': {'stage2': shift}}
    logits, out = MODEL.apply({**variables, **added}, images)
    return logits, out['stage2']


def alone(members, method, member, image, k):
    """One member's map of one class of one image, by the plain contract."""
    variables = jax.tree.map(lambda a: a[member], members)
    options = {'samples': 2} if method == 'smooth_grad' else {}
    if attribution.needs_key(method):
        options['key'] = jax.random.fold_in(jax.random.key(0), image)
    if attribution.needs_layer(method):
        options['layer'] = lambda x, shift: (lambda logits, maps: (logits[:, k], maps))(*network(variables, x, shift))
    score = lambda x: network(variables, x, None)[0][:, k]  # noqa: E731
    return jax.jit(lambda x: attribution.METHODS[method](score, x, **options))(IMAGES[image : image + 1])[0]


@pytest.mark.parametrize('method', ['grad_cam', 'smooth_grad'])
def test_a_request_equals_its_parts_and_ten_times_as_much_takes_the_same_memory(members, method):
    budget = 2**18
    options = {'method': method, 'budget': budget, 'options': {'samples': 2} if method == 'smooth_grad' else {}}
    small, large = (all_classes.all_classes(network, members, IMAGES[:n], **options) for n in (6, 60))
    assert small.bytes <= budget
    assert large.bytes <= budget
    assert large.maps.memory_analysis().temp_size_in_bytes <= budget
    maps = large.maps(members, IMAGES)
    assert maps.shape == (2, 60, 3, 16, 16)
    np.testing.assert_allclose(small.maps(members, IMAGES[:6]), maps[:, :6], atol=1e-6)
    expected = alone(members, method, 1, 57, 2)
    np.testing.assert_allclose(maps[1, 57, 2], expected, atol=1e-5 * np.abs(expected).max())


def test_classes_are_taken_one_at_a_time_where_all_do_not_fit_and_too_little_is_said():
    kernel = jax.random.normal(jax.random.key(2), (2, 40))

    def many(member, images, shift):
        return jnp.tanh((images**2).mean((1, 2, 3)))[:, None] * member, None

    whole = all_classes.all_classes(many, kernel, IMAGES[:1], budget=2**30)
    tight = all_classes.all_classes(many, kernel, IMAGES[:1], budget=whole.bytes // 2)
    assert (whole.classes_at_once, tight.classes_at_once) == (40, 1)
    np.testing.assert_allclose(tight.maps(kernel, IMAGES[:1]), whole.maps(kernel, IMAGES[:1]), atol=1e-6)
    with pytest.raises(ValueError, match='the memory budget is 100'):
        all_classes.all_classes(many, kernel, IMAGES[:1], budget=100)


def test_chunks_cover_everything_once_whatever_divides():
    call = all_classes.in_chunks(lambda members, x: members[:, None] * x, 4)
    for count in (1, 3, 4, 10):
        x = jnp.arange(count)
        np.testing.assert_array_equal(jax.jit(call)(jnp.array([1, 2]), x), np.outer([1, 2], x))
