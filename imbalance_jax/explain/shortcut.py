"""The shortcut study: a chest drain that comes with one finding of the phantom, and what each arm makes of it.

The test split is drawn twice, film by film the same but for the drain: confounded, as in training, and clean, where the
drain is as frequent with the finding as without. What the metrics hide - a high AUROC from the drain - the clean split
and the maps show.
"""

from functools import partial
from pathlib import Path

import jax
import numpy as np

from imbalance_jax import alignment
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data import sources as datasets
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import region_masks
from imbalance_jax.explain import maps as explain_maps
from imbalance_jax.metrics import scores as metrics
from imbalance_jax.results import shortcut as results_shortcut
from imbalance_jax.results.shortcut import TUBE
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import cached_arrays, read_arrays, write_table
from imbalance_jax.training.trained import PREDICTIONS, SPLIT, Trained

BATCH = 64


def clean_options(options: dict) -> dict:
    """The phantom's options for the clean split."""
    return {**options, 'shortcut_probability': options['shortcut_background']}


def masks_of(dataset: Dataset, concept: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the test images with a region of one concept [n], ascending, and its exact masks [n,H,W]."""
    tests = np.isin(dataset.region_image, dataset.rows('test'))
    regions = np.flatnonzero(tests & (dataset.region_concept == dataset.concepts.index(concept)))
    regions = regions[np.argsort(dataset.region_image[regions], kind='stable')]
    return dataset.region_image[regions], region_masks(dataset, regions, 'exact')


def predict(trained, images: np.ndarray) -> np.ndarray:
    """Logits [P,n,K] of all members."""
    batches = images[data_arrays.full_batches(len(images), BATCH)]

    def logits(variables, batches):
        return jax.lax.map(lambda x: trained.model.apply(variables, trained.normalise(x))[0], batches)

    found = trained.place.fetch(trained.place.map(logits)(trained.variables, trained.place.shared(batches)))
    return found.reshape(len(found), -1, found.shape[-1])[:, : len(images)]


def measure(trained, clean: Dataset, name: str, confounded: np.ndarray, methods) -> dict[str, np.ndarray]:
    """Figures of the shortcut's class `name`: AUROC [P] on both splits, and by method the share of the heat [P,M] that
    lies on the drain and on the finding, of test images that show both, beside the area of each [M].

    confounded: the members' logits [P,N,K] of the test split that they come with.
    """
    dataset = trained.dataset
    k, rows = dataset.classes.index(name), dataset.rows('test')
    logits = {'confounded': confounded, 'clean': predict(trained, clean.images[rows])}
    labels, mask = dataset.labels[rows], dataset.label_mask[rows]
    found = {f'auroc_{split}': metrics.auroc(one, labels, mask)[:, k] for split, one in logits.items()}
    drained, tubes = masks_of(dataset, TUBE)
    ill, findings = masks_of(dataset, name)
    both = np.intersect1d(drained, ill)
    regions = {'tube': tubes[np.searchsorted(drained, both)], 'finding': findings[np.searchsorted(ill, both)]}
    found |= {f'area_{part}': one.mean((1, 2)) for part, one in regions.items()}

    def shares(heat, *on):
        mass = alignment.METRICS['relevance_mass']
        return {f'mass_{part}': mass(heat, one) for part, one in zip(regions, on, strict=True)}

    judge = explain_maps.make_judge(trained, shares)
    arrays = (dataset.images[both], np.full(len(both), k), both)
    for method in methods if len(both) else ():
        maps, phase = explain_maps.make_maps(trained, method), f'explain: shortcut, {method}'
        made, _ = explain_maps.in_slabs(trained, maps, arrays, phase, (), judge, tuple(regions.values()))
        found |= {f'{method}: {n}': value[: len(trained.members)] for n, value in made.items()}
    return found


def follow_shortcut(trained: Trained, workdir: Path) -> None:
    """results/shortcut, of a phantom with one: AUROC with and without it, and how much of each map lies on it."""
    config, name = trained.config, trained.config.data.phantom.shortcut_class
    if config.data.name != 'phantom' or not name:
        return
    options = {**config.data.phantom, 'image_size': config.data.image_size}
    clean = datasets.load('phantom', Path(config.data.folder), clean_options(options))
    logits = read_arrays(workdir / PREDICTIONS)[f'logits_{SPLIT}']
    make = partial(measure, trained, clean, name, logits, config.attribution.methods)
    found = cached_arrays(layout.explained(workdir, 'shortcut'), workdir / PREDICTIONS, make)
    rows = results_shortcut.rows(trained.members, found, name, trained.alive)
    write_table(workdir, 'shortcut', [{**row, 'split': SPLIT} for row in rows])
