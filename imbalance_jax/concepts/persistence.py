"""Does another network have the same detectors? What becomes of each from one network to the other."""

import numpy as np

from imbalance_jax.system.shapes import takes

KEPT, MOVED, LOST = 0, 1, 2
OUTCOMES = ('kept', 'moved', 'lost')


@takes(best_concept='U', detector='V S', pairs='M 2')
def detector_persistence(best_concept: np.ndarray, detector: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """What the other network makes of each detector unit of the first: KEPT, MOVED or LOST, -1 for no detector; [U].

    kept:  the unit's partner, each other's nearest by correlation, detects its concept too
    moved: another unit does
    lost:  no unit does

    best_concept: [U] of the first network, -1 for a unit that detects nothing (`unique_detectors`); detector: [V, S] of
    the other; pairs: [M, 2] units of the first and the other that match (`match_units`). ValueError for other units.
    """
    best_concept, detector = np.asarray(best_concept), np.asarray(detector, bool)
    units = len(best_concept), len(detector)
    if ((pairs < 0) | (pairs >= units)).any():
        raise ValueError(f'pairs must hold units, from 0 on, of networks that have {units[0]} and {units[1]} of them.')
    if (best_concept >= detector.shape[1]).any():
        raise ValueError(f'best_concept holds {best_concept.max()}, and detector is of {detector.shape[1]} concepts.')
    concept = np.maximum(best_concept, 0)
    partner = np.full(len(best_concept), -1)
    partner[pairs[:, 0]] = pairs[:, 1]
    kept = (partner >= 0) & detector[np.maximum(partner, 0), concept]
    outcome = np.where(kept, KEPT, np.where(np.any(detector, axis=0)[concept], MOVED, LOST))
    return np.where(best_concept >= 0, outcome, -1)


@takes(outcomes='...')
def persistence_counts(outcomes: np.ndarray) -> np.ndarray:
    """How many detectors were kept, moved and lost [3], of what `detector_persistence` says."""
    return np.bincount(outcomes[outcomes >= 0].astype(np.int64), minlength=3)
