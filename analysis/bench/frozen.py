"""Times heads trained on cached features against the same arms with the features computed anew, and trained as well.

    python -m imbalance_jax.analysis.bench.frozen --model=mobilenet_v2 --size=64 --images=500 --seeds=3

Arms are losses and samplers, 8 unless `--arms` says otherwise, and all members begin with one network. `fine-tuned`:
everything is trained; `recomputed`: the head alone, `config.train.features = 'recompute'`; `cached`: the same on
features. None augments. An epoch of each is timed, compiled, in interleaved rounds; a training is `--epochs` of the
median, and `cached with features` adds the median time that features of all images take. Prints a JSON line per way,
then a table.
"""

import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags

from imbalance_jax.configs import base
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.system import cache, output
from imbalance_jax.training import build, features, network, on_features, placement, program, start

MODEL = flags.DEFINE_string('model', 'resnet18', 'of the suite')
SIZE = flags.DEFINE_integer('size', 64, 'pixels')
IMAGES = flags.DEFINE_integer('images', 500, 'of the training split')
ARMS = flags.DEFINE_integer('arms', 8, 'losses and samplers, then focal losses of other gamma')
SEEDS = flags.DEFINE_integer('seeds', 3, 'per arm')
BATCH = flags.DEFINE_integer('batch', 50, 'images per step')
EPOCHS = flags.DEFINE_integer('epochs', 20, 'of a training')
ROUNDS = flags.DEFINE_integer('rounds', 3, 'interleaved rounds')
WAYS = flags.DEFINE_list('ways', ['fine-tuned', 'recomputed', 'cached'], 'which are timed')
STRATEGY = flags.DEFINE_string('strategy', 'shard:map', 'of the networks')
HEADS = flags.DEFINE_string('heads', 'shard:map', 'strategy of the heads')
CLASSES = 14
NAMED: dict[str, dict[str, Any]] = {
    'bce': {},
    'focal': {},
    'asymmetric': {},
    'class_balanced_focal': {},
    'intra_class_weighted_bce': {},
    'inter_class_weighted_bce': {},
    'weighted': {'loss': 'bce', 'sampler': 'weighted_sampling'},
    'aware': {'loss': 'bce', 'sampler': 'class_aware'},
}


def noise() -> Dataset:
    """Images and labels at random: a training split, and a tenth of that to validate and to test."""
    random, tenth = np.random.default_rng(0), IMAGES.value // 10
    count = IMAGES.value + 2 * tenth
    labels = (random.random((count, CLASSES)) < 0.2).astype(np.uint8)
    return Dataset(
        images=random.integers(0, 256, (count, SIZE.value, SIZE.value, 1), np.uint8),
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.repeat(np.uint8([0, 1, 2]), [IMAGES.value, tenth, tenth]),
        patient=np.arange(count),
        image_id=np.arange(count).astype(np.str_),
        region_image=np.zeros(0, np.int32),
        region_concept=np.zeros(0, np.int32),
        region_box=np.zeros((0, 4), np.float32),
        region_mask=np.zeros((0, SIZE.value, -(-SIZE.value // 8)), np.uint8),
        info={'name': 'noise', 'classes': [f'class {k}' for k in range(CLASSES)], 'concepts': []},
    )


def config_of(way: str, folder: str) -> Any:
    """The population of the flags, trained in one of the ways."""
    config = base.get_config()
    more = {f'focal_{i}': {'loss': 'focal', 'gamma': 0.5 + 0.1 * i} for i in range(max(0, ARMS.value - len(NAMED)))}
    arms = dict(list({**NAMED, **more}.items())[: ARMS.value])
    frozen = 0.0 if way == 'fine-tuned' else 1.0
    with config.unlocked():
        config.arms = {name: {**arm, 'frozen': frozen} for name, arm in arms.items()}
    config.seeds = tuple(range(SEEDS.value))
    config.data.folder = folder
    config.model.name = MODEL.value
    config.augment.update(dict.fromkeys(('shift', 'rotation', 'scale', 'brightness', 'contrast'), 0.0))
    config.train.features = 'cached' if way == 'cached' else 'recompute'
    config.train.update(epochs=EPOCHS.value, batch_size=BATCH.value, warmup_steps=5)
    return config


def population(way: str, dataset: Dataset, folder: str) -> tuple[program.Experiment, network.Network, Any]:
    """An experiment without its features, its network and its config. All members begin with one network."""
    config = config_of(way, folder)
    rows = build.make_members(config)
    one = start.Start({'sha256': '', 'preprocessing': PLAIN}, begun(config, dataset))
    rows = [{**row, 'weights': 'one'} for row in rows]
    untrained = network.network(config, dataset, {'one': one})
    make = on_features.build_heads if way == 'cached' else build.build
    return make(config, dataset, rows, untrained=untrained), untrained, config


PLAIN = {'mean': None, 'channels': 1, 'resize': 0, 'crop': 0, 'interpolation': 'bilinear'}


def begun(config: Any, dataset: Dataset) -> dict[str, Any]:
    """Variables of the network that all begin with, without its head."""
    plain = network.network(config, dataset)
    return jax.tree.map(lambda a: a[0], features.variables_of(plain, [{'seed': 0}]))


class Contestant:
    """A population with its program and state; `run()` trains an epoch and returns its seconds."""

    def __init__(self, one: program.Experiment, strategy: str):
        self.experiment = one
        self.program = program.compile_members(one, strategy, np.arange(len(one.members)))
        place = self.program.place
        fresh = place.fetch(self.program.functions.init(self.program.members))
        self.state = place.members(one.begin(fresh, one.members))
        self.order = program.sample_order(self.program, one, 0)

    def run(self) -> float:
        begin = time.perf_counter()
        for step, stop, arrays in program.parts(self.program, self.experiment, self.order):
            bounds = {'epoch_start': 0, 'start': step, 'stop': stop}
            self.state, _ = program.train_steps(self.program, self.state, self.order, arrays, **bounds)
        jax.block_until_ready(self.state)
        return time.perf_counter() - begin


def computed(one: program.Experiment, untrained: network.Network, dataset: Dataset) -> tuple[np.ndarray, list[float]]:
    """Features of all images, and the seconds that they take each time; programs are compiled in the first."""
    seconds = []
    for _ in range(ROUNDS.value + 1):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            array, _ = features.load(Path(folder), untrained, one.members, dataset, batch_size=BATCH.value)
            seconds.append(time.perf_counter() - begin)
            array = np.array(array)
    return array, seconds


def main(_) -> None:
    placement.use_all_cores()
    cache.keep_programs()  # features are compiled once, and then found
    dataset, runs, of_features = noise(), {}, []
    for way in WAYS.value:
        one, untrained, _ = population(way, dataset, tempfile.gettempdir())
        if way == 'cached':
            array, of_features = computed(one, untrained, dataset)
            seen = dataclasses.replace(dataset, images=array)
            one = one._replace(train=one.train._replace(images=seen.images_of('train')))
        runs[way] = Contestant(one, HEADS.value if way == 'cached' else STRATEGY.value)
        runs[way].run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(ROUNDS.value):
        for name in sorted(runs, reverse=bool(number % 2)):
            times[name].append(runs[name].run())
    seconds = {name: EPOCHS.value * statistics.median(one) for name, one in times.items()}
    if of_features:
        seconds['cached with features'] = seconds['cached'] + statistics.median(of_features[1:])
        seconds['cached with features, compiling'] = seconds['cached'] + of_features[0]
    members = {'members': len(next(iter(runs.values())).experiment.members), 'device': jax.devices()[0].device_kind}
    for name, value in seconds.items():
        print(json.dumps({'way': name, 'seconds': round(value, 2), **members}), flush=True)
    print('\n| way | seconds of a training | times faster than fine-tuned |\n| --- | --- | --- |')
    for name, value in seconds.items():
        ratio = f'{seconds["fine-tuned"] / value:.1f}' if 'fine-tuned' in seconds else ''
        print(f'| {name} | {value:.2f} | {ratio} |')


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
