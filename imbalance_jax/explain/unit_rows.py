"""What was found of units, as rows of the tables concepts, units, layers and directions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import contributions
from imbalance_jax.explain import held_out
from imbalance_jax.explain.dissected import Units
from imbalance_jax.explain.probe import Probe
from imbalance_jax.results import unit_arms
from imbalance_jax.results import units as results_units
from imbalance_jax.results.rows import Population, Row
from imbalance_jax.results.schema import Block

Arrays = dict[str, np.ndarray]


def member_rows(probe: Probe, member: Row, units: Arrays, *, logit_arrays: Arrays) -> list[Row]:
    """Rows of results/concepts of one member: of its main layer."""
    names, classes, layer, images = probe.dataset.concepts, probe.dataset.classes, probe.main, len(probe.rows)
    if not probe.has_regions():
        return results_units.state_rows(member, units, layer=layer)
    boxed, number = probe.boxed(), member['member']
    counts = {results_units.PUBLISHED: units['concepts'], results_units.CORRECTED: units['concepts_corrected']}
    best_concept = concepts.unique_detectors(units)['best_concept']
    shown, logit_rows = boxed.any(1), []
    if logit_arrays:
        finding = logit_arrays['finding']
        parts = contributions.by_concept(logit_arrays['added'][number], best_concept, finding, concepts=len(names))
        logit_rows = results_units.logit_rows(member, parts, finding, classes, layer=layer)
    return [
        *results_units.dissection_rows(member, units, names, layer=layer, images=images),
        *results_units.count_rows(member, counts, boxed[shown], classes, layer=layer, weights=probe.weights[shown]),
        *results_units.segment_rows(member, units, names, layer=layer, images=images),
        *logit_rows,
    ]


def unit_blocks(
    probe: Probe,
    members: Sequence[Row],
    units: Sequence[Units],
    *,
    ablation: Arrays,
    kept: Sequence[Mapping[str, np.ndarray]],
    smallest_count: int,
) -> Iterator[Block]:
    """results/units: every unit of the main layer of every member. kept: by relation, the share of other members that
    keep a unit's detector."""
    names, classes = probe.dataset.concepts, probe.dataset.classes
    where: dict[str, Any] = {'layer': probe.main, 'images': len(probe.rows)}
    for number, member in enumerate(members):
        of_main = units[number][probe.main]
        drop = ablation['intact'][number] - ablation['without'][number] if ablation else None
        yield from results_units.unit_blocks(member, of_main, names, **where)
        aurocs = unit_aurocs(probe, of_main['mean'], smallest_count)
        yield from results_units.selectivity_blocks(member, aurocs, drop, kept[number], classes=classes, **where)


def layer_rows(probe: Probe, members: Sequence[Row], units: Sequence[Units], *, direction_arrays: Arrays) -> list[Row]:
    """results/layers: dissection and linear probes, layer by layer."""
    names, images, rows = probe.dataset.concepts, len(probe.rows), []
    for number, member in enumerate(members):
        for i, layer in enumerate(probe.layers):
            probes = {name: direction_arrays[name][i, number] for name in ('auroc', 'control')}
            if probe.has_regions():
                rows += results_units.dissection_rows(member, units[number][layer], names, layer=layer, images=images)
            else:
                rows += results_units.state_rows(member, units[number][layer], layer=layer)
            rows += results_units.direction_rows(
                member, probes, names, layer=layer, images=images, by_label=direction_arrays['by_label']
            )
    return rows


def direction_rows(probe: Probe, population: Population, direction_arrays: Arrays) -> list[Row]:
    """results/directions: TCAV in one layer."""
    rows = []
    for number, member in enumerate(population.members):
        tcav = {name: direction_arrays[name][number] for name in ('sign', 'derivative', 'tcav_control')}
        tcav['control'] = tcav.pop('tcav_control')
        rows += results_units.tcav_rows(
            member,
            tcav,
            probe.dataset.concepts,
            classes=probe.dataset.classes,
            layer=probe.tcav_layer,
            counted=direction_arrays['counted'],
        )
    return rows + unit_arms.arm_directions(population, rows)


def probe_arm_rows(probe: Probe, population: Population, direction_arrays: Arrays) -> list[Row]:
    """results/layers: intervals of linear probes over patients and seeds."""
    asked, rows = {name: direction_arrays[name] for name in ('present', 'known')}, []
    methods = results_units.probe_methods(direction_arrays['by_label'])
    for i, layer in enumerate(probe.layers):
        aurocs = held_out.probe_aurocs(probe, direction_arrays['scores'][i], **asked)
        rows += unit_arms.probe_rows(population, *aurocs, probe.dataset.concepts, layer=layer, methods=methods)
    return rows


def unit_aurocs(probe: Probe, mean: np.ndarray, smallest_count: int) -> Arrays:
    """Unit x class AUROC with intervals over patients, of means [N,U] of the main layer; 'no finding' is the last."""
    labels, mask = concepts.with_healthy(probe.labels, probe.label_mask)
    whose: dict[str, Any] = {'patients': probe.patients, 'weights': probe.weights, 'least': smallest_count}
    return concepts.unit_auroc(mean, labels, mask, **whose)
