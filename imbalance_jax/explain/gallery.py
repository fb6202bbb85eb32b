"""Pictures of maps: the first pairs of every finding, and each arm's most confident failures."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from imbalance_jax.data.arrays import pictures
from imbalance_jax.data.regions import Pairs
from imbalance_jax.explain.maps import compile_slab, in_slabs, make_maps
from imbalance_jax.training.trained import SPLIT, Trained

GALLERY = 3  # images of a finding in the gallery
FAILURES = 6  # of an arm


def gallery_pairs(pairs: Pairs) -> np.ndarray:
    """The first few pairs of every finding, each of another patient while there are such, in the order of the pairs."""
    shown = []
    for k in np.unique(pairs.finding):
        of_finding = np.flatnonzero(pairs.finding == k)
        first = np.sort(np.unique(pairs.patient[of_finding], return_index=True)[1])
        further = np.setdiff1d(np.arange(len(of_finding)), first)
        shown.append(of_finding[np.concatenate([first, further])[:GALLERY]])
    return np.sort(np.concatenate(shown))


def shown_method(methods: Sequence[str]) -> str:
    """The method whose failures are shown: Grad-CAM, or the first that there is."""
    return 'grad_cam' if 'grad_cam' in methods else methods[0]


def failures(
    trained: Trained, method: str, pairs: Pairs, *, missed: np.ndarray, logits: np.ndarray
) -> dict[str, np.ndarray]:
    """The pairs of each arm [A,F] that it is surest of although no seed's map points into the region, surest first,
    with their images, masks, scores and seed-mean maps; -1 where an arm has fewer.

    missed: [P,M] bool, whether a member's map of a pair points elsewhere; logits: of the test split [P,N,K].
    """
    position = np.searchsorted(trained.dataset.rows(SPLIT), pairs.image)
    scores = 1 / (1 + np.exp(-logits[:, position, pairs.finding].astype(np.float64)))
    chosen, score = surest_failures(missed, scores, living_arms(trained))
    shown = np.unique(chosen[chosen >= 0])
    if not len(shown):
        return {'pair': chosen, 'score': score}
    pictures = pictures_of(trained, method, pairs, shown=shown)
    return {**pictures, 'pair': np.where(chosen < 0, -1, np.searchsorted(shown, chosen)), 'score': score}


def living_arms(trained: Trained) -> list[list[int]]:
    """The living members of every arm, in the order of the arms."""
    arms: dict[str, list[int]] = {row['arm']: [] for row in trained.members}
    for row in trained.members:
        if trained.alive[row['member']]:
            arms[row['arm']].append(row['member'])
    return list(arms.values())


def surest_failures(
    missed: np.ndarray, scores: np.ndarray, arms: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [A,F] that all members of an arm miss, by falling mean score, and the scores [A,F]; -1 and 0 for none.

    missed, scores: [P,M]; arms: the members of each.
    """
    chosen, surest = np.full((len(arms), FAILURES), -1), np.zeros((len(arms), FAILURES))
    for a, members in enumerate(arms):
        if members:
            score = np.where(missed[members].all(0), scores[members].mean(0), -1)
            worst = np.argsort(-score, kind='stable')[:FAILURES]
            worst = worst[score[worst] >= 0]
            chosen[a, : len(worst)], surest[a, : len(worst)] = worst, score[worst]
    return chosen, surest


def pictures_of(trained: Trained, method: str, pairs: Pairs, *, shown: np.ndarray) -> dict[str, np.ndarray]:
    """Images [n,H,W(,3)], finding [n] and mask [n,H,W] of some pairs, and the members' maps of them
    [P,n,H,W], each up to 1."""
    images, finding = trained.dataset.images[pairs.image[shown]], pairs.finding[shown]
    arrays, phase = (images, finding, pairs.image[shown]), f'explain: failures of {method}'
    program = partial(compile_slab, trained, make_maps(trained, method), arrays, networks=trained.members_alone)
    _, maps = in_slabs(trained, program, arrays, phase=phase, keep=np.arange(len(shown)))
    return {
        'images': pictures(images),
        'finding': finding,
        'mask': pairs.mask[shown],
        'maps': of_largest_one(maps).astype(np.float16),
    }


def of_largest_one(maps: np.ndarray) -> np.ndarray:
    """Maps [...,H,W] whose largest value, by size, is 1, or 0 where there is none: 16 bits hold them at any scale."""
    largest = np.abs(maps).max((-2, -1), keepdims=True)
    return maps / np.where(largest > 0, largest, 1)
