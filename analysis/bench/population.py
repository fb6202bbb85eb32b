"""Times the ways to train a population against each other and against what one would write without the suite.

    python -m imbalance_jax.analysis.bench.population --model=resnet18 --size=28 --members=8 --peer=torch

A step is the gathering of a batch, forward, backward and Adam of all members. Every contestant has a process of its
own; rounds are interleaved, one contestant at a time, and each runs once untimed before it is timed. One JSON line per
contestant, then a table: images x members per second (median over rounds), its ratio to the plain flax loop and to the
fastest PyTorch way (medians of each round's ratio), GFLOP/s, their share of this machine's matrix multiplication,
seconds to compile, memory at its highest.
"""

import json
import sys
import time

import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import contestants
from imbalance_jax.analysis.bench.contestants import Contestant
from imbalance_jax.analysis.bench.ways import (
    Setting,
    forward_flops,
    make_forward,
    make_loop,
    make_peak,
    make_suite,
    make_torch,
)
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

ALL = ['shard:map', 'shard:unroll', 'shard:vmap:2', 'shard:vmap', 'map', 'unroll', 'vmap:2', 'vmap']
LOOP, PEAK, ABOUT = 'plain loop', 'matmul', 'about'
FORWARDS = {'evaluation': False, 'forward of training': True}  # name -> by the statistics of the batch


def work(setting: Setting, name: str) -> None:
    """A contestant: says what it is, then runs a round for every line that it is given."""
    if name == PEAK:
        run, facts = make_peak()
    elif name == LOOP:
        run, facts = make_loop(setting)
    elif name in FORWARDS:
        run, facts = make_forward(setting, strategies()[0], FORWARDS[name])
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
