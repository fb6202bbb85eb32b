"""NIH ChestX-ray14 as files: labels, splits by patient, boxes, and where the images lie. No image is opened here."""

import collections
import hashlib
import math
import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.sources import content
from imbalance_jax.data.sources.text import once, plain_file_name, single_file, text_rows
from imbalance_jax.names import lookup

CLASSES = (
    'Atelectasis', 'Cardiomegaly', 'Effusion', 'Infiltration', 'Mass', 'Nodule', 'Pneumonia', 'Pneumothorax',
    'Consolidation', 'Edema', 'Emphysema', 'Fibrosis', 'Pleural_Thickening', 'Hernia',
)  # fmt: skip
INDEX = {name: index for index, name in enumerate(CLASSES)}
BOX_INDEX = INDEX | {'Infiltrate': INDEX['Infiltration']}  # the box list's own spelling
FRAME = 1024  # NIH ships square images of this many pixels, and its boxes are drawn on them
TABLE, TRAIN_VAL, TEST, BOXES = 'Data_Entry_2017*.csv', 'train_val_list.txt', 'test_list.txt', 'BBox_List_2017.csv'
TEST_SHARE = 0.2  # of the patients, in the split 'by_patient'
COLUMNS = ('Image Index', 'Finding Labels', 'Patient ID')
BOX_HEADER = 'Image Index,Finding Label,Bbox [x,y,w,h]'
LAYOUT = f"""Expected NIH's own layout in one folder (a text file may also be gzipped, as NAME.gz):
    images/*.png, images_*/*.png or images_*/images/*.png
    {BOXES}
    split 'official': {TABLE} (exactly one), {TRAIN_VAL}, {TEST}
    split 'by_patient': {TABLE}
    split 'chexnet': chexnet_train_list.txt, chexnet_val_list.txt, chexnet_test_list.txt or, under their original
        names, train_list.txt, val_list.txt, test_list.txt: an image name and 14 zeros and ones per line"""

BUILDER = 'imbalance_jax.data.sources.tfds.nih_chest_xray14'

GROUPS = {'sex': ('female', 'male'), 'age': ('under 40', '40 to 59', '60 and over'), 'view': ('PA', 'AP')}
SEX = {'F': 0, 'M': 1}
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


class Cases(NamedTuple):
    """Labelled images by split ([N] uint8 into `SPLITS`) and name; problems: {kind: names left out}."""

    image: np.ndarray
    patient: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    problems: dict[str, list[str]]


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


def group_file(folder: Path) -> Path | None:
    """The table that `read_groups` reads; None where the folder lacks it, as a folder of the CheXNet split may."""
    try:
        return single_file(folder, TABLE, LAYOUT)
    except (FileNotFoundError, ValueError):
        return None


def _band(age: str) -> int:
    """Band of an age such as 058Y, 11M, 3D or 58; -1 if it is none."""
    match = re.fullmatch('([0-9]{1,3})([YMD]?)', age)
    years = int(match[1]) / {'': 1, 'Y': 1, 'M': 12, 'D': 365}[match[2]] if match else OLDEST + 1
    return -1 if years > OLDEST else int(years >= 40) + int(years >= 60)


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
        boxes.append(_corners(row[2:6], where))
    images = np.array([image for image, _ in seen], np.str_)
    concepts = np.array([INDEX[finding] for _, finding in seen], np.int32)
    return Boxes(images, concepts, np.array(boxes, np.float32).reshape(-1, 4))


def read_split(folder: Path, split: str = 'official', validation_fraction: float = 0.1) -> Cases:
    """Reads every image's labels and split; the official validation set is carved out of train_val by patient.

    A patient is in validation where a hash of its number, as a fraction of its range, is below `validation_fraction`,
    whoever else is there. The CheXNet split has its own validation list. Left out: images of the table that are in
    neither list ('not_in_split'), listed images without a row in the table ('listed_without_label').
    Raises FileNotFoundError for a missing file, ValueError for a patient in more than one split.
    """
    tables, problems = lookup(READERS, split, 'split')(label_files(folder, split), validation_fraction)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = np.intersect1d(tables[one].patient, tables[other].patient)
        if len(both):
            raise ValueError(
                f'{folder}: {len(both)} patients are in both {SPLITS[one]} and {SPLITS[other]} of the {split} split, '
                f'for example {", ".join(map(str, both[:5]))}; all images of a patient belong in one list.'
            )
    index = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), [len(table.image) for table in tables])
    image, patient, labels = (np.concatenate(arrays) for arrays in zip(*tables, strict=True))
    order = np.lexsort((image, index))
    return Cases(image[order], patient[order], labels[order], index[order], problems)


def label_files(folder: Path, split: str) -> tuple[Path, ...]:
    """The text files that hold labels and split; FileNotFoundError or ValueError unless each is there exactly once."""
    chexnet = 'chexnet_' if any(Path(folder).glob('chexnet_*_list.txt*')) else ''
    names = {
        'official': (TABLE, TRAIN_VAL, TEST),
        'by_patient': (TABLE, BOXES),
        'chexnet': [f'{chexnet}{part}_list.txt' for part in ('train', 'val', 'test')],
    }
    return tuple(single_file(folder, name, LAYOUT) for name in lookup(names, split, 'split'))


def box_file(folder: Path) -> Path:
    """The box list; FileNotFoundError or ValueError unless it is there exactly once."""
    return single_file(folder, BOXES, LAYOUT)


def find_images(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Returns {image name: path} and the names met again in a later folder, whose file there is left out."""
    paths: dict[str, Path] = {}
    repeated = []
    for entry in _scan(folder):
        if entry.name in paths:
            repeated.append(entry.name)
        paths.setdefault(entry.name, Path(entry.path))
    return paths, repeated


def files(folder: Path, split: str = 'official') -> dict[str, Path]:
    """{name: path} of all files that are read: the label and box lists, and every image, of which several folders may
    have one of the same name."""
    folder = Path(folder)
    named = {path.name: path for path in (*label_files(folder, split), box_file(folder))}
    if (table := group_file(folder)) is not None:
        named[table.name] = table
    seen: collections.Counter[str] = collections.Counter()
    for entry in _scan(folder):
        named[f'{entry.name} {seen[entry.name]}'] = Path(entry.path)
        seen[entry.name] += 1
    return named


def config_name(
    folder: Path,
    cache: Path | None = None,
    *,
    image_size: int = 224,
    split: str = 'official',
    validation_fraction: float = 0.1,
) -> str:
    """The name of what TFDS prepares from these files, with these options and this code. cache: of digests of files."""
    made_from = content.digest(files(folder, split), cache) + content.code(config_name, BUILDER)
    short = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    return f'{split}-{image_size}-validation{validation_fraction}-{short}'


def _official(files: tuple[Path, ...], fraction: float) -> tuple[list[Labels], dict[str, list[str]]]:
    table, lists = read_labels(files[0]), [read_list(path) for path in files[1:]]
    train_val, test = (np.isin(table.image, names) for names in lists)
    patients, row = np.unique(table.patient, return_inverse=True)
    validation = np.array([_share(patient) < fraction for patient in patients.tolist()], bool)[row]
    masks = (train_val & ~validation, train_val & validation, test)
    problems = {
        'not_in_split': table.image[~(train_val | test)].tolist(),
        'listed_without_label': np.setdiff1d(np.concatenate(lists), table.image).tolist(),
    }
    return [Labels(*(array[mask] for array in table)) for mask in masks], problems


def _chexnet(files: tuple[Path, ...], _: float) -> tuple[list[Labels], dict[str, list[str]]]:
    return [read_chexnet_list(path) for path in files], {'not_in_split': [], 'listed_without_label': []}


def _by_patient(files: tuple[Path, ...], fraction: float) -> tuple[list[Labels], dict[str, list[str]]]:
    if fraction >= 1 - TEST_SHARE:
        raise ValueError(f'validation_fraction is {fraction}; by_patient, it must be less than {1 - TEST_SHARE}.')
    table = read_labels(files[0])
    boxed = np.unique(table.patient[np.isin(table.image, read_boxes(files[1]).image)])
    share = np.array([_share(patient) for patient in table.patient.tolist()])
    test = (share >= 1 - TEST_SHARE) | np.isin(table.patient, boxed)
    masks = (~test & (share >= fraction), ~test & (share < fraction), test)
    kept = [Labels(*(array[mask] for array in table)) for mask in masks]
    return kept, {'not_in_split': [], 'listed_without_label': []}


READERS = {'official': _official, 'by_patient': _by_patient, 'chexnet': _chexnet}


def _share(patient: int) -> float:
    """A patient's number in [0, 1): the same on every machine and whichever other patients there are."""
    return int.from_bytes(hashlib.sha256(str(patient).encode()).digest()[:6], 'big') / 2**48


def _scan(folder: Path) -> list[os.DirEntry]:
    """All PNG files of the layout's image folders, by folder and name."""
    folder, entries = Path(folder), []
    for images in [folder / 'images', *sorted(folder.glob('images_*')), *sorted(folder.glob('images_*/images'))]:
        if images.is_dir():
            files = [entry for entry in os.scandir(images) if entry.name.endswith('.png') and entry.is_file()]
            entries += sorted(files, key=lambda entry: entry.name)
    if not entries:
        raise FileNotFoundError(f'{folder} has no PNG in images/, images_*/ or images_*/images/. {LAYOUT}')
    return entries


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


def _corners(texts: list[str], where: str) -> tuple[float, ...]:
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
