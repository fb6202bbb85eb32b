"""What a GPU does with populations, in eight minutes: one command, one table.

    python -m imbalance_jax.analysis.bench.device [--budget=330]

Every setting: the plain flax loop, the suite's strategies (`vmap` makes a convolution one matrix product), `vmap` of
JAX's own convolution, which is grouped, bfloat16, and PyTorch in its ways. JAX's contestants share a process and are
compiled side by side; PyTorch's have processes of their own, which share the GPU under MPS where its daemon can be
started. Rounds are interleaved; medians. A setting that would begin after the budget is left out and named.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import contestants, ways
from imbalance_jax.analysis.bench.ways import Setting
from imbalance_jax.models import product
from imbalance_jax.system import output

BUDGET = flags.DEFINE_float('budget', 330, 'seconds after which no setting begins')
ROUNDS_ = flags.DEFINE_integer('most_rounds', 7, 'interleaved rounds')
ONLY = flags.DEFINE_list('only', [], 'of the settings: names and members, such as cnn-32,resnet50-2')
PEERS = flags.DEFINE_bool('peers', True, 'PyTorch too')
SMALL = flags.DEFINE_bool('small', False, 'tiny settings, to try the program itself')
LOOP, GROUPED, HALF = 'plain loop', 'grouped', 'bf16 '
SETTINGS = (
    (Setting('cnn', 28, 64, 32, 8, 16), ['map', 'vmap', 'vmap:8', 'grouped', 'bf16 vmap']),
    (Setting('resnet50', 224, 64, 2, 2, 64), ['map', 'vmap', 'bf16 map']),
    (Setting('resnet18', 64, 64, 8, 4, 64), ['map', 'vmap', 'grouped', 'bf16 map']),
    (Setting('cnn', 28, 64, 8, 8, 16), ['map', 'vmap', 'grouped', 'bf16 vmap']),
    (Setting('cnn', 28, 64, 128, 8, 16), ['vmap', 'vmap:32', 'grouped', 'bf16 vmap']),
    (Setting('resnet18', 64, 64, 32, 2, 64), ['map', 'vmap', 'bf16 map']),
)
TINY = ((Setting('cnn', 12, 4, 2, 2, 4), ['map', 'vmap', 'grouped', 'bf16 map']),)
TORCH = ['torch sequential', 'torch sequential bf16', 'torch processes', 'torch processes bf16', 'torch vmap']
NO_VMAP = {'resnet50'}


def grouped_conv(x, kernel, stride=1, padding=0):
    """`models.convolution.conv` as JAX has it, which `vmap` over members makes a grouped convolution."""
    return product.plain(x, kernel, stride, ((padding, padding),) * 2)


def products() -> list[dict]:
    """Matrix products of 8192 x 8192 by precision, in FLOP/s, and the memory there is."""
    import jax
    import jax.numpy as jnp

    size = 256 if SMALL.value else 8192
    rows = []
    for name, dtype, precision in (
        ('float32', jnp.float32, 'highest'),
        ('default float32', jnp.float32, 'default'),
        ('bfloat16', jnp.bfloat16, 'default'),
    ):
        a = jax.random.normal(jax.random.key(0), (size, size), dtype)
        multiply = jax.jit(lambda a, precision=precision: jnp.matmul(a, a, precision=precision))
        multiply(a).block_until_ready()
        seconds = []
        for _ in range(10):
            begin = time.perf_counter()
            multiply(a).block_until_ready()
            seconds.append(time.perf_counter() - begin)
        rows.append({'matrix product': name, 'TFLOP/s': round(2 * size**3 / float(np.median(seconds)) / 1e12, 1)})
    stats = jax.devices()[0].memory_stats() or {}
    print(f'memory of the device: {stats.get("bytes_limit", 0) / 2**30:.1f} GiB', flush=True)
    return rows


def make_contestant(setting: Setting, name: str) -> tuple[Callable[[], float], dict]:
    """A way of this process: `run() -> seconds` and facts."""
    if name == LOOP:
        run, _ = ways.make_loop(setting)
        begin = time.perf_counter()
        run()
        return run, {'compile_seconds': round(time.perf_counter() - begin, 1)}
    strategy = name.removeprefix(HALF)
    setting = setting._replace(dtype='bfloat16' if name.startswith(HALF) else 'float32')
    if strategy == GROUPED:
        run, facts = ways.make_suite(setting, 'vmap', grouped_conv)
    else:
        run, facts = ways.make_suite(setting, strategy)
    run()
    return run, facts


def try_contestant(setting: Setting, name: str):
    """The contestant, or what it failed of."""
    begin = time.perf_counter()
    try:
        return make_contestant(setting, name)
    except Exception as error:  # one that does not fit must not end the others
        return None, {'failed': f'{type(error).__name__}: {str(error)[:120]}'}
    finally:
        print(f'  {name}: ready after {time.perf_counter() - begin:.0f} s', file=sys.stderr, flush=True)


class Peer:
    """PyTorch, in a process of its own: called, it answers with the seconds of a round."""

    def __init__(self, setting: Setting, way: str):
        module = 'imbalance_jax.analysis.bench.torch_worker'
        command = [sys.executable, '-W', 'ignore', '-m', module, way, json.dumps(setting._asdict())]
        self.process = contestants.open_worker(command, quiet=True)

    def __call__(self) -> float:
        return contestants.time_round(self.process)


def start_peers(setting: Setting) -> dict[str, Peer]:
    """PyTorch in all its ways, each getting ready in its process."""
    left_out = {'torch vmap'} if setting.model in NO_VMAP else set()
    return {way: Peer(setting, way) for way in TORCH if way not in left_out}


def try_peer(way: str, peer: Peer) -> dict:
    """Two untimed rounds; {} or what it failed of."""
    begin = time.perf_counter()
    try:
        peer()
        peer()
    except (ChildProcessError, OSError) as error:
        return {'failed': str(error)}
    print(f'  {way}: ready after {time.perf_counter() - begin:.0f} s more', file=sys.stderr, flush=True)
    return {}


def time_rounds(runs: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds of every contestant's rounds, interleaved: as many as there is time for, but at least three."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    begin = time.perf_counter()
    for number in range(ROUNDS_.value):
        for name, run in runs.items():
            times[name].append(run())
        if number >= 2 and time.perf_counter() - begin > 25:
            break
    return times


def measure(setting: Setting, names: list[str]) -> list[dict]:
    """Rows of one setting."""
    peers = start_peers(setting) if PEERS.value else {}
    with ThreadPoolExecutor(8) as pool:
        tried = dict(zip([LOOP, *names], pool.map(partial(try_contestant, setting), [LOOP, *names]), strict=True))
    runs = {name: run for name, (run, _) in tried.items() if run}
    facts = {name: fact for name, (_, fact) in tried.items()}
    for way, peer in peers.items():
        facts[way] = try_peer(way, peer)
        if not facts[way]:
            runs[way] = peer
    times = time_rounds(runs)
    for peer in peers.values():
        peer.process.kill()
    try:
        flops = ways.forward_flops(setting)
    except (TypeError, KeyError, RuntimeError):  # XLA does not say
        flops = float('nan')
    order = sorted(facts, key=lambda name: np.median(times.get(name, [np.inf])))
    return [table_row(setting, name, facts[name], times=times, flops=flops) for name in order]


def table_row(setting: Setting, name: str, facts: dict, *, times: dict[str, list[float]], flops: float) -> dict:
    """A line of the table. times: of all contestants; flops: of an image's forward pass."""
    row = {'model': f'{setting.model} w{setting.width}', 'px': setting.size, 'P': setting.members, 'way': name}
    if name not in times:
        empty = ['images x members/s', 'x loop', 'TFLOP/s', 'compile s', 'temporary MiB', 'rounds']
        return {**row, **dict.fromkeys(empty), 'failed': facts['failed']}
    speed = setting.members * setting.steps * setting.batch / np.median(times[name])
    ratio = np.median(np.array(times[LOOP]) / times[name]) if LOOP in times else np.nan
    temporary = facts.get('temporary_bytes')
    return {
        **row,
        'images x members/s': round(speed),
        'x loop': round(float(ratio), 2),
        'TFLOP/s': round(3 * flops * speed / 1e12, 2),
        'compile s': facts.get('compile_seconds'),
        'temporary MiB': temporary and round(temporary / 2**20),
        'rounds': len(times[name]),
        'failed': None,
    }


def main(_) -> None:
    begin = time.perf_counter()
    if subprocess.run('command -v nvidia-cuda-mps-control', shell=True, capture_output=True).returncode == 0:
        started = subprocess.run(['nvidia-cuda-mps-control', '-d'], capture_output=True, text=True)
        print(f'MPS: {started.returncode} {started.stderr.strip()}', flush=True)
    else:
        print('MPS: no daemon here', flush=True)
    print(json.dumps(contestants.about()), flush=True)
    contestants.print_table(products())
    for setting, names in TINY if SMALL.value else SETTINGS:
        if ONLY.value and f'{setting.model}-{setting.members}' not in ONLY.value:
            continue
        if time.perf_counter() - begin > BUDGET.value:
            print(f'left out: {setting}', flush=True)
            continue
        try:
            contestants.print_table(measure(setting, names))
        except Exception as error:  # the others are still worth having
            print(f'{setting}: {type(error).__name__}: {error}', flush=True)
        print(f'{time.perf_counter() - begin:.0f} s so far', flush=True)


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
