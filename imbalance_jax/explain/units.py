"""What units of all members encode: each stage leaves a file in `explain/`, tables are made from the files."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import contributions, directions
from imbalance_jax.explain import interventions
from imbalance_jax.explain import probe as explain_probe
from imbalance_jax.explain import similarity as explain_similarity
from imbalance_jax.explain import unit_passes as explain_unit_passes
from imbalance_jax.explain.probe import Probe, make_probe
from imbalance_jax.metrics.statistics import cluster_weights
from imbalance_jax.results import similarity as results_similarity
from imbalance_jax.results import units as encoding
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import cached_arrays, write_arrays, write_table
from imbalance_jax.training.trained import PREDICTIONS, SPLIT, Trained

EXAMPLES = 8  # images of a finding whose logits are taken apart
TCAV_IMAGES = 32  # of a class
SELECTIVITY_ROUNDS = 200  # of the bootstrap over patients
DIRECTIONS = ('concept',)  # more columns of results/directions


class Population:
    """Who is asked and where answers are kept: members, who of them lives, the reference arm, the working directory.

    Files in `explain/` are made anew when `source`, the predictions, has changed.
    """

    def __init__(self, members: list[dict], alive: np.ndarray, reference: str, workdir: Path, source: Path):
        self.members, self.alive, self.reference = members, alive, reference
        self.workdir, self.source = Path(workdir), source

    def kept(self, name: str, make: Callable[[], dict]) -> dict[str, np.ndarray]:
        return cached_arrays(layout.explained(self.workdir, name), self.source, make)

    def write(self, name: str, rows: list[dict], split: str, extra: tuple[str, ...] = ()) -> None:
        write_table(self.workdir, name, [{**row, 'split': split} for row in rows], extra)


def run(probe: Probe, who: Population, settings: Mapping, split: str) -> None:
    """All stages, and results/concepts, units, layers, directions, kinship and beyond_seeds.

    settings: the fields of `config.concepts`.
    """
    images = probe.dataset.images[probe.rows, :, :, 0]
    write_arrays(layout.explained(who.workdir, 'probe'), images=images, rows=probe.rows)
    units = dissected(probe, who, settings)
    lost = who.kept('ablation', partial(ablated, probe, units, settings))
    kin = who.kept('kinship', lambda: {'cka': explain_similarity.similar(probe), **explain_similarity.match(probe)})
    pointed = who.kept('directions', partial(directed, probe, units, settings))
    added = who.kept('logits', partial(explained, probe, units, settings))
    labels = [concepts.unique_detectors(one)['best_concept'] for one in units]

    summary = [
        row for n in range(len(units)) for row in summarised(probe, who.members[n], units[n], labels[n], lost, added)
    ]
    who.write('concepts', summary + encoding.arm_rows(who.members, summary, who.alive, who.reference), split)
    shares = results_similarity.fates_of_units(who.members, who.alive, units, labels, kin['partner'])
    write_units(probe, who, units, lost, shares, split)
    write_layers(probe, who, units, pointed, split)
    related(probe, who, units, labels, kin, split)


def summarised(probe: Probe, row: dict, found: dict, label, lost: dict, added: dict) -> list[dict]:
    """Rows of results/concepts of one member: of its main layer."""
    names, classes, layer, images = probe.dataset.concepts, probe.dataset.classes, probe.main, len(probe.rows)
    boxed, n = probe.boxed(), row['member']
    counts = {name: found[name] for name in ('concepts', 'concepts_corrected')}
    without = {name: value[n] for name, value in lost.items()}
    parts = contributions.by_concept(added['added'][n], label, added['finding'], concepts=len(names))
    return [
        *encoding.dissection_rows(row, found, names, layer, images),
        *encoding.count_rows(row, counts, boxed[boxed.any(1)], classes, layer),
        *encoding.ablation_rows(row, without, classes, layer, images),
        *encoding.segment_rows(row, found, names, layer, images),
        *encoding.logit_rows(row, parts, added['finding'], classes, layer),
    ]


def write_units(probe: Probe, who: Population, units, lost: dict, shares, split: str) -> None:
    """results/units: every unit of the main layer of every member."""
    names, classes, layer, images = probe.dataset.concepts, probe.dataset.classes, probe.main, len(probe.rows)
    made = []
    for row, found, kept in zip(who.members, units, shares, strict=True):
        n = row['member']
        own = {**selective(probe, found), 'drop': lost['intact'][n] - lost['without'][n], 'kept': kept}
        made += encoding.unit_rows(row, found, names, layer, images)
        made += encoding.selectivity_rows(row, own, classes, layer, images)
    who.write('units', made, split, encoding.UNIT_COLUMNS)


def write_layers(probe: Probe, who: Population, units, pointed: dict, split: str) -> None:
    """results/layers, dissection and linear probes layer by layer, and results/directions, TCAV in one of them."""
    names, classes, images = probe.dataset.concepts, probe.dataset.classes, len(probe.rows)
    by_layer, asked = [], []
    for row, found in zip(who.members, units, strict=True):
        n = row['member']
        for layer in probe.layers:
            probes = {name: pointed[f'{name}:{layer}'][n] for name in ('auroc', 'control')}
            by_layer += encoding.dissection_rows(row, of_layer(found, layer), names, layer, images)
            by_layer += encoding.direction_rows(row, probes, names, layer, images)
        tcav = {name: pointed[name][n] for name in ('sign', 'magnitude', 'random')}
        asked += encoding.tcav_rows(row, tcav, classes, names, str(pointed['layer']), pointed['counted'])
    who.write('layers', by_layer + encoding.arm_rows(who.members, by_layer, who.alive, who.reference), split)
    who.write('directions', asked + encoding.arm_directions(who.members, asked, who.alive), split, DIRECTIONS)


def related(probe: Probe, who: Population, units, labels, kin, split: str) -> None:
    """results/kinship and beyond_seeds: what pairs of members share, and whether arms differ by more than seeds."""
    layers, names, main = list(probe.layers), probe.dataset.concepts, probe.main
    made = results_similarity.pair_rows(who.members, who.alive, kin['cka'], kin['partner'], kin['r'], layers)
    made += results_similarity.fate_rows(who.members, who.alive, units, labels, kin['partner'], names, main)
    first = {row['arm']: row for row in reversed(who.members)}
    who.write(
        'kinship', made + results_similarity.by_relation(who.members, made, first), split, results_similarity.COLUMNS
    )
    profile = np.array([concepts.unique_detectors(one)['per_concept'] for one in units], float)
    distances = {f'1 - CKA, {layer}': 1 - kin['cka'][i, :, i] for i, layer in enumerate(layers)}
    distances |= {
        f'unmatched units, {main}': 1 - (kin['partner'] >= 0).mean(-1),
        f'detectors by concept, {main}': explain_similarity.euclidean(profile),
        f'best IoU by concept, {main}': explain_similarity.euclidean(np.array([one['iou'].max(0) for one in units])),
        f'dead units, {main}': explain_similarity.euclidean(np.array([[one['dead'].sum()] for one in units], float)),
    }
    who.write('beyond_seeds', results_similarity.beyond_rows(who.members, who.alive, distances, who.reference), split)


def dissected(probe: Probe, who: Population, settings: Mapping) -> list[dict[str, np.ndarray]]:
    """A dict a member, kept in `explain/units_*.npz`: dissection of every layer, concept counts, top images, means.

    Keys of the main layer are those of `concepts.dissect`; those of another end in ':layer'.
    """
    made: list[dict] = []

    def make(number: int) -> dict[str, np.ndarray]:
        if not made:  # all members at once, when the first is asked for
            made.extend(_dissect_all(probe, settings))
        return made[number]

    return [who.kept(f'units_{row["member"]}', partial(make, row['member'])) for row in who.members]


def _dissect_all(probe: Probe, settings: Mapping) -> list[dict[str, np.ndarray]]:
    quantile, count_quantile = settings['quantile'], settings['count_quantile']
    surveys = explain_unit_passes.collect_thresholds(probe, quantile, count_quantile)
    results = explain_unit_passes.dissect(probe, surveys, quantile, settings['null'], settings['rounds'])
    counts = explain_unit_passes.count(probe, surveys, count_quantile)
    top = explain_unit_passes.top_maps(probe, surveys)
    half = directions.folds(probe.dataset.patient[probe.rows], 2, probe.key) == 0
    together = explain_unit_passes.segment(probe, [one[probe.main] for one in results], half)
    made = []
    for survey, by_layer, *others in zip(surveys, results, counts, top, together, strict=True):
        flat = {
            f'{key}:{layer}': v for layer, found in by_layer.items() for key, v in found.items() if layer != probe.main
        }
        flat |= {f'mean:{layer}': values for layer, values in survey['mean'].items()}
        for found in (by_layer[probe.main], *others):
            flat |= found
        made.append(flat)
    return made


def of_layer(found: dict, layer: str) -> dict:
    """One layer's part of what `dissected` gives for a member."""
    own = {key.removesuffix(f':{layer}'): value for key, value in found.items() if key.endswith(f':{layer}')}
    return own if 'iou' in own else found


def means(probe: Probe, units: list[dict], layer: str) -> np.ndarray:
    """The units' mean activation on every probe image, [P,N,U]."""
    return np.stack([found[f'mean:{layer}'] for found in units])


def selective(probe: Probe, found: dict) -> dict[str, np.ndarray]:
    """Unit x class AUROC and class selectivity of one member's main layer, with intervals over patients."""
    dataset, rows = probe.dataset, probe.rows
    labels, mask, patient = dataset.labels[rows], dataset.label_mask[rows], dataset.patient[rows]
    mean = found[f'mean:{probe.main}']
    weights = cluster_weights(patient, SELECTIVITY_ROUNDS, np.random.default_rng(0))
    own = concepts.class_selectivity(mean, labels, mask, weights=weights)
    ends = {'selectivity_low': own['low'], 'selectivity_high': own['high']}
    aurocs = concepts.unit_auroc(mean, labels, mask, patients=patient)
    return {**aurocs, **ends, 'selectivity': own['selectivity'], 'preferred': own['preferred']}


def ablated(probe: Probe, units: list[dict], settings: Mapping) -> dict[str, np.ndarray]:
    given = means(probe, units, probe.main)
    return interventions.ablate(probe, given, settings['greedy_steps'], settings['carrying_share'])


def directed(probe: Probe, units: list[dict], settings: Mapping) -> dict[str, np.ndarray]:
    """Linear probes of every layer, and TCAV in one of them."""
    dataset, N, key = probe.dataset, len(probe.rows), probe.key
    present = explain_probe.presence(probe)
    orders = directions.permutations(N, max(settings['probe_controls'], settings['tcav_directions']), key)
    patients = dataset.patient[probe.rows]
    count = min(settings['probe_folds'], len(np.unique(patients)))
    fold, made = directions.folds(patients, count, key), {}
    for layer in probe.layers:
        given = (means(probe, units, layer), present, orders, fold, count, settings['probe_controls'])
        found = interventions.point(probe, *given)
        made |= {f'{name}:{layer}': value for name, value in found.items()}
    # In a layer that goes straight into a linear head, slopes are the same for all images: TCAV says nothing there.
    layer = probe.tcav_layer
    labels = (dataset.labels * dataset.label_mask)[probe.rows] > 0
    wanted = labels & (np.cumsum(labels, axis=0) <= TCAV_IMAGES)
    positions = np.flatnonzero(wanted.any(1))
    if not len(positions):
        positions = np.arange(1)
    slopes = interventions.slopes(probe, layer, positions)
    given = (means(probe, units, layer), slopes, present, orders[: settings['tcav_directions']], wanted[positions])
    return {
        **made,
        **interventions.ask_directions(probe, *given),
        'layer': np.array(layer),
        'counted': wanted[positions],
    }


def explained(probe: Probe, units: list[dict], settings: Mapping) -> dict[str, np.ndarray]:
    """What units add to the logits of findings, on the first probe images that have them and a region of them."""
    dataset, boxed = probe.dataset, probe.boxed()
    found = boxed & (dataset.labels[probe.rows] * dataset.label_mask[probe.rows] > 0)
    chosen = found & (np.cumsum(found, axis=0) <= EXAMPLES)
    positions, finding = np.nonzero(chosen)
    centre = means(probe, units, probe.main).mean(1)
    asked = {'positions': positions, 'finding': finding}
    if not len(positions):
        return {**asked, 'added': np.zeros((len(units), 0, centre.shape[1]))}
    return {
        **asked,
        **interventions.explain_logits(probe, centre, positions, finding.astype(np.int32), settings['logit_steps']),
    }


def dissect(trained: Trained, workdir: Path) -> None:
    """What units encode: results/concepts, units, directions, kinship and beyond_seeds, of all members."""
    probe, config = make_probe(trained), trained.config
    regions = trained.dataset.region_image
    if not np.isin(regions, probe.rows).any():
        print(f'The {SPLIT} split has no annotated region: no concepts.')
        write_table(workdir, 'concepts', [])
        return
    source = workdir / PREDICTIONS
    who = Population(trained.members, trained.alive, config.reference, workdir, source)
    run(probe, who, config.concepts.to_dict(), SPLIT)
