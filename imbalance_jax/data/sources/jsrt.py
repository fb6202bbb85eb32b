"""JSRT (Shiraishi et al. 2000): 247 chest radiographs, 154 with a nodule, with SCR's masks of anatomy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader import Group, Images, Labels, Layout, Patient, Regions, Table

SIDE = 2048
MILLIMETRES = 0.175  # per pixel
NODULE = 'nodule'
ANATOMY = ('left lung', 'right lung', 'heart', 'left clavicle', 'right clavicle')


def raw(path: Path) -> np.ndarray:
    """Pixels [2048, 2048] uint16 of an .IMG file: 12 bits, big-endian, inverted so that what absorbs is bright."""
    data = path.read_bytes()
    if len(data) != 2 * SIDE * SIDE:
        raise ValueError(f'{len(data)} bytes; expected {2 * SIDE * SIDE} of {SIDE} x {SIDE} pixels')
    return (4095 - np.minimum(np.frombuffer(data, '>u2').reshape(SIDE, SIDE), 4095)).astype(np.uint16)


def nodules(path: Path) -> Mapping[str, list[str]]:
    """CLNDAT_EN.txt: file, subtlety, size (mm), age, sex, x, y, kind, location, diagnosis; the nodule as an ellipse."""
    columns = _columns()
    for where, cells in _lines(path, 7):
        try:
            size, x, y = float(cells[2]), float(cells[5]), float(cells[6])
        except ValueError as error:
            raise ValueError(
                f'{where}: size {cells[2]!r}, x {cells[5]!r}, y {cells[6]!r}; expected numbers.'
            ) from error
        half = size / MILLIMETRES / 2
        ellipse = f'{x - half:.2f} {y - half:.2f} {x + half:.2f} {y + half:.2f}'
        _add(columns, cells[0], NODULE, cells[3], cells[4], ellipse)
    return columns


def others(path: Path) -> Mapping[str, list[str]]:
    """CNNDAT_EN.txt: file, age, sex, "non-nodule"."""
    columns = _columns()
    for _, cells in _lines(path, 3):
        _add(columns, cells[0], '', cells[1], cells[2], '')
    return columns


def _lines(path: Path, least: int) -> list[tuple[str, list[str]]]:
    rows = []
    for number, line in enumerate(path.read_text('latin-1').splitlines(), 1):
        cells = [cell.strip() for cell in line.split('\t')]
        if any(cells):
            if len(cells) < least:
                raise ValueError(f'{path}, line {number}: {len(cells)} columns; expected {least} or more, by tabs.')
            rows.append((f'{path}, line {number}', cells))
    return rows


def _columns() -> dict[str, list[str]]:
    return {name: [] for name in ('image', 'finding', 'age', 'sex', 'ellipse')}


def _add(columns: dict[str, list[str]], image: str, *cells: str) -> None:
    for column, cell in zip(columns.values(), (image.rpartition('.')[0] or image, *cells), strict=True):
        column.append(cell)


LAYOUT = Layout(
    name='jsrt',
    tables=(
        Table('**/CLNDAT_EN.txt', name='images', read=nodules),
        Table('**/CNNDAT_EN.txt', name='images', read=others),
    ),
    images=Images(
        '{image}', id='{image}', suffixes=('.img', '.png'), exclude=('*mask*',), bits=12, decoders={'.img': raw}
    ),
    labels=(Labels(column='finding', classes=(NODULE,)),),
    patient=Patient(column='image'),
    regions=(
        Regions(concept=NODULE, code='ellipse', kind='ellipse', frame=(SIDE, SIDE)),
        *(Regions(concept=one, files=f'**/masks/{one}/{{stem}}.gif') for one in ANATOMY),
    ),
    groups={
        'sex': Group('sex', values={'female': ('Female', 'F'), 'male': ('Male', 'M')}),
        'age': Group('age', bands=(40, 60)),
    },
    anatomy=ANATOMY,
    family='jsrt',
    source='JSRT, http://db.jsrt.or.jp/eng.php. Shiraishi J et al. AJR 2000. Masks: SCR, van Ginneken B et al. Medical '
    'Image Analysis 2006.',
    licence='For research, with citation; registration.',
)


def make(
    *,
    manual_dir: Path,
    image_size: int = 224,
    progress: Callable[[int, int], Any] | None = None,
    allocate: Callable[..., np.ndarray] | None = None,
) -> Dataset:
    """Makes JSRT of its .IMG files, `CLNDAT_EN.txt` and `CNNDAT_EN.txt`, anywhere below `manual_dir`.

    A nodule is the ellipse of its centre and size. Where the masks of SCR are below the folder too, as
    `fold1/masks/left lung/JPCLN001.gif`, lungs, heart and clavicles are concepts. Every image is of another patient.
    Splits are drawn by a hash. Raises as `reader.read`.
    """
    options = {'image_size': image_size}
    return reader.read(
        Path(manual_dir), LAYOUT, image_size=image_size, allocate=allocate, progress=progress, options=options
    )
