"""Times network dissection of a population against what one would write for each model with PyTorch and forward hooks.

    python -m imbalance_jax.analysis.bench.concepts --model=resnet18 --size=64 --images=512 --members=8 --peer=torch

Work is the same for all: activations of the last stage of every member on every image, a threshold per unit over all
positions, and the overlap of every unit with every concept. `suite` is `explain.unit_passes`, all members at once, two
passes over a probe set that streams by; `suite, one by one` holds one member's activations and calls `concepts.dissect`
on them; `torch` is an eager model with a forward hook that keeps a model's activations, `topk`, and up-sampled maps
multiplied with masks, as is usual. None has a null but `suite with null`, which adds `--rounds` of it. Weights, images
and masks are random.

Every contestant has a process of its own; rounds are interleaved, and each runs once untimed before. One JSON line per
contestant, then a table: units x images x concepts per second summed over members (median over rounds), the ratio to
PyTorch (median of each round's ratio), memory at its highest.
"""

import json
import sys
import time

import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import contestants
from imbalance_jax.analysis.bench.contestants import Contestant
from imbalance_jax.system import output

MODEL = flags.DEFINE_enum('model', 'cnn', ['cnn', 'resnet18'], 'which model')
SIZE = flags.DEFINE_integer('size', 64, 'pixels')
IMAGES = flags.DEFINE_integer('images', 512, 'N')
MEMBERS = flags.DEFINE_integer('members', 8, 'P')
CONCEPTS = flags.DEFINE_integer('concepts', 12, 'S')
WIDTH = flags.DEFINE_integer('width', 16, 'channels of the first stage')
QUANTILE = flags.DEFINE_float('quantile', 0.005, 'share of positions above a threshold')
NULL_ROUNDS = flags.DEFINE_integer('rounds', 100, 'of the null, where there is one')
REPEATS = flags.DEFINE_integer('repeats', 5, 'interleaved rounds of timing')
PEER = flags.DEFINE_enum('peer', '', ['', 'torch'], 'also time PyTorch, if it is installed')
WORKER = flags.DEFINE_string('worker', '', 'a contestant, in a process of its own: for the program itself')
BATCH = 64
SUITE, NULLED, ONE, TORCH, ABOUT = 'suite', 'suite with null', 'suite, one by one', 'torch', 'about'


def make_data():
    """A data set of noise with a box of some concepts in each image."""
    from imbalance_jax.data.dataset import Dataset

    random, N, S, size = np.random.default_rng(0), IMAGES.value, CONCEPTS.value, SIZE.value
    image, concept = np.nonzero(random.random((N, S)) < 0.25)
    corner = random.integers(0, size // 2, (len(image), 2))
    boxes = np.concatenate([corner, corner + random.integers(size // 8, size // 2, (len(image), 2))], axis=1)
    return Dataset(
        images=random.integers(0, 256, (N, size, size, 1)).astype(np.uint8),
        labels=np.zeros((N, S), np.uint8),
        label_mask=np.ones((N, S), np.uint8),
        split=np.full(N, 2, np.uint8),
        patient=np.arange(N),
        image_id=np.arange(N).astype(str),
        region_image=image.astype(np.int32),
        region_concept=concept.astype(np.int32),
        region_box=boxes.astype(np.float32),
        region_mask=np.zeros((0, size, -(-size // 8)), np.uint8),
        info={'classes': [str(s) for s in range(S)], 'concepts': [str(s) for s in range(S)], 'frame': [size, size]},
    )


def make_probe():
    """Members with random weights, and the probe set."""
    import jax

    from imbalance_jax import models
    from imbalance_jax.attribution import layers
    from imbalance_jax.data import arrays
    from imbalance_jax.explain import probe as explain_probe
    from imbalance_jax.training import placement

    placement.use_all_cores()
    dataset, shape = make_data(), (SIZE.value, SIZE.value, 1)
    width = {'widths': contestants.widths(WIDTH.value)} if MODEL.value == 'cnn' else {'width': WIDTH.value}
    model = models.make(MODEL.value, CONCEPTS.value, **width)
    strategy = 'shard:map' if jax.default_backend() == 'cpu' else 'shard:vmap'
    place = placement.place(MEMBERS.value, strategy)

    def init(seed):
        return model.init(jax.random.key(seed), np.zeros((1, *shape), np.float32), mutable=['params', 'batch_stats'])

    variables = place.map(init)(place.members(np.arange(MEMBERS.value)))
    one = jax.tree.map(lambda a: a[0], variables)
    layer = layers.last_stage(model, one, shape)
    return explain_probe.Probe(
        dataset=dataset,
        rows=np.arange(IMAGES.value),
        weights=np.ones(IMAGES.value),
        regions='box',
        layers={layer: layers.layer_shapes(model, one, shape)[layer]},
        tcav_layer=layer,
        model=model,
        normalise=lambda images: arrays.normalise(images, 0.5, 0.25),
        place=place,
        variables=variables,
        programs={},
    )


def make_suite(null: str | None):
    """Two passes over the probe set, all members at once."""
    from imbalance_jax.explain import unit_passes

    probe, quantile = make_probe(), QUANTILE.value

    def run() -> None:
        thresholds = unit_passes.collect_thresholds(probe, quantile, 1 - quantile)
        rounds = NULL_ROUNDS.value if null else 0
        unit_passes.dissect(probe, thresholds, quantile=quantile, null=null, rounds=rounds)

    return run


def make_one_by_one():
    """Each member's activations held whole, and `concepts.dissect`."""
    import jax

    from imbalance_jax import concepts

    probe = make_probe()
    images = probe.dataset.images
    features = jax.jit(lambda v, x: probe.model.apply(v, probe.normalise(x))[1][probe.main])
    masks = probe.masks(np.arange(IMAGES.value))

    def run() -> None:
        for member in range(MEMBERS.value):
            variables = jax.tree.map(lambda a, m=member: a[m], probe.variables)
            parts = [features(variables, images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
            concepts.dissect(np.concatenate(parts), masks, QUANTILE.value, null=None)

    return run


def make_torch():
    """For each model: a forward hook keeps the layer, a quantile per unit, maps enlarged and multiplied with masks."""
    import torch
    from torch.nn.functional import interpolate

    from imbalance_jax.analysis.bench import plain_torch

    dataset = make_data()
    nets = [plain_torch.make(MODEL.value, CONCEPTS.value, WIDTH.value, SIZE.value).eval() for _ in range(MEMBERS.value)]
    images = torch.from_numpy(dataset.images).permute(0, 3, 1, 2).to(plain_torch.DEVICE)
    masks = torch.from_numpy(np.moveaxis(make_masks(dataset), -1, 1).astype(np.float32)).to(plain_torch.DEVICE)
    stages = [net.norms[-1] if MODEL.value == 'cnn' else net.body[-1] for net in nets]  # a ReLU follows, or is in it

    @torch.inference_mode()
    def run() -> None:
        for net, stage in zip(nets, stages, strict=True):
            kept: list = []
            hook = stage.register_forward_hook(lambda _, __, out, kept=kept: kept.append(out.relu()))
            for i in range(0, len(images), BATCH):
                net((images[i : i + BATCH].float() / 255 - 0.5) / 0.25)
            hook.remove()
            maps = torch.cat(kept)
            values = maps.permute(1, 0, 2, 3).flatten(1)
            above = max(int(QUANTILE.value * values.shape[1]), 1)
            threshold = values.topk(above + 1, dim=1).values[:, -1]
            overlap, active = 0, 0
            for i in range(0, len(maps), BATCH):
                large = interpolate(maps[i : i + BATCH], size=masks.shape[2:], mode='bilinear', align_corners=False)
                on = (large > threshold[:, None, None]).float()
                flat, truth = (a.transpose(0, 1).flatten(1) for a in (on, masks[i : i + BATCH]))
                overlap = overlap + flat @ truth.T
                active = active + on.sum((0, 2, 3))
            area = masks.sum((0, 2, 3))
            (overlap / (active[:, None] + area - overlap).clamp(min=1)).cpu()

    return run


def make_masks(dataset) -> np.ndarray:
    from imbalance_jax.data.regions import concept_masks

    return concept_masks(dataset, np.arange(len(dataset.images)), 'box')


def work(name: str) -> None:
    """A contestant: says that it is ready, then runs a round for every line that it is given."""
    makers = {
        SUITE: lambda: make_suite(None),
        NULLED: lambda: make_suite('image_permutation'),
        ONE: make_one_by_one,
        TORCH: make_torch,
    }
    output, sys.stdout = sys.stdout, sys.stderr  # progress is not a result
    run = makers[name]()
    begin = time.perf_counter()
    run()
    print(json.dumps({'first_call_seconds': round(time.perf_counter() - begin, 1)}), file=output, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(json.dumps(time.perf_counter() - begin), file=output, flush=True)


def environment() -> dict:
    """Device, versions and the units of the layer, from a process that ends before any is timed."""
    probe = make_probe()
    return {**contestants.about(), 'layer': probe.main, 'shape': list(probe.layers[probe.main])}


def ways() -> list[str]:
    names = [SUITE, NULLED, ONE]
    if PEER.value:
        try:
            import torch  # noqa: F401
        except ImportError:
            print('PyTorch is not installed: no peer.', file=sys.stderr)
        else:
            names.append(TORCH)
    return names


def main(_) -> None:
    if WORKER.value:
        if WORKER.value == ABOUT:
            print(json.dumps(environment()))
        else:
            work(WORKER.value)
        return
    about = Contestant('concepts', ABOUT, quiet=True).facts
    runs = {name: Contestant('concepts', name, quiet=True) for name in ways()}
    times = {name: [] for name in runs}
    for _ in range(REPEATS.value):
        for name, run in runs.items():
            times[name].append(run.time())
    report(about, runs, {name: np.array(seconds) for name, seconds in times.items()})


def report(about: dict, runs: dict[str, Contestant], times: dict[str, np.ndarray]) -> None:
    """One JSON line per contestant, and the table."""
    cells = about['shape'][-1] * IMAGES.value * CONCEPTS.value * MEMBERS.value
    setting = {f.name: f.value for f in (MODEL, SIZE, IMAGES, MEMBERS, CONCEPTS, WIDTH, QUANTILE, NULL_ROUNDS)}
    lines = []
    for name, run in sorted(runs.items(), key=lambda item: np.median(times[item[0]])):
        line = {
            'way': name,
            'units_images_concepts_per_second': round(cells / float(np.median(times[name]))),
            'seconds': round(float(np.median(times[name])), 2),
            'ratio_to_torch': round(float(np.median(times[TORCH] / times[name])), 2) if TORCH in times else None,
            'first_call_seconds': run.facts['first_call_seconds'],
            'process_peak_mib': round(run.peak_bytes() / 2**20) if run.peak_bytes() else None,
        }
        lines.append(line)
        print(json.dumps({**line, **setting, **about, 'repeats': REPEATS.value}))
    print(f'\n{", ".join(f"{key} {value}" for key, value in {**setting, **about}.items())}, {REPEATS.value} rounds\n')
    contestants.print_table(lines)


if __name__ == '__main__':
    output.never_fails()
    app.run(main)
