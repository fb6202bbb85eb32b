"""AUROC on the probe set and under resamples of its patients, of scores that programs left: for intervals of arms."""

import numpy as np

from imbalance_jax.explain.probe import Probe
from imbalance_jax.metrics import scores
from imbalance_jax.metrics.statistics import cluster_weights, finite_mean
from imbalance_jax.results.ablation import Ablated

ROUNDS = 200  # of the bootstrap over patients

Arrays = dict[str, np.ndarray]


def rounds(probe: Probe) -> np.ndarray:
    """Weights [1 + R,N] of the probe images: as they are, and with its patients resampled."""
    counts = cluster_weights(probe.patients, ROUNDS, np.random.default_rng(0))
    return np.concatenate([np.ones((1, len(counts[0]))), counts]) * probe.weights


def ablated(probe: Probe, ablation: Arrays, *, half: np.ndarray, smallest_count: int) -> Ablated:
    """What `interventions.ablate` left, judged: sets on the half [N] of the patients to which they are not fitted.

    Without units, the halves have different ones: AUROC is of each half, and the mean of those that are defined.
    """
    weights, of = rounds(probe), np.moveaxis(ablation['scores'], 1, -1)  # [P,1+T,N,K]
    intact = scores.auroc(of[:, 0], probe.labels, probe.label_mask, weights)
    held_out = np.stack([scores.auroc(of, probe.labels, probe.label_mask, weights * side) for side in (half, ~half)])
    known = np.isfinite(held_out)
    with np.errstate(invalid='ignore'):
        held_out = np.where(known, held_out, 0).sum(0) / known.sum(0)
    held_out = np.moveaxis(held_out, 2, -1)  # [1+R,P,K,1+T]
    return Ablated(
        intact=intact[0],
        resampled_intact=intact[1:],
        held_out=held_out[0],
        resampled=held_out[1:],
        at_random=np.apply_along_axis(finite_mean, 1, ablation['random']),
        few=few(probe, smallest_count),
        images=len(probe.rows),
    )


def few(probe: Probe, smallest_count: int) -> np.ndarray:
    """Classes [K] that fewer than so many patients of the probe set have."""
    positive = (probe.labels * probe.label_mask) > 0
    return np.array([len(np.unique(probe.patients[of])) < smallest_count for of in positive.T])


def probe_aurocs(
    probe: Probe, held_out_scores: np.ndarray, present: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AUROC [P,S] of linear probes, and [R,P,S] with patients resampled, of held-out scores [P,N,S]; present, known:
    [N,S] as in `probe.Targets`."""
    mask = None if known.all() else known.astype(np.uint8)
    values = scores.auroc(held_out_scores, present.astype(np.uint8), mask, rounds(probe))
    return values[0], values[1:]
