"""Times the ways to train a population against each other and against what one would write without the suite.

    python -m analysis.bench_population --model=resnet18 --size=28 --batch=64 --members=8 --strategies=all --peer=torch

A step is the gathering of a batch, forward, backward and Adam of all members. Every contestant has a process of its
own; rounds are interleaved, one contestant at a time, and each runs once untimed before it is timed. One JSON line a
contestant, then a table: images x members a second (median over rounds), its ratio to the plain flax loop and to the
fastest PyTorch way (medians of each round's ratio), GFLOP/s, their share of this machine's matrix multiplication,
seconds to compile, memory at its highest.
"""

import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from absl import app, flags

MODEL = flags.DEFINE_enum('model', 'cnn', ['cnn', 'resnet18', 'resnet50'], 'which model')
SIZE = flags.DEFINE_integer('size', 28, 'pixels')
BATCH = flags.DEFINE_integer('batch', 64, 'images a step')
MEMBERS = flags.DEFINE_integer('members', 16, 'P')
STEPS = flags.DEFINE_integer('steps', 4, 'steps a dispatch')
ROUNDS = flags.DEFINE_integer('rounds', 7, 'interleaved rounds')
WIDTH = flags.DEFINE_integer('width', 16, 'channels of the first stage')
DTYPE = flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'of computation, for the suite')
STRATEGIES = flags.DEFINE_list('strategies', ['all'], "which strategies, or 'all'")
PEER = flags.DEFINE_enum('peer', '', ['', 'torch'], 'also time PyTorch, if it is installed')
WORKER = flags.DEFINE_string('worker', '', 'a contestant, in a process of its own: for the program itself')
CLASSES = 8
ALL = ['shard:map', 'shard:unroll', 'shard:vmap:2', 'shard:vmap', 'map', 'unroll', 'vmap:2', 'vmap']
LOOP, PEAK, ABOUT = 'plain loop', 'matmul', 'about'
FORWARDS = {'evaluation': False, 'forward of training': True}  # name -> by the statistics of the batch


def make_data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [256,H,W,1] uint8, labels [256,K] and the rows [steps,B] of one dispatch."""
    random, size = np.random.default_rng(0), SIZE.value
    images = random.integers(0, 256, (256, size, size, 1)).astype(np.uint8)
    labels = (random.random((256, CLASSES)) < 0.2).astype(np.float32)
    return images, labels, random.integers(0, 256, (STEPS.value, BATCH.value)).astype(np.int32)


def make_model():
    """The suite's model of the flags."""
    from imbalance_jax import models

    if MODEL.value == 'cnn':
        options = {'widths': tuple(WIDTH.value * 2**stage for stage in range(3))}
    else:
        options = {'width': WIDTH.value, 'stem': 'imagenet' if SIZE.value > 64 else 'small'}
    return models.make(MODEL.value, CLASSES, dtype=DTYPE.value, **options)


def make_ours(strategy: str):
    """Returns `run() -> seconds` and facts about the compiled program."""
    import jax

    from imbalance_jax import data, losses, placement, population, train

    placement.use_all_cores()
    images, labels, order = make_data()
    rows = population.make_members({'bce': {}}, range(MEMBERS.value), 'bce', learning_rate=1e-3, weight_decay=0.0)
    model, functions = make_model(), [losses.make('bce', [1] * CLASSES, [4] * CLASSES)]
    step = train.make_train_step(model, functions, train.schedule(1, 1000, 0.01))
    steps = train.make_train_steps(step, data.make_batch(0.5, 0.25, data.Augmentation()))
    place = placement.place(len(rows), strategy)
    members = place.members(population.numbers(rows, True))
    state = place.map(train.make_init(model, functions, (SIZE.value, SIZE.value, 1)))(members)
    order = place.members(np.broadcast_to(order, (len(rows), *order.shape)))
    arrays = place.shared(data.Arrays(images, labels, np.ones_like(labels)))
    begin = time.perf_counter()
    order, mapped = place.spread(order), place.map(steps, donate=True)
    compiled = mapped.lower((state,), (members, order), arrays, *map(np.int32, (0, 0, STEPS.value))).compile()
    facts = {'compile_seconds': round(time.perf_counter() - begin, 1), 'temporary_bytes': _temporary(compiled)}
    states = [state]

    def run() -> float:
        begin = time.perf_counter()
        states[0], _ = compiled((states[0],), (members, order), arrays, *map(np.int32, (0, 0, STEPS.value)))
        jax.block_until_ready(states[0])
        return time.perf_counter() - begin

    return run, facts


def _temporary(compiled) -> int | None:
    memory = compiled.memory_analysis()
    return memory and memory.temp_size_in_bytes


def make_forward(train: bool):
    """Times the forward pass alone of all members, in evaluation or as in training, under the first strategy."""
    import jax

    from imbalance_jax import data, placement

    placement.use_all_cores()
    images, _, order = make_data()
    model, image = make_model(), np.zeros((1, SIZE.value, SIZE.value, 1), np.float32)
    place = placement.place(MEMBERS.value, ours()[0])

    def init(seed):
        return model.init(jax.random.key(seed), image, mutable=['params', 'batch_stats'])

    def forward(variables, batches):
        def logits(x):
            x = data.normalise(x, 0.5, 0.25)
            return model.apply(variables, x, train, mutable=['batch_stats'])[0][0]

        return jax.lax.map(logits, batches)

    variables = place.map(init)(place.members(np.arange(MEMBERS.value)))
    mapped, batches = place.map(forward), place.batches(images[order])

    def run() -> float:
        begin = time.perf_counter()
        jax.block_until_ready(mapped(variables, batches))
        return time.perf_counter() - begin

    return run, {}


def make_loop():
    """The plain flax loop, on JAX's default device, as one meets it."""
    from analysis import plain_flax

    model = plain_flax.make(MODEL.value, CLASSES, WIDTH.value, SIZE.value)
    return plain_flax.make_round(model, *make_data(), MEMBERS.value), {}


def make_torch(way: str):
    from analysis import plain_torch

    return plain_torch.WAYS[way](MODEL.value, CLASSES, WIDTH.value, *make_data(), MEMBERS.value), {}


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


def forward_flops() -> float:
    """Multiplications and additions of one image's forward pass, by XLA's count of the program as written."""
    import jax
    import jax.numpy as jnp

    model, image = make_model(), jnp.zeros((1, SIZE.value, SIZE.value, 1))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, mutable=['params', 'batch_stats']))
    return jax.jit(lambda v: model.apply(v, image)[0]).lower(variables).cost_analysis()['flops']


def work(name: str) -> None:
    """A contestant: says what it is, then runs a round for every line that it is given."""
    if name == PEAK:
        run, facts = make_peak()
    elif name == LOOP:
        run, facts = make_loop()
    elif name in FORWARDS:
        run, facts = make_forward(FORWARDS[name])
    elif name.startswith('torch '):
        run, facts = make_torch(name)
    else:
        run, facts = make_ours(name)
    begin = time.perf_counter()
    run()
    facts['first_call_seconds'] = round(time.perf_counter() - begin, 1)
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        run()  # after the others had the processor, caches are cold
        print(json.dumps(run()), flush=True)


def environment() -> dict:
    """Device and versions, and the work of an image, from a process that ends before any is timed."""
    from imbalance_jax import provenance

    found = provenance.environment()
    facts = {'device': found['device'], 'cores': found['cores'], 'python': found['python']}
    facts |= {'jax': found['versions']['jax'], 'date': str(date.today())}
    return {**facts, 'forward_flops': forward_flops()}


class Contestant:
    """A process that runs one way to train, and waits between rounds."""

    def __init__(self, name: str):
        command = [sys.executable, '-m', 'analysis.bench_population', *sys.argv[1:], f'--worker={name}']
        variables = {**os.environ, 'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'text': True}
        self.process = subprocess.Popen(command, env=variables, **pipes)
        self.facts = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f'{self.process.args[-1]} ended early.')
        return json.loads(line)

    def time(self) -> float:
        self.process.stdin.write('go\n')
        self.process.stdin.flush()
        return self.read()

    def peak_bytes(self) -> int | None:
        """The most memory that the process itself has held, on Linux."""
        try:
            lines = Path(f'/proc/{self.process.pid}/status').read_text().splitlines()
        except OSError:
            return None
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM'))


def ours() -> list[str]:
    """The suite's own strategies."""
    return ALL if STRATEGIES.value == ['all'] else STRATEGIES.value


def contestants() -> list[str]:
    names = [*ours(), LOOP, *FORWARDS]
    if PEER.value:
        try:
            from analysis.plain_torch import WAYS
        except ImportError:
            print('PyTorch is not installed: no peer.', file=sys.stderr)
        else:
            names += WAYS
    return names


def main(_) -> None:
    if WORKER.value:
        if WORKER.value == ABOUT:
            print(json.dumps(environment()))
        else:
            work(WORKER.value)
        return
    about = Contestant(ABOUT).facts
    runs = {name: Contestant(name) for name in [*contestants(), PEAK]}
    times = {name: [] for name in runs}
    for _ in range(ROUNDS.value):
        for name, run in runs.items():
            times[name].append(run.time())
    report(about, runs, {name: np.array(seconds) for name, seconds in times.items()})


def report(about: dict, runs: dict[str, Contestant], times: dict[str, np.ndarray]) -> None:
    """One JSON line a contestant, and the table."""
    images = MEMBERS.value * STEPS.value * BATCH.value
    peers = [name for name in runs if name.startswith('torch ')]
    peer = min(peers, key=lambda name: np.median(times[name])) if peers else None
    peak = runs.pop(PEAK).facts['flops'] / np.median(times.pop(PEAK)) / 1e9
    forwards = {name: images / np.median(times.pop(name)) for name in FORWARDS if runs.pop(name)}
    setting = {f.name: f.value for f in (MODEL, SIZE, BATCH, MEMBERS, WIDTH, STEPS, DTYPE)}
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
        print(json.dumps({**line, **setting, **about, 'rounds': ROUNDS.value, 'matmul_gflops': round(peak)}))
    described = ', '.join(f'{key} {value}' for key, value in {**setting, **about}.items() if key != 'forward_flops')
    work = f'{about["forward_flops"] / 1e6:.1f} MFLOP an image forward'
    print(f'\n{described}, {ROUNDS.value} rounds; matrix product {peak:.0f} GFLOP/s; {work}\n')
    evaluation, forward = (forwards[name] for name in FORWARDS)
    print(json.dumps({name: round(speed) for name, speed in forwards.items()}))
    compared = f'{evaluation / forward:.2f} of the forward pass of training'
    print(f'evaluation {evaluation:,.0f} images x members/s, {compared}\n')
    names = list(lines[0])
    print(f'| {" | ".join(name.replace("_", " ") for name in names)} |\n|{" --- |" * len(names)}')
    for line in lines:
        print(f'| {" | ".join("-" if line[name] is None else str(line[name]) for name in names)} |')


if __name__ == '__main__':
    app.run(main)
