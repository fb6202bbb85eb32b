"""What every unit of every layer and member does on the probe set, kept in `explain/units_*.npz`."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import directions
from imbalance_jax.explain import outputs, unit_passes
from imbalance_jax.explain.probe import Probe
from imbalance_jax.results.similarity import Detectors

Units = dict[str, dict[str, np.ndarray]]  # layer -> what one member's units do there, by name


def dissected(probe: Probe, workdir: Path, settings: Mapping[str, Any]) -> list[Units]:
    """Of each member: layer -> the keys of `concepts.dissect` and `mean` [N,U], the units' means on every probe image;
    of the main layer also the numbers of concepts, the top images and the concepts of all units together.

    settings: the fields of `config.concepts`. A file holds one layer of one member: `units_<member>` is of the main
    layer, `units_<member>_<layer>` of another.
    """

    @cache
    def everyone() -> list[Units]:  # all members at once, when the first is needed
        return dissect_all(probe, settings)

    def of_layer(member: int, layer: str) -> dict[str, np.ndarray]:
        name = f'units_{member}' if layer == probe.main else f'units_{member}_{layer}'
        return outputs.cached(workdir, name, lambda: everyone()[member][layer])

    return [{layer: of_layer(member, layer) for layer in probe.layers} for member in range(probe.place.num_members)]


def dissect_all(probe: Probe, settings: Mapping[str, Any]) -> list[Units]:
    """The same, computed: passes over the probe set that serve all members.

    Without annotated regions no overlap and no concept is counted: `unit_passes.states` and the top images are left.
    """
    quantile, count_quantile = settings['quantile'], settings['count_quantile']
    if not probe.has_places():  # one position per image: a share of these that is one of them at least
        quantile = max(quantile, float(probe.weights.min() / probe.weights.sum()))
    thresholds = unit_passes.collect_thresholds(probe, quantile, count_quantile)
    if not probe.has_regions():
        return _without_regions(probe, thresholds, quantile)
    overlaps = unit_passes.dissect(
        probe, thresholds, quantile=quantile, null=settings['null'], rounds=settings['rounds']
    )
    counts = unit_passes.count(probe, thresholds, count_quantile)
    top = unit_passes.top_maps(probe, thresholds)
    half = directions.folds(probe.patients, 2, probe.key) == 0
    segmented = unit_passes.segment(probe, [one[probe.main] for one in overlaps], half)
    members: list[Units] = []
    for member, (by_layer, of_member) in enumerate(zip(overlaps, thresholds, strict=True)):
        units = {layer: {**overlap, 'mean': of_member.mean[layer]} for layer, overlap in by_layer.items()}
        units[probe.main] |= {**counts[member], **top[member], **segmented[member]}
        members.append(units)
    return members


def _without_regions(probe: Probe, thresholds: Sequence[unit_passes.Thresholds], quantile: float) -> list[Units]:
    members: list[Units] = []
    for of_member, top in zip(thresholds, unit_passes.top_maps(probe, thresholds), strict=True):
        states = {layer: unit_passes.states(seen, quantile) for layer, seen in of_member.seen.items()}
        units = {layer: {**state, 'mean': of_member.mean[layer]} for layer, state in states.items()}
        units[probe.main] |= top
        members.append(units)
    return members


def means(units: Sequence[Units], layer: str) -> np.ndarray:
    """The units' mean activation in a layer on every probe image, [P,N,U]."""
    return np.stack([one[layer]['mean'] for one in units])


def detectors(probe: Probe, units: Sequence[Units]) -> list[Detectors]:
    """What the units of the main layer of each member detect."""
    overlaps = [one[probe.main] for one in units]
    return [Detectors(one['detector'], concepts.unique_detectors(one)['best_concept']) for one in overlaps]
