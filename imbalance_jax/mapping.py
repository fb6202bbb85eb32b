"""Maps of a trained population, and how they align with findings: its members' and of what stands in for them."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import alignment, attribution, data
from imbalance_jax import progress as display
from imbalance_jax.attribution import request
from imbalance_jax.names import lookup
from imbalance_jax.regions import Pairs

GALLERY = 3  # images a finding in the gallery
FAILURES = 6  # an arm
REFERENCE_IMAGES = 64  # training images whose activations the information bottleneck's noise is like
SHUFFLED, UNTRAINED, PERMUTED = 'shuffled regions', 'untrained network', 'permuted labels'
GRID = 'resolution ceiling'
BATCH = 64  # null maps at a time
# By the share of the image that a region covers.
SIZES = {'small regions': (0, 0.02), 'medium regions': (0.02, 0.08), 'large regions': (0.08, 1.01)}


def make_network(model, layer: str) -> Callable:
    """`network(variables, images, shift) -> (logits, activation of layer)`, as `attribution.request` wants it."""

    def network(variables, images, shift):
        added = {} if shift is None else {'perturbations': {layer: shift}}
        logits, out = model.apply({**variables, **added}, images)
        return logits, out[layer]

    return network


def needs_layer(method: str, options: dict) -> bool:
    return method in attribution.NEEDS_LAYER or options.get('method') in attribution.NEEDS_LAYER


def make_maps(trained, method: str) -> Callable:
    """Returns `maps(variables, images [B,H,W,C] uint8, classes [B], rows [B]) -> [B,H,W]` of one member.

    rows: the images' numbers, from which methods that need random numbers draw them. A baseline may also be 'black',
    the normalised grey value 0.
    """
    model, normalise, setting = trained.model, trained.normalise, trained.config.attribution
    options = options_of(trained, method)
    layer = trained.layer_of(setting.layer)
    network = make_network(model, layer)
    bottleneck = 'information_bottleneck' in (method, options.get('method'))
    reference = trained.dataset.images[trained.dataset.rows('train')[:REFERENCE_IMAGES]] if bottleneck else None

    def maps(variables, images, classes, rows):
        own = dict(options)
        if bottleneck:
            activation = network(variables, normalise(jnp.asarray(reference)), None)[1]
            own |= {'mean': activation.mean(0, keepdims=True), 'deviation': activation.std(0, keepdims=True)}
        found = request.class_maps(network, method, own)
        rows = jnp.broadcast_to(jnp.asarray(rows), classes.shape)
        return found(variables, normalise(images), jnp.asarray(classes)[:, None], rows)[:, 0]

    return maps


def options_of(trained, method: str) -> dict:
    """The config's options of a method; ValueError for a method that there is not."""
    lookup(attribution.METHODS, method, 'attribution method')
    options = dict(trained.config.attribution.get(method, {}))
    if options.get('baseline') == 'black':
        options['baseline'] = float(trained.normalise(np.zeros(1, np.uint8))[0])
    return options


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


def make_judge(trained, figures: Callable) -> Callable:
    """`judge(maps [P + S,n,H,W], *arrays [n,...])`: `figures(maps, *arrays)` of every member, compiled at its first
    call within the memory budget, and kept for all methods whose maps are as many and as large."""
    place, kept = trained.with_untrained[0], {}
    mapped = place.map(figures)

    def judge(maps, *arrays):
        if maps.shape not in kept:
            kept[maps.shape] = _fit(trained, mapped, maps, arrays)
        return kept[maps.shape](maps, *arrays)

    return judge


def _fit(trained, mapped: Callable, first, arrays: tuple):
    """The compiled program of `mapped(first, *arrays [n,...])` that stays within the config's memory budget."""
    size = len(arrays[0])

    def compiled(chunk: int):
        whole = mapped if chunk == size else jax.jit(request.in_chunks(mapped, chunk))
        return whole.lower(first, *arrays).compile()

    return request.fit(compiled, size, int(trained.config.attribution.memory_mib * request.MIB)).call


def in_slabs(
    trained, maps: Callable, arrays: tuple, phase: str, keep=(), judge: Callable | None = None, regions: tuple = ()
) -> tuple[dict, np.ndarray]:
    """What `judge(maps, *regions)` says of `maps(variables, *arrays)`, for arrays and regions [M,...], of the members
    and the untrained networks: figures [P + S,M,...]; and the maps at the rows `keep` [P + S,G,H,W].

    One compiled program makes the maps of a slab of pairs for all of them, and within it as many at a time as the
    config's memory budget allows.
    """
    setting, count, (place, variables) = trained.config.attribution, len(arrays[0]), trained.with_untrained
    height, width = trained.image_shape[:2]
    # The maps of a slab are a result, beside what a program holds: no more than a quarter of the budget.
    most = int(setting.memory_mib * request.MIB) // (4 * place.queue * height * width * 4)
    size = int(np.clip(most, 1, min(setting.batch_size, count)))
    slabs, program, parts, kept = data.full_batches(count, size), None, [], []
    with display.show(phase, count) as update:
        for number, index in enumerate(slabs):
            batch, asked = (place.shared(tuple(a[index] for a in one)) for one in (arrays, regions))
            program = program or _fit(trained, place.map(maps), variables, batch)
            found = program(variables, *batch)
            parts.append(place.fetch(judge(found, *asked)) if judge else {})
            first = np.isin(index, keep) & (np.arange(size) < count - number * size)
            kept.append(np.asarray(found)[: place.count, first].astype(np.float32))
            update(min((number + 1) * size, count), note=f'{len(trained.members)} members')
    joined = jax.tree.map(lambda *a: np.concatenate(a, axis=1)[:, :count], *parts)
    return joined, np.concatenate(kept, axis=1)


def gallery_pairs(pairs: Pairs) -> np.ndarray:
    """The first few pairs of every finding, in the order of the pairs."""
    first = [np.flatnonzero(pairs.finding == k)[:GALLERY] for k in np.unique(pairs.finding)]
    return np.sort(np.concatenate(first))


def shown_method(methods) -> str:
    """The method whose failures are shown: Grad-CAM, or the first that there is."""
    return 'grad_cam' if 'grad_cam' in methods else methods[0]


def failures(trained, method: str, pairs: Pairs, figures: dict, logits: np.ndarray) -> dict[str, np.ndarray]:
    """The pairs of each arm [A,F] that it is surest of although no seed's map points into the region, surest first,
    with their images, masks, scores and seed-mean maps; -1 where an arm has fewer.

    figures: the method's [P,M]; logits: of the test split [P,N,K].
    """
    dataset, count = trained.dataset, len(trained.members)
    place = np.searchsorted(dataset.rows('test'), pairs.image)
    scores = 1 / (1 + np.exp(-logits[:, place, pairs.finding].astype(np.float64)))
    missed = (figures['hits'] == 0) & ~np.isnan(figures['iou'])
    arms = list(dict.fromkeys(row['arm'] for row in trained.members))
    chosen, surest = np.full((len(arms), FAILURES), -1), np.zeros((len(arms), FAILURES))
    for a, arm in enumerate(arms):
        own = [row['member'] for row in trained.members if row['arm'] == arm and trained.alive[row['member']]]
        if own:
            score = np.where(missed[own].all(0), scores[own].mean(0), -1)
            worst = np.argsort(-score, kind='stable')[:FAILURES]
            worst = worst[score[worst] >= 0]
            chosen[a, : len(worst)], surest[a, : len(worst)] = worst, score[worst]
    needed = np.unique(chosen[chosen >= 0])
    if not len(needed):
        return {'pair': chosen, 'score': surest}
    maps = make_maps(trained, method)
    images = dataset.images[pairs.image[needed]]
    arrays = (images, pairs.finding[needed], pairs.image[needed])
    _, found = in_slabs(trained, maps, arrays, f'explain: failures of {method}', np.arange(len(needed)))
    facts = {'images': images[..., 0], 'finding': pairs.finding[needed], 'mask': pairs.mask[needed]}
    return {**facts, 'pair': np.searchsorted(needed, chosen) * (chosen >= 0) - (chosen < 0), 'score': surest,
            'maps': found[:count].astype(np.float16)}  # fmt: skip


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
        batches = data.full_batches(count, min(BATCH, count))
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
