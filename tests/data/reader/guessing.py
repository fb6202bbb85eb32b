"""Pictures of a folder, what `data guess` proposes for it, and the data set that the proposal gives."""

import runpy

import numpy as np
from PIL import Image

from imbalance_jax.data import sources
from imbalance_jax.data.reader import guess, proposal


def pictures(folder, names, colour=False, size=(20, 20)):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (*size, 3) if colour else size
        Image.fromarray(np.random.default_rng(number).integers(0, 255, shape, np.uint8)).save(path)


def proposed(folder, tmp_path, *, missing=()):
    """The proposal, executed as the config file that it is, and the data set that it gives."""
    found = guess.guess(folder, sources.DATASETS)
    assert [one.split(':')[0] for one in found.missing] == list(missing)
    (tmp_path / 'guessed.py').write_text(proposal.text(found, folder))
    config = runpy.run_path(str(tmp_path / 'guessed.py'))['get_config']()
    if missing:
        return found, None
    block = config.data.to_dict()[found.name]
    return found, sources.load(found.name, tmp_path / 'data', {**block, 'image_size': 16})
