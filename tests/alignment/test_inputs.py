"""What alignment is given: what works in any form, and the one line for what does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import alignment
from imbalance_jax.alignment import METRICS, pixel_order, thresholds
from imbalance_jax.alignment.expected import PRODUCTS, of_products

MAPS = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
MASKS = np.zeros((3, 8, 8), bool)
MASKS[:, 2:5, 3:7] = True


@pytest.mark.parametrize('name', ['iou', 'pixel_auroc', 'pointing_game'])
def test_forms_of_maps_and_masks_give_one_value(name):
    expected = METRICS[name](MAPS, MASKS)
    for masks in (MASKS.astype(int), 255 * MASKS.astype(np.uint8), MASKS.astype(float), MASKS.tolist()):
        np.testing.assert_array_equal(METRICS[name](MAPS, masks), expected)
    for maps in (MAPS.astype(np.float64), MAPS.tolist(), jnp.asarray(MAPS)):
        np.testing.assert_array_equal(METRICS[name](maps, MASKS), expected)
    np.testing.assert_array_equal(METRICS[name](MAPS[:1], MASKS[:1]), expected[:1])


@pytest.mark.parametrize(
    ('maps', 'masks', 'says'),
    [
        (MAPS[..., None], MASKS, r'take one channel at a time, maps\[..., s\]'),
        (MAPS, np.stack([MASKS, MASKS], -1), r'take one concept at a time, masks\[..., s\]'),
        (MAPS, MASKS[0], 'give the masks a first axis'),
        (MAPS[:, :4, :4], MASKS, r'attribution.upsample\(maps, \(8, 8\)\) brings them to one size'),
        (MAPS[:2], MASKS, 'bring both to one number and size first'),
        (MAPS, 2 * MASKS + MASKS[:, ::-1], 'masks hold .; valid are 0 and 1, or bool: give masks == '),
        (MAPS, 0.4 * MASKS, r'masks hold 0.4; .* give masks > 0.5'),
        (MAPS, 'region.png', 'masks must be numbers .*, not str'),
        (MAPS[0, 0], MASKS[0, 0], r'maps must be \[B, H, W\], not \(8,\)'),
    ],
)
def test_every_metric_says_what_is_wrong(maps, masks, says):
    for metric in METRICS.values():
        with pytest.raises(ValueError, match=says):
            metric(maps, masks)


def test_overlap_wants_maps_in_0_to_1_and_says_so_where_it_can():
    with pytest.raises(ValueError, match=r'maps reach .*, and overlap wants 0..1: give alignment.min_max\(maps\)'):
        alignment.overlap(1000 * MAPS, MASKS)
    scaled = alignment.overlap(alignment.min_max(1000 * MAPS), MASKS)
    np.testing.assert_allclose(scaled['iou'], METRICS['iou'](MAPS, MASKS), rtol=1e-5)
    assert jax.jit(alignment.overlap)(MAPS, MASKS)['iou'].shape == (3,)


def test_the_mean_over_other_regions_does_not_depend_on_the_scale_of_maps():
    for name in ('iobb', 'iou'):
        products = {name: PRODUCTS[name](1000 * MAPS)}
        values = of_products(products, {name: MAPS})(MASKS)[name]
        np.testing.assert_allclose(np.diag(values), METRICS[name](MAPS, MASKS), rtol=1e-5)


def test_nulls_name_masks_that_are_none():
    for null in (
        alignment.constant_map,
        lambda m: alignment.constant_maps(m, 2.0),
        lambda m: alignment.grid_maps(m, (2, 2)),
    ):
        with pytest.raises(ValueError, match='must have 3 axes'):
            null(MASKS[0])
        with pytest.raises(ValueError, match=r'masks hold 0.4'):
            null(0.4 * MASKS)
    with pytest.raises(ValueError, match=r'images must be \[B, 4, H, W, C\]'):
        alignment.mosaic(np.zeros((2, 8, 8, 1)), np.ones((2, 4)))


def test_no_map_has_no_ranks_and_no_detections():
    none = np.zeros((0, 8, 8), np.float32)
    assert pixel_order.midranks(none).shape == thresholds.above_otsu(none).shape == none.shape
