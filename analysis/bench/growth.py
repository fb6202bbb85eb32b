"""How the time of `train` and of every stage of `explain` grows with members, images, classes, pixels and units.

    python -m imbalance_jax.analysis.bench.growth [--only=images,classes] [--out=growth.json]

One quantity at a time grows from a base, the others stay. The data are a folder of noise with boxes, read as any other
folder; every image of the test split has each finding with probability 1/4, so pairs grow with classes too; nothing
is capped. Every point is a working directory of its own, trained and explained twice in processes of their own: the
second time, with programs from the cache of the first, is timed, as CPU seconds of all threads, which other work on the
machine moves less than the clock.

Seconds of a quantity q are taken as a + b q^e: tracing and all else that does not grow is a. Each quantity doubles
twice, so that e = log2 of the second increment over the first, whatever a is. Increments below a second are not told
from noise: there is no exponent of them.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import contestants

ONLY = flags.DEFINE_list('only', [], 'of the quantities; all without it')
OUT = flags.DEFINE_string('out', '', 'a file for the figures, as JSON')
WORKER = flags.DEFINE_string('worker', '', 'a folder to work in: for the program itself')
TRAINING_IMAGES, POSITIVE = 128, 0.25
TOLD_FROM_NOISE = 1.0  # seconds
TRAIN = 'train'


class Study(NamedTuple):
    """What is trained and explained; images: of the test split; units: channels of the first stage."""

    members: int = 4
    images: int = 96
    classes: int = 4
    pixels: int = 32
    units: int = 8


GROWTH: Mapping[str, tuple[int, ...]] = {
    'members': (4, 8, 16),
    'images': (192, 384, 768),
    'classes': (4, 8, 16),
    'pixels': (32, 64, 128),
    'units': (16, 32, 64),
}


def write_images(study: Study, folder: Path) -> None:
    """images/*.png of noise with a brighter box for every finding, labels.csv, and a row of boxes.csv per box."""
    import pandas as pd
    from PIL import Image

    (folder / 'images').mkdir(parents=True)
    random, size = np.random.default_rng(0), study.pixels
    labels, boxes = [], []
    for number in range(TRAINING_IMAGES + study.images):
        name, present = f'{number:05}.png', random.random(study.classes) < POSITIVE
        split = 'test' if number >= TRAINING_IMAGES else ('train', 'validation')[number % 4 == 0]
        pixels = random.integers(0, 128, (size, size))
        for k in np.flatnonzero(present):
            x, y = random.integers(0, size // 2, 2)
            width, height = random.integers(size // 8, size // 2, 2)
            pixels[y : y + height, x : x + width] += 8 * (int(k) % 8 + 1)
            boxes.append((name, f'finding {k}', x, y, x + width, y + height))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / 'images' / name)
        labels.append((name, split, *present.astype(int)))
    columns = [f'finding {k}' for k in range(study.classes)]
    pd.DataFrame(labels, columns=['image', 'split', *columns]).to_csv(folder / 'labels.csv', index=False)
    pd.DataFrame(boxes, columns=['image', 'finding', 'x0', 'y0', 'x1', 'y1']).to_csv(folder / 'boxes.csv', index=False)


def make_config(study: Study, folder: Path):
    """The config of a study of the images in `folder`, in which nothing is capped."""
    from imbalance_jax.configs import base

    config = base.get_config()
    config.seeds = tuple(range(study.members // 2))
    with config.unlocked():
        config.arms = {'bce': {}, 'focal': {}}
        config.data.noise = {
            'reader': 'folder',
            'path': str(folder),
            'tables': ({'file': 'labels.csv'}, {'file': 'boxes.csv', 'name': 'boxes'}),
            'images': {'file': 'images/{image}'},
            'labels': {'columns': tuple(f'finding {k}' for k in range(study.classes))},
            'split': {'column': 'split'},
            'regions': {
                'table': 'boxes',
                'on': ('image',),
                'column': 'finding',
                'box': ('x0', 'y0', 'x1', 'y1'),
                'form': 'xyxy',
            },
        }
        config.model.cnn.widths = contestants.widths(study.units)
    config.data.name = 'noise'
    config.data.folder = str(folder / 'prepared')
    config.data.image_size = study.pixels
    config.population.strategy = 'shard:map'
    config.train.epochs = 2
    config.train.batch_size = 32
    config.train.warmup_steps = 2
    config.attribution.integrated_gradients.steps = 16
    config.concepts.max_images = study.images
    config.concepts.layers = ()
    config.concepts.probe_controls = 19
    config.concepts.tcav_directions = 50
    config.evaluate.bootstrap_rounds = 200
    return config


def cpu_seconds() -> float:
    """Of this process, all threads, and of its children that have ended."""
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + of_children.ru_utime + of_children.ru_stime


def work(folder: Path) -> None:
    """Trains and explains what `folder` holds; writes CPU seconds by stage beside it."""
    from imbalance_jax.explain import run as explain
    from imbalance_jax.training import run as training

    seconds: dict[str, float] = {}

    def timed(name, run):
        def measured(*args):
            begin = cpu_seconds()
            run(*args)
            seconds[name] = cpu_seconds() - begin

        return measured

    config = make_config(Study(**json.loads((folder / 'study.json').read_text())), folder)
    workdir = folder / 'run'
    timed(TRAIN, training.run)(config, workdir)
    stages = {name: stage._replace(run=timed(name, stage.run)) for name, stage in explain.STAGES.items()}
    explain.run(workdir, stages=stages)
    (folder / 'seconds.json').write_text(json.dumps(seconds))


def measure(study: Study, cache: Path) -> dict[str, float]:
    """Stage -> CPU seconds, of the second of two runs in processes of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(study, folder)
        (folder / 'study.json').write_text(json.dumps(study._asdict()))
        command = [sys.executable, '-m', 'imbalance_jax.analysis.bench.growth', f'--worker={folder}']
        for _ in range(2):
            shutil.rmtree(folder / 'run', ignore_errors=True)
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, 'IMBALANCE_JAX_CACHE': str(cache)}
            )
        return json.loads((folder / 'seconds.json').read_text())


def exponent(seconds: Sequence[float]) -> float | None:
    """Of the part that grows, from three points of which each has twice the quantity of the one before."""
    first, second = np.diff(seconds)
    return round(float(np.log2(second / first)), 2) if min(first, second) >= TOLD_FROM_NOISE else None


def table_rows(quantity: str, points: list[dict[str, float]]) -> list[dict]:
    """A line per stage, and one for all of `explain`."""
    values = GROWTH[quantity]
    everything = [{**point, 'explain': sum(v for k, v in point.items() if k != TRAIN)} for point in points]
    rows = []
    for stage in everything[0]:
        seconds = [point[stage] for point in everything]
        at = {f'at {value}': round(second, 1) for value, second in zip(values, seconds, strict=True)}
        rows.append({'stage': stage, **at, 'exponent': exponent(seconds)})
    return sorted(rows, key=lambda row: -row[f'at {values[-1]}'])


def main(_) -> None:
    if WORKER.value:
        work(Path(WORKER.value))
        return
    chosen = ONLY.value or list(GROWTH)
    unknown = sorted(set(chosen) - set(GROWTH))
    if unknown:
        sys.exit(f'--only={",".join(unknown)}: choose from {", ".join(GROWTH)}')
    known: dict[Study, dict[str, float]] = {}
    print(json.dumps({**contestants.about(), 'base': Study()._asdict()}), flush=True)
    figures = {}
    with tempfile.TemporaryDirectory() as cache:
        for quantity in chosen:
            studies = [Study()._replace(**{quantity: value}) for value in GROWTH[quantity]]
            for study in studies:
                if study not in known:
                    known[study] = measure(study, Path(cache))
                    print(f'{quantity} {getattr(study, quantity)}: {sum(known[study].values()):.0f} s', file=sys.stderr)
            figures[quantity] = [known[study] for study in studies]
            print(f'\n### {quantity.capitalize()}\n')
            contestants.print_table(table_rows(quantity, figures[quantity]))
            sys.stdout.flush()
            if OUT.value:
                Path(OUT.value).write_text(json.dumps(figures, indent=1))


if __name__ == '__main__':
    app.run(main)
