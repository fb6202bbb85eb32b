"""SIIM-ACR Pneumothorax Segmentation (2019): 12,047 chest radiographs with masks of pneumothorax."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader import Images, Labels, Layout, Regions, Table

FINDING = 'Pneumothorax'
LAYOUT = Layout(
    name='siim_acr',
    tables=(Table('train-rle.csv', derive={'finding': ('EncodedPixels', '^[0-9]+ [0-9]', FINDING)}),),
    images=Images('{ImageId}', id='{ImageId}'),
    labels=(Labels(column='finding', classes=(FINDING,)),),
    regions=(Regions(concept=FINDING, code='EncodedPixels', kind='gap_columns', frame=(1024, 1024)),),
    family='nih',
    source='SIIM-ACR Pneumothorax Segmentation, https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation, 2019.',
    licence='Rules of the Kaggle competition; not to be passed on.',
)


def make(
    *,
    manual_dir: Path,
    image_size: int = 224,
    progress: Callable[[int, int], Any] | None = None,
    allocate: Callable[..., np.ndarray] | None = None,
) -> Dataset:
    """Makes SIIM-ACR of `train-rle.csv` and the DICOM files (or copies by the same names) below `manual_dir`.

    An image has as many rows as annotations, up to ten: all of them are regions, and it is one image. -1 is no
    pneumothorax. Its images are NIH's under other names, and nothing says whose they are. Raises as `reader.read`.
    """
    options = {'image_size': image_size}
    return reader.read(
        Path(manual_dir), LAYOUT, image_size=image_size, allocate=allocate, progress=progress, options=options
    )
