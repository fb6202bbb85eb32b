"""SIIM-ACR: all annotations of an image count, an image is one example, and runs are relative, down the columns."""

import os
from pathlib import Path

import numpy as np
import pytest
from data.miniatures import siim

from imbalance_jax.data import reader, soundness
from imbalance_jax.data.reader import shapes
from imbalance_jax.data.sources import siim_acr


def test_every_annotation_is_a_region_of_one_image(tmp_path):
    pytest.importorskip('pydicom')
    dataset = siim_acr.make(manual_dir=siim.write(tmp_path), image_size=32)
    soundness.check(dataset)
    assert sorted(dataset.image_id.tolist()) == sorted(siim.IMAGES)
    for row, name in enumerate(dataset.image_id.tolist()):
        boxes = siim.IMAGES[name]
        assert dataset.labels[row, 0] == bool(boxes)
        regions = np.flatnonzero(dataset.region_image == row)
        masks = np.unpackbits(dataset.region_mask[regions], axis=-1, count=32).astype(bool)
        expected = [shapes.to_size(siim.mask_of(box), (32, 32)) for box in boxes]
        assert sorted(mask.tobytes() for mask in masks) == sorted(mask.tobytes() for mask in expected)
    assert dataset.info['family'] == 'nih'


def test_the_tables_alone(tmp_path):
    cases, _ = reader.read_tables(siim.write(tmp_path, images=False), siim_acr.LAYOUT)
    assert (cases.readings[0].cells == 1).sum() == sum(bool(boxes) for boxes in siim.IMAGES.values())


def test_counts_of_the_real_table(tmp_path):
    """Needs the table of torchxrayvision in the folder that IMBALANCE_JAX_TABLES names."""
    path = Path(os.environ.get('IMBALANCE_JAX_TABLES', ''), 'torchxrayvision', 'data')
    path = path / 'siim-pneumothorax-train-rle.csv.gz'
    if not path.is_file():
        pytest.skip(f'IMBALANCE_JAX_TABLES does not name a folder with torchxrayvision/data/{path.name}.')
    (tmp_path / 'train-rle.csv.gz').symlink_to(path)
    cases, _ = reader.read_tables(tmp_path, siim_acr.LAYOUT)
    assert (len(cases.rows), len(cases.image_id)) == (12954, 12047)
    masks = np.array([text not in ('-1', '') for text in cases.rows.columns['EncodedPixels']])
    assert (masks.sum(), (~masks).sum()) == (3576, 9378)
    assert (cases.readings[0].cells == 1).sum() == 2669
    per_image = np.bincount(cases.image[masks], minlength=12047)
    assert ((per_image == 1).sum(), per_image.max()) == (2045, 10)
