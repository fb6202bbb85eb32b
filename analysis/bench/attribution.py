"""Times attribution of all classes, images and members against captum: same network, weights and images, in one run.

    python -m imbalance_jax.analysis.bench.attribution --size=28 --batch=16 --members=4 --peer=captum

Every contestant has a process of its own; rounds are interleaved, one contestant at a time, and each runs once untimed
before it is timed. One JSON line per method and contestant, then a table: images x classes x members per second (median
over rounds), the ratio to captum image by image and to captum on the whole batch (medians of each round's ratio), and
the largest difference of the maps from captum's as a share of the largest value. Methods that draw noise differ by it.
"""

import json
import sys
import time
from datetime import date

import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import contestants
from imbalance_jax.system import output

METHODS = flags.DEFINE_list('methods', ['all'], "which methods, or 'all' that captum has too")
SIZE = flags.DEFINE_integer('size', 28, 'pixels')
BATCH = flags.DEFINE_integer('batch', 16, 'images')
CLASSES = flags.DEFINE_integer('classes', 8, 'K')
MEMBERS = flags.DEFINE_integer('members', 4, 'P')
ROUNDS = flags.DEFINE_integer('rounds', 5, 'interleaved rounds')
WIDTH = flags.DEFINE_integer('width', 16, 'channels of the first stage')
BUDGET = flags.DEFINE_integer('budget_mib', 256, 'memory that a call of ours may hold')
PEER = flags.DEFINE_enum('peer', '', ['', 'captum'], 'also time captum, if it is installed')
WORKER = flags.DEFINE_string('worker', '', 'a contestant, in a process of its own: for the program itself')
OURS, ONE_CLASS = 'all classes at once', 'image by image'
PEERS = ('captum, image by image', 'captum, whole batch', 'captum, images x classes')
SHARED = {
    'saliency': {},
    'input_x_gradient': {},
    'integrated_gradients': {'steps': 20},
    'guided_backprop': {},
    'deconvnet': {},
    'deeplift': {},
    'grad_cam': {},
    'guided_grad_cam': {'interpolation': 'nearest'},
    'occlusion': {'stride': 2},
    'smooth_grad': {'method': 'saliency', 'samples': 10},
}


def make_members():
    """The model, its members' variables [P,...] and images [B,H,W,C] float32."""
    import jax

    from imbalance_jax import models

    model = models.make('cnn', CLASSES.value, widths=contestants.widths(WIDTH.value))
    images = np.random.default_rng(0).normal(size=(BATCH.value, SIZE.value, SIZE.value, 1)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), MEMBERS.value)
    return model, jax.vmap(lambda key: model.init(key, images[:1], mutable=['params', 'batch_stats']))(keys), images


def make_suite(method: str, way: str):
    """Returns `run() -> maps [P,B,K,H,W]`: everything in one call, or one call per image and class, as captum is
    asked."""
    import jax

    from imbalance_jax.attribution import all_classes
    from imbalance_jax.training import placement

    placement.use_all_cores()
    model, variables, images = make_members()

    def network(one, x, shift):
        added = {} if shift is None else {'perturbations': {'stage3': shift}}
        logits, out = model.apply({**one, **added}, x)
        return logits, out['stage3']

    if way == OURS:
        place = placement.place(MEMBERS.value, 'shard:map')
        variables, images = place.members(variables), place.shared(images)
        options = {
            'budget': BUDGET.value * all_classes.MIB,
            'mapper': lambda fn: place.map(fn),
            'options': SHARED[method],
        }
        call = all_classes.all_classes(network, variables, images, method=method, **options).maps
        return lambda: place.fetch(call(variables, images))
    one_map = jax.jit(all_classes.class_maps(network, method, SHARED[method]))
    members = [jax.tree.map(lambda a, i=i: a[i], variables) for i in range(MEMBERS.value)]

    def run() -> np.ndarray:
        heat = [
            [[one_map(one, images[b : b + 1], np.array([[k]]), np.array([b])) for k in range(CLASSES.value)]
             for b in range(BATCH.value)]
            for one in members
        ]  # fmt: skip
        return np.asarray(heat)[:, :, :, 0, 0]

    return run


def make_peer(method: str, way: str):
    import jax

    from imbalance_jax.analysis.bench import captum_peer

    _, variables, images = make_members()
    members = [jax.tree.map(lambda a, i=i: np.asarray(a[i]), variables) for i in range(MEMBERS.value)]
    return captum_peer.make(method, way, members, images, CLASSES.value)


def work(name: str) -> None:
    """A contestant: for every line 'METHOD' it runs once, and answers with seconds and the file of its maps."""
    folder, way = name.split('|')
    runs = {}
    for line in sys.stdin:
        method = line.strip()
        if method not in runs:
            runs[method] = (make_suite if way in (OURS, ONE_CLASS) else make_peer)(method, way)
            np.save(f'{folder}/{way}.{method}.npy', runs[method]())
        runs[method]()  # after the others had the processor, caches are cold
        begin = time.perf_counter()
        runs[method]()
        print(json.dumps(time.perf_counter() - begin), flush=True)


class Contestant:
    """A process that answers every method with the seconds it took."""

    def __init__(self, folder: str, way: str):
        self.process = contestants.start('attribution', f'{folder}|{way}', '-W', 'ignore')

    def time(self, method: str) -> float:
        self.process.stdin.write(f'{method}\n')
        self.process.stdin.flush()
        for line in self.process.stdout:
            try:
                return float(line)
            except ValueError:  # a library talks
                continue
        raise ChildProcessError(f'{self.process.args[-1]} ended early.')


def ways() -> list[str]:
    names = [OURS, ONE_CLASS]
    if PEER.value:
        try:
            import captum
            import torch

            names += PEERS
            print(f'captum {captum.__version__}, torch {torch.__version__}', flush=True)
        except ImportError:
            print('captum is not installed: no peer.', file=sys.stderr)
    return names


def main(_) -> None:
    if WORKER.value:
        work(WORKER.value)
        return
    import tempfile

    from imbalance_jax.system import provenance

    methods = list(SHARED) if METHODS.value == ['all'] else METHODS.value
    with tempfile.TemporaryDirectory() as folder:
        runs = {way: Contestant(folder, way) for way in ways()}
        times = {method: {way: [] for way in runs} for method in methods}
        for method in methods:
            for _ in range(ROUNDS.value):
                for way, run in runs.items():
                    times[method][way].append(run.time(method))
        maps = {m: {way: np.load(f'{folder}/{way}.{m}.npy') for way in runs} for m in methods}
        for run in runs.values():
            run.process.stdin.close()
            run.process.wait()
    about = provenance.environment()
    facts = {'device': about['device'], 'cores': about['cores'], 'python': about['python'], **about['versions']}
    report({**facts, 'date': str(date.today())}, times, maps)


def report(about: dict, times: dict, maps: dict) -> None:
    """One JSON line per method and contestant, and the table."""
    setting = {flag.name: flag.value for flag in (SIZE, BATCH, CLASSES, MEMBERS, WIDTH, BUDGET, ROUNDS)}
    units, rows = BATCH.value * CLASSES.value * MEMBERS.value, []
    for method, by_way in times.items():
        seconds = {way: np.array(values) for way, values in by_way.items()}
        for way, rounds in seconds.items():
            ratios = {peer: float(np.median(seconds[peer] / rounds)) if peer in seconds else None for peer in PEERS}
            other = maps[method].get(PEERS[1], maps[method][OURS])
            away = float(np.abs(maps[method][way] - other).max() / max(np.abs(other).max(), 1e-30))
            line = {'method': method, 'way': way, 'maps_per_second': round(units / np.median(rounds))}
            line |= {f'ratio_to_{peer}': ratio and round(ratio, 2) for peer, ratio in ratios.items()}
            line['difference'] = float(f'{away:.1e}')
            rows.append(line)
            print(json.dumps({**line, **setting, **about}), flush=True)
    print(f'\n{", ".join(f"{key} {value}" for key, value in {**setting, **about}.items())}\n')
    names = list(rows[0])
    print(f'| {" | ".join(name.replace("_", " ") for name in names)} |\n|{" --- |" * len(names)}')
    for line in rows:
        print(f'| {" | ".join("-" if line[name] is None else str(line[name]) for name in names)} |')


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
