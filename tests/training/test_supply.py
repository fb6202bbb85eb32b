"""Streamed images give what resident ones give, bit for bit, wherever an epoch is cut; and what is where in memory."""

import copy

import jax
import numpy as np
import pytest

from imbalance_jax.configs import base
from imbalance_jax.data.arrays import split_arrays
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.streams import Rows
from imbalance_jax.training import autotune, build, placement, prediction, program, supply

STEPS, BATCH, EPOCHS = 5, 4, 2
ARMS = {
    'bce': {},
    'sampled': {'loss': 'bce', 'sampler': 'weighted_sampling'},
    'null': {'loss': 'bce', 'labels': 'permuted'},
    'two_stage': {'loss': 'bce', 'sampler': 'class_aware', 'retrain_head_from': 0.5},
}


def dataset(patients: int = 30) -> Dataset:
    """Two images per patient, splits by turns: no split is contiguous."""
    random, count = np.random.default_rng(0), 2 * patients
    labels = (random.random((count, 2)) < 0.4).astype(np.uint8)
    patient = np.arange(count) % patients
    return Dataset(
        images=random.integers(0, 256, (count, 8, 8, 1), np.uint8),
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.uint8([0, 1, 0, 2, 0])[patient % 5],
        patient=patient,
        image_id=np.array([f'{i:03d}' for i in range(count)]),
        region_image=np.zeros(0, np.int32),
        region_concept=np.zeros(0, np.int32),
        region_box=np.zeros((0, 4), np.float32),
        region_mask=np.zeros((0, 8, 1), np.uint8),
        info={'name': 'noise', 'classes': ['a', 'b'], 'concepts': ['a', 'b'], 'frame': [8, 8]},
    )


def experiment(arms=('bce', 'null'), **data) -> program.Experiment:
    config = base.get_config()
    config.seeds = (0, 1)
    with config.unlocked():
        config.arms = {name: ARMS[name] for name in arms}
    config.data.update(data)
    config.model.cnn.widths = (4, 8)
    config.train.update(epochs=EPOCHS, batch_size=BATCH, warmup_steps=1, steps_per_dispatch=3, learning_rate=1e-2)
    config.evaluate.batch_size = 4
    return build.build(config, dataset(), build.make_members(config))


def compiled(one: program.Experiment, strategy: str = 'shard:map') -> program.Program:
    return program.compile_members(one, strategy, np.arange(len(one.members)))


def train(one: program.Experiment, ready: program.Program, state, first: int = 0) -> list:
    """Both epochs, from step `first` of the first one on: the states after every epoch."""
    states, state = [], ready.place.members(state)
    for epoch in range(EPOCHS):
        order = program.sample_order(ready, one, epoch)
        for start, stop, arrays in program.parts(ready, one, order, first):
            state = program.train_steps(ready, state, order, arrays, epoch_start=epoch * STEPS, start=start, stop=stop)[
                0
            ]
        states.append(ready.place.fetch(state))
        first = 0
    return states


def same_bits(one, other) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize(
    ('arms', 'data', 'strategy'),
    [
        (('bce', 'sampled', 'null', 'two_stage'), {'order': 'own'}, 'shard:map'),
        (('bce', 'sampled'), {'order': 'shared', 'resample': True}, 'data:2:shard:map'),
    ],
)
def test_streamed_states_are_the_resident_ones(arms, data, strategy):
    """However an epoch is cut, and if it goes on from its middle."""
    resident, streamed = experiment(arms, **data), experiment(arms, **data)._replace(stream=2)
    there, coming = compiled(resident, strategy), compiled(streamed, strategy)
    assert there.train.images.shape[0] == 60  # the data set itself
    assert isinstance(coming.train.images, jax.ShapeDtypeStruct)
    begin = there.place.fetch(there.functions.init(there.members))
    expected = train(resident, there, begin)
    same_bits(train(streamed, coming, begin), expected)
    same_bits(train(streamed._replace(steps_per_dispatch=1), coming, begin), expected)
    models = [jax.tree.leaves(state.params['model']) for state in (begin, *expected)]
    assert all((one != other).any() for one, other in zip(models[0], models[1], strict=True))
    state = coming.place.members(begin)
    order = program.sample_order(coming, streamed, 0)
    start, stop, arrays = next(program.parts(coming, streamed, order))
    state, _ = program.train_steps(coming, state, order, arrays, epoch_start=0, start=start, stop=stop)
    same_bits(train(streamed, coming, coming.place.fetch(state), first=stop), expected)


def test_a_wave_streams_its_own_pool():
    one = experiment(('bce', 'sampled'))._replace(stream=2)
    assert program._pool(one, np.array([1])) == 2 * BATCH  # one order
    assert program._pool(one, np.arange(4)) == min(one.train.size, 4 * 2 * BATCH)
    assert program._pool(one._replace(stream=0), np.arange(4)) == 0


def test_a_pool_has_the_images_that_members_draw():
    images = Rows(np.arange(40, dtype=np.uint8).reshape(20, 2, 1, 1), np.arange(19, -1, -1))
    rows = np.array([[[3, 7], [3, 0]], [[19, 7], [0, 0]]])
    pool, places = supply.gather(images, rows, 12)
    assert len(pool) == 12
    assert pool.ctypes.data % 64 == 0
    np.testing.assert_array_equal(pool[places[rows]], np.asarray(images)[rows])
    assert len({int(place) for place in places[np.unique(rows)]}) == 4


def test_pools_are_as_large_as_what_members_draw_apart():
    one = experiment(('bce', 'null', 'sampled'))
    size = {steps: supply.pool_size(one.member_arrays, 1000, batch_size=BATCH, steps=steps) for steps in (1, 2, 1000)}
    assert size == {1: 4 * BATCH, 2: 8 * BATCH, 1000: 1000}  # two seeds, each with and without sampler
    shared = experiment(('bce', 'null'), order='shared')
    assert supply.pool_size(shared.member_arrays, 1000, batch_size=BATCH, steps=1) == BATCH


def test_devices_of_a_cpu_read_one_copy(tmp_path):
    np.save(tmp_path / 'images.npy', dataset().images)
    mapped = np.asarray(np.load(tmp_path / 'images.npy', mmap_mode='r'))
    place = placement.place(2, 'shard:map', jax.devices()[:2])
    assert place.mesh.devices.size == 2
    placed = supply.place_arrays(
        place, split_arrays(dataset(), 'train')._replace(images=Rows(mapped, np.arange(36))), 0
    )
    pointers = [shard.data.unsafe_buffer_pointer() for shard in placed.images.addressable_shards]
    assert pointers == [mapped.ctypes.data] * 2


def test_blocks_on_a_device_are_the_rows(monkeypatch):
    monkeypatch.setattr(placement, 'BLOCK', 7)
    rows = dataset().images_of('train')
    np.testing.assert_array_equal(placement.place(1, 'map').rows(rows), np.asarray(rows))


@pytest.mark.parametrize('count', [1, 5, 11])
def test_predictions_are_those_of_every_image_once(count, monkeypatch):
    monkeypatch.setattr(prediction, 'BATCHES', 2)
    images = Rows(np.arange(20, dtype=np.float32)[:, None], np.arange(19, 19 - count, -1))
    place = placement.place(3, 'shard:map')
    members = place.members(np.arange(3, dtype=np.float32))
    logits = prediction.predict(place, lambda one, x: one + 2 * x, members, images=images, batch_size=3)
    expected = np.arange(3)[:, None, None] + 2.0 * np.asarray(images)
    np.testing.assert_array_equal(logits, expected)


def test_images_stream_where_they_would_take_half_of_a_device():
    one = experiment()
    devices, whole = len(jax.local_devices()), one.train.images.nbytes
    assert autotune.stream_steps(one, 'auto', 2 * whole // devices) == 0
    assert autotune.stream_steps(one, 'auto', 2 * whole // devices - 2) > 0
    assert autotune.stream_steps(one, 'never', 1) == 0
    assert autotune.stream_steps(one, 'always', 2**40) == 3  # a dispatch
    pool = 3 * supply.pool_size(one.member_arrays, one.train.size, batch_size=BATCH, steps=1) * 64
    assert autotune.stream_steps(one, 'always', 4 * pool) == 1
    with pytest.raises(ValueError, match=r"config\.data\.stream 'sometimes'"):
        autotune.stream_steps(one, 'sometimes', 1)


def test_what_is_needed_counts_images_once_for_all_cores():
    one, place = experiment(), placement.place(4, 'shard:map')
    resident, streamed = (supply.place_arrays(place, one.train, pool) for pool in (0, 8))
    predicted = 2 * len(one.validation.images) * 64
    assert program._image_bytes(one, place, resident) == predicted - resident.images.nbytes // 2
    assert program._image_bytes(one, place, streamed) == predicted + 2 * 8 * 64


def test_the_plan_says_how_images_are_supplied():
    plan = autotune.Plan('map', [[0, 1]], {}, 2**30, 2**31, 1.0)
    assert 'images are on the devices' in autotune.describe(plan)
    assert 'images are read where they are prepared' in autotune.describe(plan._replace(on_host=True))
    assert 'images stream, those of 4 steps at a time' in autotune.describe(plan._replace(stream=4))
    assert autotune.Plan(**copy.deepcopy(plan._asdict())) == plan
