"""Regions of a finding that labels deny, whoever made the data set."""

import dataclasses

import numpy as np

from imbalance_jax.data import denied
from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, NOT_READ, PRESENT, UNCERTAIN, Dataset


def drawn(labels, mask, regions, **others):
    """A data set of these labels [N,2]; regions: (image, concept) each."""
    labels, (image, concept) = np.array(labels, np.uint8), np.array(regions).T
    count = len(labels)
    return Dataset(
        images=np.zeros((count, 8, 8, 1), np.uint8),
        labels=labels,
        label_mask=np.array(mask, np.uint8),
        split=np.zeros(count, np.uint8),
        patient=np.arange(count),
        image_id=np.array([f'i{k}' for k in range(count)]),
        region_image=image.astype(np.int32),
        region_concept=concept.astype(np.int32),
        region_box=np.tile(np.float32([1, 1, 5, 5]), (len(image), 1)),
        region_mask=np.zeros((0, 8, 1), np.uint8),
        info={'name': 'x', 'classes': ['a', 'b'], 'concepts': ['a', 'b', 'heart'], **others.pop('info', {})},
        **others,
    )


def test_a_no_that_counts_is_denied_and_nothing_else():
    labels, mask = [[1, 0], [0, 1], [0, 0]], [[1, 1], [1, 1], [0, 1]]
    dataset = drawn(labels, mask, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2), (2, 1)])
    assert denied.denied(dataset).tolist() == [1, 2, 4, 6]
    doubt = 'Regions of a finding that the labels of their image deny, kept as these are: 4 (i0 b, i1 a, i2 b).'
    assert denied.doubted(dataset).info['doubts'] == [doubt]
    none = dataclasses.replace(dataset, region_concept=np.full(7, 2, np.int32))
    assert denied.doubted(none) is none


def test_a_reader_is_asked_of_own_regions_and_all_of_those_that_nobody_signed():
    """Labels are a no everywhere; two readings, by R1 and R2; regions by R1, R2, R3 and nobody."""
    r1 = [PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED, NOT_READ, ABSENT, NOT_READ]
    r2 = [ABSENT, PRESENT, ABSENT, NOT_MENTIONED, NOT_READ, ABSENT, ABSENT]
    cells = np.stack([[r1, r1], [r2, r2]]).transpose(0, 2, 1).astype(np.int8)
    info = {'readings': [['', 'R1'], ['', 'R2']], 'readers': ['R1', 'R2', 'R3']}
    base = drawn(np.zeros((7, 2)), np.ones((7, 2)), [(k, 0) for k in range(7)], info=info)
    expected = {0: [1, 3, 5], 1: [0, 2, 3, 5, 6], 2: [3, 5, 6], -1: [3, 5, 6]}
    for reader, images in expected.items():
        signed = dataclasses.replace(base, cells=cells, region_reader=np.full(7, reader, np.int8))
        assert denied.denied(signed).tolist() == images, reader
    assert denied.denied(dataclasses.replace(base, cells=cells)).tolist() == expected[-1]
