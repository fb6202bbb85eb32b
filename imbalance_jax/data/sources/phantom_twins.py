"""Twins of phantom films: the same film drawn with and without one finding, or with and without the chest drain.

Every part of a film has a random stream of its own, so that what is not asked about - build, breathing, exposure,
noise, the other findings and their places - comes out bit for bit the same.
"""

import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.sources.phantom_films import CLASSES, draw_states, has_tube, prevalences, render
from imbalance_jax.data.twins import Twins

TUBE = 'Tube'
CHANGEABLE = (*CLASSES, TUBE)


def twins(dataset: Dataset, rows: np.ndarray, concept: str) -> Twins | None:
    """Both versions of the films `rows` [M] of a phantom; None for a concept that a film cannot be without.

    One of the two is the data set's own film. A finding that it does not show is drawn as a new one of the same patient
    and film, so that the answer is always the same. A finding that bends the anatomy (an enlarged heart, a raised dome)
    changes the film wherever the anatomy is bent.
    """
    if concept not in CHANGEABLE:
        return None
    own = dataset.images[rows]
    shown, other = np.empty(len(rows), bool), np.empty_like(own)
    for i, row in enumerate(rows):
        shown[i], other[i, :, :, 0] = _other(dataset, int(row), concept)
    where = shown[:, None, None, None]
    return Twins(np.asarray(rows), absent=np.where(where, other, own), present=np.where(where, own, other))


def _other(dataset: Dataset, row: int, concept: str) -> tuple[bool, np.ndarray]:
    """Whether a film shows the concept, and the film [H,W] as it would be if that were the other way round."""
    options = dataset.info['options']
    seed, patient, film = options['seed'], *(int(part) for part in str(dataset.image_id[row]).split('_'))
    prevalence = prevalences(options['common_prevalence'], options['imbalance_ratio'])
    state = draw_states(seed, patient, prevalence)[film]
    shortcut = {name: value for name, value in options.items() if name.startswith('shortcut_')}
    tube = has_tube(seed, patient, film, state=state, **shortcut)
    if concept == TUBE:
        shown, tube = tube, not tube
    elif concept in state:
        shown, state = True, {name: episode for name, episode in state.items() if name != concept}
    else:
        shown, state = (
            False,
            {name: (state | {concept: film + 1})[name] for name in CLASSES if name in {*state, concept}},
        )
    return shown, render(seed, patient, film, image_size=options['image_size'], findings=state, tube=tube)[0]
