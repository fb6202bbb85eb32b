"""What the environment of a user may not change, and what it lacks."""

import os
import stat
import subprocess
import sys

import pytest

from imbalance_jax.system import cache, command_line, environment, files

PAIRED = """
import jax, numpy as np
from imbalance_jax import models
from imbalance_jax.system import environment
from imbalance_jax.training import member, members, run, strategies
environment.pin()
assert jax.random.key_data(jax.random.key(5)).tolist() == [0, 5], 'another seed than the config says'
assert (jax.numpy.ones((2, 3)) + jax.numpy.ones(3, int)).dtype == 'float32'
assert jax.jit(lambda x: isinstance(x, jax.core.Tracer))(1.0), 'nothing is compiled'
rows = members.make_members({'bce': {}, 'focal': {}}, (0, 1), 'bce', learning_rate=1e-3, weight_decay=0.0)
arrays = members.member_arrays(rows, own_order=True)
init = member.make_network_init(models.make('cnn', 2, widths=(4,)), (16, 16, 1))
weights = {}
for strategy in ('map', 'vmap'):
    run = jax.jit(strategies.map_members(lambda one: init(one)['params'], strategy))
    weights[strategy] = np.asarray(run(arrays)['stage1_conv']['kernel']).reshape(4, -1)
assert (weights['vmap'][:2] == weights['vmap'][2:]).all(), 'members of one seed begin with other weights'
np.testing.assert_array_equal(weights['map'], weights['vmap'])
environment.pin()
assert environment.precision() == 'default' and not environment.deterministic()
model, images = models.make('resnet18', 2, width=4), np.zeros((1, 32, 32, 1), np.float32)
variables = model.init(jax.random.key(0), images)
grad = lambda v, x: jax.grad(lambda x: model.apply(v, x)[0].sum())(x)
products = lambda: [line for line in jax.jit(grad).lower(variables, images).as_text().splitlines()
                    if 'stablehlo.convolution' in line or 'stablehlo.dot_general' in line]
assert len(products()) > 20 and not any('HIGHEST' in line for line in products())
environment.pin('float32', deterministic=True)
assert all('HIGHEST' in line for line in products()), 'a product that is rounded as the device likes'
assert environment.deterministic() and environment.precision() == 'float32'
assert jax.numpy.arange(3.0).dtype == 'float32' and 'fry' in str(jax.random.key(0).dtype)
"""


def test_keys_and_precision_are_ours_whatever_the_environment_says():
    """In a process of its own: JAX reads its variables once."""
    variables = {**os.environ, 'JAX_DEFAULT_PRNG_IMPL': 'rbg', 'JAX_ENABLE_X64': '1', 'JAX_PLATFORMS': 'cpu'}
    variables |= {'JAX_DEFAULT_MATMUL_PRECISION': 'bfloat16', 'JAX_RANDOM_SEED_OFFSET': '7', 'JAX_DISABLE_JIT': '1'}
    variables |= {'JAX_NUMPY_DTYPE_PROMOTION': 'strict', 'JAX_NUMPY_RANK_PROMOTION': 'raise'}
    variables |= {'JAX_TRANSFER_GUARD': 'disallow', 'JAX_DISABLE_MOST_OPTIMIZATIONS': '1'}
    done = subprocess.run([sys.executable, '-c', PAIRED], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ('error', 'word'),
    [
        (RuntimeError("Unable to initialize backend 'tpu': INTERNAL: no libtpu.so"), 'JAX_PLATFORMS'),
        (RuntimeError("Unknown backend: 'gpu' requested, but no platforms are present"), 'JAX_PLATFORM_NAME'),
        (RuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes'), 'memory_gib'),
        (MemoryError(), 'memory_gib'),
        (RuntimeError('something else'), None),
    ],
)
def test_errors_about_the_machine_are_one_line(error, word):
    line = environment.explained(error)
    assert (line is None) == (word is None)
    assert line is None or (word in line and '\n' not in line)


def test_without_a_home_nothing_is_kept(monkeypatch):
    for name in ('HOME', 'XDG_CACHE_HOME', 'IMBALANCE_JAX_CACHE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.Path, 'home', lambda: (_ for _ in ()).throw(RuntimeError('no home')))
    cache.remember({'a': 1}, {'b': 2})
    cache.keep_programs()
    assert cache.recall({'a': 1}) is None


@pytest.mark.parametrize(('mask', 'rights'), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_rights_of_results_are_those_of_the_umask(tmp_path, mask, rights):
    before = os.umask(mask)
    try:
        files.write_text(tmp_path / 'file', 'text')
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'file').stat().st_mode) == rights


def test_paths_as_people_type_them(monkeypatch):
    monkeypatch.setenv('HOME', '/people/somebody')
    assert files.typed_path('~/runs/a b') == '/people/somebody/runs/a b'
    for text in ('gs://bucket/run', 's3://bucket', 'a\nb', 'a\x00b'):
        with pytest.raises(ValueError, match='path'):
            files.typed_path(text)
        with pytest.raises(command_line.argparse.ArgumentTypeError, match='path'):
            command_line.path(text)
