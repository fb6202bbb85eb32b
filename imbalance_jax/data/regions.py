"""Annotated regions as masks: (image, finding) pairs to align maps with, layers of concepts to dissect units with."""

from typing import NamedTuple

import numpy as np

from imbalance_jax.data.boxes import rasterise
from imbalance_jax.data.dataset import SPLITS, Dataset

KINDS = ('box', 'exact')


class Pairs(NamedTuple):
    """Findings with an annotated region, one row per (image, finding) pair, in the order of the images.

    image: [M] row in the data set; finding: [M] class number; patient: [M]; mask: [M,H,W] bool
    """

    image: np.ndarray
    finding: np.ndarray
    patient: np.ndarray
    mask: np.ndarray


def region_masks(dataset: Dataset, regions: np.ndarray, kind: str) -> np.ndarray:
    """Masks [n,H,W] bool of regions [n] at image size: 'box' rasterised, or 'exact' where the source has masks."""
    if kind not in KINDS:
        raise ValueError(f'Regions are {" or ".join(map(repr, KINDS))}, not {kind!r}.')
    size = dataset.images.shape[1:3]
    if kind == 'exact' and len(dataset.region_mask):
        return np.unpackbits(dataset.region_mask[regions], axis=-1, count=size[1]).astype(bool)
    return rasterise(dataset.region_box[regions][:, None], dataset.info['frame'], size)


def finding_pairs(dataset: Dataset, split: str, kind: str, most: int = 0) -> Pairs:
    """The findings with a region among the images of one split; of `most` > 0, that many spread evenly.

    Several regions of one finding in an image are one mask. A region is taken whatever the image's label says: NIH's
    boxes follow one revision of its labels, and the data set may hold another.
    """
    in_split = dataset.split[dataset.region_image] == SPLITS.index(split)
    regions = np.flatnonzero(in_split & (dataset.region_concept < len(dataset.classes)))
    names = dataset.region_image[regions].astype(np.int64) * len(dataset.classes) + dataset.region_concept[regions]
    pairs, member = np.unique(names, return_inverse=True)
    if 0 < most < len(pairs):
        chosen = np.linspace(0, len(pairs) - 1, most).astype(int)
        kept = np.isin(member, chosen)
        regions, pairs, member = regions[kept], pairs[chosen], np.searchsorted(chosen, member[kept])
    mask = np.zeros((len(pairs), *dataset.images.shape[1:3]), bool)
    np.logical_or.at(mask, member, region_masks(dataset, regions, kind))
    image, finding = np.divmod(pairs, len(dataset.classes))
    return Pairs(image, finding, dataset.patient[image], mask)


def refuse_training(dataset: Dataset, pairs: Pairs) -> tuple[Pairs, int]:
    """The pairs of which neither the image nor another of its patient is in the training split, and how many are not.

    A map on a training image flatters, and so does one on a patient whose other images were learned.
    """
    train = dataset.rows('train')
    leaking = np.isin(pairs.image, train) | np.isin(pairs.patient, dataset.patient[train])
    if leaking.any():
        print(f'{leaking.sum()} annotated regions are refused: their patients are in the training split.')
    return Pairs(*(array[~leaking] for array in pairs)), int(leaking.sum())


def concept_masks(dataset: Dataset, images: np.ndarray, kind: str) -> np.ndarray:
    """Masks [n,H,W,S] bool of every concept in the images [n], given as rows of the data set."""
    masks = np.zeros((len(images), *dataset.images.shape[1:3], len(dataset.concepts)), bool)
    position = np.full(len(dataset.images), -1)
    position[images] = np.arange(len(images))
    regions = np.flatnonzero(position[dataset.region_image] >= 0)
    for region, mask in zip(regions, region_masks(dataset, regions, kind), strict=True):
        masks[position[dataset.region_image[region]], :, :, dataset.region_concept[region]] |= mask
    return masks
