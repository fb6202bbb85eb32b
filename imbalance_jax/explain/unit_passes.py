"""The units of all members at once on the probe set, which streams by: its size changes the time, not the memory.

Each pass over the probe set runs the network of every member on a few images, and keeps sums. What is kept for each
image is small: its place in a random order, and the mean of every unit's map.
"""

import jax
import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import dissection, multi_unit, nulls
from imbalance_jax.concepts.quantiles import UpperQuantile
from imbalance_jax.explain.probe import Probe, stream

STUDY_BATCH = 64  # images whose quantile the published count shares
TOP_IMAGES = 4  # a unit


def collect_thresholds(probe: Probe, quantile: float, count_quantile: float) -> list[dict]:
    """First pass, a dict a member: `seen`, layer -> thresholds in the making; `count`, that of the concept count;
    `mean`, layer -> [N,U] means of maps; `peak` [N,U], maxima of the main layer's.

    The threshold of the count leaves one position above it at least.
    """
    N, main = len(probe.rows), probe.layers[probe.main]

    def begin():
        seen = {layer: UpperQuantile(u, N * h * w, quantile) for layer, (h, w, u) in probe.layers.items()}
        positions = N * main[0] * main[1]
        count = UpperQuantile(main[2], positions, max(1 - count_quantile, 1 / positions))
        means = {layer: np.empty((N, u), np.float32) for layer, (_, _, u) in probe.layers.items()}
        return {'seen': seen, 'count': count, 'mean': means, 'peak': np.empty((N, main[2]), np.float32)}

    members = [begin() for _ in range(probe.place.count)]
    for positions, found in stream(probe, probe.layers, probe.cut(probe.layers), 'thresholds'):
        for number, member in enumerate(members):
            for layer, seen in member['seen'].items():
                seen.add(found[layer][number])
                member['mean'][layer][positions] = found[layer][number].mean((1, 2))
            maps = found[probe.main][number]
            member['count'].add(maps)
            member['peak'][positions] = maps.max((1, 2))
    return members


def dissect(probe: Probe, surveys: list[dict], quantile: float, null: str, rounds: int) -> list[dict]:
    """Second pass, a dict a member: layer -> what `concepts.dissect` returns."""
    thresholds = [{layer: dissection.active_threshold(s, quantile) for layer, s in m['seen'].items()} for m in surveys]
    counted = [dict.fromkeys(probe.layers) for _ in surveys]
    area, blocks, layout, current = 0, probe.blocks(), None, -1
    parts = [(number, part) for number, block in enumerate(blocks) for part in probe.cut(probe.layers, block)]
    found_parts = stream(probe, probe.layers, [part for _, part in parts], 'overlap with concepts')
    for (number, _), (positions, found) in zip(parts, found_parts, strict=True):
        if number != current:
            masks, current = probe.masks(blocks[number]), number
            layout = nulls.lay_out(masks, null, rounds, key=probe.key, images=blocks[number], number=number)
            area = area + masks.sum((0, 1, 2), dtype=np.int64)
        own = layout.of(np.searchsorted(blocks[number], positions))
        for member, (total, threshold) in enumerate(zip(counted, thresholds, strict=True)):
            for layer in probe.layers:
                met = dissection.count_overlap(found[layer][member], threshold[layer], own)
                total[layer] = add(total[layer], met)
    return [
        {layer: result(total[layer], area, member['seen'][layer], quantile) for layer in probe.layers}
        for total, member in zip(counted, surveys, strict=True)
    ]


def result(counted: dict, area: np.ndarray, seen: UpperQuantile, quantile: float) -> dict[str, np.ndarray]:
    """The keys of `concepts.dissect`, and `threshold_error`: by how large a share a threshold may be too high."""
    judged = dissection.overlap_statistics({**counted, 'area': area})
    error = np.float64(seen.relative_error)
    return {**judged, **dissection.describe(seen, quantile), 'threshold_error': error}


def count(probe: Probe, surveys: list[dict], quantile: float) -> list[dict[str, np.ndarray]]:
    """Concepts an image of the main layer, of the images with a box: [n] as published, [n,K] corrected.

    As published, the quantile is that of a batch of 64 images with boxes, and all boxes of an image count for each of
    its findings. Corrected, it is that of the whole probe set, and a finding's own boxes count.
    """
    positions = np.flatnonzero(probe.boxed().any(1))
    parts = [positions[start : start + STUDY_BATCH] for start in range(0, len(positions), STUDY_BATCH)]
    counts: list[dict] = [{'concepts': [], 'concepts_corrected': []} for _ in surveys]
    thresholds = [member['count'].threshold() for member in surveys]
    for part, found in stream(probe, [probe.main], parts, 'number of concepts'):
        boxes = probe.boxes(part)
        size, union = boxes.shape[1:3], boxes.any(-1)
        for own, maps, threshold in zip(counts, found[probe.main], thresholds, strict=True):
            own['concepts'].append(concepts.count(maps, size, quantile, union))
            options = {'convention': 'corrected', 'threshold': threshold}
            own['concepts_corrected'].append(concepts.count(maps, size, quantile, boxes, **options))
    nothing = {'concepts': np.zeros(0, int), 'concepts_corrected': np.zeros((0, len(probe.dataset.classes)), int)}
    return [{name: np.concatenate([nothing[name], *parts]) for name, parts in own.items()} for own in counts]


def top_maps(probe: Probe, surveys: list[dict]) -> list[dict[str, np.ndarray]]:
    """The images `top` [U,n] that excite each unit of the main layer most, and its maps there, `top_maps` [U,n,h,w]."""
    most = min(TOP_IMAGES, len(probe.rows))
    top = [dissection.highest(member['peak'], most) for member in surveys]
    h, w, _ = probe.layers[probe.main]
    maps = [np.zeros((*one.shape, h, w), np.float16) for one in top]
    parts = probe.cut([probe.main], np.unique(np.stack(top)))
    for positions, found in stream(probe, [probe.main], parts, 'top images'):
        for one, kept, features in zip(top, maps, found[probe.main], strict=True):
            unit, rank = np.nonzero(np.isin(one, positions))
            place = np.searchsorted(positions, one[unit, rank])
            kept[unit, rank] = features[place, :, :, unit]
    return [{'top': one, 'top_maps': kept} for one, kept in zip(top, maps, strict=True)]


def segment(probe: Probe, results: list[dict], half: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Two passes: concepts shown by all units of the main layer together, fitted on one half [N] of the patients.

    `multi_unit_iou` [S] on the other half, and beside it `single_unit_iou` [S] there of the unit that was best on the
    half that the weights are fitted to, and `everywhere_iou` [S], that of a map of ones.
    """
    thresholds = [np.where(r['sparse'], np.inf, r['threshold']) for r in results]
    halves = [probe.cut([probe.main], np.flatnonzero(half == fitted)) for fitted in (True, False)]
    sums: list = [None] * len(results)
    for positions, found in stream(probe, [probe.main], halves[0], 'multi-unit concepts'):
        masks = probe.masks(positions)
        for member, maps in enumerate(found[probe.main]):
            sums[member] = add(sums[member], multi_unit.gather(maps > thresholds[member], masks))
    weights = [multi_unit.discriminant(one) for one in sums]
    counted = [[None] * len(results) for _ in halves]
    for kept, parts in zip(counted, halves, strict=True):
        for positions, found in stream(probe, [probe.main], parts, 'multi-unit concepts'):
            masks = probe.masks(positions)
            layout = nulls.lay_out(masks)
            for member, maps in enumerate(found[probe.main]):
                together = multi_unit.histogram(maps > thresholds[member], masks, weights[member])
                single = dissection.count_overlap(maps, thresholds[member], layout)
                kept[member] = add(kept[member], {'histogram': together, 'single': single})
    return [_segmented(*one) for one in zip(*counted, strict=True)]


def _segmented(fitted: dict, others: dict) -> dict[str, np.ndarray]:
    parts = [{**one['single'], 'area': one['histogram'][..., 1].sum(1)} for one in (fitted, others)]
    single = [dissection.overlap_statistics(part)['iou'] for part in parts]
    best = np.take_along_axis(single[1], single[0].argmax(0)[None], 0)[0]
    iou = multi_unit.held_out_iou(fitted['histogram'], others['histogram'])
    everywhere = parts[1]['area'] / parts[1]['pixels']
    others = {'single_unit_iou': best, 'everywhere_iou': everywhere}
    return {'multi_unit_iou': iou, **{name: np.where(np.isfinite(iou), v, np.nan) for name, v in others.items()}}


def add(total, part):
    """Sums leaf by leaf; None is nothing yet."""
    return part if total is None else jax.tree.map(np.add, total, part)
