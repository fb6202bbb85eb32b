"""Weights by PyTorch's names and axes, in and out again; which published files are recognised."""

import jax
import numpy as np
import pytest

from imbalance_jax import models, weights
from imbalance_jax.models.naming import torch_names_of
from imbalance_jax.training.network import abstract_variables
from imbalance_jax.weights import Stored

MODEL = models.make('resnet18', 5, width=4)
NAMES = torch_names_of(MODEL)


@pytest.fixture(scope='module')
def shapes():
    return abstract_variables(MODEL, (32, 32, 3))


@pytest.fixture(scope='module')
def variables(shapes):
    random = np.random.default_rng(0)
    return jax.tree.map(lambda a: np.abs(random.normal(size=a.shape)).astype(np.float32), shapes)


@pytest.fixture(scope='module')
def state(variables):
    return weights.to_torch(variables, NAMES)


def equal(one, other):
    assert dict(weights.flat(one)).keys() == dict(weights.flat(other)).keys()
    for (path, a), b in zip(weights.flat(one), dict(weights.flat(other)).values(), strict=True):
        np.testing.assert_array_equal(a, dict(weights.flat(other))[path], err_msg=str(path))
        assert b is not None


def test_out_and_in_again_is_the_same(variables, state, shapes):
    assert state['conv1.weight'].shape == (4, 3, 7, 7)
    assert state['fc.weight'].shape == (5, 32)
    assert state['bn1.num_batches_tracked'] == 0
    np.testing.assert_array_equal(
        state['conv1.weight'][1, 2, 3, 4], variables['params']['stem_conv']['kernel'][3, 4, 2, 1]
    )
    np.testing.assert_array_equal(state['fc.weight'], variables['params']['head']['kernel'].T)
    equal(weights.to_flax(state, shapes, NAMES), variables)


@pytest.mark.parametrize('prefix', ['module.', 'model.', 'module.encoder.'])
def test_the_prefix_of_a_wrapper_is_no_matter(variables, state, shapes, prefix):
    equal(weights.to_flax({prefix + key: value for key, value in state.items()}, shapes, NAMES), variables)


def test_a_scheme_is_found_by_its_keys(variables, state, shapes):
    scheme = NAMES['radimagenet']
    other = {scheme(path[1:]): state[NAMES['torchvision'](path[1:])] for path, _ in weights.flat(shapes)}
    bare = {key: value for key, value in other.items() if not key.startswith('fc.')}
    result = weights.to_flax(bare, shapes, NAMES, head='new')
    assert 'head' not in result['params']
    np.testing.assert_array_equal(result['params']['stem_conv']['kernel'], variables['params']['stem_conv']['kernel'])


def test_a_new_head_takes_the_place_of_any(state, shapes):
    for key in ('fc.weight', 'fc.1.weight', 'fc.0.bias'):
        rest = {name: value for name, value in state.items() if not name.startswith('fc.')}
        assert 'head' not in weights.to_flax({**rest, key: np.zeros((1000, 7))}, shapes, NAMES, head='new')['params']


def test_names_of_flax_fit_as_well(variables, shapes):
    own = {'/'.join(path): leaf for path, leaf in weights.flat(variables)}
    equal(weights.to_flax(own, shapes, NAMES), variables)
    own.pop('params/head/bias')
    with pytest.raises(ValueError, match="'params/head/bias' of the model is not in the file"):
        weights.to_flax(own, shapes, NAMES)


def test_the_state_of_losses_and_metrics_is_no_part_of_a_network(state, shapes, variables):
    beside = ('criterion.weight', 'loss_fn.pos_weight', 'val_metrics.auroc.confmat', 'class_weights', 'pos_weight')
    wrapped = {f'model.{key}': value for key, value in state.items()}
    equal(weights.to_flax({**wrapped, **dict.fromkeys(beside, np.zeros(3))}, shapes, NAMES), variables)
    for key in ('head.weight', 'temperature', 'model.loss', 'glossy.weight'):
        with pytest.raises(ValueError, match=f"'{key}' .* is not in the model; a file must hold nothing beside"):
            weights.to_flax({**wrapped, key: np.zeros(3)}, shapes, NAMES)


def test_half_precision_becomes_float32(state, shapes):
    result = weights.to_flax({key: np.float16(value) for key, value in state.items()}, shapes, NAMES)
    assert {leaf.dtype for _, leaf in weights.flat(result)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ('changed', 'said'),
    [
        ({'layer1.0.conv1.weight': None}, "'layer1.0.conv1.weight' of the model is not in the file"),
        ({'extra.weight': np.zeros(3)}, r"'extra.weight' \[3\] of the file is not in the model"),
        (
            {'fc.weight': np.zeros((1000, 32))},
            r"'fc.weight' of the file is \[1000, 32\], and the model wants \[5, 32\]",
        ),
        ({'conv1.weight': np.zeros((4, 1, 7, 7))}, r'\[4, 1, 7, 7\], and the model wants \[4, 3, 7, 7\]'),
        ({'conv1.weight': np.zeros((4, 3, 7, 7), np.int8)}, 'is int8: weights must be floating-point'),
        ({'bn1.bias': np.full(4, np.nan, np.float32)}, "'bn1.bias' of the file has numbers that are not finite"),
        ({'bn1.running_var': np.zeros(4, np.float32)}, "'bn1.running_var' .* is 0 everywhere: running variances are"),
        ({'bn1.running_var': np.array([1, 1, -0.5, 1], np.float32)}, "'bn1.running_var' of the file has -0.5: running"),
    ],
)
def test_the_first_key_that_does_not_fit_is_named(state, shapes, changed, said):
    tensors = {key: value for key, value in {**state, **changed}.items() if value is not None}
    with pytest.raises(ValueError, match=said):
        weights.to_flax(tensors, shapes, NAMES)


def test_old_names_of_densenets():
    model = models.make('densenet121', 3, depths=(2, 1))
    shapes = abstract_variables(model, (32, 32, 1))
    variables = jax.tree.map(lambda a: np.ones(a.shape, np.float32), shapes)
    state = weights.to_torch(variables, torch_names_of(model)['torchvision'])
    assert 'features.denseblock1.denselayer1.norm1.weight' in state
    old = {key: value for key, value in state.items() if '.denselayer' not in key}
    for key, value in state.items():
        if '.denselayer' in key:
            before, after = key.split('.denselayer')
            layer, part, leaf = after.split('.')
            old[f'{before}.denselayer{layer}.{part[:-1]}.{part[-1]}.{leaf}'] = value
    equal(
        weights.to_flax({**old, 'op_threshs': np.zeros(3), 'n_averaged': np.array(5)}, shapes, torch_names_of(model)),
        variables,
    )


def stored(file, sha256):
    return Stored({'a': np.zeros(1)}, 'zip', sha256, {}, file)


def test_published_weights_are_recognised():
    real = 'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889'
    one = weights.known(stored('renamed.pth', real))
    assert one.architecture == 'mobilenet_v2'
    assert one.preprocessing.resize == 256
    assert weights.known(stored('mine.pth', '0' * 64)) is None
    with pytest.raises(ValueError, match='damaged or another file: its name says that its sha256 begins with f37072fd'):
        weights.known(stored('resnet18-f37072fd.pth', '0' * 64))
    kaggle = weights.known(stored('kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt', '0' * 64))
    assert [name for name in kaggle.classes if name] == ['Pneumonia', 'Lung Opacity']
    assert len(kaggle.classes) == 18
    assert 'nih' in kaggle.trained_on
    assert (kaggle.preprocessing.low, kaggle.preprocessing.high, kaggle.preprocessing.channels) == (-1024, 1024, 1)
