"""The text tables of NIH ChestX-ray14: labels of both revisions, lists, boxes, and facts about the people."""

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.sources.text import once, plain_file_name, text_rows
from imbalance_jax.names import lookup

CLASSES = (
    'Atelectasis', 'Cardiomegaly', 'Effusion', 'Infiltration', 'Mass', 'Nodule', 'Pneumonia', 'Pneumothorax',
    'Consolidation', 'Edema', 'Emphysema', 'Fibrosis', 'Pleural_Thickening', 'Hernia',
)  # fmt: skip
INDEX = {name: index for index, name in enumerate(CLASSES)}
BOX_INDEX = INDEX | {'Infiltrate': INDEX['Infiltration']}  # the box list's own spelling
FRAME = 1024  # NIH ships square images of this many pixels, and its boxes are drawn on them
COLUMNS = ('Image Index', 'Finding Labels', 'Patient ID')
BOX_HEADER = 'Image Index,Finding Label,Bbox [x,y,w,h]'
GROUPS = {'sex': ('female', 'male'), 'age': ('under 40', '40 to 59', '60 and over'), 'view': ('PA', 'AP')}
SEX = {'F': 0, 'M': 1}
CITED = (
    'NIH ChestX-ray14, National Institutes of Health Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC. '
    'Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: Hospital-scale chest X-ray database and '
    'benchmarks on weakly-supervised classification and localization of common thorax diseases. CVPR 2017.'
)
LICENCE = 'Free to use without restriction; name the NIH Clinical Center as the source and cite Wang et al. 2017.'
OLDEST = 120  # years; the table holds ages up to 414, which are mistakes


class Labels(NamedTuple):
    """A label table: image [N] str, patient [N] int64, labels [N, 14] uint8 with columns as in `CLASSES`."""

    image: np.ndarray
    patient: np.ndarray
    labels: np.ndarray


class Boxes(NamedTuple):
    """A box list: image [R] str, concept [R] int32 into `CLASSES`, box [R, 4] float32 x0 y0 x1 y1 in the 1024 frame."""

    image: np.ndarray
    concept: np.ndarray
    box: np.ndarray


def read_labels(path: Path) -> Labels:
    """Reads `Data_Entry_2017*.csv` of either label revision; "No Finding" is a row of zeros.

    Raises ValueError with file and line for a missing column, an unknown finding, a repeated image, an image name that
    is a path, and a patient number that is none or is not the one in the image's name.
    """
    rows = text_rows(path)
    header = next(rows, ('', []))[1]
    if absent := [column for column in COLUMNS if column not in header]:
        raise ValueError(f'{path}, line 1: no column {absent}; expected {", ".join(COLUMNS)}; found {header}.')
    columns = [header.index(column) for column in COLUMNS]
    seen: dict[Hashable, str] = {}
    patients, findings = [], []
    for where, row in rows:
        if len(row) < len(header):
            raise ValueError(f'{where}: {len(row)} columns; expected {len(header)} as in the header.')
        name, finding, patient = (row[column] for column in columns)
        once(seen, plain_file_name(name, where), where)
        findings.append(_findings(finding, where))
        patients.append(_patient(patient, name, where))
    labels = np.zeros((len(findings), len(CLASSES)), np.uint8)
    for flags, classes in zip(labels, findings, strict=True):
        flags[classes] = 1
    return Labels(np.array(list(seen), np.str_), np.array(patients, np.int64), labels)


def read_groups(path: Path) -> dict[str, tuple[int, int, int]]:
    """Sex, age band and view of each image of `Data_Entry_2017*.csv`, {image: indices into `GROUPS`}, -1 if unknown.

    Both label revisions are read: the later one calls the column of the sex `Patient Sex` and writes ages without the
    unit. An age above 120 years is unknown. A column that the table lacks is unknown for all.
    """
    rows = text_rows(path)
    header = next(rows, ('', []))[1]
    place = {name: header.index(name) for name in header}
    sex = place.get('Patient Gender', place.get('Patient Sex'))
    found = {}
    for _, row in rows:
        of_sex, age, view = (
            '' if column is None or column >= len(row) else row[column].strip()
            for column in (sex, place.get('Patient Age'), place.get('View Position'))
        )
        views = GROUPS['view']
        found[row[place[COLUMNS[0]]]] = SEX.get(of_sex, -1), _band(age), views.index(view) if view in views else -1
    return found


def read_list(path: Path) -> np.ndarray:
    """Reads `train_val_list.txt` or `test_list.txt`: image names [N], one per line."""
    seen: dict[Hashable, str] = {}
    for where, row in text_rows(path):
        fields = ','.join(row).split()
        if len(fields) != 1:
            hint = ' This looks like a list of the CheXNet split.' if len(fields) == 1 + len(CLASSES) else ''
            raise ValueError(f'{where}: {len(fields)} fields; expected one image name.{hint}')
        once(seen, plain_file_name(fields[0], where), where)
    return np.array(list(seen), np.str_)


def read_chexnet_list(path: Path) -> Labels:
    """Reads one list of the CheXNet split, which holds the first label revision.

    It has no patient number; that is the first eight digits of the image's name. Raises ValueError with file and line.
    """
    seen: dict[Hashable, str] = {}
    patients, flags = [], []
    for where, row in text_rows(path):
        name, *values = ','.join(row).split()
        if len(values) != len(CLASSES) or not set(values) <= {'0', '1'}:
            raise ValueError(f'{where}: expected an image name and {len(CLASSES)} zeros or ones; found {row}.')
        once(seen, plain_file_name(name, where), where)
        patients.append(_patient(name[:8], name, where))
        flags.append(values)
    labels = np.array(flags, np.str_).reshape(-1, len(CLASSES)).astype(np.uint8)
    return Labels(np.array(list(seen), np.str_), np.array(patients, np.int64), labels)


def read_boxes(path: Path) -> Boxes:
    """Reads `BBox_List_2017.csv`, whose header breaks `Bbox [x,y,w,h]` over four columns.

    Every boxed finding is a label of its image in the second label revision; in the first, 188 of the 984 are not, 78
    of the 120 with Pneumonia among them. Raises ValueError with file and line for another header, an unknown finding, a
    second box of one image and finding, and a box that is no number, is empty, or leaves the frame by a pixel or more
    (less is rounding and is clipped).
    """
    rows = text_rows(path)
    header = ','.join(next(rows, ('', []))[1]).rstrip(',')
    if header != BOX_HEADER:
        raise ValueError(f'{path}, line 1: header {header!r}; expected {BOX_HEADER!r}.')
    seen: dict[tuple[str, str], str] = {}
    boxes = []
    for where, row in rows:
        if len(row) < 6 or any(row[6:]):
            raise ValueError(f'{where}: expected image, finding, x, y, w, h; found {row}.')
        finding = CLASSES[lookup(BOX_INDEX, row[1], f'finding ({where})')]
        once(seen, (plain_file_name(row[0], where), finding), where)
        boxes.append(corners(row[2:6], where))
    images = np.array([image for image, _ in seen], np.str_)
    concepts = np.array([INDEX[finding] for _, finding in seen], np.int32)
    return Boxes(images, concepts, np.array(boxes, np.float32).reshape(-1, 4))


def _patient(text: str, name: str, where: str) -> int:
    if not re.fullmatch('[0-9]{1,18}', text):
        raise ValueError(f'{where}: patient {text!r} of image {name}; expected a whole number.')
    if re.match('[0-9]{8}_', name) and int(name[:8]) != int(text):
        raise ValueError(f'{where}: patient {text} of image {name}; expected {int(name[:8])}, as the name begins.')
    return int(text)


def _findings(text: str, where: str) -> list[int]:
    names = text.split('|')
    if 'No Finding' in names and len(names) > 1:
        raise ValueError(f'{where}: {text!r}; expected "No Finding" alone or findings without it.')
    return [] if names == ['No Finding'] else [lookup(INDEX, name, f'finding ({where})') for name in names]


def corners(texts: list[str], where: str) -> tuple[float, ...]:
    try:
        x, y, width, height = map(float, texts)
    except ValueError:
        raise ValueError(f'{where}: box {texts}; expected four numbers x, y, width, height.') from None
    corners = x, y, x + width, y + height
    clipped = tuple(min(max(value, 0.0), float(FRAME)) for value in corners)
    inside = all(math.isfinite(value) and abs(value - cut) < 1 for value, cut in zip(corners, clipped, strict=True))
    if not inside or clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        raise ValueError(f'{where}: box {texts}; expected x, y, width, height > 0 within {FRAME} x {FRAME} pixels.')
    return clipped


def _band(age: str) -> int:
    """Band of an age such as 058Y, 11M, 3D or 58; -1 if it is none."""
    match = re.fullmatch('([0-9]{1,3})([YMD]?)', age)
    years = int(match[1]) / {'': 1, 'Y': 1, 'M': 12, 'D': 365}[match[2]] if match else OLDEST + 1
    return -1 if years > OLDEST else int(years >= 40) + int(years >= 60)
