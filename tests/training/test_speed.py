"""Operations of a step by XLA's count, whatever the strategy, and what they are held against."""

import jax
import numpy as np
import pytest

from imbalance_jax.system import cache, matrix_product
from imbalance_jax.system.files import read_json
from imbalance_jax.training import build, loop, network, placement, program


@pytest.mark.parametrize('strategy', ['map', 'vmap:4', 'data:2:shard:map'])
def test_operations_of_a_step_of_one_member(tiny_config, strategy):
    """Two convolutions, each forwards and for the gradient of its kernel, the second also for that of its input."""
    dataset = network.load_dataset(tiny_config)
    experiment = build.build(tiny_config, dataset, build.make_members(tiny_config))
    size, batch, (first, second) = dataset.images.shape[1], experiment.batch_size, tiny_config.model.cnn.widths
    forwards = 2 * 9 * batch * np.array([size**2 * first, (size // 2) ** 2 * first * second])
    ready = program.compile_members(experiment, strategy, np.arange(6))
    assert 1 < ready.flops / (forwards @ [2, 3]) < 3  # augmentation, normalisation and Adam are the rest


@pytest.mark.parametrize(
    ('strategy', 'members', 'turn'),
    [('map', 6, 1), ('unroll', 6, 6), ('vmap', 6, 6), ('vmap:4', 6, 6), ('vmap:4', 8, 4), ('vmap:4', 3, 3)],
)
def test_members_that_are_computed_side_by_side(strategy, members, turn):
    assert placement.place(members, strategy).in_a_turn == turn


def test_a_matrix_product_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv('IMBALANCE_JAX_CACHE', str(tmp_path))
    monkeypatch.setattr(matrix_product, 'SIZES', {'cpu': 64})
    monkeypatch.setattr(matrix_product, 'SECONDS', 0.01)
    first = matrix_product.flops_per_second()
    assert 1e6 < first < 1e14
    monkeypatch.setattr(matrix_product, '_measured', lambda *_: pytest.fail('measured again'))
    assert matrix_product.flops_per_second() == first
    monkeypatch.setattr(cache, 'recall', lambda *_: None)
    monkeypatch.setattr(matrix_product, '_measured', lambda devices, size: 2.0 * len(devices))
    assert matrix_product.flops_per_second() == 2.0 * len(jax.local_devices())


def test_speed_stands_in_the_progress_and_in_the_provenance(study):
    assert loop.flops_note(2.5e9, 1e10) == ', 2.5 GFLOP/s, 25% of a matrix product'
    assert loop.flops_note(0.0, 1e10) == ''
    speed = read_json(study / 'provenance.json')['train']['speed']
    assert speed['flops_per_second'] > 0
    assert speed['share'] == pytest.approx(speed['flops_per_second'] / speed['matrix_product'], abs=1e-4)
