"""Times a grid of hyper-parameters against as many copies of the plain loss, and against as many different losses.

    python -m imbalance_jax.analysis.bench.losses --members=64

All train the small CNN on the same images with the strategy `shard:map`. `bce`: one arm, P seeds. `grid`: P arms, each
a point of gamma x alpha of the focal loss, one seed. `every loss`: one arm per loss, seeds up to P. Rounds are
interleaved; the figure is the median of the rounds' ratios. Prints one JSON line per contestant, then a table.
"""

import json
import time

import jax
import numpy as np
from absl import app, flags

from imbalance_jax import losses
from imbalance_jax.analysis.bench import contestants
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data import batches
from imbalance_jax.models import make
from imbalance_jax.system import output
from imbalance_jax.training import member, placement
from imbalance_jax.training import members as training_members

MEMBERS = flags.DEFINE_integer('members', 64, 'P')
SIZE = flags.DEFINE_integer('size', 28, 'pixels')
BATCH = flags.DEFINE_integer('batch', 64, 'images per step')
STEPS = flags.DEFINE_integer('steps', 2, 'steps per dispatch')
ROUNDS = flags.DEFINE_integer('rounds', 7, 'interleaved rounds')
CLASSES, IMAGES = 8, 256


def populations() -> dict[str, tuple[dict, tuple]]:
    """Name -> arms and seeds of P members."""
    count = MEMBERS.value
    side = int(np.ceil(np.sqrt(count)))
    points = [(gamma, alpha) for gamma in np.linspace(0, 5, side) for alpha in np.linspace(0.1, 0.9, side)][:count]
    grid = {f'focal{i}': {'loss': 'focal', 'gamma': float(g), 'alpha': float(a)} for i, (g, a) in enumerate(points)}
    every = {name: {} for name in list(losses.LOSSES)[:count]}
    return {
        'bce': ({'bce': {}}, tuple(range(count))),
        'grid': (grid, (0,)),
        'every loss': (every, tuple(range(-(-count // len(every))))),
    }


def contestant(arms: dict, seeds: tuple):
    """Returns `run() -> seconds` of one dispatch, and the seconds that its compilation took."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES, SIZE.value, SIZE.value, 1)).astype(np.uint8)
    labels = (random.random((IMAGES, CLASSES)) < 0.2).astype(np.float32)
    order = random.integers(0, IMAGES, (STEPS.value, BATCH.value)).astype(np.int32)
    rows = training_members.make_members(arms, seeds, next(iter(arms)), learning_rate=1e-3, weight_decay=0.0)
    rows = rows[: MEMBERS.value]
    counts = labels.sum(0), (1 - labels).sum(0)
    of_arm = {row['arm']: row for row in rows}
    functions = [losses.make(row['loss'], *counts, **row['hyper']) for row in of_arm.values()]
    model = make('cnn', CLASSES, widths=(16, 32, 64))
    step = member.make_train_step(model, functions, member.schedule(1, 1000, 0.01), total_steps=1000)
    steps = member.make_train_steps(step, batches.make_batch(0.5, 0.25, batches.Augmentation()))
    place = placement.place(len(rows), 'shard:map')
    members = place.members(training_members.member_arrays(rows, own_order=True))
    state = place.map(member.make_init(member.make_network_init(model, images.shape[1:]), functions))(members)
    order = place.members(np.broadcast_to(order, (len(rows), *order.shape)))
    arrays = place.shared(data_arrays.Arrays(images, labels, np.ones_like(labels)))
    bounds = [np.int32(0), np.int32(0), np.int32(STEPS.value)]
    begin = time.perf_counter()
    compiled = place.map(steps, donate=True).lower((state,), (members, order), arrays, *bounds).compile()
    seconds, states = time.perf_counter() - begin, [state]

    def run() -> float:
        begin = time.perf_counter()
        states[0], _ = compiled((states[0],), (members, order), arrays, *bounds)
        jax.block_until_ready(states[0])
        return time.perf_counter() - begin

    return run, seconds


def main(_) -> None:
    placement.use_all_cores()
    runs = {name: contestant(*members) for name, members in populations().items()}
    times = {name: [] for name in runs}
    for _ in range(ROUNDS.value):
        for name, (run, _) in runs.items():
            run()  # after the others had the processor, caches are cold
            times[name].append(run())
    about = {**contestants.about(), 'members': MEMBERS.value, 'size': SIZE.value}
    lines = []
    for name, (_, seconds) in runs.items():
        speed = MEMBERS.value * STEPS.value * BATCH.value / np.median(times[name])
        ratio = float(np.median(np.array(times[name]) / np.array(times['bce'])))
        line = {'population': name, 'images_members_per_second': round(speed), 'step_time_ratio': round(ratio, 3)}
        lines.append({**line, 'compile_seconds': round(seconds, 1)})
        print(json.dumps({**lines[-1], **about, 'batch': BATCH.value, 'rounds': ROUNDS.value}))
    print(f'\n{", ".join(f"{key} {value}" for key, value in about.items())}, {ROUNDS.value} rounds\n')
    contestants.print_table(lines)


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
