"""The units of all members at once on the probe set, which streams by: its size changes the time, not the memory.

Each pass over the probe set runs the network of every member on a few images, and keeps sums. What is kept for each
image is small: its place in a random order, and the mean of every unit's map.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax import concepts
from imbalance_jax import progress as display
from imbalance_jax.concepts import dissection, nulls, segmentation
from imbalance_jax.concepts.quantiles import UpperQuantile
from imbalance_jax.datasets.store import Dataset
from imbalance_jax.placement import Placement
from imbalance_jax.regions import concept_masks

BYTES_AT_ONCE = 2**27  # activations of all members that leave the devices together
STUDY_BATCH = 64  # images whose quantile the published count shares
TOP_IMAGES = 4  # a unit


class Probe(NamedTuple):
    """What is asked: the images `rows` [N] of a data set, held against their regions; and who: P members on devices.

    layers: name -> (h, w, U), the main one first; tcav_layer: that in which TCAV is asked; regions: 'exact' or 'box'
    """

    dataset: Dataset
    rows: np.ndarray
    regions: str
    layers: dict[str, tuple[int, ...]]
    tcav_layer: str
    model: Any
    normalise: Callable
    place: Placement
    variables: Any
    programs: dict  # compiled by `stream`

    @property
    def main(self) -> str:
        return next(iter(self.layers))

    @property
    def key(self):
        """Of every draw: one for all members, so that what differs between them is not the draws."""
        return jax.random.key(0)

    def masks(self, positions: np.ndarray) -> np.ndarray:
        """[n,H,W,S] of the images at these positions of the probe set."""
        return concept_masks(self.dataset, self.rows[positions], self.regions)

    def boxes(self, positions: np.ndarray) -> np.ndarray:
        """[n,H,W,K] of the findings' boxes."""
        return concept_masks(self.dataset, self.rows[positions], 'box')[..., : len(self.dataset.classes)]

    def blocks(self) -> list[np.ndarray]:
        """Positions [n] of the images that exchange annotations in the null."""
        return nulls.blocks(len(self.rows), self.key)

    def boxed(self) -> np.ndarray:
        """Which findings each image has a box of, [N,K] bool."""
        dataset = self.dataset
        found = np.zeros((len(dataset.images), len(dataset.concepts)), bool)
        found[dataset.region_image, dataset.region_concept] = True
        return found[self.rows, : len(dataset.classes)]

    def together(self, layers) -> int:
        """Images whose activations may leave the devices together."""
        each = 4 * self.place.padded * sum(int(np.prod(self.layers[layer])) for layer in layers)
        return int(np.clip(BYTES_AT_ONCE // each, 1, min(nulls.BLOCK, len(self.rows))))

    def cut(self, layers, positions: np.ndarray | None = None) -> list[np.ndarray]:
        """Ascending positions of the probe set, or of a part of it, in pieces that fit."""
        positions, size = np.arange(len(self.rows)) if positions is None else positions, self.together(layers)
        return [positions[start : start + size] for start in range(0, len(positions), size)]


def stream(probe: Probe, layers, parts: list[np.ndarray], phase: str) -> Iterator[tuple[np.ndarray, dict]]:
    """Yields (positions [n], {layer: [P,n,h,w,U]} of all members) of every part of the probe set.

    The devices are one part ahead of who asks. Parts are filled up to one size, so that one program serves all.
    """
    layers, images = tuple(layers), probe.dataset.images
    mapped = probe.programs.setdefault(layers, probe.place.map(make_features(probe, layers)))
    size = probe.together(layers)
    with display.show(f'explain: {phase}', len(parts)) as update:
        ahead: list = []
        for number, positions in enumerate([*parts, None]):
            if positions is not None:
                batch = probe.place.shared(images[probe.rows[np.resize(positions, max(size, len(positions)))]])
                ahead.append((positions, mapped(probe.variables, batch)))
            if number:
                done, found = ahead.pop(0)
                yield done, {layer: maps[:, : len(done)] for layer, maps in probe.place.fetch(found).items()}
                update(number)


def make_features(probe: Probe, layers) -> Callable:
    """Returns `features(variables, images) -> {layer: [n,h,w,U]}` of one member."""

    def features(variables, images):
        _, out = probe.model.apply(variables, probe.normalise(images))
        return {layer: out[layer] for layer in layers}

    return features


def presence(probe: Probe) -> np.ndarray:
    """Which concepts each image has a region of, [N,S] bool."""
    parts = [probe.masks(positions).any((1, 2)) for positions in probe.cut([probe.main])]
    return np.concatenate(parts)


def survey(probe: Probe, quantile: float, count_quantile: float) -> list[dict]:
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
            layout = nulls.lay_out(masks, null, rounds, probe.key, blocks[number], number)
            area = area + masks.sum((0, 1, 2), dtype=np.int64)
        own = layout.of(np.searchsorted(blocks[number], positions))
        for member, (total, threshold) in enumerate(zip(counted, thresholds, strict=True)):
            for layer in probe.layers:
                met = dissection.meet(found[layer][member], threshold[layer], own)
                total[layer] = add(total[layer], met)
    return [
        {layer: result(total[layer], area, member['seen'][layer], quantile) for layer in probe.layers}
        for total, member in zip(counted, surveys, strict=True)
    ]


def result(counted: dict, area: np.ndarray, seen: UpperQuantile, quantile: float) -> dict[str, np.ndarray]:
    """The keys of `concepts.dissect`, and `threshold_error`: by how large a share a threshold may be too high."""
    judged = dissection.judge({**counted, 'area': area})
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
    top = [np.argsort(-member['peak'], axis=0, kind='stable')[:most].T for member in surveys]
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
            sums[member] = add(sums[member], segmentation.gather(maps > thresholds[member], masks))
    weights = [segmentation.discriminant(one) for one in sums]
    counted = [[None] * len(results) for _ in halves]
    for kept, parts in zip(counted, halves, strict=True):
        for positions, found in stream(probe, [probe.main], parts, 'multi-unit concepts'):
            masks = probe.masks(positions)
            layout = nulls.lay_out(masks)
            for member, maps in enumerate(found[probe.main]):
                together = segmentation.histogram(maps > thresholds[member], masks, weights[member])
                single = dissection.meet(maps, thresholds[member], layout)
                kept[member] = add(kept[member], {'histogram': together, 'single': single})
    return [_segmented(*one) for one in zip(*counted, strict=True)]


def _segmented(fitted: dict, others: dict) -> dict[str, np.ndarray]:
    parts = [{**one['single'], 'area': one['histogram'][..., 1].sum(1)} for one in (fitted, others)]
    single = [dissection.judge(part)['iou'] for part in parts]
    best = np.take_along_axis(single[1], single[0].argmax(0)[None], 0)[0]
    iou = segmentation.judged(fitted['histogram'], others['histogram'])
    everywhere = parts[1]['area'] / parts[1]['pixels']
    others = {'single_unit_iou': best, 'everywhere_iou': everywhere}
    return {'multi_unit_iou': iou, **{name: np.where(np.isfinite(iou), v, np.nan) for name, v in others.items()}}


def add(total, part):
    """Sums leaf by leaf; None is nothing yet."""
    return part if total is None else jax.tree.map(np.add, total, part)
