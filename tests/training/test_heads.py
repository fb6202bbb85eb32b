"""Heads on cached features are networks of which all but the head is frozen; features are kept, and found again."""

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from imbalance_jax.configs import base
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.models import make
from imbalance_jax.training import build, features, heads, members, network, on_features, program, start

ARMS = {
    'bce': {'weight_decay': 0.01},
    'cosine': {'loss': 'ldam', 'head': 'cosine', 'sampler': 'weighted_sampling', 'optimizer': 'adamw'},
    'smooth': {'loss': 'focal', 'gamma': 1.0, 'label_smoothing': 0.1, 'ema': 0.5, 'clip_norm': 0.5},
}
EPOCHS, BATCH = 2, 8
PLAIN = {'mean': None, 'channels': 1, 'resize': 0, 'crop': 0, 'interpolation': 'bilinear'}


def dataset() -> Dataset:
    random, count = np.random.default_rng(0), 70
    labels = (random.random((count, 2)) < 0.4).astype(np.uint8)
    return Dataset(
        images=random.integers(0, 256, (count, 8, 8, 1), np.uint8),
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.uint8([0, 1, 0, 2, 0])[np.arange(count) % 5],
        patient=np.arange(count),
        image_id=np.array([f'{i:03d}' for i in range(count)]),
        region_image=np.zeros(0, np.int32),
        region_concept=np.zeros(0, np.int32),
        region_box=np.zeros((0, 4), np.float32),
        region_mask=np.zeros((0, 8, 1), np.uint8),
        info={'name': 'noise', 'classes': ['a', 'b'], 'concepts': ['a', 'b'], 'frame': [8, 8]},
    )


def config_of(folder: Path, kind: str, arms=ARMS):
    config = base.get_config()
    config.seeds = (0, 1)
    with config.unlocked():
        config.arms = {name: {**arm, 'frozen': 1.0} for name, arm in arms.items()}
    config.data.folder = str(folder)
    config.model.cnn.widths = (4, 8)
    config.train.update(epochs=EPOCHS, batch_size=BATCH, warmup_steps=1, learning_rate=1e-2, features=kind)
    config.augment = dict.fromkeys(heads.AUGMENT, 0.0)
    config.evaluate.batch_size = 8
    return config


def weights() -> start.Start:
    """Those of a network drawn by another seed, with a head."""
    drawn = make('cnn', 2, widths=(4, 8)).init(jax.random.key(7), np.zeros((1, 8, 8, 1), np.float32))
    variables = jax.tree.map(np.asarray, {'params': drawn['params'], 'batch_stats': drawn['batch_stats']})
    return start.Start({'sha256': 'abc', 'preprocessing': PLAIN}, variables)


def trained(one: program.Experiment):
    """States of all members after training, and the logits of validation images."""
    ready = program.compile_members(one, 'shard:map', np.arange(len(one.members)))
    state = one.begin(ready.place.fetch(ready.functions.init(ready.members)), one.members)
    state = ready.place.members(state)
    for epoch in range(EPOCHS):
        order = program.sample_order(ready, one, epoch)
        for first, stop, arrays in program.parts(ready, one, order):
            bounds = {'epoch_start': epoch * one.steps_per_epoch, 'start': first, 'stop': stop}
            state, _ = program.train_steps(ready, state, order, arrays, **bounds)
    images = np.asarray(one.validation.images)[:8][None]
    logits = ready.place.fetch(ready.functions.predict(state.variables, images))
    return ready.place.fetch(state), logits


def test_heads_on_features_are_networks_with_all_else_frozen(tmp_path):
    """Random networks of two seeds, and one of weights whose head is kept, against training with whole networks."""
    data, results, start_of = dataset(), {}, {'file': weights()}
    for kind in ('recompute', 'cached'):
        config = config_of(tmp_path, kind)
        rows = [
            {**row, 'weights': 'file' if row['arm'] == 'smooth' else 'random'} for row in build.make_members(config)
        ]
        untrained = network.network(config, data, start_of)
        if kind == 'recompute':
            one = build.build(config, data, rows, untrained=untrained)
        else:
            blank = on_features.build_heads(config, data, rows, untrained=untrained)
            one, seen, facts = on_features.with_features(blank, config, data, untrained=untrained, workdir=tmp_path)
            assert seen.images.shape == (70, 3, 8)
            assert (facts['networks'], facts['was_there']) == (3, 0)
        results[kind] = trained(one)
    (whole, logits), (state, of_heads) = results['recompute'], results['cached']
    np.testing.assert_allclose(of_heads, logits, rtol=2e-5, atol=2e-6)
    variables = heads.whole(tmp_path, state.variables, rows, untrained=untrained)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), variables, whole.variables)
    assert jax.tree.leaves(state.variables['params'])[0].shape[0] == len(rows)
    assert np.ptp(logits) > 1e-3
    moved = whole.params['model']['head']['kernel'] - np.asarray(start_of['file'].variables['params']['head']['kernel'])
    assert np.abs(moved).max() > 1e-3


def test_features_are_kept_block_by_block(tmp_path, monkeypatch):
    """What is there is not computed again; what is damaged, or was never written, is."""
    data, config = dataset(), config_of(tmp_path, 'cached')
    monkeypatch.setattr(features, 'BATCHES', 2)
    rows = build.make_members(config)[:1]
    untrained = network.network(config, data)

    def load():
        return features.load(tmp_path, untrained, rows, data, batch_size=8)

    first, facts = load()
    path, before = tmp_path / 'features' / facts['file'], np.array(first)
    variables = features.variables_of(untrained, rows)
    one = jax.tree.map(lambda a: a[0], variables)
    head = untrained.init(jax.tree.map(lambda a: a[0], members.member_arrays(rows, own_order=True)))['params']['head']
    full = {**one, 'params': {**one['params'], 'head': head}}
    direct = untrained.model.apply(full, untrained.normalise(data.images))[1]['pooled']
    np.testing.assert_allclose(before, direct, rtol=1e-5, atol=1e-6)
    assert load()[1]['was_there'] == 1
    with open(path, 'r+b') as file:  # one bit
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    journal = path.with_suffix('.jsonl')
    lines = journal.read_text().splitlines()
    journal.write_text('\n'.join(lines[1:]) + '\n{"0-1')  # a process that was killed
    again, facts = load()
    assert facts['was_there'] == pytest.approx(1 - 2 / len(lines))
    np.testing.assert_array_equal(again, before)
    other = dataclasses.replace(data, images=data.images[::-1].copy(), info={**data.info, 'fingerprint': 'other'})
    assert features.load(tmp_path, untrained, rows, other, batch_size=8)[1]['file'] != facts['file']
    monkeypatch.setattr(features.shutil, 'disk_usage', lambda _: SimpleNamespace(free=10))
    path.unlink()
    with pytest.raises(OSError, match=re.escape('set config.data.folder to a larger disk')):
        load()


def test_what_is_wrong_is_one_line(tmp_path):
    config = config_of(tmp_path, 'cached')
    rows = build.make_members(config)
    heads.check(config, rows)
    config.augment = {**heads.AUGMENT, 'flip': 'auto', 'colour': 'auto'}  # nobody asked for those
    heads.check(config, rows)
    config.augment['shift'] = 0.1
    with pytest.raises(ValueError, match=re.escape('config.augment.shift is 0.1; set it to 0.0')):
        heads.check(config, rows)
    config.augment['shift'] = 0.0
    with pytest.raises(ValueError, match=re.escape('config.arms.bce.frozen is 0.5')):
        heads.check(config, [{**rows[0], 'frozen': 0.5}])
    with pytest.raises(ValueError, match='their features are there already'):
        heads.check_memory(2**40, 1000)
    config.train.features = 'recompute'
    heads.check(config, [{**rows[0], 'frozen': 0.5}])


def test_defaults_of_augmentation_are_those_of_the_base_config():
    augment = base.get_config().augment
    assert {name: augment[name] for name in heads.AUGMENT} == heads.AUGMENT
    assert augment.flip in heads.NONE['flip']
    assert augment.colour in heads.NONE['colour']
