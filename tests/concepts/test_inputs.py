"""What concept analysis is given: what works in any form, and the one line for what does not."""

import numpy as np
import pytest

from imbalance_jax import concepts
from imbalance_jax.concepts import directions, multi_unit, persistence, representation

RANDOM = np.random.default_rng(0)
UNITS = np.maximum(RANDOM.normal(size=(12, 4, 4, 5)), 0).astype(np.float32)
MASKS = np.zeros((12, 16, 16, 2), bool)
MASKS[::2, 2:8, 2:8, 0] = MASKS[1::2, 6:12, 6:12, 1] = True
LABELS = MASKS.any((1, 2))


def dissect(units, masks):
    return concepts.dissect(units, masks, quantile=0.05, null=None)['iou']


def test_forms_of_masks_and_units_give_one_overlap():
    expected = dissect(UNITS, MASKS)
    for masks in (MASKS.astype(int), 255 * MASKS.astype(np.uint8), MASKS.astype(float), MASKS.tolist()):
        np.testing.assert_array_equal(dissect(UNITS, masks), expected)
    np.testing.assert_array_equal(dissect(UNITS.tolist(), MASKS), expected)


@pytest.mark.parametrize(
    ('units', 'masks', 'says'),
    [
        (UNITS.mean((1, 2)), MASKS, r'pooled activations \[N, U\] go into unit_auroc'),
        (np.moveaxis(UNITS, -1, 1), MASKS, r'units first: give numpy.moveaxis\(features, 1, -1\)'),
        (UNITS, np.moveaxis(MASKS, -1, 1), r'concepts first: give numpy.moveaxis\(masks, 1, -1\)'),
        (UNITS, MASKS[..., 0], r'give masks\[..., None\] for one concept'),
        (UNITS, MASKS[:5], 'with N = 12, got shape'),
        (UNITS, 0.4 * MASKS, 'masks hold 0.4; valid are 0 and 1'),
        (UNITS, 2 * MASKS.astype(int), 'masks hold 2'),
        ('units.npy', MASKS, r'features must be numbers \[N, h, w, U\], not str'),
        (UNITS, None, r'masks must be numbers \[N, H, W, S\], not NoneType'),
    ],
)
def test_dissection_says_what_is_wrong(units, masks, says):
    with pytest.raises(ValueError, match=says):
        dissect(units, masks)


def test_shapes_of_the_other_functions_are_named():
    pooled = UNITS.mean((1, 2))
    for call, says in (
        (lambda: concepts.unit_auroc(pooled, LABELS[:, 0]), r'labels must be \[N, K\]'),
        (lambda: concepts.with_healthy(LABELS, np.ones(12)), r'mask must be \[N, K\], not \(12,\)'),
        (lambda: concepts.procrustes(pooled, UNITS), r'x and y must be \[N, p\] and \[N, q\]'),
        (lambda: directions.fit(pooled, LABELS[:3]), r'targets must be \[N, T\] with N = 12, as x, not \(3, 2\)'),
        (lambda: directions.held_out(pooled, LABELS[:, 0], np.arange(12) % 2, count=2), 'targets'),
        (lambda: concepts.regions(MASKS[0, ..., 0]), r'active must be \[N, H, W\]'),
    ):
        with pytest.raises(ValueError, match=says):
            call()
    _, directions_ = directions.fit(pooled.tolist(), LABELS.tolist())
    assert directions_.shape == (5, 2)


@pytest.mark.parametrize(
    ('call', 'says'),
    [
        (lambda: concepts.count(None, 16, 0.9), r'features must be numbers \[N, h, w, U\], not NoneType'),
        (lambda: multi_unit.overlap_by_level(np.ones((2, 9, 1))), r'counted must be \[S, L, 2\], not \(2, 9, 1\)'),
        (lambda: persistence.detector_persistence([0], np.ones((1, 2)), [[0]]), r'pairs must be \[M, 2\]'),
        (lambda: persistence.detector_persistence([0], np.ones((1, 2)), [[0, 1]]), 'networks that have 1 and 1'),
        (lambda: persistence.detector_persistence([2], np.ones((1, 2)), [[0, 0]]), 'best_concept holds 2'),
        (
            lambda: representation.collapse(
                UNITS[:, 0, 0], None, representation.Classes(None, [1, 2]), np.ones((1, 12))
            ),
            r'positive must be numbers \[N, K\], not NoneType',
        ),
        (
            lambda: representation.collapse(
                UNITS[:, 0, 0], None, representation.Classes(LABELS[:5], [1, 2]), np.ones((1, 12))
            ),
            r'positive must be \[N, K\] with N = 12, as x',
        ),
    ],
)
def test_what_is_no_array_of_that_kind_is_one_line(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert '\n' not in str(error.value)


def test_detectors_are_counted_whatever_their_numbers_are():
    np.testing.assert_array_equal(persistence.persistence_counts(np.array([0.0, 2.0, -1.0, 2.0])), [1, 0, 2])
