"""Eight devices, in a process of their own: a study of three members gives what it gives on one of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

MEMBERS = ('bce', 'focal', 'weighted_sampling')
GRIDS = {'map': 1, 'data:3:shard:vmap': 6}  # strategies, and the devices that they take
EIGHT = '--xla_force_host_platform_device_count=8'


def make_config(folder: Path):
    """Three members, whom eight devices do not fill: of 32 pixels, with few of everything."""
    from imbalance_jax.configs import base

    config = base.get_config()
    config.seeds = (0,)
    with config.unlocked():
        config.arms = {'bce': {}, 'focal': {}, 'weighted_sampling': {'loss': 'bce', 'sampler': 'weighted_sampling'}}
    config.data.folder = str(folder / 'data')
    config.data.image_size = 32
    config.data.phantom.num_patients = 60
    config.data.phantom.imbalance_ratio = 1.0
    config.model.cnn.widths = (4, 8)
    config.train.epochs = 1
    config.train.batch_size = 24
    config.train.warmup_steps = 2
    config.train.learning_rate = 1e-3
    config.population.strategy = 'data:2:shard:map'
    config.evaluate.batch_size = 9  # which two devices do not share evenly
    config.evaluate.bootstrap_rounds = 20
    config.attribution.methods = ('grad_cam',)
    config.attribution.max_pairs = 21
    config.attribution.metrics = ('relevance_rank',)
    config.concepts.quantile = 0.02
    config.concepts.rounds = 5
    config.concepts.max_images = 19
    config.concepts.probe_controls = 9
    config.concepts.tcav_directions = 10
    config.concepts.greedy_steps = 2
    config.concepts.layers = ()
    return config


def trained_states(config) -> dict[str, np.ndarray]:
    """Weights [P,...] after four steps, joined, and logits of five images, by strategy."""
    import jax

    from imbalance_jax.training import build, loop, network, program

    dataset = network.load_dataset(config)
    experiment = build.build(config, dataset, build.make_members(config))
    found = {}
    for strategy in GRIDS:
        ready = program.compile_members(experiment, strategy, np.arange(3))
        state = ready.functions.init(ready.members)
        order = program.sample_order(ready, experiment, 0)
        state, _ = program.train_steps(ready, state, order, ready.train, epoch_start=0, start=0, stop=3)
        leaves = jax.tree.leaves(ready.place.fetch(state.variables))
        found[f'weights {strategy}'] = np.concatenate([leaf.reshape(3, -1) for leaf in leaves], axis=1)
        found[f'devices {strategy}'] = np.array(ready.place.mesh.size)
        of_five = loop.predict_wave(experiment, strategy, ready.place.fetch(state.variables), {'x': dataset.images[:5]})
        found[f'logits {strategy}'] = of_five['x']
    return found


def main(folder: Path) -> None:
    """Leaves `states.npz`, and the working directories `eight` and `one`, trained alike and explained on as many."""
    import jax

    from imbalance_jax.explain import run as explain_run
    from imbalance_jax.training import run as training_run
    from imbalance_jax.training import trained

    config = make_config(folder)
    np.savez(folder / 'states.npz', **trained_states(config))
    training_run.run(config, folder / 'eight')
    shutil.copytree(folder / 'eight', folder / 'one')
    grids = trained.load(folder / 'eight')
    meshes = [tuple(place.mesh.shape.values()) for place in (grids.place, grids.with_untrained[0])]
    np.save(folder / 'meshes.npy', meshes)
    explain_run.run(folder / 'eight')
    everywhere = jax.local_devices
    jax.local_devices = lambda *_, **__: everywhere()[:1]
    explain_run.run(folder / 'one')


@pytest.fixture(scope='module')
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp('eight_devices')
    environ = {**os.environ, 'XLA_FLAGS': f'{os.environ["XLA_FLAGS"]} {EIGHT}', 'JAX_PLATFORMS': 'cpu'}
    done = subprocess.run([sys.executable, __file__, str(folder)], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_grids_of_members_and_data_train_as_one_device_does(studies):
    states = np.load(studies / 'states.npz')
    assert {strategy: int(states[f'devices {strategy}']) for strategy in GRIDS} == GRIDS
    for kind, tolerance in (('weights', 1e-4), ('logits', 1e-4)):
        alone = states[f'{kind} map']
        for strategy in GRIDS:
            away = np.abs(states[f'{kind} {strategy}'] - alone).max() / np.abs(alone).max()
            assert away < tolerance, (kind, strategy)


def test_pairs_are_spread_where_members_do_not_fill_the_devices(studies):
    """Rows of members by devices that share: of the members, and of them and the networks that they began as."""
    assert np.load(studies / 'meshes.npy').tolist() == [[3, 2], [4, 2]]


def test_what_eight_devices_explain_is_what_one_does(studies):
    """To 3e-5 of the largest number, as sums of 32 bits are; what is counted is the same."""
    files = sorted((studies / 'one' / 'explain').glob('*.npz'))
    made = {'alignment_grad_cam', 'units_0', 'ablation', 'logits', 'directions', 'faithfulness_grad_cam', 'twins'}
    assert {file.stem for file in files} >= made
    for file in files:
        one, eight = np.load(file), np.load(studies / 'eight' / 'explain' / file.name)
        assert set(one.files) == set(eight.files)
        for name in one.files:
            a, b, where = eight[name], one[name], f'{file.name}: {name}'
            if a.dtype.kind != 'f':
                np.testing.assert_array_equal(a, b, err_msg=where)
                continue
            scale = max(1.0, np.nanmax(np.abs(b), initial=0.0, where=np.isfinite(b)))
            np.testing.assert_allclose(a, b, rtol=0, atol=3e-5 * scale, err_msg=where)


def test_tables_are_the_same(studies):
    for file in sorted((studies / 'one' / 'results').glob('*.parquet')):
        one, eight = (pd.read_parquet(studies / who / 'results' / file.name) for who in ('one', 'eight'))
        pd.testing.assert_frame_equal(eight, one, rtol=1e-4, atol=1e-4)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
