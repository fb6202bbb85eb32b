"""Concepts: the study's counts, and dissection against loops, planted units, noise and arithmetic."""

from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import ndimage

from imbalance_jax import concepts
from imbalance_jax.concepts import nulls

GOLDEN = Path(__file__).parents[1] / 'golden' / 'concepts.npz'
NULLS = tuple(nulls.NULLS)


def activations(seed, shape, smooth=0.7):
    """Blobs after a ReLU [N, h, w, U], no two values alike except the zeros."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return np.maximum(ndimage.gaussian_filter(noise, (0, smooth, smooth, 0)), 0).astype(np.float32)


def rectangles(seed, images, side, concepts_, size=(3, 9), present=0.7):
    """Masks [N, side, side, S] with at most one rectangle a concept and image."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((images, side, side, concepts_), bool)
    for image, concept in np.ndindex(images, concepts_):
        (height, width), present_here = rng.integers(*size, 2), rng.random() < present
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        masks[image, top : top + height, left : left + width, concept] = present_here
    return masks


def drawing(*rows):
    return np.array([[character == '#' for character in row] for row in rows])


def slow_upsample(maps, size):
    """Maps [..., h, w] interpolated between pixel centres, one axis after the other, in float64."""
    for axis, new in zip((-1, -2), reversed(size), strict=True):
        old = maps.shape[axis]
        old_centres, new_centres = (np.arange(old) + 0.5) / old, (np.arange(new) + 0.5) / new
        weights = np.array([np.interp(new_centres, old_centres, one_hot) for one_hot in np.eye(old)])
        maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ weights, -1, axis)
    return maps


def slow_upsample_all(features, size):
    """Features [N, h, w, U] as maps [N, U, H, W]."""
    return slow_upsample(np.moveaxis(features.astype(float), -1, 1), size)


def slow_regions(plane, holes):
    components = ndimage.label(plane, np.ones((3, 3)))[1]
    return components + holes * (ndimage.label(np.pad(~plane, 1, constant_values=True))[1] - 1)


def golden_inputs(boxes):
    stored = np.load(GOLDEN)
    features, size = np.moveaxis(stored['features_nchw'], 1, -1), int(stored['image_size'])
    masks = np.zeros((len(features), size, size), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, stored['boxes'][:, 0], strict=True):
        mask[y0:y1, x0:x1] = True
    return (features, size, float(stored['quantile']), masks if boxes else None), stored


@pytest.mark.parametrize('boxes', [0, 1])
@pytest.mark.parametrize('disjoint', [0, 1])
def test_the_study_s_counts(boxes, disjoint):
    arguments, stored = golden_inputs(boxes)
    counts = concepts.count(*arguments, disjoint=bool(disjoint))
    np.testing.assert_array_equal(counts, stored[f'count_boxes{boxes}_disjoint{disjoint}'])


@pytest.mark.parametrize(
    ('plane', 'components', 'holes'),
    [
        (drawing('....', '....'), 0, 0),
        (drawing('####', '####'), 1, 0),
        (drawing('#...', '.#..', '..##'), 1, 0),
        (drawing('#..#', '....', '#..#'), 4, 0),
        (drawing('.#.', '#.#', '.#.'), 1, 1),
        (drawing('###', '#.#', '#.#'), 1, 0),
        (drawing('#####', '#...#', '#.#.#', '#...#', '#####'), 2, 1),
        (drawing('#######', '#.....#', '#.###.#', '#.#.#.#', '#.###.#', '#.....#', '#######'), 2, 2),
        (drawing('#####', '#.#.#', '##.##', '#.#.#', '#####'), 1, 5),
        (drawing('...#', '#...'), 2, 0),
    ],
)
def test_regions_of_drawings(plane, components, holes):
    assert concepts.regions(plane[None]).tolist() == [components]
    assert concepts.regions(plane[None], holes=True).tolist() == [components + holes]


@pytest.mark.parametrize('share', [0.03, 0.3, 0.5, 0.7, 0.97])
@pytest.mark.parametrize('holes', [False, True])
def test_regions_of_noise(share, holes):
    planes = np.random.default_rng(0).random((30, 13, 17)) < share
    planes[3] = planes[7] = False
    np.testing.assert_array_equal(concepts.regions(planes, holes), [slow_regions(plane, holes) for plane in planes])


@pytest.mark.parametrize('size', [(20, 33), (7, 5), (10, 64)])
def test_upsample(size):
    maps = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)
    enlarged = concepts.upsample(maps, size)
    np.testing.assert_allclose(enlarged, slow_upsample(maps.astype(float), size), atol=1e-6)
    resized = jax.image.resize(maps, (3, *size), 'bilinear', antialias=False)
    np.testing.assert_allclose(enlarged, resized, atol=1e-6)


@pytest.mark.parametrize('convention', ['study', 'corrected'])
@pytest.mark.parametrize('disjoint', [True, False])
@pytest.mark.parametrize('masked', [True, False])
def test_count_against_loops(convention, disjoint, masked):
    features, size, quantile = activations(1, (5, 4, 6, 7)), (20, 26), 0.93
    features[..., 3] = 0
    features[..., 4] *= features[..., 4] >= np.sort(features[..., 4].ravel())[-2]
    masks = rectangles(2, 5, 26, 1, size=(8, 15), present=1)[:, :20, :, 0] if masked else np.ones((5, *size), bool)
    expected = np.zeros(5, int)
    maps = slow_upsample_all(features, size)
    for unit in range(7):
        threshold = np.quantile(maps[:, unit], quantile)
        if convention == 'corrected' and threshold <= 0:
            continue
        for image in range(5):
            plane = maps[image, unit] >= threshold if convention == 'study' else maps[image, unit] > threshold
            plane &= masks[image]
            expected[image] += slow_regions(plane, convention == 'study') if disjoint else plane.any()
    counts = concepts.count(features, size, quantile, masks if masked else None, disjoint, convention)
    np.testing.assert_array_equal(counts, expected)


def test_a_silent_unit_counts_in_every_image_of_the_study_only():
    features = activations(3, (6, 5, 5, 4))
    silent = np.zeros((6, 5, 5, 2), np.float32)
    silent[0, 2, 2, 1] = 1
    both = np.concatenate([features, silent], axis=-1)
    study = concepts.count(both, 20, 0.95) - concepts.count(features, 20, 0.95)
    corrected = concepts.count(both, 20, 0.95, convention='corrected')
    np.testing.assert_array_equal(study, 2)
    np.testing.assert_array_equal(corrected, concepts.count(features, 20, 0.95, convention='corrected'))


def test_a_ring_counts_once_when_corrected():
    ring = np.pad(drawing('###', '#.#', '###'), 3)[None, :, :, None].astype(np.float32)
    assert concepts.count(ring, 9, 0.5, threshold=[0.5]).tolist() == [2]
    assert concepts.count(ring, 9, 0.5, convention='corrected', threshold=[0.5]).tolist() == [1]


def test_a_given_threshold_makes_the_count_independent_of_the_batch():
    features, threshold = activations(4, (8, 5, 5, 6)), np.linspace(0.2, 0.5, 6)
    whole = concepts.count(features, 24, 0.9, threshold=threshold)
    apart = [concepts.count(features[n : n + 1], 24, 0.9, threshold=threshold)[0] for n in range(8)]
    np.testing.assert_array_equal(whole, apart)


@pytest.mark.parametrize('count', [1, 2, 50, 40_000])
@pytest.mark.parametrize('decimals', [1, 7])
def test_quantile_of_the_count(count, decimals):
    rng = np.random.default_rng(count)
    values = np.round(rng.exponential(size=count), decimals).astype(np.float32)
    for quantile in (0.004, 0.5, 0.97, 0.9999):
        # ranks are float32: near the end of a long list a neighbour's weight is only known to about n * 6e-8
        ours = concepts.counting._quantile(values.copy(), quantile)
        np.testing.assert_allclose(ours, np.quantile(values.astype(float), quantile), rtol=4e-3, atol=1e-6)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'convention': 'studdy'}, "Did you mean 'study'"),
        ({'quantile': 1.5}, 'quantile must lie between 0 and 1, got 1.5'),
        ({'masks': np.ones((3, 8, 9), bool)}, r'masks must be \[N, H, W\] = \(3, 8, 8\), .*got \(3, 8, 9\)'),
        ({'threshold': np.ones(3)}, r'threshold must be \[U\] = \(2,\), got \(3,\)'),
        ({'features': np.ones((3, 4, 4))}, 'features must be'),
    ],
)
def test_count_says_what_is_wrong(changes, message):
    arguments = {'features': np.ones((3, 4, 4, 2)), 'image_size': 8, 'quantile': 0.9, **changes}
    with pytest.raises(ValueError, match=message):
        concepts.count(**arguments)


@pytest.fixture(scope='module')
def probe():
    """Features [24, 6, 6, 5] with a dead unit 3 and a sparse unit 4, masks [24, 24, 24, 3] with an absent concept 2."""
    features, masks = activations(5, (24, 6, 6, 5)), rectangles(6, 24, 24, 3)
    features[..., 3] = 0
    features[..., 4] *= features[..., 4] >= np.sort(features[..., 4].ravel())[-10]
    masks[..., 2] = False
    return features, masks


def test_dissection_against_loops(probe):
    features, masks = probe
    result = concepts.dissect(features, masks, quantile=0.05, rounds=5)
    maps, positions = slow_upsample_all(features, (24, 24)), features[..., 0].size
    for unit, concept in np.ndindex(3, 3):
        values = np.sort(features[..., unit].ravel().astype(float))
        assert result['threshold'][unit] == pytest.approx(values[-int(0.05 * positions) - 1])
        active, area = maps[:, unit] > result['threshold'][unit], masks[..., concept]
        q, g = active.mean(), area.mean()
        assert result['active_share'][unit] == q
        assert result['concept_share'][concept] == g
        assert result['iou'][unit, concept] == (active & area).sum() / (active | area).sum()
        assert result['ceiling'][unit, concept] == pytest.approx(min(q, g) / max(q, g))
        assert result['independent'][unit, concept] == pytest.approx(q * g / (q + g - q * g))
    assert (result['iou'] <= result['ceiling'] + 1e-12).all()


def test_the_threshold_leaves_the_quantile_above(probe):
    features = probe[0][..., :3]
    share = (features > concepts.thresholds(features, 0.01)).mean((0, 1, 2))
    np.testing.assert_array_equal(share, int(0.01 * features[..., 0].size) / features[..., 0].size)


@pytest.mark.parametrize('null', [*NULLS, None])
def test_dead_and_sparse_units_take_part_in_nothing(probe, null):
    result = concepts.dissect(*probe, quantile=0.05, null=null, rounds=20)
    assert result['dead'].tolist() == [False, False, False, True, False]
    assert result['sparse'].tolist() == [False, False, False, True, True]
    assert not result['iou'][3:].any()
    assert not result['active_share'][3:].any()
    assert not result['detector'][3:].any()
    if null:
        np.testing.assert_array_equal(result['p_value'][3:], 1)
        np.testing.assert_array_equal(result['p_pooled'][3:], 1)
        without = concepts.dissect(probe[0][..., :3], probe[1], quantile=0.05, null=null, rounds=20)
        np.testing.assert_array_equal(result['p_pooled'][:3], without['p_pooled'])
        np.testing.assert_array_equal(result['detector'][:3], without['detector'])


@pytest.mark.parametrize('null', NULLS)
def test_the_null_is_the_overlap_with_moved_masks(probe, null):
    features, masks = probe
    threshold, key = concepts.thresholds(features, 0.1), jax.random.key(3)
    counted = concepts.overlap_counts(features, masks, threshold, null=null, rounds=4, key=key)
    source, offset = nulls.NULLS[null](key, 4, nulls.Block(np.arange(24), 0, (24, 24)))
    maps = slow_upsample_all(features, (24, 24))
    active = (maps > threshold[:, None, None]).astype(int)
    np.testing.assert_array_equal(counted['intersection'], np.einsum('nuyx,nyxs->us', active, masks))
    for of_round, *moves in zip(counted['null'], source, offset, strict=True):
        moved = [np.roll(masks[i], (-(o // 24), -(o % 24)), (0, 1)) for i, o in zip(*moves, strict=True)]
        np.testing.assert_array_equal(of_round, np.einsum('nuyx,nyxs->us', active, np.stack(moved)))
    np.testing.assert_array_equal(np.sort(source, axis=1), np.tile(np.arange(24), (4, 1)))
    assert (offset != 0).any() == (null == 'circular_shift')
    assert (source != np.arange(24)).any() == (null == 'image_permutation')
    p_value = concepts.overlap_statistics(counted)['p_value']
    np.testing.assert_allclose(p_value, (1 + (counted['null'] >= counted['intersection']).sum(0)) / 5)


def test_a_null_of_one_s_own_is_one_function_and_one_line(probe, monkeypatch):
    def displaced_neighbour(key, rounds, block):
        n, (height, width) = len(block.images), block.size
        source = np.tile(np.roll(np.arange(n), 1), (rounds, 1))
        return nulls.Displacement(source, np.full((rounds, n), height // 2 * width))

    monkeypatch.setitem(nulls.NULLS, 'neighbour', displaced_neighbour)
    features, masks = probe
    counted = concepts.overlap_counts(features, masks, concepts.thresholds(features, 0.1), null='neighbour', rounds=3)
    moved = np.roll(np.roll(masks, 1, axis=0), -12, axis=1)
    expected = concepts.overlap_counts(features, moved, concepts.thresholds(features, 0.1))['intersection']
    np.testing.assert_array_equal(counted['null'], np.stack([expected] * 3))


@pytest.mark.parametrize('null', NULLS)
def test_chunks_and_repetition_change_nothing(probe, null):
    def run(chunk, seed=1):
        return concepts.dissect(*probe, quantile=0.05, null=null, rounds=12, key=jax.random.key(seed), chunk=chunk)

    whole = run(None)
    for chunk in (1, 7, 24):
        jax.tree.map(np.testing.assert_array_equal, run(chunk), whole)
    assert (run(None, seed=2)['p_pooled'] != whole['p_pooled']).any()


def test_tallies_of_parts_add_up(probe):
    features, masks = probe
    threshold = concepts.thresholds(features, 0.05)
    whole = concepts.overlap_counts(features, masks, threshold)
    parts = [
        concepts.overlap_counts(features[part], masks[part], threshold) for part in (slice(0, 10), slice(10, None))
    ]
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.add, *parts), whole)


def test_many_concepts_that_overlap():
    features, masks = activations(7, (6, 5, 5, 3)), rectangles(8, 6, 15, 19)
    threshold = concepts.thresholds(features, 0.2)
    active = slow_upsample_all(features, (15, 15)) > threshold[:, None, None]
    expected = np.einsum('nuyx,nyxs->us', active.astype(int), masks)
    np.testing.assert_array_equal(concepts.overlap_counts(features, masks, threshold)['intersection'], expected)


def test_a_unit_equal_to_its_concept_reaches_one(probe):
    features = probe[0][..., :2]
    maps = slow_upsample_all(features, (24, 24))
    masks = np.moveaxis(maps > concepts.thresholds(features, 0.05)[:, None, None], 1, -1)
    result = concepts.dissect(features, masks, quantile=0.05, null=None)
    np.testing.assert_array_equal(np.diag(result['iou']), 1)
    np.testing.assert_array_equal(np.diag(result['ceiling']), 1)


@pytest.mark.parametrize(
    ('share', 'concept_share', 'ceiling'),
    [
        (0.005, 0.00047, 0.093),
        (0.005, 0.0292, 0.17),
        (0.01, 0.00047, 0.047),
        (0.04, 0.00047, 0.012),
        (0.005, 0.176, 0.028),
    ],
)
def test_the_literature_s_bar_can_be_out_of_reach(share, concept_share, ceiling):
    pixels = 10**6
    active, area = np.array([round(share * pixels)]), np.array([round(concept_share * pixels)])
    best = {'intersection': np.minimum(active, area)[None], 'active': active, 'area': area, 'pixels': pixels}
    result = concepts.overlap_statistics({**best, 'null': np.zeros((0, 1, 1), int)})
    assert result['ceiling'].item() == pytest.approx(ceiling, rel=0.03)
    assert result['iou'].item() == pytest.approx(result['ceiling'].item())
    assert result['detector'].item() == (ceiling > 0.04)


def planted(seed):
    """Masks [80, 32, 32, 4] and features [80, 8, 8, 12]: noise, in which units 0-3 follow concepts 0-3."""
    features, masks = activations(seed, (80, 8, 8, 12)), rectangles(seed + 1, 80, 32, 4, size=(6, 14), present=0.3)
    features[..., :4] += masks.reshape(80, 8, 4, 8, 4, 4).mean((2, 4))
    return features, masks


@pytest.mark.parametrize('null', NULLS)
def test_planted_units_are_found_and_lost_when_masks_are_shuffled(null):
    features, masks = planted(20)
    result = concepts.dissect(features, masks, quantile=0.01, null=null)
    assert result['detector'][:4].diagonal().all()
    assert result['detector'].sum() <= 5  # one false detector is what a false discovery rate allows
    shuffled = masks[np.random.default_rng(0).permutation(len(masks))]
    assert not concepts.dissect(features, shuffled, quantile=0.01, null=null)['detector'][:4].diagonal().any()
    labels = concepts.unique_detectors(result)
    assert labels['concepts'] == 4
    assert labels['best_concept'][:4].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('null', NULLS)
def test_noise_is_rarely_found(null):
    runs_with_detectors, p_values = 0, []
    for seed in range(12):
        features, masks = activations(seed, (40, 6, 6, 20)), rectangles(1000 + seed, 40, 24, 5)
        result = concepts.dissect(features, masks, 0.02, null, key=jax.random.key(seed))
        runs_with_detectors += result['detector'].any()
        p_values.append(result['p_pooled'])
    assert runs_with_detectors <= 3
    assert np.mean(np.less(p_values, 0.1)) < 0.15
    if null == 'image_permutation':  # shifts reach the border too, where noise is stronger here and masks rarer
        assert np.mean(np.less(p_values, 0.1)) > 0.05


def test_a_fixed_place_is_a_finding_under_shifts_only():
    features = 0.2 * activations(9, (40, 6, 6, 8))
    features[:, 2:4, 2:4, :3] += 1 + activations(10, (40, 2, 2, 3))
    masks = np.zeros((40, 24, 24, 2), bool)
    masks[:, 7:17, 7:17, 0] = True
    masks[..., 1] = rectangles(11, 40, 24, 1)[..., 0]
    shifted = concepts.dissect(features, masks, 0.05, 'circular_shift')
    exchanged = concepts.dissect(features, masks, 0.05, 'image_permutation')
    assert shifted['detector'][:3, 0].all()
    assert not exchanged['detector'].any()
    np.testing.assert_array_equal(exchanged['p_value'][:, 0], 1)


def test_without_a_null_the_literature_judges(probe):
    result = concepts.dissect(*probe, quantile=0.05, null=None)
    np.testing.assert_array_equal(result['detector'], result['iou'] > 0.04)
    assert np.isnan(result['p_value']).all()


def test_unique_detectors_take_the_best_of_what_was_detected():
    detector = np.array([[True, True, False], [True, False, False], [False, False, False], [False, True, False]])
    iou = np.array([[0.1, 0.2, 0.9], [0.1, 0.3, 0.0], [0.5, 0.5, 0.5], [0.0, 0.1, 0.0]])
    labels = concepts.unique_detectors({'detector': detector, 'iou': iou})
    assert labels['best_concept'].tolist() == [1, 0, -1, 1]
    assert labels['per_concept'].tolist() == [1, 2, 0]
    assert (labels['units'], labels['concepts']) == (3, 2)


def test_top_images():
    features = np.zeros((5, 2, 2, 2), np.float32)
    features[:, 0, 1, 0] = [1, 3, 2, 3, 0]
    assert concepts.top_images(features, 3).tolist() == [[1, 3, 2], [0, 1, 2]]
    with pytest.raises(ValueError, match='between 1 and the 5 images, got 6'):
        concepts.top_images(features, 6)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'null': 'circular_shfit'}, "Did you mean 'circular_shift'"),
        ({'quantile': 0.001}, 'quantile must lie between 1 / 864'),
        ({'quantile': 1.0}, 'got 1.0'),
        ({'rounds': 1}, 'rounds must be at least 2, got 1'),
        ({'masks': np.ones((23, 24, 24, 3), bool)}, 'masks must be'),
    ],
)
def test_dissect_says_what_is_wrong(probe, changes, message):
    with pytest.raises(ValueError, match=message):
        concepts.dissect(**{'features': probe[0], 'masks': probe[1], 'quantile': 0.05, **changes})


def test_what_is_taken_for_features_masks_and_key(probe):
    features, masks = probe
    whole = concepts.dissect(features, masks, 0.05, rounds=6, key=jax.random.key(7))
    for key in (7, np.int64(7)):
        again = concepts.dissect(jax.numpy.asarray(features), masks.astype(np.uint8), 0.05, rounds=6, key=key)
        jax.tree.map(np.testing.assert_array_equal, again, whole)
    double = concepts.dissect(features.astype(float), masks.astype(float), 0.05, rounds=6, key=7)
    jax.tree.map(np.testing.assert_array_equal, double, whole)


def test_one_planted_pair_among_many_is_found_with_few_rounds():
    features, masks = activations(30, (80, 8, 8, 40)), rectangles(31, 80, 32, 8, size=(6, 14), present=0.3)
    features[..., 17] += 3 * masks[..., 5].reshape(80, 8, 4, 8, 4).mean((2, 4))
    result = concepts.dissect(features, masks, 0.01, rounds=20, key=0)
    assert result['detector'][17, 5]
    assert result['detector'].sum() <= 2
    assert (result['p_pooled'] >= 1 / (1 + 20 * 40 * 8)).all()


def test_values_that_are_not_finite_are_refused(probe):
    features = probe[0].copy()
    features[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match='1 values that are not finite'):
        concepts.dissect(features, probe[1], 0.05)


@pytest.mark.parametrize('capacity', [2**14, 2])
def test_a_plateau_wider_than_the_quantile_is_active_and_a_constant_is_not(capacity):
    """Unit 0 is 1 on a tenth of the positions, unit 1 everywhere, unit 2 has no ties."""
    seen = concepts.quantiles.UpperQuantile(3, 1000, 0.02, capacity=capacity)
    values = np.stack([np.arange(1000) % 10 == 3, np.ones(1000), np.arange(1000) / 1000], axis=1).astype(np.float32)
    for part in np.array_split(values, 7):
        seen.add(part)
    active = (values > seen.threshold()).mean(0)
    np.testing.assert_allclose(active[:2], [0.1, 0])
    assert active[2] == 0.02 if seen.exact else 0 < active[2] <= 0.02


def test_a_planted_unit_of_two_values_is_found_and_not_when_shuffled():
    """The unit is the mask itself, 0 or 1: more of it is at its largest value than the quantile."""
    rng = np.random.default_rng(0)
    masks = np.zeros((60, 28, 28, 1), bool)
    for mask in masks[::2, :, :, 0]:
        row, column = 4 * rng.integers(0, 5, 2)
        mask[row : row + 8, column : column + 8] = True
    features = np.stack([masks[:, ::4, ::4, 0], rng.random((60, 7, 7))], axis=-1).astype(np.float32)
    result = concepts.dissect(features, masks, quantile=0.005, rounds=50, key=0)
    assert result['detector'][:, 0].tolist() == [True, False]
    assert result['iou'][0, 0] > 0.3  # bilinear enlargement leaves the inner part of a square at 1
    other = concepts.dissect(features[rng.permutation(60)], masks, null='image_permutation', rounds=50, key=0)
    assert not other['detector'].any()


def test_a_displacement_is_one_on_the_torus(monkeypatch):
    """As many rows up, down, or all around more than once, are the same places."""
    rng = np.random.default_rng(0)
    features, masks = rng.random((6, 8, 8, 3)).astype(np.float32), rng.random((6, 8, 8, 2)) < 0.3

    def moved(rows):
        def null(key, rounds, block):
            shape = rounds, len(block.images)
            return nulls.Displacement(np.broadcast_to(np.arange(shape[1]), shape), np.full(shape, rows * block.size[1]))

        monkeypatch.setitem(nulls.NULLS, 'moved', null)
        return concepts.overlap_counts(features, masks, np.full(3, 0.5), null='moved', rounds=2)['null']

    expected = moved(5)
    for rows in (-3, 13, 5 - 8 * 100):
        np.testing.assert_array_equal(moved(rows), expected)
