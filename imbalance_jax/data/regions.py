"""Annotated regions as masks: (image, finding) pairs to align maps with, layers of concepts to dissect units with."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from imbalance_jax.data import readers
from imbalance_jax.data.boxes import rasterise
from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.data.readers import CONSENSUS, Drawn

KINDS = ('box', 'exact')
BLOCK = 256  # regions that are unpacked at a time


class Pairs(NamedTuple):
    """Pairs of an image and a finding, in the order of the images.

    image: [M] row in the data set; finding: [M] class number; patient: [M]; mask: [M,H,W] bool, the annotated region,
    empty where the finding has none
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


def united(dataset: Dataset, regions: np.ndarray, owner: np.ndarray, count: int, *, kind: str) -> np.ndarray:
    """The union [count,H,W] bool of the regions [n] of each owner [n] in 0 .. count - 1."""
    masks = np.zeros((count, *dataset.images.shape[1:3]), bool)
    for start in range(0, len(regions), BLOCK):
        part = slice(start, start + BLOCK)
        for one, mask in zip(owner[part], region_masks(dataset, regions[part], kind), strict=True):
            masks[one] |= mask
    return masks


def drawn_of(dataset: Dataset, regions: np.ndarray, owner: np.ndarray, *, kind: str) -> Iterator[tuple[int, Drawn]]:
    """(owner, what readers drew) of the regions [n] of every owner [n], which are of one image and concept each."""
    assert dataset.region_reader is not None
    saw, pointing = readers.who_saw(dataset), readers.pointers(readers.names_of(dataset))
    agreed = np.zeros(len(dataset.images), bool)
    agreed[dataset.region_image[dataset.region_reader == CONSENSUS]] = True
    order = np.argsort(owner, kind='stable')
    names, starts = np.unique(owner[order], return_index=True)
    for one, mine in zip(names, np.split(regions[order], starts[1:]), strict=True):
        image, who = dataset.region_image[mine[0]], dataset.region_reader[mine]
        numbers = np.flatnonzero(saw[image])
        own, points = np.isin(who, numbers), np.isin(who, list(pointing))
        of_point = np.array([pointing[one] for one in who[points].tolist()], int)
        points[points], of_point = np.isin(of_point, numbers), of_point[np.isin(of_point, numbers)]
        masks, places = (
            united(dataset, mine[part], np.searchsorted(numbers, whose), len(numbers), kind=kind)
            for part, whose in ((own, who[own]), (points, of_point))
        )
        shared = mine[who == CONSENSUS]
        whole = united(dataset, shared, np.zeros(len(shared), int), 1, kind=kind)[0] if agreed[image] else None
        yield int(one), Drawn(masks, numbers, places, whole)


def voted(
    dataset: Dataset, regions: np.ndarray, owner: np.ndarray, count: int, *, kind: str, rule: str = ''
) -> np.ndarray:
    """One region [count,H,W] bool of the regions [n] of every owner [n]: the union of what one reader drew, and of
    several readers what `readers.truth` says."""
    names = readers.names_of(dataset)
    if dataset.region_reader is None:
        return united(dataset, regions, owner, count, kind=kind)
    masks, rule = np.zeros((count, *dataset.images.shape[1:3]), bool), readers.chosen_rule(dataset, rule)
    for one, drawn in drawn_of(dataset, regions, owner, kind=kind):
        masks[one] = readers.truth(drawn, rule, names)
    return masks


def _regions_of_pairs(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The regions [n] of findings in one split, and the number [n] of the pair that each is of."""
    in_split = dataset.split[dataset.region_image] == SPLITS.index(split)
    regions = np.flatnonzero(in_split & (dataset.region_concept < len(dataset.classes)))
    pair = dataset.region_image[regions].astype(np.int64) * len(dataset.classes) + dataset.region_concept[regions]
    return regions, pair


def finding_pairs(dataset: Dataset, split: str, kind: str, most: int = 0, *, rule: str = '') -> Pairs:
    """The findings with a region among the images of one split; of `most` > 0, that many spread evenly.

    Several regions of one finding in an image are one mask; of several readers their vote (`readers.truth`), and a pair
    for which no pixel is voted is none. A region is taken whatever the image's label says: NIH's boxes follow one
    revision of its labels, and the data set may hold another.
    """
    regions, names = _regions_of_pairs(dataset, split)
    pairs, member = np.unique(names, return_inverse=True)
    if 0 < most < len(pairs):
        chosen = np.linspace(0, len(pairs) - 1, most).astype(int)
        kept = np.isin(member, chosen)
        regions, pairs, member = regions[kept], pairs[chosen], np.searchsorted(chosen, member[kept])
    mask = voted(dataset, regions, member, len(pairs), kind=kind, rule=rule)
    if dataset.region_reader is not None:
        pairs, mask = pairs[mask.any((1, 2))], mask[mask.any((1, 2))]
    image, finding = np.divmod(pairs, len(dataset.classes))
    return Pairs(image, finding, dataset.patient[image], mask)


def drawn_of_pairs(dataset: Dataset, pairs: Pairs, kind: str) -> Iterator[tuple[int, Drawn]]:
    """(row of a pair, what readers drew of it); nothing where nobody says who drew."""
    if dataset.region_reader is None:
        return
    regions = np.flatnonzero(np.isin(dataset.region_image, pairs.image))
    regions = regions[dataset.region_concept[regions] < len(dataset.classes)]
    names = pairs.image.astype(np.int64) * len(dataset.classes) + pairs.finding
    of_region = dataset.region_image[regions].astype(np.int64) * len(dataset.classes) + dataset.region_concept[regions]
    here = np.isin(of_region, names)
    order = np.argsort(names, kind='stable')
    owner = order[np.searchsorted(names[order], of_region[here])]
    yield from drawn_of(dataset, regions[here], owner, kind=kind)


def labelled_pairs(dataset: Dataset, split: str, findings: np.ndarray, most: int) -> Pairs:
    """At most `most` pairs of an image of one split and a finding that its label says is there, without regions.

    findings: [K] bool, which may be taken. Findings have equal numbers as far as there are images, and the images of a
    finding are spread evenly.
    """
    rows = dataset.rows(split)
    present = ((dataset.labels[rows] * dataset.label_mask[rows]) > 0) & findings
    numbers = level(present.sum(0), min(most, int(present.sum())))
    chosen = []
    for k, number in enumerate(numbers):
        of_finding = rows[present[:, k]]
        images = of_finding[np.linspace(0, len(of_finding) - 1, number).astype(int)] if number else of_finding[:0]
        chosen.append(images.astype(np.int64) * len(dataset.classes) + k)
    image, finding = np.divmod(np.sort(np.concatenate(chosen)), len(dataset.classes))
    size = dataset.images.shape[1:3]
    return Pairs(image, finding, dataset.patient[image], np.zeros((len(image), *size), bool))


def level(sizes: np.ndarray, total: int) -> np.ndarray:
    """`total` divided among parts as equally as their sizes allow."""
    number = np.zeros(len(sizes), int)
    for _ in range(total):
        number[np.where(number < sizes, number, np.iinfo(int).max).argmin()] += 1
    return number


def refuse_training(dataset: Dataset, pairs: Pairs) -> tuple[Pairs, int]:
    """The pairs of which neither the image nor another of its patient is in the training split, and how many are not.

    A map on a training image flatters, and so does one on a patient whose other images were learned.
    """
    train = dataset.rows('train')
    leaking = np.isin(pairs.image, train) | np.isin(pairs.patient, dataset.patient[train])
    if leaking.any():
        print(f'{leaking.sum()} annotated regions are refused: their patients are in the training split.')
    return Pairs(*(array[~leaking] for array in pairs)), int(leaking.sum())


def concept_masks(dataset: Dataset, images: np.ndarray, kind: str, rule: str = '') -> np.ndarray:
    """Masks [n,H,W,S] bool of every concept in the images [n], given as rows of the data set; of several readers their
    vote."""
    masks = np.zeros((len(images), *dataset.images.shape[1:3], len(dataset.concepts)), bool)
    regions, owner = _regions_of_concepts(dataset, images)
    shown, owner = np.unique(owner, return_inverse=True)
    image, concept = np.divmod(shown, len(dataset.concepts))
    masks[image, :, :, concept] = voted(dataset, regions, owner, len(shown), kind=kind, rule=rule)
    return masks


def shown_concepts(dataset: Dataset, images: np.ndarray, kind: str, rule: str = '') -> np.ndarray:
    """Which concepts the images [n], rows of the data set, have a region of, [n,S] bool: the vote of several readers
    may leave none."""
    shown = np.zeros((len(images), len(dataset.concepts)), bool)
    regions, owner = _regions_of_concepts(dataset, images)
    if dataset.region_reader is None:
        shown.reshape(-1)[owner] = True
        return shown
    names, rule = readers.names_of(dataset), readers.chosen_rule(dataset, rule)
    for one, drawn in drawn_of(dataset, regions, owner, kind=kind):
        shown.reshape(-1)[one] = readers.truth(drawn, rule, names).any()
    return shown


def _regions_of_concepts(dataset: Dataset, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The regions [n] in some images, and the number of the image among them times S plus the concept, [n]."""
    position = np.full(len(dataset.images), -1)
    position[images] = np.arange(len(images))
    regions = np.flatnonzero(position[dataset.region_image] >= 0)
    return regions, position[dataset.region_image[regions]] * len(dataset.concepts) + dataset.region_concept[regions]
