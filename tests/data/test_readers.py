"""Regions by several readers: votes of pixels by brute force, who saw an image, what each reader is held against."""

import dataclasses
import itertools

import numpy as np
import pytest

from imbalance_jax.data import readers, regions
from imbalance_jax.data.dataset import ABSENT, NOT_READ, PRESENT, Dataset

SIDE, NAMES = 12, ['A', 'B', 'C', 'D']


def read_by_several(images=40, seed=0, consensus=False):
    """Images of two findings that up to four readers drew boxes of, and the same as a list (image, concept, reader,
    mask)."""
    random, drawn = np.random.default_rng(seed), []
    for image, concept in itertools.product(range(images), range(2)):
        for reader in random.permutation(4)[: random.integers(0, 5)]:
            for _ in range(random.integers(1, 3)):
                y, x, height, width = (*random.integers(0, 8, 2), *random.integers(1, 5, 2))
                drawn.append((image, concept, reader, (x, y, x + width, y + height)))
        if consensus and random.random() < 0.5:
            drawn.append((image, concept, -1, (2, 2, 6, 6)))
    image, concept, reader, box = (np.array(column) for column in zip(*drawn, strict=True))
    info = {'name': 'read', 'classes': ['Mass', 'Edema'], 'concepts': ['Mass', 'Edema'], 'frame': [SIDE, SIDE]}
    dataset = Dataset(
        images=np.zeros((images, SIDE, SIDE, 1), np.uint8),
        labels=np.ones((images, 2), np.uint8),
        label_mask=np.ones((images, 2), np.uint8),
        split=np.full(images, 2, np.uint8),
        patient=np.arange(images),
        image_id=np.arange(images).astype(str),
        region_image=image.astype(np.int32),
        region_concept=concept.astype(np.int32),
        region_box=box.astype(np.float32),
        region_mask=np.zeros((0, SIDE, 2), np.uint8),
        info={**info, 'readers': NAMES, 'problems': {}},
        region_reader=reader.astype(np.int8),
    )
    return dataset, drawn


def mask_of(drawn, image, concept, reader):
    mask = np.zeros((SIDE, SIDE), bool)
    for one, k, who, (x0, y0, x1, y1) in drawn:
        if (one, k, who) == (image, concept, reader):
            mask[y0:y1, x0:x1] = True
    return mask


def by_hand(drawn, image, concept, rule, saw):
    """The vote pixel by pixel, with a loop over pixels."""
    masks = [mask_of(drawn, image, concept, reader) for reader in saw]
    least = {'any': 1, 'majority': len(saw) / 2 + 0.5, 'all': max(len(saw), 1)}[rule]
    result = np.zeros((SIDE, SIDE), bool)
    for y, x in itertools.product(range(SIDE), range(SIDE)):
        result[y, x] = sum(bool(mask[y, x]) for mask in masks) >= least
    return result


@pytest.mark.parametrize('rule', ['any', 'majority', 'all', 'B', ''])
def test_votes_are_counted_pixel_by_pixel_among_those_who_saw_the_image(rule):
    dataset, drawn = read_by_several()
    concepts = regions.concept_masks(dataset, np.arange(40), 'box', rule)
    pairs = regions.finding_pairs(dataset, 'test', 'box', rule=rule)
    expected_pairs = []
    for image, concept in itertools.product(range(40), range(2)):
        saw = sorted({reader for one, _, reader, _ in drawn if one == image})
        resolved = rule or ('majority' if len(saw) >= 3 else 'any')
        if resolved == 'B':
            expected = mask_of(drawn, image, concept, 1)
        else:
            expected = by_hand(drawn, image, concept, resolved, saw)
        np.testing.assert_array_equal(concepts[image, :, :, concept], expected)
        if expected.any():
            expected_pairs.append((image, concept))
            row = np.flatnonzero((pairs.image == image) & (pairs.finding == concept))
            np.testing.assert_array_equal(pairs.mask[row[0]], expected)
    assert list(zip(pairs.image.tolist(), pairs.finding.tolist(), strict=True)) == expected_pairs
    shown = regions.shown_concepts(dataset, np.arange(40), 'box', rule)
    np.testing.assert_array_equal(shown, concepts.any((1, 2)))


def test_a_reader_who_saw_an_image_and_drew_nothing_votes_for_nothing():
    dataset, drawn = read_by_several()
    alone = next(i for i in range(40) if len({reader for one, _, reader, _ in drawn if one == i}) == 1)
    saw_all = np.full((4, 40, 2), ABSENT, np.int8)
    readings = [['v1', name] for name in NAMES]
    read = dataclasses.replace(dataset, cells=saw_all, info={**dataset.info, 'readings': readings})
    assert readers.who_saw(read).all()
    masks = regions.concept_masks(read, np.array([alone]), 'box', 'majority')
    assert not masks.any()  # one of four
    assert regions.concept_masks(dataset, np.array([alone]), 'box', 'majority').any()
    nobody = dataclasses.replace(read, cells=np.full((4, 40, 2), NOT_READ, np.int8))
    np.testing.assert_array_equal(readers.who_saw(nobody), readers.who_saw(dataset))
    once = saw_all.copy()
    once[2, :, :], once[2, 0, 1] = NOT_READ, PRESENT
    assert readers.who_saw(dataclasses.replace(read, cells=once))[0, 2]


def test_a_consensus_is_the_truth_of_its_image_and_readers_are_held_against_it():
    dataset, drawn = read_by_several(consensus=True)
    agreed = sorted({image for image, _, reader, _ in drawn if reader == -1})
    for image in agreed:
        for concept, one in enumerate(np.moveaxis(regions.concept_masks(dataset, np.array([image]), 'box')[0], -1, 0)):
            np.testing.assert_array_equal(one, mask_of(drawn, image, concept, -1))
    pairs = regions.finding_pairs(dataset, 'test', 'box')
    for row, one in regions.drawn_of_pairs(dataset, pairs, 'box'):
        if pairs.image[row] in agreed:
            who, against = readers.left_out(one, '', NAMES)
            assert len(who) == len(one.readers)
            assert (against == one.consensus).all()


def test_one_reader_left_out_is_held_against_the_vote_of_the_others():
    random = np.random.default_rng(0)
    masks = random.random((4, SIDE, SIDE)) < 0.5
    drawn = readers.Drawn(masks, np.arange(4), np.zeros_like(masks), None)
    for rule in ('any', 'majority', 'all', ''):
        who, others = readers.left_out(drawn, rule, NAMES)
        np.testing.assert_array_equal(who, np.arange(4))
        for one in range(4):
            votes = np.delete(masks, one, 0).sum(0)
            least = {'any': 1, 'majority': 2, 'all': 3, '': 2}[rule]
            np.testing.assert_array_equal(others[one], votes >= least)
    who, others = readers.left_out(drawn, 'C', NAMES)
    assert who.tolist() == [0, 1, 3]
    assert (others == masks[2]).all()
    alone = readers.Drawn(masks[:1], np.arange(1), np.zeros_like(masks[:1]), None)
    assert not len(readers.left_out(alone, '', NAMES)[0])


def test_without_readers_regions_are_united_and_names_are_checked():
    dataset, _ = read_by_several()
    plain = dataclasses.replace(dataset, region_reader=None)
    united = regions.concept_masks(dataset, np.arange(40), 'box', 'any')
    np.testing.assert_array_equal(regions.concept_masks(plain, np.arange(40), 'box'), united)
    readers.check(dataset, 'C', 'attribution.readers')
    readers.check(plain, 'all', 'attribution.readers')
    with pytest.raises(ValueError, match=r"vote or reader in config.attribution.readers: 'E'"):
        readers.check(dataset, 'E', 'attribution.readers')
    preferring = dataclasses.replace(dataset, info={**dataset.info, 'reference_reader': 'B'})
    masks = regions.concept_masks(preferring, np.arange(40), 'box')
    np.testing.assert_array_equal(masks, regions.concept_masks(dataset, np.arange(40), 'box', 'B'))


def test_pairs_by_label_are_spread_over_findings_and_images():
    dataset, _ = read_by_several()
    labels = np.zeros((40, 2), np.uint8)
    labels[:30, 0], labels[35:38, 1] = 1, 1
    mask = np.ones_like(labels)
    mask[0] = 0
    labelled = dataclasses.replace(dataset, labels=labels, label_mask=mask)
    pairs = regions.labelled_pairs(labelled, 'test', np.array([True, True]), 10)
    assert np.bincount(pairs.finding).tolist() == [7, 3]
    assert (labels * mask)[pairs.image, pairs.finding].all()
    images = pairs.image[pairs.finding == 0]
    assert images[0] == 1
    assert images[-1] == 29
    assert np.ptp(np.diff(images)) <= 1
    assert not pairs.mask.any()
    assert (regions.labelled_pairs(labelled, 'test', np.array([False, True]), 10).finding == 1).all()
    assert not len(regions.labelled_pairs(labelled, 'test', np.array([False, False]), 10).image)
