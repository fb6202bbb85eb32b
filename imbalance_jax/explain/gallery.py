"""Maps of a trained population, and how they align with findings: its members' and of what stands in for them."""

import numpy as np

from imbalance_jax.data.regions import Pairs
from imbalance_jax.explain.maps import in_slabs, make_maps

GALLERY = 3  # images a finding in the gallery
FAILURES = 6  # an arm


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
