"""PadChest (Bustos et al. 2020): 160,861 radiographs of 67,625 patients, 193 names of findings and diagnoses."""

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader import Group, Images, Labels, Layout, Patient, Table
from imbalance_jax.data.sources.text import text_rows

TABLE = 'PADCHEST_chest_x_ray_images_labels_160K_*.csv'
NO_CLASS = ('normal', 'unchanged', 'exclude', 'suboptimal study')  # words about the image or the report
FRONTAL = ('PA', 'AP', 'AP_horizontal')
COLUMNS = (
    'ImageID',
    'ImageDir',
    'StudyDate_DICOM',
    'PatientID',
    'PatientBirth',
    'PatientSex_DICOM',
    'Projection',
    'MethodLabel',
    'Labels',
)
LEFT_OUT = 'what is left out'
SOURCE = (
    'PadChest, https://bimcv.cipf.es/bimcv-projects/padchest/. Bustos A, Pertusa A, Salinas JM, de la Iglesia-Vaya M. '
    'PadChest: A large chest x-ray image dataset with multi-label annotated reports. Medical Image Analysis 2020.'
)
LICENCE = 'BIMCV research use agreement; not to be passed on.'


def make(
    *,
    manual_dir: Path,
    image_size: int = 224,
    at_least: int = 100,
    classes: Sequence[str] = (),
    views: Sequence[str] = FRONTAL,
    leave_out: Sequence[str] = ('exclude', 'suboptimal study'),
    progress: Callable[[int, int], Any] | None = None,
    allocate: Callable[..., np.ndarray] | None = None,
) -> Dataset:
    """Makes PadChest of its table and the images below `manual_dir`, in folders of `ImageDir` or in one.

    Classes are all names with `at_least` images, or `classes`; a name counts if it is that name, never as a part of
    another ('pseudonodule' is no nodule). `views` are values of `Projection`. Images with a label in `leave_out`,
    without any label, or of which "unchanged" is all that is said are left out and counted. Labels are of physicians or
    of a network (`MethodLabel`): two readers, so that a policy with readers='Physician' is the first alone. Files that
    are missing or truncated, as 21 of the published ones are, are named among the problems. Raises as `reader.read`.
    """
    options = {
        'image_size': image_size,
        'at_least': at_least,
        'classes': list(classes),
        'views': list(views),
        'leave_out': list(leave_out),
    }
    return reader.read(
        Path(manual_dir),
        layout(at_least, tuple(classes), tuple(views), tuple(leave_out)),
        image_size=image_size,
        allocate=allocate,
        progress=progress,
        options=options,
    )


def layout(
    at_least: int, classes: tuple[str, ...] = (), views: tuple[str, ...] = FRONTAL, leave_out: tuple[str, ...] = ()
) -> Layout:
    """The layout, with the options of `make`."""
    rules = {'Projection': views, LEFT_OUT: ('',)}
    return Layout(
        name='padchest',
        tables=(Table(TABLE, read=partial(rows, leave_out=leave_out), where=rules),),
        images=Images('{ImageDir}/{ImageID}', id='{ImageID}', bits=16),
        labels=(
            Labels(
                column='names',
                separator='list',
                classes=classes,
                others='ignore',
                none=('normal',),
                at_least=0 if classes else at_least,
                reader='MethodLabel',
            ),
        ),
        patient=Patient('PatientID'),
        groups={
            'sex': Group('PatientSex_DICOM', values={'female': ('F',), 'male': ('M',)}),
            'age': Group('age', bands=(40, 60, 80)),
            'view': Group('Projection', values={view: () for view in views}),
            'labels by': Group('MethodLabel', values={'physician': ('Physician',), 'network': ('RNN_model',)}),
        },
        family='padchest',
        source=SOURCE,
        licence=LICENCE,
    )


def rows(path: Path, *, leave_out: Sequence[str] = ()) -> Mapping[str, list[Any]]:
    """The table's columns that are used, all as text, with names (a list per image), age, and why an image is left out.

    ValueError with file and line for a header without them, and for labels that are no list.
    """
    table = text_rows(path)
    where, header = next(table, (f'{path}, line 1', []))
    if lacking := [name for name in COLUMNS if name not in header]:
        raise ValueError(f'{where}: the header has no {", ".join(lacking)}.')
    place = [header.index(name) for name in COLUMNS]
    columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, 'names', 'age', LEFT_OUT)}
    for where, cells in table:
        if len(cells) < len(header):
            raise ValueError(f'{where}: {len(cells)} columns; expected {len(header)} as in the header.')
        one = dict(zip(COLUMNS, (cells[k] for k in place), strict=True))
        labels = labels_in(one['Labels'], where)
        extra = {'names': [name for name in labels or () if name not in NO_CLASS], 'age': _age(one)}
        for name, value in {**one, **extra, LEFT_OUT: _reason(labels, leave_out)}.items():
            columns[name].append(value)
    return columns


def labels_in(text: str, where: str) -> list[str] | None:
    """The names in a Python list literal, without blanks around them or empty ones; None for no list (nan)."""
    if text.lower() in ('', 'nan'):
        return None
    try:
        names = ast.literal_eval(text)
        return [name for name in (str(one).strip() for one in names) if name]
    except (ValueError, SyntaxError, TypeError) as error:
        raise ValueError(
            f"{where}: Labels is {text[:60]!r}; expected a list such as ['nodule', 'scoliosis']."
        ) from error


def _reason(labels: list[str] | None, leave_out: Sequence[str]) -> str:
    """Why an image is left out, '' if it is not."""
    if not labels:
        return 'no label'
    unwanted = next((name for name in leave_out if name in labels), '')
    return unwanted or ('only unchanged' if set(labels) == {'unchanged'} else '')


def _age(cells: Mapping[str, str]) -> str:
    """Years from the year of birth to that of the study, '' where one is unknown."""
    born, taken = cells['PatientBirth'].partition('.')[0], cells['StudyDate_DICOM'][:4]
    return str(int(taken) - int(born)) if born.isdigit() and taken.isdigit() else ''
