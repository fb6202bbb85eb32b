"""Which test images units are asked about: a stratified random sample, with the weights that undo it.

Annotated regions are rare, so that a plain sample would show few of them, and a sample of annotated images none that
are healthy. Here one half has regions and the other has not, and image i counts `weights[i]` = N_h / n_h, the images of
the test split that it stands for (Horvitz and Thompson 1952): weighted figures are those of the split, up to sampling.
"""

from typing import NamedTuple

import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import level, shown_concepts

NO_REGION, HEALTHY = 'a finding without a region', 'no finding'


class ProbeSet(NamedTuple):
    """A sample of a split: image numbers `rows` [N] ascending, how many images of the split each stands for,
    `weights` [N], and which of the strata `names` it was drawn from, `stratum` [N]."""

    rows: np.ndarray
    weights: np.ndarray
    stratum: np.ndarray
    names: tuple[str, ...]


def draw(
    dataset: Dataset, rows: np.ndarray, most: int, *, kind: str = 'exact', rule: str = '', seed: int = 0
) -> ProbeSet:
    """At most `most` of the images `rows`, the same for the same data; all of them, with weight 1, if they fit.

    kind, rule: what a region is, as in `regions.shown_concepts`.
    """
    stratum, names = strata(dataset, rows, kind=kind, rule=rule)
    sizes = np.bincount(stratum, minlength=len(names))
    chosen = allocate(sizes[:-2], sizes[-2:], most)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    drawn = np.concatenate([order[stratum[order] == h][:number] for h, number in enumerate(chosen)])
    drawn = np.sort(drawn)
    weights = sizes[stratum[drawn]] / chosen[stratum[drawn]]
    return ProbeSet(rows[drawn], weights, stratum[drawn], names)


def strata(
    dataset: Dataset, rows: np.ndarray, *, kind: str = 'exact', rule: str = ''
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The stratum [n] of each image and the names of all: the rarest finding of which it has a region, else whether it
    has a finding."""
    K = len(dataset.classes)
    shown = shown_concepts(dataset, rows, kind, rule)[:, :K]
    rarest = np.where(shown, shown.sum(0), np.iinfo(int).max).argmin(1)
    sick = (dataset.labels[rows] * dataset.label_mask[rows] > 0).any(1)
    stratum = np.where(shown.any(1), rarest, np.where(sick, K, K + 1))
    return stratum, (*dataset.classes, NO_REGION, HEALTHY)


def allocate(regions: np.ndarray, others: np.ndarray, most: int) -> np.ndarray:
    """Images to draw from every stratum, of those with regions and of the others, `most` in all.

    One half is for each; what one side lacks the other gets. Findings have equal numbers as far as there are images,
    and the other strata their shares.
    """
    with_regions = int(min(regions.sum(), max(most // 2, most - others.sum())))
    rest = int(min(others.sum(), most - with_regions))
    share = np.minimum(np.round(rest * others / max(others.sum(), 1)).astype(int), others)
    share = np.maximum(share, np.minimum(others, 1))
    share[np.argmax(share)] -= share.sum() - rest
    return np.concatenate([level(regions, with_regions), share])
