"""NIH ChestX-ray14 as files: splits by patient, and where tables and images lie. No image is opened here."""

import collections
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.sources import content
from imbalance_jax.data.sources.nih_tables import Labels, read_boxes, read_chexnet_list, read_labels, read_list
from imbalance_jax.data.sources.text import single_file
from imbalance_jax.names import lookup

TABLE, TRAIN_VAL, TEST, BOXES = 'Data_Entry_2017*.csv', 'train_val_list.txt', 'test_list.txt', 'BBox_List_2017.csv'
TEST_SHARE = 0.2  # of the patients, in the split 'by_patient'
LAYOUT = f"""Expected NIH's own layout in one folder (a text file may also be gzipped, as NAME.gz):
    images/*.png, images_*/*.png or images_*/images/*.png
    {BOXES}
    split 'official': {TABLE} (exactly one), {TRAIN_VAL}, {TEST}
    split 'by_patient': {TABLE}
    split 'chexnet': chexnet_train_list.txt, chexnet_val_list.txt, chexnet_test_list.txt or, under their original
        names, train_list.txt, val_list.txt, test_list.txt: an image name and 14 zeros and ones per line"""

BUILDER = 'imbalance_jax.data.sources.tfds.nih_chest_xray14'


class Cases(NamedTuple):
    """Labelled images by split ([N] uint8 into `SPLITS`) and name; problems: {kind: names left out}."""

    image: np.ndarray
    patient: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    problems: dict[str, list[str]]


def group_file(folder: Path) -> Path | None:
    """The table that `read_groups` reads; None where the folder lacks it, as a folder of the CheXNet split may."""
    try:
        return single_file(folder, TABLE, LAYOUT)
    except (FileNotFoundError, ValueError):
        return None


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
