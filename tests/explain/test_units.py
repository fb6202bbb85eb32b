"""Units of a whole population: a network whose answers are known, streaming, similarity, and arms beyond seeds."""

import dataclasses
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from imbalance_jax import concepts
from imbalance_jax.concepts import quantiles
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import concept_masks
from imbalance_jax.explain import interventions, matching, unit_passes
from imbalance_jax.explain import probe as explain_probe
from imbalance_jax.metrics import scores as metrics
from imbalance_jax.metrics import statistics
from imbalance_jax.metrics.on_device import ranking
from imbalance_jax.training import network, placement

SIDE, CONCEPTS, UNITS = 16, 3, 8


def made_up(images=140, seed=0):
    """Images in which concept s is a rectangle of grey value 60 (s + 1), in a third of them; labels say which."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((images, SIDE, SIDE, 1), np.uint8)
    regions, labels = [], np.zeros((images, CONCEPTS), np.uint8)
    for image in range(images):
        for s in np.flatnonzero(random.random(CONCEPTS) < 0.4):
            y, x = random.integers(0, SIDE - 5, 2)
            pixels[image, y : y + 5, x : x + 5] = 60 * (s + 1)
            regions.append((image, s, x, y, x + 5, y + 5))
            labels[image, s] = 1
    regions = np.array(regions)
    names = [f'finding {s}' for s in range(CONCEPTS)]
    info = {'name': 'made up', 'classes': names, 'concepts': names, 'frame': [SIDE, SIDE]}
    return Dataset(
        images=pixels,
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.full(images, 2, np.uint8),
        patient=np.arange(images) // 2,
        image_id=np.arange(images).astype(str),
        region_image=regions[:, 0].astype(np.int32),
        region_concept=regions[:, 1].astype(np.int32),
        region_box=regions[:, 2:].astype(np.float32),
        region_mask=np.zeros((0, SIDE, 2), np.uint8),
        info=info,
    )


def scramble(images, seed, shape):
    """Numbers in 0..1 [B,*shape] that look random and depend on every pixel: a hash in whole numbers."""
    pixels = jnp.asarray(images).reshape(len(images), -1).astype(jnp.uint32)
    code = (pixels * (2 * np.arange(pixels.shape[1], dtype=np.uint32) + 1)).sum(1) + jnp.asarray(seed).astype(
        jnp.uint32
    ) * 77777
    place = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape) * np.uint32(2654435761)
    mixed = code[:, None, None, None] * np.uint32(2246822519) + place
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 1)):
        mixed = (mixed ^ (mixed >> shift)) * np.uint32(factor)
    return mixed.astype(jnp.float32) / 2.0**32


class Planted:
    """A network whose unit u shows grey value `grey[u]`, over smooth noise from the image; linear head."""

    def apply(self, variables, images):
        grey, noise = variables['params']['grey'], variables['params']['noise']
        shows = jnp.maximum(0, 1 - jnp.abs(images - grey) / 20)  # [B,H,W,U]
        maps = shows.reshape(len(images), 8, 2, 8, 2, -1).mean((2, 4)) * (grey > 0)
        maps = maps + 0.3 * scramble(images, noise, maps.shape[1:]) * (grey >= 0)
        given = variables.get('perturbations', {})
        maps = maps + given.get('stage1', 0)
        pooled = maps.mean((1, 2)) + given.get('pooled', 0)
        return interventions.head(variables, pooled), {'stage1': maps, 'pooled': pooled}


def population(grey, dataset=None, regions='box'):
    """A probe of planted members: grey [P,U], where 0 is noise and -1 a dead unit."""
    grey, dataset = np.asarray(grey, np.float32), dataset or made_up()
    P, U = grey.shape
    random = np.random.default_rng(5)
    head = {
        'kernel': random.normal(size=(P, U, CONCEPTS)).astype(np.float32),
        'bias': np.zeros((P, CONCEPTS), np.float32),
    }
    place = placement.place(P, 'vmap')
    variables = place.members({'params': {'grey': grey, 'noise': np.arange(P), 'head': head}})
    return explain_probe.Probe(
        dataset=dataset,
        rows=np.arange(len(dataset.images)),
        regions=regions,
        layers={'stage1': (8, 8, U)},
        tcav_layer='stage1',
        model=Planted(),
        normalise=lambda images: images.astype(jnp.float32),
        place=place,
        variables=variables,
        programs={},
    )


GREY = [[60, 120, 180, 0, 0, 0, -1, 60], [0, 0, 60, 0, 120, 0, -1, 180], [0, 0, 0, 0, 0, 0, 0, -1]]


@pytest.fixture(scope='module')
def probe():
    return population(GREY)


@pytest.fixture(scope='module')
def thresholds(probe):
    return unit_passes.collect_thresholds(probe, 0.02, 0.9)


@pytest.fixture(scope='module')
def results(probe, thresholds):
    overlaps = unit_passes.dissect(probe, thresholds, quantile=0.02, null='image_permutation', rounds=50)
    return [one['stage1'] for one in overlaps]


def features_of(probe, member):
    variables = jax.tree.map(lambda a: np.asarray(a[member]), probe.variables)
    return np.asarray(probe.model.apply(variables, probe.normalise(probe.dataset.images))[1]['stage1'])


def test_planted_units_are_found_where_they_are_and_nowhere_else(results):
    for grey, found in zip(GREY, results, strict=True):
        planted = [(u, g // 60 - 1) for u, g in enumerate(grey) if g > 0]
        assert all(found['detector'][pair] for pair in planted)
        assert found['detector'].sum() <= len(planted) + 1
        assert found['dead'].tolist() == [g < 0 for g in grey]


def test_planted_units_are_lost_when_annotations_are_shuffled(probe):
    order = np.random.default_rng(1).permutation(len(probe.rows))
    image = order[probe.dataset.region_image].astype(np.int32)
    other = probe._replace(dataset=dataclasses.replace(probe.dataset, region_image=image))
    found = unit_passes.dissect(
        other, unit_passes.collect_thresholds(other, 0.02, 0.9), quantile=0.02, null='image_permutation', rounds=50
    )
    assert sum(one['stage1']['detector'].sum() for one in found) <= 1


def test_streaming_is_dissect_bit_for_bit(probe, results):
    for member in range(3):
        masks = probe.masks(np.arange(len(probe.rows)))
        whole = concepts.dissect(features_of(probe, member), masks, 0.02, 'image_permutation', 50, probe.key)
        for name, value in whole.items():
            np.testing.assert_array_equal(results[member][name], value, err_msg=name)


def test_parts_of_any_size_give_the_same(probe, thresholds, results, monkeypatch):
    monkeypatch.setattr(explain_probe, 'BYTES_AT_ONCE', 4 * 3 * 8 * 8 * UNITS * 7)
    small = probe._replace(programs={})
    assert small.images_at_once(['stage1']) == 7
    again = unit_passes.dissect(
        small, unit_passes.collect_thresholds(small, 0.02, 0.9), quantile=0.02, null='image_permutation', rounds=50
    )
    for one, other in zip(again, results, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one['stage1'], other)


def test_a_probe_set_ten_times_larger_needs_the_same_memory():
    def peak(copies):
        dataset = made_up(64)
        many = dataclasses.replace(
            dataset,
            images=np.tile(dataset.images, (copies, 1, 1, 1)),
            region_image=np.concatenate([dataset.region_image + 64 * i for i in range(copies)]).astype(np.int32),
            region_concept=np.tile(dataset.region_concept, copies),
            region_box=np.tile(dataset.region_box, (copies, 1)),
        )
        own = population(GREY, many)
        tracemalloc.start()
        found = unit_passes.dissect(
            own, unit_passes.collect_thresholds(own, 0.01, 0.99), quantile=0.01, null='circular_shift', rounds=20
        )
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used, found

    small, _ = peak(2)
    large, found = peak(20)
    assert large < 1.5 * small
    assert found[0]['stage1']['detector'][0, 0]


def test_dissect_takes_memory_maps_and_holds_blocks(tmp_path):
    random = np.random.default_rng(0)
    shape = (1000, 8, 8, 4)
    stored = np.lib.format.open_memmap(tmp_path / 'a.npy', 'w+', np.float32, shape)
    stored[:] = random.exponential(size=shape)
    masks = np.lib.format.open_memmap(tmp_path / 'm.npy', 'w+', bool, (1000, 32, 32, 2))
    masks[:] = random.random((1000, 32, 32, 2)) < 0.01
    tracemalloc.start()
    found = concepts.dissect(stored, masks, 0.01, rounds=20)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 0.5 * 1000 * 32 * 32 * 4 * 4
    assert np.isfinite(found['iou']).all()


@pytest.mark.parametrize('capacity', [10**6, 10])
def test_streaming_thresholds(capacity):
    random = np.random.default_rng(0)
    values = np.maximum(ndimage.gaussian_filter(random.normal(size=(50, 6, 6, 4)), (0, 1, 1, 0)), 0).astype(np.float32)
    values[..., 1] = 0
    values[..., 2] *= values[..., 2] > np.sort(values[..., 2].ravel())[-5]
    seen = quantiles.UpperQuantile(4, 50 * 36, 0.03, capacity=capacity)
    for part in np.array_split(values, 7):
        seen.add(part)
    exact = concepts.thresholds(values, 0.03)
    found = seen.threshold()
    assert (found >= exact).all()
    assert (found <= exact * (1 + seen.relative_error)).all()
    assert seen.relative_error == (0 if capacity > 100 else quantiles.RELATIVE_ERROR)
    np.testing.assert_array_equal(found[1:3], 0)
    np.testing.assert_allclose(seen.share_positive(), (values > 0).mean((0, 1, 2)))
    assert ((values > found).mean((0, 1, 2)) <= 0.03).all()
    with pytest.raises(ValueError, match='0 of 100 positions'):
        quantiles.UpperQuantile(4, 100, 0.03, capacity=capacity).threshold()


def test_counts_are_the_study_s_by_batch_and_corrected_by_class(probe, thresholds):
    found = unit_passes.count(probe, thresholds, 0.9)
    features = features_of(probe, 0)
    boxed = np.flatnonzero(probe.boxed().any(1))
    boxes = probe.boxes(boxed)
    batch = concepts.count(features[boxed[:64]], SIDE, 0.9, boxes[:64].any(-1))
    np.testing.assert_array_equal(found[0]['concepts'][:64], batch)
    threshold = concepts.thresholds(features, 0.1)
    corrected = concepts.count(features[boxed], SIDE, 0.9, boxes, convention='corrected', threshold=threshold)
    np.testing.assert_array_equal(found[0]['concepts_corrected'], corrected)
    assert corrected.shape == (len(boxed), CONCEPTS)
    assert not corrected[~probe.boxed()[boxed]].any()


def test_without_a_finding_s_box_there_is_nothing_to_count(probe, thresholds):
    dataset = dataclasses.replace(probe.dataset, region_image=probe.dataset.region_image[:0])
    empty = dataclasses.replace(dataset, region_concept=dataset.region_concept[:0], region_box=dataset.region_box[:0])
    found = unit_passes.count(probe._replace(dataset=empty), thresholds, 0.9)
    assert found[0]['concepts'].shape == (0,)
    assert found[0]['concepts_corrected'].shape == (0, CONCEPTS)


def test_counts_by_class():
    features = np.zeros((2, 8, 8, 3), np.float32)
    features[0, 1:3, 1:3, 0] = features[0, 5:7, 5:7, 0] = features[1, 5:7, 1:3, 0] = 1
    features[:, :, :, 1] = 0  # dead
    features[0, 1:4, 1:4, 2], features[0, 2, 2, 2] = 1, 0  # a ring
    masks = np.zeros((2, 8, 8, 3), bool)
    masks[0, :4, :4, 0] = masks[0, 4:, 4:, 1] = True
    corrected = concepts.count(features, 8, 0.9, masks, convention='corrected', threshold=np.full(3, 0.5))
    assert corrected.tolist() == [[2, 1, 0], [0, 0, 0]]
    study = concepts.count(features, 8, 0.9, masks, threshold=np.array([0.5, 0, 0.5]))
    union = concepts.count(features, 8, 0.9, masks.any(-1), threshold=np.array([0.5, 0, 0.5]))
    assert study.tolist() == [[union[0], union[0], 0], [0, 0, 0]]
    assert union[0] == 2 + 1 + 2  # two blobs, a dead unit in a connected union, a ring with its hole
    assert not concepts.count(features, 8, 0.9, masks[..., 2:], convention='corrected').any()


def test_top_images(probe, thresholds):
    found = unit_passes.top_maps(probe, thresholds)
    for member in (0, 1):
        features = features_of(probe, member)
        np.testing.assert_array_equal(found[member]['top'], concepts.top_images(features, unit_passes.TOP_IMAGES))
        unit = 2
        expected = features[found[member]['top'][unit], :, :, unit]
        np.testing.assert_allclose(found[member]['top_maps'][unit], expected, atol=1e-3)


def test_ablation_of_all_members_against_loops(probe, thresholds):
    given = np.stack([one.mean['stage1'] for one in thresholds])
    means = given.mean(1)
    assert interventions.ends_in_head(probe)
    found = interventions.ablate(probe, given, steps=3, share=0.5)
    labels = probe.dataset.labels
    for member in (0, 2):
        variables = jax.tree.map(lambda a, m=member: np.asarray(a[m]), probe.variables)
        pooled = features_of(probe, member).mean((1, 2))
        for unit in (0, 5):
            without = pooled.copy()
            without[:, unit] = means[member, unit]
            expected = metrics.auroc(np.asarray(interventions.head(variables, jnp.asarray(without))), labels)
            np.testing.assert_allclose(found['without'][member, unit], expected, atol=2e-3)
    np.testing.assert_allclose(found['without'][0, 6], found['intact'][0], atol=2e-3)  # a dead unit carries nothing
    assert found['order'].shape == (3, CONCEPTS, 3)
    np.testing.assert_allclose(found['left'][:, :, 0], found['without'].min(1), atol=1e-6)
    in_between = interventions.layer_logits(probe)
    images = probe.dataset.images[None]
    variables = jax.tree.map(lambda a: a[0], probe.variables)
    kept = jnp.ones(UNITS).at[1].set(0)
    logits = in_between(variables, jnp.asarray(given[0]), jnp.asarray(images))(kept)
    auroc = ranking(logits, jnp.asarray(labels), jnp.ones(labels.shape))['auroc']
    np.testing.assert_allclose(found['without'][0, 1], auroc, atol=2e-3)


def test_contributions_add_up_to_the_logit(probe, thresholds):
    means = np.stack([one.mean['stage1'] for one in thresholds]).mean(1)
    classes = np.array([0, 1, 2, 0, 1], np.int32)
    found = interventions.logit_contributions(probe, means, positions=np.arange(5), classes=classes, steps=1)
    np.testing.assert_allclose(found['added'].sum(-1), found['logit'] - found['start'], atol=1e-4)
    kernel = np.asarray(probe.variables['params']['head']['kernel'])
    pooled = features_of(probe, 1)[:5].mean((1, 2))
    np.testing.assert_allclose(found['added'][1], (pooled - means[1]) * kernel[1][:, classes].T, atol=1e-4)


def test_the_model_s_head_is_ours():
    from imbalance_jax import models

    model, image = models.make('cnn', 3, widths=(4, 5)), jnp.ones((2, 8, 8, 1))
    variables = model.init(jax.random.key(0), image, mutable=['params', 'batch_stats'])
    for cosine in (None, 0.0, 1.0):
        given = variables if cosine is None else {**variables, 'link': {'cosine': jnp.float32(cosine)}}
        logits, out = model.apply(given, image)
        np.testing.assert_allclose(interventions.head(given, out['pooled']), logits, atol=1e-6)


def test_slopes_are_gradients(probe):
    found = interventions.slopes(probe, 'stage1', np.array([3, 9, 4]))
    kernel = np.asarray(probe.variables['params']['head']['kernel'])
    expected = np.broadcast_to(np.swapaxes(kernel, 1, 2)[:, None], found.shape)  # summed over positions of a mean
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_probes_find_what_is_there_and_controls_do_not(probe, thresholds):
    means = np.stack([one.mean['stage1'] for one in thresholds])
    present = explain_probe.presence(probe)
    np.testing.assert_array_equal(present, probe.dataset.labels > 0)
    orders = concepts.directions.permutations(140, 10, jax.random.key(0))
    fold = concepts.directions.folds(probe.dataset.patient, 5, jax.random.key(0))
    found = interventions.linear_probes(probe, means, present, orders=orders, fold=fold, folds=5)
    assert (found['auroc'][:2] > 0.9).all()
    assert (found['auroc'][2] < 0.8).all()  # images without a concept are all alike, noise and all
    assert abs(np.nanmean(found['control']) - 0.5) < 0.06


def test_units_together_do_not_do_worse_than_one(probe, results):
    half = concepts.directions.folds(probe.dataset.patient, 2, jax.random.key(0)) == 0
    found = unit_passes.segment(probe, results, half)
    assert (found[0]['multi_unit_iou'] > 0.8 * found[0]['single_unit_iou']).all()
    assert (found[0]['single_unit_iou'] > found[2]['single_unit_iou']).all()


def test_matches_of_members_are_those_of_match_units(probe):
    found = matching.match(probe)
    for a, b in ((0, 1), (1, 2), (0, 0)):
        pairs, r = concepts.match_units(features_of(probe, a), features_of(probe, b))
        expected = np.full(UNITS, -1)
        expected[pairs[:, 0]] = pairs[:, 1]
        np.testing.assert_array_equal(found['partner'][a, b], expected)
        np.testing.assert_allclose(found['r'][a, b][pairs[:, 0]], r, atol=2e-3)
    assert found['partner'][0, 1][1] == 4
    assert found['partner'][1, 0][4] == 1


def test_members_in_groups_match_the_same(probe, monkeypatch):
    whole = matching.match(probe)
    monkeypatch.setattr(matching, 'MATCHED_AT_ONCE', UNITS)
    jax.tree.map(np.testing.assert_array_equal, matching.match(probe), whole)


def test_cka_of_members_is_that_of_their_layers(probe):
    found = matching.layer_similarity(probe)[0, :, 0]
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    whole = [features_of(probe, member).reshape(140, -1) for member in range(3)]
    for a, b in ((0, 1), (0, 2)):
        assert found[a, b] == pytest.approx(concepts.linear_cka(whole[a], whole[b], debiased=True), abs=0.05)


MEMBERS = [
    {'member': i, 'arm': a, 'loss': a, 'sampler': 'natural', 'seed': s}
    for i, (a, s) in enumerate((a, s) for a in ('x', 'y') for s in range(6))
]


def distances(of_arm, of_seed, noise, seed=0):
    random = np.random.default_rng(seed)
    arms, seeds = ([row[key] for row in MEMBERS] for key in ('arm', 'seed'))
    place = np.array([[of_arm * (a == 'y'), 10 * of_seed * s] for a, s in zip(arms, seeds, strict=True)], float)
    return matching.euclidean(place + noise * random.normal(size=place.shape)), arms, seeds


def test_arms_beyond_seeds():
    real = statistics.arms_beyond_seeds(*distances(3, 0, 0.5))
    assert real.p == pytest.approx(2 / 64, abs=0.01)  # 2 of 2^6 exchanges are as extreme
    assert real.difference > 1.5
    assert real.pairs == 60
    p = [statistics.arms_beyond_seeds(*distances(0, 1, 1, seed), rounds=199).p for seed in range(40)]
    assert 0.3 < np.mean(p) < 0.7
    assert min(p) > 0.01
    assert real == statistics.arms_beyond_seeds(*distances(3, 0, 0.5))


def test_arms_beyond_seeds_where_nothing_can_be_said():
    matrix, arms, seeds = distances(1, 0, 0.1)
    assert np.isnan(statistics.arms_beyond_seeds(matrix, ['x'] * 12, seeds).p)
    assert np.isnan(statistics.arms_beyond_seeds(matrix, arms, [0] * 12).p)


def test_intervals_over_seeds():
    found = statistics.over_seeds(np.array([1.0, 2.0, 3.0, np.nan]))
    assert found.estimate == 2
    assert found.high - 2 == pytest.approx(4.30265 / np.sqrt(3), rel=1e-5)
    assert np.isnan(statistics.over_seeds(np.array([1.0])).low)


def test_directions_of_all_members_are_asked_of_each_class_s_images(probe, thresholds):
    means = np.stack([one.mean['stage1'] for one in thresholds])
    present = explain_probe.presence(probe)
    orders = concepts.directions.permutations(140, 30, jax.random.key(0))
    counted = probe.dataset.labels[:40] > 0
    counted[:, 2] = False
    random = np.random.default_rng(0)
    slopes = random.normal(size=(3, 40, CONCEPTS, UNITS)).astype(np.float32)
    present = np.concatenate([present, np.ones((140, 1), bool)], axis=1)  # what is everywhere has no direction
    found = interventions.tcav(probe, means, slopes, present=present, orders=orders, counted=counted)
    assert found['random'].shape == (3, CONCEPTS, CONCEPTS + 1, 30)
    assert np.isnan(found['sign'][:, 2]).all()
    assert np.isnan(found['sign'][..., CONCEPTS]).all()
    for member, k, s in ((0, 0, 1), (2, 1, 0)):
        target = jnp.asarray(present[:, [s]], jnp.float32)
        direction = np.asarray(concepts.directions.fit(jnp.asarray(means[member]), target)[1])[:, 0]
        along = slopes[member, counted[:, k], k] @ direction
        assert found['sign'][member, k, s] == pytest.approx((along > 0).mean(), abs=1e-6)
        assert found['magnitude'][member, k, s] == pytest.approx(along[along > 0].sum() / np.abs(along).sum(), abs=1e-4)


@pytest.fixture(scope='module')
def phantom(tiny_config):
    return network.load_dataset(tiny_config)


@pytest.mark.parametrize('null', ['circular_shift', 'image_permutation'])
def test_units_planted_in_the_phantom(phantom, null):
    """Every second unit shows one of the phantom's findings where its mask is; noise over all."""
    rows = np.arange(len(phantom.images))
    masks = concept_masks(phantom, rows, 'exact')
    common = [s for s in range(len(phantom.classes)) if masks[..., s].any((1, 2)).sum() >= 12][:4]
    random = np.random.default_rng(0)
    features = 0.3 * random.random((len(rows), 8, 8, 12)).astype(np.float32)
    for unit, s in enumerate(common):
        features[..., 2 * unit] += masks[..., s].reshape(-1, 8, 2, 8, 2).mean((2, 4))
    found = concepts.dissect(features, masks, 0.02, null, rounds=60, key=1)
    assert len(common) == 4
    assert all(found['detector'][2 * unit, s] for unit, s in enumerate(common))
    best = concepts.unique_detectors(found)['best_concept']
    assert [best[2 * unit] for unit in range(4)] == common
    assert not found['detector'][1::2].any()
    assert (found['iou'] <= found['ceiling'] + 1e-12).all()
    if null == 'image_permutation':  # a shift also finds units that prefer a finding's place, as these still do
        order = random.permutation(len(rows))
        shuffled = concepts.dissect(features, masks[order], 0.02, null, rounds=60, key=1)
        assert not any(shuffled['detector'][2 * unit, s] for unit, s in enumerate(common))
