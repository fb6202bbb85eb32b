"""Alignment: against the study's own values, scikit-learn, NumPy in float64, hand-worked masks and relations."""

import csv
import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.metrics import roc_auc_score

from imbalance_jax import alignment
from imbalance_jax.alignment import thresholds
from imbalance_jax.alignment.metrics import METRICS
from imbalance_jax.data.boxes import rasterise

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'golden' / 'overlap.npz'))
SHARED = Path(os.environ.get('IMBALANCE_JAX_SHARED', Path(__file__).parents[3] / 'shared' / 'data'))
NIH_BOXES = SHARED / 'nih' / 'BBox_List_2017.csv'


@functools.cache
def compiled(name, **options):
    """One compilation a metric with its options and a shape of maps, for all tests."""
    return jax.jit(functools.partial(METRICS[name], **options))


def golden_masks():
    return rasterise(GOLDEN['boxes'], (28, 36), (28, 36))


def random_case(seed=0, shape=(6, 9, 7)):
    """Maps with ties, some pixels negative, and masks of every density; float64 and bool."""
    random = np.random.default_rng(seed)
    maps = random.integers(-3, 12, shape) / 8
    density = np.linspace(0.1, 0.8, shape[0])[:, None, None]
    return maps, random.random(shape) < density


def square(row, column, size=1, shape=(8, 8)):
    """One image: ones on a square, [1, H, W]."""
    pixels = np.zeros((1, *shape))
    pixels[0, row : row + size, column : column + size] = 1
    return pixels


@pytest.mark.parametrize(('threshold', 'suffix'), [(None, ''), (0.5, '_t')])
def test_overlap_matches_the_study(threshold, suffix):
    values = jax.jit(alignment.overlap, static_argnums=2)(GOLDEN['attribution'], golden_masks(), threshold)
    for name in ('iobb', 'ior', 'iou'):
        np.testing.assert_allclose(values[name], GOLDEN[name + suffix], rtol=1e-5, atol=1e-9)
    overlap = jax.jit(lambda maps, masks: alignment.overlap(alignment.min_max(maps), masks, threshold))
    scaled = overlap(GOLDEN['attribution'], golden_masks())
    for name in ('iobb', 'iou'):
        metric = compiled(name, threshold=threshold)(1000 * GOLDEN['attribution'], golden_masks())
        np.testing.assert_allclose(metric, scaled[name], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize('top_k', [1, 5])
def test_pointing_game_matches_the_study(top_k):
    hits, points = jax.jit(alignment.pointing_game, static_argnums=2)(GOLDEN['attribution'], golden_masks(), top_k)
    np.testing.assert_array_equal(hits, GOLDEN[f'pg{top_k}_hit'])
    np.testing.assert_array_equal(points, GOLDEN[f'pg{top_k}_n'])


def reference_relevance_rank(heat, mask):
    """Mean of |top K & B| / K over many random orders of tied pixels."""
    random, area = np.random.default_rng(0), mask.sum()
    shares = []
    for _ in range(500):
        order = np.lexsort((random.random(heat.size), -heat.ravel()))
        shares.append(mask.ravel()[order[:area]].mean())
    return np.mean(shares)


def test_metrics_match_independent_references():
    maps, masks = random_case()
    heat = np.maximum(maps, 0)
    auroc = [roc_auc_score(mask.ravel(), h.ravel()) for mask, h in zip(masks, heat, strict=True)]
    np.testing.assert_allclose(compiled('pixel_auroc')(maps, masks), auroc, rtol=1e-5)
    mass = (heat * masks).sum((1, 2)) / heat.sum((1, 2))
    np.testing.assert_allclose(compiled('relevance_mass')(maps, masks), mass, rtol=1e-5)
    rank = [reference_relevance_rank(h, mask) for mask, h in zip(masks, heat, strict=True)]
    np.testing.assert_allclose(compiled('relevance_rank')(maps, masks), rank, atol=0.02)


def test_top_k_metrics_match_sorting_where_nothing_ties():
    maps = np.random.default_rng(0).permutation(6 * 63).reshape(6, 9, 7) + 1
    _, masks = random_case()
    order = np.argsort(-maps.reshape(6, -1), axis=1)
    labels = np.take_along_axis(masks.reshape(6, -1), order, axis=1)
    np.testing.assert_allclose(compiled('top_k_intersection', top_k=9)(maps, masks), labels[:, :9].mean(1), rtol=1e-6)
    np.testing.assert_allclose(compiled('top_k_intersection')(maps, masks), labels[:, 0])
    areas = masks.sum((1, 2))
    rank = [row[:area].mean() for row, area in zip(labels, areas, strict=True)]
    np.testing.assert_allclose(compiled('relevance_rank')(maps, masks), rank, rtol=1e-6)


@pytest.mark.parametrize('name', METRICS)
def test_a_map_equal_to_its_mask_scores_one_and_one_on_the_other_pixels_less(name):
    _, masks = random_case()
    if name == 'miou_otsu':  # which draws contours
        masks = np.stack([drawn(mask) for mask in masks])
    np.testing.assert_allclose(compiled(name)(masks.astype(float), masks), 1, rtol=1e-6)
    masks[:] = square(0, 0, 3, masks.shape[1:]) > 0
    wrong = compiled(name)(1.0 - masks, masks)
    np.testing.assert_allclose(wrong, 1 if name == 'pointing_game_torchray' else 0, atol=1e-6)


def test_a_uniform_map_scores_chance():
    _, masks = random_case()
    uniform, chance = np.full(masks.shape, 0.25), alignment.chance(masks)
    np.testing.assert_allclose(chance, masks.mean((1, 2)), rtol=1e-6)
    for name in ('pointing_game', 'relevance_mass', 'relevance_rank', 'top_k_intersection', 'ior'):
        np.testing.assert_allclose(compiled(name)(uniform, masks), chance, rtol=1e-5)
    np.testing.assert_allclose(compiled('pixel_auroc')(uniform, masks), 0.5)
    np.testing.assert_allclose(compiled('iobb')(uniform, masks), 1)
    np.testing.assert_array_equal(compiled('pointing_game_quantus')(uniform, masks), 1)


@pytest.mark.parametrize('name', METRICS)
def test_a_uniform_map_scores_the_stated_chance_level_of_every_metric(name):
    _, masks = random_case()
    level = alignment.chance_level(name, masks)
    np.testing.assert_allclose(compiled(name)(np.ones(masks.shape), masks), level, rtol=1e-5)
    area = name not in alignment.nulls.LEVELS
    np.testing.assert_allclose(level, alignment.chance(masks), rtol=1e-6) if area else None
    assert np.isnan(alignment.chance_level(name, np.zeros_like(masks))).all()


def test_chance_of_torchray_is_the_share_of_points_that_are_near_enough():
    mask = square(0, 0) + square(7, 7)
    near = alignment.chance_level('pointing_game_torchray', mask, tolerance=1.5)
    assert near.item() == 8 / 64  # the two pixels and their three neighbours each
    points = np.eye(64).reshape(-1, 8, 8)
    hits = compiled('pointing_game_torchray', tolerance=2.3)(points, np.broadcast_to(mask, points.shape))
    expected = alignment.chance_level('pointing_game_torchray', mask, tolerance=2.3)
    np.testing.assert_allclose(hits.mean(), expected[0], rtol=1e-6)


def test_hand_worked_thresholds():
    heat = 4 * square(0, 0, 4) + 4 * square(1, 1, 2)  # 4 on 12 pixels, 8 on 4 in their middle
    mask = square(1, 1, 3)  # 9 pixels: the 4 hot ones, 5 warm ones
    np.testing.assert_allclose(compiled('miou_tuned', threshold=0.49)(heat, mask), 9 / 16)
    np.testing.assert_allclose(compiled('miou_tuned', threshold=0.5)(heat, mask), 4 / 9)  # theirs: above, not at
    np.testing.assert_allclose(compiled('iobb_chestxray8')(heat, mask), 9 / 16)
    np.testing.assert_allclose(compiled('iobb_chestxray8', threshold=180 / 255)(heat, mask), 1)
    np.testing.assert_allclose(compiled('miou_otsu')(heat, mask), 9 / 16)  # 48 cold, 12 warm and 4 hot pixels
    assert alignment.tune_threshold(heat, mask) == 0.2
    assert alignment.tune_threshold(heat, square(1, 1, 2)) == 0.5
    with pytest.raises(ValueError, match='not empty'):
        alignment.tune_threshold(heat, np.zeros_like(mask))


def drawn(area):
    """What CheXlocalize's contours of an area enclose, by SciPy: no pixel alone, and holes of its background."""
    alone = area & (ndimage.convolve(area.astype(int), np.ones((3, 3), int), mode='constant') == 1)
    return ndimage.binary_fill_holes(area & ~alone)


def test_contours_enclose_holes_and_no_pixel_alone():
    ring = square(1, 1, 5)[0] - square(2, 2, 3)[0]
    ring[3, 3] = 1  # alone within the hole, which is filled all the same
    ring[7, 7] = 1  # alone outside
    np.testing.assert_array_equal(jax.jit(thresholds.filled)(ring > 0), square(1, 1, 5)[0] > 0)
    areas = np.random.default_rng(0).random((4, 20, 9, 13)) < np.array([0.2, 0.4, 0.5, 0.7])[:, None, None, None]
    wanted = [[drawn(area) for area in row] for row in areas]
    np.testing.assert_array_equal(jax.jit(thresholds.filled)(areas), wanted)
    wide = np.random.default_rng(1).random((6, 41, 97)) < 0.55  # ways that wind through four words of a row
    np.testing.assert_array_equal(jax.jit(thresholds.filled)(wide), [drawn(area) for area in wide])


def test_otsu_separates_as_scikit_image_documents_it():
    random = np.random.default_rng(0)
    maps = np.clip(np.where(random.random((3, 20, 20)) < 0.3, 0.8, 0.2) + random.normal(0, 0.1, (3, 20, 20)), 0, 1)
    for heat in maps:
        scaled = (heat - heat.min()) / (heat.max() - heat.min())
        levels = np.floor(np.float32(scaled) * np.float32(255)).astype(int)
        spread = [0.0] * 256
        for t in range(255):
            low, high = levels[levels <= t], levels[levels > t]
            if len(low) and len(high):
                spread[t] = len(low) * len(high) * (low.mean() - high.mean()) ** 2
        detected = drawn(levels > int(np.argmax(spread)))
        np.testing.assert_allclose(compiled('miou_otsu')(heat[None], detected[None]), 1)


def test_effective_heat_ratio_is_its_definition():
    random = np.random.default_rng(1)
    maps, masks = random.random((4, 9, 7)).astype(np.float32) ** 3, random.random((4, 9, 7)) < 0.4
    expected = []
    for heat, mask in zip(maps / maps.max((1, 2), keepdims=True), masks, strict=True):
        limits = [min(np.quantile(heat[heat >= 0.1], q), 0.99) for q in np.linspace(0, 1, 11)]
        ratios = [heat[(heat >= t) & mask].sum() / (heat >= t).sum() for t in limits]
        expected.append(np.mean([(a + b) / 2 for a, b in zip(ratios[1:], ratios[:-1], strict=True)]))
    np.testing.assert_allclose(compiled('effective_heat_ratio')(maps, masks), expected, rtol=1e-4)


def test_focus_of_a_mosaic():
    images = np.arange(4, dtype=np.float32)[None, :, None, None, None] * np.ones((1, 4, 3, 2, 1), np.float32)
    picture, mask = alignment.mosaic(images, [[0, 1, 0, 1]])
    assert picture.shape == (1, 6, 4, 1)
    np.testing.assert_array_equal(picture[0, ::3, ::2, 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(mask[0, ::3, ::2], [[False, True], [False, True]])
    np.testing.assert_allclose(compiled('focus')(picture[..., 0], mask), 4 / 6)
    assert METRICS['focus'] is METRICS['ior'] is METRICS['relevance_mass']


def test_other_patients_regions_are_of_the_same_finding_and_weigh_the_same():
    finding, patient = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([1, 1, 2, 3, 4, 5, 6])
    shares = alignment.other_patients(finding, patient, of_finding=finding, of_patient=patient)
    np.testing.assert_allclose(shares[0], [0, 0, 0.5, 0.5, 0, 0, 0])
    np.testing.assert_allclose(shares[2], [1 / 3, 1 / 3, 0, 1 / 3, 0, 0, 0])
    np.testing.assert_allclose(shares[4], [0, 0, 0, 0, 0, 1, 0])
    assert not shares[6].any()  # the only patient
    few = alignment.nulls.few_of_each(np.repeat([0, 1], (100, 3)), np.arange(103), most=5)
    np.testing.assert_array_equal(few, [0, 24, 49, 74, 99, 100, 101, 102])


def test_the_mean_over_other_regions_is_that_of_every_pair_by_itself():
    """Every metric, against the metric itself on all pairs: ties, an empty, a constant and a broken map among them."""
    random = np.random.default_rng(0)
    maps = random.normal(size=(7, 20, 18)).astype(np.float32)
    maps[1], maps[2], maps[3], maps[4, 3, 3], maps[5] = np.round(maps[1] * 3) / 3, -abs(maps[2]), 2, np.nan, 0
    masks = np.zeros((45, 20, 18), bool)
    for mask in masks:
        (row, column), (height, width) = random.integers(0, 12, 2), random.integers(2, 8, 2)
        mask[row : row + height, column : column + width] = True
    masks[7] = True
    shares = (random.random((7, 45)) < 0.4).astype(np.float32)
    shares[6] = 0
    tolerant = functools.partial(METRICS['pointing_game_torchray'], tolerance=2.5)
    metrics = {**METRICS, 'pointing_game_torchray': tolerant}
    products = {
        **alignment.expected.PRODUCTS,
        'pointing_game_torchray': functools.partial(
            alignment.expected.PRODUCTS['pointing_game_torchray'], tolerance=2.5
        ),
    }

    @jax.jit
    def mean(maps, *others):
        return alignment.measure_others(maps, maps, alignment.Others(*others), metrics, products=products)

    every = jax.jit(lambda maps, masks: alignment.measure(maps, masks, metrics, maps))
    result = mean(maps, masks, shares, masks, shares)
    for i in range(7):
        pairs = every(np.broadcast_to(maps[i], masks.shape), masks)
        assert sorted(pairs) == sorted(result)
        for name, values in pairs.items():
            of_others = np.asarray(values)[shares[i] > 0]
            expected = np.nanmean(of_others) if len(of_others) else np.nan
            np.testing.assert_allclose(result[name][i], expected, rtol=1e-4, atol=1e-5, err_msg=f'{name} of map {i}')


def test_midranks_are_those_of_scipy_up_to_the_bits_that_are_cut():
    random = np.random.default_rng(1)
    maps = np.stack([random.normal(size=(9, 8)), random.integers(-2, 3, (9, 8)), np.zeros((9, 8))])
    maps[1, 0, 0] = -0.0
    ranks = np.asarray(alignment.pixel_order.midranks(maps)).reshape(3, -1)
    expected = np.stack([stats.rankdata(one) - 1 for one in maps])
    np.testing.assert_array_equal(ranks[1:], expected[1:])
    assert np.abs(ranks[0] - expected[0]).max() <= 0.5


def test_signed_measures_do_not_know_where_zero_lies():
    maps, masks = random_case()
    lifted = {shift: {name: fn(maps + shift, masks) for name, fn in alignment.SIGNED.items()} for shift in (0.0, -5.0)}
    for name, values in lifted[0.0].items():
        np.testing.assert_allclose(values, lifted[-5.0][name], rtol=1e-5)
    auroc = [roc_auc_score(mask.ravel(), one.ravel()) for mask, one in zip(masks, maps, strict=True)]
    np.testing.assert_allclose(lifted[0.0]['signed_pixel_auroc'], auroc, rtol=1e-5)
    heat = np.maximum(maps, 0)
    for name, fn in alignment.UNSIGNED.items():
        np.testing.assert_allclose(alignment.SIGNED[name](heat, masks), fn(heat, masks), rtol=1e-6)


def test_grid_maps_know_the_region_as_well_as_their_cells_allow():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 2:4, 0:3] = True
    shares, half, alone = alignment.grid_maps(mask, (4, 4))
    np.testing.assert_allclose(shares[0, 1], [1, 0.5, 0, 0])
    np.testing.assert_array_equal(half[0, 1], [1, 1, 0, 0])
    np.testing.assert_array_equal(np.argwhere(alone[0]), [[1, 0]])
    np.testing.assert_allclose(alignment.grid_maps(mask, (3, 5))[0].sum(), 6 / (8 / 3 * 8 / 5))
    for result in alignment.grid_maps(mask, (8, 8))[:2]:
        np.testing.assert_array_equal(result, mask)


@pytest.mark.parametrize('name', METRICS)
def test_empty_maps_score_zero_and_empty_masks_are_undefined(name):
    maps, masks = random_case()
    assert np.isnan(compiled(name)(maps, np.zeros_like(masks))).all()
    maps[:2], maps[2:4] = 0, -1
    maps[4, 0, 0], maps[5, 1, 1] = np.nan, np.inf
    np.testing.assert_array_equal(compiled(name)(maps, masks), 0)
    assert np.isnan(compiled(name)(maps, np.zeros_like(masks))).all()


def test_empty_maps_have_no_points_and_no_overlap_at_any_threshold():
    mask = square(0, 0, 3)
    hits, points = alignment.pointing_game(np.zeros((1, 8, 8)), mask)
    assert (hits.item(), points.item()) == (0, 0)
    assert {value.item() for value in alignment.overlap(np.zeros((1, 8, 8)), mask, 0.0).values()} == {0.0}
    # Three hot pixels, but the fourth-largest value is 0: not a point.
    hits, points = alignment.pointing_game(square(0, 0, 1) + square(2, 2, 1) + square(7, 7, 1), mask, 4)
    assert (hits.item(), points.item()) == (0, 0)


def test_whole_image_masks_have_no_auroc():
    maps, masks = random_case()
    assert np.isnan(compiled('pixel_auroc')(maps, np.ones_like(masks))).all()


def test_hand_worked_overlap():
    heat, mask = square(0, 0, 2) * 0.5, square(1, 1, 3)
    values = alignment.overlap(heat, mask)
    np.testing.assert_allclose([values['iobb'][0], values['ior'][0], values['iou'][0]], [0.5 / 9, 0.25, 0.5 / 10.5])
    values = alignment.overlap(heat, mask, 0.5)
    np.testing.assert_allclose([values['iobb'][0], values['ior'][0], values['iou'][0]], [1 / 9, 0.25, 1 / 12])


def test_pointing_conventions_differ_as_published():
    games = [name for name in METRICS if name.startswith('pointing_game')]

    def play(heat, mask, **options):
        return {name.removeprefix('pointing_game'): compiled(name)(heat, mask)[0].item() for name in games}

    mask = square(4, 4, 2)
    two_peaks = square(1, 1) + square(4, 4)
    assert play(two_peaks, mask) == {'': 0.5, '_torchray': 1, '_quantus': 1, '_chexlocalize': 0}
    assert play(square(1, 4), mask) == {'': 0, '_torchray': 1, '_quantus': 0, '_chexlocalize': 0}
    assert play(square(4, 5), mask) == {'': 1, '_torchray': 1, '_quantus': 1, '_chexlocalize': 1}


def test_torchray_tolerance_is_strict_and_euclidean():
    def game(maps, masks, tolerance):
        return compiled('pointing_game_torchray', tolerance=tolerance)(maps, masks)

    mask = square(4, 4)
    assert game(square(1, 4), mask, tolerance=3).item() == 0
    assert game(square(1, 4), mask, tolerance=3.01).item() == 1
    assert game(square(2, 2), mask, tolerance=2.8).item() == 0
    assert game(square(2, 2), mask, tolerance=2.9).item() == 1
    maps, masks = random_case()
    np.testing.assert_array_equal(game(maps, masks, tolerance=0), compiled('pointing_game_chexlocalize')(maps, masks))


@pytest.mark.parametrize('name', METRICS)
def test_metrics_do_not_depend_on_the_scale_of_a_map(name):
    maps, masks = random_case()
    for scale in (2.0**-60, 1000.0):
        np.testing.assert_allclose(compiled(name)(maps * scale, masks), compiled(name)(maps, masks), rtol=1e-5)


@pytest.mark.parametrize('name', METRICS)
def test_metrics_compile_and_map_over_members(name):
    cases = [random_case(seed) for seed in range(2)]
    maps, masks = np.stack([case[0] for case in cases]), cases[0][1]
    population = jax.jit(jax.vmap(METRICS[name], (0, None)))(maps, masks)
    assert population.shape == (2, 6)
    np.testing.assert_allclose(population[1], compiled(name)(maps[1], masks), rtol=1e-6)


def test_min_max_spans_zero_to_one_and_never_divides_by_nothing():
    maps = np.array([[[-1.0, 1.0, 3.0]], [[2.0, 2.0, 2.0]], [[0.0, np.nan, 1.0]], [[0.0, 1e-12, 2e-12]]])
    expected = [[[0, 0.5, 1]], [[0, 0, 0]], [[0, 0, 0]], [[0, 0.5, 1]]]
    np.testing.assert_allclose(alignment.min_max(maps), expected)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r'maps are \(1, 7, 7\) and masks \(1, 8, 8\)'):
        METRICS['iou'](np.ones((1, 7, 7)), square(0, 0))
    for name in ('pointing_game', 'top_k_intersection'):
        with pytest.raises(ValueError, match='between 1 and the 64 pixels of a map, not 65'):
            METRICS[name](square(0, 0), square(0, 0), top_k=65)
    with pytest.raises(ValueError, match=r'boxes must be \[B, n, 4\].* not \[3, 4\]'):
        rasterise(np.zeros((3, 4)), (8, 8), (8, 8))
    with pytest.raises(ValueError, match='at least one training mask'):
        alignment.constant_map(np.zeros((0, 4, 4), bool))


def test_rasterise_at_the_frame_size_is_slicing():
    expected = np.zeros((24, 28, 36), bool)
    for image, boxes in enumerate(GOLDEN['boxes']):
        for x0, y0, x1, y1 in boxes[: GOLDEN['num_boxes'][image]]:
            expected[image, y0:y1, x0:x1] = True
    np.testing.assert_array_equal(golden_masks(), expected)


def rasterise_one(box, frame=(100, 200), size=(10, 10)):
    return np.argwhere(rasterise(np.array([[box]], float), frame, size)[0]).tolist()


def test_rasterise_takes_pixels_by_their_centres():
    # A mask pixel is 20 wide and 10 high: its centre is at x 10, 30, ... and y 5, 15, ...
    assert rasterise_one([10, 5, 30, 15]) == [[0, 0]]
    assert rasterise_one([10.1, 5, 30.1, 15.1]) == [[0, 1], [1, 1]]
    assert rasterise_one([-50, -50, 11, 6]) == [[0, 0]]
    assert rasterise_one([180, 90, 999, 999]) == [[9, 9]]


def test_rasterise_lets_no_box_vanish_and_ignores_what_is_none():
    assert rasterise_one([31, 16, 38, 19]) == [[1, 1]]
    assert rasterise_one([199.9, 99.9, 200, 100]) == [[9, 9]]
    assert rasterise_one([0, 16, 200, 19]) == [[1, 5]]
    nothing = [[-1] * 4, [30, 20, 10, 40], [5, 5, 5, 9], [np.nan, 0, 50, 50], [250, 0, 300, 50], [-9, -9, -1, -1]]
    assert all(rasterise_one(box) == [] for box in nothing)
    boxes = np.random.default_rng(0).uniform(0, 1024, (200, 1, 2))
    boxes = np.concatenate([boxes, boxes + 1e-6], -1)
    for size in ((1, 1), (7, 7), (28, 31)):
        np.testing.assert_array_equal(rasterise(boxes, (1024, 1024), size).sum((1, 2)), 1)


@pytest.mark.parametrize('size', [(7, 7), (8, 6), (1, 5), (224, 224)])
def test_centre_map_has_one_maximum_and_heat_everywhere(size):
    centre = np.asarray(alignment.centre_map(size))
    assert np.argwhere(centre == centre.max()).tolist() == [[size[0] // 2, size[1] // 2]]
    assert centre.min() > 0


def test_constant_map_wins_the_training_pointing_game():
    masks = rasterise(GOLDEN['boxes'], (28, 36), (7, 9))
    best = np.asarray(alignment.constant_map(masks))
    points = np.eye(7 * 9).reshape(-1, 7, 9)
    scores = jax.vmap(METRICS['pointing_game_chexlocalize'], (0, None))(points[:, None].repeat(24, 1), masks).mean(1)
    np.testing.assert_allclose(scores, best.ravel(), rtol=1e-5)
    np.testing.assert_allclose(max(scores), best.max(), rtol=1e-6)


def nih_boxes():
    with open(NIH_BOXES, newline='') as file:
        rows = list(csv.reader(file))[1:]
    corner, extent = np.array([row[2:4] for row in rows], float), np.array([row[4:6] for row in rows], float)
    return np.array([row[1] for row in rows]), np.concatenate([corner, corner + extent], -1)[:, None]


# Hit rate of the centre, mean area and hit rate of the best constant pixel, in per cent, on all boxes of a finding.
NIH_NULLS = {
    'Atelectasis': (6.1, 3.20, 21.7),
    'Cardiomegaly': (97.3, 17.58, 100),
    'Effusion': (2.6, 6.87, 35.9),
    'Infiltrate': (22.8, 9.67, 52.0),
    'Mass': (10.6, 4.23, 31.8),
    'Nodule': (0.0, 0.52, 8.9),
    'Pneumonia': (14.2, 9.42, 47.5),
    'Pneumothorax': (1.0, 5.21, 32.7),
}


@pytest.mark.skipif(not NIH_BOXES.exists(), reason=f'{NIH_BOXES} is not here; IMBALANCE_JAX_SHARED names its folder')
def test_null_models_on_the_boxes_of_chestxray14():
    findings, boxes = nih_boxes()
    assert len(boxes) == 984
    # A quarter of the resolution already gives the figures of the full frame to their last digit.
    masks = rasterise(boxes, (1024, 1024), (256, 256))
    centre = alignment.centre_map((256, 256))
    hits = jax.jit(lambda masks: compiled('pointing_game_chexlocalize')(jnp.broadcast_to(centre, masks.shape), masks))
    hit, chance = np.concatenate([[hits(part), alignment.chance(part)] for part in np.split(masks, 24)], axis=-1)
    for finding, expected in NIH_NULLS.items():
        rows = findings == finding
        best = alignment.constant_map(masks[rows]).max()
        np.testing.assert_allclose(100 * np.array([hit[rows].mean(), chance[rows].mean(), best]), expected, atol=0.06)


def test_ranks_of_many_regions_are_those_of_each_however_they_are_counted(monkeypatch):
    """By the pixels of a region, as on a CPU, and by all pixels; with ties, and regions from empty to nearly whole."""
    random = np.random.default_rng(0)
    maps = np.maximum(random.normal(size=(5, 20, 20)).round(1), 0).astype(np.float32)
    regions = random.random((7, 20, 20)) < np.linspace(0, 0.95, 7)[:, None, None]
    each = np.stack([METRICS['relevance_rank'](maps, np.broadcast_to(one, maps.shape)) for one in regions], 1)
    for backend in ('cpu', 'gpu'):
        monkeypatch.setattr(jax, 'default_backend', lambda backend=backend: backend)
        ranks = alignment.pixel_order.relevance_ranks(jnp.asarray(maps))(jnp.asarray(regions))
        np.testing.assert_allclose(ranks, each, rtol=1e-6)


def test_what_is_near_a_region_is_found_by_every_distance():
    random = np.random.default_rng(1)
    regions = random.random((4, 17, 23)) < np.array([0, 0.002, 0.02, 1])[:, None, None]
    places = np.stack(np.meshgrid(np.arange(17), np.arange(23), indexing='ij'), -1).reshape(-1, 2)
    for tolerance in (0.5, 1.0, 2.5, 4.28, 100.0):
        near = np.asarray(alignment.pointing.near(jnp.asarray(regions), tolerance)).reshape(4, -1)
        for region, found in zip(regions, near, strict=True):
            inside = np.argwhere(region)
            squared = ((places[:, None] - inside) ** 2).sum(-1).min(1, initial=10**6)
            np.testing.assert_array_equal(found, squared < max(tolerance, 1) ** 2)
