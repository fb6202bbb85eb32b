"""object-CXR: the type of a shape is a text."""

import numpy as np
import pytest
from data.miniatures import object_cxr as miniature

from imbalance_jax.data import soundness
from imbalance_jax.data.reader import shapes
from imbalance_jax.data.sources import object_cxr


@pytest.mark.parametrize('test', [False, True])
def test_shapes_of_three_types(tmp_path, test):
    dataset = object_cxr.make(manual_dir=miniature.write(tmp_path, test), image_size=40)
    soundness.check(dataset)
    assert len(dataset.image_id) == (38 if test else 32)
    for row, name in enumerate(dataset.image_id.tolist()):
        text = miniature.SHAPES[int(name[-9:-4]) % len(miniature.SHAPES)]
        drawn = [one.split(' ', 1) for one in text.split(';') if one]
        assert dataset.labels[row, 0] == bool(drawn)
        masks = np.unpackbits(dataset.region_mask[dataset.region_image == row], axis=-1, count=40).astype(bool)
        kinds = {'0': 'rectangle', '1': 'ellipse', '2': 'polygon'}
        expected = [shapes.to_size(shapes.decode(kinds[k], p, miniature.SIZE), (40, 40)) for k, p in drawn]
        assert sorted(mask.tobytes() for mask in masks) == sorted(mask.tobytes() for mask in expected)
        split = {'train': (0, 2), 'dev': (1,), 'test': (2,)}[name.split('_')[0]]
        assert dataset.split[row] in (split[:1] if test else split)


def test_a_shape_of_another_type_is_named_with_its_line(tmp_path):
    miniature.write(tmp_path)
    with open(tmp_path / 'dev.csv', 'a') as file:
        file.write('dev_00001.jpg,3 1 2 3 4\n')
    with pytest.raises(ValueError, match=r"type of shape, .*dev\.csv, line 10: '3'") as error:
        object_cxr.make(manual_dir=tmp_path, image_size=16)
    assert '\n' not in str(error.value)
