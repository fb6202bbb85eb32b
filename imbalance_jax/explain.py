"""From a trained population to what it learned: alignment of maps with findings, and concepts in units.

Every part leaves one file in `explain/` when it is done, so that interrupted work goes on with the next part, and the
tables in `results/` are made from those files alone.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import (
    alignment,
    attribution,
    audit,
    data,
    experiment,
    localisation,
    loop,
    placement,
    probing,
    processes,
    unit_study,
)
from imbalance_jax import progress as display
from imbalance_jax.attribution import activations
from imbalance_jax.datasets.store import Dataset
from imbalance_jax.names import lookup
from imbalance_jax.provenance import stage
from imbalance_jax.regions import Pairs, constant_maps, finding_pairs
from imbalance_jax.writer import lock, part, read_arrays, read_json, read_table, write_arrays, write_table

PREDICTIONS = 'predictions.npz'
SPLIT = 'test'  # the only split that is ever explained: maps on training images would flatter
GALLERY = 3  # images a finding in the gallery


class Trained(NamedTuple):
    """A trained population: `variables` [P'] are each member's best by validation AUROC, on their devices."""

    config: ConfigDict
    members: list[dict]
    dataset: Dataset
    model: Any
    normalise: Callable
    place: placement.Placement
    variables: Any
    alive: np.ndarray

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.dataset.images.shape[1:]

    @property
    def layer_of(self) -> Callable[[str], str]:
        """Resolves a layer's name, '' being the last stage; ValueError for a layer that the model does not have."""
        one = jax.tree.map(lambda a: a[0], self.variables)
        return partial(activations.last_stage, self.model, one, self.image_shape)


def run(workdir: Path) -> None:
    """Explains what `workdir` holds: explain/*.npz, results/alignment, audit, and those of what units encode.

    Of several processes the first does it, on its own devices.
    Raises FileNotFoundError if it holds no finished training.
    """
    workdir = Path(workdir)
    if not processes.leads() and not processes.together():
        return
    check_trained(workdir)
    experiment.set_up_jax(together=False)
    with lock(workdir):
        trained = load(workdir)  # processes that are together read checkpoints together
        if not processes.leads():
            return
        with stage(workdir, 'explain', strategy=trained.place.strategy):
            align(trained, workdir)
            dissect(trained, workdir)
            audit_mistakes(trained, workdir)


def check_trained(workdir: Path) -> None:
    """Raises FileNotFoundError unless `workdir` holds a finished training."""
    if not (workdir / PREDICTIONS).exists():
        raise FileNotFoundError(f'{workdir} holds no finished training ({PREDICTIONS} is missing): run train first.')


def load(workdir: Path) -> Trained:
    """The population of a working directory, with its data."""
    config = ConfigDict(read_json(workdir / 'config.json'))
    members = read_json(workdir / 'members.json')
    dataset = experiment.load_dataset(config)
    experiment.check_same_data(dataset, workdir)
    run, plan = experiment.build(config, dataset, members), experiment.read_plan(workdir)
    outcome = loop.finished(run, plan, workdir)
    if outcome is None:
        raise ValueError(f'The last checkpoint of {workdir} is missing or damaged: run train again, it makes it anew.')
    # A population that trained in waves is explained whole, but one member after the other.
    strategy = plan.strategy if len(plan.waves) == 1 else 'shard:map'
    place = placement.place(len(members), strategy, jax.local_devices())
    return Trained(
        config=config,
        members=members,
        dataset=dataset,
        model=run.model,
        normalise=run.normalise,
        place=place,
        variables=place.members(outcome.best),
        alive=read_arrays(workdir / PREDICTIONS)['alive'],
    )


def align(trained: Trained, workdir: Path) -> None:
    """Every method's maps of every finding with a region in the test split, every member, and the nulls beside them."""
    config, dataset = trained.config, trained.dataset
    kind = config.attribution.regions
    pairs = finding_pairs(dataset, SPLIT, kind, config.attribution.max_pairs)
    if not len(pairs.image):
        print(f'The {SPLIT} split has no annotated region: no alignment.')
        write_table(workdir, 'alignment', [])
        return
    figures = {}
    for method in config.attribution.methods:
        path = workdir / 'explain' / f'alignment_{method}.npz'
        figures[method] = part(path, workdir / PREDICTIONS, partial(_align_method, trained, method, pairs))
    constant = constant_maps(finding_pairs(dataset, 'train', kind), pairs)
    nulls = null_figures(pairs, constant)
    options = (config.reference, config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed)
    measured = {m: {k: v for k, v in f.items() if k not in ('gallery', 'made_from')} for m, f in figures.items()}
    rows = localisation.rows(trained.members, measured, nulls, pairs, dataset.classes, trained.alive, *options)
    write_table(workdir, 'alignment', [{**row, 'split': SPLIT} for row in rows])
    shown = gallery_pairs(pairs)
    images = dataset.images[pairs.image[shown], :, :, 0]
    chosen = {'images': images, 'row': pairs.image[shown], 'finding': pairs.finding[shown], 'mask': pairs.mask[shown]}
    write_arrays(workdir / 'explain' / 'gallery.npz', **chosen, constant=constant[shown].astype(np.float16))


def make_maps(trained: Trained, method: str) -> Callable:
    """Returns `maps(variables, images [B,H,W,C] uint8, classes [B], number of the batch) -> [B,H,W]` of one member."""
    model, normalise, setting = trained.model, trained.normalise, trained.config.attribution
    if method in attribution.CAMS:
        layer = trained.layer_of(setting.layer)

        def cam(variables, images, classes, number):
            at = activations.activation_and_gradient(model, variables, normalise(images), classes, layer)
            return attribution.upsample(attribution.CAMS[method](*at), images.shape[1:3])

        return cam
    explain = lookup(attribution.METHODS, method, 'attribution method')
    options = dict(setting.get(method, {}))

    def maps(variables, images, classes, number):
        def score(x):
            return activations.class_logits(model.apply(variables, x)[0], classes)

        key = {'key': jax.random.fold_in(jax.random.key(0), number)} if method in attribution.NEEDS_KEY else {}
        return explain(score, normalise(images), **options, **key)

    return maps


def gallery_pairs(pairs: Pairs) -> np.ndarray:
    """The first few pairs of every finding, in the order of the pairs."""
    first = [np.flatnonzero(pairs.finding == k)[:GALLERY] for k in np.unique(pairs.finding)]
    return np.sort(np.concatenate(first))


def _align_method(trained: Trained, method: str, pairs: Pairs) -> dict[str, np.ndarray]:
    """The study's figures [P,M] of one method, and its maps of the gallery's pairs [P,G,H,W]."""
    place, size = trained.place, trained.config.attribution.batch_size
    maps = make_maps(trained, method)

    def measure(variables, images, classes, masks, number):
        found = maps(variables, images, classes, number)
        return alignment.measure(found, masks), found

    measure = place.map(measure)
    count, shown = len(pairs.image), gallery_pairs(pairs)
    parts, gallery = [], []
    with display.show(f'explain: {method}', count) as update:
        for number, index in enumerate(data.full_batches(count, size)):
            batch = (trained.dataset.images[pairs.image[index]], pairs.finding[index], pairs.mask[index], number)
            figures, found = measure(trained.variables, *place.shared(batch))
            parts.append(place.fetch(figures))
            first = np.isin(index, shown) & (np.arange(size) < count - number * size)
            gallery.append(np.asarray(found)[: place.count, first].astype(np.float32))
            update(min((number + 1) * size, count), note=f'{place.count} members')
    joined = jax.tree.map(lambda *a: np.concatenate(a, axis=1)[:, :count], *parts)
    return {**joined, 'gallery': np.concatenate(gallery, axis=1)}


def null_figures(pairs: Pairs, constant: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """The same figures of maps that know no model: one everywhere, the image centre, the best constant map."""
    centre = np.broadcast_to(alignment.centre_map(pairs.mask.shape[1:]), pairs.mask.shape)
    fitted = np.isfinite(constant).all((1, 2))
    found = alignment.measure(np.nan_to_num(constant), pairs.mask)
    return {
        'chance': jax.tree.map(np.asarray, alignment.measure_flat(pairs.mask)),
        'image centre': jax.tree.map(np.asarray, alignment.measure(centre, pairs.mask)),
        'constant map': {name: np.where(fitted, value, np.nan) for name, value in found.items()},
    }


def probe_images(trained: Trained) -> np.ndarray:
    """Rows of the test images that units are asked about: those with a finding's region first, then the others."""
    dataset = trained.dataset
    rows, most = dataset.rows(SPLIT), trained.config.concepts.max_images
    finding = dataset.region_image[dataset.region_concept < len(dataset.classes)]
    boxed = np.isin(rows, finding)
    return np.sort(np.concatenate([rows[boxed], rows[~boxed]])[:most])


def make_probe(trained: Trained) -> probing.Probe:
    """The images and layers of `config.concepts`, the main layer first and then the others from front to back."""
    config = trained.config.concepts
    one = jax.tree.map(lambda a: a[0], trained.variables)
    shapes = activations.layer_shapes(trained.model, one, trained.image_shape)
    main = trained.layer_of(config.layer)
    others = shapes if 'all' in config.layers else [trained.layer_of(layer) for layer in config.layers]
    asked = trained.layer_of(config.tcav_layer) if config.tcav_layer else layer_before(list(shapes), main)
    return probing.Probe(
        dataset=trained.dataset,
        rows=probe_images(trained),
        regions=config.regions,
        layers={layer: shapes[layer] for layer in dict.fromkeys([main, *others, asked])},
        tcav_layer=asked,
        model=trained.model,
        normalise=trained.normalise,
        place=trained.place,
        variables=trained.variables,
        programs={},
    )


def layer_before(layers: list[str], layer: str) -> str:
    """The layer before another, of layers from front to back, or the first itself."""
    return layers[max(layers.index(layer) - 1, 0)]


def dissect(trained: Trained, workdir: Path) -> None:
    """What units encode: results/concepts, units, directions, kinship and beyond_seeds, of all members."""
    probe, config = make_probe(trained), trained.config
    regions = trained.dataset.region_image
    if not np.isin(regions, probe.rows).any():
        print(f'The {SPLIT} split has no annotated region: no concepts.')
        write_table(workdir, 'concepts', [])
        return
    source = workdir / PREDICTIONS
    who = unit_study.Population(trained.members, trained.alive, config.reference, workdir, source)
    unit_study.run(probe, who, config.concepts.to_dict(), SPLIT)


def audit_mistakes(trained: Trained, workdir: Path) -> None:
    """results/audit, from the other tables: what known mistakes of the study's code do to them."""
    found = {name: read_table(workdir, name) for name in ('performance', 'alignment', 'concepts')}
    found = {name: table[table['split'] == SPLIT] for name, table in found.items()}
    made = audit.rows(trained.members, trained.alive, found)
    write_table(workdir, 'audit', [{**row, 'split': SPLIT} for row in made])
