"""The passes over the probe set that dissect the units of all members.

They give thresholds, overlaps with concepts, concepts per image, top images, and concepts that several units show
together. Each is made of `probe.stream`, and keeps sums.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax import concepts
from imbalance_jax.concepts import dissection, multi_unit, nulls
from imbalance_jax.concepts.areas import count_overlap
from imbalance_jax.concepts.quantiles import UpperQuantile
from imbalance_jax.explain.probe import Probe, stream
from imbalance_jax.system import threads

STUDY_BATCH = 64  # images whose quantile the published count shares
TOP_IMAGES = 4  # of a unit
LARGEST = float(np.finfo(np.float16).max)

Arrays = dict[str, np.ndarray]


class Thresholds(NamedTuple):
    """What one member's units do over the probe set, from the first pass.

    seen: layer -> the activations from which thresholds follow; counted: the same for the concept count, in the main
    layer, with the `share` of positions above the threshold; mean: layer -> [N,U] means of maps; peak: [N,U] maxima of
    the main layer's maps
    """

    seen: dict[str, UpperQuantile]
    counted: UpperQuantile
    share: float
    mean: Arrays
    peak: np.ndarray

    @classmethod
    def begin(cls, probe: Probe, quantile: float, count_quantile: float) -> 'Thresholds':
        """Before any image; the threshold of the count leaves one position above it at least."""
        N, (height, width, units) = len(probe.rows), probe.layers[probe.main]
        images, lightest = float(probe.weights.sum()), float(probe.weights.min())
        positions = images * height * width
        share = max(1 - count_quantile, lightest / positions)
        seen = {
            layer: UpperQuantile(u, images * h * w, quantile, lightest=lightest)
            for layer, (h, w, u) in probe.layers.items()
        }
        counted = UpperQuantile(units, positions, max(share, quantile), lightest=lightest)
        if counted.exact:  # then it serves both
            seen[probe.main] = counted
        return cls(
            seen=seen,
            counted=counted,
            share=share,
            mean={layer: np.empty((N, u), np.float32) for layer, (_, _, u) in probe.layers.items()},
            peak=np.empty((N, units), np.float32),
        )


def collect_thresholds(probe: Probe, quantile: float, count_quantile: float) -> list[Thresholds]:
    """First pass: the thresholds of every member."""
    members = [Thresholds.begin(probe, quantile, count_quantile) for _ in range(probe.place.num_members)]
    for positions, activations in stream(probe, probe.layers, probe.cut(probe.layers), phase='thresholds'):
        weights = probe.weights[positions]

        def notice(number, positions=positions, activations=activations, weights=weights):
            member = members[number]
            for layer, seen in member.seen.items():
                seen.add(activations[layer][number], weights)
                member.mean[layer][positions] = activations[layer][number].mean((1, 2))
            maps = activations[probe.main][number]
            if member.counted is not member.seen[probe.main]:
                member.counted.add(maps, weights)
            member.peak[positions] = maps.max((1, 2))

        threads.each(notice, range(len(members)))
    return members


def dissect(
    probe: Probe, thresholds: Sequence[Thresholds], *, quantile: float, null: str | None, rounds: int
) -> list[dict[str, Arrays]]:
    """Second pass, a dict per member: layer -> what `concepts.dissect` returns."""
    levels = [{layer: dissection.active_threshold(s, quantile) for layer, s in m.seen.items()} for m in thresholds]
    counts: list[dict[str, Any]] = [dict.fromkeys(probe.layers) for _ in thresholds]
    blocks, layouts = probe.blocks(), {}
    area = np.zeros(len(probe.dataset.concepts))
    parts = [(number, part) for number, block in enumerate(blocks) for part in probe.cut(probe.layers, block)]
    passes = stream(probe, probe.layers, [part for _, part in parts], phase='overlap with concepts')
    for (number, _), (positions, activations) in zip(parts, passes, strict=True):
        if number not in layouts:
            block = blocks[number]
            masks, weights = probe.masks(block), probe.weights[block]
            whose = {'images': block, 'weights': weights, 'patients': probe.patients[block]}
            layout = nulls.lay_out(masks, null, rounds, key=probe.key, number=number, **whose)
            layouts = {number: layout}  # of one block at a time
            area += weights @ masks.sum((1, 2))
        of_part = layouts[number].of(np.searchsorted(blocks[number], positions))

        def meet(member, activations=activations, of_part=of_part):
            for layer in probe.layers:
                overlap = count_overlap(activations[layer][member], levels[member][layer], of_part)
                counts[member][layer] = add(counts[member][layer], overlap)

        threads.each(meet, range(len(counts)))
    return [
        {layer: overlap_of({**count[layer], 'area': area}, member.seen[layer], quantile) for layer in probe.layers}
        for count, member in zip(counts, thresholds, strict=True)
    ]


def overlap_of(counts: Arrays, seen: UpperQuantile, quantile: float) -> Arrays:
    """The keys of `concepts.dissect`, and those of `states`."""
    return {**dissection.overlap_statistics(counts), **states(seen, quantile)}


def states(seen: UpperQuantile, quantile: float) -> Arrays:
    """`threshold`, `dead` and `sparse` [U], and `threshold_error`: by how large a share a threshold may be too high."""
    error = np.array(seen.relative_error, np.float64)
    return {**dissection.describe(seen, quantile), 'threshold_error': error}


def count(probe: Probe, thresholds: Sequence[Thresholds], quantile: float) -> list[Arrays]:
    """Concepts per image of the main layer, of the images with a box: [n] as published, [n,K] corrected.

    As published, the quantile is that of a batch of 64 images with boxes, and all boxes of an image count for each of
    its findings. Corrected, it is that of the whole probe set, and a finding's own boxes count.
    """
    positions = np.flatnonzero(probe.boxed().any(1))
    parts = [positions[start : start + STUDY_BATCH] for start in range(0, len(positions), STUDY_BATCH)]
    published: list[list[np.ndarray]] = [[np.zeros(0, int)] for _ in thresholds]
    corrected: list[list[np.ndarray]] = [[np.zeros((0, len(probe.dataset.classes)), int)] for _ in thresholds]
    levels = [member.counted.threshold(member.share) for member in thresholds]
    for part, activations in stream(probe, [probe.main], parts, phase='number of concepts'):
        boxes = probe.boxes(part)
        size, union = boxes.shape[1:3], np.asarray(boxes.any(-1))

        def count_of(member, maps=activations[probe.main], size=size, union=union, boxes=boxes):
            options: dict[str, Any] = {'convention': 'corrected', 'threshold': levels[member]}
            published[member].append(concepts.count(maps[member], size, quantile, union))
            corrected[member].append(concepts.count(maps[member], size, quantile, boxes, **options))

        threads.each(count_of, range(len(levels)))
    return [
        {'concepts': np.concatenate(one), 'concepts_corrected': np.concatenate(other)}
        for one, other in zip(published, corrected, strict=True)
    ]


def top_maps(probe: Probe, thresholds: Sequence[Thresholds]) -> list[Arrays]:
    """The images `top` [U,n] that excite each unit of the main layer most, and its maps there, `top_maps` [U,n,h,w]."""
    most = min(TOP_IMAGES, len(probe.rows))
    top = [dissection.highest(member.peak, most) for member in thresholds]
    h, w, _ = probe.layers[probe.main]
    maps = [np.zeros((*images.shape, h, w), np.float16) for images in top]
    parts = probe.cut([probe.main], np.unique(np.stack(top)))
    for positions, activations in stream(probe, [probe.main], parts, phase='top images'):
        for images, kept, features in zip(top, maps, activations[probe.main], strict=True):
            unit, rank = np.nonzero(np.isin(images, positions))
            position = np.searchsorted(positions, images[unit, rank])
            kept[unit, rank] = np.clip(features[position, :, :, unit], -LARGEST, LARGEST)
    return [{'top': images, 'top_maps': kept} for images, kept in zip(top, maps, strict=True)]


def segment(probe: Probe, overlaps: Sequence[Arrays], half: np.ndarray) -> list[Arrays]:
    """Three passes: concepts shown by all units of the main layer together, fitted on one half [N] of the patients.

    `multi_unit_iou` [S] on the other half, and beside it `single_unit_iou` [S] there of the unit that was best on the
    half that the weights are fitted to, and `everywhere_iou` [S], that of a map of ones.
    """
    levels = [np.where(one['sparse'], np.inf, one['threshold']) for one in overlaps]
    fitted, others = (probe.cut([probe.main], np.flatnonzero(half == which)) for which in (True, False))
    weights = fit_weights(probe, levels, fitted)
    on_fitted, on_others = (count_segments(probe, levels, weights, parts=parts) for parts in (fitted, others))
    return [_segmented(*one) for one in zip(on_fitted, on_others, strict=True)]


def fit_weights(probe: Probe, levels: Sequence[np.ndarray], parts: list[np.ndarray]) -> list[np.ndarray]:
    """Each member's weights [U,S] of its units, by `multi_unit.discriminant`, on some images."""
    sums: list[Any] = [None] * len(levels)
    for positions, activations in stream(probe, [probe.main], parts, phase='multi-unit concepts'):
        masks, weights = probe.masks(positions), probe.weights[positions]
        for member, maps in enumerate(activations[probe.main]):
            sums[member] = add(sums[member], multi_unit.gather(maps > levels[member], masks, weights))
    return [multi_unit.discriminant(one) for one in sums]


def count_segments(
    probe: Probe, levels: Sequence[np.ndarray], weights: Sequence[np.ndarray], *, parts: list[np.ndarray]
) -> list[Arrays]:
    """Each member's `multi_unit.histogram` on some images, and the overlap counts of its single units there."""
    counts: list[Any] = [None] * len(levels)
    for positions, activations in stream(probe, [probe.main], parts, phase='multi-unit concepts'):
        masks, of_image = probe.masks(positions), probe.weights[positions]
        layout = nulls.lay_out(masks, weights=of_image)

        def count_of(member, activations=activations[probe.main], masks=masks, of_image=of_image, layout=layout):
            maps = activations[member]
            histogram = multi_unit.histogram(maps > levels[member], masks, weights[member], of_image)
            single = count_overlap(maps, levels[member], layout)
            counts[member] = add(counts[member], {'histogram': histogram, **single})

        threads.each(count_of, range(len(counts)))
    return counts


def _segmented(fitted: Arrays, others: Arrays) -> Arrays:
    """The keys of `segment`, from the counts of `count_segments` on both halves."""
    parts = [{**one, 'area': one['histogram'][..., 1].sum(1)} for one in (fitted, others)]
    single = [dissection.overlap_statistics(part)['iou'] for part in parts]
    best = np.take_along_axis(single[1], single[0].argmax(0)[None], 0)[0]
    iou = multi_unit.held_out_iou(fitted['histogram'], others['histogram'])
    everywhere = parts[1]['area'] / parts[1]['pixels']
    beside = {'single_unit_iou': best, 'everywhere_iou': everywhere}
    return {'multi_unit_iou': iou, **{name: np.where(np.isfinite(iou), v, np.nan) for name, v in beside.items()}}


def add(total: Any, part: Any) -> Any:
    """Sums leaf by leaf; None is nothing yet."""
    return part if total is None else jax.tree.map(np.add, total, part)
