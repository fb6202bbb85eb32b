"""Shapes against pixel-by-pixel definitions; reduction against an average over many points of each pixel."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imbalance_jax.data.boxes import rasterise
from imbalance_jax.data.reader import shapes


def test_rectangles_are_what_boxes_are():
    for box in ([2, 1, 6, 4], [0.4, 0.6, 3.5, 2.5], [1.2, 1.2, 1.4, 1.4]):
        expected = rasterise(np.array([[box]]), (6, 9), (6, 9))[0]
        np.testing.assert_array_equal(shapes.decode('rectangle', box, (6, 9)), expected)


def test_an_ellipse_holds_the_centres_inside_and_has_its_area():
    box = (10.0, 20.0, 70.0, 50.0)
    mask = shapes.decode('ellipse', ' '.join(map(str, box)), (64, 80))
    for y in range(64):
        for x in range(80):
            inside = ((x + 0.5 - 40) / 30) ** 2 + ((y + 0.5 - 35) / 15) ** 2 <= 1
            assert mask[y, x] == inside
    assert abs(mask.sum() / (np.pi * 30 * 15) - 1) < 0.01
    assert shapes.decode('ellipse', [3, 3, 3, 3], (6, 6)).sum() == 1


def test_a_polygon_is_filled_with_its_outline_as_pillow_does():
    points = [[3, 2], [30, 5], [25, 28], [8, 20]]
    image = Image.new('L', (40, 32))
    ImageDraw.Draw(image).polygon([tuple(point) for point in points], outline=1, fill=1)
    mask = shapes.decode('polygon', points, (32, 40))
    np.testing.assert_array_equal(mask, np.asarray(image) == 1)
    np.testing.assert_array_equal(shapes.decode('polygon', '3 2 30 5 25 28 8 20', (32, 40)), mask)
    assert all(mask[y, x] for x, y in points)
    x, y = np.array(points).T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area < mask.sum() < area + 2 * np.hypot(x - np.roll(x, 1), y - np.roll(y, 1)).sum()
    assert shapes.decode('polygon', [[2, 2], [6, 2]], (8, 8)).sum() == 5
    assert shapes.decode('polygon', [[2, 2]], (8, 8)).sum() == 1


@pytest.mark.parametrize('kind', ['polygon', 'coco_segmentation'])
def test_several_polygons_of_a_cell_are_one_region(kind):
    parts = [[[1, 1], [5, 1], [5, 5]], [[8, 8], [11, 8], [11, 11]]]
    union = shapes.decode('polygon', parts[0], (12, 12)) | shapes.decode('polygon', parts[1], (12, 12))
    for shape in (parts, str(parts)):
        np.testing.assert_array_equal(shapes.decode(kind, shape, (12, 12)), union)
        assert shapes.extent(kind, shape) == (1, 1, 11, 11)


def test_a_polygon_of_pairs_is_one_polygon():
    pairs, flat = [[3, 4], [9, 4], [9, 11], [3, 11]], [[3, 4, 9, 4, 9, 11, 3, 11]]
    one, other = (shapes.decode('coco_segmentation', shape, (20, 20)) for shape in (pairs, flat))
    np.testing.assert_array_equal(one, other)
    assert shapes.extent('coco_segmentation', pairs) == (3, 4, 9, 11)


@pytest.mark.parametrize('kind', shapes.COORDINATES)
def test_shares_of_an_image_are_its_pixels(kind):
    shape = [0.25, 0.25, 0.75, 0.5] if kind in ('rectangle', 'ellipse') else [[0.25, 0.25], [0.75, 0.25], [0.75, 0.5]]
    pixels = (np.reshape(shape, (-1, 2)) * (40, 20)).tolist()
    np.testing.assert_array_equal(
        shapes.decode(kind, shapes.scaled(kind, shape, (20, 40)), (20, 40)),
        shapes.decode(kind, pixels, (20, 40)),
    )


def test_coco_segmentations_are_polygons_or_runs():
    parts = [[1, 1, 4, 1, 4, 4], [6, 6, 9, 6, 9, 9]]
    mask = shapes.decode('coco_segmentation', parts, (12, 12))
    union = shapes.decode('polygon', parts[0], (12, 12)) | shapes.decode('polygon', parts[1], (12, 12))
    np.testing.assert_array_equal(mask, union)
    runs = {'size': [2, 3], 'counts': [1, 2, 3]}
    assert np.argwhere(shapes.decode('coco_segmentation', runs, (2, 3))).tolist() == [[0, 1], [1, 0]]
    assert not shapes.decode('coco_segmentation', [], (2, 3)).any()


@pytest.mark.parametrize('size', [(4, 6), (5, 7), (24, 36), (11, 3)])
@pytest.mark.parametrize('window', [None, (3, 1, 15, 13), (0, -3, 18, 15), (-2.5, 0.5, 11, 9.25)])
def test_reduction_takes_pixels_that_are_at_least_half_full(size, window):
    rng = np.random.default_rng(5)
    mask = np.kron(rng.random((4, 6)) < 0.4, np.ones((3, 3))).astype(bool)
    x0, y0, x1, y1 = window or (0, 0, 18, 12)
    fine = 240  # points a side of each pixel
    y = y0 + (np.arange(size[0] * fine) + 0.5) / fine * (y1 - y0) / size[0]
    x = x0 + (np.arange(size[1] * fine) + 0.5) / fine * (x1 - x0) / size[1]
    padded = np.pad(mask, 8)
    points = padded[np.ix_(np.floor(y + 8).astype(int), np.floor(x + 8).astype(int))]
    share = points.reshape(size[0], fine, size[1], fine).mean((1, 3))
    result = shapes.to_size(mask, size, window)
    clear = np.abs(share - 0.5) > 0.02
    np.testing.assert_array_equal(result[clear], (share >= 0.5)[clear])


def test_nothing_vanishes_and_nothing_appears():
    mask = np.zeros((100, 100), bool)
    assert not shapes.to_size(mask, (10, 10)).any()
    mask[57, 31] = True
    assert np.argwhere(shapes.to_size(mask, (10, 10))).tolist() == [[5, 3]]
    assert not shapes.to_size(mask, (10, 10), (50, 0, 100, 50)).any()
    np.testing.assert_array_equal(shapes.to_size(mask, (100, 100)), mask)
    half = np.zeros((4, 4), bool)
    half[:, 1] = True
    np.testing.assert_array_equal(shapes.to_size(half, (2, 2)), [[True, False], [True, False]])  # exactly half counts


@pytest.mark.parametrize(
    ('kind', 'shape', 'message'),
    [
        ('rectangle', '1 2 3', '3 numbers'),
        ('rectangle', [6, 4, 2, 1], 'ends before it begins; expected x0 y0 x1 y1'),
        ('ellipse', [1, 2, 'a', 4], 'no coordinates'),
        ('polygon', [1, 2, 3], 'pairs x y'),
        ('polygon', [[1, 2, 0], [3, 4, 0], [5, 6, 0], [7, 8, 0]], 'a point of a polygon has 3 numbers'),
        ('polygon', '[[1,2,0],[3,4,0],[5,6,0],[7,8,0]]', 'a point of a polygon has 3 numbers'),
        ('coco_segmentation', [[[1, 2, 0], [3, 4, 0]]], 'a point of a polygon has 3 numbers'),
        ('polygon', [[1, 2], [3]], 'a point of a polygon has 1 numbers'),
        ('polygon', [1, 2, float('nan'), 3], 'not finite'),
        ('poligon', [1, 2], "Did you mean 'polygon'"),
    ],
)
def test_what_is_no_shape_is_one_clear_line(kind, shape, message):
    with pytest.raises(ValueError, match=message) as error:
        shapes.decode(kind, shape, (5, 5))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('kind', 'shape', 'text'),
    [
        ('polygon', [[2, 2], [8, 2], [8, 6]], '[[2, 2], [8, 2], [8, 6]]'),
        ('polygon', [2, 2, 8, 2, 8, 6], '(2, 2), (8, 2), (8, 6)'),
        ('coco_segmentation', [[2, 2, 8, 2, 8, 6], [0, 0, 1, 0, 1, 1]], '[[2, 2, 8, 2, 8, 6], [0, 0, 1, 0, 1, 1]]'),
        ('coco_segmentation', {'size': [10, 10], 'counts': [12, 4, 84]}, '{"size": [10, 10], "counts": [12, 4, 84]}'),
    ],
)
def test_a_shape_may_be_the_text_of_a_list(kind, shape, text):
    np.testing.assert_array_equal(shapes.decode(kind, text, (10, 10)), shapes.decode(kind, shape, (10, 10)))
    assert shapes.decode(kind, text, (10, 10)).any()
    assert shapes.extent(kind, text) == shapes.extent(kind, shape)


@pytest.mark.parametrize(
    ('texts', 'found'),
    [
        (['3,0 11,0 11,0 17,0'], 0),
        (['3,5 11 11,25 17,0'], 0),
        (['3.5 11.0 12.0 17.0', '', '3,5 11,2 11,5 17,1'], 2),
        (['3,5 11,2 11,5 17,1'], None),  # four points
        (['3,0 11,0'], None),  # two of a line
        (['3,4 11,0', '5,0 6,0 7,1 8,0'], None),
        (['3.5,4.0 11.5,0.5 6.1,7.0', '3,4 11,5 6,7 8,8'], None),
        (['3,4,11,5,6,7', '3, 4, 11, 5', '3 4 11 5', '12,3, 4,5'], None),
        (['[3,4] [11,0] [6,0] [7,0]', '(3,0) (11,0) (6,0) (7,0)', '[[3.5, 4], [11, 5]]', '3.5 4'], None),
    ],
)
def test_decimal_commas_of_coordinates(texts, found):
    assert shapes.with_decimal_commas(texts) == ('' if found is None else texts[found])
