"""ConvNeXt and ViT against torchvision and timm, whose small random networks are in the golden file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import attribution, models, weights
from imbalance_jax.attribution import cam
from imbalance_jax.models import convnext, vit
from imbalance_jax.models.naming import torch_names_of

GOLDEN = np.load(Path(__file__).parents[1] / 'golden' / 'layer_norm_models.npz')
VIT = {'patch': 8, 'width': 12, 'depth': 6, 'grid': 4}
MAKE = {
    'torchvision': lambda: models.make('convnext_tiny', 5, depths=(1, 1, 2, 1), width=4),
    'timm': lambda: models.make('convnext_tiny', 5, depths=(1, 1, 1, 1), width=4, convolutional=True),
    'vit': lambda: models.make('vit_tiny', 5, **VIT),
}
CASES = {'torchvision': 'torchvision', 'timm': 'timm', 'vit': 'vit', 'vit of 48 pixels': 'vit'}  # case -> weights


def golden(prefix):
    return {key.removeprefix(prefix): GOLDEN[key] for key in GOLDEN.files if key.startswith(prefix)}


def shapes_of(model):
    start = lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), mutable=['params', 'batch_stats'])  # noqa: E731
    return jax.eval_shape(start)


def loaded(name):
    model = MAKE[name]()
    scheme = torch_names_of(model)['torchvision' if name == 'torchvision' else 'timm']
    return model, weights.to_flax(golden(f'{name}/weights/'), shapes_of(model), scheme), scheme


@pytest.mark.parametrize('case', CASES)
def test_logits_and_every_stage_are_those_of_the_original(case):
    model, variables, _ = loaded(CASES[case])
    image = jnp.asarray(GOLDEN[f'{case}/image'], jnp.float32)
    logits, out = jax.jit(model.apply)(variables, image)
    expected = golden(f'{case}/eval/')
    assert set(expected) | {'stem'} == {*out, 'logits'}
    for name, value in expected.items():
        got = np.asarray({**out, 'logits': logits}[name])
        assert got.shape == value.shape
        assert np.abs(got - value).max() <= 1e-5 * np.abs(value).max(), name
    in_training = jax.eval_shape(lambda: model.apply(variables, image, train=True, mutable=['batch_stats']))
    assert in_training[1] == {}
    np.testing.assert_allclose(logits, GOLDEN[f'{case}/train/logits'], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', MAKE)
def test_weights_come_out_as_they_went_in(name):
    _, variables, scheme = loaded(name)
    written, read = weights.to_torch(variables, scheme), golden(f'{name}/weights/')
    assert set(written) == set(read)
    for key, value in read.items():
        np.testing.assert_array_equal(written[key], value)


def test_the_full_sizes_have_as_many_parameters_as_torchvision_and_timm():
    for name, count in {'convnext_tiny': 28_589_128, 'convnext_nano': 15_593_560, 'vit_tiny': 5_717_416}.items():
        model = models.make(name, 1000)
        shapes = shapes_of(model)
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count
        for scheme, of in torch_names_of(model).items():
            keys = [of(tuple(part.key for part in path)[1:]) for path, _ in jax.tree.leaves_with_path(shapes)]
            assert len(set(keys)) == len(keys), scheme


def test_tokens_are_a_grid_that_class_activation_maps_read():
    model, variables, _ = loaded('vit')
    image = jnp.asarray(GOLDEN['vit/image'], jnp.float32)
    models.check(model, (32, 32, 3))
    assert vit.stage_ends(12) == (3, 6, 9, 11)  # the grid after the last block has no gradient: nobody reads it
    score = lambda added: model.apply({**variables, 'perturbations': {'stage4': added}}, image)[0][:, 1].sum()  # noqa: E731
    out = jax.jit(model.apply)(variables, image)[1]['stage4']
    gradient = jax.jit(jax.grad(score))(jnp.zeros(out.shape))
    expected = np.maximum((np.asarray(gradient).mean((1, 2), keepdims=True) * np.asarray(out)).sum(-1), 0)
    assert out.shape == (2, 4, 4, 12)
    assert expected.max() > 0
    np.testing.assert_allclose(cam.grad_cam(out, gradient), expected, atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'options', 'shape', 'message'),
    [
        ('vit_tiny', VIT, (30, 32, 1), 'An image of 30 x 32 has no whole number of 8-pixel patches'),
        ('vit_tiny', {'width': 10}, (32, 32, 1), 'a width that its heads divide'),
        ('convnext_tiny', {'depths': (1, 1, 1, 1), 'width': 4}, (16, 16, 1), 'A window of 2 does not fit'),
        ('convnext_tiny', {'norm': 'group'}, (32, 32, 1), "Unknown option of model 'convnext_tiny': 'norm'"),
    ],
)
def test_sizes_and_options_that_cannot_be_are_one_line(name, options, shape, message):
    with pytest.raises(ValueError, match=message) as error:
        models.check(models.make(name, 3, **options), shape)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('method', ['guided_backprop', 'deconvnet', 'deeplift'])
def test_methods_with_a_rule_for_relus_refuse_a_network_of_gelus(method):
    images = jnp.ones((1, 4, 4, 2))
    score = lambda x: convnext.gelu(x * 2).sum((1, 2, 3))  # noqa: E731
    with pytest.raises(ValueError, match=f'{method} has a rule for ReLUs, .* GELU') as error:
        jax.jit(lambda x: attribution.METHODS[method](score, x))(images)
    assert '\n' not in str(error.value)
