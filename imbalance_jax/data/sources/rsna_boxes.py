"""Boxes that the RSNA Pneumonia Detection Challenge of 2018 drew on NIH's images, by other readers than NIH's."""

import json
import re
from pathlib import Path

import numpy as np

from imbalance_jax.data.sources.nih_tables import corners
from imbalance_jax.data.sources.text import plain_file_name, single_file, text_rows

CONCEPT = 'Lung Opacity (RSNA)'  # opacities suspicious for pneumonia: no finding of NIH's, and never one of its boxes
HEADERS = (
    ('Image Index', 'Finding Label', 'x', 'y', 'w', 'h'),
    ('patientId', 'x', 'y', 'width', 'height', 'Target'),
)
MAP = 'pneumonia-challenge-dataset-mappings_2018.json'


def read(path: Path, names: dict[str, str] | None = None) -> tuple[list[str], np.ndarray]:
    """NIH's name of the image of each box, and boxes [R, 4] float32, x0 y0 x1 y1 in the 1024 frame.

    A table of either form: `Image Index,Finding Label,x,y,w,h`, or the challenge's own `stage_2_train_labels.csv`,
    whose ids `names` turns into NIH's. x and y are the upper left corner. Raises ValueError with file and line for
    another header, an id that `names` lacks, and a box that is no number, is empty or leaves the frame.
    """
    rows = text_rows(path)
    header = tuple(next(rows, ('', []))[1])
    if header not in HEADERS:
        expected = ' or '.join(','.join(known) for known in HEADERS)
        raise ValueError(f'{path}, line 1: header {",".join(header)!r}; expected {expected}.')
    start = header.index('x')
    images, boxes = [], []
    for where, row in rows:
        if len(row) < len(header):
            raise ValueError(f'{where}: {len(row)} columns; expected {len(header)} as in the header.')
        if not any(row[start : start + 4]):  # the challenge's row of an image without an opacity
            continue
        images.append(_name(row[0], names, where) if start == 1 else plain_file_name(row[0], where))
        boxes.append(corners(row[start : start + 4], where))
    return images, np.array(boxes, np.float32).reshape(-1, 4)


def read_map(folder: Path) -> dict[str, str]:
    """{the challenge's image id: NIH's image name} from the map that RSNA published, as JSON, in `folder`."""
    path = _map_file(folder)
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
        return {entry['subset_img_id']: _nih_name(entry['img_id']) for entry in entries}
    except (ValueError, KeyError, TypeError) as error:
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(f'{path} is no list of {{"subset_img_id": ..., "img_id": ...}} ({reason}).') from error


def files(path: Path) -> dict[str, Path]:
    """{name: file} of the table and the map beside it that it needs; FileNotFoundError if there is none."""
    mapped = {'map of rsna_boxes': _map_file(path.parent)} if needs_map(path) else {}
    return {'rsna_boxes': Path(path), **mapped}


def needs_map(path: Path) -> bool:
    """Whether the table has the challenge's ids; FileNotFoundError if it is not there."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path} is no file; rsna_boxes names a table of boxes, such as stage_2_train_labels.csv.'
        )
    return tuple(next(text_rows(path), ('', []))[1]) == HEADERS[1]


def _map_file(folder: Path) -> Path:
    return single_file(folder, MAP, "It is on the page of the challenge at rsna.org and names NIH's image of every id.")


def _nih_name(name: str) -> str:
    if not re.fullmatch(r'[0-9]{8}_[0-9]{3}\.png', name):
        raise ValueError(f'img_id is {name!r}; expected a name such as 00000001_000.png')
    return name


def _name(image: str, names: dict[str, str] | None, where: str) -> str:
    if names is None or image not in names:
        raise ValueError(f"{where}: image {image!r} is not in the map to NIH's names.")
    return names[image]
