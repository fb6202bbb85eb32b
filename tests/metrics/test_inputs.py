"""Tables of other images or classes than the scores are named, and never stretched to fit."""

import numpy as np
import pytest

from imbalance_jax.metrics import calibration, decision, disagreement

RANDOM = np.random.default_rng(0)
SCORES, LABELS = RANDOM.random((2, 12, 3)), (RANDOM.random((12, 3)) < 0.5) * 1.0
MASK, ROUNDS = np.ones((12, 3)), np.ones((4, 12))
CALLS = {
    'threshold': lambda labels, mask: decision.threshold_of_sensitivity(SCORES, labels, mask, 0.9),
    'rates': lambda labels, mask: decision.rates(SCORES > 0.5, labels, mask, ROUNDS),
    'net_benefit': lambda labels, mask: decision.net_benefit(SCORES, labels, mask, ROUNDS, threshold=0.2),
    'matched': lambda labels, mask: disagreement.matched_decisions(SCORES, labels, mask),
    'kappa': lambda labels, mask: disagreement.kappa_distances(SCORES, labels, mask),
    'platt': lambda labels, mask: calibration.platt(SCORES, labels, mask),
    'recalibration': lambda labels, mask: calibration.recalibration(SCORES, labels, mask),
}


@pytest.mark.parametrize('name', CALLS)
def test_labels_and_mask_must_be_of_the_scores(name):
    call = CALLS[name]
    call(LABELS, MASK)
    for wrong in (LABELS[0], LABELS[:-1], LABELS[:, :-1], LABELS[..., None]):
        with pytest.raises(ValueError, match=r'labels must be \[N, K\] = \(12, 3\)'):
            call(wrong, MASK)
        with pytest.raises(ValueError, match=r'mask must be \[N, K\] = \(12, 3\)'):
            call(LABELS, wrong)


def test_weights_must_be_rounds_of_the_images():
    for wrong in (ROUNDS[0], ROUNDS[:, :-1]):
        with pytest.raises(ValueError, match=r'weights must be \[R, N\] with N = 12'):
            decision.rates(SCORES > 0.5, LABELS, MASK, wrong)
