"""Where rows and tables must say the same: of an image's patient and split, and of which classes there are."""

from collections.abc import Callable, Sequence

import numpy as np

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.reader import groupings
from imbalance_jax.data.reader.layout import Layout
from imbalance_jax.data.reader.rows import NAMED, SPLIT, Found, Rows
from imbalance_jax.data.reader.spelling import canonical, first_group
from imbalance_jax.names import some


def same_columns(parts: Sequence[Rows], layout: Layout) -> None:
    """ValueError for a class that one of the tables that are put under one another lacks: its cells would be empty."""
    for labels in (one for one in layout.labels if one.columns and not one.table):
        for name in labels.columns:
            spelt = {name, *labels.aliases.get(name, ())}
            having = [part.files[0] for part in parts if spelt & part.columns.keys()]
            lacking = [part.files[0] for part in parts if not spelt & part.columns.keys()]
            if having and lacking:
                raise ValueError(f'{lacking[0]} has no column {name!r} (labels.columns), which {having[0]} has.')


def of_images(
    rows: Rows, image: np.ndarray, first: np.ndarray, names: Sequence[str], layout: Layout, found: Found
) -> None:
    """ValueError for an image that rows say is of two patients, or in two splits; a doubt of one in two groups.

    image: [n] of each row, -1 of none; first: [N] the first row of each image; names: [N] of the images.
    """
    patient, split = layout.patient, layout.split
    if patient.column:
        values = rows.column(patient.column, 'patient.column')
        if patient.pattern:
            values = np.array([first_group(patient.pattern, str(text)) for text in values], object)
        _one_value(rows, image, first, values, 'patient')
    column = split.column or SPLIT
    if column in rows.columns and not (split.lists or split.path):
        _one_value(rows, image, first, rows.columns[column], 'split')
    used = np.flatnonzero(image >= 0)
    codes, _ = groupings.of_images(rows, used, layout.groups)
    of_first = np.searchsorted(used, first[image[used]])
    for name, code in zip(layout.groups, codes.T if codes is not None else (), strict=True):
        apart = (code != code[of_first]) & (code >= 0)
        if of_two := sorted(set(image[used[apart]].tolist())):
            named = some([names[one] for one in of_two], NAMED)
            found.doubts.append(f'Images whose rows give several {name}, the first counts: {len(of_two)} ({named}).')


def of_patients(patient: np.ndarray, split: np.ndarray, image_id: np.ndarray, who: Callable[[], list[str]]) -> None:
    """ValueError for a patient whose images are in two splits, by the name that `who` gives, with an image of each.

    patient: [N] int; split: [N] uint8; image_id: [N]; who: what the patients [N] are called.
    """
    _, first, person = np.unique(patient, return_index=True, return_inverse=True)
    apart = np.flatnonzero(split != split[first[person]])
    if len(apart):
        row = apart[0]
        other, several = first[person[row]], len(set(person[apart].tolist()))
        raise ValueError(
            f'patient {who()[row]!r} is in {SPLITS[split[other]]} (image {image_id[other]}) and in '
            f'{SPLITS[split[row]]} (image {image_id[row]}); all images of a patient belong in one split'
            + (f', and those of {several - 1} more are in two.' if several > 1 else '.')
        )


def _one_value(rows: Rows, image: np.ndarray, first: np.ndarray, values: np.ndarray, what: str) -> None:
    texts = np.array([canonical(str(value)) for value in values], object)
    used = np.flatnonzero(image >= 0)
    of_first = first[image[used]]
    apart = (texts[used] != texts[of_first]) & (texts[used] != '') & (texts[of_first] != '')
    if apart.any():
        row, other = used[apart][0], of_first[apart][0]
        hint = ' (images.parts tells files of one name apart by their folders)' if what == 'split' else ''
        raise ValueError(
            f'{rows.where(row)}: the {what} of the image is {values[row]!r}, but in {rows.where(other)} it is '
            f'{values[other]!r}; an image has one {what}{hint}.'
        )


def of_readers(drew: Sequence[str], read: Sequence[str]) -> list[str]:
    """A sentence about readers of regions who are not called as a reader of labels is, where these have names."""
    others = [name for name in drew if name not in read]
    if not others or not read:
        return []
    who = f'Readers of regions ({some(others, NAMED)}) are none of those of labels ({some(read, NAMED)})'
    return [f'{who}: of whom it is not known who saw an image, has a vote only where a region was drawn.']
