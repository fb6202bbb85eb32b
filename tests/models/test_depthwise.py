import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from imbalance_jax.models.depthwise import Depthwise, depthwise


def draw(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def grouped(x, kernel, stride, padding):
    sides, layout = ((padding, padding),) * 2, ('NHWC', 'HWIO', 'NHWC')
    groups = x.shape[-1]
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), sides, dimension_numbers=layout, feature_group_count=groups
    )


def value_and_gradients(f, x, kernel):
    y, gradients = jax.vjp(f, x, kernel)
    return y, gradients(jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))


CASES = [
    # size, kernel, stride, padding, channels
    ((8, 7), 3, 1, 1, 5),
    ((8, 7), 3, 2, 1, 5),  # even and odd sides
    ((9, 6), 3, 2, 0, 2),  # the last column is unused
    ((7, 8), 5, 2, 2, 3),
    ((9, 8), 7, 1, 3, 2),
    ((5, 5), 7, 2, 3, 2),  # a kernel larger than the image
    ((6, 5), 1, 2, 0, 3),  # the stride steps over pixels
]


def test_value_and_both_gradients_equal_those_of_the_grouped_convolution():
    with jax.enable_x64(True):
        inputs = [(draw((2, *size, c)), draw((k, k, c), 1)) for size, k, _, _, c in CASES]

        def both(inputs):
            pairs = []
            for (x, kernel), (_, _, stride, padding, _) in zip(inputs, CASES, strict=True):
                forms = (lambda x, k, f=f, s=stride, p=padding: f(x, k, s, p) for f in (depthwise, grouped))
                pairs.append([value_and_gradients(form, x, kernel) for form in forms])
            return pairs

        for case, (ours, reference) in zip(CASES, jax.jit(both)(inputs), strict=True):
            assert ours[0].dtype == jnp.float64
            for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10, err_msg=str(case))


def test_members_one_by_one_together_and_in_a_loop_and_a_second_gradient():
    x, kernels = draw((3, 6, 7, 4)).astype(jnp.float32), draw((2, 3, 3, 4), 1).astype(jnp.float32)

    def first(f):
        return jax.grad(lambda x, kernel: jnp.sin(f(x, kernel, 2, 1)).sum(), argnums=(0, 1))

    def second(f):  # of the length of the gradient at the image
        return jax.grad(lambda kernel: (first(f)(x, kernel)[0] ** 2).sum())

    expected = jax.jit(lambda k: jax.tree.map(lambda *a: jnp.stack(a), *[first(grouped)(x, one) for one in k]))(kernels)
    together = jax.jit(jax.vmap(first(depthwise), (None, 0)))(x, kernels)
    looped = jax.jit(lambda x, k: lax.map(lambda one: first(depthwise)(x, one), k))(x, kernels)
    for result in (together, looped):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), result, expected)
    ours, theirs = (jax.jit(second(f))(kernels[0]) for f in (depthwise, grouped))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_bfloat16_is_summed_in_float32_and_stays_bfloat16():
    x, kernel = draw((2, 9, 9, 8)), draw((7, 7, 8), 1)
    low = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    f = jax.jit(lambda x, k: value_and_gradients(lambda x, k: depthwise(x, k, 1, 3), x, k))
    for a, b in zip(jax.tree.leaves(f(*low)), jax.tree.leaves(f(*(p.astype(jnp.float32) for p in low))), strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=0.02, atol=0.02 * float(jnp.abs(b).max()))


def test_the_gradient_keeps_no_shifted_copies():
    x, kernel = jax.ShapeDtypeStruct((8, 32, 32, 16), jnp.float32), jax.ShapeDtypeStruct((7, 7, 16), jnp.float32)
    gradient = jax.grad(lambda x, k: (depthwise(x, k, 1, 3) ** 2).sum(), argnums=(0, 1))
    used = jax.jit(gradient).lower(x, kernel).compile().memory_analysis().temp_size_in_bytes
    assert used < 8 * (8 * 32 * 32 * 16 * 4)  # 49 copies would be so many times the image


def test_other_platforms_take_the_grouped_convolution(monkeypatch):
    x, kernel = draw((2, 9, 9, 3)), draw((3, 3, 3), 1)
    here = depthwise(x, kernel, 2, 1)
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    np.testing.assert_allclose(here, depthwise(x, kernel, 2, 1), rtol=1e-5, atol=1e-5)
    traced = str(jax.make_jaxpr(lambda x, k: depthwise(x, k, 2, 1))(x, kernel))
    assert 'feature_group_count=3' in traced


@pytest.mark.parametrize(
    ('x', 'kernel', 'message'),
    [
        ((1, 4, 4, 3), (3, 3, 2), 'C = 3 channels'),
        ((1, 4, 4, 3), (3, 3, 1, 3), 'C = 3 channels'),
        ((1, 4, 2, 3), (3, 3, 3), 'window of 3 does not fit into 2 pixels'),
    ],
)
def test_what_does_not_fit_is_refused(x, kernel, message):
    with pytest.raises(ValueError, match=message):
        depthwise(jnp.ones(x), jnp.ones(kernel))


def test_the_layer_has_the_kernel_of_a_grouped_convolution_and_a_bias_if_asked():
    layer = Depthwise(5, stride=2, use_bias=True)
    params = layer.init(jax.random.key(0), jnp.ones((1, 8, 8, 6)))['params']
    assert {name: value.shape for name, value in params.items()} == {'kernel': (5, 5, 1, 6), 'bias': (6,)}
    params = {**params, 'bias': jnp.arange(6.0)}
    x = draw((2, 8, 8, 6)).astype(jnp.float32)
    expected = grouped(x, params['kernel'][:, :, 0], 2, 2) + jnp.arange(6.0)
    np.testing.assert_allclose(layer.apply({'params': params}, x), expected, rtol=1e-5, atol=1e-5)
