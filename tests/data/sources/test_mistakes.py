"""Mistakes of published loaders: each wrong number by the mistake itself, each right one by pixels."""

import ast
import os
from pathlib import Path

import numpy as np
import pytest
from data.miniatures import object_cxr, padchest, siim, vindr

from imbalance_jax.data.reader import shapes
from imbalance_jax.data.sources import mistakes


def test_siim_loses_all_annotations_but_the_last(tmp_path):
    area, images = mistakes.of('siim_acr', siim.write(tmp_path, images=False))
    masks = {name: [siim.mask_of(box) for box in boxes] for name, boxes in siim.IMAGES.items()}
    assert area.right == sum(np.logical_or.reduce(of).sum() for of in masks.values() if of)
    assert area.wrong == sum(of[-1].sum() for of in masks.values() if of)
    assert area.wrong < area.right
    assert (images.right, images.wrong) == (len(masks), sum(max(len(of), 1) for of in masks.values()))
    assert 'pixels of mask are right, a published loader has' in mistakes.lines([area])[0]


def test_vindr_unites_readers(tmp_path):
    region, labels = mistakes.of('vindr_cxr', vindr.kaggle(tmp_path))
    union = vote = positive = most = 0
    for image in vindr.TRAIN:
        votes = {}
        for who in vindr.readers_of(image):
            for name, box in vindr.says(image, who).items():
                if box:
                    x0, y0, x1, y1 = box
                    votes.setdefault(name, []).append(np.zeros(vindr.SIZE, int))
                    votes[name][-1][y0:y1, x0:x1] = 1
        for of_finding in votes.values():
            total = np.sum(of_finding, 0)
            union, vote = union + (total >= 1).sum(), vote + (total >= 2).sum()
            positive, most = positive + 1, most + (len(of_finding) >= 2)
    assert (region.right, region.wrong) == (vote, union)
    assert (labels.right, labels.wrong) == (most, positive)


def test_object_cxr_takes_every_shape_for_a_polygon(tmp_path):
    area, count = mistakes.of('object_cxr', object_cxr.write(tmp_path))
    drawn = [
        one.split(' ', 1)
        for split, images in (('train', 24), ('dev', 8))
        for number in range(images)
        for one in object_cxr.SHAPES[number % len(object_cxr.SHAPES)].split(';')
        if one and split
    ]
    kinds = {'0': 'rectangle', '1': 'ellipse', '2': 'polygon'}
    pixels = sum(shapes.decode(kinds[kind], points, object_cxr.SIZE).sum() for kind, points in drawn)
    polygons = sum(shapes.decode('polygon', points, object_cxr.SIZE).sum() for kind, points in drawn if kind == '2')
    assert abs(area.right / pixels - 1) < 0.06  # a polygon's outline adds half a pixel all round
    assert polygons * 0.85 < area.wrong <= polygons
    assert (count.right, count.wrong) == (len(drawn), sum(kind == '2' for kind, _ in drawn))


def test_padchest_matches_parts_of_words_and_rounds_patients(tmp_path):
    found = mistakes.of('padchest', padchest.write(tmp_path))
    texts = [padchest.LABELS[number % 11] for number in range(padchest.COUNT)]
    names = [set() if text == 'nan' else {one.strip() for one in ast.literal_eval(text)} for text in texts]
    nodule = next(one for one in found if one.what.startswith("'nodule'"))
    assert nodule.right == sum('nodule' in of for of in names)
    assert nodule.wrong == sum('nodule' in text for text in texts) > nodule.right
    assert (found[-1].right, found[-1].wrong) == (padchest.COUNT // 2, 1)


def test_other_sets_have_none(tmp_path):
    assert mistakes.of('phantom', tmp_path) == []


def test_siim_on_the_real_table(tmp_path):
    """Needs the table of torchxrayvision in the folder that IMBALANCE_JAX_TABLES names."""
    path = Path(os.environ.get('IMBALANCE_JAX_TABLES', ''), 'torchxrayvision', 'data')
    path = path / 'siim-pneumothorax-train-rle.csv.gz'
    if not path.is_file():
        pytest.skip(f'IMBALANCE_JAX_TABLES does not name a folder with torchxrayvision/data/{path.name}.')
    (tmp_path / 'train-rle.csv.gz').symlink_to(path)
    area, images = mistakes.of('siim_acr', tmp_path)
    assert round(1 - area.wrong / area.right, 2) == 0.18
    assert (images.right, images.wrong) == (12047, 12954)
