"""Passes over the probe set: what is planted is found, in whatever parts the images come."""

import dataclasses
import tracemalloc

import jax
import numpy as np
from planted import CONCEPTS, GREY, SIDE, UNITS, features_of, made_up, population

from imbalance_jax import concepts
from imbalance_jax.explain import probe as explain_probe
from imbalance_jax.explain import unit_passes


def test_planted_units_are_found_where_they_are_and_nowhere_else(results):
    for grey, result in zip(GREY, results, strict=True):
        planted = [(u, g // 60 - 1) for u, g in enumerate(grey) if g > 0]
        assert all(result['detector'][pair] for pair in planted)
        assert result['detector'].sum() <= len(planted) + 1
        assert result['dead'].tolist() == [g < 0 for g in grey]


def test_planted_units_are_lost_when_annotations_are_shuffled(probe):
    order = np.random.default_rng(1).permutation(len(probe.rows))
    image = order[probe.dataset.region_image].astype(np.int32)
    other = probe._replace(dataset=dataclasses.replace(probe.dataset, region_image=image))
    result = unit_passes.dissect(
        other, unit_passes.collect_thresholds(other, 0.02, 0.9), quantile=0.02, null='image_permutation', rounds=50
    )
    assert sum(one['stage1']['detector'].sum() for one in result) <= 1


def test_streaming_is_dissect_bit_for_bit(probe, results):
    for member in range(3):
        masks = probe.masks(np.arange(len(probe.rows)))
        whole = concepts.dissect(
            features_of(probe, member), masks, 0.02, 'image_permutation', 50, probe.key, patients=probe.patients
        )
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


def test_memory_does_not_grow_by_the_features_of_more_images():
    def peak(copies):
        dataset = made_up(64)
        many = dataclasses.replace(
            dataset,
            images=np.tile(dataset.images, (copies, 1, 1, 1)),
            patient=np.arange(64 * copies) // 2,
            region_image=np.concatenate([dataset.region_image + 64 * i for i in range(copies)]).astype(np.int32),
            region_concept=np.tile(dataset.region_concept, copies),
            region_box=np.tile(dataset.region_box, (copies, 1)),
        )
        tiled = population(GREY, many)

        def run():
            return unit_passes.dissect(
                tiled,
                unit_passes.collect_thresholds(tiled, 0.01, 0.99),
                quantile=0.01,
                null='circular_shift',
                rounds=20,
            )

        run()  # what tracing and compiling allocate has nothing to do with images
        tracemalloc.start()
        result = run()
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used, result

    small, _ = peak(2)
    large, result = peak(60)
    features = 4 * 3 * 8 * 8 * UNITS  # bytes of one image: members, positions, units
    assert large - small < features * 64 * 58 / 4  # the largest values are kept: a tenth
    assert result[0]['stage1']['detector'][0, 0]


def test_counts_are_the_study_s_by_batch_and_corrected_by_class(probe, thresholds):
    result = unit_passes.count(probe, thresholds, 0.9)
    features = features_of(probe, 0)
    boxed = np.flatnonzero(probe.boxed().any(1))
    boxes = probe.boxes(boxed)
    batch = concepts.count(features[boxed[:64]], SIDE, 0.9, boxes[:64].any(-1))
    np.testing.assert_array_equal(result[0]['concepts'][:64], batch)
    threshold = concepts.thresholds(features, 0.1)
    corrected = concepts.count(features[boxed], SIDE, 0.9, boxes, convention='corrected', threshold=threshold)
    np.testing.assert_array_equal(result[0]['concepts_corrected'], corrected)
    assert corrected.shape == (len(boxed), CONCEPTS)
    assert not corrected[~probe.boxed()[boxed]].any()


def test_without_a_finding_s_box_there_is_nothing_to_count(probe, thresholds):
    dataset = dataclasses.replace(probe.dataset, region_image=probe.dataset.region_image[:0])
    empty = dataclasses.replace(dataset, region_concept=dataset.region_concept[:0], region_box=dataset.region_box[:0])
    result = unit_passes.count(probe._replace(dataset=empty), thresholds, 0.9)
    assert result[0]['concepts'].shape == (0,)
    assert result[0]['concepts_corrected'].shape == (0, CONCEPTS)


def test_top_images(probe, thresholds):
    result = unit_passes.top_maps(probe, thresholds)
    for member in (0, 1):
        features = features_of(probe, member)
        np.testing.assert_array_equal(result[member]['top'], concepts.top_images(features, unit_passes.TOP_IMAGES))
        unit = 2
        expected = features[result[member]['top'][unit], :, :, unit]
        np.testing.assert_allclose(result[member]['top_maps'][unit], expected, atol=1e-3)


def test_units_together_do_not_do_worse_than_one(probe, results):
    half = concepts.directions.folds(probe.dataset.patient, 2, jax.random.key(0)) == 0
    result = unit_passes.segment(probe, results, half)
    assert (result[0]['multi_unit_iou'] > 0.8 * result[0]['single_unit_iou']).all()
    assert (result[0]['single_unit_iou'] > result[2]['single_unit_iou']).all()
