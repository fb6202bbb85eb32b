"""Stage `units`: which concepts the units of all members encode, what hangs on them, and where a layer points."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.attribution import layers
from imbalance_jax.concepts import directions
from imbalance_jax.concepts.nulls import exchanges
from imbalance_jax.data.arrays import pictures
from imbalance_jax.explain import concept_directions, held_out, interventions, matching, outputs, own_parts, probe_set
from imbalance_jax.explain.dissected import Units, detectors, dissected, means
from imbalance_jax.explain.probe import Probe, first_images, image_shapes, make_features, make_probe, targets
from imbalance_jax.explain.unit_rows import Arrays, direction_rows, layer_rows, member_rows, probe_arm_rows, unit_blocks
from imbalance_jax.models.recorded import Recorded
from imbalance_jax.names import lookup
from imbalance_jax.results import ablation as results_ablation
from imbalance_jax.results import similarity, unit_arms
from imbalance_jax.results.ablation import Ablated
from imbalance_jax.system.processes import say
from imbalance_jax.training.network import Network, abstract_variables
from imbalance_jax.training.trained import FROM_FEATURES, SPLIT, Asked, Stage, Trained

EXAMPLES = 8  # images of a finding whose logits are taken apart
TCAV_IMAGES = 32  # of a class
RANDOM_ORDERS = 20  # in which units are taken away for the null of greedy sets


def check(config: ConfigDict, network: Network, image_shape: tuple[int, int, int], num_images: int) -> None:
    """Raises ValueError for a layer or null of `config.concepts` that there is not, and for a quantile that is less
    than one position of a layer. Ranges of single fields are checked with the config."""
    settings, variables = config.concepts, abstract_variables(network.model, image_shape)
    shapes = layers.layer_shapes(network.model, variables, image_shape)
    main = layers.last_stage(network.model, variables, image_shape, settings.layer, field='config.concepts.layer')
    further = [('layers', name) for name in settings.layers] + [('tcav_layer', settings.tcav_layer)]
    named = {name: field for field, name in further if name not in ('', 'all')}
    for name, field in named.items():
        lookup(shapes, name, f'layer in config.concepts.{field}:')
    own_parts.check_null(settings.null, (image_shape[0], image_shape[1]))
    if isinstance(network.model, Recorded) and shapes[main][:2] == (1, 1):
        return  # nothing is dissected (`Probe.has_places`)
    for name in shapes if 'all' in settings.layers else [main, *named]:
        positions = math.prod(shapes[name][:2]) * min(num_images, settings.max_images)
        if settings.quantile * positions < 1:
            share = f'{settings.quantile} of the {positions} positions of {name} in the test images'
            raise ValueError(f'config.concepts.quantile: {share} is less than one; take a larger share or more images.')


def run(trained: Trained, workdir: Path) -> None:
    """results/concepts, units, layers and directions, of all members.

    Without annotated regions no unit is dissected; what labels can answer is left: selectivity, ablation, probes of
    labels, directions.
    """
    probe, settings = make_probe(trained), trained.config.concepts
    tell_what_is_left_out(probe)
    write_probe(probe, workdir, settings)
    population, units = outputs.population(trained), dissected(probe, workdir, settings)
    intervened = Intervened(None, {}, {})
    if not probe.only_features:
        intervened = intervene(probe, units, workdir, trained.config)
    likeness = outputs.cached(workdir, 'similarity', partial(matching.likeness, probe))
    direction_arrays = outputs.cached(workdir, 'directions', partial(probe_directions, probe, units, settings))

    smallest = trained.config.evaluate.smallest_count
    where = {'layer': probe.main, 'carrying_share': settings.carrying_share}
    summary, of_arms = [], []
    for member, of_member in zip(trained.members, units, strict=True):
        summary += member_rows(probe, member, of_member[probe.main], logit_arrays=intervened.logits)
        if intervened.ablated:
            summary += results_ablation.member_rows(member, intervened.ablated, probe.dataset.classes, **where)
    if intervened.ablated:
        of_arms = results_ablation.arm_rows(population, intervened.ablated, probe.dataset.classes, **where)
    outputs.write_rows(workdir, 'concepts', summary + unit_arms.arm_rows(population, summary) + of_arms)
    kept: Sequence[Mapping[str, np.ndarray]] = [{} for _ in units]
    if probe.has_regions():
        kept = similarity.persistence_of_units(population, detectors(probe, units), likeness['partner'])
    blocks = unit_blocks(
        probe, trained.members, units, ablation=intervened.ablation, kept=kept, smallest_count=smallest
    )
    outputs.write_blocks(workdir, 'units', blocks)
    rows = layer_rows(probe, trained.members, units, direction_arrays=direction_arrays)
    rows += unit_arms.arm_rows(population, rows)
    outputs.write_rows(workdir, 'layers', rows + probe_arm_rows(probe, population, direction_arrays))
    tcav = [] if probe.only_features else direction_rows(probe, population, direction_arrays)
    outputs.write_rows(workdir, 'directions', tcav)


class Intervened(NamedTuple):
    """What comes of running the networks again: AUROC without units, what `ablate` left, and what units add to logits;
    nothing where only features are here."""

    ablated: Ablated | None
    ablation: Arrays
    logits: Arrays


def intervene(probe: Probe, units: Sequence[Units], workdir: Path, config: ConfigDict) -> Intervened:
    """Of the main layer, made once."""
    arrays = outputs.cached(workdir, 'ablation', partial(ablate, probe, units, config.concepts))
    ablated = held_out.ablated(probe, arrays, half=halves(probe), smallest_count=config.evaluate.smallest_count)
    logits = outputs.cached(workdir, 'logits', partial(explain_logits, probe, units, config.concepts))
    return Intervened(ablated, arrays, logits)


def tell_what_is_left_out(probe: Probe) -> None:
    """Says, a line each, which questions to units have no answer here, and why."""
    if probe.only_features:
        what = 'ablation, TCAV and what units add to logits'
        say(f'Of units, {what} are left out: they run the networks, and only their features are here.')
    if not probe.has_places():
        say('Units are dissected by no concept, and asked about labels: their features have no places, [n,U].')
    elif not probe.has_regions():
        say(f'The {SPLIT} split has no annotated region: units are dissected by no concept, and asked about labels.')


def write_probe(probe: Probe, workdir: Path, settings: ConfigDict) -> None:
    """explain/probe: the images, their rows in the data set, their weights and strata."""
    sample = probe_set.draw(probe.dataset, probe.dataset.rows(SPLIT), settings.max_images)
    outputs.write(
        workdir,
        'probe',
        images=pictures(probe.dataset.images[probe.rows]),
        rows=probe.rows,
        weights=probe.weights,
        stratum=sample.stratum,
        strata=np.array(sample.names),
    )


def halves(probe: Probe) -> np.ndarray:
    """One half of the patients, [N] bool: what is chosen on one is judged on the other."""
    return directions.folds(probe.patients, 2, probe.key) == 0


def ablate(probe: Probe, units: Sequence[Units], settings: Mapping[str, Any]) -> Arrays:
    """What is lost of each class without units: see `interventions.ablate`."""
    by_image = means(units, probe.main)
    steps = min(max(settings['greedy_steps'], 1), by_image.shape[-1])
    rng = np.random.default_rng(0)
    orders = np.stack([rng.permutation(by_image.shape[-1]) for _ in range(RANDOM_ORDERS)])[:, :steps]
    return interventions.ablate(probe, by_image, steps=steps, half=halves(probe), orders=orders)


def probe_directions(probe: Probe, units: Sequence[Units], settings: Mapping[str, Any]) -> Arrays:
    """Linear probes of every layer, `scores` [L,P,N,S], `auroc` [L,P,S] and `control` [L,P,S,R], of what is `present`,
    `known` [N,S] and `by_label` [S] (`probe.Targets`); TCAV in one, `sign`, `derivative` and `tcav_control`, of images
    whose weights are `counted` [n,K]. TCAV needs networks, and is not there where only features are."""
    key, asked = probe.key, targets(probe)
    rounds = max(settings['probe_controls'], settings['tcav_directions'])
    orders = exchanges(probe.patients, rounds, key)
    folds = min(settings['probe_folds'], len(np.unique(probe.patients)))
    fold = directions.folds(probe.patients, folds, key)
    controls = orders[: settings['probe_controls']]
    by_layer = [
        concept_directions.linear_probes(probe, means(units, layer), asked, orders=controls, fold=fold, folds=folds)
        for layer in probe.layers
    ]
    probes = {name: np.stack([one[name] for one in by_layer]) for name in by_layer[0]}
    if probe.only_features:
        return {**probes, **asked._asdict()}
    positions, counted = class_images(probe)
    slopes = concept_directions.slopes(probe, probe.tcav_layer, positions)
    tcav = concept_directions.tcav(
        probe,
        means(units, probe.tcav_layer),
        slopes,
        targets=asked,
        orders=orders[: settings['tcav_directions']],
        counted=counted,
    )
    tcav['tcav_control'] = tcav.pop('control')
    return {**probes, **tcav, 'counted': counted, **asked._asdict()}


def class_images(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Positions [n] of the first images of every class, and their weights in each class [n,K], 0 if not of it."""
    labels = (probe.labels * probe.label_mask) > 0
    first = labels & (np.cumsum(labels, axis=0) <= TCAV_IMAGES)
    positions = np.flatnonzero(first.any(1))
    if not len(positions):
        positions = np.arange(1)
    return positions, (first * probe.weights[:, None])[positions]


def explain_logits(probe: Probe, units: Sequence[Units], settings: Mapping[str, Any]) -> Arrays:
    """What units add to the logits of findings, on the first probe images that have them and, unless there are no
    regions at all, a region of them."""
    shown = (probe.labels * probe.label_mask > 0) & (probe.boxed() | (not probe.has_regions()))
    positions, finding = np.nonzero(shown & (np.cumsum(shown, axis=0) <= EXAMPLES))
    centre = np.average(means(units, probe.main), axis=1, weights=probe.weights)
    examples = {'positions': positions, 'finding': finding}
    if not len(positions):
        return {**examples, 'added': np.zeros((len(units), 0, centre.shape[1]))}
    classes, steps = finding.astype(np.int32), settings['logit_steps']
    return {
        **examples,
        **interventions.logit_contributions(probe, centre, positions=positions, classes=classes, steps=steps),
    }


def programs(trained: Trained) -> Iterator[Asked]:
    """Activations of all layers, and gradients of all classes."""
    probe = first_images(trained)
    size = image_shapes(probe, probe.images_at_once(probe.layers))
    yield Asked('activations', make_features(probe, tuple(probe.layers)), size, fewer=False)
    few = image_shapes(probe, concept_directions.GRADIENTS)
    yield Asked('gradients of the classes', concept_directions.make_slopes(probe, probe.tcav_layer), few, fewer=False)


STAGE = Stage(
    run=run,
    check=check,
    tables=('concepts', 'units', 'layers', 'directions'),
    needs=FROM_FEATURES,
    programs=programs,
)
