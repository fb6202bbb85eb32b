"""Tables of other images or classes than the scores are named, and never stretched to fit."""

import numpy as np
import pytest

from imbalance_jax.metrics import agreement, calibration, decision, disagreement, scores, statistics

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


@pytest.mark.parametrize(
    ('call', 'said'),
    [
        (lambda: scores.auroc(SCORES, LABELS, 'mask.npy'), r'mask must be numbers \[N, K\], not str'),
        (lambda: scores.auroc(SCORES, LABELS, MASK, ['a'] * 12), r'weights must be numbers \[N\] or \[R, N\], not'),
        (lambda: scores.brier('scores.npy', LABELS), r'scores must be numbers \[..., N, K\], not str'),
        (lambda: scores.micro(scores.auroc, SCORES, LABELS.T), r'labels must be \[N, K\] with N = 12'),
        (lambda: scores.macro(None), r'values must be numbers \[..., K\], not NoneType'),
        (lambda: scores.seed_ensemble(0.5, ['a']), r'probabilities must be \[P, N, K\], not'),
        (lambda: scores.seed_ensemble(SCORES, None), 'groups has 0 names for 2 members'),
        (lambda: disagreement.kappa_distances(SCORES[0], LABELS, MASK), r'scores must be \[P, N, K\], not'),
        (
            lambda: agreement.jackknifed(np.ones((2, 3)), agreement.pairs_within(3), 3),
            r'of_pairs must be \[..., M, K\] with M = 3, as pairs, not \(2, 3\)',
        ),
        (lambda: statistics.cluster_weights([], 2, RANDOM), 'with one N at least'),
        (lambda: calibration.logistic(SCORES[:, :, 0], LABELS[:, 0], np.ones((3, 12))), 'axes in front must be alike'),
    ],
)
def test_what_is_no_array_of_that_kind_is_one_line(call, said):
    with pytest.raises(ValueError, match=said) as error:
        call()
    assert '\n' not in str(error.value)


def test_one_line_is_fitted_to_many_rounds():
    x, target, rounds = SCORES[0, :, 0], LABELS[:, 0], RANDOM.multinomial(12, np.full(12, 1 / 12), size=3)
    lines = calibration.logistic(x, target, rounds, firth=True)
    for i, counts in enumerate(rounds):
        np.testing.assert_allclose(lines.slope[i], calibration.logistic(x, target, counts, firth=True).slope)
