"""VinDr-CXR (Nguyen et al. 2022): 18,000 chest radiographs, three readers each, a consensus for the test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader import Images, Labels, Layout, Regions, Split, Table

SOURCE = (
    'VinDr-CXR, https://physionet.org/content/vindr-cxr/. Nguyen HQ et al. VinDr-CXR: An open dataset of chest X-rays '
    "with radiologist's annotations. Scientific Data 2022."
)
LICENCE = 'PhysioNet Credentialed Health Data License 1.5.0 (Kaggle: rules of the competition); not to be passed on.'
KAGGLE = (
    'Aortic enlargement',
    'Atelectasis',
    'Calcification',
    'Cardiomegaly',
    'Consolidation',
    'ILD',
    'Infiltration',
    'Lung Opacity',
    'Nodule/Mass',
    'Other lesion',
    'Pleural effusion',
    'Pleural thickening',
    'Pneumothorax',
    'Pulmonary fibrosis',
)
ALSO_LOCAL = (
    'Clavicle fracture',
    'Edema',
    'Emphysema',
    'Enlarged PA',
    'Lung cavity',
    'Lung cyst',
    'Mediastinal shift',
    'Rib fracture',
)
LOCAL = tuple(sorted((*KAGGLE, *ALSO_LOCAL), key=str.casefold))
GLOBAL = ('COPD', 'Lung tumor', 'Pneumonia', 'Tuberculosis', 'Other diseases')
BOX = ('x_min', 'y_min', 'x_max', 'y_max')


def make(
    *,
    manual_dir: Path,
    image_size: int = 224,
    progress: Callable[[int, int], Any] | None = None,
    allocate: Callable[..., np.ndarray] | None = None,
) -> Dataset:
    """Makes VinDr-CXR of PhysioNet's folder (`annotations/`), or of Kaggle's (`train.csv`), in `manual_dir`.

    Of every reader there is a reading, and the boxes are each reader's own: `labels` are what most of an image's three
    readers say, and another rule is a policy. The test images of PhysioNet have a consensus instead. Kaggle has 14 of
    the 22 local findings and labels for the training images only. Copies as PNG of another size need the table
    `train_meta.csv` (image_id, dim0, dim1) for their boxes. "No finding" is no class. Nothing says whose images these
    are. Raises as `reader.read`.
    """
    folder = Path(manual_dir)
    options = {'image_size': image_size}
    return reader.read(
        folder, layout(folder), image_size=image_size, allocate=allocate, progress=progress, options=options
    )


def layout(folder: Path) -> Layout:
    """The layout of PhysioNet's folder or of Kaggle's, whichever it is."""
    return kaggle(folder) if list(folder.glob('train.csv*')) else physionet(folder)


def physionet(folder: Path) -> Layout:
    """Tables of labels and of boxes, per reader for training and without for the test."""
    alike = {'Other diseases': 'Other disease'}  # as the table of the test calls it
    return Layout(
        name='vindr_cxr',
        tables=(
            Table('annotations/image_labels_train.csv', name='labels', split='train'),
            Table('annotations/image_labels_test.csv', name='labels', split='test', rename=alike),
            Table('annotations/annotations_*.csv', name='boxes'),
        ),
        images=Images('{image_id}', id='{image_id}'),
        labels=(Labels(columns=(*LOCAL, *GLOBAL), reader='rad_id'),),
        regions=(Regions('boxes', ('image_id',), column='class_name', box=BOX, form='xyxy', reader='rad_id'),),
        family='vindr',
        source=SOURCE,
        licence=LICENCE,
    )


def kaggle(folder: Path) -> Layout:
    """One table of a reader's finding and box per row; with `train_meta.csv` boxes are in pixels of the originals."""
    meta = bool(list(folder.glob('train_meta.csv*')))
    return Layout(
        name='vindr_cxr',
        tables=(
            Table('train.csv', where={'class_name': (*KAGGLE, 'No finding')}),
            *((Table('train_meta.csv', on=('image_id',)),) if meta else ()),
        ),
        images=Images('{image_id}', id='{image_id}'),
        labels=(Labels(column='class_name', classes=KAGGLE, reader='rad_id'),),
        split=Split(),
        regions=(
            Regions(
                column='class_name',
                box=BOX,
                form='xyxy',
                frame=('dim0', 'dim1') if meta else (),
                reader='rad_id',
            ),
        ),
        family='vindr',
        source=SOURCE,
        licence=LICENCE,
    )
