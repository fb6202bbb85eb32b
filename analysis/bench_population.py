"""Times the ways to run a population's training steps against each other, in one interleaved run.

    python -m analysis.bench_population --model=cnn --size=64 --batch=32 --members=8 --strategies=shard:map,map,vmap

One JSON line a strategy: images x members a second (median over rounds), the ratio to a plain Python loop over members
that a user would write with `flax.linen.Conv` and `max_pool` as they come, and seconds to compile. Then a table.
"""

import json
import platform
import time
from datetime import date

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from imbalance_jax import data, losses, models, population, train
from imbalance_jax.provenance import environment

MODEL = flags.DEFINE_enum('model', 'cnn', ['cnn', 'resnet18'], 'which model')
SIZE = flags.DEFINE_integer('size', 64, 'pixels')
BATCH = flags.DEFINE_integer('batch', 32, 'images a step')
MEMBERS = flags.DEFINE_integer('members', 8, 'P')
STEPS = flags.DEFINE_integer('steps', 4, 'steps a dispatch')
ROUNDS = flags.DEFINE_integer('rounds', 7, 'interleaved rounds')
WIDTH = flags.DEFINE_integer('width', 16, 'channels of the first stage')
STRATEGIES = flags.DEFINE_list('strategies', ['shard:map', 'map', 'shard:vmap', 'vmap', 'unroll'], 'which strategies')
CLASSES = 8


class PlainCNN(nn.Module):
    """The small CNN as flax's own layers give it, for comparison."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x, train: bool = False):
        for number, width in enumerate(self.widths):
            x = x if number == 0 else nn.max_pool(x, (2, 2), (2, 2))
            x = nn.Conv(width, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        return nn.Dense(CLASSES)(x.mean((1, 2))), {}


def make_model():
    """The model of the flags, and its plain counterpart (None for a ResNet)."""
    if MODEL.value == 'cnn':
        widths = tuple(WIDTH.value * 2**stage for stage in range(3))
        return models.make('cnn', CLASSES, widths=widths), PlainCNN(widths)
    return models.make('resnet18', CLASSES, width=WIDTH.value, stem='small'), None


def make_runs() -> dict:
    """Name -> a function that runs `STEPS` steps of all members and waits for them."""
    random, size = np.random.default_rng(0), SIZE.value
    arrays = data.Arrays(
        random.integers(0, 256, (256, size, size, 1)).astype(np.uint8),
        (random.random((256, CLASSES)) < 0.2).astype(np.float32),
        np.ones((256, CLASSES), np.float32),
    )
    rows = population.make_members({'bce': {}}, range(MEMBERS.value), 'bce', learning_rate=1e-3, weight_decay=1e-6)
    order = random.integers(0, 256, (MEMBERS.value, STEPS.value, BATCH.value)).astype(np.int32)
    ours, plain = make_model()
    runs = {name: _mapped(name, ours, rows, arrays, order) for name in STRATEGIES.value}
    if plain is not None:
        runs['plain loop'] = _loop(plain, rows, arrays, order)
    return runs


def _parts(model):
    functions = [losses.make('bce', [1] * CLASSES, [4] * CLASSES)]
    step = train.make_train_step(model, functions, train.schedule(1, 1000, 0.01))
    steps = train.make_train_steps(step, data.make_batch(0.5, 0.25, data.Augmentation(0.04, 5.0, 0.06, 0.05, 0.1)))
    return train.make_init(model, functions, (SIZE.value, SIZE.value, 1)), step, steps


def _mapped(name: str, model, rows, arrays, order):
    init, _, steps = _parts(model)
    place = population.place(len(rows), name)
    members, mapped = place.members(population.numbers(rows, True)), place.map(steps)
    state, order, arrays = place.map(init)(members), place.members(order), place.shared(arrays)
    return lambda: jax.block_until_ready(mapped((state, members, order), arrays, 0, 0, STEPS.value))


def _loop(model, rows, arrays, order):
    """One jitted step of one member, called for every step of every member."""
    init, step, _ = _parts(model)
    batch = data.make_batch(0.5, 0.25, data.Augmentation(0.04, 5.0, 0.06, 0.05, 0.1))
    one_step = jax.jit(lambda state, member, arrays, rows, t: step(
        state, member, batch(arrays, rows, member.order_seed, t), t
    ))
    numbers, arrays = population.numbers(rows, True), jax.tree.map(jnp.asarray, arrays)
    members = [jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), numbers) for i in range(len(rows))]
    states = [jax.jit(init)(member) for member in members]

    def run():
        found = list(states)
        for t in range(STEPS.value):
            for i, member in enumerate(members):
                found[i] = one_step(found[i], member, arrays, order[i, t], t)
        jax.block_until_ready(found)

    return run


def main(_) -> None:
    population.use_all_cores()
    runs = make_runs()
    compile_seconds, times = {}, {name: [] for name in runs}
    for name, run in runs.items():
        start = time.perf_counter()
        run()
        compile_seconds[name] = time.perf_counter() - start
    for _ in range(ROUNDS.value):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    work = MEMBERS.value * STEPS.value * BATCH.value
    speed = {name: work / np.median(seconds) for name, seconds in times.items()}
    where = environment()
    setting = {f.name: f.value for f in (MODEL, SIZE, BATCH, MEMBERS, WIDTH)}
    facts = {'device': where['device'], 'devices': where['devices'], 'jax': jax.__version__, 'date': str(date.today())}
    for name in runs:
        line = {'strategy': name, 'images_members_per_second': round(speed[name]), **setting, **facts}
        ratio = round(speed[name] / speed['plain loop'], 2) if 'plain loop' in speed else None
        print(json.dumps({**line, 'ratio_to_plain_loop': ratio, 'first_call_seconds': round(compile_seconds[name], 1)}))
    print(f'\n{setting} on {facts} Python {platform.python_version()}\n')
    print('| strategy | images x members/s | ratio to the plain loop | first call, s |\n| --- | --- | --- | --- |')
    for name in sorted(runs, key=lambda name: -speed[name]):
        ratio = f'{speed[name] / speed["plain loop"]:.2f}' if 'plain loop' in speed else '-'
        print(f'| {name} | {speed[name]:,.0f} | {ratio} | {compile_seconds[name]:.1f} |')


if __name__ == '__main__':
    app.run(main)
