"""Times training whose images stream from a mapped file against training whose images are where the devices read them.

    python -m imbalance_jax.analysis.bench.streaming --members=4 --size=64

A population of the small CNN, two arms and P / 2 seeds, each with an order of its own, under `shard:map`. `resident`:
as `config.data.stream = 'never'`, so on a CPU the cores read the mapped array itself; `streamed`: 'always', pools of
`--steps` steps. Both run the same epoch from the same state; rounds are interleaved, and the figure is the median of
the rounds' ratios. Afterwards their states must be equal to the bit. Prints one JSON line per contestant, then a table.
"""

import json
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import contestants
from imbalance_jax.configs import base
from imbalance_jax.data import dataset as store
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.system import output
from imbalance_jax.training import build, placement, program, supply

MEMBERS = flags.DEFINE_integer('members', 4, 'P, an even number')
IMAGES = flags.DEFINE_integer('images', 4096, 'of the training split')
SIZE = flags.DEFINE_integer('size', 64, 'pixels')
CHANNELS = flags.DEFINE_integer('channels', 1, 'of an image')
BATCH = flags.DEFINE_integer('batch', 64, 'images per step')
STEPS = flags.DEFINE_integer('steps', 8, 'steps per dispatch')
DISPATCHES = flags.DEFINE_integer('dispatches', 8, 'in a timed part of an epoch')
MODEL = flags.DEFINE_string('model', 'cnn', 'of the suite')
ROUNDS = flags.DEFINE_integer('rounds', 7, 'interleaved rounds')
CLASSES = 8


def prepare(folder: Path) -> Dataset:
    """Noise in a prepared folder, mapped: a training split and a batch to validate."""
    random, count = np.random.default_rng(0), IMAGES.value + BATCH.value
    with store.unfinished(folder) as partial:
        images = store.allocate(partial, 'images', (count, SIZE.value, SIZE.value, CHANNELS.value))
        for start in range(0, count, 256):
            block = images[start : start + 256]
            block[:] = random.integers(0, 256, block.shape, np.uint8)
        labels = (random.random((count, CLASSES)) < 0.2).astype(np.uint8)
        empty = {'region_image': np.zeros(0, np.int32), 'region_concept': np.zeros(0, np.int32)}
        dataset = Dataset(
            images=images,
            labels=labels,
            label_mask=np.ones_like(labels),
            split=(np.arange(count) >= IMAGES.value).astype(np.uint8),
            patient=np.arange(count),
            image_id=np.arange(count).astype(np.str_),
            region_box=np.zeros((0, 4), np.float32),
            region_mask=np.zeros((0, SIZE.value, -(-SIZE.value // 8)), np.uint8),
            **empty,
            info={'name': 'noise', 'classes': [f'class {k}' for k in range(CLASSES)], 'concepts': []},
        )
        store.save(dataset, folder, partial)
    return store.load(folder)


def experiment(dataset: Dataset) -> program.Experiment:
    """The population of the flags, on a data set."""
    config = base.get_config()
    config.seeds = tuple(range(MEMBERS.value // 2))
    with config.unlocked():
        config.arms = {'bce': {}, 'focal': {}}
    config.model.name = MODEL.value
    config.train.update(epochs=1, batch_size=BATCH.value, steps_per_dispatch=STEPS.value)
    return build.build(config, dataset, build.make_members(config))


class Contestant:
    """A population with its program and state; `run()` trains a part of the epoch and returns its seconds."""

    def __init__(self, one: program.Experiment):
        self.experiment = one
        self.program = program.compile_members(one, 'shard:map', np.arange(len(one.members)))
        self.state = self.program.functions.init(self.program.members)
        self.order = program.sample_order(self.program, one, 0)

    def run(self) -> float:
        """As `training.loop` does: at most one dispatch waits while another runs."""
        begin, before = time.perf_counter(), None
        for number, (start, stop, arrays) in enumerate(program.parts(self.program, self.experiment, self.order)):
            if number == DISPATCHES.value:
                break
            bounds = {'epoch_start': 0, 'start': start, 'stop': stop}
            self.state, counters = program.train_steps(self.program, self.state, self.order, arrays, **bounds)
            if before is not None:
                jax.block_until_ready(before)
            before = counters
        jax.block_until_ready(self.state)
        return time.perf_counter() - begin


def main(_) -> None:
    placement.use_all_cores()
    with tempfile.TemporaryDirectory() as folder:
        resident = experiment(prepare(Path(folder) / 'noise'))
        ways = {'resident': resident, 'streamed': resident._replace(stream=STEPS.value)}
        runs = {name: Contestant(one) for name, one in ways.items()}
        for one in runs.values():
            one.run()
        times: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(ROUNDS.value):
            for name in sorted(runs, reverse=bool(number % 2)):
                times[name].append(runs[name].run())
        states = [one.program.place.fetch(one.state) for one in runs.values()]
        jax.tree.map(np.testing.assert_array_equal, *states)
    report(times, runs['streamed'])


def report(times: dict[str, list[float]], streamed: Contestant) -> None:
    """The lines and the table."""
    pool = len(streamed.program.train.images)
    about = {**contestants.about(), 'members': MEMBERS.value, 'size': SIZE.value, 'channels': CHANNELS.value}
    about |= {'images': IMAGES.value, 'pool': pool, 'pools': supply.POOLS}
    steps = min(DISPATCHES.value * STEPS.value, streamed.experiment.steps_per_epoch)
    lines = []
    for name, seconds in times.items():
        ratio = np.median(np.array(seconds) / np.array(times['resident']))
        speed = MEMBERS.value * steps * BATCH.value / np.median(seconds)
        lines.append({'images': name, 'images_members_per_second': round(speed), 'time_ratio': round(float(ratio), 3)})
        print(json.dumps({**lines[-1], **about, 'batch': BATCH.value, 'rounds': ROUNDS.value}))
    print(f'\n{", ".join(f"{key} {value}" for key, value in about.items())}, {ROUNDS.value} rounds\n')
    contestants.print_table(lines)


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
