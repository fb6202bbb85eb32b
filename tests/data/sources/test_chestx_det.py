"""ChestX-Det and ChestX-Det10: parallel lists, polygons or boxes, one file name in two splits."""

import numpy as np
import pytest
from data.miniatures import chestx_det as miniature

from imbalance_jax.data import soundness
from imbalance_jax.data.reader import shapes
from imbalance_jax.data.sources import chestx_det


@pytest.mark.parametrize('ten', [False, True])
def test_findings_and_their_regions(tmp_path, ten):
    dataset = chestx_det.make(manual_dir=miniature.write(tmp_path, ten), image_size=32)
    soundness.check(dataset)
    assert len(dataset.classes) == (10 if ten else 13)
    assert len(dataset.image_id) == 30
    for row, name in enumerate(dataset.image_id.tolist()):
        split, _, file = name.partition('/')
        number = int(file.removesuffix('.png'))
        found = [one for one in miniature.findings(number) if one[0] in dataset.classes]
        assert {dataset.classes[k] for k in np.flatnonzero(dataset.labels[row])} == {finding for finding, _ in found}
        assert (dataset.split[row] == 2) == (split == 'test')
        regions = np.flatnonzero(dataset.region_image == row)
        assert sorted(dataset.concepts[k] for k in dataset.region_concept[regions]) == sorted(f for f, _ in found)
        for region in regions:
            shapes_of = [
                shape for finding, shape in found if finding == dataset.concepts[dataset.region_concept[region]]
            ]
            if ten:
                boxes = [np.array(miniature.box_of(shape)) / 32 for shape in shapes_of]
                assert any(np.allclose(dataset.region_box[region], box, atol=1e-4) for box in boxes)
            else:
                mask = np.unpackbits(dataset.region_mask[region], axis=-1, count=32).astype(bool)
                drawn = [shapes.to_size(shapes.decode('polygon', one, (1024, 1024)), (32, 32)) for one in shapes_of]
                assert any(np.array_equal(mask, one) for one in drawn)
    assert any('patient of its own' in note for note in dataset.info['notes'])
