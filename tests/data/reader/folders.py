"""Folders of images and tables as people have them, written for tests, and what is read of them."""

import numpy as np
from PIL import Image

from imbalance_jax.data import denied, soundness
from imbalance_jax.data.reader import declare, read

SIZE = 16


def picture(path, size=(20, 20), value=None, colour=False):
    """Noise, the same for a name, or one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.name.encode())
    shape = (*size, 3) if colour else size
    pixels = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    Image.fromarray(pixels if value is None else np.full(shape, value, np.uint8)).save(path)


def layout(**block):
    """A declared layout, with labels, images and splits where nothing says them."""
    block.setdefault('labels', 'finding')
    block.setdefault('images', '{file}')
    block.setdefault('split', {'validation': 0.25, 'test': 0.25})
    return declare.layout(block, 'mine')


def table(folder, text, name='t.csv'):
    """A table of that text."""
    (folder / name).write_text(text)


def loaded(folder, **block):
    """What is read of a folder by a layout, with what its regions and labels say of one another."""
    dataset = read(folder, layout(**block), image_size=SIZE)
    soundness.check(dataset)
    return denied.doubted(dataset)


def of(dataset, name):
    """The row of an image."""
    return list(dataset.image_id).index(name)


def doubts_with(dataset, words):
    """The doubts that have these words."""
    return [one for one in dataset.info.get('doubts', []) if words in one]


def regions_of(dataset):
    """{image: its last region's box}."""
    owners = dataset.image_id[dataset.region_image]
    return {str(name): box for name, box in zip(owners, dataset.region_box, strict=True)}
