"""Times the ways to train a population against each other and against what one would write without the suite.

    python -m imbalance_jax.analysis.bench.population --model=resnet18 --size=28 --members=8 --peer=torch

A step is the gathering of a batch, forward, backward and Adam of all members. Every contestant has a process of its
own; rounds are interleaved, one contestant at a time, and each runs once untimed before it is timed. One JSON line per
contestant, then a table: images x members per second (median over rounds), its ratio to the plain flax loop and to the
fastest PyTorch way (medians of each round's ratio), GFLOP/s, their share of this machine's matrix multiplication,
seconds to compile, memory at its highest.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import contestants
from imbalance_jax.analysis.bench.contestants import Contestant
from imbalance_jax.system import output

MODEL = flags.DEFINE_enum('model', 'cnn', ['cnn', 'resnet18', 'resnet50'], 'which model')
SIZE = flags.DEFINE_integer('size', 28, 'pixels')
BATCH = flags.DEFINE_integer('batch', 64, 'images per step')
MEMBERS = flags.DEFINE_integer('members', 16, 'P')
STEPS = flags.DEFINE_integer('steps', 4, 'steps per dispatch')
ROUNDS = flags.DEFINE_integer('rounds', 7, 'interleaved rounds')
WIDTH = flags.DEFINE_integer('width', 16, 'channels of the first stage')
DTYPE = flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'of computation, for the suite')
STRATEGIES = flags.DEFINE_list('strategies', ['all'], "which strategies, or 'all'")
PEER = flags.DEFINE_enum('peer', '', ['', 'torch'], 'also time PyTorch, if it is installed')
WORKER = flags.DEFINE_string('worker', '', 'a contestant, in a process of its own: for the program itself')
CLASSES = 8
TRACING = threading.Lock()


class Setting(NamedTuple):
    """What is trained: a model's name, pixels, images per step, P, steps per dispatch, channels, type of
    computation."""

    model: str = 'cnn'
    size: int = 28
    batch: int = 64
    members: int = 16
    steps: int = 4
    width: int = 16
    dtype: str = 'float32'


ALL = ['shard:map', 'shard:unroll', 'shard:vmap:2', 'shard:vmap', 'map', 'unroll', 'vmap:2', 'vmap']
LOOP, PEAK, ABOUT = 'plain loop', 'matmul', 'about'
FORWARDS = {'evaluation': False, 'forward of training': True}  # name -> by the statistics of the batch


def make_data(setting: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [256,H,W,1] uint8, labels [256,K] and the rows [steps,B] of one dispatch."""
    random, size = np.random.default_rng(0), setting.size
    images = random.integers(0, 256, (256, size, size, 1)).astype(np.uint8)
    labels = (random.random((256, CLASSES)) < 0.2).astype(np.float32)
    return images, labels, random.integers(0, 256, (setting.steps, setting.batch)).astype(np.int32)


def make_model(setting: Setting):
    """The suite's model of the flags."""
    from imbalance_jax import models

    if setting.model == 'cnn':
        options = {'widths': contestants.widths(setting.width)}
    else:
        options = {'width': setting.width, 'stem': 'imagenet' if setting.size > 64 else 'small'}
    return models.make(setting.model, CLASSES, dtype=setting.dtype, **options)


def make_suite(setting: Setting, strategy: str, conv: Callable | None = None):
    """Returns `run() -> seconds` and facts about the compiled program; `conv`: another form of `models.layers.conv`."""
    import jax

    from imbalance_jax import losses
    from imbalance_jax.data import arrays as data_arrays
    from imbalance_jax.data import batches as data_batches
    from imbalance_jax.training import member as train
    from imbalance_jax.training import members as training_members
    from imbalance_jax.training import placement

    placement.use_all_cores()
    images, labels, order = make_data(setting)
    rows = training_members.make_members(
        {'bce': {}}, range(setting.members), 'bce', learning_rate=1e-3, weight_decay=0.0
    )
    model, functions = make_model(setting), [losses.make('bce', [1] * CLASSES, [4] * CLASSES)]
    step = train.make_train_step(model, functions, train.schedule(1, 1000, 0.01))
    steps = train.make_train_steps(step, data_batches.make_batch(0.5, 0.25, data_batches.Augmentation()))
    place = placement.place(len(rows), strategy)
    members = place.members(training_members.member_arrays(rows, own_order=True))
    network_init = train.make_network_init(model, (setting.size, setting.size, 1))
    state = place.map(train.make_init(network_init, functions))(members)
    order = place.members(np.broadcast_to(order, (len(rows), *order.shape)))
    arrays = place.shared(data_arrays.Arrays(images, labels, np.ones_like(labels)))
    begin = time.perf_counter()
    order, mapped = place.spread(order), place.map(steps, donate=True)
    with using(conv):
        lowered = mapped.lower((state,), (members, order), arrays, *map(np.int32, (0, 0, setting.steps)))
    compiled = lowered.compile()
    facts = {'compile_seconds': round(time.perf_counter() - begin, 1), 'temporary_bytes': _temporary(compiled)}
    states = [state]

    def run() -> float:
        begin = time.perf_counter()
        states[0], _ = compiled((states[0],), (members, order), arrays, *map(np.int32, (0, 0, setting.steps)))
        jax.block_until_ready(states[0])
        return time.perf_counter() - begin

    return run, facts


@contextlib.contextmanager
def using(conv: Callable | None):
    """Programs are traced with this convolution, one at a time."""
    from imbalance_jax.models import layers

    with TRACING:
        usual = layers.conv
        layers.conv = conv or usual
        yield
        layers.conv = usual


def _temporary(compiled) -> int | None:
    memory = compiled.memory_analysis()
    return memory and memory.temp_size_in_bytes


def make_forward(setting: Setting, train: bool):
    """Times the forward pass alone of all members, in evaluation or as in training, under the first strategy."""
    import jax

    from imbalance_jax.data import arrays as data_arrays
    from imbalance_jax.training import placement

    placement.use_all_cores()
    images, _, order = make_data(setting)
    model, image = make_model(setting), np.zeros((1, setting.size, setting.size, 1), np.float32)
    place = placement.place(setting.members, strategies()[0])

    def init(seed):
        return model.init(jax.random.key(seed), image, mutable=['params', 'batch_stats'])

    def forward(variables, batches):
        def logits(x):
            x = data_arrays.normalise(x, 0.5, 0.25)
            return model.apply(variables, x, train, mutable=['batch_stats'])[0][0]

        return jax.lax.map(logits, batches)

    variables = place.map(init)(place.members(np.arange(setting.members)))
    mapped, batches = place.map(forward), place.batches(images[order])

    def run() -> float:
        begin = time.perf_counter()
        jax.block_until_ready(mapped(variables, batches))
        return time.perf_counter() - begin

    return run, {}


def make_loop(setting: Setting):
    """The plain flax loop, on JAX's default device, as one meets it."""
    from imbalance_jax.analysis.bench import plain_flax

    model = plain_flax.make(setting.model, CLASSES, setting.width, setting.size)
    return plain_flax.make_round(model, *make_data(setting), setting.members), {}


def make_torch(setting: Setting, way: str):
    from imbalance_jax.analysis.bench import plain_torch

    return plain_torch.WAYS[way](setting.model, CLASSES, setting.width, *make_data(setting), setting.members), {}


def make_peak():
    """Times a multiplication of 2048 x 2048 float32 matrices on all cores or the first accelerator."""
    import jax
    import jax.numpy as jnp

    multiply = jax.jit(lambda a: a @ a)
    a = jnp.ones((2048, 2048))

    def run() -> float:
        begin = time.perf_counter()
        multiply(a).block_until_ready()
        return time.perf_counter() - begin

    return run, {'flops': 2 * 2048**3}


def forward_flops(setting: Setting) -> float:
    """Multiplications and additions of one image's forward pass, by XLA's count of the program as written."""
    import jax
    import jax.numpy as jnp

    model, image = make_model(setting), jnp.zeros((1, setting.size, setting.size, 1))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
    cpu = jax.sharding.SingleDeviceSharding(jax.devices('cpu')[0])  # a GPU's program hides what its libraries do
    variables = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=cpu), variables)
    counted = jax.jit(lambda v: model.apply(v, jnp.zeros(image.shape))[0]).lower(variables)
    return (counted.cost_analysis() or counted.compile().cost_analysis())['flops']


def work(setting: Setting, name: str) -> None:
    """A contestant: says what it is, then runs a round for every line that it is given."""
    if name == PEAK:
        run, facts = make_peak()
    elif name == LOOP:
        run, facts = make_loop(setting)
    elif name in FORWARDS:
        run, facts = make_forward(setting, FORWARDS[name])
    elif name.startswith('torch '):
        run, facts = make_torch(setting, name)
    else:
        run, facts = make_suite(setting, name)
    begin = time.perf_counter()
    run()
    facts['first_call_seconds'] = round(time.perf_counter() - begin, 1)
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        run()  # after the others had the processor, caches are cold
        print(json.dumps(run()), flush=True)


def environment(setting: Setting) -> dict:
    """Device and versions, and the work of an image, from a process that ends before any is timed."""
    return {**contestants.about(), 'forward_flops': forward_flops(setting)}


def strategies() -> list[str]:
    """The suite's own strategies."""
    return ALL if STRATEGIES.value == ['all'] else STRATEGIES.value


def names() -> list[str]:
    """All contestants but the matrix product."""
    listed = [*strategies(), LOOP, *FORWARDS]
    if PEER.value:
        try:
            from imbalance_jax.analysis.bench.plain_torch import WAYS
        except ImportError:
            print('PyTorch is not installed: no peer.', file=sys.stderr)
        else:
            listed += WAYS
    return listed


def main(_) -> None:
    setting = Setting(*(flag.value for flag in (MODEL, SIZE, BATCH, MEMBERS, STEPS, WIDTH, DTYPE)))
    if WORKER.value:
        if WORKER.value == ABOUT:
            print(json.dumps(environment(setting)))
        else:
            work(setting, WORKER.value)
        return
    about = Contestant('population', ABOUT).facts
    runs = {name: Contestant('population', name) for name in [*names(), PEAK]}
    times = {name: [] for name in runs}
    for _ in range(ROUNDS.value):
        for name, run in runs.items():
            times[name].append(run.time())
    report(setting, about, runs, {name: np.array(seconds) for name, seconds in times.items()})


def report(setting: Setting, about: dict, runs: dict[str, Contestant], times: dict[str, np.ndarray]) -> None:
    """One JSON line per contestant, and the table."""
    images = setting.members * setting.steps * setting.batch
    peers = [name for name in runs if name.startswith('torch ')]
    peer = min(peers, key=lambda name: np.median(times[name])) if peers else None
    peak = runs.pop(PEAK).facts['flops'] / np.median(times.pop(PEAK)) / 1e9
    forwards = {name: images / np.median(times.pop(name)) for name in FORWARDS if runs.pop(name)}
    described = setting._asdict()
    lines = []
    for name, run in sorted(runs.items(), key=lambda item: np.median(times[item[0]])):
        speed = images / np.median(times[name])
        gflops = 3 * about['forward_flops'] * speed / 1e9
        line = {
            'strategy': name,
            'images_members_per_second': round(speed),
            'ratio_to_plain_loop': round(float(np.median(times[LOOP] / times[name])), 2),
            'ratio_to_peer': round(float(np.median(times[peer] / times[name])), 2) if peer else None,
            'gflops': round(gflops, 1),
            'share_of_matmul': round(gflops / peak, 2),
            'compile_seconds': run.facts.get('compile_seconds', run.facts['first_call_seconds']),
            'temporary_mib': run.facts.get('temporary_bytes') and round(run.facts['temporary_bytes'] / 2**20),
            'process_peak_mib': round(run.peak_bytes() / 2**20) if run.peak_bytes() else None,
        }
        lines.append(line)
        print(json.dumps({**line, **described, **about, 'rounds': ROUNDS.value, 'matmul_gflops': round(peak)}))
    facts = ', '.join(f'{key} {value}' for key, value in {**described, **about}.items() if key != 'forward_flops')
    work = f'{about["forward_flops"] / 1e6:.1f} MFLOP per image forward'
    print(f'\n{facts}, {ROUNDS.value} rounds; matrix product {peak:.0f} GFLOP/s; {work}\n')
    evaluation, forward = (forwards[name] for name in FORWARDS)
    print(json.dumps({name: round(speed) for name, speed in forwards.items()}))
    compared = f'{evaluation / forward:.2f} of the forward pass of training'
    print(f'evaluation {evaluation:,.0f} images x members/s, {compared}\n')
    contestants.print_table(lines)


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
