"""Regions that several readers drew: what each of them drew, and the votes of pixels that make one region of them."""

from typing import NamedTuple

import numpy as np

from imbalance_jax.data.dataset import NOT_READ, Dataset
from imbalance_jax.names import lookup

RULES = ('any', 'majority', 'all')
ENOUGH = 3  # readers of an image, from which on the majority decides if nothing else is asked for
CONSENSUS = -1  # in `region_reader`: a region that readers agreed on
REFERENCE = 'radiologists'  # readers of this name are a set's own ground truth, beside others that are held against it
POINT = ' point'  # 'NAME point' holds where the reader NAME points: pixels that vote for nothing


class Drawn(NamedTuple):
    """What was drawn of one concept in one image.

    masks: [r,H,W] bool, one per reader who saw the image, nothing where a reader drew nothing; readers: [r] their
    numbers; points: [r,H,W] bool, where they point, nothing where that is not known; consensus: [H,W] bool, what the
    image's readers agreed on, or None if it has no consensus
    """

    masks: np.ndarray
    readers: np.ndarray
    points: np.ndarray
    consensus: np.ndarray | None


def names_of(dataset: Dataset) -> list[str]:
    """The readers whose regions are told apart; none where nobody says who drew."""
    return [] if dataset.region_reader is None else list(dataset.info.get('readers', []))


def check(dataset: Dataset, rule: str, field: str) -> None:
    """Raises ValueError naming the config's `field` unless `rule` is '', one of `RULES`, or a reader of the set."""
    if rule and rule not in RULES:
        lookup(dict.fromkeys([*RULES, *names_of(dataset)]), rule, f'vote or reader in config.{field}:')


def chosen_rule(dataset: Dataset, rule: str) -> str:
    """The rule, or where none is asked for the data set's `info['reference_reader']`, or `REFERENCE` if it has such
    readers; '' if it has neither."""
    own = REFERENCE if REFERENCE in names_of(dataset) else ''
    return rule or dataset.info.get('reference_reader', own)


def pointers(names: list[str]) -> dict[int, int]:
    """The number of each reader of points -> that of the reader who points."""
    return {
        number: names.index(name.removesuffix(POINT))
        for number, name in enumerate(names)
        if name.endswith(POINT) and name.removesuffix(POINT) in names
    }


def who_saw(dataset: Dataset) -> np.ndarray:
    """Which readers saw each image, [N,readers] bool: by the readings of its labels, and whoever drew in it."""
    names = names_of(dataset)
    saw = np.zeros((len(dataset.images), len(names)), bool)
    if dataset.region_reader is None:
        return saw
    drew = dataset.region_reader != CONSENSUS
    saw[dataset.region_image[drew], dataset.region_reader[drew]] = True
    if dataset.cells is not None:
        for (_, reader), cells in zip(dataset.info['readings'], dataset.cells, strict=True):
            if reader in names:
                saw[:, names.index(reader)] |= (cells != NOT_READ).any(-1)
    saw[:, list(pointers(names))] = False
    return saw


def vote(masks: np.ndarray, rule: str = '') -> np.ndarray:
    """One region [H,W] of the masks [r,H,W] of r readers, pixel by pixel.

    'any' reader, more than half of them ('majority'), or 'all'; '' is the majority of `ENOUGH` or more, else any.
    """
    rule = rule or ('majority' if len(masks) >= ENOUGH else 'any')
    least = {'any': 1, 'majority': len(masks) // 2 + 1, 'all': max(len(masks), 1)}[rule]
    return masks.sum(0) >= least


def truth(drawn: Drawn, rule: str, names: list[str]) -> np.ndarray:
    """The region [H,W] that maps and units are held against: a reader's own, the consensus of the image, or a vote."""
    if rule in names:
        return drawn.masks[drawn.readers == names.index(rule)].any(0)
    return vote(drawn.masks, rule) if drawn.consensus is None else drawn.consensus


def left_out(drawn: Drawn, rule: str, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which [n] of the r readers are held against others, and against what [n,H,W]: none of it drawn by that reader.

    A reader's own region or the consensus where that is the truth, else the vote of the others; '' is resolved for as
    many as are left. None without a second reader.
    """
    masks, everyone = drawn.masks, np.arange(len(drawn.masks))
    if rule in names:
        own = drawn.readers == names.index(rule)
        others = everyone[~own] if own.any() else everyone[:0]
        return others, np.broadcast_to(masks[own].any(0), (len(others), *masks.shape[1:]))
    if drawn.consensus is not None:
        return everyone, np.broadcast_to(drawn.consensus, masks.shape)
    if len(masks) < 2:
        return everyone[:0], masks[:0]
    return everyone, np.stack([vote(np.delete(masks, one, 0), rule) for one in everyone])
