"""JSRT: raw files, nodules by centre and size, masks of SCR."""

import numpy as np
import pytest
from data.miniatures import jsrt as miniature

from imbalance_jax.data import soundness
from imbalance_jax.data.sources import jsrt


def test_pixels_nodules_and_anatomy(tmp_path):
    dataset = jsrt.make(manual_dir=miniature.write(tmp_path), image_size=64)
    soundness.check(dataset)
    assert dataset.concepts == ('nodule', *jsrt.ANATOMY)
    assert dataset.info['anatomy'] == list(jsrt.ANATOMY)
    for row, name in enumerate(dataset.image_id.tolist()):
        number = int(name[-3:]) - 1
        stored = miniature.grey(number + 3 * ('CNN' in name)).astype(float)
        expected = (4095 - stored[:1]).reshape(1, 64, 32).mean((0, 2)) / 4095 * 255
        assert np.abs(dataset.images[row, 20, 1:-1, 0] - expected[1:-1]).max() < 2
        assert dataset.images[row, 0, 0, 0] > dataset.images[row, 0, -1, 0]
        regions = np.flatnonzero(dataset.region_image == row)
        by_concept = {dataset.concepts[dataset.region_concept[r]]: r for r in regions}
        assert set(by_concept) == {*jsrt.ANATOMY, *(['nodule'] if 'CLN' in name else [])}
        for structure, (x0, y0, x1, y1) in miniature.ANATOMY.items():
            assert np.abs(dataset.region_box[by_concept[structure]] - np.array([x0, y0, x1, y1]) / 16).max() <= 1
        if 'CLN' in name:
            size, x, y = miniature.NODULES[number]
            mask = np.unpackbits(dataset.region_mask[by_concept['nodule']], axis=-1, count=64)
            ys, xs = np.nonzero(mask)
            assert np.abs([xs.mean() + 0.5 - x / 32, ys.mean() + 0.5 - y / 32]).max() < 0.6
            area = np.pi * (size / 0.175 / 32 / 2) ** 2
            assert abs(mask.sum() - area) < max(0.35 * area, 1.5)
    females = dataset.groups[:, list(dataset.info['groups']).index('sex')]
    assert (females == dataset.info['groups']['sex'].index('female')).sum() == 5


def test_without_masks_and_with_a_damaged_file(tmp_path):
    miniature.write(tmp_path, masks=False)
    path = tmp_path / 'JPCNN002.IMG'
    path.write_bytes(path.read_bytes()[:-10])
    dataset = jsrt.make(manual_dir=tmp_path, image_size=16)
    assert len(dataset.image_id) == 5
    assert 'JPCNN002.IMG' in dataset.info['problems']['unreadable'][0]
    assert set(dataset.region_concept) == {0}


def test_a_row_that_is_no_nodule_is_named(tmp_path):
    miniature.write(tmp_path, masks=False)
    table = tmp_path / 'CLNDAT_EN.txt'
    table.write_text(table.read_text('latin-1').replace('\t1634\t', '\tleft\t'), 'latin-1')
    with pytest.raises(ValueError, match=r"CLNDAT_EN.txt, line 1: size '15.0', x 'left'"):
        jsrt.make(manual_dir=tmp_path, image_size=16)
