"""object-CXR (JF Healthcare 2020): 10,000 chest radiographs, half of them with foreign objects, outlined."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader import Images, Labels, Layout, Regions, Table
from imbalance_jax.data.sources.text import text_rows
from imbalance_jax.names import lookup

OBJECT = 'foreign object'
SHAPES = {'0': 'rectangle', '1': 'ellipse', '2': 'polygon'}  # the type is a text: as a number it equals none


def read(path: Path) -> Mapping[str, list[str]]:
    """A row per shape: image_name, finding, and the shape's coordinates in the column of its kind.

    ValueError with file and line for another header, and for a shape of another type.
    """
    rows = text_rows(path)
    header = next(rows, ('', []))[1]
    if header[:2] != ['image_name', 'annotation']:
        raise ValueError(f'{path}, line 1: header {",".join(header)!r}; expected image_name,annotation.')
    columns: dict[str, list[str]] = {name: [] for name in ('image_name', 'finding', *SHAPES.values())}
    for where, cells in rows:
        for shape in cells[1].split(';') if len(cells) > 1 and cells[1] else ['']:
            kind, _, points = shape.strip().partition(' ')
            found = lookup(SHAPES, kind, f'type of shape, {where}:') if kind else ''
            columns['image_name'].append(cells[0])
            columns['finding'].append(OBJECT if found else '')
            for name in SHAPES.values():
                columns[name].append(points if name == found else '')
    return columns


LAYOUT = Layout(
    name='object_cxr',
    tables=(
        Table('train.csv', name='images', split='train', read=read),
        Table('dev.csv', name='images', split='validation', read=read),
        Table('test.csv', name='images', split='test', read=read, optional=True),
    ),
    images=Images('{image_name}'),
    labels=(Labels(column='finding', classes=(OBJECT,)),),
    regions=tuple(Regions(concept=OBJECT, code=kind, kind=kind) for kind in SHAPES.values()),
    family='object_cxr',
    source='object-CXR, JF Healthcare, MIDL 2020 challenge, https://web.archive.org/web/20201127235812/'
    'https://jfhealthcare.github.io/object-CXR/.',
    licence='CC BY-NC 4.0',
)


def make(
    *,
    manual_dir: Path,
    image_size: int = 224,
    progress: Callable[[int, int], Any] | None = None,
    allocate: Callable[..., np.ndarray] | None = None,
) -> Dataset:
    """Makes object-CXR of `train.csv`, `dev.csv` (validation) and, where it is there, `test.csv` in `manual_dir`.

    Rectangles, ellipses and polygons are regions of one concept. Devices that support the patient, such as tubes, were
    not annotated. Without `test.csv` the test split is drawn from training. Raises as `reader.read`, and `read`.
    """
    options = {'image_size': image_size}
    return reader.read(
        Path(manual_dir), LAYOUT, image_size=image_size, allocate=allocate, progress=progress, options=options
    )
