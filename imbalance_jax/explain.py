"""From a trained population to what it learned: alignment of maps with findings, and concepts in units.

Every part leaves one file in `explain/` when it is done, so that interrupted work goes on with the next part, and the
tables in `results/` are made from those files alone.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import (
    audit,
    datasets,
    experiment,
    localisation,
    loop,
    mapping,
    placement,
    probing,
    processes,
    scrutiny,
    shortcut,
    tables,
    unit_study,
)
from imbalance_jax.attribution import activations
from imbalance_jax.datasets.store import Dataset
from imbalance_jax.provenance import stage
from imbalance_jax.regions import constant_maps, finding_pairs, refuse_training
from imbalance_jax.writer import lock, part, read_arrays, read_json, read_table, write_arrays, write_table

PREDICTIONS = 'predictions.npz'
SPLIT = 'test'  # the only split that is ever explained: maps on training images would flatter


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
    everyone: Callable[[], tuple[placement.Placement, Any]]  # where the members and the untrained networks are

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.dataset.images.shape[1:]

    @property
    def with_untrained(self) -> tuple[placement.Placement, Any]:
        """A place and variables [P' + S] of the members and, after them, of a network of each seed before training."""
        return self.everyone()

    @property
    def one(self) -> Any:
        """The variables of the first member."""
        return jax.tree.map(lambda a: a[0], self.variables)

    @property
    def layer_of(self) -> Callable[[str], str]:
        """Resolves a layer's name, '' being the last stage; ValueError for a layer that the model does not have."""
        return partial(activations.last_stage, self.model, self.one, self.image_shape)


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
            scrutinise(trained, workdir)
            follow_shortcut(trained, workdir)
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
        everyone=cache(partial(with_untrained, run, outcome.best, strategy)),
    )


def with_untrained(run, best, strategy: str) -> tuple[placement.Placement, Any]:
    """The members' variables, and after them those of the reference arm before training, one network a seed."""
    first = np.array([row['member'] for row in run.rows if row['arm'] == run.rows[0]['arm']])
    place = placement.place(len(run.rows) + len(first), strategy, jax.local_devices())
    begun = jax.jit(jax.vmap(lambda member: run.one.init(member).variables))
    fresh = begun(jax.tree.map(lambda a: a[first], run.numbers))
    return place, place.members(jax.tree.map(lambda *a: np.concatenate(a), best, fresh))


def align(trained: Trained, workdir: Path) -> None:
    """Every method's maps of every finding with a region in the test split, every member, and the nulls beside them."""
    config, dataset = trained.config, trained.dataset
    kind = config.attribution.regions
    pairs, refused = refuse_training(dataset, finding_pairs(dataset, SPLIT, kind, config.attribution.max_pairs))
    leak = {'class': 'all findings', 'method': 'data', 'value': refused, 'n': len(pairs.image)}
    if not len(pairs.image):
        print(f'The {SPLIT} split has no annotated region: no alignment.')
        write_table(workdir, 'alignment', [])
        return
    figures, more = {}, mapping.metrics(config.attribution, pairs.mask.shape[1:])
    judge = mapping.make_judge(trained, mapping.against_both(more))
    for method in config.attribution.methods:
        path = workdir / 'explain' / f'alignment_{method}.npz'
        figures[method] = part(path, workdir / PREDICTIONS, partial(mapping.measure, trained, method, pairs, judge))
    constant = constant_maps(finding_pairs(dataset, 'train', kind), pairs)
    layer = trained.layer_of(config.attribution.layer)
    grid = activations.layer_shape(trained.model, trained.one, trained.image_shape, layer)[:2]
    nulls = mapping.null_figures(pairs, constant, more, grid)
    options = (config.reference, config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed)
    hidden = ('gallery', 'made_from')
    measured = {m: {k: v for k, v in f.items() if k not in hidden} for m, f in figures.items()}
    own, matched = mapping.split_nulls(measured, trained.members)
    parts = mapping.subsets(trained, pairs, read_arrays(workdir / PREDICTIONS)[f'logits_{SPLIT}'])
    answers = (trained.members, own, nulls, pairs, dataset.classes, trained.alive)
    rows = localisation.rows(*answers, *options, matched=matched, subsets=parts)
    rows.append(tables.of_nobody(**leak, metric='regions_refused'))
    write_table(workdir, 'alignment', [{**row, 'split': SPLIT} for row in rows])
    shown = mapping.gallery_pairs(pairs)
    images = dataset.images[pairs.image[shown], :, :, 0]
    chosen = {'images': images, 'row': pairs.image[shown], 'finding': pairs.finding[shown], 'mask': pairs.mask[shown]}
    write_arrays(workdir / 'explain' / 'gallery.npz', **chosen, constant=constant[shown].astype(np.float16))
    logits = read_arrays(workdir / PREDICTIONS)[f'logits_{SPLIT}']
    method = mapping.shown_method(config.attribution.methods)
    make = partial(mapping.failures, trained, method, pairs, own[method], logits)
    part(workdir / 'explain' / 'failures.npz', workdir / PREDICTIONS, make)


def scrutinise(trained: Trained, workdir: Path) -> None:
    """results/faithfulness: whether scores change as maps say, and maps with the network; noise beside them."""
    setting = trained.config.attribution
    pairs = finding_pairs(trained.dataset, SPLIT, setting.regions, setting.max_pairs)
    pairs, _ = refuse_training(trained.dataset, pairs)
    if not len(pairs.image) or not setting.faithfulness_pairs:
        write_table(workdir, 'faithfulness', [])
        return
    pairs, figures, judge = scrutiny.chosen(pairs, setting.faithfulness_pairs), {}, scrutiny.make_judge(trained)
    for method in dict.fromkeys([*setting.methods, scrutiny.NULL]):
        path = workdir / 'explain' / f'faithfulness_{method}.npz'
        found = part(path, workdir / PREDICTIONS, partial(scrutiny.measure, trained, method, pairs, judge))
        figures[method] = {name: value for name, value in found.items() if name != 'made_from'}
    rows = scrutiny.rows(trained.members, figures, trained.alive)
    write_table(workdir, 'faithfulness', [{**row, 'split': SPLIT} for row in rows])


def follow_shortcut(trained: Trained, workdir: Path) -> None:
    """results/shortcut, of a phantom with one: AUROC with and without it, and how much of each map lies on it."""
    config, name = trained.config, trained.config.data.phantom.shortcut_class
    if config.data.name != 'phantom' or not name:
        return
    options = {**config.data.phantom, 'image_size': config.data.image_size}
    clean = datasets.load('phantom', Path(config.data.folder), shortcut.clean_options(options))
    logits = read_arrays(workdir / PREDICTIONS)[f'logits_{SPLIT}']
    make = partial(shortcut.measure, trained, clean, name, logits, config.attribution.methods)
    found = part(workdir / 'explain' / 'shortcut.npz', workdir / PREDICTIONS, make)
    rows = shortcut.rows(trained.members, found, name, trained.alive)
    write_table(workdir, 'shortcut', [{**row, 'split': SPLIT} for row in rows])


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
    shapes = activations.layer_shapes(trained.model, trained.one, trained.image_shape)
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
