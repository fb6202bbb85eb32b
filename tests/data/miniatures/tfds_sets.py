"""Data sets of TFDS in miniature, written as array_record without TensorFlow."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

SPLITS = {'train': 16, 'validation': 6, 'test': 8}


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, 'PNG')
    return file.getvalue()


def pixels(split, i, height=12, width=20, channels=1):
    seed = sum(map(ord, split)) * 1000 + i
    array = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return array[..., 0] if channels == 1 else array


def write(folder, name, features, example, splits=None, supervised=('image', 'label')):
    """Prepares a data set `name` of `splits` {name: count}; `example(split, i)` gives its i-th example."""
    splits = SPLITS if splits is None else splits

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """A data set in miniature."""

        VERSION = tfds.core.Version('1.0.0')

        def _info(self):
            keys = supervised if supervised and set(supervised) <= set(features) else None
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features), supervised_keys=keys)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split, count) for split, count in splits.items()}

        def _generate_examples(self, split, count):
            for i in range(count):
                yield f'{split}_{i:03d}', example(split, i)

    Builder.name = name
    builder = Builder(data_dir=folder, file_format='array_record')
    builder.download_and_prepare()
    return builder
