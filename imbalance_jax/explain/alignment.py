"""Maps of a trained population, and how they align with findings: its members' and of what stands in for them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import alignment, attribution
from imbalance_jax.alignment.nulls import constant_map
from imbalance_jax.attribution import layers as activations
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data.regions import Pairs, finding_pairs, refuse_training
from imbalance_jax.explain import gallery as explain_gallery
from imbalance_jax.explain import maps as explain_maps
from imbalance_jax.explain.gallery import gallery_pairs
from imbalance_jax.explain.maps import in_slabs, make_maps
from imbalance_jax.results import alignment as localisation
from imbalance_jax.results import rows as tables
from imbalance_jax.system.workdir import part, read_arrays, write_arrays, write_table
from imbalance_jax.training.trained import PREDICTIONS, SPLIT, Trained

SHUFFLED, UNTRAINED, PERMUTED = 'shuffled regions', 'untrained network', 'permuted labels'
GRID = 'resolution ceiling'
BATCH = 64  # null maps at a time
# By the share of the image that a region covers.
SIZES = {'small regions': (0, 0.02), 'medium regions': (0.02, 0.08), 'large regions': (0.08, 1.01)}


def needs_layer(method: str, options: dict) -> bool:
    return attribution.needs_layer(method, options)


def metrics(setting, size: tuple[int, int]) -> dict[str, Callable]:
    """The alignment metrics of the config beside the study's own, TorchRay's tolerance in proportion to the image."""
    options = {'pointing_game_torchray': {'tolerance': alignment.TOLERANCE * size[0]}}
    return {name: partial(alignment.METRICS[name], **options.get(name, {})) for name in setting.metrics}


def measure(trained, method: str, pairs: Pairs, judge: Callable) -> dict[str, np.ndarray]:
    """Figures of a method's maps of every pair: [P,M] of the members against the pair's own region and, with the prefix
    `SHUFFLED`, against another's; [S,M] of untrained networks, one a seed, with the prefix `UNTRAINED`; and `gallery`,
    the members' maps of the gallery's pairs [P,G,H,W]. judge: `make_judge` of `against_both`."""
    other = alignment.shuffled(pairs.finding, pairs.patient)
    strange = np.where((other >= 0)[:, None, None], pairs.mask[other], False)  # undefined where there is no other
    arrays = (trained.dataset.images[pairs.image], pairs.finding, pairs.image)
    regions, shown, phase = (pairs.mask, strange), gallery_pairs(pairs), f'explain: {method}'
    found, gallery = in_slabs(trained, make_maps(trained, method), arrays, phase, shown, judge, regions)
    count, prefixes = len(trained.members), ('', f'{SHUFFLED}: ', f'{UNTRAINED}: ')
    parts = [{n: v[:count, :, i] for n, v in found.items()} for i in range(2)]
    parts.append({n: v[count:, :, 0] for n, v in found.items()})
    named = {f'{prefix}{n}': v for prefix, one in zip(prefixes, parts, strict=True) for n, v in one.items()}
    return {**named, 'gallery': gallery[:count]}


def against_both(more: dict) -> Callable:
    """`figures(maps, masks, others)`: of one member's maps [n,H,W] against both kinds of region, each [n,2]."""

    def figures(maps, masks, others):
        twice = alignment.measure(jnp.tile(maps, (2, 1, 1)), jnp.concatenate([masks, others]), more)
        return {name: value.reshape(2, -1).T for name, value in twice.items()}

    return figures


def split_nulls(figures: dict[str, dict], members: list[dict]) -> tuple[dict, dict]:
    """The members' own figures by method, and by null and method those of what stands in for each member [P,M].

    The null of permuted labels is the arm that was trained on them, seed by seed, if there is one.
    """
    own, matched = {}, {SHUFFLED: {}, UNTRAINED: {}, PERMUTED: {}}
    seeds = list(dict.fromkeys(row['seed'] for row in members))
    of_seed = np.array([seeds.index(row['seed']) for row in members])
    blind = {row['seed']: row['member'] for row in members if row['labels'] == 'permuted'}
    for method, found in figures.items():
        own[method] = {name: value for name, value in found.items() if ': ' not in name}
        for null in (SHUFFLED, UNTRAINED):
            marked = {n.removeprefix(f'{null}: '): value for n, value in found.items() if n.startswith(f'{null}: ')}
            matched[null][method] = marked if null == SHUFFLED else {n: v[of_seed] for n, v in marked.items()}
        if blind:
            stand_in = np.array([blind[row['seed']] for row in members])
            itself = np.array([row['labels'] == 'permuted' for row in members])[:, None]
            matched[PERMUTED][method] = {n: np.where(itself, np.nan, v[stand_in]) for n, v in own[method].items()}
    return own, {null: found for null, found in matched.items() if found}


def null_figures(pairs: Pairs, constant: np.ndarray, more: dict, grid: tuple[int, int]) -> dict[str, dict]:
    """Figures [M] of maps that know no model: one everywhere, the image centre, the best constant map; and of the best
    of the maps of h x w cells that know the region (`alignment.grid_maps`), measure by measure."""
    masks, size = pairs.mask, pairs.mask.shape[1:]
    ones = np.ones(masks.shape, np.float32)
    flat = _judge(lambda ones, masks, more: alignment.measure_flat(masks, more, ones), more)(ones, masks)
    judge = _judge(alignment.measure, more)
    centre = judge(np.broadcast_to(alignment.centre_map(size), masks.shape), masks)
    found = judge(np.nan_to_num(constant), masks)
    fitted = np.isfinite(constant).all((1, 2))
    upsample = jax.jit(attribution.upsample, static_argnums=1)
    best = [judge(upsample(maps.astype(np.float32), size), masks) for maps in alignment.grid_maps(masks, grid)]
    ceiling = {name: np.max([one[name] for one in best], axis=0) for name in found}
    # A share of points has to come from one map.
    highest = np.argmax([one['hits'] / np.maximum(one['points'], 1) for one in best], axis=0)
    for name in ('hits', 'points', 'empty'):
        ceiling[name] = np.take_along_axis(np.stack([one[name] for one in best]), highest[None], 0)[0]
    return {
        'chance': flat,
        'image centre': centre,
        'constant map': {name: np.where(fitted, value, np.nan) for name, value in found.items()},
        GRID: ceiling,
    }


def _judge(measure: Callable, more: dict) -> Callable:
    """`measure` of arrays [M,...] of any length, compiled once for batches of one size."""
    compiled = jax.jit(lambda *arrays: measure(*arrays, more))

    def judge(*arrays) -> dict[str, np.ndarray]:
        count = len(arrays[0])
        batches = data_arrays.full_batches(count, min(BATCH, count))
        parts = [jax.tree.map(np.asarray, compiled(*(a[index] for a in arrays))) for index in batches]
        return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}

    return judge


def subsets(trained, pairs: Pairs, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Parts of the pairs that are reported apart, bool [M], or [P,M] where members differ.

    By the region's share of the image; 'labelled': the label too says that the finding is there (boxes may follow
    another version of the labels); 'true positives': labelled, and the member's score [P,N,K] of the test split is
    among as many of its class's highest as there are positives, a threshold that no loss shifts.
    """
    dataset = trained.dataset
    rows, area = dataset.rows('test'), pairs.mask.mean((1, 2))
    labelled = (dataset.labels * dataset.label_mask)[pairs.image, pairs.finding] > 0
    counted = dataset.label_mask[rows] > 0
    positives = (dataset.labels[rows] * counted).sum(0)
    scores = np.where(counted, logits, -np.inf)
    threshold = np.stack(
        [np.sort(scores[..., k], axis=-1)[:, -max(int(n), 1)] for k, n in enumerate(positives)], axis=-1
    )
    place = np.searchsorted(rows, pairs.image)
    high = scores[:, place, pairs.finding] >= threshold[:, pairs.finding]
    found = {name: (low <= area) & (area < top) for name, (low, top) in SIZES.items()}
    return {**found, 'labelled': labelled, 'true positives': high & labelled}


def constant_maps(train: Pairs, test: Pairs) -> np.ndarray:
    """The best map that looks at no image, for every test pair: [M,H,W], NaN where there is nothing to fit it on.

    It is the mean mask of the pair's finding over the training pairs. A source that boxes test images only (NIH's
    official split) leaves no training pairs: then it is fitted on the other patients' test pairs of that finding.
    """
    maps = np.full(test.mask.shape, np.nan, np.float32)
    for finding in np.unique(test.finding):
        fitted = train.mask[train.finding == finding]
        rows = np.flatnonzero(test.finding == finding)
        if len(fitted):
            maps[rows] = constant_map(fitted)
            continue
        for row in rows:
            others = test.mask[rows[test.patient[rows] != test.patient[row]]]
            if len(others):
                maps[row] = constant_map(others)
    return maps


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
    figures, more = {}, metrics(config.attribution, pairs.mask.shape[1:])
    judge = explain_maps.make_judge(trained, against_both(more))
    for method in config.attribution.methods:
        path = workdir / 'explain' / f'alignment_{method}.npz'
        figures[method] = part(path, workdir / PREDICTIONS, partial(measure, trained, method, pairs, judge))
    constant = constant_maps(finding_pairs(dataset, 'train', kind), pairs)
    layer = trained.layer_of(config.attribution.layer)
    grid = activations.layer_shape(trained.model, trained.one, trained.image_shape, layer)[:2]
    nulls = null_figures(pairs, constant, more, grid)
    options = (config.reference, config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed)
    hidden = ('gallery', 'made_from')
    measured = {m: {k: v for k, v in f.items() if k not in hidden} for m, f in figures.items()}
    own, matched = split_nulls(measured, trained.members)
    parts = subsets(trained, pairs, read_arrays(workdir / PREDICTIONS)[f'logits_{SPLIT}'])
    answers = (trained.members, own, nulls, pairs, dataset.classes, trained.alive)
    rows = localisation.rows(*answers, *options, matched=matched, subsets=parts)
    rows.append(tables.of_nobody(**leak, metric='regions_refused'))
    write_table(workdir, 'alignment', [{**row, 'split': SPLIT} for row in rows])
    shown = explain_gallery.gallery_pairs(pairs)
    images = dataset.images[pairs.image[shown], :, :, 0]
    chosen = {'images': images, 'row': pairs.image[shown], 'finding': pairs.finding[shown], 'mask': pairs.mask[shown]}
    write_arrays(workdir / 'explain' / 'gallery.npz', **chosen, constant=constant[shown].astype(np.float16))
    logits = read_arrays(workdir / PREDICTIONS)[f'logits_{SPLIT}']
    method = explain_gallery.shown_method(config.attribution.methods)
    make = partial(explain_gallery.failures, trained, method, pairs, own[method], logits)
    part(workdir / 'explain' / 'failures.npz', workdir / PREDICTIONS, make)
