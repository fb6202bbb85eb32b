"""Stage `shortcut`: a chest drain that comes with one finding of the phantom, and what each arm makes of it.

The test split is drawn twice, film by film the same but for the drain: confounded, as in training, and clean, where the
drain is as frequent with the finding as without. What the metrics hide - a high AUROC from the drain - the clean split
and the maps show.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax import alignment
from imbalance_jax.data import sources
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import region_masks
from imbalance_jax.data.streams import Rows
from imbalance_jax.explain import outputs
from imbalance_jax.explain.maps import Scorer, asked_of_maps, compile_slab, in_slabs, make_maps
from imbalance_jax.results import shortcut
from imbalance_jax.results.rows import Bootstrap
from imbalance_jax.results.shortcut import CLEAN, CONFOUNDED, FINDING, TUBE
from imbalance_jax.training.member import make_predict
from imbalance_jax.training.prediction import predict
from imbalance_jax.training.trained import SPLIT, Asked, Stage, Trained

BATCH = 64  # images of the clean split at a time
DRAIN = 'Tube'  # the phantom's concept


class Measured(NamedTuple):
    """Logits of the shortcut's class on both versions of the test split, logits [V,P,N], and which films show the drain
    [V,N]; of the M test images that show the drain and the finding, the area [R,M] of both regions, and by method the
    share of the heat on each, mass [A,R,P,M]."""

    versions: np.ndarray
    logits: np.ndarray
    tube: np.ndarray
    regions: np.ndarray
    area: np.ndarray
    methods: np.ndarray
    mass: np.ndarray

    def by_name(self, dataset: Dataset, name: str) -> shortcut.Shortcut:
        """The same as mappings, with the labels of class `name`."""
        versions, regions, methods = (names.tolist() for names in (self.versions, self.regions, self.methods))
        rows, k = dataset.rows(SPLIT), dataset.classes.index(name)
        parts = zip(versions, self.logits, self.tube, strict=True)
        return shortcut.Shortcut(
            versions={version: shortcut.Version(logits, tube) for version, logits, tube in parts},
            labels=dataset.labels[rows, k],
            label_mask=dataset.label_mask[rows, k],
            patients=dataset.patient[rows],
            area=dict(zip(regions, self.area, strict=True)),
            mass={m: dict(zip(regions, mass, strict=True)) for m, mass in zip(methods, self.mass, strict=True)},
        )


def run(trained: Trained, workdir: Path) -> None:
    """results/shortcut, of a phantom with one: AUROC with and without it, and how much of each map lies on it."""
    config, name = trained.config, trained.config.data.phantom.shortcut_class
    if config.data.name != 'phantom' or not name:
        return
    options = {**config.data.phantom, 'image_size': config.data.image_size}
    clean = sources.load('phantom', Path(config.data.folder), clean_options(options))
    logits, methods = outputs.test_logits(workdir), config.attribution.methods
    make = partial(measure, trained, clean, name, logits=logits, methods=methods)
    measured = Measured(**outputs.cached(workdir, 'shortcut', make))
    rows = shortcut.rows(
        outputs.population(trained),
        measured.by_name(trained.dataset, name),
        name,
        bootstrap=Bootstrap(config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed),
        smallest_count=config.evaluate.smallest_count,
    )
    outputs.write_rows(workdir, 'shortcut', rows)


def clean_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The phantom's options for the clean split."""
    return {**options, 'shortcut_probability': options['shortcut_background']}


def masks_of(dataset: Dataset, concept: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the test images with a region of one concept [n], ascending, and its exact masks [n,H,W]."""
    in_test = np.isin(dataset.region_image, dataset.rows(SPLIT))
    regions = np.flatnonzero(in_test & (dataset.region_concept == dataset.concepts.index(concept)))
    regions = regions[np.argsort(dataset.region_image[regions], kind='stable')]
    return dataset.region_image[regions], region_masks(dataset, regions, 'exact')


def measure(trained: Trained, clean: Dataset, name: str, *, logits: np.ndarray, methods: Sequence[str]) -> Measured:
    """The figures of the shortcut's class `name`; logits: the members' [P,N,K] of the confounded test split."""
    dataset = trained.dataset
    rows, k = dataset.rows(SPLIT), dataset.classes.index(name)
    predict_one = make_predict(trained.model, trained.normalise)
    of_clean = predict(trained.place, predict_one, trained.variables, images=Rows(clean.images, rows), batch_size=BATCH)
    by_version = {CONFOUNDED: logits, CLEAN: of_clean}
    tube = [np.isin(rows, masks_of(one, DRAIN)[0]) for one in (dataset, clean)]
    images, regions = regions_of_both(dataset, name)
    methods = list(methods) if len(images) else []
    scorer = make_region_scorer(trained, list(regions))
    mass = [heat_shares(trained, method, images, k=k, scorer=scorer, regions=regions) for method in methods]
    return Measured(
        versions=np.array(list(by_version)),
        logits=np.stack([one[..., k] for one in by_version.values()]),
        tube=np.stack(tube),
        regions=np.array(list(regions)),
        area=np.stack([one.mean((1, 2)) for one in regions.values()]),
        methods=np.array(methods, dtype=str),
        mass=np.reshape(mass, (len(methods), len(regions), len(trained.members), len(images))),
    )


def regions_of_both(dataset: Dataset, name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows [M] of the test images that show the drain and the finding `name`, and the masks [M,H,W] of both."""
    with_drain, drains = masks_of(dataset, DRAIN)
    with_finding, findings = masks_of(dataset, name)
    both = np.intersect1d(with_drain, with_finding)
    regions = {
        TUBE: drains[np.searchsorted(with_drain, both)],
        FINDING: findings[np.searchsorted(with_finding, both)],
    }
    return both, regions


def make_region_scorer(trained: Trained, names: Sequence[str]) -> Scorer:
    """`scorer(maps, *masks)`: the share of the heat on the mask of each region."""
    relevance_mass = alignment.METRICS['relevance_mass']

    def figures(maps, *masks):
        return {name: relevance_mass(maps, mask) for name, mask in zip(names, masks, strict=True)}

    return Scorer(figures, trained.place, memory_mib=trained.config.attribution.memory_mib)


def heat_shares(
    trained: Trained, method: str, images: np.ndarray, *, k: int, scorer: Scorer, regions: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The share of the heat of class k [R,P,M] that lies on each region, of the images with these rows [M]."""
    arrays = (Rows(trained.dataset.images, images), np.full(len(images), k), images)
    asked = [(scorer, tuple(regions.values()))]
    networks = trained.members_alone
    program = partial(compile_slab, trained, make_maps(trained, method), arrays, networks=networks, asked=asked)
    shares, _ = in_slabs(trained, program, arrays, phase=f'explain: shortcut, {method}', asked=asked)
    return np.stack([shares[name] for name in regions])


def programs(trained: Trained) -> Iterator[Asked]:
    """Maps of a phantom with a shortcut."""
    config = trained.config
    if config.data.name == 'phantom' and config.data.phantom.shortcut_class:
        yield from asked_of_maps(trained, config.attribution.methods)


STAGE = Stage(run=run, tables=('shortcut',), programs=programs)
