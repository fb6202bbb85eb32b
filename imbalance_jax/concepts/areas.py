"""Areas of units and concepts and what they share, counted in pixels, of the images and of draws from a null."""

import jax
import numpy as np

from imbalance_jax.concepts import nulls
from imbalance_jax.concepts.counting import cells
from imbalance_jax.concepts.inputs import as_pair

PIXELS_AT_ONCE = 2**24  # up-sampled activations held at a time


def overlap_counts(
    features: np.ndarray,
    masks: np.ndarray,
    threshold: np.ndarray,
    *,
    null: str | None = None,
    rounds: int = 100,
    key: jax.Array | int | None = None,
    chunk: int | None = None,
    weights: np.ndarray | None = None,
    patients: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Areas of units and concepts over some images, in pixels; counts of parts of a probe set add up, leaf by leaf.

    threshold: [U], inf for a unit that is to be left out; the other arguments as in `dissection.dissect`.

    Returns arrays: `intersection` [U, S], `active` [U], `area` [S], `pixels` [], and under the null the intersections,
    `null` [R, U, S], and active areas, `null_active` [R, U] (R is `rounds`, or 0 without a null). A pixel counts as
    much as its image's weight; under the null, as that of the image whose concepts it meets.
    """
    features, masks = as_pair(features, masks)
    _check_threshold(features, threshold)
    nulls.check(null, rounds)
    key = nulls.make_key(key)
    parts = []
    weights = np.ones(len(features)) if weights is None else np.asarray(weights)
    patients = np.arange(len(features)) if patients is None else np.asarray(patients)
    for number, images in enumerate(nulls.blocks(patients, key)):
        block_masks = np.asarray(masks[images], bool)
        whose = {'weights': weights[images], 'patients': patients[images], 'images': images}
        layout = nulls.lay_out(block_masks, null, rounds if null else 0, key=key, number=number, **whose)
        area = weights[images] @ block_masks.sum((1, 2))
        parts.append({**count_overlap(features[images], threshold, layout, chunk=chunk), 'area': area})
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def count_overlap(
    features: np.ndarray, threshold: np.ndarray, layout: nulls.Layout, *, chunk: int | None = None
) -> dict[str, np.ndarray]:
    """`overlap_counts`, less `area`, of the images of a `nulls.Layout`: what active pixels of features [n, h, w, U]
    meet."""
    features, threshold = np.asarray(features, np.float32), np.asarray(threshold, np.float32)
    units, (codes, concepts), size = features.shape[-1], layout.table.shape, layout.size
    chunk = chunk or max(1, PIXELS_AT_ONCE // (units * size[0] * size[1]))
    histogram = np.zeros((len(layout.origins), units * codes), np.int64)
    for start in range(0, len(features), chunk):
        image, unit, row, column = _active(features[start : start + chunk], threshold, size)
        position, key_of_unit = row * layout.stride + column, unit * codes
        for of_round, origin in zip(histogram, layout.origins[:, start : start + chunk], strict=True):
            met = layout.code[position + origin[image]]
            of_round += np.bincount(key_of_unit + met, minlength=units * codes)
    of_code = np.concatenate([layout.table, np.ones((codes, 1))], axis=1) * layout.weight[:, None]
    areas = (histogram.reshape(-1, codes) @ of_code).reshape(-1, units, concepts + 1)
    intersection, active = areas[..., :-1], areas[..., -1]
    pixels = layout.image_weight.sum() * size[0] * size[1]
    under_null = {'null': intersection[1:], 'null_active': active[1:]}
    return {'intersection': intersection[0], 'active': active[0], 'pixels': pixels, **under_null}


def _active(features: np.ndarray, threshold: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Image, unit, row and column of every pixel of the enlarged maps that is above its unit's threshold.

    Interpolation does not exceed what it interpolates. So of all cells between four positions of a map only those with
    a corner above the threshold are enlarged.
    """
    down, across = (cells(old, new) for old, new in zip(features.shape[1:3], size, strict=True))
    high = features > threshold
    high |= high[:, down.other]
    high |= high[:, :, across.other]
    image, row, column, unit = np.nonzero(high)
    below, right = down.other[row], across.other[column]
    share = across.share[column]  # of the corner on the right, by pixel
    upper, lower = (
        features[image, r, column, unit][:, None] * (1 - share) + features[image, r, right, unit][:, None] * share
        for r in (row, below)
    )
    share = down.share[row][..., None]
    pixels = upper[:, None] * (1 - share) + lower[:, None] * share
    inside = down.inside[row][..., None] & across.inside[column][:, None]
    cell, i, j = np.nonzero((pixels > threshold[unit, None, None]) & inside)
    return image[cell], unit[cell], down.first[row[cell]] + i, across.first[column[cell]] + j


def _check_threshold(features: np.ndarray, threshold: np.ndarray) -> None:
    if np.shape(threshold) != features.shape[-1:]:
        raise ValueError(f'threshold must be [U] = {features.shape[-1:]}, got {np.shape(threshold)}.')
