"""ChestX-Det and ChestX-Det10 (Deepwise 2020): polygons or boxes of 13 or 10 findings on 3,578 of NIH's images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader import Images, Labels, Layout, Regions, Table

DET10 = (
    'Atelectasis',
    'Calcification',
    'Consolidation',
    'Effusion',
    'Emphysema',
    'Fibrosis',
    'Fracture',
    'Mass',
    'Nodule',
    'Pneumothorax',
)
DET = tuple(sorted((*DET10, 'Cardiomegaly', 'Diffuse Nodule', 'Pleural Thickening')))
SOURCE = (
    'ChestX-Det, https://github.com/Deepwise-AILab/ChestX-Det-Dataset. Lian J et al. A structure-aware relation '
    'network for thoracic diseases detection and segmentation. IEEE TMI 2021. Images: NIH Clinical Center.'
)


def make(
    *,
    manual_dir: Path,
    image_size: int = 224,
    progress: Callable[[int, int], Any] | None = None,
    allocate: Callable[..., np.ndarray] | None = None,
) -> Dataset:
    """Makes ChestX-Det of `ChestX_Det_{train,test}.json`, or ChestX-Det10 of `{train,test}.json`, in `manual_dir`.

    Validation is drawn from training. Regions are the polygons, of Det10 the boxes, in a frame of 1024 pixels. The
    images are NIH's renumbered: nothing says whose they are or which, so that they overlap with every set of NIH's
    images. Raises as `reader.read`.
    """
    folder = Path(manual_dir)
    options = {'image_size': image_size}
    return reader.read(
        folder, layout(folder), image_size=image_size, allocate=allocate, progress=progress, options=options
    )


def layout(folder: Path) -> Layout:
    """The layout of ChestX-Det if its tables are there, or else that of ChestX-Det10."""
    polygons = bool(list(folder.glob('ChestX_Det_train.json*')))
    lists = ('syms', 'boxes', 'polygons') if polygons else ('syms', 'boxes')
    name = 'ChestX_Det_{}.json' if polygons else '{}.json'
    shape = {'code': 'polygons', 'kind': 'polygon'} if polygons else {'box': ('boxes',), 'form': 'xyxy'}
    return Layout(
        name='chestx_det' if polygons else 'chestx_det10',
        tables=tuple(Table(name.format(s), name='images', split=s, explode=lists) for s in ('train', 'test')),
        images=Images('{(split)}_data/{file_name}', id='{(split)}/{file_name}'),
        labels=(Labels(column='syms', classes=DET if polygons else DET10),),
        regions=(Regions(column='syms', frame=(1024, 1024), **shape),),
        family='nih',
        source=SOURCE,
        licence='Annotations: Apache-2.0. Images: name the NIH Clinical Center as the source.',
    )
