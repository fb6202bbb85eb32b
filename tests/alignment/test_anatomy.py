"""Heat outside the anatomy, against sums by hand; and the chest with its margin."""

import numpy as np

from imbalance_jax import alignment
from imbalance_jax.data import anatomy
from tests.planted import made_up


def test_heat_outside_is_the_share_of_positive_heat_that_is_not_inside():
    random = np.random.default_rng(0)
    maps, inside = random.normal(size=(6, 9, 7)).astype(np.float32), random.random((6, 9, 7)) < 0.4
    maps[1] = -1  # an empty map
    inside[2] = False  # an image without anatomy
    maps[3, 0, 0] = np.nan
    inside[4] = True
    values = np.asarray(alignment.heat_outside(maps, inside))
    assert np.isnan(values[[1, 2, 3]]).all()
    assert values[4] == 0
    for i in (0, 5):
        heat = np.maximum(maps[i], 0)
        assert np.isclose(values[i], heat[~inside[i]].sum() / heat.sum(), rtol=1e-5)
        assert np.isclose(values[i], 1 - alignment.METRICS['ior'](maps[i : i + 1], inside[i : i + 1])[0], rtol=1e-5)


def test_the_chest_is_all_of_its_parts_and_what_is_near_them():
    dataset = made_up(60)
    dataset.info['anatomy'] = ['finding 0', 'finding 1']
    images = np.append(np.arange(60), 4)
    result = anatomy.inside(dataset, images, 2 / 16)
    whole = 0
    for image, found in zip(images, result, strict=True):
        boxes = [dataset.region_box[(dataset.region_image == image) & (dataset.region_concept == s)] for s in (0, 1)]
        if not all(len(box) for box in boxes):
            assert not found.any()
            continue
        whole += 1
        y, x = np.mgrid[:16, :16]
        expected = np.zeros((16, 16), bool)
        for x0, y0, x1, y1 in np.concatenate(boxes):
            away_x, away_y = (
                np.maximum(0, np.maximum(x0 - x, x - x1 + 1)),
                np.maximum(0, np.maximum(y0 - y, y - y1 + 1)),
            )
            expected |= np.hypot(away_x, away_y) <= 2
        np.testing.assert_array_equal(found, expected)
    assert whole > 3
    assert not anatomy.inside(made_up(60), images, 0.1).any()  # a set that names no anatomy
